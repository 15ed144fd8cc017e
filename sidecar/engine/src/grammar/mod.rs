//! Which tokens may come next, so that an answer fits a schema, a grammar, or a tool.
//!
//! `llguidance` does the work; here is what it is asked, and the bounds on it: schemas and grammars come from strangers.
//! Knows texts and token ids, not models. docs/adr/0009.

mod gbnf;
mod gemma;
#[cfg(test)]
mod tests;
mod tools;
mod vocabulary;

pub(crate) use vocabulary::Vocabulary;

use crate::dialect::Dialect;
use crate::error::clip;
use crate::request::{Chat, Constraint, Tool, ToolChoice, SCHEMA_BYTES_MAX};
use crate::EngineError;
use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::Matcher;
use serde_json::{json, Value};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc};
use std::time::Duration;

/// Longest time that a grammar may take to compile. Tests run on machines with much else to do.
const COMPILE_TIME_MAX: Duration = Duration::from_secs(if cfg!(test) { 20 } else { 2 });
/// Grammars that are still being compiled after their time; further ones are refused until these end.
const OVERDUE_MAX: usize = 3;
/// Stack of the thread that compiles, in bytes: rules of a grammar may refer to each other in a long chain.
const COMPILE_STACK_BYTES: usize = 256 << 20;
/// Deepest nesting of a schema.
const SCHEMA_DEPTH_MAX: usize = 64;
/// Deepest nesting of brackets in a grammar: its parser takes time in the power of it.
const LARK_DEPTH_MAX: usize = 24;
/// White space between the parts of JSON. Without a bound, small models write nothing else.
const JSON_SPACE: &str = r"( |\n[\t ]{0,40})";
/// Longest quotation from a grammar in an error, in characters.
const QUOTE_CHARS_MAX: usize = 40;
/// Name of the grammar that the constraint becomes.
const ANSWER: &str = "answer";

/// What an answer must look like, and how much of it is there.
pub(crate) struct Grammar {
    matcher: Matcher,
}

/// What may or must stand before the text that is constrained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lead {
    /// The family, for its markers; `None` for prompts that are no chat.
    dialect: Option<Dialect>,
    thought: Thought,
}

/// Where a thought may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thought {
    /// Nowhere.
    Never,
    /// Before the answer.
    May,
    /// The prompt has begun one.
    Opened,
}

impl Lead {
    /// Nothing: for prompts that are no chat.
    pub(crate) const NONE: Self = Self { dialect: None, thought: Thought::Never };

    /// For an answer in a chat. `opened`: the prompt ends within a thought.
    pub(crate) fn of_chat(dialect: Dialect, chat: &Chat, opened: bool) -> Self {
        let thinks = chat.thinking == Some(true) || (dialect == Dialect::Harmony && chat.thinking != Some(false));
        let thought = match (opened, thinks) {
            (true, _) => Thought::Opened,
            (false, true) => Thought::May,
            (false, false) => Thought::Never,
        };
        Self { dialect: Some(dialect), thought }
    }
}

impl Grammar {
    /// What a question asks for, of both its constraint and its tools; `None` if the model may write what it likes.
    /// A tool that must be called goes before a constraint; where one may be called, the constraint is for the answer.
    pub(crate) fn for_chat(
        vocabulary: &Arc<Vocabulary>,
        constraint: Option<&Constraint>,
        (dialect, chat, opened): (Dialect, &Chat, bool),
    ) -> Result<Option<Self>, EngineError> {
        if let Some(calls) = Self::for_tools(vocabulary, dialect, chat, opened)? {
            return Ok(Some(calls));
        }
        let lead = Lead::of_chat(dialect, chat, opened);
        constraint.map(|constraint| Self::compile(vocabulary, constraint, lead)).transpose()
    }

    /// The grammar of a constraint.
    pub(crate) fn compile(
        vocabulary: &Arc<Vocabulary>,
        constraint: &Constraint,
        lead: Lead,
    ) -> Result<Self, EngineError> {
        let constraint = constraint.clone();
        Self::build(vocabulary, move |vocabulary| {
            let mut answer = answer(&constraint)?;
            Ok(match tools::lead(vocabulary, lead) {
                None => TopLevelGrammar::from_grammar(answer),
                Some(start) => {
                    answer.name = Some(ANSWER.into());
                    let outer = GrammarWithLexer::from_lark(format!("start: lead @{ANSWER}\n{start}"));
                    TopLevelGrammar { grammars: vec![outer, answer], max_tokens: None }
                }
            })
        })
    }

    /// The grammar of the calls that an answer must consist of; `None` if it need not.
    pub(crate) fn for_tools(
        vocabulary: &Arc<Vocabulary>,
        dialect: Dialect,
        chat: &Chat,
        opened: bool,
    ) -> Result<Option<Self>, EngineError> {
        let tools: Vec<Tool> = match &chat.tool_choice {
            ToolChoice::Auto | ToolChoice::None => return Ok(None),
            ToolChoice::Required => chat.tools.clone(),
            ToolChoice::Named(name) => chat.tools.iter().filter(|tool| tool.name == *name).cloned().collect(),
        };
        if tools.is_empty() {
            return Err(invalid("the tool that must be called is not offered"));
        }
        let many = chat.parallel_tool_calls && chat.tool_choice == ToolChoice::Required;
        let lead = Lead::of_chat(dialect, chat, opened);
        Self::build(vocabulary, move |vocabulary| tools::calls(vocabulary, lead, dialect, &tools, many)).map(Some)
    }

    /// Forbids every token that cannot come next.
    pub(crate) fn mask(&mut self, logits: &mut [f32]) -> Result<(), EngineError> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(|e| failed(&e.to_string()))?;
        let words = allowed.as_slice().iter().copied().chain(std::iter::repeat(0));
        for (logits, word) in logits.chunks_mut(32).zip(words) {
            match word {
                u32::MAX => {}
                0 => logits.fill(f32::NEG_INFINITY),
                _ => {
                    let forbidden = logits.iter_mut().enumerate().filter(|(bit, _)| word >> bit & 1 == 0);
                    forbidden.for_each(|(_, logit)| *logit = f32::NEG_INFINITY);
                }
            }
        }
        Ok(())
    }

    /// Takes the token that was chosen; one that [`Self::mask`] left.
    pub(crate) fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        if self.matcher.is_stopped() {
            // Complete: all that can follow is a token that ends the answer, which the matcher does not take any more.
            return Ok(());
        }
        self.matcher.consume_token(token).map_err(|e| failed(&e.to_string()))
    }

    #[cfg(test)]
    /// May the answer end here?
    pub(crate) fn is_complete(&mut self) -> bool {
        self.matcher.is_accepting().unwrap_or(false)
    }

    #[cfg(test)]
    /// Must the answer end here? Then [`Self::mask`] leaves only the tokens that end one.
    pub(crate) fn must_end(&self) -> bool {
        self.matcher.is_stopped()
    }

    #[cfg(test)]
    /// Bytes that must come next, whatever the model would choose; mostly none.
    pub(crate) fn forced_bytes(&mut self) -> Vec<u8> {
        self.matcher.compute_ff_bytes()
    }

    /// Compiles in a thread of its own, for its stack and its time.
    fn build(
        vocabulary: &Arc<Vocabulary>,
        grammar: impl FnOnce(&Vocabulary) -> Result<TopLevelGrammar, EngineError> + Send + 'static,
    ) -> Result<Self, EngineError> {
        let vocabulary = vocabulary.clone();
        let matcher = in_time(COMPILE_TIME_MAX, move || {
            let grammar = grammar(&vocabulary)?;
            let mut matcher = Matcher::new(vocabulary.factory().create_parser(grammar));
            // The first tokens: some grammars have none, and some are too complex for any.
            let first = if matcher.is_error() { Ok(()) } else { matcher.compute_mask_or_eos().map(|_| ()) };
            match (matcher.get_error(), first) {
                (Some(error), _) => Err(failed(&error)),
                (None, Err(error)) => Err(failed(&error.to_string())),
                (None, Ok(())) => Ok(matcher),
            }
        })?;
        Ok(Self { matcher })
    }
}

/// A constraint as a grammar.
fn answer(constraint: &Constraint) -> Result<GrammarWithLexer, EngineError> {
    let bounded = |bytes: usize| {
        let bound = || EngineError::InputOutOfBounds { bound: "SCHEMA_BYTES_MAX".into() };
        (bytes <= SCHEMA_BYTES_MAX).then_some(()).ok_or_else(bound)
    };
    Ok(match constraint {
        Constraint::JsonObject => schema(json!({ "type": "object" }), Strictness::Exact)?,
        Constraint::JsonSchema(value) => schema(value.clone(), Strictness::Exact)?,
        Constraint::Regex(regex) => {
            bounded(regex.len())?;
            GrammarWithLexer::from_regex(regex)
        }
        Constraint::Lark(text) => {
            bounded(text.len())?;
            if nesting(text) > LARK_DEPTH_MAX {
                return Err(invalid("the grammar is nested too deeply"));
            }
            GrammarWithLexer::from_lark(text.clone())
        }
        Constraint::Gbnf(text) => {
            bounded(text.len())?;
            GrammarWithLexer::from_lark(gbnf::to_lark(text)?)
        }
        Constraint::Choice(texts) if texts.is_empty() => return Err(invalid("there is nothing to choose from")),
        Constraint::Choice(texts) => {
            bounded(texts.iter().map(|text| text.len() + 1).sum())?;
            let texts: Vec<String> = texts.iter().map(|text| vocabulary::literal(text)).collect();
            // A terminal: as rules they would take a thousand times as long.
            GrammarWithLexer::from_lark(format!("start: CHOICE\nCHOICE: {}", texts.join(" | ")))
        }
    })
}

/// What happens to words of a schema that cannot be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strictness {
    /// They are an error: the answer would not be what was asked for.
    Exact,
    /// They are left out: tools describe their arguments in many ways, and check them.
    Lenient,
}

/// A JSON schema as a grammar.
fn schema(mut schema: Value, strictness: Strictness) -> Result<GrammarWithLexer, EngineError> {
    vocabulary::check_depth(&schema, SCHEMA_DEPTH_MAX)?;
    if schema.to_string().len() > SCHEMA_BYTES_MAX {
        return Err(EngineError::InputOutOfBounds { bound: "SCHEMA_BYTES_MAX".into() });
    }
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    let Value::Object(members) = &mut schema else { return Err(invalid("a schema is an object")) };
    let options = json!({
        "whitespace_pattern": JSON_SPACE,
        "coerce_one_of": true,
        "lenient": strictness == Strictness::Lenient,
    });
    members.insert("x-guidance".into(), options);
    Ok(GrammarWithLexer::from_json_schema(schema))
}

/// Runs work that strangers decide on. What does not end in time is left behind, within bounds.
fn in_time<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    struct Running;
    impl Drop for Running {
        fn drop(&mut self) {
            RUNNING.fetch_sub(1, Ordering::AcqRel);
        }
    }
    let running = RUNNING.fetch_add(1, Ordering::AcqRel);
    let guard = Running;
    if running > OVERDUE_MAX {
        return Err(invalid("earlier grammars are still being compiled"));
    }
    let (done, result) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("grammar".into()).stack_size(COMPILE_STACK_BYTES);
    let spawned = thread.spawn(move || {
        let result = work();
        drop(guard);
        // Nobody listens after the time is over.
        let _ = done.send(result);
    });
    spawned.map_err(|_| EngineError::OutOfMemory)?;
    match result.recv_timeout(limit) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(invalid("it takes too long to compile")),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(invalid("it cannot be compiled")),
    }
}

/// Depth of the brackets in a grammar, without those in strings, regular expressions and comments.
fn nesting(lark: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for line in lark.lines() {
        let mut within = None;
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            match (within, c) {
                (Some(_), '\\') => drop(characters.next()),
                (Some(end), _) if end == c => within = None,
                (Some(_), _) => {}
                (None, '/') if characters.peek() == Some(&'/') => break,
                (None, '#') => break,
                (None, '"' | '/') => within = Some(c),
                (None, '(' | '[' | '{') => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
                (None, _) => {}
            }
        }
    }
    deepest
}

/// An error of `llguidance`: its first line, because what follows could quote the answer, and without long quotations.
fn failed(error: &str) -> EngineError {
    let line = error.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.is_empty() || line == "NoExtensionBias" {
        return invalid("nothing fits it");
    }
    let short = |(i, part): (usize, &str)| {
        let quoted = i % 2 == 1 && part.chars().count() > QUOTE_CHARS_MAX;
        if quoted {
            "…".to_owned()
        } else {
            part.to_owned()
        }
    };
    invalid(&line.split('"').enumerate().map(short).collect::<Vec<_>>().join("\""))
}

fn invalid(detail: &str) -> EngineError {
    EngineError::InvalidConstraint { detail: clip(detail) }
}
