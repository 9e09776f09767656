//! Enqueueing over the API. It takes all jobs of a request or none, and names those that are wrong:
//! these are left out and the others sent again, so that a wrong line costs the others nothing.

use std::collections::BTreeMap;

use flotilla_core::Envelope;
use flotilla_core::ops::Accepted;
use flotilla_core::queue::Enqueued;
use reqwest::Method;
use serde_json::Value;

use super::answers::{Many, Taken};
use super::http::{Call, Client, Fault, Problem, refused};
use super::{Refusal, accepted};
use crate::exit::Failure;

/// Jobs of one request at most.
const JOBS: usize = 500;
/// Bytes of one request, where it has more than one job.
const BYTES: usize = 2 << 20;

type Outcome = Result<Accepted, Refusal>;

pub(super) async fn enqueue(
    client: &Client,
    envelopes: Vec<Envelope>,
) -> Result<Vec<Outcome>, Failure> {
    let mut answers = Vec::with_capacity(envelopes.len());
    let mut rest = envelopes.as_slice();
    while !rest.is_empty() {
        let (mut n, mut bytes) = (0, 0);
        let mut sent = Vec::new();
        while let Some(envelope) = rest.get(n).filter(|_| n < JOBS) {
            let json = envelope.to_json();
            bytes += json.len() + 1;
            if n > 0 && bytes > BYTES {
                break;
            }
            sent.push(json);
            n += 1;
        }
        let (now, later) = rest.split_at(n);
        answers.extend(batch(client, now, sent).await?);
        rest = later;
    }
    Ok(answers)
}

async fn batch(
    client: &Client,
    envelopes: &[Envelope],
    sent: Vec<Vec<u8>>,
) -> Result<Vec<Outcome>, Failure> {
    let mut refusals: BTreeMap<usize, Refusal> = BTreeMap::new();
    loop {
        let good: Vec<usize> = (0..sent.len()).filter(|at| !refusals.contains_key(at)).collect();
        if good.is_empty() {
            return Ok(refusals.into_values().map(Err).collect());
        }
        let parts: Vec<&[u8]> = good.iter().map(|at| sent[*at].as_slice()).collect();
        let mut body = b"[".to_vec();
        body.extend(parts.join(&b","[..]));
        body.push(b']');
        let mut call = Call::send(Method::POST, &["jobs"], &Value::Null);
        call.body = Some(body);
        match client.answer::<Many>(call).await? {
            Ok(many) if many.jobs.len() == good.len() => {
                let mut taken = many.jobs.into_iter();
                let answer = |at: usize| match refusals.remove(&at) {
                    Some(refusal) => Some(Err(refusal)),
                    None => taken.next().map(|taken| Ok(outcome(taken))),
                };
                return Ok((0..sent.len()).filter_map(answer).collect());
            }
            Ok(_) => return Err(Failure::unavailable("the server did not answer for every job")),
            Err(problem) => {
                let found = faults(&problem, envelopes, &good);
                if found.is_empty() {
                    return Err(refused(problem));
                }
                for (at, refusal) in found {
                    refusals.entry(at).or_insert(refusal);
                }
            }
        }
    }
}

fn outcome(taken: Taken) -> Accepted {
    let outcome = match taken.outcome.as_str() {
        "created" => Enqueued::Created,
        "rejected" => Enqueued::Rejected(taken.detail.unwrap_or_default()),
        _ => Enqueued::Duplicate(taken.id),
    };
    accepted(taken.id, outcome)
}

/// Which jobs of the request are wrong, and why: `[3].payload.text` is of the fourth.
fn faults(problem: &Problem, envelopes: &[Envelope], good: &[usize]) -> Vec<(usize, Refusal)> {
    let one = |fault: &Fault| {
        let (index, field) = fault.field.strip_prefix('[')?.split_once(']')?;
        let at = *good.get(index.parse::<usize>().ok()?)?;
        let field = field.strip_prefix('.').unwrap_or(field);
        Some((at, refusal(envelopes.get(at)?, field, &fault.detail)))
    };
    let known = matches!(problem.status, 400 | 403 | 422);
    problem.errors.iter().filter(|_| known).filter_map(one).collect()
}

/// The same words that an enqueue here would say.
fn refusal(envelope: &Envelope, field: &str, detail: &str) -> Refusal {
    let kind = envelope.kind.as_ref().map(|kind| kind.as_str()).unwrap_or_default();
    let payload = match field {
        "payload" => Some("."),
        other => other.strip_prefix("payload").map(|rest| rest.trim_start_matches('.')),
    };
    let (field, says) = match (field, payload) {
        ("kind", _) => ("kind", detail.to_owned()),
        (_, Some(field)) => (field, format!("{kind}: payload field \"{field}\": {detail}")),
        (field, None) => (field, format!("envelope field \"{field}\": {detail}")),
    };
    Refusal { field: Some(field.to_owned()), says }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::Payload;

    #[test]
    fn faults_find_their_job_and_say_what_an_enqueue_here_says() {
        let envelope =
            |kind: &str| Envelope::new(kind.parse().unwrap(), Payload::from_bytes(&b"{}"[..]));
        let all = [envelope("a"), envelope("caption.parse"), envelope("b")];
        let fault = |field: &str| Fault { field: field.into(), detail: "missing".into() };
        let problem =
            |status, field| Problem { status, errors: vec![fault(field)], ..Problem::default() };
        // The first was left out before: [0] is the second.
        let found = faults(&problem(422, "[0].payload.text"), &all, &[1, 2]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1.field.as_deref()), (1, Some("text")));
        assert_eq!(found[0].1.says, "caption.parse: payload field \"text\": missing");
        let says = |field| faults(&problem(422, field), &all, &[0])[0].1.says.clone();
        assert_eq!(says("[0].payload"), "a: payload field \".\": missing");
        assert_eq!(says("[0].deadline"), "envelope field \"deadline\": missing");
        assert!(faults(&problem(422, "[7].kind"), &all, &[0]).is_empty());
        assert!(faults(&problem(503, "[0].kind"), &all, &[0]).is_empty());
    }
}
