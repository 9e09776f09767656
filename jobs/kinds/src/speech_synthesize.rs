//! `speech.synthesize`: a text in; its sound, the times of its words and captions out, as blobs.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::blob::BlobKey;
use flotilla_core::job::{Job, Policy};
use flotilla_core::{Handler, JobContext, JobError, Kind, Lane, Tenant};
use flotilla_media::speech::TimedWord;
use flotilla_media::video::caption::{cues, srt, vtt};
use flotilla_media::{AudioFormat, Loudness, Stop, Timing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::media::{VoiceChoice, key_of_bytes, say, work};
use crate::services::Services;

/// The payload: a text and who reads it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpeechSynthesize {
    /// What is read: plain text, or SSML.
    pub text: String,
    /// Whether `text` is SSML: `speak`, `p`, `s`, `break`, `prosody`, `emphasis`, `say-as`, `sub`.
    #[serde(default)]
    pub ssml: bool,
    /// Who reads it.
    #[serde(default)]
    pub voice: VoiceChoice,
    /// What the sound is written as.
    #[serde(default)]
    pub format: AudioFormat,
    /// Whether to write captions (SRT and `WebVTT`) too.
    #[serde(default)]
    pub captions: bool,
}

impl Job for SpeechSynthesize {
    const KIND: Kind = Kind::from_static("speech.synthesize");
    type Output = SpeechResult;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("media"),
            max_attempts: 5,
            timeout: Duration::from_secs(600),
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        let mut faults = self.voice.faults("voice");
        if self.text.trim().is_empty() {
            faults.push(("text".to_owned(), "there is nothing to say in it".to_owned()));
        }
        faults
    }
}

/// The result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SpeechResult {
    /// The sound. Its key follows from the content: the same sound has the same key.
    pub audio: BlobKey,
    /// What it is written as.
    pub format: AudioFormat,
    /// Its size.
    pub bytes: u64,
    /// How long it lasts.
    pub seconds: f64,
    /// What it measures.
    pub loudness: Loudness,
    /// When each word begins and ends, in seconds.
    pub words: Vec<TimedWord>,
    /// How these times came about.
    pub timing: Timing,
    /// In how many parts it was read.
    pub parts: usize,
    /// How many of them had been read before.
    pub kept: usize,
    /// Captions as `SubRip`, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srt: Option<BlobKey>,
    /// Captions as `WebVTT`, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vtt: Option<BlobKey>,
}

/// Reads texts out.
pub struct SpeechHandler {
    services: Services,
}

impl SpeechHandler {
    /// Takes the ports and bounds it uses.
    pub fn new(services: &Services) -> Self {
        Self { services: services.clone() }
    }
}

impl Handler<SpeechSynthesize> for SpeechHandler {
    async fn run(&self, job: SpeechSynthesize, cx: &JobContext) -> Result<SpeechResult, JobError> {
        let stop = Stop::default();
        let _guard = stop.on_drop();
        cx.progress(0.0, "reading the text out");
        let said = say(&job.text, job.ssml, &job.voice, &self.services, cx, &stop).await?;

        cx.progress(0.8, "writing the sound");
        let (mut speech, format) = (said.speech, job.format);
        let (tools, halt) = (self.services.media.tools.clone(), stop.clone());
        let (bytes, loudness, speech) = work(cx, &stop, move || {
            let (bytes, loudness) = speech.encode(format, &tools, &halt)?;
            Ok((bytes, loudness, speech))
        })
        .await?;
        let size = bytes.len() as u64;
        let audio =
            self.put(&cx.tenant, "speech", bytes, format.extension(), format.media_type()).await?;
        let lines = if job.captions { cues(&speech.words, 8, 42) } else { Vec::new() };
        let (mut srt_key, mut vtt_key) = (None, None);
        if job.captions {
            let (plain, web) = (srt(&lines).into_bytes(), vtt(&lines).into_bytes());
            srt_key =
                Some(self.put(&cx.tenant, "speech", plain, "srt", "application/x-subrip").await?);
            vtt_key = Some(self.put(&cx.tenant, "speech", web, "vtt", "text/vtt").await?);
        }
        Ok(SpeechResult {
            audio,
            format,
            bytes: size,
            seconds: (speech.sound.seconds() * 1000.0).round() / 1000.0,
            loudness,
            words: speech.words,
            timing: speech.timing,
            parts: said.parts,
            kept: said.kept,
            srt: srt_key,
            vtt: vtt_key,
        })
    }
}

impl SpeechHandler {
    async fn put(
        &self,
        tenant: &Tenant,
        place: &str,
        bytes: Vec<u8>,
        ending: &str,
        media: &str,
    ) -> Result<BlobKey, JobError> {
        let key = key_of_bytes(tenant, place, &bytes, ending)?;
        self.services.blobs.put(&key, Bytes::from(bytes), media).await?;
        Ok(key)
    }
}
