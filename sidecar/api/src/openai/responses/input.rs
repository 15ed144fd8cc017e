//! `input` of a response: a text, or items that stand for messages, tool calls and their results.

use crate::fields::Fields;
use crate::question::{self, tools};
use crate::ApiError;
use ainonymous_node::request::{Message, Role, ToolCall};
use ainonymous_types::limits::CHAT_MESSAGES_MAX;
use serde_json::Value;

/// The conversation.
pub(super) fn messages(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let items = match fields.take("input") {
        None => return Err(ApiError::Missing { param: "input".into() }),
        Some(Value::String(text)) => return Ok(vec![Message::new(Role::User, text)]),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(fields.wrong_kind("input", "a string or an array of items", &other)),
    };
    if items.len() > CHAT_MESSAGES_MAX {
        let problem = format!("has {} items; at most {CHAT_MESSAGES_MAX} are allowed", items.len());
        return Err(ApiError::invalid("input", problem));
    }
    let mut conversation = Conversation::default();
    for (at, item) in items.into_iter().enumerate() {
        conversation.add(Fields::of(&format!("input[{at}]"), item)?)?;
    }
    Ok(conversation.messages)
}

#[derive(Default)]
struct Conversation {
    messages: Vec<Message>,
    /// What the model thought, until the message that it thought before.
    reasoning: Option<String>,
}

impl Conversation {
    fn add(&mut self, mut item: Fields) -> Result<(), ApiError> {
        let kind = item.string("type")?;
        match kind.as_deref() {
            None | Some("message") => self.message(item),
            Some("function_call") => self.call(item),
            Some("function_call_output") => {
                let mut message = Message::new(Role::Tool, "");
                message.tool_call_id = Some(item.needed("call_id")?);
                let path = item.path("output");
                let output = item.take("output").ok_or(ApiError::Missing { param: path.clone() })?;
                question::content_into(&path, output, &mut message)?;
                self.messages.push(message);
                Ok(())
            }
            Some("reasoning") => {
                let path = item.path("content");
                let text = item.array("content")?.map(|parts| reasoning_text(&path, parts)).transpose()?;
                self.reasoning = text.filter(|text| !text.is_empty());
                Ok(())
            }
            Some("item_reference") => {
                let reason = "nothing is stored; send the item itself";
                Err(ApiError::Unsupported { param: item.path("type"), reason })
            }
            Some(_) => {
                let reason = "only messages, function calls and their outputs are known";
                Err(ApiError::Unsupported { param: item.path("type"), reason })
            }
        }
    }

    fn message(&mut self, mut item: Fields) -> Result<(), ApiError> {
        let name = item.needed("role")?;
        let role = question::plain_role(&name)
            .ok_or_else(|| ApiError::invalid(item.path("role"), "must be system, developer, user or assistant"))?;
        let path = item.path("content");
        let content = item.take("content").ok_or(ApiError::Missing { param: path.clone() })?;
        let mut message = Message::new(role, "");
        question::content_into(&path, content, &mut message)?;
        if role == Role::Assistant {
            message.reasoning = self.reasoning.take();
        }
        self.messages.push(message);
        Ok(())
    }

    /// A call belongs to the message before it, if the model wrote that.
    fn call(&mut self, mut item: Fields) -> Result<(), ApiError> {
        let id = item.needed("call_id")?;
        let name = item.needed("name")?;
        let call = ToolCall { id, name, arguments: tools::arguments(&mut item, "arguments")? };
        match self.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.tool_calls.push(call),
            _ => {
                let mut message = Message::new(Role::Assistant, "");
                message.reasoning = self.reasoning.take();
                message.tool_calls.push(call);
                self.messages.push(message);
            }
        }
        Ok(())
    }
}

fn reasoning_text(path: &str, parts: Vec<Value>) -> Result<String, ApiError> {
    let mut whole = String::new();
    for (at, part) in parts.into_iter().enumerate() {
        whole.push_str(&Fields::of(&format!("{path}[{at}]"), part)?.needed("text")?);
    }
    Ok(whole)
}
