//! How good a model is on labelled texts it has not seen.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Example, Model};

/// What a model made of labelled texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many texts there were.
    pub texts: usize,
    /// Share with the right label first.
    pub accuracy: f32,
    /// Share with the right label among the first three.
    pub top3: f32,
    /// Mean over the labels of the harmonic mean of precision and recall.
    pub macro_f1: f32,
    /// How far confidence is from the share of right answers, on average.
    pub calibration_error: f32,
}

impl std::fmt::Display for Evaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { texts, accuracy, top3, macro_f1, calibration_error } = self;
        write!(
            f,
            "{texts} texts, accuracy {accuracy:.4}, top three {top3:.4}, macro F1 {macro_f1:.4}, calibration error {calibration_error:.4}"
        )
    }
}

/// Asks a model for the label of each text.
#[must_use]
pub fn evaluate(model: &Model, examples: &[Example<'_>]) -> Evaluation {
    let mut right = [0usize; 2];
    // For each tenth of confidence: answers, sum of confidence, right ones.
    let mut tenths = [(0usize, 0.0f32, 0usize); 10];
    // For each label: right, asked, answered.
    let mut labels: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for example in examples {
        let told = model.predict(example.text, example.description, 3);
        let Some(best) = told.first() else { continue };
        let hit = best.label == example.label;
        right[0] += usize::from(hit);
        right[1] += usize::from(told.iter().any(|p| p.label == example.label));
        let tenth = &mut tenths[((best.confidence * 10.0) as usize).min(9)];
        *tenth = (tenth.0 + 1, tenth.1 + best.confidence, tenth.2 + usize::from(hit));
        labels.entry(best.label).or_default()[2] += 1;
        let asked = labels.entry(example.label).or_default();
        asked[1] += 1;
        asked[0] += usize::from(hit);
    }
    let all = examples.len().max(1) as f32;
    let asked = || labels.values().filter(|l| l[1] > 0);
    let f1 = |[hits, asked, told]: &[usize; 3]| 2.0 * *hits as f32 / (asked + told) as f32;
    let off: f32 = tenths.iter().map(|(_, sure, hits)| (sure - *hits as f32).abs()).sum();
    Evaluation {
        texts: examples.len(),
        accuracy: right[0] as f32 / all,
        top3: right[1] as f32 / all,
        macro_f1: asked().map(f1).sum::<f32>() / asked().count().max(1) as f32,
        calibration_error: off / all,
    }
}
