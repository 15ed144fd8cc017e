//! Generated files: TypeScript types from `zomes/types`, and the CLI's reference from the binary itself.
//!
//! It runs the generators and compares; it must not know what they generate.

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::lock::BuildLock;
use crate::run;
use std::path::Path;

/// Where the TypeScript types go.
const TYPES: &str = "ui/src/lib/generated/types.ts";
/// Where the CLI's reference goes.
const CLI: &str = "docs/reference/cli.md";

/// Writes what changed; with `check` only compares. The CLI's reference needs the built binary.
pub(crate) fn run(layout: &Layout, check: bool, with_cli: bool) -> Result<()> {
    let mut stale = Vec::new();
    let mut files = vec![(TYPES, typescript(layout)?)];
    if with_cli {
        files.push((CLI, cli_reference(layout)?));
    }
    for (path, wanted) in files {
        let full = layout.root.join(path);
        if std::fs::read(&full).is_ok_and(|found| found == wanted) {
            continue;
        }
        if check {
            stale.push(path.to_owned());
        } else {
            write(&full, &wanted)?;
            eprintln!("wrote   {path}");
        }
    }
    if stale.is_empty() {
        Ok(())
    } else {
        Err(Error::Stale { paths: stale })
    }
}

/// Own target directory: the feature `ts` must not reach the crates that everything else is built from.
fn typescript(layout: &Layout) -> Result<Vec<u8>> {
    let _lock = BuildLock::take(layout)?;
    let mut cargo = run::cargo(layout);
    cargo.env("CARGO_TARGET_DIR", layout.cache.join("gen")).args([
        "run",
        "--quiet",
        "--locked",
        "-p",
        "ainonymous-types",
        "--features",
        "ts",
        "--example",
        "typescript",
    ]);
    run::capture("the generator of TypeScript types", &mut cargo)
}

fn cli_reference(layout: &Layout) -> Result<Vec<u8>> {
    let mut binary = run::command(layout, layout.binary("ainonymous"));
    binary.arg("markdown-help").env("NO_COLOR", "1");
    run::capture("ainonymous markdown-help", &mut binary)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs_err::create_dir_all(dir)?;
    }
    Ok(fs_err::write(path, bytes)?)
}
