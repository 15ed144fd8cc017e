//! The reference of errors, read from the sources: every `code()` and what its variant's documentation says.
//!
//! It reads the house's own style (one enum per crate, one arm per code), not Rust in general.

use std::collections::{BTreeMap, BTreeSet};

/// Documentation of every enum's variants: `(enum, variant)` to its sentence.
type Docs = BTreeMap<(String, String), String>;

/// Markdown from `(part, source)` pairs.
pub(super) fn markdown(sources: &[(String, String)]) -> String {
    let mut docs = Docs::new();
    for (_, text) in sources {
        variants(text, &mut docs);
    }
    let mut rows = BTreeSet::new();
    for (part, text) in sources {
        for (code, name) in codes(text) {
            // What is no variant of ours stands in a guard, beside one that is.
            if let Some(meaning) = docs.get(&name).filter(|meaning| !meaning.is_empty()) {
                rows.insert((code, part.clone(), meaning.clone()));
            }
        }
    }
    let mut out = String::from(
        "# Errors\n\n\
         Every error has a stable code, a text, and a hint that says what you can do. In JSON: the API answers\n\
         `{\"error\": {\"message\", \"type\", \"code\", \"param\", \"hint\"}}`; the command line prints code and hint on stderr, and with\n\
         `--json` an object on stdout. Texts may change, codes do not.\n\n\
         Written by `cargo xtask gen` from the sources: change it there.\n\n\
         | code | part | means |\n|---|---|---|\n",
    );
    for (code, part, meaning) in rows {
        out.push_str(&format!("| `{code}` | {part} | {} |\n", meaning.replace('|', "\\|")));
    }
    out
}

/// Reads `/// sentence` before `Variant {`, `Variant(` or `Variant,` inside `enum Name`.
fn variants(text: &str, docs: &mut Docs) {
    let mut inside: Option<String> = None;
    let mut sentence = String::new();
    for line in text.lines() {
        let Some(name) = &inside else {
            inside = line
                .strip_prefix("pub enum ")
                .or_else(|| line.strip_prefix("pub(crate) enum "))
                .map(|rest| identifier(rest).to_owned());
            continue;
        };
        if line == "}" {
            inside = None;
        } else if let Some(doc) = line.strip_prefix("    /// ") {
            if !sentence.is_empty() {
                sentence.push(' ');
            }
            sentence.push_str(doc.trim());
        } else if line.starts_with("    ") && line[4..].starts_with(|c: char| c.is_ascii_uppercase()) {
            docs.insert((name.clone(), identifier(&line[4..]).to_owned()), std::mem::take(&mut sentence));
        }
    }
}

/// Every arm `Enum::Variant … => "code"` in a function `code`, with its enum's name for `Self`.
fn codes(text: &str) -> Vec<(String, (String, String))> {
    let mut found = Vec::new();
    let mut own = String::new();
    let mut depth: Option<usize> = None;
    let mut arm = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(rest) = line.strip_prefix("impl ") {
            own = identifier(rest.split(" for ").last().unwrap_or(rest)).to_owned();
        }
        if line.contains("fn code(&self)") || line.contains("fn code(self)") {
            depth = Some(indent);
            continue;
        }
        let Some(start) = depth else { continue };
        if indent <= start && line.trim() == "}" {
            depth = None;
            arm.clear();
            continue;
        }
        arm.push_str(line.trim());
        arm.push(' ');
        if let Some((patterns, result)) = arm.split_once("=>") {
            if let Some(code) = literal(result) {
                found.extend(names(patterns, &own).map(|name| (code.to_owned(), name)));
            }
            arm.clear();
        }
    }
    found
}

/// The text of a string literal that looks like a code.
fn literal(result: &str) -> Option<&str> {
    let code = result.trim().trim_start_matches('{').trim().strip_prefix('"')?.split('"').next()?;
    (!code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        .then_some(code)
}

/// `Self::A { .. } | Reason::B` as pairs.
fn names<'a>(patterns: &'a str, own: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    patterns.split("::").zip(patterns.split("::").skip(1)).map(move |(before, after)| {
        let owner = before.rsplit(|c: char| !is_identifier(c)).next().unwrap_or_default();
        let owner = if owner == "Self" { own } else { owner };
        (owner.to_owned(), identifier(after).to_owned())
    })
}

fn identifier(text: &str) -> &str {
    text.split(|c| !is_identifier(c)).next().unwrap_or_default()
}

fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
/// Why.
pub enum NodeError {
    /// Another process uses
    /// the data folder.
    #[error("x")]
    InUse {
        /// Which.
        path: u8,
    },
    /// A disk.
    Full(u8),
    /// A peer said no.
    Refused,
}
pub enum Reason {
    /// Its queue is full.
    Busy,
}
impl Reason {
    pub fn code(self) -> &'static str {
        match self {
            Self::Busy => "too_busy",
        }
    }
}
impl NodeError {
    /// Stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "in_use",
            Self::Full(a)
            | Self::Other => "disk_full",
            Self::Refused { reason, .. } => match reason {
                Reason::Busy => "busy",
            },
        }
    }
    fn hint(&self) -> &'static str {
        match self {
            Self::Full(_) => "not_a_code",
        }
    }
}
"#;

    #[test]
    fn codes_and_meanings_are_read() {
        let text = markdown(&[("node".into(), SOURCE.into())]);
        assert!(text.contains("| `in_use` | node | Another process uses the data folder. |"), "{text}");
        assert!(text.contains("| `disk_full` | node | A disk. |"));
        assert!(text.contains("| `busy` | node | Its queue is full. |"), "{text}");
        assert!(text.contains("| `too_busy` | node | Its queue is full. |"), "{text}");
        assert!(!text.contains("not_a_code"));
    }
}
