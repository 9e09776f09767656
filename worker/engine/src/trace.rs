//! What traces hear of an attempt: its span, the link to whoever enqueued the job, its outgoing calls.

use std::sync::Arc;

use flotilla_core::TraceContext;
use flotilla_core::breaker::Answer;
use flotilla_core::handler::CallSink;
use tracing::Span;

use crate::desk::Assigned;

/// The span of an attempt. It names the trace and the span of whoever enqueued the job, so that
/// both can be joined: a link rather than a parent, since a job may run days later.
pub(crate) fn span(job: &Assigned) -> Span {
    let link = link(&job.claimed.trace);
    tracing::info_span!(
        "job",
        job = %job.claimed.held.id,
        kind = %job.claimed.kind,
        lane = %job.claimed.lane,
        attempt = job.claimed.attempt,
        trace = link.map(|(trace, ..)| trace),
        link.span = link.map(|(_, span, _)| span),
        link.sampled = link.map(|(.., sampled)| sampled),
    )
}

/// Tells traces of each call, then whom the gate has listen.
pub(crate) fn calls(calls: CallSink) -> CallSink {
    let span = Span::current();
    Arc::new(move |call: flotilla_core::Call| {
        span.in_scope(|| {
            let answer = match call.answer {
                Some(Answer::Good) => "good",
                Some(Answer::Bad) => "bad",
                Some(Answer::Refused) => "refused",
                None => "none",
            };
            let took_us = u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(target: "flotilla::call", key = %call.key, took_us, answer, "called");
        });
        calls(call);
    })
}

/// Trace and span id of a `traceparent` (W3C Trace Context, version 00), where it is one, and
/// whether that trace is kept.
fn link(trace: &TraceContext) -> Option<(&str, &str, bool)> {
    let text = trace.traceparent.as_deref()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, len| {
        part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let some = |part: &str| part.bytes().any(|b| b != b'0');
    let ok = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
    (ok && some(trace) && some(span)).then_some((trace, span, sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_traceparent_is_a_link() {
        let of = |text: &str| {
            let trace = TraceContext { traceparent: Some(text.to_owned()), tracestate: None };
            link(&trace).map(|(trace, span, sampled)| (trace.len(), span.len(), sampled))
        };
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0";
        assert_eq!(of(&format!("{good}1")), Some((32, 16, true)));
        assert_eq!(of(&format!("{good}0")), Some((32, 16, false)));
        assert_eq!(of("00-a-b-01"), None);
        assert_eq!(of("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
    }
}
