//! A JSON schema as rules for Gemma 4's notation of arguments, which is not JSON: bare keys, texts between special tokens.
//!
//! Shapes, names, choices and numbers are enforced; patterns and lengths of texts, and combinations other than a choice, are
//! not: a tool checks its arguments anyway.

use super::vocabulary::literal;
use super::{vocabulary, Vocabulary, SCHEMA_DEPTH_MAX};
use crate::dialect::GEMMA_QUOTE;
use crate::EngineError;
use serde_json::{json, Map, Value};
use std::collections::HashMap;
use std::fmt::Write;

/// Longest array whose length is enforced.
const ITEMS_MAX: u64 = 256;
/// Most rules for one schema.
const RULES_MAX: usize = 20_000;

/// The rule `name` for arguments, and the rules that it needs.
pub(super) fn rules(vocabulary: &Vocabulary, name: &str, schema: &Value) -> Result<String, EngineError> {
    vocabulary::check_depth(schema, SCHEMA_DEPTH_MAX)?;
    let mut writer = Writer { root: schema, name, out: String::new(), count: 0, refs: HashMap::new() };
    let quote = vocabulary.lark(GEMMA_QUOTE);
    let end = if vocabulary.is_special(GEMMA_QUOTE) {
        format!("/(?s:.*)/ {quote}")
    } else {
        let _ = writeln!(writer.out, "{name}_rest[suffix={}]: /(?s:.*)/", literal(GEMMA_QUOTE));
        format!("{name}_rest")
    };
    let _ = writeln!(writer.out, "{name}_q: {quote}\n{name}_s: {name}_q {end}");
    let _ = writeln!(
        writer.out,
        "{name}_v: {name}_s | {name}_n | \"true\" | \"false\" | \"null\" | {name}_o | {name}_l\n\
         {name}_n: /-?(0|[1-9][0-9]{{0,17}})(\\.[0-9]{{1,17}})?([eE][+-]?[0-9]{{1,2}})?/\n\
         {name}_k: /[A-Za-z_][A-Za-z0-9_]{{0,63}}/\n\
         {name}_o: \"{{\" ({name}_m (\",\" {name}_m)*)? \"}}\"\n{name}_m: {name}_k \":\" {name}_v\n\
         {name}_l: \"[\" ({name}_v (\",\" {name}_v)*)? \"]\""
    );
    let body = writer.value(schema)?;
    let _ = writeln!(writer.out, "{name}: {body}");
    Ok(writer.out)
}

struct Writer<'a> {
    root: &'a Value,
    name: &'a str,
    out: String,
    count: usize,
    /// Rules of `$ref`s.
    refs: HashMap<&'a str, String>,
}

impl<'a> Writer<'a> {
    /// An expression for a value of a schema.
    fn value(&mut self, schema: &'a Value) -> Result<String, EngineError> {
        let any = format!("{}_v", self.name);
        let Value::Object(members) = schema else { return Ok(any) };
        if let Some(Value::String(reference)) = members.get("$ref") {
            return self.reference(reference);
        }
        if let Some(value) = members.get("const") {
            return Ok(self.exactly(value));
        }
        if let Some(Value::Array(values)) = members.get("enum") {
            let values: Vec<String> = values.iter().map(|value| self.exactly(value)).collect();
            return Ok(choice(&values));
        }
        let choices = members.get("anyOf").or_else(|| members.get("oneOf")).and_then(Value::as_array);
        if let Some(choices) = choices {
            let choices = choices.iter().map(|schema| self.value(schema)).collect::<Result<Vec<_>, _>>()?;
            return Ok(choice(&choices));
        }
        match members.get("type") {
            Some(Value::String(kind)) => self.kind(kind, members),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Value::as_str);
                let kinds = kinds.map(|kind| self.kind(kind, members)).collect::<Result<Vec<_>, _>>()?;
                Ok(choice(&kinds))
            }
            _ if members.contains_key("properties") => self.kind("object", members),
            _ => Ok(any),
        }
    }

    fn kind(&mut self, kind: &str, members: &'a Map<String, Value>) -> Result<String, EngineError> {
        let name = self.name;
        Ok(match kind {
            "string" => format!("{name}_s"),
            "boolean" => "(\"true\" | \"false\")".to_owned(),
            "null" => "\"null\"".to_owned(),
            // Numbers are JSON's.
            "integer" | "number" => {
                let mut schema = json!({ "type": kind, "x-guidance": { "whitespace_flexible": false } });
                for bound in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"] {
                    if let Some(value) = members.get(bound) {
                        schema[bound] = value.clone();
                    }
                }
                let rule = self.rule()?;
                let _ = writeln!(self.out, "{rule}: %json {schema}");
                rule
            }
            "array" => self.array(members)?,
            "object" => match members.get("properties").and_then(Value::as_object) {
                Some(properties) => self.object(properties, members.get("required"))?,
                None => format!("{name}_o"),
            },
            _ => format!("{name}_v"),
        })
    }

    fn array(&mut self, members: &'a Map<String, Value>) -> Result<String, EngineError> {
        let item = match members.get("items") {
            Some(items) => self.value(items)?,
            None => format!("{}_v", self.name),
        };
        let bound = |key: &str| members.get(key).and_then(Value::as_u64);
        let least = bound("minItems").unwrap_or(0).min(ITEMS_MAX);
        let most = bound("maxItems").filter(|&most| most <= ITEMS_MAX);
        if most == Some(0) {
            return Ok("\"[]\"".to_owned());
        }
        let rule = self.rule()?;
        let (more, optional) = (least.saturating_sub(1), if least == 0 { "?" } else { "" });
        let most = most.map_or(String::new(), |most| (most.max(least) - 1).to_string());
        let _ = writeln!(
            self.out,
            "{rule}: \"[\" ({rule}i (\",\" {rule}i){{{more},{most}}}){optional} \"]\"\n{rule}i: {item}"
        );
        Ok(rule)
    }

    /// Members in the order in which Gemma's template sorts them.
    fn object(&mut self, properties: &'a Map<String, Value>, required: Option<&Value>) -> Result<String, EngineError> {
        let required: Vec<&str> =
            required.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut properties: Vec<(&String, &Value)> = properties.iter().collect();
        properties.sort_by_key(|(key, _)| key.to_lowercase());
        let rule = self.rule()?;
        // `{rule}f{i}`: from member i on, none before it; `{rule}t{i}`: from member i on, some before it.
        let _ = writeln!(self.out, "{rule}: \"{{\" {rule}f0 \"}}\"");
        for (i, (key, schema)) in properties.iter().enumerate() {
            let value = self.value(schema)?;
            let next = i + 1;
            let _ = writeln!(self.out, "{rule}m{i}: {} {value}", literal(&format!("{}:", bare(key))));
            let (first, then) = if required.contains(&key.as_str()) {
                (format!("{rule}m{i} {rule}t{next}"), format!("\",\" {rule}m{i} {rule}t{next}"))
            } else {
                let first = format!("{rule}m{i} {rule}t{next} | {rule}f{next}");
                (first, format!("(\",\" {rule}m{i})? {rule}t{next}"))
            };
            let _ = writeln!(self.out, "{rule}f{i}: {first}\n{rule}t{i}: {then}");
            self.count += 3;
        }
        let last = properties.len();
        let _ = writeln!(self.out, "{rule}f{last}: \"\"\n{rule}t{last}: \"\"");
        Ok(rule)
    }

    fn reference(&mut self, reference: &'a str) -> Result<String, EngineError> {
        if let Some(rule) = self.refs.get(reference) {
            return Ok(rule.clone());
        }
        let path = reference.strip_prefix('#').map(|path| self.root.pointer(path));
        let Some(Some(target)) = path else { return Err(super::invalid("a $ref leads nowhere")) };
        let rule = self.rule()?;
        self.refs.insert(reference, rule.clone());
        let body = self.value(target)?;
        let _ = writeln!(self.out, "{rule}: {body}");
        Ok(rule)
    }

    /// One value alone.
    fn exactly(&self, value: &Value) -> String {
        let quote = format!("{}_q", self.name);
        match value {
            Value::String(text) => format!("({quote} {} {quote})", literal(text)),
            Value::Array(_) | Value::Object(_) => format!("{}_v", self.name),
            other => literal(&other.to_string()),
        }
    }

    /// The name of another rule.
    fn rule(&mut self) -> Result<String, EngineError> {
        self.count += 1;
        if self.count > RULES_MAX {
            return Err(super::invalid("a tool's schema is too large"));
        }
        Ok(format!("{}_r{}_", self.name, self.count))
    }
}

fn choice(alternatives: &[String]) -> String {
    match alternatives {
        [] => "\"null\"".to_owned(),
        [one] => one.clone(),
        many => format!("({})", many.join(" | ")),
    }
}

/// A key as Gemma's template writes it: bare, unless it could be read otherwise.
fn bare(key: &str) -> String {
    let plain = !key.is_empty() && !key.contains([':', ',', '{', '}', '[', ']', '"', '<']) && key.trim() == key;
    if plain {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}
