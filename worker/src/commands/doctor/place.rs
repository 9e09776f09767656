//! This machine: folders and what is left on their disks, files that hold secrets, programs, bounds
//! of the system, the units that start workers.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_config::{BlobBackend, Config};
use flotilla_media::MediaError;
use flotilla_vault::{KeyFile, KeyProvider as _, KeyRing};

use super::Finding;
use crate::output;
use crate::telemetry::gauges::free_bytes;
use crate::wire;

/// Below this much free space, work soon stops.
const SCARCE: u64 = 256 << 20;
/// Files that a worker has open beside those of its jobs.
const FILES: u64 = 64;
/// Files and connections of one job.
const FILES_OF_A_JOB: u64 = 4;
/// Between the end of a drain and SIGKILL.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) fn look(config: &Config, units: &[PathBuf]) -> Vec<Finding> {
    let mut findings = vec![folder("data", &config.data.dir, "data.dir")];
    if config.blobs.backend == BlobBackend::Local {
        findings.push(folder("blobs", &config.blobs_dir(), "blobs.dir"));
        findings.extend(room(config));
    }
    for root in &config.sources.roots {
        findings.push(if root.is_dir() {
            Finding::ok("source folder", root.display().to_string())
        } else {
            Finding::warning(
                "source folder",
                format!("{} is not there", root.display()),
                "make it, or take it out of sources.roots",
            )
        });
    }
    findings.extend(wrapping_keys(config));
    findings.extend(secret_files(config));
    findings.extend(media(config));
    findings.extend(open_files(config));
    findings.extend(stops(config, units));
    findings
}

/// A folder must exist, or be possible to make, and take a file.
fn folder(what: &'static str, dir: &Path, key: &str) -> Finding {
    let probe = dir.join(".doctor");
    let tried = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&probe, b"probe"));
    let _ = std::fs::remove_file(&probe);
    match tried {
        Ok(()) => Finding::ok(what, dir.display().to_string()),
        Err(e) => Finding::fault(
            what,
            format!("cannot write to {}: {e}", dir.display()),
            format!("give this user the right to write there, or name another folder with {key}"),
        ),
    }
}

/// Room for one of the largest blobs, and for a while.
fn room(config: &Config) -> Option<Finding> {
    let dir = config.blobs_dir();
    let free = free_bytes(&dir).ok()?;
    let shown = |bytes| flotilla_config::format_size(bytes);
    if free < config.blobs.max_bytes.max(SCARCE) {
        return Some(Finding::warning(
            "space",
            format!(
                "{} free at {}; one blob may have {}",
                shown(free),
                dir.display(),
                shown(config.blobs.max_bytes)
            ),
            "make room there, lower blobs.max_bytes, or name another folder with blobs.dir",
        ));
    }
    Some(Finding::ok("space", format!("{} free for blobs", shown(free))))
}

/// The keys of the vault are read as a worker reads them.
fn wrapping_keys(config: &Config) -> Option<Finding> {
    let mend = "give a name, a space and 32 bytes in base64, as `head -c 32 /dev/urandom | base64` makes them";
    if let Some(keys) = &config.vault.keys {
        let read = KeyRing::parse(&keys.expose().replace(';', "\n"));
        return Some(match read {
            Ok(_) => Finding::ok("vault keys", "vault.keys holds them"),
            Err(e) => Finding::fault("vault keys", format!("vault.keys: {e}"), mend),
        });
    }
    let path = config.vault_key_file();
    if !path.exists() {
        let named = config.vault.key_file.is_some();
        return named.then(|| {
            Finding::fault(
                "vault keys",
                format!("vault.key_file: {} is not there", path.display()),
                "bring the fleet's file, or leave vault.key_file out to have one made",
            )
        });
    }
    let file = KeyFile::new(&path);
    let read = futures_util::FutureExt::now_or_never(file.current());
    Some(match read {
        Some(Err(e)) => Finding::fault(
            "vault keys",
            e.to_string(),
            format!("{mend}; only its owner may read it: chmod 600 {}", path.display()),
        ),
        _ => Finding::ok("vault keys", path.display().to_string()),
    })
}

/// Files with secrets that others on this machine can read.
fn secret_files(config: &Config) -> Vec<Finding> {
    let named = [
        ("admin.token_file", &config.admin.token_file),
        ("api.tokens_file", &config.api.tokens_file),
        ("models.key_file", &config.models.key_file),
        ("platforms.webhook_token_file", &config.platforms.webhook_token_file),
    ];
    let of_apps = config.apps.iter().map(|app| ("client_secret_file", &app.client_secret_file));
    let files = named.into_iter().chain(of_apps);
    files.filter_map(|(key, path)| readable_by_all(key, path.as_deref()?)).collect()
}

fn readable_by_all(key: &str, path: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(path).ok()?.mode();
    (mode & 0o004 != 0).then(|| {
        Finding::warning(
            "secret file",
            format!("{key}: everybody on this machine can read {}", path.display()),
            format!("chmod o-r {}", path.display()),
        )
    })
}

/// The programs of speech and videos; without them other kinds run all the same.
fn media(config: &Config) -> Vec<Finding> {
    let tools = wire::media::tools(config);
    let told = |what, needed: &str, probed: Result<String, MediaError>| match probed {
        Ok(version) => Finding::ok(what, version),
        Err(error) => {
            Finding::warning(what, error.to_string(), format!("{needed} fails until then"))
        }
    };
    vec![
        told("ffmpeg", "video.render", tools.probe_ffmpeg()),
        told("espeak-ng", "speech with the voice \"espeak\"", tools.probe_espeak()),
    ]
}

/// Each job may have files and connections open.
fn open_files(config: &Config) -> Option<Finding> {
    let jobs = wire::engine::settings(config).ok()?.concurrency as u64;
    let wanted = FILES + FILES_OF_A_JOB * jobs;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < wanted => Some(Finding::warning(
            "open files",
            format!(
                "this process may have {limit} files open; {jobs} jobs at once may need {wanted}"
            ),
            format!(
                "raise it (ulimit -n {wanted}, LimitNOFILE={wanted}), or lower worker.concurrency"
            ),
        )),
        _ => Some(Finding::ok("open files", limit.map_or("no bound".into(), |n| n.to_string()))),
    }
}

/// A unit that kills before the drain is over costs jobs their attempt's work.
fn stops(config: &Config, units: &[PathBuf]) -> Vec<Finding> {
    let mut named: Vec<PathBuf> = units.to_vec();
    if named.is_empty() {
        let folders = ["/etc/systemd/system", "/usr/lib/systemd/system"];
        let all =
            folders.iter().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
        named.extend(all.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            name.is_some_and(|n| n.starts_with("flotilla") && n.ends_with(".service"))
        }));
    }
    named.iter().filter_map(|unit| stop(config, unit)).collect()
}

fn stop(config: &Config, unit: &Path) -> Option<Finding> {
    let text = match std::fs::read_to_string(unit) {
        Ok(text) => text,
        Err(e) => {
            let found = format!("cannot read {}: {e}", unit.display());
            return Some(Finding::warning("unit", found, "name another file with --unit"));
        }
    };
    let given =
        text.lines().filter_map(|line| line.trim().strip_prefix("TimeoutStopSec=")).next_back();
    let given = given.map_or(Some(Duration::from_secs(90)), timeout)?; // systemd's own default
    let needed = config.worker.drain_grace + MARGIN;
    if given >= needed {
        return Some(Finding::ok("unit", format!("{} waits for the drain", unit.display())));
    }
    let seconds = needed.as_secs();
    Some(Finding::fault(
        "unit",
        format!(
            "{} kills a worker after {}, its drain may take {}",
            unit.display(),
            output::short(given),
            output::short(config.worker.drain_grace)
        ),
        format!("set TimeoutStopSec={seconds} there, or lower worker.drain_grace"),
    ))
}

/// `40`, `40s`, `2min`, `1min 30s`; `None`: never kills.
fn timeout(text: &str) -> Option<Duration> {
    let mut all = Duration::ZERO;
    for word in text.split_whitespace() {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &word[digits.len()..] {
            "" | "s" | "sec" => 1000,
            "ms" => 1,
            "m" | "min" => 60_000,
            "h" | "hr" => 3_600_000,
            _ => return None, // "infinity"
        };
        all += Duration::from_millis(digits.parse::<u64>().ok()?.saturating_mul(unit));
    }
    (!all.is_zero()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_timeouts_read_as_systemd_reads_them() {
        let of = |text| timeout(text).map(|d| d.as_secs());
        assert_eq!(of("40"), Some(40));
        assert_eq!(of("1min 30s"), Some(90));
        assert_eq!(of("infinity"), None);
        assert_eq!(of("0"), None);
    }
}
