//! Facebook Pages (<https://developers.facebook.com/docs/pages-api/posts>): feed, photos, several
//! photos, videos, reels, stories.

use async_trait::async_trait;
use flotilla_core::effect::ReadBack;
use flotilla_core::{JobError, Safety, Timestamp};
use serde_json::{Value, json};

use super::{Platform, id_of, meta, text};
use crate::http::Answer;
use crate::post::{Form, Medium, Post, Published, Sort};
use crate::request::{Auth, File, Request};
use crate::session::{Look, Patience, Session};
use crate::text::same;
use crate::trouble::{Class, Trouble};

/// Posts that are looked through for one's own.
const MOST: usize = 100;

/// Facebook Pages.
#[derive(Debug)]
pub(super) struct Facebook;

#[async_trait]
impl Platform for Facebook {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        meta::judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        at.since().await?;
        match (post.form, post.media.as_slice()) {
            (Form::Reel, [video]) => reel(post, video, at).await,
            (Form::Story, [one]) => story(one, at).await,
            (_, []) => feed(post, Vec::new(), at).await,
            (_, [one]) if one.sort == Sort::Video => video(post, one, at).await,
            (_, [one]) => photo(post, one, at).await,
            (_, several) => {
                let mut attached = Vec::new();
                for (index, medium) in several.iter().enumerate() {
                    let id = unpublished(&format!("photo/{index}"), medium, at).await?;
                    let value = json!({"media_fbid": id}).to_string();
                    attached.push((format!("attached_media[{index}]"), value));
                }
                feed(post, attached, at).await
            }
        }
    }

    async fn comment(
        &self,
        published: &Published,
        text: &str,
        at: &Session<'_>,
    ) -> Result<String, JobError> {
        let id = published.id.as_deref().unwrap_or_default();
        let request = Request::post(path(at, &format!("{id}/comments"))).form(&[("message", text)]);
        let effect = at.cx.effect("comment", "", || async {
            Ok(id_of(&at.json(request.what("comment")).await?, "/id")?)
        });
        effect.await
    }
}

fn path(at: &Session<'_>, rest: &str) -> String {
    format!("/{}/{rest}", at.spec.version)
}

fn of_page(at: &Session<'_>, rest: &str) -> String {
    path(at, &format!("{}/{rest}", at.account.external_id))
}

/// When it is to be published, where Facebook does that by itself.
fn schedule(post: &Post, pairs: &mut Vec<(String, String)>) {
    if let Some(later) = post.later {
        pairs.push(("published".to_owned(), "false".to_owned()));
        pairs.push(("scheduled_publish_time".to_owned(), later.as_second().to_string()));
    }
}

async fn feed(
    post: &Post,
    mut pairs: Vec<(String, String)>,
    at: &Session<'_>,
) -> Result<Published, JobError> {
    if !post.text.is_empty() {
        pairs.push(("message".to_owned(), post.text.clone()));
    }
    pairs.extend(post.link.clone().map(|link| ("link".to_owned(), link)));
    schedule(post, &mut pairs);
    made_public(post, Request::post(of_page(at, "feed")).pairs(pairs), "/id", at).await
}

async fn photo(post: &Post, medium: &Medium, at: &Session<'_>) -> Result<Published, JobError> {
    if post.text.is_empty() || post.later.is_some() {
        // What has no words cannot be told from another photo: its id is had before it is public.
        let id = unpublished("photo/0", medium, at).await?;
        let attached = json!({"media_fbid": id}).to_string();
        return feed(post, vec![("attached_media[0]".to_owned(), attached)], at).await;
    }
    let request = shown(medium, &[("message", post.text.as_str())], at).await?;
    made_public(post, request, "/post_id", at).await
}

/// The call that hands a photo over: its URL, or the photo itself where it has none.
async fn shown(
    medium: &Medium,
    fields: &[(&str, &str)],
    at: &Session<'_>,
) -> Result<Request, JobError> {
    let mut pairs = fields.to_vec();
    pairs.extend(medium.alt.as_deref().map(|alt| ("alt_text_custom", alt)));
    let request = Request::post(of_page(at, "photos"));
    if let Ok(url) = at.media.link(&medium.origin).await {
        pairs.push(("url", &url));
        return Ok(request.form(&pairs));
    }
    let media_type = medium.facts.media_type.clone().unwrap_or_else(|| "image/jpeg".to_owned());
    let file = File {
        name: "source",
        file_name: "photo".to_owned(),
        origin: medium.origin.clone(),
        from: 0,
        to: super::size(medium, at).await?,
        media_type,
    };
    Ok(request.multipart(&pairs, file))
}

/// A photo that nobody sees yet; Facebook keeps it for a day.
async fn unpublished(step: &str, medium: &Medium, at: &Session<'_>) -> Result<String, JobError> {
    at.cx
        .once(step, || async {
            let request = shown(medium, &[("published", "false")], at).await?;
            Ok(id_of(&at.json(request.what("container")).await?, "/id")?)
        })
        .await
}

/// The call that makes a post public, its read-back and its permalink.
async fn made_public(
    post: &Post,
    request: Request,
    pointer: &str,
    at: &Session<'_>,
) -> Result<Published, JobError> {
    let effect = at.cx.effect("publish", "", || async {
        match at.permitted("publish", at.json(request.what("publish"))).await {
            Ok(answer) => {
                let id = id_of(&answer, pointer).or_else(|_| id_of(&answer, "/id"))?;
                Ok(Published::new(id, at.now(), &answer))
            }
            // "Already posted": perhaps it is our own post, found late.
            Err(error) if matches!(error.class(), Some(Class::Duplicate(_))) => {
                match read_back(post, at).await {
                    Ok(ReadBack::Happened(found)) => Ok(found),
                    _ => Err(super::not_ours(&error, at)),
                }
            }
            Err(error) => Err(error.into()),
        }
    });
    let mut published = effect.verify(|| read_back(post, at)).await?;
    link(&mut published, at).await;
    Ok(published)
}

async fn read_back(post: &Post, at: &Session<'_>) -> Result<ReadBack<Published>, JobError> {
    let since = at.since().await?;
    let edge = if post.later.is_some() { "scheduled_posts" } else { "published_posts" };
    let request = Request::get(of_page(at, edge)).query(&[
        ("fields", "id,message,created_time,permalink_url,attachments{target{id}}"),
        ("since", &since.as_second().to_string()),
        ("limit", &MOST.to_string()),
    ]);
    let answer = at.json(request).await?;
    let posts = answer.pointer("/data").and_then(Value::as_array).cloned().unwrap_or_default();
    let ours = posts.iter().rev().filter(|one| {
        let new = moment(one, "/created_time").is_none_or(|created| created >= since);
        new && same(text(one, "/message").unwrap_or_default(), &post.text)
    });
    let found = ours.filter_map(|one| {
        let mut found = Published::found(text(one, "/id")?, at.now(), one);
        found.permalink = text(one, "/permalink_url").map(str::to_owned);
        Some(found)
    });
    let found: Vec<_> = found.collect();
    if post.text.trim().is_empty() && post.link.is_none() && found.len() > 1 {
        return Ok(ReadBack::CannotTell); // which of several posts without words is ours?
    }
    at.adopt(found, posts.len() < MOST).await
}

fn moment(value: &Value, pointer: &str) -> Option<Timestamp> {
    let text = text(value, pointer)?;
    // Graph writes +0000.
    let text =
        text.strip_suffix("+0000").map_or_else(|| text.to_owned(), |bare| format!("{bare}Z"));
    text.parse().ok()
}

async fn link(published: &mut Published, at: &Session<'_>) {
    let Some(id) = published.id.clone().filter(|_| published.permalink.is_none()) else { return };
    let request = Request::get(path(at, &id)).query(&[("fields", "permalink_url")]);
    let answer = at.quietly(request).await;
    let said = answer.as_ref().and_then(|answer| text(answer, "/permalink_url"));
    let said = said.map(|link| match link.strip_prefix('/') {
        Some(path) => format!("https://www.facebook.com/{path}"),
        None => link.to_owned(),
    });
    published.permalink = said.or_else(|| Some(format!("https://www.facebook.com/{id}")));
}

/// A video in the feed: Facebook fetches it from its URL.
async fn video(post: &Post, medium: &Medium, at: &Session<'_>) -> Result<Published, JobError> {
    let mut pairs = vec![
        ("file_url".to_owned(), at.media.link(&medium.origin).await?),
        ("description".to_owned(), post.text.clone()),
    ];
    pairs.extend(post.title.clone().map(|title| ("title".to_owned(), title)));
    schedule(post, &mut pairs);
    made_public(post, Request::post(of_page(at, "videos")).pairs(pairs), "/id", at).await
}

/// Begins an upload to `edge`; gives the video's id.
async fn begin(edge: &str, at: &Session<'_>) -> Result<String, JobError> {
    at.cx
        .once("begin", || async {
            let request = Request::post(of_page(at, edge));
            let request = request.form(&[("upload_phase", "start")]).what("container");
            Ok(id_of(&at.json(request).await?, "/video_id")?)
        })
        .await
}

/// Hands the bytes over, or the URL they can be fetched from.
async fn upload(video: &str, medium: &Medium, at: &Session<'_>) -> Result<(), JobError> {
    at.cx
        .once("upload", || async {
            let place = format!("/video-upload/{}/{video}", at.spec.version);
            let request = Request::post(place).on("rupload").auth(Auth::Meta).what("upload");
            let request = match at.media.link(&medium.origin).await {
                Ok(url) => request.header("file_url", url),
                Err(_) => {
                    let size = super::size(medium, at).await?;
                    let request =
                        request.header("offset", "0").header("file_size", size.to_string());
                    request.range(&medium.origin, 0, size, "application/octet-stream")
                }
            };
            at.json(request).await?;
            Ok(())
        })
        .await
}

async fn reel(post: &Post, medium: &Medium, at: &Session<'_>) -> Result<Published, JobError> {
    let id = begin("video_reels", at).await?;
    upload(&id, medium, at).await?;
    let description = post.text_and_link();
    let state = if post.later.is_some() { "SCHEDULED" } else { "PUBLISHED" };
    let later = post.later.map(|later| later.as_second().to_string());
    let mut pairs = vec![
        ("upload_phase", "finish"),
        ("video_id", &id),
        ("video_state", state),
        ("description", &description),
    ];
    pairs.extend(post.title.as_deref().map(|title| ("title", title)));
    pairs.extend(later.as_deref().map(|later| ("scheduled_publish_time", later)));
    let request = Request::post(of_page(at, "video_reels")).form(&pairs).what("publish");
    let effect = at.cx.effect("publish", "", || async {
        let answer = at.permitted("reel", at.json(request)).await?;
        Ok(Published { handle: Some(id.clone()), ..Published::new(&id, at.now(), &answer) })
    });
    let mut published = effect.verify(|| phase(&id, at)).await?;
    if post.later.is_none() {
        at.wait_for("reel", Patience::Sent, || processed(&id, at)).await?;
    }
    link(&mut published, at).await;
    Ok(published)
}

/// How far a video is.
async fn status(id: &str, at: &Session<'_>) -> Result<Value, JobError> {
    let request = Request::get(path(at, id)).query(&[("fields", "status")]);
    Ok(at.json(request).await?.pointer("/status").cloned().unwrap_or_default())
}

/// Whether a reel that was told to publish does.
async fn phase(id: &str, at: &Session<'_>) -> Result<ReadBack<Published>, JobError> {
    let status = status(id, at).await?;
    let phase = text(&status, "/publishing_phase/status").unwrap_or("not_started");
    let state = text(&status, "/publishing_phase/publish_status").unwrap_or("draft");
    Ok(if phase == "not_started" && !matches!(state, "published" | "scheduled") {
        ReadBack::DidNot
    } else {
        let found = Published::found(id, at.now(), &status);
        ReadBack::Happened(Published { handle: Some(id.to_owned()), ..found })
    })
}

async fn processed(id: &str, at: &Session<'_>) -> Result<Look<()>, JobError> {
    let status = status(id, at).await?;
    let whole = text(&status, "/video_status").unwrap_or_default();
    let phase = text(&status, "/publishing_phase/status").unwrap_or_default();
    let failed = |said: &Value| {
        format!("Facebook could not publish the video: {}", crate::post::bounded(said))
    };
    match (whole, phase) {
        ("error", _) | (_, "error") => Err(JobError::rejected(failed(&status))),
        ("ready", "complete" | "") | ("published", _) => Ok(Look::Ready(())),
        _ => Ok(Look::Later),
    }
}

/// Stories cannot be read back: an answer that is lost is for a person to look at.
async fn story(medium: &Medium, at: &Session<'_>) -> Result<Published, JobError> {
    let request = if medium.sort == Sort::Video {
        let id = begin("video_stories", at).await?;
        upload(&id, medium, at).await?;
        let pairs = [("upload_phase", "finish"), ("video_id", id.as_str())];
        Request::post(of_page(at, "video_stories")).form(&pairs)
    } else {
        let id = unpublished("photo/0", medium, at).await?;
        Request::post(of_page(at, "photo_stories")).form(&[("photo_id", id.as_str())])
    };
    let effect = at.cx.effect("publish", "", || async {
        let answer = at.json(request.what("publish")).await?;
        Ok(Published::new(id_of(&answer, "/post_id")?, at.now(), &answer))
    });
    effect.safety(Safety::Never).await
}
