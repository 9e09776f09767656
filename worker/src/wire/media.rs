//! From `[speech]` and `[video]` to the programs and bounds of the media kinds.

use std::sync::Arc;

use flotilla_config::{Config, Hardware, SpeechProvider};
use flotilla_core::Secret;
use flotilla_jobs::{GuardedAsk, Media, Provider, Server};
use flotilla_media::Tools;
use flotilla_media::video::Fonts;
use flotilla_platforms::{Fetcher, GuardSettings};
use url::Url;

use crate::exit::Failure;

/// Programs, bounds, and the voice server if there is one.
pub(crate) fn open(config: &Config) -> Result<Media, Failure> {
    let (speech, video) = (&config.speech, &config.video);
    let tools = tools(config);
    Ok(Media {
        server: server(config, &tools)?,
        tools,
        provider: match speech.provider {
            SpeechProvider::Espeak => Provider::Espeak,
            SpeechProvider::Flite => Provider::Flite,
            SpeechProvider::Openai => Provider::Openai,
        },
        language: speech.language.clone(),
        voice: speech.voice.clone(),
        max_text: speech.max_text,
        max_speech: speech.max_length.as_secs_f64(),
        fonts: Arc::new(Fonts::new(video.fonts.clone())),
        hardware: video.hardware == Hardware::Probe,
        max_scenes: video.max_scenes,
        max_pixels: video.max_pixels,
        max_fps: video.max_fps,
        max_seconds: video.max_length.as_secs_f64(),
        ..Media::default()
    })
}

/// The programs, looked for along `PATH`.
pub(crate) fn tools(config: &Config) -> Tools {
    let mut tools = Tools::along(std::env::var_os("PATH").unwrap_or_default());
    tools.ffmpeg.name = (&config.video.ffmpeg).into();
    tools.espeak.name = (&config.speech.espeak).into();
    tools.flite.name = (&config.speech.flite).into();
    tools.threads = config.video.threads;
    tools
}

/// The operator's own choice of a server, which may lie inside their network: a client of its own.
fn server(config: &Config, tools: &Tools) -> Result<Option<Arc<Server>>, Failure> {
    let speech = &config.speech;
    let (Some(base_url), Some(model)) = (&speech.base_url, &speech.model) else { return Ok(None) };
    let bad = |why: String| Failure::config(format!("speech.base_url: {why}"));
    let url = Url::parse(base_url).map_err(|error| bad(error.to_string()))?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(bad("is no address with a host".to_owned()));
    };
    let max_answer = usize::try_from(config.blobs.max_bytes).unwrap_or(usize::MAX);
    let guard = GuardSettings {
        ports: vec![port],
        allow_hosts: vec![format!("{host}:{port}")],
        max_bytes: config.blobs.max_bytes,
        connect_timeout: config.sources.connect_timeout,
        timeout: speech.timeout,
        redirects: 0,
    };
    let fetcher = Arc::new(Fetcher::new(guard).map_err(Failure::config)?);
    Ok(Some(Arc::new(Server {
        base_url: base_url.clone(),
        model: model.clone(),
        format: speech.format.clone(),
        key: speech.api_key.as_ref().map(|key| Secret::new(key.expose())),
        timeout: speech.timeout,
        max_answer,
        transport: Arc::new(GuardedAsk(fetcher)),
        tools: tools.clone(),
    })))
}
