//! Tools that a model may call, calls in a conversation, and whether it thinks first.

use super::constraint::any_object;
use crate::fields::{kind, Fields};
use crate::ApiError;
use ainonymous_node::request::{
    Tool, ToolCall, ToolChoice, SCHEMA_BYTES_MAX, TOOLS_MAX, TOOL_CALLS_MAX, TOOL_NAME_BYTES_MAX,
};
use serde_json::{Map, Value};

/// `tools` as OpenAI's chat and Ollama have them: `{"type": "function", "function": {…}}`.
pub(crate) fn of_chat(fields: &mut Fields) -> Result<Vec<Tool>, ApiError> {
    list(fields, |mut tool| {
        only_functions(&mut tool)?;
        let path = tool.path("function");
        let function = tool.object("function")?.ok_or(ApiError::Missing { param: path })?;
        described(function, "parameters")
    })
}

/// `tools` as `/v1/responses` has them: `{"type": "function", "name": …}`.
pub(crate) fn of_responses(fields: &mut Fields) -> Result<Vec<Tool>, ApiError> {
    list(fields, |mut tool| {
        only_functions(&mut tool)?;
        described(tool, "parameters")
    })
}

/// `tools` as Anthropic has them: `{"name": …, "input_schema": …}`.
pub(crate) fn of_messages(fields: &mut Fields) -> Result<Vec<Tool>, ApiError> {
    list(fields, |mut tool| match tool.string("type")?.as_deref() {
        None | Some("custom") => described(tool, "input_schema"),
        Some(_) => {
            Err(ApiError::Unsupported { param: tool.path("type"), reason: "only tools of the caller are known" })
        }
    })
}

fn list(fields: &mut Fields, read: impl Fn(Fields) -> Result<Tool, ApiError>) -> Result<Vec<Tool>, ApiError> {
    let values = fields.array("tools")?.unwrap_or_default();
    let path = fields.path("tools");
    if values.len() > TOOLS_MAX {
        return Err(ApiError::invalid(path, format!("has {} tools; at most {TOOLS_MAX} are allowed", values.len())));
    }
    let tools: Vec<Tool> = values
        .into_iter()
        .enumerate()
        .map(|(at, value)| read(Fields::of(&format!("{path}[{at}]"), value)?))
        .collect::<Result<_, _>>()?;
    let bytes: usize = tools
        .iter()
        .map(|t| t.name.len() + t.description.as_ref().map_or(0, String::len) + t.parameters.to_string().len())
        .sum();
    match bytes > SCHEMA_BYTES_MAX {
        true => Err(ApiError::invalid(path, format!("have {bytes} bytes; at most {SCHEMA_BYTES_MAX} are allowed"))),
        false => Ok(tools),
    }
}

fn only_functions(tool: &mut Fields) -> Result<(), ApiError> {
    match tool.string("type")?.as_deref() {
        None | Some("function") => Ok(()),
        Some(_) => Err(ApiError::Unsupported { param: tool.path("type"), reason: "only functions can be called" }),
    }
}

fn described(mut function: Fields, schema: &str) -> Result<Tool, ApiError> {
    let name = function.needed("name")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > TOOL_NAME_BYTES_MAX || !name.chars().all(fits) {
        let problem = format!("must be 1 to {TOOL_NAME_BYTES_MAX} letters, digits, _, - or .");
        return Err(ApiError::invalid(function.path("name"), problem));
    }
    let description = function.string("description")?;
    let parameters = match function.take(schema) {
        None => any_object(),
        Some(value @ Value::Object(_)) => value,
        Some(other) => return Err(function.wrong_kind(schema, "a JSON schema", &other)),
    };
    Ok(Tool { name, description, parameters })
}

/// `tool_choice` as OpenAI's dialects have it. What is named must be one of the tools.
pub(crate) fn choice(fields: &mut Fields, tools: &[Tool]) -> Result<ToolChoice, ApiError> {
    let path = fields.path("tool_choice");
    let choice = match fields.take("tool_choice") {
        None => return Ok(ToolChoice::Auto),
        Some(Value::String(text)) => match text.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Required,
            _ => return Err(ApiError::invalid(path, "must be auto, none, required, or name a function")),
        },
        Some(value) => {
            let mut named = Fields::of(&path, value)?;
            if named.needed("type")? != "function" {
                let reason = "only a function can be chosen";
                return Err(ApiError::Unsupported { param: named.path("type"), reason });
            }
            let name = match named.object("function")? {
                Some(mut function) => function.needed("name")?,
                None => named.needed("name")?,
            };
            ToolChoice::Named(name)
        }
    };
    check_choice(&path, choice, tools)
}

/// Refuses a choice that the tools cannot fulfil.
pub(crate) fn check_choice(path: &str, choice: ToolChoice, tools: &[Tool]) -> Result<ToolChoice, ApiError> {
    match &choice {
        ToolChoice::Required if tools.is_empty() => Err(ApiError::invalid(path, "needs 'tools'")),
        ToolChoice::Named(name) if !tools.iter().any(|tool| tool.name == *name) => {
            Err(ApiError::invalid(path, "names a function that is not among 'tools'"))
        }
        _ => Ok(choice),
    }
}

/// `tool_calls` of an assistant's message.
pub(crate) fn calls(message: &mut Fields) -> Result<Vec<ToolCall>, ApiError> {
    let values = message.array("tool_calls")?.unwrap_or_default();
    let path = message.path("tool_calls");
    if values.len() > TOOL_CALLS_MAX {
        let problem = format!("has {} calls; at most {TOOL_CALLS_MAX} are allowed", values.len());
        return Err(ApiError::invalid(path, problem));
    }
    let call = |(at, value): (usize, Value)| {
        let mut fields = Fields::of(&format!("{path}[{at}]"), value)?;
        // Ollama's calls have no id.
        let id = fields.string("id")?.unwrap_or_else(|| format!("call_{at}"));
        only_functions(&mut fields)?;
        let function_path = fields.path("function");
        let mut function = fields.object("function")?.ok_or(ApiError::Missing { param: function_path })?;
        let name = function.needed("name")?;
        Ok(ToolCall { id, name, arguments: arguments(&mut function, "arguments")? })
    };
    values.into_iter().enumerate().map(call).collect()
}

/// Arguments of a call: JSON text, or the object itself.
pub(crate) fn arguments(function: &mut Fields, name: &str) -> Result<String, ApiError> {
    match function.take(name) {
        None => Ok("{}".into()),
        Some(Value::String(text)) => Ok(text),
        Some(value @ Value::Object(_)) => Ok(value.to_string()),
        Some(other) => {
            let problem = format!("must be JSON text or an object, not {}", kind(&other));
            Err(ApiError::invalid(function.path(name), problem))
        }
    }
}

/// `chat_template_kwargs` and `reasoning_effort`: variables of the template, and whether the model thinks first.
pub(crate) fn thinking(fields: &mut Fields) -> Result<(Option<bool>, Map<String, Value>), ApiError> {
    let mut arguments = fields.map("chat_template_kwargs")?.unwrap_or_default();
    if Value::Object(arguments.clone()).to_string().len() > SCHEMA_BYTES_MAX {
        let problem = format!("is longer than {SCHEMA_BYTES_MAX} bytes");
        return Err(ApiError::invalid(fields.path("chat_template_kwargs"), problem));
    }
    let effort = fields.string("reasoning_effort")?;
    let thinking = effort.as_deref().map(|effort| effort_of(&fields.path("reasoning_effort"), effort)).transpose()?;
    if let (Some(true), Some(effort)) = (thinking, effort) {
        arguments.entry("reasoning_effort").or_insert(Value::String(effort));
    }
    Ok((thinking, arguments))
}

/// Whether an effort means to think at all.
pub(crate) fn effort_of(path: &str, effort: &str) -> Result<bool, ApiError> {
    match effort {
        "none" => Ok(false),
        "minimal" | "low" | "medium" | "high" | "xhigh" | "max" => Ok(true),
        _ => Err(ApiError::invalid(path, "must be none, minimal, low, medium, high or xhigh")),
    }
}
