//! What a conversation's key signs when it asks: that this question, by this id, is meant for this model spec.
//!
//! Making and checking the signature is for those who hold keys; here are only the bytes.

use crate::canonical::Encoder;
use ainonymous_types::{Bytes32, EntryHash, RequestId};

/// The bytes that the session key signs. `commitment` is [`crate::commit::input`] of the question.
pub fn canonical(id: &RequestId, spec: &EntryHash, commitment: &Bytes32, session_key: &Bytes32) -> Vec<u8> {
    Encoder::bytes("ainonymous/ask/v1").raw(&id.0).holo(spec).bytes32(commitment).bytes32(session_key).finish()
}
