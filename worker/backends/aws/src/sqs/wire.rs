//! What SQS wants names and texts to be.

use std::sync::Arc;

use flotilla_core::ids::{Lane, Receipt};
use flotilla_core::queue::{QueueError, QueueErrorKind};

/// The name of a lane's queue. SQS knows no dots; lanes have no capitals.
///
/// # Errors
/// `Invalid` when it is longer than the 80 characters SQS allows.
pub(crate) fn queue_name(prefix: &str, lane: &Lane, fifo: bool) -> Result<String, QueueError> {
    let suffix = if fifo { ".fifo" } else { "" };
    let name = format!("{prefix}{}{suffix}", lane.as_str().replace('.', "_DOT_"));
    if name.len() > 80 {
        return Err(QueueError::plain(
            QueueErrorKind::Invalid,
            format!("the queue name \"{name}\" is longer than 80 characters: shorten the prefix"),
        ));
    }
    Ok(name)
}

/// A message group: the name itself where SQS can take it, else its hash.
pub(crate) fn group(name: &str) -> String {
    let taken = |b: u8| b.is_ascii_graphic();
    if !name.is_empty() && name.len() <= 128 && name.bytes().all(taken) {
        name.to_owned()
    } else {
        blake3::hash(name.as_bytes()).to_hex().to_string()
    }
}

/// A JSON text as SQS takes it: the few characters XML forbids are written as escapes.
/// `None`: it is not a text.
pub(crate) fn text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let allowed = |c: char| !matches!(c, '\0'..'\t' | '\u{b}' | '\u{c}' | '\u{e}'..' ' | '\u{fffe}' | '\u{ffff}');
    if text.chars().all(allowed) {
        return Some(text.to_owned());
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if allowed(c) {
            safe.push(c);
        } else {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    Some(safe)
}

/// Finds a hand-over again: its lane, the blob that holds its body, what SQS calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) lane: Lane,
    pub(crate) blob: Option<String>,
    pub(crate) receipt: String,
}

impl Handle {
    pub(crate) fn to_receipt(&self) -> Receipt {
        let blob = self.blob.as_deref().unwrap_or("");
        Receipt::Handle(Arc::from(format!("{} {blob} {}", self.lane, self.receipt)))
    }

    /// `None`: no receipt of SQS.
    pub(crate) fn of(receipt: &Receipt) -> Option<Self> {
        let Receipt::Handle(text) = receipt else { return None };
        let mut parts = text.splitn(3, ' ');
        let lane = Lane::new(parts.next()?).ok()?;
        let blob = parts.next().filter(|blob| !blob.is_empty()).map(str::to_owned);
        Some(Self { lane, blob, receipt: parts.next()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names_follow_from_lanes_and_differ_as_they_do() {
        let name = |lane: &'static str, fifo| queue_name("f-", &Lane::from_static(lane), fifo);
        assert_eq!(name("video.hot", false).unwrap(), "f-video_DOT_hot");
        assert_eq!(name("posts", true).unwrap(), "f-posts.fifo");
        let long = Lane::new("a".repeat(64)).unwrap();
        assert!(queue_name(&"p".repeat(17), &long, false).is_err());
    }

    #[test]
    fn groups_are_what_sqs_takes() {
        assert_eq!(group("acme"), "acme");
        for odd in ["", "two words", "é", &"a".repeat(129)] {
            assert_eq!(group(odd).len(), 64, "{odd}");
        }
        assert_ne!(group("a b"), group("a c"));
    }

    #[test]
    fn texts_mean_the_same_after_escaping() {
        assert_eq!(text(b"{\"a\":1}\n").unwrap(), "{\"a\":1}\n");
        let odd = "{\"a\":\"\u{ffff}\u{fffe}\u{1}x\"}";
        let safe = text(odd.as_bytes()).unwrap();
        assert_eq!(safe, "{\"a\":\"\\uffff\\ufffe\\u0001x\"}");
        assert_eq!(text(b"\xff"), None);
    }

    #[test]
    fn a_receipt_leads_back_to_its_queue_and_its_blob() {
        let lane = Lane::from_static("main");
        for blob in [None, Some("queue/main/a".to_owned())] {
            let handle = Handle { lane: lane.clone(), blob, receipt: "AQEB a/b+c==".into() };
            assert_eq!(Handle::of(&handle.to_receipt()), Some(handle));
        }
        assert_eq!(Handle::of(&Receipt::Number(1)), None);
        assert_eq!(Handle::of(&Receipt::Handle("x".into())), None);
    }
}
