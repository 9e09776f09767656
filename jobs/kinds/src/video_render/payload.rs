//! What a video is made of, as a payload.

use flotilla_images::Focus;
use flotilla_media::video::{Canvas, CaptionStyle, Motion, Quality, Rgb, Transition};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::media::VoiceChoice;
use crate::source::Source;

/// The payload.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoRender {
    /// The scenes, in order.
    pub scenes: Vec<SceneSpec>,
    /// The shape of the picture.
    #[serde(default)]
    pub shape: Shape,
    /// Frames per second.
    #[serde(default = "thirty")]
    pub fps: u32,
    /// Who reads, where a scene names nobody else.
    #[serde(default)]
    pub voice: VoiceChoice,
    /// How captions look.
    #[serde(default)]
    pub captions: CaptionStyle,
    /// How scenes follow one another, where a scene says nothing else.
    #[serde(default)]
    pub transition: TransitionSpec,
    /// Music below the speech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub music: Option<MusicSpec>,
    /// A logo over everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<LogoSpec>,
    /// Before the first scene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intro: Option<SceneSpec>,
    /// After the last scene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outro: Option<SceneSpec>,
    /// How much care is taken.
    #[serde(default)]
    pub quality: Quality,
    /// Where the poster is taken, in seconds; the middle of the first scene when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poster: Option<f64>,
}

fn thirty() -> u32 {
    30
}

/// The shape of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// 1080×1920.
    #[default]
    Portrait,
    /// 1080×1080.
    Square,
    /// 1920×1080.
    Landscape,
    /// Another size, both even.
    #[serde(untagged)]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

/// One scene. Without picture, clip and colour it is black.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SceneSpec {
    /// What is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether `text` is SSML.
    #[serde(default)]
    pub ssml: bool,
    /// Who says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<VoiceChoice>,
    /// A picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Source>,
    /// The point of the picture that stays in view.
    #[serde(default)]
    pub focus: Focus,
    /// A clip; its own sound is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Source>,
    /// One colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<Rgb>,
    /// How the view moves over the picture.
    #[serde(default)]
    pub motion: Motion,
    /// How the scene begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<TransitionSpec>,
    /// How long it lasts, in seconds; longer where the speech is. 4 for a silent scene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// How one scene follows another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransitionSpec {
    /// In which way.
    #[serde(default)]
    pub kind: Transition,
    /// For how long, 0 to 2 seconds.
    #[serde(default = "point_four")]
    pub seconds: f64,
}

fn point_four() -> f64 {
    0.4
}

impl Default for TransitionSpec {
    fn default() -> Self {
        Self { kind: Transition::Fade, seconds: point_four() }
    }
}

/// Music below the speech, repeated to the end.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MusicSpec {
    /// A file in a form that ffmpeg reads.
    pub source: Source,
    /// Its loudness against the speech in dB, -40 to 0.
    #[serde(default = "quieter")]
    pub level: f64,
    /// How far it goes down under speech in dB, 0 to 30.
    #[serde(default = "further_down")]
    pub duck: f64,
}

fn quieter() -> f64 {
    -8.0
}

fn further_down() -> f64 {
    10.0
}

/// A corner of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Corner {
    /// Top left.
    TopLeft,
    /// Top right.
    #[default]
    TopRight,
    /// Bottom left.
    BottomLeft,
    /// Bottom right.
    BottomRight,
}

/// A logo over everything.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoSpec {
    /// The picture; what is transparent stays so.
    pub source: Source,
    /// Where it stands.
    #[serde(default)]
    pub corner: Corner,
    /// Its width as a part of the video's, 0.02 to 0.9.
    #[serde(default = "a_sixth")]
    pub width: f32,
    /// 0 to 1.
    #[serde(default = "whole")]
    pub opacity: f32,
}

fn a_sixth() -> f32 {
    0.16
}

fn whole() -> f32 {
    1.0
}

impl VideoRender {
    pub(super) fn canvas(&self) -> Canvas {
        let (width, height) = match self.shape {
            Shape::Portrait => (1080, 1920),
            Shape::Square => (1080, 1080),
            Shape::Landscape => (1920, 1080),
            Shape::Size { width, height } => (width, height),
        };
        Canvas { width, height, fps: self.fps }
    }

    /// Intro, scenes, outro, each with the field that names it.
    pub(super) fn all(&self) -> Vec<(String, &SceneSpec)> {
        let mut all: Vec<_> = self.intro.iter().map(|scene| ("intro".to_owned(), scene)).collect();
        all.extend(
            self.scenes.iter().enumerate().map(|(n, scene)| (format!("scenes[{n}]"), scene)),
        );
        all.extend(self.outro.iter().map(|scene| ("outro".to_owned(), scene)));
        all
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        let scenes = self.intro.iter().chain(&self.scenes).chain(&self.outro);
        let pictures = scenes.flat_map(|scene| scene.image.iter().chain(&scene.clip));
        let sides = self.music.iter().map(|m| &m.source).chain(self.logo.iter().map(|l| &l.source));
        pictures.chain(sides)
    }

    /// What no configuration allows.
    pub(super) fn check(&self) -> Vec<(String, String)> {
        let mut faults = self.voice.faults("voice");
        let mut outside = |field: String, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                faults.push((field, format!("{value} is not from {low} to {high}")));
            }
        };
        outside("fps".into(), f64::from(self.fps), 1.0, 120.0);
        let canvas = self.canvas();
        outside("shape.width".into(), f64::from(canvas.width), 64.0, 8192.0);
        outside("shape.height".into(), f64::from(canvas.height), 64.0, 8192.0);
        outside("transition.seconds".into(), self.transition.seconds, 0.0, 2.0);
        if let Some(music) = &self.music {
            outside("music.level".into(), music.level, -40.0, 0.0);
            outside("music.duck".into(), music.duck, 0.0, 30.0);
        }
        if let Some(logo) = &self.logo {
            outside("logo.width".into(), f64::from(logo.width), 0.02, 0.9);
            outside("logo.opacity".into(), f64::from(logo.opacity), 0.0, 1.0);
        }
        for (field, scene) in self.all() {
            if let Some(transition) = scene.transition {
                outside(format!("{field}.transition.seconds"), transition.seconds, 0.0, 2.0);
            }
            if let Some(seconds) = scene.seconds {
                outside(format!("{field}.seconds"), seconds, 0.2, 3600.0);
            }
        }
        if canvas.width % 2 == 1 || canvas.height % 2 == 1 {
            faults.push(("shape".into(), "width and height must be even".into()));
        }
        if self.scenes.is_empty() {
            faults.push(("scenes".into(), "there is none".into()));
        }
        if let Some((field, problem)) = self.captions.fault() {
            faults.push((format!("captions.{field}"), problem));
        }
        for (field, scene) in self.all() {
            let shown = [scene.image.is_some(), scene.clip.is_some(), scene.colour.is_some()];
            if shown.iter().filter(|given| **given).count() > 1 {
                faults.push((field.clone(), "give one of image, clip and colour".into()));
            }
            if let Some(voice) = &scene.voice {
                faults.extend(voice.faults(&format!("{field}.voice")));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(payload: serde_json::Value) -> Vec<String> {
        let job: VideoRender = serde_json::from_value(payload).unwrap();
        job.check().into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn faults_name_their_fields() {
        use serde_json::json;
        assert!(faults(json!({"scenes": [{"text": "Hello."}]})).is_empty());
        assert_eq!(faults(json!({"scenes": []})), ["scenes"]);
        let odd = json!({"shape": {"width": 181, "height": 320}, "fps": 0, "scenes": [
            {"image": {"path": "a"}, "colour": "#000000", "seconds": 0.0}]});
        assert_eq!(faults(odd), ["fps", "scenes[0].seconds", "shape", "scenes[0]"]);
        let style = json!({"captions": {"size": 2.0}, "scenes": [{"voice": {"speed": 9.0}}]});
        assert_eq!(faults(style), ["captions.size", "scenes[0].voice.speed"]);
    }
}
