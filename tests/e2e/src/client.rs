//! A plain HTTP client of the local API: what an OpenAI client sends, with the raw answer in hand.

use futures::StreamExt;
use reqwest::header::HeaderMap;
use serde_json::{json, Value};
use std::time::{Duration, Instant};

/// A client of one node.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The last JSON object that the API sent about it.
    pub last: Value,
    /// Response headers.
    pub headers: HeaderMap,
    /// From sending to the first text.
    pub first_text: Duration,
    /// From sending to the end.
    pub total: Duration,
}

/// An error in OpenAI's shape.
#[derive(Clone, Debug)]
pub struct Failure {
    /// HTTP status; 200 if the error came after streaming began.
    pub status: u16,
    /// The object under `error`.
    pub error: Value,
    /// Response headers.
    pub headers: HeaderMap,
    /// Text that had arrived before.
    pub text: String,
    /// From sending to the error.
    pub after: Duration,
}

impl Failure {
    /// Stable name of the error.
    pub fn code(&self) -> &str {
        self.error["code"].as_str().unwrap_or_default()
    }

    /// A failure that a person can act on: named, explained, with a remedy, in time.
    pub fn assert_helpful(&self, within: Duration) {
        let told = |key: &str| self.error[key].as_str().is_some_and(|s| !s.is_empty());
        assert!(told("code") && told("message") && told("hint"), "{:?}", self);
        assert!(self.after <= within, "took {:?}: {:?}", self.after, self.error);
    }
}

/// An answer that is still being streamed.
#[derive(Debug)]
pub struct Sse {
    response: reqwest::Response,
    buffer: Vec<u8>,
    started: Instant,
}

impl Sse {
    /// A response header; empty if it is not there.
    pub fn header(&self, name: &str) -> String {
        self.response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// The next `data:` line; none at the end of the stream.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let block = String::from_utf8(block).expect("events are UTF-8");
                if let Some(data) = block.lines().find_map(|l| l.strip_prefix("data: ")) {
                    return Some(data.to_string());
                }
                continue;
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.buffer.extend_from_slice(&bytes),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl Client {
    /// A client of the API at this address.
    pub fn new(base: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(180)).build().expect("an HTTP client");
        Self { base: base.into(), http }
    }

    /// Address of the API.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A conversation of one message.
    pub fn body(question: &str) -> Value {
        json!({ "model": "tiny-gemma", "messages": [{ "role": "user", "content": question }], "temperature": 0 })
    }

    /// What the node says of itself.
    pub async fn status(&self) -> Value {
        self.get("/ainonymous/v1/status").await.1
    }

    /// GET, whatever the status.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.expect("the API answers");
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// POST of an object, whatever the status.
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.expect("the API answers");
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// POST of raw bytes, whatever the status.
    pub async fn post_raw(&self, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let started = Instant::now();
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        let response = request.body(body).send().await.expect("the API answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let value: Value = response.json().await.unwrap_or(Value::Null);
        match status {
            200 => Ok(value),
            _ => Err(Failure {
                status,
                error: value["error"].clone(),
                headers,
                text: String::new(),
                after: started.elapsed(),
            }),
        }
    }

    /// Asks without streaming.
    pub async fn ask(&self, body: Value) -> Result<Answer, Failure> {
        let started = Instant::now();
        let response = self.send(&body).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let last: Value = response.json().await.unwrap_or(Value::Null);
        let total = started.elapsed();
        if status != 200 {
            let error = last["error"].clone();
            return Err(Failure { status, error, headers, text: String::new(), after: total });
        }
        let text = last["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_string();
        Ok(Answer { text, last, headers, first_text: total, total })
    }

    /// Asks and reads the stream to its end.
    pub async fn stream(&self, body: Value) -> Result<Answer, Failure> {
        let mut text = String::new();
        let mut sse = self.open(body).await?;
        let headers = sse.response.headers().clone();
        let (mut last, mut first_text, mut finished) = (Value::Null, None, false);
        while let Some(data) = sse.next().await {
            if data == "[DONE]" {
                finished = true;
                break;
            }
            let value: Value = serde_json::from_str(&data).expect("events are JSON");
            if !value["error"].is_null() {
                let (error, after) = (value["error"].clone(), sse.started.elapsed());
                return Err(Failure { status: 200, error, headers, text, after });
            }
            if let Some(delta) = value["choices"][0]["delta"]["content"].as_str().filter(|d| !d.is_empty()) {
                first_text.get_or_insert_with(|| sse.started.elapsed());
                text.push_str(delta);
            }
            last = value;
        }
        assert!(finished, "the stream ended without [DONE] after {text:?}");
        let total = sse.started.elapsed();
        Ok(Answer { text, last, headers, first_text: first_text.unwrap_or(total), total })
    }

    /// Asks and hands out the stream.
    pub async fn open(&self, mut body: Value) -> Result<Sse, Failure> {
        body["stream"] = json!(true);
        let started = Instant::now();
        let response = self.send(&body).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if status == 200 {
            return Ok(Sse { response, buffer: Vec::new(), started });
        }
        let value: Value = response.json().await.unwrap_or(Value::Null);
        let error = value["error"].clone();
        Err(Failure { status, error, headers, text: String::new(), after: started.elapsed() })
    }

    /// Waits until the receipt of an answer was fetched from the DHT and checked.
    pub async fn receipt(&self, id: &str, within: Duration) -> Value {
        self.get(&format!("/ainonymous/v1/receipts/{id}?wait_ms={}", within.as_millis())).await.1
    }

    /// Waits until this many providers of any model are known.
    pub async fn wait_for_providers(&self, count: usize, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            let (_, models) = self.get("/ainonymous/v1/models").await;
            let entries = models["models"].as_array().cloned().unwrap_or_default();
            let providers: usize = entries.iter().map(|m| m["providers"].as_array().map_or(0, Vec::len)).sum();
            if providers >= count {
                return;
            }
            assert!(Instant::now() < deadline, "only {providers} providers known: {models}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn send(&self, body: &Value) -> reqwest::Response {
        let request = self.http.post(format!("{}/v1/chat/completions", self.base));
        request.json(body).send().await.expect("the API answers")
    }
}

/// Runs several questions at once.
pub async fn all<T>(questions: Vec<impl std::future::Future<Output = T>>) -> Vec<T> {
    futures::stream::iter(questions).buffer_unordered(64).collect().await
}
