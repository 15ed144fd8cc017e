//! From the fields that clients of every dialect share to a question. Every bound is checked here, with words for people.
//!
//! It must not know which dialect is spoken: names of fields that differ are arguments.

pub(crate) mod constraint;
pub(crate) mod images;
pub(crate) mod sampling;
pub(crate) mod tools;
pub(crate) mod unsupported;

use crate::fields::{kind, Fields};
use crate::ApiError;
use ainonymous_node::request::{Adjust, Message, Role};
use ainonymous_node::{Demands, Hiding, Kinship, Price, Question, Region, Route, ShowAuditors};
use ainonymous_types::limits::{
    AGREEMENT_ANSWERS_MAX, ANSWER_TOKENS_MAX, CHAT_MESSAGES_MAX, MODEL_NAME_BYTES_MAX, PROMPT_BYTES_MAX,
    QUANTIZATION_BYTES_MAX, STOP_BYTES_MAX, STOP_STRINGS_MAX,
};
use ainonymous_types::AgentPubKey;
use serde_json::Value;

/// A body as the fields of its object.
pub(crate) fn body(bytes: &[u8]) -> Result<Fields, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|e| ApiError::InvalidUtf8 { offset: e.valid_up_to() })?;
    let value = serde_json::from_str(text).map_err(|e| {
        let whole = e.to_string();
        // serde_json appends the place, which we say ourselves.
        let problem = whole.split(" at line ").next().unwrap_or_default().to_owned();
        ApiError::MalformedJson { line: e.line(), column: e.column(), problem }
    })?;
    Fields::of("", value)
}

/// No name, or an empty one, means whatever is there.
pub(crate) fn model(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    const NAME_MAX: usize = MODEL_NAME_BYTES_MAX + 1 + QUANTIZATION_BYTES_MAX;
    let name = fields.string("model")?.filter(|name| !name.is_empty());
    match &name {
        Some(name) if name.len() > NAME_MAX => {
            Err(ApiError::invalid("model", format!("has {} bytes; at most {NAME_MAX} are allowed", name.len())))
        }
        _ => Ok(name),
    }
}

/// A question with what every dialect of OpenAI's family says of sampling: what changes logits, how tokens are chosen, whether
/// the end is passed over.
pub(crate) fn sampled(fields: &mut Fields, question: Question) -> Result<Question, ApiError> {
    Ok(Question {
        sampling: sampling::sampling(fields)?,
        adjust: Adjust { bias: sampling::logit_bias(fields)?, ..sampling::penalties(fields)? },
        ignore_end: fields.boolean("ignore_eos")?.unwrap_or(false),
        ..question
    })
}

/// Where and by whom a question shall be answered.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Which way.
    pub(crate) route: Route,
    /// Only this provider.
    pub(crate) provider: Option<AgentPubKey>,
    /// What every provider must fulfil.
    pub(crate) demands: Demands,
    /// Only through a router.
    pub(crate) hide: Hiding,
    /// Providers may know which agent asks.
    pub(crate) known: bool,
    /// Which auditors may see it, if the question says so.
    pub(crate) show_auditors: Option<ShowAuditors>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            route: Route::Auto,
            provider: None,
            demands: Demands::NONE,
            hide: Hiding::No,
            known: false,
            show_auditors: None,
        }
    }
}

/// Where and by whom a question is answered: our own part of the body. Here a field that is not known is a mistake.
pub(crate) fn extension(fields: &mut Fields) -> Result<Wanted, ApiError> {
    let Some(mut own) = fields.object("ainonymous")? else { return Ok(Wanted::default()) };
    let route = match own.string("route")?.as_deref() {
        None | Some("auto") => Route::Auto,
        Some("local") => Route::Local,
        Some("direct") => Route::Direct,
        Some("signals") => Route::Signals,
        Some("posted") => Route::Posted,
        Some(_) => return Err(ApiError::invalid("ainonymous.route", "must be auto, local, direct, signals or posted")),
    };
    let provider = match own.string("provider")? {
        None => None,
        Some(text) => Some(
            AgentPubKey::try_from(text.as_str())
                .map_err(|_| ApiError::invalid("ainonymous.provider", "must be an agent key that begins with uhCAk"))?,
        ),
    };
    let no_further_than = match own.string("only")?.as_deref() {
        None => Kinship::Public,
        Some("own") => Kinship::Own,
        Some("friends") => Kinship::Friend,
        Some("lan") => Kinship::Lan,
        Some(_) => return Err(ApiError::invalid("ainonymous.only", "must be own, friends or lan")),
    };
    let no_routers = own.boolean("no_routers")?.unwrap_or(false);
    let hide = hiding(own.take("hide"))?;
    let region = match own.string("region")? {
        None => None,
        Some(text) => Some(Region::parse(&text).ok_or_else(|| {
            ApiError::invalid("ainonymous.region", "must be 1 to 16 of a-z, 0-9 and dashes, for example eu or de")
        })?),
    };
    if hide != Hiding::No && (no_routers || !matches!(route, Route::Auto | Route::Direct)) {
        return Err(ApiError::invalid(
            "ainonymous.hide",
            "goes through a router: it contradicts no_routers and other routes",
        ));
    }
    let known = own.boolean("known")?.unwrap_or(false);
    if known && hide != Hiding::No {
        return Err(ApiError::invalid("ainonymous.known", "contradicts hide: who hides is not known"));
    }
    let show_auditors = match own.string("show_auditors")? {
        None => None,
        Some(text) => Some(
            ShowAuditors::named(&text)
                .ok_or_else(|| ApiError::invalid("ainonymous.show_auditors", "must be none, friends or all"))?,
        ),
    };
    if route == Route::Posted && show_auditors.is_some_and(|some| some != ShowAuditors::None) {
        return Err(ApiError::invalid(
            "ainonymous.show_auditors",
            "contradicts the route posted: such answers are not shown",
        ));
    }
    // Credits for a million parameter-tokens; counted in thousandths.
    let max_price = own.number("max_price", 0.0, Price::MAX.0 as f64 / 1e3)?;
    let price_max = max_price.map(|credits| Price((f64::from(credits) * 1e3).round() as u64));
    let most = i64::try_from(AGREEMENT_ANSWERS_MAX).unwrap_or(i64::MAX);
    let critical = own.integer("critical", 1, most)?;
    own.none_left("route, provider, only, no_routers, hide, region, known, show_auditors, max_price, critical")?;
    let answers = critical.and_then(|answers| u32::try_from(answers).ok()).unwrap_or(1);
    if answers > 1 && (provider.is_some() || matches!(route, Route::Local | Route::Posted)) {
        let contradicts = "asks several providers at once: it contradicts provider, and the routes local and posted";
        return Err(ApiError::invalid("ainonymous.critical", contradicts));
    }
    let demands = Demands { no_further_than, no_routers, region, price_max, answers };
    Ok(Wanted { route, provider, demands, hide, known, show_auditors })
}

/// Through how many routers: a number, or true for one.
fn hiding(value: Option<Value>) -> Result<Hiding, ApiError> {
    match value {
        None | Some(Value::Bool(false)) => Ok(Hiding::No),
        Some(Value::Bool(true)) => Ok(Hiding::OneRouter),
        Some(Value::Number(n)) if n.as_u64() == Some(0) => Ok(Hiding::No),
        Some(Value::Number(n)) if n.as_u64() == Some(1) => Ok(Hiding::OneRouter),
        Some(Value::Number(n)) if n.as_u64() == Some(2) => Ok(Hiding::TwoRouters),
        Some(_) => Err(ApiError::invalid("ainonymous.hide", "must be true, false, or how many routers: 0, 1 or 2")),
    }
}

/// The first of these fields that is there; two that differ contradict each other. 0 inside means as many as fit;
/// nothing or a negative number outside.
pub(crate) fn max_tokens(fields: &mut Fields, names: &[&'static str], least: i64) -> Result<Option<u32>, ApiError> {
    let mut found: Option<(&str, i64)> = None;
    for name in names {
        let Some(tokens) = fields.integer(name, least, i64::from(ANSWER_TOKENS_MAX))? else { continue };
        match found {
            Some((first, other)) if other != tokens => {
                return Err(ApiError::invalid(fields.path(first), format!("contradicts '{}'", fields.path(name))));
            }
            _ => found = Some((name, tokens)),
        }
    }
    match found {
        None => Ok(None),
        Some((name, 0)) => {
            Err(ApiError::invalid(fields.path(name), "must be at least 1; leave it out for as many as fit"))
        }
        Some((_, tokens)) => Ok(Some(u32::try_from(tokens).unwrap_or(0))),
    }
}

/// A text or several that end the answer.
pub(crate) fn stop(fields: &mut Fields, name: &str) -> Result<Vec<String>, ApiError> {
    let values = match fields.take(name) {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![Value::String(text)],
        Some(Value::Array(values)) => values,
        Some(other) => return Err(fields.wrong_kind(name, "a string or an array of strings", &other)),
    };
    let path = fields.path(name);
    if values.len() > STOP_STRINGS_MAX {
        let problem = format!("has {} strings; at most {STOP_STRINGS_MAX} are allowed", values.len());
        return Err(ApiError::invalid(path, problem));
    }
    let check = |(at, value): (usize, Value)| match value {
        Value::String(text) if (1..=STOP_BYTES_MAX).contains(&text.len()) => Ok(text),
        _ => {
            Err(ApiError::invalid(format!("{path}[{at}]"), format!("must be a string of 1 to {STOP_BYTES_MAX} bytes")))
        }
    };
    values.into_iter().enumerate().map(check).collect()
}

/// `stream_options`: whether a last chunk counts tokens, and the names that were not known.
pub(crate) fn stream_options(fields: &mut Fields) -> Result<(bool, Vec<String>), ApiError> {
    let Some(mut options) = fields.object("stream_options")? else { return Ok((false, Vec::new())) };
    let include_usage = options.boolean("include_usage")?.unwrap_or(false);
    options.boolean("include_obfuscation")?;
    Ok((include_usage, options.leftovers()))
}

/// How many messages there may be.
pub(crate) fn check_count(path: &str, count: usize) -> Result<(), ApiError> {
    if count == 0 || count > CHAT_MESSAGES_MAX {
        let problem = format!("must have 1 to {CHAT_MESSAGES_MAX} messages, not {count}");
        return Err(ApiError::invalid(path, problem));
    }
    Ok(())
}

/// A conversation needs a word, and not too many.
pub(crate) fn check_messages(messages: &[Message]) -> Result<(), ApiError> {
    let of = |message: &Message| {
        let calls: usize = message.tool_calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
        message.content.len() + message.reasoning.as_ref().map_or(0, String::len) + calls
    };
    check_bytes(messages.iter().map(of).sum())?;
    images::check(messages)?;
    if messages.iter().all(|message| message.content.trim().is_empty() && message.images.is_empty()) {
        return Err(ApiError::EmptyPrompt);
    }
    Ok(())
}

/// All texts of a question together.
pub(crate) fn check_bytes(bytes: usize) -> Result<(), ApiError> {
    match bytes > PROMPT_BYTES_MAX {
        true => Err(ApiError::PromptTooLarge { bytes, max: PROMPT_BYTES_MAX }),
        false => Ok(()),
    }
}

/// A text, or parts that are all text, named as in OpenAI's and Anthropic's dialects.
pub(crate) fn content_text(path: &str, content: Value) -> Result<String, ApiError> {
    let mut message = Message::new(Role::System, "");
    content_into(path, content, &mut message)?;
    Ok(message.content)
}

/// The same; what users and tools say may have images in it.
pub(crate) fn content_into(path: &str, content: Value, message: &mut Message) -> Result<(), ApiError> {
    let parts = match content {
        Value::String(text) => {
            message.content.push_str(&text);
            return Ok(());
        }
        Value::Array(parts) => parts,
        other => {
            let problem = format!("must be a string or an array of text parts, not {}", kind(&other));
            return Err(ApiError::invalid(path, problem));
        }
    };
    let may_show = matches!(message.role, Role::User | Role::Tool);
    for (at, part) in parts.into_iter().enumerate() {
        let mut fields = Fields::of(&format!("{path}[{at}]"), part)?;
        let of_kind = fields.needed("type")?;
        match of_kind.as_str() {
            "text" | "input_text" | "output_text" => message.content.push_str(&fields.needed("text")?),
            "refusal" => message.content.push_str(&fields.needed("refusal")?),
            "image_url" | "input_image" if may_show => images::push_openai(message, &mut fields)?,
            "image" if may_show => images::push_anthropic(message, &mut fields)?,
            other => return Err(ApiError::Unsupported { param: fields.path("type"), reason: no_part(other) }),
        }
    }
    Ok(())
}

/// Why a part of a message is refused.
pub(crate) fn no_part(kind: &str) -> &'static str {
    match kind {
        "image_url" | "input_image" | "image" => "only what users and tools say may have images in it",
        "input_audio" | "audio" => "sound is not supported (input_audio)",
        "file" | "input_file" | "document" => "files are not supported",
        _ => "only text and images are supported",
    }
}

/// A role that speaks plainly, by its name.
pub(crate) fn plain_role(name: &str) -> Option<Role> {
    match name {
        "system" | "developer" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        _ => None,
    }
}
