//! What an answer looks like that must call tools, and what may stand before an answer: in Lark's notation, for each family.

use super::vocabulary::literal;
use super::{gemma, schema, Lead, Strictness, Thought, Vocabulary};
use crate::dialect::Dialect;
use crate::request::{Tool, SCHEMA_BYTES_MAX};
use crate::EngineError;
use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use serde_json::{json, Value};

/// The rule `lead`: what stands before the text that is constrained. `None` if nothing does.
pub(super) fn lead(vocabulary: &Vocabulary, Lead { dialect, thought }: Lead) -> Option<String> {
    let dialect = dialect?;
    if dialect == Dialect::Harmony {
        return Some(harmony(vocabulary, thought, "<|channel|>final<|message|>"));
    }
    let &(open, close) = dialect.style().thoughts.first()?;
    let rest = ending(vocabulary, close);
    match thought {
        Thought::Never => None,
        Thought::Opened => Some(format!("lead: thought\n{rest}")),
        Thought::May => Some(format!("lead: ({} thought)?\n{rest}", vocabulary.lark(open))),
    }
}

/// The grammar of calls alone: of one of these tools, or of `many` calls.
pub(super) fn calls(
    vocabulary: &Vocabulary,
    before: Lead,
    dialect: Dialect,
    tools: &[Tool],
    many: bool,
) -> Result<TopLevelGrammar, EngineError> {
    let mut grammars = Vec::new();
    let mut rules = String::new();
    let mut names = Vec::new();
    for (i, tool) in tools.iter().enumerate() {
        let arguments = parameters(&tool.parameters);
        let rule = if dialect == Dialect::Gemma4 {
            rules.push_str(&gemma::rules(vocabulary, &format!("a{i}"), &arguments)?);
            format!("a{i}")
        } else {
            let mut grammar = schema(arguments, Strictness::Lenient)?;
            grammar.name = Some(format!("a{i}"));
            grammars.push(grammar);
            format!("@a{i}")
        };
        rules.push_str(&format!("call{i}: {}\n", call(vocabulary, dialect, &tool.name, &rule)));
        names.push(format!("call{i}"));
    }
    // Lark has no bound of its own; names and markers are short, but Gemma's rules grow with the schema.
    if rules.len() > 4 * SCHEMA_BYTES_MAX {
        return Err(EngineError::InputOutOfBounds { bound: "SCHEMA_BYTES_MAX".into() });
    }
    let start = around(vocabulary, dialect, many);
    let lead = match (dialect, before.thought) {
        // The header of a call takes the place of the final message's.
        (Dialect::Harmony, thought) => Some(harmony(vocabulary, thought, "")),
        _ => lead(vocabulary, before),
    };
    let lead = lead.unwrap_or_else(|| "lead: \"\"\n".into());
    let outer = format!("start: lead {start}\ncall: {}\n{rules}{lead}", names.join(" | "));
    grammars.insert(0, GrammarWithLexer::from_lark(outer));
    Ok(TopLevelGrammar { grammars, max_tokens: None })
}

/// Calls one after the other, with what stands around them.
fn around(vocabulary: &Vocabulary, dialect: Dialect, more: bool) -> String {
    let text = |text| vocabulary.lark(text);
    let many = |between: &str| if more { format!("call ({between} call)*") } else { "call".to_owned() };
    match dialect {
        Dialect::Gemma4 | Dialect::MistralNamed => many(""),
        Dialect::Hermes | Dialect::Generic => many("\"\\n\""),
        Dialect::Mistral => format!("{} {} \"]\"", text("[TOOL_CALLS]["), many("\", \"")),
        Dialect::DeepSeek | Dialect::DeepSeekBare => {
            let between = if dialect == Dialect::DeepSeek { "\"\\n\"" } else { "" };
            format!("{} {} {}", text("<｜tool▁calls▁begin｜>"), many(between), text("<｜tool▁calls▁end｜>"))
        }
        // These answers are one call: the token that ends it ends the answer.
        Dialect::Harmony | Dialect::Llama3 => "call".to_owned(),
    }
}

/// One call; `rule` stands for its arguments.
fn call(vocabulary: &Vocabulary, dialect: Dialect, name: &str, rule: &str) -> String {
    let text = |text: &str| vocabulary.lark(text);
    let json = |key: &str| {
        let begin = literal(&format!("{{\"name\": {}, \"{key}\": ", literal(name)));
        format!("{begin} {rule} \"}}\"")
    };
    match dialect {
        Dialect::Gemma4 => {
            format!("{} {} {rule} {}", text("<|tool_call>"), literal(&format!("call:{name}")), text("<tool_call|>"))
        }
        Dialect::Harmony => {
            let header = format!("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>");
            format!("{} {rule}", text(&header))
        }
        Dialect::Mistral => json("arguments"),
        Dialect::MistralNamed => format!("{} {rule}", text(&format!("[TOOL_CALLS]{name}[ARGS]"))),
        Dialect::DeepSeek => {
            let begin = text(&format!("<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n"));
            format!("{begin} {rule} {}", text("\n```<｜tool▁call▁end｜>"))
        }
        Dialect::DeepSeekBare => {
            let begin = text(&format!("<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>"));
            format!("{begin} {rule} {}", text("<｜tool▁call▁end｜>"))
        }
        Dialect::Hermes | Dialect::Generic => {
            format!("{} {} {}", text("<tool_call>\n"), json("arguments"), text("\n</tool_call>"))
        }
        Dialect::Llama3 => json("parameters"),
    }
}

/// What stands before the last message of Harmony, and the beginning of its header.
fn harmony(vocabulary: &Vocabulary, thought: Thought, header: &str) -> String {
    let header = if header.is_empty() { "\"\"".to_owned() } else { vocabulary.lark(header) };
    let again = vocabulary.lark("<|start|>assistant");
    let open = vocabulary.lark("<|channel|>analysis<|message|>");
    let rest = ending(vocabulary, "<|end|>");
    match thought {
        Thought::Never => format!("lead: {header}\n"),
        Thought::May => format!("lead: ({open} thought {again})? {header}\n{rest}"),
        Thought::Opened => format!("lead: thought {again} {header}\n{rest}"),
    }
}

/// The rule `thought`: any text up to a marker, and white space after it.
fn ending(vocabulary: &Vocabulary, close: &str) -> String {
    if vocabulary.is_special(close) {
        format!("thought: /(?s:.*)/ {} /\\n{{0,2}}/\n", vocabulary.lark(close))
    } else {
        format!("thought: up_to_close /\\n{{0,2}}/\nup_to_close[suffix={}]: /(?s:.*)/\n", literal(close))
    }
}

/// A tool's parameters as the schema of an object. Arguments that a tool does not name are left out.
fn parameters(parameters: &Value) -> Value {
    let Value::Object(members) = parameters else { return json!({ "type": "object" }) };
    let mut members = members.clone();
    members.entry("type").or_insert_with(|| "object".into());
    let open = ["additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"];
    if members.contains_key("properties") && !open.iter().any(|key| members.contains_key(*key)) {
        members.insert("additionalProperties".into(), false.into());
    }
    Value::Object(members)
}
