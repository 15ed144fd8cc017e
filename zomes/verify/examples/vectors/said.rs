//! Questions and signals: at each bound, and one past it. Bounds of many kilobytes are tested natively alone.

use super::fixtures::{action, chat, receipt, with};
use super::stated;
use ainonymous_types::*;
use ainonymous_verify::vectors::{Case, File};

pub(crate) fn cases() -> File {
    let mut cases = questions();
    cases.extend(signals());
    File {
        about: "What peers and users say: questions and signals, at their bounds and past them.".into(),
        records: serde_json::Value::Null,
        cases,
    }
}

fn questions() -> Vec<Case> {
    let case = |name: &str, spoil: &dyn Fn(&mut ChatInput), expected: &str| {
        stated(name, "chat.bounds", &with(chat(), |c| spoil(c)), expected)
    };
    vec![
        case("a question", &|_| (), "ok"),
        case("no messages", &|c| c.messages.clear(), "empty"),
        case("a last message of nothing but space", &|c| c.messages[1].content = " \n".into(), "empty"),
        case("as many tokens as fit", &|c| c.max_tokens = 0, "ok"),
        case("most tokens", &|c| c.max_tokens = limits::ANSWER_TOKENS_MAX, "ok"),
        case("one token past", &|c| c.max_tokens = limits::ANSWER_TOKENS_MAX + 1, "out_of_range"),
        case("most stop texts", &|c| c.stop = vec!["x".into(); limits::STOP_STRINGS_MAX], "ok"),
        case("one stop text past", &|c| c.stop = vec!["x".into(); limits::STOP_STRINGS_MAX + 1], "too_many"),
        case("longest stop text", &|c| c.stop = vec!["x".repeat(limits::STOP_BYTES_MAX)], "ok"),
        case("stop text one byte past", &|c| c.stop = vec!["x".repeat(limits::STOP_BYTES_MAX + 1)], "too_long"),
        case("an empty stop text", &|c| c.stop = vec![String::new()], "empty"),
        case("coldest", &|c| c.sampling.temperature_milli = 0, "ok"),
        case("hottest", &|c| c.sampling.temperature_milli = limits::TEMPERATURE_MILLI_MAX, "ok"),
        case("too hot", &|c| c.sampling.temperature_milli = limits::TEMPERATURE_MILLI_MAX + 1, "out_of_range"),
        case("top-p of nothing", &|c| c.sampling.top_p_milli = 0, "out_of_range"),
        case("least top-p", &|c| c.sampling.top_p_milli = 1, "ok"),
        case("top-p of all", &|c| c.sampling.top_p_milli = 1_000, "ok"),
        case("top-p of more than all", &|c| c.sampling.top_p_milli = 1_001, "out_of_range"),
        case("min-p of all", &|c| c.sampling.min_p_milli = 1_000, "ok"),
        case("min-p of more than all", &|c| c.sampling.min_p_milli = 1_001, "out_of_range"),
        case("largest top-k", &|c| c.sampling.top_k = limits::TOP_K_MAX, "ok"),
        case("top-k one past", &|c| c.sampling.top_k = limits::TOP_K_MAX + 1, "out_of_range"),
        case("largest seed", &|c| c.sampling.seed = limits::SEED_MAX, "ok"),
        case("seed one past", &|c| c.sampling.seed = limits::SEED_MAX + 1, "out_of_range"),
    ]
}

fn signals() -> Vec<Case> {
    const ID: RequestId = RequestId([5; 16]);
    let case = |name: &str, signal: PeerSignal, expected: &str| stated(name, "signal.bounds", &signal, expected);
    let ask = |spoil: &dyn Fn(&mut ChatInput)| {
        PeerSignal::Ask(Ask {
            id: ID,
            spec: super::fixtures::entry_hash(20),
            input: with(chat(), |c| spoil(c)),
            salt: Bytes32([9; 32]),
            session_key: Bytes32([8; 32]),
            signature: Bytes64([7; 64]),
        })
    };
    let chunk = |chunk, text: usize, tokens| {
        PeerSignal::Tokens(TokenChunk { id: ID, chunk, text: "x".repeat(text), tokens: vec![1; tokens] })
    };
    let done = |spoil: &dyn Fn(&mut Done)| {
        let good = Done { id: ID, chunks: 3, receipt: receipt(1), first_token_us: 41_000, decode_us: 9_000 };
        PeerSignal::Done(with(good, |d| spoil(d)))
    };
    let refused = |bytes| PeerSignal::Refused { id: ID, reason: RefuseReason::Busy, detail: "x".repeat(bytes) };
    let published = |index, path| PeerSignal::ReceiptPublished {
        id: ID,
        proof: BatchProof { batch: action(60), index, path: vec![Bytes32([1; 32]); path] },
    };
    vec![
        case("ask", ask(&|_| ()), "ok"),
        case("ask for nothing", ask(&|c| c.messages.clear()), "empty"),
        case("accepted", PeerSignal::Accepted { id: ID, queue_position: u32::MAX }, "ok"),
        case("an empty chunk", chunk(0, 0, 0), "ok"),
        case("last chunk there can be", chunk(limits::ANSWER_CHUNKS_MAX, 1, 1), "ok"),
        case("chunk number one past", chunk(limits::ANSWER_CHUNKS_MAX + 1, 1, 1), "out_of_range"),
        case("most tokens in a chunk", chunk(0, 1, limits::CHUNK_TOKENS_MAX), "ok"),
        case("one token past", chunk(0, 1, limits::CHUNK_TOKENS_MAX + 1), "too_many"),
        case("done", done(&|_| ()), "ok"),
        case("done after too many chunks", done(&|d| d.chunks = limits::ANSWER_CHUNKS_MAX + 1), "out_of_range"),
        case("longest wait", done(&|d| d.first_token_us = limits::DURATION_US_MAX), "ok"),
        case("wait one past", done(&|d| d.first_token_us = limits::DURATION_US_MAX + 1), "out_of_range"),
        case("longest decode", done(&|d| d.decode_us = limits::DURATION_US_MAX), "ok"),
        case("decode one past", done(&|d| d.decode_us = limits::DURATION_US_MAX + 1), "out_of_range"),
        case(
            "receipt over too many tokens",
            done(&|d| d.receipt.receipt.completion_tokens = limits::ANSWER_TOKENS_MAX + 1),
            "out_of_range",
        ),
        case(
            "receipt over too long a prompt",
            done(&|d| d.receipt.receipt.prompt_tokens = limits::CONTEXT_TOKENS_MAX + 1),
            "out_of_range",
        ),
        case("a certain audit", done(&|d| d.receipt.receipt.audit.rate_ppm = limits::PPM_MAX), "ok"),
        case("more than certain", done(&|d| d.receipt.receipt.audit.rate_ppm = limits::PPM_MAX + 1), "out_of_range"),
        case("more than all auditors", done(&|d| d.receipt.receipt.audit.auditors_ppm = u32::MAX), "out_of_range"),
        case("receipt from before the epoch", done(&|d| d.receipt.receipt.finished_at = -1), "out_of_range"),
        case(
            "receipt from too far ahead",
            done(&|d| d.receipt.receipt.finished_at = limits::TIMESTAMP_US_MAX as i64 + 1),
            "out_of_range",
        ),
        case("longest detail", refused(limits::DETAIL_BYTES_MAX), "ok"),
        case("detail one byte past", refused(limits::DETAIL_BYTES_MAX + 1), "too_long"),
        case("cancel", PeerSignal::Cancel { id: ID }, "ok"),
        case("resend", PeerSignal::Resend { id: ID, from_chunk: limits::ANSWER_CHUNKS_MAX }, "ok"),
        case(
            "resend one past",
            PeerSignal::Resend { id: ID, from_chunk: limits::ANSWER_CHUNKS_MAX + 1 },
            "out_of_range",
        ),
        case("request posted", PeerSignal::RequestPosted { request: action(40) }, "ok"),
        case("answer posted", PeerSignal::AnswerPosted { request: action(40), answer: action(50) }, "ok"),
        case("deepest proof", published(limits::BATCH_RECEIPTS_MAX - 1, limits::MERKLE_PATH_MAX), "ok"),
        case("proof one hash past", published(0, limits::MERKLE_PATH_MAX + 1), "too_many"),
        case("proof one leaf past", published(limits::BATCH_RECEIPTS_MAX, 1), "out_of_range"),
    ]
}
