//! Builds the chat page, and only when something of it changed.
//!
//! It runs npm's scripts and must not know what they do.

use crate::error::Result;
use crate::layout::Layout;
use crate::run::{self, Output};
use crate::setup::{self, Ready};
use crate::walk;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// `npm run <script>` in the UI's directory, with the right Node first on `PATH`.
pub(crate) fn npm(layout: &Layout, ready: &Ready, args: &[&str]) -> Command {
    let mut npm = run::command(layout, "npm");
    npm.current_dir(layout.ui()).env("PATH", ready.path()).env("NO_COLOR", "1").env("CI", "1").args(args);
    npm
}

/// `npm run --silent <script> --`, with the browser that is here.
pub(crate) fn browser(layout: &Layout, ready: &Ready, script: &str) -> Command {
    let mut npm = npm(layout, ready, &["run", "--silent", script, "--"]);
    if let Some(chromium) = setup::chromium() {
        npm.env("CHROMIUM", chromium);
    }
    npm
}

/// Pictures of every view, light and dark, phone and desktop.
pub(crate) fn screenshots(layout: &Layout, directory: &Path) -> Result<()> {
    let ready = setup::run(layout, setup::For::Testing, false)?;
    build(layout, &ready, Output::Log(&layout.log("screenshots")))?;
    let mut program = browser(layout, &ready, "shots");
    program.arg(std::path::absolute(directory)?);
    print!("{}", String::from_utf8_lossy(&run::capture("taking pictures", &mut program)?));
    Ok(())
}

/// Installs what `package-lock.json` names, if that was not done for these very bytes.
pub(crate) fn install(layout: &Layout, ready: &Ready, output: Output<'_>) -> Result<()> {
    let wanted = fs_err::read(layout.ui().join("package-lock.json"))?;
    let stamp = layout.ui().join("node_modules/.ainonymous-lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run::run("npm ci", &mut npm(layout, ready, &["ci"]), output)?;
    fs_err::write(stamp, wanted)?;
    Ok(())
}

/// Builds `ui/dist`.
pub(crate) fn build(layout: &Layout, ready: &Ready, output: Output<'_>) -> Result<PathBuf> {
    install(layout, ready, output)?;
    let dist = layout.ui().join("dist");
    let stamp = layout.ui().join("node_modules/.ainonymous-built");
    let state = state(&layout.ui())?;
    let unchanged = dist.join("index.html").is_file() && std::fs::read_to_string(&stamp).is_ok_and(|old| old == state);
    if !unchanged {
        run::run("building the chat page", &mut npm(layout, ready, &["run", "build"]), output)?;
        fs_err::write(stamp, state)?;
    }
    Ok(dist)
}

/// Name, size and time of every source file: differs when any of them changes, comes or goes.
fn state(ui: &Path) -> Result<String> {
    let mut lines = Vec::new();
    for path in walk::files(ui)? {
        let data = path.metadata()?;
        let changed = data.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        lines.push(format!("{} {} {changed}", path.strip_prefix(ui).unwrap_or(&path).display(), data.len()));
    }
    Ok(lines.join("\n"))
}
