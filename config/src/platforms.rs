//! `[platforms]`: the registry of platforms, and how long their calls may take.

use std::path::PathBuf;
use std::time::Duration;

use crate::reader::Section;
use crate::secret::Secret;

/// The registry of platforms, and bounds of their calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platforms {
    /// A file whose keys replace those of the built-in registry.
    pub file: Option<PathBuf>,
    /// Longest call.
    pub timeout: Duration,
    /// Longest call that carries a file.
    pub upload_timeout: Duration,
    /// Platforms whose webhooks are taken.
    pub webhooks: Vec<String>,
    /// What they show in the handshake.
    pub webhook_token: Option<Secret>,
    /// A file that holds it.
    pub webhook_token_file: Option<PathBuf>,
}

impl Platforms {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            file: section.get("file"),
            timeout: section.get("timeout"),
            upload_timeout: section.get("upload_timeout"),
            webhooks: section.get("webhooks"),
            webhook_token: section.get("webhook_token"),
            webhook_token_file: section.get("webhook_token_file"),
        }
    }

    /// What a platform shows in the handshake of its webhooks, of its key or its file without the
    /// white space around it.
    ///
    /// # Errors
    /// The file cannot be read or is empty, or both were given.
    pub fn read_webhook_token(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.webhook_token_file else { return Ok(self.webhook_token.clone()) };
        let name = "platforms.webhook_token_file";
        if self.webhook_token.is_some() {
            return Err(format!("{name} stands beside webhook_token; keep one of them"));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("{name}: cannot read {}: {e}", path.display()))?;
        match text.trim() {
            "" => Err(format!("{name}: {} is empty", path.display())),
            token => Ok(Some(Secret::new(token))),
        }
    }
}
