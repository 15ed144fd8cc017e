//! What can go wrong while setting up, building or testing, and what whoever reads it can do.
//!
//! It must not know how anything is run: every variant is built where the failure is seen.

use std::path::PathBuf;

/// Result of every command here.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Failures, each with a stable [`Error::code`], an exit status and a hint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Tools are missing and cannot be installed from here.
    #[error("missing: {}", names.join(", "))]
    Missing {
        /// What.
        names: Vec<String>,
        /// The command that installs it.
        command: String,
    },
    /// No way to compile to wasm.
    #[error("no Rust toolchain here can build for wasm32-unknown-unknown")]
    NoWasmToolchain {
        /// What to install.
        hint: String,
    },
    /// A program could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// Name of the program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("{what} failed ({status})")]
    Failed {
        /// What was being done.
        what: String,
        /// How it ended.
        status: String,
        /// Where its output is, when it was not shown.
        log: Option<PathBuf>,
    },
    /// A program took longer than it may.
    #[error("{what} took more than {seconds} s")]
    TooSlow {
        /// What was being done.
        what: String,
        /// The limit.
        seconds: u64,
        /// Where its output is.
        log: Option<PathBuf>,
    },
    /// A node said something that the demo does not understand, or ended.
    #[error("{node}: {detail}")]
    Node {
        /// Which of the demo's processes.
        node: &'static str,
        /// What happened.
        detail: String,
        /// Its own hint, if it gave one.
        hint: Option<String>,
        /// The end of what it printed.
        tail: String,
    },
    /// The source tree breaks rules of the house.
    #[error("{} finding(s)", findings.len())]
    Untidy {
        /// One line each.
        findings: Vec<String>,
    },
    /// Generated files are not what the generator makes now.
    #[error("stale: {}", paths.join(", "))]
    Stale {
        /// Relative to the checkout.
        paths: Vec<String>,
    },
    /// Two builds of the same sources differ.
    #[error("the DNA hash differs between two builds: {first} and {second}")]
    NotReproducible {
        /// First build.
        first: String,
        /// Second build.
        second: String,
    },
    /// A part of the checkout is not there.
    #[error("{} is not there", path.display())]
    Absent {
        /// Which.
        path: PathBuf,
    },
    /// Stopped by SIGINT or SIGTERM.
    #[error("stopped")]
    Interrupted,
    /// A file or directory could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A program printed JSON that cannot be read.
    #[error("{what}: {source}")]
    Json {
        /// Whose.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

impl Error {
    /// Stable name, for scripts.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing_tool",
            Self::NoWasmToolchain { .. } => "no_wasm_toolchain",
            Self::Start { .. } => "cannot_start",
            Self::Failed { .. } => "step_failed",
            Self::TooSlow { .. } => "too_slow",
            Self::Node { .. } => "node_failed",
            Self::Untidy { .. } => "untidy",
            Self::Stale { .. } => "generated_files_stale",
            Self::NotReproducible { .. } => "not_reproducible",
            Self::Absent { .. } => "file_absent",
            Self::Interrupted => "interrupted",
            Self::Io(_) => "io",
            Self::Json { .. } => "unreadable_json",
        }
    }

    /// Exit status of the process: listed in `docs/reference/exit-codes.md`.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Missing { .. } | Self::NoWasmToolchain { .. } => 3,
            Self::Interrupted => 130,
            Self::Start { .. }
            | Self::Failed { .. }
            | Self::TooSlow { .. }
            | Self::Node { .. }
            | Self::Untidy { .. }
            | Self::Stale { .. }
            | Self::NotReproducible { .. }
            | Self::Absent { .. }
            | Self::Io(_)
            | Self::Json { .. } => 1,
        }
    }

    /// What the reader can do.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Missing { command, .. } => command.clone(),
            Self::NoWasmToolchain { hint } => hint.clone(),
            Self::Start { .. } => "run `cargo xtask setup`".into(),
            Self::Failed { log: Some(log), .. } | Self::TooSlow { log: Some(log), .. } => {
                format!("the whole output is in {}", log.display())
            }
            Self::Failed { log: None, .. } => "the reason is above".into(),
            Self::TooSlow { log: None, .. } => "try again when the machine has less to do".into(),
            Self::Node { hint: Some(hint), .. } => hint.clone(),
            Self::Node { hint: None, .. } => "the end of its output is above".into(),
            Self::Untidy { .. } => "mend what is listed above; the rules are in CONTRIBUTING.md".into(),
            Self::Stale { .. } => "run `cargo xtask gen` and commit what it writes".into(),
            Self::NotReproducible { .. } => "something in the zomes depends on paths or time: see docs/adr/0007".into(),
            Self::Absent { .. } => "is the checkout complete?".into(),
            Self::Interrupted => "nothing was left running".into(),
            Self::Io(_) => "is the disk full, or the directory not writable?".into(),
            Self::Json { .. } => "a tool of another version may be in the way".into(),
        }
    }

    /// What to show between the error and its hint.
    pub(crate) fn details(&self) -> Vec<String> {
        match self {
            Self::Untidy { findings } => findings.clone(),
            Self::Node { tail, .. } => tail.lines().map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }
}

/// For `map_err`: names what was being parsed.
pub(crate) fn json(what: &'static str) -> impl FnOnce(serde_json::Error) -> Error {
    move |source| Error::Json { what, source }
}
