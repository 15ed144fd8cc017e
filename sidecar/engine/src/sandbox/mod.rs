//! What the worker gives up before it looks at a foreign model: the network, every file but the model, other programs.
//!
//! A GGUF and its chat template are parsed in the worker, so the worker must be worth nothing to whoever takes it over. This
//! module decides what must hold and says what does; how the system is made to do it is in one file for each system. It must
//! not know frames, questions or llama.cpp.

#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(target_os = "linux")]
mod syscalls;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use other as system;

use crate::parts::parts;
use crate::{EngineError, EngineOptions, GpuLayers};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Says how strict to be: `off`, `best-effort` (the default) or `required`.
pub const SANDBOX_VARIABLE: &str = "AINONYMOUS_SANDBOX";

/// What a worker process cannot do any more, as its system confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// It cannot open a socket to another machine or process.
    pub network: bool,
    /// Of files it can read the model and what programs need to run, and write none (with a GPU: its devices and caches).
    pub files: bool,
    /// It cannot gain privileges, start programs, or reach into other processes.
    pub privileges: bool,
    /// How, and what is missing; for people.
    pub detail: String,
}

/// How strict to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    BestEffort,
    Required,
}

impl Mode {
    /// Of the variable's value; `None` if it makes no sense.
    fn parse(value: Option<&OsStr>) -> Option<Self> {
        match value.map(OsStr::to_str) {
            None | Some(Some("" | "best-effort")) => Some(Self::BestEffort),
            Some(Some("off")) => Some(Self::Off),
            Some(Some("required")) => Some(Self::Required),
            Some(_) => None,
        }
    }
}

/// The one-way door.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Confines this process for the rest of its life; of models it can read only `model_files` and the other parts of split
    /// ones. Must be called while it has one thread. With `gpu` it keeps what drivers need.
    ///
    /// What the system lacks is said in one line on standard error, or is an error if the user requires all of it.
    pub fn confine(model_files: &[&Path], gpu: bool) -> Result<SandboxReport, EngineError> {
        let mode = Mode::parse(std::env::var_os(SANDBOX_VARIABLE).as_deref()).ok_or_else(|| {
            EngineError::SandboxUnavailable { missing: format!("a known value of {SANDBOX_VARIABLE}") }
        })?;
        if mode == Mode::Off {
            let detail = format!("turned off by {SANDBOX_VARIABLE}");
            return Ok(SandboxReport { detail, ..SandboxReport::default() });
        }
        let files: Vec<PathBuf> = model_files.iter().flat_map(|file| parts(file)).collect();
        let outcome = system::confine(&files, gpu);
        if outcome.missing.is_empty() {
            return Ok(outcome.report());
        }
        if mode == Mode::Required {
            return Err(EngineError::SandboxUnavailable { missing: outcome.missing.join("; ") });
        }
        let _ = writeln!(std::io::stderr(), "the sandbox is incomplete: {}", outcome.missing.join("; "));
        Ok(outcome.report())
    }
}

/// Does a worker with these options need a GPU's drivers?
pub(crate) fn needs_gpu(options: &EngineOptions) -> bool {
    cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal", feature = "rocm"))
        && options.gpu_layers != GpuLayers::Fixed(0)
}

/// What a system could do.
#[derive(Debug, Default)]
struct Outcome {
    network: bool,
    files: bool,
    privileges: bool,
    /// By what.
    means: Vec<String>,
    /// What is not enforced, and why.
    missing: Vec<String>,
}

impl Outcome {
    fn report(&self) -> SandboxReport {
        let Self { network, files, privileges, means, missing } = self;
        let mut detail = means.join(", ");
        if !missing.is_empty() {
            let comma = if detail.is_empty() { "" } else { "; " };
            detail = format!("{detail}{comma}not enforced: {}", missing.join("; "));
        }
        SandboxReport { network: *network, files: *files, privileges: *privileges, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_makes_no_sense_is_not_best_effort() {
        let parse = |value: &str| Mode::parse(Some(OsStr::new(value)));
        assert_eq!((Mode::parse(None), parse("")), (Some(Mode::BestEffort), Some(Mode::BestEffort)));
        assert_eq!(parse("best-effort"), Some(Mode::BestEffort));
        assert_eq!((parse("off"), parse("required")), (Some(Mode::Off), Some(Mode::Required)));
        assert_eq!((parse("on"), parse("OFF"), parse("require")), (None, None, None));
    }

    #[test]
    fn a_report_says_what_is_missing() {
        let outcome = Outcome {
            network: true,
            means: vec!["seccomp".into()],
            missing: vec!["files (no Landlock)".into()],
            ..Outcome::default()
        };
        let report = outcome.report();
        assert_eq!((report.network, report.files), (true, false));
        assert_eq!(report.detail, "seccomp; not enforced: files (no Landlock)");
        let nothing = Outcome { missing: vec!["x".into()], ..Outcome::default() };
        assert_eq!(nothing.report().detail, "not enforced: x");
    }

    #[test]
    fn without_layers_on_a_gpu_no_driver_is_let_in() {
        let options = EngineOptions { gpu_layers: GpuLayers::Fixed(0), ..EngineOptions::new("m") };
        assert!(!needs_gpu(&options));
    }
}
