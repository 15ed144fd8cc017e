//! Where things are: the checkout, and the cache outside it that builds go to.
//!
//! It only computes paths (and makes the cache's directories); it runs nothing.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Paths that every command needs.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Root of the checkout.
    pub(crate) root: PathBuf,
    /// `$XDG_CACHE_HOME/ainonymous` or `~/.cache/ainonymous`.
    pub(crate) cache: PathBuf,
    /// Native builds: `CARGO_TARGET_DIR`, else `target` in the cache.
    pub(crate) target: PathBuf,
    /// Zome builds: `wasm` in the cache, or below `CARGO_TARGET_DIR`.
    pub(crate) wasm_target: PathBuf,
}

impl Layout {
    /// Finds the checkout from where this crate lies, and the cache from the environment.
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let compiled_in = manifest.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
        let root = std::env::current_dir()?
            .ancestors()
            .find(|dir| dir.join("happ.yaml").is_file() || dir.join("sidecar/xtask/Cargo.toml").is_file())
            .map_or(compiled_in, Path::to_path_buf);
        if !root.join("Cargo.toml").is_file() {
            return Err(Error::Absent { path: root.join("Cargo.toml") });
        }
        let cache = cache_dir(|name| std::env::var_os(name).map(PathBuf::from));
        let target = match std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => root.join(dir),
            None => cache.join("target"),
        };
        let wasm_target = if std::env::var_os("CARGO_TARGET_DIR").is_some_and(|dir| !dir.is_empty()) {
            target.join("wasm")
        } else {
            cache.join("wasm")
        };
        for dir in [&cache, &target, &wasm_target] {
            fs_err::create_dir_all(dir)?;
        }
        Ok(Self { root, cache, target, wasm_target })
    }

    /// A binary of the native build.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// Where the zomes are copied to.
    pub(crate) fn zomes(&self) -> PathBuf {
        self.root.join("workdir/zomes")
    }

    /// The web UI.
    pub(crate) fn ui(&self) -> PathBuf {
        self.root.join("ui")
    }

    /// The model that demo and tests run.
    pub(crate) fn tiny_model(&self) -> PathBuf {
        self.root.join("tests/models/tiny-gemma-q8_0.gguf")
    }

    /// Output of a step that is not shown as it comes.
    pub(crate) fn log(&self, step: &str) -> PathBuf {
        self.cache.join("logs").join(format!("{step}.log"))
    }
}

/// Follows the XDG base directory specification; a relative `XDG_CACHE_HOME` is ignored, as it says.
fn cache_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let base = variable("XDG_CACHE_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .or_else(|| variable("LOCALAPPDATA"))
        .unwrap_or_else(std::env::temp_dir);
    base.join("ainonymous")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<PathBuf> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
    }

    #[test]
    fn the_cache_follows_xdg_then_home() {
        assert_eq!(cache_dir(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")])), Path::new("/x/ainonymous"));
        assert_eq!(cache_dir(with(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")])), Path::new("/h/.cache/ainonymous"));
        assert_eq!(cache_dir(with(&[("HOME", "/h")])), Path::new("/h/.cache/ainonymous"));
    }
}
