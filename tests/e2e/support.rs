//! What every end-to-end test needs: the binary, a folder of its own, and pictures.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

/// A place of its own with the binary beside it.
pub(crate) struct Place {
    dir: TempDir,
    settings: Vec<String>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        Self { dir, settings: Vec::new(), variables: Vec::new() }
    }

    /// Adds one `--set` to every command.
    pub(crate) fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// Adds one variable of the environment to every command.
    pub(crate) fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("a file in a temporary folder");
        path
    }

    /// The binary with this place's queue and settings.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = bare(args);
        command.current_dir(self.path()).arg("--data").arg(self.path().join("data"));
        command.envs(self.variables.iter().copied());
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().expect("the binary starts"), args)
    }

    /// Runs it, expects exit code 0, gives what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.run(args).code(0).out
    }

    /// As [`ok`](Self::ok), read as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(args);
        serde_json::from_str(&out)
            .unwrap_or_else(|e| panic!("{args:?} printed no JSON ({e}): {out}"))
    }

    /// Every job there is.
    pub(crate) fn records(&self) -> Vec<Value> {
        let mut jobs = Vec::new();
        let mut before: Option<String> = None;
        loop {
            let mut args = vec!["jobs", "list", "--json", "--limit", "1000"];
            if let Some(id) = &before {
                args.extend(["--before", id]);
            }
            let page = self.json(&args);
            jobs.extend(page["jobs"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => before = Some(next.to_owned()),
                None => return jobs,
            }
        }
    }

    /// Starts a worker in the background; it ends when the guard is dropped.
    pub(crate) fn worker(&self, args: &[&str]) -> Running {
        Running::of(&mut self.command(&[&["worker"], args].concat()))
    }
}

/// The binary without any place: for commands that need none.
pub(crate) fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    command.args(args).env_remove("FLOTILLA_CONFIG").env_remove("FLOTILLA_DATA");
    command
}

/// What a finished command left.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    exit: Option<i32>,
    what: String,
}

impl Ran {
    pub(crate) fn of(output: Output, args: &[&str]) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            exit: output.status.code(),
            what: format!("flotilla {}", args.join(" ")),
        }
    }

    pub(crate) fn exit(&self) -> Option<i32> {
        self.exit
    }

    /// Expects this exit code.
    pub(crate) fn code(self, wanted: i32) -> Self {
        let (what, out, err) = (&self.what, &self.out, &self.err);
        assert_eq!(self.exit, Some(wanted), "{what}\nstdout: {out}\nstderr: {err}");
        self
    }
}

/// A process that is killed when nobody needs it any more.
pub(crate) struct Running {
    child: Option<Child>,
    /// Reads what it says: one that is not read stops once the pipe is full.
    said: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a command in the background.
    pub(crate) fn of(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        Self { child: Some(child), said: Some(said) }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("still there").id()
    }

    pub(crate) fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("still there");
        child.try_wait().expect("its state can be read").is_some()
    }

    /// Sends a signal by name, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("still there").id();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(sent.expect("a shell").success(), "kill -{name} {pid}");
    }

    /// Waits for its end: exit code and stderr.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.take().expect("still there").wait().expect("it ends");
        let said = self.said.take().expect("still there").join().expect("reading does not panic");
        (status.code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("worker/ is below the root").to_owned()
}

/// The folder of the bundled photos.
pub(crate) fn photos() -> PathBuf {
    root().join("tests/fixtures/demo")
}

/// A bundled photo.
pub(crate) fn photo(name: &str) -> PathBuf {
    let path = photos().join(name);
    assert!(path.is_file(), "{} is bundled", path.display());
    path
}

/// A small generator, so that a failing run can be repeated from its printed seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `end` (xorshift64*, Marsaglia 2003).
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end.max(1)
    }
}

/// The seed of this run: `FLOTILLA_SEED`, or one of the process. It is printed.
pub(crate) fn seed(test: &str) -> u64 {
    let given = std::env::var("FLOTILLA_SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) + 1);
    println!("{test}: FLOTILLA_SEED={seed}");
    seed
}

/// Says that a test cannot run here, so that the run counts it.
pub(crate) fn skipped(test: &str, reason: &str) {
    println!("skipped: {reason}");
    if let Some(log) = std::env::var_os("FLOTILLA_SKIP_LOG") {
        use std::io::Write as _;
        let file = std::fs::OpenOptions::new().append(true).create(true).open(log);
        let _ = file.and_then(|mut f| writeln!(f, "{test}: {reason}"));
    }
}
