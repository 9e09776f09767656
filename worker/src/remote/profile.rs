//! Where a remote fleet is and what opens it: `--server`, or a profile of the user's own file.
//!
//! ```toml
//! [production]
//! server = "https://flotilla.example.com"
//! token_file = "~/.config/flotilla/production.token"   # or token_env = "FLOTILLA_TOKEN"
//! ca_file = "company.pem"       # beside what this machine trusts; from the folder of this file
//! timeout = "30s"               # of one call
//! max_answer = 67108864         # bytes of one answer
//! plain_http = false            # true: the token may go over http:// to another machine
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_core::{Secret, suggest};
use serde::Deserialize;
use url::{Host, Url};

use crate::cli::Reach;
use crate::exit::Failure;

/// Of one call, unless the profile says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of one answer, unless the profile says otherwise.
const MAX_ANSWER: u64 = 64 << 20;
/// The largest file of profiles, of a token, of certificates.
const MAX_FILE: u64 = 1 << 20;

/// A fleet behind its API.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Its address; paths of the API go below.
    pub(crate) server: Url,
    /// What opens it; an open address of this machine wants none.
    pub(crate) token: Option<Secret>,
    /// Certificates that it may show, beside those this machine trusts: PEM.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Of one call.
    pub(crate) timeout: Duration,
    /// Bytes of one answer.
    pub(crate) max_answer: u64,
}

/// One table of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    server: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    timeout: Option<String>,
    max_answer: Option<u64>,
    #[serde(default)]
    plain_http: bool,
}

/// What the command line names; `None`: the fleet of this machine's configuration.
pub(super) fn read(reach: &Reach) -> Result<Option<Profile>, Failure> {
    let beside = |given: bool, name: &str| {
        let says = format!("{name} goes with --server: a profile says it in its file");
        if given && reach.server.is_none() { Err(Failure::usage(says)) } else { Ok(()) }
    };
    beside(reach.token_file.is_some(), "--token-file")?;
    beside(reach.token_env.is_some(), "--token-env")?;
    beside(reach.ca_file.is_some(), "--ca-file")?;
    let (written, folder) = match (&reach.server, &reach.profile) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--server and --profile name two fleets: leave one out"));
        }
        (Some(server), None) => {
            let written = Written {
                server: server.clone(),
                token_file: reach.token_file.clone(),
                token_env: reach.token_env.clone(),
                ca_file: reach.ca_file.clone(),
                ..Written::default()
            };
            (written, PathBuf::new())
        }
        (None, Some(name)) => named(name, reach.profiles.as_deref())?,
    };
    written.open(&folder).map(Some)
}

/// The profile of that name, and the folder that its paths begin from.
fn named(name: &str, file: Option<&Path>) -> Result<(Written, PathBuf), Failure> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => usual().ok_or_else(|| {
            Failure::config("no home folder is known: name your profiles with --profiles FILE")
        })?,
    };
    let text = bounded(&file)?;
    let text = String::from_utf8(text)
        .map_err(|_| Failure::config(format!("{}: not UTF-8", file.display())))?;
    let mut all: BTreeMap<String, Written> = toml::from_str(&text)
        .map_err(|e| Failure::config(format!("{}: {}", file.display(), e.message())))?;
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    if let Some(written) = all.remove(name) {
        return Ok((written, folder));
    }
    let hint = suggest::hint(name, all.keys().map(String::as_str));
    let names = all.keys().cloned().collect::<Vec<_>>().join(", ");
    Err(Failure::config(format!(
        "no profile \"{name}\" in {}{hint}; there are: {names}",
        file.display()
    )))
}

fn usual() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(config.join("flotilla/profiles.toml"))
}

impl Written {
    fn open(self, folder: &Path) -> Result<Profile, Failure> {
        let server: Url = self.server.parse().map_err(|e| {
            Failure::config(format!("server \"{}\": {e}: write it as https://…", self.server))
        })?;
        let token = match (&self.token_file, &self.token_env) {
            (Some(_), Some(_)) => {
                return Err(Failure::config("the token comes from a file or a variable, not both"));
            }
            (Some(file), None) => Some(token(&bounded(&place(folder, file))?, &file.display())?),
            (None, Some(name)) => {
                let value = std::env::var(name).map_err(|_| {
                    Failure::config(format!("the variable {name} of the token is not set"))
                })?;
                Some(token(value.as_bytes(), name)?)
            }
            (None, None) => None,
        };
        check(&server, token.is_some(), self.plain_http)?;
        let timeout = match &self.timeout {
            None => TIMEOUT,
            Some(text) => crate::cli::duration(text)
                .map_err(|e| Failure::config(format!("timeout \"{text}\": {e}")))?,
        };
        let ca = self.ca_file.as_deref();
        Ok(Profile {
            server,
            token,
            authorities: ca.map(|file| bounded(&place(folder, file))).transpose()?,
            timeout: timeout.clamp(Duration::from_millis(100), Duration::from_secs(600)),
            max_answer: self.max_answer.unwrap_or(MAX_ANSWER).max(1024),
        })
    }
}

/// No token leaves this machine in the clear, unless that was asked for.
fn check(server: &Url, token: bool, plain_http: bool) -> Result<(), Failure> {
    if !server.username().is_empty() || server.password().is_some() {
        return Err(Failure::config("the server's address holds a password: use a token file"));
    }
    let own = match server.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match server.scheme() {
        "https" => Ok(()),
        "http" if own || plain_http || !token => Ok(()),
        "http" => Err(Failure::config(format!(
            "{server} would carry the token in the clear: use https://, a tunnel to this machine, \
             or plain_http = true in a profile"
        ))),
        other => Err(Failure::config(format!("\"{other}\" is no way to a server: use https://"))),
    }
}

fn place(folder: &Path, file: &Path) -> PathBuf {
    match (file.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => folder.join(file),
    }
}

fn token(text: &[u8], from: &dyn std::fmt::Display) -> Result<Secret, Failure> {
    let text = std::str::from_utf8(text).map(str::trim).unwrap_or_default();
    let plain =
        !text.is_empty() && text.len() <= 4096 && text.bytes().all(|b| b.is_ascii_graphic());
    if plain {
        Ok(Secret::new(text))
    } else {
        Err(Failure::config(format!("{from} holds no token")))
    }
}

fn bounded(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::config(format!("{}: {e}", file.display()));
    let size = std::fs::metadata(file).map_err(|e| wrong(&e))?.len();
    if size > MAX_FILE {
        return Err(wrong(&format_args!("has more than {MAX_FILE} bytes")));
    }
    std::fs::read(file).map_err(|e| wrong(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Reach {
        Reach { server: Some(url.to_owned()), ..Reach::default() }
    }

    #[test]
    fn a_token_goes_over_https_or_stays_on_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "flt_abc\n").unwrap();
        let with = |url: &str| Reach { token_file: Some(file.clone()), ..server(url) };
        for good in
            ["https://x.example", "http://127.0.0.1:9", "http://localhost", "http://[::1]:9"]
        {
            let profile = read(&with(good)).unwrap().unwrap();
            assert_eq!(profile.token.as_ref().map(Secret::expose), Some("flt_abc"), "{good}");
            assert!(!format!("{profile:?}").contains("flt_abc"), "a token is in no log");
        }
        for bad in ["http://x.example", "ftp://x.example", "https://a:b@x.example", "x.example"] {
            assert!(read(&with(bad)).is_err(), "{bad}");
        }
        assert!(read(&server("http://x.example")).is_ok(), "nothing secret is sent");
        assert!(read(&Reach::default()).unwrap().is_none());
    }

    #[test]
    fn profiles_are_found_by_name_and_typing_errors_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("profiles.toml");
        std::fs::write(dir.path().join("t"), "flt_abc").unwrap();
        let text = "[prod]\nserver = \"https://x.example\"\ntoken_file = \"t\"\ntimeout = \"5s\"\n";
        std::fs::write(&file, text).unwrap();
        let of = |name: &str| Reach {
            profile: Some(name.to_owned()),
            profiles: Some(file.clone()),
            ..Reach::default()
        };
        let profile = read(&of("prod")).unwrap().unwrap();
        assert_eq!(profile.timeout, Duration::from_secs(5));
        assert!(profile.token.is_some());
        let said = read(&of("prd")).unwrap_err().to_string();
        assert!(said.contains("did you mean \"prod\"?"), "{said}");
        std::fs::write(&file, "[prod]\nserver = \"https://x.example\"\ntoken = \"x\"\n").unwrap();
        let said = read(&of("prod")).unwrap_err().to_string();
        assert!(said.contains("token"), "{said}");
        let both = Reach { profile: Some("prod".into()), ..server("https://x.example") };
        assert!(read(&both).is_err());
    }
}
