//! Records of the DHT in the shape that the rules look at.

use crate::EntryTypes;
use ainonymous_verify::rules::{AppEntry, Content, Known};
use hdi::prelude::{
    Action, AgentPubKey, Entry, EntryDefIndex, EntryType, EntryTypesHelper, ExternResult, Record, ZomeIndex,
};

/// A record in the shape that the rules look at.
pub fn known(record: &Record) -> ExternResult<Known> {
    let action = record.action();
    let (Some(EntryType::App(def)), Some(hash), Some(entry)) =
        (action.entry_type(), action.entry_hash(), record.entry().as_option())
    else {
        return without_entry(action);
    };
    let content = match decode(def.zome_index, def.entry_index, entry)? {
        Some(decoded) => Content::App(hash.clone(), decoded),
        None => Content::Other,
    };
    Ok(Known { author: author(action), content })
}

fn decode(zome: ZomeIndex, index: EntryDefIndex, entry: &Entry) -> ExternResult<Option<AppEntry>> {
    Ok(EntryTypes::deserialize_from_type(zome, index, entry)?.map(AppEntry::from))
}

pub(crate) fn without_entry(action: &Action) -> ExternResult<Known> {
    let content = match action.entry_type() {
        Some(EntryType::CapGrant | EntryType::CapClaim) => Content::Grant,
        _ => Content::Other,
    };
    Ok(Known { author: author(action), content })
}

fn author(action: &Action) -> AgentPubKey {
    action.author().clone()
}
