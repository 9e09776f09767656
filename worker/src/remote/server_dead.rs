//! Dead letters of a fleet behind its API.

use flotilla_core::JobId;
use flotilla_core::records::JobRecord;
use flotilla_core::replay::{Request, Selection};
use reqwest::Method;
use serde_json::{Value, json};

use super::answers::Done;
use super::http::{Call, Client};
use super::server::why;
use super::{Edited, End, FoundWord, NewPayload};
use crate::exit::Failure;

/// Dead letters of one call at most.
pub(super) const MOST: usize = 10_000;

/// A selection as parameters.
pub(super) fn query(selection: &Selection) -> Vec<(&'static str, String)> {
    let mut pairs = super::server::query(&selection.filter());
    pairs.retain(|(name, _)| *name != "state");
    if !selection.groups.is_empty() {
        let groups: Vec<&str> = selection.groups.iter().map(|group| group.as_str()).collect();
        pairs.push(("group", groups.join(",")));
    }
    pairs
}

/// A request as it is sent: who asks is known by the token.
pub(super) fn asked(request: &Request) -> Value {
    let mut body = json!(request);
    body["by"] = json!("");
    body["reason"] = json!(why(&request.reason));
    body
}

pub(super) async fn matching(client: &Client, selection: &Selection) -> Result<u64, Failure> {
    let body = json!({"selection": selection, "reason": why(""), "dry_run": true});
    let call = Call::send(Method::POST, &["dead", "discard"], &body);
    Ok(client.ask::<Done>(call).await?.matching)
}

pub(super) async fn end(
    client: &Client,
    selection: &Selection,
    n: u64,
    reason: &str,
    how: End,
) -> Result<u64, Failure> {
    let act = match how {
        End::Discard => "discard",
        End::Purge => "purge",
    };
    if n == 0 {
        return Ok(0);
    }
    let body = json!({"selection": selection, "reason": why(reason), "count": n, "limit": n});
    let done: Done = client.ask(Call::send(Method::POST, &["dead", act], &body)).await?;
    Ok(done.touched)
}

pub(super) async fn edit(
    client: &Client,
    job: &JobRecord,
    new: &NewPayload,
) -> Result<Edited, Failure> {
    let body = json!({
        "payload": new.payload, "reason": why(&new.reason), "replay": new.replay,
        "dry_run": new.dry_run,
    });
    let path = ["dead", &job.id.to_string(), "payload"];
    client.ask(Call::send(Method::PUT, &path, &body)).await
}

pub(super) async fn found(
    client: &Client,
    job: &JobRecord,
    word: &FoundWord,
) -> Result<JobId, Failure> {
    let body = json!({"did": word.did, "result": word.result, "reason": why("")});
    let path = ["dead", &job.id.to_string(), "found"];
    let done: Done = client.ask(Call::send(Method::POST, &path, &body)).await?;
    done.goes_on_as.ok_or_else(|| Failure::unavailable("the server did not say as what it goes on"))
}
