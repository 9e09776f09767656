//! `flotilla limits`: quotas of the fleet, and what is left of them.

use flotilla_config::Config;
use flotilla_core::Timestamp;
use flotilla_core::limit::{Quota, Rule};
use flotilla_engine::traffic::{self, LimitInfo};
use serde_json::json;

use crate::cli::Limits;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

pub(super) async fn run(command: &Limits, config: &Config) -> Result<Exit, Failure> {
    let rules = wire::engine::settings(config)?.limits.rules;
    let ports = wire::ports(config).await?;
    let result = act(command, &ports, &rules).await;
    ports.close().await;
    result
}

async fn act(command: &Limits, ports: &Ports, fixed: &[Rule]) -> Result<Exit, Failure> {
    let (cells, clock, now) = (&*ports.cells, ports.clock(), ports.now());
    match command {
        Limits::List { json } => {
            let rules = traffic::rules(cells, fixed, now).await?;
            let limits = traffic::limits(cells, fixed, now).await?;
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
            traffic::set_rule(cells, &*clock, &rule).await?;
            let quotas = texts(&rule.quotas);
            output::line(format!("set {key}: {quotas}; workers heed it within two seconds"))?;
        }
        Limits::Unset { key } => {
            let was = traffic::unset_rule(cells, &*clock, key).await?;
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
