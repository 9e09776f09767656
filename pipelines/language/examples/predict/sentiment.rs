//! Answers the sentiment cases, and writes the features that training reads.

use flotilla_language::caption::{Request, parse};
use flotilla_language::platform::Platform;
use flotilla_language::sentiment::{Sentiment, features};
use serde_json::{Value, json};

/// Label and score of the case's text.
pub(super) fn predict(case: &Value) -> Value {
    let Sentiment { label, score, .. } = parse(&request(case)).sentiment;
    json!({"id": case["id"], "label": label, "score": score})
}

/// What the model sees of the case's text.
pub(super) fn features(case: &Value) -> Value {
    let request = request(case);
    let language = parse(&request).language.code;
    let seen = features::features(&request.text, &[], &language);
    json!({"id": case["id"], "words": seen.words, "pieces": seen.pieces, "dense": seen.dense})
}

fn request(case: &Value) -> Request {
    // All sets are tweets or sentences of reviews and papers: people talking.
    let text = plain(case["text"].as_str().unwrap_or_default());
    Request { text, platform: Some(Platform::X), ..Request::default() }
}

/// Some of the data sets keep the escapes of the files they came from (`\u2019`, `&amp;`).
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 2..at + 6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match code {
            Some(code) => {
                out.extend(char::from_u32(code));
                rest = &rest[at + 6..];
            }
            None => {
                out.push_str("\\u");
                rest = &rest[at + 2..];
            }
        }
    }
    out.push_str(rest);
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    signs.iter().fold(out, |text, (from, to)| text.replace(from, to))
}
