//! What a job made, shown beside it. A blob is served only when the job's own record names it and
//! the job is one this person may see; it is never a page of this server.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flotilla_core::blob::{BlobError, BlobKey};
use flotilla_core::records::JobRecord;
use serde_json::Value;

use crate::Shared;
use crate::ask::Ask;
use crate::trouble::Trouble;

/// Blobs that one job's page shows.
const SHOWN: usize = 60;
/// Values of a record that are looked at.
const LOOKS: usize = 20_000;
/// A part of a long blob, in bytes: browsers ask for the next one.
const PART: u64 = 4 << 20;

/// What a page can do with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Image,
    Audio,
    Video,
    Other,
}

/// A blob that a job's record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artefact {
    pub(crate) key: BlobKey,
    pub(crate) sort: Sort,
}

/// The blobs that a job's result or payload names, in their order.
pub(crate) fn artefacts(job: &JobRecord) -> Vec<Artefact> {
    let mut found = Vec::new();
    let mut looks = LOOKS;
    for value in job.result.iter().chain([&job.payload]) {
        collect(value, &mut found, &mut looks);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<Artefact>, looks: &mut usize) {
    *looks = looks.saturating_sub(1);
    if *looks == 0 || found.len() >= SHOWN {
        return;
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, found, looks)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found, looks)),
        Value::String(text) => {
            let Some(artefact) = named(text) else { return };
            if !found.contains(&artefact) {
                found.push(artefact);
            }
        }
        _ => {}
    }
}

/// A text that is the key of a blob: a path with a known ending, never an address.
fn named(text: &str) -> Option<Artefact> {
    if !text.contains('/') || text.len() > 512 {
        return None;
    }
    let (sort, _) = kind(text)?;
    Some(Artefact { key: BlobKey::new(text).ok()?, sort })
}

/// What an ending says.
fn kind(key: &str) -> Option<(Sort, &'static str)> {
    let (_, ending) = key.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => (Sort::Image, "image/jpeg"),
        "png" => (Sort::Image, "image/png"),
        "webp" => (Sort::Image, "image/webp"),
        "avif" => (Sort::Image, "image/avif"),
        "gif" => (Sort::Image, "image/gif"),
        "mp3" => (Sort::Audio, "audio/mpeg"),
        "wav" => (Sort::Audio, "audio/wav"),
        "ogg" | "opus" => (Sort::Audio, "audio/ogg"),
        "m4a" => (Sort::Audio, "audio/mp4"),
        "flac" => (Sort::Audio, "audio/flac"),
        "mp4" => (Sort::Video, "video/mp4"),
        "webm" => (Sort::Video, "video/webm"),
        "json" | "txt" | "srt" | "vtt" | "ass" | "md" | "html" | "svg" => {
            (Sort::Other, "text/plain; charset=utf-8")
        }
        _ => return None,
    })
}

/// `GET /blobs/{job}/{key}`
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    Path((job, key)): Path<(String, String)>,
    ask: Ask,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let job = ask.job(&job).await?;
    let wanted: BlobKey = key.parse()?;
    let none = || Trouble::missing(format!("job {} names no such blob", job.id));
    let named = artefacts(&job).into_iter().any(|it| it.key == wanted);
    let (_, content_type) = kind(&key).filter(|_| named).ok_or_else(none)?;
    let blobs = &shared.console.blobs;
    let size = blobs.size(&wanted).await.map_err(failed)?;
    let size =
        size.ok_or_else(|| Trouble::missing("the blob is gone: it was removed from the store"))?;
    if size > shared.console.max_blob {
        return Err(Trouble::wrong(format!("the blob has {size} bytes: too many to show here")));
    }
    let mut response = match range(&headers, size) {
        Some((from, length)) => {
            let bytes = blobs.part(&wanted, from, length).await.map_err(failed)?;
            let last = from + (bytes.len() as u64).saturating_sub(1);
            let place = format!("bytes {from}-{last}/{size}");
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, place)], Body::from(bytes))
                .into_response()
        }
        None => Body::from(blobs.get(&wanted, shared.console.max_blob).await.map_err(failed)?)
            .into_response(),
    };
    let say = [
        (header::CONTENT_TYPE, content_type),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "private, max-age=300"),
        // Whatever is in it runs nothing and reaches nobody.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'"),
    ];
    for (name, value) in say {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn failed(error: BlobError) -> Trouble {
    tracing::warn!(%error, "a blob could not be shown");
    match error {
        BlobError::NotFound(_) => {
            Trouble::missing("the blob is gone: it was removed from the store")
        }
        other => Trouble::busy(other),
    }
}

/// The one part that is asked for: where it begins and how long it is, in bytes.
fn range(headers: &HeaderMap, size: u64) -> Option<(u64, u64)> {
    let asked = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let (from, to) = asked.split_once('-')?;
    let from: u64 = from.parse().ok().filter(|from| *from < size)?;
    let to = if to.is_empty() { size - 1 } else { to.parse::<u64>().ok()?.min(size - 1) };
    (from <= to).then(|| (from, (to - from + 1).min(PART)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_with_a_known_ending_are_blobs() {
        assert_eq!(named("content/a/thumb.webp").unwrap().sort, Sort::Image);
        assert_eq!(named("content/a/say.mp3").unwrap().sort, Sort::Audio);
        for none in ["https://x.example/a.png", "a.png", "../a/b.png", "content/a/b.exe", "and/or"]
        {
            assert_eq!(named(none), None, "{none}");
        }
        assert_eq!(kind("a/b.html").unwrap().1, "text/plain; charset=utf-8", "never a page");
        assert_eq!(
            kind("a/b.svg").unwrap().0,
            Sort::Other,
            "never a picture that can hold a script"
        );
    }

    #[test]
    fn a_range_stays_within_the_blob() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            range(&headers, 10)
        };
        assert_eq!(asked("bytes=0-"), Some((0, 10)));
        assert_eq!(asked("bytes=2-3"), Some((2, 2)));
        assert_eq!(asked("bytes=2-99"), Some((2, 8)));
        for bad in ["bytes=10-", "bytes=3-2", "bytes=-5", "items=1-2", "bytes=a-b"] {
            assert_eq!(asked(bad), None, "{bad}");
        }
    }
}
