//! From `[[external]]` to kinds whose handlers are programs and endpoints of the operator's own.

use std::ffi::OsString;
use std::path::Path;

use flotilla_config::{Config, External as Entry, ExternalWay};
use flotilla_core::{Kind, Policy, Registry, Secret};
use flotilla_events::Signer;
use flotilla_external::{Endpoint, External, Program, Schema, Way};
use serde_json::{Value, json};

use crate::exit::Failure;

/// What every program sees of the worker's environment; nothing else, unless an entry names it.
const ENVIRONMENT: [&str; 6] = ["PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL"];
/// Largest file with a schema.
const MAX_SCHEMA: u64 = 1 << 20;

/// Adds every entry. Secrets are read only where jobs are run: who enqueues needs none.
pub(super) fn register(
    registry: &mut Registry,
    config: &Config,
    runs: bool,
) -> Result<(), Failure> {
    for entry in &config.externals {
        let fault = |what: String| Failure::config(format!("external \"{}\": {what}", entry.kind));
        let external = open(entry, config, runs).map_err(fault)?;
        flotilla_external::register(registry, external).map_err(|e| fault(e.to_string()))?;
    }
    Ok(())
}

fn open(entry: &Entry, config: &Config, runs: bool) -> Result<External, String> {
    let default = Policy::default();
    let lane = entry.lane.as_ref().map(|lane| lane.parse()).transpose();
    let mut policy = Policy {
        lane: lane
            .map_err(|e: flotilla_core::ids::InvalidName| e.to_string())?
            .unwrap_or(default.lane),
        timeout: entry.timeout.unwrap_or(default.timeout),
        max_attempts: entry.max_attempts.unwrap_or(default.max_attempts),
        ..Policy::default()
    };
    let way = match &entry.way {
        ExternalWay::Command {
            command,
            dir,
            env,
            processes,
            concurrency,
            start_timeout,
            stop_grace,
            stderr_tail,
        } => Way::Program(Program {
            command: command.clone(),
            dir: dir.clone(),
            env: environment(env),
            processes: *processes,
            concurrency: *concurrency,
            start_timeout: *start_timeout,
            stop_grace: *stop_grace,
            stderr_tail: *stderr_tail,
        }),
        ExternalWay::Endpoint { url, concurrency, .. } => {
            policy.concurrency = *concurrency;
            Way::Endpoint(endpoint(entry, url, config, runs)?)
        }
    };
    Ok(External {
        kind: Kind::new(entry.kind.clone()).map_err(|e| e.to_string())?,
        way,
        policy,
        schema: match &entry.schema {
            Some(path) => {
                let schema = Schema::new(read("schema", path)?);
                schema.map_err(|e| format!("schema: {} {e}", path.display()))?
            }
            None => Schema::any(),
        },
        result: match &entry.result_schema {
            Some(path) => read("result_schema", path)?,
            None => json!({}),
        },
        max_line: entry.max_line,
    })
}

fn endpoint(entry: &Entry, url: &str, config: &Config, runs: bool) -> Result<Endpoint, String> {
    let secrets = if runs { entry.read_secrets()? } else { Vec::new() };
    let secrets: Vec<&str> = secrets.iter().map(flotilla_config::Secret::expose).collect();
    let signer = match secrets.is_empty() {
        true => None,
        false => Some(Signer::new(&secrets).map_err(|e| e.to_string())?),
    };
    let token = if runs { entry.read_token()? } else { None };
    let token = token.map(|token| Secret::new(token.expose()));
    Ok(Endpoint::new(url, config.sources.connect_timeout).token(token).signer(signer))
}

/// The whole environment of a program.
fn environment(named: &[String]) -> Vec<(OsString, OsString)> {
    let names = ENVIRONMENT.iter().copied().chain(named.iter().map(String::as_str));
    names.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect()
}

fn read(key: &str, path: &Path) -> Result<Value, String> {
    let cannot = |e: &dyn std::fmt::Display| format!("{key}: {}: {e}", path.display());
    let size = std::fs::metadata(path).map_err(|e| cannot(&e))?.len();
    if size > MAX_SCHEMA {
        return Err(cannot(&format!("has {size} bytes; at most {MAX_SCHEMA} are read")));
    }
    let text = std::fs::read(path).map_err(|e| cannot(&e))?;
    serde_json::from_slice(&text).map_err(|e| cannot(&e))
}
