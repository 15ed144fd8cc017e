//! The rules of the house as a check: who may use whom, and what every file looks like.
//!
//! Each rule takes what it judges as an argument, so that a test can show it something forbidden.

mod arrows;
mod docs;
mod sources;

use crate::error::{json, Error, Result};
use crate::layout::Layout;
use crate::{run, walk};
use std::path::PathBuf;

/// A source file, read.
pub(crate) struct Source {
    /// Relative to the checkout, with `/`.
    path: String,
    text: String,
}

/// Checks everything; findings are an error.
pub(crate) fn check(layout: &Layout) -> Result<()> {
    let sources = read(layout)?;
    let mut findings = arrows::check(&packages(layout)?);
    findings.extend(sources.iter().flat_map(|source| sources::check(source, &forbidden_paths(layout))));
    findings.extend(sources::unused_limits(&sources));
    findings.extend(docs::dead_links(&sources, |path| layout.root.join(path).exists()));
    for long in sources.iter().filter_map(sources::warn_long) {
        eprintln!("long    {long}");
    }
    if findings.is_empty() {
        eprintln!("tidy    {} files", sources.len());
        return Ok(());
    }
    findings.sort();
    Err(Error::Untidy { findings })
}

/// Every file that is text.
fn read(layout: &Layout) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in walk::files(&layout.root)? {
        if let Ok(text) = String::from_utf8(fs_err::read(&path)?) {
            let relative = path.strip_prefix(&layout.root).unwrap_or(&path);
            let path =
                relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

/// Own packages and what they name.
fn packages(layout: &Layout) -> Result<Vec<arrows::Package>> {
    let mut cargo = run::cargo(layout);
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let printed = run::capture("cargo metadata", &mut cargo)?;
    let metadata: arrows::Metadata = serde_json::from_slice(&printed).map_err(json("cargo metadata"))?;
    Ok(metadata.packages)
}

/// Directories of this very machine, which no file may name: home, and where the checkout lies.
fn forbidden_paths(layout: &Layout) -> Vec<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let place = layout.root.parent().filter(|place| *place != std::env::temp_dir()).map(PathBuf::from);
    let named = [home, place].into_iter().flatten().filter(|path| path.components().count() > 1);
    named.map(|path| format!("{}/", path.display())).collect()
}
