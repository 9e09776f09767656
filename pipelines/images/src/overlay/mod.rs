//! What a caller may put on the outputs: an image such as a logo, a text, a price badge; with their
//! JSON names and the checks that need no picture. Sizes are parts of the output, so that one overlay
//! suits all of its sizes.

mod draw;

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ImageError;
use crate::request::Colour;

pub(crate) use draw::Overlays;

/// Characters of one text.
const MAX_TEXT: usize = 500;

/// One thing to put on the outputs: exactly one of `image`, `text`, `badge`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overlay<I> {
    /// A picture, such as a logo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<I>,
    /// A text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// A price or a few words on a coloured ground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub badge: Option<Badge>,
    /// Where it stands. Default: images in the bottom right corner, texts at the bottom, badges in the
    /// top right corner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gravity: Option<Gravity>,
    /// Distance from the edges, as a part of the output's shorter side: 0 to 0.5, default 0.04.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// 0 (not to be seen) to 1, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opacity: Option<f64>,
    /// Of an image: its width as a part of the output's, 0.01 to 1, default 0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Names of the outputs it is put on; all, when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<String>>,
}

/// A text on the picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// What it says; line feeds break lines. At most 500 characters.
    pub text: String,
    /// Family of the font; default Noto Sans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
    /// 100 to 900, default 700.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Whether a slanted face is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub italic: bool,
    /// Height of the type as a part of the output's shorter side, 0.01 to 0.5, default 0.07.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
    /// Where lines are broken, as a part of the output's width: 0.05 to 1, default 0.9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<f64>,
    /// Default white.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<Colour>,
    /// A line around the letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    /// A panel behind the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Panel>,
    /// Default centre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<TextAlign>,
}

/// A line around letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outline {
    /// Its colour.
    pub colour: Colour,
    /// Its width as a part of the type's height, 0 to 0.5, default 0.08.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<f64>,
}

/// A panel behind a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Its colour.
    pub colour: Colour,
    /// 0 to 1, default 0.8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opacity: Option<f64>,
    /// Space around the text as a part of the type's height, 0 to 2, default 0.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<f64>,
    /// Of its corners, as a part of the type's height, 0 to 2, default 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius: Option<f64>,
}

/// A price or a few words on a coloured ground.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Badge {
    /// What it says, for example a price. At most 500 characters.
    pub text: String,
    /// A former price, smaller and struck through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Default pill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<BadgeShape>,
    /// Height of the type as a part of the output's shorter side, 0.01 to 0.5, default 0.08.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
    /// Family of the font; default Noto Sans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
    /// Of the letters; default white.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<Colour>,
    /// Of the ground; default red.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Colour>,
}

/// The ground of a badge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BadgeShape {
    /// Round ends.
    #[default]
    Pill,
    /// Slightly rounded corners.
    Box,
    /// A disc.
    Circle,
}

/// Where lines stand in their block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextAlign {
    /// Left; for right-to-left text right.
    Start,
    /// In the middle.
    #[default]
    Centre,
    /// Right; for right-to-left text left.
    End,
}

/// A corner, the middle of an edge, or the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Gravity {
    TopLeft,
    Top,
    TopRight,
    Left,
    Centre,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
}

impl<I> Overlay<I> {
    /// The same overlay with another kind of image, such as the bytes behind an address.
    #[must_use]
    pub fn with_image<J>(self, image: Option<J>) -> Overlay<J> {
        let Self { image: _, text, badge, gravity, margin, opacity, scale, outputs } = self;
        Overlay { image, text, badge, gravity, margin, opacity, scale, outputs }
    }

    pub(crate) fn is_on(&self, output: &str) -> bool {
        self.outputs.as_ref().is_none_or(|names| names.iter().any(|name| name == output))
    }

    pub(crate) fn validate(&self, index: usize, names: &HashSet<&str>) -> Result<(), ImageError> {
        let wrong = |field: &str, problem: String| {
            Err(ImageError::invalid(format!("overlays[{index}]{field}"), problem))
        };
        let kinds = [self.image.is_some(), self.text.is_some(), self.badge.is_some()];
        if kinds.into_iter().filter(|&given| given).count() != 1 {
            return wrong("", "give exactly one of image, text and badge".into());
        }
        let unknown = self.outputs.iter().flatten().find(|name| !names.contains(name.as_str()));
        if let Some(name) = unknown {
            return wrong(".outputs", format!("there is no output `{}`", name.escape_debug()));
        }
        let text = self.text.as_ref();
        let badge = self.badge.as_ref();
        let outline = text.and_then(|text| text.outline.as_ref());
        let panel = text.and_then(|text| text.background.as_ref());
        for (field, value, low, high) in [
            (".margin", self.margin, 0.0, 0.5),
            (".opacity", self.opacity, 0.0, 1.0),
            (".scale", self.scale, 0.01, 1.0),
            (".text.size", text.and_then(|text| text.size), 0.01, 0.5),
            (".text.width", text.and_then(|text| text.width), 0.05, 1.0),
            (".text.weight", text.and_then(|text| text.weight).map(f64::from), 100.0, 900.0),
            (".text.outline.width", outline.and_then(|outline| outline.width), 0.0, 0.5),
            (".text.background.opacity", panel.and_then(|panel| panel.opacity), 0.0, 1.0),
            (".text.background.padding", panel.and_then(|panel| panel.padding), 0.0, 2.0),
            (".text.background.radius", panel.and_then(|panel| panel.radius), 0.0, 2.0),
            (".badge.size", badge.and_then(|badge| badge.size), 0.01, 0.5),
        ] {
            if value.is_some_and(|value| !(low..=high).contains(&value)) {
                return wrong(field, format!("it is not between {low} and {high}"));
            }
        }
        for (field, text) in [
            (".text.text", text.map(|text| &text.text)),
            (".badge.text", badge.map(|badge| &badge.text)),
            (".badge.was", badge.and_then(|badge| badge.was.as_ref())),
        ] {
            match text.map(|text| text.chars().count()) {
                Some(0) => return wrong(field, "it is empty; leave the overlay out".into()),
                Some(count) if count > MAX_TEXT => {
                    return wrong(
                        field,
                        format!("{count} characters, at most {MAX_TEXT} are drawn"),
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}
