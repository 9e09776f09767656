//! The servers that tests talk to.
//!
//! A variable such as `FLOTILLA_TEST_POSTGRES_URL` names one that is there (`worker/scripts/test.sh`
//! starts them all). Else each test process starts a private one through `worker/scripts/NAME.sh hold`,
//! which stops it and deletes its folder when this process ends, however it ends.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::free_ports;

/// A sort of server.
#[derive(Debug)]
pub struct Server {
    variable: &'static str,
    name: &'static str,
    settings: &'static [&'static str],
    address: OnceLock<Result<String, String>>,
}

impl Server {
    /// The server that `variable` names, or one that `worker/scripts/{name}.sh` starts with `settings`.
    pub const fn new(
        variable: &'static str,
        name: &'static str,
        settings: &'static [&'static str],
    ) -> Self {
        Self { variable, name, settings, address: OnceLock::new() }
    }

    /// Its address; where `variable` names several, separated by commas, one of them for each process.
    /// Without one, the test process says so in the name of `suite` and ends, skipped.
    pub fn url(&self, suite: &str) -> String {
        match self.address.get_or_init(|| self.given().map_or_else(|| self.start(), Ok)) {
            Ok(url) => url.clone(),
            Err(why) => skip(suite, why),
        }
    }

    fn given(&self) -> Option<String> {
        let urls = std::env::var(self.variable).ok().filter(|urls| !urls.is_empty())?;
        let all: Vec<&str> = urls.split(',').collect();
        let mine = usize::try_from(std::process::id()).unwrap_or(0) % all.len();
        Some(all[mine].to_owned())
    }

    fn start(&self) -> Result<String, String> {
        let name = self.name;
        let folder = std::env::temp_dir().join(format!("flotilla-{name}-{}", std::process::id()));
        let mut child = script(name)
            .args(["hold", &folder.to_string_lossy(), &free_ports(1).to_string()])
            .args(self.settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| format!("worker/scripts/{name}.sh cannot be run: {e}"))?;
        let url = first_line(&mut child);
        // Its input stays open until this process ends.
        std::mem::forget(child.stdin.take());
        url.ok_or_else(|| format!("worker/scripts/{name}.sh started no server"))
    }
}

/// The script that starts and stops servers of that name.
pub fn script(name: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../worker/scripts");
    Command::new(scripts.join(format!("{name}.sh")))
}

/// The line a program prints first.
pub fn first_line(child: &mut Child) -> Option<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Ends the process as skipped. Not through `println!`: the harness would keep that to itself.
pub fn skip(suite: &str, why: &str) -> ! {
    let _shown = writeln!(std::io::stderr(), "skipped: {why}");
    if let Some(log) = std::env::var_os("FLOTILLA_SKIP_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(log)
    {
        let _logged = writeln!(log, "{suite}: {why}");
    }
    std::process::exit(0)
}
