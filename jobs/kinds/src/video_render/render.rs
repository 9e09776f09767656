//! The attempt: speech, then segments that are not there yet, then the whole.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::blob::BlobKey;
use flotilla_core::{Handler, JobContext, JobError, Tenant};
use flotilla_images::{Fit, Output, OutputFormat, Request, Workshop};
use flotilla_media::speech::Speech;
use flotilla_media::video::caption::{Cue, ass, cues, srt, vtt};
use flotilla_media::video::segment::{self, Scene, Shown, still_size};
use flotilla_media::video::{
    Canvas, CaptionStyle, Choice, Motion, Music, Overlay, Part, Picture, Rgb, Transition, choose,
    finish, missing, soundtrack,
};
use flotilla_media::{MediaError, Stop};
use serde_json::json;

use super::payload::{Corner, LogoSpec, SceneSpec, VideoRender};
use super::{SceneResult, VideoResult};
use crate::media::{VERSION, VoiceChoice, fetch, key_of, key_of_bytes, of_media, say, work};
use crate::services::Services;
use crate::source::{self, Source};

/// Silence before a scene's speech, after its transition, in seconds.
const LEAD: f64 = 0.1;
/// What follows it before the scene ends.
const REST: f64 = 0.35;
/// A silent scene lasts this long.
const SILENT: f64 = 4.0;
/// Characters of a line of captions.
const MAX_CHARS: usize = 34;

/// Renders videos.
pub struct VideoHandler {
    services: Services,
}

impl VideoHandler {
    /// Takes the ports and bounds it uses.
    pub fn new(services: &Services) -> Self {
        Self { services: services.clone() }
    }
}

/// A scene whose speech and length are known.
struct Planned<'a> {
    field: String,
    spec: &'a SceneSpec,
    speech: Option<Speech>,
    /// How it begins, and for how many frames.
    transition: (Transition, u32),
    /// Seconds from its first frame to its speech.
    lead: f64,
    frames: u32,
    /// Frames that the next scene needs of it.
    tail: u32,
    motion: Motion,
    /// What it shows, by content.
    shown: String,
    file: Option<PathBuf>,
}

impl Handler<VideoRender> for VideoHandler {
    async fn run(&self, job: VideoRender, cx: &JobContext) -> Result<VideoResult, JobError> {
        let stop = Stop::default();
        let _guard = stop.on_drop();
        let canvas = job.canvas();
        self.within_bounds(&job, canvas).map_err(of_media)?;
        let scratch = self.services.media.tools.work_folder().map_err(of_media)?;
        let mut plan = self.plan(&job, canvas, cx, &stop).await?;
        let total: u32 = plan.iter().map(|scene| scene.frames).sum();
        let seconds = f64::from(total) / f64::from(canvas.fps);
        if seconds > self.services.media.max_seconds {
            let what = format!("a video of {seconds:.0} seconds");
            let max = self.services.media.max_seconds as u64;
            return Err(of_media(MediaError::TooLarge { what, max, setting: "video.max_length" }));
        }
        for (index, scene) in plan.iter_mut().enumerate() {
            self.gather(scene, &scratch.path().join(format!("source{index}")), cx).await?;
        }
        let logo = self.logo(job.logo.as_ref(), canvas, cx, &stop).await?;
        let encoder = self.encoder(cx, &stop).await?;

        let (mut segments, mut results) = (Vec::new(), Vec::new());
        let (mut done, mut last) = (0, None);
        for index in 0..plan.len() {
            let key = segment_key(&cx.tenant, &plan, index, &job, canvas, logo.as_ref(), &encoder)?;
            let say = format!("scene {} of {}", index + 1, plan.len());
            let at = |frames: u32| 0.1 + 0.8 * f64::from(done + frames) / f64::from(total.max(1));
            cx.progress(at(0), say.clone());
            let max = 1 << 30;
            let (bytes, kept) = match fetch(&self.services.blobs, &key, max).await? {
                Some(bytes) => (bytes, true),
                None => {
                    let overlay = logo.as_ref().map(|(_, overlay)| Arc::clone(overlay));
                    let before = last.take().filter(|(made, _)| made + 1 == index);
                    let task = self
                        .task(&plan, index, before, &job, canvas, overlay, &encoder, cx, &stop)
                        .await?;
                    last = Some((index, task.scene.clone()));
                    let bytes =
                        self.render(task, at(0), at(plan[index].frames), say, cx, &stop).await?;
                    self.services.blobs.put(&key, bytes.clone(), "video/mp4").await?;
                    (bytes, false)
                }
            };
            let scene = &plan[index];
            results.push(SceneResult {
                start: f64::from(done) / f64::from(canvas.fps),
                seconds: f64::from(scene.frames) / f64::from(canvas.fps),
                segment: key,
                kept,
                words: scene.speech.as_ref().map_or(0, |speech| speech.words.len()),
                timing: scene.speech.as_ref().map(|speech| speech.timing),
            });
            segments.push(bytes);
            done += scene.frames;
        }
        self.join(&job, canvas, plan, segments, results, encoder, cx, &stop).await
    }
}

impl VideoHandler {
    fn within_bounds(&self, job: &VideoRender, canvas: Canvas) -> Result<(), MediaError> {
        let media = &self.services.media;
        let over = |what: String, value: u64, max: u64, setting| {
            if value > max { Err(MediaError::TooLarge { what, max, setting }) } else { Ok(()) }
        };
        let scenes = job.all().len();
        over(
            format!("{scenes} scenes"),
            scenes as u64,
            media.max_scenes as u64,
            "video.max_scenes",
        )?;
        let pixels = u64::from(canvas.width) * u64::from(canvas.height);
        over(format!("a frame of {pixels} pixels"), pixels, media.max_pixels, "video.max_pixels")?;
        over(
            format!("{} frames per second", canvas.fps),
            u64::from(canvas.fps),
            u64::from(media.max_fps),
            "video.max_fps",
        )
    }

    /// Speaks every scene; with that the lengths are known.
    async fn plan<'a>(
        &self,
        job: &'a VideoRender,
        canvas: Canvas,
        cx: &JobContext,
        stop: &Stop,
    ) -> Result<Vec<Planned<'a>>, JobError> {
        let all = job.all();
        let count = all.len();
        let mut plan: Vec<Planned<'a>> = Vec::with_capacity(count);
        for (index, (field, spec)) in all.into_iter().enumerate() {
            cx.progress(
                0.1 * index as f64 / count as f64,
                format!("speech {} of {count}", index + 1),
            );
            let speech = match spec.text.as_deref().filter(|text| !text.trim().is_empty()) {
                Some(text) => {
                    let voice: &VoiceChoice = spec.voice.as_ref().unwrap_or(&job.voice);
                    Some(say(text, spec.ssml, voice, &self.services, cx, stop).await?.speech)
                }
                None => None,
            };
            let wanted = spec.transition.unwrap_or(job.transition);
            let (kind, length) = if index == 0 || wanted.kind == Transition::Cut {
                (Transition::Cut, 0.0)
            } else {
                (wanted.kind, wanted.seconds)
            };
            let lead = length + LEAD;
            let said = speech.as_ref().map(|speech| lead + speech.sound.seconds() + REST);
            let seconds = spec
                .seconds
                .unwrap_or(if said.is_some() { 0.0 } else { SILENT })
                .max(said.unwrap_or(0.0));
            let frames = ((seconds * f64::from(canvas.fps)).ceil() as u32).max(1);
            let transition = (kind, canvas.frames(length).min(frames));
            if let Some(before) = plan.last_mut() {
                before.tail = transition.1;
            }
            let (motion, shown) = (spec.motion.settled(index), String::new());
            plan.push(Planned {
                field,
                spec,
                speech,
                transition,
                lead,
                frames,
                tail: 0,
                motion,
                shown,
                file: None,
            });
        }
        Ok(plan)
    }

    /// Reads what a scene shows into a file, so that memory holds one picture at a time.
    async fn gather(
        &self,
        scene: &mut Planned<'_>,
        file: &std::path::Path,
        cx: &JobContext,
    ) -> Result<(), JobError> {
        let spec = scene.spec;
        let Some(source) = spec.image.as_ref().or(spec.clip.as_ref()) else {
            scene.shown = spec.colour.unwrap_or(Rgb([0, 0, 0])).to_string();
            return Ok(());
        };
        let bytes = source::read(source, &self.services, cx).await?;
        let kind = if spec.clip.is_some() { "clip" } else { "image" };
        scene.shown = format!("{kind} {}", blake3::hash(&bytes).to_hex());
        tokio::fs::write(file, &bytes).await.map_err(JobError::retry)?;
        scene.file = Some(file.to_owned());
        Ok(())
    }

    async fn encoder(&self, cx: &JobContext, stop: &Stop) -> Result<Choice, JobError> {
        let media = self.services.media.clone();
        let halt = stop.clone();
        work(cx, stop, move || {
            Ok(media.encoder.get_or_init(|| choose(media.hardware, &media.tools, &halt)).clone())
        })
        .await
    }

    async fn logo(
        &self,
        spec: Option<&LogoSpec>,
        canvas: Canvas,
        cx: &JobContext,
        stop: &Stop,
    ) -> Result<Option<(String, Arc<Overlay>)>, JobError> {
        let Some(spec) = spec else { return Ok(None) };
        let bytes = source::read(&spec.source, &self.services, cx).await?;
        let width = ((spec.width * canvas.width as f32) as u32).max(2);
        let wide = Output { width: Some(width), ..output(Fit::Width) };
        let hash = blake3::hash(&bytes).to_hex();
        let key = format!("{hash} {:?} {} {}", spec.corner, spec.width, spec.opacity);
        let png = self
            .picture("logo", bytes, Request { outputs: vec![wide], ..Request::default() }, cx, stop)
            .await?;
        let picture = Picture::from_png(&png, 1 << 26).map_err(of_media)?;
        let (width, height) = picture.size();
        let margin = canvas.width.min(canvas.height) / 25;
        let right = canvas.width.saturating_sub(width + margin);
        let bottom = canvas.height.saturating_sub(height + margin);
        let (x, y) = match spec.corner {
            Corner::TopLeft => (margin, margin),
            Corner::TopRight => (right, margin),
            Corner::BottomLeft => (margin, bottom),
            Corner::BottomRight => (right, bottom),
        };
        Ok(Some((key, Arc::new(Overlay::new(&picture, x, y, spec.opacity)))))
    }

    /// Decodes, turns upright, converts to sRGB and fits a picture, as the image pipeline does.
    async fn picture(
        &self,
        field: &str,
        bytes: Bytes,
        request: Request,
        cx: &JobContext,
        stop: &Stop,
    ) -> Result<Vec<u8>, JobError> {
        let limits = self.services.images.clone();
        let (field, halt) = (field.to_owned(), stop.clone());
        work(cx, stop, move || {
            let made =
                Workshop::default().thumbnails(&bytes, &request, &limits, &|| halt.is_stopped());
            match made {
                Ok(mut made) if !made.outputs.is_empty() => Ok(made.outputs.swap_remove(0).bytes),
                Ok(_) => Err(MediaError::Voice("the image pipeline made nothing".to_owned())),
                Err(error) if error.is_permanent() => {
                    Err(MediaError::Invalid { field, problem: error.to_string() })
                }
                Err(error) => Err(MediaError::Voice(error.to_string())),
            }
        })
        .await
    }

    /// A scene as it is drawn.
    async fn scene(
        &self,
        planned: &Planned<'_>,
        canvas: Canvas,
        cx: &JobContext,
        stop: &Stop,
    ) -> Result<Scene, JobError> {
        let (wide, high) = still_size(canvas);
        let shown = match (&planned.file, planned.spec.clip.is_some()) {
            (Some(file), true) => Shown::Clip(file.clone()),
            (Some(file), false) => {
                let bytes = tokio::fs::read(file).await.map_err(JobError::retry)?;
                let cover = Output { width: Some(wide), height: Some(high), ..output(Fit::Cover) };
                let request = Request {
                    outputs: vec![cover],
                    focus: planned.spec.focus,
                    ..Request::default()
                };
                let field = format!("{}.image", planned.field);
                let png = self.picture(&field, bytes.into(), request, cx, stop).await?;
                let max = u64::from(wide) * u64::from(high);
                let picture = work(cx, stop, move || Picture::from_png(&png, max)).await?;
                Shown::Still { picture: Arc::new(picture), motion: planned.motion }
            }
            (None, _) => {
                let colour = planned.spec.colour.unwrap_or(Rgb([0, 0, 0]));
                let picture = Arc::new(Picture::plain(colour, canvas.width, canvas.height));
                Shown::Still { picture, motion: Motion::Still }
            }
        };
        Ok(Scene { shown, frames: planned.frames, tail: planned.tail })
    }

    #[expect(clippy::too_many_arguments, reason = "everything a segment depends on")]
    async fn task(
        &self,
        plan: &[Planned<'_>],
        index: usize,
        before: Option<(usize, Scene)>,
        job: &VideoRender,
        canvas: Canvas,
        logo: Option<Arc<Overlay>>,
        encoder: &Choice,
        cx: &JobContext,
        stop: &Stop,
    ) -> Result<segment::Job, JobError> {
        let here = &plan[index];
        let before = match here.transition {
            (_, 0) => None,
            (how, frames) => {
                let scene = match before {
                    // its segment was made just now
                    Some((_, scene)) => scene,
                    None => self.scene(&plan[index - 1], canvas, cx, stop).await?,
                };
                Some((scene, how, frames))
            }
        };
        Ok(segment::Job {
            canvas,
            scene: self.scene(here, canvas, cx, stop).await?,
            before,
            cues: lines(here, job, 0.0),
            style: job.captions.clone(),
            logo,
            encoder: encoder.encoder,
            quality: job.quality,
        })
    }

    async fn render(
        &self,
        task: segment::Job,
        from: f64,
        to: f64,
        message: String,
        cx: &JobContext,
        stop: &Stop,
    ) -> Result<Bytes, JobError> {
        let (media, halt, told) = (self.services.media.clone(), stop.clone(), cx.clone());
        work(cx, stop, move || {
            let total = task.scene.frames.max(1);
            let progress = |frame: u32| {
                if frame.is_multiple_of(5) {
                    let part = from + (to - from) * f64::from(frame) / f64::from(total);
                    told.progress(part, format!("{message}, frame {frame} of {total}"));
                }
            };
            let made = segment::render(&task, &media.fonts, &media.tools, &halt, &progress);
            made.map(Bytes::from)
        })
        .await
    }

    #[expect(clippy::too_many_arguments, reason = "all that was made so far comes together here")]
    async fn join(
        &self,
        job: &VideoRender,
        canvas: Canvas,
        plan: Vec<Planned<'_>>,
        segments: Vec<Bytes>,
        scenes: Vec<SceneResult>,
        encoder: Choice,
        cx: &JobContext,
        stop: &Stop,
    ) -> Result<VideoResult, JobError> {
        cx.progress(0.9, "mixing and joining");
        let frames: u32 = plan.iter().map(|scene| scene.frames).sum();
        let seconds = f64::from(frames) / f64::from(canvas.fps);
        let lines: Vec<Cue> = plan
            .iter()
            .zip(&scenes)
            .flat_map(|(scene, made)| lines(scene, job, made.start))
            .collect();
        let spoken: Vec<(Speech, f64)> = plan
            .into_iter()
            .zip(&scenes)
            .filter_map(|(scene, made)| Some((scene.speech?, made.start + scene.lead)))
            .collect();
        let music = match &job.music {
            Some(music) => Some(Music {
                bytes: self.read(&music.source, cx).await?,
                level: music.level,
                duck: music.duck,
            }),
            None => None,
        };
        let intro = usize::from(job.intro.is_some());
        let first = scenes.get(intro).map_or(0.0, |scene| scene.start + scene.seconds / 2.0);
        let poster = job.poster.unwrap_or(first).clamp(0.0, (seconds - 0.1).max(0.0));
        let (tools, halt) = (self.services.media.tools.clone(), stop.clone());
        let made = work(cx, stop, move || {
            let parts: Vec<Part<'_>> =
                spoken.iter().map(|(speech, at)| Part { speech, at: *at }).collect();
            let sound = soundtrack(&parts, music.as_ref(), seconds, &tools, &halt)?;
            finish(&segments, &sound, canvas, poster, 1 << 30, &tools, &halt)
        })
        .await?;

        cx.progress(0.97, "storing the video");
        let warnings = self.warnings(&lines, &job.captions);
        let bytes = made.video.len() as u64;
        Ok(VideoResult {
            video: self.put(&cx.tenant, made.video, "mp4", "video/mp4").await?,
            bytes,
            width: canvas.width,
            height: canvas.height,
            fps: canvas.fps,
            frames,
            seconds,
            poster: self.put(&cx.tenant, made.poster, "jpg", "image/jpeg").await?,
            srt: self
                .put(&cx.tenant, srt(&lines).into_bytes(), "srt", "application/x-subrip")
                .await?,
            vtt: self.put(&cx.tenant, vtt(&lines).into_bytes(), "vtt", "text/vtt").await?,
            ass: self
                .put(
                    &cx.tenant,
                    ass(&lines, canvas, &job.captions).into_bytes(),
                    "ass",
                    "text/x-ass",
                )
                .await?,
            loudness: made.loudness,
            encoder,
            scenes,
            warnings,
        })
    }

    /// What could not be drawn as asked.
    fn warnings(&self, lines: &[Cue], style: &CaptionStyle) -> Vec<String> {
        let fonts = &self.services.media.fonts;
        let family = style.font.as_ref().filter(|family| !fonts.has_family(family));
        let mut warnings: Vec<String> = family
            .map(|family| format!("captions.font: no font of the family \"{family}\" is here"))
            .into_iter()
            .collect();
        let missing: String = missing(lines, style, fonts).into_iter().take(20).collect();
        if !missing.is_empty() {
            let shown = missing.escape_default();
            warnings.push(format!(
                "captions: no font has {shown}; install one that has, or name it in video.fonts"
            ));
        }
        warnings
    }

    async fn read(&self, source: &Source, cx: &JobContext) -> Result<Vec<u8>, JobError> {
        Ok(source::read(source, &self.services, cx).await?.to_vec())
    }

    async fn put(
        &self,
        tenant: &Tenant,
        bytes: Vec<u8>,
        ending: &str,
        media: &str,
    ) -> Result<BlobKey, JobError> {
        let key = key_of_bytes(tenant, "videos", &bytes, ending)?;
        self.services.blobs.put(&key, Bytes::from(bytes), media).await?;
        Ok(key)
    }
}

fn output(fit: Fit) -> Output {
    Output::new("still", fit, OutputFormat::Png)
}

/// The captions of a scene that begins at `start`.
fn lines(scene: &Planned<'_>, job: &VideoRender, start: f64) -> Vec<Cue> {
    let Some(speech) = scene.speech.as_ref().filter(|_| job.captions.show) else {
        return Vec::new();
    };
    let lines = cues(&speech.words, job.captions.max_words, MAX_CHARS);
    lines.into_iter().map(|cue| cue.later(start + scene.lead)).collect()
}

/// Follows from everything the segment depends on.
fn segment_key(
    tenant: &Tenant,
    plan: &[Planned<'_>],
    index: usize,
    job: &VideoRender,
    canvas: Canvas,
    logo: Option<&(String, Arc<Overlay>)>,
    encoder: &Choice,
) -> Result<BlobKey, JobError> {
    let about = |scene: &Planned<'_>| {
        json!([scene.shown, scene.spec.focus, scene.motion, scene.frames, scene.tail])
    };
    let here = &plan[index];
    let (how, frames) = here.transition;
    let before = (frames > 0).then(|| about(&plan[index - 1]));
    let parts = json!({
        "version": VERSION,
        "canvas": canvas,
        "scene": about(here),
        "before": before,
        "transition": [how, frames],
        "cues": lines(here, job, 0.0),
        "style": job.captions,
        "logo": logo.map(|(key, _)| key),
        "encoder": [encoder.encoder, job.quality],
    });
    key_of(tenant, "videos/segments", &parts, "mp4")
}
