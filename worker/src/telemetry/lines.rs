//! The log as JSON, one object a line: `time`, `level`, `message`, then what correlates lines (the
//! `job`, `kind`, `lane`, `attempt` and `trace` of the span it was said in), then the line's own
//! fields. Inner values win over outer ones of the same name.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use flotilla_core::{Clock, SystemClock};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::redact::{HIDDEN, is_secret, scrub};

/// Writes each event as one line.
pub(super) struct Lines<W> {
    out: W,
}

impl<W> Lines<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }
}

/// Names and values in the order they came, a later value in the place of an earlier one.
#[derive(Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let value = if is_secret(name) { Value::from(HIDDEN) } else { value };
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn lay_over(&mut self, other: &Self) {
        for (name, value) in &other.0 {
            match self.0.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => old.clone_from(value),
                None => self.0.push((name, value.clone())),
            }
        }
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, scrub(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}"); // writing to a String does not fail
        self.put(field, scrub(&text).into());
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut all = Fields::default();
        for span in cx.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                all.lay_over(fields);
            }
        }
        event.record(&mut all);
        let mut line = format!(
            "{{\"time\":\"{}\",\"level\":\"{}\"",
            SystemClock.now(),
            event.metadata().level()
        );
        let message = all.0.iter().position(|(name, _)| *name == "message");
        if let Some(at) = message {
            let (_, text) = all.0.remove(at);
            let _ = write!(line, ",\"message\":{text}");
        }
        let _ = write!(line, ",\"target\":\"{}\"", event.metadata().target());
        for (name, value) in all.0.iter().filter(|(name, _)| !name.starts_with("link.")) {
            let _ = write!(line, ",{}:{value}", Value::from(*name));
        }
        line.push_str("}\n");
        // A log that cannot be written can be told to nobody.
        let _ = self.out.make_writer_for(event.metadata()).write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(what: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let out = kept.clone();
        let lines = Lines::new(move || out.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), what);
        let bytes = kept.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_names_its_job_and_is_one_object() {
        let lines = said(|| {
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
            let span = tracing::info_span!("job", job = "j-1", kind = "a.b", attempt = 2, trace);
            let _in = span.enter();
            tracing::warn!(error = "broken\n\"pipe\"", attempt = 3, "attempt failed");
            drop(_in);
            tracing::info!(ok = true, seconds = 0.5, "outside");
        });
        assert_eq!(lines.len(), 2);
        let first = &lines[0];
        assert_eq!(
            (&first["level"], &first["message"]),
            (&"WARN".into(), &"attempt failed".into())
        );
        assert_eq!((&first["job"], &first["kind"]), (&"j-1".into(), &"a.b".into()));
        assert_eq!(first["attempt"], 3, "the line's own value wins");
        assert_eq!(first["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(first["error"], "broken\n\"pipe\"");
        assert!(first["time"].as_str().unwrap().ends_with('Z'));
        assert!(lines[1].get("job").is_none() && lines[1]["ok"] == true);
    }

    #[test]
    fn secrets_do_not_get_into_it_by_name_nor_by_look() {
        let lines = said(|| {
            let span =
                tracing::info_span!("call", password = "hunter2", url = tracing::field::Empty);
            span.record("url", "https://u:hunter2@x.example/");
            let _in = span.enter();
            tracing::error!(token = 17, "answered {}", r#"{"access_token":"hunter2"}"#);
        });
        assert!(!lines[0].to_string().contains("hunter2"), "{}", lines[0]);
        assert_eq!(lines[0]["password"], "***");
        assert_eq!(lines[0]["token"], "***");
    }
}
