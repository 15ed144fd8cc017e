//! Compiles the zomes to wasm and puts them where `dnas/inference/dna.yaml` expects them.
//!
//! Which compiler and flags is `setup::wasm`'s business; what a zome does is not known here.

use crate::error::Result;
use crate::layout::Layout;
use crate::lock::BuildLock;
use crate::run::{self, Output};
use crate::setup::wasm::{Toolchain, TARGET};
use std::path::Path;

/// The zomes of the hApp. One build each, on purpose: in one build cargo would unify features, and what a coordinator
/// depends on must not change the bytes of the integrity zome, which are the network's identity.
const ZOMES: &[&str] = &["inference_integrity", "inference"];
/// A coordinator that breaks rules, for tests of validation. It lies outside the hApp.
const ROGUE: &str = "rogue";

/// Builds and copies; a copy is only written when its bytes change.
pub(crate) fn build(layout: &Layout, wasm: &Toolchain, with_rogue: bool, output: Output<'_>) -> Result<()> {
    let _lock = BuildLock::take(layout)?;
    fs_err::create_dir_all(layout.zomes())?;
    let rogue = Some(ROGUE).filter(|_| with_rogue && layout.root.join("tests/zomes/rogue/Cargo.toml").is_file());
    for zome in ZOMES.iter().copied().chain(rogue) {
        let mut cargo = wasm.cargo(layout);
        cargo.args(["-p", zome]);
        run::run(&format!("building zome {zome}"), &mut cargo, output)?;
        let file = format!("{zome}.wasm");
        let built = layout.wasm_target.join(TARGET).join("zome").join(&file);
        let size = copy_if_changed(&built, &layout.zomes().join(&file))?;
        eprintln!("zome    {zome:<20} {} KB", size.div_ceil(1024));
    }
    Ok(())
}

/// Leaves an equal file alone, so that nothing that depends on it is built again. Returns the size in bytes.
pub(crate) fn copy_if_changed(from: &Path, to: &Path) -> Result<usize> {
    let new = fs_err::read(from)?;
    let old = std::fs::read(to).ok();
    if old.as_ref() != Some(&new) {
        fs_err::write(to, &new)?;
    }
    Ok(new.len())
}
