//! `flotilla limits`: quotas of the fleet, and what is left of them.

use flotilla_config::Config;
use flotilla_core::Timestamp;
use flotilla_core::limit::{Quota, Rule};
use flotilla_engine::traffic::LimitInfo;
use serde_json::json;

use crate::cli::Limits;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target};

pub(super) async fn run(
    command: &Limits,
    config: &Config,
    target: &Target,
) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = act(command, &*site).await;
    site.close().await;
    result
}

async fn act(command: &Limits, site: &dyn Site) -> Result<Exit, Failure> {
    let now = site.now();
    match command {
        Limits::List { json } => {
            let (rules, limits) = site.limits().await?;
            if *json {
                output::json(&json!({"rules": rules, "keys": limits}))?;
                return Ok(Exit::Ok);
            }
            let rows = rules
                .iter()
                .map(|info| {
                    let from = if info.set_by_hand { "set by hand" } else { "configuration" };
                    vec![info.rule.pattern.clone(), texts(&info.rule.quotas), from.to_owned()]
                })
                .collect();
            let none = "no limits: `flotilla limits set KEY QUOTA…` sets one";
            output::table(&["KEYS", "QUOTAS", "FROM"], rows, none)?;
            if !limits.is_empty() {
                output::line("")?;
                let rows = limits.iter().map(|info| row(info, now)).collect();
                output::table(&["KEY", "QUOTAS", "NEXT START", "RUNNING", "LEFT ALONE"], rows, "")?;
            }
        }
        Limits::Set { key, quotas } => {
            let rule = Rule::new(key, quotas).map_err(Failure::usage)?;
            site.set_rule(&rule).await?;
            let quotas = texts(&rule.quotas);
            output::line(format!("set {key}: {quotas}; workers heed it within two seconds"))?;
        }
        Limits::Unset { key } => {
            let was = site.unset_rule(key).await?;
            output::line(if was {
                format!("{key} is as the configuration says again")
            } else {
                format!("nothing was set for {key}: `flotilla limits list` shows the rules")
            })?;
        }
    }
    Ok(Exit::Ok)
}

fn texts(quotas: &[Quota]) -> String {
    if quotas.is_empty() {
        return "none".to_owned();
    }
    quotas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn row(info: &LimitInfo, now: Timestamp) -> Vec<String> {
    let next = match info.next_start {
        Some(at) if at <= now => "now".to_owned(),
        Some(at) => output::relative(at, now),
        None => "when one ends".to_owned(),
    };
    vec![
        info.key.to_string(),
        texts(&info.quotas),
        next,
        info.running.len().to_string(),
        info.frozen_until.map(|until| output::relative(until, now)).unwrap_or_default(),
    ]
}
