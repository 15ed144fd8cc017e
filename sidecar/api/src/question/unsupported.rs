//! Fields that clients know and that we cannot honour. Each may have the value that asks for nothing.

use crate::fields::Fields;
use crate::ApiError;
use serde_json::Value;

/// Name, whether a value asks for nothing, and why anything else is refused.
pub(crate) type Rule = (&'static str, fn(&Value) -> bool, &'static str);

/// Of everything that samples.
pub(crate) const SAMPLERS: &[Rule] = &[
    ("typical_p", |v| is_number(v, 1.0), "this sampler is not supported"),
    ("mirostat", |v| is_number(v, 0.0), "this sampler is not supported"),
    ("tfs_z", |v| is_number(v, 1.0), "this sampler is not supported"),
    ("top_n_sigma", |v| is_number(v, -1.0), "this sampler is not supported"),
    ("xtc_probability", |v| is_number(v, 0.0), "this sampler is not supported"),
    ("dry_multiplier", |v| is_number(v, 0.0), "this sampler is not supported"),
    ("dynatemp_range", |v| is_number(v, 0.0), "this sampler is not supported"),
    ("min_tokens", |v| is_number(v, 0.0), "an answer may be as short as the model makes it"),
    ("use_beam_search", |v| v == &Value::Bool(false), "there is no beam search"),
    ("prompt_logprobs", is_nothing, "log-probabilities of prompts are not supported"),
];

/// Of chat completions.
pub(crate) const CHAT: &[Rule] = &[
    ("functions", is_nothing, "use 'tools'"),
    ("function_call", |v| is_text(v, &["none", "auto"]), "use 'tool_choice'"),
    ("modalities", |v| v == &Value::Array(vec!["text".into()]), "only text is supported"),
    ("audio", is_nothing, "only text is supported"),
    ("web_search_options", |_| false, "there is no web search"),
    ("best_of", |v| is_number(v, 1.0), "every answer is given; use 'n'"),
];

/// Of completions.
pub(crate) const COMPLETIONS: &[Rule] = &[
    ("suffix", is_nothing, "text is continued, not filled in"),
    ("best_of", |v| is_number(v, 1.0), "every answer is given; use 'n'"),
];

/// Takes them all; an error for the first that asks for something.
pub(crate) fn refuse(fields: &mut Fields, rules: &[Rule]) -> Result<(), ApiError> {
    for (name, asks_for_nothing, reason) in rules {
        match fields.take_unsupported(name) {
            Some(value) if !asks_for_nothing(&value) => {
                return Err(ApiError::Unsupported { param: fields.path(name), reason });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Empty, false or zero.
pub(crate) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
    }
}

pub(crate) fn is_number(value: &Value, wanted: f64) -> bool {
    value.as_f64() == Some(wanted)
}

pub(crate) fn is_text(value: &Value, wanted: &[&str]) -> bool {
    value.as_str().is_some_and(|text| wanted.contains(&text))
}
