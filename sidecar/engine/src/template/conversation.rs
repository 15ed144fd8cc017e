//! A conversation as a template wants it.
//!
//! Templates differ in what they know: tools not at all, results only inside the message that called, arguments only as
//! text, no system message, no two messages of one role in a row. What a template does not know is said in words.

use super::json::dumps;
use crate::dialect::knows_tools;
use crate::request::{Chat, Message, Role, Tool, ToolCall, ToolChoice};
use serde_json::{json, Map, Value};
use sha2::{Digest, Sha256};

/// What a template knows, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knows {
    /// Tools.
    tools: bool,
    /// Results of tools as messages of their own. Gemma 4's first template wants them inside the message that called.
    results: bool,
    /// Ids of calls of any length; Mistral's templates want nine characters.
    any_id: bool,
}

/// How a conversation is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Arguments of calls as JSON text instead of objects (DeepSeek).
    text_arguments: bool,
    /// Calls and results as words of the assistant and the user.
    tools_in_words: bool,
    /// The system message as the beginning of the user's first (Gemma 2, early Mistral).
    system_in_user: bool,
}

impl Knows {
    pub(super) fn of(source: &str) -> Self {
        let plain: String =
            source.chars().filter(|c| !c.is_whitespace()).map(|c| if c == '"' { '\'' } else { c }).collect();
        let asks_for_role = ["=='tool'", "!='tool'", "'tool']", "['tool',"].iter().any(|test| plain.contains(test));
        Self {
            tools: knows_tools(source),
            results: asks_for_role || !source.contains("tool_responses"),
            any_id: !(plain.contains("length!=9") || source.contains("length 9")),
        }
    }

    /// The ways to put a conversation, the best first. A template that refuses one is offered the next.
    pub(super) fn forms(&self, chat: &Chat) -> Vec<Form> {
        let calls = chat.messages.iter().any(|m| !m.tool_calls.is_empty());
        let results = chat.messages.iter().any(|m| m.role == Role::Tool);
        let system = chat.messages.iter().any(|m| m.role == Role::System) || (!self.tools && offered(chat));
        let best = Form { tools_in_words: !self.tools, ..Form::default() };
        let words = Form { tools_in_words: true, ..best };
        let mut forms = vec![best];
        if calls && self.tools {
            forms.push(Form { text_arguments: true, ..best });
        }
        if (calls || results) && self.tools {
            forms.push(words);
        }
        if system {
            forms.push(Form { system_in_user: true, ..best });
            if words != best {
                forms.push(Form { system_in_user: true, ..words });
            }
        }
        forms
    }
}

fn offered(chat: &Chat) -> bool {
    !chat.tools.is_empty() && chat.tool_choice != ToolChoice::None
}

/// The variables that a template sees, without the special tokens.
pub(super) fn values(chat: &Chat, knows: &Knows, form: Form) -> Map<String, Value> {
    let mut values = Map::new();
    let tools = (offered(chat) && knows.tools).then(|| chat.tools.iter().map(tool).collect::<Vec<_>>());
    values.insert("messages".into(), Value::Array(messages(chat, knows, form)));
    // As Hugging Face's renderer has it: there, but none.
    values.insert("tools".into(), tools.into());
    values.insert("documents".into(), Value::Null);
    if let Some(thinking) = chat.thinking {
        // Qwen, Gemma and SmolLM call it by the first name, DeepSeek and Granite by the second.
        values.insert("enable_thinking".into(), thinking.into());
        values.insert("thinking".into(), thinking.into());
    }
    values
}

fn messages(chat: &Chat, knows: &Knows, form: Form) -> Vec<Value> {
    let mut messages = chat.messages.clone();
    if form.tools_in_words {
        messages = in_words(&messages);
    }
    if offered(chat) && !knows.tools {
        let text = instructions(chat);
        match messages.first_mut().filter(|first| first.role == Role::System) {
            Some(system) => system.content = format!("{}\n\n{text}", system.content),
            None => messages.insert(0, Message::new(Role::System, text)),
        }
    }
    if form.system_in_user {
        messages = system_in_user(messages);
    }
    if form.tools_in_words || form.system_in_user {
        messages = alternating(messages);
    }
    if knows.results {
        return messages.iter().map(|m| message(m, knows, form)).collect();
    }
    with_results(&messages, knows, form)
}

fn message(message: &Message, knows: &Knows, form: Form) -> Value {
    // Images are marks in the content by now.
    let Message { role, content, images: _, reasoning, tool_calls, tool_call_id, name } = message;
    let mut value = Map::new();
    value.insert("role".into(), role_name(*role).into());
    value.insert("content".into(), content.as_str().into());
    if let Some(reasoning) = reasoning {
        value.insert("reasoning_content".into(), reasoning.as_str().into());
        // gpt-oss has its own name for it, and takes it from messages that call and say nothing.
        if content.is_empty() || tool_calls.is_empty() {
            value.insert("thinking".into(), reasoning.as_str().into());
        }
    }
    // Templates ask whether these are there at all.
    if !tool_calls.is_empty() {
        let calls = tool_calls.iter().map(|ToolCall { id, name, arguments }| {
            let object = serde_json::from_str(arguments).ok().filter(|_| !form.text_arguments);
            let arguments: Value = object.unwrap_or_else(|| arguments.as_str().into());
            let function = json!({ "name": name, "arguments": arguments });
            json!({ "id": id_for(id, knows), "type": "function", "function": function })
        });
        value.insert("tool_calls".into(), calls.collect());
    }
    if let Some(id) = tool_call_id {
        value.insert("tool_call_id".into(), id_for(id, knows).into());
    }
    if let Some(name) = name {
        value.insert("name".into(), name.as_str().into());
    }
    Value::Object(value)
}

fn tool(tool: &Tool) -> Value {
    let Tool { name, description, parameters } = tool;
    let mut function = Map::new();
    function.insert("name".into(), name.as_str().into());
    // Most templates write a description without asking whether there is one.
    function.insert("description".into(), description.as_deref().unwrap_or_default().into());
    function.insert("parameters".into(), parameters.clone());
    json!({ "type": "function", "function": function })
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

fn id_for(id: &str, knows: &Knows) -> String {
    if knows.any_id || (id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return id.to_owned();
    }
    let hash = Sha256::digest(id);
    hash.iter()
        .take(5)
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(9)
        .map(|n| char::from(b"0123456789abcdef"[n as usize]))
        .collect()
}

/// Results inside the messages that called, as Gemma 4's first template has them; the answer that follows joins them.
fn with_results(messages: &[Message], knows: &Knows, form: Form) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    let mut rest = messages;
    while let [first, after @ ..] = rest {
        let mut value = message(first, knows, form);
        let results = after.iter().take_while(|m| m.role == Role::Tool).count();
        rest = after;
        if !first.tool_calls.is_empty() && results > 0 {
            let responses: Vec<Value> =
                after[..results].iter().enumerate().map(|(i, m)| response(m, &first.tool_calls, i)).collect();
            value["tool_responses"] = responses.into();
            rest = &after[results..];
            let joins = |m: &&Message| m.role == Role::Assistant && m.tool_calls.is_empty() && first.content.is_empty();
            if let Some(answer) = rest.first().filter(joins) {
                value["content"] = answer.content.as_str().into();
                rest = &rest[1..];
            }
        }
        values.push(value);
    }
    values
}

fn response(result: &Message, calls: &[ToolCall], place: usize) -> Value {
    let called = calls.iter().find(|call| Some(&call.id) == result.tool_call_id.as_ref()).or_else(|| calls.get(place));
    let name = called.map(|call| call.name.as_str()).or(result.name.as_deref()).unwrap_or("unknown");
    let object = serde_json::from_str(&result.content).ok().filter(Value::is_object);
    json!({ "name": name, "response": object.unwrap_or_else(|| result.content.as_str().into()) })
}

/// Calls as what the assistant said, results as what the user said: the notation of [`instructions`].
fn in_words(messages: &[Message]) -> Vec<Message> {
    let said = |message: &Message| {
        let mut parts: Vec<String> = Vec::new();
        let role = match message.role {
            Role::Tool => {
                parts.push(format!("<tool_response>\n{}\n</tool_response>", message.content));
                Role::User
            }
            role => {
                parts.extend((!message.content.is_empty()).then(|| message.content.clone()));
                role
            }
        };
        parts.extend(message.tool_calls.iter().map(|call| {
            let arguments: Value =
                serde_json::from_str(&call.arguments).unwrap_or_else(|_| call.arguments.as_str().into());
            let call = json!({ "name": call.name, "arguments": arguments });
            format!("<tool_call>\n{}\n</tool_call>", dumps(&call))
        }));
        Message { reasoning: message.reasoning.clone(), ..Message::new(role, parts.join("\n")) }
    };
    messages.iter().map(said).collect()
}

/// Tools for a model whose template knows none; read back by `Dialect::Generic`.
fn instructions(chat: &Chat) -> String {
    let tools: Vec<String> = chat.tools.iter().map(|t| dumps(&tool(t)["function"])).collect();
    let must = match &chat.tool_choice {
        ToolChoice::Auto | ToolChoice::None => "If one of them helps, call it.".to_owned(),
        ToolChoice::Required => "Call one of them.".to_owned(),
        ToolChoice::Named(name) => format!("Call `{name}`."),
    };
    format!(
        "You have tools. {must} The tools, each with the JSON schema of its arguments:\n<tools>\n{}\n</tools>\n\
         To call a tool, answer only with\n<tool_call>\n{{\"name\": \"the tool's name\", \"arguments\": {{}}}}\n</tool_call>\n\
         and you will get its result as <tool_response>.",
        tools.join("\n")
    )
}

/// System messages as the beginning of what the user says next.
fn system_in_user(messages: Vec<Message>) -> Vec<Message> {
    let as_user = |m: Message| if m.role == Role::System { Message { role: Role::User, ..m } } else { m };
    messages.into_iter().map(as_user).collect()
}

/// Messages of one role in a row as one.
fn alternating(messages: Vec<Message>) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::new();
    for message in messages {
        match out.last_mut().filter(|last| last.role == message.role && message.role != Role::Tool) {
            Some(last) => {
                last.content = format!("{}\n\n{}", last.content, message.content);
                last.tool_calls.extend(message.tool_calls);
            }
            None => out.push(message),
        }
    }
    out
}
