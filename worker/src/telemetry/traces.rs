//! Traces over OTLP: a span for each attempt, linked to the trace of whoever enqueued its job, and
//! below it one for each outgoing call.
//!
//! An attempt is a trace of its own and not a child, since it may run days later and more than
//! once. It is taken when its enqueuer's trace was, else by `telemetry.sample`.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::clock::before;
use flotilla_core::{Clock, SystemClock};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context as Parent, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::Dyn;
use super::redact::{HIDDEN, is_secret, scrub};
use crate::exit::Failure;

/// Events of this target are outgoing calls that have ended.
const CALL: &str = "flotilla::call";
/// Spans in one export.
const BATCH: usize = 512;
/// Between two exports.
const EVERY: Duration = Duration::from_secs(2);

/// What is on its way to the collector.
#[derive(Debug)]
pub(super) struct Export(SdkTracerProvider);

impl Export {
    /// Sends the rest.
    pub(super) async fn close(self) {
        // It waits for its own thread.
        let closed = tokio::task::spawn_blocking(move || self.0.shutdown()).await;
        if let Ok(Err(error)) = closed {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The layer that makes spans, and what sends them.
pub(super) fn open(settings: &flotilla_config::Telemetry) -> Result<(Dyn, Export), Failure> {
    let endpoint = settings.otlp_endpoint.as_deref().unwrap_or_default().trim_end_matches('/');
    let headers = settings.otlp_headers.as_ref().map(|h| headers(h.expose())).transpose()?;
    let client = reqwest::Client::builder().timeout(settings.timeout).build();
    let client = client.map_err(Failure::config)?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Sender { client, runtime: tokio::runtime::Handle::current() })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_timeout(settings.timeout)
        .with_headers(headers.unwrap_or_default())
        .build()
        .map_err(|e| Failure::config(format!("telemetry.otlp_endpoint: {e}")))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(settings.max_queue)
        .with_max_export_batch_size(BATCH.min(settings.max_queue))
        .with_scheduled_delay(EVERY)
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(
            BatchSpanProcessor::builder(exporter).with_batch_config(batches).build(),
        )
        .with_sampler(Sampler::AlwaysOn) // the layer has decided before
        .with_resource(
            Resource::builder_empty()
                .with_attributes([
                    KeyValue::new("service.name", settings.service.clone()),
                    KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                ])
                .build(),
        )
        .build();
    let traces = Traces { tracer: provider.tracer("flotilla"), sample: settings.sample };
    let ours = Targets::new().with_target("flotilla", Level::INFO).with_target(CALL, Level::DEBUG);
    Ok((traces.with_filter(ours).boxed(), Export(provider)))
}

fn headers(text: &str) -> Result<HashMap<String, String>, Failure> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    parts.map(pair).collect::<Option<_>>().ok_or_else(|| {
        Failure::config("telemetry.otlp_headers: write name=value, with commas between several")
    })
}

/// Sends exports over our own client; the thread that asks has no runtime of its own.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?;
            let mut made = http::Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                made = made.header(name, value);
            }
            Ok::<_, HttpError>(made.body(answer.bytes().await?)?)
        });
        sent.await?
    }
}

/// Turns spans of `tracing` into spans of a trace.
struct Traces {
    tracer: SdkTracer,
    sample: f64,
}

/// The trace's span of a span that is traced.
struct Taken(Span);

impl Traces {
    /// The span of an attempt, or of something below one that is taken.
    fn begin(
        &self,
        name: &'static str,
        fields: &Fields,
        parent: Option<&SpanContext>,
    ) -> Option<Span> {
        let link = fields.link();
        let taken = match (parent, &link) {
            (Some(_), _) => true,
            (None, Some(link)) if link.span_context.is_sampled() => true,
            (None, _) => self.by_chance(fields),
        };
        taken.then_some(())?;
        let builder = self
            .tracer
            .span_builder(name)
            .with_kind(if parent.is_none() { SpanKind::Consumer } else { SpanKind::Internal })
            .with_attributes(fields.attributes())
            .with_links(link.into_iter().collect());
        Some(self.tracer.build_with_context(builder, &under(parent)))
    }

    /// The same answer for all attempts of a job, so that a trace has all of them or none.
    fn by_chance(&self, fields: &Fields) -> bool {
        let job = fields.get("job").unwrap_or_default();
        let drawn = drawn_from(job);
        self.sample >= 1.0 || drawn < self.sample
    }
}

/// A number from 0 to 1 that follows from a text.
fn drawn_from(text: &str) -> f64 {
    // FNV-1a: even enough for a part of the whole, and needs nothing else.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn under(parent: Option<&SpanContext>) -> Parent {
    parent.map_or_else(Parent::new, |parent| Parent::new().with_remote_span_context(parent.clone()))
}

impl<S> Layer<S> for Traces
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(id) else { return };
        let parent = span.parent().and_then(|parent| {
            parent.extensions().get::<Taken>().map(|taken| taken.0.span_context().clone())
        });
        // A trace begins with an attempt; what runs beside jobs is not traced.
        let name = attributes.metadata().name();
        if parent.is_none() && name != "job" {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(begun) = self.begin(name, &fields, parent.as_ref()) {
            span.extensions_mut().insert(Taken(begun));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        let Some(span) = cx.span(id) else { return };
        if let Some(taken) = span.extensions_mut().get_mut::<Taken>() {
            let mut fields = Fields::default();
            values.record(&mut fields);
            taken.0.set_attributes(fields.attributes());
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let Some(span) = cx.event_span(event) else { return };
        let mut extensions = span.extensions_mut();
        let Some(taken) = extensions.get_mut::<Taken>() else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        if event.metadata().target() == CALL {
            self.call(&fields, taken.0.span_context());
            return;
        }
        let message = fields.get("message").unwrap_or("event").to_owned();
        if *event.metadata().level() == Level::ERROR {
            taken.0.set_status(Status::error(message.clone()));
        }
        taken.0.add_event(message, fields.attributes());
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(&id) else { return };
        if let Some(mut taken) = span.extensions_mut().remove::<Taken>() {
            taken.0.end();
        }
    }
}

impl Traces {
    /// A call that has ended: it began as long ago as it took.
    fn call(&self, fields: &Fields, attempt: &SpanContext) {
        let took = fields.get("took_us").and_then(|us| us.parse().ok()).unwrap_or(0);
        let began = before(SystemClock.now(), Duration::from_micros(took));
        let builder = self
            .tracer
            .span_builder(format!("call {}", fields.get("key").unwrap_or_default()))
            .with_kind(SpanKind::Client)
            .with_start_time(SystemTime::from(began))
            .with_attributes(fields.attributes());
        let mut span = self.tracer.build_with_context(builder, &under(Some(attempt)));
        if fields.get("answer") == Some("bad") {
            span.set_status(Status::error("no good answer"));
        }
        span.end();
    }
}

/// What was recorded, as text; few spans have more than ten fields.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let shown = |(name, _): &&(&'static str, String)| {
            !matches!(*name, "message" | "trace") && !name.starts_with("link.")
        };
        let attribute = |(name, value): &(&'static str, String)| {
            let named = match *name {
                "job" => "flotilla.job",
                "kind" => "flotilla.kind",
                "lane" => "flotilla.lane",
                "attempt" => "flotilla.attempt",
                other => other,
            };
            KeyValue::new(named, if is_secret(name) { HIDDEN.to_owned() } else { value.clone() })
        };
        self.0.iter().filter(shown).map(attribute).collect()
    }

    /// The span in which the job was enqueued.
    fn link(&self) -> Option<Link> {
        let trace = TraceId::from_hex(self.get("trace")?).ok()?;
        let span = SpanId::from_hex(self.get("link.span")?).ok()?;
        let sampled = self.get("link.sampled") == Some("true");
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let context = SpanContext::new(trace, span, flags, true, TraceState::default());
        context.is_valid().then(|| Link::new(context, Vec::new(), 0))
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), scrub(value).into_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), scrub(&format!("{value:?}")).into_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SpanData, SpanExporter};
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    fn traced(sample: f64, what: impl FnOnce()) -> Vec<SpanData> {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let layer = Traces { tracer: provider.tracer("test"), sample };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), what);
        kept.0.lock().unwrap().clone()
    }

    fn attempt(sampled: bool) {
        let link = "00f067aa0ba902b7";
        let span = tracing::info_span!(
            "job",
            job = "j-1",
            kind = "link.process",
            attempt = 1,
            trace = TRACE,
            link.span = link,
            link.sampled = sampled
        );
        span.in_scope(|| {
            tracing::debug!(target: CALL, key = "web/example.com", took_us = 1500, answer = "bad");
            tracing::warn!(error = "refused password=hunter2", "attempt failed");
        });
    }

    #[test]
    fn an_attempt_is_a_trace_of_its_own_with_its_calls_below_and_a_link_to_who_enqueued() {
        let spans = traced(1.0, || attempt(true));
        let (call, job) = (&spans[0], &spans[1]);
        assert_eq!((call.name.as_ref(), job.name.as_ref()), ("call web/example.com", "job"));
        assert_eq!(call.parent_span_id, job.span_context.span_id());
        assert_eq!(call.span_context.trace_id(), job.span_context.trace_id());
        let took = call.end_time.duration_since(call.start_time).unwrap();
        assert!(took >= Duration::from_micros(1500), "{took:?}");
        assert_ne!(job.span_context.trace_id(), TraceId::from_hex(TRACE).unwrap());
        assert_eq!(job.links.len(), 1);
        assert_eq!(job.links[0].span_context.trace_id(), TraceId::from_hex(TRACE).unwrap());
        let shown = format!("{job:?}");
        assert!(shown.contains("link.process") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn who_was_traced_stays_traced_and_of_others_a_part_is() {
        assert_eq!(traced(0.0, || attempt(true)).len(), 2);
        assert!(traced(0.0, || attempt(false)).is_empty());
        let all = 0..4000;
        let some = all.filter(|n| drawn_from(&format!("job {n}")) < 0.25).count();
        assert!((800..1200).contains(&some), "a quarter of 4,000: {some}");
        assert!(traced(1.0, || drop(tracing::info_span!("other").entered())).is_empty());
    }

    #[test]
    fn headers_are_pairs() {
        let read = headers("authorization=Basic YTpi, x-team = fleet,").unwrap();
        assert_eq!(read["authorization"], "Basic YTpi");
        assert_eq!(read["x-team"], "fleet");
        assert!(headers("nonsense").is_err());
    }
}
