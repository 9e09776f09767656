//! Instagram (<https://developers.facebook.com/docs/instagram-platform/content-publishing>):
//! pictures, carousels, reels and stories, with either login.

use async_trait::async_trait;
use flotilla_core::JobError;
use flotilla_core::clock::after;
use serde_json::Value;

use super::containers::{self, Plan, Ways};
use super::{Platform, id_of, meta};
use crate::http::Answer;
use crate::post::{Form, Medium, Origin, Post, Published, Sort};
use crate::request::{Auth, Request};
use crate::session::Session;
use crate::trouble::Trouble;

/// Instagram.
#[derive(Debug)]
pub(super) struct Instagram;

#[async_trait]
impl Platform for Instagram {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        meta::judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        room(at).await?;
        let plan = plan(post, at).await?;
        containers::publish(post, &plan, ways(at), at).await
    }

    async fn comment(
        &self,
        published: &Published,
        text: &str,
        at: &Session<'_>,
    ) -> Result<String, JobError> {
        let id = published.id.as_deref().unwrap_or_default();
        let path = format!("/{}/{id}/comments", at.spec.version);
        let request = Request::post(path).on(host(at)).form(&[("message", text)]).what("comment");
        let effect =
            at.cx.effect("comment", "", || async { Ok(id_of(&at.json(request).await?, "/id")?) });
        effect.await
    }
}

/// Accounts that were connected through Facebook live on another host.
fn host(at: &Session<'_>) -> &'static str {
    let facebook = at.account.extra.get("login").is_some_and(|login| login == "facebook");
    if facebook { "facebook" } else { "api" }
}

fn ways(at: &Session<'_>) -> Ways {
    Ways {
        host: host(at),
        create: "media",
        list: "media",
        publish: "media_publish",
        status: "status_code",
        fields: "status_code,status",
        text: "caption",
    }
}

/// How many posts an account may make in a day is known from nothing but this call: one document
/// says 100, another 50, an error's text 25. An answer that does not come says nothing.
async fn room(at: &Session<'_>) -> Result<(), JobError> {
    let ask = || async {
        let path =
            format!("/{}/{}/content_publishing_limit", at.spec.version, at.account.external_id);
        let request = Request::get(path).on(host(at)).query(&[("fields", "quota_usage,config")]);
        let Some(answer) = at.quietly(request).await else { return Ok(()) };
        let number = |name: &str| answer.pointer(name).and_then(Value::as_u64);
        match (number("/data/0/quota_usage"), number("/data/0/config/quota_total")) {
            (Some(used), Some(total)) if total > 0 && used >= total => {
                let until = after(at.now(), at.spec.wait.rate);
                let reason = format!("Instagram says {used} of {total} posts of a day are made");
                Err(JobError::Snooze { until, reason })
            }
            _ => Ok(()),
        }
    };
    at.cx.once("room", ask).await
}

async fn plan(post: &Post, at: &Session<'_>) -> Result<Plan, JobError> {
    let mut fields = Vec::new();
    let mut field = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    if !post.text.is_empty() && post.form != Form::Story {
        field("caption", &post.text);
    }
    if post.made_with_ai {
        field("is_ai_generated", "true");
    }
    let Some(medium) = post.only() else {
        field("media_type", "CAROUSEL");
        let mut children = Vec::new();
        for medium in &post.media {
            let mut child = source(medium, at).await?;
            child.push(("is_carousel_item".to_owned(), "true".to_owned()));
            if medium.sort == Sort::Video {
                child.push(("media_type".to_owned(), "VIDEO".to_owned()));
            }
            children.push(child);
        }
        return Ok(Plan { children, fields, upload: None });
    };
    match (post.form, medium.sort) {
        (Form::Story, _) => field("media_type", "STORIES"),
        // "VIDEO" is not taken any more (PAIN 29): a video in the feed is a reel.
        (_, Sort::Video) => field("media_type", "REELS"),
        _ => {}
    }
    let linked = at.media.link(&medium.origin).await.is_ok();
    let upload = medium.sort == Sort::Video && !linked && matches!(medium.origin, Origin::Blob(_));
    if upload {
        field("upload_type", "resumable");
    } else {
        fields.extend(source(medium, at).await?);
    }
    Ok(Plan { children: Vec::new(), fields, upload: upload.then_some(0) })
}

async fn source(medium: &Medium, at: &Session<'_>) -> Result<Vec<(String, String)>, JobError> {
    let name = if medium.sort == Sort::Video { "video_url" } else { "image_url" };
    let mut fields = vec![(name.to_owned(), at.media.link(&medium.origin).await?)];
    let alt = medium.alt.clone().filter(|_| medium.sort == Sort::Image);
    fields.extend(alt.map(|alt| ("alt_text".to_owned(), alt)));
    Ok(fields)
}

/// Hands the bytes of a video to its container.
pub(super) async fn upload(
    generation: u32,
    container: &str,
    medium: &Medium,
    at: &Session<'_>,
) -> Result<(), JobError> {
    at.cx
        .once(&format!("upload/{generation}"), || async {
            let size = super::size(medium, at).await?;
            let path = format!("/ig-api-upload/{}/{container}", at.spec.version);
            let request = Request::post(path).on("rupload").auth(Auth::Meta).what("upload");
            let request = request.header("offset", "0").header("file_size", size.to_string());
            let request = request.range(&medium.origin, 0, size, "application/octet-stream");
            at.json(request).await?;
            Ok(())
        })
        .await
}
