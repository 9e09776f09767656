//! Facebook Pages (§3): posts, links, photos, stories of photos, comments.

use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, between};
use serde_json::{Value, json};

use super::{error, facebook_video, invalid, media_at, no_object, node, owner, page_reads, tokens};
use crate::core::account::Account;
use crate::core::call::{Call, Route};
use crate::core::http::{Answer, Reply};
use crate::core::media::Media;
use crate::core::post::{Draft, PostState};

/// A photo of a page; not yet seen by anybody while `published` is false.
#[derive(Debug)]
pub(crate) struct Photo {
    pub(super) account: String,
    pub(super) media: Media,
    pub(super) created: Timestamp,
}

const POST: &[&str] = &["pages_manage_posts"];

pub(super) fn find(method: &str, nodes: &[&str]) -> Option<Route> {
    match (method, nodes) {
        ("GET", ["me", "accounts"]) => Route::new("accounts", tokens::pages),
        ("POST", [_, "feed"]) => Route::new("feed", feed),
        ("POST", [_, "photos"]) => Route::new("photos", photos),
        ("POST", [_, "photo_stories"]) => Route::new("photo_stories", photo_stories),
        ("POST", [_, "comments"]) => Route::new("comments", comment),
        ("GET", [_, "feed" | "published_posts" | "posts"]) => {
            Route::new("feed_read", page_reads::feed)
        }
        ("GET", [_, "scheduled_posts"]) => Route::new("scheduled_read", page_reads::scheduled),
        ("GET", [_, "video_reels"]) => Route::new("reels_read", page_reads::reels),
        ("DELETE", [_]) => Route::new("delete", page_reads::delete),
        ("GET", [id]) if id.starts_with("upload:") => {
            Route::new("upload_status", facebook_video::upload_status)
        }
        ("GET", [_]) => Route::new("object", page_reads::object),
        _ => facebook_video::find(method, nodes),
    }
}

/// When a post is to be public: now, at a time, or not at all.
pub(super) fn when(call: &Call<'_>) -> Result<(PostState, Option<Timestamp>), Reply> {
    let published = call.req.flag("published").unwrap_or(true);
    let Some(text) = call.req.text("scheduled_publish_time") else {
        let state = if published { PostState::Published } else { PostState::Draft };
        return Ok((state, None));
    };
    if published {
        return Err(invalid("You cannot specify a scheduled publish time on a published post"));
    }
    // §3: unix seconds or ISO-8601.
    let at = text.parse::<i64>().ok().and_then(|s| Timestamp::from_second(s).ok());
    let at = at.or_else(|| text.parse().ok());
    let at = at.ok_or_else(|| invalid("scheduled_publish_time cannot be read"))?;
    // §3: 10 minutes to 30 days (guide; the reference says 75 days).
    let earliest = after(call.now, Duration::from_secs(600));
    let latest = after(call.now, Duration::from_secs(30 * 86_400));
    if at < earliest || at > latest {
        return Err(invalid(
            "The specified scheduled publish time is invalid: 10 minutes to 30 days from now",
        ));
    }
    Ok((PostState::Scheduled, Some(at)))
}

/// `POST /{page}/feed` (§3 FB-POST).
fn feed(call: &mut Call<'_>) -> Answer {
    let page = owner(call, POST)?;
    let message = call.req.param("message").unwrap_or_default().to_owned();
    let link = call.req.param("link").map(str::to_owned);
    let media = attached(call, &page)?;
    if message.is_empty() && link.is_none() && media.is_empty() {
        return Err(invalid("Requires one of the params: message, link, attached_media"));
    }
    check_text(&message)?;
    if let Some(link) = &link {
        check_link(link)?;
    }
    let (state, publish_at) = when(call)?;
    let kind = match (&link, media.len()) {
        (_, 2..) => "carousel",
        (_, 1) => "image",
        (Some(_), _) => "link",
        _ => "text",
    };
    let draft = Draft {
        media,
        state,
        publish_at,
        extra: json!({ "link": link }),
        ..Draft::published("", kind, &message)
    };
    refuse_duplicate(call, &page, &draft)?;
    let id = post(call, &page, draft)?;
    Ok(Reply::ok(&json!({ "id": id })))
}

/// §3: 63,206 characters (PZ).
pub(super) fn check_text(text: &str) -> Result<(), Reply> {
    if text.chars().count() > 63_206 {
        return Err(invalid("Name parameter too long"));
    }
    Ok(())
}

/// §3: 1609008, links to facebook.com; 2061006, no URL at all.
fn check_link(link: &str) -> Result<(), Reply> {
    let host = url::Url::parse(link).ok().and_then(|url| url.host_str().map(str::to_owned));
    let Some(host) = host else {
        return Err(error(400, 100, Some(2_061_006), "The URL is invalid."));
    };
    if host == "facebook.com" || host.ends_with(".facebook.com") {
        return Err(error(400, 100, Some(1_609_008), "You cannot post facebook.com links."));
    }
    Ok(())
}

/// §2.2: 506, the same post twice in a row.
fn refuse_duplicate(call: &mut Call<'_>, page: &Account, draft: &Draft) -> Result<(), Reply> {
    if !call.world.settings.refuse_duplicates || draft.state != PostState::Published {
        return Ok(());
    }
    let last = call.world.posts_of(&page.id).find(|post| post.state == PostState::Published);
    let same = last.is_some_and(|last| {
        last.text == draft.text
            && last.extra["link"] == draft.extra["link"]
            && last.media == draft.media
            && !last.text.is_empty()
    });
    if same {
        call.world.refused_duplicate(&page.id);
        return Err(error(400, 506, None, "(#506) Duplicate status message"));
    }
    Ok(())
}

/// Publishes on a page and gives the id, `{page}_{post}` (§3).
pub(super) fn post(call: &mut Call<'_>, page: &Account, mut draft: Draft) -> Result<String, Reply> {
    let id = format!("{}_{}", page.id, call.world.digits());
    draft.id.clone_from(&id);
    draft.permalink = format!("https://www.facebook.com/{id}");
    Ok(call.world.publish(&page.id, draft)?.id)
}

/// `attached_media[i]={"media_fbid":"…"}` (§3): photos of the page, unpublished, kept for 24 h.
fn attached(call: &mut Call<'_>, page: &Account) -> Result<Vec<Media>, Reply> {
    let mut named: Vec<Value> = Vec::new();
    for (key, value) in call.req.query.iter().chain(&call.req.form) {
        if key.starts_with("attached_media") {
            named.push(serde_json::from_str(value).unwrap_or(Value::Null));
        }
    }
    named.extend(call.req.body_json()["attached_media"].as_array().into_iter().flatten().cloned());
    let mut media = Vec::new();
    for one in named.into_iter().flat_map(|v| match v {
        Value::Array(items) => items,
        one => vec![one],
    }) {
        let id = one["media_fbid"].as_str().unwrap_or_default();
        media.push(take_photo(call, page, id)?);
    }
    Ok(media)
}

fn take_photo(call: &mut Call<'_>, page: &Account, id: &str) -> Result<Media, Reply> {
    let kept = Duration::from_secs(86_400);
    let photo = call.world.meta.photos.get(id);
    let photo = photo
        .filter(|photo| photo.account == page.id && between(photo.created, call.now) < kept)
        .ok_or_else(|| no_object(id))?;
    Ok(photo.media.clone())
}

/// `POST /{page}/photos` (§3 FB-PHOTO).
fn photos(call: &mut Call<'_>) -> Answer {
    let page = owner(call, POST)?;
    let caption = call.req.param("caption").or_else(|| call.req.param("message"));
    let caption = caption.unwrap_or_default().to_owned();
    check_text(&caption)?;
    let media = match call.req.files.iter().find(|file| file.name == "source") {
        Some(file) => Media::of(&file.bytes, Some(&file.content_type)),
        None => {
            let url = call.req.param("url").map(str::to_owned);
            let url = url.ok_or_else(|| invalid("Requires one of the params: url, source"))?;
            let unreadable = |()| error(400, 100, Some(2_061_006), "The URL is invalid.");
            media_at(call, &url).map_err(unreadable)?
        }
    };
    // §3: 1366046, less than 4 MB, JPG or PNG (PZ; the reference says 10 MB).
    let kind = media.content_type.as_deref().unwrap_or("image/jpeg");
    let fits = matches!(kind, "image/jpeg" | "image/png" | "application/octet-stream");
    if media.bytes.is_some_and(|bytes| bytes >= 4_000_000 || bytes == 0) || !fits {
        let what = "Photos should be smaller than 4 MB and saved as JPG or PNG.";
        return Err(error(400, 100, Some(1_366_046), what));
    }
    let (state, publish_at) = when(call)?;
    call.admit()?;
    let id = call.world.digits();
    let media = Media {
        alt_text: call.req.param("alt_text_custom").map(str::to_owned),
        ..media.with_id(&id)
    };
    let photo = Photo { account: page.id.clone(), media: media.clone(), created: call.now };
    call.world.meta.photos.insert(id.clone(), photo);
    if state == PostState::Draft {
        return Ok(Reply::ok(&json!({ "id": id })));
    }
    let draft =
        Draft { media: vec![media], state, publish_at, ..Draft::published("", "image", &caption) };
    let post = post(call, &page, draft)?;
    Ok(Reply::ok(&json!({ "id": id, "post_id": post })))
}

/// `POST /{page}/photo_stories` (§3 PZ). There is no read-back of stories (§1.1).
fn photo_stories(call: &mut Call<'_>) -> Answer {
    let page = owner(call, POST)?;
    let photo = call.req.text("photo_id").unwrap_or_default();
    let media = take_photo(call, &page, &photo)?;
    let draft = Draft { media: vec![media], ..Draft::published("", "story", "") };
    let id = post(call, &page, draft)?;
    Ok(Reply::ok(&json!({ "success": true, "post_id": id })))
}

/// `POST /{post}/comments` (§3 PZ).
fn comment(call: &mut Call<'_>) -> Answer {
    let (_, account) = super::caller(call, &[])?;
    let post = node(call, 0);
    let text = call.req.param("message").unwrap_or_default().to_owned();
    if text.is_empty() {
        return Err(invalid("message is required"));
    }
    let number = call.world.digits();
    let at = call.now;
    let id = format!("{}_{number}", post.rsplit('_').next().unwrap_or_default());
    match call.world.post_mut(&post) {
        Some(found) if found.account == account.id && found.state == PostState::Published => {
            found.comments.push(crate::core::post::Comment { id: id.clone(), text, at });
            Ok(Reply::ok(&json!({ "id": id })))
        }
        _ => Err(no_object(&post)),
    }
}
