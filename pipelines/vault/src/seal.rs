//! AES-256-GCM: what is sealed can be read only with its key and only in its place.
//!
//! The place (tenant, account, version) is authenticated with the text, so a sealed text that is
//! moved to another account, or an older one that is put back under a newer version, does not
//! open. Nonces are random: a key seals far less than the 2^32 texts at which NIST SP 800-38D
//! (8.3) asks for a new one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::error::VaultError;

/// 256 bits that seal texts or wrap other keys. Wiped when dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Key {
    /// A new one, from the operating system.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn random() -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// Reads 32 bytes in base64; `None` when it is anything else.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
        Self::from_bytes(&bytes)
    }

    /// The key in base64, for the file it is kept in.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(*self.0))
    }

    /// The bytes, to be wrapped by another key.
    pub(crate) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    /// The key whose bytes were wrapped.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// Seals `plain` for `place`; base64 of nonce, text and tag.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<String, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        let mut text = Zeroizing::new(plain.to_vec());
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut *text,
            )
            .map_err(|_| VaultError::Key("a text is too long to be sealed".to_owned()))?;
        Ok(STANDARD.encode([&nonce[..], text.as_slice()].concat()))
    }

    /// Opens what was sealed for `place`; `None` when it was not, or was changed since.
    #[must_use]
    pub fn open(&self, place: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let cipher = self.cipher().ok()?;
        let plain = cipher.open_in_place(nonce, Aad::from(place.as_bytes()), &mut text).ok()?;
        Some(Zeroizing::new(plain.to_vec()))
    }

    fn cipher(&self) -> Result<LessSafeKey, VaultError> {
        let key = UnboundKey::new(&AES_256_GCM, &*self.0);
        key.map(LessSafeKey::new).map_err(|_| VaultError::Key("a key is not 256 bits".to_owned()))
    }
}

/// Fills `bytes` with random ones.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), VaultError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| VaultError::Key("the operating system gives no random numbers".to_owned()))
}

/// So many random bytes in hexadecimal: names of keys and of holders of leases.
pub(crate) fn random_name(bytes: usize) -> Result<String, VaultError> {
    let mut random = vec![0; bytes];
    fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_in_its_place_only_and_only_unchanged() {
        let key = Key::random().unwrap();
        let sealed = key.seal("acme/a/1", b"hunter2").unwrap();
        assert_eq!(key.open("acme/a/1", &sealed).unwrap().as_slice(), b"hunter2");
        assert!(!sealed.contains("hunter2"));
        for place in ["acme/a/2", "acme/b/1", "other/a/1", ""] {
            assert!(key.open(place, &sealed).is_none(), "{place}");
        }
        assert!(Key::random().unwrap().open("acme/a/1", &sealed).is_none());
        let bytes = STANDARD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(key.open("acme/a/1", &STANDARD.encode(changed)).is_none(), "byte {at}");
        }
        for broken in ["", "%", "AAAA"] {
            assert!(key.open("acme/a/1", broken).is_none());
        }
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let key = Key::random().unwrap();
        assert_ne!(key.seal("a", b"x").unwrap(), key.seal("a", b"x").unwrap());
        assert_eq!(format!("{key:?}"), "***");
    }

    #[test]
    fn keys_are_32_bytes_of_base64() {
        let key = Key::random().unwrap();
        let again = Key::from_base64(&key.to_base64()).unwrap();
        assert_eq!(again.bytes(), key.bytes());
        for bad in ["", "AAAA", "not base64"] {
            assert!(Key::from_base64(bad).is_none(), "{bad}");
        }
    }
}
