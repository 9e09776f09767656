//! Calls to action: what the author asks the reader to do, found by phrases and their neighbours.
//!
//! One pass of a multi-pattern search finds every phrase; what stands before and after decides
//! whether it calls: an imperative at the begin of a sentence does, "I follow her" does not.

mod phrases;
#[cfg(test)]
mod tests;
mod words;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use phrases::{How, Phrases};
use words::Place;

use crate::words::{Word, words as all_words};

/// What the reader is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Buy or order.
    Shop,
    /// Go to the link in the profile.
    LinkBio,
    /// Follow an account.
    Follow,
    /// Like the post.
    Like,
    /// Answer in the comments.
    Comment,
    /// Name another account.
    Tag,
    /// Keep the post.
    Save,
    /// Pass the post on.
    Share,
    /// Write, call or chat.
    Dm,
    /// Go to a place or page.
    Visit,
    /// Register, subscribe, join, download.
    Signup,
    /// Use a promotion code.
    Code,
    /// Watch or listen.
    Watch,
    /// Anything else: swipe, vote, try, not to miss.
    Other,
}

/// A call to action. Its range is in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Cta {
    /// What is asked.
    pub kind: Kind,
    /// Where the asking words are.
    pub range: Range<usize>,
    /// 0 to 1: how soon it wants to be done.
    pub urgency: f32,
    /// The account, link or code the call points at.
    pub target: Option<Range<usize>>,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// How urgent a call is that says nothing of time.
const CALM: f32 = 0.2;
/// A target stands no further behind its call than this many bytes.
const REACH: usize = 60;

/// Finds the calls of a text.
///
/// `entities` are names, links and tags, in order; nothing inside them calls, and they are what a
/// call may point at. `codes` are promotion codes; each that is offered is a call to use it.
#[must_use]
pub fn find(text: &str, entities: &[Range<usize>], codes: &[Range<usize>]) -> Vec<Cta> {
    find_in(text, &all_words(text), entities, codes)
}

/// The same where the words of the text are known.
pub(crate) fn find_in(
    text: &str,
    words: &[Word],
    entities: &[Range<usize>],
    codes: &[Range<usize>],
) -> Vec<Cta> {
    let phrases = Phrases::get();
    let mut ctas: Vec<Cta> = Vec::new();
    let mut urgent: Vec<(usize, f32)> = Vec::new();
    for (range, how) in phrases.all_in(text, words) {
        if inside(&range, entities) {
            continue;
        }
        let place = Place { text, range: &range };
        match how {
            How::Urgency(urgency) => urgent.push((range.start, urgency)),
            How::Phrase(kind) => ctas.push(cta(kind, range, "cta:phrase", 0.9)),
            How::Verb(kind) if place.calls() => {
                ctas.push(cta(kind, range, "cta:imperative", 0.8));
            }
            How::Start(kind) => {
                let joined = ctas.last().is_some_and(|last| place.joined(last.range.end));
                if place.begins(joined) && place.leads_somewhere(entities) {
                    ctas.push(cta(kind, range, "cta:begin", 0.7));
                }
            }
            How::Verb(_) => {}
        }
    }
    with_codes(&mut ctas, codes);
    point(text, &mut ctas, entities, codes);
    hurry(text, &mut ctas, &urgent);
    ctas
}

fn cta(kind: Kind, range: Range<usize>, rule: &'static str, confidence: f32) -> Cta {
    Cta { kind, range, urgency: CALM, target: None, rule, confidence }
}

fn inside(range: &Range<usize>, entities: &[Range<usize>]) -> bool {
    let at = entities.partition_point(|entity| entity.end <= range.start);
    entities.get(at).is_some_and(|entity| entity.start <= range.start && range.start < entity.end)
}

/// A code without words that offer it is offered by being there.
fn with_codes(ctas: &mut Vec<Cta>, codes: &[Range<usize>]) {
    if codes.is_empty() || ctas.iter().any(|cta| cta.kind == Kind::Code) {
        return;
    }
    ctas.extend(codes.iter().take(1).map(|code| cta(Kind::Code, code.clone(), "cta:code", 0.7)));
    ctas.sort_by_key(|cta| cta.range.start);
}

/// Gives each call the name, link or code right behind it in the same sentence.
fn point(text: &str, ctas: &mut [Cta], entities: &[Range<usize>], codes: &[Range<usize>]) {
    for cta in ctas {
        let targets = if cta.kind == Kind::Code { codes } else { entities };
        let at = targets.partition_point(|target| target.end < cta.range.end);
        let Some(target) = targets.get(at) else { continue };
        // `follow @` takes the sign of the name in.
        let from = cta.range.end.min(target.start);
        let between = text.get(from..target.start).unwrap_or("\n");
        let tag = text[target.clone()].starts_with(['#', '＃']);
        if !tag && between.len() <= REACH && !between.contains(['\n', '!', '?']) {
            cta.target = Some(target.clone());
        }
    }
}

/// Words of time make a call urgent: those of its own sentence fully, others less.
fn hurry(text: &str, ctas: &mut [Cta], urgent: &[(usize, f32)]) {
    let Some(most) = urgent.iter().map(|(_, urgency)| *urgency).reduce(f32::max) else { return };
    for cta in ctas {
        let (start, end) = words::sentence(text, &cta.range);
        let from = urgent.partition_point(|(at, _)| *at < start);
        let near = urgent[from..].iter().take_while(|(at, _)| *at < end);
        let own = near.map(|(_, urgency)| *urgency).fold(CALM, f32::max);
        cta.urgency = own.max(most * 0.6).max(CALM);
    }
}
