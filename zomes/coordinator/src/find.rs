//! Finding things on the DHT: anchors, links, valid records.

use ainonymous_types::{AgentPubKey, AnyLinkableHash, Capability, EntryHash};
use ainonymous_verify::rules::{Anchor, Known};
use ainonymous_verify::Breach;
use hdk::prelude::*;
use inference_integrity::{known, LinkTypes};

pub(crate) fn me() -> ExternResult<AgentPubKey> {
    Ok(agent_info()?.agent_initial_pubkey)
}

pub(crate) fn anchor(anchor: Anchor) -> ExternResult<EntryHash> {
    Path::from(anchor.path()).path_entry_hash()
}

/// Links of one kind, oldest first. They are hints: anybody may have drawn them.
pub(crate) fn links(base: impl Into<AnyLinkableHash>, kind: LinkTypes) -> ExternResult<Vec<Link>> {
    let mut links = get_links(LinkQuery::try_new(base.into(), kind)?, GetStrategy::Network)?;
    links.sort_by(|a, b| (a.timestamp, &a.create_link_hash).cmp(&(b.timestamp, &b.create_link_hash)));
    Ok(links)
}

/// Links of one kind that this agent drew.
pub(crate) fn own_links(base: impl Into<AnyLinkableHash>, kind: LinkTypes) -> ExternResult<Vec<Link>> {
    let me = me()?;
    Ok(links(base, kind)?.into_iter().filter(|link| link.author == me).collect())
}

/// The record at an action, if it is there and held valid.
pub(crate) fn valid(action: &ActionHash) -> Option<Record> {
    must_get_valid_record(action.clone()).ok()
}

/// The same, in the shape that rules look at.
pub(crate) fn valid_known(action: &ActionHash) -> ExternResult<Option<Known>> {
    valid(action).map(|record| known(&record)).transpose()
}

/// The capability at an action and its author, or why not.
pub(crate) fn capability(action: &ActionHash) -> ExternResult<(AgentPubKey, Capability)> {
    let wrong = || refuse(Breach::WrongReference { what: "capability", expected: "capability" });
    let known = valid_known(action)?.ok_or_else(wrong)?;
    let (_, capability) = known.capability().ok_or_else(wrong)?;
    Ok((known.author.clone(), capability.clone()))
}

/// A breach as the caller of a function gets it: its code, then its text.
pub(crate) fn refuse(breach: Breach) -> WasmError {
    wasm_error!(WasmErrorInner::Guest(format!("{}: {breach}", breach.code())))
}
