//! From the body of a response to a question, and what of the body the answer repeats.

use super::input;
use crate::fields::Fields;
use crate::question::{self, constraint, tools, unsupported};
use crate::ApiError;
use ainonymous_node::request::{Chat, Message, Prompt, Role, TOP_LOGPROBS_MAX};
use ainonymous_node::{AskRequest, Question};
use serde_json::{json, Map, Value};
use unsupported::{is_nothing, is_text, Rule};

const UNSUPPORTED: &[Rule] = &[
    ("previous_response_id", is_nothing, "nothing is stored; send the whole conversation in 'input'"),
    ("conversation", is_nothing, "nothing is stored; send the whole conversation in 'input'"),
    ("background", is_nothing, "nothing is stored; answers come at once"),
    ("prompt", is_nothing, "prompts are not stored"),
    ("truncation", |v| is_text(v, &["disabled"]), "a conversation is never shortened"),
    ("modalities", |v| v == &Value::Array(vec!["text".into()]), "only text is supported"),
];

/// What a body asks for.
pub(super) struct Parsed {
    pub(super) ask: AskRequest,
    pub(super) stream: bool,
    /// Fields that the answer repeats.
    pub(super) echo: Map<String, Value>,
    pub(super) ignored: Vec<String>,
}

/// Reads a body.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, ApiError> {
    let mut fields = question::body(bytes)?;
    let mut echo = echo(bytes);
    let model = question::model(&mut fields)?;
    let instructions = fields.string("instructions")?;
    let mut messages: Vec<Message> = instructions.map(|text| Message::new(Role::System, text)).into_iter().collect();
    messages.extend(input::messages(&mut fields)?);
    question::check_count("input", messages.len())?;
    question::check_messages(&messages).map_err(named_input)?;
    let tools = tools::of_responses(&mut fields)?;
    let tool_choice = tools::choice(&mut fields, &tools)?;
    let parallel_tool_calls = fields.boolean("parallel_tool_calls")?.unwrap_or(true);
    let (template_thinking, mut template_arguments) = tools::thinking(&mut fields)?;
    let thinking = reasoning(&mut fields, &mut template_arguments)?.or(template_thinking);
    let mut ignored = Vec::new();
    let constraint = match text(&mut fields, &mut ignored)? {
        Some(constraint) => Some(constraint),
        None => constraint::constraint(&mut fields)?,
    };
    let chat = Chat { messages, tools, tool_choice, parallel_tool_calls, thinking, template_arguments };
    let question = Question {
        constraint,
        max_tokens: question::max_tokens(&mut fields, &["max_output_tokens"], 1)?.unwrap_or(0),
        stop: question::stop(&mut fields, "stop")?,
        logprobs: logprobs(&mut fields)?,
        ..Question::new(Prompt::Chat(chat))
    };
    let question = question::sampled(&mut fields, question)?;
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let (_, unknown) = question::stream_options(&mut fields)?;
    ignored.extend(unknown);
    // Nothing is stored, whatever is wished; the answer says so.
    fields.boolean("store")?;
    fields.map("metadata")?;
    let question::Wanted { route, provider, demands, hide, known, show_auditors } = question::extension(&mut fields)?;
    unsupported::refuse(&mut fields, UNSUPPORTED)?;
    unsupported::refuse(&mut fields, unsupported::SAMPLERS)?;
    ignored.extend(fields.leftovers());
    echo.insert("parallel_tool_calls".into(), parallel_tool_calls.into());
    Ok(Parsed {
        ask: AskRequest { model, question, route, provider, demands, hide, known, show_auditors },
        stream,
        echo,
        ignored,
    })
}

/// An error about messages names the field that they came in.
fn named_input(error: ApiError) -> ApiError {
    match error {
        ApiError::EmptyPrompt => ApiError::invalid("input", "has no text"),
        other => other,
    }
}

/// `text`: the form of the answer.
fn text(
    fields: &mut Fields,
    ignored: &mut Vec<String>,
) -> Result<Option<ainonymous_node::request::Constraint>, ApiError> {
    let Some(mut text) = fields.object("text")? else { return Ok(None) };
    let constraint = match text.object("format")? {
        Some(format) => constraint::format_of(format)?,
        None => None,
    };
    ignored.extend(text.leftovers());
    Ok(constraint)
}

/// `reasoning`: whether the model thinks first, and how hard.
fn reasoning(fields: &mut Fields, arguments: &mut Map<String, Value>) -> Result<Option<bool>, ApiError> {
    let Some(mut reasoning) = fields.object("reasoning")? else { return Ok(None) };
    let Some(effort) = reasoning.string("effort")? else { return Ok(None) };
    let thinking = tools::effort_of(&reasoning.path("effort"), &effort)?;
    if thinking {
        arguments.entry("reasoning_effort").or_insert(Value::String(effort));
    }
    Ok(Some(thinking))
}

/// Asked for by `include`, or by a number of alternatives.
fn logprobs(fields: &mut Fields) -> Result<Option<u32>, ApiError> {
    let included = fields.array("include")?.unwrap_or_default();
    let wanted = included.iter().any(|name| name == "message.output_text.logprobs");
    let top = fields.integer("top_logprobs", 0, i64::from(TOP_LOGPROBS_MAX))?.map(|top| top as u32);
    Ok(match (wanted, top) {
        (true, top) => Some(top.unwrap_or(0)),
        (false, Some(top @ 1..)) => Some(top),
        (false, _) => None,
    })
}

/// What the answer repeats, with what stands there if it was not said.
fn echo(bytes: &[u8]) -> Map<String, Value> {
    let said: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let defaults = json!({
        "instructions": null,
        "max_output_tokens": null,
        "metadata": {},
        "reasoning": { "effort": null, "summary": null },
        "temperature": null,
        "text": { "format": { "type": "text" } },
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "user": null,
    });
    let mut echo = Map::new();
    if let Value::Object(defaults) = defaults {
        for (name, default) in defaults {
            let value = said.get(&name).filter(|value| !value.is_null()).cloned();
            echo.insert(name, value.unwrap_or(default));
        }
    }
    echo
}
