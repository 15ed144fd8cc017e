//! Lair inside this process: no socket, no pid file, one encrypted store and its configuration in one folder.
//!
//! An existing keystore is opened or refused, never replaced: whoever loses it loses the agent.

use crate::options::Stretching;
use crate::{ConductorError, Passphrase};
use fs_err as fs;
use holochain_keystore::MetaLairClient;
use lair_keystore_api::config::LairServerConfigInner;
use lair_keystore_api::in_proc_keystore::InProcKeystore;
use lair_keystore_api::prelude::PwHashLimits;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CONFIG_FILE: &str = "lair-keystore-config.yaml";
const STORE_FILE: &str = "store_file";

/// Opens the keystore in `folder`; makes one only if `may_create` and nothing of an old one is there.
pub(crate) async fn open(
    folder: &Path,
    data_dir: &Path,
    passphrase: &Passphrase,
    may_create: bool,
) -> Result<MetaLairClient, ConductorError> {
    let files = Files { config: folder.join(CONFIG_FILE), store: folder.join(STORE_FILE) };
    let config = match fs::read(&files.config) {
        Ok(bytes) => LairServerConfigInner::from_bytes(&bytes).map_err(|e| damaged(&files.config, &e.to_string()))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if files.store.exists() || !may_create {
                return Err(damaged(&files.config, "it is missing while what belongs to it is there"));
            }
            create(folder, &files, passphrase).await?
        }
        Err(e) => return Err(ConductorError::storage(&files.config, e)),
    };
    let store = lair_keystore::create_sql_pool_factory(&files.store, &config.database_salt);
    let unlock = async {
        let keystore = InProcKeystore::new(Arc::new(config), store, passphrase.locked()).await?;
        MetaLairClient::from_client(keystore.new_client().await?).await
    };
    Box::pin(unlock).await.map_err(|e| not_opened(&e.to_string(), data_dir, &files))
}

struct Files {
    config: PathBuf,
    store: PathBuf,
}

async fn create(
    folder: &Path,
    files: &Files,
    passphrase: &Passphrase,
) -> Result<LairServerConfigInner, ConductorError> {
    let limits = match passphrase.stretching() {
        Stretching::Moderate => PwHashLimits::Moderate,
        Stretching::Test => PwHashLimits::Minimum,
    };
    let made = limits.with_exec(|| LairServerConfigInner::new(folder, passphrase.locked())).await;
    let config = made.map_err(|e| damaged(&files.config, &e.to_string()))?;
    write_whole(&files.config, config.to_string().as_bytes()).map_err(|e| ConductorError::storage(&files.config, e))?;
    Ok(config)
}

/// Writes a file so that it is there whole or not at all, even if the power fails.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// Lair's errors are texts. A full or forbidden disk is told apart; what else stops it from opening its own, well-formed
/// configuration is the passphrase.
fn not_opened(problem: &str, data_dir: &Path, files: &Files) -> ConductorError {
    let lower = problem.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if says(&["disk is full", "no space left"]) {
        return ConductorError::storage(&files.store, std::io::ErrorKind::StorageFull.into());
    }
    if says(&["unable to open", "readonly", "permission denied"]) {
        return ConductorError::storage(&files.store, std::io::ErrorKind::PermissionDenied.into());
    }
    // The configuration was opened with the passphrase by then: the store itself is broken.
    if says(&["not a database", "malformed", "sqlite"]) {
        return damaged(&files.store, problem);
    }
    tracing::debug!(problem, "the keystore does not open");
    ConductorError::WrongPassphrase { data_dir: data_dir.to_path_buf() }
}

fn damaged(path: &Path, problem: &str) -> ConductorError {
    ConductorError::KeystoreDamaged { path: path.to_path_buf(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open_in(dir: &Path, passphrase: &str, may_create: bool) -> Result<MetaLairClient, ConductorError> {
        open(dir, dir, &Passphrase::cheap(passphrase), may_create).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_survive_and_a_wrong_passphrase_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let keystore = open_in(dir.path(), "right", true).await.unwrap();
        let key = keystore.new_sign_keypair_random().await.unwrap();
        drop(keystore);
        assert_eq!(open_in(dir.path(), "wrong", true).await.err().map(|e| e.code()), Some("wrong_passphrase"));
        assert_eq!(open_in(dir.path(), "", true).await.err().map(|e| e.code()), Some("wrong_passphrase"));
        let again = open_in(dir.path(), "right", false).await.unwrap();
        assert!(again.list_public_keys().await.unwrap().contains(&key));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_old_keystore_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        drop(open_in(dir.path(), "right", true).await.unwrap());
        let config = dir.path().join(CONFIG_FILE);
        fs::write(&config, "nonsense").unwrap();
        assert_eq!(open_in(dir.path(), "right", true).await.err().map(|e| e.code()), Some("keystore_damaged"));
        fs::remove_file(&config).unwrap();
        assert_eq!(open_in(dir.path(), "right", true).await.err().map(|e| e.code()), Some("keystore_damaged"));
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(open_in(empty.path(), "right", false).await.err().map(|e| e.code()), Some("keystore_damaged"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broken_store_is_not_a_wrong_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        drop(open_in(dir.path(), "right", true).await.unwrap());
        for name in ["store_file-wal", "store_file-shm"] {
            let _ = fs::remove_file(dir.path().join(name));
        }
        fs::write(dir.path().join(STORE_FILE), vec![7u8; 8192]).unwrap();
        assert_eq!(open_in(dir.path(), "right", true).await.err().map(|e| e.code()), Some("keystore_damaged"));
    }
}
