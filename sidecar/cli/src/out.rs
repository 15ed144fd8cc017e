//! The only place that writes to stdout and stderr. stdout is data, stderr is talk.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use crate::error::CliError;
use serde::Serialize;
use serde_json::{json, Value};
use std::io::{ErrorKind, IsTerminal as _, Write as _};

/// Where words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    json: bool,
    events: bool,
}

impl Out {
    /// JSON or text; with JSON, one object a line as things happen or one at the end.
    pub(crate) fn new(json: bool, events: bool) -> Self {
        Self { json, events }
    }

    /// Whether stdout is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Data: text as it is, without a line end of its own, at once.
    pub(crate) fn text(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        if written.is_err_and(|e| e.kind() == ErrorKind::BrokenPipe) {
            // Whoever read it has enough.
            std::process::exit(0);
        }
    }

    /// Data: a piece of somebody's answer. On a terminal without control characters: a provider is a stranger, and a
    /// terminal obeys them.
    pub(crate) fn answer(&self, text: &str) {
        if std::io::stdout().is_terminal() {
            self.text(&harmless(text));
        } else {
            self.text(text);
        }
    }

    /// Data: a line, unless stdout is JSON.
    pub(crate) fn line(&self, line: &str) {
        if !self.json {
            self.text(&format!("{line}\n"));
        }
    }

    /// Data: an object on one line.
    pub(crate) fn object(&self, value: &impl Serialize) {
        let line = serde_json::to_string(value).unwrap_or_else(|e| json!({ "error": e.to_string() }).to_string());
        self.text(&format!("{line}\n"));
    }

    /// Something that happened, if stdout is JSON.
    pub(crate) fn event(&self, name: &str, fields: Value) {
        if self.json {
            self.object(&named(name, fields));
        }
    }

    /// Talk: a line.
    pub(crate) fn talk(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", harmless(line));
    }

    /// Whether talk goes to a terminal, where a line can be written over.
    pub(crate) fn talks_to_a_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Talk on a terminal: in place of the line before.
    pub(crate) fn talk_over(&self, line: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "\r{}\x1b[K", harmless(line)).and_then(|()| stderr.flush());
    }

    /// An error: always talk, and data if stdout is JSON.
    pub(crate) fn error(&self, error: &CliError) {
        self.talk(&format!("error: {error}\nhint: {}", error.hint()));
        match (self.json, self.events) {
            (false, _) => {}
            (true, true) => self.object(&named("error", error.to_json())),
            (true, false) => self.object(&json!({ "error": error.to_json() })),
        }
    }
}

fn named(name: &str, fields: Value) -> Value {
    let mut event = json!({ "event": name });
    if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
        event.extend(fields);
    }
    event
}

/// Text that a terminal only shows.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_terminal_only_shows() {
        assert_eq!(super::harmless("a\u{1b}]0;title\u{7}b\r\n\tc\u{9b}2J é"), "a]0;titleb\n\tc2J é");
    }

    #[test]
    fn events_have_their_name_first() {
        let event = super::named("error", serde_json::json!({ "code": "x" }));
        assert_eq!(event, serde_json::json!({ "event": "error", "code": "x" }));
    }
}
