//! The weights of the linear models, compiled in. `train/sentiment.py` writes them;
//! `data/sentiment_model.md` says from what, under which licences and how good they are.

use std::sync::OnceLock;

use super::features::DENSE;

const FILE: &[u8] = include_bytes!("../../data/sentiment_model.bin");
/// negative, neutral, positive, and the score of raters (-4..4).
pub(super) const OUTPUTS: usize = 4;
const MAGIC: &[u8; 4] = b"FSM2";
/// Magic, number of models, bits of word and piece buckets, number of plain numbers.
const HEAD: usize = 20;
/// Scales of words and pieces, bias, then one row for each plain number.
const ROWS: usize = 3 + DENSE;

type Row = [u8; OUTPUTS];

/// The weights of one language, or of all.
#[derive(Debug, Clone)]
pub(super) struct Model {
    code: &'static [u8],
    /// What one step of a weight means, for words and pieces.
    scales: [[f32; OUTPUTS]; 2],
    bias: [f32; OUTPUTS],
    dense: Vec<[f32; OUTPUTS]>,
    words: &'static [Row],
    pieces: &'static [Row],
    shifts: [u32; 2],
}

/// Adds up the weights of hashed features.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Block {
    sums: [i32; OUTPUTS],
    count: u32,
}

impl Block {
    fn add(&mut self, table: &[Row], at: usize) {
        if let Some(weights) = table.get(at) {
            for (sum, weight) in self.sums.iter_mut().zip(weights) {
                *sum += i32::from(weight.cast_signed());
            }
        }
        self.count += 1;
    }
}

impl Model {
    /// The model of a language; nothing where none was learned. `hi` and `und` share the model
    /// of all languages.
    pub(super) fn of(language: &str) -> Option<&'static Self> {
        static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
        let code = if language == "hi" { "und" } else { language };
        let models = MODELS.get_or_init(|| load().unwrap_or_default());
        models.iter().find(|model| model.code == code.as_bytes())
    }

    /// Weighs a word or a pair of words.
    pub(super) fn word(&self, block: &mut Block, hash: u32) {
        block.add(self.words, (hash >> self.shifts[0]) as usize);
    }

    /// Weighs a piece of a word.
    pub(super) fn piece(&self, block: &mut Block, hash: u32) {
        block.add(self.pieces, (hash >> self.shifts[1]) as usize);
    }

    /// What the model says of a text.
    pub(super) fn outputs(
        &self,
        words: &Block,
        pieces: &Block,
        dense: &[f32; DENSE],
    ) -> [f32; OUTPUTS] {
        let mut out = self.bias;
        for (block, scale) in [(words, &self.scales[0]), (pieces, &self.scales[1])] {
            let length = (block.count.max(1) as f32).sqrt();
            for i in 0..OUTPUTS {
                out[i] += block.sums[i] as f32 * scale[i] / length;
            }
        }
        for (value, weights) in dense.iter().zip(&self.dense) {
            for i in 0..OUTPUTS {
                out[i] += value * weights[i];
            }
        }
        out
    }
}

/// Reads the compiled-in file; nothing when it does not fit this program.
fn load() -> Option<Vec<Model>> {
    let (head, mut rest) = FILE.split_at_checked(HEAD)?;
    let (fields, _) = head[4..].as_chunks::<4>();
    let [count, word_bits, piece_bits, dense] = [0, 1, 2, 3].map(|i| u32::from_le_bytes(fields[i]));
    if &head[..4] != MAGIC || dense as usize != DENSE || word_bits > 20 || piece_bits > 20 {
        return None;
    }
    let mut models = Vec::new();
    for _ in 0..count {
        let (code, after) = rest.split_at_checked(4)?;
        let (numbers, after) = after.split_at_checked(4 * OUTPUTS * ROWS)?;
        let (words, after) = after.split_at_checked(OUTPUTS << word_bits)?;
        let (pieces, after) = after.split_at_checked(OUTPUTS << piece_bits)?;
        rest = after;
        let (numbers, _) = numbers.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|n| f32::from_le_bytes(*n)).collect();
        let (rows, _) = numbers.as_chunks::<OUTPUTS>();
        models.push(Model {
            code: code.trim_ascii_end(),
            scales: [rows[0], rows[1]],
            bias: rows[2],
            dense: rows[3..].to_vec(),
            words: words.as_chunks().0,
            pieces: pieces.as_chunks().0,
            shifts: [32 - word_bits, 32 - piece_bits],
        });
    }
    Some(models)
}
