//! The integrity zome: which entries and links there are, and the way from an operation to its verdict.
//!
//! Frozen and small on purpose: its bytes are the network's identity. It decodes, it fetches, it asks
//! `ainonymous_verify::judge`; it must hold no rule of its own.

#![allow(missing_docs)] // Holochain's macros write items that carry no documentation.

use ainonymous_types::{
    Accusation, Answer, Appeal, AuditCommit, AuditReport, Calibration, Capability, Conviction, Equivocation, ModelSpec,
    ReceiptBatch, Request, Revocation,
};
use ainonymous_verify::rules::{AppEntry, LinkKind};
use hdi::prelude::*;

mod network;
mod records;
#[cfg(feature = "externs")]
mod validate;

pub use network::network;
pub use records::known;

/// Entries, in the order of [`ainonymous_verify::rules::Kind`].
#[cfg_attr(feature = "externs", hdk_entry_types)]
#[cfg_attr(not(feature = "externs"), hdk_entry_types(skip_hdk_extern = true))]
#[unit_enum(UnitEntryTypes)]
pub enum EntryTypes {
    ModelSpec(ModelSpec),
    Capability(Capability),
    Request(Request),
    Answer(Answer),
    ReceiptBatch(ReceiptBatch),
    Revocation(Revocation),
    Calibration(Calibration),
    AuditCommit(AuditCommit),
    AuditReport(AuditReport),
    Accusation(Accusation),
    Conviction(Conviction),
    Equivocation(Equivocation),
    Appeal(Appeal),
}

/// Links, in the order of [`LinkKind`]. All lead to actions; those from buckets carry their depth as a tag.
#[cfg_attr(feature = "externs", hdk_link_types)]
#[cfg_attr(not(feature = "externs"), hdk_link_types(skip_no_mangle = true))]
pub enum LinkTypes {
    AllModelSpecs,
    BucketToProvider,
    BucketToRouter,
    AgentToCapability,
    AssigneeToRequest,
    RequestToAnswer,
    AllRevocations,
    SpecToCalibration,
    ReceiptToAudit,
    ProviderToReport,
    ProviderToAccusation,
    AccusationToReport,
    ProviderToConviction,
    ProviderToEquivocation,
    ProviderToAppeal,
    ConvictionToReport,
}

impl From<EntryTypes> for AppEntry {
    fn from(entry: EntryTypes) -> Self {
        match entry {
            EntryTypes::ModelSpec(e) => Self::ModelSpec(e),
            EntryTypes::Capability(e) => Self::Capability(e),
            EntryTypes::Request(e) => Self::Request(e),
            EntryTypes::Answer(e) => Self::Answer(e),
            EntryTypes::ReceiptBatch(e) => Self::ReceiptBatch(e),
            EntryTypes::Revocation(e) => Self::Revocation(e),
            EntryTypes::Calibration(e) => Self::Calibration(e),
            EntryTypes::AuditCommit(e) => Self::AuditCommit(e),
            EntryTypes::AuditReport(e) => Self::AuditReport(e),
            EntryTypes::Accusation(e) => Self::Accusation(e),
            EntryTypes::Conviction(e) => Self::Conviction(e),
            EntryTypes::Equivocation(e) => Self::Equivocation(e),
            EntryTypes::Appeal(e) => Self::Appeal(e),
        }
    }
}

impl From<LinkTypes> for LinkKind {
    fn from(link: LinkTypes) -> Self {
        match link {
            LinkTypes::AllModelSpecs => Self::AllModelSpecs,
            LinkTypes::BucketToProvider => Self::BucketToProvider,
            LinkTypes::BucketToRouter => Self::BucketToRouter,
            LinkTypes::AgentToCapability => Self::AgentToCapability,
            LinkTypes::AssigneeToRequest => Self::AssigneeToRequest,
            LinkTypes::RequestToAnswer => Self::RequestToAnswer,
            LinkTypes::AllRevocations => Self::AllRevocations,
            LinkTypes::SpecToCalibration => Self::SpecToCalibration,
            LinkTypes::ReceiptToAudit => Self::ReceiptToAudit,
            LinkTypes::ProviderToReport => Self::ProviderToReport,
            LinkTypes::ProviderToAccusation => Self::ProviderToAccusation,
            LinkTypes::AccusationToReport => Self::AccusationToReport,
            LinkTypes::ProviderToConviction => Self::ProviderToConviction,
            LinkTypes::ProviderToEquivocation => Self::ProviderToEquivocation,
            LinkTypes::ProviderToAppeal => Self::ProviderToAppeal,
            LinkTypes::ConvictionToReport => Self::ConvictionToReport,
        }
    }
}

/// Holochain asks whether an operation is valid.
#[cfg(feature = "externs")]
#[hdk_extern]
pub fn validate(op: Op) -> ExternResult<ValidateCallbackResult> {
    validate::verdict(&op)
}

/// Holochain asks, before anything is published, whether this agent may join.
#[cfg(feature = "externs")]
#[hdk_extern]
pub fn genesis_self_check(data: GenesisSelfCheckData) -> ExternResult<ValidateCallbackResult> {
    validate::admission(&data)
}
