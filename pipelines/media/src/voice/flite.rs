//! flite: the second local voice, English, under a permissive licence.

use std::ffi::OsString;

use async_trait::async_trait;

use super::{Spoken, Timing, Voice, blocking};
use crate::audio::read_wav;
use crate::child::{Stop, run};
use crate::error::MediaError;
use crate::text::{Prosody, Utterance};
use crate::tools::Tools;

/// The voices that are built into flite.
const VOICES: &[&str] = &["slt", "rms", "awb", "kal", "kal16"];
/// It speaks at this rate.
const RATE: f64 = 16_000.0;

/// A voice of flite.
#[derive(Clone, Debug)]
pub struct Flite {
    tools: Tools,
    voice: &'static str,
    prosody: Prosody,
}

impl Flite {
    /// One of the built-in voices.
    ///
    /// # Errors
    /// [`MediaError::Invalid`] when there is no such voice.
    pub fn new(tools: &Tools, voice: &str, prosody: Prosody) -> Result<Self, MediaError> {
        let Some(voice) = VOICES.iter().find(|known| **known == voice) else {
            let problem =
                format!("flite has no voice \"{voice}\"; there are {}", VOICES.join(", "));
            return Err(MediaError::invalid("voice", problem));
        };
        Ok(Self { tools: tools.clone(), voice, prosody })
    }

    fn say(
        &self,
        utterance: &Utterance,
        max_seconds: f64,
        stop: &Stop,
    ) -> Result<Spoken, MediaError> {
        let dir = self.tools.work_folder()?;
        let (text, wav) = (dir.path().join("text"), dir.path().join("speech.wav"));
        std::fs::write(&text, utterance.text())
            .map_err(MediaError::io("write a text for flite"))?;
        let stretch = 1.0 / (self.prosody.rate * utterance.prosody.rate).clamp(0.3, 3.0);
        let mut args: Vec<OsString> = ["-voice", self.voice, "--setf"].map(Into::into).to_vec();
        args.push(format!("duration_stretch={stretch:.3}").into());
        args.extend([
            "-f".into(),
            text.into_os_string(),
            "-o".into(),
            wav.clone().into_os_string(),
        ]);
        run(&self.tools.flite, &args, Vec::new(), 1 << 16, stop)?;
        let bytes = std::fs::read(&wav).map_err(MediaError::io("read what flite wrote"))?;
        let sound =
            read_wav(&bytes).ok_or_else(|| MediaError::Voice("flite wrote no WAV".into()))?;
        if sound.samples.len() as f64 > max_seconds * RATE {
            let what = format!("speech of {:.0} seconds", sound.seconds());
            return Err(MediaError::TooLarge {
                what,
                max: max_seconds as u64,
                setting: "speech.max_seconds",
            });
        }
        Ok(Spoken { sound, starts: None, timing: Timing::Proportional })
    }
}

#[async_trait]
impl Voice for Flite {
    fn identity(&self) -> String {
        format!("flite/{}/{:?}", self.voice, self.prosody)
    }

    fn max_chars(&self) -> usize {
        600
    }

    async fn speak(
        &self,
        utterance: &Utterance,
        max_seconds: f64,
        stop: &Stop,
    ) -> Result<Spoken, MediaError> {
        let (voice, utterance, stop) = (self.clone(), utterance.clone(), stop.clone());
        blocking(move || voice.say(&utterance, max_seconds, &stop)).await
    }
}
