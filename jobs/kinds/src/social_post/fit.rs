//! Media that break a platform's bounds, made to fit. Pictures: upright, in a format it takes,
//! scaled, padded to a shape it takes, and written smaller until they are small enough. Videos:
//! see `film`.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::blob::{BlobKey, Blobs};
use flotilla_core::{JobContext, JobError};
use flotilla_images::{
    Encoded, Fit, ImageError, Limits, Output, OutputFormat, Request, thumbnails,
};
use flotilla_platforms::post::{Facts, Form, Medium, Post};
use flotilla_platforms::rules::MediaRule;
use flotilla_platforms::{Media, Origin, Sort, Spec, check};
use serde::{Deserialize, Serialize};

use super::film::{Films, Looked};

/// Longest side of what is written, where the platform names none.
const LONGEST: u32 = 4096;
/// Qualities that are tried, and which part of the sides each has.
const TRIES: [(u8, f64); 6] = [(88, 1.0), (78, 1.0), (65, 1.0), (65, 0.75), (55, 0.5), (50, 0.3)];

/// Makes media fit.
#[derive(Clone, Debug)]
pub struct Fitter {
    blobs: Arc<dyn Blobs>,
    limits: Limits,
    films: Option<Films>,
}

/// A medium that was made to fit.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fitted {
    pub(super) key: BlobKey,
    pub(super) facts: Facts,
}

/// What a picture has to become.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Aim {
    width: u32,
    height: u32,
    fit: Fit,
    format: OutputFormat,
}

impl Fitter {
    /// Keeps what it makes in these blobs.
    #[must_use]
    pub fn new(blobs: Arc<dyn Blobs>, limits: Limits) -> Self {
        Self { blobs, limits, films: None }
    }

    /// The same, which also looks into videos.
    #[must_use]
    pub fn with_films(self, films: Films) -> Self {
        Self { films: Some(films), ..self }
    }

    /// Puts media that fit in the place of those that do not; says what it did.
    pub(super) async fn fit(
        &self,
        post: &mut Post,
        spec: &Spec,
        media: &Media,
        cx: &JobContext,
    ) -> Result<Vec<String>, JobError> {
        let mut notes = Vec::new();
        let form = post.form;
        let shown = post.media.iter_mut().enumerate();
        let shown = shown.map(|(index, medium)| (format!("media[{index}]"), medium));
        let thumbnail = post.thumbnail.iter_mut().map(|medium| ("thumbnail".to_owned(), medium));
        for (field, medium) in shown.chain(thumbnail) {
            let note = match medium.sort {
                Sort::Image => self.picture(&field, medium, spec, media, cx).await?,
                Sort::Video => self.film(&field, medium, (spec, form), media, cx).await?,
                Sort::Document | Sort::Audio => None,
            };
            notes.extend(note);
        }
        Ok(notes)
    }

    async fn picture(
        &self,
        field: &str,
        medium: &mut Medium,
        spec: &Spec,
        media: &Media,
        cx: &JobContext,
    ) -> Result<Option<String>, JobError> {
        let rule = spec.image.as_ref().filter(|rule| !check::misfits(rule, medium).is_empty());
        let Some(rule) = rule else { return Ok(None) };
        let step = format!("fit/{field}");
        let fitted = cx.once(&step, || self.made(field, medium, rule, media, cx)).await?;
        Ok(Some(put(field, medium, fitted, spec)))
    }

    async fn film(
        &self,
        field: &str,
        medium: &mut Medium,
        (spec, form): (&Spec, Form),
        media: &Media,
        cx: &JobContext,
    ) -> Result<Option<String>, JobError> {
        let rule = check::rule(spec, form, Sort::Video);
        let (Some(rule), Some(films)) = (rule, &self.films) else { return Ok(None) };
        let step = format!("film/{field}");
        let fit = || films.fit(field, medium, rule, media, &*self.blobs, cx);
        Ok(match cx.once(&step, fit).await? {
            Looked::Fits(facts) => {
                medium.facts = facts;
                None
            }
            Looked::Made(fitted) => Some(put(field, medium, fitted, spec)),
            Looked::Unknown(why) => {
                Some(format!("post.{field} was not looked into and goes out as it is: {why}"))
            }
        })
    }

    async fn made(
        &self,
        field: &str,
        medium: &Medium,
        rule: &MediaRule,
        media: &Media,
        cx: &JobContext,
    ) -> Result<Fitted, JobError> {
        let size = medium.facts.bytes.unwrap_or(0);
        if size > self.limits.max_bytes {
            let most = self.limits.max_bytes;
            return Err(JobError::invalid(format!(
                "post.{field}: a picture of {size} bytes is not made to fit; at most {most}"
            )));
        }
        let bytes = media.read(&medium.origin, 0, size).await?;
        let (rule, limits, stop) = (rule.clone(), self.limits.clone(), cx.cancellation.clone());
        let made = cx
            .cpu(move || smallest(&bytes, &rule, &limits, &|| stop.is_cancelled()))
            .await?
            .map_err(|said| said.of(field))?;
        let key = key(&made, cx)?;
        let facts = Facts {
            bytes: Some(made.bytes.len() as u64),
            media_type: Some(made.format.media_type().to_owned()),
            width: Some(made.width),
            height: Some(made.height),
            ..Facts::default()
        };
        self.blobs.put(&key, Bytes::from(made.bytes), made.format.media_type()).await?;
        Ok(Fitted { key, facts })
    }
}

/// Puts what was made in the place of what was given; says so.
fn put(field: &str, medium: &mut Medium, fitted: Fitted, spec: &Spec) -> String {
    let (width, height) = (fitted.facts.width, fitted.facts.height);
    let plays = fitted.facts.seconds.map(|seconds| format!(", {seconds:.1} s"));
    medium.origin = Origin::Blob(fitted.key);
    medium.facts = fitted.facts;
    format!(
        "post.{field} was made to fit {}: {} × {} pixels{}",
        spec.title,
        width.unwrap_or(0),
        height.unwrap_or(0),
        plays.unwrap_or_default()
    )
}

/// Why a picture cannot be made to fit.
#[derive(Debug)]
enum Unfit {
    Image(ImageError),
    Never(&'static str),
}

impl Unfit {
    fn of(self, field: &str) -> JobError {
        match self {
            Self::Image(error) if !error.is_permanent() => JobError::retry(error),
            Self::Image(error) => JobError::invalid(format!("post.{field}: {error}")),
            Self::Never(said) => JobError::invalid(format!("post.{field}: {said}")),
        }
    }
}

fn smallest(
    bytes: &[u8],
    rule: &MediaRule,
    limits: &Limits,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, Unfit> {
    let make = |output: Output| {
        let request = Request { outputs: vec![output], ..Request::default() };
        thumbnails(bytes, &request, limits, stop).map_err(Unfit::Image)
    };
    // A small one says how the picture stands when it is upright.
    let look = Output { width: Some(16), ..Output::new("look", Fit::Width, OutputFormat::Png) };
    let source = make(look)?.source;
    let turned = source.orientation >= 5;
    let (width, height) =
        if turned { (source.height, source.width) } else { (source.width, source.height) };
    let aim = aim(rule, width, height)
        .ok_or(Unfit::Never("it cannot be written in any format that is taken"))?;
    for (quality, part) in TRIES {
        let side = |pixels: u32, least: u32| {
            ((f64::from(pixels) * part).round() as u32).max(least.min(pixels)).max(1)
        };
        let output = Output {
            width: Some(side(aim.width, rule.min_width)),
            height: Some(side(aim.height, rule.min_height)),
            quality: (aim.format != OutputFormat::Png).then_some(quality),
            ..Output::new("fitted", aim.fit, aim.format)
        };
        let made = make(output)?.outputs.pop().ok_or(Unfit::Never("nothing was made of it"))?;
        if rule.max_bytes == 0 || made.bytes.len() as u64 <= rule.max_bytes {
            return Ok(made);
        }
    }
    Err(Unfit::Never("it does not get small enough without becoming ugly"))
}

/// The box, and how an upright picture of `width` × `height` meets it.
fn aim(rule: &MediaRule, width: u32, height: u32) -> Option<Aim> {
    let takes = |format: &OutputFormat| {
        rule.types.is_empty() || rule.types.iter().any(|taken| taken == format.media_type())
    };
    let format =
        [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Webp].into_iter().find(takes)?;
    let (mut wide, mut high) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let mut fit = Fit::Contain;
    if let Some(aspect) = rule.aspect {
        // Half a per cent inside, so that whole pixels do not lead out again.
        let (least, most) = (aspect.min * 1.005, aspect.max * 0.995);
        let ratio = wide / high;
        if ratio > most {
            (high, fit) = (wide / most, Fit::Pad);
        } else if ratio < least {
            (wide, fit) = (high * least, Fit::Pad);
        }
    }
    let longest = if rule.max_width > 0 { rule.max_width.min(LONGEST) } else { LONGEST };
    let mut part = (f64::from(longest) / wide).min(f64::from(LONGEST) / high).min(1.0);
    if rule.max_pixels > 0 {
        part = part.min((rule.max_pixels as f64 / (wide * high)).sqrt());
    }
    let least = (f64::from(rule.min_width) / wide).max(f64::from(rule.min_height) / high);
    if least > part {
        part = least;
        // Only this enlarges; a shape that was not taken is padded instead.
        fit = if fit == Fit::Contain { Fit::Cover } else { Fit::Pad };
    }
    let pixels = |side: f64| (side * part).round().clamp(1.0, f64::from(LONGEST)) as u32;
    Some(Aim { width: pixels(wide), height: pixels(high), fit, format })
}

/// It follows from the content: made twice, it is the same blob.
fn key(made: &Encoded, cx: &JobContext) -> Result<BlobKey, JobError> {
    let hash = blake3::hash(&made.bytes).to_hex();
    let name = format!("fitted/{}/{}.{}", &hash[..2], &hash[..32], made.format);
    BlobKey::of_tenant(&cx.tenant, &name).map_err(JobError::invalid)
}

#[cfg(test)]
mod tests {
    use flotilla_platforms::Platforms;

    use super::*;

    fn rule(platform: &str) -> MediaRule {
        Platforms::built_in().unwrap().get(platform).unwrap().image.clone().unwrap()
    }

    fn sides(aim: Aim) -> (u32, u32, Fit) {
        (aim.width, aim.height, aim.fit)
    }

    #[test]
    fn shape_and_size_are_those_that_a_platform_takes() {
        let instagram = rule("instagram");
        assert_eq!(sides(aim(&instagram, 1000, 1000).unwrap()), (1000, 1000, Fit::Contain));
        assert_eq!(sides(aim(&instagram, 4000, 3000).unwrap()), (1440, 1080, Fit::Contain));
        assert_eq!(sides(aim(&instagram, 160, 160).unwrap()), (320, 320, Fit::Cover));
        let (wide, high, fit) = sides(aim(&instagram, 3000, 500).unwrap());
        assert!(
            fit == Fit::Pad
                && wide == 1440
                && (1.88..1.91).contains(&(f64::from(wide) / f64::from(high)))
        );
        let (wide, high, fit) = sides(aim(&instagram, 500, 2000).unwrap());
        assert!(
            fit == Fit::Pad
                && high <= 4096
                && (0.8..0.81).contains(&(f64::from(wide) / f64::from(high)))
        );
        assert_eq!(aim(&instagram, 9, 9).unwrap().format, OutputFormat::Jpeg);
        let webp = MediaRule { types: vec!["image/webp".into()], ..MediaRule::default() };
        assert_eq!(aim(&webp, 9, 9).unwrap().format, OutputFormat::Webp);
        let none = MediaRule { types: vec!["image/heic".into()], ..MediaRule::default() };
        assert!(aim(&none, 9, 9).is_none());
    }

    #[test]
    fn a_picture_is_written_smaller_until_it_fits() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/demo");
        let bytes = std::fs::read(format!("{folder}/stream.jpg")).unwrap();
        let tight = MediaRule { max_bytes: 60_000, ..rule("instagram") };
        let made = smallest(&bytes, &tight, &Limits::default(), &|| false).unwrap();
        assert!(made.bytes.len() <= 60_000, "{}", made.bytes.len());
        let hopeless = MediaRule { max_bytes: 100, ..rule("instagram") };
        assert!(smallest(&bytes, &hopeless, &Limits::default(), &|| false).is_err());
    }
}
