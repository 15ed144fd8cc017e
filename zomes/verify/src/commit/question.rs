//! A question in canonical form: whatever decides an answer stands in it, and nothing else does.

use crate::canonical::{Encoder, Sink};
use ainonymous_types::{
    ChatAdjust, ChatConstraint, ChatImage, ChatInput, ChatMessage, ChatMore, ChatPrompt, ChatRole, ChatTool,
    ChatToolCall, ChatToolChoice, LogitBias, MessageMore, Sampling,
};

/// Adds a question.
pub(super) fn write<S: Sink>(e: Encoder<S>, input: &ChatInput) -> Encoder<S> {
    let ChatInput { messages, sampling, max_tokens, stop, more } = input;
    let Sampling { temperature_milli, top_p_milli, min_p_milli, top_k, seed } = *sampling;
    e.list(messages, message)
        .u32(temperature_milli)
        .u32(top_p_milli)
        .u32(min_p_milli)
        .u32(top_k)
        .u64(seed)
        .u32(*max_tokens)
        .list(stop, |e, text| e.text(text))
        .option(more.as_deref(), chat_more)
}

fn message<S: Sink>(e: Encoder<S>, message: &ChatMessage) -> Encoder<S> {
    let ChatMessage { role, content, more } = message;
    let role = match role {
        ChatRole::System => 0,
        ChatRole::User => 1,
        ChatRole::Assistant => 2,
        ChatRole::Tool => 3,
    };
    e.u8(role).text(content).option(more.as_deref(), |e, more| {
        let MessageMore { images, reasoning, tool_calls, tool_call_id, name } = more;
        e.list(images, |e, ChatImage { at, file }| e.u32(*at).blob(file))
            .option(reasoning.as_deref(), Encoder::text)
            .list(tool_calls, |e, ChatToolCall { id, name, arguments }| e.text(id).text(name).text(arguments))
            .option(tool_call_id.as_deref(), Encoder::text)
            .option(name.as_deref(), Encoder::text)
    })
}

fn chat_more<S: Sink>(e: Encoder<S>, more: &ChatMore) -> Encoder<S> {
    let ChatMore {
        prompt,
        tools,
        tool_choice,
        parallel_tool_calls,
        thinking,
        template_arguments,
        adjust,
        constraint,
        logprobs,
        ignore_end,
        begun,
    } = more;
    let e = e.option(prompt.as_ref(), |e, prompt| match prompt {
        ChatPrompt::Text(text) => e.u8(0).text(text),
        ChatPrompt::Tokens(tokens) => e.u8(1).list(tokens, |e, token| e.u32(*token)),
    });
    let e = e.list(tools, |e, ChatTool { name, description, parameters }| {
        e.text(name).option(description.as_deref(), Encoder::text).text(parameters)
    });
    let e = match tool_choice {
        ChatToolChoice::Auto => e.u8(0),
        ChatToolChoice::None => e.u8(1),
        ChatToolChoice::Required => e.u8(2),
        ChatToolChoice::Named(name) => e.u8(3).text(name),
    };
    e.u8(u8::from(*parallel_tool_calls))
        .option(*thinking, |e, thinking| e.u8(u8::from(thinking)))
        .text(template_arguments)
        .option(adjust.as_ref(), chat_adjust)
        .option(constraint.as_ref(), chat_constraint)
        .option(*logprobs, Encoder::u32)
        .u8(u8::from(*ignore_end))
        .list(begun, |e, token| e.u32(*token))
}

fn chat_adjust<S: Sink>(e: Encoder<S>, adjust: &ChatAdjust) -> Encoder<S> {
    let ChatAdjust { repetition_milli, presence_milli, frequency_milli, last_tokens, bias } = adjust;
    e.u32(*repetition_milli)
        .i32(*presence_milli)
        .i32(*frequency_milli)
        .u32(*last_tokens)
        .list(bias, |e, LogitBias { token, bias_milli }| e.u32(*token).i32(*bias_milli))
}

fn chat_constraint<S: Sink>(e: Encoder<S>, constraint: &ChatConstraint) -> Encoder<S> {
    match constraint {
        ChatConstraint::JsonObject => e.u8(0),
        ChatConstraint::JsonSchema(schema) => e.u8(1).text(schema),
        ChatConstraint::Regex(regex) => e.u8(2).text(regex),
        ChatConstraint::Lark(grammar) => e.u8(3).text(grammar),
        ChatConstraint::Gbnf(grammar) => e.u8(4).text(grammar),
        ChatConstraint::Choice(texts) => e.u8(5).list(texts, |e, text| e.text(text)),
    }
}
