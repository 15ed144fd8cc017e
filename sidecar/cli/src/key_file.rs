//! The file that keeps the API keys' hashes. The API asks for them at each request; the file is read again when it
//! changed, so a key counts from the moment it is made to the moment it is revoked.

use crate::error::CliError;
use crate::private;
use ainonymous_api::keys::KeyRing;
use ainonymous_api::KeySource;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Name of the file in the node's folder.
const NAME: &str = "api-keys.json";
/// Largest file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// The file of one node.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    seen: Mutex<Seen>,
}

/// What was read last.
#[derive(Debug, Default)]
struct Seen {
    stamp: Option<Stamp>,
    keys: Arc<KeyRing>,
}

/// Differs when the file was written.
type Stamp = (Option<SystemTime>, u64, u64);

impl KeyFile {
    /// The file in a node's folder; it need not be there.
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(NAME), seen: Mutex::default() }
    }

    /// The keys in it; none if it is not there.
    pub(crate) fn load(&self) -> Result<KeyRing, CliError> {
        let file = |source| CliError::File { path: self.path.clone(), source };
        match fs_err::metadata(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(KeyRing::default()),
            Err(source) => return Err(file(source)),
            Ok(metadata) if metadata.len() > BYTES_MAX => {
                return Err(file(std::io::Error::new(ErrorKind::FileTooLarge, "the list of API keys is too large")));
            }
            Ok(_) => {}
        }
        Ok(KeyRing::parse(&fs_err::read(&self.path).map_err(file)?)?)
    }

    /// Writes the keys beside the file, then in its place: a reader sees the old list or the new one. Only the owner
    /// can read it.
    pub(crate) fn save(&self, keys: &KeyRing) -> Result<(), CliError> {
        private::replace(&self.path, keys.to_json().as_bytes())
            .map_err(|source| CliError::File { path: self.path.clone(), source })
    }

    fn stamp(&self) -> Option<Stamp> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let number = 0;
        Some((metadata.modified().ok(), metadata.len(), number))
    }
}

impl KeySource for KeyFile {
    fn keys(&self) -> Arc<KeyRing> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp();
        if seen.stamp != stamp {
            match self.load() {
                Ok(keys) => seen.keys = Arc::new(keys),
                // A list that is damaged admits nobody.
                Err(error) => {
                    tracing::warn!(code = error.code(), "the list of API keys cannot be read: no key is accepted");
                    seen.keys = Arc::default();
                }
            }
            seen.stamp = stamp;
        }
        Arc::clone(&seen.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_api::keys::Limits;

    #[test]
    fn what_is_written_is_seen_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(&dir.path().join("data"));
        assert!(file.keys().keys().is_empty());
        let mut keys = file.load().unwrap();
        keys.create("one", Limits::default(), 1).unwrap();
        file.save(&keys).unwrap();
        assert_eq!(file.keys().keys().len(), 1);
        keys.create("two", Limits::default(), 1).unwrap();
        keys.revoke("one").unwrap();
        file.save(&keys).unwrap();
        assert_eq!(file.keys().keys()[0].name, "two");
        std::fs::write(&file.path, "nonsense").unwrap();
        assert!(file.keys().keys().is_empty(), "a damaged list admits nobody");
        assert_eq!(file.load().unwrap_err().code(), "keys_damaged");
        std::fs::remove_file(&file.path).unwrap();
        assert!(file.load().unwrap().keys().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        file.save(&KeyRing::default()).unwrap();
        assert_eq!(std::fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
