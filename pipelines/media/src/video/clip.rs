//! Frames of a clip, decoded, fitted to the canvas and brought to its pace by ffmpeg.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ChildStdout;

use super::Canvas;
use super::frame::Frame;
use crate::audio::codec::FORMATS;
use crate::child::{Running, Stop};
use crate::error::MediaError;
use crate::tools::Tools;

/// A clip that is being read; after its end the last frame stays.
pub(crate) struct Clip {
    _running: Running,
    /// Opens it again from the start, where nothing came from the moment asked for.
    again: Option<(PathBuf, u32, Canvas, Tools, Stop)>,
    output: Option<ChildStdout>,
    latest: Frame,
    /// Frames read so far.
    read: u32,
}

impl Clip {
    /// Begins at frame `from`.
    pub(crate) fn open(
        file: &Path,
        from: u32,
        canvas: Canvas,
        tools: &Tools,
        stop: &Stop,
    ) -> Result<Self, MediaError> {
        let Canvas { width, height, fps } = canvas;
        let seconds = f64::from(from) / f64::from(fps);
        let mut args: Vec<OsString> = tools.ffmpeg_args();
        args.extend(
            ["-format_whitelist", FORMATS, "-protocol_whitelist", "file", "-ss"].map(Into::into),
        );
        args.extend([format!("{seconds:.4}").into(), "-i".into(), file.as_os_str().to_owned()]);
        let filter = format!(
            "fps={fps},scale={width}:{height}:force_original_aspect_ratio=increase:out_color_matrix=bt709:\
             out_range=tv,crop={width}:{height}"
        );
        args.extend(["-an".into(), "-vf".into(), filter.into()]);
        args.extend(["-pix_fmt", "yuv420p", "-f", "rawvideo", "pipe:1"].map(Into::into));
        let mut running = Running::start(&tools.ffmpeg, &args, stop)?;
        let output = running.stdout();
        let latest = Frame::black(width as usize, height as usize);
        let again =
            (from > 0).then(|| (file.to_owned(), from, canvas, tools.clone(), stop.clone()));
        Ok(Self { _running: running, again, output, latest, read: 0 })
    }

    /// The next frame.
    pub(crate) fn next(&mut self, into: &mut Frame) -> Result<(), MediaError> {
        if let Some(pipe) = &mut self.output {
            let mut ended = false;
            for (plane, _) in into.planes_mut() {
                ended = ended || pipe.read_exact(plane).is_err();
            }
            if !ended {
                self.latest.clone_from(into);
                self.read += 1;
                return Ok(());
            }
            self.output = None;
            if let Some((file, from, canvas, tools, stop)) =
                self.again.take().filter(|_| self.read == 0)
            {
                let mut whole = Self::open(&file, 0, canvas, &tools, &stop)?;
                for _ in 0..from {
                    whole.next(into)?;
                    if whole.output.is_none() {
                        break;
                    }
                }
                self.latest = whole.latest;
            } else if self.read == 0 {
                return Err(MediaError::invalid("clip", "ffmpeg read no picture from it"));
            }
        }
        into.clone_from(&self.latest);
        Ok(())
    }
}
