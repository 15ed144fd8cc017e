//! Questions and signals: at each bound, and one past it. Bounds of many kilobytes are tested natively alone.

use super::fixtures::{action, chat, everything, receipt, spoken, with};
use super::stated;
use ainonymous_types::*;
use ainonymous_verify::vectors::{Case, File};

pub(crate) fn cases() -> File {
    let mut cases = questions();
    cases.extend(besides());
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

/// What a question has besides words.
fn besides() -> Vec<Case> {
    let message = |name: &str, spoil: &dyn Fn(&mut ChatMessage), expected: &str| {
        stated(name, "chat.bounds", &with(everything(), |c| spoil(&mut c.messages[1])), expected)
    };
    let image = |at| ChatImage { at, file: vec![1] };
    let images = |name: &str, images: Vec<ChatImage>, expected: &str| {
        message(name, &|m| m.more.as_mut().unwrap().images = images.clone(), expected)
    };
    let more = |name: &str, spoil: &dyn Fn(&mut ChatMore), expected: &str| {
        stated(name, "chat.bounds", &with(everything(), |c| spoil(c.more.as_mut().unwrap())), expected)
    };
    let prompt = |name: &str, prompt: ChatPrompt, messages: usize, expected: &str| {
        let spoil = |c: &mut ChatInput| {
            c.messages.truncate(messages);
            c.more.as_mut().unwrap().prompt = Some(prompt);
        };
        stated(name, "chat.bounds", &with(everything(), spoil), expected)
    };
    let adjust = |name: &str, spoil: &dyn Fn(&mut ChatAdjust), expected: &str| {
        more(name, &|m| spoil(m.adjust.as_mut().unwrap()), expected)
    };
    let tool = |name: &str| ChatTool { name: name.into(), description: None, parameters: "{}".into() };
    let bias = |bias_milli| LogitBias { token: 1, bias_milli };
    let call = || ChatToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into() };
    let penalty = limits::PENALTY_MILLI_MAX as i32;
    let most_bias = limits::LOGIT_BIAS_MILLI_MAX as i32;
    vec![
        more("everything that can be asked", &|_| (), "ok"),
        message("an image alone", &|m| m.content.clear(), "ok"),
        message("a tool with nothing to say", &|m| *m = ChatMessage::new(ChatRole::Tool, ""), "ok"),
        message("most calls", &|m| m.more.as_mut().unwrap().tool_calls = vec![call(); limits::TOOL_CALLS_MAX], "ok"),
        message(
            "one call past",
            &|m| m.more.as_mut().unwrap().tool_calls = vec![call(); limits::TOOL_CALLS_MAX + 1],
            "too_many",
        ),
        images("most images", vec![image(0); limits::IMAGES_MAX], "ok"),
        images("one image past", vec![image(0); limits::IMAGES_MAX + 1], "too_many"),
        images("an empty image", vec![ChatImage { at: 0, file: vec![] }], "empty"),
        images("an image at the end", vec![image(39)], "ok"),
        images("an image behind the end", vec![image(40)], "unordered"),
        images("an image within a character", vec![image(32)], "unordered"),
        images("images out of order", vec![image(2), image(1)], "unordered"),
        prompt("a prompt instead of a conversation", ChatPrompt::Text("x".into()), 0, "ok"),
        prompt("a prompt beside a conversation", ChatPrompt::Text("x".into()), 1, "too_many"),
        prompt("an empty prompt", ChatPrompt::Text(String::new()), 0, "empty"),
        prompt("a prompt without tokens", ChatPrompt::Tokens(vec![]), 0, "empty"),
        more("most tools", &|m| m.tools = vec![tool("f"); limits::TOOLS_MAX], "ok"),
        more("one tool past", &|m| m.tools = vec![tool("f"); limits::TOOLS_MAX + 1], "too_many"),
        more("longest name of a tool", &|m| m.tools = vec![tool(&"f".repeat(limits::TOOL_NAME_BYTES_MAX))], "ok"),
        more(
            "name of a tool one byte past",
            &|m| m.tools = vec![tool(&"f".repeat(limits::TOOL_NAME_BYTES_MAX + 1))],
            "too_long",
        ),
        more("a tool without a name", &|m| m.tools = vec![tool("")], "empty"),
        more("a tool with a strange name", &|m| m.tools = vec![tool("f g")], "charset"),
        more("a choice with a strange name", &|m| m.tool_choice = ChatToolChoice::Named("f g".into()), "charset"),
        adjust("largest repetition penalty", &|a| a.repetition_milli = limits::PENALTY_MILLI_MAX, "ok"),
        adjust("repetition penalty one past", &|a| a.repetition_milli = limits::PENALTY_MILLI_MAX + 1, "out_of_range"),
        adjust("repetition penalty of nothing", &|a| a.repetition_milli = 0, "out_of_range"),
        adjust("largest presence penalty", &|a| a.presence_milli = -penalty, "ok"),
        adjust("presence penalty one past", &|a| a.presence_milli = -penalty - 1, "out_of_range"),
        adjust("largest frequency penalty", &|a| a.frequency_milli = penalty, "ok"),
        adjust("frequency penalty one past", &|a| a.frequency_milli = penalty + 1, "out_of_range"),
        adjust("longest look back", &|a| a.last_tokens = limits::CONTEXT_TOKENS_MAX, "ok"),
        adjust("look back one past", &|a| a.last_tokens = limits::CONTEXT_TOKENS_MAX + 1, "out_of_range"),
        adjust("largest bias", &|a| a.bias = vec![bias(most_bias), bias(-most_bias)], "ok"),
        adjust("bias one past", &|a| a.bias = vec![bias(-most_bias - 1)], "out_of_range"),
        adjust("the least number there is", &|a| a.bias = vec![bias(i32::MIN)], "out_of_range"),
        more("an empty grammar", &|m| m.constraint = Some(ChatConstraint::Lark(String::new())), "empty"),
        more("nothing to choose from", &|m| m.constraint = Some(ChatConstraint::Choice(vec![])), "empty"),
        more("most alternatives", &|m| m.logprobs = Some(limits::TOP_LOGPROBS_MAX), "ok"),
        more("one alternative past", &|m| m.logprobs = Some(limits::TOP_LOGPROBS_MAX + 1), "out_of_range"),
        more("a beginning as long as the answer", &|m| m.begun = vec![1; 16], "ok"),
        more("a beginning longer than the answer", &|m| m.begun = vec![1; 17], "too_many"),
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
            audit: AuditTerms { challenge: Bytes32([6; 32]), rate_ppm: limits::PPM_MAX, auditors_ppm: limits::PPM_MAX },
            signature: Bytes64([7; 64]),
        })
    };
    let chunk = |chunk, text: usize, tokens| {
        PeerSignal::Tokens(TokenChunk { id: ID, chunk, text: "x".repeat(text), tokens: vec![1; tokens], more: None })
    };
    let besides = |spoil: &dyn Fn(&mut ChunkMore)| {
        let more = Some(Box::new(with(spoken(), |m| spoil(m))));
        PeerSignal::Tokens(TokenChunk { id: ID, chunk: 0, text: "x".into(), tokens: vec![818, 5_279], more })
    };
    let piece = || ToolCallPiece { index: 0, begins: None, arguments: String::new() };
    let done = |spoil: &dyn Fn(&mut Done)| {
        let good = Done {
            id: ID,
            chunks: 3,
            receipt: receipt(1),
            cached_tokens: 4,
            stopped_by: Some(0),
            first_token_us: 41_000,
            decode_us: 9_000,
        };
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
        case("thoughts, calls and probabilities", besides(&|_| ()), "ok"),
        case("no probabilities", besides(&|m| m.logprobs.clear()), "ok"),
        case("a probability too few", besides(&|m| drop(m.logprobs.pop())), "out_of_range"),
        case("most pieces of calls", besides(&|m| m.tool_calls = vec![piece(); limits::CHUNK_TOOL_CALLS_MAX]), "ok"),
        case(
            "one piece past",
            besides(&|m| m.tool_calls = vec![piece(); limits::CHUNK_TOOL_CALLS_MAX + 1]),
            "too_many",
        ),
        case(
            "longest text of a token",
            besides(&|m| m.logprobs[0].chosen.text = vec![0; limits::TOKEN_TEXT_BYTES_MAX]),
            "ok",
        ),
        case(
            "text of a token one byte past",
            besides(&|m| m.logprobs[0].chosen.text = vec![0; limits::TOKEN_TEXT_BYTES_MAX + 1]),
            "too_long",
        ),
        case(
            "one alternative past",
            besides(&|m| {
                let one = m.logprobs[0].chosen.clone();
                m.logprobs[0].top = vec![one; limits::TOP_LOGPROBS_MAX as usize + 1];
            }),
            "too_many",
        ),
        case("done", done(&|_| ()), "ok"),
        case("ended by the last stop text", done(&|d| d.stopped_by = Some(limits::STOP_STRINGS_MAX as u32 - 1)), "ok"),
        case("ended by one past", done(&|d| d.stopped_by = Some(limits::STOP_STRINGS_MAX as u32)), "out_of_range"),
        case("cached more than a context", done(&|d| d.cached_tokens = limits::CONTEXT_TOKENS_MAX + 1), "out_of_range"),
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
