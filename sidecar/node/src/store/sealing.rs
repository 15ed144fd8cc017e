//! What is said is kept on disk sealed, under a key of its own that lies beside the database: whoever is handed a copy of the
//! database alone, or of pages that it has given up, reads nothing of it.
//!
//! AES-256-GCM with a random nonce for each row; what a row is about is bound to it, so that rows cannot be swapped. It must not know
//! what the rows say.

use crate::NodeError;
use aws_lc_rs::aead::{Aad, Nonce, RandomizedNonceKey, AES_256_GCM, NONCE_LEN};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// Length of the key.
const KEY_BYTES: usize = 32;

/// Seals and opens rows.
#[derive(Debug)]
pub(super) struct Sealer(RandomizedNonceKey);

impl Sealer {
    /// The key in this file; made if there is none. A file that holds no key is replaced: what it sealed is lost, and may be.
    pub(super) fn open(path: &Path) -> Result<Self, NodeError> {
        let storage = |source| NodeError::Storage { path: path.to_path_buf(), source };
        let known = match fs_err::read(path) {
            Ok(bytes) => Self::of(&bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(storage(e)),
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let key: [u8; KEY_BYTES] = rand::random();
        write_private(path, &key).map_err(storage)?;
        Self::of(&key).ok_or_else(|| storage(ErrorKind::InvalidData.into()))
    }

    fn of(key: &[u8]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, key).ok().map(Self)
    }

    /// The nonce, and what only this key opens; none if there is no memory for it. `about` must be said again to open it.
    pub(super) fn seal(&self, about: &[u8], plain: Vec<u8>) -> Option<Vec<u8>> {
        let mut body = plain;
        let nonce = self.0.seal_in_place_append_tag(Aad::from(about), &mut body).ok()?;
        Some([nonce.as_ref().as_slice(), &body].concat())
    }

    /// What was sealed; none if it is anything else.
    pub(super) fn open_row(&self, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(about), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

/// Written beside it first: a crash leaves the old file or the new one.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs_err::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_opens_under_its_key_and_its_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(&dir.path().join("key")).unwrap();
        let sealed = sealer.seal(b"row 1", b"a secret".to_vec()).unwrap();
        assert!(!sealed.windows(6).any(|six| six == b"secret"));
        assert_eq!(sealer.open_row(b"row 1", &sealed).unwrap(), b"a secret");
        assert!(sealer.open_row(b"row 2", &sealed).is_none(), "another row");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(sealer.open_row(b"row 1", &damaged).is_none(), "byte {at}");
        }
        assert!(sealer.open_row(b"row 1", &sealed[..5]).is_none());
        let again = sealer.seal(b"row 1", b"a secret".to_vec()).unwrap();
        assert_ne!(sealed, again, "no nonce is used twice");
    }

    #[test]
    fn the_key_survives_is_private_and_is_replaced_if_it_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let sealed = Sealer::open(&path).unwrap().seal(b"", vec![1]).unwrap();
        assert_eq!(Sealer::open(&path).unwrap().open_row(b"", &sealed).unwrap(), [1]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, b"short").unwrap();
        assert!(Sealer::open(&path).unwrap().open_row(b"", &sealed).is_none());
        assert_eq!(std::fs::read(&path).unwrap().len(), KEY_BYTES);
    }
}
