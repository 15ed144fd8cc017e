//! The laboratory of the black-box tests: real processes on loopback, started, watched, killed and cleaned up.
//!
//! Tests talk to nodes as their users do: command line, HTTP, conductor websocket. Nothing here looks inside.

#![allow(clippy::expect_used, clippy::panic)] // A laboratory fails by panicking.
#![allow(clippy::print_stdout)] // And says what it could not do.
#![allow(clippy::disallowed_methods)] // Processes are watched from plain threads, which may sleep.

mod calibration;
mod client;
mod failover;
mod hostile;
#[cfg(target_os = "linux")]
mod lab;
mod node;
mod observer;
mod path;
mod slow;
mod stranger;
mod template;
mod vanish;

pub use calibration::{calibration, calibration_of};
pub use client::{all, Answer, Client, Failure, Sse};
pub use failover::{dies_before_the_first_word, dies_in_mid_answer, Providers};
pub use hostile::{Harm, Hostile};
#[cfg(target_os = "linux")]
pub use lab::{Home, Host, Lab, Nat, PortMapper};
pub use node::{Bootstrap, Node, NodeSpec, Router};
pub use observer::{happ, run, Observer};
pub use path::{Path as NetworkPath, Weather};
pub use slow::{Held, Slow};
pub use stranger::{Stranger, Told, Turned};
pub use vanish::vanish;

use std::path::{Path, PathBuf};

/// Passphrase of every test node.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// Root of the checkout.
pub fn root() -> PathBuf {
    // Asked when it runs: checkouts may share compiled tests.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).join("../..").canonicalize().expect("the checkout is there")
}

/// The tiny Gemma of the tests.
pub fn tiny_model() -> PathBuf {
    root().join("tests/models/tiny-gemma-q8_0.gguf")
}

/// The tiny projector, by which the tiny Gemma sees something.
pub fn tiny_projector() -> PathBuf {
    root().join("tests/models/images/mmproj-tiny-gemma-f32.gguf")
}

/// The Python that has the official clients: `AINONYMOUS_CLIENTS_PYTHON`, or the one that `cargo xtask test` makes.
pub fn clients_python() -> PathBuf {
    if let Some(path) = std::env::var_os("AINONYMOUS_CLIENTS_PYTHON") {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let python = cache.expect("a cache folder").join("ainonymous/clients/bin/python");
    assert!(python.exists(), "{} is missing: run `cargo xtask test clients`", python.display());
    python
}

/// The executable under test: `AINONYMOUS_BIN`, or the one beside this test's own.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("AINONYMOUS_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a running test has a path");
    let target = own.ancestors().nth(2).expect("tests run from TARGET/PROFILE/deps");
    let path = target.join(format!("ainonymous{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: run `cargo xtask build` first", path.display());
    path
}
