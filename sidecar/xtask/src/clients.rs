//! The official clients that tests run against a node: a Python environment in the cache, Node's packages beside their
//! script. Installed again only when their lists changed.
//!
//! It must not know what the clients are asked.

use crate::error::Result;
use crate::layout::Layout;
use crate::run::{self, Output};
use crate::setup::Ready;
use std::path::{Path, PathBuf};

/// Where the scripts and the lists are.
const FOLDER: &str = "tests/e2e/clients";

/// The Python that has the clients.
pub(crate) fn python(layout: &Layout) -> PathBuf {
    let bin = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    layout.cache.join("clients").join(bin)
}

/// Installs what the lists name, if that was not done for these very bytes.
pub(crate) fn install(layout: &Layout, ready: &Ready, output: Output<'_>) -> Result<()> {
    let folder = layout.root.join(FOLDER);
    let requirements = folder.join("requirements.txt");
    stamped(&requirements, &layout.cache.join("clients/.ainonymous-requirements"), || {
        let venv = layout.cache.join("clients");
        let mut make = run::command(layout, "python3");
        run::run("python3 -m venv", make.args(["-m", "venv", "--clear"]).arg(&venv), output)?;
        let mut pip = run::command(layout, python(layout));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        run::run("pip install (clients)", &mut pip, output)
    })?;
    stamped(&folder.join("package-lock.json"), &folder.join("node_modules/.ainonymous-lock"), || {
        let mut npm = run::command(layout, "npm");
        npm.current_dir(&folder).env("PATH", ready.path()).env("NO_COLOR", "1").env("CI", "1").arg("ci");
        run::run("npm ci (clients)", &mut npm, output)
    })
}

/// Does something unless it was done for the same list.
fn stamped(list: &Path, stamp: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs_err::read(list)?;
    if std::fs::read(stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    Ok(fs_err::write(stamp, wanted)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_same_list_is_installed_once() {
        let dir = std::env::temp_dir().join(format!("ainonymous-clients-{}", std::process::id()));
        fs_err::create_dir_all(&dir).unwrap();
        let (list, stamp, count) = (dir.join("list"), dir.join("stamp"), Cell::new(0));
        let install = || {
            count.set(count.get() + 1);
            Ok(())
        };
        for text in ["a", "a", "b"] {
            fs_err::write(&list, text).unwrap();
            stamped(&list, &stamp, install).unwrap();
        }
        assert_eq!(count.get(), 2);
        fs_err::remove_dir_all(&dir).unwrap();
    }
}
