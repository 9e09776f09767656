//! Accounts as people read them.

use std::io;

use flotilla_core::Timestamp;
use flotilla_core::account::AccountStatus;
use flotilla_vault::{Listed, Stopped};

use crate::output;

/// All of them, and the platforms that are left alone.
pub(super) fn list(all: &[Listed], stops: &[Stopped], now: Timestamp) -> io::Result<()> {
    let rows = all.iter().map(|it| {
        let account = &it.account;
        vec![
            account.id.clone(),
            account.tenant.to_string(),
            account.platform.clone(),
            output::clip(&account.external_id, 32),
            status(it, now),
            when(account.expires_at, "never", now),
            when(it.due_at, "when needed", now),
        ]
    });
    let heading = ["NAME", "TENANT", "PLATFORM", "ID", "STATUS", "TOKEN ENDS", "RENEWED"];
    let none = "no accounts: `flotilla accounts add NAME --platform …` connects one";
    output::table(&heading, rows.collect(), none)?;
    for stop in stops {
        output::line(format!(
            "{} refuses this app, next try {}: {}",
            stop.platform,
            output::relative(stop.until, now),
            stop.reason
        ))?;
    }
    Ok(())
}

/// One of them.
pub(super) fn show(it: &Listed, now: Timestamp) -> io::Result<()> {
    let account = &it.account;
    let line = |name: &str, text: String| output::line(format!("{name:<15}{text}"));
    line("name", account.id.clone())?;
    line("tenant", account.tenant.to_string())?;
    line("platform", account.platform.clone())?;
    line("id there", account.external_id.clone())?;
    if !account.name.is_empty() {
        line("known as", account.name.clone())?;
    }
    line("status", status(it, now))?;
    if let AccountStatus::ReauthRequired { reason, .. } = &account.status {
        line("because", reason.clone())?;
    }
    if !account.scopes.is_empty() {
        line("may", account.scopes.join(", "))?;
    }
    line("token", format!("version {}, {}", it.version, output::relative(it.obtained_at, now)))?;
    line("token ends", when(account.expires_at, "never", now))?;
    let refresh = match account.refresh_expires_at {
        _ if !it.refreshable => "none".to_owned(),
        end => format!("held, ends {}", when(end, "never, as far as is known", now)),
    };
    line("refresh token", refresh)?;
    line("next renewal", when(it.due_at, "when it is needed", now))?;
    if let Some(end) = it.ends_at {
        line("ends for good", when(Some(end), "", now))?;
    }
    if it.failures > 0 || it.lost > 0 {
        line("renewals", format!("{} failed, {} unanswered", it.failures, it.lost))?;
    }
    if let Some(said) = &it.last_error {
        line("last error", said.clone())?;
    }
    if let Some(base) = &account.base_url {
        line("sandbox", base.clone())?;
    }
    for (name, text) in &account.extra {
        line(name, text.clone())?;
    }
    Ok(())
}

fn status(it: &Listed, now: Timestamp) -> String {
    match &it.account.status {
        AccountStatus::Active if it.overdue => "overdue".to_owned(),
        AccountStatus::Active => "active".to_owned(),
        AccountStatus::ReauthRequired { since, .. } => {
            format!("connect again ({})", output::relative(*since, now))
        }
        AccountStatus::Revoked { since } => format!("revoked ({})", output::relative(*since, now)),
    }
}

fn when(at: Option<Timestamp>, never: &str, now: Timestamp) -> String {
    at.map_or_else(|| never.to_owned(), |at| output::relative(at, now))
}
