//! A conversation in a terminal, line by line. It is remembered until it ends, and written nowhere.

use crate::args::Chat;
use crate::ask;
use crate::client::Client;
use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use rustyline::error::ReadlineError;
use rustyline::DefaultEditor;
use serde_json::{json, Value};

const HELP: &str = "\
/new    forget what was said
/quit   end (also Ctrl-D)
/help   this
Ctrl-C  stop an answer";

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Say(&'a str),
    New,
    Quit,
    Help,
    Unknown(&'a str),
    Nothing,
}

/// Talks until the user has enough.
pub(crate) async fn run(flags: Chat, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let Chat { whom } = flags;
    let client = Client::new(&whom.api, config)?;
    // Somebody must be there before the first line is typed.
    client.get("/ainonymous/v1/status").await?;
    out.talk(&format!("talking to {}; /help says more", client.base()));
    let system = whom.system.as_ref().map(|text| json!({ "role": "system", "content": text }));
    let mut messages: Vec<Value> = system.iter().cloned().collect();
    let mut editor = Some(DefaultEditor::new().map_err(terminal)?);
    loop {
        let Some(typed) = read_line(&mut editor).await? else { return Ok(Exit::Ok) };
        match parse(&typed) {
            Line::Nothing => {}
            Line::Quit => return Ok(Exit::Ok),
            Line::Help => out.talk(HELP),
            Line::Unknown(command) => out.talk(&format!("there is no {command}\n{HELP}")),
            Line::New => messages.truncate(system.iter().len()),
            Line::Say(text) => {
                messages.push(json!({ "role": "user", "content": text }));
                let body = ask::body(&whom, false, config, Value::Array(messages.clone()));
                match answer(&client, &body, out).await {
                    Ok(Some(text)) => messages.push(json!({ "role": "assistant", "content": text })),
                    // Stopped or failed: the question is taken back, so that roles stay in turn.
                    Ok(None) => drop(messages.pop()),
                    Err(error) => {
                        out.error(&error);
                        messages.pop();
                    }
                }
            }
        }
    }
}

/// The answer's text; none if the user stopped it.
async fn answer(client: &Client, body: &Value, out: &Out) -> Result<Option<String>, CliError> {
    tokio::select! {
        answered = ask::stream(client, body, out, !out.is_json()) => {
            let mut answered = answered?;
            ask::check_receipt(client, &mut answered, 0).await?;
            if out.is_json() {
                out.object(&answered);
            } else {
                out.talk(&answered.origin());
            }
            Ok(Some(answered.answer))
        }
        _ = tokio::signal::ctrl_c() => {
            out.line("");
            out.talk("stopped");
            Ok(None)
        }
    }
}

/// A line, or nothing at the end. The editor blocks, so it works on a thread of its own.
async fn read_line(editor: &mut Option<DefaultEditor>) -> Result<Option<String>, CliError> {
    let Some(mut taken) = editor.take() else { return Ok(None) };
    let reading = tokio::task::spawn_blocking(move || {
        let line = taken.readline("you  ");
        if let Ok(line) = &line {
            // Kept in memory for the arrow keys; never on disk.
            let _ = taken.add_history_entry(line);
        }
        (taken, line)
    });
    let (taken, line) = reading.await.map_err(|e| CliError::Terminal { problem: e.to_string() })?;
    *editor = Some(taken);
    match line {
        Ok(line) => Ok(Some(line)),
        Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(None),
        Err(error) => Err(terminal(error)),
    }
}

fn terminal(error: ReadlineError) -> CliError {
    CliError::Terminal { problem: error.to_string() }
}

fn parse(line: &str) -> Line<'_> {
    match line.trim() {
        "" => Line::Nothing,
        "/quit" | "/exit" => Line::Quit,
        "/new" => Line::New,
        "/help" => Line::Help,
        command if command.starts_with('/') && !command.contains(char::is_whitespace) => Line::Unknown(command),
        text => Line::Say(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(parse(" hello "), Line::Say("hello"));
        assert_eq!(parse("/etc/passwd is what?"), Line::Say("/etc/passwd is what?"));
        assert_eq!(parse("/quit"), Line::Quit);
        assert_eq!(parse("/new"), Line::New);
        assert_eq!(parse("/bogus"), Line::Unknown("/bogus"));
        assert_eq!(parse("  "), Line::Nothing);
    }
}
