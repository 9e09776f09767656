//! `[vault]` and `[[app]]`: who seals the credentials of accounts, and as which app they are renewed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::checked::Name;
use crate::reader::Section;
use crate::secret::Secret;

/// Where wrapping keys come from, and how tokens are renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    /// The file with the wrapping keys; `None`: `vault.key` in `data.dir`.
    pub key_file: Option<PathBuf>,
    /// The wrapping keys themselves, instead of a file.
    pub keys: Option<Secret>,
    /// How often all accounts are looked over.
    pub sweep: Duration,
    /// How long one exchange with a platform may take.
    pub timeout: Duration,
    /// Exchanges with one platform that one process makes at once; at least 1.
    pub concurrency: usize,
    /// How long a platform that refused our app is left alone.
    pub stop: Duration,
}

impl Vault {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            key_file: section.get("key_file"),
            keys: section.get("keys"),
            sweep: section.get("sweep"),
            timeout: section.get("timeout"),
            concurrency: section.get::<NonZeroUsize>("concurrency").get(),
            stop: section.get("stop"),
        }
    }
}

/// Our app at a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The platform; unique among the entries.
    pub platform: String,
    /// Its public name there.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<Secret>,
    /// A file that holds the secret.
    pub client_secret_file: Option<PathBuf>,
}

impl App {
    /// `None` when a key that is needed is missing or wrong; the section has noted it then.
    pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let platform = section.required::<Name>("name");
        let client_id = section.required("client_id");
        let client_secret: Option<Secret> = section.optional("client_secret");
        let client_secret_file = section.optional("client_secret_file");
        let (platform, client_id) = (platform?.0, client_id?);
        Some(Self { platform, client_id, client_secret, client_secret_file })
    }

    /// The secret, of its key or its file without the white space around it.
    ///
    /// # Errors
    /// The file cannot be read or is empty, or both were given.
    pub fn read_secret(&self) -> Result<Option<Secret>, String> {
        if self.client_secret.is_some() && self.client_secret_file.is_some() {
            return Err("client_secret stands beside client_secret_file; keep one of them".into());
        }
        let Some(path) = &self.client_secret_file else { return Ok(self.client_secret.clone()) };
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("client_secret_file: cannot read {}: {e}", path.display()))?;
        match text.trim() {
            "" => Err(format!("client_secret_file: {} is empty", path.display())),
            secret => Ok(Some(Secret::new(secret))),
        }
    }
}
