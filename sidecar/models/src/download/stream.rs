//! One connection's work: asks for a chunk, writes what comes, asks again for the rest when it breaks.

use super::part::Part;
use crate::hub::{content_range, host, last_part, transient, wait_of, Hub, Target};
use crate::PullError;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};
use reqwest::{Response, StatusCode, Url};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 1 << 20;
/// An attempt that brought so many bytes was no failure in a row.
const PROGRESS_BYTES: u64 = 64 << 10;

/// What a request brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// The chunk.
    Chunk,
    /// The whole file: the server knows no ranges.
    Everything,
}

/// What the workers of one file share.
#[derive(Clone)]
pub(super) struct Stream {
    hub: Hub,
    target: Arc<Target>,
    part: Arc<Part>,
    stop: CancellationToken,
    /// Where the bytes are now; signed addresses expire and are asked for again.
    url: Arc<Mutex<Url>>,
}

impl Stream {
    pub(super) fn new(hub: Hub, target: Target, part: Arc<Part>, stop: CancellationToken) -> Self {
        let url = Arc::new(Mutex::new(target.url.clone()));
        Self { hub, target: Arc::new(target), part, stop, url }
    }

    /// Fetches a chunk. The first worker may find that the server sends everything; it says when ranges are known.
    pub(super) async fn chunk(&self, chunk: usize, alone: bool, ranges: &CancellationToken) -> Result<Got, PullError> {
        let mut failures = 0;
        loop {
            let before = self.part.done_of(chunk);
            let error = match self.attempt(chunk, alone && !ranges.is_cancelled(), ranges).await {
                Ok(got) => return Ok(got),
                Err(error) if self.stop.is_cancelled() || !transient(&error) => return Err(error),
                Err(error) => error,
            };
            failures = if self.part.done_of(chunk) >= before + PROGRESS_BYTES { 1 } else { failures + 1 };
            if failures >= self.hub.patience.attempts.max(1) {
                return Err(last_word(error, failures));
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(PullError::Cancelled),
                () = tokio::time::sleep(wait_of(&error, failures, &self.hub.patience)) => {}
            }
        }
    }

    async fn attempt(&self, chunk: usize, alone: bool, ranges: &CancellationToken) -> Result<Got, PullError> {
        let (from, to) = self.part.gap(chunk);
        if from >= to {
            return Ok(Got::Chunk);
        }
        let (response, url) = tokio::select! {
            () = self.stop.cancelled() => return Err(PullError::Cancelled),
            opened = self.open(from, to - 1) => opened?,
        };
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                self.fits(&response, &url, from, to)?;
                ranges.cancel();
                self.pour(response, &url, Some(chunk), to - from).await?;
                Ok(Got::Chunk)
            }
            StatusCode::OK if alone => {
                self.has_length(&response, &url)?;
                self.part.restart();
                self.pour(response, &url, None, self.target.bytes).await?;
                Ok(Got::Everything)
            }
            StatusCode::OK => Err(self.bad(&url, "the file changed, or the server forgot what ranges are")),
            _ => Err(self.bad(&url, "it answers with neither a range nor the whole file")),
        }
    }

    /// Asks for a range; once more with a new address if the old one has expired.
    async fn open(&self, from: u64, to: u64) -> Result<(Response, Url), PullError> {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let behind = url.origin() != self.target.origin.origin();
        match self.hub.read(&self.target, url, from, to).await {
            Err(PullError::Unauthorized { .. } | PullError::HubNotFound { .. }) if behind => {
                let fresh = self.hub.locate(&self.target.origin).await?;
                if fresh.bytes != self.target.bytes || (fresh.sha256.is_some() && fresh.sha256 != self.target.sha256) {
                    return Err(self.bad(&fresh.origin, "the file changed while it was fetched"));
                }
                *self.url.lock().unwrap_or_else(PoisonError::into_inner) = fresh.url.clone();
                self.hub.read(&self.target, fresh.url, from, to).await
            }
            answered => answered,
        }
    }

    /// Writes what comes: to a chunk, or from the beginning of the file.
    async fn pour(&self, mut response: Response, url: &Url, chunk: Option<usize>, bytes: u64) -> Result<(), PullError> {
        let (mut buffer, mut at, mut got) = (Vec::with_capacity(WRITE_BYTES), 0u64, 0u64);
        let ended = loop {
            let next = tokio::select! {
                () = self.stop.cancelled() => break Err(PullError::Cancelled),
                next = self.hub.next(&mut response, url) => next,
            };
            let next = match next {
                Ok(Some(next)) => next,
                Ok(None) if got < bytes => break Err(self.broken(url, "it ended early")),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let next = next.as_ref();
            got += next.len() as u64;
            if got > bytes {
                break Err(self.size_wrong(url, got));
            }
            buffer.extend_from_slice(next);
            if buffer.len() >= WRITE_BYTES {
                buffer = self.write(buffer, &mut at, chunk).await?;
            }
        };
        // What came before a failure counts as well, unless the server can only begin again.
        self.write(buffer, &mut at, chunk).await?;
        if ended.is_err() && chunk.is_none() {
            self.part.restart();
        }
        ended
    }

    /// Writes on a thread that may wait for the disk; gives the buffer back, empty.
    async fn write(&self, mut buffer: Vec<u8>, at: &mut u64, chunk: Option<usize>) -> Result<Vec<u8>, PullError> {
        let (part, from) = (Arc::clone(&self.part), *at);
        *at += buffer.len() as u64;
        super::blocking(move || {
            match chunk {
                Some(chunk) => part.fill(chunk, &buffer)?,
                None => {
                    part.write_at(from, &buffer)?;
                    part.reached(from + buffer.len() as u64);
                }
            }
            buffer.clear();
            Ok(buffer)
        })
        .await
    }

    /// A range must be the one that was asked for, of a file of the promised length.
    fn fits(&self, response: &Response, url: &Url, from: u64, to: u64) -> Result<(), PullError> {
        let range = response.headers().get(CONTENT_RANGE).and_then(content_range);
        let (first, last, total) = range.ok_or_else(|| self.bad(url, "it sends a range and does not say which"))?;
        if let Some(total) = total.filter(|total| *total != self.target.bytes) {
            return Err(self.size_wrong(url, total));
        }
        match first == from && last < to {
            true => Ok(()),
            false => Err(self.bad(url, "it sends another range than it was asked for")),
        }
    }

    fn has_length(&self, response: &Response, url: &Url) -> Result<(), PullError> {
        let said = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        match said {
            Some(got) if got != self.target.bytes => Err(self.size_wrong(url, got)),
            _ => Ok(()),
        }
    }

    fn bad(&self, url: &Url, problem: &str) -> PullError {
        PullError::BadAnswer { host: host(url), problem: problem.into() }
    }

    fn broken(&self, url: &Url, problem: &str) -> PullError {
        PullError::Broken { host: host(url), attempts: 1, problem: problem.into() }
    }

    fn size_wrong(&self, url: &Url, got: u64) -> PullError {
        let file = last_part(&self.target.origin);
        PullError::SizeWrong { file, host: host(url), expected: self.target.bytes, got }
    }
}

/// The error after the last attempt.
fn last_word(error: PullError, attempts: u32) -> PullError {
    match error {
        PullError::Broken { host, problem, .. } | PullError::Unreachable { host, problem } if attempts > 1 => {
            PullError::Broken { host, attempts, problem }
        }
        other => other,
    }
}
