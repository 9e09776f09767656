//! `[[token]]`: who may use the API and the console, each by the hash of a token.

use serde_json::Value;

use crate::checked::Name;
use crate::choice::{Choice, choice};
use crate::reader::Section;
use crate::setting::Setting;

choice! {
    /// What the holder of a token is here for.
    pub enum TokenRole ("role") {
        /// Enqueues, and looks at jobs by their ids.
        Producer = "producer",
        /// Looks at everything.
        Viewer = "viewer",
        /// Also handles jobs, lanes, dead letters, breakers and workers.
        Operator = "operator",
        /// Also changes limits and deletes for good.
        Admin = "admin",
    }
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is; unique among the entries.
    pub name: String,
    /// What for.
    pub role: TokenRole,
    /// For whom; empty: all tenants.
    pub tenants: Vec<String>,
    /// `blake3:` or `sha256:` and 64 hexadecimal digits.
    pub hash: String,
}

/// The hash of a token; a message about a wrong one does not show it, since it may be the token.
struct Hash(String);

impl Setting for Hash {
    fn from_value(value: &Value) -> Result<Self, String> {
        let given = value.as_str().unwrap_or_default().trim();
        let digits = given.strip_prefix("blake3:").or_else(|| given.strip_prefix("sha256:"));
        let fits =
            |digits: &str| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if digits.is_some_and(fits) {
            return Ok(Self(given.to_ascii_lowercase()));
        }
        Err("is no hash of a token; `flotilla tokens new` writes one".to_owned())
    }
}

impl Token {
    /// `None` when a key that is needed is missing or wrong; the section has noted it then.
    pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let name = section.required::<Name>("name");
        let role = section.required("role");
        let tenants = section.optional::<Vec<Name>>("tenants").unwrap_or_default();
        let hash = section.required::<Hash>("hash");
        Some(Self {
            name: name?.0,
            role: role?,
            tenants: tenants.into_iter().map(|tenant| tenant.0).collect(),
            hash: hash?.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, LoadOptions, TokenRole};

    fn load(text: &str) -> Result<Config, crate::LoadError> {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let file = Some(file.path().to_owned());
        Config::load(LoadOptions { file, ..LoadOptions::default() })
    }

    #[test]
    fn tokens_are_read_and_a_token_in_the_place_of_its_hash_is_not_repeated() {
        let hash = "0".repeat(64);
        let text = format!(
            "[[token]]\nname = \"ann\"\nrole = \"operator\"\ntenants = [\"shop\"]\nhash = \"blake3:{hash}\"\n"
        );
        let tokens = load(&text).unwrap().tokens;
        assert_eq!(
            (tokens[0].role, tokens[0].tenants.as_slice()),
            (TokenRole::Operator, &["shop".to_owned()][..])
        );
        let wrong = "[[token]]\nname = \"ann\"\nrole = \"root\"\nhash = \"flt_s3cret\"\n";
        let error = load(wrong).unwrap_err().to_string();
        assert!(error.contains("tokens new") && error.contains("\"viewer\""), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
