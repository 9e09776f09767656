//! How likely an author would have chosen a phrase of the text as a tag.
//!
//! Weights of a logistic regression over the measures of phrases, learned from posts whose tags
//! were taken out of the text; nothing of the posts is in them. Tags are shorter than keyphrases,
//! more often names, and fewer the longer the post is.

use crate::keyphrases::MEASURES;

/// A phrase of more words is no tag.
const MOST_WORDS: f32 = 3.0;
/// Where the number of words stands among the measures.
const WORDS: usize = 36;
const START: f32 = -2.28;
/// Place of the measure (as in `keyphrases/candidates.rs`) and its weight.
const WEIGHTS: [(usize, f32); 21] = [
    (0, 1.48),   // how often
    (2, -0.62),  // where it begins
    (5, 0.94),   // two words
    (6, 0.26),   // three words
    (11, 0.93),  // a name inside sentences
    (12, 0.85),  // in capitals
    (13, 0.69),  // an acronym
    (14, 0.81),  // with a digit
    (15, 1.23),  // how often its words are
    (17, -0.69), // how much company they keep
    (19, 1.39),  // how long they are
    (21, -0.89), // words of little matter
    (23, -1.00), // ends in -ed
    (24, -0.19), // begins so
    (26, -0.24), // begins with -ing
    (27, -0.43), // ends with a quality
    (28, -0.33), // ends with something abstract
    (29, -0.28), // a plural
    (32, -1.13), // a text full of names
    (33, -0.89), // a long text
    (34, -0.19), // begins a sentence
];

/// 0 to 1; nought for phrases too long for a tag.
pub(super) fn likely(measures: &[f32; MEASURES]) -> f32 {
    if measures[WORDS] > MOST_WORDS {
        return 0.0;
    }
    let sum: f32 = WEIGHTS.iter().map(|(at, weight)| measures[*at] * weight).sum();
    1.0 / (1.0 + (-(START + sum)).exp())
}
