//! The composition root: it joins conductor, engines and protocol into a node that asks and answers.
//!
//! This crate decides what runs, in which order it starts and stops, and which error a caller sees. It must not know
//! HTTP, the JSON of OpenAI, the command line, or the APIs of Holochain and llama.cpp.

mod announce;
mod answering;
mod ask;
mod asking;
mod auditing;
mod buckets;
mod choosing;
mod critical;
mod direct;
mod directory;
mod engines;
mod error;
pub mod evidence;
mod forward;
mod hedging;
mod known;
mod library;
mod local;
mod members;
mod node;
mod opening;
mod options;
mod peers;
mod places;
mod placing;
mod plane;
mod posted;
mod publishing;
mod pulls;
pub mod receipt_file;
mod receipts;
mod requester;
pub mod revocations;
mod roster;
mod rounding;
mod router;
mod routers;
mod routing;
mod serving;
mod signing;
mod size;
mod slot;
mod status;
mod store;
mod timeline;

pub use ainonymous_protocol::choosing::{Demands, Estimate, Kinship, Price, Reason, Region};
pub use ainonymous_protocol::HandedPart;
pub use ask::{
    AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskRequest, Hiding, ReceiptState, Route, ShowAuditors,
};
pub use auditing::{
    calibration_for, AccusationFound, AppealFound, AuditHabits, AuditRefused, ConvictionFound, Findings, Published,
    ReportFound,
};
pub use critical::{Agreed, Voice};
pub use error::{AskError, ErrorClass, NodeError};
pub use node::Node;
pub use opening::{OpenError, Opened};
pub use options::{Audits, Habits, KeepAlive, Library, NodeOptions, Peers, QuicOptions, RouterOptions, ServeOptions};
pub use peers::{Heard, Peer, PeerModel, Peers as KnownPeers};
pub use pulls::{Offer, Pull, PullRefused, PullState};
pub use roster::{Roster, RosterEntry, Standing};
pub use status::{
    AnswerAudit, AuditMade, AuditState, AuditStatus, AuditWhy, ChoiceMade, Counters, LocalModel, LocalModelState,
    ModelDetails, ModelEntry, ModelState, Phase, ProviderAudits, QuicStatus, RouterStatus, Status,
};
pub use timeline::{Sample, Timeline};

pub use ainonymous_conductor::{spec_entry, ConductorOptions, DhtStats, NetworkState, UiCredentials, UiKeyPair};
pub use ainonymous_engine::{
    request, DraftOptions, EmbedInput, EmbedQuestion, Embeddings, EngineError, EngineStatus, GpuLayers, Inspect,
    Inspected, ModelInfo, More, Prompt, Question, TokenLogprob, TokenLogprobs, ToolCallPart, WorkerCommand,
    DETOKENIZE_MAX,
};
pub use ainonymous_transport::{Address, AddressError};
