//! `thumbnail.generate`: one picture in, a set of sized and encoded ones out, as blobs.

mod srcset;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::blob::{BlobKey, Blobs};
use flotilla_core::job::{Job, Policy};
use flotilla_core::{Handler, JobContext, JobError, Kind, Lane, LimitKey, Tenant};
use flotilla_images::text::Fonts;
use flotilla_images::{
    Colour, Encoded, Focus, ImageError, Keep, Limits, Output, Overlay, Request, SourceInfo,
    Workshop,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::services::Services;
use crate::source::{self, Source};

pub use srcset::SrcSet;

/// The payload: a source and what to make of it. The fields of [`Request`] stand here one by one,
/// not flattened, so that a fault names its field and an unknown field is refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThumbnailGenerate {
    /// The picture.
    pub source: Source,
    /// The pictures to make, in this order.
    pub outputs: Vec<Output>,
    /// Colour behind transparent pixels and around padded pictures, `#rrggbb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Colour>,
    /// The point that `cover` keeps in view: `"auto"` (found in the picture), `"centre"` or
    /// `{"x", "y"}`, each 0 to 1.
    #[serde(default)]
    pub focus: Focus,
    /// What to put on the pictures, the first lowest: images, texts, badges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<Overlay<Source>>,
    /// Whether to make a ThumbHash and find the dominant colours.
    #[serde(default)]
    pub placeholder: bool,
    /// Whether a JPEG or PNG that is cut off may give pictures that lack parts; else it is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// What of the source's metadata is kept: `"copyright"`, `"description"`, `"date"`, `"icc"`.
    /// Without it all is left out. AVIF keeps none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Keep>,
}

impl ThumbnailGenerate {
    /// `images`: the bytes of each overlay, where it is an image.
    fn request(&self, images: Vec<Option<Arc<[u8]>>>) -> Request {
        let overlays = self.overlays.iter().cloned().zip(images);
        Request {
            outputs: self.outputs.clone(),
            background: self.background,
            focus: self.focus,
            placeholder: self.placeholder,
            partial: self.partial,
            keep: self.keep.clone(),
            overlays: overlays.map(|(overlay, image)| overlay.with_image(image)).collect(),
        }
    }
}

impl Job for ThumbnailGenerate {
    const KIND: Kind = Kind::from_static("thumbnail.generate");
    const LIMITS: Option<fn(&Self) -> Vec<LimitKey>> = Some(|job| {
        let images = job.overlays.iter().filter_map(|overlay| overlay.image.as_ref());
        let mut keys: Vec<LimitKey> =
            std::iter::once(&job.source).chain(images).flat_map(source::limits).collect();
        keys.sort();
        keys.dedup();
        keys
    });
    type Output = ThumbnailResult;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("images"),
            max_attempts: 5,
            timeout: Duration::from_secs(60),
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        // The bounds of the configuration are checked when it runs; what no configuration allows, here.
        let images = self.overlays.iter().map(|overlay| overlay.image.is_some());
        let images = images.map(|given| given.then(|| Arc::from([]))).collect();
        match self.request(images).validate(&Limits::default()) {
            Err(ImageError::Invalid { field, problem }) => vec![(field, problem)],
            _ => Vec::new(),
        }
    }
}

/// The result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ThumbnailResult {
    /// What the source turned out to be.
    pub source: SourceInfo,
    /// What was made, in the order asked for.
    pub outputs: Vec<Made>,
    /// Outputs of one format and shape, ready for the `<source>` elements of a page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub srcset: Vec<SrcSet>,
    /// ThumbHash, base64, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Dominant colours as `#rrggbb`, most frequent first, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colours: Option<Vec<Colour>>,
    /// The point that `cover` kept in view, as parts of width and height.
    pub focus: FocusPoint,
    /// What could not be done as asked, such as a character that no font has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A point of the displayed picture: 0,0 is its top left, 1,1 its bottom right.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct FocusPoint {
    /// Across.
    pub x: f64,
    /// Down.
    pub y: f64,
}

/// One thumbnail.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Made {
    /// Its name in the request.
    pub name: String,
    /// Its blob. It follows from the content: the same picture has the same key.
    pub key: BlobKey,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `jpeg`, `webp`, `avif`, `png`.
    pub format: String,
    /// Its size.
    pub bytes: u64,
    /// How many pictures it shows in turn, where it is animated.
    #[serde(skip_serializing_if = "is_still")]
    pub frames: u32,
    /// Its SSIMULACRA2 score, where the output has a `target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

fn is_still(frames: &u32) -> bool {
    *frames == 1
}

/// Reads the source, makes the pictures on the CPU pool, stores them.
pub struct ThumbnailHandler {
    services: Services,
    /// Buffers of attempts that have ended, for those to come; never more than ran at once.
    workshops: Arc<Mutex<Vec<Workshop>>>,
    /// The folders of the settings are read when the first text needs them.
    fonts: Arc<Fonts>,
}

impl ThumbnailHandler {
    /// Takes the ports and bounds it uses.
    pub fn new(services: &Services) -> Self {
        let fonts = Arc::new(Fonts::new(services.images.font_folders.clone()));
        Self { services: services.clone(), workshops: Arc::default(), fonts }
    }
}

impl Handler<ThumbnailGenerate> for ThumbnailHandler {
    async fn run(
        &self,
        job: ThumbnailGenerate,
        cx: &JobContext,
    ) -> Result<ThumbnailResult, JobError> {
        cx.progress(0.0, "reading the source");
        let bytes = source::read(&job.source, &self.services, cx).await?;
        let mut images = Vec::with_capacity(job.overlays.len());
        for overlay in &job.overlays {
            images.push(match &overlay.image {
                Some(image) => Some(Arc::from(&*source::read(image, &self.services, cx).await?)),
                None => None,
            });
        }

        cx.progress(0.2, "making thumbnails");
        let (limits, cancellation) = (self.services.images.clone(), cx.cancellation.clone());
        let (request, workshops) = (job.request(images), Arc::clone(&self.workshops));
        let fonts = Arc::clone(&self.fonts);
        let made = cx
            .cpu(move || {
                let kept = lock(&workshops).pop();
                let mut workshop = kept.unwrap_or_else(|| Workshop::with_fonts(fonts));
                let cancelled = || cancellation.is_cancelled();
                let made = workshop.thumbnails(&bytes, &request, &limits, &cancelled);
                lock(&workshops).push(workshop);
                made
            })
            .await?
            .map_err(of_image)?;

        cx.progress(0.9, "storing thumbnails");
        let mut outputs = Vec::with_capacity(made.outputs.len());
        for picture in made.outputs {
            outputs.push(store(picture, &cx.tenant, &self.services.blobs).await?);
        }
        Ok(ThumbnailResult {
            source: made.source,
            srcset: srcset::sets(&outputs),
            outputs,
            placeholder: made.placeholder,
            colours: made.colours,
            focus: FocusPoint { x: made.focus.0, y: made.focus.1 },
            warnings: made.warnings,
        })
    }
}

fn lock(workshops: &Mutex<Vec<Workshop>>) -> MutexGuard<'_, Vec<Workshop>> {
    workshops.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn store(
    picture: Encoded,
    tenant: &Tenant,
    blobs: &Arc<dyn Blobs>,
) -> Result<Made, JobError> {
    let key = content_key(&picture, tenant)?;
    let bytes = picture.bytes.len() as u64;
    blobs.put(&key, Bytes::from(picture.bytes), picture.format.media_type()).await?;
    Ok(Made {
        name: picture.name,
        key,
        width: picture.width,
        height: picture.height,
        format: picture.format.as_str().to_owned(),
        bytes,
        frames: picture.frames,
        score: picture.score,
    })
}

/// `content/<tenant>/thumbnails/<2 hex>/<32 hex of BLAKE3>-<name>.<format>`: running twice writes the same blob.
fn content_key(picture: &Encoded, tenant: &Tenant) -> Result<BlobKey, JobError> {
    let hash = blake3::hash(&picture.bytes).to_hex();
    let (shard, hash) = (&hash[..2], &hash[..32]);
    let rest = format!("thumbnails/{shard}/{hash}-{}.{}", picture.name, picture.format);
    BlobKey::of_tenant(tenant, &rest).map_err(JobError::invalid)
}

/// An attempt that was told to stop is a retry like any other: the engine knows why it told it
/// to, and decides what becomes of the job.
fn of_image(error: ImageError) -> JobError {
    if error.is_permanent() { JobError::invalid(error) } else { JobError::retry(error) }
}
