//! Ed25519 signatures over canonical bytes: by the session over a question, by the provider over a receipt.

use ainonymous_types::{
    AgentPubKey, AuditTerms, Bytes32, Bytes64, EntryHash, OpenGrant, RequestId, SignedReceipt, TimestampUs,
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key is not a point of the curve.
    #[error("the public key is not a valid Ed25519 key")]
    BadKey,
    /// The signature does not fit key and bytes.
    #[error("the signature does not fit")]
    DoesNotFit,
}

/// Signs a question with the key of its conversation, made from 32 secret random bytes. Returns public key and signature.
pub fn sign_ask(
    session_secret: &[u8; 32],
    id: &RequestId,
    spec: &EntryHash,
    commitment: &Bytes32,
    audit: &AuditTerms,
) -> (Bytes32, Bytes64) {
    let session = SigningKey::from_bytes(session_secret);
    let key = Bytes32(session.verifying_key().to_bytes());
    let bytes = ainonymous_verify::ask::canonical(id, spec, commitment, &key, audit);
    (key, Bytes64(session.sign(&bytes).to_bytes()))
}

/// Checks that a question is signed by its own session key; `commitment` is recomputed by the caller.
pub fn verify_ask(
    id: &RequestId,
    spec: &EntryHash,
    commitment: &Bytes32,
    session_key: &Bytes32,
    audit: &AuditTerms,
    signature: &Bytes64,
) -> Result<(), SignatureError> {
    verify(&session_key.0, &ainonymous_verify::ask::canonical(id, spec, commitment, session_key, audit), signature)
}

/// Lets the fingerprint of an answer be seen, by the conversation's key: by `auditor`, or by whoever holds the grant if that is none.
pub fn sign_grant(
    session_secret: &[u8; 32],
    secret: Bytes32,
    signed: &SignedReceipt,
    auditor: Option<AgentPubKey>,
    until: TimestampUs,
) -> OpenGrant {
    let bytes = ainonymous_verify::audit::grant::canonical(signed, auditor.as_ref(), until);
    let signature = Bytes64(SigningKey::from_bytes(session_secret).sign(&bytes).to_bytes());
    OpenGrant { secret, auditor, until, signature }
}

/// Checks that a receipt is signed by the provider that it names.
pub fn check_receipt_signature(signed: &SignedReceipt) -> Result<(), SignatureError> {
    let bytes = ainonymous_verify::receipt::canonical(&signed.receipt);
    verify(&agent_key(&signed.receipt.provider), &bytes, &signed.signature)
}

/// The Ed25519 key inside an agent's hash: its 32 core bytes.
fn agent_key(agent: &AgentPubKey) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(agent.get_raw_32());
    key
}

fn verify(key: &[u8; 32], bytes: &[u8], signature: &Bytes64) -> Result<(), SignatureError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| SignatureError::BadKey)?;
    key.verify_strict(bytes, &Signature::from_bytes(&signature.0)).map_err(|_| SignatureError::DoesNotFit)
}
