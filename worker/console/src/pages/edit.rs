//! `/dead/{id}/edit`: another payload for one dead letter: written, checked against its kind, shown
//! as what would be different, and only then saved.

use std::sync::Arc;

use axum::extract::{FromRequest, Path, Request, State as Shares};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flotilla_admin::acts::{Acts, Edit};
use flotilla_admin::auth::Act;
use flotilla_core::State;
use flotilla_core::records::JobRecord;
use maud::{Markup, html};
use serde_json::Value;

use super::Answer;
use crate::ask::{Ask, Write};
use crate::shell::{Page, Place};
use crate::trouble::Trouble;
use crate::{Shared, forms, redact};

pub(crate) async fn page(ask: Ask, Path(id): Path<String>) -> Answer {
    ask.who.need(Act::Operate)?;
    let job = dead(&ask, &id).await?;
    let text = serde_json::to_string_pretty(&redact::clean(&job.payload)).unwrap_or_default();
    Ok(show(&ask, &job, &write(&ask, &job, &text, None)))
}

async fn dead(ask: &Ask, id: &str) -> Result<JobRecord, Trouble> {
    let job = ask.job(id).await?;
    if job.state == State::Dead {
        return Ok(job);
    }
    Err(Trouble::wrong(format!("job {id} is {}: only dead letters are edited", job.state)))
}

fn show(ask: &Ask, job: &JobRecord, body: &Markup) -> Response {
    let about = html! { (job.kind) " " a.id href={ "/jobs/" (job.id) } { (job.id) } };
    ask.show(Page::new(Place::Dead, "Edit a payload", body.clone()).about(about))
}

/// The form with the payload to change.
fn write(ask: &Ask, job: &JobRecord, text: &str, wrong: Option<&str>) -> Markup {
    html! {
        p { "Where " code { "***" } " stands for a secret, it stays as it is unless you write another." }
        form.card method="post" action={ "/dead/" (job.id) "/edit" } {
            (forms::hidden(&ask.who, "/dead"))
            input type="hidden" name="seen" value=(Acts::version(job));
            label {
                span { "Payload (JSON)" }
                textarea name="payload" rows="18" spellcheck="false" required
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")] { (text) }
            }
            @if let Some(wrong) = wrong { p.wrong #wrong role="alert" { (wrong) } }
            div.acts { button.primary { "Check, and show what changes" } a.button href={ "/jobs/" (job.id) } { "Back" } }
        }
    }
}

/// What would be different, and the way to save it.
fn confirm(ask: &Ask, job: &JobRecord, text: &str, lines: &[String]) -> Markup {
    html! {
        @if lines.is_empty() {
            p.lead { "Nothing is different." }
        } @else {
            h2 { "What changes" }
            pre.json.diff tabindex="0" { @for line in lines { (line) "\n" } }
        }
        form.card method="post" action={ "/dead/" (job.id) "/edit" } {
            (forms::hidden(&ask.who, "/dead"))
            input type="hidden" name="seen" value=(Acts::version(job));
            input type="hidden" name="payload" value=(text);
            input type="hidden" name="step" value="save";
            label { span { "Why" } input name="reason" required maxlength="1000" autocomplete="off"; }
            label.tick { input type="checkbox" name="replay" value="yes"; "Put it back into its lane at once" }
            div.acts {
                @if !lines.is_empty() { button.danger { "Save" } }
                a.button href={ "/dead/" (job.id) "/edit" } { "Begin again" }
                a.button href={ "/jobs/" (job.id) } { "Leave it as it is" }
            }
        }
    }
}

pub(crate) async fn submit(
    Shares(shared): Shares<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let form = Write::from_request(request, &shared).await?;
    let ask = &form.ask;
    ask.who.need(Act::Operate)?;
    let job = dead(ask, &id).await?;
    if form.field("seen") != Some(Acts::version(&job).as_str()) {
        return Err(Trouble::wrong("somebody changed it since you looked: begin again"));
    }
    let text = form.field("payload").unwrap_or_default();
    let acts = shared.console.acts();
    let parsed = serde_json::from_str::<Value>(text).map_err(|error| format!("no JSON: {error}"));
    let revision = parsed
        .and_then(|new| acts.revise(&job, new).map_err(|problem| problem.detail().to_owned()));
    let revision = match revision {
        Ok(revision) => revision,
        Err(wrong) => {
            let page = show(ask, &job, &write(ask, &job, text, Some(&wrong)));
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let mut edit = Edit { revision, reason: None, replay: false };
    if form.field("step") != Some("save") {
        let told = edit.told(&job, None);
        let lines = told["lines"].as_array().into_iter().flatten();
        let lines: Vec<String> = lines.filter_map(|it| Some(it.as_str()?.to_owned())).collect();
        return Ok(show(ask, &job, &confirm(ask, &job, text, &lines)));
    }
    edit.reason = Some(form.reason()?.to_owned());
    edit.replay = form.field("replay").is_some();
    acts.edit(&ask.who, &job, &edit).await?;
    shared.live.stale();
    let said = if edit.replay {
        "The payload is another one, and the job is back in its lane"
    } else {
        "The payload is another one; the job is still dead: replay it when the cause is mended"
    };
    Ok(form.go(&format!("/jobs/{}", job.id), said))
}
