//! `flotilla breakers`: who is not called for now, and opening and closing by hand.

use flotilla_config::Config;
use flotilla_core::breaker::Past;
use flotilla_core::{LimitKey, Timestamp};
use flotilla_engine::traffic::BreakerInfo;

use crate::cli::Breakers;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target};

pub(super) async fn run(
    command: &Breakers,
    config: &Config,
    target: &Target,
) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = act(command, &*site).await;
    site.close().await;
    result
}

async fn act(command: &Breakers, site: &dyn Site) -> Result<Exit, Failure> {
    match command {
        Breakers::List { history, json } => {
            let breakers = site.breakers().await?;
            if *json {
                output::json(&breakers)?;
            } else {
                let rows = breakers
                    .iter()
                    .map(|info| vec![info.key.to_string(), info.stand.to_string()])
                    .collect();
                output::table(&["BREAKER", "STANDS"], rows, "all breakers are closed")?;
                if *history {
                    turns(&breakers, site.now())?;
                }
            }
        }
        Breakers::Open { key, reason, pause } => {
            site.open_breaker(key, reason, *pause).await?;
            output::line(match pause {
                Some(pause) => {
                    format!("opened {key}; a few jobs try again after {}", output::short(*pause))
                }
                None => format!("opened {key}; `flotilla breakers close {key}` ends it"),
            })?;
        }
        Breakers::Close { key, reason } => {
            let was = site.close_breaker(key, reason).await?;
            output::line(if was {
                format!("closed {key}; its jobs are woken, few at first")
            } else {
                format!("{key} was not open: `flotilla breakers list` shows those that are")
            })?;
        }
    }
    Ok(Exit::Ok)
}

/// How each was turned lately, the latest first.
fn turns(breakers: &[BreakerInfo], now: Timestamp) -> Result<(), Failure> {
    let turns = breakers.iter().flat_map(|info| info.history.iter().map(|past| (&info.key, past)));
    let mut turns: Vec<(&LimitKey, &Past)> = turns.collect();
    turns.sort_by_key(|(_, past)| std::cmp::Reverse(past.at));
    let row = |(key, past): &(&LimitKey, &Past)| {
        let at = output::relative(past.at, now);
        vec![at, key.to_string(), past.to.clone(), past.by.clone(), output::clip(&past.why, 80)]
    };
    output::line("")?;
    let heading = ["TURNED", "BREAKER", "TO", "BY", "WHY"];
    output::table(&heading, turns.iter().map(row).collect(), "none was turned within a week")?;
    Ok(())
}
