//! Videos that break a platform's bounds, made to fit through the media pipeline. What was made is
//! kept under the hash of the video and the bounds: the same video for the same platform is
//! written once.

use std::path::Path;

use bytes::Bytes;
use flotilla_core::blob::{BlobKey, Blobs};
use flotilla_core::{JobContext, JobError};
use flotilla_media::video::fit::{self, Bounds, Film};
use flotilla_media::{MediaError, Stop, Tools};
use flotilla_platforms::post::{Facts, Medium};
use flotilla_platforms::rules::MediaRule;
use flotilla_platforms::{Media, check};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;

use super::fit::Fitted;
use crate::media::{of_media, work};

/// Bytes that are read at once.
const PART: u64 = 2 << 20;
/// Largest account of a video that is kept beside it, in bytes.
const MAX_FACTS: u64 = 4096;
/// What every platform takes.
const MP4: &str = "video/mp4";

/// What looks into videos and writes them anew.
#[derive(Clone, Debug)]
pub struct Films {
    /// The programs.
    pub tools: Tools,
    /// Largest video that is looked into, in bytes.
    pub max_bytes: u64,
}

/// What became of a video that was looked into.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Looked {
    /// It fits as it is; this is what is known of it.
    Fits(Facts),
    /// It was written anew.
    Made(Fitted),
    /// It could not be looked into, and nothing that is known speaks against it.
    Unknown(String),
}

impl Films {
    /// Looks into a video and makes it fit if it does not.
    pub(super) async fn fit(
        &self,
        field: &str,
        medium: &Medium,
        rule: &MediaRule,
        media: &Media,
        blobs: &dyn Blobs,
        cx: &JobContext,
    ) -> Result<Looked, JobError> {
        let known = check::misfits(rule, medium);
        let stop = Stop::default();
        let _guard = stop.on_drop();
        let folder = self.tools.work_folder().map_err(of_media)?;
        let (from, into) = (folder.path().join("given"), folder.path().join("fitted.mp4"));
        let hash = self.fetch(field, medium, media, &from).await?;
        let bounds = bounds(rule);
        let key = key(&hash, &bounds, cx)?;
        if let Some(facts) = kept(blobs, &key).await? {
            return Ok(Looked::Made(Fitted { key, facts }));
        }
        let (tools, halt, file) = (self.tools.clone(), stop.clone(), from.clone());
        let looked = work(cx, &stop, move || Ok(fit::look(&file, &tools, &halt))).await?;
        let film = match looked {
            Ok(film) => film,
            Err(MediaError::Stopped) => return Err(of_media(MediaError::Stopped)),
            Err(error) if known.is_empty() => return Ok(Looked::Unknown(error.to_string())),
            Err(error) => return Err(unfit(field, error)),
        };
        let facts = facts(&film, medium.facts.media_type.clone());
        if check::misfits(rule, &Medium { facts: facts.clone(), ..medium.clone() }).is_empty() {
            return Ok(Looked::Fits(facts));
        }
        let (tools, halt, file) = (self.tools.clone(), stop.clone(), into.clone());
        let fitting = move || Ok(fit::fit(&from, &film, &bounds, &file, &tools, &halt));
        let made = work(cx, &stop, fitting).await?.map_err(|error| unfit(field, error))?;
        let facts = self::facts(&made, Some(MP4.to_owned()));
        keep(blobs, &key, &into, &facts).await?;
        Ok(Looked::Made(Fitted { key, facts }))
    }

    /// Writes the video into a file, part by part; gives its hash.
    async fn fetch(
        &self,
        field: &str,
        medium: &Medium,
        media: &Media,
        into: &Path,
    ) -> Result<blake3::Hash, JobError> {
        let (size, most) = (medium.facts.bytes.unwrap_or(0), self.max_bytes);
        if size > most {
            return Err(JobError::invalid(format!(
                "post.{field}: a video of {size} bytes is not made to fit; at most {most} \
                 (sources.max_bytes)"
            )));
        }
        let mut file = tokio::fs::File::create(into).await.map_err(JobError::retry)?;
        let (mut hash, mut at) = (blake3::Hasher::new(), 0);
        while at < size {
            let part = media.read(&medium.origin, at, PART.min(size - at)).await?;
            hash.update(&part);
            file.write_all(&part).await.map_err(JobError::retry)?;
            at += part.len() as u64;
        }
        file.flush().await.map_err(JobError::retry)?;
        Ok(hash.finalize())
    }
}

/// What cannot be made to fit is the author's to change; a program that is missing is not.
fn unfit(field: &str, error: MediaError) -> JobError {
    match error {
        MediaError::Missing { .. } | MediaError::Stopped | MediaError::Io { .. } => of_media(error),
        error => JobError::invalid(format!("post.{field}: {error}")),
    }
}

fn bounds(rule: &MediaRule) -> Bounds {
    Bounds {
        max_bytes: rule.max_bytes,
        min_seconds: rule.min_seconds,
        max_seconds: rule.max_seconds,
        min_width: rule.min_width,
        max_width: rule.max_width,
        min_height: rule.min_height,
        max_height: rule.max_height,
        aspect: rule.aspect.map(|aspect| (aspect.min, aspect.max)),
        min_fps: rule.min_fps,
        max_fps: rule.max_fps,
        max_bitrate: rule.max_bitrate,
    }
}

fn facts(film: &Film, media_type: Option<String>) -> Facts {
    Facts {
        bytes: Some(film.bytes),
        media_type,
        width: Some(film.width),
        height: Some(film.height),
        seconds: Some(film.seconds),
        fps: Some(film.fps),
        codec: Some(film.codec.clone()),
    }
}

/// It follows from the video and the bounds.
fn key(hash: &blake3::Hash, bounds: &Bounds, cx: &JobContext) -> Result<BlobKey, JobError> {
    let parts = (hash.to_hex().to_string(), bounds, fit::VERSION);
    let parts = serde_json::to_vec(&parts).map_err(JobError::retry)?;
    let hash = blake3::hash(&parts).to_hex();
    let name = format!("fitted/{}/{}.mp4", &hash[..2], &hash[..32]);
    BlobKey::of_tenant(&cx.tenant, &name).map_err(JobError::invalid)
}

/// What is known of a video lies beside it, and is written after it.
fn beside(key: &BlobKey) -> Result<BlobKey, JobError> {
    BlobKey::new(format!("{key}.json")).map_err(JobError::invalid)
}

async fn kept(blobs: &dyn Blobs, key: &BlobKey) -> Result<Option<Facts>, JobError> {
    let beside = beside(key)?;
    if blobs.size(&beside).await?.is_none() {
        return Ok(None);
    }
    let told = blobs.get(&beside, MAX_FACTS).await?;
    let facts: Option<Facts> = serde_json::from_slice(&told).ok();
    let there = blobs.size(key).await?;
    Ok(facts.filter(|facts| there.is_some() && there == facts.bytes))
}

async fn keep(
    blobs: &dyn Blobs,
    key: &BlobKey,
    file: &Path,
    facts: &Facts,
) -> Result<(), JobError> {
    let bytes = tokio::fs::read(file).await.map_err(JobError::retry)?;
    blobs.put(key, Bytes::from(bytes), MP4).await?;
    let told = serde_json::to_vec(facts).map_err(JobError::retry)?;
    blobs.put(&beside(key)?, Bytes::from(told), "application/json").await?;
    Ok(())
}
