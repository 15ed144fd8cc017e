//! Harmony, the notation of gpt-oss: an answer is a row of messages, and each message has a header that says what it is.
//!
//! `<|channel|>analysis<|message|>a thought<|end|><|start|>assistant<|channel|>final<|message|>the answer`. A message to
//! `functions.NAME` is a call; its body is the arguments. The prompt ends with `<|start|>assistant`.

use super::call::{object, Told, CALL_BYTES_MAX};
use super::marks::{begun, first, leads};
use super::object::{ObjectReader, Read};
use super::parser::Out;
use crate::request::Chat;

/// Every marker; the last two end an answer and are mostly not seen.
pub(super) const MARKERS: &[&str] =
    &["<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>"];
const MESSAGE: &str = "<|message|>";
const TO: &str = "to=functions.";
/// Longest header in bytes.
const HEADER_BYTES_MAX: usize = 512;

/// Reads an answer.
pub(super) struct Harmony {
    held: String,
    state: State,
    tools: bool,
    /// Names of the tools that were offered.
    offered: Vec<String>,
}

enum State {
    /// Nothing yet: a header, unless it begins as one cannot.
    Opening,
    Header(String),
    Content,
    Reasoning,
    /// A call: all that was written of it, where its arguments begin in that, and its name.
    Call {
        raw: String,
        from: usize,
        name: String,
    },
    /// A call of a tool that was offered, whose arguments are told as they are written.
    Told(ObjectReader),
    /// All of them were told.
    Called,
}

impl Harmony {
    /// `opened`: the prompt ends within a thought.
    pub(super) fn new(chat: &Chat, tools: bool, opened: bool) -> Self {
        let state = if opened { State::Reasoning } else { State::Opening };
        let offered = if tools { chat.tools.iter().map(|tool| tool.name.clone()).collect() } else { vec![] };
        Self { held: String::new(), state, tools, offered }
    }

    pub(super) fn push(&mut self, text: &str, out: &mut Out) {
        self.held.push_str(text);
        if matches!(self.state, State::Opening) {
            let opens = [leads(&self.held, "<|channel|>"), leads(&self.held, "<|start|>"), leads(&self.held, " to=")];
            if opens.contains(&Some(true)) {
                self.state = State::Header(String::new());
            } else if opens.iter().any(Option::is_some) {
                return;
            } else {
                self.state = State::Content;
            }
        }
        let marks = || MARKERS.iter().copied();
        while let Some((at, mark)) = first(&self.held, marks()) {
            let before: String = self.held.drain(..at).collect();
            self.held.drain(..mark.len());
            self.text(&before, out);
            self.mark(mark, out);
        }
        let clear = self.held.len() - begun(&self.held, marks());
        let clear: String = self.held.drain(..clear).collect();
        self.text(&clear, out);
    }

    pub(super) fn finish(&mut self, out: &mut Out) {
        let held = std::mem::take(&mut self.held);
        if matches!(self.state, State::Opening) {
            self.state = State::Content;
        }
        self.text(&held, out);
        self.end(out);
    }

    fn text(&mut self, text: &str, out: &mut Out) {
        match &mut self.state {
            State::Opening | State::Content => out.content(text),
            State::Reasoning => out.reasoning(text),
            State::Header(header) => {
                header.push_str(text);
                if header.len() > HEADER_BYTES_MAX {
                    let header = std::mem::take(header);
                    self.state = State::Content;
                    out.content(&header);
                }
            }
            State::Told(_) => self.tell(text, out),
            // Whatever follows its arguments in a call's message.
            State::Called => {}
            State::Call { raw, from, name } => {
                raw.push_str(text);
                if self.offered.contains(name) && raw[*from..].trim_start().starts_with('{') {
                    out.told(Told::Begins(std::mem::take(name)));
                    let arguments = raw.split_off(*from);
                    self.state = State::Told(ObjectReader::default());
                    return self.tell(arguments.trim_start(), out);
                }
                if raw.len() > CALL_BYTES_MAX {
                    let raw = std::mem::take(raw);
                    self.state = State::Content;
                    out.content(&raw);
                }
            }
        }
    }

    /// More of a call's arguments. What cannot follow is text.
    fn tell(&mut self, text: &str, out: &mut Out) {
        let State::Told(reader) = &mut self.state else { return };
        let mut arguments = String::new();
        let read = reader.push(text, &mut arguments);
        if !arguments.is_empty() {
            out.told(Told::Arguments(arguments));
        }
        match read {
            Read::More => {}
            Read::Done(_) => self.state = State::Called,
            Read::Invalid(at) => {
                self.state = State::Content;
                out.content(&text[at..]);
            }
        }
    }

    fn mark(&mut self, mark: &str, out: &mut Out) {
        match (&mut self.state, mark) {
            (State::Header(header), MESSAGE) => {
                let header = std::mem::take(header);
                self.state = self.body(&header);
            }
            // What a header consists of stays in it, for a call that turns out to be none.
            (State::Header(header), "<|channel|>" | "<|constrain|>") => header.push_str(mark),
            _ => {
                self.end(out);
                self.state = match mark {
                    "<|start|>" | "<|channel|>" => State::Header(mark.to_owned()),
                    MESSAGE => State::Content,
                    _ => State::Header(String::new()),
                };
            }
        }
    }

    /// What a message is.
    fn body(&self, header: &str) -> State {
        if let (true, Some((_, to))) = (self.tools, header.split_once(TO)) {
            let name: String =
                to.chars().take_while(|&c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).collect();
            if !name.is_empty() && name.len() <= crate::request::TOOL_NAME_BYTES_MAX {
                let raw = format!("{header}{MESSAGE}");
                return State::Call { from: raw.len(), raw, name };
            }
        }
        if header.contains("analysis") {
            State::Reasoning
        } else {
            State::Content
        }
    }

    /// A message is over.
    fn end(&mut self, out: &mut Out) {
        match std::mem::replace(&mut self.state, State::Content) {
            State::Call { raw, from, name } => {
                let arguments = raw[from..].trim();
                let arguments = if arguments.is_empty() { "null" } else { arguments };
                match serde_json::from_str(arguments).ok().and_then(object) {
                    Some(arguments) => out.call(name, arguments),
                    None => out.content(&raw),
                }
            }
            // Text after a message's end, where a header should be.
            State::Header(header) if !header.starts_with("<|") => out.content(&header),
            State::Reasoning => out.thought(),
            State::Opening | State::Header(_) | State::Content | State::Told(_) | State::Called => {}
        }
    }
}
