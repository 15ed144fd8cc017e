//! JSON as Python's `json.dumps` writes it: models saw their tools in this form.

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;

/// Widest indentation, in spaces.
const INDENT_MAX: usize = 16;

/// The filter `tojson`, with `indent`; nothing is escaped for HTML.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent = options.get::<Option<usize>>("indent")?.map(|indent| indent.min(INDENT_MAX));
    let json = serde_json::to_value(value).map_err(|_| Error::new(ErrorKind::BadSerialization, "no JSON"))?;
    let mut out = String::new();
    write(&json, indent, 0, &mut out);
    Ok(out)
}

/// JSON on one line.
pub(super) fn dumps(json: &Json) -> String {
    let mut out = String::new();
    write(json, None, 0, &mut out);
    out
}

fn write(json: &Json, indent: Option<usize>, level: usize, out: &mut String) {
    let line = |level: usize, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * level));
        }
    };
    let (open, close, count) = match json {
        Json::Array(items) => ('[', ']', items.len()),
        Json::Object(members) => ('{', '}', members.len()),
        plain => return out.push_str(&plain.to_string()),
    };
    out.push(open);
    let between = |i: usize, out: &mut String| {
        if i > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        line(level + 1, out);
    };
    match json {
        Json::Array(items) => items.iter().enumerate().for_each(|(i, item)| {
            between(i, out);
            write(item, indent, level + 1, out);
        }),
        Json::Object(members) => members.iter().enumerate().for_each(|(i, (key, value))| {
            between(i, out);
            out.push_str(&Json::from(key.as_str()).to_string());
            out.push_str(": ");
            write(value, indent, level + 1, out);
        }),
        _ => {}
    }
    if count > 0 {
        line(level, out);
    }
    out.push(close);
}
