//! The real programs, and what outside tools say of what was made.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use flotilla_media::Tools;

/// The programs of this machine with the helper of this build; `None`, said twice: one is missing.
pub(crate) fn tools() -> Option<Tools> {
    let mut tools = Tools::along("/usr/local/bin:/usr/bin:/bin".into());
    tools.espeak_words.name = env!("CARGO_BIN_EXE_speak_words").into();
    let Err(missing) = tools.probe_ffmpeg().and(tools.probe_espeak()) else { return Some(tools) };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    println!("skipped: {missing}");
    if let Some(log) = std::env::var_os("FLOTILLA_SKIP_LOG") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        writeln!(file, "{test}: {missing}").unwrap();
    }
    None
}

/// Integrated loudness and true peak, as ffmpeg's own meter has them.
pub(crate) fn loudness(file: &Path) -> (f64, f64) {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-i"]).arg(file);
    let out = command.args(["-af", "ebur128=peak=true", "-f", "null", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let summary = &said[said.rfind("Summary:").unwrap()..];
    let value = |label: &str| -> f64 {
        let line = summary.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (value("I:"), value("Peak:"))
}
