//! Holds for every text: no panic, spans inside the text on character boundaries, and the same
//! answer twice.

#[path = "../examples/fuzz/readers.rs"]
mod readers;
#[path = "../examples/fuzz/texts.rs"]
mod texts;

use flotilla_language::caption::{Caption, Request, parse};
use flotilla_language::entities::find_all;
use flotilla_language::platform::{Platform, Rules};
use flotilla_language::span::Span;
use proptest::prelude::*;
use readers::{PLATFORMS, answers};
use serde_json::Value;
use texts::PIECES;

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..40).prop_map(|p| p.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![pieces(), any::<String>(), "\\PC{0,120}"]
}

fn read(text: &str, platform: Option<Platform>) -> Caption {
    parse(&Request { text: text.to_owned(), platform, ..Request::default() })
}

/// Every `span` in the answer, wherever it is.
fn spans(value: &Value, found: &mut Vec<Span>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "span" {
                    found.extend(serde_json::from_value::<Span>(field.clone()));
                }
                spans(field, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| spans(item, found)),
        _ => {}
    }
}

fn check(text: &str, platform: Option<Platform>) {
    let caption = read(text, platform);
    let wire = serde_json::to_value(&caption).expect("a caption is JSON");
    let mut found = Vec::new();
    spans(&wire, &mut found);
    for span in found {
        let piece = text.get(span.range()).expect("a span lies on character boundaries");
        assert!(!piece.is_empty(), "empty span in {text:?}");
        assert_eq!(span.char[0], text[..span.byte[0]].chars().count());
        assert_eq!(span.char[1] - span.char[0], piece.chars().count());
        assert_eq!(span.utf16[0], text[..span.byte[0]].encode_utf16().count());
        assert_eq!(span.utf16[1] - span.utf16[0], piece.encode_utf16().count());
    }
    let again = serde_json::to_string(&read(text, platform)).expect("a caption is JSON");
    assert_eq!(serde_json::to_string(&caption).expect("a caption is JSON"), again);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_text_gives_an_answer_with_sound_spans(
        text in any_text(),
        platform in prop::sample::select(PLATFORMS.to_vec()),
    ) {
        check(&text, platform);
    }
}

/// The first texts of what the example `fuzz` reads a million of.
#[test]
fn made_up_texts_are_read_the_same_way_twice() {
    let mut texts = texts::Texts::new(1);
    for _ in 0..600 {
        let text = texts.next();
        let platform = PLATFORMS[texts.platform()];
        check(&text, platform);
        assert_eq!(answers(&text, platform), answers(&text, platform), "{text:?}");
    }
}

#[test]
fn long_repetitions_come_to_an_end() {
    for piece in PIECES {
        let text = piece.repeat(6_000 / piece.len());
        let _ = read(&text, Some(Platform::TikTok));
        let text = piece.repeat(60_000 / piece.len());
        let _ = find_all(&text, &Rules::of(Some(Platform::X)));
    }
}
