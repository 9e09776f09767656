//! Who wraps the data keys of tenants: a ring of keys from a file or the environment.
//!
//! A ring is text, one key a line: a name, a space, 32 bytes in base64. The first wraps; the
//! others only unwrap, so that a new key is taken into use without a moment at which a worker
//! cannot read: add it below, then move it up, then `flotilla accounts rewrap`, then remove the
//! old one. A file is read again whenever a name turns up that is not known.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::seal::{Key, random_name};

/// Largest key file, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// Most keys of a ring.
const MAX_KEYS: usize = 100;
/// Longest name of a key.
const MAX_NAME: usize = 64;

/// A data key under the key that wraps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wrapped {
    /// The name of the wrapping key.
    pub by: String,
    /// The wrapped bytes, as their provider writes them.
    pub bytes: String,
}

/// Wraps data keys.
#[async_trait]
pub trait KeyProvider: Send + Sync + std::fmt::Debug {
    /// The name of the key that wraps now.
    ///
    /// # Errors
    /// [`VaultError::Key`], saying what to do.
    async fn current(&self) -> Result<String, VaultError>;

    /// Wraps `key` for `place` with the present wrapping key.
    ///
    /// # Errors
    /// [`VaultError::Key`], saying what to do.
    async fn wrap(&self, place: &str, key: &Key) -> Result<Wrapped, VaultError>;

    /// Unwraps what was wrapped for `place`, by the present key or one before it.
    ///
    /// # Errors
    /// [`VaultError::Key`], saying what to do.
    async fn unwrap(&self, place: &str, wrapped: &Wrapped) -> Result<Key, VaultError>;
}

/// Wrapping keys in memory; the first one wraps.
#[derive(Debug)]
pub struct KeyRing(Vec<(String, Key)>);

impl KeyRing {
    /// Reads a ring. Blank lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// The first line that is no key, without what it holds.
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let mut keys: Vec<(String, Key)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, key) = read_line(line).ok_or_else(|| {
                VaultError::Key(format!(
                    "line {} of the wrapping keys is not a name, a space and 32 bytes in base64",
                    at + 1
                ))
            })?;
            if keys.len() == MAX_KEYS || keys.iter().any(|(other, _)| *other == name) {
                return Err(VaultError::Key(format!(
                    "the wrapping keys name \"{name}\" twice, or are more than {MAX_KEYS}"
                )));
            }
            keys.push((name, key));
        }
        if keys.is_empty() {
            return Err(VaultError::Key("there is no wrapping key: give one".to_owned()));
        }
        Ok(Self(keys))
    }

    fn find(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, key)| key)
    }

    fn first(&self) -> &(String, Key) {
        &self.0[0] // `parse` refuses an empty ring
    }

    fn wrap_now(&self, place: &str, key: &Key) -> Result<Wrapped, VaultError> {
        let (name, wrapping) = self.first();
        Ok(Wrapped { by: name.clone(), bytes: wrapping.seal(place, key.bytes())? })
    }

    fn unwrap_now(&self, place: &str, wrapped: &Wrapped) -> Result<Key, VaultError> {
        let by = &wrapped.by;
        let wrapping = self.find(by).ok_or_else(|| {
            VaultError::Key(format!(
                "the wrapping key \"{by}\" is not among those given: add it again, below the others"
            ))
        })?;
        let opened = wrapping.open(place, &wrapped.bytes);
        opened.and_then(|bytes| Key::from_bytes(&bytes)).ok_or_else(|| {
            VaultError::Key(format!(
                "the wrapping key \"{by}\" does not open what was wrapped under that name: is it \
                 another fleet's?"
            ))
        })
    }
}

fn read_line(line: &str) -> Option<(String, Key)> {
    let (name, key) = line.split_once(char::is_whitespace)?;
    let fits = name.len() <= MAX_NAME
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    fits.then_some(())?;
    Some((name.to_owned(), Key::from_base64(key)?))
}

#[async_trait]
impl KeyProvider for KeyRing {
    async fn current(&self) -> Result<String, VaultError> {
        Ok(self.first().0.clone())
    }

    async fn wrap(&self, place: &str, key: &Key) -> Result<Wrapped, VaultError> {
        self.wrap_now(place, key)
    }

    async fn unwrap(&self, place: &str, wrapped: &Wrapped) -> Result<Key, VaultError> {
        self.unwrap_now(place, wrapped)
    }
}

/// Wrapping keys in a file that nobody else may read.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    ring: Mutex<Option<Arc<KeyRing>>>,
}

impl KeyFile {
    /// Nothing is read yet: the file may come later.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ring: Mutex::new(None) }
    }

    /// Makes the file with one new key, unless it is there; `true`: it was made.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> Result<bool, VaultError> {
        if path.exists() {
            return Ok(false);
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| cannot("make the folder of", path, &e))?;
        }
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = match opened {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
            Err(e) => return Err(cannot("make", path, &e)),
        };
        let line = new_line()?;
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|e| cannot("write", path, &e))?;
        Ok(true)
    }

    /// Puts a new key first; the others stay below it. Gives its name.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn add(path: &Path) -> Result<String, VaultError> {
        let old = read(path)?;
        KeyRing::parse(&old)?;
        let line = new_line()?;
        let name = line.split(' ').next().unwrap_or_default().to_owned();
        let beside = path.with_extension("new");
        let _ = std::fs::remove_file(&beside); // of an attempt that was cut off
        let write = || -> std::io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(line.as_bytes())?;
            file.write_all(old.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|e| cannot("write", path, &e))?;
        Ok(name)
    }

    fn load(&self) -> Result<Arc<KeyRing>, VaultError> {
        let ring = Arc::new(KeyRing::parse(&read(&self.path)?)?);
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&ring));
        Ok(ring)
    }

    /// The ring as it was read last, if it knows `name`; else as it is now.
    fn knowing(&self, name: &str) -> Result<Arc<KeyRing>, VaultError> {
        let kept = self.ring.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match kept.filter(|ring| ring.find(name).is_some()) {
            Some(ring) => Ok(ring),
            None => self.load(),
        }
    }
}

#[async_trait]
impl KeyProvider for KeyFile {
    async fn current(&self) -> Result<String, VaultError> {
        Ok(self.load()?.first().0.clone())
    }

    async fn wrap(&self, place: &str, key: &Key) -> Result<Wrapped, VaultError> {
        self.load()?.wrap_now(place, key)
    }

    async fn unwrap(&self, place: &str, wrapped: &Wrapped) -> Result<Key, VaultError> {
        self.knowing(&wrapped.by)?.unwrap_now(place, wrapped)
    }
}

fn new_line() -> Result<Zeroizing<String>, VaultError> {
    let (name, key) = (random_name(4)?, Key::random()?);
    Ok(Zeroizing::new(format!("key-{name} {}\n", *key.to_base64())))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> VaultError {
    VaultError::Key(format!("cannot {what} the key file {}: {error}", path.display()))
}

/// The text of the file, if only its owner may read it.
fn read(path: &Path) -> Result<Zeroizing<String>, VaultError> {
    let file = File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => VaultError::Key(format!(
            "there is no key file {}: `flotilla accounts add` makes one; copy it to every worker \
             of the fleet, or set vault.key_file",
            path.display()
        )),
        _ => cannot("read", path, &e),
    })?;
    let about = file.metadata().map_err(|e| cannot("read", path, &e))?;
    if about.mode() & 0o077 != 0 {
        let path = path.display();
        let message = format!("the key file {path} may be read by others: chmod 600 {path}");
        return Err(VaultError::Key(message));
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    read.map_err(|e| cannot("read", path, &e))?;
    if text.len() as u64 > MAX_FILE {
        let message = format!("the key file {} has more than {MAX_FILE} bytes", path.display());
        return Err(VaultError::Key(message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn line(name: &str) -> String {
        format!("{name} {}", *Key::random().unwrap().to_base64())
    }

    #[test]
    fn a_ring_names_the_line_that_is_wrong_and_never_shows_it() {
        let good = line("a");
        for (text, part) in [
            (String::new(), "no wrapping key"),
            (format!("{good}\nhunter2"), "line 2"),
            (format!("{good}\nb hunter2"), "line 2"),
            (format!("{good}\n{}", line("a")), "\"a\" twice"),
        ] {
            let error = KeyRing::parse(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("hunter2"));
        }
        assert!(KeyRing::parse(&format!("# mine\n\n{good}\n")).is_ok());
    }

    #[tokio::test]
    async fn a_new_first_key_wraps_and_the_old_one_still_unwraps() {
        let (old, new) = (line("old"), line("new"));
        let (before, between) = (KeyRing::parse(&old), KeyRing::parse(&format!("{new}\n{old}")));
        let after = KeyRing::parse(&new).unwrap();
        let data = Key::random().unwrap();
        let wrapped = before.unwrap().wrap("t", &data).await.unwrap();
        let between = between.unwrap();
        let again = between.unwrap("t", &wrapped).await.unwrap();
        assert_eq!(again.bytes(), data.bytes());
        let rewrapped = between.wrap("t", &again).await.unwrap();
        assert_eq!((wrapped.by.as_str(), rewrapped.by.as_str()), ("old", "new"));
        assert_eq!(after.unwrap("t", &rewrapped).await.unwrap().bytes(), data.bytes());
        let gone = after.unwrap("t", &wrapped).await.unwrap_err().to_string();
        assert!(gone.contains("\"old\" is not among"), "{gone}");
        assert!(after.unwrap("other", &rewrapped).await.is_err());
    }

    #[tokio::test]
    async fn a_key_file_is_private_and_is_read_again_for_a_name_it_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/vault.key");
        let keys = KeyFile::new(&path);
        assert!(keys.current().await.unwrap_err().to_string().contains("accounts add"));
        assert!(KeyFile::create(&path).unwrap() && !KeyFile::create(&path).unwrap());
        let data = Key::random().unwrap();
        let first = keys.wrap("t", &data).await.unwrap();

        let name = KeyFile::add(&path).unwrap();
        let other = KeyFile::new(&path); // another process
        let second = other.wrap("t", &data).await.unwrap();
        assert_eq!(second.by, name);
        assert!(keys.unwrap("t", &first).await.is_ok() && keys.unwrap("t", &second).await.is_ok());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = KeyFile::new(&path).current().await.unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}
