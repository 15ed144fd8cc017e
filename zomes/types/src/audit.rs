//! What audits say: fingerprints, statistics, and the entries that carry them. Integers and hashes only.
//!
//! A fingerprint is what a model thought likely at each token of an answer. Whoever replays the answer makes one of its own;
//! how far the two are apart is a handful of integers. What follows from them is for `verify::audit`.

use crate::{ActionHash, AgentPubKey, BatchProof, Bytes32, Bytes64, ChatInput, SignedReceipt, SpecRef, TimestampUs};
use holochain_serialized_bytes::prelude::*;

/// What question and receipt agree on about a later audit. All zero: none was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AuditTerms {
    /// `verify::audit::draw::challenge` of the requester's secret, which is told after the receipt; zeros for no audit.
    pub challenge: Bytes32,
    /// How likely an audit is, in millionths.
    pub rate_ppm: u32,
    /// How likely each auditor is to be drawn, in millionths.
    pub auditors_ppm: u32,
}

impl Default for AuditTerms {
    fn default() -> Self {
        Self { challenge: Bytes32([0; 32]), rate_ppm: 0, auditors_ppm: 0 }
    }
}

/// The requester's word that the fingerprint of an answer may be seen. It tells the secret, so it goes over links only, and to nobody
/// but the provider and whoever is named.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenGrant {
    /// The secret behind the receipt's challenge.
    pub secret: Bytes32,
    /// The only agent that may see it; none is whoever holds the grant: the requester itself, which need not say who it is.
    pub auditor: Option<AgentPubKey>,
    /// Not from this moment on. Microseconds since the epoch.
    pub until: TimestampUs,
    /// Signature by the receipt's `session_key` over `verify::audit::grant::canonical`.
    pub signature: Bytes64,
}

impl std::fmt::Debug for OpenGrant {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { secret: _, auditor, until, signature: _ } = self;
        f.debug_struct("OpenGrant").field("auditor", auditor).field("until", until).finish_non_exhaustive()
    }
}

/// Why a provider does not open the fingerprint of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenRefusal {
    /// It has signed no such receipt.
    UnknownReceipt,
    /// The receipt names no fingerprint.
    NotRecorded,
    /// The grant is for another receipt or another agent, has ended, or tells another secret.
    NotGranted,
    /// The time in which it must be kept is over.
    WindowClosed,
    /// It was not kept, though it should have been.
    NotKept,
    /// Too much at once; later it may.
    Busy,
    /// The auditor that the grant names has not committed to a replay of this answer, as far as the DHT shows here.
    NotCommitted,
}

impl OpenRefusal {
    /// Stable name of the refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownReceipt => "unknown_receipt",
            Self::NotRecorded => "fingerprint_not_recorded",
            Self::NotGranted => "not_granted",
            Self::WindowClosed => "audit_window_closed",
            Self::NotKept => "fingerprint_not_kept",
            Self::Busy => "provider_busy",
            Self::NotCommitted => "not_committed",
        }
    }
}

/// One token that a model thought likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Likely {
    /// Token id.
    pub id: u32,
    /// Minus its log-probability, in sixteenths of a nat, rounded; what is less likely than the bound counts as the bound.
    pub minus_sixteenths: u16,
}

/// The likely tokens at one position of an answer: the most likely first, equals by id, no id twice, at least one.
pub type Position = Vec<Likely>;

/// How far two fingerprints of one answer are apart, and what the replay found. See `verify::audit::statistics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Statistics {
    /// Tokens that were looked at: of the answer, or of the stretch of it that is judged (`verify::audit::draw::stretch`).
    pub tokens: u32,
    /// Sum over all positions of the clipped distance of log-probabilities, in 128ths of a nat.
    pub delta_sum: u32,
    /// The largest such sum in one window.
    pub delta_window: u32,
    /// The largest distance at one position.
    pub delta_position: u32,
    /// Sum over all tokens of the clipped Gumbel margin, in 1024ths of a nat.
    pub margin_sum: u32,
    /// The largest such sum in one window.
    pub margin_window: u32,
    /// Positions whose distributions differ by more than a tenth.
    pub tail: u32,
    /// Tokens that the auditor's model would not have come near to, or that could not stand there.
    pub impossible: u32,
}

/// What became of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Two fingerprints were compared.
    Measured(Statistics),
    /// What the provider opened is not a fingerprint of this answer: other tokens, another length, or no fingerprint at all.
    Mismatch,
    /// The provider did not open its fingerprint: what its tokens say alone. All distances of fingerprints are zero.
    NotOpened(Statistics),
}

impl Outcome {
    /// What was counted, with or without a fingerprint of the provider.
    pub fn statistics(&self) -> Option<&Statistics> {
        match self {
            Self::Measured(found) | Self::NotOpened(found) => Some(found),
            Self::Mismatch => None,
        }
    }

    /// The same, if two fingerprints were compared.
    pub fn compared(&self) -> Option<Statistics> {
        match self {
            Self::Measured(found) => Some(*found),
            Self::Mismatch | Self::NotOpened(_) => None,
        }
    }
}

/// What follows from an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As honest answers are.
    Pass,
    /// Not as honest answers are, but for one in a thousand.
    Fail,
    /// Nothing follows: this pair of machines has not been calibrated, or nothing could be compared.
    Inconclusive,
}

/// Why somebody audits an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AuditMode {
    /// The draw fell on the answer and on the auditor. Prompt and answer stay between the parties.
    Drawn,
    /// The auditor had asked the question itself, in order to audit: everything is shown.
    Canary,
    /// The auditor was drawn into the jury over an accusation.
    Jury(#[cfg_attr(feature = "ts", ts(type = "Uint8Array"))] ActionHash),
    /// The auditor was drawn into the second jury, over a conviction.
    Appeal(#[cfg_attr(feature = "ts", ts(type = "Uint8Array"))] ActionHash),
}

impl AuditMode {
    /// What the auditor was drawn to judge again: an accusation or a conviction. None outside juries.
    pub fn case(&self) -> Option<&ActionHash> {
        match self {
            Self::Jury(case) | Self::Appeal(case) => Some(case),
            Self::Drawn | Self::Canary => None,
        }
    }
}

/// An auditor's promise, before it is shown the provider's fingerprint: which answer, and what its own replay gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AuditCommit {
    /// The author's capability, which lists the auditor's role and what computes.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub capability: ActionHash,
    /// What is audited.
    pub receipt: SignedReceipt,
    /// Where the receipt stands.
    pub proof: BatchProof,
    /// The requester's secret behind the receipt's challenge.
    pub secret: Bytes32,
    /// Why this auditor audits this answer.
    pub mode: AuditMode,
    /// The latest report about this provider that the author knows: evidence is added to it. None for the first, and in juries.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array | null"))]
    pub previous: Option<ActionHash>,
    /// Root over the author's replay (`verify::audit::leaf::replay`).
    pub replay: Bytes32,
}
crate::entries::entry!(AuditCommit);

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AuditReport {
    /// The author's commitment to its replay.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub commit: ActionHash,
    /// The calibration of this pair of machines; none if there is none.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array | null"))]
    pub calibration: Option<ActionHash>,
    /// What became of the replay.
    pub outcome: Outcome,
    /// What follows from the outcome.
    pub verdict: Verdict,
    /// How much more likely the outcome is from a cheat, in 256ths of a nat.
    pub llr: i16,
    /// The evidence against the provider, with this report. Empty in juries.
    pub standing: Standing,
    /// Everything that was looked at: in canaries, and only there.
    pub evidence: Option<Evidence>,
}
crate::entries::entry!(AuditReport);

/// Evidence against a provider, added up. See `verify::audit::evidence`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Standing {
    /// In 256ths of a nat.
    pub score: u32,
    /// What each auditor has added since the score was last nothing, in the order in which they first did.
    pub shares: Vec<Share>,
}

/// What one auditor has added to a provider's score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Share {
    /// Who.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub auditor: AgentPubKey,
    /// In 256ths of a nat.
    pub llr: u32,
}

/// Everything that was looked at in a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Evidence {
    /// The question.
    pub input: ChatInput,
    /// Salt of the commitments to question and answer.
    pub salt: Bytes32,
    /// The answer's tokens.
    pub tokens: Vec<u32>,
    /// The answer's text.
    pub text: String,
    /// What the provider opened: all leaves of its fingerprint. Empty if it did not open what it signed.
    pub opened: Vec<OpenedLeaf>,
    /// The auditor's replay: all leaves.
    pub replay: Vec<ReplayLeaf>,
}

/// One leaf of a fingerprint: a window of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct OpenedLeaf {
    /// Salt of this leaf.
    pub salt: Bytes32,
    /// Tokens of the window.
    pub tokens: Vec<u32>,
    /// Encoded positions (`verify::audit::fingerprint`).
    #[serde(with = "serde_bytes")]
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub body: Vec<u8>,
}

/// One leaf of a replay: a window of the answer, as the auditor's model saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ReplayLeaf {
    /// Its own fingerprint of the window.
    pub leaf: OpenedLeaf,
    /// For each token, how far it was from being drawn: the clipped Gumbel margin, in 1024ths of a nat.
    pub margins: Vec<u16>,
    /// A bit for each token, lowest first: whether it was nowhere near the likely ones.
    pub impossible: u32,
}

/// How honest machines differ: one kind of machine checks another on one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
pub struct Calibration {
    /// The model.
    pub spec: SpecRef,
    /// Class of machine that answers (`verify::audit::calibration::class`).
    pub prover: String,
    /// Class of machine that replays.
    pub verifier: String,
    /// The longest, hottest and most strongly penalised answers that it speaks of.
    pub scope: CalibrationScope,
    /// SHA-256 of the measurements.
    pub data: Bytes32,
    /// By length of the answer, shortest first. Lengths before the first are not calibrated.
    pub rows: Vec<CalibrationRow>,
}
crate::entries::entry!(Calibration);

/// How long an answer is, how hot and how strongly penalised; of a calibration, at most (`verify::audit::scope`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationScope {
    /// Tokens that are judged together.
    pub tokens: u32,
    /// Temperature, in thousandths.
    pub temperature_milli: u32,
    /// What a penalty on repetition multiplies or divides logits by, in thousandths: 1,000 for none.
    pub repetition_milli: u32,
}

/// Answers from this length on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationRow {
    /// Fewest tokens.
    pub tokens_from: u32,
    /// One for each statistic, in the order of `verify::audit::calibration::Statistic`.
    pub tables: Vec<CalibrationTable>,
}

/// One statistic, cut into bins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationTable {
    /// Where bins after the first begin, rising.
    pub cuts: Vec<u32>,
    /// Honest answers in each bin.
    pub honest: Vec<u32>,
    /// How much more likely each bin is from a cheat, in 256ths of a nat; never falling.
    pub llr: Vec<i16>,
    /// The first bin that fails; the number of bins if none does.
    pub fail_bin: u32,
}

/// The evidence against a provider has crossed the bound: a jury is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Accusation {
    /// Who is accused.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub provider: AgentPubKey,
    /// The report with which the bound was crossed, and those before it, each the one that the former built on.
    #[cfg_attr(feature = "ts", ts(type = "Array<Uint8Array>"))]
    pub reports: Vec<ActionHash>,
}
crate::entries::entry!(Accusation);

/// A jury has confirmed an accusation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Conviction {
    /// What was confirmed.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub accusation: ActionHash,
    /// Failing reports by different jurors.
    #[cfg_attr(feature = "ts", ts(type = "Array<Uint8Array>"))]
    pub confirmations: Vec<ActionHash>,
}
crate::entries::entry!(Conviction);

/// The convicted wants another jury to look. There is one for each accusation, however often somebody asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Appeal {
    /// The conviction of this entry's author.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub conviction: ActionHash,
}
crate::entries::entry!(Appeal);

/// Two receipts by one provider for one question, of answers that ended within `limits::EQUIVOCATION_APART_US_MAX`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Equivocation {
    /// One.
    pub first: SignedReceipt,
    /// The other; its canonical bytes come after the first's.
    pub second: SignedReceipt,
}
crate::entries::entry!(Equivocation);
