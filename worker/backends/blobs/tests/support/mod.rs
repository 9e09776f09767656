//! The emulator of AWS for the tests, and a store of its own for each.
//!
//! `FLOTILLA_TEST_AWS_ENDPOINT` names emulators that are there, separated by commas; each test takes
//! one of them. Else each test process starts a private one through `worker/scripts/aws.sh hold`,
//! which stops it and deletes its folder when this process ends, however it ends.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

/// The address of the emulator of this process, or why there is none.
fn emulator() -> &'static Result<String, String> {
    static EMULATOR: OnceLock<Result<String, String>> = OnceLock::new();
    EMULATOR.get_or_init(|| match std::env::var("FLOTILLA_TEST_AWS_ENDPOINT") {
        Ok(urls) if !urls.is_empty() => {
            let all: Vec<&str> = urls.split(',').collect();
            let mine = usize::try_from(std::process::id()).unwrap_or(0) % all.len();
            Ok(all[mine].to_owned())
        }
        _ => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/aws.sh");
            let folder = std::env::temp_dir().join(format!("flotilla-s3-{}", std::process::id()));
            let mut child = Command::new(script)
                .args([
                    "hold",
                    &folder.to_string_lossy(),
                    &flotilla_conformance::free_ports(1).to_string(),
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()
                .map_err(|e| format!("worker/scripts/aws.sh cannot be run: {e}"))?;
            let url = first_line(&mut child);
            // Its input stays open until this process ends.
            std::mem::forget(child.stdin.take());
            url.ok_or_else(|| "worker/scripts/aws.sh started no emulator".into())
        }
    })
}

/// The line a program prints first.
fn first_line(child: &mut Child) -> Option<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// The address of the emulator; without one the test process says so and ends, skipped.
pub(crate) fn endpoint() -> String {
    match emulator() {
        Ok(url) => url.clone(),
        Err(why) => skip(why),
    }
}

/// Ends the process as skipped. Not through `println!`: the harness would keep that to itself.
fn skip(why: &str) -> ! {
    let _shown = writeln!(std::io::stderr(), "skipped: {why}");
    if let Some(log) = std::env::var_os("FLOTILLA_SKIP_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(log)
    {
        let _logged = writeln!(log, "flotilla-blobs: {why}");
    }
    std::process::exit(0)
}

/// What the clients need to reach the emulator; `region` is a store of its own there.
pub(crate) fn config(region: String) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new(region))
        .endpoint_url(endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
