//! Renders the chat template that a GGUF carries. Runs in the worker only: the template is foreign code.
//!
//! It gets what Hugging Face's renderer gives it (`messages`, `tools`, `add_generation_prompt`, `bos_token`, `eos_token`,
//! `raise_exception`, `strftime_now`, `tojson` as Python writes JSON, Python's string methods, blocks trimmed) and is bounded
//! in steps, depth and output. What it refuses is offered again in plainer words (`conversation`).

mod conversation;
mod json;
#[cfg(test)]
mod tests;

use crate::error::{clip, EngineError};
use crate::request::Chat;
use ainonymous_types::limits;
use conversation::Knows;
use minijinja::{Environment, ErrorKind, Value};
use std::io;

/// Steps of the template engine for one rendering; a long honest conversation takes some ten thousand.
const FUEL: u64 = 1_000_000;
/// Depth of nested blocks and macro calls.
const RECURSION_MAX: usize = 100;
/// Longest rendered prompt.
const RENDERED_BYTES_MAX: usize = 2 * limits::PROMPT_BYTES_MAX;
/// Longest template.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
const NAME: &str = "chat";

/// A compiled chat template.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    knows: Knows,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// Compiles the template; `bos_token` and `eos_token` are the texts of the model's special tokens.
    pub(crate) fn new(source: String, bos_token: String, eos_token: String) -> Result<Self, EngineError> {
        if source.trim().is_empty() {
            return Err(EngineError::NoChatTemplate);
        }
        if source.len() > TEMPLATE_BYTES_MAX {
            return Err(EngineError::TemplateFailed { detail: "the template is too long".into() });
        }
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", json::tojson);
        let knows = Knows::of(&source);
        let mut template = Self { environment, source: String::new(), knows, bos_token, eos_token };
        let added = template.environment.add_template_owned(NAME, without_generation_blocks(&source));
        added.map_err(|e| template.failed(&e))?;
        template.source = source;
        Ok(template)
    }

    /// The template as the file has it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The prompt for a conversation. `now_s`: seconds since the epoch, for templates that state the date (UTC).
    pub(crate) fn render(&mut self, chat: &Chat, now_s: i64) -> Result<String, EngineError> {
        self.render_to(chat, now_s, true)
    }

    fn render_to(&mut self, chat: &Chat, now_s: i64, ask: bool) -> Result<String, EngineError> {
        self.environment.add_function("strftime_now", move |format: &str| strftime(now_s, format));
        let mut first = None;
        for form in self.knows.forms(chat) {
            let mut values = chat.template_arguments.clone();
            values.extend(conversation::values(chat, &self.knows, form));
            values.insert("add_generation_prompt".into(), ask.into());
            values.insert("bos_token".into(), self.bos_token.as_str().into());
            values.insert("eos_token".into(), self.eos_token.as_str().into());
            match self.render_values(Value::from_serialize(&values)) {
                Ok(prompt) => return Ok(prompt),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or(EngineError::EmptyPrompt))
    }

    fn render_values(&self, values: Value) -> Result<String, EngineError> {
        let mut out = Bounded(Vec::new());
        let template = self.environment.get_template(NAME).map_err(|e| self.failed(&e))?;
        template.render_captured_to(values, &mut out).map_err(|e| self.failed(&e))?;
        String::from_utf8(out.0).map_err(|_| EngineError::TemplateFailed { detail: "not UTF-8".into() })
    }

    /// Length in bytes of what the prompt `whole` of a conversation shares with the conversation without its last message:
    /// other questions may begin the same. `None` if there is nothing before, or the template does not work that way.
    pub(crate) fn render_before_last(&mut self, chat: &Chat, now_s: i64, whole: &str) -> Option<usize> {
        let (_, before) = chat.messages.split_last()?;
        if before.is_empty() {
            return None;
        }
        let shorter = Chat { messages: before.to_vec(), ..chat.clone() };
        let text = self.render_to(&shorter, now_s, false).ok()?;
        let common = text.bytes().zip(whole.bytes()).take_while(|(a, b)| a == b).count();
        (common == text.len()).then_some(common)
    }

    /// Kind and line of a failure. A message that the template raises is shown only if it stands in the template itself:
    /// it could otherwise quote a prompt.
    fn failed(&self, error: &minijinja::Error) -> EngineError {
        let raised = (error.kind() == ErrorKind::InvalidOperation)
            .then(|| error.detail().and_then(|d| d.strip_prefix(RAISED)))
            .flatten()
            .filter(|message| !message.is_empty() && self.source.contains(*message));
        let what = raised.map_or_else(|| error.kind().to_string(), str::to_owned);
        let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
        EngineError::TemplateFailed { detail: clip(&format!("{what}{line}")) }
    }
}

const RAISED: &str = "raised: ";

fn raise_exception(message: &str) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
}

fn strftime(now_s: i64, format: &str) -> Result<String, minijinja::Error> {
    use std::fmt::Write;
    let time = chrono::DateTime::from_timestamp(now_s, 0).unwrap_or_default();
    let mut out = String::new();
    // Formatting fails for an unknown specifier.
    write!(out, "{}", time.format(format))
        .map_err(|_| minijinja::Error::new(ErrorKind::InvalidOperation, "unknown date format"))?;
    Ok(out)
}

/// Hugging Face's renderer knows blocks that mark what the model wrote, for training. Here they are ordinary blocks.
fn without_generation_blocks(source: &str) -> String {
    let mut source = source.to_owned();
    for (block, instead) in [("generation", "if true"), ("endgeneration", "endif")] {
        for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
            source = source.replace(&format!("{open} {block} {close}"), &format!("{open} {instead} {close}"));
        }
    }
    source
}

/// Takes at most [`RENDERED_BYTES_MAX`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > RENDERED_BYTES_MAX {
            return Err(io::Error::other("the rendered prompt is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
