//! Pinterest (<https://developers.pinterest.com/docs/api/v5/pins-create>): pins of a picture, of
//! two to five, or of a video.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_core::effect::ReadBack;
use flotilla_core::{JobError, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Platform, id_of, text};
use crate::http::Answer;
use crate::post::{Medium, Post, Published, Sort};
use crate::request::{File, Request};
use crate::session::{Look, Patience, Session};
use crate::text::same;
use crate::trouble::{Class, Scope, Trouble};

/// Pins that are looked through for one's own: as many as Pinterest gives at once.
const MOST: usize = 250;

/// Pinterest.
#[derive(Debug)]
pub(super) struct Pinterest;

#[async_trait]
impl Platform for Pinterest {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        at.since().await?;
        let board = post.board.as_ref().or(at.account.extra.get("board_id"));
        let board = board.ok_or_else(|| {
            JobError::invalid(
                "board: a pin needs a board; name one, or give the account one (extra.board_id)",
            )
        })?;
        let mut body = json!({"board_id": board, "media_source": source(post, at).await?});
        let alt = post.media.first().and_then(|medium| medium.alt.as_deref());
        let fields = [
            ("title", post.title.as_deref()),
            ("description", Some(post.text.as_str()).filter(|text| !text.is_empty())),
            ("link", post.link.as_deref()),
            ("alt_text", alt),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let effect = at.cx.effect("publish", "", || async {
            let request = Request::post("/v5/pins").json(body).what("publish");
            let answer = at.permitted("publish", at.json(request)).await?;
            Ok(Published::new(id_of(&answer, "/id")?, at.now(), &answer))
        });
        let mut published = effect.verify(|| read_back(post, board, at)).await?;
        let permalink = |id: &String| format!("https://www.pinterest.com/pin/{id}/");
        published.permalink = published.id.as_ref().map(permalink);
        Ok(published)
    }
}

/// `{"code","message"}`.
fn judge(answer: &Answer) -> Option<Trouble> {
    if (200..300).contains(&answer.status) {
        return None;
    }
    let body = answer.json();
    let code = body.get("code").and_then(Value::as_i64).unwrap_or(0);
    let message = text(&body, "/message").unwrap_or_default();
    let class = match (answer.status, code) {
        (401, _) => Class::Expired,
        (403, _) => Class::NotGranted,
        (429, _) => Class::TooFast { scope: Scope::Account, wait: None },
        (400..=499, _) if message.contains("Unable to reach the URL") => {
            Class::Once(std::time::Duration::from_secs(60))
        }
        (400..=499, _) => Class::Rejected,
        _ => Class::Transient,
    };
    Some(Trouble::new(class, format!("{}/{code}", answer.status), message))
}

async fn source(post: &Post, at: &Session<'_>) -> Result<Value, JobError> {
    match post.media.as_slice() {
        [one] if one.sort == Sort::Video => {
            let mut source = json!({"source_type": "video_id", "media_id": video(one, at).await?});
            match &post.thumbnail {
                Some(cover) => {
                    source["cover_image_url"] = json!(at.media.link(&cover.origin).await?);
                }
                None => source["cover_image_key_frame_time"] = json!(0),
            }
            Ok(source)
        }
        [one] => {
            let linked = linkable(std::slice::from_ref(one), at).await;
            let mut source = image(one, linked, at).await?;
            source["source_type"] = json!(if linked { "image_url" } else { "image_base64" });
            Ok(source)
        }
        several => {
            let linked = linkable(several, at).await;
            let mut items = Vec::new();
            for medium in several {
                items.push(image(medium, linked, at).await?);
            }
            let sort = if linked { "multiple_image_urls" } else { "multiple_image_base64" };
            Ok(json!({"source_type": sort, "items": items}))
        }
    }
}

/// Whether Pinterest can fetch all of these itself.
async fn linkable(media: &[Medium], at: &Session<'_>) -> bool {
    for medium in media {
        if at.media.link(&medium.origin).await.is_err() {
            return false;
        }
    }
    true
}

/// A picture by its URL, or itself where it has none.
async fn image(medium: &Medium, linked: bool, at: &Session<'_>) -> Result<Value, JobError> {
    if linked {
        return Ok(json!({"url": at.media.link(&medium.origin).await?}));
    }
    let bytes = at.media.read(&medium.origin, 0, super::size(medium, at).await?).await?;
    let media_type = medium.facts.media_type.as_deref().unwrap_or("image/jpeg");
    Ok(json!({"content_type": media_type, "data": STANDARD.encode(&bytes)}))
}

#[derive(Serialize, Deserialize)]
struct Begun {
    media_id: String,
    url: String,
    fields: Vec<(String, String)>,
}

/// Hands a video over to the store that Pinterest names.
async fn video(medium: &Medium, at: &Session<'_>) -> Result<String, JobError> {
    let begun = at
        .once_sealed("media", || async {
            let request = Request::post("/v5/media").json(json!({"media_type": "video"}));
            let answer = at.json(request.what("container")).await?;
            let fields = answer.get("upload_parameters").and_then(Value::as_object);
            let fields = fields
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
            let media_id = match answer.get("media_id") {
                Some(Value::Number(number)) => number.to_string(),
                _ => id_of(&answer, "/media_id")?,
            };
            Ok(Begun { media_id, url: id_of(&answer, "/upload_url")?, fields: fields.collect() })
        })
        .await?;
    at.cx
        .once("media/sent", || async {
            let file = File {
                name: "file",
                file_name: "video.mp4".to_owned(),
                origin: medium.origin.clone(),
                from: 0,
                to: super::size(medium, at).await?,
                media_type: "video/mp4".to_owned(),
            };
            let fields: Vec<_> =
                begun.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            at.call(Request::post_to(&begun.url).multipart(&fields, file)).await?;
            Ok(())
        })
        .await?;
    at.wait_for("media/ready", Patience::Unsent, || async {
        let answer = at.json(Request::get(format!("/v5/media/{}", begun.media_id))).await?;
        match text(&answer, "/status").unwrap_or_default() {
            "succeeded" => Ok(Look::Ready(())),
            "failed" => Err(JobError::rejected("Pinterest could not process the video")),
            _ => Ok(Look::Later),
        }
    })
    .await?;
    Ok(begun.media_id)
}

async fn read_back(
    post: &Post,
    board: &str,
    at: &Session<'_>,
) -> Result<ReadBack<Published>, JobError> {
    let since = at.since().await?;
    let request =
        Request::get(format!("/v5/boards/{board}/pins")).query(&[("page_size", &MOST.to_string())]);
    let answer = at.json(request).await?;
    let pins = answer.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let made = |pin: &Value| {
        let at = text(pin, "/created_at")?;
        let zoned = if at.ends_with('Z') { at.to_owned() } else { format!("{at}Z") };
        zoned.parse::<Timestamp>().ok()
    };
    let whole = pins.len() < MOST || pins.iter().filter_map(made).any(|made| made < since);
    let ours = pins.iter().filter(|pin| {
        let says = |name: &str, said: &str| same(text(pin, name).unwrap_or_default(), said);
        made(pin).is_none_or(|made| made >= since)
            && says("/description", &post.text)
            && says("/title", post.title.as_deref().unwrap_or_default())
            && says("/link", post.link.as_deref().unwrap_or_default())
    });
    let found: Vec<_> =
        ours.filter_map(|pin| Some(Published::found(text(pin, "/id")?, at.now(), pin))).collect();
    if found.len() > 1 && post.text.is_empty() && post.title.is_none() && post.link.is_none() {
        return Ok(ReadBack::CannotTell); // which of several pins without words is ours?
    }
    at.adopt(found, whole).await
}
