//! A coordinator for tests alone: it commits, links, updates, deletes and says what no honest node would, so that tests
//! can see what the network does about it; and it runs the golden vectors inside a conductor's wasm.
//!
//! It is never part of the packed app. Coordinators do not count towards the network's identity, so a node that has
//! this one installed is on the same network as all others.

#![allow(missing_docs)] // Holochain's macros write items that carry no documentation.

pub mod payload;
mod timing;

use ainonymous_types::ActionHash;
use hdk::prelude::*;
use inference_integrity::{EntryTypes, LinkTypes, UnitEntryTypes};
use payload::{Act, AnyEntry, RawCall, RawEntry, RawLink, RawPayload, RawUpdate, VectorReport};
use payload::{Timed, TimedReport};

/// Does all of that in one commit.
#[hdk_extern]
pub fn act(acts: Vec<Act>) -> ExternResult<Vec<ActionHash>> {
    acts.into_iter().map(one).collect()
}

fn one(act: Act) -> ExternResult<ActionHash> {
    match act {
        Act::Bytes(RawEntry { entry_type, bytes }) => {
            let ScopedEntryDefIndex { zome_index, .. } = UnitEntryTypes::ModelSpec.try_into()?;
            let location = EntryDefLocation::app(zome_index, EntryDefIndex(entry_type));
            create(CreateInput::new(location, EntryVisibility::Public, app(bytes), ChainTopOrdering::default()))
        }
        Act::Entry(entry) => create_entry(match entry {
            AnyEntry::ModelSpec(e) => EntryTypes::ModelSpec(e),
            AnyEntry::Capability(e) => EntryTypes::Capability(e),
            AnyEntry::Request(e) => EntryTypes::Request(e),
            AnyEntry::Answer(e) => EntryTypes::Answer(e),
            AnyEntry::ReceiptBatch(e) => EntryTypes::ReceiptBatch(e),
            AnyEntry::Revocation(e) => EntryTypes::Revocation(e),
        }),
        Act::Update(RawUpdate { original, bytes }) => {
            update(UpdateInput::new(original, app(bytes), ChainTopOrdering::default()))
        }
        Act::Delete(original) => delete_entry(original),
        Act::Link(RawLink { base, target, link_type, tag }) => {
            let ScopedLinkType { zome_index, .. } = LinkTypes::AllModelSpecs.try_into()?;
            let (kind, tag, order) = (LinkType(link_type), LinkTag(tag), ChainTopOrdering::default());
            HDK.with(|h| h.borrow().create_link(CreateLinkInput::new(base, target, zome_index, kind, tag, order)))
        }
        Act::Unlink(link) => delete_link(link, GetOptions::network()),
    }
}

/// Calls any function of a peer and says what came of it.
#[hdk_extern]
pub fn call_raw(call: RawCall) -> ExternResult<String> {
    let RawCall { to, zome, function, payload } = call;
    let (zome, function) = (ZomeName::from(zome), FunctionName::from(function));
    let response = match payload {
        RawPayload::Bytes(bytes) => call_remote(to, zome, function, None, ExternIO(bytes))?,
        RawPayload::Number(number) => call_remote(to, zome, function, None, number)?,
    };
    Ok(format!("{response:?}"))
}

/// Whether a record is there and held valid.
#[hdk_extern]
pub fn is_valid(action: ActionHash) -> ExternResult<bool> {
    Ok(must_get_valid_record(action).is_ok())
}

/// The hash of an anchor, by its path.
#[hdk_extern]
pub fn anchor_hash(path: String) -> ExternResult<EntryHash> {
    Path::from(path).path_entry_hash()
}

/// The newest link from an agent to its capability, if there is one.
#[hdk_extern]
pub fn link_of(agent: AgentPubKey) -> ExternResult<Option<ActionHash>> {
    let links = get_links(LinkQuery::try_new(agent, LinkTypes::AgentToCapability)?, GetStrategy::Network)?;
    Ok(links.into_iter().max_by_key(|link| link.timestamp).map(|link| link.create_link_hash))
}

/// Judges a report as validation does, with a clock beside it: decoded, judged, and its encoding compared.
#[hdk_extern]
pub fn time_report(timed: TimedReport) -> ExternResult<Timed> {
    timing::run(&timed)
}

/// Runs a file of golden vectors in wasm.
#[hdk_extern]
pub fn check_vectors(json: String) -> ExternResult<VectorReport> {
    let report = ainonymous_verify::vectors::check(&json).map_err(|e| wasm_error!(WasmErrorInner::Guest(e)))?;
    Ok(VectorReport { passed: report.passed, failed: report.failed })
}

fn app(bytes: Vec<u8>) -> Entry {
    Entry::App(AppEntryBytes(SerializedBytes::from(UnsafeBytes::from(bytes))))
}
