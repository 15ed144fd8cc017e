//! What may stand on the DHT: one function for each rule, over things already fetched and decoded.
//!
//! Which rules an operation has to pass, and what has to be fetched for them, is decided in [`crate::judge`].

mod audit;
mod audit_link;
pub(crate) mod bounds;
mod change;
mod entry;
mod link;
mod membership;

pub use audit::{
    accusation, accusation_reports, appeal, audit_commit, audit_commit_batch, audit_commit_capability,
    audit_commit_jury, audit_commit_previous, audit_report, audit_report_arithmetic, audit_report_calibration,
    audit_report_commit, audit_report_scope, confirmation, conviction, equivocation, judged_windows, Case,
    CONFIRMATIONS_MIN,
};
pub use audit_link::{
    accusation_to_report, beside, conviction_to_report, provider_to_accusation, provider_to_appeal,
    provider_to_conviction, provider_to_equivocation, provider_to_report, receipt_path, receipt_to_audit, receipts_of,
    spec_to_calibration,
};
pub use change::{delete, entry_encoding, update};
pub use entry::{
    answer, answer_request, capability, model_spec, receipt_batch, receipt_batch_capability, receipt_batch_sums,
    request, request_capability, request_time, spec_ref,
};
pub use link::{
    agent_to_capability, all_model_specs, all_revocations, assignee_to_request, bucket_depth, bucket_to_provider,
    bucket_to_router, delete_link, link_tag, request_to_answer, Anchor, LinkKind,
};
pub use membership::{membership, revocation};

use ainonymous_types::{
    Accusation, AgentPubKey, Answer, Appeal, AuditCommit, AuditReport, Calibration, Capability, Conviction, EntryHash,
    Equivocation, ModelSpec, ReceiptBatch, Request, Revocation,
};

/// Kinds of entry, in the order of the integrity zome's entry types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "vectors", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Kind {
    /// [`ModelSpec`].
    ModelSpec,
    /// [`Capability`].
    Capability,
    /// [`Request`].
    Request,
    /// [`Answer`].
    Answer,
    /// [`ReceiptBatch`].
    ReceiptBatch,
    /// [`Revocation`].
    Revocation,
    /// [`Calibration`].
    Calibration,
    /// [`AuditCommit`].
    AuditCommit,
    /// [`AuditReport`].
    AuditReport,
    /// [`Accusation`].
    Accusation,
    /// [`Conviction`].
    Conviction,
    /// [`Equivocation`].
    Equivocation,
    /// [`Appeal`].
    Appeal,
}

impl Kind {
    /// Its name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::ModelSpec => "model spec",
            Self::Capability => "capability",
            Self::Request => "request",
            Self::Answer => "answer",
            Self::ReceiptBatch => "receipt batch",
            Self::Revocation => "revocation",
            Self::Calibration => "calibration",
            Self::AuditCommit => "audit commitment",
            Self::AuditReport => "audit report",
            Self::Accusation => "accusation",
            Self::Conviction => "conviction",
            Self::Equivocation => "equivocation",
            Self::Appeal => "appeal",
        }
    }
}

/// An entry of this network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "vectors", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum AppEntry {
    /// See [`ModelSpec`].
    ModelSpec(ModelSpec),
    /// See [`Capability`].
    Capability(Capability),
    /// See [`Request`].
    Request(Request),
    /// See [`Answer`].
    Answer(Answer),
    /// See [`ReceiptBatch`].
    ReceiptBatch(ReceiptBatch),
    /// See [`Revocation`].
    Revocation(Revocation),
    /// See [`Calibration`].
    Calibration(Calibration),
    /// See [`AuditCommit`].
    AuditCommit(AuditCommit),
    /// See [`AuditReport`].
    AuditReport(AuditReport),
    /// See [`Accusation`].
    Accusation(Accusation),
    /// See [`Conviction`].
    Conviction(Conviction),
    /// See [`Equivocation`].
    Equivocation(Equivocation),
    /// See [`Appeal`].
    Appeal(Appeal),
}

impl AppEntry {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::ModelSpec(_) => Kind::ModelSpec,
            Self::Capability(_) => Kind::Capability,
            Self::Request(_) => Kind::Request,
            Self::Answer(_) => Kind::Answer,
            Self::ReceiptBatch(_) => Kind::ReceiptBatch,
            Self::Revocation(_) => Kind::Revocation,
            Self::Calibration(_) => Kind::Calibration,
            Self::AuditCommit(_) => Kind::AuditCommit,
            Self::AuditReport(_) => Kind::AuditReport,
            Self::Accusation(_) => Kind::Accusation,
            Self::Conviction(_) => Kind::Conviction,
            Self::Equivocation(_) => Kind::Equivocation,
            Self::Appeal(_) => Kind::Appeal,
        }
    }
}

/// A record that the network holds valid, as far as rules look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "vectors", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub struct Known {
    /// Who wrote it.
    pub author: AgentPubKey,
    /// What it created or updated.
    pub content: Content,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "vectors", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[allow(clippy::large_enum_variant)] // Nearly every one is the large one.
pub enum Content {
    /// An entry of this network and its hash.
    App(EntryHash, AppEntry),
    /// A capability grant or claim of Holochain's own: private to its author.
    Grant,
    /// Anything else: genesis, links, deletions, agent keys.
    Other,
}

macro_rules! content {
    ($name:ident, $kind:ident, $type:ty) => {
        /// The entry and its hash, if it is of this kind.
        pub fn $name(&self) -> Option<(&EntryHash, &$type)> {
            match &self.content {
                Content::App(hash, AppEntry::$kind(entry)) => Some((hash, entry)),
                _ => None,
            }
        }
    };
}

impl Known {
    content!(model_spec, ModelSpec, ModelSpec);
    content!(capability, Capability, Capability);
    content!(request, Request, Request);
    content!(answer, Answer, Answer);
    content!(receipt_batch, ReceiptBatch, ReceiptBatch);
    content!(revocation, Revocation, Revocation);
    content!(calibration, Calibration, Calibration);
    content!(audit_commit, AuditCommit, AuditCommit);
    content!(audit_report, AuditReport, AuditReport);
    content!(accusation, Accusation, Accusation);
    content!(conviction, Conviction, Conviction);
    content!(equivocation, Equivocation, Equivocation);
    content!(appeal, Appeal, Appeal);
}
