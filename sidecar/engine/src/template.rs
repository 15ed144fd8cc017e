//! Renders the chat template that a GGUF carries. Runs in the worker only: the template is foreign code.
//!
//! It gets what Hugging Face's renderer gives it (`messages`, `add_generation_prompt`, `bos_token`, `eos_token`,
//! `raise_exception`, `strftime_now`, Python's string methods, blocks trimmed) and is bounded in steps, depth and output.

use crate::error::{clip, EngineError};
use crate::request::{Chat, Role};
use ainonymous_types::limits;
use minijinja::{context, Environment, ErrorKind, Value};
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
        let mut template = Self { environment, source: String::new(), bos_token, eos_token };
        let added = template.environment.add_template_owned(NAME, source.clone());
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
        let messages: Vec<Value> = chat
            .messages
            .iter()
            .map(|m| context! { role => role_name(m.role), content => m.content.as_str() })
            .collect();
        let values = context! {
            messages,
            add_generation_prompt => ask,
            bos_token => self.bos_token.as_str(),
            eos_token => self.eos_token.as_str(),
        };
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

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Message;

    fn user(content: &str) -> Chat {
        Chat { messages: vec![Message::new(Role::User, content)], ..Chat::default() }
    }

    fn render(source: &str) -> Result<String, EngineError> {
        ChatTemplate::new(source.into(), "<bos>".into(), "<eos>".into())?.render(&user(" hi "), 86_400)
    }

    #[test]
    fn the_usual_vocabulary_works() {
        let source = "{{ bos_token }}{% for m in messages %}\n  {%- if m['role'] == 'user' %}[{{ m.content.strip() }}]{% endif %}\n\
                      {% endfor %}{% if add_generation_prompt %}>{% endif %}{{ eos_token }}{% if tools %}no{% endif %}";
        assert_eq!(render(source).unwrap(), "<bos>[hi]><eos>");
        assert_eq!(render("{{ strftime_now('%d %b %Y') }}").unwrap(), "02 Jan 1970");
        assert_eq!(
            render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}").unwrap(),
            "01"
        );
    }

    #[test]
    fn hostile_templates_end_in_an_error() {
        let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        let deep = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
        let long = "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}";
        for source in [endless, deep, long, "{{ strftime_now('%!') }}", "{% if %}", "{{ nothing() }}"] {
            assert_eq!(render(source).unwrap_err().code(), "template_failed", "{source}");
        }
        assert_eq!(render(" \n").unwrap_err(), EngineError::NoChatTemplate);
    }

    #[test]
    fn raised_messages_are_shown_unless_they_quote_the_prompt() {
        let detail = |source: &str| match render(source).unwrap_err() {
            EngineError::TemplateFailed { detail } => detail,
            other => panic!("{other}"),
        };
        assert!(detail("{{ raise_exception('roles must alternate') }}").starts_with("roles must alternate"));
        assert!(!detail("{{ raise_exception('secret' + messages[0].content + 'quoted') }}").contains("hi"));
    }
}
