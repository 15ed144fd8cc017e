//! Puts the packed hApp and chat page into the executable, if they are packed; otherwise an empty file, which
//! `ainonymous up` explains. And, as for every crate that links the engine, tells where llama.cpp's libraries are.

#[path = "../engine/build.rs"]
mod libraries;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const VARIABLE: &str = "AINONYMOUS_WEBHAPP";

fn main() -> io::Result<()> {
    libraries::main()?;
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let workdir = manifest_dir.join("../../workdir");
    let source = match env::var_os(VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => workdir.join("ainonymous.webhapp"),
    };
    // Cargo would run this each time for a file that is not there; the folder changes when the file appears.
    let watched = if source.exists() { source.as_path() } else { &workdir };
    println!("cargo:rerun-if-changed={}", watched.display());
    let out = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("ainonymous.webhapp");
    match fs::read(&source) {
        Ok(bytes) => fs::write(out, bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => fs::write(out, []),
        Err(e) => Err(e),
    }
}
