//! The data folder: made for its owner alone, used by one process at a time, and of one network.

use crate::ConductorError;
use ainonymous_types::DnaHash;
use fs_err as fs;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Below this a conductor is not started: it would fail in the middle of something. Bytes.
const FREE_BYTES_MIN: u64 = 128 << 20;
const LOCK_FILE: &str = "conductor.lock";
const NETWORK_FILE: &str = "network";

/// A data folder that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is missing and takes its lock.
    pub(crate) fn open(root: &Path) -> Result<Self, ConductorError> {
        private_dir(root)?;
        let path = root.join(LOCK_FILE);
        let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|e| ConductorError::storage(&path, e))?.into_file();
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ConductorError::DataDirInUse { data_dir: root.to_path_buf() }),
            Err(TryLockError::Error(e)) => return Err(ConductorError::storage(path, e)),
        }
        enough_space(root, FREE_BYTES_MIN)?;
        Ok(Self { root: root.to_path_buf(), _lock: lock })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A folder in it, made if it is missing.
    pub(crate) fn subdir(&self, name: &str) -> Result<PathBuf, ConductorError> {
        let path = self.root.join(name);
        private_dir(&path)?;
        Ok(path)
    }

    /// Refuses a folder that was made for another network, before anything of that network is started.
    pub(crate) fn expect_network(&self, expected: &DnaHash) -> Result<(), ConductorError> {
        let path = self.root.join(NETWORK_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(ConductorError::storage(path, e)),
        };
        match DnaHash::try_from(text.trim()) {
            Ok(found) if found != *expected => Err(ConductorError::DataDirOfAnotherNetwork {
                data_dir: self.root.clone(),
                expected: expected.clone(),
                found,
            }),
            // What cannot be read says nothing; the conductor's own list of apps is asked later anyhow.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Writes down which network the folder is of.
    pub(crate) fn remember_network(&self, dna: &DnaHash) -> Result<(), ConductorError> {
        let path = self.root.join(NETWORK_FILE);
        fs::write(&path, format!("{dna}\n")).map_err(|e| ConductorError::storage(path, e))
    }
}

/// Makes a folder that only its owner can open.
pub(crate) fn private_dir(path: &Path) -> Result<(), ConductorError> {
    let failed = |e| ConductorError::storage(path, e);
    fs::create_dir_all(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Refuses a disk that is as good as full.
fn enough_space(path: &Path, needed_bytes: u64) -> Result<(), ConductorError> {
    let free_bytes = fs4::available_space(path).map_err(|e| ConductorError::storage(path, e))?;
    if free_bytes < needed_bytes {
        return Err(ConductorError::DiskFull { path: path.to_path_buf(), free_bytes, needed_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert_eq!(DataDir::open(dir.path()).unwrap_err().code(), "data_dir_in_use");
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new");
        let data = DataDir::open(&root).unwrap();
        for path in [root, data.subdir("keystore").unwrap()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn one_network() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let (mine, other) = (DnaHash::from_raw_32(vec![1; 32]), DnaHash::from_raw_32(vec![2; 32]));
        data.expect_network(&mine).unwrap();
        data.remember_network(&mine).unwrap();
        data.expect_network(&mine).unwrap();
        let error = data.expect_network(&other).unwrap_err();
        assert_eq!(error.code(), "data_dir_of_another_network");
        let text = error.to_string();
        assert!(text.contains(&mine.to_string()) && text.contains(&other.to_string()), "{text}");
    }

    #[test]
    fn a_full_disk_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(enough_space(dir.path(), u64::MAX).unwrap_err().code(), "disk_full");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(DataDir::open(&file.join("data")).unwrap_err().code(), "storage");
    }
}
