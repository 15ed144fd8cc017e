//! One call, or a list of them, from its opening marker to its end.
//!
//! A call of a tool that was offered is told as it is written, from where its arguments begin as an object of JSON: so clients
//! see long arguments grow. One that breaks off ends there. Of every other call nothing is given away before all of it has
//! been read, and what turns out to be none goes back as text.

use super::marks::leads;
use super::object::{ObjectReader, Read};
use super::{gemma, CallStyle};
use serde_json::{Map, Value};

/// Longest text between an opening marker and the arguments, in bytes: a name and its trimmings.
const HEADER_BYTES_MAX: usize = 256;
/// Longest call in bytes.
pub(super) const CALL_BYTES_MAX: usize = 1 << 20;
/// Longest name of a tool, in bytes.
const NAME_BYTES_MAX: usize = crate::request::TOOL_NAME_BYTES_MAX;

/// What stands between a call's markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// JSON: `{"name": …, "arguments": …}`, or a list of such.
    Json,
    /// Like [`Self::Json`], but a call only if the tool was offered: others have uses for these markers.
    Offered,
    /// Like [`Self::Offered`], without markers, at the beginning of an answer.
    Bare,
    /// The tool's name, then its arguments as JSON.
    Named,
    /// `call:`, the tool's name, then its arguments in Gemma's notation.
    Gemma,
}

/// A call that was read.
#[derive(PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// A JSON object.
    pub(super) arguments: String,
}

/// What is told of a call while it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It begins; the tool's name.
    Begins(String),
    /// More of its arguments.
    Arguments(String),
}

/// What came of more text.
pub(super) enum Step {
    /// Nothing yet.
    More,
    /// Calls, and the text after them.
    Calls(Vec<Call>, String),
    /// This was no call, only text; what follows is to be looked at anew.
    Text(String, String),
}

/// Reads one call.
pub(super) struct Reader {
    style: &'static CallStyle,
    /// Everything since the beginning of the opening marker.
    raw: String,
    /// How far `raw` was looked at.
    at: usize,
    phase: Phase,
    telling: Telling,
    /// What is to be told.
    told: Vec<Told>,
}

/// Whether a call is told as it is written.
enum Telling {
    /// Not known yet.
    Open,
    /// Only as a whole.
    Whole,
    /// So much of `raw` was told.
    Object(ObjectReader, usize),
    /// All of its arguments were, which end there.
    Done(usize),
}

enum Phase {
    Header,
    Payload { from: usize, scan: Scan },
    Tail { from: usize, to: usize },
}

enum Scan {
    Json { depth: usize, string: bool, escaped: bool },
    Gemma(gemma::Scan),
}

impl Reader {
    pub(super) fn new(style: &'static CallStyle) -> Self {
        let at = if style.payload == Payload::Bare { 0 } else { style.open.len() };
        Self { style, raw: style.open.to_owned(), at, phase: Phase::Header, telling: Telling::Open, told: Vec::new() }
    }

    /// What was read since this was asked last.
    pub(super) fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Takes text that follows.
    pub(super) fn push(&mut self, text: &str, offered: &[String]) -> Step {
        self.raw.push_str(text);
        if self.raw.len() > CALL_BYTES_MAX {
            return Step::Text(self.untold(), String::new());
        }
        loop {
            match &mut self.phase {
                Phase::Header => match self.header() {
                    Header::More => return Step::More,
                    Header::No => return self.no_call(),
                    Header::Payload(from) => {
                        let scan = match self.style.payload {
                            Payload::Gemma => Scan::Gemma(gemma::Scan::default()),
                            _ => Scan::Json { depth: 0, string: false, escaped: false },
                        };
                        self.at = from;
                        self.phase = Phase::Payload { from, scan };
                    }
                },
                Phase::Payload { from, .. } => {
                    let from = *from;
                    if let Some(broken) = self.tell(from, offered) {
                        return Step::Text(String::new(), self.raw.split_off(broken));
                    }
                    let Phase::Payload { scan, .. } = &mut self.phase else { return Step::More };
                    let (at, done) = scan.advance(&self.raw, self.at);
                    self.at = at;
                    if self.style.payload == Payload::Bare && !begins_a_call(&self.raw[from..]) {
                        return self.no_call();
                    }
                    if !done {
                        return Step::More;
                    }
                    self.phase = Phase::Tail { from, to: at };
                }
                Phase::Tail { from, to } => {
                    let (from, to) = (*from, *to);
                    let Some(end) = self.tail(to) else { return Step::More };
                    let rest = self.raw.split_off(end);
                    if matches!(self.telling, Telling::Done(_)) {
                        return Step::Calls(Vec::new(), rest);
                    }
                    return match self.calls(from, to, offered) {
                        Some(calls) => Step::Calls(calls, rest),
                        None => Step::Text(std::mem::take(&mut self.raw), rest),
                    };
                }
            }
        }
    }

    /// The answer is over: the calls, if all but the closing marker is there, or else the text.
    pub(super) fn finish(mut self, offered: &[String]) -> Result<(Vec<Call>, String), String> {
        let Phase::Tail { from, to } = self.phase else { return Err(self.untold()) };
        if matches!(self.telling, Telling::Done(_)) {
            return Ok((Vec::new(), String::new()));
        }
        match self.calls(from, to, offered) {
            Some(calls) => Ok((calls, String::new())),
            None => Err(std::mem::take(&mut self.raw)),
        }
    }

    /// Tells what is new of the payload that begins at `from`. `Some`: what was told cannot go on as it does from here.
    fn tell(&mut self, from: usize, offered: &[String]) -> Option<usize> {
        if let Telling::Open = self.telling {
            self.telling = match self.begins(from) {
                Begins::More => return None,
                Begins::Object(at, name) if offered.contains(&name) => {
                    self.told.push(Told::Begins(name));
                    Telling::Object(ObjectReader::default(), at)
                }
                Begins::Object(..) | Begins::No => Telling::Whole,
            };
        }
        let Telling::Object(reader, at) = &mut self.telling else { return None };
        let mut arguments = String::new();
        let read = reader.push(&self.raw[*at..], &mut arguments);
        let begin = *at;
        if !arguments.is_empty() {
            self.told.push(Told::Arguments(arguments));
        }
        match read {
            Read::More => *at = self.raw.len(),
            Read::Done(length) => self.telling = Telling::Done(begin + length),
            Read::Invalid(length) => return Some(begin + length),
        }
        None
    }

    /// Where the arguments begin, and whose they are.
    fn begins(&self, from: usize) -> Begins {
        match self.style.payload {
            Payload::Gemma => Begins::No,
            Payload::Named => match name_of(Payload::Named, &self.raw[self.style.open.len()..from]) {
                Some(name) => Begins::Object(from, name),
                None => Begins::No,
            },
            Payload::Json | Payload::Offered | Payload::Bare => match arguments_of(&self.raw[from..]) {
                Begins::Object(at, name) => Begins::Object(from + at, name),
                other => other,
            },
        }
    }

    /// What was written and not told.
    fn untold(&mut self) -> String {
        match self.telling {
            Telling::Object(_, at) | Telling::Done(at) => self.raw.split_off(at),
            Telling::Open | Telling::Whole => std::mem::take(&mut self.raw),
        }
    }

    /// The opening marker stands for itself.
    fn no_call(&mut self) -> Step {
        let rest = self.raw.split_off(self.style.open.len());
        Step::Text(std::mem::take(&mut self.raw), rest)
    }

    fn header(&self) -> Header {
        let from = if self.style.payload == Payload::Bare { 0 } else { self.style.open.len() };
        let header = &self.raw[from..];
        let lists = matches!(self.style.payload, Payload::Json | Payload::Offered);
        let begins = |c: char| c == '{' || (lists && c == '[');
        let end = header.find(begins);
        let before = &header[..end.unwrap_or(header.len())];
        let fits = match self.style.payload {
            Payload::Json | Payload::Offered | Payload::Bare => before.trim().is_empty(),
            Payload::Gemma => match leads(before.trim_start(), "call:") {
                Some(true) => end.is_none() || name_of(self.style.payload, before).is_some(),
                leads => leads.is_some() && end.is_none(),
            },
            Payload::Named => end.is_none() || name_of(self.style.payload, before).is_some(),
        };
        match end {
            _ if !fits || before.len() > HEADER_BYTES_MAX => Header::No,
            _ if !self.style.close.is_empty() && before.contains(self.style.close) => Header::No,
            Some(end) => Header::Payload(from + end),
            None => Header::More,
        }
    }

    /// Where the call ends, its closing marker included, if that is there or will not come.
    fn tail(&self, to: usize) -> Option<usize> {
        let close = self.style.close;
        if close.is_empty() {
            return Some(to);
        }
        let tail = &self.raw[to..];
        // DeepSeek fences the arguments inside its markers.
        let space = |c: char| c.is_whitespace() || (c == '`' && !close.starts_with('`'));
        let trimmed = tail.trim_start_matches(space);
        match leads(trimmed, close) {
            Some(true) => Some(self.raw.len() - trimmed.len() + close.len()),
            Some(false) if tail.len() < HEADER_BYTES_MAX => None,
            // Left out: what follows belongs to the answer.
            _ => Some(to),
        }
    }

    fn calls(&self, from: usize, to: usize, offered: &[String]) -> Option<Vec<Call>> {
        let payload = &self.raw[from..to];
        let calls = match self.style.payload {
            Payload::Gemma => vec![self.named(from, gemma::to_json(payload)?)?],
            Payload::Named => vec![self.named(from, serde_json::from_str(payload).ok()?)?],
            Payload::Json | Payload::Offered | Payload::Bare => match serde_json::from_str(payload).ok()? {
                Value::Array(list) if !list.is_empty() => list.into_iter().map(from_json).collect::<Option<_>>()?,
                one => vec![from_json(one)?],
            },
        };
        let any_name = matches!(self.style.payload, Payload::Json | Payload::Gemma | Payload::Named);
        let known = |call: &Call| any_name || offered.contains(&call.name);
        calls.iter().all(known).then_some(calls)
    }

    fn named(&self, from: usize, arguments: Value) -> Option<Call> {
        let header = &self.raw[self.style.open.len()..from];
        Some(Call { name: name_of(self.style.payload, header)?, arguments: object(arguments)? })
    }
}

/// Whether arguments begin as an object of JSON.
enum Begins {
    /// More text is needed.
    More,
    /// At this byte, of this tool.
    Object(usize, String),
    /// They do not, or not in a way that can be told before the end.
    No,
}

/// `{"name": "NAME", "arguments": {`: the way that nearly all models write it.
fn arguments_of(text: &str) -> Begins {
    let begin = |mut rest| {
        for word in ["{", "\"name\"", ":", "\""] {
            rest = behind(rest, &[word])?;
        }
        let Some((name, mut rest)) = str::split_once(rest, '"') else {
            return Err(if rest.len() > NAME_BYTES_MAX { Begins::No } else { Begins::More });
        };
        let name = well_formed(name).ok_or(Begins::No)?;
        for words in [&[","][..], &["\"arguments\"", "\"parameters\""], &[":"]] {
            rest = behind(rest, words)?;
        }
        let object = behind(rest, &["{"])?;
        Ok(Begins::Object(text.len() - object.len() - 1, name))
    };
    begin(text).unwrap_or_else(|begins| begins)
}

/// What stands behind one of these words.
fn behind<'a>(text: &'a str, words: &[&str]) -> Result<&'a str, Begins> {
    let text = text.trim_start();
    let found = words.iter().find_map(|word| text.strip_prefix(word));
    let may_come = || words.iter().any(|word| word.starts_with(text));
    found.ok_or_else(|| if may_come() { Begins::More } else { Begins::No })
}

enum Header {
    More,
    No,
    Payload(usize),
}

impl Scan {
    /// Reads on from `at`. Returns how far it came, and whether that is the end.
    fn advance(&mut self, text: &str, at: usize) -> (usize, bool) {
        match self {
            Self::Gemma(scan) => scan.advance(text, at),
            Self::Json { depth, string, escaped } => {
                for (i, byte) in text.bytes().enumerate().skip(at) {
                    match byte {
                        _ if *escaped => *escaped = false,
                        b'\\' if *string => *escaped = true,
                        b'"' => *string = !*string,
                        b'{' | b'[' if !*string => *depth += 1,
                        b'}' | b']' if !*string => {
                            *depth = depth.saturating_sub(1);
                            if *depth == 0 {
                                return (i + 1, true);
                            }
                        }
                        _ => {}
                    }
                }
                (text.len(), false)
            }
        }
    }
}

/// Could an object be a call, as far as its first key says?
fn begins_a_call(text: &str) -> bool {
    const KEYS: [&str; 7] = ["name\"", "type\"", "function\"", "id\"", "parameters\"", "arguments\"", "tool_call\""];
    let Some(inside) = text.strip_prefix('{') else { return false };
    let inside = inside.trim_start();
    let Some(key) = inside.strip_prefix('"') else { return inside.is_empty() };
    KEYS.iter().any(|k| leads(key, k).is_some())
}

/// The tool's name in what precedes its arguments.
fn name_of(payload: Payload, header: &str) -> Option<String> {
    let header = header.trim();
    let name = match payload {
        Payload::Gemma => header.strip_prefix("call:")?,
        _ => {
            // DeepSeek: `function<｜tool▁sep｜>NAME\n```json`, later `NAME<｜tool▁sep｜>`. Mistral: `NAME[CALL_ID]…[ARGS]`.
            let header = header.strip_prefix("function<｜tool▁sep｜>").unwrap_or(header);
            let end =
                ["<｜tool▁sep｜>", "[CALL_ID]", "[ARGS]", "```"].iter().filter_map(|mark| header.find(mark)).min();
            &header[..end.unwrap_or(header.len())]
        }
    };
    well_formed(name.trim())
}

fn well_formed(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(fits)).then(|| name.to_owned())
}

/// A call written as JSON, in one of the ways that models write it.
fn from_json(value: Value) -> Option<Call> {
    let Value::Object(mut call) = value else { return None };
    // OpenAI's own form: {"type": "function", "function": {…}}.
    if let Some(Value::Object(inner)) = call.get_mut("function") {
        call = std::mem::take(inner);
    }
    let name = match call.remove("name").or_else(|| call.remove("function"))? {
        Value::String(name) => well_formed(&name)?,
        _ => return None,
    };
    let arguments = call.remove("arguments").or_else(|| call.remove("parameters"));
    Some(Call { name, arguments: object(arguments.unwrap_or(Value::Null))? })
}

/// The text of an object; of one in a string; of an empty one for nothing.
pub(super) fn object(value: Value) -> Option<String> {
    match value {
        Value::Object(object) => Some(Value::Object(object).to_string()),
        Value::Null => Some("{}".to_owned()),
        Value::String(text) if text.trim().is_empty() => Some("{}".to_owned()),
        Value::String(text) => {
            serde_json::from_str::<Map<String, Value>>(&text).ok().map(|o| Value::Object(o).to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_in_the_ways_that_models_write_them() {
        let read = |text: &str| from_json(serde_json::from_str(text).unwrap()).map(|c| (c.name, c.arguments));
        let call = Some(("f".to_owned(), "{\"b\":1,\"a\":2}".to_owned()));
        assert_eq!(read(r#"{"name": "f", "arguments": {"b": 1, "a": 2}}"#), call, "keys stay in order");
        assert_eq!(read(r#"{"name": "f", "parameters": {"b": 1, "a": 2}}"#), call);
        assert_eq!(read(r#"{"arguments": "{\"b\": 1, \"a\": 2}", "name": "f"}"#), call);
        assert_eq!(read(r#"{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": 2}}}"#), call);
        assert_eq!(read(r#"{"type": "function", "function": "f", "parameters": {"b": 1, "a": 2}}"#), call);
        assert_eq!(read(r#"{"name": "f"}"#), Some(("f".into(), "{}".into())));
        for text in [r#"{"name": 1}"#, r#"{"name": "f", "arguments": [1]}"#, r#"{"name": "f g"}"#, "[]", r#"{"a": 1}"#]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn arguments_are_found_as_soon_as_they_begin() {
        let text = "{ \"name\" : \"f\",\n\"parameters\": {\"a\": 1}}";
        let at = text.rfind('{').unwrap();
        for end in 0..=text.len() {
            match arguments_of(&text[..end]) {
                Begins::More => assert!(end <= at, "{end}"),
                Begins::Object(found, name) => assert_eq!((end > at, found, name.as_str()), (true, at, "f")),
                Begins::No => panic!("{end}"),
            }
        }
        for text in [
            "[{",
            "{\"arguments\"",
            "{\"name\": 1",
            "{\"name\": \"f g\", ",
            "{\"name\": \"f\"}",
            "{\"name\": \"f\", \"arguments\": \"{",
        ] {
            assert!(matches!(arguments_of(text), Begins::No), "{text}");
        }
    }

    #[test]
    fn names_are_found_in_headers() {
        let named = |header| name_of(Payload::Named, header);
        for header in ["f", "f[ARGS]", "f[CALL_ID]abc[ARGS]", "function<｜tool▁sep｜>f\n```json\n", "f<｜tool▁sep｜>"]
        {
            assert_eq!(named(header).as_deref(), Some("f"), "{header}");
        }
        assert_eq!(name_of(Payload::Gemma, "call:a.b-c_1").as_deref(), Some("a.b-c_1"));
        assert_eq!(named(" two words "), None);
        assert_eq!(named(&"x".repeat(NAME_BYTES_MAX + 1)), None);
    }

    #[test]
    fn an_object_that_begins_otherwise_is_no_call() {
        for text in ["{", "{ ", "{\"", "{\"na", "{\"name\": 1", "{\n  \"parameters\""] {
            assert!(begins_a_call(text), "{text}");
        }
        for text in ["{}", "{\"nam\"", "{\"city\"", "{1", "x"] {
            assert!(!begins_a_call(text), "{text}");
        }
    }
}
