//! `flotilla accounts add`: tokens from a file, standard input, the environment, a prompt or a
//! sandbox.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_config::{Backend, Config};
use flotilla_core::clock::after;
use flotilla_core::{Secret, Timestamp};
use flotilla_jobs::CLIENT_SECRET;
use flotilla_platforms::tokens::OAuth;
use flotilla_vault::{Added, KeyFile, NewAccount, Tokens, Vault};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::AddAccount;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire;

/// More is no answer of a token endpoint.
const MAX_TOKENS: usize = 64 * 1024;
/// How long a sandbox may take to make an account.
const SANDBOX: Duration = Duration::from_secs(10);

/// What a token endpoint, a sandbox or a person says.
#[derive(Default, Deserialize)]
struct Said {
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
    /// Of the person whose page it is; renews the page's.
    #[serde(default)]
    user_access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default, alias = "refresh_expires_in")]
    refresh_token_expires_in: Option<u64>,
    #[serde(default)]
    refresh_expires_at: Option<Timestamp>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    external_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    base_url: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    extra: BTreeMap<String, String>,
}

pub(super) async fn run(
    args: &AddAccount,
    config: &Config,
    vault: &Vault,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let platforms = wire::platforms(config)?;
    let spec = platforms.get(&args.platform).map_err(Failure::usage)?;
    let facts = OAuth::of(spec).map_err(Failure::config)?;
    let said = said(args, vault).await?;
    let new = account(args, said, &facts, now)?;
    let made = config.vault.keys.is_none() && KeyFile::create(&config.vault_key_file())?;
    let added = vault.add(new).await?;
    if args.one.json {
        let Added { account, again, kept_refresh, ends_at } = added;
        output::json(&json!({
            "account": account, "again": again, "kept_refresh_token": kept_refresh, "ends_at": ends_at,
        }))?;
        return Ok(Exit::Ok);
    }
    tell(&added, now)?;
    if made {
        let file = config.vault_key_file();
        output::line(format!("made the key file {}: keep a copy of it safe", file.display()))?;
        if config.queue.backend != Backend::Sqlite {
            output::line("every worker of the fleet needs it: vault.key_file or vault.keys")?;
        }
    }
    Ok(Exit::Ok)
}

fn tell(added: &Added, now: Timestamp) -> Result<(), Failure> {
    let account = &added.account;
    let word = if added.again { "connected again" } else { "connected" };
    output::line(format!(
        "{} is {word} ({}, {})",
        account.id, account.platform, account.external_id
    ))?;
    if added.kept_refresh {
        output::line("no refresh token came with it: the one from before is kept")?;
    }
    if let Some(end) = added.ends_at {
        output::line(format!(
            "it ends {} and cannot be renewed beyond that: connect it again before",
            output::relative(end, now)
        ))?;
    }
    Ok(())
}

fn account(
    args: &AddAccount,
    said: Said,
    facts: &OAuth,
    now: Timestamp,
) -> Result<NewAccount, Failure> {
    let spelled =
        |seconds: Option<u64>| seconds.map(Duration::from_secs).map(|span| after(now, span));
    let mut extra = said.extra;
    extra.extend(args.fact.iter().cloned());
    let mut secrets = BTreeMap::new();
    if let Some(id) = said.client_id {
        extra.insert(flotilla_jobs::CLIENT_ID.to_owned(), id);
    }
    let secret = match &args.client_secret_file {
        Some(path) => Some(text_of(path)?.trim().to_owned()),
        None => said.client_secret,
    };
    if let Some(secret) = secret {
        secrets.insert(CLIENT_SECRET.to_owned(), Secret::new(secret));
    }
    let refresh = said.refresh_token.or(said.user_access_token).filter(|it| !it.is_empty());
    let expires_at = said
        .expires_at
        .or_else(|| spelled(said.expires_in.filter(|seconds| *seconds > 0)))
        .or(args.expires_at)
        .or_else(|| args.expires_in.map(|span| after(now, span)));
    let refresh_expires_at = said
        .refresh_expires_at
        .or_else(|| spelled(said.refresh_token_expires_in))
        .or_else(|| args.refresh_expires_in.map(|span| after(now, span)))
        .or_else(|| facts.refresh_ttl.filter(|_| refresh.is_some()).map(|span| after(now, span)));
    let mut scopes = if args.scopes.is_empty() { said.scopes } else { args.scopes.clone() };
    if let Some(text) = said.scope.filter(|_| scopes.is_empty()) {
        scopes = text.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    }
    let missing = || Failure::usage("--external-id is missing: the account's id on its platform");
    Ok(NewAccount {
        tenant: args.one.tenant.clone(),
        id: args.one.name.clone(),
        platform: args.platform.clone(),
        external_id: args.external_id.clone().or(said.external_id).ok_or_else(missing)?,
        name: args.display_name.clone().or(said.name).unwrap_or_default(),
        scopes,
        tokens: Tokens {
            access: Secret::new(said.access_token),
            refresh: refresh.map(Secret::new),
            extra: secrets,
        },
        expires_at,
        refresh_expires_at,
        base_url: said.base_url.or_else(|| args.sandbox.clone()),
        extra,
    })
}

async fn said(args: &AddAccount, vault: &Vault) -> Result<Said, Failure> {
    if let Some(variable) = &args.tokens_env {
        let text = std::env::var(variable)
            .map_err(|_| Failure::usage(format!("there is no variable {variable}")))?;
        return read(&text);
    }
    match (args.tokens.as_deref(), &args.sandbox) {
        (Some("-"), _) => read(&bounded(std::io::stdin().lock(), "standard input")?),
        (Some(path), _) => read(&text_of(Path::new(path))?),
        (None, Some(url)) => from_sandbox(args, url, vault).await,
        (None, None) if std::io::stdin().is_terminal() => asked(),
        (None, None) => Err(Failure::usage(
            "the tokens are missing: --tokens FILE, --tokens - for standard input, or --tokens-env",
        )),
    }
}

/// JSON as a token endpoint answers, or the tokens themselves on two lines.
fn read(text: &str) -> Result<Said, Failure> {
    if text.trim_start().starts_with('{') {
        // The error of the parser would show a piece of what it read.
        return serde_json::from_str(text).map_err(|_| {
            Failure::usage(
                "the tokens are not the JSON of a token endpoint: access_token is needed",
            )
        });
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let access_token = lines.next().unwrap_or_default().to_owned();
    if access_token.is_empty() {
        return Err(Failure::usage("there is no token in it"));
    }
    Ok(Said { access_token, refresh_token: lines.next().map(str::to_owned), ..Said::default() })
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path)
        .map_err(|e| Failure::usage(format!("cannot read {name}: {e}")))?;
    bounded(file, &name)
}

fn bounded(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(MAX_TOKENS as u64 + 1).read_to_string(&mut text);
    read.map_err(|e| Failure::usage(format!("cannot read {name}: {e}")))?;
    if text.len() > MAX_TOKENS {
        return Err(Failure::usage(format!("{name} has more than 64 KiB: are these tokens?")));
    }
    Ok(text)
}

/// Asks at the terminal, which shows nothing of what is typed.
fn asked() -> Result<Said, Failure> {
    let hidden = stty("-echo");
    let answers = ask("access token: ").and_then(|access_token| {
        let refresh_token = Some(ask("refresh token (empty: none): ")?).filter(|it| !it.is_empty());
        Ok(Said { access_token, refresh_token, ..Said::default() })
    });
    if hidden {
        stty("echo");
    }
    let said = answers?;
    if said.access_token.is_empty() {
        return Err(Failure::usage("there is no token in it"));
    }
    Ok(said)
}

fn ask(prompt: &str) -> Result<String, Failure> {
    let mut err = std::io::stderr().lock();
    write!(err, "{prompt}")?;
    err.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().take(MAX_TOKENS as u64).read_line(&mut line)?;
    writeln!(err)?;
    Ok(line.trim().to_owned())
}

/// What POSIX has for it; without it, what is typed shows.
fn stty(mode: &str) -> bool {
    let set = Command::new("stty").arg(mode).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
    set.is_ok_and(|status| status.success())
}

/// An account of the sandbox's own; one that is known from there logs in once more.
async fn from_sandbox(args: &AddAccount, url: &str, vault: &Vault) -> Result<Said, Failure> {
    let url = url.trim_end_matches('/');
    let known = vault.show(&args.one.tenant, &args.one.name).await.ok().map(|it| it.account);
    let known =
        known.filter(|it| it.base_url.as_deref() == Some(url) && it.platform == args.platform);
    let id = args.external_id.clone();
    let (path, wish) = match known.filter(|it| id.as_ref().is_none_or(|id| *id == it.external_id)) {
        Some(known) => ("login", json!({"account": known.external_id})),
        None => {
            let mut wish = json!({"platform": args.platform});
            if let Some(id) = &args.external_id {
                wish["external_id"] = Value::from(id.as_str());
            }
            if !args.fact.is_empty() {
                let facts = args.fact.iter().cloned().collect::<BTreeMap<_, _>>();
                wish["extra"] = facts.into_iter().collect();
            }
            ("accounts", wish)
        }
    };
    let client = flotilla_platforms::tokens::TokenClient::new(SANDBOX);
    let client = client.map_err(Failure::unavailable)?;
    let answer = client.ask(&format!("{url}/_sandbox/{path}"), &wish).await;
    let answer = answer.map_err(|e| Failure::unavailable(format!("the sandbox at {url}: {e}")))?;
    if !(200..300).contains(&answer.status) {
        let said = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
        return Err(Failure::usage(format!("the sandbox at {url} says {}: {said}", answer.status)));
    }
    let said: Said = serde_json::from_slice(&answer.body).map_err(|_| {
        Failure::usage(format!("{url} does not answer as a sandbox: is it `flotilla sandbox`?"))
    })?;
    Ok(Said { base_url: Some(url.to_owned()), ..said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_json_of_an_endpoint_or_two_lines_and_never_shown() {
        let said = read("{\"access_token\":\"a\",\"refresh_expires_in\":7,\"more\":1}").unwrap();
        assert_eq!((said.access_token.as_str(), said.refresh_token_expires_in), ("a", Some(7)));
        let said = read("\n a \nr\n").unwrap();
        assert_eq!((said.access_token.as_str(), said.refresh_token.as_deref()), ("a", Some("r")));
        for bad in ["", "{\"acces_token\":\"hunter2\"}", "{hunter2"] {
            let Err(error) = read(bad) else { panic!("{bad} is no token") };
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
