//! `/platforms`: limits with what is left of them, breakers, and what each platform can do.

use flotilla_admin::audit::Change;
use flotilla_admin::auth::Act;
use flotilla_core::breaker::Stand;
use flotilla_core::limit::{LimitKey, Quota, Rule};
use flotilla_engine::traffic::{self, BreakerInfo, LimitInfo, RuleInfo};
use flotilla_platforms::Spec;
use maud::{Markup, html};
use serde_json::json;

use super::Answer;
use crate::ask::{Ask, Write};
use crate::forms;
use crate::marks::badge;
use crate::shell::{Page, Place};
use crate::text::{clip, count, relative, when};
use crate::trouble::Trouble;

const HERE: &str = "/platforms";
/// Keys that are shown.
const SHOWN: usize = 200;

pub(crate) async fn page(ask: Ask) -> Answer {
    ask.fleet()?;
    let console = &ask.shared.console;
    let (cells, fixed) = (&*console.cells, &console.rules);
    let limits = traffic::limits(cells, fixed, ask.now).await?;
    let rules = traffic::rules(cells, fixed, ask.now).await?;
    let breakers = traffic::breakers(cells, ask.now).await?;
    let specs: Vec<&Spec> = console.platforms.capable(&[]).collect();
    let body = html! {
        section aria-labelledby="breakers" {
            h2 #breakers { "Breakers" }
            div #part-breakers data-live { (breaker_table(&ask, &breakers)) }
            @if ask.may_fleet(Act::Operate) { (open_form(&ask)) }
        }
        section aria-labelledby="limits" {
            h2 #limits { "Limits in use" }
            div #part-limits data-live { (limit_table(&ask, &limits)) }
        }
        section aria-labelledby="rules" {
            h2 #rules { "Rules" }
            (rule_table(&ask, &rules))
            @if ask.may_fleet(Act::Administer) { (rule_form(&ask)) }
        }
        section aria-labelledby="registry" {
            h2 #registry { "What each can do" }
            (spec_table(&specs))
        }
    };
    let about = html! { "Everybody outside whom jobs call: how fast, how well they answer, which version is spoken" };
    Ok(ask.show(Page::new(Place::Platforms, "Platforms", body).about(about).live()))
}

fn breaker_table(ask: &Ask, breakers: &[BreakerInfo]) -> Markup {
    html! {
        @if breakers.is_empty() {
            p.calm { (crate::marks::icon("completed")) "Everybody answers: all breakers are closed." }
        } @else {
            table.rows {
                thead { tr { th scope="col" { "Breaker" } th scope="col" { "Stands" } th scope="col" { "Since" } th scope="col" { "Why" }
                    @if ask.may_fleet(Act::Operate) { th scope="col" { span.unseen { "Actions" } } } } }
                tbody {
                    @for info in breakers {
                        @let key = info.key.as_str();
                        tr {
                            th scope="row" { (key) (turned(info, ask)) }
                            (stand(&info.stand, ask))
                            @if ask.may_fleet(Act::Operate) {
                                td.acts {
                                    a.button href={ "/jobs?state=parked" } { "Parked jobs" }
                                    @if !matches!(info.stand, Stand::Closed) {
                                        @let more = html! { input type="hidden" name="key" value=(key); input type="hidden" name="to" value="close"; };
                                        (forms::reasoned(&ask.who, "/platforms/breaker", HERE, "Close", "", &more))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How it was turned lately, the latest first.
fn turned(info: &BreakerInfo, ask: &Ask) -> Markup {
    html! {
        @if !info.history.is_empty() {
            details.more {
                summary { "History" }
                ul.plain { @for past in info.history.iter().rev() {
                    li { (when(past.at, ask.now)) " " (past.to.replace('_', "-")) " by " (past.by) ": " (clip(&past.why, 120)) }
                } }
            }
        }
    }
}

fn stand(stand: &Stand, ask: &Ask) -> Markup {
    match stand {
        Stand::Closed => html! {
            td { (badge("good", "completed", "closed")) } td { "–" } td.says { "had trouble lately" }
        },
        Stand::Open { since, until, by, why } => html! {
            td data-label="Stands" { (badge("bad", "dead", "open")) }
            td data-label="Since" { (when(*since, ask.now)) " by " (by) }
            td.says data-label="Why" { (why) div.hint {
                @match until { Some(until) => { "a few jobs try " (relative(*until, ask.now)) } None => "until a person closes it" } } }
        },
        Stand::HalfOpen { probes, good } => html! {
            td data-label="Stands" { (badge("warn", "retryable", "half-open")) } td { "–" }
            td.says data-label="Why" { (probes.len()) " jobs try, " (good) " have succeeded" }
        },
        Stand::Ramping { since, by, why } => html! {
            td data-label="Stands" { (badge("note", "running", "ramping")) }
            td data-label="Since" { (when(*since, ask.now)) " by " (by) } td.says data-label="Why" { (why) }
        },
    }
}

fn open_form(ask: &Ask) -> Markup {
    html! {
        details.more {
            summary { "Open a breaker by hand" }
            form.strip method="post" action="/platforms/breaker" {
                (forms::hidden(&ask.who, HERE))
                input type="hidden" name="to" value="open";
                label { span { "Key" } input name="key" required maxlength="200" placeholder="instagram" autocomplete="off"; }
                label { span { "Try again after (minutes; empty: when it is closed)" } input name="minutes" inputmode="numeric" pattern="[0-9]*"; }
                label { span { "Why" } input name="reason" required maxlength="1000" autocomplete="off"; }
                button.danger { "Open" }
            }
        }
    }
}

fn quotas(quotas: &[Quota]) -> String {
    if quotas.is_empty() {
        return "none".to_owned();
    }
    quotas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn limit_table(ask: &Ask, limits: &[LimitInfo]) -> Markup {
    html! {
        @if limits.is_empty() {
            p.faint { "No limited key was used lately." }
        } @else {
            table.rows {
                thead { tr { th scope="col" { "Key" } th scope="col" { "Quotas" } th scope="col" { "Next start" } th.n scope="col" { "Running" } th scope="col" { "Left alone" } } }
                tbody {
                    @for info in limits.iter().take(SHOWN) {
                        tr {
                            th scope="row" { (info.key) }
                            td data-label="Quotas" { (quotas(&info.quotas)) }
                            td data-label="Next start" { @match info.next_start {
                                _ if info.quotas.is_empty() => span.faint { "no quota" },
                                Some(at) if at <= ask.now => (badge("good", "completed", "now")),
                                Some(at) => (when(at, ask.now)),
                                None => (badge("warn", "paused", "when one ends")),
                            } }
                            td.n data-label="Running" { (info.running.len()) }
                            td.says data-label="Left alone" {
                                @if let Some(until) = info.frozen_until.filter(|until| *until > ask.now) {
                                    (badge("warn", "paused", "frozen")) " " (when(until, ask.now))
                                    @if let Some(why) = &info.frozen_because { ": " (clip(why, 90)) }
                                }
                            }
                        }
                    }
                }
            }
            @if limits.len() > SHOWN { p.faint { "The first " (SHOWN) " of " (count(limits.len() as u64)) "." } }
        }
    }
}

fn rule_table(ask: &Ask, rules: &[RuleInfo]) -> Markup {
    html! {
        @if rules.is_empty() {
            p.faint { "No rule holds." }
        } @else {
            table.rows {
                thead { tr { th scope="col" { "Keys" } th scope="col" { "Quotas" } th scope="col" { "From" }
                    @if ask.may_fleet(Act::Administer) { th scope="col" { span.unseen { "Actions" } } } } }
                tbody {
                    @for info in rules {
                        tr {
                            th scope="row" { code { (info.rule.pattern) } }
                            td data-label="Quotas" { (quotas(&info.rule.quotas)) }
                            td data-label="From" { @if info.set_by_hand { (badge("note", "running", "set by hand")) } @else { "configuration" } }
                            @if ask.may_fleet(Act::Administer) {
                                td.acts { @if info.set_by_hand {
                                    @let more = html! { input type="hidden" name="key" value=(info.rule.pattern); input type="hidden" name="to" value="unset"; };
                                    (forms::reasoned(&ask.who, "/platforms/limit", HERE, "Lift", "", &more))
                                } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn rule_form(ask: &Ask) -> Markup {
    html! {
        details.more {
            summary { "Set a rule for the whole fleet" }
            form.strip method="post" action="/platforms/limit" {
                (forms::hidden(&ask.who, HERE))
                input type="hidden" name="to" value="set";
                label { span { "Keys" } input name="key" required maxlength="200" placeholder="instagram/*" autocomplete="off"; }
                label { span { "Quotas" } input name="quotas" required placeholder="6/min, 2 at once" autocomplete="off"; }
                label { span { "Why" } input name="reason" required maxlength="1000" autocomplete="off"; }
                button.danger { "Set" }
            }
        }
    }
}

fn spec_table(specs: &[&Spec]) -> Markup {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().replace('_', " ");
    html! {
        table.rows {
            thead { tr { th scope="col" { "Platform" } th scope="col" { "API version" } th scope="col" { "Can" } th scope="col" { "Own quotas" } } }
            tbody {
                @for spec in specs {
                    tr {
                        th scope="row" { (spec.title) span.faint { " " (spec.name) } }
                        td data-label="Version" { @if spec.version.is_empty() { span.faint { "unversioned" } } @else { code { (spec.version) } } }
                        td.says data-label="Can" {
                            @for can in &spec.capabilities { span.chip { (word(json!(can))) } }
                            @for (sort, more) in &spec.capabilities_by { @for can in more { span.chip { (word(json!(can))) " (" (sort) ")" } } }
                            @if spec.capabilities.is_empty() && spec.capabilities_by.is_empty() { span.faint { "keep its tokens fresh" } }
                        }
                        td.says data-label="Quotas" { @for row in &spec.quota { div { code { (row.keys) } " " (row.quotas.join(", ")) } } }
                    }
                }
            }
        }
    }
}

pub(crate) async fn limit(write: Write) -> Answer {
    let ask = &write.ask;
    ask.who.need_fleet(Act::Administer)?;
    let key = write.field("key").ok_or_else(|| Trouble::wrong("say which keys"))?.to_owned();
    let console = &ask.shared.console;
    let (cells, clock) = (&*console.cells, &*console.ops.clock);
    let before = traffic::rules(cells, &console.rules, ask.now).await?;
    let before = before
        .into_iter()
        .find(|info| info.rule.pattern == key)
        .map(|info| json!(quotas(&info.rule.quotas)));
    let change = |what| -> Result<Change, Trouble> {
        let reason = Some(write.reason()?.to_owned());
        Ok(Change {
            what,
            target: key.clone(),
            before: before.clone(),
            reason,
            ..Change::default()
        })
    };
    if write.field("to") == Some("unset") {
        let act = traffic::unset_rule(cells, clock, &key);
        ask.change(change("limit.unset")?, act, |was| json!({"was_set": was})).await?;
        return Ok(write.done(&format!("{key} is as the configuration says again")));
    }
    let given: Vec<&str> = write
        .field("quotas")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect();
    let rule = Rule::new(&key, &given).map_err(Trouble::wrong)?;
    let said = quotas(&rule.quotas);
    let act = traffic::set_rule(cells, clock, &rule);
    ask.change(change("limit.set")?, act, |()| json!(said)).await?;
    Ok(write.done(&format!("{key}: {said}; workers heed it within two seconds")))
}

pub(crate) async fn breaker(write: Write) -> Answer {
    let ask = &write.ask;
    ask.who.need_fleet(Act::Operate)?;
    let console = &ask.shared.console;
    let given = write.field("key").ok_or_else(|| Trouble::wrong("say which breaker"))?;
    let asked: LimitKey = given.parse().map_err(Trouble::wrong)?;
    let key = asked.above(console.depth);
    if key != asked {
        return Err(Trouble::wrong(format!(
            "{asked} has no breaker of its own: its jobs share that of {key}"
        )));
    }
    let (cells, clock, by) = (&*console.cells, &*console.ops.clock, ask.who.name.to_string());
    let reason = write.reason()?.to_owned();
    let target = key.to_string();
    let change = |what| Change { what, target, reason: Some(reason.clone()), ..Change::default() };
    if write.field("to") == Some("close") {
        let act = traffic::close_breaker(cells, clock, &key, &by, &reason);
        let was = ask.change(change("breaker.close"), act, |was| json!({"was_open": was})).await?;
        let said = if was { "is closed; its jobs are woken, few at first" } else { "was not open" };
        return Ok(write.done(&format!("{key} {said}")));
    }
    let minutes = write.field("minutes").map(str::parse::<u64>).transpose();
    let minutes = minutes.map_err(|_| Trouble::wrong("minutes: write a number"))?;
    let pause = minutes.map(|n| std::time::Duration::from_secs(n.min(7 * 24 * 60) * 60));
    let act = traffic::open_breaker(cells, clock, &key, &by, &reason, pause);
    ask.change(change("breaker.open"), act, |()| json!({"open": true})).await?;
    Ok(write.done(&format!("{key} is open: its jobs are parked")))
}
