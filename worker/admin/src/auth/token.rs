//! Tokens as they are kept: never themselves, only their hashes. They are random and long, so that
//! a plain hash hides them for good.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq;

use super::{Refused, Role, Tenants};

/// What new tokens begin with, so that scanners of leaked secrets find them.
const PREFIX: &str = "flt_";

/// The hash of a token: `blake3:` or `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TokenHash {
    /// What `flotilla tokens new` writes.
    Blake3([u8; 32]),
    /// What `printf %s "$TOKEN" | sha256sum` gives.
    Sha256([u8; 32]),
}

/// A text that is no hash of a token. It does not say which: it might be the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a hash: write \"blake3:\" or \"sha256:\" and 64 hexadecimal digits, as `flotilla tokens new` does"
)]
pub struct InvalidHash;

impl TokenHash {
    /// The hash of this token.
    pub fn of(token: &str) -> Self {
        Self::Blake3(*blake3::hash(token.as_bytes()).as_bytes())
    }

    fn parts(&self) -> (&'static str, &[u8; 32]) {
        match self {
            Self::Blake3(digest) => ("blake3", digest),
            Self::Sha256(digest) => ("sha256", digest),
        }
    }
}

impl FromStr for TokenHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let (algorithm, digits) = text.trim().split_once(':').ok_or(InvalidHash)?;
        let digest = *blake3::Hash::from_hex(digits).map_err(|_| InvalidHash)?.as_bytes();
        match algorithm {
            "blake3" => Ok(Self::Blake3(digest)),
            "sha256" => Ok(Self::Sha256(digest)),
            _ => Err(InvalidHash),
        }
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (algorithm, digest) = self.parts();
        write!(f, "{algorithm}:{}", blake3::Hash::from_bytes(*digest).to_hex())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A token that opens the API and the console.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenEntry {
    /// Whose it is.
    pub name: Arc<str>,
    /// What for.
    pub role: Role,
    /// For whom.
    pub tenants: Tenants,
    /// How it is recognised.
    pub hash: TokenHash,
}

/// The token among them that this is the text of. All are compared, so that the time says neither
/// which nor how far it fits.
pub(super) fn find<'a>(tokens: &'a [TokenEntry], shown: &str) -> Option<&'a TokenEntry> {
    let blake3 = *blake3::hash(shown.as_bytes()).as_bytes();
    let sha256 = ring::digest::digest(&ring::digest::SHA256, shown.as_bytes());
    tokens.iter().fold(None, |found, entry| {
        let fits = match &entry.hash {
            TokenHash::Blake3(digest) => digest.ct_eq(&blake3),
            TokenHash::Sha256(digest) => digest[..].ct_eq(sha256.as_ref()),
        };
        if bool::from(fits) { Some(entry) } else { found }
    })
}

/// The token among them with this hash, as it was written down.
pub(super) fn by_hash<'a>(tokens: &'a [TokenEntry], hash: &str) -> Option<&'a TokenEntry> {
    let hash: TokenHash = hash.parse().ok()?;
    tokens.iter().find(|entry| entry.hash == hash)
}

/// A new token: shown once, kept as its hash.
pub struct NewToken {
    /// What its owner shows.
    pub token: String,
    /// What the configuration keeps.
    pub hash: TokenHash,
}

impl NewToken {
    /// 256 random bits.
    ///
    /// # Errors
    /// The machine gives no random bytes.
    pub fn make() -> Result<Self, Refused> {
        let token = format!("{PREFIX}{}", random()?);
        Ok(Self { hash: TokenHash::of(&token), token })
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewToken(***)")
    }
}

/// 32 random bytes as 64 hexadecimal digits.
pub(super) fn random() -> Result<String, Refused> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Refused::NoRandom)?;
    Ok(blake3::Hash::from_bytes(bytes).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, hash: TokenHash) -> TokenEntry {
        TokenEntry { name: name.into(), role: Role::Viewer, tenants: Tenants::All, hash }
    }

    #[test]
    fn a_token_is_found_by_either_hash_and_shown_by_none() {
        let new = NewToken::make().unwrap();
        assert!(new.token.starts_with(PREFIX) && new.token.len() == 68);
        let sha256 = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let tokens = [entry("a", new.hash), entry("b", sha256.parse().unwrap())];
        assert_eq!(find(&tokens, &new.token).unwrap().name.as_ref(), "a");
        assert_eq!(find(&tokens, "abc").unwrap().name.as_ref(), "b");
        assert!(find(&tokens, "abd").is_none() && find(&tokens, "").is_none());
        let text = new.hash.to_string();
        assert_eq!(text.parse(), Ok(new.hash));
        assert_eq!(by_hash(&tokens, &text).unwrap().name.as_ref(), "a");
        assert!(!format!("{new:?} {:?}", tokens[0]).contains(&new.token[4..]));
    }

    #[test]
    fn what_is_no_hash_is_refused_without_being_repeated() {
        for bad in ["", "abc", "md5:00", "blake3:00", "sha256:zz", "flt_secret"] {
            assert_eq!(bad.parse::<TokenHash>(), Err(InvalidHash), "{bad}");
        }
    }
}
