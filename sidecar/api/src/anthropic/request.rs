//! From the body of a message to a question.

use crate::fields::{kind, Fields};
use crate::question::unsupported::{is_nothing, is_text, Rule, SAMPLERS};
use crate::question::{self, constraint, tools, unsupported};
use crate::ApiError;
use ainonymous_node::request::{Chat, Message, Prompt, Role, Tool, ToolCall, ToolChoice};
use ainonymous_node::{AskRequest, Question};
use serde_json::Value;

const UNSUPPORTED: &[Rule] = &[
    ("mcp_servers", is_nothing, "tools of servers are not called"),
    ("container", is_nothing, "there are no containers"),
    ("service_tier", |v| is_text(v, &["auto", "standard_only"]), "there is one tier"),
];

/// What a body asks for.
pub(super) struct Parsed {
    pub(super) ask: AskRequest,
    pub(super) stream: bool,
    pub(super) ignored: Vec<String>,
}

/// Reads a body.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, ApiError> {
    let mut fields = question::body(bytes)?;
    let model = question::model(&mut fields)?;
    let max_tokens = question::max_tokens(&mut fields, &["max_tokens"], 1)?
        .ok_or(ApiError::Missing { param: "max_tokens".into() })?;
    let chat = conversation(&mut fields)?;
    let constraint = match format(&mut fields)? {
        Some(constraint) => Some(constraint),
        None => constraint::constraint(&mut fields)?,
    };
    let question = Question {
        constraint,
        max_tokens,
        stop: question::stop(&mut fields, "stop_sequences")?,
        ..Question::new(Prompt::Chat(chat))
    };
    let question = question::sampled(&mut fields, question)?;
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let question::Wanted { route, provider, demands, hide, known, show_auditors } = question::extension(&mut fields)?;
    unsupported::refuse(&mut fields, UNSUPPORTED)?;
    unsupported::refuse(&mut fields, SAMPLERS)?;
    let ignored = fields.leftovers();
    Ok(Parsed {
        ask: AskRequest { model, question, route, provider, demands, hide, known, show_auditors },
        stream,
        ignored,
    })
}

/// Reads a body whose tokens are to be counted: the model and what it would be asked. The rest says nothing about tokens.
pub(super) fn to_count(bytes: &[u8]) -> Result<(Option<String>, Chat, Vec<String>), ApiError> {
    let mut fields = question::body(bytes)?;
    let model = question::model(&mut fields)?;
    let chat = conversation(&mut fields)?;
    unsupported::refuse(&mut fields, UNSUPPORTED)?;
    Ok((model, chat, fields.leftovers()))
}

/// What the template is given.
fn conversation(fields: &mut Fields) -> Result<Chat, ApiError> {
    let messages = messages(fields)?;
    let tools = tools::of_messages(fields)?;
    let (tool_choice, parallel_tool_calls) = choice(fields, &tools)?;
    let (_, template_arguments) = tools::thinking(fields)?;
    let thinking = thinking(fields)?;
    Ok(Chat { messages, tools, tool_choice, parallel_tool_calls, thinking, template_arguments })
}

fn messages(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let mut messages = Vec::new();
    if let Some(system) = fields.take("system") {
        messages.push(Message::new(Role::System, question::content_text("system", system)?));
    }
    let values = fields.array("messages")?.ok_or(ApiError::Missing { param: "messages".into() })?;
    question::check_count("messages", values.len())?;
    for (at, value) in values.into_iter().enumerate() {
        message(Fields::of(&format!("messages[{at}]"), value)?, &mut messages)?;
    }
    question::check_count("messages", messages.len())?;
    question::check_messages(&messages)?;
    Ok(messages)
}

/// One message of theirs is several of ours where it brings results of tools.
fn message(mut fields: Fields, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    let name = fields.needed("role")?;
    let role = question::plain_role(&name)
        .ok_or_else(|| ApiError::invalid(fields.path("role"), "must be user, assistant or system"))?;
    let path = fields.path("content");
    let blocks = match fields.take("content") {
        None => return Err(ApiError::Missing { param: path }),
        Some(Value::String(text)) => {
            messages.push(Message::new(role, text));
            return Ok(());
        }
        Some(Value::Array(blocks)) => blocks,
        Some(other) => {
            let problem = format!("must be a string or an array of blocks, not {}", kind(&other));
            return Err(ApiError::invalid(path, problem));
        }
    };
    let mut said = Message::new(role, "");
    for (at, value) in blocks.into_iter().enumerate() {
        block(Fields::of(&format!("{path}[{at}]"), value)?, role, &mut said, messages)?;
    }
    if !said.content.is_empty() || !said.images.is_empty() || !said.tool_calls.is_empty() || said.reasoning.is_some() {
        messages.push(said);
    }
    Ok(())
}

fn block(mut block: Fields, role: Role, said: &mut Message, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    let of_kind = block.needed("type")?;
    match (of_kind.as_str(), role) {
        ("text", _) => said.content.push_str(&block.needed("text")?),
        ("image", Role::User) => question::images::push_anthropic(said, &mut block)?,
        ("thinking", Role::Assistant) => said.reasoning.get_or_insert_default().push_str(&block.needed("thinking")?),
        ("redacted_thinking", Role::Assistant) => {}
        ("tool_use", Role::Assistant) => {
            let (id, name) = (block.needed("id")?, block.needed("name")?);
            said.tool_calls.push(ToolCall { id, name, arguments: tools::arguments(&mut block, "input")? });
        }
        ("tool_result", Role::User) => {
            let mut result = Message::new(Role::Tool, "");
            result.tool_call_id = Some(block.needed("tool_use_id")?);
            let path = block.path("content");
            if block.boolean("is_error")?.unwrap_or(false) {
                result.content.push_str("Error: ");
            }
            if let Some(content) = block.take("content") {
                question::content_into(&path, content, &mut result)?;
            }
            messages.push(result);
        }
        (other, _) => {
            let reason = question::no_part(other);
            return Err(ApiError::Unsupported { param: block.path("type"), reason });
        }
    }
    Ok(())
}

/// `tool_choice`, and whether several tools may be called at once.
fn choice(fields: &mut Fields, tools: &[Tool]) -> Result<(ToolChoice, bool), ApiError> {
    let Some(mut choice) = fields.object("tool_choice")? else { return Ok((ToolChoice::Auto, true)) };
    let wanted = match choice.needed("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.needed("name")?),
        _ => return Err(ApiError::invalid("tool_choice.type", "must be auto, any, tool or none")),
    };
    let parallel = !choice.boolean("disable_parallel_tool_use")?.unwrap_or(false);
    Ok((tools::check_choice("tool_choice", wanted, tools)?, parallel))
}

/// `thinking`: whether the model thinks first. How much is the model's affair.
fn thinking(fields: &mut Fields) -> Result<Option<bool>, ApiError> {
    let Some(mut thinking) = fields.object("thinking")? else { return Ok(None) };
    match thinking.needed("type")?.as_str() {
        "enabled" | "adaptive" => Ok(Some(true)),
        "disabled" => Ok(Some(false)),
        _ => Err(ApiError::invalid("thinking.type", "must be enabled, adaptive or disabled")),
    }
}

/// `output_config.format` or `output_format`: the form of the answer.
fn format(fields: &mut Fields) -> Result<Option<ainonymous_node::request::Constraint>, ApiError> {
    let within = match fields.object("output_config")? {
        Some(mut config) => config.object("format")?,
        None => None,
    };
    match within.or(fields.object("output_format")?) {
        Some(format) => constraint::format_of(format),
        None => Ok(None),
    }
}
