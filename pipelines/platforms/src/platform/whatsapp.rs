//! WhatsApp Business Cloud API
//! (<https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages>): text,
//! templates, media. There is no reading back; the job's id travels in
//! `biz_opaque_callback_data`, so that a webhook tells which job a message belongs to. Where
//! webhooks are taken, a post is done when one says that it was sent, and an answer that was lost is
//! made up for by them.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::effect::{ReadBack, SendError};
use flotilla_core::{JobError, Safety};
use serde_json::{Value, json};

use super::{Platform, id_of, meta, text};
use crate::http::Answer;
use crate::media::shown;
use crate::post::{Medium, Origin, Post, Published, Sort};
use crate::request::{File, Request};
use crate::session::{Look, Patience, Session};
use crate::trouble::{Class, Scope, Trouble};
use crate::webhooks::Heard;

/// WhatsApp.
#[derive(Debug)]
pub(super) struct WhatsApp;

#[async_trait]
impl Platform for WhatsApp {
    fn judge(&self) -> fn(&Answer) -> Option<Trouble> {
        judge
    }

    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError> {
        let body = message(post, at).await?;
        at.expect(&mark(at)).await?;
        let path = format!("/{}/{}/messages", at.spec.version, at.account.external_id);
        let effect = at.cx.effect("publish", "", || async {
            let request = Request::post(path).json(body).what("publish");
            match at.permitted("publish", at.json(request)).await {
                Ok(answer) => {
                    let id = id_of(&answer, "/messages/0/id")?;
                    let mut published = Published::new(id, at.now(), &answer);
                    let state = text(&answer, "/messages/0/message_status").unwrap_or("accepted");
                    if state != "accepted" || !at.webhooks {
                        let note = format!("{state}: a webhook says when it is delivered");
                        published.notes.push(note);
                    }
                    Ok(published)
                }
                Err(error) => match SendError::from(error) {
                    SendError::Unsure(said) => Err(SendError::Unsure(
                        format!(
                            "{said}; a webhook of biz_opaque_callback_data \"{}\" would show that \
                             it went out",
                            mark(at)
                        )
                        .into(),
                    )),
                    refused => Err(refused),
                },
            }
        });
        let effect = effect.safety(Safety::Never);
        if !at.webhooks {
            return effect.await;
        }
        let mut published = effect.verify(|| told(at)).await?;
        published.notes.extend(at.wait_for("sent", Patience::Sent, || sent(at)).await?);
        Ok(published)
    }
}

/// Whether a webhook has shown that the message went out.
async fn told(at: &Session<'_>) -> Result<ReadBack<Published>, JobError> {
    let heard = at.heard(&mark(at)).await?;
    if let Some(id) = heard.as_ref().and_then(Heard::id) {
        return Ok(ReadBack::Happened(Published::found(id, at.now(), &json!(heard))));
    }
    let enough = at.waited_enough("since/told").await?;
    Ok(if enough { ReadBack::CannotTell } else { ReadBack::NotYet })
}

/// Whether webhooks say that it left, or failed; gives a note.
async fn sent(at: &Session<'_>) -> Result<Look<Option<String>>, JobError> {
    let heard = at.heard(&mark(at)).await?;
    if let Some(failed) = heard.as_ref().and_then(Heard::failure) {
        let code = failed.code.as_deref().unwrap_or("no code");
        let said = failed.message.as_deref().unwrap_or("no reason given");
        return Err(JobError::rejected(format!("WhatsApp could not deliver it: {code}: {said}")));
    }
    if heard.is_some_and(|heard| !heard.statuses.is_empty()) {
        return Ok(Look::Ready(None));
    }
    if at.waited_enough("since/handed-over").await? {
        let note = "accepted; no webhook has said since that it was sent";
        return Ok(Look::Ready(Some(note.to_owned())));
    }
    Ok(Look::Later)
}

/// What a webhook names the job by.
fn mark(at: &Session<'_>) -> String {
    format!("job:{}", at.cx.id)
}

/// WhatsApp's own codes, before those of the Graph API.
fn judge(answer: &Answer) -> Option<Trouble> {
    let body = answer.json();
    let Some(code) = body.pointer("/error/code").and_then(Value::as_i64) else {
        return meta::judge(answer);
    };
    let seconds = Duration::from_secs;
    let class = match code {
        // Said clearly: it was not taken.
        130_429 => Class::TooFast { scope: Scope::Account, wait: Some(seconds(2)) },
        80_007 | 131_048 => Class::TooFast { scope: Scope::Account, wait: None },
        131_000 | 131_016 | 131_057 | 133_004 => Class::Later(seconds(30)),
        // Too many to the same person: 4^n seconds.
        131_056 => Class::Growing,
        // That person has had enough for today.
        131_049 => Class::Once(seconds(25 * 3600)),
        130_472 => Class::Rejected,
        33
        | 100
        | 131_008
        | 131_009
        | 131_021
        | 131_026
        | 131_047
        | 131_050
        | 131_051
        | 131_053
        | 132_000..=132_016
        | 135_000 => Class::Rejected,
        131_005 => Class::NotGranted,
        131_031 | 131_037 | 131_042 | 131_045 | 133_010 | 133_015 | 133_016 => Class::Restricted,
        0 => Class::Expired,
        _ => return meta::judge(answer),
    };
    let said = text(&body, "/error/error_data/details").or(text(&body, "/error/message"));
    Some(Trouble::new(class, code.to_string(), said.unwrap_or_default()))
}

async fn message(post: &Post, at: &Session<'_>) -> Result<Value, JobError> {
    let to = post.to.as_deref().unwrap_or_default().trim_start_matches('+');
    let mut body = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "biz_opaque_callback_data": mark(at),
    });
    if let Some(template) = &post.template {
        body["type"] = json!("template");
        body["template"] = template.clone();
    } else if let Some(medium) = post.media.first() {
        let sort = match medium.sort {
            Sort::Image => "image",
            Sort::Video => "video",
            Sort::Document => "document",
            Sort::Audio => "audio",
        };
        let mut part = match &medium.origin {
            Origin::Url(url) => json!({"link": url}),
            Origin::Blob(_) => json!({"id": upload(medium, at).await?}),
        };
        if !post.text.is_empty() && medium.sort != Sort::Audio {
            part["caption"] = json!(post.text);
        }
        if medium.sort == Sort::Document {
            part["filename"] = json!(post.title.clone().unwrap_or_else(|| file_name(medium)));
        }
        body["type"] = json!(sort);
        body[sort] = part;
    } else {
        body["type"] = json!("text");
        body["text"] = json!({"body": post.text_and_link(), "preview_url": post.link.is_some()});
    }
    Ok(body)
}

fn file_name(medium: &Medium) -> String {
    let place = shown(&medium.origin);
    place.trim_end_matches('"').rsplit('/').next().unwrap_or("file").to_owned()
}

/// A file that nobody is sent; WhatsApp keeps it for thirty days.
async fn upload(medium: &Medium, at: &Session<'_>) -> Result<String, JobError> {
    at.cx
        .once("media", || async {
            let media_type = medium.facts.media_type.clone();
            let media_type = media_type.unwrap_or_else(|| "application/octet-stream".to_owned());
            let file = File {
                name: "file",
                file_name: file_name(medium),
                origin: medium.origin.clone(),
                from: 0,
                to: super::size(medium, at).await?,
                media_type: media_type.clone(),
            };
            let path = format!("/{}/{}/media", at.spec.version, at.account.external_id);
            let fields = [("messaging_product", "whatsapp"), ("type", media_type.as_str())];
            let request = Request::post(path).multipart(&fields, file).what("upload");
            Ok(id_of(&at.json(request).await?, "/id")?)
        })
        .await
}
