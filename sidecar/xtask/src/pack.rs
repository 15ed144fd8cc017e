//! Packs the `.dna`, the `.happ` and the `.webhapp`, builds the native binaries around them, and shows that doing it
//! twice gives the same network.
//!
//! The formats are known to `ainonymous-pack` alone; here are only the steps and their order.

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::lock::BuildLock;
use crate::run::{self, Output};
use crate::setup::Ready;
use crate::{ui, walk, zomes};
use std::path::Path;

/// Makes cargo choose features as it does for tests: those of development dependencies count too. The few examples that
/// there are compile along.
const AS_FOR_TESTS: &str = "--examples";

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// `uhC0k…`: the identity of the network.
    pub(crate) dna_hash: String,
}

/// Zomes, UI, then `ainonymous-pack`.
pub(crate) fn pack(layout: &Layout, ready: &Ready, with_rogue: bool, output: Output<'_>) -> Result<Packed> {
    zomes::build(layout, &ready.wasm, with_rogue, output)?;
    let dist = ui::build(layout, ready, output)?;
    bundle(layout, &dist, output)
}

/// Packs zomes and UI that are built.
pub(crate) fn bundle(layout: &Layout, dist: &Path, output: Output<'_>) -> Result<Packed> {
    build_packer(layout, output)?;
    let mut packer = run::command(layout, layout.binary("ainonymous-pack"));
    packer.arg("--root").arg(&layout.root).arg("--ui").arg(dist);
    let printed = String::from_utf8_lossy(&run::capture("ainonymous-pack", &mut packer)?).into_owned();
    let packed = Packed { dna_hash: dna_hash(&printed)? };
    eprintln!("dna     {}", packed.dna_hash);
    for name in ["inference.dna", "ainonymous.happ", "ainonymous.webhapp"] {
        let path = layout.root.join("workdir").join(name);
        if let Ok(data) = path.metadata() {
            eprintln!("packed  workdir/{name:<20} {} KB", data.len().div_ceil(1024));
        }
    }
    Ok(packed)
}

/// Packages and features as for [`binaries`] and for the tests, so that nothing is compiled twice.
fn build_packer(layout: &Layout, output: Output<'_>) -> Result<()> {
    let _lock = BuildLock::take(layout)?;
    let mut cargo = run::cargo(layout);
    cargo.args(["build", "--locked", "--bin", "ainonymous-pack", AS_FOR_TESTS]);
    run::run("building the packer", &mut cargo, output)
}

/// Everything native; `ainonymous` carries the packed `.webhapp`.
pub(crate) fn binaries(layout: &Layout, output: Output<'_>) -> Result<()> {
    let _lock = BuildLock::take(layout)?;
    let mut cargo = run::cargo(layout);
    cargo.args(["build", "--locked", "--bins", AS_FOR_TESTS]);
    run::run("building the binaries", &mut cargo, output)
}

/// Packs again from a copy of the checkout in another place, with other target directories, and compares.
pub(crate) fn check(layout: &Layout, ready: &Ready, output: Output<'_>) -> Result<Packed> {
    let first = pack(layout, ready, false, output)?;
    let place = layout.cache.join("check");
    let copy = Layout {
        root: place.join("checkout"),
        wasm_target: place.join("wasm"),
        cache: layout.cache.clone(),
        target: layout.target.clone(),
    };
    for dir in [&copy.root, &copy.wasm_target] {
        if dir.is_dir() {
            fs_err::remove_dir_all(dir)?;
        }
    }
    for path in walk::files(&layout.root)? {
        let to = copy.root.join(path.strip_prefix(&layout.root).unwrap_or(&path));
        if let Some(dir) = to.parent() {
            fs_err::create_dir_all(dir)?;
        }
        fs_err::copy(&path, to)?;
    }
    zomes::build(&copy, &ready.wasm, false, output)?;
    let mut packer = run::command(layout, layout.binary("ainonymous-pack"));
    fs_err::create_dir_all(copy.root.join("workdir"))?;
    packer.arg("--root").arg(&copy.root).arg("--ui").arg(layout.ui().join("dist"));
    let printed = String::from_utf8_lossy(&run::capture("ainonymous-pack", &mut packer)?).into_owned();
    let second = Packed { dna_hash: dna_hash(&printed)? };
    fs_err::remove_dir_all(&place)?;
    if first != second {
        return Err(Error::NotReproducible { first: first.dna_hash, second: second.dna_hash });
    }
    eprintln!("same    two builds in two places give the same DNA hash");
    Ok(first)
}

/// Finds the hash in what the packer printed.
fn dna_hash(printed: &str) -> Result<String> {
    printed
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .find(|word| word.starts_with("uhC0k"))
        .map(str::to_owned)
        .ok_or_else(|| Error::Failed {
            what: "ainonymous-pack".into(),
            status: "it printed no DNA hash".into(),
            log: None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_found_in_json_and_in_text() {
        for printed in ["{\"dna_hash\":\"uhC0kAb_-9\"}", "DNA hash: uhC0kAb_-9\n"] {
            assert_eq!(dna_hash(printed).unwrap(), "uhC0kAb_-9");
        }
        assert!(dna_hash("nothing").is_err());
    }
}
