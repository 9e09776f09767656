//! X (<https://docs.x.com/x-api>): posts with up to four pictures or one video.

use async_trait::async_trait;
use flotilla_core::effect::ReadBack;
use flotilla_core::{JobError, Timestamp};
use serde_json::{Value, json};

use super::{Platform, id_of, text};
use crate::http::Answer;
use crate::post::{Medium, Post, Published, Sort};
use crate::request::{File, Request};
use crate::session::{Look, Patience, Session};
use crate::text::same;
use crate::trouble::{Class, Scope, Trouble};

/// Posts that are looked through for one's own: as many as X gives at once.
const MOST: usize = 100;
/// A part of an upload, where the registry does not say.
const PART: u64 = 4 << 20;

/// X.
#[derive(Debug)]
pub(super) struct X;

#[async_trait]
impl Platform for X {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        at.since().await?;
        let mut media = Vec::new();
        for (index, medium) in post.media.iter().enumerate() {
            media.push(upload(index, medium, at).await?);
        }
        let said = post.text_and_link();
        let mut body = json!({"text": said});
        if !media.is_empty() {
            body["media"] = json!({"media_ids": media});
        }
        if post.made_with_ai {
            body["made_with_ai"] = json!(true);
        }
        let effect = at.cx.effect("publish", "", || async {
            let request = Request::post(path(at, "tweets")).json(body).what("publish");
            match at.permitted("publish", at.json(request)).await {
                Ok(answer) => Ok(Published::new(id_of(&answer, "/data/id")?, at.now(), &answer)),
                Err(error) if matches!(error.class(), Some(Class::Duplicate(_))) => {
                    match read_back(&said, at).await {
                        Ok(ReadBack::Happened(found)) => Ok(found),
                        _ => Err(super::not_ours(&error, at)),
                    }
                }
                Err(error) => Err(error.into()),
            }
        });
        let mut published = effect.verify(|| read_back(&said, at)).await?;
        let permalink = |id: &String| format!("https://x.com/i/web/status/{id}");
        published.permalink = published.id.as_ref().map(permalink);
        Ok(published)
    }

    async fn comment(
        &self,
        published: &Published,
        text: &str,
        at: &Session<'_>,
    ) -> Result<String, JobError> {
        let id = published.id.as_deref().unwrap_or_default();
        let body = json!({"text": text, "reply": {"in_reply_to_tweet_id": id}});
        let request = Request::post(path(at, "tweets")).json(body).what("comment");
        let effect = at
            .cx
            .effect("comment", "", || async { Ok(id_of(&at.json(request).await?, "/data/id")?) });
        effect.await
    }
}

fn path(at: &Session<'_>, rest: &str) -> String {
    format!("/{}/{rest}", at.spec.version)
}

/// RFC 7807 in the manner of X: `{"title","detail","type","status"}`; a success without `data`
/// that lists errors is none.
fn judge(answer: &Answer) -> Option<Trouble> {
    let body = answer.json();
    let failed = body.get("errors").is_some() && body.get("data").is_none();
    if (200..300).contains(&answer.status) && !failed {
        return None;
    }
    let first = body.pointer("/errors/0").unwrap_or(&Value::Null);
    let detail = text(&body, "/detail").or(text(first, "/message")).or(text(first, "/detail"));
    let detail = detail.unwrap_or_default();
    let sort = text(&body, "/type").or(text(first, "/type")).unwrap_or_default();
    let sort = sort.rsplit('/').next().unwrap_or_default();
    let class = match (answer.status, sort) {
        (_, "usage-capped") => Class::Spent(Scope::App),
        (_, "client-forbidden") => Class::Misconfigured,
        (429, _) | (_, "rate-limit-exceeded") => {
            Class::TooFast { scope: Scope::Account, wait: None }
        }
        (401, _) => Class::Expired,
        (403, _) if detail.contains("duplicate content") => Class::Duplicate(None),
        (403, "not-authorized-for-resource") => Class::NotGranted,
        (200..=499, _) => Class::Rejected,
        _ => Class::Transient,
    };
    let code = if sort.is_empty() { format!("http {}", answer.status) } else { sort.to_owned() };
    Some(Trouble::new(class, code, detail))
}

/// The account's posts since this job began that say the same. Each look costs money.
async fn read_back(said: &str, at: &Session<'_>) -> Result<ReadBack<Published>, JobError> {
    let since = at.since().await?;
    let start = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let user = path(at, &format!("users/{}/tweets", at.account.external_id));
    let request = Request::get(user).query(&[
        ("max_results", &MOST.to_string()),
        ("start_time", &start),
        ("tweet.fields", "created_at,entities"),
    ]);
    let answer = at.json(request).await?;
    let posts = answer.pointer("/data").and_then(Value::as_array).cloned().unwrap_or_default();
    let ours = posts.iter().rev().filter(|one| {
        let made: Option<Timestamp> = text(one, "/created_at").and_then(|at| at.parse().ok());
        made.is_none_or(|made| made >= since) && same(&written(one), said)
    });
    let found = ours.filter_map(|one| Some(Published::found(text(one, "/id")?, at.now(), one)));
    at.adopt(found.collect(), posts.len() < MOST).await
}

/// The text as it was written: X shortens links and adds one for each medium.
fn written(post: &Value) -> String {
    let mut said = text(post, "/text").unwrap_or_default().to_owned();
    let urls = post.pointer("/entities/urls").and_then(Value::as_array);
    for url in urls.into_iter().flatten() {
        let (Some(short), Some(long)) = (text(url, "/url"), text(url, "/expanded_url")) else {
            continue;
        };
        let medium =
            url.get("media_key").is_some() || long.contains("/photo/") || long.contains("/video/");
        said = said.replace(short, if medium { "" } else { long });
    }
    said.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Hands a medium over; one that no post uses is gone after a day.
async fn upload(index: usize, medium: &Medium, at: &Session<'_>) -> Result<String, JobError> {
    let step = format!("media/{index}");
    let media_type = medium.facts.media_type.clone().unwrap_or_else(|| "image/jpeg".to_owned());
    let size = super::size(medium, at).await?;
    let category = match (medium.sort, media_type.as_str()) {
        (Sort::Video, _) => "tweet_video",
        (_, "image/gif") => "tweet_gif",
        _ => "tweet_image",
    };
    let id = at
        .cx
        .once(&step, || async {
            let body = json!({
                "media_type": media_type, "total_bytes": size, "media_category": category,
            });
            let request = Request::post(path(at, "media/upload/initialize")).json(body);
            Ok(id_of(&at.json(request.what("container")).await?, "/data/id")?)
        })
        .await?;
    let part = match at.spec.upload.chunk {
        0 => PART,
        part => part,
    };
    for (segment, from) in
        (0..size).step_by(usize::try_from(part).unwrap_or(usize::MAX)).enumerate()
    {
        at.cx
            .once(&format!("{step}/{segment}"), || async {
                let file = File {
                    name: "media",
                    file_name: "media".to_owned(),
                    origin: medium.origin.clone(),
                    from,
                    to: (from + part).min(size),
                    media_type: "application/octet-stream".to_owned(),
                };
                let segment = segment.to_string();
                let request = Request::post(path(at, &format!("media/upload/{id}/append")));
                let request = request.multipart(&[("segment_index", &segment)], file);
                at.call(request.what("upload")).await?;
                Ok(())
            })
            .await?;
    }
    let working = at
        .cx
        .once(&format!("{step}/final"), || async {
            let request = Request::post(path(at, &format!("media/upload/{id}/finalize")));
            let answer = at.json(request.what("container")).await?;
            id_of(&answer, "/data/id")?;
            Ok(answer.pointer("/data/processing_info").is_some())
        })
        .await?;
    if working {
        at.wait_for(&format!("{step}/ready"), Patience::Unsent, || ready(&id, at)).await?;
    }
    if let Some(alt) = &medium.alt {
        let body = json!({"id": id, "metadata": {"alt_text": {"text": alt}}});
        at.quietly(Request::post(path(at, "media/metadata")).json(body)).await;
    }
    Ok(id)
}

async fn ready(id: &str, at: &Session<'_>) -> Result<Look<()>, JobError> {
    let request = Request::get(path(at, "media/upload"));
    let answer = at.json(request.query(&[("command", "STATUS"), ("media_id", id)])).await?;
    // An upload that needs no processing says nothing of it; an answer without data says nothing.
    let silent = if answer.get("data").is_some() { "succeeded" } else { "unknown" };
    match text(&answer, "/data/processing_info/state").unwrap_or(silent) {
        "succeeded" => Ok(Look::Ready(())),
        "failed" => {
            let info = answer.pointer("/data/processing_info/error").cloned().unwrap_or_default();
            let said = crate::post::bounded(&info);
            Err(JobError::rejected(format!("X could not process the medium: {said}")))
        }
        _ => Ok(Look::Later),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_recognised_although_its_links_were_shortened() {
        let post = json!({
            "text": "Fish &amp; chips https://t.co/a https://t.co/b",
            "entities": {"urls": [
                {"url": "https://t.co/a", "expanded_url": "https://example.com/menu"},
                {"url": "https://t.co/b", "expanded_url": "https://x.com/me/status/1/photo/1"},
            ]},
        });
        assert!(same(&written(&post), "Fish & chips https://example.com/menu"));
    }
}
