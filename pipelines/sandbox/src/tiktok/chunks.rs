//! TikTok's chunked upload (§7, "Chunks" and `PUT upload_url`).

use flotilla_core::clock::after;
use serde_json::Value;

use super::{Source, settle};
use crate::core::call::Call;
use crate::core::http::{Answer, Reply};
use crate::core::media::{Incoming, Media};

/// A file that was announced, as far as it has come.
#[derive(Debug)]
pub(super) struct Chunks {
    total: u64,
    chunk: u64,
    count: u64,
    incoming: Incoming,
    kind: Option<String>,
}

const MB: u64 = 1_000_000;

impl Chunks {
    /// Of `source_info`. The bounds are read leniently where MB may be 10^6 or 2^20.
    pub(super) fn announced(info: &Value) -> Result<Self, String> {
        let number = |name: &str| info[name].as_u64().ok_or(format!("{name} is required"));
        let (total, chunk, count) =
            (number("video_size")?, number("chunk_size")?, number("total_chunk_count")?);
        if total == 0 || total > 4 << 30 {
            return Err("video_size must be 1 byte to 4 GB".into());
        }
        // A file below 5 MB is one chunk; more than 64 MB must be chunked.
        if total < 5 * MB && (chunk != total || count != 1) {
            return Err("a file below 5 MB is one chunk of its own size".into());
        }
        if total >= 5 * MB && !(5 * MB..=64 << 20).contains(&chunk) {
            return Err("chunk_size must be 5 to 64 MB".into());
        }
        if chunk > total {
            return Err("chunk_size is larger than video_size".into());
        }
        // floor(video_size / chunk_size): the remainder joins the last chunk.
        if count != total / chunk || !(1..=1000).contains(&count) {
            return Err("total_chunk_count must be floor(video_size / chunk_size)".into());
        }
        Ok(Self { total, chunk, count, incoming: Incoming::default(), kind: None })
    }

    pub(super) fn received(&self) -> u64 {
        self.incoming.bytes()
    }

    fn media(&self) -> Media {
        self.incoming.media(self.kind.as_deref())
    }

    /// The last byte of the chunk that begins at `first`, if one does.
    fn last_of(&self, first: u64) -> Option<u64> {
        let number = first / self.chunk;
        if !first.is_multiple_of(self.chunk) || number >= self.count {
            return None;
        }
        let end = if number + 1 == self.count { self.total } else { first + self.chunk };
        Some(end - 1)
    }
}

/// `bytes first-last/total`.
fn range(text: &str) -> Option<(u64, u64, u64)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
}

/// 206 more is expected, 201 all is here, 400 bad header, 403 the URL ran out, 404 no such upload,
/// 416 another range is due.
pub(super) fn put(call: &mut Call<'_>) -> Answer {
    let shown = call.req.param("upload_token").unwrap_or_default();
    let Some(id) = call.world.tiktok.uploads.get(shown).cloned() else {
        return Err(Reply::empty(404));
    };
    let ready = after(call.now, call.world.settings.video_processing);
    let Some(job) = call.world.tiktok.jobs.get_mut(&id) else { return Err(Reply::empty(404)) };
    if call.now.as_second() - job.created.as_second() > 3600 || job.cancelled {
        return Err(Reply::empty(403));
    }
    let Source::Chunks(chunks) = &mut job.source else { return Err(Reply::empty(404)) };
    let header = call.req.header("content-range").and_then(range);
    let Some((first, last, total)) = header else { return Err(Reply::empty(400)) };
    let have = chunks.received();
    let at = |have: u64| format!("bytes 0-{}/{}", have.saturating_sub(1), total);
    if total != chunks.total || chunks.last_of(first) != Some(last) {
        return Err(Reply::empty(416).with("content-range", at(have)));
    }
    if have == chunks.total {
        return Ok(Reply::empty(201).with("content-range", at(have)));
    }
    if first != have {
        // Sequential: what is here already, and what comes too early, is out of range.
        return Err(Reply::empty(416).with("content-range", at(have)));
    }
    if !call.req.complete || call.req.body.len() as u64 != last - first + 1 {
        return Err(Reply::empty(400));
    }
    chunks.incoming.take(&call.req.body);
    chunks.kind = call.req.header("content-type").map(str::to_owned);
    let have = chunks.received();
    if have < chunks.total {
        return Ok(Reply::empty(206).with("content-range", at(have)));
    }
    job.draft.media = vec![chunks.media()];
    job.ready = Some(ready);
    settle(call, &id);
    Ok(Reply::empty(201).with("content-range", at(have)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_number_of_chunks_is_the_floor_and_the_last_takes_the_rest() {
        let info = |size: u64, chunk: u64, count: u64| json!({ "video_size": size, "chunk_size": chunk, "total_chunk_count": count });
        // The example of the sheet.
        let chunks = Chunks::announced(&info(50_000_123, 10_000_000, 5)).unwrap();
        assert_eq!(chunks.last_of(0), Some(9_999_999));
        assert_eq!(chunks.last_of(40_000_000), Some(50_000_122));
        assert_eq!(chunks.last_of(50_000_000), None);
        assert!(Chunks::announced(&info(50_000_123, 10_000_000, 6)).is_err());
        assert!(Chunks::announced(&info(1000, 1000, 1)).is_ok());
        assert!(Chunks::announced(&info(1000, 500, 2)).is_err());
        assert!(Chunks::announced(&info(100_000_000, 100_000_000, 1)).is_err());
    }
}
