//! Programs and endpoints that run external kinds: whether they are there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flotilla_config::{Config, External, ExternalWay};

use super::{Finding, reach};

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in &config.externals {
        findings.push(match &entry.way {
            ExternalWay::Command { command, dir, .. } => program(entry, command, dir.as_deref()),
            ExternalWay::Endpoint { url, .. } => {
                reach::answers("external", url, url, &format!("url of \"{}\"", entry.kind)).await
            }
        });
        findings.extend(secrets(entry));
    }
    findings
}

/// Found as the worker would find it.
fn program(entry: &External, command: &[String], dir: Option<&Path>) -> Finding {
    let name = command.first().map_or("", String::as_str);
    if let Some(dir) = dir.filter(|dir| !dir.is_dir()) {
        return Finding::fault(
            "external",
            format!("\"{}\": its folder {} is not there", entry.kind, dir.display()),
            "make it, or change dir",
        );
    }
    match found(name, dir) {
        Some(path) => Finding::ok("external", format!("\"{}\": {}", entry.kind, path.display())),
        None => Finding::fault(
            "external",
            format!("\"{}\": its program {name} is not found", entry.kind),
            "install it, put it on the worker's PATH, or give its whole path in command",
        ),
    }
}

fn found(name: &str, dir: Option<&Path>) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        let meta = std::fs::metadata(path);
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        let path = dir.map_or_else(|| PathBuf::from(name), |dir| dir.join(name));
        return Some(path).filter(is_program);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(is_program)
}

/// Read as a worker reads them.
fn secrets(entry: &External) -> Option<Finding> {
    let why = match (entry.read_token(), entry.read_secrets()) {
        (Err(why), _) | (_, Err(why)) => why,
        _ => return None,
    };
    let found = format!("\"{}\": {why}", entry.kind);
    Some(Finding::fault("external", found, "write the file, readable by the worker alone"))
}
