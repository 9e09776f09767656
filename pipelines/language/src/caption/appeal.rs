//! What a caption feels and asks for: sentiment and calls to action with their spans.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use crate::cta::{self, Kind};
use crate::entities::{self, Found};
use crate::platform::Platform;
use crate::prices;
use crate::sentiment::{self, Sentiment, Source};
use crate::span::{Offsets, Span};
use crate::words::Word;

/// A call to action.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Cta {
    /// What the reader is asked to do.
    pub kind: Kind,
    /// Where the asking words are.
    pub span: Span,
    /// 0 to 1: how soon it wants to be done; 0.2 when nothing is said of time.
    pub urgency: f32,
    /// The account, link or code it points at, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// The sentiment of what is not a name, link or number.
pub(super) fn sentiment(
    text: &str,
    found: &[Found],
    language: &str,
    platform: Option<Platform>,
) -> Sentiment {
    let source = if platform == Some(Platform::X) { Source::Talk } else { Source::Caption };
    let skip = ranges(found.iter().filter(|f| f.kind != entities::Kind::Hashtag));
    sentiment::read(text, &skip, language, source)
}

/// The calls to action, in text order.
pub(super) fn ctas(
    text: &str,
    words: &[Word],
    found: &[Found],
    codes: &[prices::Code],
    offsets: &Offsets<'_>,
) -> Vec<Cta> {
    let codes: Vec<Range<usize>> = codes.iter().map(|code| code.range.clone()).collect();
    let wire = |found: cta::Cta| Cta {
        kind: found.kind,
        span: offsets.span(found.range),
        urgency: found.urgency,
        target: found.target.and_then(|at| text.get(at)).map(str::to_owned),
        rule: found.rule,
        confidence: found.confidence,
    };
    cta::find_in(text, words, &ranges(found.iter()), &codes).into_iter().map(wire).collect()
}

/// The ranges in order, without those inside others.
fn ranges<'f>(found: impl Iterator<Item = &'f Found>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = found.map(|f| f.range.clone()).collect();
    ranges.sort_by_key(|range| range.start);
    let mut end = 0;
    ranges.retain(|range| {
        let free = range.start >= end;
        end = end.max(range.end);
        free
    });
    ranges
}
