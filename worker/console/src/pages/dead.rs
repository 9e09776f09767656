//! `/dead`: dead letters in groups and one by one; putting them aside; saying what happened.

use axum::extract::{FromRequest, Path, RawQuery, Request, State as Shares};
use std::sync::Arc;

use flotilla_admin::audit::Change;
use flotilla_admin::auth::Act;
use flotilla_core::records::Filter;
use flotilla_core::replay::{Bounds, Group, Groups, groups, select};
use flotilla_core::{DeadClass, JobId, State, clock};
use flotilla_engine::found::{self, Found, FoundError, Word};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{Answer, jobs};
use crate::ask::{Ask, Write, pairs};
use crate::filter::Asked;
use crate::shell::{Page, Place};
use crate::text::{count, many, when};
use crate::trouble::Trouble;
use crate::{Shared, forms, marks, redact};

/// How much is looked at for one page; hours as the small charts show them.
const LOOK: Bounds = Bounds { letters: 3000, groups: 200, hours: 48 };
/// Groups that are shown.
const SHOWN: usize = 30;
/// Dead letters that one form puts aside.
const MANY: usize = 100_000;
/// And of a group, whose ids are gathered first.
const BY_IDS: usize = 10_000;

impl From<FoundError> for Trouble {
    fn from(error: FoundError) -> Self {
        match error {
            FoundError::Port(error) => error.into(),
            other => Self::wrong(other),
        }
    }
}

pub(crate) async fn page(ask: Ask, RawQuery(query): RawQuery) -> Answer {
    let fields = pairs(query.unwrap_or_default().as_bytes());
    let mut asked = Asked::read(&fields)?;
    asked.filter = asked.filter.dead();
    let before =
        fields.get("before").and_then(|all| all.first()).map(|id| id.parse()).transpose()?;
    let mut listed = jobs::list(&ask, &asked, before).await?;
    if let Some(selection) = asked.selection(&ask.who) {
        listed.jobs.retain(|job| selection.takes(job));
    }
    let records = &*ask.shared.console.records;
    let total = match asked.held(&ask.who) {
        Some(filter) => records.count(&filter).await?,
        None => 0,
    };
    let grouped = match asked.selection(&ask.who).filter(|_| before.is_none()) {
        Some(selection) => groups(records, &selection, LOOK, ask.now).await?,
        None => Groups::default(),
    };
    let body = html! {
        (narrow(&asked))
        @if !grouped.groups.is_empty() {
            section aria-labelledby="groups" {
                h2 #groups { "By what went wrong" }
                (group_table(&ask, &grouped.groups, &asked))
                @if !grouped.complete {
                    p.faint { "Grouped: the newest " (count(grouped.looked)) " of " (count(total)) "." }
                }
            }
        }
        section aria-labelledby="each" {
            h2 #each { "One by one" }
            @if listed.jobs.is_empty() {
                (forms::empty("No dead letters here.", &html! {
                    @if asked.is_empty() { "Jobs come here when their attempts are used up or they are refused for good." }
                    @else { a href="/dead" { "Show all dead letters" } } }))
            } @else {
                (jobs::table(&listed.jobs, ask.now, false))
            }
            (jobs::next(&listed, &asked, "/dead"))
        }
    };
    let about = html! { (many(total, "dead letter", "dead letters")) " that will not run again by themselves" };
    let acts = html! {
        @if ask.may(Act::Operate) && total > 0 {
            a.button.primary href={ "/replays/new" (asked.query(&[])) } { "Replay…" }
            a.button href={ "/dead/discard" (asked.query(&[])) } { "Discard…" }
        }
    };
    Ok(ask.show(Page::new(Place::Dead, "Dead letters", body).about(about).acts(acts)))
}

fn narrow(asked: &Asked) -> Markup {
    let field = |name: &'static str, word: &str| {
        html! {
            label { span { (word) } input name=(name) value=(asked.text(name)) placeholder="any" autocomplete="off"; }
        }
    };
    html! {
        form.filter method="get" action="/dead" role="search" {
            div.fields {
                label { span { "Class" } select name="class" {
                    option value="" { "any" }
                    @for class in jobs::classes() { option value=(class) selected[asked.has("class", class)] { (class.replace('_', " ")) } }
                } }
                (field("kind", "Kind")) (field("lane", "Lane")) (field("tenant", "Tenant"))
                (field("error", "Error says"))
                button.primary { "Narrow" }
                @if !asked.is_empty() { a.button href="/dead" { "Show all" } }
            }
        }
    }
}

fn group_table(ask: &Ask, groups: &[Group], asked: &Asked) -> Markup {
    let most = groups.first().map_or(1, |group| group.count);
    html! {
        table.rows.groups {
            thead { tr {
                th.n scope="col" { "Jobs" } th scope="col" { "What went wrong" } th scope="col" { "Kind" }
                th scope="col" { "Class" } th scope="col" { "48 hours" } th scope="col" { "Last" }
                th scope="col" { span.unseen { "Actions" } }
            } }
            tbody {
                @for group in groups.iter().take(SHOWN) { (group_row(ask, group, asked, most)) }
            }
        }
    }
}

fn group_row(ask: &Ask, group: &Group, asked: &Asked, most: u64) -> Markup {
    let mut of = url::form_urlencoded::Serializer::new(String::new());
    of.append_pair("group", group.fingerprint.as_str()).append_pair("kind", group.kind.as_str());
    if let Some(class) = group.class {
        of.append_pair("class", class.name());
    }
    for name in ["lane", "tenant", "since", "until", "error"] {
        if !asked.text(name).is_empty() {
            of.append_pair(name, asked.text(name));
        }
    }
    let of = of.finish();
    let message = if group.message.is_empty() { "nobody said why" } else { &group.message };
    html! {
        tr {
            td.n data-label="Jobs" {
                strong { (count(group.count)) }
                meter.share max=(most) value=(group.count) aria-label="share" {}
            }
            th.says scope="row" {
                @match group.samples.first() {
                    Some(id) => a href={ "/jobs/" (id) } title=(redact::line(&group.example)) { (redact::line(message)) },
                    None => (redact::line(message)),
                }
            }
            td data-label="Kind" { (group.kind) }
            td data-label="Class" { @if let Some(of) = group.class { (class(of)) } }
            td data-label="48 hours" { (hours(group, ask.now)) }
            td data-label="Last" { (when(group.last, ask.now)) }
            td.acts {
                a.button href={ "/dead?" (of) } { "List" }
                @if ask.may(Act::Operate) && group.class != Some(DeadClass::OutcomeUnknown) {
                    a.button href={ "/replays/new?" (of) } { "Replay…" }
                }
            }
        }
    }
}

/// How many died in each hour of the last two days.
fn hours(group: &Group, now: flotilla_core::Timestamp) -> Markup {
    let most = group.hours.values().copied().max().unwrap_or(1).max(1);
    let first = clock::before(now, std::time::Duration::from_secs(u64::from(LOOK.hours) * 3600));
    let bars = group.hours.iter().map(|(hour, n)| {
        let x = clock::between(first, *hour).as_secs_f64() / 3600.0 * 2.5;
        let high = (*n as f64 / most as f64 * 22.0).max(2.0);
        (format!("{x:.1}"), format!("{:.1}", 24.0 - high), format!("{high:.1}"))
    });
    html! {
        svg.hours viewBox="0 0 122 24" role="img" aria-label={ "deaths by hour, at most " (most) " in one" } {
            @for (x, y, high) in bars { rect x=(x) y=(y) width="2" height=(high) {} }
        }
    }
}

fn class(class: DeadClass) -> Markup {
    let level = match class {
        DeadClass::OutcomeUnknown | DeadClass::Poison => "bad",
        DeadClass::Unauthorised | DeadClass::Exhausted => "warn",
        _ => "quiet",
    };
    marks::badge(level, "dead", &class.name().replace('_', " "))
}

/// Dead letters by filter, or by ids where some are given.
pub(crate) fn chosen(
    ask: &Ask,
    fields: &std::collections::BTreeMap<String, Vec<String>>,
) -> Result<(Asked, Option<Filter>), Trouble> {
    let mut asked = Asked::read(fields)?;
    asked.filter = asked.filter.dead();
    let ids = fields.get("id").map(Vec::as_slice).unwrap_or_default();
    asked.filter.ids = ids
        .iter()
        .filter(|id| !id.is_empty())
        .map(|id| id.parse::<JobId>())
        .collect::<Result<_, _>>()?;
    let held = asked.held(&ask.who);
    Ok((asked, held))
}

/// How many are meant, and the filter that finds them: a group is known by its ids.
async fn meant(ask: &Ask, asked: &Asked, held: &Filter) -> Result<(u64, Filter), Trouble> {
    let records = &*ask.shared.console.records;
    let selection = asked.selection(&ask.who).filter(|it| !it.groups.is_empty());
    let Some(selection) = selection else {
        return Ok((records.count(held).await?, held.clone()));
    };
    let ids = select(records, &selection, BY_IDS).await?;
    if ids.len() == BY_IDS {
        return Err(Trouble::wrong(format!(
            "a group of {BY_IDS} or more is put aside by kind, class or time: leave the group out"
        )));
    }
    Ok((ids.len() as u64, Filter { ids, ..Filter::default() }.dead()))
}

/// A filter in words, for forms and for the audit log.
pub(crate) fn in_words(asked: &Asked) -> String {
    let ids = asked.filter.ids.iter().map(|id| format!("id {id}"));
    let fields = asked.fields().map(|(name, value)| format!("{name} {value}"));
    let words: Vec<String> = ids.chain(fields).collect();
    if words.is_empty() { "all dead letters".to_owned() } else { words.join(", ") }
}

/// `GET /dead/discard?…`: how many, and are you sure.
pub(crate) async fn confirm(ask: Ask, RawQuery(query): RawQuery) -> Answer {
    ask.who.need(Act::Operate)?;
    let fields = pairs(query.unwrap_or_default().as_bytes());
    let (asked, held) = chosen(&ask, &fields)?;
    let n = match held {
        Some(held) => meant(&ask, &asked, &held).await?.0,
        None => 0,
    };
    let body = html! {
        p.lead { "Putting aside " strong { (many(n, "dead letter", "dead letters")) } ": " (in_words(&asked)) "." }
        p { "They end as cancelled with your reason, stay for their retention and can not be replayed any more." }
        form.card method="post" action="/dead/discard" {
            (forms::hidden(&ask.who, "/dead"))
            @for (name, value) in asked.fields() { input type="hidden" name=(name) value=(value); }
            @for id in &asked.filter.ids { input type="hidden" name="id" value=(id); }
            label { span { "Why" } input name="reason" required maxlength="1000" autocomplete="off"; }
            label { span { "Type " strong { (n) } " to confirm" }
                input name="count" required inputmode="numeric" pattern="[0-9]+" autocomplete="off"; }
            div.acts { button.danger { "Discard" } a.button href="/dead" { "Back" } }
        }
    };
    Ok(ask.show(Page::new(Place::Dead, "Discard dead letters", body)))
}

pub(crate) async fn discard(write: Write) -> Answer {
    let ask = &write.ask;
    ask.who.need(Act::Operate)?;
    let (asked, held) = chosen(ask, write.fields())?;
    let reason = write.reason()?.to_owned();
    let filter =
        held.ok_or_else(|| Trouble::wrong("none of these dead letters are of your tenants"))?;
    let records = &ask.shared.console.records;
    let (n, filter) = meant(ask, &asked, &filter).await?;
    let typed = write.field("count").and_then(|it| it.parse::<u64>().ok());
    if typed != Some(n) {
        return Err(Trouble::wrong(format!(
            "you typed {}, and {n} match now: look again, then type that number",
            write.field("count").unwrap_or("nothing")
        )));
    }
    let change = Change {
        what: "dead.discard",
        target: in_words(&asked),
        before: Some(json!({"matching": n})),
        reason: Some(reason.clone()),
        ..Change::default()
    };
    let act = records.discard(&filter, &reason, MANY, ask.now);
    let done = ask.change(change, act, |n| json!({"discarded": n})).await?;
    Ok(write.go("/dead", &format!("Put aside {}", many(done, "dead letter", "dead letters"))))
}

/// `POST /dead/{id}/found`: a person's word on a job of unknown outcome.
pub(crate) async fn found(
    Shares(shared): Shares<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let write = Write::from_request(request, &shared).await?;
    let ask = &write.ask;
    ask.who.need(Act::Operate)?;
    let job = ask.job(&id).await?;
    if job.state != State::Dead {
        return Err(Trouble::wrong(format!("job {id} is {}, not dead", job.state)));
    }
    let result: Option<Value> =
        write.field("result").map(serde_json::from_str).transpose().map_err(|error| {
            Trouble::wrong(format!("what it gave is not JSON: {error}; a text needs its quotes"))
        })?;
    let found = match (write.field("found"), result) {
        (Some("did"), result) => Found::Did(result.unwrap_or_default()),
        (Some("did-not"), None) => Found::DidNot,
        (Some("did-not"), Some(_)) => {
            return Err(Trouble::wrong("what did not happen gave nothing: leave the result empty"));
        }
        _ => return Err(Trouble::wrong("say whether it happened")),
    };
    let change = Change {
        what: "dead.found",
        target: job.id.to_string(),
        tenant: Some(job.tenant.clone()),
        before: Some(json!({"state": job.state, "class": job.class})),
        reason: Some(write.reason()?.to_owned()),
    };
    let word = Word { found, by: ask.who.name.to_string() };
    let console = &shared.console;
    let act = found::replay(&*console.records, &*console.cells, &console.ops, &job, &word);
    let new = ask.change(change, act, |new| json!({"goes_on_as": new})).await?;
    Ok(write.go(&format!("/jobs/{new}"), "It goes on as this job, with your word in its ledger"))
}
