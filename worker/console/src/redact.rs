//! Payloads and results as the console shows them: what looks like a secret is not shown.

use maud::{Markup, html};
use serde_json::Value;

/// What stands in the place of a secret.
const HIDDEN: &str = "••• hidden";
/// Words in the name of a field that make its value a secret.
const SECRET: [&str; 12] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "api_key",
    "apikey",
    "credential",
    "private_key",
    "cookie",
    "signature",
    "session",
];
/// Fields whose name only sounds so.
const HARMLESS: [&str; 5] = ["max_tokens", "tokens", "token_count", "session_type", "tokens_used"];
/// Parts of a query that open something.
const KEYS: [&str; 7] =
    ["token", "signature", "x-amz-credential", "x-amz-security-token", "sig", "key", "auth"];
/// Deeper values are not looked into.
const DEEP: usize = 64;

/// The same value without secrets.
pub(crate) fn clean(value: &Value) -> Value {
    within(value, 0)
}

fn within(value: &Value, depth: usize) -> Value {
    match value {
        _ if depth > DEEP => HIDDEN.into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let value =
                    if is_secret(name, value) { HIDDEN.into() } else { within(value, depth + 1) };
                (name.clone(), value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| within(item, depth + 1)).collect(),
        Value::String(text) => line(text).into(),
        other => other.clone(),
    }
}

/// Numbers and flags open nothing, and a list of names is looked into.
fn is_secret(name: &str, value: &Value) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(value, Value::String(text) if !text.is_empty())
        && !HARMLESS.contains(&name.as_str())
        && SECRET.iter().any(|word| name.contains(word))
}

/// Text without the parts that look like a secret: bearer tokens, passwords and signatures in URLs.
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut bearer = false;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if bearer {
            shown.push_str(HIDDEN);
            shown.push_str(&word[bare.len()..]);
        } else if bare.contains("://") {
            shown.push_str(&address(bare));
            shown.push_str(&word[bare.len()..]);
        } else {
            shown.push_str(word);
        }
        bearer = bare.eq_ignore_ascii_case("bearer") || bare.eq_ignore_ascii_case("basic");
    }
    shown
}

fn address(word: &str) -> String {
    let Ok(mut url) = url::Url::parse(word) else { return word.to_owned() };
    let opens = |name: &str| {
        let name = name.to_ascii_lowercase();
        KEYS.contains(&name.as_str()) || SECRET.iter().any(|part| name.contains(part))
    };
    let locked = url.query_pairs().any(|(name, _)| opens(&name));
    if !locked && url.password().is_none() {
        return word.to_owned();
    }
    if url.password().is_some() && url.set_password(Some("hidden")).is_err() {
        return HIDDEN.to_owned();
    }
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            let value = if opens(&name) { "hidden".into() } else { value };
            (name.into_owned(), value.into_owned())
        })
        .collect();
    if locked {
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_and_the_rest_stays() {
        let shown = clean(&json!({
            "access_token": "abc", "nested": [{"Client_Secret": "s"}], "max_tokens": 5, "text": "hi",
            "url": "https://u:p@x.example/a?sig=1&w=2", "header": "Authorization: Bearer abc def",
        }));
        let text = shown.to_string();
        for gone in ["abc", "\"s\"", ":p@", "sig=1"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        for stays in ["\"max_tokens\":5", "\"hi\"", "w=2", "def"] {
            assert!(text.contains(stays), "{stays} not in {text}");
        }
    }

    #[test]
    fn plain_text_and_addresses_are_left_as_they_are() {
        for text in ["a  b\nc", "https://x.example/a b?c=d", "see https://y.example/?q=1,", ""] {
            assert_eq!(line(text), text);
        }
    }
}
