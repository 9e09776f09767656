//! Payloads and results as pages show them: what looks like a secret is masked, as in the API.

pub(crate) use flotilla_admin::redact::{clean, line};
use maud::{Markup, html};
use serde_json::Value;

/// JSON to read, without secrets, cut when it is very long.
pub(crate) fn json(value: &Value) -> Markup {
    const LONGEST: usize = 64 * 1024;
    let mut text = serde_json::to_string_pretty(&clean(value)).unwrap_or_default();
    let whole = text.len();
    if whole > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    html! {
        pre.json tabindex="0" { (text) }
        @if whole > LONGEST {
            p.faint { "The first " (crate::text::bytes(LONGEST as u64)) " of " (crate::text::bytes(whole as u64)) "." }
        }
    }
}
