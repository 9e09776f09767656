//! Answers the language cases with an ISO 639-1 code, or nothing when undetermined.

use flotilla_language::caption::{Request, parse};
use flotilla_language::language::UNDETERMINED;
use serde_json::Value;

/// The language of the case's text, read as a caption.
pub(super) fn predict(case: &Value) -> Value {
    let text = case["text"].as_str().unwrap_or_default().to_owned();
    let code = parse(&Request { text, ..Request::default() }).language.code;
    if code == UNDETERMINED { Value::Null } else { code.into() }
}
