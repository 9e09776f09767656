//! The sentiment of a caption: rules over a lexicon, and a small linear model trained on tweets.
//!
//! The rules work like VADER and speak every language of the lexicon. In the languages the model
//! has learned, it decides, with the sums of the rules among what it looks at. Elsewhere, and in
//! scripts it has not seen, the rules decide alone.

pub mod features;
pub(crate) mod fold;
mod lexicon;
mod model;
#[cfg(test)]
mod tests;
mod tokens;
mod valence;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::{Read, walk};
use model::{Block, Model};
use valence::squash;

/// The mood of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// Bad things are said or felt.
    Negative,
    /// Neither.
    Neutral,
    /// Good things are said or felt.
    Positive,
}

/// The sentiment of a whole caption.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Sentiment {
    /// The mood.
    pub label: Label,
    /// -1 (worst) to 1 (best); strength as raters would see it.
    pub score: f32,
    /// How sure the label is, 0 to 1.
    pub confidence: f32,
    /// What decided: `sentiment:model`, `sentiment:lexicon`, or `sentiment:none` without a clue.
    pub rule: &'static str,
}

/// What is expected of a text before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// People talking, as the models learned it: all moods alike.
    Talk,
    /// A caption under a picture or film: seldom bad, and often no mood at all.
    Caption,
}

/// How much less likely than among people talking a caption is bad, as a logarithm.
const SELDOM: f32 = 0.8;
/// How much more than among people talking known words and emoji of a caption count.
const FELT: f32 = 0.6;
/// Sums of valences from here on are a mood.
const MOOD: f32 = 0.3;

/// Reads the sentiment of a text in a language (ISO 639-1 or `und`).
///
/// What lies in `skip` (byte ranges in order, without overlap) is not read: names and links.
#[must_use]
pub fn read(text: &str, skip: &[Range<usize>], language: &str, source: Source) -> Sentiment {
    let model = Model::of(language);
    let (mut words, mut pieces) = (Block::default(), Block::default());
    let read = match model {
        Some(model) => walk(
            text,
            skip,
            language,
            |hash| model.word(&mut words, hash),
            |hash| model.piece(&mut pieces, hash),
        ),
        None => walk(text, skip, language, |_| (), |_| ()),
    };
    match model.filter(|_| read.words > 0) {
        Some(model) => {
            let out = model.outputs(&words, &pieces, &read.dense);
            by_model(&read, out, language, source)
        }
        None => by_lexicon(&read),
    }
}

fn by_lexicon(read: &Read) -> Sentiment {
    // A heap of hashtags names things and praises nothing.
    let score = squash(read.sums.all - read.sums.tags);
    if score == 0.0 {
        let (label, rule) = (Label::Neutral, "sentiment:none");
        return Sentiment { label, score: 0.0, confidence: 0.6, rule };
    }
    let label = if score >= MOOD {
        Label::Positive
    } else if score <= -MOOD {
        Label::Negative
    } else {
        Label::Neutral
    };
    let confidence = 0.5 + 0.4 * (score.abs() - MOOD).abs();
    Sentiment { label, score, confidence, rule: "sentiment:lexicon" }
}

fn by_model(
    read: &Read,
    mut out: [f32; model::OUTPUTS],
    language: &str,
    source: Source,
) -> Sentiment {
    if source == Source::Caption {
        let felt = FELT * squash(read.sums.all - read.sums.tags);
        out[0] -= SELDOM + felt;
        out[2] += felt;
    }
    let top = out[..3].iter().copied().fold(f32::MIN, f32::max);
    let odds = [0, 1, 2].map(|i| (out[i] - top).exp());
    let all: f32 = odds.iter().sum();
    let [negative, neutral, positive] = odds.map(|o| o / all);
    let (label, confidence) = if positive >= negative && positive > neutral {
        (Label::Positive, positive)
    } else if negative > neutral {
        (Label::Negative, negative)
    } else {
        (Label::Neutral, neutral)
    };
    // Raters' scores were learned in English only.
    let score = if matches!(language, "en" | "und") { out[3] / 4.0 } else { positive - negative };
    let rule = if read.tokens == 0 { "sentiment:none" } else { "sentiment:model" };
    Sentiment { label, score: score.clamp(-1.0, 1.0), confidence, rule }
}
