//! What a conversation's key signs when it asks: that this question, by this id, is meant for this model spec, and what its receipt
//! shall say of a later audit.
//!
//! Making and checking the signature is for those who hold keys; here are only the bytes.

use crate::canonical::Encoder;
use ainonymous_types::{AuditTerms, Bytes32, EntryHash, RequestId};

/// The bytes that the session key signs. `commitment` is [`crate::commit::input`] of the question.
pub fn canonical(
    id: &RequestId,
    spec: &EntryHash,
    commitment: &Bytes32,
    session_key: &Bytes32,
    audit: &AuditTerms,
) -> Vec<u8> {
    let AuditTerms { challenge, rate_ppm, auditors_ppm } = audit;
    Encoder::bytes("ainonymous/ask/v2")
        .raw(&id.0)
        .holo(spec)
        .bytes32(commitment)
        .bytes32(session_key)
        .bytes32(challenge)
        .u32(*rate_ppm)
        .u32(*auditors_ppm)
        .finish()
}
