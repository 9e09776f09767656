//! Blacks out what looks like a secret, in whatever is about to leave the process as a log or a
//! trace. Our own types hide themselves ([`Secret`](flotilla_core::Secret)); this is for what
//! arrives as text: answers of platforms, addresses with passwords, headers in errors.

use std::borrow::Cow;
use std::io;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands where a secret stood.
pub(super) const HIDDEN: &str = "***";

/// Values of fields with these names are hidden whole.
const NAMES: [&str; 14] = [
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "client_secret",
    "cookie",
    "credential",
    "password",
    "private_key",
    "refresh_token",
    "secret",
    "secret_key",
    "signature",
    "token",
];

/// Texts that are secrets wherever they stand, and values behind names that say so. A group named
/// `keep` stays.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    let names = NAMES.join("|");
    let parts = [
        // Authorization: Bearer …, Basic …
        r"(?P<keep1>\b(?i:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}".to_owned(),
        // scheme://user:password@host
        r"(?P<keep2>://[^/\s:@]*:)[^@\s/]+(?P<keep3>@)".to_owned(),
        // "name":"value", name=value (also x_name=value and ?name=value)
        format!(r#"(?P<keep4>"(?i:[\w-]*(?:{names}))"\s*:\s*")(?:[^"\\]|\\.)+"#),
        format!(r#"(?P<keep5>\b(?i:[\w-]*(?:{names}))=)[^\s"&,;)]+"#),
        r"(?P<keep6>\b(?i:[\w-]*(?:authorization|cookie|api-key|x-amz-security-token)):\s*)[^\r\n]+"
            .to_owned(),
        // What platforms and clouds hand out: JWT, webhook secrets, keys with a known beginning.
        r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?".to_owned(),
        r"\bwhsec_[A-Za-z0-9+/=_-]{8,}".to_owned(),
        r"\b(?:sk|rk|pk)[-_][A-Za-z0-9_-]{16,}".to_owned(),
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b".to_owned(),
        r"\bEAA[A-Za-z0-9]{20,}".to_owned(),
        r"\b(?:gh[pousr]_|xox[abprs]-|ya29\.|AQ[A-Z])[A-Za-z0-9_.-]{20,}".to_owned(),
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?".to_owned(),
    ];
    Regex::new(&parts.join("|")).expect("the pattern is a constant; a test reads it")
});

/// A field of this name holds a secret.
pub(super) fn is_secret(field: &str) -> bool {
    let last = field.rsplit('.').next().unwrap_or(field);
    NAMES.iter().any(|name| last.eq_ignore_ascii_case(name))
}

/// The text without what looks like a secret; the same text when there is none.
pub(super) fn scrub(text: &str) -> Cow<'_, str> {
    SECRETS.replace_all(text, |found: &Captures<'_>| {
        let kept =
            |names: &[&str]| names.iter().find_map(|n| found.name(n)).map_or("", |m| m.as_str());
        let before = kept(&["keep1", "keep2", "keep4", "keep5", "keep6"]);
        format!("{before}{HIDDEN}{}", kept(&["keep3"]))
    })
}

/// A writer whose lines are scrubbed; each write is a whole line of the log.
pub(super) struct Scrubbed<W>(pub(super) W);

impl<W: io::Write> io::Write for Scrubbed<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(scrub(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_looks_like_a_secret_is_blacked_out_and_the_rest_stays() {
        for (text, left) in [
            ("authorization: Bearer abc.def-123456", "authorization: ***"),
            ("sent Bearer abcdef123456 to them", "sent Bearer *** to them"),
            (
                "postgres://flotilla:hunter2@db/flotilla refused",
                "postgres://flotilla:***@db/flotilla refused",
            ),
            (r#"{"access_token":"EAAB","id":"17"}"#, r#"{"access_token":"***","id":"17"}"#),
            (r#"{"app_client_secret" : "a\"b","n":1}"#, r#"{"app_client_secret" : "***","n":1}"#),
            (
                "GET /me?access_token=xyz&fields=id failed",
                "GET /me?access_token=***&fields=id failed",
            ),
            ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "token ***"),
            ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signed with ***"),
            ("key sk-proj-0123456789abcdef0123", "key ***"),
            ("AKIAIOSFODNN7EXAMPLE may not", "*** may not"),
            ("X-Api-Key: 12345", "X-Api-Key: ***"),
        ] {
            assert_eq!(scrub(text), left, "{text}");
        }
        for harmless in [
            "admin.token: cannot read /etc/flotilla/token: no such file",
            "the token of linkedin/42 ends in 3 days",
            "password too short",
            "https://example.com:8443/path?page=2",
            "lease lost: held by host-17-ab12",
            "job 0198f2a7-7f7b-7aa0-b7a3-4f4f3f8f0c11",
        ] {
            assert_eq!(scrub(harmless), harmless);
        }
    }

    #[test]
    fn fields_are_hidden_by_their_names() {
        assert!(is_secret("token") && is_secret("http.Authorization") && is_secret("password"));
        assert!(!is_secret("tokens_used") && !is_secret("kind") && !is_secret("error"));
    }

    #[test]
    fn a_writer_blacks_out_line_by_line() {
        let mut out = Scrubbed(Vec::new());
        out.write_all(b"WARN failed url=amqp://u:p@mq/ password=12\n").unwrap();
        assert_eq!(out.0, b"WARN failed url=amqp://u:***@mq/ password=***\n");
    }
}
