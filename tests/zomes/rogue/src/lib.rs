//! A coordinator for tests alone: it commits, links, updates, deletes and says what no honest node would, so that tests
//! can see what the network does about it; and it runs the golden vectors inside a conductor's wasm.
//!
//! It is never part of the packed app. Coordinators do not count towards the network's identity, so a node that has
//! this one installed is on the same network as all others.

#![allow(missing_docs)] // Holochain's macros write items that carry no documentation.

pub mod payload;

use ainonymous_types::ActionHash;
use hdk::prelude::*;
use inference_integrity::{EntryTypes, LinkTypes, UnitEntryTypes};
use payload::{AnyEntry, RawCall, RawEntry, RawLink, RawPayload, RawUpdate, VectorReport};

/// Commits any bytes as an entry of any type.
#[hdk_extern]
pub fn commit_raw(raw: RawEntry) -> ExternResult<ActionHash> {
    let ScopedEntryDefIndex { zome_index, .. } = UnitEntryTypes::ModelSpec.try_into()?;
    let location = EntryDefLocation::app(zome_index, EntryDefIndex(raw.entry_type));
    create(CreateInput::new(location, EntryVisibility::Public, app(raw.bytes), ChainTopOrdering::default()))
}

/// Commits an entry without asking whether it is good.
#[hdk_extern]
pub fn commit_entry(entry: AnyEntry) -> ExternResult<ActionHash> {
    create_entry(match entry {
        AnyEntry::ModelSpec(e) => EntryTypes::ModelSpec(e),
        AnyEntry::Capability(e) => EntryTypes::Capability(e),
        AnyEntry::Request(e) => EntryTypes::Request(e),
        AnyEntry::Answer(e) => EntryTypes::Answer(e),
        AnyEntry::ReceiptBatch(e) => EntryTypes::ReceiptBatch(e),
    })
}

/// Updates anything.
#[hdk_extern]
pub fn update_raw(raw: RawUpdate) -> ExternResult<ActionHash> {
    update(UpdateInput::new(raw.original, app(raw.bytes), ChainTopOrdering::default()))
}

/// Deletes anything.
#[hdk_extern]
pub fn delete_raw(original: ActionHash) -> ExternResult<ActionHash> {
    delete_entry(original)
}

/// Links anything to anything.
#[hdk_extern]
pub fn create_link_raw(raw: RawLink) -> ExternResult<ActionHash> {
    let ScopedLinkType { zome_index, .. } = LinkTypes::AllModelSpecs.try_into()?;
    HDK.with(|h| {
        h.borrow().create_link(CreateLinkInput::new(
            raw.base,
            raw.target,
            zome_index,
            LinkType(raw.link_type),
            LinkTag(raw.tag),
            ChainTopOrdering::default(),
        ))
    })
}

/// Removes any link.
#[hdk_extern]
pub fn delete_link_raw(link: ActionHash) -> ExternResult<ActionHash> {
    delete_link(link, GetOptions::network())
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

/// A record as `get` gives it: also if it is not valid.
#[hdk_extern]
pub fn get_any(action: ActionHash) -> ExternResult<Option<Record>> {
    get(action, GetOptions::network())
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

/// Every record of this agent's chain, with its entries.
#[hdk_extern]
pub fn own_chain(_: ()) -> ExternResult<Vec<Record>> {
    query(ChainQueryFilter::new().include_entries(true))
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
