//! `flotilla dead`: the dead letters, and what may be done about them.

mod edit;
mod groups;
mod replay;
mod replays;

use flotilla_config::Config;
use flotilla_core::records::Page;
use flotilla_core::replay::Selection;
use flotilla_core::{DeadClass, JobId, State};
use serde_json::json;

use crate::cli::{Dead, FoundOut, How, Like, Sure, Which, WhichDead};
use crate::commands::jobs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{End, Site, Target, known};

/// Dead letters of one command, unless it says otherwise.
const MOST: usize = 10_000;

pub(super) async fn run(command: &Dead, config: &Config, target: &Target) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = act(command, &*site, config).await;
    site.close().await;
    result
}

async fn act(command: &Dead, site: &dyn Site, config: &Config) -> Result<Exit, Failure> {
    match command {
        Dead::List { which, like, limit, before, json } => {
            list(site, &selection(which, like), Page { limit: *limit, before: *before }, *json)
                .await
        }
        Dead::Groups { which, like, limit, json } => {
            groups::run(site, &selection(which, like), *limit, *json).await
        }
        Dead::Show { id, json } => show(site, *id, *json).await,
        Dead::Edit { .. } => edit::run(command, site, config).await,
        Dead::Replay { which, word: FoundOut { found: Some(found), result }, how } => {
            if *how != How::default() {
                return Err(Failure::usage("--found speaks for one dead letter: it goes alone"));
            }
            replay::found(site, which, *found, result.as_deref()).await
        }
        Dead::Replay { which, how, .. } => replay::run(site, which, how).await,
        Dead::Replays(command) => replays::run(command, site).await,
        Dead::Discard { which, sure } => end(site, which, sure, "put aside", End::Discard).await,
        Dead::Purge { which, sure } => end(site, which, sure, "deleted", End::Purge).await,
    }
}

async fn list(
    site: &dyn Site,
    selection: &Selection,
    page: Page,
    as_json: bool,
) -> Result<Exit, Failure> {
    let listed = site.dead(selection, page).await?;
    if as_json {
        output::json(&json!({"jobs": listed.jobs, "next": listed.next}))?;
    } else {
        jobs::table(&listed.jobs, site.now(), "no dead letters")?;
        if let Some(next) = listed.next {
            output::line(format!("more: --before {next}"))?;
        }
    }
    Ok(Exit::Ok)
}

async fn show(site: &dyn Site, id: JobId, as_json: bool) -> Result<Exit, Failure> {
    let job = known(site, id).await?;
    if job.state != State::Dead {
        return Err(Failure::usage(format!(
            "{id} is {}, not dead: `flotilla jobs show {id}`",
            job.state
        )));
    }
    jobs::show(&job, site.now(), as_json)?;
    if !as_json {
        output::line(advice(job.class))?;
    }
    Ok(Exit::Ok)
}

/// Discards or purges, after the person has typed how many that is.
async fn end(
    site: &dyn Site,
    which: &WhichDead,
    sure: &Sure,
    verb: &str,
    how: End,
) -> Result<Exit, Failure> {
    let selection = chosen(which)?;
    let matching = site.matching(&selection).await?;
    let n = matching.min(which.limit.unwrap_or(MOST) as u64);
    if which.dry_run {
        if which.json {
            output::json(&json!({"dry_run": true, "matching": matching, "would_touch": n}))?;
        } else {
            output::line(format!("would be {verb}: {} of {matching} that match", count(n)))?;
        }
        return Ok(Exit::Ok);
    }
    let named = !selection.ids.is_empty();
    match sure.count {
        None if !named => {
            return Err(Failure::usage(format!(
                "{} would be {verb}, which cannot be taken back: look with --dry-run, then say \
                 --count {n}",
                count(n)
            )));
        }
        Some(typed) if typed != n => {
            return Err(Failure::usage(format!(
                "--count says {typed}, and {n} match: nothing was {verb}"
            )));
        }
        _ => {}
    }
    let done = site.end(&selection, n, &sure.reason, how).await?;
    if which.json {
        output::json(&json!({"touched": done}))?;
    } else {
        output::line(format!("{verb}: {}", count(done)))?;
    }
    Ok(Exit::Ok)
}

fn selection(which: &Which, like: &Like) -> Selection {
    Selection {
        ids: Vec::new(),
        lanes: which.lane.clone(),
        kinds: which.kind.clone(),
        tenants: which.tenant.clone(),
        classes: like.class.clone(),
        groups: like.group.clone(),
        since: which.since,
        until: which.until,
        error: which.error.clone(),
    }
}

/// Ids, a filter or `--all`: a bare command must not touch everything by accident.
fn chosen(which: &WhichDead) -> Result<Selection, Failure> {
    let selection = Selection { ids: which.ids.clone(), ..selection(&which.which, &which.like) };
    let everything = selection == Selection::default();
    if everything && !which.all {
        return Err(Failure::usage(
            "say which dead letters: ids, a filter such as --kind or --class, or --all",
        ));
    }
    if !everything && which.all {
        return Err(Failure::usage(
            "--all does not go with ids or a filter: leave one of them out",
        ));
    }
    Ok(selection)
}

fn count(n: u64) -> String {
    if n == 1 { "1 dead letter".to_owned() } else { format!("{n} dead letters") }
}

fn advice(class: Option<DeadClass>) -> &'static str {
    match class {
        Some(DeadClass::Exhausted) => {
            "its attempts are used up: mend the cause, then `flotilla dead replay ID`"
        }
        Some(DeadClass::Invalid) => {
            "its payload cannot work as it is: enqueue a corrected job, then `flotilla dead discard ID --reason …`"
        }
        Some(DeadClass::Poison) => {
            "it took its workers down: look at their logs before `flotilla dead replay ID`"
        }
        Some(DeadClass::Expired) => {
            "its deadline passed before a worker was free: add workers, then `flotilla dead replay ID`"
        }
        Some(DeadClass::Unauthorised) => {
            "its credential does not hold: renew it, then `flotilla dead replay ID`"
        }
        Some(DeadClass::OutcomeUnknown) => {
            "an irreversible call was made and its outcome is not known: look at the platform, then `flotilla dead replay ID --found did` (or did-not)"
        }
        Some(DeadClass::Rejected) | None => "it was refused for good: read the error above",
    }
}
