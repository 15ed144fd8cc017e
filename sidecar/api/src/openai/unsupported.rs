//! Fields that clients know and that we cannot honour yet. Each may have the value that asks for nothing.

use super::fields::Fields;
use crate::ApiError;
use serde_json::Value;

/// Name, whether a value asks for nothing, and why anything else is refused.
type Rule = (&'static str, fn(&Value) -> bool, &'static str);

const RULES: &[Rule] = &[
    ("n", |v| is_number(v, 1.0), "one answer is given to each request"),
    ("tools", is_empty, "tools are not supported"),
    ("tool_choice", |v| is_text(v, &["none", "auto"]), "tools are not supported"),
    ("functions", is_empty, "functions are not supported"),
    ("function_call", |v| is_text(v, &["none", "auto"]), "functions are not supported"),
    ("response_format", is_text_format, "only {\"type\":\"text\"} is supported"),
    ("grammar", is_empty, "grammars are not supported"),
    ("json_schema", is_empty, "JSON schemas are not supported"),
    ("guided_json", is_empty, "guided decoding is not supported"),
    ("guided_regex", is_empty, "guided decoding is not supported"),
    ("guided_choice", is_empty, "guided decoding is not supported"),
    ("guided_grammar", is_empty, "guided decoding is not supported"),
    ("logprobs", |v| v == &Value::Bool(false), "log-probabilities are not supported"),
    ("top_logprobs", |v| is_number(v, 0.0), "log-probabilities are not supported"),
    ("logit_bias", is_empty, "biases are not supported"),
    ("presence_penalty", |v| is_number(v, 0.0), "penalties are not supported"),
    ("frequency_penalty", |v| is_number(v, 0.0), "penalties are not supported"),
    ("repeat_penalty", |v| is_number(v, 1.0), "penalties are not supported"),
    ("repetition_penalty", |v| is_number(v, 1.0), "penalties are not supported"),
    ("typical_p", |v| is_number(v, 1.0), "this sampler is not supported"),
    ("mirostat", |v| is_number(v, 0.0), "this sampler is not supported"),
    ("ignore_eos", |v| v == &Value::Bool(false), "an answer ends where the model ends it"),
    ("modalities", |v| v == &Value::Array(vec!["text".into()]), "only text is supported"),
    ("audio", is_empty, "only text is supported"),
    ("web_search_options", |_| false, "there is no web search"),
];

/// Takes them all; an error for the first that asks for something.
pub(crate) fn refuse(fields: &mut Fields) -> Result<(), ApiError> {
    for (name, asks_for_nothing, reason) in RULES {
        match fields.take(name) {
            Some(value) if !asks_for_nothing(&value) => {
                return Err(ApiError::Unsupported { param: fields.path(name), reason });
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_number(value: &Value, wanted: f64) -> bool {
    value.as_f64() == Some(wanted)
}

fn is_text(value: &Value, wanted: &[&str]) -> bool {
    value.as_str().is_some_and(|text| wanted.contains(&text))
}

fn is_text_format(value: &Value) -> bool {
    value.get("type").is_some_and(|kind| is_text(kind, &["text"]))
}
