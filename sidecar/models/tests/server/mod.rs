//! A server that behaves like the hub and the storage behind it, well or badly. It writes HTTP by hand: a library would
//! not lie about lengths or drop a connection in the middle.
#![allow(dead_code)]

use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How the storage behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mood {
    /// It knows no ranges.
    pub(crate) no_ranges: bool,
    /// It closes each connection after so many bytes of a body.
    pub(crate) drop_after: Option<usize>,
    /// It goes silent after so many bytes of a body.
    pub(crate) stall_after: Option<usize>,
    /// It sends so many bytes at a time, with a pause.
    pub(crate) trickle: Option<(usize, Duration)>,
    /// It adds so much to the lengths that it states: the whole in `Content-Range`, or `Content-Length` of the whole.
    pub(crate) lie: i64,
    /// It adds so many bytes to a range, and says so in `Content-Length`.
    pub(crate) surplus: usize,
    /// It sends other bytes.
    pub(crate) corrupt: bool,
    /// Addresses with another signature than this have expired.
    pub(crate) signature: Option<String>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) range: Option<(usize, usize)>,
}

/// Files of a repository: name and bytes.
type Files = Vec<(String, Arc<Vec<u8>>)>;

/// What both servers share.
#[derive(Default)]
pub(crate) struct State {
    /// `org/repo` to its files.
    pub(crate) repos: Mutex<HashMap<String, Files>>,
    /// Answers to give before all others, by the beginning of the path.
    pub(crate) canned: Mutex<Vec<(String, VecDeque<String>)>>,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) seen_by_hub: Mutex<Vec<Seen>>,
    pub(crate) seen_by_storage: Mutex<Vec<Seen>>,
    /// Bytes of bodies that the storage sent.
    pub(crate) sent: Mutex<usize>,
    /// Where the storage is.
    storage: Mutex<String>,
}

/// A hub on one port, its storage on another.
pub(crate) struct Server {
    pub(crate) hub: String,
    pub(crate) storage: String,
    pub(crate) state: Arc<State>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(State::default());
        let hub = listen(Arc::clone(&state), true).await;
        let storage = listen(Arc::clone(&state), false).await;
        *state.storage.lock().unwrap() = storage.clone();
        Self { hub, storage, state }
    }

    pub(crate) fn add(&self, repo: &str, file: &str, bytes: &[u8]) {
        let mut repos = self.state.repos.lock().unwrap();
        repos.entry(repo.to_owned()).or_default().push((file.to_owned(), Arc::new(bytes.to_vec())));
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// The next answer for paths that begin so; the last of several stays for ever if `forever`.
    pub(crate) fn can(&self, path: &str, answers: &[&str]) {
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        self.state.canned.lock().unwrap().push((path.to_owned(), answers));
    }

    /// Bytes that the storage has sent since the last time.
    pub(crate) fn take_sent(&self) -> usize {
        std::mem::take(&mut *self.state.sent.lock().unwrap())
    }
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

async fn listen(state: Arc<State>, is_hub: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let state = Arc::clone(&state);
            // A client that goes away is no failure of the test.
            tokio::spawn(async move {
                let _ = serve(stream, &state, is_hub).await;
            });
        }
    });
    address
}

async fn serve(mut stream: TcpStream, state: &State, is_hub: bool) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let mut first = head.split_whitespace();
    let (method, path) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let range = header("range").and_then(|range| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    });
    let seen = Seen { method, path, token: header("authorization"), range };
    let log = if is_hub { &state.seen_by_hub } else { &state.seen_by_storage };
    log.lock().unwrap().push(seen.clone());
    if let Some(canned) = canned(state, &seen.path) {
        stream.write_all(canned.as_bytes()).await?;
        return stream.shutdown().await;
    }
    if is_hub {
        stream.write_all(hub(state, &seen).as_bytes()).await?;
        return stream.shutdown().await;
    }
    storage(stream, state, &seen).await
}

fn canned(state: &State, path: &str) -> Option<String> {
    let mut all = state.canned.lock().unwrap();
    all.iter_mut().filter(|(start, _)| path.starts_with(start.as_str())).find_map(|(_, answers)| answers.pop_front())
}

fn hub(state: &State, seen: &Seen) -> String {
    let path = seen.path.split('?').next().unwrap();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let repos = state.repos.lock().unwrap();
    if let ["api", "models", org, repo, "tree", "main"] = parts.as_slice() {
        let Some(files) = repos.get(&format!("{org}/{repo}")) else { return answer("404 Not Found", "", "{}") };
        let listed: Vec<_> = files.iter().map(|(name, bytes)| listed(name, bytes)).collect();
        return answer("200 OK", "Content-Type: application/json\r\n", &serde_json::to_string(&listed).unwrap());
    }
    if let [org, repo, "resolve", "main", file @ ..] = parts.as_slice() {
        let (repo, file) = (format!("{org}/{repo}"), file.join("/"));
        let found = repos.get(&repo).and_then(|files| files.iter().find(|(name, _)| *name == file));
        let Some((_, bytes)) = found else { return answer("404 Not Found", "X-Error-Code: EntryNotFound\r\n", "") };
        let storage = state.storage.lock().unwrap();
        let signature = state.mood.lock().unwrap().signature.clone().unwrap_or_default();
        let headers = format!(
            "Location: {storage}/{repo}/{file}?signature={signature}\r\nX-Linked-Size: {}\r\nX-Linked-Etag: \"{}\"\r\n",
            bytes.len(),
            digest(bytes)
        );
        return answer("302 Found", &headers, "");
    }
    answer("404 Not Found", "", "")
}

fn listed(name: &str, bytes: &[u8]) -> serde_json::Value {
    let lfs = serde_json::json!({ "oid": digest(bytes), "size": bytes.len(), "pointerSize": 134 });
    serde_json::json!({ "type": "file", "path": name, "size": bytes.len(), "oid": "0".repeat(40), "lfs": lfs })
}

async fn storage(mut stream: TcpStream, state: &State, seen: &Seen) -> std::io::Result<()> {
    let mood = state.mood.lock().unwrap().clone();
    let path = seen.path.trim_start_matches('/').split('?').next().unwrap();
    let file = state.repos.lock().unwrap().iter().find_map(|(repo, files)| {
        let name = path.strip_prefix(repo.as_str())?.strip_prefix('/')?;
        Some(Arc::clone(&files.iter().find(|(file, _)| file == name)?.1))
    });
    let expired = mood.signature.as_ref().is_some_and(|good| !seen.path.ends_with(&format!("signature={good}")));
    let refusal = match (&file, expired) {
        (_, true) => Some(answer("403 Forbidden", "", "")),
        (None, _) => Some(answer("404 Not Found", "", "")),
        // As those stores do whose signatures are for GET.
        _ if seen.method == "HEAD" => Some(answer("403 Forbidden", "", "")),
        _ => None,
    };
    if let Some(refusal) = refusal {
        stream.write_all(refusal.as_bytes()).await?;
        return stream.shutdown().await;
    }
    let file = file.unwrap();
    let total = file.len() as i64 + mood.lie;
    let (head, mut body) = match seen.range.filter(|_| !mood.no_ranges) {
        None => (format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n"), file.to_vec()),
        Some((from, to)) => {
            let to = to.min(file.len() - 1);
            let mut body = file[from..=to].to_vec();
            body.extend(vec![0; mood.surplus]);
            let length = body.len();
            let range = format!("Content-Range: bytes {from}-{to}/{total}\r\nContent-Length: {length}\r\n");
            (format!("HTTP/1.1 206 Partial Content\r\n{range}"), body)
        }
    };
    if mood.corrupt {
        if let Some(last) = body.last_mut() {
            *last ^= 1;
        }
    }
    stream.write_all(format!("{head}ETag: \"v1\"\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    send(&mut stream, state, &mood, &body).await?;
    stream.shutdown().await
}

async fn send(stream: &mut TcpStream, state: &State, mood: &Mood, body: &[u8]) -> std::io::Result<()> {
    let end = mood.drop_after.or(mood.stall_after).unwrap_or(body.len()).min(body.len());
    let (piece, pause) = mood.trickle.unwrap_or((256 << 10, Duration::ZERO));
    for piece in body[..end].chunks(piece) {
        stream.write_all(piece).await?;
        *state.sent.lock().unwrap() += piece.len();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    if mood.stall_after.is_some() && end < body.len() {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Ok(())
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
