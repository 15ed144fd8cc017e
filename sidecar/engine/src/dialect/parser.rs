//! An answer, taken apart while it grows: what is said, what is thought, what is called.
//!
//! Text is given on at once, except for what could still become a marker, white space whose fate the next word decides,
//! and calls until it is sure that they are some. Only white space next to a thought or a call is ever left out.

use super::call::{Reader, Step, Told};
use super::harmony::Harmony;
use super::marks::{begun, first};
use super::{Dialect, Payload, Style};
use crate::request::{Chat, ToolChoice};
use crate::ToolCallPart;
use sha2::{Digest, Sha256};

/// A piece of an answer.
#[derive(PartialEq, Eq)]
pub(crate) enum Part {
    /// Said.
    Content(String),
    /// Thought.
    Reasoning(String),
    /// Called: a call, or the next piece of it.
    ToolCall(ToolCallPart),
}

/// Takes an answer apart.
pub(crate) struct OutputParser {
    family: Family,
    out: Out,
}

enum Family {
    Harmony(Harmony),
    Other(Other),
}

impl OutputParser {
    /// `opened`: the prompt ends within a thought ([`super::opens_thinking`]). `seed`: makes the ids of calls, the same for
    /// the same seed; different answers of a conversation need different seeds.
    pub(crate) fn new(dialect: Dialect, chat: &Chat, opened: bool, seed: u64) -> Self {
        let tools = !chat.tools.is_empty() && chat.tool_choice != ToolChoice::None;
        let family = match dialect {
            Dialect::Harmony => Family::Harmony(Harmony::new(chat, tools, opened)),
            _ => Family::Other(Other::new(dialect.style(), chat, tools, opened)),
        };
        Self { family, out: Out { parts: vec![], seed, calls: 0, space: String::new(), place: Place::new(tools) } }
    }

    /// Takes the next piece of the answer's text.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Part> {
        match &mut self.family {
            Family::Harmony(harmony) => harmony.push(text, &mut self.out),
            Family::Other(other) => other.push(text, &mut self.out),
        }
        std::mem::take(&mut self.out.parts)
    }

    /// Ends the answer: what was held back becomes clear.
    pub(crate) fn finish(&mut self) -> Vec<Part> {
        match &mut self.family {
            Family::Harmony(harmony) => harmony.finish(&mut self.out),
            Family::Other(other) => other.finish(&mut self.out),
        }
        self.out.finish();
        std::mem::take(&mut self.out.parts)
    }

    #[cfg(test)]
    /// How many calls were read. An answer that has any ends with `tool_calls`.
    pub(crate) fn calls(&self) -> u32 {
        self.out.calls
    }
}

/// Families whose text has markers in it here and there.
struct Other {
    style: &'static Style,
    /// Names of the tools that were offered; empty if none were.
    offered: Vec<String>,
    tools: bool,
    held: String,
    state: State,
}

enum State {
    Content,
    /// A thought that ends with this marker; its own opening marker may come again at the beginning.
    Reasoning {
        close: &'static str,
        began: bool,
    },
    Call(Reader),
}

impl Other {
    fn new(style: &'static Style, chat: &Chat, tools: bool, opened: bool) -> Self {
        let close = style.thoughts.first().map_or("", |(_, close)| close);
        let state = if opened { State::Reasoning { close, began: false } } else { State::Content };
        let offered = if tools { chat.tools.iter().map(|tool| tool.name.clone()).collect() } else { vec![] };
        Self { style, offered, tools, held: String::new(), state }
    }

    fn push(&mut self, text: &str, out: &mut Out) {
        self.held.push_str(text);
        while self.step(out) {}
    }

    /// One marker, or all that is there. False: more text is needed.
    fn step(&mut self, out: &mut Out) -> bool {
        match &mut self.state {
            State::Content => self.content(out),
            State::Reasoning { .. } => self.reasoning(out),
            State::Call(reader) => {
                let text = std::mem::take(&mut self.held);
                let step = reader.push(&text, &self.offered);
                reader.told().into_iter().for_each(|told| out.told(told));
                match step {
                    Step::More => return false,
                    Step::Calls(calls, rest) => {
                        calls.into_iter().for_each(|call| out.call(call.name, call.arguments));
                        self.held = rest;
                    }
                    Step::Text(text, rest) => {
                        out.content(&text);
                        self.held = rest;
                    }
                }
                self.state = State::Content;
                !self.held.is_empty()
            }
        }
    }

    fn content(&mut self, out: &mut Out) -> bool {
        let leading = out.place.nothing_said();
        let alone = out.place.nothing_said_since_a_call() && self.held.trim_start().starts_with('{');
        let calls = self.style.calls.iter().filter(|_| self.tools);
        if let Some(bare) = calls.clone().find(|call| alone && call.payload == Payload::Bare) {
            let at = self.held.find('{').unwrap_or(0);
            let space: String = self.held.drain(..at).collect();
            out.content(&space);
            self.held.drain(..1);
            self.state = State::Call(Reader::new(bare));
            return true;
        }
        let marked = calls.filter(|call| call.payload != Payload::Bare);
        let thoughts = self.style.thoughts.iter().filter(|_| leading || !self.style.thoughts_lead);
        let dropped = self.style.dropped.iter().filter(|_| self.tools || !self.style.thoughts_lead);
        let marks = || {
            let calls = marked.clone().map(|call| call.open);
            calls.chain(thoughts.clone().map(|(open, _)| *open)).chain(dropped.clone().copied())
        };
        let Some((at, mark)) = first(&self.held, marks()) else {
            let clear = self.held.len() - begun(&self.held, marks());
            let clear: String = self.held.drain(..clear).collect();
            out.content(&clear);
            return false;
        };
        if leading && self.style.thoughts_lead && !self.held[..at].trim().is_empty() {
            // Something is said before the marker: look again, now that a thought can no longer begin.
            let before: String = self.held.drain(..at).collect();
            out.content(&before);
            return true;
        }
        let before: String = self.held.drain(..at).collect();
        self.held.drain(..mark.len());
        out.content(&before);
        let thought = thoughts.clone().find(|(open, _)| *open == mark);
        let call = marked.clone().find(|call| call.open == mark);
        if let Some(&(_, close)) = thought {
            out.thought();
            self.state = State::Reasoning { close, began: false };
        } else if let Some(call) = call {
            self.state = State::Call(Reader::new(call));
        }
        true
    }

    fn reasoning(&mut self, out: &mut Out) -> bool {
        let State::Reasoning { close, began } = &mut self.state else { return false };
        let close = *close;
        if !*began {
            // Some models repeat the marker that the prompt ends with.
            let text = self.held.trim_start();
            let opens = self.style.thoughts.iter().map(|(open, _)| *open);
            if let Some(open) = opens.clone().find(|open| text.starts_with(open)) {
                self.held = text[open.len()..].to_owned();
                *began = true;
                return true;
            }
            if opens.clone().any(|open| open.starts_with(text)) {
                return false;
            }
            *began = true;
        }
        if let Some(at) = self.held.find(close) {
            let thought: String = self.held.drain(..at).collect();
            self.held.drain(..close.len());
            out.reasoning(&thought);
            out.thought();
            self.state = State::Content;
            return true;
        }
        let clear = self.held.len() - begun(&self.held, std::iter::once(close));
        let clear: String = self.held.drain(..clear).collect();
        out.reasoning(&clear);
        false
    }

    fn finish(&mut self, out: &mut Out) {
        let held = std::mem::take(&mut self.held);
        match std::mem::replace(&mut self.state, State::Content) {
            State::Content => out.content(&held),
            State::Reasoning { .. } => out.reasoning(&held),
            State::Call(reader) => match reader.finish(&self.offered) {
                Ok((calls, rest)) => {
                    calls.into_iter().for_each(|call| out.call(call.name, call.arguments));
                    out.content(&rest);
                }
                Err(text) => out.content(&text),
            },
        }
    }
}

/// What was taken apart, and the white space that waits for the word after it.
pub(super) struct Out {
    parts: Vec<Part>,
    seed: u64,
    calls: u32,
    /// White space that is given on only before another word of the same kind.
    space: String,
    place: Place,
}

/// What came last.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Nothing. With tools, white space waits: it belongs to no answer if a call follows.
    Start {
        tools: bool,
    },
    /// A word of the answer; white space after it waits only if a call could follow.
    Content {
        tools: bool,
    },
    Reasoning {
        tools: bool,
    },
    /// The end of a thought: white space after it is left out.
    Thought {
        tools: bool,
    },
    /// A call: white space after it is left out, unless a word follows.
    Call,
}

impl Place {
    fn new(tools: bool) -> Self {
        Self::Start { tools }
    }

    fn tools(self) -> bool {
        match self {
            Self::Start { tools } | Self::Content { tools } | Self::Reasoning { tools } | Self::Thought { tools } => {
                tools
            }
            Self::Call => true,
        }
    }

    fn nothing_said(self) -> bool {
        matches!(self, Self::Start { .. } | Self::Thought { .. })
    }

    fn nothing_said_since_a_call(self) -> bool {
        self.nothing_said() || self == Self::Call
    }
}

impl Out {
    /// Something is said.
    pub(super) fn content(&mut self, text: &str) {
        let word = text.trim_end();
        let tools = self.place.tools();
        if word.is_empty() {
            match self.place {
                Place::Content { tools: false } => self.say(text),
                _ => self.space.push_str(text),
            }
            return;
        }
        let mut said = std::mem::take(&mut self.space);
        said.push_str(text);
        if let Place::Thought { .. } = self.place {
            said = said.trim_start().to_owned();
        }
        if tools {
            // A call could follow, and it would leave the answer with white space that nobody meant.
            let end = said.trim_end().len();
            self.space = said.split_off(end);
        }
        self.place = Place::Content { tools };
        self.say(&said);
    }

    /// Something is thought; white space around a thought is left out.
    pub(super) fn reasoning(&mut self, text: &str) {
        let tools = self.place.tools();
        if !matches!(self.place, Place::Reasoning { .. }) {
            self.flush();
            self.place = Place::Thought { tools };
        }
        let word = text.trim_end();
        if word.is_empty() {
            self.space.push_str(text);
            return;
        }
        let mut thought = std::mem::take(&mut self.space);
        thought.push_str(word);
        self.space.push_str(&text[word.len()..]);
        if !matches!(self.place, Place::Reasoning { .. }) {
            thought = thought.trim_start().to_owned();
        }
        self.place = Place::Reasoning { tools };
        match self.parts.last_mut() {
            Some(Part::Reasoning(last)) => last.push_str(&thought),
            _ => self.parts.push(Part::Reasoning(thought)),
        }
    }

    /// A thought begins or ends here.
    pub(super) fn thought(&mut self) {
        let tools = self.place.tools();
        if !matches!(self.place, Place::Content { .. }) {
            self.space.clear();
        }
        self.flush();
        self.place = Place::Thought { tools };
    }

    /// A tool is called.
    pub(super) fn call(&mut self, name: String, arguments: String) {
        self.space.clear();
        self.place = Place::Call;
        let begins = Some((call_id(self.seed, self.calls), name));
        self.parts.push(Part::ToolCall(ToolCallPart { index: self.calls, begins, arguments }));
        self.calls += 1;
    }

    /// A call begins, or goes on.
    pub(super) fn told(&mut self, told: Told) {
        match (told, self.parts.last_mut()) {
            (Told::Begins(name), _) => self.call(name, String::new()),
            (Told::Arguments(text), Some(Part::ToolCall(call))) => call.arguments.push_str(&text),
            (Told::Arguments(arguments), _) => {
                let index = self.calls.saturating_sub(1);
                self.parts.push(Part::ToolCall(ToolCallPart { index, begins: None, arguments }));
            }
        }
    }

    /// White space that waits after words of the answer belongs to it.
    fn flush(&mut self) {
        let space = std::mem::take(&mut self.space);
        if matches!(self.place, Place::Start { .. } | Place::Content { .. }) {
            self.say(&space);
        }
    }

    fn finish(&mut self) {
        self.flush();
    }

    fn say(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Content(last)) => last.push_str(text),
            _ => self.parts.push(Part::Content(text.to_owned())),
        }
    }
}

/// The id of an answer's call.
fn call_id(seed: u64, index: u32) -> String {
    use std::fmt::Write;
    let hash = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(index.to_le_bytes()).finalize();
    hash[..12].iter().fold("call_".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}
