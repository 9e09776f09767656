//! The queue and the fleet on it: soundness, clocks, backlogs nobody serves, accounts that lapse.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_config::{Backend, Config};
use flotilla_core::account::AccountStatus;
use flotilla_core::clock::before;
use flotilla_core::records::Filter;
use flotilla_core::{State, Timestamp};
use flotilla_vault::Listed;

use super::{Finding, Grade};
use crate::exit::Failure;
use crate::output;
use crate::wire::{self, Ports};

/// A clock that is further off is told.
const SKEW: i64 = 1_000_000;
/// Accounts that are looked at.
const ACCOUNTS: usize = 1000;

pub(super) async fn look(config: &Config, ports: &Ports) -> Vec<Finding> {
    let now = ports.now();
    let mut findings = Vec::new();
    if config.queue.backend == Backend::Memory {
        findings.push(Finding::warning(
            "queue",
            "in memory: jobs end with the process",
            "set queue.backend to \"sqlite\" for anything but a trial",
        ));
    }
    match ports.check().await {
        Ok(found) => findings.extend(found.into_iter().map(|f| Finding {
            grade: if f.ok { Grade::Ok } else { Grade::Fault },
            what: f.what,
            found: f.says,
            mend: String::new(), // the check says it in its own words
        })),
        Err(failure) => findings.push(Finding::fault(
            "queue",
            failure.to_string(),
            "stop all workers, restore the file from a backup",
        )),
    }
    findings.extend(clock(ports));
    findings.extend(lanes(ports, now).await.unwrap_or_else(|e| {
        vec![Finding::fault("lanes", e.to_string(), "see the queue's finding")]
    }));
    findings.extend(accounts(config, ports, now).await.unwrap_or_else(|e| {
        vec![Finding::fault("accounts", e.to_string(), "mend what the message says")]
    }));
    findings
}

/// The server's clock counts; a machine that is off tells people wrong times.
fn clock(ports: &Ports) -> Option<Finding> {
    let offset = ports.clock_offset()?;
    let seconds = offset / 1_000_000;
    Some(if offset.abs() <= SKEW {
        Finding::ok("clock", "it agrees with the queue server's")
    } else {
        Finding::warning(
            "clock",
            format!("this machine's clock is {} s off the queue server's, which counts", -seconds),
            "let this machine keep time, as with `timedatectl set-ntp true`",
        )
    })
}

/// Backlogs that nobody serves, pauses that were forgotten, dead letters.
async fn lanes(ports: &Ports, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let workers = ports.fleet.workers(before(now, Duration::from_secs(60))).await?;
    let mut findings =
        vec![Finding::ok("workers", format!("{} seen within a minute", workers.len()))];
    for info in ports.records.lanes().await? {
        let lane = &info.lane;
        let waiting = info.counts.get(&State::Available).copied().unwrap_or(0);
        let served = workers.iter().any(|w| w.lanes.contains(lane));
        if waiting > 0 && !served {
            findings.push(Finding::warning(
                "lane",
                format!("{lane}: {waiting} jobs wait and no worker serves it"),
                format!("start one: flotilla worker --lanes {lane}"),
            ));
        }
        if let Some(pause) = &info.paused {
            let since = output::relative(pause.since, now);
            findings.push(Finding::warning(
                "lane",
                format!("{lane} is paused by {} since {since}: {}", pause.by, pause.reason),
                format!("flotilla queues resume {lane}"),
            ));
        }
    }
    let dead = ports.records.count(&Filter::default().dead()).await?;
    findings.push(if dead == 0 {
        Finding::ok("dead letters", "none")
    } else {
        Finding::warning("dead letters", format!("{dead}"), "flotilla dead list")
    });
    Ok(findings)
}

/// Accounts that wait for their owner, that are late, or that this build cannot renew.
async fn accounts(config: &Config, ports: &Ports, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let vault = wire::vault::open(config, ports)?;
    let listed = vault.list(None, None, ACCOUNTS).await.map_err(Failure::unavailable)?;
    let mut findings = Vec::new();
    let mut without_app: BTreeMap<&str, usize> = BTreeMap::new();
    for it in listed.iter().filter(|it| it.account.base_url.is_none()) {
        let platform = it.account.platform.as_str();
        let has_app = config.apps.iter().any(|app| app.platform == platform);
        if it.refreshable && !has_app {
            *without_app.entry(platform).or_default() += 1;
        }
    }
    for (platform, n) in without_app {
        findings.push(Finding::fault(
            "app",
            format!("{n} accounts of {platform} are renewed as an app that is not configured"),
            format!("add [[app]] with name = \"{platform}\", client_id and client_secret_file"),
        ));
    }
    findings.extend(listed.iter().filter_map(|it| account(it, now)));
    if !listed.is_empty() && findings.is_empty() {
        findings.push(Finding::ok("accounts", format!("{} can be used", listed.len())));
    }
    Ok(findings)
}

fn account(it: &Listed, now: Timestamp) -> Option<Finding> {
    let (tenant, id) = (&it.account.tenant, &it.account.id);
    match &it.account.status {
        AccountStatus::ReauthRequired { since, reason } => Some(Finding::warning(
            "account",
            format!("{tenant}/{id}: {reason} ({})", output::relative(*since, now)),
            format!("its owner connects it again: flotilla accounts add {id} --tenant {tenant} …"),
        )),
        AccountStatus::Active if it.overdue => Some(Finding::warning(
            "account",
            format!(
                "{tenant}/{id}: its renewal is more than an hour late: {}",
                it.last_error.as_deref().unwrap_or("no worker of the lane \"tokens\" was there"),
            ),
            "start a worker that serves the lane \"tokens\", or mend what the message says",
        )),
        _ => None,
    }
}
