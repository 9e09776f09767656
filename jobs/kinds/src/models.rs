//! The language model that handlers may ask: which kinds do, and the guarded client as its way out.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::Kind;
use flotilla_models::{Answer, Ask, Image, Model, NoAnswer, Transport};
use flotilla_platforms::http::{Content, NoAnswer as NotAnswered, Outgoing};
use flotilla_platforms::{FetchError, Fetcher};

/// The model, and the kinds that ask it.
#[derive(Clone, Default)]
pub struct Models {
    /// `None`: no endpoint is configured, the rules work alone.
    pub model: Option<Arc<Model>>,
    /// Names of kinds.
    pub kinds: Vec<String>,
    /// Largest picture that is shown to it, in bytes.
    pub max_image: usize,
}

impl Models {
    /// The model, if a kind asks it.
    pub(crate) fn of(&self, kind: Kind) -> Option<Arc<Model>> {
        let asks = self.kinds.iter().any(|name| name == kind.as_str());
        self.model.clone().filter(|_| asks)
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Models({:?} for {:?})", self.model, self.kinds)
    }
}

/// A picture as a model may be shown it: of a type that models read, and not too large.
pub(crate) fn image(bytes: Bytes, max: usize) -> Result<Image, String> {
    if bytes.len() > max {
        return Err(format!(
            "the picture has {} bytes; the model is shown at most {max} (models.max_image)",
            bytes.len()
        ));
    }
    let media_type = match &bytes[..] {
        [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => return Err("the model is shown JPEG, PNG, GIF and WebP pictures only".to_owned()),
    };
    Ok(Image { media_type, bytes })
}

/// The guarded client as the way out of models.
pub struct GuardedAsk(pub Arc<Fetcher>);

#[async_trait]
impl Transport for GuardedAsk {
    async fn post(&self, ask: Ask<'_>) -> Result<Answer, NoAnswer> {
        let headers = ask.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
        let length = ask.body.len() as u64;
        let call = Outgoing {
            method: "POST".parse().map_err(|_| NoAnswer::Forbidden("POST".to_owned()))?,
            url: ask.url.to_owned(),
            headers: headers.collect(),
            content: Content::Body(ask.body.into(), length),
            timeout: ask.timeout,
            max_answer: ask.max_answer,
        };
        match self.0.send(call).await {
            Ok(answer) => {
                let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                let headers = answer.headers.iter();
                Ok(Answer {
                    status: answer.status,
                    headers: headers
                        .map(|(n, v)| (n.as_str().to_owned(), text(v.as_bytes())))
                        .collect(),
                    body: answer.body,
                })
            }
            Err(NotAnswered::NotSent(error) | NotAnswered::Unanswered(error)) => {
                let why = error.to_string();
                Err(match error {
                    FetchError::BadUrl { .. } | FetchError::Blocked { .. } => {
                        NoAnswer::Forbidden(why)
                    }
                    _ => NoAnswer::Unreachable(why),
                })
            }
        }
    }
}
