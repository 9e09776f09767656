//! Reads answers of the chat interface. Compatible servers leave out much of what the first of
//! them sends, so only what is used must be there.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What a completion holds that matters here.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    pub(crate) usage: Option<Usage>,
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    #[serde(default)]
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

/// Tokens used.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub(crate) struct Usage {
    #[serde(default)]
    pub(crate) prompt_tokens: u64,
    #[serde(default)]
    pub(crate) completion_tokens: u64,
}

/// What a completion says.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// This text.
    Text(String),
    /// It does not want to.
    Refused(String),
    /// Something that cannot be used: what there is of it, and what is wrong.
    Unusable(String, String),
}

impl Completion {
    /// What it says.
    pub(crate) fn said(self) -> Said {
        let Some(choice) = self.choices.into_iter().next() else {
            return Said::Unusable(String::new(), "it holds no choice".to_owned());
        };
        if let Some(refusal) = choice.message.refusal.filter(|text| !text.is_empty()) {
            return Said::Refused(refusal);
        }
        let text = choice.message.content.unwrap_or_default();
        match choice.finish_reason.as_deref() {
            Some("length") => Said::Unusable(text, "it was cut off; be shorter".to_owned()),
            Some("content_filter") => Said::Refused("its content filter stopped it".to_owned()),
            _ if text.trim().is_empty() => Said::Unusable(text, "it is empty".to_owned()),
            _ => Said::Text(text),
        }
    }
}

/// Reads an answer into its type, which must know every field.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn typed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    // Some servers wrap JSON in a code fence all the same.
    let text = text.trim();
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    let text = inner.and_then(|t| t.strip_suffix("```")).unwrap_or(text);
    serde_json::from_str(text).map_err(|error| format!("it is not of the schema: {error}"))
}

/// An error body: `{"error": {"message", "type", "code"}}`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Failure {
    #[serde(default)]
    error: Fault,
}

#[derive(Debug, Default, Deserialize)]
struct Fault {
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "type")]
    sort: Option<String>,
    #[serde(default)]
    code: Option<serde_json::Value>,
}

/// Codes that mean that nothing is paid for any more.
const BILLING: [&str; 5] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
];

impl Failure {
    pub(crate) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Whether waiting does not help, but paying.
    pub(crate) fn is_billing(&self) -> bool {
        let code = self.error.code.as_ref().and_then(|code| code.as_str());
        [code, self.error.sort.as_deref()].into_iter().flatten().any(|c| BILLING.contains(&c))
    }

    /// What it says, at most 200 characters, on one line.
    pub(crate) fn text(&self) -> String {
        let text = self.error.message.as_deref().unwrap_or_default();
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> Said {
        serde_json::from_str::<Completion>(json).unwrap().said()
    }

    #[test]
    fn answers_of_sparing_servers_are_read_and_half_answers_are_none() {
        let text = said(r#"{"choices":[{"message":{"content":"{}"}}]}"#);
        assert_eq!(text, Said::Text("{}".to_owned()));
        let refused = said(r#"{"choices":[{"message":{"content":null,"refusal":"no"}}]}"#);
        assert_eq!(refused, Said::Refused("no".to_owned()));
        for bad in [
            r#"{"choices":[{"message":{"content":"{\"a\":"},"finish_reason":"length"}]}"#,
            r#"{"choices":[]}"#,
            r#"{"choices":[{"message":{}}]}"#,
        ] {
            assert!(matches!(said(bad), Said::Unusable(..)), "{bad}");
        }
    }

    #[test]
    fn billing_is_told_from_a_limit_of_speed() {
        let is = |body: &str| Failure::read(body.as_bytes()).is_billing();
        assert!(is(r#"{"error":{"code":"insufficient_quota","message":"pay"}}"#));
        assert!(is(r#"{"error":{"type":"insufficient_quota","code":null}}"#));
        assert!(!is(r#"{"error":{"code":"rate_limit_exceeded"}}"#));
        assert!(!is("<html>"));
    }

    #[test]
    fn fences_are_taken_off_and_unknown_fields_refused() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct One {
            a: u8,
        }
        assert_eq!(typed::<One>("```json\n{\"a\":1}\n```").unwrap().a, 1);
        assert!(typed::<One>("{\"a\":1,\"b\":2}").unwrap_err().contains("unknown field"));
    }
}
