//! Training: features counted, one machine per step of the labels' paths, weights cut to size,
//! and the confidence fitted on every fifth text.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use super::features::{BLOCKS, Bag, SHARES, bag};
use super::solver::{Effort, Order, Rows, solve};
use super::{KEY_BITS, Label, Model, Node, Table, calibrate, damped, prefixes};
use crate::hash::WordHasher;

/// One labelled text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example<'a> {
    /// The text: a title or a caption.
    pub text: &'a str,
    /// What describes it further.
    pub description: Option<&'a str>,
    /// Its label; a path when it holds [`super::JOINT`].
    pub label: &'a str,
}

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Seed of the order in which texts are looked at.
    pub seed: u64,
    /// Most bytes of the stored model.
    pub bytes: usize,
    /// Price of an error: higher follows the labels more closely.
    pub cost: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 1, bytes: 2 << 20, cost: 1.0 }
    }
}

/// Why nothing could be trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrainError {
    /// Fewer than two labels.
    OneLabel,
    /// More steps of labels than a model holds.
    TooManyLabels(usize),
}

impl std::fmt::Display for TrainError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OneLabel => f.write_str("give texts of at least two labels"),
            Self::TooManyLabels(n) => {
                write!(
                    f,
                    "{n} labels and their parents; at most {MOST_NODES} fit a model: join some"
                )
            }
        }
    }
}

impl std::error::Error for TrainError {}

/// Most steps of labels.
const MOST_NODES: usize = 4_096;
/// Every so many-th text is held back to fit the confidence.
const FOLD: usize = 5;
const PASSES: usize = 60;
const TOLERANCE: f32 = 0.1;

/// Trains a model. The same examples and settings give the same model.
///
/// # Errors
/// When there are fewer than two labels, or too many.
pub fn train(examples: &[Example<'_>], settings: &Settings) -> Result<Model, TrainError> {
    let names = Names::of(examples)?;
    let bags: Vec<Bag> = examples.iter().map(|e| bag(e.text, e.description)).collect();
    // Texts that say the same stay on one side of the fold: their features are hashed.
    let held = |i: &usize| fold_of(&bags[*i]).is_multiple_of(FOLD as u64);
    let (test, rest): (Vec<usize>, Vec<usize>) = (0..examples.len()).partition(held);
    let sharpness = if rest.is_empty() || test.is_empty() {
        calibrate::sharpness(&[])
    } else {
        let trial = fit(&bags, &rest, &names, settings);
        let scored = |i: &usize| {
            (trial.scores(examples[*i].text, examples[*i].description), names.of_text[*i])
        };
        calibrate::sharpness(&test.iter().map(scored).collect::<Vec<_>>())
    };
    let all: Vec<usize> = (0..examples.len()).collect();
    Ok(Model { sharpness, ..fit(&bags, &all, &names, settings) })
}

fn fold_of(bag: &Bag) -> u64 {
    let mix = |h: u64, (k, _): &(u32, u32)| (h ^ u64::from(*k)).wrapping_mul(0x100_0000_01b3);
    bag[0].iter().fold(0x1234_5678, mix) >> 32
}

/// The labels and the steps of their paths.
struct Names {
    labels: Vec<Label>,
    nodes: usize,
    of_text: Vec<usize>,
}

impl Names {
    fn of(examples: &[Example<'_>]) -> Result<Self, TrainError> {
        let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
        let mut steps: BTreeMap<&str, usize> = BTreeMap::new();
        for example in examples {
            labels.insert(example.label, 0);
            steps.extend(prefixes(example.label).map(|p| (p, 0)));
        }
        if labels.len() < 2 {
            return Err(TrainError::OneLabel);
        }
        if steps.len() > MOST_NODES {
            return Err(TrainError::TooManyLabels(steps.len()));
        }
        labels.values_mut().enumerate().for_each(|(i, at)| *at = i);
        steps.values_mut().enumerate().for_each(|(i, at)| *at = i);
        let path = |name: &str| prefixes(name).map(|p| steps[p] as u16).collect();
        let of = |name: &&str| Label { name: (*name).to_owned(), path: path(name) };
        Ok(Self {
            nodes: steps.len(),
            of_text: examples.iter().map(|e| labels[e.label]).collect(),
            labels: labels.keys().map(of).collect(),
        })
    }
}

type Vocabulary = HashMap<u32, u32, BuildHasherDefault<WordHasher>>;

/// Trains on some of the texts.
fn fit(bags: &[Bag], which: &[usize], names: &Names, settings: &Settings) -> Model {
    let (keys, counts) = vocabulary(bags, which);
    let place: Vocabulary = keys.iter().zip(0..).map(|(k, i)| (*k, i)).collect();
    let rarity: Vec<u8> = counts.iter().map(|n| rarity(*n, which.len())).collect();
    let mut rows = Rows::default();
    for i in which {
        rows.push(row(&bags[*i], &place, &rarity).into_iter());
    }
    let effort = Effort { cost: settings.cost, passes: PASSES, tolerance: TOLERANCE };
    let mut order = Order::new(settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let room = room(settings.bytes, names);
    let mut nodes = Vec::with_capacity(names.nodes);
    let mut kept: Vec<Weight> = Vec::new();
    for node in 0..names.nodes {
        let ours = |i: usize| {
            let label = &names.labels[names.of_text[which[i]]];
            label.path.iter().any(|n| usize::from(*n) == node)
        };
        let w = solve(&rows, &ours, keys.len(), effort, &mut order);
        let (w, bias) = w.split_at(keys.len());
        let most = w.iter().fold(0.0f32, |m, w| m.max(w.abs())).max(f32::MIN_POSITIVE);
        nodes.push(Node { step: most / 127.0f32.powi(2), bias: bias[0] });
        let from = kept.len();
        for (feature, (w, count)) in w.iter().zip(&counts).enumerate() {
            let weight = quantised(w / most);
            if weight != 0 {
                let importance = w.abs() * (*count as f32).powf(0.25);
                kept.push(Weight {
                    feature: feature as u32,
                    node: node as u16,
                    weight,
                    importance,
                });
            }
        }
        // No machine takes more than its share allows, so that memory stays bounded.
        most_important(&mut kept, from, 2 * room / names.nodes + 64);
    }
    fitting(&mut kept, room, names.nodes);
    kept.sort_unstable_by_key(|w| (w.feature, w.node));
    let table = table(&keys, &rarity, &kept);
    Model { labels: names.labels.clone(), nodes, sharpness: 1.0, table }
}

/// A weight of -1 to 1 as its signed root in 127ths: small weights are many and say much together.
fn quantised(weight: f32) -> i8 {
    (weight.abs().sqrt() * 127.0).round().copysign(weight) as i8
}

/// A weight on its way into the table.
#[derive(Debug, Clone, Copy)]
struct Weight {
    feature: u32,
    node: u16,
    weight: i8,
    importance: f32,
}

/// Keeps the `most` most important from `from` on.
fn most_important(kept: &mut Vec<Weight>, from: usize, most: usize) {
    if kept.len() - from > most {
        kept[from..].select_nth_unstable_by(most, |a, b| {
            b.importance
                .total_cmp(&a.importance)
                .then((a.feature, a.node).cmp(&(b.feature, b.node)))
        });
        kept.truncate(from + most);
    }
}

/// How many bytes are left for features and weights beside the labels.
fn room(bytes: usize, names: &Names) -> usize {
    let labels: usize = names.labels.iter().map(|l| l.name.len() + 4 + 2 * l.path.len()).sum();
    bytes.saturating_sub(256 + labels + 8 * names.nodes)
}

/// Keeps the most important weights that fit into so many bytes.
fn fitting(kept: &mut Vec<Weight>, bytes: usize, nodes: usize) {
    kept.sort_unstable_by(|a, b| {
        b.importance.total_cmp(&a.importance).then((a.feature, a.node).cmp(&(b.feature, b.node)))
    });
    let each = if nodes > 128 { 3 } else { 2 };
    let features = kept.iter().map(|w| w.feature as usize + 1).max().unwrap_or(0);
    let mut seen = vec![false; features];
    let mut used = 0;
    let mut fits = |w: &Weight| {
        let first = !std::mem::replace(&mut seen[w.feature as usize], true);
        used += each + if first { 6 } else { 0 };
        used <= bytes
    };
    let most = kept.iter().take_while(|w| fits(w)).count();
    kept.truncate(most);
}

/// Every key, sorted, and in how many they are.
fn vocabulary(bags: &[Bag], which: &[usize]) -> (Vec<u32>, Vec<u32>) {
    let mut count: Vocabulary = Vocabulary::default();
    for i in which {
        for (key, _) in bags[*i].iter().flatten() {
            *count.entry(key >> (32 - KEY_BITS)).or_default() += 1;
        }
    }
    let mut known: Vec<(u32, u32)> = count.into_iter().collect();
    known.sort_unstable();
    known.into_iter().unzip()
}

/// The rarity of a feature in sixteenths, as TF-IDF has it.
fn rarity(count: u32, texts: usize) -> u8 {
    let idf = ((1 + texts) as f32 / (1 + count) as f32).ln() + 1.0;
    (idf * 16.0).clamp(1.0, 255.0) as u8
}

/// One text as the machine sees it.
fn row(bag: &Bag, place: &Vocabulary, rarity: &[u8]) -> Vec<(u32, f32)> {
    let mut row = Vec::new();
    for block in 0..BLOCKS {
        let from = row.len();
        let mut length = 0.0f32;
        for (key, count) in &bag[block] {
            if let Some(at) = place.get(&(key >> (32 - KEY_BITS))) {
                let value = damped(*count) * f32::from(rarity[*at as usize]) / 16.0;
                length += value * value;
                row.push((*at, value));
            }
        }
        let scale = SHARES[block] / length.sqrt().max(f32::MIN_POSITIVE);
        row[from..].iter_mut().for_each(|(_, v)| *v *= scale);
    }
    row
}

/// Features that kept a weight.
fn table(keys: &[u32], rarity: &[u8], kept: &[Weight]) -> Table {
    let mut table = Table::default();
    for run in kept.chunk_by(|a, b| a.feature == b.feature) {
        let feature = run[0].feature as usize;
        table.keys.push(keys[feature]);
        table.rarity.push(rarity[feature]);
        table.weights.extend(run.iter().map(|w| (w.node, w.weight)));
        table.ends.push(table.weights.len() as u32);
    }
    table.indexed()
}
