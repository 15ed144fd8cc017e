//! One question to the running node.

use crate::args::{Ask, Whom};
use crate::client::{Client, Part};
use crate::config::Config;
use crate::credits::Credits;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::private;
use crate::show::Answered;
use ainonymous_node::request::IMAGE_BYTES_MAX;
use base64::prelude::{Engine as _, BASE64_STANDARD};
use serde_json::{json, Value};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Asks, shows the answer as it comes, then who answered and where the receipt stands.
pub(crate) async fn run(flags: Ask, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let Ask { whom, posted, fetch, receipt_wait_ms, critical, receipt, image, text } = flags;
    let client = Client::new(&whom.api, config)?;
    let answered = match fetch {
        Some(request) => fetch_posted(&client, &request, out).await?,
        None => {
            let messages = messages(whom.system.as_deref(), &question(&text)?, &shown(&image)?);
            let mut body = body(&whom, posted, config, messages);
            if let Some(answers) = critical {
                body["ainonymous"]["critical"] = answers.into();
            }
            let mut answered = stream(&client, &body, out, !out.is_json()).await?;
            check_receipt(&client, &mut answered, receipt_wait_ms).await?;
            if let Some(path) = receipt {
                write_receipt(&client, &answered, &path, out).await?;
            }
            answered
        }
    };
    if out.is_json() {
        out.object(&answered);
    } else {
        out.talk(&answered.origin());
        out.talk(&answered.receipt_line());
        answered.agreement_lines().iter().for_each(|line| out.talk(line));
    }
    Ok(Exit::Ok)
}

/// What the API is asked.
pub(crate) fn body(whom: &Whom, posted: bool, config: &Config, messages: Value) -> Value {
    let route = whom.route.or(config.route).map_or("auto", |route| route.name());
    let mut body = json!({
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
        "ainonymous": { "route": if posted { "posted" } else { route }, "provider": whom.provider,
            "only": whom.only.map(|only| only.name()), "no_routers": whom.no_routers,
            "hide": whom.hide.unwrap_or(0), "region": whom.region, "known": whom.known, "show_auditors": whom.show_auditors.map(|which| which.name()),
            "max_price": whom.max_price.map(Credits::number) },
    });
    let optional = [
        ("model", json!(whom.model.as_ref().or(config.model.as_ref()))),
        ("max_tokens", json!(whom.max_tokens)),
        ("temperature", json!(whom.temperature)),
        ("seed", json!(whom.seed)),
    ];
    for (name, value) in optional {
        if !value.is_null() {
            body[name] = value;
        }
    }
    body
}

/// Streams an answer; the text goes to stdout if wanted.
pub(crate) async fn stream(client: &Client, body: &Value, out: &Out, shown: bool) -> Result<Answered, CliError> {
    let mut stream = client.ask(body).await?;
    let mut answered = Answered::default();
    loop {
        match stream.next().await {
            Ok(Part::Queued(0)) => {}
            Ok(Part::Queued(before)) => out.talk(&format!("waiting; {before} before this question")),
            Ok(Part::Chunk(chunk)) => {
                if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str() {
                    answered.answer.push_str(text);
                    if shown {
                        out.answer(text);
                    }
                }
                answered.take(&chunk);
            }
            Ok(Part::Done) => break,
            Err(error) => {
                end_line(&answered, out, shown);
                return Err(error);
            }
        }
    }
    end_line(&answered, out, shown);
    Ok(answered)
}

/// The terminal's next line is a new one.
fn end_line(answered: &Answered, out: &Out, shown: bool) {
    if shown && !answered.answer.is_empty() && !answered.answer.ends_with('\n') {
        out.text("\n");
    }
}

/// Waits until the receipt is published and checked, as long as wanted.
pub(crate) async fn check_receipt(client: &Client, answered: &mut Answered, wait_ms: u64) -> Result<(), CliError> {
    if !answered.has_receipt {
        return Ok(());
    }
    if let Some(id) = &answered.id {
        let state = client.get(&format!("/ainonymous/v1/receipts/{id}?wait_ms={wait_ms}")).await?;
        answered.take_receipt(&state);
    }
    Ok(())
}

/// Writes the receipt file, for its owner's eyes only.
async fn write_receipt(client: &Client, answered: &Answered, path: &Path, out: &Out) -> Result<(), CliError> {
    let Some(id) = answered.id.as_ref().filter(|_| answered.has_receipt) else {
        out.talk("no receipt was written: this node has answered itself");
        return Ok(());
    };
    let file = client.get(&format!("/ainonymous/v1/receipts/{id}/file?open=true")).await?;
    let text = serde_json::to_string_pretty(&file).unwrap_or_default();
    private::replace(path, text.as_bytes()).map_err(|source| CliError::File { path: path.to_owned(), source })?;
    out.talk(&format!("receipt: {}; it contains the question and the answer", path.display()));
    Ok(())
}

async fn fetch_posted(client: &Client, request: &str, out: &Out) -> Result<Answered, CliError> {
    if !request.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        let problem = "it must be an action hash that begins with uhCkk".into();
        return Err(CliError::Value { value: request.into(), what: "--fetch", problem });
    }
    let posted = client.get(&format!("/ainonymous/v1/posted/{request}")).await?;
    let text = |name: &str| posted[name].as_str().unwrap_or_default().to_owned();
    let answered = Answered {
        answer: text("text"),
        finish_reason: text("finish_reason"),
        provider: posted["receipt"]["provider"].as_str().map(str::to_owned),
        model: posted["receipt"]["spec"].as_str().unwrap_or_default().to_owned(),
        route: "posted".into(),
        receipt: posted["batch"].as_str().map(str::to_owned),
        prompt_tokens: posted["prompt_tokens"].as_u64().unwrap_or_default(),
        completion_tokens: posted["completion_tokens"].as_u64().unwrap_or_default(),
        has_receipt: true,
        ..Answered::default()
    };
    if !out.is_json() {
        out.answer(&answered.answer);
        end_line(&answered, out, true);
    }
    Ok(answered)
}

/// The words of the command line, or stdin for `-`.
fn question(words: &[String]) -> Result<String, CliError> {
    if words != ["-"] {
        return Ok(words.join(" "));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|source| CliError::Stdin { source })?;
    Ok(text)
}

/// Images as addresses that carry them.
fn shown(files: &[PathBuf]) -> Result<Vec<String>, CliError> {
    let shown = |path: &PathBuf| {
        let refused = |problem: String| CliError::Value { value: path.display().to_string(), what: "--image", problem };
        let file = |source| CliError::File { path: path.clone(), source };
        let mut bytes = Vec::new();
        // One byte more than is allowed tells that there are more.
        let most = IMAGE_BYTES_MAX as u64 + 1;
        std::fs::File::open(path).map_err(file)?.take(most).read_to_end(&mut bytes).map_err(file)?;
        let kind = match bytes.as_slice() {
            _ if bytes.len() > IMAGE_BYTES_MAX => {
                return Err(refused(format!("it has more than {} MiB; send a smaller one", IMAGE_BYTES_MAX >> 20)));
            }
            [0x89, b'P', b'N', b'G', ..] => "png",
            [0xff, 0xd8, 0xff, ..] => "jpeg",
            _ => return Err(refused("it must be a PNG or JPEG file".into())),
        };
        Ok(format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(bytes)))
    };
    files.iter().map(shown).collect()
}

fn messages(system: Option<&str>, question: &str, images: &[String]) -> Value {
    let mut messages = Vec::new();
    messages.extend(system.map(|text| json!({ "role": "system", "content": text })));
    let content = match images {
        [] => json!(question),
        images => {
            let shown = images.iter().map(|image| json!({ "type": "image_url", "image_url": { "url": image } }));
            shown.chain([json!({ "type": "text", "text": question })]).collect()
        }
    };
    messages.push(json!({ "role": "user", "content": content }));
    Value::Array(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Route;

    #[test]
    fn flags_before_the_file() {
        let config = Config { model: Some("file".into()), route: Some(Route::Local), ..Config::default() };
        let messages = messages(Some("Be brief."), "Hi", &[]);
        assert_eq!(messages[0]["role"], "system");
        let of_file = body(&Whom::default(), false, &config, messages.clone());
        assert_eq!((of_file["model"].as_str(), of_file["ainonymous"]["route"].as_str()), (Some("file"), Some("local")));
        assert!(of_file.get("seed").is_none());
        let whom = Whom { model: Some("flag".into()), seed: Some(5), temperature: Some(0.0), ..Whom::default() };
        let of_flags = body(&whom, true, &config, messages);
        assert_eq!(
            (of_flags["model"].as_str(), of_flags["ainonymous"]["route"].as_str()),
            (Some("flag"), Some("posted"))
        );
        assert_eq!((of_flags["seed"].as_u64(), of_flags["temperature"].as_f64()), (Some(5), Some(0.0)));
    }

    #[test]
    fn images_go_with_the_question() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let png = file("a.png", b"\x89PNG...");
        let images = shown(&[png, file("b", b"\xff\xd8\xff")]).unwrap();
        assert_eq!(images, ["data:image/png;base64,iVBORy4uLg==", "data:image/jpeg;base64,/9j/"]);
        let content = messages(None, "What?", &images)[0]["content"].clone();
        assert_eq!((&content[1]["image_url"]["url"], &content[2]["text"]), (&json!(images[1]), &json!("What?")));
        let code = |path: PathBuf| {
            let error = shown(&[path]).unwrap_err();
            error.code().to_owned()
        };
        assert_eq!(code(file("c.gif", b"GIF89a")), "invalid_value");
        assert_eq!(code(folder.path().join("none.png")), "unreadable_file");
        let mut large = vec![0; IMAGE_BYTES_MAX + 1];
        large[..4].copy_from_slice(b"\x89PNG");
        assert_eq!(code(file("large.png", &large)), "invalid_value");
    }

    #[test]
    fn words_become_a_question() {
        assert_eq!(question(&["What".into(), "now?".into()]).unwrap(), "What now?");
    }
}
