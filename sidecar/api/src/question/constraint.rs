//! What an answer must look like, in the words of OpenAI, llama.cpp and vLLM. One form at a time.

use crate::fields::{kind, Fields};
use crate::ApiError;
use ainonymous_node::request::{Constraint, SCHEMA_BYTES_MAX};
use serde_json::{json, Value};

/// Most texts that an answer can be one of.
const CHOICES_MAX: usize = 1_024;

/// Everything in the body that says what the answer must look like.
pub(crate) fn constraint(fields: &mut Fields) -> Result<Option<Constraint>, ApiError> {
    let mut found = Found(None);
    if let Some(format) = fields.object("response_format")? {
        found.add("response_format", format_of(format)?)?;
    }
    for name in ["json_schema", "guided_json"] {
        if let Some(value) = fields.take(name) {
            found.add(name, schema_or_none(&fields.path(name), value)?)?;
        }
    }
    if let Some(text) = fields.string("guided_regex")? {
        found.add("guided_regex", Some(regex(&fields.path("guided_regex"), text)?))?;
    }
    if let Some(values) = fields.array("guided_choice")? {
        found.add("guided_choice", choice(&fields.path("guided_choice"), values)?)?;
    }
    for name in ["grammar", "guided_grammar"] {
        if let Some(text) = fields.string(name)? {
            found.add(name, grammar(&fields.path(name), text)?)?;
        }
    }
    if let Some(options) = fields.object("structured_outputs")? {
        found.add("structured_outputs", structured_outputs(options)?)?;
    }
    Ok(found.0.map(|(_, constraint)| constraint))
}

/// The one that was found, and where.
struct Found(Option<(&'static str, Constraint)>);

impl Found {
    fn add(&mut self, name: &'static str, constraint: Option<Constraint>) -> Result<(), ApiError> {
        let Some(constraint) = constraint else { return Ok(()) };
        if let Some((first, _)) = &self.0 {
            return Err(ApiError::invalid(name, format!("contradicts '{first}': an answer has one form")));
        }
        self.0 = Some((name, constraint));
        Ok(())
    }
}

/// `{"type": "text" | "json_object" | "json_schema"}`, with the schema beside it or one level below.
pub(crate) fn format_of(mut format: Fields) -> Result<Option<Constraint>, ApiError> {
    let of_kind = format.needed("type")?;
    match of_kind.as_str() {
        "text" => Ok(None),
        // llama.cpp takes a schema here, too.
        "json_object" => match format.take("schema") {
            Some(value) => schema(&format.path("schema"), value).map(Some),
            None => Ok(Some(Constraint::JsonObject)),
        },
        "json_schema" => {
            let mut inner = match format.object("json_schema")? {
                Some(inner) => inner,
                // The dialect of `/v1/responses` and of Anthropic.
                None => format,
            };
            let path = inner.path("schema");
            let value = inner.take("schema").ok_or(ApiError::Missing { param: path.clone() })?;
            schema(&path, value).map(Some)
        }
        _ => Err(ApiError::invalid(format.path("type"), "must be text, json_object or json_schema")),
    }
}

/// Any JSON, or JSON of a schema, as Ollama says it.
pub(crate) fn ollama_format(path: &str, value: Value) -> Result<Option<Constraint>, ApiError> {
    match value {
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) if text == "json" => Ok(Some(Constraint::JsonObject)),
        Value::Object(_) => schema(path, value).map(Some),
        other => Err(ApiError::invalid(path, format!("must be \"json\" or a JSON schema, not {}", kind(&other)))),
    }
}

fn structured_outputs(mut options: Fields) -> Result<Option<Constraint>, ApiError> {
    let mut found = Found(None);
    if let Some(value) = options.take("json") {
        found.add("structured_outputs.json", schema_or_none(&options.path("json"), value)?)?;
    }
    if let Some(text) = options.string("regex")? {
        found.add("structured_outputs.regex", Some(regex(&options.path("regex"), text)?))?;
    }
    if let Some(values) = options.array("choice")? {
        found.add("structured_outputs.choice", choice(&options.path("choice"), values)?)?;
    }
    if let Some(text) = options.string("grammar")? {
        found.add("structured_outputs.grammar", grammar(&options.path("grammar"), text)?)?;
    }
    if options.boolean("json_object")?.unwrap_or(false) {
        found.add("structured_outputs.json_object", Some(Constraint::JsonObject))?;
    }
    Ok(found.0.map(|(_, constraint)| constraint))
}

/// Nothing, an empty text and an empty object ask for nothing.
fn schema_or_none(path: &str, value: Value) -> Result<Option<Constraint>, ApiError> {
    let is_empty = value.as_str().is_some_and(str::is_empty) || value.as_object().is_some_and(|map| map.is_empty());
    match is_empty {
        true => Ok(None),
        false => schema(path, value).map(Some),
    }
}

/// A schema, or its text.
fn schema(path: &str, value: Value) -> Result<Constraint, ApiError> {
    let value = match value {
        Value::String(text) => {
            serde_json::from_str(&text).map_err(|_| ApiError::invalid(path, "must be a JSON schema"))?
        }
        other => other,
    };
    if !value.is_object() && !value.is_boolean() {
        return Err(ApiError::invalid(path, format!("must be a JSON schema, not {}", kind(&value))));
    }
    bounded(path, value.to_string().len())?;
    Ok(Constraint::JsonSchema(value))
}

fn regex(path: &str, text: String) -> Result<Constraint, ApiError> {
    bounded(path, text.len())?;
    Ok(Constraint::Regex(text))
}

fn choice(path: &str, values: Vec<Value>) -> Result<Option<Constraint>, ApiError> {
    if values.is_empty() {
        return Ok(None);
    }
    if values.len() > CHOICES_MAX {
        return Err(ApiError::invalid(path, format!("has {} texts; at most {CHOICES_MAX} are allowed", values.len())));
    }
    let text = |value: Value| match value {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    };
    let texts: Option<Vec<String>> = values.into_iter().map(text).collect();
    let texts = texts.ok_or_else(|| ApiError::invalid(path, "must be an array of texts that are not empty"))?;
    bounded(path, texts.iter().map(String::len).sum())?;
    Ok(Some(Constraint::Choice(texts)))
}

fn grammar(path: &str, text: String) -> Result<Option<Constraint>, ApiError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    bounded(path, text.len())?;
    Ok(Some(Constraint::grammar(text)))
}

fn bounded(path: &str, bytes: usize) -> Result<(), ApiError> {
    match bytes > SCHEMA_BYTES_MAX {
        true => Err(ApiError::invalid(path, format!("has {bytes} bytes; at most {SCHEMA_BYTES_MAX} are allowed"))),
        false => Ok(()),
    }
}

/// A schema that any object fits: what tools without parameters have.
pub(crate) fn any_object() -> Value {
    json!({ "type": "object", "properties": {} })
}
