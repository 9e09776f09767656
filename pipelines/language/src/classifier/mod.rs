//! A small classifier that a tenant trains on its own labelled texts: seconds on one core, two
//! megabytes at most, and a confidence that means what it says.
//!
//! One linear support vector machine per label over hashed words and pieces of words, stored as
//! int8. A label may be a path, `Shoes > Sandals`: every step of the path has its own machine, the
//! score of a label is the sum along its path, and so labels share what their parents learned.

mod calibrate;
mod evaluate;
mod features;
mod format;
mod solver;
mod train;

use std::collections::BTreeMap;

pub use evaluate::{Evaluation, evaluate};
pub use format::FormatError;
pub use train::{Example, Settings, TrainError, train};

use features::{BLOCKS, SHARES, bag};

/// What joins the steps of a label that is a path.
pub const JOINT: &str = " > ";

/// A trained classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    labels: Vec<Label>,
    nodes: Vec<Node>,
    /// How much one unit of score says.
    sharpness: f32,
    table: Table,
}

#[derive(Debug, Clone, PartialEq)]
struct Label {
    name: String,
    /// The machines along its path.
    path: Vec<u16>,
}

/// One machine: the step of its weights and its bias.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    step: f32,
    bias: f32,
}

/// Known features, sorted by key, and their weights.
#[derive(Debug, Clone, Default, PartialEq)]
struct Table {
    keys: Vec<u32>,
    /// How rare the feature is, in sixteenths.
    rarity: Vec<u8>,
    /// Where the weights of each feature end.
    ends: Vec<u32>,
    weights: Vec<(u16, i8)>,
    /// For the upper bits of a key, the first feature that has them.
    index: Vec<u32>,
}

/// Bits of a key.
const KEY_BITS: u32 = 24;
const INDEX_BITS: u32 = 14;

/// A label and how sure it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction<'m> {
    /// The label as it was trained.
    pub label: &'m str,
    /// 0 to 1; of all answers with .8, about four in five are right on texts like the trained ones.
    pub confidence: f32,
}

impl Model {
    /// The labels it knows, sorted.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|l| l.name.as_str())
    }

    /// The likeliest labels of a text, best first, at most `top`.
    #[must_use]
    pub fn predict(
        &self,
        text: &str,
        description: Option<&str>,
        top: usize,
    ) -> Vec<Prediction<'_>> {
        let chances = self.chances(text, description);
        let mut order: Vec<usize> = (0..chances.len()).collect();
        order.sort_by(|a, b| chances[*b].total_cmp(&chances[*a]).then(a.cmp(b)));
        order.truncate(top);
        let told = |i: usize| Prediction { label: &self.labels[i].name, confidence: chances[i] };
        order.into_iter().map(told).collect()
    }

    /// The likeliest step at each depth of the labels' paths: the chances of all labels below a
    /// step count for it.
    #[must_use]
    pub fn levels(&self, text: &str, description: Option<&str>) -> Vec<Prediction<'_>> {
        let mut depths: Vec<BTreeMap<&str, f32>> = Vec::new();
        for (label, chance) in self.labels.iter().zip(self.chances(text, description)) {
            for (depth, prefix) in prefixes(&label.name).enumerate() {
                if depths.len() <= depth {
                    depths.push(BTreeMap::new());
                }
                *depths[depth].entry(prefix).or_default() += chance;
            }
        }
        let best = |all: &BTreeMap<&'_ str, f32>| {
            all.iter().max_by(|a, b| a.1.total_cmp(b.1)).map(|(l, c)| (l.len(), *c))
        };
        let mut levels = Vec::new();
        for all in &depths {
            let Some((_, confidence)) = best(all) else { continue };
            if let Some((label, _)) = all.iter().find(|(_, c)| **c == confidence) {
                levels.push(Prediction { label, confidence: confidence.min(1.0) });
            }
        }
        levels
    }

    /// The chance of each label, in the order of the labels.
    fn chances(&self, text: &str, description: Option<&str>) -> Vec<f32> {
        let scores = self.scores(text, description);
        calibrate::chances(&scores, self.sharpness)
    }

    /// The score of each label.
    fn scores(&self, text: &str, description: Option<&str>) -> Vec<f32> {
        let mut nodes = vec![0.0f32; self.nodes.len()];
        let bag = bag(text, description);
        let mut known: Vec<(usize, f32)> = Vec::new();
        let mut any = false;
        for block in 0..BLOCKS {
            known.clear();
            let mut length = 0.0f32;
            for (key, count) in &bag[block] {
                if let Some(at) = self.table.find(key >> (32 - KEY_BITS)) {
                    let value = damped(*count) * f32::from(self.table.rarity[at]) / 16.0;
                    length += value * value;
                    known.push((at, value));
                }
            }
            any |= !known.is_empty();
            let scale = SHARES[block] / length.sqrt().max(f32::MIN_POSITIVE);
            for (at, value) in &known {
                for (node, weight) in self.table.weights(*at) {
                    let root = f32::from(*weight);
                    nodes[usize::from(*node)] += value * scale * root * root.abs();
                }
            }
        }
        if !any {
            return vec![0.0; self.labels.len()]; // nothing is known of it: all are alike
        }
        for (score, node) in nodes.iter_mut().zip(&self.nodes) {
            *score = *score * node.step + node.bias;
        }
        let along = |l: &Label| l.path.iter().map(|n| nodes[usize::from(*n)]).sum();
        self.labels.iter().map(along).collect()
    }
}

impl Table {
    /// Builds the index over sorted keys.
    fn indexed(mut self) -> Self {
        self.index = vec![0; (1 << INDEX_BITS) + 1];
        for key in &self.keys {
            self.index[(key >> (KEY_BITS - INDEX_BITS)) as usize + 1] += 1;
        }
        for i in 1..self.index.len() {
            self.index[i] += self.index[i - 1];
        }
        self
    }

    fn find(&self, key: u32) -> Option<usize> {
        let slot = (key >> (KEY_BITS - INDEX_BITS)) as usize;
        let (from, to) = (self.index[slot] as usize, self.index[slot + 1] as usize);
        self.keys[from..to].iter().position(|k| *k == key).map(|i| from + i)
    }

    fn weights(&self, at: usize) -> &[(u16, i8)] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.weights[start..self.ends[at] as usize]
    }
}

/// What the n-th occurrence of a feature adds.
fn damped(count: u32) -> f32 {
    if count <= 1 { 1.0 } else { 1.0 + (count as f32).ln() }
}

/// `a`, `a > b`, `a > b > c`.
fn prefixes(label: &str) -> impl Iterator<Item = &str> {
    label.match_indices(JOINT).map(|(at, _)| &label[..at]).chain([label])
}

#[cfg(test)]
mod tests;
