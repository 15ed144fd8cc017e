//! What can go wrong, with a stable code and what the caller can do about it.
//!
//! Nothing here may carry text of a prompt or an answer: errors are logged.

use serde::{Deserialize, Serialize};

/// Longest foreign text (a line of llama.cpp's log, a template's message) kept inside an error.
pub(crate) const DETAIL_BYTES_MAX: usize = 400;

/// Why a model could not be loaded or a question not be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum EngineError {
    /// There is no file at the path.
    #[error("no model file at {path}")]
    FileNotFound {
        /// The path as given.
        path: String,
    },
    /// The file is there but cannot be read.
    #[error("cannot read the model file {path}: {reason}")]
    Unreadable {
        /// The path as given.
        path: String,
        /// The operating system's reason.
        reason: String,
    },
    /// The file does not begin as a GGUF does.
    #[error("the file is not a GGUF")]
    NotGguf,
    /// The file ends before its tensors do.
    #[error("the model file is truncated")]
    Truncated,
    /// llama.cpp does not know this architecture, or it is not one that generates text token by token.
    #[error("llama.cpp cannot generate text with the architecture `{architecture}`")]
    UnsupportedArchitecture {
        /// `general.architecture` of the file.
        architecture: String,
    },
    /// llama.cpp refuses the file for another reason.
    #[error("llama.cpp refuses the model: {detail}")]
    InvalidModel {
        /// llama.cpp's last error line.
        detail: String,
    },
    /// No library in the folder computes on this processor.
    #[error("no library in {folder} can compute on this processor")]
    BackendsMissing {
        /// Where they were looked for.
        folder: String,
    },
    /// Model, cache and buffers do not fit into memory.
    #[error("not enough memory for the model and its context")]
    OutOfMemory,
    /// What was fixed is more than there is room for.
    #[error("{what} need {needed_bytes} bytes, and {free_bytes} are free")]
    DoesNotFit {
        /// What.
        what: String,
        /// Bytes that it takes.
        needed_bytes: u64,
        /// Bytes that may be taken.
        free_bytes: u64,
    },
    /// The file carries no chat template (it is probably a base model).
    #[error("the model has no chat template")]
    NoChatTemplate,
    /// The chat template cannot be rendered.
    #[error("the model's chat template failed: {detail}")]
    TemplateFailed {
        /// Kind and place of the failure.
        detail: String,
    },
    /// Nothing is asked.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// The rendered prompt leaves no room for an answer.
    #[error("the prompt has {prompt_tokens} tokens, the context {context_tokens}")]
    PromptTooLong {
        /// Tokens of the rendered prompt, at least.
        prompt_tokens: u32,
        /// Tokens that prompt and answer can have together.
        context_tokens: u32,
    },
    /// The question breaks a bound of `types::limits`.
    #[error("the question breaks the bound {bound}")]
    InputOutOfBounds {
        /// Name of the bound.
        bound: String,
    },
    /// The draft model splits text into other tokens than the model it should guess for.
    #[error("the draft model has another tokenizer than the model")]
    DraftMismatch,
    /// The projector does not belong to the model, or llama.cpp cannot use it.
    #[error("the projector cannot be used: {detail}")]
    InvalidProjector {
        /// llama.cpp's last error line, or what is wrong.
        detail: String,
    },
    /// Images were sent to a model that has no projector.
    #[error("this model was loaded without a projector and sees no images")]
    NoProjector,
    /// An image cannot be decoded.
    #[error("image {index} cannot be read: {detail}")]
    ImageInvalid {
        /// Which image of the question, from 1.
        index: u32,
        /// What is wrong.
        detail: String,
    },
    /// An image has too many pixels or a side much longer than the other, or the model has no room for it.
    #[error("image {index} is too large: {width} x {height} pixels break the bound {bound}")]
    ImageTooLarge {
        /// Which image of the question, from 1.
        index: u32,
        /// As its header says.
        width: u32,
        /// As its header says.
        height: u32,
        /// Name of the bound.
        bound: String,
    },
    /// The constraint or a tool's schema cannot be turned into a grammar.
    #[error("the constraint cannot be used: {detail}")]
    InvalidConstraint {
        /// Why.
        detail: String,
    },
    /// The model or this build cannot do that.
    #[error("this model cannot do that: {what}")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// As many questions wait as may wait.
    #[error("{queue_max} questions wait already")]
    QueueFull {
        /// The bound.
        queue_max: u32,
    },
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    Draining,
    /// The worker process crashed and is not back yet.
    #[error("the engine is restarting")]
    Restarting,
    /// The worker process ended in the middle of work.
    #[error("the engine's worker process ended ({exit}): {last_line}")]
    WorkerCrashed {
        /// Signal or exit code.
        exit: String,
        /// Last line of its standard error.
        last_line: String,
    },
    /// The worker process crashed too often within a minute and is not restarted any more.
    #[error("the engine's worker process crashed {restarts} times within a minute ({exit}): {last_line}")]
    GaveUp {
        /// Restarts within the last minute.
        restarts: u32,
        /// Signal or exit code of the last crash.
        exit: String,
        /// Last line of its standard error.
        last_line: String,
    },
    /// The worker process cannot be started.
    #[error("cannot start the engine's worker process: {reason}")]
    WorkerSpawn {
        /// The operating system's reason.
        reason: String,
    },
    /// The worker process is of another build than its host.
    #[error("the engine's worker process speaks protocol {worker}, its host {host}")]
    WorkerMismatch {
        /// Protocol of the worker.
        worker: u32,
        /// Protocol of the host.
        host: u32,
    },
    /// Loading made no progress for too long.
    #[error("loading the model made no progress for {seconds} s")]
    LoadTimeout {
        /// How long.
        seconds: u64,
    },
    /// The caller cancelled the load.
    #[error("loading was cancelled")]
    LoadCancelled,
    /// The worker process cannot be confined, although AINONYMOUS_SANDBOX requires it.
    #[error("the engine's worker process cannot be confined: {missing}")]
    SandboxUnavailable {
        /// What the system lacks.
        missing: String,
    },
    /// llama.cpp failed while computing.
    #[error("llama.cpp failed to compute (code {code})")]
    DecodeFailed {
        /// What `llama_decode` returned.
        code: i32,
    },
}

impl EngineError {
    /// Stable name of the error, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FileNotFound { .. } => "model_file_not_found",
            Self::Unreadable { .. } => "model_file_unreadable",
            Self::NotGguf => "not_gguf",
            Self::Truncated => "model_truncated",
            Self::UnsupportedArchitecture { .. } => "unsupported_architecture",
            Self::InvalidModel { .. } => "invalid_model",
            Self::BackendsMissing { .. } => "backends_missing",
            Self::OutOfMemory => "out_of_memory",
            Self::DoesNotFit { .. } => "does_not_fit",
            Self::NoChatTemplate => "no_chat_template",
            Self::TemplateFailed { .. } => "template_failed",
            Self::EmptyPrompt => "empty_prompt",
            Self::PromptTooLong { .. } => "prompt_too_long",
            Self::InputOutOfBounds { .. } => "input_out_of_bounds",
            Self::DraftMismatch => "draft_mismatch",
            Self::InvalidProjector { .. } => "invalid_projector",
            Self::NoProjector => "no_projector",
            Self::ImageInvalid { .. } => "image_invalid",
            Self::ImageTooLarge { .. } => "image_too_large",
            Self::InvalidConstraint { .. } => "invalid_constraint",
            Self::Unsupported { .. } => "unsupported_by_model",
            Self::QueueFull { .. } => "queue_full",
            Self::Draining => "draining",
            Self::Restarting => "worker_restarting",
            Self::WorkerCrashed { .. } => "worker_crashed",
            Self::GaveUp { .. } => "engine_gave_up",
            Self::WorkerSpawn { .. } => "worker_spawn",
            Self::WorkerMismatch { .. } => "worker_mismatch",
            Self::LoadTimeout { .. } => "load_timeout",
            Self::LoadCancelled => "load_cancelled",
            Self::SandboxUnavailable { .. } => "sandbox_unavailable",
            Self::DecodeFailed { .. } => "decode_failed",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::FileNotFound { .. } => "check the path, or name a model that `ainonymous models` lists",
            Self::Unreadable { .. } => "check the permissions of the file and of its folder",
            Self::NotGguf => "give a GGUF file; other formats are converted with llama.cpp's convert_hf_to_gguf.py",
            Self::Truncated => "download the file again: it is shorter than its header says",
            Self::UnsupportedArchitecture { .. } => "choose a model that this version of llama.cpp can generate with",
            Self::InvalidModel { .. } => "download the file again, or choose another conversion of the model",
            Self::BackendsMissing { .. } => {
                "keep the folder `lib/ainonymous` with the executable, or say in AINONYMOUS_BACKENDS_DIR where its \
                 `libggml-cpu-*.so` are"
            }
            Self::OutOfMemory => "use a smaller model or quantisation, a smaller context, or fewer slots",
            Self::DoesNotFit { .. } => "leave it to be chosen, or fix less: a smaller context, fewer layers on the GPU",
            Self::NoChatTemplate => "choose an instruction-tuned conversion that carries `tokenizer.chat_template`",
            Self::TemplateFailed { .. } => {
                "check the order of the roles (user and assistant in turn); otherwise choose another conversion"
            }
            Self::EmptyPrompt => "send at least one message with text",
            Self::PromptTooLong { .. } => "shorten the conversation, or ask a provider with a larger context",
            Self::InputOutOfBounds { .. } => "stay within the documented bound",
            Self::DraftMismatch => "choose a smaller model of the same family, or none",
            Self::InvalidProjector { .. } => "take the `mmproj` file from where the model came from, or leave it out",
            Self::NoProjector => {
                "leave the images out, or load a model whose `mmproj*.gguf` lies beside it or is named with `--mmproj`"
            }
            Self::ImageInvalid { .. } => "send a PNG or JPEG file as it is, in base64",
            Self::ImageTooLarge { .. } => "send a smaller image: the model sees about a thousand points a side at most",
            Self::InvalidConstraint { .. } => "simplify the schema or grammar, and check that it is valid",
            Self::Unsupported { .. } => "leave it out, or choose a model that can",
            Self::QueueFull { .. } => "try again in a moment, or ask another provider",
            Self::Draining => "ask another provider",
            Self::Restarting => "try again in a few seconds",
            Self::WorkerCrashed { .. } => "try again; the engine restarts by itself",
            Self::GaveUp { .. } => "load the model again; if it goes on, try another model or `--gpu-layers 0`",
            Self::WorkerSpawn { .. } => "check that the executable is still in place and may be run",
            Self::WorkerMismatch { .. } => "restart the node: its executable was replaced while it ran",
            Self::LoadTimeout { .. } => "check that the disk can be read; move the model to a faster disk",
            Self::LoadCancelled => "load again when needed",
            Self::SandboxUnavailable { .. } => {
                "use a Linux kernel with Landlock (5.13 or newer) and seccomp, or set AINONYMOUS_SANDBOX to best-effort"
            }
            Self::DecodeFailed { .. } => "try again; with a GPU, try `--gpu-layers 0`",
        };
        hint.to_owned()
    }
}

/// `text` without control characters and cut to [`DETAIL_BYTES_MAX`].
pub(crate) fn clip(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars() {
        if out.len() + c.len_utf8() > DETAIL_BYTES_MAX {
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::clip;

    #[test]
    fn foreign_text_is_bounded_and_printable() {
        assert_eq!(clip(" a\u{1b}[31mb\n"), "a [31mb");
        assert!(clip(&"ä".repeat(1000)).len() <= super::DETAIL_BYTES_MAX);
    }
}
