//! What can be wrong with a model file, with a stable code and what the caller can do about it.

use crate::PullError;
use std::io;
use std::path::{Path, PathBuf};

/// Most names that an error lists.
const LISTED_MAX: usize = 20;

/// Why a model file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// There is no file at the path.
    #[error("no model file at {}", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// No file in the model folders has that name.
    #[error("no model called `{name}`{}", listing(there))]
    UnknownName {
        /// The name as given.
        name: String,
        /// Names that are there.
        there: Vec<String>,
    },
    /// Several files in the model folders fit the name.
    #[error("several models fit `{name}`{}", listing(fitting))]
    Ambiguous {
        /// The name as given.
        name: String,
        /// Names that fit.
        fitting: Vec<String>,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The file does not begin as a GGUF does.
    #[error("{} is not a GGUF", path.display())]
    NotGguf {
        /// The path.
        path: PathBuf,
    },
    /// A version of GGUF that is not read here: older than 2, newer than 3, or big-endian.
    #[error("{} is a GGUF of version {version}", path.display())]
    UnsupportedVersion {
        /// The path.
        path: PathBuf,
        /// What the file says.
        version: u32,
    },
    /// The file ends before its header or its tensors do.
    #[error("{} is truncated: it has {bytes} bytes, its header promises at least {promised}", path.display())]
    Truncated {
        /// The path.
        path: PathBuf,
        /// Length of the file.
        bytes: u64,
        /// Length that the header needs.
        promised: u64,
    },
    /// The header contradicts itself or breaks a bound.
    #[error("{} has a broken header: {what}", path.display())]
    Malformed {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// One part of a model that was split over several files, and not the first, or not named as one.
    #[error("{} is one of {parts} parts of a model, and not the first", path.display())]
    Split {
        /// The path.
        path: PathBuf,
        /// How many parts there are.
        parts: u64,
    },
    /// A part of a model that was split over several files is not there.
    #[error("of a model in {parts} parts {} is missing", path.display())]
    PartMissing {
        /// Where it should be.
        path: PathBuf,
        /// How many parts there are.
        parts: u64,
    },
    /// The file changed while it was read.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The path.
        path: PathBuf,
    },
    /// It could not be pulled, found or removed.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The work was stopped before its end.
    #[error("reading the model was interrupted: {problem}")]
    Interrupted {
        /// By what.
        problem: String,
    },
}

impl ModelError {
    /// Stable name of the error, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "model_file_not_found",
            Self::UnknownName { .. } => "model_name_unknown",
            Self::Ambiguous { .. } => "model_name_ambiguous",
            Self::Unreadable { .. } => "model_file_unreadable",
            Self::NotGguf { .. } => "not_gguf",
            Self::UnsupportedVersion { .. } => "gguf_version_unsupported",
            Self::Truncated { .. } => "model_truncated",
            Self::Malformed { .. } => "gguf_malformed",
            Self::Split { .. } => "model_split",
            Self::PartMissing { .. } => "model_part_missing",
            Self::Changed { .. } => "model_file_changed",
            Self::Pull(e) => e.code(),
            Self::Interrupted { .. } => "model_read_interrupted",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::NotFound { .. } => "check the path, or name a model that `ainonymous models list` lists; of the hub: hf:ORG/REPO",
            Self::UnknownName { .. } => {
                "give one of the names, the path of a GGUF file, or pull one: `ainonymous models catalogue` lists good ones"
            }
            Self::Ambiguous { .. } => "give the whole file name, or its path",
            Self::Unreadable { .. } => "check the permissions of the file and of its folder",
            Self::NotGguf { .. } => {
                "give a GGUF file; other formats are converted with llama.cpp's convert_hf_to_gguf.py"
            }
            Self::UnsupportedVersion { .. } => {
                "convert the model again with a current llama.cpp, on a little-endian machine"
            }
            Self::Truncated { .. } => "download the file again: it is shorter than its header says",
            Self::Malformed { .. } => "download the file again, or choose another conversion of the model",
            Self::Split { .. } => "give the first part, named as it was: NAME-00001-of-…; the others are found beside it",
            Self::PartMissing { .. } => "pull the model again, or put all its parts into one folder",
            Self::Changed { .. } => "wait until the download or copy is complete, then try again",
            Self::Pull(e) => return e.hint(),
            Self::Interrupted { .. } => "try again",
        };
        hint.to_owned()
    }

    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path: path.to_owned() },
            io::ErrorKind::Interrupted => Self::Interrupted { problem: error.to_string() },
            _ => Self::Unreadable { path: path.to_owned(), reason: reason(error) },
        }
    }
}

/// The reason without the path, which the error shows itself.
fn reason(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.kind().to_string(), |code| io::Error::from_raw_os_error(code).to_string())
}

fn listing(names: &[String]) -> String {
    match names {
        [] => "; there are none".into(),
        names if names.len() <= LISTED_MAX => format!("; there are: {}", names.join(", ")),
        names => format!("; there are: {} and {} more", names[..LISTED_MAX].join(", "), names.len() - LISTED_MAX),
    }
}
