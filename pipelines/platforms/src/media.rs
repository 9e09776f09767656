//! The media of a post: what they are, parts of them, and where a platform can fetch them. A film
//! is never whole in memory: it is read in parts and sent on as it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::JobError;
use flotilla_core::blob::Blobs;
use futures_util::stream;
use reqwest::Body;

use crate::http::{FetchError, Fetcher};
use crate::post::{Facts, Origin};

/// Bytes of a beginning that tell what a file is.
const HEAD: u64 = 64 << 10;
/// Bytes of a part of a stream.
const PART: u64 = 2 << 20;
/// How long a platform may fetch what it was given a link to.
const LINK: Duration = Duration::from_secs(24 * 3600);

/// Reads media from blobs and from URLs.
#[derive(Clone, Debug)]
pub struct Media {
    fetcher: Arc<Fetcher>,
    blobs: Arc<dyn Blobs>,
}

impl Media {
    /// Over the guarded client and a blob store.
    #[must_use]
    pub fn new(fetcher: Arc<Fetcher>, blobs: Arc<dyn Blobs>) -> Self {
        Self { fetcher, blobs }
    }

    /// The guarded client.
    #[must_use]
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// What a medium is, from its first bytes: size, media type, and the pixels of a picture.
    ///
    /// # Errors
    /// `Fail` when it is not there or may not be fetched, `Retry` when that may pass.
    pub async fn facts(&self, origin: &Origin) -> Result<Facts, JobError> {
        let (head, bytes) = match origin {
            Origin::Url(url) => {
                let part = self.fetcher.part(url, 0, HEAD).await.map_err(of_fetch)?;
                (part.bytes, part.total)
            }
            Origin::Blob(key) => {
                let size = self.blobs.size(key).await?;
                let size = size.ok_or_else(|| JobError::invalid(format!("no blob \"{key}\"")))?;
                (self.blobs.part(key, 0, HEAD).await?, size)
            }
        };
        if bytes == 0 {
            return Err(JobError::invalid(format!("{} is empty", shown(origin))));
        }
        let pixels = imagesize::blob_size(&head).ok();
        let side = |side: usize| u32::try_from(side).ok();
        Ok(Facts {
            bytes: Some(bytes),
            media_type: media_type(&head).map(str::to_owned),
            width: pixels.and_then(|size| side(size.width)),
            height: pixels.and_then(|size| side(size.height)),
            ..Facts::default()
        })
    }

    /// `length` bytes from `from` on.
    ///
    /// # Errors
    /// As [`facts`](Self::facts).
    pub async fn read(&self, origin: &Origin, from: u64, length: u64) -> Result<Bytes, JobError> {
        let bytes = match origin {
            Origin::Url(url) => self.fetcher.part(url, from, length).await.map_err(of_fetch)?.bytes,
            Origin::Blob(key) => self.blobs.part(key, from, length).await?,
        };
        if bytes.len() as u64 != length {
            let message =
                format!("{} ended early: it was changed while it was read", shown(origin));
            return Err(JobError::retry(message));
        }
        Ok(bytes)
    }

    /// The bytes `from..to` as a body that reads them as it is sent.
    #[must_use]
    pub fn stream(&self, origin: &Origin, from: u64, to: u64) -> Body {
        let (media, origin) = (self.clone(), origin.clone());
        Body::wrap_stream(stream::try_unfold(from, move |at| {
            let (media, origin) = (media.clone(), origin.clone());
            async move {
                if at >= to {
                    return Ok(None);
                }
                let read = media.read(&origin, at, PART.min(to - at)).await;
                let bytes = read.map_err(|e| std::io::Error::other(e.text(500)))?;
                let next = at + bytes.len() as u64;
                Ok::<_, std::io::Error>(Some((bytes, next)))
            }
        }))
    }

    /// Where a platform can fetch it: its URL, or a link of the blob store.
    ///
    /// # Errors
    /// `Fail` when the blob store is not reachable from outside.
    pub async fn link(&self, origin: &Origin) -> Result<String, JobError> {
        match origin {
            Origin::Url(url) => Ok(url.clone()),
            Origin::Blob(key) => {
                let link = self.blobs.link(key, LINK).await?;
                if link.starts_with("https://") || link.starts_with("http://") {
                    return Ok(link);
                }
                Err(JobError::invalid(format!(
                    "the platform fetches media itself and cannot reach blob \"{key}\" in a local \
                     folder: give a public URL, or keep blobs in S3 (blobs.backend)"
                )))
            }
        }
    }
}

/// Where a medium is, for people: without what signs a URL.
#[must_use]
pub fn shown(origin: &Origin) -> String {
    match origin {
        Origin::Url(url) => url.split(['?', '#']).next().unwrap_or_default().to_owned(),
        Origin::Blob(key) => format!("blob \"{key}\""),
    }
}

/// The media type that the first bytes of a file speak of.
#[must_use]
pub fn media_type(head: &[u8]) -> Option<&'static str> {
    let brand = (head.get(4..8) == Some(b"ftyp")).then(|| head.get(8..12)).flatten();
    Some(match (head, brand) {
        (_, Some(b"qt  ")) => "video/quicktime",
        (_, Some(b"M4A " | b"M4B ")) => "audio/mp4",
        (_, Some(b"M4V " | b"M4VP")) => "video/x-m4v",
        (_, Some([b'3', b'g', ..])) => "video/3gpp",
        (_, Some(b"avif" | b"avis")) => "image/avif",
        (_, Some(b"heic" | b"heix" | b"mif1")) => "image/heic",
        (_, Some(_)) => "video/mp4",
        ([0xff, 0xd8, 0xff, ..], _) => "image/jpeg",
        ([0x89, b'P', b'N', b'G', ..], _) => "image/png",
        ([b'G', b'I', b'F', b'8', ..], _) => "image/gif",
        ([b'R', b'I', b'F', b'F', ..], _) if head.get(8..12) == Some(b"WEBP") => "image/webp",
        ([b'R', b'I', b'F', b'F', ..], _) if head.get(8..12) == Some(b"AVI ") => "video/x-msvideo",
        ([b'R', b'I', b'F', b'F', ..], _) if head.get(8..12) == Some(b"WAVE") => "audio/wav",
        ([0x1a, 0x45, 0xdf, 0xa3, ..], _) => {
            let webm = head.windows(4).take(64).any(|four| four == b"webm");
            if webm { "video/webm" } else { "video/x-matroska" }
        }
        ([b'%', b'P', b'D', b'F', ..], _) => "application/pdf",
        ([b'O', b'g', b'g', b'S', ..], _) => "audio/ogg",
        ([b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..], _) => "audio/mpeg",
        ([0xff, 0xf1 | 0xf9, ..], _) => "audio/aac",
        ([b'#', b'!', b'A', b'M', b'R', ..], _) => "audio/amr",
        _ => return None,
    })
}

fn of_fetch(error: FetchError) -> JobError {
    match &error {
        FetchError::Timeout { .. } | FetchError::Connect { .. } => JobError::retry(error),
        FetchError::Status { code, .. } if *code >= 500 || matches!(code, 408 | 425 | 429) => {
            JobError::retry(error)
        }
        _ => JobError::invalid(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        for (head, expected) in [
            (&b"\xff\xd8\xff\xe0"[..], Some("image/jpeg")),
            (b"\x89PNG\r\n\x1a\n", Some("image/png")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"\0\0\0\x18ftypmp42", Some("video/mp4")),
            (b"\0\0\0\x14ftypqt  ", Some("video/quicktime")),
            (b"%PDF-1.7", Some("application/pdf")),
            (b"<html>", None),
            (b"", None),
        ] {
            assert_eq!(media_type(head), expected, "{head:?}");
        }
    }
}
