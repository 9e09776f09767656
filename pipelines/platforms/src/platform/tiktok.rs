//! TikTok (<https://developers.tiktok.com/doc/content-posting-api-reference-direct-post>): videos
//! in parts, photos by URL. A video is public only when its last byte has arrived, so beginning
//! it again is harmless; photos are fetched by TikTok, and a lost answer is for a person.

use async_trait::async_trait;
use flotilla_core::JobError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Platform, id_of, text};
use crate::http::Answer;
use crate::post::{Medium, Post, Published, Sort, Visibility};
use crate::request::Request;
use crate::session::{CallError, Look, Patience, Session};
use crate::trouble::{Class, Scope, Trouble};

/// Uploads that are begun for one post before it is given up.
const GENERATIONS: u32 = 3;
/// The part that is aimed for, where the registry does not say.
const PART: u64 = 10 << 20;

/// TikTok.
#[derive(Debug)]
pub(super) struct TikTok;

#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    publish_id: String,
    upload_url: String,
    size: u64,
    chunk: u64,
}

/// How an upload ended.
#[derive(Debug, Serialize, Deserialize)]
enum End {
    Published(Box<Published>),
    /// Definitely failed, and may be begun again.
    Again(String),
    /// Definitely failed, since the day's posts are made; may be begun again on the next.
    Tomorrow(String),
    /// Definitely failed, since the creator took the permission away; may be begun again when the
    /// account is connected again.
    Removed(String),
}

/// What the creator allows.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Creator {
    /// Who sees the post.
    level: String,
    /// What nobody may do with a post of this creator.
    no_comment: bool,
    no_duet: bool,
    no_stitch: bool,
}

#[async_trait]
impl Platform for TikTok {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        at.since().await?;
        // Who finishes it in the application chooses there who sees it.
        let creator = match post.draft {
            true => Creator::default(),
            false => at.cx.once("creator-info", || creator(post, at)).await?,
        };
        let photos = post.all(Sort::Image);
        let medium = post.only().filter(|_| !photos);
        if medium.is_none() && !photos {
            return Err(JobError::invalid("TikTok takes one video"));
        }
        let mut why = String::new();
        for generation in 0..GENERATIONS {
            let handed_over = match medium {
                Some(medium) => film(generation, post, medium, &creator, at).await?,
                None => Ok(pictures(generation, post, &creator, at).await?),
            };
            let publish_id = match handed_over {
                Ok(publish_id) => publish_id,
                Err(reason) => {
                    why = reason;
                    continue;
                }
            };
            at.expect(&publish_id).await?;
            match ended(&format!("status/{generation}"), &publish_id, at).await? {
                End::Published(published) => return Ok(*published),
                End::Again(reason) => why = reason,
                End::Tomorrow(reason) => {
                    at.next_day(&format!("spent/{generation}"), &reason).await?;
                    why = reason;
                }
                End::Removed(reason) => {
                    at.connected_again(&format!("removed/{generation}"), &reason).await?;
                    why = reason;
                }
            }
        }
        Err(JobError::rejected(format!(
            "TikTok could not use the media, {GENERATIONS} times: {why}"
        )))
    }
}

/// Begins an upload and sends all of it; `Err`: it has to be begun again.
async fn film(
    generation: u32,
    post: &Post,
    medium: &Medium,
    creator: &Creator,
    at: &Session<'_>,
) -> Result<Result<String, String>, JobError> {
    let begun = begin(generation, post, medium, creator, at).await?;
    let sent = upload(generation, &begun, medium, at).await?;
    Ok(sent.map(|()| begun.publish_id))
}

/// `{"data":{},"error":{"code":"ok"}}`: the code decides, not the status. The upload host answers
/// without a body.
fn judge(answer: &Answer) -> Option<Trouble> {
    let body = answer.json();
    let code = text(&body, "/error/code").unwrap_or_default();
    let message = text(&body, "/error/message").unwrap_or_default();
    let good = (200..300).contains(&answer.status);
    let class = match code {
        "ok" if good => return None,
        "" if good => return None,
        "access_token_invalid" => Class::Expired,
        "scope_not_authorized" | "scope_permission_missed" => Class::NotGranted,
        "spam_risk_too_many_posts" | "spam_risk_too_many_pending_share" => {
            Class::Spent(Scope::Account)
        }
        "spam_risk_user_banned_from_posting" | "spam_risk" => Class::Restricted,
        "reached_active_user_cap" => Class::Spent(Scope::App),
        "unaudited_client_can_only_post_to_private_accounts"
        | "url_ownership_unverified"
        | "unsupported_path" => Class::Misconfigured,
        "rate_limit_exceeded" => Class::TooFast { scope: Scope::Account, wait: None },
        "internal_error" => Class::Transient,
        "" => return Some(Trouble::of_status(answer.status, &answer.body)),
        _ if answer.status >= 500 => Class::Transient,
        _ => Class::Rejected,
    };
    Some(Trouble::new(class, code, message))
}

/// Asks what the creator allows.
async fn creator(post: &Post, at: &Session<'_>) -> Result<Creator, JobError> {
    let request = Request::post("/v2/post/publish/creator_info/query/").json(json!({}));
    let answer = at.json(request.what("read")).await?;
    let wanted = match post.visibility {
        Visibility::Public | Visibility::Unlisted => "PUBLIC_TO_EVERYONE",
        Visibility::Followers => "FOLLOWER_OF_CREATOR",
        Visibility::Friends => "MUTUAL_FOLLOW_FRIENDS",
        Visibility::Private => "SELF_ONLY",
    };
    let options = answer.pointer("/data/privacy_level_options").and_then(Value::as_array);
    let options: Vec<_> = options.into_iter().flatten().filter_map(Value::as_str).collect();
    if !options.is_empty() && !options.contains(&wanted) {
        let options = options.join(", ");
        let said = format!("visibility: the account allows {options}; {wanted} is not among them");
        return Err(JobError::invalid(said));
    }
    let longest = answer.pointer("/data/max_video_post_duration_sec").and_then(Value::as_f64);
    let plays = post.only().and_then(|medium| medium.facts.seconds);
    if let (Some(longest), Some(plays)) = (longest, plays)
        && plays > longest
    {
        let said =
            format!("media[0]: the account may post {longest} s of video; this plays {plays} s");
        return Err(JobError::invalid(said));
    }
    let flag = |name: &str| {
        let said = answer.pointer("/data").and_then(|data| data.get(name));
        said.and_then(Value::as_bool).unwrap_or(false)
    };
    Ok(Creator {
        level: wanted.to_owned(),
        no_comment: flag("comment_disabled"),
        no_duet: flag("duet_disabled"),
        no_stitch: flag("stitch_disabled"),
    })
}

fn about(post: &Post, creator: &Creator) -> Value {
    json!({
        "title": post.text,
        "privacy_level": creator.level,
        "disable_duet": creator.no_duet,
        "disable_comment": creator.no_comment,
        "disable_stitch": creator.no_stitch,
        "brand_content_toggle": false,
        "brand_organic_toggle": false,
        "is_aigc": post.made_with_ai,
    })
}

/// How a file is cut: parts of one size, the remainder goes with the last.
fn cut(size: u64, at: &Session<'_>) -> u64 {
    let rule = &at.spec.upload;
    let part = if rule.chunk == 0 { PART } else { rule.chunk };
    let fewest = size.div_ceil(rule.max_chunks.max(1));
    let part = part.max(fewest).max(rule.min_chunk);
    if size < part * 2 && (rule.max_chunk == 0 || size <= rule.max_chunk) { size } else { part }
}

async fn begin(
    generation: u32,
    post: &Post,
    medium: &Medium,
    creator: &Creator,
    at: &Session<'_>,
) -> Result<Begun, JobError> {
    let step = format!("begin/{generation}");
    at.once_sealed(&step, || async {
        let size = super::size(medium, at).await?;
        let chunk = cut(size, at);
        let mut body = json!({
            "source_info": {
                "source": "FILE_UPLOAD",
                "video_size": size,
                "chunk_size": chunk,
                "total_chunk_count": (size / chunk.max(1)).max(1),
            },
        });
        let path = if post.draft {
            "/v2/post/publish/inbox/video/init/"
        } else {
            body["post_info"] = about(post, creator);
            "/v2/post/publish/video/init/"
        };
        let request = Request::post(path).json(body);
        let answer = at.permitted("publish", at.json(request.what("publish"))).await?;
        Ok(Begun {
            publish_id: id_of(&answer, "/data/publish_id")?,
            upload_url: id_of(&answer, "/data/upload_url")?,
            size,
            chunk,
        })
    })
    .await
}

/// Sends all parts, going on behind those that were sent before; `Err`: it has to be begun again.
async fn upload(
    generation: u32,
    begun: &Begun,
    medium: &Medium,
    at: &Session<'_>,
) -> Result<Result<(), String>, JobError> {
    let count = (begun.size / begun.chunk.max(1)).max(1);
    let media_type = medium.facts.media_type.clone().unwrap_or_else(|| "video/mp4".to_owned());
    for index in 0..count {
        let from = index * begun.chunk;
        let to = if index + 1 == count { begun.size } else { from + begun.chunk };
        let step = format!("part/{generation}/{index}");
        let sent: Option<String> = at
            .cx
            .once(&step, || async {
                let range = format!("bytes {from}-{}/{}", to - 1, begun.size);
                let request = Request::put(&begun.upload_url).header("content-range", range);
                let request = request.range(&medium.origin, from, to, &media_type);
                match at.call(request).await {
                    Ok(_) => Ok(None),
                    Err(error) => lost(error, begun, to, at).await,
                }
            })
            .await?;
        if let Some(reason) = sent {
            return Ok(Err(reason));
        }
    }
    Ok(Ok(()))
}

/// A part that was refused: it may have arrived before, or the place for it may be gone.
async fn lost(
    error: CallError,
    begun: &Begun,
    to: u64,
    at: &Session<'_>,
) -> Result<Option<String>, JobError> {
    let code = error.trouble().map(|trouble| trouble.code.clone()).unwrap_or_default();
    if !matches!(code.as_str(), "http 403" | "http 404" | "http 416" | "http 400") {
        return Err(error.into());
    }
    let status = fetch(&begun.publish_id, at).await?;
    let arrived = status.pointer("/data/uploaded_bytes").and_then(Value::as_u64).unwrap_or(0);
    let state = text(&status, "/data/status").unwrap_or_default();
    // Past the upload, or this part is there.
    if arrived >= to || !matches!(state, "PROCESSING_UPLOAD" | "FAILED" | "") {
        return Ok(None);
    }
    Ok(Some(format!("the place for the upload is gone ({code})")))
}

async fn fetch(publish_id: &str, at: &Session<'_>) -> Result<Value, JobError> {
    let request = Request::post("/v2/post/publish/status/fetch/");
    Ok(at.json(request.json(json!({"publish_id": publish_id})).what("read")).await?)
}

async fn ended(step: &str, publish_id: &str, at: &Session<'_>) -> Result<End, JobError> {
    at.wait_for(step, Patience::Sent, || async {
        let status = fetch(publish_id, at).await?;
        match text(&status, "/data/status").unwrap_or_default() {
            "PUBLISH_COMPLETE" => {
                let end = End::Published(Box::new(published(publish_id, &status, at)));
                Ok(Look::Ready(end))
            }
            "SEND_TO_USER_INBOX" => {
                let mut published = published(publish_id, &status, at);
                published
                    .notes
                    .push("it waits in the creator's inbox to be finished there".to_owned());
                Ok(Look::Ready(End::Published(Box::new(published))))
            }
            "FAILED" => failed(text(&status, "/data/fail_reason").unwrap_or("internal"), at),
            _ => Ok(Look::Later),
        }
    })
    .await
}

fn failed(reason: &str, at: &Session<'_>) -> Result<Look<End>, JobError> {
    let said = format!("TikTok could not publish it: {reason}");
    match reason {
        "internal" | "video_pull_failed" | "photo_pull_failed" => Ok(Look::Ready(End::Again(said))),
        "spam_risk_too_many_posts" => Ok(Look::Ready(End::Tomorrow(said))),
        "auth_removed" => Ok(Look::Ready(End::Removed(said))),
        "spam_risk" | "spam_risk_user_banned_from_posting" => Err(at.restricted(said)),
        _ => Err(JobError::rejected(said)),
    }
}

fn published(publish_id: &str, status: &Value, at: &Session<'_>) -> Published {
    let ids = ["/data/publicaly_available_post_id/0", "/data/publicly_available_post_id/0"];
    let id = ids.iter().find_map(|pointer| status.pointer(pointer)).map(|id| match id.as_str() {
        Some(text) => text.to_owned(),
        None => id.to_string(),
    });
    let name = at.account.extra.get("username").map_or(at.account.name.as_str(), String::as_str);
    let permalink = id.as_ref().filter(|_| !name.is_empty()).map(|id| {
        // Photos are known by the handle they are made under.
        let sort = if publish_id.starts_with("p_pub") { "photo" } else { "video" };
        format!("https://www.tiktok.com/@{}/{sort}/{id}", name.trim_start_matches('@'))
    });
    let mut notes = Vec::new();
    if id.is_none() {
        notes.push("TikTok gives no id before moderation, or for what is not public".to_owned());
    }
    Published {
        id,
        permalink,
        handle: Some(publish_id.to_owned()),
        at: Some(at.now()),
        notes,
        answer: crate::post::bounded(status),
        adopted: false,
    }
}

/// Tells where the photos are; gives the handle of what becomes of them.
async fn pictures(
    generation: u32,
    post: &Post,
    creator: &Creator,
    at: &Session<'_>,
) -> Result<String, JobError> {
    let mut urls = Vec::new();
    for medium in &post.media {
        urls.push(at.media.link(&medium.origin).await?);
    }
    let mut about = json!({
        "title": post.title.as_deref().unwrap_or_default(),
        "description": post.text,
    });
    if !post.draft {
        about["privacy_level"] = json!(creator.level);
        about["disable_comment"] = json!(creator.no_comment);
        about["auto_add_music"] = json!(true);
        about["brand_content_toggle"] = json!(false);
        about["brand_organic_toggle"] = json!(false);
    }
    let body = json!({
        "media_type": "PHOTO",
        "post_mode": if post.draft { "MEDIA_UPLOAD" } else { "DIRECT_POST" },
        "post_info": about,
        "source_info": {"source": "PULL_FROM_URL", "photo_images": urls, "photo_cover_index": 0},
    });
    // The first has the name that jobs begun by an older build know it by.
    let key = if generation == 0 { String::new() } else { generation.to_string() };
    let effect = at.cx.effect("publish", &key, || async {
        let request = Request::post("/v2/post/publish/content/init/").json(body);
        let answer = at.permitted("publish", at.json(request.what("publish"))).await?;
        Ok(id_of(&answer, "/data/publish_id")?)
    });
    effect.await
}
