//! Threads (<https://developers.facebook.com/docs/threads/posts>): text, links, pictures, videos,
//! carousels.

use async_trait::async_trait;
use flotilla_core::JobError;

use super::containers::{self, Plan, Ways};
use super::{Platform, id_of, meta};
use crate::http::Answer;
use crate::post::{Medium, Post, Published, Sort};
use crate::request::Request;
use crate::session::Session;
use crate::trouble::Trouble;

const WAYS: Ways = Ways {
    host: "api",
    create: "threads",
    list: "threads",
    publish: "threads_publish",
    status: "status",
    fields: "status,error_message",
    text: "text",
};

/// Threads.
#[derive(Debug)]
pub(super) struct Threads;

#[async_trait]
impl Platform for Threads {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        meta::judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        let plan = plan(post, at).await?;
        containers::publish(post, &plan, WAYS, at).await
    }

    /// A reply of one's own: made and published like a post.
    async fn comment(
        &self,
        published: &Published,
        text: &str,
        at: &Session<'_>,
    ) -> Result<String, JobError> {
        let id = published.id.as_deref().unwrap_or_default();
        let user = format!("/{}/{}", at.spec.version, at.account.external_id);
        let container = at
            .cx
            .once("comment/container", || async {
                let fields = [("media_type", "TEXT"), ("text", text), ("reply_to_id", id)];
                let request = Request::post(format!("{user}/threads")).form(&fields);
                Ok(id_of(&at.json(request.what("container")).await?, "/id")?)
            })
            .await?;
        let request = Request::post(format!("{user}/threads_publish"));
        let request = request.form(&[("creation_id", container.as_str())]).what("comment");
        let effect =
            at.cx.effect("comment", "", || async { Ok(id_of(&at.json(request).await?, "/id")?) });
        effect.await
    }
}

async fn plan(post: &Post, at: &Session<'_>) -> Result<Plan, JobError> {
    let mut fields = Vec::new();
    if !post.text.is_empty() {
        fields.push(("text".to_owned(), post.text.clone()));
    }
    let mut children = Vec::new();
    match post.media.as_slice() {
        [] => {
            fields.push(("media_type".to_owned(), "TEXT".to_owned()));
            fields.extend(post.link.clone().map(|link| ("link_attachment".to_owned(), link)));
        }
        [one] => fields.extend(source(one, at).await?),
        several => {
            fields.push(("media_type".to_owned(), "CAROUSEL".to_owned()));
            for medium in several {
                let mut child = source(medium, at).await?;
                child.push(("is_carousel_item".to_owned(), "true".to_owned()));
                children.push(child);
            }
        }
    }
    Ok(Plan { children, fields, upload: None })
}

async fn source(medium: &Medium, at: &Session<'_>) -> Result<Vec<(String, String)>, JobError> {
    let (sort, name) = match medium.sort {
        Sort::Video => ("VIDEO", "video_url"),
        _ => ("IMAGE", "image_url"),
    };
    let mut fields = vec![
        ("media_type".to_owned(), sort.to_owned()),
        (name.to_owned(), at.media.link(&medium.origin).await?),
    ];
    fields.extend(medium.alt.clone().map(|alt| ("alt_text".to_owned(), alt)));
    Ok(fields)
}
