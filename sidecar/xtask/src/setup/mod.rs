//! Makes a machine that has a Rust toolchain able to build and test the rest.
//!
//! It says what is there, installs what it may (Debian as root), and otherwise names the exact command. Idempotent,
//! and quick when nothing is missing. It must not know what is built.

mod packages;
mod tools;
pub(crate) mod wasm;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::run::{self, Output};
use packages::Manager;
use std::path::PathBuf;
use std::time::Instant;
pub(crate) use tools::chromium;
use tools::Tool;

/// What the setup found: enough to run every later step.
#[derive(Debug)]
pub(crate) struct Ready {
    /// How zomes are compiled.
    pub(crate) wasm: wasm::Toolchain,
    /// Directory to put before `PATH` when the system's Node is too old.
    pub(crate) node_bin: Option<PathBuf>,
}

impl Ready {
    /// `PATH` with the right Node first.
    pub(crate) fn path(&self) -> std::ffi::OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let Some(bin) = &self.node_bin else { return path };
        let parts = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
        std::env::join_paths(parts).unwrap_or(path)
    }
}

/// Whether the browser and the official clients are needed too, or what Vulkan needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Build and demo.
    Building,
    /// Everything.
    Testing,
    /// The tests with Vulkan.
    Vulkan,
}

/// Checks, installs, and says so on stderr; with `verbose` also what was there already.
pub(crate) fn run(layout: &Layout, purpose: For, verbose: bool) -> Result<Ready> {
    let started = Instant::now();
    let needed = |tool: &&Tool| purpose == For::Testing || !tool.only_for_tests;
    let vulkan = tools::VULKAN.iter().filter(|_| purpose == For::Vulkan);
    let wanted: Vec<&Tool> = tools::ALL.iter().filter(needed).chain(vulkan).collect();
    let missing = report(layout, &wanted, verbose);
    if !missing.is_empty() {
        install(layout, &missing)?;
        let still = report(layout, &wanted, false);
        if !still.is_empty() {
            return Err(refusal(&still, packages::find()));
        }
    }
    if purpose == For::Testing {
        rust_components(layout)?;
    }
    let node_bin = tools::private_node(layout).filter(|_| !tools::system_node());
    let wasm = wasm::find_or_install(layout, verbose)?;
    if verbose {
        optional();
        eprintln!("builds  {}", layout.target.display());
    }
    eprintln!("setup   {} tools there, {:.1} s", wanted.len() + 1, started.elapsed().as_secs_f64());
    Ok(Ready { wasm, node_bin })
}

/// What is missing; with `verbose` prints what is there.
fn report<'a>(layout: &Layout, wanted: &[&'a Tool], verbose: bool) -> Vec<&'a Tool> {
    let mut missing = Vec::new();
    for tool in wanted {
        match (tool.probe)(layout) {
            Some(found) if verbose => eprintln!("have    {:<20} {found}", tool.name),
            Some(_) => {}
            None => {
                eprintln!("lacks   {:<20} {}", tool.name, tool.why);
                missing.push(*tool);
            }
        }
    }
    missing
}

/// rustfmt and clippy: rustup leaves them out of its minimal profile.
fn rust_components(layout: &Layout) -> Result<()> {
    const ADD: &[&str] = &["component", "add", "rustfmt", "clippy"];
    let there = || run::quiet("cargo-fmt", ["--version"]).and(run::quiet("cargo-clippy", ["--version"])).is_some();
    if there() {
        return Ok(());
    }
    let command = format!("rustup {}", ADD.join(" "));
    if packages::on_path("rustup") {
        // Whether it worked is what the second look says.
        let _ = shown(&command, run::command(layout, "rustup").args(ADD));
    }
    if there() {
        Ok(())
    } else {
        Err(Error::Missing { names: vec!["rustfmt and clippy".into()], command })
    }
}

/// Tools that make tests nicer, never needed.
fn optional() {
    match run::quiet("cargo-nextest", ["nextest", "--version"]) {
        Some(version) => eprintln!("have    {:<20} {version}", "nextest"),
        None => eprintln!("without {:<20} tests run with `cargo test` (`cargo install cargo-nextest`)", "nextest"),
    }
}

/// Installs on Debian as root; elsewhere the error names the command.
fn install(layout: &Layout, missing: &[&Tool]) -> Result<()> {
    let manager = packages::find();
    if !(manager == Some(Manager::Apt) && packages::am_root()) {
        return Err(refusal(missing, manager));
    }
    let names: Vec<&str> = missing.iter().flat_map(|tool| tool.packages(Manager::Apt)).copied().collect();
    packages::apt_install(layout, &names)?;
    // Debian 12 carries Node 18: then a newer one comes from npm's registry into the cache.
    if missing.iter().any(|tool| tool.name == tools::NODE) && !tools::system_node() {
        tools::install_private_node(layout)?;
    }
    Ok(())
}

fn refusal(missing: &[&Tool], manager: Option<Manager>) -> Error {
    let names = missing.iter().map(|tool| tool.name.to_owned()).collect();
    let command = match manager {
        Some(manager) => {
            let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages(manager)).copied().collect();
            manager.command(&packages)
        }
        None => "install them with your system's package manager, then run this again".into(),
    };
    Error::Missing { names, command }
}

/// For other parts of the setup that need a step shown.
fn shown(what: &str, command: &mut std::process::Command) -> Result<()> {
    eprintln!("run     {what}");
    run::run(what, command, Output::Shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_installed_is_named_with_its_command() {
        let all: Vec<&Tool> = tools::ALL.iter().chain(tools::VULKAN).collect();
        for (manager, start) in [
            (Manager::Apt, "sudo apt-get install -y "),
            (Manager::Dnf, "sudo dnf install -y "),
            (Manager::Pacman, "sudo pacman -S --needed "),
            (Manager::Brew, "brew install "),
        ] {
            let error = refusal(&all, Some(manager));
            assert_eq!(error.code(), "missing_tool");
            assert_eq!(error.exit_status(), 3);
            assert!(error.hint().contains(start), "{}", error.hint());
            assert!(error.hint().contains("cmake"));
        }
    }
}
