//! Lays llama.cpp's shared libraries where executables look for them, and tells the linker where that is.
//!
//! On Linux llama.cpp is built as libraries, so that one build serves every processor (docs/adr/0011-cpu-dispatch.md). They lie in
//! `lib/ainonymous` beside the executable, as in `target/debug`, or one folder up, as in `/usr`; or in the executable's own
//! folder. Link arguments do not pass from a library to the executables that use it, so every crate that links the engine has
//! this file as its build script; only the engine, which depends on llama.cpp itself, is told where the libraries were built.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where an executable looks, in this order. With `DT_RPATH`, so that it counts for libraries of libraries as well and before
/// `LD_LIBRARY_PATH`: another llama.cpp of the same name would not be the one that we were compiled for.
const LINK_ARGS: [&str; 2] =
    ["-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/lib/ainonymous:$ORIGIN/../lib/ainonymous:$ORIGIN"];

/// Code with AMX crashes where GCC 12 has compiled it: the compiler leaves out what the registers for tiles are set up with (docs/adr/0011). Processors that have
/// AMX take the best of the others.
const LEFT_OUT: &str = "libggml-cpu-sapphirerapids.so";

/// All of it; the command line's own script calls it as well.
pub(crate) fn main() -> io::Result<()> {
    // Any file that each of the packages has: with this, and when the script itself changes, it runs again.
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rustc-check-cfg=cfg(dispatch)");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return Ok(());
    }
    for arg in LINK_ARGS {
        println!("cargo:rustc-link-arg={arg}");
    }
    let (Some(backends), Some(out)) = (std::env::var_os("DEP_LLAMA_BACKENDS_DIR"), std::env::var_os("OUT_DIR")) else {
        return Ok(());
    };
    println!("cargo:rustc-cfg=dispatch");
    let (backends, out) = (PathBuf::from(backends), PathBuf::from(out));
    // target/PROFILE/build/PACKAGE/out
    let profile = out.ancestors().nth(3).ok_or_else(|| io::Error::other("OUT_DIR is not inside a target folder"))?;
    let wanted = libraries(&backends)?;
    lay(&wanted, &profile.join("lib/ainonymous"))?;
    for folder in ["", "deps", "examples"] {
        sweep(&profile.join(folder))?;
    }
    Ok(())
}

/// What to lay, by the name that the loader asks for.
fn libraries(backends: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for library in entries(backends)? {
        if let Some(name) = name(&library).filter(|name| name.ends_with(".so") && *name != LEFT_OUT) {
            found.push((name.to_owned(), library.clone()));
        }
    }
    let built = backends.parent().unwrap_or(backends);
    for folder in ["lib", "lib64"] {
        for library in entries(&built.join(folder)).unwrap_or_default() {
            // `libllama.so.0` is what executables name; it links to the file with the whole version.
            let Some(name) = name(&library) else { continue };
            if name.split_once(".so.").is_some_and(|(_, version)| !version.contains('.')) {
                found.push((name.to_owned(), fs::canonicalize(&library)?));
            }
        }
    }
    let all = ["libllama.so.", "libmtmd.so.", "libggml.so.", "libggml-base.so.", "libggml-cpu-"];
    match all.iter().find(|wanted| !found.iter().any(|(name, _)| name.starts_with(**wanted))) {
        None => Ok(found),
        Some(missing) => {
            Err(io::Error::other(format!("llama.cpp was built without {missing}* in {}", built.display())))
        }
    }
}

/// Makes the folder hold exactly these.
fn lay(wanted: &[(String, PathBuf)], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for old in entries(folder)? {
        if !wanted.iter().any(|(name, _)| old.file_name() == Some(OsStr::new(name))) {
            fs::remove_file(old)?;
        }
    }
    for (name, source) in wanted {
        let (new, place) = (folder.join(format!(".{name}.{}", std::process::id())), folder.join(name));
        if fs::hard_link(source, &new).is_err() {
            fs::copy(source, &new)?;
            // Cargo runs this again when what it watches is newer than the last run.
            fs::File::options().write(true).open(&new)?.set_modified(fs::metadata(source)?.modified()?)?;
        }
        // A process that runs keeps the old one.
        fs::rename(&new, &place)?;
        // The same file already: then `rename` leaves both names.
        let _ = fs::remove_file(&new);
        println!("cargo:rerun-if-changed={}", place.display());
    }
    Ok(())
}

/// llama.cpp's own build script leaves links to nowhere here, and falls over them the next time.
fn sweep(folder: &Path) -> io::Result<()> {
    for name in ["libllama.so", "libmtmd.so", "libggml.so", "libggml-base.so"] {
        let link = folder.join(name);
        if fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink()) && !link.exists() {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
