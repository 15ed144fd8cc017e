//! Two checkouts, one cache: what one compiled of our own crates must not pass for the other's.
//!
//! Cargo names a workspace's crates by where they lie in it, so two checkouts share their artefacts, and whatever is newer than
//! the sources counts as fresh: an older checkout would run a newer one's programs. So whoever comes after another checkout
//! has our own crates compiled again; the thousand others stay.

use crate::error::Result;
use std::path::Path;

/// In a target directory: the checkout that compiled there last.
const OWNER: &str = "checkout";
/// How cargo's fingerprints of our crates begin.
const OURS: [&str; 4] = ["ainonymous", "inference", "rogue", "xtask"];
/// Fingerprints lie in PROFILE/.fingerprint or TARGET/PROFILE/.fingerprint.
const DEPTH: usize = 2;

/// Makes a target directory this checkout's. The caller holds the build lock.
pub(crate) fn claim(target: &Path, root: &Path) -> Result<()> {
    let (owner, ours) = (target.join(OWNER), root.to_string_lossy());
    if fs_err::read_to_string(&owner).is_ok_and(|last| last == ours) {
        return Ok(());
    }
    forget(target, DEPTH)?;
    fs_err::write(owner, ours.as_bytes())?;
    Ok(())
}

fn forget(folder: &Path, depth: usize) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == ".fingerprint" {
            for print in fs_err::read_dir(&path)? {
                let print = print?;
                let name = print.file_name();
                let name = name.to_string_lossy();
                let of_ours = |ours: &str| name.strip_prefix(ours).is_some_and(|rest| rest.starts_with(['-', '_']));
                if OURS.into_iter().any(of_ours) {
                    fs_err::remove_dir_all(print.path())?;
                }
            }
        } else if depth > 0 && entry.file_type()?.is_dir() {
            forget(&path, depth - 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_checkout_compiles_our_crates_again_and_no_others() {
        let target = std::env::temp_dir().join(format!("ainonymous-xtask-claim-{}", std::process::id()));
        let native = target.join("debug/.fingerprint");
        let wasm = target.join("wasm32-unknown-unknown/zome/.fingerprint");
        let ours = [native.join("ainonymous-api-12"), native.join("xtask-3"), wasm.join("inference_integrity-4")];
        let others = [native.join("ainonymousness-1"), native.join("serde-1"), wasm.join("hdi-2")];
        let make = || ours.iter().chain(&others).for_each(|print| std::fs::create_dir_all(print).unwrap());
        let there = |prints: &[std::path::PathBuf]| prints.iter().filter(|print| print.is_dir()).count();
        make();
        claim(&target, Path::new("/one")).unwrap();
        assert_eq!((there(&ours), there(&others)), (0, 3), "nobody knows whose they were");
        make();
        claim(&target, Path::new("/one")).unwrap();
        assert_eq!(there(&ours), 3, "one's own are fresh");
        claim(&target, Path::new("/two")).unwrap();
        assert_eq!((there(&ours), there(&others)), (0, 3));
        std::fs::remove_dir_all(target).unwrap();
    }
}
