//! YouTube (<https://developers.google.com/youtube/v3/guides/using_resumable_upload_protocol>):
//! one resumable session for each video. A session that is finished repeats its answer, so an
//! unknown outcome does not exist.

use async_trait::async_trait;
use flotilla_core::JobError;
use serde_json::{Value, json};

use super::{Platform, id_of, text};
use crate::http::Answer;
use crate::post::{Form, Medium, Post, Published, Visibility};
use crate::request::Request;
use crate::session::{CallError, Look, Patience, Session};
use crate::trouble::{Class, Scope, Trouble};

/// Sessions that are begun for one video before it is given up.
const GENERATIONS: u32 = 3;
/// Bytes of one call: a multiple of 256 KiB, so that a crash costs little.
const PART: u64 = 32 << 20;

/// YouTube.
#[derive(Debug)]
pub(super) struct YouTube;

#[async_trait]
impl Platform for YouTube {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        let medium = post.only().ok_or_else(|| JobError::invalid("YouTube takes one video"))?;
        for generation in 0..GENERATIONS {
            let place = session(generation, post, medium, at).await?;
            let step = format!("upload/{generation}");
            let sent: Option<Value> = at.cx.once(&step, || upload(&place, medium, at)).await?;
            let Some(video) = sent else { continue };
            return finish(post, &video, at).await;
        }
        Err(JobError::retry("YouTube ended the upload several times before it was complete"))
    }
}

/// `{"error":{"code","message","errors":[{"reason"}]}}`; 308 is how an upload is told to go on.
fn judge(answer: &Answer) -> Option<Trouble> {
    if (200..300).contains(&answer.status) || answer.status == 308 {
        return None;
    }
    let body = answer.json();
    let reason = text(&body, "/error/errors/0/reason").unwrap_or_default();
    let message = text(&body, "/error/message").unwrap_or_default();
    let class = match reason {
        "quotaExceeded" | "dailyLimitExceeded" => Class::Spent(Scope::App),
        "rateLimitExceeded" | "userRateLimitExceeded" | "uploadRateLimitExceeded" => {
            Class::TooFast { scope: Scope::Account, wait: None }
        }
        "uploadLimitExceeded" => Class::TooFast {
            scope: Scope::Account,
            wait: Some(std::time::Duration::from_secs(86_400)),
        },
        "insufficientPermissions" | "authenticatedUserNotChannel" | "youtubeSignupRequired" => {
            Class::NotGranted
        }
        "authenticatedUserAccountClosed" | "authenticatedUserAccountSuspended" => Class::Restricted,
        "accessNotConfigured" => Class::Misconfigured,
        "authError" | "expired" | "authorizationRequired" => Class::Expired,
        _ => match answer.status {
            401 => Class::Expired,
            404 | 410 => Class::Gone,
            429 => Class::TooFast { scope: Scope::Account, wait: None },
            400..=499 => Class::Rejected,
            _ => Class::Transient,
        },
    };
    let code =
        if reason.is_empty() { format!("http {}", answer.status) } else { reason.to_owned() };
    Some(Trouble::new(class, code, message))
}

fn resource(post: &Post) -> Value {
    let privacy = match (post.later, post.visibility) {
        (Some(_), _) | (_, Visibility::Private) => "private",
        (_, Visibility::Unlisted) => "unlisted",
        _ => "public",
    };
    let mut status = json!({
        "privacyStatus": privacy,
        "selfDeclaredMadeForKids": false,
        "containsSyntheticMedia": post.made_with_ai,
    });
    if let Some(later) = post.later {
        status["publishAt"] = json!(later.to_string());
    }
    json!({
        "snippet": {
            "title": post.title.as_deref().unwrap_or_default(),
            "description": post.text,
            "tags": post.tags,
            "categoryId": "22",
        },
        "status": status,
    })
}

async fn session(
    generation: u32,
    post: &Post,
    medium: &Medium,
    at: &Session<'_>,
) -> Result<String, JobError> {
    let step = format!("session/{generation}");
    at.once_sealed(&step, || async {
        let size = super::size(medium, at).await?.to_string();
        let media_type = medium.facts.media_type.as_deref().unwrap_or("video/mp4");
        let path = format!("/upload/youtube/{}/videos", at.spec.version);
        let request = Request::post(path)
            .query(&[("uploadType", "resumable"), ("part", "snippet,status")])
            .header("X-Upload-Content-Length", size)
            .header("X-Upload-Content-Type", media_type)
            .json(resource(post));
        let answer = at.permitted("publish", at.call(request.what("container"))).await?;
        let place = answer.header("location").map(str::to_owned);
        place.ok_or_else(|| JobError::retry("YouTube's answer names no place for the upload"))
    })
    .await
}

/// Sends what is missing; `None`: the session is gone, begin another.
async fn upload(place: &str, medium: &Medium, at: &Session<'_>) -> Result<Option<Value>, JobError> {
    let size = super::size(medium, at).await?;
    let media_type = medium.facts.media_type.as_deref().unwrap_or("video/mp4");
    let probe = Request::put(place).header("content-range", format!("bytes */{size}"));
    let mut answer = at.call(probe.bytes(bytes::Bytes::new(), media_type)).await;
    loop {
        let heard = match answer {
            Ok(heard) => heard,
            Err(error) if matches!(error.class(), Some(Class::Gone)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if heard.status != 308 {
            return Ok(Some(heard.json()));
        }
        let from = heard.header("range").and_then(resumes_at).unwrap_or(0);
        if from >= size {
            return Err(JobError::retry("YouTube has all bytes and is not done with them"));
        }
        let to = (from + PART).min(size);
        let range = format!("bytes {from}-{}/{size}", to - 1);
        let part = Request::put(place).header("content-range", range);
        at.cx.progress(from as f64 / size as f64, "uploading");
        answer = at.call(part.range(&medium.origin, from, to, media_type)).await;
    }
}

/// `bytes=0-K`: it goes on at K + 1.
fn resumes_at(range: &str) -> Option<u64> {
    let last: u64 = range.rsplit_once('-')?.1.trim().parse().ok()?;
    Some(last + 1)
}

/// Waits until the video is processed; adds the thumbnail.
async fn finish(post: &Post, video: &Value, at: &Session<'_>) -> Result<Published, JobError> {
    let id = id_of(video, "/id")?;
    let mut published = Published::new(&id, at.now(), video);
    let short = post.form == Form::Reel;
    published.permalink = Some(if short {
        format!("https://www.youtube.com/shorts/{id}")
    } else {
        format!("https://www.youtube.com/watch?v={id}")
    });
    at.wait_for("processed", Patience::Sent, || processed(&id, at)).await?;
    if let Some(thumbnail) = &post.thumbnail {
        let note = at.cx.once("thumbnail", || set_thumbnail(&id, thumbnail, at)).await?;
        published.notes.extend(note);
    }
    Ok(published)
}

async fn processed(id: &str, at: &Session<'_>) -> Result<Look<()>, JobError> {
    let path = format!("/youtube/{}/videos", at.spec.version);
    let request = Request::get(path).query(&[("part", "status,processingDetails"), ("id", id)]);
    let answer = match at.json(request).await {
        Ok(answer) => answer,
        // Granted to upload only: what becomes of it there cannot be seen.
        Err(CallError::Refused(Some(trouble), _)) if trouble.class == Class::NotGranted => {
            return Ok(Look::Ready(()));
        }
        Err(error) => return Err(error.into()),
    };
    let status = answer.pointer("/items/0/status").cloned().unwrap_or_default();
    let why = || {
        let reasons = ["/failureReason", "/rejectionReason"];
        reasons.iter().find_map(|at| text(&status, at)).unwrap_or("no reason given").to_owned()
    };
    match text(&status, "/uploadStatus").unwrap_or_default() {
        "processed" => Ok(Look::Ready(())),
        "failed" | "rejected" => {
            Err(JobError::rejected(format!("YouTube refused the video {id}: {}", why())))
        }
        "deleted" => Err(JobError::rejected(format!("the video {id} was deleted on YouTube"))),
        _ => Ok(Look::Later),
    }
}

/// Gives a note where it did not work: a video without its thumbnail is still the video.
async fn set_thumbnail(
    id: &str,
    medium: &Medium,
    at: &Session<'_>,
) -> Result<Option<String>, JobError> {
    let size = super::size(medium, at).await?;
    let media_type = medium.facts.media_type.as_deref().unwrap_or("image/jpeg");
    let path = format!("/upload/youtube/{}/thumbnails/set", at.spec.version);
    let request = Request::post(path).query(&[("videoId", id)]).what("write");
    let set = at.call(request.range(&medium.origin, 0, size, media_type)).await;
    Ok(set
        .err()
        .map(|error| format!("the thumbnail was not set: {}", JobError::from(error).text(300))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_goes_on_behind_its_last_byte() {
        assert_eq!(resumes_at("bytes=0-524287"), Some(524_288));
        assert_eq!(resumes_at("nonsense"), None);
    }
}
