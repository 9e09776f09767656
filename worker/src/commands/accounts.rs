//! `flotilla accounts`: connect accounts of platforms, look after their tokens. No secret is ever
//! an argument, and none is ever shown.

mod add;
mod table;

use flotilla_config::Config;
use flotilla_core::JobError;
use flotilla_core::account::AccountStatus;
use flotilla_vault::{KeyFile, Listed, Vault, VaultError};
use serde_json::json;

use crate::cli::{Accounts, One};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target};
use crate::wire::{self, Ports};

pub(super) async fn run(
    command: &Accounts,
    config: &Config,
    target: &Target,
) -> Result<Exit, Failure> {
    if let Accounts::List { .. } | Accounts::Show(_) = command {
        let site = target.open(config).await?;
        let result = look(command, &*site).await;
        site.close().await;
        return result;
    }
    let ports = wire::ports(config).await?;
    let result = match wire::vault::open(config, &ports) {
        Ok(vault) => act(command, config, &ports, &vault).await,
        Err(failure) => Err(failure),
    };
    ports.close().await;
    result
}

/// What a fleet far away shows too.
async fn look(command: &Accounts, site: &dyn Site) -> Result<Exit, Failure> {
    let now = site.now();
    match command {
        Accounts::List { tenant, trouble, json } => {
            let (mut all, stops) = site.accounts(tenant.as_ref()).await?;
            if *trouble {
                all.retain(|it| in_trouble(it, now));
            }
            if *json {
                output::json(&json!({"accounts": all, "stopped": stops}))?;
            } else {
                table::list(&all, &stops, now)?;
            }
        }
        Accounts::Show(one) => {
            let shown = site.account(&one.tenant, &one.name).await?;
            if one.json {
                output::json(&shown)?;
            } else {
                table::show(&shown, now)?;
            }
        }
        _ => {}
    }
    Ok(Exit::Ok)
}

async fn act(
    command: &Accounts,
    config: &Config,
    ports: &Ports,
    vault: &Vault,
) -> Result<Exit, Failure> {
    let now = ports.now();
    match command {
        Accounts::Add(args) => add::run(args, config, vault, now).await,
        Accounts::List { .. } | Accounts::Show(_) => Ok(Exit::Ok), // looked at above
        Accounts::Refresh(one) => refresh(one, vault, now).await,
        Accounts::Revoke { one, remove } => revoke(one, *remove, vault).await,
        Accounts::Rewrap { new_key, json } => {
            if *new_key {
                if config.vault.keys.is_some() {
                    return Err(Failure::usage(
                        "the wrapping keys come from vault.keys: put a new one first there",
                    ));
                }
                KeyFile::add(&config.vault_key_file())?;
            }
            let done = vault.rewrap().await?;
            if *json {
                output::json(
                    &json!({"key": done.by, "moved": done.moved, "tenants": done.tenants}),
                )?;
            } else {
                output::line(format!(
                    "{} of {} tenants' keys are now wrapped by {}; others may be removed once \
                     every worker knows it",
                    done.moved, done.tenants, done.by
                ))?;
            }
            Ok(Exit::Ok)
        }
        Accounts::Shred { tenant, yes, json } => {
            if !yes {
                return Err(Failure::usage(format!(
                    "the secrets of tenant \"{tenant}\" could never be read again: add --yes"
                )));
            }
            let done = vault.shred(tenant).await?;
            if *json {
                output::json(&json!({"key": done.key, "accounts": done.accounts}))?;
            } else {
                output::line(format!(
                    "{} of tenant {tenant} are gone{}",
                    count(done.accounts),
                    if done.key { ", and the key that sealed them" } else { "" }
                ))?;
            }
            Ok(Exit::Ok)
        }
    }
}

async fn refresh(one: &One, vault: &Vault, now: flotilla_core::Timestamp) -> Result<Exit, Failure> {
    let renewed = vault.refresh_now(&one.tenant, &one.name).await;
    vault.drained().await;
    match renewed {
        Ok(shown) => {
            if one.json {
                output::json(&shown)?;
            } else {
                table::show(&shown, now)?;
            }
            Ok(Exit::Ok)
        }
        // Something is there to look at: it was asked for, and did not work.
        Err(JobError::Fail { source, .. }) => Err(Failure::usage(source)),
        Err(error) => {
            let reason = error.text(1000);
            if one.json {
                output::json(&json!({"renewed": false, "reason": reason}))?;
            } else {
                output::line(format!("not renewed: {reason}"))?;
            }
            Ok(Exit::JobFailed)
        }
    }
}

async fn revoke(one: &One, remove: bool, vault: &Vault) -> Result<Exit, Failure> {
    let (account, said) = vault.revoke(&one.tenant, &one.name).await?;
    if remove {
        vault.remove(&one.tenant, &one.name).await?;
    }
    if one.json {
        output::json(&json!({"account": account, "platform_said": said, "removed": remove}))?;
        return Ok(Exit::Ok);
    }
    output::line(format!("{} is out of use; its tokens are deleted here", account.id))?;
    if let Some(said) = said {
        output::line(format!("{} was not told to forget them: {said}", account.platform))?;
    }
    Ok(Exit::Ok)
}

/// Whether somebody has to do something about it.
fn in_trouble(it: &Listed, now: flotilla_core::Timestamp) -> bool {
    let soon = flotilla_core::clock::after(now, std::time::Duration::from_secs(14 * 86_400));
    matches!(it.account.status, AccountStatus::ReauthRequired { .. })
        || it.overdue
        || it.failures > 0
        || it.ends_at.is_some_and(|end| end < soon)
}

fn count(n: usize) -> String {
    if n == 1 { "1 account".to_owned() } else { format!("{n} accounts") }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            VaultError::Key(_) | VaultError::Busy(_) => Self::unavailable(error),
            VaultError::Unknown { .. } | VaultError::Invalid(_) | VaultError::Sealed { .. } => {
                Self::usage(error)
            }
        }
    }
}
