//! LinkedIn (<https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api>):
//! members and organisations; text, articles, pictures, several pictures, videos, documents.

use async_trait::async_trait;
use flotilla_core::clock::{after, between};
use flotilla_core::effect::ReadBack;
use flotilla_core::{JobError, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::little::{escape, plain};
use super::{Platform, id_of, text};
use crate::http::Answer;
use crate::post::{Medium, Post, Published, Sort, Visibility};
use crate::request::{Auth, Request};
use crate::session::{CallError, Look, Patience, Session};
use crate::text::same;
use crate::trouble::{Class, Scope, Trouble};

/// Posts that are looked through for one's own: as many as LinkedIn gives at once.
const MOST: usize = 100;

/// LinkedIn.
#[derive(Debug)]
pub(super) struct LinkedIn;

#[async_trait]
impl Platform for LinkedIn {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        at.since().await?;
        let content = content(post, at).await?;
        let mut body = json!({
            "author": at.account.external_id,
            "commentary": escape(&post.text),
            "visibility": if post.visibility == Visibility::Public { "PUBLIC" } else { "CONNECTIONS" },
            "distribution": {
                "feedDistribution": "MAIN_FEED",
                "targetEntities": [],
                "thirdPartyDistributionChannels": [],
            },
            "lifecycleState": "PUBLISHED",
            "isReshareDisabledByAuthor": false,
        });
        if let Some(content) = content {
            body["content"] = content;
        }
        let effect = at.cx.effect("publish", "", || async {
            let request = rest(Request::post("/rest/posts"), at).json(body).what("publish");
            match at.permitted("publish", at.call(request)).await {
                Ok(answer) => {
                    let urn = answer.header("x-restli-id").or(answer.header("x-linkedin-id"));
                    let urn = urn.ok_or_else(|| {
                        CallError::Unsure(None, "the answer names no post".into())
                    })?;
                    Ok(Published::new(urn, at.now(), &json!({"x-restli-id": urn})))
                }
                Err(error) => match error.class() {
                    Some(Class::Duplicate(Some(urn))) if is_ours(urn, at).await => {
                        Ok(Published::found(urn.clone(), at.now(), &json!({"duplicate_of": urn})))
                    }
                    Some(Class::Duplicate(_)) => Err(super::not_ours(&error, at)),
                    _ => Err(error.into()),
                },
            }
        });
        // What a member posted may not be read: an answer that is lost is for a person to look at.
        let effect =
            if is_organisation(at) { effect.verify(|| read_back(post, at)) } else { effect };
        let mut published = effect.await?;
        published.permalink =
            published.id.as_ref().map(|urn| format!("https://www.linkedin.com/feed/update/{urn}"));
        Ok(published)
    }

    async fn comment(
        &self,
        published: &Published,
        text: &str,
        at: &Session<'_>,
    ) -> Result<String, JobError> {
        let urn = published.id.as_deref().unwrap_or_default();
        let path = format!("/rest/socialActions/{}/comments", encoded(urn));
        let body = json!({
            "actor": at.account.external_id, "object": urn, "message": {"text": text},
        });
        let request = rest(Request::post(path), at).json(body).what("comment");
        let effect =
            at.cx.effect("comment", "", || async { Ok(id_of(&at.json(request).await?, "/id")?) });
        effect.await
    }

    fn sort(&self, external_id: &str) -> &'static str {
        if external_id.starts_with("urn:li:organization:") { "organization" } else { "person" }
    }
}

fn rest(request: Request, at: &Session<'_>) -> Request {
    request
        .header("LinkedIn-Version", &at.spec.version)
        .header("X-Restli-Protocol-Version", "2.0.0")
}

fn encoded(urn: &str) -> String {
    utf8_percent_encode(urn, NON_ALPHANUMERIC).to_string()
}

fn is_organisation(at: &Session<'_>) -> bool {
    LinkedIn.sort(&at.account.external_id) == "organization"
}

/// `{"message","serviceErrorCode","code","status"}`.
fn judge(answer: &Answer) -> Option<Trouble> {
    if (200..300).contains(&answer.status) {
        return None;
    }
    let body = answer.json();
    let code = text(&body, "/code").unwrap_or_default();
    let service = body.get("serviceErrorCode").and_then(Value::as_i64).unwrap_or(0);
    let message = text(&body, "/message").unwrap_or_default();
    let class = match (answer.status, service, code) {
        (401, 65601, _) | (_, _, "REVOKED_ACCESS_TOKEN") => Class::Revoked,
        (401, ..) => Class::Expired,
        (403, ..) => Class::NotGranted,
        (422, _, "DUPLICATE_POST") => Class::Duplicate(urn_in(message)),
        (422, ..) if message.contains("duplicate") => Class::Duplicate(urn_in(message)),
        (426, ..) => Class::Misconfigured,
        (429, ..) => Class::TooFast { scope: Scope::Account, wait: None },
        (409, ..) => Class::Later(std::time::Duration::from_secs(5)),
        (400..500, ..) => Class::Rejected,
        _ => Class::Transient,
    };
    let named = if code.is_empty() { format!("http {}", answer.status) } else { code.to_owned() };
    Some(Trouble::new(class, named, message))
}

fn urn_in(message: &str) -> Option<String> {
    let from = message.find("urn:li:")?;
    let urn = message[from..].split(|c: char| c.is_whitespace() || ",;\"')".contains(c)).next()?;
    Some(urn.trim_end_matches('.').to_owned())
}

/// Whether a post that ours duplicates is our own: made since this job began, and nobody else's.
/// Duplicates of deleted posts are answered for two days; those are older.
async fn is_ours(urn: &str, at: &Session<'_>) -> bool {
    let Ok(since) = at.since().await else { return false };
    let made = match made_at(urn).filter(|made| *made <= after(at.now(), WEEK)) {
        Some(made) => Some(made),
        None if is_organisation(at) => {
            let request = rest(Request::get(format!("/rest/posts/{}", encoded(urn))), at);
            let post = at.quietly(request).await.unwrap_or_default();
            let millis =
                ["/publishedAt", "/createdAt"].iter().find_map(|p| post.pointer(p)?.as_i64());
            millis.and_then(|millis| Timestamp::from_millisecond(millis).ok())
        }
        None => None,
    };
    made.is_some_and(|made| made >= since) && at.claim(urn).await.unwrap_or(false)
}

const WEEK: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);
/// 2010, before there were such ids.
const FIRST_MILLIS: i64 = 1_262_304_000_000;

/// The upper bits of the number of a share are the milliseconds at which it was made.
fn made_at(urn: &str) -> Option<Timestamp> {
    let number: u64 = urn.rsplit(':').next()?.parse().ok()?;
    let millis = i64::try_from(number >> 22).ok().filter(|millis| *millis > FIRST_MILLIS)?;
    Timestamp::from_millisecond(millis).ok()
}

async fn read_back(post: &Post, at: &Session<'_>) -> Result<ReadBack<Published>, JobError> {
    let since = at.since().await?;
    let request =
        rest(Request::get("/rest/posts"), at).header("X-RestLi-Method", "FINDER").query(&[
            ("author", &at.account.external_id),
            ("q", "author"),
            ("count", &MOST.to_string()),
            ("sortBy", "LAST_MODIFIED"),
        ]);
    let answer = at.json(request).await?;
    let posts = answer.pointer("/elements").and_then(Value::as_array).cloned().unwrap_or_default();
    let made = |one: &Value| {
        let millis = one.pointer("/publishedAt").and_then(Value::as_i64);
        millis.and_then(|millis| Timestamp::from_millisecond(millis).ok())
    };
    let whole = posts.len() < MOST || posts.iter().filter_map(made).any(|made| made < since);
    let ours = posts.iter().rev().filter(|one| {
        made(one).is_none_or(|made| made >= since)
            && same(&plain(text(one, "/commentary").unwrap_or_default()), &post.text)
    });
    let found = ours.filter_map(|one| Some(Published::found(text(one, "/id")?, at.now(), one)));
    at.adopt(found.collect(), whole).await
}

/// What the post shows besides its text.
async fn content(post: &Post, at: &Session<'_>) -> Result<Option<Value>, JobError> {
    if let Some(link) = post.link.as_ref().filter(|_| post.media.is_empty()) {
        let mut article = json!({"source": link, "title": post.title.as_deref().unwrap_or(link)});
        if let Some(thumbnail) = &post.thumbnail {
            article["thumbnail"] = json!(file("images", "thumbnail", thumbnail, at).await?);
        }
        return Ok(Some(json!({"article": article})));
    }
    let Some(first) = post.media.first() else { return Ok(None) };
    if post.media.len() > 1 {
        let mut images = Vec::new();
        for (index, medium) in post.media.iter().enumerate() {
            let urn = file("images", &format!("image/{index}"), medium, at).await?;
            images.push(json!({"id": urn, "altText": medium.alt.as_deref().unwrap_or_default()}));
        }
        return Ok(Some(json!({"multiImage": {"images": images}})));
    }
    let urn = match first.sort {
        Sort::Video => video(first, at).await?,
        Sort::Document => file("documents", "document", first, at).await?,
        _ => file("images", "image/0", first, at).await?,
    };
    let mut media = json!({"id": urn});
    if let Some(title) = &post.title {
        media["title"] = json!(title);
    } else if first.sort == Sort::Document {
        media["title"] = json!("Document"); // a document without a title is refused
    }
    if let Some(alt) = &first.alt {
        media["altText"] = json!(alt);
    }
    Ok(Some(json!({"media": media})))
}

#[derive(Serialize, Deserialize)]
struct Begun {
    urn: String,
    token: String,
    /// Where each part goes: URL, first byte, byte after its last.
    parts: Vec<(String, u64, u64)>,
}

/// A picture or a document: begun, sent, waited for. Nothing of it is public before the post.
async fn file(
    edge: &str,
    step: &str,
    medium: &Medium,
    at: &Session<'_>,
) -> Result<String, JobError> {
    let begun = at
        .once_sealed(step, || async {
            let body = json!({"initializeUploadRequest": {"owner": at.account.external_id}});
            let request = rest(Request::post(format!("/rest/{edge}")), at);
            let request = request.query(&[("action", "initializeUpload")]).json(body);
            let answer = at.json(request.what("container")).await?;
            let name = if edge == "images" { "/value/image" } else { "/value/document" };
            let urn = id_of(&answer, name)?;
            let url = id_of(&answer, "/value/uploadUrl")?;
            let size = super::size(medium, at).await?;
            Ok(Begun { urn, token: String::new(), parts: vec![(url, 0, size)] })
        })
        .await?;
    part(&format!("{step}/sent"), &begun.parts[0], medium, at).await?;
    if is_organisation(at) {
        ready(&format!("{step}/ready"), edge, &begun.urn, at).await?;
    } else {
        grace(&format!("{step}/ready"), at).await?;
    }
    Ok(begun.urn)
}

/// Sends one part; gives its `ETag`.
async fn part(
    step: &str,
    (url, from, to): &(String, u64, u64),
    medium: &Medium,
    at: &Session<'_>,
) -> Result<String, JobError> {
    at.cx
        .once(step, || async {
            let request = Request::put(url).auth(Auth::Bearer);
            let request = request.range(&medium.origin, *from, *to, "application/octet-stream");
            let answer = at.call(request).await?;
            // Without it the upload of a video cannot be ended: sent again, which is harmless.
            let etag = answer.header("etag");
            match etag {
                None if step.starts_with("video") => {
                    Err(JobError::retry("LinkedIn's answer names no part"))
                }
                etag => Ok(etag.unwrap_or_default().to_owned()),
            }
        })
        .await
}

/// A member's upload cannot be looked at: it is left to settle.
async fn grace(step: &str, at: &Session<'_>) -> Result<(), JobError> {
    let now = at.now();
    let since = at.cx.once(step, || async { Ok(now) }).await?;
    if between(since, now) < at.spec.grace {
        let reason = "LinkedIn works on the upload, and does not say when it is done".to_owned();
        return Err(JobError::Snooze { until: after(since, at.spec.grace), reason });
    }
    Ok(())
}

async fn ready(step: &str, edge: &str, urn: &str, at: &Session<'_>) -> Result<(), JobError> {
    at.wait_for(step, Patience::Unsent, || async {
        let request = rest(Request::get(format!("/rest/{edge}/{}", encoded(urn))), at);
        let answer = at.json(request).await?;
        match text(&answer, "/status").unwrap_or_default() {
            "AVAILABLE" => Ok(Look::Ready(())),
            "PROCESSING_FAILED" => {
                let why = text(&answer, "/processingFailureReason").unwrap_or("no reason given");
                Err(JobError::rejected(format!("LinkedIn could not process it: {why}")))
            }
            _ => Ok(Look::Later),
        }
    })
    .await
}

async fn video(medium: &Medium, at: &Session<'_>) -> Result<String, JobError> {
    let begun = at
        .once_sealed("video", || async {
            let body = json!({"initializeUploadRequest": {
                "owner": at.account.external_id,
                "fileSizeBytes": super::size(medium, at).await?,
                "uploadCaptions": false,
                "uploadThumbnail": false,
            }});
            let request = rest(Request::post("/rest/videos"), at);
            let request = request.query(&[("action", "initializeUpload")]).json(body);
            let answer = at.json(request.what("container")).await?;
            let urn = id_of(&answer, "/value/video")?;
            let token = text(&answer, "/value/uploadToken").unwrap_or_default().to_owned();
            let parts = answer.pointer("/value/uploadInstructions").and_then(Value::as_array);
            let parts = parts.into_iter().flatten().filter_map(|part| {
                let number = |name: &str| part.get(name)?.as_u64();
                Some((
                    text(part, "/uploadUrl")?.to_owned(),
                    number("firstByte")?,
                    number("lastByte")? + 1,
                ))
            });
            Ok(Begun { urn, token, parts: parts.collect() })
        })
        .await?;
    let mut etags = Vec::new();
    for (index, one) in begun.parts.iter().enumerate() {
        etags.push(part(&format!("video/part/{index}"), one, medium, at).await?);
    }
    at.cx
        .once("video/final", || async {
            let body = json!({"finalizeUploadRequest": {
                "video": begun.urn, "uploadToken": begun.token, "uploadedPartIds": etags,
            }});
            let request = rest(Request::post("/rest/videos"), at);
            let request = request.query(&[("action", "finalizeUpload")]).json(body);
            at.call(request.what("container")).await?;
            Ok(())
        })
        .await?;
    ready("video/ready", "videos", &begun.urn, at).await?;
    Ok(begun.urn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_names_the_post_and_its_number_says_when_it_was_made() {
        let said = "Content is a duplicate of urn:li:share:7265000000000000000.";
        let urn = urn_in(said).unwrap();
        assert_eq!(urn, "urn:li:share:7265000000000000000");
        assert_eq!(made_at(&urn).unwrap().strftime("%Y-%m").to_string(), "2024-11");
        assert_eq!(made_at("urn:li:share:12"), None);
        assert_eq!(urn_in("nothing"), None);
    }
}
