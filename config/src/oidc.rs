//! `[oidc]`: logging in to the console by an `OpenID` provider.

use std::path::PathBuf;

use crate::reader::Section;
use crate::secret::Secret;

/// The provider and what its claims mean here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Its address; `None`: off.
    pub issuer: Option<String>,
    /// Our name there.
    pub client_id: Option<String>,
    /// Our secret; none for a public client.
    pub client_secret: Option<Secret>,
    /// A file that holds the secret.
    pub client_secret_file: Option<PathBuf>,
    /// The address by which people reach the console.
    pub public_url: Option<String>,
    /// What the link of the login page says.
    pub label: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that says the role.
    pub claim: String,
    /// Its values that make a viewer.
    pub viewers: Vec<String>,
    /// Its values that make an operator.
    pub operators: Vec<String>,
    /// Its values that make an admin.
    pub admins: Vec<String>,
    /// The claim that lists tenants; `None`: everybody sees all.
    pub tenants: Option<String>,
}

impl Oidc {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            issuer: section.get("issuer"),
            client_id: section.get("client_id"),
            client_secret: section.get("client_secret"),
            client_secret_file: section.get("client_secret_file"),
            public_url: section.get("public_url"),
            label: section.get("label"),
            scopes: section.get("scopes"),
            claim: section.get("claim"),
            viewers: section.get("viewers"),
            operators: section.get("operators"),
            admins: section.get("admins"),
            tenants: section.get("tenants"),
        }
    }

    /// The secret, of its key or its file without the white space around it.
    ///
    /// # Errors
    /// The file cannot be read or is empty.
    pub fn read_secret(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.client_secret_file else { return Ok(self.client_secret.clone()) };
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("oidc.client_secret_file: cannot read {}: {e}", path.display()))?;
        match text.trim() {
            "" => Err(format!("oidc.client_secret_file: {} is empty", path.display())),
            secret => Ok(Some(Secret::new(secret))),
        }
    }
}
