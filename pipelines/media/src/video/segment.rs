//! One scene with the transition into it, as an H.264 file of its own.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::caption::Cue;
use super::clip::Clip;
use super::encoder::{Encoder, Quality};
use super::frame::{Frame, Picture};
use super::motion::{Camera, Motion, ROOM};
use super::overlay::Overlay;
use super::raster::{Caption, CaptionStyle};
use super::{Canvas, Fonts, Transition};
use crate::child::{Running, Stop};
use crate::error::MediaError;
use crate::tools::Tools;

/// What a scene shows.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A still, at [`still_size`] of the canvas.
    Still {
        /// The picture.
        picture: Arc<Picture>,
        /// The move over it.
        motion: Motion,
    },
    /// A clip in a file of this machine.
    Clip(PathBuf),
}

/// A scene.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What it shows.
    pub shown: Shown,
    /// How many frames are its own.
    pub frames: u32,
    /// How many more the next scene needs for its transition.
    pub tail: u32,
}

/// Everything a segment depends on.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is drawn on.
    pub canvas: Canvas,
    /// The scene.
    pub scene: Scene,
    /// The scene before, how it goes over, and for how many frames.
    pub before: Option<(Scene, Transition, u32)>,
    /// Captions, in seconds from the first frame of the segment.
    pub cues: Vec<Cue>,
    /// How they look.
    pub style: CaptionStyle,
    /// What lies over everything.
    pub logo: Option<Arc<Overlay>>,
    /// What encodes it.
    pub encoder: Encoder,
    /// With how much care.
    pub quality: Quality,
}

/// The size in pixels at which a still is wanted: larger than the canvas, so that it can move.
#[must_use]
pub fn still_size(canvas: Canvas) -> (u32, u32) {
    let larger = |side: u32| ((f64::from(side) * ROOM / 2.0).ceil() as u32) * 2;
    (larger(canvas.width), larger(canvas.height))
}

/// Draws and encodes a segment: the bytes of an MP4 without sound. `progress` hears of every frame.
///
/// # Errors
/// When ffmpeg is missing or fails, or it was stopped.
pub fn render(
    job: &Job,
    fonts: &Fonts,
    tools: &Tools,
    stop: &Stop,
    progress: &dyn Fn(u32),
) -> Result<Vec<u8>, MediaError> {
    let dir = tools.work_folder()?;
    let file = dir.path().join("segment.mp4");
    let Canvas { width, height, fps } = job.canvas;
    let mut args: Vec<OsString> = tools.ffmpeg_args();
    args.retain(|word| word != "-nostdin");
    args.extend(
        ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-color_range", "tv", "-s"].map(Into::into),
    );
    args.extend([format!("{width}x{height}"), "-r".into(), fps.to_string()].map(Into::into));
    args.extend(["-i", "pipe:0", "-an"].map(Into::into));
    args.extend(job.encoder.args(job.canvas, job.quality, tools.threads));
    args.push(file.clone().into());
    let mut encoder = Running::start(&tools.ffmpeg, &args, stop)?;
    let pipe = encoder.input();
    let fed = pipe.map_or(Ok(()), |pipe| feed(job, fonts, tools, stop, progress, pipe));
    match fed {
        // A broken pipe: what ffmpeg says is the reason.
        Err(MediaError::Io { .. }) | Ok(()) => encoder.finish().and(fed)?,
        Err(error) => return Err(error),
    }
    std::fs::read(&file).map_err(MediaError::io("read a segment"))
}

/// The line that is shown, and its picture with one word lit.
struct Subtitles<'a> {
    job: &'a Job,
    fonts: &'a Fonts,
    line: Option<(usize, Caption)>,
    drawn: Option<(Option<usize>, Option<Overlay>)>,
}

impl Subtitles<'_> {
    /// What is to be seen at a second of the segment.
    fn at(&mut self, second: f64) -> Option<&Overlay> {
        let (job, fonts) = (self.job, self.fonts);
        let index = job.cues.iter().position(|cue| (cue.start..cue.end).contains(&second))?;
        if self.line.as_ref().is_none_or(|(shown, _)| *shown != index) {
            let caption = Caption::new(&job.cues[index], &job.style, job.canvas, fonts);
            (self.line, self.drawn) = (Some((index, caption)), None);
        }
        let active = job.cues[index].active(second);
        let (_, caption) = self.line.as_ref()?;
        if self.drawn.as_ref().is_none_or(|(lit, _)| *lit != active) {
            self.drawn = Some((active, caption.draw(active)));
        }
        self.drawn.as_ref()?.1.as_ref()
    }
}

fn feed(
    job: &Job,
    fonts: &Fonts,
    tools: &Tools,
    stop: &Stop,
    progress: &dyn Fn(u32),
    mut pipe: impl Write,
) -> Result<(), MediaError> {
    let (canvas, size) = (job.canvas, (job.canvas.width as usize, job.canvas.height as usize));
    let mut painter = Painter::open(&job.scene, 0, canvas, tools, stop)?;
    let mut before = match &job.before {
        Some((scene, how, frames)) if *frames > 0 && *how != Transition::Cut => {
            Some((Painter::open(scene, scene.frames, canvas, tools, stop)?, *how, *frames))
        }
        _ => None,
    };
    let (mut frame, mut other) = (Frame::black(size.0, size.1), Frame::black(size.0, size.1));
    let mut subtitles = Subtitles { job, fonts, line: None, drawn: None };
    for n in 0..job.scene.frames {
        stop.check()?;
        painter.paint(n, &mut frame)?;
        if let Some((painter, how, frames)) = before.as_mut().filter(|(_, _, frames)| n < *frames) {
            painter.paint(painter.scene.frames + n, &mut other)?;
            frame.follow(&other, *how, (n as f32 + 0.5) / *frames as f32);
        }
        if let Some(logo) = &job.logo {
            logo.blend(&mut frame);
        }
        let second = (f64::from(n) + 0.5) / f64::from(canvas.fps);
        if let Some(caption) = subtitles.at(second) {
            caption.blend(&mut frame);
        }
        for (plane, _) in frame.planes() {
            pipe.write_all(plane).map_err(MediaError::io("write a frame to ffmpeg"))?;
        }
        progress(n + 1);
    }
    Ok(())
}

/// Paints the frames of a scene, in order.
struct Painter<'a> {
    scene: &'a Scene,
    source: Painted,
}

enum Painted {
    /// The same frame again and again.
    Plain(Box<Frame>),
    Still {
        still: Box<Frame>,
        motion: Motion,
        camera: Box<Camera>,
    },
    Clip(Box<Clip>),
}

impl<'a> Painter<'a> {
    fn open(
        scene: &'a Scene,
        from: u32,
        canvas: Canvas,
        tools: &Tools,
        stop: &Stop,
    ) -> Result<Self, MediaError> {
        let source = match &scene.shown {
            Shown::Still { picture, motion } => {
                let still = picture.to_frame();
                if still.width < 4 || still.height < 4 {
                    return Err(MediaError::invalid(
                        "image",
                        "it has fewer than four pixels on a side",
                    ));
                }
                let mut camera = Box::new(Camera::new());
                if *motion == Motion::Still {
                    let mut frame = Frame::black(canvas.width as usize, canvas.height as usize);
                    camera.draw(&still, Motion::Still, 0.0, &mut frame);
                    Painted::Plain(Box::new(frame))
                } else {
                    Painted::Still { still: Box::new(still), motion: *motion, camera }
                }
            }
            Shown::Clip(file) => {
                Painted::Clip(Box::new(Clip::open(file, from, canvas, tools, stop)?))
            }
        };
        Ok(Self { scene, source })
    }

    fn paint(&mut self, n: u32, frame: &mut Frame) -> Result<(), MediaError> {
        match &mut self.source {
            Painted::Plain(plain) => {
                frame.clone_from(plain);
                Ok(())
            }
            Painted::Still { still, motion, camera } => {
                let last = (self.scene.frames + self.scene.tail).saturating_sub(1).max(1);
                camera.draw(still, *motion, f64::from(n) / f64::from(last), frame);
                Ok(())
            }
            Painted::Clip(clip) => clip.next(frame),
        }
    }
}
