//! What the process says of itself: the log on stderr, traces to a collector.
//!
//! The log is text for a terminal, JSON for everything else, unless told otherwise. What looks
//! like a secret is blacked out in both, and in traces.

pub(crate) mod gauges;
mod lines;
mod redact;
#[cfg(feature = "otlp")]
mod traces;

use std::io::{self, IsTerminal};

use flotilla_config::{Config, LogFormat};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::exit::Failure;

/// How much a command logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// As `log.level` says: a worker.
    Configured,
    /// Warnings and worse: commands that end by themselves.
    Warnings,
    /// Nothing: a live view would be torn, and it shows what goes wrong itself.
    Silent,
}

type Dyn = Box<dyn Layer<Registry> + Send + Sync>;

/// What has to be sent before the process ends.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    #[cfg(feature = "otlp")]
    traces: Option<traces::Export>,
}

impl Telemetry {
    /// Sends what is still on its way, as long as `telemetry.timeout` allows.
    pub(crate) async fn close(self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces {
            traces.close().await;
        }
    }
}

/// Installs the subscriber once. Only a worker is traced: its attempts are what takes time.
pub(crate) fn install(config: &Config, volume: Volume) -> Result<Telemetry, Failure> {
    let level = match volume {
        Volume::Configured => config.log.level.as_str(),
        Volume::Warnings => "warn",
        Volume::Silent => "off",
    };
    let filter = EnvFilter::try_new(level)
        .map_err(|e| Failure::config(format!("log.level = \"{level}\" is not a filter: {e}")))?;
    let json = match config.log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    let log: Dyn = if json {
        lines::Lines::new(io::stderr).with_filter(filter).boxed()
    } else {
        let text = tracing_subscriber::fmt::layer().with_target(false);
        text.with_writer(|| redact::Scrubbed(io::stderr())).with_filter(filter).boxed()
    };
    let (layers, telemetry) = traced(config, volume, log)?;
    tracing_subscriber::registry().with(layers).try_init().map_err(Failure::bug)?;
    Ok(telemetry)
}

#[cfg(feature = "otlp")]
fn traced(config: &Config, volume: Volume, log: Dyn) -> Result<(Vec<Dyn>, Telemetry), Failure> {
    if volume != Volume::Configured || config.telemetry.otlp_endpoint.is_none() {
        return Ok((vec![log], Telemetry::default()));
    }
    let (layer, export) = traces::open(&config.telemetry)?;
    Ok((vec![log, layer], Telemetry { traces: Some(export) }))
}

#[cfg(not(feature = "otlp"))]
fn traced(config: &Config, volume: Volume, log: Dyn) -> Result<(Vec<Dyn>, Telemetry), Failure> {
    if volume == Volume::Configured && config.telemetry.otlp_endpoint.is_some() {
        return Err(Failure::config(
            "telemetry.otlp_endpoint is not in this build: build it with `cargo build --release --features full`",
        ));
    }
    Ok((vec![log], Telemetry::default()))
}
