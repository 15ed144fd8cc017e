//! A receipt as bytes: what its provider signs, and the leaf that stands for it in a batch.

use crate::canonical::Encoder;
use crate::{merkle, signature, Breach};
use ainonymous_types::{AuditTerms, BatchProof, Bytes32, FinishReason, Receipt, ReceiptBatch, SignedReceipt};

/// The bytes that the provider's agent key signs.
pub fn canonical(receipt: &Receipt) -> Vec<u8> {
    let Receipt {
        provider,
        spec,
        session_key,
        input,
        output,
        fingerprint,
        prompt_tokens,
        completion_tokens,
        finish,
        finished_at,
        audit: AuditTerms { challenge, rate_ppm, auditors_ppm },
    } = receipt;
    let finish = match finish {
        FinishReason::Stop => 0,
        FinishReason::Length => 1,
        FinishReason::Cancelled => 2,
    };
    Encoder::bytes("ainonymous/receipt/v2")
        .holo(provider)
        .holo(spec)
        .bytes32(session_key)
        .bytes32(input)
        .bytes32(output)
        .bytes32(fingerprint)
        .u32(*prompt_tokens)
        .u32(*completion_tokens)
        .u8(finish)
        .i64(*finished_at)
        .bytes32(challenge)
        .u32(*rate_ppm)
        .u32(*auditors_ppm)
        .finish()
}

/// What a receipt answers: the question under its salt, by one session key, with one challenge. Not the id that it was asked by, which
/// whoever asks can change: two receipts with the same are for one question, and no honest asker asks one provider for two.
pub fn question(session_key: &Bytes32, input: &Bytes32, challenge: &Bytes32) -> Bytes32 {
    Encoder::hash("ainonymous/question/v1").bytes32(session_key).bytes32(input).bytes32(challenge).finish()
}

/// The leaf of a batch's tree: over the receipt and its signature, so that a batch binds its author to both.
pub fn leaf(signed: &SignedReceipt) -> Bytes32 {
    Encoder::hash("ainonymous/receipt-leaf/v1").raw(&canonical(&signed.receipt)).raw(&signed.signature.0).finish()
}

/// Whether the provider that the receipt names has signed it.
pub fn is_signed(signed: &SignedReceipt) -> bool {
    signature::is_good(&signature::key_of(&signed.receipt.provider), &canonical(&signed.receipt), &signed.signature)
}

/// Whether the receipt stands in the batch where the proof says.
///
/// Checks spec, count and path. That `batch` is the entry at `proof.batch`, by the receipt's provider, and that the
/// signature is good, is for those who can fetch and verify.
pub fn in_batch(signed: &SignedReceipt, proof: &BatchProof, batch: &ReceiptBatch) -> Result<(), Breach> {
    if signed.receipt.spec != batch.spec.entry {
        return Err(Breach::HashMismatch { what: "receipt.spec" });
    }
    merkle::verify_path(&batch.root, &leaf(signed), u64::from(proof.index), u64::from(batch.count), &proof.path)
}
