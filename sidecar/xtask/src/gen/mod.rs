//! Generated files: TypeScript types from `zomes/types`, the references of command line and API from the binary itself,
//! the errors' reference from the sources.
//!
//! It runs the generators and compares.

mod errors;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::lock::BuildLock;
use crate::{run, walk};
use std::path::Path;

/// Where the TypeScript types go.
const TYPES: &str = "ui/src/lib/generated/types.ts";
/// Where the CLI's reference goes.
const CLI: &str = "docs/reference/cli.md";

/// Where the reference of errors goes.
const ERRORS: &str = "docs/reference/errors.md";

/// Where the API's OpenAPI document goes.
const OPEN_API: &str = "docs/reference/openapi.json";

/// Makes the whole content of one generated file.
type Generator = fn(&Layout) -> Result<Vec<u8>>;

/// Writes what changed; with `check` only compares. The references of command line and API need the built binary.
pub(crate) fn run(layout: &Layout, check: bool, with_cli: bool) -> Result<()> {
    let mut generators: Vec<(&str, Generator)> = vec![(ERRORS, error_reference), (TYPES, typescript)];
    if with_cli {
        generators.extend([(CLI, cli_reference as Generator), (OPEN_API, open_api)]);
    }
    let mut stale = Vec::new();
    for (path, generate) in generators {
        let wanted = generate(layout)?;
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

/// Errors of everything that runs on a user's machine, and of validation.
fn error_reference(layout: &Layout) -> Result<Vec<u8>> {
    let mut sources = Vec::new();
    for place in ["zomes/types/src", "zomes/verify/src", "sidecar"] {
        for path in walk::files(&layout.root.join(place))? {
            if path.extension().is_some_and(|end| end == "rs") {
                let relative = path.strip_prefix(&layout.root).unwrap_or(&path);
                let part = relative.components().nth(1).map(|part| part.as_os_str().to_string_lossy().into_owned());
                sources.push((part.unwrap_or_default(), fs_err::read_to_string(&path)?));
            }
        }
    }
    // The tools' own errors are not a user's.
    sources.retain(|(part, _)| part != "xtask");
    Ok(errors::markdown(&sources).into_bytes())
}

fn cli_reference(layout: &Layout) -> Result<Vec<u8>> {
    let mut binary = run::command(layout, layout.binary("ainonymous"));
    binary.arg("markdown-help").env("NO_COLOR", "1");
    run::capture("ainonymous markdown-help", &mut binary)
}

fn open_api(layout: &Layout) -> Result<Vec<u8>> {
    run::capture("ainonymous open-api", run::command(layout, layout.binary("ainonymous")).arg("open-api"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs_err::create_dir_all(dir)?;
    }
    Ok(fs_err::write(path, bytes)?)
}
