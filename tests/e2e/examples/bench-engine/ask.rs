//! The client that both servers get: one connection and one thread a question, reading the stream as it comes.
//!
//! It is made of the standard library alone, so that it takes little of the processor that it shares with what it measures,
//! and it looks into no more of the answer than it must.

use crate::machine;
use serde_json::{json, Value};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(240);

/// A server that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// For people.
    pub(crate) name: &'static str,
    /// Its processes.
    pub(crate) processes: Vec<u32>,
    /// `HOST:PORT`.
    pub(crate) address: String,
    /// What it calls the model.
    pub(crate) model: String,
    /// Whether it can be told to go on where the model would end.
    pub(crate) ignores_end: bool,
    /// The only way that its questions may take to another node, if it is a node of ours.
    pub(crate) route: Option<&'static str>,
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) system: Option<String>,
    pub(crate) user: String,
    pub(crate) max_tokens: u32,
}

/// What a client saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) asked: Instant,
    /// When text came, and how many bytes of it.
    pub(crate) texts: Vec<(Instant, usize)>,
    pub(crate) ended: Instant,
    pub(crate) prompt_tokens: u32,
    pub(crate) tokens: u32,
}

impl Seen {
    /// From asking to the first text.
    pub(crate) fn first(&self) -> Duration {
        self.texts.first().map_or(self.ended, |t| t.0) - self.asked
    }

    /// Tokens a second after the first text. That one may bring several: its length tells how many.
    pub(crate) fn tokens_per_s(&self) -> f64 {
        let (first, last) = (self.asked + self.first(), self.texts.last().map_or(self.ended, |t| t.0));
        let bytes: usize = self.texts.iter().map(|t| t.1).sum();
        let later = bytes - self.texts.first().map_or(0, |t| t.1);
        f64::from(self.tokens) * later as f64 / bytes.max(1) as f64 / (last - first).as_secs_f64().max(1e-6)
    }
}

impl Server {
    /// Processor time that it has taken, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        self.processes.iter().filter_map(|&pid| machine::cpu_s(pid)).sum()
    }

    /// Until both go on where the model would end, answers must be short enough not to end by themselves.
    pub(crate) fn honours_ignore_eos(&self) -> bool {
        let asked = Self { ignores_end: true, ..self.clone() };
        let question = Question { system: None, user: "Who are you?".into(), max_tokens: 40 };
        asked.ask(&question).is_ok_and(|seen| seen.tokens == 40)
    }

    fn body(&self, question: &Question) -> Value {
        let mut messages = Vec::new();
        if let Some(system) = &question.system {
            messages.push(json!({ "role": "system", "content": system }));
        }
        messages.push(json!({ "role": "user", "content": question.user }));
        let mut body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": question.max_tokens,
            "temperature": 0,
            "seed": 1,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        if self.ignores_end {
            body["ignore_eos"] = json!(true);
        }
        if let Some(route) = self.route {
            body["ainonymous"] = json!({ "route": route });
        }
        body
    }

    /// The request as it goes over the wire.
    pub(crate) fn request(&self, question: &Question) -> Vec<u8> {
        let body = self.body(question).to_string();
        let head = "content-type: application/json\r\nconnection: close";
        let Self { address, .. } = self;
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// Asks and reads to the end.
    pub(crate) fn ask(&self, question: &Question) -> Result<Seen, String> {
        self.ask_until(question, &AtomicBool::new(false), &|| ())
    }

    /// Asks; hangs up when `stop` is set; calls `on_text` with each text.
    pub(crate) fn ask_until(&self, question: &Question, stop: &AtomicBool, on_text: &dyn Fn()) -> Result<Seen, String> {
        let told = |e: std::io::Error| format!("{}: {e}", self.name);
        let request = self.request(question);
        let asked = Instant::now();
        let mut stream = TcpStream::connect(&self.address).map_err(told)?;
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE))).map_err(told)?;
        stream.write_all(&request).map_err(told)?;
        let mut events = Events::default();
        let mut buffer = vec![0; 64 << 10];
        let mut seen = Seen { asked, texts: Vec::new(), ended: asked, prompt_tokens: 0, tokens: 0 };
        while !events.done && !stop.load(Ordering::Relaxed) {
            let read = stream.read(&mut buffer).map_err(told)?;
            if read == 0 {
                return Err(format!("{}: ended early: {}", self.name, events.tail()));
            }
            let now = Instant::now();
            match events.push(&buffer[..read]) {
                0 => {}
                bytes => {
                    seen.texts.push((now, bytes));
                    on_text();
                }
            }
        }
        seen.ended = Instant::now();
        let usage = events.usage();
        let count = |name: &str| usage[name].as_u64().unwrap_or(0) as u32;
        (seen.prompt_tokens, seen.tokens) = (count("prompt_tokens"), count("completion_tokens"));
        if events.done && seen.tokens == 0 {
            return Err(format!("{}: no answer: {}", self.name, events.tail()));
        }
        Ok(seen)
    }

    /// Asks everything at once; how long all of it took, and what each saw.
    pub(crate) fn ask_all(&self, questions: &[Question]) -> Result<(Duration, Vec<Seen>), String> {
        let start = Barrier::new(questions.len());
        let seen: Vec<Result<Seen, String>> = std::thread::scope(|scope| {
            let ask = |question| {
                start.wait();
                self.ask(question)
            };
            let clients: Vec<_> = questions.iter().map(|question| scope.spawn(move || ask(question))).collect();
            clients.into_iter().map(|c| c.join().unwrap_or_else(|_| Err("a client broke".into()))).collect()
        });
        let seen = seen.into_iter().collect::<Result<Vec<_>, _>>()?;
        let began = seen.iter().map(|s| s.asked).min().expect("somebody asked");
        let ended = seen.iter().map(|s| s.ended).max().expect("somebody asked");
        Ok((ended - began, seen))
    }
}

/// Events of a stream. Whether a chunk of the transfer ends within an event does not matter to what is looked for.
#[derive(Default)]
struct Events {
    unread: Vec<u8>,
    /// The last few lines of data.
    last: Vec<String>,
    done: bool,
}

impl Events {
    /// Takes bytes; returns how many bytes of text they brought.
    fn push(&mut self, bytes: &[u8]) -> usize {
        self.unread.extend_from_slice(bytes);
        let unread = std::mem::take(&mut self.unread);
        let whole = unread.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let (lines, rest) = unread.split_at(whole);
        self.unread = rest.to_vec();
        lines.split(|&b| b == b'\n').map(|line| self.line(line)).sum()
    }

    fn line(&mut self, line: &[u8]) -> usize {
        const CONTENT: &[u8] = b"\"content\":\"";
        let Some(data) = line.strip_prefix(b"data: ") else {
            if line.starts_with(b"HTTP/1.1 ") && !line.starts_with(b"HTTP/1.1 200") || line.starts_with(b"{") {
                self.last.push(String::from_utf8_lossy(line).into_owned());
            }
            return 0;
        };
        self.done = data.starts_with(b"[DONE]");
        if let Some(at) = find(data, CONTENT) {
            let text = &data[at + CONTENT.len()..];
            return text.iter().position(|&b| b == b'"').unwrap_or(text.len());
        }
        if self.last.len() > 3 {
            self.last.remove(0);
        }
        self.last.push(String::from_utf8_lossy(data).into_owned());
        0
    }

    fn usage(&self) -> Value {
        let values = self.last.iter().rev().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        values.map(|v| v["usage"].clone()).find(|u| !u.is_null()).unwrap_or_default()
    }

    fn tail(&self) -> String {
        format!("{} {}", self.last.join(" | "), String::from_utf8_lossy(&self.unread))
    }
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = data[from..].iter().position(|&b| b == what[0]) {
        if data[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
