//! The bounds of what peers say to each other without writing it down.

use crate::rules::bounds::{at_most, bytes_at_most, range};
use crate::{chat, Breach};
use ainonymous_types::{
    limits, Ask, AuditTerms, BatchProof, ChunkMore, Done, PeerSignal, Receipt, SendSignal, SignedReceipt, TokenChunk,
    TokenLogprobs, ToolCallPiece,
};

/// Whether the encoded form of a signal is within its bound. To be asked before decoding.
pub fn encoded_bytes(len: usize) -> Result<(), Breach> {
    bytes_at_most("signal", len, limits::SIGNAL_BYTES_MAX)
}

/// Whether a signal is within its bounds.
pub fn bounds(signal: &PeerSignal) -> Result<(), Breach> {
    match signal {
        PeerSignal::Ask(Ask { id: _, spec: _, input, salt: _, session_key: _, audit, signature: _ }) => {
            audit_terms(audit)?;
            chat::bounds(input)
        }
        PeerSignal::Tokens(chunk) => token_chunk(chunk),
        PeerSignal::Done(done) => end(done),
        PeerSignal::Refused { id: _, reason: _, detail } => {
            bytes_at_most("detail", detail.len(), limits::DETAIL_BYTES_MAX)
        }
        PeerSignal::ReceiptPublished { id: _, proof } => batch_proof(proof),
        PeerSignal::Resend { id: _, from_chunk } => chunk_number("from_chunk", *from_chunk),
        PeerSignal::Accepted { .. }
        | PeerSignal::Cancel { .. }
        | PeerSignal::RequestPosted { .. }
        | PeerSignal::AnswerPosted { .. } => Ok(()),
    }
}

/// Whether a message may be sent: its own bounds and those of its recipients.
pub fn sending(send: &SendSignal) -> Result<(), Breach> {
    let SendSignal { to, signal } = send;
    if to.is_empty() {
        return Err(Breach::Empty { what: "to" });
    }
    at_most("to", to.len(), limits::SIGNAL_RECIPIENTS_MAX)?;
    bounds(signal)
}

/// Whether a receipt is within its bounds.
pub fn receipt(signed: &SignedReceipt) -> Result<(), Breach> {
    let Receipt { prompt_tokens, completion_tokens, finished_at, audit, .. } = &signed.receipt;
    range("prompt_tokens", (*prompt_tokens).into(), 0, limits::CONTEXT_TOKENS_MAX.into(), "tokens")?;
    range("completion_tokens", (*completion_tokens).into(), 0, limits::ANSWER_TOKENS_MAX.into(), "tokens")?;
    let finished_at = u64::try_from(*finished_at).unwrap_or(u64::MAX);
    range("finished_at", finished_at, 0, limits::TIMESTAMP_US_MAX, "microseconds")?;
    audit_terms(audit)
}

/// Whether what is said of a later audit is within its bounds.
pub fn audit_terms(audit: &AuditTerms) -> Result<(), Breach> {
    let AuditTerms { challenge: _, rate_ppm, auditors_ppm } = audit;
    range("audit.rate_ppm", (*rate_ppm).into(), 0, limits::PPM_MAX.into(), "millionths")?;
    range("audit.auditors_ppm", (*auditors_ppm).into(), 0, limits::PPM_MAX.into(), "millionths")
}

/// Whether a proof is within its bounds.
pub fn batch_proof(proof: &BatchProof) -> Result<(), Breach> {
    let BatchProof { batch: _, index, path } = proof;
    range("proof.index", (*index).into(), 0, u64::from(limits::BATCH_RECEIPTS_MAX) - 1, "(a leaf's position)")?;
    at_most("proof.path", path.len(), limits::MERKLE_PATH_MAX)
}

/// Whether what a part of an answer has besides text is within its bounds: `text_bytes` and `tokens` are those of the part.
fn chunk_more(more: &ChunkMore, text_bytes: usize, tokens: usize) -> Result<(), Breach> {
    let ChunkMore { reasoning, tool_calls, logprobs } = more;
    at_most("tool_calls", tool_calls.len(), limits::CHUNK_TOOL_CALLS_MAX)?;
    let called = tool_calls.iter().map(call_bytes).fold(reasoning.len(), usize::saturating_add);
    bytes_at_most("text", text_bytes.saturating_add(called), limits::CHUNK_TEXT_BYTES_MAX)?;
    if logprobs.is_empty() {
        return Ok(());
    }
    // One for each token, or none at all.
    range("logprobs", logprobs.len() as u64, tokens as u64, tokens as u64, "(one for each token)")?;
    let all = logprobs.iter().map(|one| one.top.len() + 1).fold(0, usize::saturating_add);
    at_most("logprobs", all, limits::CHUNK_LOGPROBS_MAX)?;
    for TokenLogprobs { chosen, top } in logprobs {
        at_most("logprobs.top", top.len(), limits::TOP_LOGPROBS_MAX as usize)?;
        for one in top.iter().chain([chosen]) {
            bytes_at_most("logprobs.text", one.text.len(), limits::TOKEN_TEXT_BYTES_MAX)?;
        }
    }
    Ok(())
}

/// What a piece of a tool call says, in bytes.
fn call_bytes(piece: &ToolCallPiece) -> usize {
    let ToolCallPiece { index: _, begins, arguments } = piece;
    arguments.len() + begins.as_ref().map_or(0, |begin| begin.id.len() + begin.name.len())
}

fn token_chunk(chunk: &TokenChunk) -> Result<(), Breach> {
    let TokenChunk { id: _, chunk, text, tokens, more } = chunk;
    chunk_number("chunk", *chunk)?;
    bytes_at_most("text", text.len(), limits::CHUNK_TEXT_BYTES_MAX)?;
    at_most("tokens", tokens.len(), limits::CHUNK_TOKENS_MAX)?;
    more.as_deref().map_or(Ok(()), |more| chunk_more(more, text.len(), tokens.len()))
}

fn end(done: &Done) -> Result<(), Breach> {
    let Done { id: _, chunks, receipt: signed, cached_tokens, stopped_by, first_token_us, decode_us } = done;
    chunk_number("chunks", *chunks)?;
    range("cached_tokens", (*cached_tokens).into(), 0, limits::CONTEXT_TOKENS_MAX.into(), "tokens")?;
    let stops = limits::STOP_STRINGS_MAX as u64;
    range("stopped_by", stopped_by.unwrap_or(0).into(), 0, stops - 1, "(which stop text)")?;
    range("first_token_us", *first_token_us, 0, limits::DURATION_US_MAX, "microseconds")?;
    range("decode_us", *decode_us, 0, limits::DURATION_US_MAX, "microseconds")?;
    receipt(signed)
}

fn chunk_number(what: &'static str, n: u32) -> Result<(), Breach> {
    range(what, n.into(), 0, limits::ANSWER_CHUNKS_MAX.into(), "chunks")
}
