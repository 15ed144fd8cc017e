//! Looking up what audits have said: what is asked for, and what comes back, page by page.
//!
//! Shapes only. Which link may lead where is judged in `verify::rules`, what follows from what is found in `verify::audit`.

use crate::{ActionHash, AgentPubKey, AuditCommit, AuditReport, Bytes32, EntryHash, TimestampUs};
use holochain_serialized_bytes::prelude::*;

/// What something is looked up about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "type", content = "of", rename_all = "snake_case")]
pub enum AuditSubject {
    /// A model spec: its calibrations.
    Spec(#[cfg_attr(feature = "ts", ts(type = "Uint8Array"))] EntryHash),
    /// A provider: reports, accusations, convictions, appeals, equivocations.
    Provider(#[cfg_attr(feature = "ts", ts(type = "Uint8Array"))] AgentPubKey),
    /// A receipt, by its leaf (`verify::receipt::leaf`): commitments, reports, equivocations.
    Receipt(Bytes32),
    /// An accusation: the reports of its jury.
    Accusation(#[cfg_attr(feature = "ts", ts(type = "Uint8Array"))] ActionHash),
    /// A conviction: the reports of the second jury.
    Conviction(#[cfg_attr(feature = "ts", ts(type = "Uint8Array"))] ActionHash),
}

/// Which page, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AuditQuery {
    /// About what.
    pub subject: AuditSubject,
    /// Only what was linked before that moment: [`AuditPage::next`] of the page before. Microseconds since the epoch.
    pub before: Option<TimestampUs>,
}

/// At most `limits::AUDITS_PAGE_MAX` things, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AuditPage<T> {
    /// Valid, or they would not be here.
    pub found: Vec<Found<T>>,
    /// Where the next page begins; none if this was the last.
    pub next: Option<TimestampUs>,
}

/// An entry as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Found<T> {
    /// Where.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub action: ActionHash,
    /// By whom.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub author: AgentPubKey,
    /// When the link to it was drawn, by its author's clock. Microseconds since the epoch.
    pub linked_at: TimestampUs,
    /// What it says.
    pub entry: T,
}

/// A report and the commitment that it keeps (`get_audit_reports`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Audited {
    /// What was promised before the outcome was known.
    pub commit: AuditCommit,
    /// What was found, without its evidence: that is large, and fetched by itself (`get_audit_evidence`).
    pub report: AuditReport,
    /// Whether there is evidence.
    pub shows: bool,
}
