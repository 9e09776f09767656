//! The voice of a server that speaks OpenAI's protocol (`POST /audio/speech`).
//!
//! Such servers answer with sound and nothing else: when words begin is found by alignment.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::Secret;
use flotilla_media::text::Utterance;
use flotilla_media::{MediaError, Mono, Spoken, Stop, Timing, Tools, Voice, read_sound};
use flotilla_models::{Answer, Ask, NoAnswer, Transport};
use serde_json::json;

/// The protocol's bound is 4096; some servers count tokens and stop earlier.
const MAX_CHARS: usize = 3000;
/// Samples per second of the protocol's `pcm`.
const PCM_RATE: u32 = 24_000;

/// A server and how it is asked.
pub struct Server {
    /// As in `https://api.openai.com/v1`.
    pub base_url: String,
    /// Its model.
    pub model: String,
    /// `wav`, `pcm`, `mp3`, `flac`, `aac` or `opus`.
    pub format: String,
    /// Its key.
    pub key: Option<Secret>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Most bytes of an answer.
    pub max_answer: usize,
    /// The way out.
    pub transport: Arc<dyn Transport>,
    /// For what has to be decoded.
    pub tools: Tools,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({} {})", self.base_url, self.model)
    }
}

/// One of its voices.
#[derive(Debug)]
pub struct ServerVoice {
    server: Arc<Server>,
    name: String,
    speed: f32,
}

impl ServerVoice {
    /// The voice `name` at `speed` (1 is its own).
    pub fn new(server: Arc<Server>, name: String, speed: f32) -> Self {
        Self { server, name, speed }
    }

    fn body(&self, utterance: &Utterance) -> Bytes {
        let speed = (self.speed * utterance.prosody.rate).clamp(0.25, 4.0);
        let body = json!({
            "model": self.server.model,
            "input": utterance.text(),
            "voice": self.name,
            "response_format": self.server.format,
            "speed": (f64::from(speed) * 100.0).round() / 100.0,
        });
        Bytes::from(body.to_string())
    }
}

#[async_trait]
impl Voice for ServerVoice {
    fn identity(&self) -> String {
        let Server { base_url, model, format, .. } = &*self.server;
        format!("{base_url}/{model}/{}/{}/{format}", self.name, self.speed)
    }

    fn max_chars(&self) -> usize {
        MAX_CHARS
    }

    async fn speak(
        &self,
        utterance: &Utterance,
        max_seconds: f64,
        stop: &Stop,
    ) -> Result<Spoken, MediaError> {
        let server = &self.server;
        let url = format!("{}/audio/speech", server.base_url.trim_end_matches('/'));
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers
            .extend(server.key.iter().map(|k| ("authorization", format!("Bearer {}", k.expose()))));
        let (body, timeout, max_answer) = (self.body(utterance), server.timeout, server.max_answer);
        let answer = server
            .transport
            .post(Ask { url: &url, headers, body, timeout, max_answer })
            .await
            .map_err(|error| match error {
                NoAnswer::Forbidden(why) => MediaError::Invalid {
                    field: "voice.provider".to_owned(),
                    problem: format!("speech.base_url may not be asked: {why}"),
                },
                NoAnswer::Unreachable(why) => {
                    MediaError::Voice(format!("the voice's server: {why}"))
                }
            })?;
        if answer.status != 200 {
            return Err(refused(&answer));
        }
        let (tools, stop, format) = (server.tools.clone(), stop.clone(), server.format.clone());
        let decoded = tokio::task::spawn_blocking(move || {
            decode(&answer.body, &format, max_seconds, &tools, &stop)
        });
        let sound = decoded.await.map_err(|e| MediaError::Voice(e.to_string()))??;
        Ok(Spoken { sound, starts: None, timing: Timing::Proportional })
    }
}

fn decode(
    body: &[u8],
    format: &str,
    max_seconds: f64,
    tools: &Tools,
    stop: &Stop,
) -> Result<Mono, MediaError> {
    let sound = match format {
        "pcm" => {
            let samples = body
                .chunks_exact(2)
                .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0);
            Mono { rate: PCM_RATE, samples: samples.collect() }
        }
        _ => read_sound(body, max_seconds, tools, stop)?,
    };
    if sound.samples.is_empty() {
        return Err(MediaError::Voice("the voice's server sent no sound".to_owned()));
    }
    Ok(sound)
}

/// What is not an answer with sound: busy, or a fault that the operator has to mend.
fn refused(answer: &Answer) -> MediaError {
    let said: String = serde_json::from_slice::<serde_json::Value>(&answer.body)
        .ok()
        .and_then(|body| {
            Some(body.pointer("/error/message")?.as_str()?.chars().take(300).collect())
        })
        .unwrap_or_else(|| format!("status {}", answer.status));
    match answer.status {
        400 | 404 | 413 | 422 => MediaError::Invalid {
            field: "voice".to_owned(),
            problem: format!("the voice's server says: {said}"),
        },
        429 | 503 => {
            let header = answer.headers.iter().find(|(name, _)| name == "retry-after");
            let after =
                header.and_then(|(_, value)| value.trim().parse().ok()).map(Duration::from_secs);
            MediaError::Busy { said, after }
        }
        status => MediaError::Voice(format!("the voice's server answered {status}: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use flotilla_media::text::utterances;
    use flotilla_media::write_wav;

    use super::*;

    #[derive(Default)]
    struct Recorded(Mutex<Vec<(String, serde_json::Value)>>, u16, Vec<u8>);

    #[async_trait]
    impl Transport for Recorded {
        async fn post(&self, ask: Ask<'_>) -> Result<Answer, NoAnswer> {
            let body = serde_json::from_slice(&ask.body).unwrap();
            self.0.lock().unwrap().push((ask.url.to_owned(), body));
            let headers = vec![("retry-after".to_owned(), "7".to_owned())];
            Ok(Answer { status: self.1, headers, body: self.2.clone().into() })
        }
    }

    fn server(status: u16, body: Vec<u8>) -> (Arc<Recorded>, ServerVoice) {
        let recorded = Arc::new(Recorded(Mutex::default(), status, body));
        let server = Server {
            base_url: "https://voice.example/v1/".to_owned(),
            model: "speaker".to_owned(),
            format: "wav".to_owned(),
            key: Some(Secret::new("sk-1")),
            timeout: Duration::from_secs(5),
            max_answer: 1 << 20,
            transport: Arc::clone(&recorded) as Arc<dyn Transport>,
            tools: Tools::along("/usr/bin".into()),
        };
        (recorded, ServerVoice::new(Arc::new(server), "alloy".to_owned(), 1.1))
    }

    #[tokio::test]
    async fn asks_as_the_protocol_says_and_reads_the_sound() {
        let said = utterances("It costs $5.", false, "en", 100).unwrap();
        let (recorded, voice) = server(200, write_wav(&[0.1; 800], 24_000, 1));
        let spoken = voice.speak(&said[0], 10.0, &Stop::default()).await.unwrap();
        assert_eq!((spoken.sound.rate, spoken.sound.samples.len()), (24_000, 800));
        let asked = recorded.0.lock().unwrap().clone();
        assert_eq!(asked[0].0, "https://voice.example/v1/audio/speech");
        let wanted = json!({"model": "speaker", "input": "It costs 5 dollars.", "voice": "alloy",
            "response_format": "wav", "speed": 1.1});
        assert_eq!(asked[0].1, wanted);
        assert!(!format!("{voice:?}").contains("sk-1"));
    }

    #[tokio::test]
    async fn a_busy_server_is_told_from_a_wrong_request() {
        let said = utterances("Hello.", false, "en", 100).unwrap();
        let error = |status, body: &str| {
            let (_, voice) = server(status, body.as_bytes().to_vec());
            let said = said[0].clone();
            async move { voice.speak(&said, 10.0, &Stop::default()).await.unwrap_err() }
        };
        let busy = error(429, r#"{"error":{"message":"slow down"}}"#).await;
        assert!(matches!(busy, MediaError::Busy { after: Some(wait), .. } if wait.as_secs() == 7));
        let wrong = error(400, r#"{"error":{"message":"no such voice"}}"#).await;
        assert!(wrong.is_permanent() && wrong.to_string().contains("no such voice"));
        assert!(!error(500, "").await.is_permanent());
    }
}
