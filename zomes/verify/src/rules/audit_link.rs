//! The rules for links to what audits say: from the model, the receipt, the provider or the accusation that it is about, and drawn by
//! whoever wrote it.
//!
//! A link makes something findable and says nothing more: what counts is the entry that it leads to, which is valid by itself.

use super::link::{is, own, starts_at, LinkKind};
use super::{AppEntry, Content, Known};
use crate::{receipt, Breach};
use ainonymous_types::{AgentPubKey, AnyLinkableHash, AuditMode, Bytes32, EntryHash};

/// The text of the Holochain path from which everything is linked that is about a receipt, by the receipt's leaf.
pub fn receipt_path(leaf: &Bytes32) -> String {
    format!("audited.{leaf}")
}

/// The record beside the target that such a link is judged by: a report's commitment, a conviction's accusation. None for all others.
pub fn beside(target: &Known) -> Option<&ainonymous_types::ActionHash> {
    match &target.content {
        Content::App(_, AppEntry::AuditReport(report)) => Some(&report.commit),
        Content::App(_, AppEntry::Conviction(conviction)) => Some(&conviction.accusation),
        _ => None,
    }
}

/// The leaves of the receipts that the target is about, by its commitment if it is a report.
pub fn receipts_of(target: &Known, beside: Option<&Known>) -> Result<Vec<Bytes32>, Breach> {
    let expected = "a commitment, a report or an equivocation";
    match &target.content {
        Content::App(_, AppEntry::AuditCommit(commit)) => Ok(vec![receipt::leaf(&commit.receipt)]),
        Content::App(_, AppEntry::AuditReport(_)) => {
            let (_, commit) = beside.and_then(Known::audit_commit).ok_or(MISSING_COMMIT)?;
            Ok(vec![receipt::leaf(&commit.receipt)])
        }
        Content::App(_, AppEntry::Equivocation(pair)) => {
            Ok(vec![receipt::leaf(&pair.first), receipt::leaf(&pair.second)])
        }
        _ => Err(Breach::LinkTarget { link: LinkKind::ReceiptToAudit.name(), expected }),
    }
}

const MISSING_COMMIT: Breach = Breach::WrongReference { what: "commit", expected: "audit commitment" };

/// A model spec → the author's own calibration of it.
pub fn spec_to_calibration(author: &AgentPubKey, base: &AnyLinkableHash, target: &Known) -> Result<(), Breach> {
    let link = LinkKind::SpecToCalibration.name();
    let (_, table) = target.calibration().ok_or(Breach::LinkTarget { link, expected: "a calibration" })?;
    starts_at(link, base, &table.spec.entry, "the calibrated model spec")?;
    own(author, target)
}

/// A receipt → what its author says of it: `places` are those of the receipts that the target is about.
pub fn receipt_to_audit(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    places: &[EntryHash],
    target: &Known,
) -> Result<(), Breach> {
    let (link, expected) = (LinkKind::ReceiptToAudit.name(), "the place of a receipt that the target is about");
    places.iter().any(|place| is(base, place)).then_some(()).ok_or(Breach::LinkBase { link, expected })?;
    own(author, target)
}

/// A provider → the author's own report about one of its answers, but for those of juries.
pub fn provider_to_report(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    target: &Known,
    beside: Option<&Known>,
) -> Result<(), Breach> {
    let link = LinkKind::ProviderToReport.name();
    target.audit_report().ok_or(Breach::LinkTarget { link, expected: "an audit report" })?;
    let (_, commit) = beside.and_then(Known::audit_commit).ok_or(MISSING_COMMIT)?;
    if commit.mode.case().is_some() {
        return Err(Breach::LinkTarget { link, expected: "a report outside juries" });
    }
    starts_at(link, base, &commit.receipt.receipt.provider, "the audited provider")?;
    own(author, target)
}

/// A provider → the author's own accusation of it.
pub fn provider_to_accusation(author: &AgentPubKey, base: &AnyLinkableHash, target: &Known) -> Result<(), Breach> {
    let link = LinkKind::ProviderToAccusation.name();
    let (_, accusation) = target.accusation().ok_or(Breach::LinkTarget { link, expected: "an accusation" })?;
    starts_at(link, base, &accusation.provider, "the accused provider")?;
    own(author, target)
}

/// An accusation → the author's own report in the jury over it.
pub fn accusation_to_report(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    target: &Known,
    beside: Option<&Known>,
) -> Result<(), Breach> {
    let link = LinkKind::AccusationToReport.name();
    target.audit_report().ok_or(Breach::LinkTarget { link, expected: "an audit report" })?;
    let (_, commit) = beside.and_then(Known::audit_commit).ok_or(MISSING_COMMIT)?;
    let AuditMode::Jury(accusation) = &commit.mode else {
        return Err(Breach::LinkTarget { link, expected: "a report of a jury" });
    };
    starts_at(link, base, accusation, "the accusation that the jury is about")?;
    own(author, target)
}

/// A conviction → the author's own report in the second jury.
pub fn conviction_to_report(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    target: &Known,
    beside: Option<&Known>,
) -> Result<(), Breach> {
    let link = LinkKind::ConvictionToReport.name();
    target.audit_report().ok_or(Breach::LinkTarget { link, expected: "an audit report" })?;
    let (_, commit) = beside.and_then(Known::audit_commit).ok_or(MISSING_COMMIT)?;
    let AuditMode::Appeal(conviction) = &commit.mode else {
        return Err(Breach::LinkTarget { link, expected: "a report of a second jury" });
    };
    starts_at(link, base, conviction, "the conviction that the jury is about")?;
    own(author, target)
}

/// A provider → its own appeal.
pub fn provider_to_appeal(author: &AgentPubKey, base: &AnyLinkableHash, target: &Known) -> Result<(), Breach> {
    let link = LinkKind::ProviderToAppeal.name();
    target.appeal().ok_or(Breach::LinkTarget { link, expected: "an appeal" })?;
    starts_at(link, base, author, "the link's author")?;
    own(author, target)
}

/// A provider → the author's own entry that says it is convicted.
pub fn provider_to_conviction(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    target: &Known,
    beside: Option<&Known>,
) -> Result<(), Breach> {
    let link = LinkKind::ProviderToConviction.name();
    target.conviction().ok_or(Breach::LinkTarget { link, expected: "a conviction" })?;
    let wrong = Breach::WrongReference { what: "accusation", expected: "accusation" };
    let (_, accusation) = beside.and_then(Known::accusation).ok_or(wrong)?;
    starts_at(link, base, &accusation.provider, "the convicted provider")?;
    own(author, target)
}

/// A provider → the author's own proof that it signed two receipts for one question.
pub fn provider_to_equivocation(author: &AgentPubKey, base: &AnyLinkableHash, target: &Known) -> Result<(), Breach> {
    let link = LinkKind::ProviderToEquivocation.name();
    let (_, pair) = target.equivocation().ok_or(Breach::LinkTarget { link, expected: "an equivocation" })?;
    starts_at(link, base, &pair.first.receipt.provider, "the provider who signed both")?;
    own(author, target)
}
