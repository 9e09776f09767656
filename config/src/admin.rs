//! `[admin]`: the admin API and console, and the token that opens it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::choice::{Choice, choice};
use crate::reader::Section;
use crate::secret::Secret;

choice! {
    /// How cookies of the console travel where it listens beyond loopback.
    pub enum Cookies ("way of cookies") {
        /// Over HTTPS only, bound to the very host.
        Secure = "secure",
        /// Also over plain HTTP.
        Plain = "plain",
    }
}

/// The admin API and console.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens; `None`: it is off.
    pub listen: Option<SocketAddr>,
    /// A file that holds the token.
    pub token_file: Option<PathBuf>,
    /// The token itself.
    pub token: Option<Secret>,
    /// How long a session of the console lasts.
    pub session: Duration,
    /// How cookies travel beyond loopback.
    pub cookies: Cookies,
    /// Names by which it may be called; empty: any, where tokens are configured.
    pub hosts: Vec<String>,
    /// The address by which browsers reach it, where something stands before it.
    pub public_url: Option<String>,
    /// How long entries of the audit log are kept.
    pub audit: Duration,
}

/// The token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("admin.token_file: cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds nothing, which would let everybody in.
    #[error("admin.token_file: {path} is empty; put the token into it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Admin {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            listen: section.get("listen"),
            token_file: section.get("token_file"),
            token: section.get("token"),
            session: section.get("session"),
            cookies: section.get("cookies"),
            hosts: section.get("hosts"),
            public_url: section.get("public_url"),
            audit: section.get("audit"),
        }
    }

    /// The token that callers must show: `token`, or the content of `token_file` without the
    /// white space around it. `None` when neither is set.
    ///
    /// # Errors
    /// The file cannot be read or is empty.
    pub fn read_token(&self) -> Result<Option<Secret>, TokenError> {
        let Some(path) = &self.token_file else { return Ok(self.token.clone()) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| TokenError::Unreadable { path: path.clone(), source })?;
        match text.trim() {
            "" => Err(TokenError::Empty { path: path.clone() }),
            token => Ok(Some(Secret::new(token))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, LoadOptions};

    #[test]
    fn a_token_comes_from_its_key_or_from_a_file() {
        let mut admin = Config::load(LoadOptions::default()).unwrap().admin;
        assert!(admin.read_token().unwrap().is_none());
        admin.token = Some(Secret::new("direct"));
        assert_eq!(admin.read_token().unwrap().unwrap().expose(), "direct");

        let file = tempfile::NamedTempFile::new().unwrap();
        admin.token_file = Some(file.path().to_owned());
        assert!(matches!(admin.read_token(), Err(TokenError::Empty { .. })));
        std::fs::write(file.path(), "from-file\n").unwrap();
        assert_eq!(admin.read_token().unwrap().unwrap().expose(), "from-file");
        admin.token_file = Some(file.path().join("none"));
        assert!(matches!(admin.read_token(), Err(TokenError::Unreadable { .. })));
    }
}
