//! How the zomes are compiled to wasm: rustup's target if it can be had, else Debian's packages and `-Zbuild-std`.
//!
//! It finds compilers and their flags; what is compiled is `zomes`'s business. The flags decide the bytes of the
//! integrity zome and with them the identity of the network: docs/adr/0007 says why they are what they are.

use super::packages;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::run::{self, quiet, Output};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The target triple of the zomes.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
/// Oldest Rust that the zomes compile with: the workspace's `rust-version`, which is Holochain's.
const RUST_MIN: (u32, u32) = (1, 91);
/// How long a failed `rustup target add` is not tried again.
const RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How long `rustup target add` may take.
const ADD_LIMIT: Duration = Duration::from_secs(300);
/// Debian's newer Rust, kept for building browsers.
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// A compiler that can make wasm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The Rust in use has the target.
    Plain {
        /// Version, for people.
        version: String,
    },
    /// Debian's Rust builds the standard library itself.
    BuildStd {
        /// Version, for people.
        version: String,
        /// Its sysroot, where the library's sources are.
        sysroot: PathBuf,
        /// A linker for wasm.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Cargo, ready for `build -p …`: same flags either way, paths of this machine kept out of the bytes.
    pub(crate) fn cargo(&self, layout: &Layout) -> Command {
        // Cargo names files of the checkout relative to it, so they need no remap; one would also make every dependency
        // compile again for each checkout.
        let mut remaps = vec![(cargo_home(), "/cargo"), (layout.wasm_target.clone(), "/target")];
        let mut cargo = match self {
            Self::Plain { .. } => run::cargo(layout),
            Self::BuildStd { sysroot, linker, .. } => {
                remaps.push((sysroot.join("lib/rustlib/src/rust"), "/rust"));
                let mut cargo = run::cargo_at(layout, "/usr/bin/cargo");
                cargo
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env_remove("RUSTUP_TOOLCHAIN");
                cargo
            }
        };
        // A set RUSTFLAGS would silently replace the flags of the target.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        cargo
            .env("CARGO_TARGET_DIR", &layout.wasm_target)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags(&remaps))
            .args(["build", "--locked", "--target", TARGET, "--profile", "zome"]);
        if matches!(self, Self::BuildStd { .. }) {
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        cargo
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Plain { version } => format!("{version}, {TARGET} installed"),
            Self::BuildStd { version, .. } => format!("{version} (Debian), building its own standard library"),
        }
    }
}

/// Host functions stay imports; `getrandom` asks the host; no path of this machine in the bytes.
fn flags(remaps: &[(PathBuf, &str)]) -> String {
    let mut flags = String::from("--cfg getrandom_backend=\"custom\" -C link-arg=--import-undefined");
    for (from, to) in remaps {
        flags.push_str(&format!(" --remap-path-prefix={}={to}", from.display()));
    }
    flags
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default().join(".cargo"))
}

/// In order: what is there; rustup; Debian's packages; an error that says what to install.
pub(crate) fn find_or_install(layout: &Layout, verbose: bool) -> Result<Toolchain> {
    let found = match plain().or_else(|| add_by_rustup(layout)).or_else(debian) {
        Some(found) => found,
        None => install_debian(layout)?,
    };
    if verbose {
        eprintln!("have    {:<20} {}", "Rust for wasm", found.describe());
    }
    Ok(found)
}

/// The Rust in use, if it has the target.
fn plain() -> Option<Toolchain> {
    let sysroot = PathBuf::from(quiet("rustc", ["--print", "sysroot"])?);
    let version = quiet("rustc", ["--version"])?;
    let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    (library.is_dir() && recent(&version)).then_some(Toolchain::Plain { version })
}

/// Asks rustup for the target, once a day at most: without a network it would only cost time.
fn add_by_rustup(layout: &Layout) -> Option<Toolchain> {
    let stamp = layout.cache.join("rustup-target-failed");
    let failed_at = stamp.metadata().and_then(|file| file.modified()).ok();
    let lately = failed_at.is_some_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < RETRY_AFTER));
    if lately || !packages::on_path("rustup") {
        return None;
    }
    eprintln!("run     rustup target add {TARGET}");
    let mut rustup = run::command(layout, "rustup");
    rustup.args(["target", "add", TARGET]);
    let log = layout.log("rustup-target");
    let status = run::run_for("rustup target add", &mut rustup, Output::Log(&log), Some(ADD_LIMIT));
    match plain().filter(|_| status.is_ok_and(|status| status.success())) {
        Some(found) => Some(found),
        None => {
            eprintln!("lacks   {:<20} rustup could not add it (not tried again for a day)", TARGET);
            let _ = fs_err::write(stamp, b"");
            None
        }
    }
}

/// Debian's newer Rust with the sources of its standard library.
fn debian() -> Option<Toolchain> {
    let version = quiet("/usr/bin/rustc", ["--version"]).filter(|version| recent(version))?;
    let sysroot = PathBuf::from(quiet("/usr/bin/rustc", ["--print", "sysroot"])?);
    let has_sources = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file();
    let linker = linker(&sysroot)?;
    (has_sources && Path::new("/usr/bin/cargo").is_file()).then_some(Toolchain::BuildStd { version, sysroot, linker })
}

fn install_debian(layout: &Layout) -> Result<Toolchain> {
    let hint = match packages::find() {
        Some(manager @ packages::Manager::Apt) => {
            if packages::am_root() {
                packages::apt_install(layout, DEBIAN_PACKAGES)?;
                if let Some(found) = debian() {
                    return Ok(found);
                }
            }
            format!("rustup target add {TARGET}\n  or: {}", manager.command(DEBIAN_PACKAGES))
        }
        _ => format!("rustup target add {TARGET}   (rustup: https://rustup.rs)"),
    };
    Err(Error::NoWasmToolchain { hint })
}

/// A linker for wasm: rustup's, or one of LLVM's.
fn linker(debian_sysroot: &Path) -> Option<PathBuf> {
    let in_rustup = quiet("rustc", ["--print", "sysroot"]).map(PathBuf::from);
    let host = std::env::consts::ARCH;
    let bundled = in_rustup
        .into_iter()
        .chain([debian_sysroot.to_path_buf()])
        .map(|sysroot| sysroot.join(format!("lib/rustlib/{host}-unknown-linux-gnu/bin/rust-lld")));
    let on_path = ["rust-lld", "wasm-ld"].into_iter().filter_map(packages::which);
    bundled.filter(|path| path.is_file()).chain(on_path).next()
}

/// Reads `rustc 1.96.0 (…)`.
fn recent(version: &str) -> bool {
    let number = version.split_whitespace().nth(1).unwrap_or_default();
    let mut parts = number.split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= RUST_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_rust_compare_as_numbers() {
        for (version, enough) in [
            ("rustc 1.96.0 (ac68faa20 2026-05-25)", true),
            ("rustc 1.91.0", true),
            ("rustc 1.100.0-nightly", true),
            ("rustc 1.63.0 (Debian)", false),
            ("", false),
        ] {
            assert_eq!(recent(version), enough, "{version}");
        }
    }

    #[test]
    fn flags_hide_where_this_machine_keeps_things() {
        let flags = flags(&[(PathBuf::from("/home/me/.cargo"), "/cargo")]);
        assert!(flags.contains("--import-undefined"));
        assert!(flags.ends_with(" --remap-path-prefix=/home/me/.cargo=/cargo"));
    }
}
