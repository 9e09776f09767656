//! Payloads and results as people see them: what looks like a secret by its name is masked. Kinds
//! name accounts, not tokens; this is for what was put there all the same.

use flotilla_core::records::JobRecord;
use serde_json::Value;

/// What stands in its place.
const MASK: &str = "***";

/// Names, in lower case without `_` and `-`, whose values are secrets.
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "clientsecret",
    "token",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "bearertoken",
    "apikey",
    "apisecret",
    "privatekey",
    "secretkey",
    "authorization",
    "cookie",
];

/// The job with its secrets masked.
pub(crate) fn job(mut job: JobRecord) -> JobRecord {
    value(&mut job.payload);
    job.result.iter_mut().for_each(value);
    job.extra.values_mut().for_each(value);
    job
}

/// Masks what looks like a secret by its name, at any depth.
pub(crate) fn value(of: &mut Value) {
    match of {
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                if is_secret(name)
                    && !matches!(inner, Value::Null | Value::Bool(_) | Value::Object(_))
                {
                    *inner = MASK.into();
                } else {
                    value(inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(value),
        Value::String(text) => {
            if let Some(masked) = without_password(text) {
                *text = masked;
            }
        }
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect();
    NAMES.contains(&plain.as_str())
}

/// `https://user:password@host/…` without the password.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, host) = authority.rsplit_once('@')?;
    let (name, _) = user.split_once(':')?;
    Some(format!("{scheme}://{name}:{MASK}@{host}{}", &rest[authority.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mut payload = json!({
            "text": "a token of love", "access_token": "s1", "max_tokens": 7,
            "deep": [{"Api-Key": "s2", "password": {"of": {"secret": "s3"}}}],
            "url": "https://ann:s4@host.example/x?y=1", "plain": "https://host.example/a:b@c",
        });
        value(&mut payload);
        let text = payload.to_string();
        for secret in ["s1", "s2", "s3", "s4"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert_eq!(payload["url"], "https://ann:***@host.example/x?y=1");
        assert_eq!(payload["plain"], "https://host.example/a:b@c");
        assert_eq!(
            (&payload["text"], &payload["max_tokens"]),
            (&json!("a token of love"), &json!(7))
        );
    }
}
