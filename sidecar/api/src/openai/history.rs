//! Messages of chat completions as a conversation.

use crate::fields::Fields;
use crate::question::{self, tools};
use crate::ApiError;
use ainonymous_node::request::{Message, Role};
use serde_json::Value;

/// `messages`.
pub(super) fn messages(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let values = fields.array("messages")?.ok_or(ApiError::Missing { param: "messages".into() })?;
    question::check_count("messages", values.len())?;
    let messages: Vec<Message> =
        values.into_iter().enumerate().map(|(at, value)| message(at, value)).collect::<Result<_, _>>()?;
    question::check_messages(&messages)?;
    Ok(messages)
}

fn message(at: usize, value: Value) -> Result<Message, ApiError> {
    let mut fields = Fields::of(&format!("messages[{at}]"), value)?;
    let role = role(&mut fields)?;
    for name in ["function_call", "audio"] {
        match fields.take(name) {
            None => {}
            Some(_) => {
                let reason = "only text and tools are supported";
                return Err(ApiError::Unsupported { param: fields.path(name), reason });
            }
        }
    }
    let mut message = Message::new(role, "");
    match role {
        Role::Assistant => {
            message.tool_calls = tools::calls(&mut fields)?;
            let thought = fields.string("reasoning_content")?;
            message.reasoning = thought.or(fields.string("reasoning")?).filter(|text| !text.is_empty());
        }
        Role::Tool => {
            message.tool_call_id = fields.string("tool_call_id")?;
            message.name = fields.string("name")?;
        }
        Role::System | Role::User => {}
    }
    let path = fields.path("content");
    match fields.take("content") {
        Some(content) => question::content_into(&path, content, &mut message)?,
        // Who calls tools need not say anything.
        None if !message.tool_calls.is_empty() => {}
        None => return Err(ApiError::Missing { param: path }),
    }
    Ok(message)
}

fn role(fields: &mut Fields) -> Result<Role, ApiError> {
    let name = fields.needed("role")?;
    match name.as_str() {
        "tool" => Ok(Role::Tool),
        "function" => Err(ApiError::Unsupported { param: fields.path("role"), reason: "use the role 'tool'" }),
        name => question::plain_role(name).ok_or_else(|| {
            ApiError::invalid(fields.path("role"), "must be system, developer, user, assistant or tool")
        }),
    }
}
