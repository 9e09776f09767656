//! Media of LinkedIn (§6.2): image, document and video uploads, their states.

use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, between};
use serde_json::{Value, json};

use super::{author, caller, denied, error, invalid};
use crate::core::account::Account;
use crate::core::call::Call;
use crate::core::http::{Answer, Reply};
use crate::core::media::{Incoming, Media};

/// A picture, document or video on its way in.
#[derive(Debug)]
pub(crate) struct Asset {
    owner: String,
    kind: &'static str,
    /// Each announced piece: first byte, last byte, what came, its `ETag`.
    parts: Vec<Part>,
    incoming: Option<Media>,
    created: Timestamp,
    ready: Option<Timestamp>,
}

#[derive(Debug)]
struct Part {
    first: u64,
    last: u64,
    bytes: Option<bytes::Bytes>,
    etag: String,
}

/// §6.2: 4 MB parts.
const PART: u64 = 4 << 20;
const MONTH: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn image(call: &mut Call<'_>) -> Answer {
    single(call, "image")
}

pub(super) fn document(call: &mut Call<'_>) -> Answer {
    single(call, "document")
}

fn start(call: &mut Call<'_>, kind: &'static str, parts: Vec<Part>) -> Result<String, Reply> {
    let owner = call.req.body_json()["initializeUploadRequest"]["owner"].as_str();
    let owner = owner.ok_or_else(|| invalid("MISSING_FIELD", "owner is required"))?.to_owned();
    author(call, &owner)?;
    call.admit()?;
    let urn = format!("urn:li:{kind}:C5522AQ{}", call.world.number());
    let asset = Asset { owner, kind, parts, incoming: None, created: call.now, ready: None };
    call.world.linkedin.media.insert(urn.clone(), asset);
    Ok(urn)
}

fn single(call: &mut Call<'_>, kind: &'static str) -> Answer {
    caller(call)?;
    let part = Part { first: 0, last: u64::MAX, bytes: None, etag: String::new() };
    let urn = start(call, kind, vec![part])?;
    let expires = after(call.now, MONTH).as_millisecond();
    let mut value =
        json!({ "uploadUrl": upload_url(call, &urn, 0), "uploadUrlExpiresAt": expires });
    value[kind] = json!(urn);
    Ok(Reply::ok(&json!({ "value": value })))
}

fn upload_url(call: &Call<'_>, urn: &str, part: usize) -> String {
    call.url("www.linkedin.com", &format!("/dms-uploads/{urn}/{part}"))
}

/// `POST /rest/videos?action=initializeUpload` (§6.2).
pub(super) fn video(call: &mut Call<'_>) -> Answer {
    caller(call)?;
    let size = call.req.body_json()["initializeUploadRequest"]["fileSizeBytes"].as_u64();
    let size = size.ok_or_else(|| invalid("MISSING_FIELD", "fileSizeBytes is required"))?;
    // §6.3: 75 KB to 500 MB; smaller ones are let in so that tests may use small files.
    if size == 0 || size > 500 << 20 {
        return Err(invalid("INVALID_FILE_SIZE", "A video may have 500 MB at most"));
    }
    let parts: Vec<Part> = (0..size.div_ceil(PART))
        .map(|n| Part {
            first: n * PART,
            last: ((n + 1) * PART).min(size) - 1,
            bytes: None,
            etag: String::new(),
        })
        .collect();
    let bounds: Vec<(u64, u64)> = parts.iter().map(|part| (part.first, part.last)).collect();
    let urn = start(call, "video", parts)?;
    let instructions: Vec<Value> = bounds
        .iter()
        .enumerate()
        .map(|(n, (first, last))| {
            json!({ "uploadUrl": upload_url(call, &urn, n), "firstByte": first, "lastByte": last })
        })
        .collect();
    Ok(Reply::ok(&json!({ "value": {
        "video": urn,
        // §6.2: may be empty; it is sent back as it is.
        "uploadToken": "",
        "uploadUrlsExpireAt": after(call.now, MONTH).as_millisecond(),
        "uploadInstructions": instructions,
    }})))
}

/// `PUT uploadUrl` (§6.2): 201 for pictures, 200 with an `ETag` for parts of videos.
pub(super) fn put(call: &mut Call<'_>) -> Answer {
    let (urn, number) = (call.part(1).to_owned(), call.part(2).parse::<usize>().unwrap_or(0));
    let (now, takes) = (call.now, call.world.settings.image_processing);
    let tag = format!("\"/ambry-video/signedId/{}\"", call.world.number());
    let asset = call.world.linkedin.media.get_mut(&urn);
    let asset = asset.filter(|asset| between(asset.created, now) < MONTH);
    let Some(asset) = asset else { return Err(Reply::empty(404)) };
    let Some(part) = asset.parts.get_mut(number) else { return Err(Reply::empty(404)) };
    if !call.req.complete {
        return Err(Reply::empty(400));
    }
    if asset.kind == "video" {
        if call.req.body.len() as u64 != part.last - part.first + 1 {
            return Err(error(
                400,
                "INVALID_PART",
                0,
                "The part has another length than announced",
            ));
        }
        part.bytes = Some(call.req.body.clone());
        part.etag.clone_from(&tag);
        return Ok(Reply::empty(200).with("etag", tag));
    }
    let kind = call.req.header("content-type").map(str::to_owned);
    asset.incoming = Some(Media::of(&call.req.body, kind.as_deref()));
    asset.ready = Some(after(now, takes));
    Ok(Reply::empty(201).with("etag", tag))
}

/// `POST /rest/videos?action=finalizeUpload` (§6.2): the `ETag`s in order.
pub(super) fn finalize(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call)?;
    let body = &call.req.body_json()["finalizeUploadRequest"];
    let urn = body["video"].as_str().unwrap_or_default().to_owned();
    let tags: Vec<&str> = body["uploadedPartIds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if body["uploadToken"].as_str().is_none() {
        return Err(invalid("MISSING_FIELD", "uploadToken is required, even when empty"));
    }
    let ready = after(call.now, call.world.settings.video_processing);
    let asset = call.world.linkedin.media.get_mut(&urn);
    let asset = asset.filter(|asset| asset.owner == account.id);
    let asset = asset.ok_or_else(|| error(404, "NOT_FOUND", 0, "The video is not there"))?;
    if asset.ready.is_none() {
        let bare = |tag: &str| tag.trim_matches('"').to_owned();
        let want: Vec<String> = asset.parts.iter().map(|part| bare(&part.etag)).collect();
        let shown: Vec<String> = tags.into_iter().map(bare).collect();
        if want != shown || asset.parts.iter().any(|part| part.bytes.is_none()) {
            return Err(invalid("INVALID_PART_IDS", "uploadedPartIds are not those of all parts"));
        }
        let mut incoming = Incoming::default();
        for part in &mut asset.parts {
            incoming.take(&part.bytes.take().unwrap_or_default());
        }
        asset.incoming = Some(incoming.media(Some("video/mp4")));
        asset.ready = Some(ready);
    }
    Ok(Reply::empty(200))
}

/// `GET /rest/{images|documents|videos}/{urn}` (§6.2). With a member's token pictures and
/// documents cannot be asked for.
pub(super) fn status(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call)?;
    let urn = call.part(2).to_owned();
    if account.id.starts_with("urn:li:person:") && call.part(1) != "videos" {
        return Err(denied("Not enough permissions to access: partnerApiImages.GET"));
    }
    let asset = call.world.linkedin.media.get(&urn).filter(|asset| asset.owner == account.id);
    let asset = asset.ok_or_else(|| error(404, "NOT_FOUND", 0, "It is not there"))?;
    let status = match asset.ready {
        None => "WAITING_UPLOAD",
        Some(ready) if ready <= call.now => "AVAILABLE",
        Some(_) => "PROCESSING",
    };
    Ok(Reply::ok(&json!({ "id": urn, "owner": asset.owner, "status": status })))
}

/// `{"id": urn, "altText"}` of a post's content. What is not yet processed is taken all the same
/// (§6.2: a grace of 20 s is practice; a post shows its picture later), what never came is not.
pub(super) fn of(call: &Call<'_>, account: &Account, named: &Value) -> Result<Media, Reply> {
    let urn = named["id"].as_str().unwrap_or_default();
    let asset = call.world.linkedin.media.get(urn).filter(|asset| asset.owner == account.id);
    let unknown = || invalid("INVALID_URN", &format!("{urn} is not there"));
    let mut media =
        asset.and_then(|asset| asset.incoming.clone()).ok_or_else(unknown)?.with_id(urn);
    let alt = named["altText"].as_str();
    if alt.is_some_and(|alt| alt.chars().count() > 4086) {
        return Err(invalid("FIELD_LENGTH_TOO_LONG", "altText: 4086 characters at most"));
    }
    media.alt_text = alt.map(str::to_owned);
    Ok(media)
}
