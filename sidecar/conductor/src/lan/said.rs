//! What this machine's conductors told the network's server of themselves, kept to be said again to the next one.
//!
//! These are requests of HTTP as kitsune's client makes them, `PUT /bootstrap/SPACE/AGENT` with a signed text. They are kept as
//! they were; what they say is not understood here, and whatever looks otherwise passes without being kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What such a request begins with.
const PUT: &[u8] = b"PUT /bootstrap/";
/// Longest head of a request that is kept.
const HEAD_BYTES_MAX: usize = 2_048;
/// Longest body.
const BODY_BYTES_MAX: usize = 8_192;
/// Requests kept; of each path the newest.
const KEPT_MAX: usize = 32;
/// A request must be whole within this.
const WHOLE_MAX: Duration = Duration::from_secs(2);

/// The newest request for each path.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Said {
    /// Reads the beginning of a connection: all of the first request if it is one to be kept. Returns what was read.
    pub(super) async fn listen(&self, from: &mut TcpStream) -> Vec<u8> {
        let mut read = Vec::new();
        let whole = async {
            loop {
                match judge(&read) {
                    Judged::Whole { path } => return Some(path),
                    Judged::Other => return None,
                    Judged::More => {}
                }
                let mut chunk = [0; 2_048];
                match from.read(&mut chunk).await {
                    Ok(len) if len > 0 => read.extend_from_slice(&chunk[..len]),
                    _ => return None,
                }
            }
        };
        let path = tokio::time::timeout(WHOLE_MAX, whole).await.ok().flatten();
        if let Some(path) = path {
            self.keep(path, &read);
        }
        read
    }

    /// All that is kept.
    pub(super) fn all(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Says a request and waits for any answer.
    pub(super) async fn say(mut to: TcpStream, request: &[u8]) {
        let mut answer = [0; 256];
        let said = async {
            to.write_all(request).await?;
            to.read(&mut answer).await
        };
        let _ = tokio::time::timeout(WHOLE_MAX, said).await;
    }

    fn keep(&self, path: Vec<u8>, request: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX || kept.contains_key(&path) {
            kept.insert(path, request.to_vec());
        }
    }
}

/// What the beginning of a connection is.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    /// A request to be kept, and nothing else.
    Whole { path: Vec<u8> },
    /// Perhaps one; more must be read to tell.
    More,
    /// Something else.
    Other,
}

fn judge(read: &[u8]) -> Judged {
    let common = read.len().min(PUT.len());
    if read[..common] != PUT[..common] {
        return Judged::Other;
    }
    let Some(head) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if read.len() <= HEAD_BYTES_MAX { Judged::More } else { Judged::Other };
    };
    let body = read.len() - head - 4;
    let lines: Vec<&[u8]> = read[..head].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    let path = lines.first().and_then(|line| line.split(|byte| *byte == b' ').nth(1)).map(<[u8]>::to_vec);
    let length = lines.iter().find_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    match (path, length) {
        (Some(path), Some(length)) if length <= BODY_BYTES_MAX && body <= length => {
            if body == length {
                Judged::Whole { path }
            } else {
                Judged::More
            }
        }
        _ => Judged::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_requests_of_that_kind_are_kept() {
        let request = |length: usize, body: &str| {
            format!("PUT /bootstrap/s/a HTTP/1.1\r\nhost: x\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
        };
        let whole = request(5, "hello");
        assert_eq!(judge(&whole), Judged::Whole { path: b"/bootstrap/s/a".to_vec() });
        for end in 0..whole.len() {
            assert_eq!(judge(&whole[..end]), Judged::More, "{end}");
        }
        assert_eq!(judge(&request(4, "hello")), Judged::Other, "something follows");
        assert_eq!(judge(&request(BODY_BYTES_MAX, "h")), Judged::More);
        assert_eq!(judge(&request(BODY_BYTES_MAX + 1, "h")), Judged::Other);
        assert_eq!(judge(b"GET /bootstrap/s HTTP/1.1\r\n\r\n"), Judged::Other);
        assert_eq!(judge(b"PUT /bootstrap/s HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"), Judged::Other);
        assert_eq!(judge(&[PUT, &[b'x'; HEAD_BYTES_MAX][..]].concat()), Judged::Other, "an endless head");
        assert_eq!(judge(&[0xff; 64]), Judged::Other);
    }

    #[test]
    fn what_is_kept_is_bounded_and_new() {
        let said = Said::default();
        for n in 0..2 * KEPT_MAX {
            said.keep(n.to_string().into_bytes(), b"old");
        }
        said.keep(b"0".to_vec(), b"new");
        assert_eq!(said.all().len(), KEPT_MAX);
        assert_eq!(said.all().iter().filter(|request| *request == b"new").count(), 1);
    }
}
