//! `[[external]]`: kinds whose handlers are programs or endpoints of the operator's own.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checked::Name;
use crate::reader::Section;
use crate::secret::Secret;
use crate::size::ByteSize;

/// Longest line or answer, in bytes, when left out.
const MAX_LINE: usize = 1 << 20;
/// Last bytes of a program's stderr that are kept, when left out.
const STDERR_TAIL: usize = 2000;
/// How long a program may take to say that it is ready, when left out.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a program has to stop when it is told to, when left out.
const STOP_GRACE: Duration = Duration::from_secs(5);
const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// A kind whose handler is not part of this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// The kind; unique among the entries.
    pub kind: String,
    /// Who runs it.
    pub way: ExternalWay,
    /// A file with the JSON Schema of the payload; `None`: any JSON.
    pub schema: Option<PathBuf>,
    /// A file with the JSON Schema of the result, for readers; results are not held to it.
    pub result_schema: Option<PathBuf>,
    /// Where its jobs wait.
    pub lane: Option<String>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// Runs that may fail before it is dead.
    pub max_attempts: Option<u32>,
    /// Longest line or answer, in bytes; it bounds results too.
    pub max_line: usize,
}

/// Who runs an external kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternalWay {
    /// Child processes that speak JSON lines.
    Command {
        /// Program and arguments; never empty.
        command: Vec<String>,
        /// Where it is started.
        dir: Option<PathBuf>,
        /// Variables of the worker's environment it may see.
        env: Vec<String>,
        /// How many of it a worker runs; at least 1.
        processes: usize,
        /// Jobs one of it may hold at once; at least 1.
        concurrency: usize,
        /// How long it may take to say that it is ready.
        start_timeout: Duration,
        /// How long it has to stop.
        stop_grace: Duration,
        /// Last bytes of its stderr that are kept.
        stderr_tail: usize,
    },
    /// An HTTP endpoint.
    Endpoint {
        /// Its address.
        url: String,
        /// Jobs one worker may have there at once; `None`: as many as it has slots.
        concurrency: Option<usize>,
        /// Its bearer token.
        token: Option<Secret>,
        /// A file that holds the token.
        token_file: Option<PathBuf>,
        /// The secret that signs requests, `whsec_…`.
        secret: Option<Secret>,
        /// A file with such secrets, one a line.
        secret_file: Option<PathBuf>,
    },
}

impl External {
    /// The bearer token of its endpoint, from its key or its file.
    ///
    /// # Errors
    /// The file cannot be read or is blank.
    pub fn read_token(&self) -> Result<Option<Secret>, String> {
        let ExternalWay::Endpoint { token, token_file, .. } = &self.way else { return Ok(None) };
        match token_file {
            Some(path) => lines("token_file", path).map(|lines| lines.into_iter().next()),
            None => Ok(token.clone()),
        }
    }

    /// The secrets that sign requests to its endpoint, of its key and of its file.
    ///
    /// # Errors
    /// The file cannot be read or is blank.
    pub fn read_secrets(&self) -> Result<Vec<Secret>, String> {
        let ExternalWay::Endpoint { secret, secret_file, .. } = &self.way else {
            return Ok(Vec::new());
        };
        let mut secrets: Vec<Secret> = secret.iter().cloned().collect();
        if let Some(path) = secret_file {
            secrets.extend(lines("secret_file", path)?);
        }
        Ok(secrets)
    }

    /// `None` when a key that is needed is missing or wrong; the section has noted it then.
    pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let kind = section.required::<Name>("kind");
        let way = ExternalWay::read(&mut section);
        let schema = section.optional("schema");
        let result_schema = section.optional("result_schema");
        let lane = section.optional::<Name>("lane").map(|lane| lane.0);
        let timeout = section.optional("timeout");
        let max_attempts = section.optional::<std::num::NonZeroU32>("max_attempts");
        let max_line =
            section.optional::<ByteSize>("max_line").map_or(MAX_LINE, ByteSize::in_memory);
        Some(Self {
            kind: kind?.0,
            way: way?,
            schema,
            result_schema,
            lane,
            timeout,
            max_attempts: max_attempts.map(std::num::NonZeroU32::get),
            max_line,
        })
    }
}

impl ExternalWay {
    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let command = section.optional::<Vec<String>>("command");
        let url = section.optional::<String>("url");
        match (command, url) {
            (Some(_), Some(_)) => {
                section.wrong("url", "command is given too; keep one of them");
                None
            }
            (Some(command), None) if command.is_empty() => {
                section.wrong("command", "is empty; give a program and its arguments");
                None
            }
            (Some(command), None) => Some(Self::program(section, command)),
            (None, Some(url)) => Self::endpoint(section, url),
            (None, None) => {
                let _ = section.required::<Vec<String>>("command");
                None
            }
        }
    }

    fn program(section: &mut Section<'_, '_>, command: Vec<String>) -> Self {
        let mut count = |key| section.optional::<NonZeroUsize>(key).unwrap_or(ONE).get();
        let (processes, concurrency) = (count("processes"), count("concurrency"));
        let tail = section.optional::<ByteSize>("stderr_tail");
        Self::Command {
            command,
            dir: section.optional("dir"),
            env: section.optional("env").unwrap_or_default(),
            processes,
            concurrency,
            start_timeout: section.optional("start_timeout").unwrap_or(START_TIMEOUT),
            stop_grace: section.optional("stop_grace").unwrap_or(STOP_GRACE),
            stderr_tail: tail.map_or(STDERR_TAIL, ByteSize::in_memory),
        }
    }

    fn endpoint(section: &mut Section<'_, '_>, url: String) -> Option<Self> {
        let given = Self::Endpoint {
            concurrency: section.optional::<NonZeroUsize>("concurrency").map(NonZeroUsize::get),
            token: section.optional("token"),
            token_file: section.optional("token_file"),
            secret: section.optional("secret"),
            secret_file: section.optional("secret_file"),
            url,
        };
        let Self::Endpoint { url, token, token_file, .. } = &given else { return None };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            section.wrong("url", "is no address; write it as \"http://127.0.0.1:8700/jobs\"");
            return None;
        }
        if token.is_some() && token_file.is_some() {
            section.wrong("token_file", "token is given too; keep one of them");
            return None;
        }
        Some(given)
    }
}

fn lines(key: &str, path: &Path) -> Result<Vec<Secret>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("{key}: cannot read {}: {e}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets: Vec<Secret> = lines.map(Secret::new).collect();
    if secrets.is_empty() {
        return Err(format!("{key}: {} holds no secret", path.display()));
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, LoadError, LoadOptions};

    fn load(text: &str) -> Result<Config, LoadError> {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let file = Some(file.path().to_owned());
        Config::load(LoadOptions { file, ..LoadOptions::default() })
    }

    #[test]
    fn programs_and_endpoints_are_read() {
        let config = load(
            "[[external]]\nkind = \"report.render\"\ncommand = [\"python3\", \"report.py\"]\n\
             processes = 2\nlane = \"reports\"\ntimeout = \"5m\"\n\
             [[external]]\nkind = \"page.fetch\"\nurl = \"http://127.0.0.1:8700/jobs\"\ntoken = \"s3cret\"\n",
        )
        .unwrap();
        let [report, page] = config.externals.as_slice() else { panic!("two entries") };
        let ExternalWay::Command { command, processes, concurrency, .. } = &report.way else {
            panic!("a program");
        };
        assert_eq!((command.len(), *processes, *concurrency), (2, 2, 1));
        assert_eq!((report.lane.as_deref(), report.max_line), (Some("reports"), MAX_LINE));
        assert_eq!(page.read_token().unwrap().unwrap().expose(), "s3cret");
        assert!(page.read_secrets().unwrap().is_empty());
        let shown = config.keys().iter().find(|key| key.key == "external[1].token").unwrap();
        assert!(shown.value.contains("***"), "{}", shown.value);
    }

    #[test]
    fn each_wrong_entry_says_what_to_write() {
        for (text, said) in [
            ("kind = \"a.b\"", "command"),
            ("kind = \"a.b\"\ncommand = []", "give a program"),
            ("kind = \"a.b\"\ncommand = [\"x\"]\nurl = \"http://a\"", "keep one of them"),
            ("kind = \"a.b\"\nurl = \"a:1\"", "http://127.0.0.1:8700/jobs"),
            ("kind = \"a.b\"\nurl = \"http://a\"\nprocesses = 2", "unknown key"),
            ("kind = \"a.b\"\ncommand = [\"x\"]\ntoken = \"s3cret\"", "unknown key"),
            ("kind = \"A b\"\ncommand = [\"x\"]", "not a name"),
        ] {
            let error = load(&format!("[[external]]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("s3cret"), "{text}: {error}");
        }
        let twice = "[[external]]\nkind = \"a.b\"\ncommand = [\"x\"]\n".repeat(2);
        assert!(load(&twice).unwrap_err().to_string().contains("names an earlier entry too"));
    }
}
