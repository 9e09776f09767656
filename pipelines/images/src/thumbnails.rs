//! The one entry: checks, one decode, all outputs.

use std::cell::Cell;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::colour::Profile;
use crate::decode::{Source, Wanted, still_wanted};
use crate::geometry::{Layout, inside, layout};
use crate::metadata::Kept;
use crate::overlay::Overlays;
use crate::pool::Pool;
use crate::render::Renderer;
use crate::request::{Colour, Focus, OutputFormat, Request};
use crate::text::Fonts;
use crate::{ImageError, Limits, animation, focus, placeholder};

/// What came of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnails {
    /// What the source turned out to be.
    pub source: SourceInfo,
    /// In the order of the request.
    pub outputs: Vec<Encoded>,
    /// A `ThumbHash` in base64, when the request has `placeholder`.
    pub placeholder: Option<String>,
    /// At most five, the most frequent first, when the request has `placeholder`.
    pub colours: Option<Vec<Colour>>,
    /// The point that `cover` kept in view, as parts of the displayed width and height.
    pub focus: (f64, f64),
    /// What could not be done as asked, such as characters that no font has.
    pub warnings: Vec<String>,
}

/// What a source file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceInfo {
    /// `jpeg`, `png`, `webp`, `avif`, `gif`, `bmp` or `tiff`, by content.
    pub format: String,
    /// Pixels across, as stored: before `orientation` is applied.
    pub width: u32,
    /// Pixels down, as stored.
    pub height: u32,
    /// Size of the file.
    pub bytes: u64,
    /// EXIF orientation, 1 to 8; the outputs are upright.
    pub orientation: u8,
    /// Name of the embedded colour profile; the outputs are sRGB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Parts of the picture are missing, and the request allowed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// One finished thumbnail.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// As asked for.
    pub name: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// As asked for.
    pub format: OutputFormat,
    /// How many pictures it shows in turn; 1: it stands still.
    pub frames: u32,
    /// The file.
    pub bytes: Vec<u8>,
    /// The SSIMULACRA2 score it has, when the output has a `target`.
    pub score: Option<f64>,
}

/// Buffers that outlive one call: keep one for each thread that makes many thumbnails. It holds at
/// most 64 MiB between calls.
#[derive(Debug, Default)]
pub struct Workshop {
    pool: Pool,
    fonts: Option<Arc<Fonts>>,
}

/// Makes all thumbnails of `request` from the file `source`.
///
/// `cancelled` is asked between steps (never more than one decode or one encode apart).
///
/// # Errors
/// See [`ImageError`]; all but `Cancelled` and `Failed` are permanent for these arguments.
pub fn thumbnails(
    source: &[u8],
    request: &Request,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Thumbnails, ImageError> {
    Workshop::default().thumbnails(source, request, limits, cancelled)
}

impl Workshop {
    /// One whose texts may use these fonts; [`Workshop::default`] has those of the program alone.
    #[must_use]
    pub fn with_fonts(fonts: Arc<Fonts>) -> Self {
        Self { fonts: Some(fonts), ..Self::default() }
    }

    /// As [`thumbnails`], reusing the buffers of earlier calls.
    ///
    /// # Errors
    /// As [`thumbnails`].
    pub fn thumbnails(
        &mut self,
        source: &[u8],
        request: &Request,
        limits: &Limits,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Thumbnails, ImageError> {
        request.validate(limits)?;
        let source = Source::open(source, limits)?;
        let header = &source.header;
        let (width, height) = header.orientation.swap(header.width, header.height);
        let lay_out = |focus| -> Vec<Layout> {
            request.outputs.iter().map(|output| layout(output, width, height, focus)).collect()
        };
        let mut point = request.focus.point();
        let mut layouts = lay_out(point);
        animation::check(&source, &request.outputs, &layouts, limits)?;
        let side = placeholder::SIDE;
        let small = Layout::whole(width, height, inside(width, height, side, side));

        let profile = header.profile.as_deref().and_then(Profile::parse);
        still_wanted(cancelled)?;
        let partial = Cell::new(false);
        let widest = layouts.iter().map(|layout| layout.width).max().unwrap_or(1);
        let mut overlays = Overlays::open(
            &request.overlays,
            widest,
            self.fonts.get_or_insert_default(),
            limits,
            &mut self.pool,
            cancelled,
        )?;
        let mut picture = source.decode(&mut Wanted {
            scale: layouts.iter().map(Layout::scale).fold(small.scale(), f64::max),
            profile: profile.as_ref(),
            limits,
            pool: &mut self.pool,
            cancelled,
            partial: request.partial.then_some(&partial),
        })?;
        let mut renderer = Renderer::new(
            &mut picture,
            (header.width, header.height),
            header.orientation,
            profile.as_ref(),
            request.background,
            &mut self.pool,
        );
        renderer.overlaid = !request.overlays.is_empty();
        let is_auto = request.focus == Focus::Auto;
        let small = (request.placeholder || is_auto).then(|| renderer.small(&small)).transpose()?;
        if let Some(small) = small.as_ref().filter(|_| is_auto) {
            point = focus::attention(small);
            layouts = lay_out(point);
        }
        let small = small.filter(|_| request.placeholder);
        let mut outputs = Vec::with_capacity(layouts.len());
        for (layout, output) in layouts.iter().zip(&request.outputs) {
            still_wanted(cancelled)?;
            let (bytes, score) = match animation::moves(&source, output) {
                true => Default::default(), // follows below
                false => renderer.encode(layout, output, &mut overlays, cancelled)?,
            };
            outputs.push(Encoded {
                name: output.name.clone(),
                width: layout.width,
                height: layout.height,
                format: output.format,
                frames: 1,
                bytes,
                score,
            });
        }
        if request.outputs.iter().any(|output| animation::moves(&source, output)) {
            let (outputs_asked, background) = (&request.outputs, request.background);
            let made = animation::animate(
                &source,
                outputs_asked,
                &layouts,
                profile.as_ref(),
                background,
                &mut overlays,
                limits,
                &mut self.pool,
                cancelled,
            )?;
            for animated in made {
                let output = &mut outputs[animated.index];
                (output.bytes, output.frames) = (animated.bytes, animated.frames);
            }
        }
        let mut warnings = overlays.warnings;
        let kept = Kept::of(&request.keep, header.exif.as_deref());
        for (index, output) in outputs.iter_mut().enumerate() {
            match kept.put_into(output.format, std::mem::take(&mut output.bytes)) {
                Ok(bytes) => output.bytes = bytes,
                Err(bytes) => {
                    output.bytes = bytes;
                    warnings.push(format!("outputs[{index}]: {} keeps no metadata", output.format));
                }
            }
        }
        let info = SourceInfo {
            format: source.format.as_str().into(),
            width: header.width,
            height: header.height,
            bytes: source.bytes.len() as u64,
            orientation: header.orientation.number(),
            profile: profile.as_ref().map(|profile| profile.name.clone()),
            partial: partial.get(),
        };
        picture.recycle(&mut self.pool);
        Ok(Thumbnails {
            source: info,
            outputs,
            placeholder: small.as_ref().map(placeholder::thumb_hash),
            colours: small.as_ref().map(placeholder::dominant),
            focus: point,
            warnings,
        })
    }
}
