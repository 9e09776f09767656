//! The stored form of a model: a few megabytes that any byte string may claim to be.

use super::{KEY_BITS, Label, Model, Node, Table};

const MAGIC: &[u8; 4] = b"FLC1";

/// Why bytes are no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatError;

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("these bytes are no classifier of this version: train it again")
    }
}

impl std::error::Error for FormatError {}

impl Model {
    /// The model as bytes; [`Model::from_bytes`] reads them back.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        number(&mut out, self.labels.len());
        number(&mut out, self.nodes.len());
        number(&mut out, self.table.keys.len());
        out.extend(self.sharpness.to_le_bytes());
        for label in &self.labels {
            number(&mut out, label.name.len());
            out.extend(label.name.as_bytes());
            number(&mut out, label.path.len());
            label.path.iter().for_each(|n| number(&mut out, usize::from(*n)));
        }
        for node in &self.nodes {
            out.extend(node.step.to_le_bytes());
            out.extend(node.bias.to_le_bytes());
        }
        let mut before = 0;
        for (at, key) in self.table.keys.iter().enumerate() {
            number(&mut out, (key - before) as usize);
            before = *key;
            out.push(self.table.rarity[at]);
            let weights = self.table.weights(at);
            number(&mut out, weights.len());
            let mut last = 0;
            for (node, weight) in weights {
                number(&mut out, usize::from(node - last));
                last = *node;
                out.push(weight.cast_unsigned());
            }
        }
        out
    }

    /// Reads a model.
    ///
    /// # Errors
    /// When the bytes are not what [`Model::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        Reader(bytes).model().ok_or(FormatError)
    }
}

/// Seven bits a byte, the lowest first.
fn number(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn model(&mut self) -> Option<Model> {
        if self.take(4)? != MAGIC {
            return None;
        }
        // Whatever is counted takes at least a byte, so no count is larger than the rest.
        let (labels, nodes, features) = (self.count()?, self.count()?, self.count()?);
        let sharpness = self.float()?;
        let labels = (0..labels).map(|_| self.label(nodes)).collect::<Option<Vec<_>>>()?;
        let nodes = (0..nodes)
            .map(|_| Some(Node { step: self.float()?, bias: self.float()? }))
            .collect::<Option<Vec<_>>>()?;
        let table = self.table(features, nodes.len())?;
        let sorted = labels.is_sorted_by(|a, b| a.name < b.name);
        (sorted && !labels.is_empty() && self.0.is_empty()).then_some(Model {
            labels,
            nodes,
            sharpness,
            table,
        })
    }

    fn label(&mut self, nodes: usize) -> Option<Label> {
        let length = self.count()?;
        let name = std::str::from_utf8(self.take(length)?).ok()?.to_owned();
        let steps = self.count()?;
        let step = |reader: &mut Self| {
            let node = reader.number()?;
            (node < nodes).then(|| u16::try_from(node).ok()).flatten()
        };
        let path = (0..steps).map(|_| step(self)).collect::<Option<_>>()?;
        Some(Label { name, path })
    }

    fn table(&mut self, features: usize, nodes: usize) -> Option<Table> {
        let mut table = Table::default();
        let mut key = 0usize;
        for at in 0..features {
            let step = self.number()?;
            if at > 0 && step == 0 {
                return None;
            }
            key = key.checked_add(step).filter(|k| *k < 1 << KEY_BITS)?;
            table.keys.push(key as u32);
            table.rarity.push(self.take(1)?[0]);
            let mut node = 0usize;
            for _ in 0..self.count()? {
                node = node.checked_add(self.number()?).filter(|n| *n < nodes)?;
                let weight = self.take(1)?[0].cast_signed();
                table.weights.push((u16::try_from(node).ok()?, weight));
            }
            table.ends.push(u32::try_from(table.weights.len()).ok()?);
        }
        Some(table.indexed())
    }

    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        let mut n = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            n |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    /// A number of things that follow.
    fn count(&mut self) -> Option<usize> {
        self.number().filter(|n| *n <= self.0.len())
    }

    fn float(&mut self) -> Option<f32> {
        let bytes = self.take(4)?;
        Some(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).filter(|f| f.is_finite())
    }
}
