//! Publishing by containers, as Instagram and Threads do: make a container, wait until it is
//! processed, publish it, read its status when the answer was lost. A container that is published
//! says so, which makes the unknown known.

use flotilla_core::effect::{ReadBack, SendError};
use flotilla_core::{JobError, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{id_of, text};
use crate::post::{Post, Published};
use crate::request::Request;
use crate::session::{Look, Patience, Session};
use crate::text::same;
use crate::trouble::Class;

/// Containers that are made for one post before it is given up.
const GENERATIONS: u32 = 3;

/// How the two differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    /// The host.
    pub(super) host: &'static str,
    /// The edge that makes containers and lists what was published.
    pub(super) create: &'static str,
    /// The edge that lists what was published.
    pub(super) list: &'static str,
    /// The edge that publishes.
    pub(super) publish: &'static str,
    /// The field of the status.
    pub(super) status: &'static str,
    /// The fields that say what went wrong.
    pub(super) fields: &'static str,
    /// The field of the text in the list.
    pub(super) text: &'static str,
}

/// A container as a list of fields; children first.
#[derive(Debug)]
pub(super) struct Plan {
    /// Fields of the children; empty: the container stands alone.
    pub(super) children: Vec<Vec<(String, String)>>,
    /// Its own fields, without `children`.
    pub(super) fields: Vec<(String, String)>,
    /// What is uploaded into it, where it is no URL.
    pub(super) upload: Option<usize>,
}

/// What became of a container.
#[derive(Debug, Serialize, Deserialize)]
enum End {
    Ready,
    /// Another one may do better.
    Again(String),
    Failed(String),
}

/// What became of the call that publishes one.
#[derive(Debug, Serialize, Deserialize)]
enum Sent {
    Published(Box<Published>),
    /// Certainly not published: it is not there any more.
    Gone(String),
}

fn of_account(at: &Session<'_>, edge: &str) -> String {
    format!("/{}/{}/{edge}", at.spec.version, at.account.external_id)
}

fn node(at: &Session<'_>, id: &str) -> String {
    format!("/{}/{id}", at.spec.version)
}

/// Publishes what `plan` says.
pub(super) async fn publish(
    post: &Post,
    plan: &Plan,
    ways: Ways,
    at: &Session<'_>,
) -> Result<Published, JobError> {
    at.since().await?;
    let mut why = String::new();
    for generation in 0..GENERATIONS {
        let made = container(generation, post, plan, ways, at).await?;
        let container = match made {
            Ok(container) => container,
            Err(reason) => {
                why = reason;
                continue;
            }
        };
        match send(generation, &container, post, ways, at).await? {
            Sent::Published(published) => return Ok(linked(*published, ways, at).await),
            Sent::Gone(reason) => why = reason,
        }
    }
    let name = &at.spec.title;
    Err(JobError::rejected(format!("{name} could not use the media, {GENERATIONS} times: {why}")))
}

/// The container, ready to be published; `Err`: why another one is to be made.
async fn container(
    generation: u32,
    post: &Post,
    plan: &Plan,
    ways: Ways,
    at: &Session<'_>,
) -> Result<Result<String, String>, JobError> {
    let mut children = Vec::new();
    for (index, fields) in plan.children.iter().enumerate() {
        let id = made(&format!("child/{generation}/{index}"), fields.clone(), ways, at).await;
        children.push(id.map_err(|error| of_medium(index, error))?);
    }
    for (index, id) in children.iter().enumerate() {
        match ended(&format!("child/{generation}/{index}/ready"), id, ways, at).await? {
            End::Ready => {}
            // Which one it was is not in the platform's words.
            End::Again(said) => return Ok(Err(format!("media[{index}]: {said}"))),
            End::Failed(said) => return Err(JobError::rejected(format!("media[{index}]: {said}"))),
        }
    }
    let mut fields = plan.fields.clone();
    if !children.is_empty() {
        fields.push(("children".to_owned(), children.join(",")));
    }
    let id = made(&format!("container/{generation}"), fields, ways, at).await?;
    if let Some(index) = plan.upload {
        super::instagram::upload(generation, &id, &post.media[index], at).await?;
    }
    match ended(&format!("container/{generation}/ready"), &id, ways, at).await? {
        End::Ready => Ok(Ok(id)),
        End::Again(said) => Ok(Err(said)),
        End::Failed(said) => Err(JobError::rejected(said)),
    }
}

/// Says which medium an error is about: the platform does not (PAIN 16).
fn of_medium(index: usize, error: JobError) -> JobError {
    let said = format!("media[{index}]: {}", error.text(2000));
    match error {
        JobError::Snooze { until, .. } => JobError::Snooze { until, reason: said },
        JobError::Fail { class, .. } => JobError::Fail { class, source: said.into() },
        JobError::Retry { after, class, .. } => {
            JobError::Retry { source: said.into(), after, class }
        }
        other => other,
    }
}

/// Makes a container; an orphan is public nowhere and dies within a day.
async fn made(
    step: &str,
    fields: Vec<(String, String)>,
    ways: Ways,
    at: &Session<'_>,
) -> Result<String, JobError> {
    at.cx
        .once(step, || async {
            let request = Request::post(of_account(at, ways.create)).on(ways.host);
            let answer = at.json(request.pairs(fields).what("container")).await?;
            Ok(id_of(&answer, "/id")?)
        })
        .await
}

async fn status(id: &str, ways: Ways, at: &Session<'_>) -> Result<Option<Value>, JobError> {
    let request = Request::get(node(at, id)).on(ways.host).query(&[("fields", ways.fields)]);
    match at.json(request).await {
        Ok(status) => Ok(Some(status)),
        // 100/33 is also said of containers that are well (PAIN 15): asked again.
        Err(error) if matches!(error.class(), Some(Class::Missing)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn ended(step: &str, id: &str, ways: Ways, at: &Session<'_>) -> Result<End, JobError> {
    at.wait_for(step, Patience::Unsent, || async {
        let Some(status) = status(id, ways, at).await? else { return Ok(Look::Later) };
        let said = || {
            let words = ["/status", "/error_message"].iter().find_map(|at| text(&status, at));
            format!(
                "{} could not process it: {}",
                at.spec.title,
                words.unwrap_or("no reason given")
            )
        };
        Ok(match text(&status, &format!("/{}", ways.status)).unwrap_or_default() {
            "FINISHED" | "PUBLISHED" => Look::Ready(End::Ready),
            "EXPIRED" => Look::Ready(End::Again("the container has expired".to_owned())),
            "ERROR" if again(&said()) => Look::Ready(End::Again(said())),
            "ERROR" => Look::Ready(End::Failed(said())),
            _ => Look::Later,
        })
    })
    .await
}

/// Whether another container may do better: by the subcode or the word in the text of a status.
fn again(said: &str) -> bool {
    ["2207001", "2207003", "2207020", "2207032", "2207053", "2207077", "2207082", "2207052"]
        .iter()
        .chain(&["FAILED_DOWNLOADING", "UNKNOWN"])
        .any(|sign| said.contains(sign))
}

async fn send(
    generation: u32,
    container: &str,
    post: &Post,
    ways: Ways,
    at: &Session<'_>,
) -> Result<Sent, JobError> {
    let key = generation.to_string();
    let effect = at.cx.effect("publish", &key, || async {
        let request = Request::post(of_account(at, ways.publish)).on(ways.host);
        let request = request.form(&[("creation_id", container)]).what("publish");
        match at.permitted("publish", at.json(request)).await {
            Ok(answer) => {
                let id = id_of(&answer, "/id")?;
                let published = Published::new(id, at.now(), &answer);
                Ok(Sent::Published(Box::new(Published {
                    handle: Some(container.to_owned()),
                    ..published
                })))
            }
            Err(error) => match error.class() {
                Some(Class::Gone) => {
                    Ok(Sent::Gone(error.trouble().map(ToString::to_string).unwrap_or_default()))
                }
                // Said also of posts that went live (PAIN 3): the container knows.
                Some(Class::Restricted) => match found(container, post, ways, at).await {
                    Ok(ReadBack::Happened(sent)) => Ok(sent),
                    _ => Err(error.into()),
                },
                Some(Class::Duplicate(_)) => {
                    Err(SendError::Unsure("it said that this was published before".into()))
                }
                _ => Err(error.into()),
            },
        }
    });
    effect.verify(|| found(container, post, ways, at)).await
}

/// What the container says of itself.
async fn found(
    container: &str,
    post: &Post,
    ways: Ways,
    at: &Session<'_>,
) -> Result<ReadBack<Sent>, JobError> {
    let Some(status) = status(container, ways, at).await? else { return Ok(ReadBack::NotYet) };
    match text(&status, &format!("/{}", ways.status)).unwrap_or_default() {
        "PUBLISHED" => {
            let mut published = listed(post, ways, at).await?.unwrap_or_default();
            published.handle = Some(container.to_owned());
            published.adopted = true;
            if published.id.is_none() {
                published.at = Some(at.now());
                published
                    .notes
                    .push("it is published, but was not found in the list of posts".to_owned());
            }
            Ok(ReadBack::Happened(Sent::Published(Box::new(published))))
        }
        "FINISHED" => Ok(ReadBack::DidNot),
        "EXPIRED" | "ERROR" => {
            Ok(ReadBack::Happened(Sent::Gone("the container was not published in time".to_owned())))
        }
        _ => Ok(ReadBack::NotYet),
    }
}

/// The post of that text in the account's list that no other job has; never just the newest.
async fn listed(post: &Post, ways: Ways, at: &Session<'_>) -> Result<Option<Published>, JobError> {
    let since = at.since().await?;
    let fields = format!("id,{},permalink,timestamp", ways.text);
    let request = Request::get(of_account(at, ways.list)).on(ways.host);
    let query = [("fields", fields.as_str()), ("limit", "25")];
    let Some(answer) = at.quietly(request.query(&query)).await else { return Ok(None) };
    let posts = answer.pointer("/data").and_then(Value::as_array).cloned().unwrap_or_default();
    for one in posts.iter().rev() {
        let new = moment(one).is_none_or(|made| made >= since);
        let said = text(one, &format!("/{}", ways.text)).unwrap_or_default();
        let Some(id) = text(one, "/id").filter(|_| new && same(said, &post.text)) else { continue };
        if at.claim(id).await? {
            let mut found = Published::found(id, at.now(), one);
            found.permalink = text(one, "/permalink").map(str::to_owned);
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn moment(value: &Value) -> Option<Timestamp> {
    let text = text(value, "/timestamp")?;
    let text =
        text.strip_suffix("+0000").map_or_else(|| text.to_owned(), |bare| format!("{bare}Z"));
    text.parse().ok()
}

/// With its permalink, as far as that can be had.
async fn linked(mut published: Published, ways: Ways, at: &Session<'_>) -> Published {
    if let Some(id) = published.id.as_deref().filter(|_| published.permalink.is_none()) {
        let request = Request::get(node(at, id)).on(ways.host);
        let answer = at.quietly(request.query(&[("fields", "id,permalink,timestamp")])).await;
        if let Some(answer) = answer {
            published.permalink = text(&answer, "/permalink").map(str::to_owned);
            published.at = moment(&answer).or(published.at);
        }
    }
    published
}
