//! Payloads, results and texts as people see them: what looks like a secret is masked. Kinds name
//! accounts, not tokens; this is for what was put there all the same. The API and the console show
//! the same.

use flotilla_core::records::JobRecord;
use serde_json::Value;

/// What stands in the place of a secret.
pub const MASK: &str = "***";
/// Words in the name of a field that make its text a secret; names are compared in lower case,
/// without `_` and `-`.
const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "apikey",
    "credential",
    "privatekey",
    "cookie",
    "signature",
    "session",
];
/// Names whose numbers and lists are secrets too.
const NAMES: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "accesstoken",
    "refreshtoken",
    "apikey",
];
/// Names that only sound so.
const HARMLESS: [&str; 6] =
    ["maxtokens", "tokens", "tokencount", "tokensused", "tokentype", "sessiontype"];
/// Parts of a query that open something.
const KEYS: [&str; 3] = ["sig", "key", "auth"];
/// Deeper values are not looked into.
const DEEP: usize = 64;

/// The job with its secrets masked.
pub fn job(mut job: JobRecord) -> JobRecord {
    value(&mut job.payload);
    job.result.iter_mut().for_each(value);
    job.extra.values_mut().for_each(value);
    job
}

/// Masks what looks like a secret, at any depth.
pub fn value(of: &mut Value) {
    within(of, 0);
}

/// The same value without secrets.
pub fn clean(of: &Value) -> Value {
    let mut shown = of.clone();
    value(&mut shown);
    shown
}

fn within(of: &mut Value, depth: usize) {
    match of {
        _ if depth > DEEP => *of = MASK.into(),
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                if is_secret(name, inner) {
                    *inner = MASK.into();
                } else {
                    within(inner, depth + 1);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| within(item, depth + 1)),
        Value::String(text) => {
            let shown = line(text);
            if shown != *text {
                *text = shown;
            }
        }
        _ => {}
    }
}

fn is_secret(name: &str, value: &Value) -> bool {
    let name: String =
        name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect();
    if HARMLESS.contains(&name.as_str()) {
        return false;
    }
    match value {
        Value::String(text) => !text.is_empty() && WORDS.iter().any(|word| name.contains(word)),
        Value::Number(_) | Value::Array(_) => NAMES.contains(&name.as_str()),
        _ => false,
    }
}

/// Text without the parts that look like a secret: bearer tokens, passwords and signatures in
/// addresses.
pub fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut bearer = false;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if bearer {
            shown.push_str(MASK);
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
        let name: String =
            name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect();
        KEYS.contains(&name.as_str()) || WORDS.iter().any(|part| name.contains(part))
    };
    let locked = url.query_pairs().any(|(name, _)| opens(&name));
    if !locked && url.password().is_none() {
        return word.to_owned();
    }
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if locked {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let value = if opens(&name) { MASK.into() } else { value };
                (name.into_owned(), value.into_owned())
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

/// Puts the secrets of `old` back where `new` still holds their masks, as after an edit of what was
/// shown. `false`: a mask is left whose secret nobody knows.
pub fn restore(new: &mut Value, old: &Value) -> bool {
    put_back(new, &clean(old), old);
    !has_mask(new)
}

fn put_back(new: &mut Value, shown: &Value, old: &Value) {
    if new == shown {
        *new = old.clone();
        return;
    }
    match (new, shown, old) {
        (Value::Object(new), Value::Object(shown), Value::Object(old)) => {
            for (name, inner) in new {
                if let (Some(shown), Some(old)) = (shown.get(name), old.get(name)) {
                    put_back(inner, shown, old);
                }
            }
        }
        (Value::Array(new), Value::Array(shown), Value::Array(old)) => {
            for (inner, (shown, old)) in new.iter_mut().zip(shown.iter().zip(old)) {
                put_back(inner, shown, old);
            }
        }
        _ => {}
    }
}

fn has_mask(value: &Value) -> bool {
    match value {
        Value::String(text) => text == MASK,
        Value::Array(items) => items.iter().any(has_mask),
        Value::Object(fields) => fields.values().any(has_mask),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let payload = json!({
            "text": "a token of love", "access_token": "s1", "max_tokens": 7, "pin_token": 9,
            "deep": [{"Api-Key": "s2", "password": {"of": {"Client_Secret": "s3"}}}],
            "url": "https://ann:s4@host.example/x?y=1", "plain": "https://host.example/a:b@c",
            "signed": "see https://x.example/a?sig=s5&w=2", "header": "Authorization: Bearer s6 def",
            "secret": [1, 2],
        });
        let shown = clean(&payload);
        let text = shown.to_string();
        for secret in ["s1", "s2", "s3", "s4", "s5", "s6", "[1,2]"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert_eq!(shown["url"], "https://ann:***@host.example/x?y=1");
        assert_eq!(shown["plain"], "https://host.example/a:b@c");
        for stays in ["a token of love", "\"max_tokens\":7", "w=2", "def", "\"pin_token\":9"] {
            assert!(text.contains(stays), "{stays} not in {text}");
        }
    }

    #[test]
    fn plain_text_and_addresses_are_left_as_they_are() {
        for text in ["a  b\nc", "https://x.example/a b?c=d", "see https://y.example/?q=1,", ""] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn an_edit_of_what_was_shown_keeps_the_secrets() {
        let old = json!({"token": "s1", "list": [{"secret": "s2", "n": 1}], "n": 1});
        let mut new = clean(&old);
        new["n"] = json!(2);
        new["list"][0]["n"] = json!(3);
        assert!(restore(&mut new, &old));
        assert_eq!(new, json!({"token": "s1", "list": [{"secret": "s2", "n": 3}], "n": 2}));
        let mut unknown = json!({"token": "s1", "other": MASK});
        assert!(!restore(&mut unknown, &old), "there is no secret for this mask");
    }
}
