//! What speech and videos share: the programs, the bounds, who speaks, and the speech of a text
//! made of kept parts.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey, Blobs};
use flotilla_core::{JobContext, JobError, Tenant};
use flotilla_media::speech::{Speech, assemble, timed};
use flotilla_media::text::{Prosody, Utterance, utterances};
use flotilla_media::video::{Choice, Fonts};
use flotilla_media::voice::{Espeak, Flite};
use flotilla_media::{MediaError, Spoken, Stop, Tools, Voice};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::services::Services;
use crate::voice_server::{Server, ServerVoice};

/// Bumped when the same text would sound or look different: what was kept is then made anew.
pub(crate) const VERSION: u32 = 2;

/// What the binary hands to speech and videos.
#[derive(Clone)]
pub struct Media {
    /// The programs.
    pub tools: Tools,
    /// Who speaks what names nobody else.
    pub provider: Provider,
    /// The language of what names none.
    pub language: String,
    /// The voice of `provider`; its own choice when not set.
    pub voice: Option<String>,
    /// Longest text in bytes.
    pub max_text: usize,
    /// Longest speech in seconds.
    pub max_speech: f64,
    /// The server of [`Provider::Openai`].
    pub server: Option<Arc<Server>>,
    /// Fonts for captions, beside those that come with the program.
    pub fonts: Arc<Fonts>,
    /// Whether the graphics card may encode.
    pub hardware: bool,
    /// Most scenes of a video.
    pub max_scenes: usize,
    /// Most pixels of a frame.
    pub max_pixels: u64,
    /// Most frames per second.
    pub max_fps: u32,
    /// Longest video in seconds.
    pub max_seconds: f64,
    /// The encoder, once one was chosen.
    pub encoder: Arc<OnceLock<Choice>>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            tools: Tools::along("/usr/local/bin:/usr/bin:/bin".into()),
            provider: Provider::Espeak,
            language: "en-us".to_owned(),
            voice: None,
            max_text: 65_536,
            max_speech: 1800.0,
            server: None,
            fonts: Arc::default(),
            hardware: false,
            max_scenes: 100,
            max_pixels: 2_073_600,
            max_fps: 60,
            max_seconds: 300.0,
            encoder: Arc::default(),
        }
    }
}

/// Who reads a text out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// espeak-ng on the worker's machine: all languages.
    Espeak,
    /// flite on the worker's machine: English.
    Flite,
    /// The server of the configuration that speaks OpenAI's protocol.
    Openai,
}

/// A voice; what is left out is as configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VoiceChoice {
    /// Who reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// With which of its voices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The language of the text, as in `en-us` or `de`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// 0.5 to 2; 1 is the voice's own speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    /// 0.5 to 2; 1 is the voice's own pitch. Servers ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pitch: Option<f32>,
}

impl VoiceChoice {
    /// What no configuration allows.
    pub(crate) fn faults(&self, field: &str) -> Vec<(String, String)> {
        let factor = |name: &str, value: Option<f32>| {
            let bad = value.filter(|value| !(0.5..=2.0).contains(value))?;
            Some((format!("{field}.{name}"), format!("{bad} is not from 0.5 to 2")))
        };
        factor("speed", self.speed).into_iter().chain(factor("pitch", self.pitch)).collect()
    }

    fn prosody(&self) -> Prosody {
        let (rate, pitch) = (self.speed.unwrap_or(1.0), self.pitch.unwrap_or(1.0));
        Prosody { rate, pitch, gain: 0.0 }
    }
}

impl Media {
    fn voice(&self, choice: &VoiceChoice) -> Result<Arc<dyn Voice>, MediaError> {
        let provider = choice.provider.unwrap_or(self.provider);
        let configured =
            self.voice.clone().filter(|_| provider == self.provider && choice.language.is_none());
        let name = choice.name.clone().or(configured);
        Ok(match provider {
            Provider::Espeak => {
                let name = name.unwrap_or_else(|| self.language_of(choice).to_owned());
                Arc::new(Espeak::new(&self.tools, &name, choice.prosody())?)
            }
            Provider::Flite => Arc::new(Flite::new(
                &self.tools,
                name.as_deref().unwrap_or("slt"),
                choice.prosody(),
            )?),
            Provider::Openai => {
                let server = self.server.clone().ok_or_else(|| MediaError::Invalid {
                    field: "voice.provider".to_owned(),
                    problem: "no voice server is configured: set speech.base_url and speech.model"
                        .to_owned(),
                })?;
                let name = name.unwrap_or_else(|| "alloy".to_owned());
                Arc::new(ServerVoice::new(server, name, choice.prosody().rate))
            }
        })
    }

    fn language_of<'a>(&'a self, choice: &'a VoiceChoice) -> &'a str {
        choice.language.as_deref().unwrap_or(&self.language)
    }
}

/// A text as sound, and how much of it was there already.
pub(crate) struct Said {
    pub(crate) speech: Speech,
    pub(crate) parts: usize,
    pub(crate) kept: usize,
}

/// Reads `text` out, part by part; parts that were read before are taken from the blobs.
pub(crate) async fn say(
    text: &str,
    markup: bool,
    choice: &VoiceChoice,
    services: &Services,
    cx: &JobContext,
    stop: &Stop,
) -> Result<Said, JobError> {
    let media = &services.media;
    if text.len() > media.max_text {
        let what = format!("a text of {} bytes", text.len());
        let max = media.max_text as u64;
        return Err(of_media(MediaError::TooLarge { what, max, setting: "speech.max_text" }));
    }
    let voice = media.voice(choice).map_err(of_media)?;
    let language = media.language_of(choice).to_owned();
    let local = Espeak::new(&media.tools, &language, Prosody::default()).ok();
    let said = utterances(text, markup, &language, voice.max_chars()).map_err(of_media)?;
    let (total, mut kept, mut seconds) = (said.len(), 0, 0.0);
    let mut parts = Vec::with_capacity(total);
    for utterance in said {
        let key = part_key(&cx.tenant, &*voice, &language, &utterance)?;
        let spoken = match fetch(&services.blobs, &key, 256 << 20)
            .await?
            .and_then(|b| Spoken::from_bytes(&b))
        {
            Some(spoken) => {
                kept += 1;
                spoken
            }
            None => {
                let left = media.max_speech - seconds;
                let spoken = speak(&*voice, &utterance, left, cx, stop).await?;
                let (local, whole, halt) = (local.clone(), utterance.clone(), stop.clone());
                let spoken =
                    work(cx, stop, move || Ok(timed(spoken, &whole, local.as_ref(), &halt)))
                        .await?;
                let bytes = Bytes::from(spoken.to_bytes());
                services.blobs.put(&key, bytes, "application/octet-stream").await?;
                spoken
            }
        };
        seconds += spoken.sound.seconds();
        if seconds > media.max_speech {
            let what = format!("speech of more than {seconds:.0} seconds");
            let max = media.max_speech as u64;
            return Err(of_media(MediaError::TooLarge { what, max, setting: "speech.max_length" }));
        }
        parts.push((utterance, spoken));
    }
    let speech = work(cx, stop, move || Ok(assemble(&parts))).await?;
    Ok(Said { speech, parts: total, kept })
}

async fn speak(
    voice: &dyn Voice,
    utterance: &Utterance,
    seconds: f64,
    cx: &JobContext,
    stop: &Stop,
) -> Result<Spoken, JobError> {
    let speaking = voice.speak(utterance, seconds.max(1.0), stop);
    tokio::select! {
        spoken = speaking => spoken.map_err(of_media),
        () = cx.cancellation.cancelled() => {
            stop.stop();
            Err(of_media(MediaError::Stopped))
        }
    }
}

fn part_key(
    tenant: &Tenant,
    voice: &dyn Voice,
    language: &str,
    utterance: &Utterance,
) -> Result<BlobKey, JobError> {
    key_of(tenant, "speech/parts", &(VERSION, voice.identity(), language, utterance), "part")
}

/// `content/<tenant>/<place>/<2 hex>/<32 hex of BLAKE3>.<ending>` of what `parts` says.
pub(crate) fn key_of(
    tenant: &Tenant,
    place: &str,
    parts: &impl Serialize,
    ending: &str,
) -> Result<BlobKey, JobError> {
    let bytes = serde_json::to_vec(parts).map_err(JobError::invalid)?;
    key_of_bytes(tenant, place, &bytes, ending)
}

/// The same for bytes.
pub(crate) fn key_of_bytes(
    tenant: &Tenant,
    place: &str,
    bytes: &[u8],
    ending: &str,
) -> Result<BlobKey, JobError> {
    let hash = blake3::hash(bytes).to_hex();
    let (shard, hash) = (&hash[..2], &hash[..32]);
    BlobKey::of_tenant(tenant, &format!("{place}/{shard}/{hash}.{ending}"))
        .map_err(JobError::invalid)
}

/// A blob, if it is there.
pub(crate) async fn fetch(
    blobs: &Arc<dyn Blobs>,
    key: &BlobKey,
    max: u64,
) -> Result<Option<Bytes>, JobError> {
    match blobs.get(key, max).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(BlobError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Runs `work` on the CPU pool; when the attempt is to stop, its programs are killed first.
pub(crate) async fn work<T: Send + 'static>(
    cx: &JobContext,
    stop: &Stop,
    work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
) -> Result<T, JobError> {
    let mut working = std::pin::pin!(cx.cpu(work));
    let done = tokio::select! {
        done = &mut working => done,
        () = cx.cancellation.cancelled() => {
            stop.stop();
            working.await
        }
    };
    done?.map_err(of_media)
}

/// What a failure of the pipeline means for the job.
pub(crate) fn of_media(error: MediaError) -> JobError {
    match error {
        MediaError::Busy { after, .. } => {
            let after = after.map(|wait| wait.min(Duration::from_secs(6 * 3600)));
            JobError::throttled(error, after)
        }
        error if error.is_permanent() => JobError::invalid(error),
        error => JobError::retry(error),
    }
}
