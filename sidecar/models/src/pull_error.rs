//! What can go wrong between a name and a file on disk: names, the hub, the way, the disk.

use std::io;
use std::path::{Path, PathBuf};

/// Most labels that an error lists.
const LISTED_MAX: usize = 20;

/// Why a model could not be pulled, found or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    /// What was given can be no model's name.
    #[error("`{name}` is no name of a model: {problem}")]
    InvalidName {
        /// As given.
        name: String,
        /// Why not.
        problem: &'static str,
    },
    /// The name is good, but its file is not on this machine.
    #[error("`{name}` is not on this machine")]
    NotOnDisk {
        /// As given.
        name: String,
    },
    /// The name is a path, which cannot be pulled.
    #[error("`{name}` is a path of this machine, and nothing is there to pull")]
    NotPullable {
        /// As given.
        name: String,
    },
    /// The hub or server has no such repository or file, or hides it.
    #[error("{host} has no {what}")]
    HubNotFound {
        /// Who says so.
        host: String,
        /// Repository or file.
        what: String,
    },
    /// The hub or server wants to know who asks.
    #[error("{host} gives {what} only to those it knows")]
    Unauthorized {
        /// Who says so.
        host: String,
        /// Repository or file.
        what: String,
    },
    /// The hub or server wants fewer requests.
    #[error("{host} wants fewer requests{}", after(.retry_after_s))]
    RateLimited {
        /// Who says so.
        host: String,
        /// Seconds until it may be asked again, as it says.
        retry_after_s: Option<u64>,
    },
    /// The hub or server answered with an error of HTTP.
    #[error("{host} answers {status} for {what}")]
    HubStatus {
        /// Who says so.
        host: String,
        /// Repository or file.
        what: String,
        /// Status of HTTP.
        status: u16,
    },
    /// The hub or server cannot be reached.
    #[error("{host} cannot be reached: {problem}")]
    Unreachable {
        /// Whom.
        host: String,
        /// Why.
        problem: String,
    },
    /// The hub or server answered something that makes no sense or breaks a bound.
    #[error("what {host} answered cannot be used: {problem}")]
    BadAnswer {
        /// Who.
        host: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The connection broke, again and again.
    #[error("the download from {host} broke {attempts} times in a row: {problem}")]
    Broken {
        /// From whom.
        host: String,
        /// How often, without progress in between.
        attempts: u32,
        /// The last time.
        problem: String,
    },
    /// Nothing came for too long, again and again.
    #[error("{host} sent nothing for {seconds} s")]
    Stalled {
        /// Who.
        host: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The repository has no GGUF file.
    #[error("{repo} has no GGUF file")]
    NoGguf {
        /// The repository.
        repo: String,
    },
    /// The repository has no file of that quantisation or name.
    #[error("{repo} has no {wanted}{}", listing(.there))]
    NoSuchFile {
        /// The repository.
        repo: String,
        /// Quantisation or file.
        wanted: String,
        /// What it has.
        there: Vec<String>,
    },
    /// A part of a split model is missing in the repository.
    #[error("{repo} lacks parts of {file}")]
    PartsMissing {
        /// The repository.
        repo: String,
        /// One of the parts.
        file: String,
    },
    /// A file of the repository has a name that would lead out of its folder or means something else on some system.
    #[error("{host} offers a file with an unsafe name: {name}")]
    UnsafeFileName {
        /// Who offers it.
        host: String,
        /// Its name, harmless to print.
        name: String,
    },
    /// The server does not keep to the length that it or the hub promised.
    #[error("{file} should have {expected} bytes, {host} says {got}")]
    SizeWrong {
        /// The file.
        file: String,
        /// Who sent it.
        host: String,
        /// Promised.
        expected: u64,
        /// Sent, or promised later.
        got: u64,
    },
    /// What came is not what the hub or the catalogue promised. Nothing of it is kept.
    #[error("{file} has the SHA-256 {got}, not {expected} as promised; nothing of it is kept")]
    DigestWrong {
        /// The file.
        file: String,
        /// Promised.
        expected: String,
        /// Computed.
        got: String,
    },
    /// What came is complete, but no GGUF: perhaps a page that says why not. It was deleted.
    #[error("what {host} sent as {file} is no GGUF; it was deleted")]
    NotAModel {
        /// Who sent it.
        host: String,
        /// The file.
        file: String,
    },
    /// There is not enough room on the disk.
    #[error("{} needs {needed} more bytes, the disk has {free}", folder.display())]
    DiskTooSmall {
        /// Where.
        folder: PathBuf,
        /// Missing bytes of the file, and some to spare.
        needed: u64,
        /// Free bytes.
        free: u64,
    },
    /// The folder of models cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Storage {
        /// Which file or folder.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The file belongs to somebody else: it is not removed.
    #[error("{} is not in the folder of models {}: it is left alone", path.display(), root.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Our folder.
        root: PathBuf,
    },
    /// It was cancelled; what came so far is kept.
    #[error("the pull was stopped")]
    Cancelled,
}

impl PullError {
    /// Stable name of the error, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } => "model_name_invalid",
            Self::NotOnDisk { .. } => "model_not_on_disk",
            Self::NotPullable { .. } => "model_not_pullable",
            Self::HubNotFound { .. } => "hub_not_found",
            Self::Unauthorized { .. } => "hub_unauthorized",
            Self::RateLimited { .. } => "hub_rate_limited",
            Self::HubStatus { .. } => "hub_status",
            Self::Unreachable { .. } => "hub_unreachable",
            Self::BadAnswer { .. } => "hub_bad_answer",
            Self::Broken { .. } => "download_broken",
            Self::Stalled { .. } => "download_stalled",
            Self::NoGguf { .. } => "hub_no_gguf",
            Self::NoSuchFile { .. } => "hub_no_such_file",
            Self::PartsMissing { .. } => "hub_parts_missing",
            Self::UnsafeFileName { .. } => "hub_unsafe_file_name",
            Self::SizeWrong { .. } => "download_size_wrong",
            Self::DigestWrong { .. } => "download_digest_wrong",
            Self::NotAModel { .. } => "download_not_gguf",
            Self::DiskTooSmall { .. } => "models_disk_full",
            Self::Storage { .. } => "models_unwritable",
            Self::NotOurs { .. } => "model_not_ours",
            Self::Cancelled => "pull_cancelled",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        match self {
            Self::InvalidName { .. } => {
                "write a name of `ainonymous models catalogue`, hf:ORG/REPO:QUANT, a path, or an address".into()
            }
            Self::NotOnDisk { name } => format!("`ainonymous pull {name}` fetches it"),
            Self::NotPullable { .. } => "a repository of the hub is written hf:ORG/REPO".into(),
            Self::HubNotFound { .. } => {
                "check the spelling; if it is private, set HF_TOKEN to a token that may read it".into()
            }
            Self::Unauthorized { .. } => {
                "accept the model's licence on its page, then set HF_TOKEN to a token of that account".into()
            }
            Self::RateLimited { .. } => {
                "wait, then pull again: it goes on where it stopped; HF_TOKEN raises limits".into()
            }
            Self::HubStatus { .. } => "try again later: what came so far is kept".into(),
            Self::Unreachable { .. } => {
                "check the connection and HF_ENDPOINT, then pull again: what came so far is kept".into()
            }
            Self::BadAnswer { .. } => "check HF_ENDPOINT or the address: perhaps a proxy answers in its place".into(),
            Self::Broken { .. } | Self::Stalled { .. } => "pull again: it goes on where it stopped".into(),
            Self::NoGguf { .. } => "look for a repository of the same model whose name ends with -GGUF".into(),
            Self::NoSuchFile { .. } => "name one that is there: hf:ORG/REPO:QUANT or hf:ORG/REPO/FILE.gguf".into(),
            Self::PartsMissing { .. } => {
                "the repository is incomplete: choose another quantisation or repository".into()
            }
            Self::UnsafeFileName { .. } => "do not trust this repository; choose another".into(),
            Self::SizeWrong { .. } => "pull again; if it says the same, choose another source".into(),
            Self::DigestWrong { .. } => "pull again; if it says the same, do not trust that server".into(),
            Self::NotAModel { .. } => "open the address in a browser: it should be the file itself, not a page".into(),
            Self::DiskTooSmall { .. } => {
                "`ainonymous models rm NAME` makes room; --models-dir chooses another disk".into()
            }
            Self::Storage { .. } => "check the permissions of the folder, or choose another with --models-dir".into(),
            Self::NotOurs { .. } => "another program keeps it there: remove it with that program, or by hand".into(),
            Self::Cancelled => "pull again: it goes on where it stopped".into(),
        }
    }

    pub(crate) fn storage(path: &Path, error: &io::Error) -> Self {
        let reason = error
            .raw_os_error()
            .map_or_else(|| error.kind().to_string(), |code| io::Error::from_raw_os_error(code).to_string());
        Self::Storage { path: path.to_owned(), reason }
    }
}

fn after(seconds: &Option<u64>) -> String {
    seconds.map(|seconds| format!(" for {seconds} s")).unwrap_or_default()
}

fn listing(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names if names.len() <= LISTED_MAX => format!("; it has {}", names.join(", ")),
        names => format!("; it has {} and {} more", names[..LISTED_MAX].join(", "), names.len() - LISTED_MAX),
    }
}
