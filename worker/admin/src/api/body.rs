//! Envelopes out of a request body: one, an array, or lines.

use axum::http::{HeaderMap, StatusCode, header};
use flotilla_core::envelope::{Envelope, EnvelopeError, TraceContext};
use serde_json::value::RawValue;

use super::problem::{Fault, MAX_FAULTS, Problem};

/// What was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) envelopes: Vec<Envelope>,
    /// One envelope by itself, to be answered by itself.
    pub(crate) single: bool,
}

/// Reads the envelopes; those without a trace belong to the request's.
pub(crate) fn read(headers: &HeaderMap, body: &[u8], max: usize) -> Result<Sent, Problem> {
    let trace = trace(headers);
    let (pieces, single) = match media_type(headers).as_deref() {
        Some("application/json") => whole(body)?,
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => {
            (lines(body), false)
        }
        // Nothing else, and not nothing either: those are what a page in a browser may send here
        // without being asked whether it may.
        _ => {
            let detail = "send application/json (an envelope or an array of them) or \
                          application/x-ndjson (one envelope per line)";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "media-type", "the content type is unknown", detail));
        }
    };
    if pieces.is_empty() || pieces.len() > max {
        let count = pieces.len();
        let detail = format!("{count} jobs in one request; 1 to {max} are taken (api.max_jobs)");
        return Err(Problem::bad_request(".", detail));
    }
    let mut envelopes = Vec::with_capacity(pieces.len());
    let mut faults = Vec::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        match Envelope::from_json(piece) {
            Ok(mut envelope) => {
                if envelope.trace.traceparent.is_none() {
                    envelope.trace = trace.clone();
                }
                envelopes.push(envelope);
            }
            Err(EnvelopeError { field, message }) => {
                faults.push(Fault { field: place(single, index, &field), detail: message });
                if faults.len() == MAX_FAULTS {
                    break;
                }
            }
        }
    }
    if faults.is_empty() { Ok(Sent { envelopes, single }) } else { Err(Problem::invalid(faults)) }
}

/// The path of a field in the request.
pub(crate) fn place(single: bool, index: usize, field: &str) -> String {
    match (single, field) {
        (true, field) => field.to_owned(),
        (false, ".") => format!("[{index}]"),
        (false, field) => format!("[{index}].{field}"),
    }
}

fn whole(body: &[u8]) -> Result<(Vec<&[u8]>, bool), Problem> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return Ok((vec![body], true));
    }
    let pieces: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|e| Problem::bad_request(".", format!("not a JSON array of envelopes: {e}")))?;
    Ok((pieces.into_iter().map(|piece| piece.get().as_bytes()).collect(), false))
}

fn lines(body: &[u8]) -> Vec<&[u8]> {
    body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or("?");
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// The trace of the request; one that does not look like a `traceparent` is dropped.
fn trace(headers: &HeaderMap) -> TraceContext {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    match text("traceparent").filter(|value| is_traceparent(value)) {
        Some(parent) => TraceContext {
            traceparent: Some(parent),
            tracestate: text("tracestate").filter(|state| state.len() <= 512),
        },
        None => TraceContext {
            traceparent: text("x-amzn-trace-id").and_then(|value| from_xray(&value)),
            tracestate: None,
        },
    }
}

/// `Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=1`, as load balancers and SDKs of AWS send it,
/// as a `traceparent`. Without a parent there is no span to link to.
fn from_xray(value: &str) -> Option<String> {
    let field = |name: &str| {
        let fields = value.split(';').filter_map(|field| field.trim().split_once('='));
        fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    };
    let (epoch, unique) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
    let flags = if field("Sampled") == Some("1") { "01" } else { "00" };
    let made = format!("00-{epoch}{unique}-{}-{flags}", field("Parent")?).to_ascii_lowercase();
    is_traceparent(&made).then_some(made)
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, neither id all zeros.
fn is_traceparent(value: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let set = |part: &str| part.bytes().any(|b| b != b'0');
    let mut parts = value.split('-');
    let (version, trace, span, flags) = (parts.next(), parts.next(), parts.next(), parts.next());
    match (version, trace, span, flags, parts.next()) {
        (Some("00"), Some(trace), Some(span), Some(flags), None) => {
            hex(trace, 32) && hex(span, 16) && hex(flags, 2) && set(trace) && set(span)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(content_type: &str, body: &str) -> Result<Sent, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        read(&headers, body.as_bytes(), 3)
    }

    #[test]
    fn one_an_array_and_lines() {
        let one = sent("application/json; charset=utf-8", r#"{"kind":"a"}"#).unwrap();
        assert!(one.single && one.envelopes.len() == 1);
        let array = sent("application/json", r#" [{"kind":"a"},{"kind":"b"}]"#).unwrap();
        assert!(!array.single && array.envelopes.len() == 2);
        let lines =
            sent("application/x-ndjson", "{\"kind\":\"a\"}\r\n\n{\"kind\":\"b\"}\n").unwrap();
        assert!(!lines.single && lines.envelopes.len() == 2);
        assert!(sent("text/csv", "a").is_err());
        assert!(sent("application/json", "[]").is_err());
        assert!(sent("application/json", r#"[1,2,3,4]"#).is_err());
        assert!(sent("application/json", "[1").is_err());
    }

    #[test]
    fn the_header_of_xray_is_a_trace_too_where_there_is_no_other() {
        let of = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            trace(&headers).traceparent
        };
        let xray = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let made = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
        assert_eq!(of(&[("x-amzn-trace-id", xray)]).as_deref(), Some(made));
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let both = of(&[("x-amzn-trace-id", xray), ("traceparent", given)]);
        assert_eq!(both.as_deref(), Some(given));
        assert_eq!(of(&[("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793")]), None);
        assert_eq!(of(&[("x-amzn-trace-id", "Root=;Parent=;Sampled=?")]), None);
    }

    #[test]
    fn what_is_no_traceparent_is_dropped() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for bad in [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &format!("{good}-x"),
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
