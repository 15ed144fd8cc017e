//! Ed25519 signatures over canonical bytes. Checked here rather than by the host, so that the verdict is the same in
//! every build for ever.

use ainonymous_types::{AgentPubKey, Bytes32, Bytes64};
use ed25519_dalek::{Signature, VerifyingKey};

/// Whether a signature is by this key over these bytes. Weak keys and other spellings of a signature are refused.
pub fn is_good(key: &Bytes32, bytes: &[u8], signature: &Bytes64) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&key.0) else { return false };
    key.verify_strict(bytes, &Signature::from_bytes(&signature.0)).is_ok()
}

/// The Ed25519 key of an agent.
pub fn key_of(agent: &AgentPubKey) -> Bytes32 {
    let mut key = Bytes32([0; 32]);
    key.0.copy_from_slice(agent.get_raw_32());
    key
}
