//! The composition root: it joins conductor, engines and protocol into a node that asks and answers.
//!
//! This crate decides what runs, in which order it starts and stops, and which error a caller sees. It must not know
//! HTTP, the JSON of OpenAI, the command line, or the APIs of Holochain and llama.cpp.

mod announce;
mod ask;
mod directory;
mod engines;
mod error;
mod forward;
mod local;
mod members;
mod node;
mod options;
mod posted;
mod publishing;
mod receipts;
pub mod revocations;
mod routing;
mod serving;
mod status;
mod store;

pub use ask::{AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskRequest, ReceiptState, Route};
pub use error::{AskError, ErrorClass, NodeError};
pub use node::Node;
pub use options::{Library, NodeOptions, ServeOptions};
pub use status::{Counters, LocalModel, LocalModelState, ModelEntry, Phase, Status};

pub use ainonymous_conductor::{ConductorOptions, DhtStats, NetworkState, UiCredentials, UiKeyPair};
pub use ainonymous_engine::{
    request, DraftOptions, EmbedInput, EmbedQuestion, Embeddings, EngineError, EngineStatus, GpuLayers, ModelInfo,
    More, Prompt, Question, TokenLogprob, TokenLogprobs, ToolCallPart, WorkerCommand,
};
