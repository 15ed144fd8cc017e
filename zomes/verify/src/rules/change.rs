//! The rules for updates, deletions and encodings: only a capability ever changes, and only by its author.

use super::{Content, Kind, Known};
use crate::Breach;
use ainonymous_types::AgentPubKey;

/// An update: of the author's own capability, by a capability.
pub fn update(kind: Kind, author: &AgentPubKey, original: &Known) -> Result<(), Breach> {
    if kind != Kind::Capability {
        return Err(Breach::Immutable { what: kind.name() });
    }
    if original.capability().is_none() {
        return Err(Breach::WrongReference { what: "the update", expected: "capability" });
    }
    (original.author == *author).then_some(()).ok_or(Breach::NotAuthor { what: "the original" })
}

/// A deletion: of the author's own capability, or of a grant of Holochain's own.
pub fn delete(author: &AgentPubKey, original: &Known) -> Result<(), Breach> {
    match &original.content {
        Content::App(_, entry) if entry.kind() != Kind::Capability => {
            return Err(Breach::Undeletable { what: entry.kind().name() })
        }
        Content::Other => return Err(Breach::Undeletable { what: "record of this kind" }),
        Content::App(..) | Content::Grant => {}
    }
    (original.author == *author).then_some(()).ok_or(Breach::NotAuthor { what: "the original" })
}

/// An entry's bytes are exactly those that its content encodes to: one content, one hash, and no room for stowaways.
pub fn entry_encoding(bytes: &[u8], encoded_again: &[u8]) -> Result<(), Breach> {
    (bytes == encoded_again).then_some(()).ok_or(Breach::NotCanonical { what: "the entry" })
}
