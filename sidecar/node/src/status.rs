//! What a node says about itself. Everything here is safe to show: no prompt, no answer, no secret.

use crate::ShowAuditors;
use ainonymous_conductor::NetworkState;
use ainonymous_engine::{EngineStatus, ModelInfo};
use ainonymous_types::{RequestId, Statistics, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole picture (`Node::status`).
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of this software.
    pub version: &'static str,
    /// What the node is doing.
    pub phase: Phase,
    /// Whether there is a network.
    pub network: Option<NetworkState>,
    /// Own agent key, as `uhCAk…`, once the conductor runs.
    pub agent: Option<String>,
    /// DNA hash of the network, as `uhC0k…`, once the conductor runs.
    pub dna_hash: Option<String>,
    /// Zero bits of the proof of work that the network asks of every new agent; 0 where it asks for none.
    pub work_bits: u8,
    /// Whether other peers may use the models here.
    pub share: bool,
    /// Questions of peers are refused for now, by the owner's wish.
    pub paused: bool,
    /// Direct connections; none if they are off.
    pub quic: Option<QuicStatus>,
    /// The router that this node runs for others, if it does.
    pub router: Option<RouterStatus>,
    /// Where the node says it stands, if it does.
    pub region: Option<String>,
    /// Models loaded here.
    pub models: Vec<LocalModel>,
    /// Counts since the start.
    pub counters: Counters,
    /// The last choices of whom to ask, oldest first.
    pub choices: Vec<ChoiceMade>,
    /// What audits of peers' answers have found.
    pub audits: AuditStatus,
    /// How often each zome function was called: none of them while an answer travels over a link.
    pub zome_calls: BTreeMap<&'static str, u64>,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Resident memory of this process (without workers), in bytes.
    pub rss_bytes: Option<u64>,
}

/// What audits have found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AuditStatus {
    /// Answers to own questions are computed again where this node has the model.
    pub own: bool,
    /// This node has taken the auditor's role.
    pub role: bool,
    /// Which auditors may see answers to own questions, unless a question says otherwise.
    pub show_auditors: ShowAuditors,
    /// Calibrations that it judges by: model, who answers, who checks.
    pub tables: Vec<String>,
    /// By provider, of whom something was heard longest ago first.
    pub providers: Vec<ProviderAudits>,
    /// The last audits of this node, oldest first.
    pub last: Vec<AuditMade>,
}

/// How a provider fared.
#[derive(Clone, Debug, Serialize)]
pub struct ProviderAudits {
    /// Who, as `uhCAk…`.
    pub provider: String,
    /// Own audits that it passed.
    pub passed: u64,
    /// That it failed.
    pub failed: u64,
    /// Of which nothing followed.
    pub inconclusive: u64,
    /// It has signed two receipts for one question, or a jury that is trusted here has convicted it: it is not asked any more.
    pub convicted: bool,
    /// How many of its answers are to be audited, in hundredths.
    pub rate_percent: f64,
}

/// An audit of this node. It says nothing of what was asked or answered.
#[derive(Clone, Debug, Serialize)]
pub struct AuditMade {
    /// Who answered, as `uhCAk…`.
    pub provider: String,
    /// `name:quantisation`.
    pub model: String,
    /// `own`: a question of this node's people; `canary`: one of its own making; `jury`: somebody else's canary, that fell to it; `drawn`:
    /// a question that one node has shown another, whom the dice had drawn.
    pub mode: &'static str,
    /// Who has computed it again, as `uhCAk…`; none for this node.
    pub auditor: Option<String>,
    /// What follows.
    pub verdict: Verdict,
    /// What it follows from.
    pub why: AuditWhy,
    /// Tokens of the answer.
    pub tokens: u32,
    /// How far the provider's fingerprint is from the own one, if they could be compared.
    pub statistics: Option<Statistics>,
    /// The published report, as `uhCkk…`.
    pub report: Option<String>,
}

/// What the verdict of an audit follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditWhy {
    /// The provider did not open its fingerprint, or recorded none, and its tokens do not fail by any table that is known here: no evidence of anything.
    NotOpened,
    /// It did not open its fingerprint, and its tokens are not as honest ones are.
    OtherTokens,
    /// What it opened is not what it signed.
    OpenedOtherwise,
    /// The answer could not be computed again.
    NotReplayed,
    /// It is said to have ended by itself, and its last token does not end it.
    CutOff,
    /// Its fingerprint is of another answer.
    OtherAnswer,
    /// As honest answers are.
    AsHonest,
    /// Not as honest answers are.
    NotAsHonest,
    /// This pair of machines, or so short an answer, is not calibrated.
    Uncalibrated,
    /// This pair of machines is not calibrated, but its tokens are further from the model's than any rounding explains.
    BeyondRounding,
}

/// Where an answer stands with this node's audits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditState {
    /// Nobody here has computed it again since the start of this node.
    Unaudited,
    /// It is being computed.
    Running,
    /// The same came out.
    Audited,
    /// Something else came out.
    Disputed,
    /// It was computed, and nothing follows.
    Inconclusive,
}

/// The same, and what it follows from if something does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AnswerAudit {
    /// Where it stands.
    #[serde(rename = "audit")]
    pub state: AuditState,
    /// What that follows from.
    #[serde(rename = "audit_why", skip_serializing_if = "Option::is_none")]
    pub why: Option<AuditWhy>,
}

/// Why somebody was asked.
#[derive(Clone, Debug, Serialize)]
pub struct ChoiceMade {
    /// The question.
    #[serde(serialize_with = "crate::ask::as_display")]
    pub id: RequestId,
    /// Who, as `uhCAk…`.
    pub provider: String,
    /// `name:quantisation`.
    pub model: String,
    /// In one line.
    pub why: String,
}

/// The node's part in direct connections.
#[derive(Clone, Debug, Serialize)]
pub struct QuicStatus {
    /// Where it listens.
    pub listens: Option<String>,
    /// Where peers are told to find it.
    pub announced: Vec<String>,
    /// What the home router says to the wish for a port in front of this node; none if there is no such wish.
    pub port_mapping: Option<String>,
    /// The key that it proves, in hexadecimal.
    pub key: String,
    /// Links of peers that are open.
    pub links: usize,
    /// Links that had to show first that the address is theirs, because there were many.
    pub challenged: u64,
    /// Links that were turned away because there were too many.
    pub refused: u64,
    /// Handshakes that failed.
    pub failed: u64,
}

/// The router that a node runs for others. Counts only: it remembers nobody.
#[derive(Clone, Debug, Serialize)]
pub struct RouterStatus {
    /// Where it listens.
    pub listens: Option<String>,
    /// Where others are told to find it, and routers that lead to it.
    pub announced: Vec<String>,
    /// The key that it proves, in hexadecimal.
    pub key: String,
    /// Nodes that are registered.
    pub registrations: usize,
    /// Tunnels that are open.
    pub flows: usize,
    /// Packets that it has forwarded.
    pub forwarded_packets: u64,
    /// Bytes that it has forwarded.
    pub forwarded_bytes: u64,
    /// Connections and requests that it has refused.
    pub refused: u64,
}

/// What a node is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Conductor or models are starting.
    Starting,
    /// Everything that was asked for runs.
    Running,
    /// A part could not start; the rest runs.
    Degraded {
        /// Stable code of the error.
        code: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// Finishing what runs, refusing what is new.
    Draining,
}

/// A model loaded, or to be loaded, by this node.
#[derive(Clone, Debug, Serialize)]
pub struct LocalModel {
    /// `name:quantisation`, or the file's name while unknown.
    pub id: String,
    /// How far it is.
    #[serde(flatten)]
    pub state: LocalModelState,
}

/// How far a model is.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LocalModelState {
    /// Being read or loaded.
    Loading,
    /// Answers questions.
    Ready {
        /// What was loaded.
        info: Box<ModelInfo>,
        /// What its engine does.
        engine: EngineStatus,
    },
    /// Not in memory; a question for it loads it.
    Resting,
    /// Could not be loaded.
    Failed {
        /// Stable code of the error.
        code: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
}

/// A model that a question can name: one of this node, loaded or not, or one that peers serve (`Node::models`).
#[derive(Clone, Debug, Serialize)]
pub struct ModelEntry {
    /// `name:quantisation`.
    pub id: String,
    /// This node has it.
    pub local: bool,
    /// How far it is.
    pub state: ModelState,
    /// Why it could not be loaded.
    pub problem: Option<String>,
    /// Peers that serve it, as `uhCAk…`.
    pub providers: Vec<String>,
    /// Context in tokens; while it was never loaded, as it was trained.
    pub context_tokens: u32,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// SHA-256 of the file, where it is known.
    pub gguf_hash: Option<String>,
    /// What its file says; none for models of peers.
    pub details: Option<ModelDetails>,
    /// Seconds after which it leaves memory if nobody asks it; none if it stays or is not there.
    pub unloads_in_s: Option<u64>,
}

/// How far a model is that a question can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// Answers at once, here or at a peer.
    Loaded,
    /// Is being loaded.
    Loading,
    /// On disk; a question for it loads it.
    Unloaded,
    /// Could not be loaded; `Node::load_model` tries again.
    Failed,
}

impl ModelState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Loading => "loading",
            Self::Unloaded => "unloaded",
            Self::Failed => "failed",
        }
    }
}

/// What a model's file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelDetails {
    /// `general.architecture`.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Context that it was trained with, in tokens.
    pub context_trained: u32,
    /// Number of layers.
    pub layers: u32,
    /// Its template tells it which tools there are.
    pub tools: bool,
    /// Its template knows thoughts before answers.
    pub thinking: bool,
    /// It was made for vectors of texts.
    pub embedding: bool,
}

/// Counts since the start of the process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// Questions asked by this node.
    pub asked: u64,
    /// Questions of peers answered by this node.
    pub answered: u64,
    /// Questions of peers refused.
    pub refused: u64,
    /// Attempts with a provider that did not answer; another one, or another way, was tried.
    pub retried: u64,
    /// Questions for which a second provider was asked because the first was slow to its first word.
    pub hedged: u64,
    /// Of these, those that the second answered.
    pub hedges_won: u64,
    /// Milliseconds that providers worked, or kept a place, for such questions in vain.
    pub hedge_wasted_ms: u64,
    /// Signals dropped because they broke a bound or made no sense.
    pub rejected_signals: u64,
    /// Receipts published.
    pub receipts_published: u64,
    /// Receipts of others checked and found right.
    pub receipts_checked: u64,
}

/// Resident memory of this process, where the system tells (`/proc/self/statm`, Linux).
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}
