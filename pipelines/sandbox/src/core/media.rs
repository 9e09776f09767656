//! Bytes that came in: their number and their hash are kept, not they.

use ring::digest::{Context, SHA256};
use serde::Serialize;

/// What is known of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Media {
    /// Where it came from: a URL, or `upload`.
    pub source: String,
    /// Its id at the platform, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its type, as told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How many bytes it has; `None`: it lies behind a URL that was not called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 of its bytes, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What was said of it: a description for those who cannot see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt_text: Option<String>,
}

impl Media {
    /// Of bytes that are all there.
    pub(crate) fn of(bytes: &[u8], content_type: Option<&str>) -> Self {
        let mut hash = Incoming::default();
        hash.take(bytes);
        hash.media(content_type)
    }

    /// Of a URL that is not called.
    pub(crate) fn behind(url: &str) -> Self {
        Self { source: url.to_owned(), ..Self::default() }
    }

    pub(crate) fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }
}

/// Bytes on their way in, in order.
#[derive(Clone)]
pub(crate) struct Incoming {
    hash: Context,
    bytes: u64,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Incoming({} bytes)", self.bytes)
    }
}

impl Default for Incoming {
    fn default() -> Self {
        Self { hash: Context::new(&SHA256), bytes: 0 }
    }
}

impl Incoming {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What has come so far.
    pub(crate) fn media(&self, content_type: Option<&str>) -> Media {
        Media {
            source: "upload".into(),
            content_type: content_type.map(str::to_owned),
            bytes: Some(self.bytes),
            sha256: Some(hex(self.hash.clone().finish().as_ref())),
            ..Media::default()
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_all_bytes_whatever_the_pieces() {
        let mut pieces = Incoming::default();
        pieces.take(b"ab");
        pieces.take(b"c");
        let whole = Media::of(b"abc", None);
        assert_eq!(pieces.media(None), whole);
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(whole.sha256.as_deref(), Some(known));
    }
}
