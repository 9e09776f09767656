//! `flotilla dead groups`: what went wrong, by how often.

use std::time::Duration;

use flotilla_core::clock::before;
use flotilla_core::replay::{Group, Selection};

use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::Site;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) async fn run(
    site: &dyn Site,
    selection: &Selection,
    limit: usize,
    as_json: bool,
) -> Result<Exit, Failure> {
    let now = site.now();
    let mut found = site.groups(selection).await?;
    let further = found.groups.len().saturating_sub(limit);
    let hidden: u64 = found.groups.iter().skip(limit).map(|group| group.count).sum();
    found.groups.truncate(limit);
    found.beyond += hidden;
    if as_json {
        output::json(&found)?;
        return Ok(Exit::Ok);
    }
    let today = |group: &Group| -> u64 {
        let hours = group.hours.iter().filter(|(hour, _)| **hour >= before(now, DAY));
        hours.map(|(_, n)| n).sum()
    };
    let row = |group: &Group| {
        vec![
            group.fingerprint.to_string(),
            group.count.to_string(),
            today(group).to_string(),
            output::relative(group.first, now),
            output::relative(group.last, now),
            group.kind.to_string(),
            group.class.map_or_else(String::new, |class| class.to_string()),
            output::clip(&group.message, 60),
            group.samples.first().map_or_else(String::new, ToString::to_string),
        ]
    };
    let heading =
        ["GROUP", "COUNT", "24 H", "FIRST", "LAST", "KIND", "CLASS", "ERROR", "THE NEWEST"];
    output::table(&heading, found.groups.iter().map(row).collect(), "no dead letters")?;
    if further > 0 || found.beyond > 0 {
        output::line(format!("{} more in smaller groups: --limit shows more", found.beyond))?;
    }
    if !found.complete {
        output::line(format!("only the newest {} were looked at", found.looked))?;
    }
    Ok(Exit::Ok)
}
