//! Takes the fields of a JSON object one by one, with errors that name the path; what is left over was not known.

use crate::ApiError;
use serde_json::{Map, Value};

/// Most names of ignored fields that are told.
const IGNORED_MAX: usize = 32;
/// Longest name of an ignored field that is told.
const NAME_BYTES_MAX: usize = 64;

/// The fields of one object that were not taken yet.
#[derive(Debug)]
pub(crate) struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of `value`, which stands at `path` (empty for the body itself).
    pub(crate) fn of(path: &str, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self { path: path.to_owned(), map }),
            other => {
                let param = if path.is_empty() { "body" } else { path };
                Err(ApiError::invalid(param, format!("must be an object, not {}", kind(&other))))
            }
        }
    }

    /// Where `name` stands.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The field, unless it is missing or null.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        #[cfg(test)]
        if self.path.is_empty() {
            crate::tests::taken(name);
        }
        self.take_unsupported(name)
    }

    /// The same for a field that can only be refused.
    pub(crate) fn take_unsupported(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// The string that must be there.
    pub(crate) fn needed(&mut self, name: &str) -> Result<String, ApiError> {
        self.string(name)?.ok_or(ApiError::Missing { param: self.path(name) })
    }

    /// The fields of the object in this field.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        self.take(name).map(|value| Self::of(&self.path(name), value)).transpose()
    }

    /// The object in this field, as it is.
    pub(crate) fn map(&mut self, name: &str) -> Result<Option<Map<String, Value>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.wrong_kind(name, "an object", &other)),
        }
    }

    /// A number from `min` to `max`.
    pub(crate) fn number(&mut self, name: &str, min: f64, max: f64) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Number(number) = &value else { return Err(self.wrong_kind(name, "a number", &value)) };
        match number.as_f64().filter(|float| (min..=max).contains(float)) {
            Some(float) => Ok(Some(float as f32)),
            None => {
                Err(ApiError::invalid(self.path(name), format!("must be a number from {min} to {max}, not {number}")))
            }
        }
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_kind(name, "a string", &other)),
        }
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong_kind(name, "true or false", &other)),
        }
    }

    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(other) => Err(self.wrong_kind(name, "an array", &other)),
        }
    }

    /// A whole number from `min` to `max`; `5.0` is one too.
    pub(crate) fn integer(&mut self, name: &str, min: i64, max: i64) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Number(number) = &value else { return Err(self.wrong_kind(name, "a whole number", &value)) };
        let whole = number.as_i64().or_else(|| {
            number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() <= 2f64.powi(53))
                .map(|float| float as i64)
        });
        match whole.filter(|whole| (min..=max).contains(whole)) {
            Some(whole) => Ok(Some(whole)),
            None => Err(ApiError::invalid(
                self.path(name),
                format!("must be a whole number from {min} to {max}, not {number}"),
            )),
        }
    }

    /// A number from 0 to `max_milli` thousandths, in thousandths.
    pub(crate) fn milli(&mut self, name: &str, max_milli: u32) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Number(number) = &value else { return Err(self.wrong_kind(name, "a number", &value)) };
        let max = f64::from(max_milli) / 1_000.0;
        match number.as_f64().filter(|float| (0.0..=max).contains(float)) {
            // At most `max_milli`, so it fits; what is above zero stays above zero.
            Some(float) if float > 0.0 => Ok(Some(((float * 1_000.0).round() as u32).max(1))),
            Some(_) => Ok(Some(0)),
            None => Err(ApiError::invalid(self.path(name), format!("must be a number from 0 to {max}, not {number}"))),
        }
    }

    /// Names of what was not taken, in order, fit for a header.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut names: Vec<String> = self.map.keys().map(|name| self.path(&printable(name))).collect();
        names.sort_unstable();
        names.truncate(IGNORED_MAX);
        names
    }

    /// An error if anything was not taken.
    pub(crate) fn none_left(&self, known: &str) -> Result<(), ApiError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(ApiError::invalid(self.path(&printable(name)), format!("is not known here; known: {known}")))
            }
        }
    }

    /// An error about the kind of a field's value.
    pub(crate) fn wrong_kind(&self, name: &str, wanted: &str, value: &Value) -> ApiError {
        ApiError::invalid(self.path(name), format!("must be {wanted}, not {}", kind(value)))
    }
}

/// What a value is, for people. Never the value: it may be somebody's prompt.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn printable(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '?' };
    name.chars().take(NAME_BYTES_MAX).map(fits).collect()
}
