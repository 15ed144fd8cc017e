//! The bounds of a question. Whoever receives one checks it here before it costs anything.

use crate::rules::bounds::{at_most, bytes_at_most, not_empty, range};
use crate::Breach;
use ainonymous_types::{
    limits, ChatAdjust, ChatConstraint, ChatInput, ChatMessage, ChatMore, ChatPrompt, ChatRole, ChatTool,
    ChatToolChoice, MessageMore, Sampling,
};

/// Characters of a tool's name.
const TOOL_NAME: &str = "a-z, A-Z, 0-9, dot, dash or underscore";

/// Whether a question is within its bounds.
pub fn bounds(input: &ChatInput) -> Result<(), Breach> {
    let ChatInput { messages, sampling, max_tokens, stop, more } = input;
    at_most("messages", messages.len(), limits::CHAT_MESSAGES_MAX)?;
    match more.as_deref().and_then(|more| more.prompt.as_ref()) {
        Some(_) if !messages.is_empty() => return Err(Breach::TooMany { what: "messages", max: 0 }),
        Some(ChatPrompt::Text(text)) => {
            not_empty("prompt", text.len())?;
            bytes_at_most("prompt", text.len(), limits::PROMPT_BYTES_MAX)?;
        }
        Some(ChatPrompt::Tokens(tokens)) => {
            not_empty("prompt", tokens.len())?;
            at_most("prompt", tokens.len(), limits::PROMPT_BYTES_MAX / 4)?;
        }
        None => conversation(messages)?,
    }
    range("max_tokens", u64::from(*max_tokens), 0, u64::from(limits::ANSWER_TOKENS_MAX), "tokens")?;
    at_most("stop", stop.len(), limits::STOP_STRINGS_MAX)?;
    for text in stop {
        not_empty("stop", text.len())?;
        bytes_at_most("stop", text.len(), limits::STOP_BYTES_MAX)?;
    }
    sampling_bounds(sampling)?;
    more.as_deref().map_or(Ok(()), |more| more_bounds(more, *max_tokens))
}

/// Whether sampling settings are within their bounds.
pub fn sampling_bounds(sampling: &Sampling) -> Result<(), Breach> {
    let Sampling { temperature_milli, top_p_milli, min_p_milli, top_k, seed } = *sampling;
    range("temperature_milli", temperature_milli.into(), 0, limits::TEMPERATURE_MILLI_MAX.into(), "thousandths")?;
    range("top_p_milli", top_p_milli.into(), 1, 1_000, "thousandths")?;
    range("min_p_milli", min_p_milli.into(), 0, 1_000, "thousandths")?;
    range("top_k", top_k.into(), 0, limits::TOP_K_MAX.into(), "tokens")?;
    range("seed", seed, 0, limits::SEED_MAX, "(an integer)")
}

fn conversation(messages: &[ChatMessage]) -> Result<(), Breach> {
    not_empty("messages", messages.len())?;
    let bytes = messages.iter().map(message_bytes).fold(0usize, usize::saturating_add);
    bytes_at_most("messages.content", bytes, limits::PROMPT_BYTES_MAX)?;
    if messages.last().is_some_and(says_nothing) {
        return Err(Breach::Empty { what: "messages.content" });
    }
    let (mut images, mut image_bytes) = (0usize, 0usize);
    for ChatMessage { role: _, content, more } in messages {
        let Some(MessageMore { images: shown, tool_calls, .. }) = more.as_deref() else { continue };
        at_most("tool_calls", tool_calls.len(), limits::TOOL_CALLS_MAX)?;
        let mut before = 0;
        for image in shown {
            not_empty("images", image.file.len())?;
            bytes_at_most("images", image.file.len(), limits::IMAGE_BYTES_MAX)?;
            if image.at < before || !content.is_char_boundary(image.at as usize) {
                return Err(Breach::Unordered { what: "places of images" });
            }
            before = image.at;
            image_bytes = image_bytes.saturating_add(image.file.len());
        }
        images += shown.len();
    }
    at_most("images", images, limits::IMAGES_MAX)?;
    bytes_at_most("images", image_bytes, limits::SENT_IMAGES_BYTES_MAX)
}

/// Everything that a person or a model wrote, in bytes.
fn message_bytes(message: &ChatMessage) -> usize {
    let ChatMessage { role: _, content, more } = message;
    let Some(MessageMore { images: _, reasoning, tool_calls, tool_call_id, name }) = more.as_deref() else {
        return content.len();
    };
    let optional = [reasoning, tool_call_id, name].into_iter().flatten().map(String::len);
    let calls = tool_calls.iter().flat_map(|call| [call.id.len(), call.name.len(), call.arguments.len()]);
    optional.chain(calls).fold(content.len(), usize::saturating_add)
}

/// A tool may have nothing to say, and an image or a call says something.
fn says_nothing(message: &ChatMessage) -> bool {
    let besides = |more: &MessageMore| !more.images.is_empty() || !more.tool_calls.is_empty();
    message.content.trim_ascii().is_empty()
        && message.role != ChatRole::Tool
        && !message.more.as_deref().is_some_and(besides)
}

fn more_bounds(more: &ChatMore, max_tokens: u32) -> Result<(), Breach> {
    let ChatMore {
        prompt: _,
        tools,
        tool_choice,
        parallel_tool_calls: _,
        thinking: _,
        template_arguments,
        adjust,
        constraint,
        logprobs,
        ignore_end: _,
        begun,
    } = more;
    at_most("tools", tools.len(), limits::TOOLS_MAX)?;
    let mut bytes = template_arguments.len();
    for ChatTool { name, description, parameters } in tools {
        tool_name("tools.name", name)?;
        let own = [name.len(), description.as_ref().map_or(0, String::len), parameters.len()];
        bytes = own.into_iter().fold(bytes, usize::saturating_add);
    }
    bytes_at_most("tools", bytes, limits::TOOLS_BYTES_MAX)?;
    if let ChatToolChoice::Named(name) = tool_choice {
        tool_name("tool_choice", name)?;
    }
    adjust.as_ref().map_or(Ok(()), adjust_bounds)?;
    constraint.as_ref().map_or(Ok(()), constraint_bounds)?;
    range("logprobs", logprobs.unwrap_or(0).into(), 0, limits::TOP_LOGPROBS_MAX.into(), "tokens")?;
    let begun_max = match max_tokens {
        0 => limits::BEGUN_TOKENS_MAX,
        most => limits::BEGUN_TOKENS_MAX.min(most as usize),
    };
    at_most("begun", begun.len(), begun_max)
}

fn tool_name(what: &'static str, name: &str) -> Result<(), Breach> {
    not_empty(what, name.len())?;
    bytes_at_most(what, name.len(), limits::TOOL_NAME_BYTES_MAX)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    name.bytes().all(fits).then_some(()).ok_or(Breach::Charset { what, allowed: TOOL_NAME })
}

fn adjust_bounds(adjust: &ChatAdjust) -> Result<(), Breach> {
    let ChatAdjust { repetition_milli, presence_milli, frequency_milli, last_tokens, bias } = adjust;
    let most = limits::PENALTY_MILLI_MAX.into();
    range("repetition_milli", (*repetition_milli).into(), 1, most, "thousandths")?;
    range("presence_milli", presence_milli.unsigned_abs().into(), 0, most, "thousandths either way")?;
    range("frequency_milli", frequency_milli.unsigned_abs().into(), 0, most, "thousandths either way")?;
    range("last_tokens", (*last_tokens).into(), 0, limits::CONTEXT_TOKENS_MAX.into(), "tokens")?;
    at_most("bias", bias.len(), limits::LOGIT_BIASES_MAX)?;
    let most = limits::LOGIT_BIAS_MILLI_MAX.into();
    let within = |one: u32| range("bias_milli", one.into(), 0, most, "thousandths either way");
    bias.iter().try_for_each(|one| within(one.bias_milli.unsigned_abs()))
}

fn constraint_bounds(constraint: &ChatConstraint) -> Result<(), Breach> {
    let bytes = match constraint {
        ChatConstraint::JsonObject => return Ok(()),
        ChatConstraint::JsonSchema(text)
        | ChatConstraint::Regex(text)
        | ChatConstraint::Lark(text)
        | ChatConstraint::Gbnf(text) => text.len(),
        // One more for each, so that empty ones are bounded as well.
        ChatConstraint::Choice(texts) => texts.iter().map(|text| text.len() + 1).fold(0, usize::saturating_add),
    };
    not_empty("constraint", bytes)?;
    bytes_at_most("constraint", bytes, limits::CONSTRAINT_BYTES_MAX)
}
