//! What a caller asks for: the part of a `thumbnail.generate` payload that concerns pictures, with
//! its JSON names, and the checks that need no picture.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::metadata::Keep;
use crate::overlay::Overlay;
use crate::{ImageError, Limits};

/// The longest side of an output in pixels (the limit of WebP).
pub const MAX_SIDE: u32 = 16_383;

/// The thumbnails wanted of one picture; they share one decode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The pictures to make, in this order.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// Colour behind transparent pixels and around padded pictures. Without it JPEG gets white,
    /// and PNG and WebP stay transparent where the source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Colour>,
    /// The point that `cover` keeps in view.
    #[serde(default, skip_serializing_if = "Focus::is_centre")]
    pub focus: Focus,
    /// Whether to make a `ThumbHash` and find the dominant colours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub placeholder: bool,
    /// Whether to make what can be made of a JPEG or PNG that is cut off or damaged; what is missing
    /// is grey (JPEG) or transparent or black (PNG). Without it such a file is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// What of the source's metadata is kept; all else is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Keep>,
    /// What to put on the pictures, the first lowest.
    #[serde(skip)]
    pub overlays: Vec<Overlay<Arc<[u8]>>>,
}

/// One picture to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its name in the result: 1 to 64 of `a-z A-Z 0-9 . _ -`, not starting with a dot, unique.
    pub name: String,
    /// Width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// How the picture meets the box.
    pub fit: Fit,
    /// The encoding.
    pub format: OutputFormat,
    /// 1 to 100; default 80 for JPEG, 75 for WebP and 50 for AVIF. PNG is lossless and takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    /// Instead of `quality`: the SSIMULACRA2 score to reach with as few bytes as possible, 10 to 95
    /// (50 is low, 70 good, 90 not to be told from the original).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// How much to sharpen after resizing, 0 to 2; 0.5 suits small thumbnails. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpen: Option<f64>,
    /// JPEG only: written in scans that show the whole early, a little smaller and slower.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub progressive: bool,
    /// WebP only: an animated GIF or WebP stays animated; without it its first frame is used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub animated: bool,
}

impl Output {
    /// An output of this name, fit and format, with everything else at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, fit: Fit, format: OutputFormat) -> Self {
        Self {
            name: name.into(),
            width: None,
            height: None,
            fit,
            format,
            quality: None,
            target: None,
            sharpen: None,
            progressive: false,
            animated: false,
        }
    }
}

/// How a picture meets the box that was asked for. Only `cover` ever enlarges a small source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Fill width × height exactly, cutting what overhangs around the focus.
    Cover,
    /// Fit whole inside width × height; the result may be smaller than the box.
    Contain,
    /// Fit whole inside width × height, then centre it on a background of exactly that size.
    Pad,
    /// Make it as wide as `width`; the height follows, up to [`MAX_SIDE`].
    Width,
    /// Make it as high as `height`; the width follows, up to [`MAX_SIDE`].
    Height,
}

/// Encodings of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// JPEG, 4:2:0.
    Jpeg,
    /// Lossy WebP, 4:2:0, with alpha where the source has it.
    Webp,
    /// Lossless PNG, with alpha where the source has it.
    Png,
    /// Lossy AVIF, 4:2:0, with alpha where the source has it.
    Avif,
}

impl OutputFormat {
    /// The JSON name, also the usual file extension (`jpeg` → `.jpeg`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
            Self::Png => "png",
            Self::Avif => "avif",
        }
    }

    /// The media type of the encoded bytes.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Png => "image/png",
            Self::Avif => "image/avif",
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The point of the displayed picture that `cover` keeps as near the middle as it can.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Focus {
    /// The middle.
    #[default]
    Centre,
    /// Where the picture draws the eye: skin, strong colours, fine detail.
    Auto,
    /// Parts of the width and height, each 0 to 1, from the top left.
    Point {
        /// 0 is the left edge, 1 the right.
        x: f64,
        /// 0 is the top edge, 1 the bottom.
        y: f64,
    },
}

impl Focus {
    fn is_centre(&self) -> bool {
        *self == Self::Centre
    }

    /// The point; the middle where it is still to be found.
    pub(crate) fn point(self) -> (f64, f64) {
        match self {
            Self::Centre | Self::Auto => (0.5, 0.5),
            Self::Point { x, y } => (x, y),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    x: f64,
    y: f64,
}

impl Serialize for Focus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Centre => serializer.serialize_str("centre"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Point { x, y } => Point { x, y }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Focus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Focus;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\", \"centre\" or {\"x\": 0..1, \"y\": 0..1}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Focus, E> {
                match text {
                    "centre" | "center" => Ok(Focus::Centre),
                    "auto" => Ok(Focus::Auto),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Focus, A::Error> {
                let Point { x, y } =
                    Point::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Focus::Point { x, y })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Focus {
    fn schema_name() -> Cow<'static, str> {
        "Focus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let side = json_schema!({"type": "number", "minimum": 0, "maximum": 1});
        json_schema!({
            "description": "The point that `cover` keeps in view.",
            "anyOf": [
                {"enum": ["auto", "centre", "center"]},
                {"type": "object", "properties": {"x": side, "y": side},
                 "required": ["x", "y"], "additionalProperties": false},
            ],
        })
    }
}

/// An opaque sRGB colour, written `#rrggbb` (or `#rgb`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour {
    /// Red, green, blue.
    pub rgb: [u8; 3],
}

impl Colour {
    pub(crate) const WHITE: Self = Self { rgb: [255; 3] };
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.rgb;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

impl TryFrom<String> for Colour {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a colour; write it as #rrggbb or #rgb");
        let digits: Vec<u8> = text
            .strip_prefix('#')
            .ok_or_else(wrong)?
            .chars()
            .map(|c| c.to_digit(16).map(|d| d as u8))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let rgb = match digits[..] {
            [r, g, b] => [r * 17, g * 17, b * 17],
            [r, r2, g, g2, b, b2] => [r * 16 + r2, g * 16 + g2, b * 16 + b2],
            _ => return Err(wrong()),
        };
        Ok(Self { rgb })
    }
}

impl JsonSchema for Colour {
    fn schema_name() -> Cow<'static, str> {
        "Colour".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"})
    }
}

impl Request {
    /// Everything that can be known to be wrong without the picture; so a producer can be told
    /// before a job is accepted.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] names the field; [`ImageError::Unsupported`] the format.
    pub fn validate(&self, limits: &Limits) -> Result<(), ImageError> {
        if self.outputs.is_empty() && !self.placeholder {
            return Err(ImageError::invalid(
                "outputs",
                "nothing is asked for; give at least one output",
            ));
        }
        if self.outputs.len() > limits.max_outputs {
            let (asked, limit) = (self.outputs.len(), limits.max_outputs);
            return Err(ImageError::invalid(
                "outputs",
                format!("{asked} are asked for, at most {limit} are made; split the request"),
            ));
        }
        if let Focus::Point { x, y } = self.focus
            && !((0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y))
        {
            return Err(ImageError::invalid(
                "focus",
                format!("x and y are parts of the picture from 0 to 1, not {x} and {y}"),
            ));
        }
        if self.overlays.len() > limits.max_overlays {
            let (asked, limit) = (self.overlays.len(), limits.max_overlays);
            return Err(ImageError::invalid(
                "overlays",
                format!("{asked} are asked for, at most {limit} are drawn; leave some out"),
            ));
        }
        let mut names = HashSet::new();
        for (index, output) in self.outputs.iter().enumerate() {
            output.validate(index)?;
            if !names.insert(output.name.as_str()) {
                return Err(ImageError::invalid(
                    format!("outputs[{index}].name"),
                    format!("`{}` is used twice; names are unique", output.name),
                ));
            }
        }
        for (index, overlay) in self.overlays.iter().enumerate() {
            overlay.validate(index, &names)?;
        }
        Ok(())
    }
}

impl Output {
    fn validate(&self, index: usize) -> Result<(), ImageError> {
        let wrong = |field: &str, problem: String| {
            Err(ImageError::invalid(format!("outputs[{index}].{field}"), problem))
        };
        if !is_name(&self.name) {
            return wrong(
                "name",
                format!(
                    "`{}` is not a name; use 1 to 64 of a-z A-Z 0-9 . _ - not starting with a dot",
                    self.name.escape_debug()
                ),
            );
        }
        let (wants_width, wants_height) = match self.fit {
            Fit::Cover | Fit::Contain | Fit::Pad => (true, true),
            Fit::Width => (true, false),
            Fit::Height => (false, true),
        };
        for (field, value, wanted) in
            [("width", self.width, wants_width), ("height", self.height, wants_height)]
        {
            match value {
                None if wanted => return wrong(field, format!("needed by fit {}", self.fit)),
                Some(_) if !wanted => {
                    return wrong(field, format!("not used by fit {}; leave it out", self.fit));
                }
                Some(side) if !(1..=MAX_SIDE).contains(&side) => {
                    return wrong(field, format!("{side} is not between 1 and {MAX_SIDE}"));
                }
                _ => {}
            }
        }
        let lossless = self.format == OutputFormat::Png;
        match (self.quality, self.target) {
            (Some(_), _) if lossless => wrong("quality", "png is lossless; leave it out".into()),
            (_, Some(_)) if lossless => wrong("target", "png is lossless; leave it out".into()),
            (Some(_), Some(_)) => wrong("target", "give either quality or target".into()),
            (Some(quality), _) if !(1..=100).contains(&quality) => {
                wrong("quality", format!("{quality} is not between 1 and 100"))
            }
            (_, Some(target)) if !(10.0..=95.0).contains(&target) => {
                wrong("target", format!("{target} is not a score between 10 and 95"))
            }
            _ if !(0.0..=2.0).contains(&self.sharpen.unwrap_or(0.0)) => {
                wrong("sharpen", "it is not between 0 and 2".into())
            }
            _ if self.progressive && self.format != OutputFormat::Jpeg => {
                wrong("progressive", format!("{} has no such form; leave it out", self.format))
            }
            _ if self.animated && self.format != OutputFormat::Webp => {
                wrong("animated", format!("{} stays still; ask for webp", self.format))
            }
            _ if self.animated && self.target.is_some() => {
                wrong("animated", "no score is found for it; give quality, not target".into())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cover => "cover",
            Self::Contain => "contain",
            Self::Pad => "pad",
            Self::Width => "width",
            Self::Height => "height",
        })
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
