//! Talks to the API of a running node, on this machine or through a tunnel.

use crate::args;
use crate::config::Config;
use crate::error::CliError;
use ainonymous_api::DEFAULT_PORT;
use reqwest::header::{HeaderMap, HeaderValue, AUTHORIZATION};
use reqwest::Response;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// Longest time to connect.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Longest silence; the API says that it lives more often than that, and waits for receipts less long.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// Largest event of a stream.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// A client of one node.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// A part of an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// So many questions are before it.
    Queued(u32),
    /// A chunk as OpenAI has it.
    Chunk(Value),
    /// The end.
    Done,
}

/// An answer on its way; dropping it cancels the question.
#[derive(Debug)]
pub(crate) struct Stream {
    response: Response,
    url: String,
    events: Events,
}

impl Client {
    /// A client of the node that flags or configuration name.
    pub(crate) fn new(flags: &args::Api, config: &Config) -> Result<Self, CliError> {
        let base = base(flags.api.as_deref().or(config.api.as_deref()))?;
        let http = reqwest::Client::builder()
            .default_headers(key_header(flags.api_key.as_deref())?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .build()
            .map_err(|e| CliError::Broken { url: base.clone(), problem: e.to_string() })?;
        Ok(Self { http, base })
    }

    /// Where the node is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// GET; an object or the node's error.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, CliError> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await;
        let response = response.map_err(|e| unreachable(&self.base, &e))?;
        let status = response.status();
        let body = response.text().await.map_err(|e| broken(&self.base, &e))?;
        let json = self.json(&body)?;
        match status.is_success() {
            true => Ok(json),
            false => Err(self.failure(status.as_u16(), &json)),
        }
    }

    /// Asks; the answer streams.
    pub(crate) async fn ask(&self, body: &Value) -> Result<Stream, CliError> {
        let request = self.http.post(format!("{}/v1/chat/completions", self.base));
        let response = request.json(body).send().await.map_err(|e| unreachable(&self.base, &e))?;
        let status = response.status();
        if !status.is_success() {
            let body = response.text().await.map_err(|e| broken(&self.base, &e))?;
            return Err(self.failure(status.as_u16(), &self.json(&body)?));
        }
        Ok(Stream { response, url: self.base.clone(), events: Events::default() })
    }

    fn json(&self, body: &str) -> Result<Value, CliError> {
        let problem = || format!("it says {:?}", body.chars().take(80).collect::<String>());
        serde_json::from_str(body).map_err(|_| CliError::NotANode { url: self.base.clone(), problem: problem() })
    }

    fn failure(&self, status: u16, body: &Value) -> CliError {
        failure(status, body).unwrap_or_else(|| CliError::NotANode {
            url: self.base.clone(),
            problem: format!("it answers with status {status}"),
        })
    }
}

impl Stream {
    /// The next part; after `Done` there is none.
    pub(crate) async fn next(&mut self) -> Result<Part, CliError> {
        let broke = |problem: &str| CliError::Broken { url: self.url.clone(), problem: problem.to_owned() };
        loop {
            if let Some(event) = self.events.pop() {
                return match event {
                    Event::Comment(text) => match text.strip_prefix("queued ").and_then(|n| n.parse().ok()) {
                        Some(before) => Ok(Part::Queued(before)),
                        None => continue,
                    },
                    Event::Data(text) if text == "[DONE]" => Ok(Part::Done),
                    Event::Data(text) => {
                        let json: Value = serde_json::from_str(&text).map_err(|_| broke("an event is not JSON"))?;
                        failure(200, &json).map_or(Ok(Part::Chunk(json)), Err)
                    }
                };
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) if self.events.push(&bytes) => {}
                Ok(Some(_)) => return Err(broke("an event is too large")),
                Ok(None) => return Err(broke("the answer ended in the middle")),
                Err(e) => return Err(broken(&self.url, &e)),
            }
        }
    }
}

/// `http://…` without a path, from what people write.
fn base(text: Option<&str>) -> Result<String, CliError> {
    let Some(text) = text else { return Ok(format!("http://127.0.0.1:{DEFAULT_PORT}")) };
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let trimmed = full.trim_end_matches('/');
    let trimmed = trimmed.strip_suffix("/v1").unwrap_or(trimmed);
    let invalid = |problem: &str| CliError::Value { value: text.to_owned(), what: "--api", problem: problem.into() };
    let url = reqwest::Url::parse(trimmed).map_err(|_| invalid("it must be like http://127.0.0.1:11435"))?;
    match (url.scheme(), url.path()) {
        ("http" | "https", "/") => Ok(trimmed.to_owned()),
        ("http" | "https", _) => Err(invalid("it must have no path")),
        _ => Err(invalid("it must begin with http://")),
    }
}

/// The header that shows the API key, if there is one.
fn key_header(key: Option<&str>) -> Result<HeaderMap, CliError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| CliError::Value {
            value: "the API key".into(),
            what: "--api-key",
            problem: "it must be what `ainonymous keys create` printed".into(),
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// The node's error, if the object is one.
fn failure(status: u16, body: &Value) -> Option<CliError> {
    let error = body.get("error")?;
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(CliError::Api {
        status,
        code: text("code")?,
        message: text("message")?,
        hint: text("hint").unwrap_or_else(|| "`ainonymous status` may say more".into()),
    })
}

fn unreachable(base: &str, error: &reqwest::Error) -> CliError {
    if error.is_connect() {
        return CliError::NoNode { url: base.to_owned() };
    }
    broken(base, error)
}

fn broken(base: &str, error: &reqwest::Error) -> CliError {
    let problem = match error.is_timeout() {
        true => format!("nothing came for {} s", SILENCE_MAX.as_secs()),
        false => std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string),
    };
    CliError::Broken { url: base.to_owned(), problem }
}

/// Server-sent events, cut out of bytes as they come.
#[derive(Debug, Default)]
struct Events {
    bytes: Vec<u8>,
    ready: VecDeque<Event>,
}

#[derive(Debug, PartialEq)]
enum Event {
    Data(String),
    Comment(String),
}

impl Events {
    fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Takes bytes; false if an event would become too large.
    fn push(&mut self, bytes: &[u8]) -> bool {
        // An end may lie across the border of two pushes.
        let mut from = self.bytes.len().saturating_sub(1);
        self.bytes.extend_from_slice(bytes);
        while let Some(at) = self.bytes[from..].windows(2).position(|pair| pair == b"\n\n") {
            let rest = self.bytes.split_off(from + at + 2);
            let block = std::mem::replace(&mut self.bytes, rest);
            self.ready.extend(event(&block));
            from = 0;
        }
        self.bytes.len() <= EVENT_BYTES_MAX
    }
}

fn event(block: &[u8]) -> Option<Event> {
    let text = String::from_utf8_lossy(block);
    let text = text.trim_end_matches('\n');
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    match (data.is_empty(), text.strip_prefix(": ")) {
        (false, _) => Some(Event::Data(data.join("\n"))),
        (true, Some(comment)) => Some(Event::Comment(comment.to_owned())),
        (true, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for text in ["http://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1/v1"] {
            assert_eq!(base(Some(text)).unwrap(), "http://127.0.0.1:1", "{text}");
        }
        assert_eq!(base(None).unwrap(), "http://127.0.0.1:11435");
        for text in ["", "ftp://x", "http://x/y", "http://"] {
            assert_eq!(base(Some(text)).unwrap_err().code(), "invalid_value", "{text}");
        }
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let stream = ": queued 2\n\ndata: {\"a\":\"é\"}\n\n:\n\ndata: x\ndata: y\n\ndata: [DONE]\n\n".as_bytes();
        let wanted = [
            Event::Comment("queued 2".into()),
            Event::Data("{\"a\":\"é\"}".into()),
            Event::Data("x\ny".into()),
            Event::Data("[DONE]".into()),
        ];
        for size in 1..=stream.len() {
            let mut events = Events::default();
            assert!(stream.chunks(size).all(|piece| events.push(piece)));
            let seen: Vec<Event> = std::iter::from_fn(|| events.pop()).collect();
            assert_eq!(seen, wanted, "cut into {size}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut events = Events::default();
        let piece = vec![b'x'; 1 << 20];
        assert_eq!((0..32).take_while(|_| events.push(&piece)).count(), 16);
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_with_a_hint() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let flags = args::Api { api: Some(free.to_string()), api_key: None };
        let client = Client::new(&flags, &Config::default()).unwrap();
        let error = client.get("/ainonymous/v1/status").await.unwrap_err();
        assert_eq!(error.to_string(), format!("no node answers at http://{free}"));
        assert!(error.hint().contains("ainonymous up"));
    }
}
