//! From the bodies of Ollama's chat and generate to questions.

use super::keep_alive::keep_alive;
use crate::fields::Fields;
use crate::question::unsupported::{is_nothing, Rule, SAMPLERS};
use crate::question::{self, constraint, sampling, tools, unsupported};
use crate::ApiError;
use ainonymous_node::request::{Adjust, Chat, Constraint, Message, Prompt, Role};
use ainonymous_node::{AskRequest, KeepAlive, Question};
use serde_json::Value;

/// Options about loading a model, which its operator chose.
const LOADING: &[&str] = &[
    "num_ctx",
    "num_keep",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "use_mmap",
    "use_mlock",
    "numa",
    "low_vram",
];

const GENERATE: &[Rule] = &[
    ("suffix", is_nothing, "text is continued, not filled in"),
    ("context", is_nothing, "nothing is kept; send the whole conversation to /api/chat"),
    ("template", is_nothing, "the model's own template is used; send the text with 'raw'"),
];

/// What a body asks for.
pub(super) struct Parsed {
    pub(super) ask: AskRequest,
    /// Without a word: only to have the model loaded, or unloaded.
    pub(super) nothing_asked: bool,
    pub(super) keep: Option<KeepAlive>,
    pub(super) stream: bool,
    pub(super) ignored: Vec<String>,
}

/// `POST /api/chat`.
pub(super) fn chat(bytes: &[u8]) -> Result<Parsed, ApiError> {
    let mut fields = question::body(bytes)?;
    let values = fields.array("messages")?.unwrap_or_default();
    let nothing_asked = values.is_empty();
    let messages: Vec<Message> =
        values.into_iter().enumerate().map(|(at, value)| message(at, value)).collect::<Result<_, _>>()?;
    if !nothing_asked {
        question::check_count("messages", messages.len())?;
        question::check_messages(&messages)?;
    }
    let tools = tools::of_chat(&mut fields)?;
    let thinking = think(&mut fields)?;
    let chat = Chat { messages, tools, parallel_tool_calls: true, thinking, ..Chat::default() };
    finish(fields, Prompt::Chat(chat), nothing_asked)
}

/// `POST /api/generate`.
pub(super) fn generate(bytes: &[u8]) -> Result<Parsed, ApiError> {
    let mut fields = question::body(bytes)?;
    let text = fields.string("prompt")?.unwrap_or_default();
    question::check_bytes(text.len())?;
    let system = fields.string("system")?.filter(|text| !text.is_empty());
    let thinking = think(&mut fields)?;
    unsupported::refuse(&mut fields, GENERATE)?;
    let mut asked = Message::new(Role::User, "");
    images(&mut fields, &mut asked)?;
    let nothing_asked = text.is_empty() && asked.images.is_empty();
    let prompt = match fields.boolean("raw")?.unwrap_or(false) {
        true if !asked.images.is_empty() => {
            let reason = "images need the model's template; leave 'raw' out";
            return Err(ApiError::Unsupported { param: "images".into(), reason });
        }
        true => Prompt::Text(text),
        false => {
            let mut messages: Vec<Message> = system.map(|text| Message::new(Role::System, text)).into_iter().collect();
            messages.push(Message { content: text, ..asked });
            if !nothing_asked {
                question::check_messages(&messages)?;
            }
            Prompt::Chat(Chat { messages, thinking, ..Chat::default() })
        }
    };
    finish(fields, prompt, nothing_asked)
}

/// What both have.
fn finish(mut fields: Fields, prompt: Prompt, nothing_asked: bool) -> Result<Parsed, ApiError> {
    let model = model(&mut fields)?;
    let constraint = format(&mut fields)?;
    let logprobs = sampling::logprobs(&mut fields)?;
    let stream = fields.boolean("stream")?.unwrap_or(true);
    let keep = keep_alive(&mut fields)?;
    let question::Wanted { route, provider, demands, hide, known, show_auditors } = question::extension(&mut fields)?;
    let (mut question, mut ignored) = options(&mut fields, Question::new(prompt))?;
    question.constraint = constraint;
    question.logprobs = logprobs;
    ignored.extend(fields.leftovers());
    Ok(Parsed {
        ask: AskRequest { model, question, route, provider, demands, hide, known, show_auditors },
        nothing_asked,
        keep,
        stream,
        ignored,
    })
}

/// Names end in a tag; `latest` says nothing about ours.
pub(super) fn model(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let name = question::model(fields)?;
    Ok(name.map(|name| name.strip_suffix(":latest").map(str::to_owned).unwrap_or(name)))
}

fn format(fields: &mut Fields) -> Result<Option<Constraint>, ApiError> {
    match fields.take("format") {
        None => Ok(None),
        Some(value) => constraint::ollama_format("format", value),
    }
}

fn think(fields: &mut Fields) -> Result<Option<bool>, ApiError> {
    match fields.take("think") {
        None => Ok(None),
        Some(Value::Bool(think)) => Ok(Some(think)),
        Some(Value::String(effort)) => tools::effort_of("think", &effort).map(Some),
        Some(other) => Err(fields.wrong_kind("think", "true, false, low, medium or high", &other)),
    }
}

/// `options`: how tokens are chosen, and much about loading that is accepted and means nothing here.
fn options(fields: &mut Fields, mut question: Question) -> Result<(Question, Vec<String>), ApiError> {
    let mut options = match fields.object("options")? {
        Some(options) => options,
        None => Fields::of("options", Value::Object(Default::default()))?,
    };
    question.sampling = sampling::sampling(&mut options)?;
    question.adjust = Adjust { bias: Vec::new(), ..sampling::penalties(&mut options)? };
    // -1 and -2 are as many as fit.
    question.max_tokens = question::max_tokens(&mut options, &["num_predict"], -2)?.unwrap_or(0);
    question.stop = question::stop(&mut options, "stop")?;
    unsupported::refuse(&mut options, SAMPLERS)?;
    LOADING.iter().for_each(|name| drop(options.take(name)));
    Ok((question, options.leftovers()))
}

/// Images stand before what is said.
fn images(fields: &mut Fields, message: &mut Message) -> Result<(), ApiError> {
    let path = fields.path("images");
    for (at, image) in fields.array("images")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        match (message.role, image) {
            (Role::User | Role::Tool, Value::String(base64)) => {
                question::images::push_base64(message, path, &base64)?;
            }
            (Role::User | Role::Tool, _) => return Err(ApiError::invalid(path, "must be base64")),
            _ => return Err(ApiError::Unsupported { param: path, reason: question::no_part("image") }),
        }
    }
    Ok(())
}

fn message(at: usize, value: Value) -> Result<Message, ApiError> {
    let mut fields = Fields::of(&format!("messages[{at}]"), value)?;
    let name = fields.needed("role")?;
    let role = match name.as_str() {
        "tool" => Role::Tool,
        name => question::plain_role(name)
            .ok_or_else(|| ApiError::invalid(fields.path("role"), "must be system, user, assistant or tool"))?,
    };
    let mut message = Message::new(role, "");
    images(&mut fields, &mut message)?;
    message.content = fields.string("content")?.unwrap_or_default();
    message.tool_calls = tools::calls(&mut fields)?;
    message.reasoning = fields.string("thinking")?.filter(|text| !text.is_empty());
    message.name = fields.string("tool_name")?.or(fields.string("name")?);
    message.tool_call_id = fields.string("tool_call_id")?;
    Ok(message)
}
