//! Errors of a node: what happened, a stable code, and what the caller can do.

use ainonymous_conductor::ConductorError;
use ainonymous_engine::EngineError;
use ainonymous_transport::ConnectError;
use ainonymous_types::{limits, RefuseReason};
use ainonymous_verify::text;
use std::path::PathBuf;

/// Why a node cannot start or do something.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The conductor.
    #[error(transparent)]
    Conductor(#[from] ConductorError),
    /// A folder or file of the node.
    #[error("cannot use {path}: {source}")]
    Storage {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The node's own database.
    #[error("the node's database {path} cannot be used: {problem}")]
    Database {
        /// Which.
        path: PathBuf,
        /// What the database says.
        problem: String,
    },
    /// Another process uses the data folder.
    #[error("another process uses the data folder {path}")]
    DataDirInUse {
        /// Which.
        path: PathBuf,
    },
    /// An earlier write failed, after which the database accepts nothing more until it is opened again.
    #[error("the node's database {path} stopped after a failed write")]
    DatabaseStopped {
        /// Which.
        path: PathBuf,
    },
    /// The socket for direct connections.
    #[error(transparent)]
    Transport(#[from] ConnectError),
    /// A file of calibrations cannot be read or used.
    #[error("the calibration {path} cannot be used: {problem}")]
    Calibration {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The node is not as far yet, or is stopping.
    #[error("the conductor is still starting")]
    NotReady,
}

impl NodeError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conductor(e) => e.code(),
            Self::Storage { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => "disk_full",
            Self::Storage { .. } => "storage",
            Self::Database { .. } => "database",
            Self::DatabaseStopped { .. } => "database_stopped",
            Self::DataDirInUse { .. } => "data_dir_in_use",
            Self::Transport(e) => e.code(),
            Self::Calibration { .. } => "calibration_unusable",
            Self::NotReady => "not_ready",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Conductor(e) => e.hint(),
            Self::Transport(e) => e.hint().into(),
            Self::Storage { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "free some space on that disk, then start again".into()
            }
            Self::Storage { path, .. } => format!("check that {} exists and that you may write to it", path.display()),
            Self::Database { path, .. } => {
                format!("move {} away to start with an empty one; unpublished receipts in it are lost", path.display())
            }
            Self::DatabaseStopped { .. } => {
                "free some space if the disk is full, then restart the node; nothing is lost".into()
            }
            Self::DataDirInUse { .. } => "stop the other process, or choose another folder with --data-dir".into(),
            Self::Calibration { .. } => "make one with `cargo xtask calibrate`, or leave `--calibration` out".into(),
            Self::NotReady => "wait until `ainonymous status` says ready".into(),
        }
    }
}

/// Why a question is not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// Neither this node nor a known peer has the model.
    #[error("no model named '{model}' is known")]
    UnknownModel {
        /// What was asked for.
        model: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Nothing at all can answer.
    #[error("no provider is online for {model}")]
    NoProvider {
        /// What was asked for.
        model: String,
    },
    /// A model could not be loaded.
    #[error("{problem}")]
    LoadFailed {
        /// Stable code of the reason.
        code: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The model is still loading.
    #[error("the model {model} is still loading")]
    ModelLoading {
        /// Which.
        model: String,
    },
    /// The network is not joined yet.
    #[error("the network is not joined yet: {state}")]
    NotReady {
        /// How far it is.
        state: String,
    },
    /// The question breaks a bound.
    #[error("{problem}")]
    Invalid {
        /// Which bound.
        problem: String,
        /// Stable code of the bound.
        code: &'static str,
    },
    /// There is a way to peers that carries it, but not the one that was demanded or is left.
    #[error("{what} cannot go by {way}")]
    NotThisWay {
        /// What the question asks for.
        what: &'static str,
        /// Which way.
        way: &'static str,
    },
    /// Nobody fulfils what the question demands.
    #[error("{problem}")]
    DemandsUnmet {
        /// Which demand, and how many it cost.
        problem: String,
    },
    /// No way through routers as the question demands it.
    #[error("{problem}")]
    RoutersUnmet {
        /// Which demand.
        problem: String,
    },
    /// No link to a provider, where one was demanded or before signals are tried.
    #[error("{problem}")]
    NoWay {
        /// What happened.
        problem: String,
    },
    /// All who could answer want to know who asks, and the question does not say that they may.
    #[error("every provider of {model} answers only agents that show who they are")]
    MustBeKnown {
        /// As it was named.
        model: String,
    },
    /// The provider did not take the question in time.
    #[error("provider {provider} does not answer")]
    ProviderSilent {
        /// Who.
        provider: String,
    },
    /// The provider stopped in mid-answer.
    #[error("provider {provider} is gone after {tokens} tokens")]
    ProviderGone {
        /// Who.
        provider: String,
        /// Tokens received before.
        tokens: u32,
    },
    /// The provider refused.
    #[error("provider {provider} refused: {}{}", refusal_text(*reason), said(detail))]
    Refused {
        /// Who.
        provider: String,
        /// Why.
        reason: RefuseReason,
        /// In the provider's words.
        detail: String,
    },
    /// The provider broke the protocol.
    #[error("provider {provider} broke the protocol: {problem}")]
    ProviderBroken {
        /// Who.
        provider: String,
        /// How.
        problem: String,
    },
    /// A posted request was not answered in time.
    #[error("the posted request {request} was not answered within {waited_s} s; it stays open until it expires")]
    AnswerPending {
        /// Its action, as `uhCkk…`.
        request: String,
        /// Seconds waited.
        waited_s: u64,
    },
    /// This node posted no such request, or forgot it.
    #[error("no request {request} of this node is known")]
    UnknownPosted {
        /// Its action, as `uhCkk…`.
        request: String,
    },
    /// The node's own engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The conductor, or the node's own storage.
    #[error("{problem}")]
    Conductor {
        /// Stable code.
        code: &'static str,
        /// What happened.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The node is stopping.
    #[error("the node is stopping")]
    Draining,
}

/// What kind of failure it is, for whoever must translate it (HTTP, exit codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The question must be changed.
    BadRequest,
    /// The thing asked for does not exist.
    NotFound,
    /// The question is too large.
    TooLarge,
    /// Try again later: too much to do.
    Busy,
    /// Try again later: not there yet, or gone for the moment.
    Unavailable,
    /// A peer failed.
    BadGateway,
    /// A peer took too long.
    Timeout,
    /// This node failed.
    Internal,
}

impl From<ConductorError> for AskError {
    fn from(e: ConductorError) -> Self {
        Self::Conductor { code: e.code(), hint: e.hint(), problem: e.to_string() }
    }
}

impl From<NodeError> for AskError {
    fn from(e: NodeError) -> Self {
        Self::Conductor { code: e.code(), hint: e.hint(), problem: e.to_string() }
    }
}

impl AskError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownModel { .. } => "model_not_found",
            Self::NoProvider { .. } => "no_provider",
            Self::ModelLoading { .. } => "model_loading",
            Self::NotReady { .. } => "not_ready",
            Self::Invalid { code, .. } | Self::Conductor { code, .. } | Self::LoadFailed { code, .. } => code,
            Self::NotThisWay { .. } => "not_this_way",
            Self::DemandsUnmet { .. } => "demands_unmet",
            Self::RoutersUnmet { .. } => "routers_unmet",
            Self::NoWay { .. } => "no_link",
            Self::MustBeKnown { .. } => "must_be_known",
            Self::ProviderSilent { .. } => "provider_silent",
            Self::ProviderGone { .. } => "provider_gone",
            Self::Refused { reason, .. } => match reason {
                RefuseReason::UnknownModel => "provider_lost_model",
                RefuseReason::Busy => "provider_busy",
                RefuseReason::PromptTooLong => "prompt_too_long",
                RefuseReason::Malformed => "request_malformed",
                RefuseReason::Draining => "provider_draining",
                RefuseReason::EngineFailed => "provider_engine_failed",
                RefuseReason::UnknownRequest => "request_unknown",
                RefuseReason::NotAdmitted => "provider_not_admitting",
                RefuseReason::CannotSee => "provider_cannot_see",
                RefuseReason::MustBeKnown => "must_be_known",
            },
            Self::ProviderBroken { .. } => "provider_broken",
            Self::AnswerPending { .. } => "answer_pending",
            Self::UnknownPosted { .. } => "posted_request_unknown",
            Self::Engine(e) => e.code(),
            Self::Draining => "draining",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownModel { known, .. } if known.is_empty() => {
                "serve one with `ainonymous serve MODEL.gguf`, or wait until a provider is found".into()
            }
            Self::UnknownModel { known, .. } => format!("known models: {}", known.join(", ")),
            Self::NoProvider { .. } => {
                "serve the model yourself with `ainonymous serve MODEL.gguf`, or ask again when a provider is online"
                    .into()
            }
            Self::ModelLoading { .. } => "ask again in a moment; `ainonymous status` shows the progress".into(),
            Self::NotReady { .. } => "ask again in a moment; `ainonymous status` shows the progress".into(),
            Self::Invalid { .. } => "change the request".into(),
            Self::NotThisWay { .. } => {
                "leave the route to the node (`auto`), for direct connections carry it; or leave it out".into()
            }
            Self::Conductor { hint, .. } | Self::LoadFailed { hint, .. } => hint.clone(),
            Self::RoutersUnmet { .. } => {
                "ask again when there are more routers, trust one with `up --trust-router`, or demand fewer".into()
            }
            Self::DemandsUnmet { .. } => "demand less, or ask again when such a provider is online".into(),
            Self::NoWay { .. } => {
                "leave the route to the node (`auto`): it goes by signals where there is no link".into()
            }
            Self::MustBeKnown { .. } => MUST_BE_KNOWN_HINT.into(),
            Self::ProviderSilent { .. } | Self::ProviderGone { .. } => "ask again: another provider may take it".into(),
            Self::Refused { reason, .. } => refusal_hint(*reason).into(),
            Self::ProviderBroken { .. } => "ask again: another provider may take it".into(),
            Self::AnswerPending { request, .. } => format!("fetch it later with `ainonymous ask --fetch {request}`"),
            Self::UnknownPosted { .. } => "ask for it on the node that posted it".into(),
            Self::Engine(e) => e.hint(),
            Self::Draining => "start the node again with `ainonymous up`".into(),
        }
    }

    /// What kind of failure it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::UnknownModel { .. } | Self::UnknownPosted { .. } => ErrorClass::NotFound,
            Self::Invalid { code, .. } if *code == "prompt_bytes" => ErrorClass::TooLarge,
            Self::Invalid { .. } | Self::NotThisWay { .. } => ErrorClass::BadRequest,
            Self::NoProvider { .. } | Self::ModelLoading { .. } | Self::NotReady { .. } | Self::Draining => {
                ErrorClass::Unavailable
            }
            Self::NoWay { .. } | Self::DemandsUnmet { .. } | Self::RoutersUnmet { .. } | Self::MustBeKnown { .. } => {
                ErrorClass::Unavailable
            }
            Self::ProviderSilent { .. } | Self::AnswerPending { .. } => ErrorClass::Timeout,
            Self::ProviderGone { .. } | Self::ProviderBroken { .. } => ErrorClass::BadGateway,
            Self::Refused { reason, .. } => match reason {
                RefuseReason::Busy => ErrorClass::Busy,
                RefuseReason::PromptTooLong | RefuseReason::Malformed | RefuseReason::CannotSee => {
                    ErrorClass::BadRequest
                }
                RefuseReason::UnknownModel
                | RefuseReason::Draining
                | RefuseReason::EngineFailed
                | RefuseReason::UnknownRequest
                | RefuseReason::NotAdmitted => ErrorClass::BadGateway,
                RefuseReason::MustBeKnown => ErrorClass::Unavailable,
            },
            Self::Engine(e) => engine_class(e),
            Self::Conductor { .. } => ErrorClass::Unavailable,
            Self::LoadFailed { .. } => ErrorClass::BadRequest,
        }
    }
}

fn engine_class(e: &EngineError) -> ErrorClass {
    match e {
        EngineError::EmptyPrompt
        | EngineError::PromptTooLong { .. }
        | EngineError::InputOutOfBounds { .. }
        | EngineError::InvalidConstraint { .. }
        | EngineError::NoProjector
        | EngineError::ImageInvalid { .. }
        | EngineError::ImageTooLarge { .. }
        | EngineError::Unsupported { .. }
        | EngineError::NoChatTemplate
        | EngineError::TemplateFailed { .. } => ErrorClass::BadRequest,
        EngineError::QueueFull { .. } => ErrorClass::Busy,
        EngineError::Draining | EngineError::Restarting | EngineError::LoadCancelled => ErrorClass::Unavailable,
        EngineError::FileNotFound { .. }
        | EngineError::Unreadable { .. }
        | EngineError::NotGguf
        | EngineError::Truncated
        | EngineError::UnsupportedArchitecture { .. }
        | EngineError::InvalidModel { .. }
        | EngineError::DraftMismatch
        | EngineError::InvalidProjector { .. }
        | EngineError::BackendsMissing { .. }
        | EngineError::OutOfMemory
        | EngineError::DoesNotFit { .. }
        | EngineError::WorkerCrashed { .. }
        | EngineError::GaveUp { .. }
        | EngineError::WorkerSpawn { .. }
        | EngineError::WorkerMismatch { .. }
        | EngineError::LoadTimeout { .. }
        | EngineError::SandboxUnavailable { .. }
        | EngineError::DecodeFailed { .. } => ErrorClass::Internal,
    }
}

const MUST_BE_KNOWN_HINT: &str = "show who asks with `--known` (`\"known\": true` in the API), or ask another provider";

fn refusal_text(reason: RefuseReason) -> &'static str {
    match reason {
        RefuseReason::UnknownModel => "it does not serve that model any more",
        RefuseReason::Busy => "its queue is full",
        RefuseReason::PromptTooLong => "the prompt does not fit into the model's context",
        RefuseReason::Malformed => "it found the question malformed",
        RefuseReason::Draining => "it is shutting down",
        RefuseReason::EngineFailed => "its engine failed",
        RefuseReason::UnknownRequest => "it does not know the question any more",
        RefuseReason::NotAdmitted => "it does not hold this node for a member of the network, or does not serve it",
        RefuseReason::CannotSee => "its model sees no images",
        RefuseReason::MustBeKnown => "it answers only agents that show who they are",
    }
}

/// What a provider says besides its reason, fit to be shown.
fn said(detail: &str) -> String {
    match text::to_printable(detail, limits::DETAIL_BYTES_MAX) {
        empty if empty.is_empty() => empty,
        detail => format!(": {detail}"),
    }
}

fn refusal_hint(reason: RefuseReason) -> &'static str {
    match reason {
        RefuseReason::Busy => "ask again in a moment",
        RefuseReason::PromptTooLong => "shorten the prompt, or choose a model with a larger context",
        RefuseReason::Malformed => "correct what it names; else check that both nodes run the same version",
        RefuseReason::CannotSee => "leave the images out, or ask when a provider with a projector is online",
        RefuseReason::NotAdmitted => {
            "ask a founder whether this node was revoked; a node that has just joined asks again in a moment"
        }
        RefuseReason::MustBeKnown => MUST_BE_KNOWN_HINT,
        RefuseReason::UnknownModel
        | RefuseReason::Draining
        | RefuseReason::EngineFailed
        | RefuseReason::UnknownRequest => "ask again: another provider may take it",
    }
}
