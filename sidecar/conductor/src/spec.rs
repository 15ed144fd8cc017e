//! The identity that the network gives to a model spec: the hash of its entry, computed here without a conductor.

use ainonymous_types::{EntryHash, ModelSpec};
use holochain_serialized_bytes::SerializedBytes;
use holochain_types::prelude::{AppEntryBytes, Entry, EntryHashed};

/// The entry hash of a model spec, as the network computes it; none if it is larger than an entry can be.
pub fn spec_entry(model: &ModelSpec) -> Option<EntryHash> {
    let bytes = SerializedBytes::try_from(model.clone()).ok()?;
    let entry = Entry::App(AppEntryBytes::try_from(bytes).ok()?);
    Some(EntryHashed::from_content_sync(entry).hash)
}
