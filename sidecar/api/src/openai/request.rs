//! From the body of a chat completion to a question. Every bound of a question is checked here, with words for people.

use super::fields::{kind, Fields};
use super::unsupported;
use crate::ApiError;
use ainonymous_node::{AskRequest, Route};
use ainonymous_types::limits::{
    ANSWER_TOKENS_MAX, CHAT_MESSAGES_MAX, MODEL_NAME_BYTES_MAX, PROMPT_BYTES_MAX, QUANTIZATION_BYTES_MAX, SEED_MAX,
    STOP_BYTES_MAX, STOP_STRINGS_MAX, TEMPERATURE_MILLI_MAX, TOP_K_MAX,
};
use ainonymous_types::{AgentPubKey, ChatInput, ChatMessage, ChatRole, Sampling};
use rand::Rng as _;
use serde_json::Value;

/// Fields of a message that mean nothing to a model without tools and sound.
const MESSAGE_EMPTY_FIELDS: &[&str] = &["tool_calls", "function_call", "audio", "tool_call_id"];

/// What a body asks for.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The question.
    pub(crate) ask: AskRequest,
    /// As server-sent events.
    pub(crate) stream: bool,
    /// With a last chunk that counts tokens.
    pub(crate) include_usage: bool,
    /// Names of fields that were not known.
    pub(crate) ignored: Vec<String>,
}

/// Reads a body.
pub(crate) fn parse(body: &[u8]) -> Result<Parsed, ApiError> {
    let mut fields = Fields::of("", parse_json(body)?)?;
    let model = model(&mut fields)?;
    let messages = messages(&mut fields)?;
    let sampling = sampling(&mut fields)?;
    let max_tokens = max_tokens(&mut fields)?;
    let stop = stop(&mut fields)?;
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let (include_usage, mut ignored) = stream_options(&mut fields)?;
    let (route, provider) = extension(&mut fields)?;
    unsupported::refuse(&mut fields)?;
    ignored.extend(fields.leftovers());
    let input = ChatInput { messages, sampling, max_tokens, stop };
    Ok(Parsed { ask: AskRequest { model, question: input.into(), route, provider }, stream, include_usage, ignored })
}

fn parse_json(body: &[u8]) -> Result<Value, ApiError> {
    let text = std::str::from_utf8(body).map_err(|e| ApiError::InvalidUtf8 { offset: e.valid_up_to() })?;
    serde_json::from_str(text).map_err(|e| {
        let whole = e.to_string();
        // serde_json appends the place, which we say ourselves.
        let problem = whole.split(" at line ").next().unwrap_or_default().to_owned();
        ApiError::MalformedJson { line: e.line(), column: e.column(), problem }
    })
}

/// No name, or an empty one, means whatever is there.
fn model(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    const NAME_MAX: usize = MODEL_NAME_BYTES_MAX + 1 + QUANTIZATION_BYTES_MAX;
    let name = fields.string("model")?.filter(|name| !name.is_empty());
    match &name {
        Some(name) if name.len() > NAME_MAX => {
            Err(ApiError::invalid("model", format!("has {} bytes; at most {NAME_MAX} are allowed", name.len())))
        }
        _ => Ok(name),
    }
}

fn messages(fields: &mut Fields) -> Result<Vec<ChatMessage>, ApiError> {
    let values = fields.array("messages")?.ok_or(ApiError::Missing { param: "messages".into() })?;
    if values.is_empty() || values.len() > CHAT_MESSAGES_MAX {
        let problem = format!("must have 1 to {CHAT_MESSAGES_MAX} messages, not {}", values.len());
        return Err(ApiError::invalid("messages", problem));
    }
    let messages: Vec<ChatMessage> =
        values.into_iter().enumerate().map(|(at, value)| message(at, value)).collect::<Result<_, _>>()?;
    let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    if bytes > PROMPT_BYTES_MAX {
        return Err(ApiError::PromptTooLarge { bytes, max: PROMPT_BYTES_MAX });
    }
    if messages.iter().all(|message| message.content.trim().is_empty()) {
        return Err(ApiError::EmptyPrompt);
    }
    Ok(messages)
}

fn message(at: usize, value: Value) -> Result<ChatMessage, ApiError> {
    let path = format!("messages[{at}]");
    let mut fields = Fields::of(&path, value)?;
    let role_path = fields.path("role");
    let role = fields.string("role")?.ok_or(ApiError::Missing { param: role_path.clone() })?;
    let role = match role.as_str() {
        "system" | "developer" => ChatRole::System,
        "user" => ChatRole::User,
        "assistant" => ChatRole::Assistant,
        "tool" | "function" => {
            return Err(ApiError::Unsupported { param: role_path, reason: "tools are not supported" })
        }
        _ => return Err(ApiError::invalid(role_path, "must be system, developer, user or assistant")),
    };
    for name in MESSAGE_EMPTY_FIELDS {
        match fields.take(name) {
            None => {}
            Some(Value::Array(values)) if values.is_empty() => {}
            Some(_) => {
                return Err(ApiError::Unsupported {
                    param: fields.path(name),
                    reason: "tools and sound are not supported",
                });
            }
        }
    }
    let content_path = fields.path("content");
    let content = fields.take("content").ok_or(ApiError::Missing { param: content_path.clone() })?;
    Ok(ChatMessage { role, content: content_text(&content_path, content)? })
}

/// A text, or parts that are all text.
fn content_text(path: &str, content: Value) -> Result<String, ApiError> {
    let parts = match content {
        Value::String(text) => return Ok(text),
        Value::Array(parts) => parts,
        other => {
            return Err(ApiError::invalid(
                path,
                format!("must be a string or an array of text parts, not {}", kind(&other)),
            ));
        }
    };
    let mut whole = String::new();
    for (at, part) in parts.into_iter().enumerate() {
        let mut fields = Fields::of(&format!("{path}[{at}]"), part)?;
        let type_path = fields.path("type");
        match fields.string("type")?.as_deref() {
            Some("text" | "input_text") => {}
            Some(_) => return Err(ApiError::Unsupported { param: type_path, reason: "only text parts are supported" }),
            None => return Err(ApiError::Missing { param: type_path }),
        }
        let text_path = fields.path("text");
        whole.push_str(&fields.string("text")?.ok_or(ApiError::Missing { param: text_path })?);
    }
    Ok(whole)
}

fn sampling(fields: &mut Fields) -> Result<Sampling, ApiError> {
    let default = Sampling::default();
    // -1 means none of it, as other servers have it.
    let top_k = fields.integer("top_k", -1, i64::from(TOP_K_MAX))?;
    let seed = fields.integer("seed", -1, SEED_MAX as i64)?;
    Ok(Sampling {
        temperature_milli: fields.milli("temperature", TEMPERATURE_MILLI_MAX)?.unwrap_or(default.temperature_milli),
        // 0 keeps the most likely token, as the smallest fraction does.
        top_p_milli: fields.milli("top_p", 1_000)?.unwrap_or(default.top_p_milli).max(1),
        min_p_milli: fields.milli("min_p", 1_000)?.unwrap_or(default.min_p_milli),
        top_k: top_k.map_or(default.top_k, |k| u32::try_from(k).unwrap_or(0)),
        seed: seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_else(|| rand::rng().random_range(0..=SEED_MAX)),
    })
}

/// 0 inside means as many as fit; nothing or -1 outside.
fn max_tokens(fields: &mut Fields) -> Result<u32, ApiError> {
    let mut limit = |name| fields.integer(name, -1, i64::from(ANSWER_TOKENS_MAX));
    let (old, new) = (limit("max_tokens")?, limit("max_completion_tokens")?);
    let (name, tokens) = match (old, new) {
        (Some(old), Some(new)) if old != new => {
            return Err(ApiError::invalid("max_tokens", "contradicts 'max_completion_tokens'"));
        }
        (_, Some(new)) => ("max_completion_tokens", new),
        (Some(old), None) => ("max_tokens", old),
        (None, None) => return Ok(0),
    };
    match u32::try_from(tokens) {
        Ok(0) => Err(ApiError::invalid(name, "must be at least 1; leave it out for as many as fit")),
        Ok(tokens) => Ok(tokens),
        Err(_) => Ok(0),
    }
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let values = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![Value::String(text)],
        Some(Value::Array(values)) => values,
        Some(other) => {
            return Err(ApiError::invalid(
                "stop",
                format!("must be a string or an array of strings, not {}", kind(&other)),
            ));
        }
    };
    if values.len() > STOP_STRINGS_MAX {
        return Err(ApiError::invalid(
            "stop",
            format!("has {} strings; at most {STOP_STRINGS_MAX} are allowed", values.len()),
        ));
    }
    let check = |(at, value): (usize, Value)| match value {
        Value::String(text) if (1..=STOP_BYTES_MAX).contains(&text.len()) => Ok(text),
        _ => Err(ApiError::invalid(format!("stop[{at}]"), format!("must be a string of 1 to {STOP_BYTES_MAX} bytes"))),
    };
    values.into_iter().enumerate().map(check).collect()
}

fn stream_options(fields: &mut Fields) -> Result<(bool, Vec<String>), ApiError> {
    let Some(value) = fields.take("stream_options") else { return Ok((false, Vec::new())) };
    let mut options = Fields::of("stream_options", value)?;
    let include_usage = options.boolean("include_usage")?.unwrap_or(false);
    Ok((include_usage, options.leftovers()))
}

/// Our own part of the body: here a field that is not known is a mistake.
fn extension(fields: &mut Fields) -> Result<(Route, Option<AgentPubKey>), ApiError> {
    let Some(value) = fields.take("ainonymous") else { return Ok((Route::Auto, None)) };
    let mut own = Fields::of("ainonymous", value)?;
    let route = match own.string("route")?.as_deref() {
        None | Some("auto") => Route::Auto,
        Some("local") => Route::Local,
        Some("signals") => Route::Signals,
        Some("posted") => Route::Posted,
        Some(_) => return Err(ApiError::invalid("ainonymous.route", "must be auto, local, signals or posted")),
    };
    let provider = match own.string("provider")? {
        None => None,
        Some(text) => Some(
            AgentPubKey::try_from(text.as_str())
                .map_err(|_| ApiError::invalid("ainonymous.provider", "must be an agent key that begins with uhCAk"))?,
        ),
    };
    own.none_left("route, provider")?;
    Ok((route, provider))
}
