//! Bytes from a server to a file: in parallel chunks, again after failures, checked before the file gets its name.
//!
//! A wrong file never stands under the final name. It must not know names of models or where the store is.

mod part;
mod stream;

use crate::hub::{Hub, Target};
use crate::PullError;
use part::Part;
pub(crate) use part::{beside, write_json};
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stream::Stream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);
/// How many reports between two notes of what is there.
const REPORTS_PER_NOTE: u32 = 25;
/// Room that is left free on the disk. Bytes.
const SPARE_BYTES: u64 = 64 << 20;
/// Bytes that are hashed at a time.
const HASH_BYTES: usize = 1 << 20;

/// How a file is fetched.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Connections at a time.
    pub parallel: usize,
    /// Bytes that one request asks for.
    pub chunk_bytes: u64,
}

impl Default for Manner {
    fn default() -> Self {
        Self { parallel: 4, chunk_bytes: 16 << 20 }
    }
}

/// What is being done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Another process pulls the same file.
    Waiting,
    /// Bytes come.
    Downloading,
    /// The digest is computed.
    Checking,
}

/// How far a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Name of the file.
    pub file: String,
    /// What is being done.
    pub phase: Phase,
    /// Bytes that are there, or checked.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// Whoever wants to know. It is called a few times a second and must not block.
pub type Watcher = Arc<dyn Fn(Progress) + Send + Sync>;

/// Tells a watcher about one file.
#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) file: String,
    pub(crate) watcher: Watcher,
}

impl Report {
    pub(crate) fn say(&self, phase: Phase, bytes_done: u64, bytes_total: u64) {
        (self.watcher)(Progress { file: self.file.clone(), phase, bytes_done, bytes_total });
    }
}

/// Fetches a file to `dest` and returns its SHA-256. What is there of an earlier run is not fetched again. The caller
/// holds the file's lock.
pub(crate) async fn download(
    hub: &Hub,
    target: &Target,
    dest: &Path,
    manner: Manner,
    report: &Report,
    cancel: &CancellationToken,
) -> Result<String, PullError> {
    let part = Arc::new(Part::open(dest, target, manner.chunk_bytes)?);
    has_room(dest, target.bytes - part.done())?;
    let fetched = fetch(hub, target, &part, manner, report, cancel).await;
    if let Err(error) = fetched {
        // What came is worth keeping, whatever happened.
        let _ = part.save();
        return Err(error);
    }
    let whole = Arc::clone(&part);
    blocking(move || whole.sync()).await?;
    let digest = check(&part, target, report, cancel).await?;
    part.publish(dest)?;
    Ok(digest)
}

/// Until nothing is missing.
async fn fetch(
    hub: &Hub,
    target: &Target,
    part: &Arc<Part>,
    manner: Manner,
    report: &Report,
    cancel: &CancellationToken,
) -> Result<(), PullError> {
    let missing = part.missing();
    let Some((&first, rest)) = missing.split_first() else { return Ok(()) };
    // Dropping the tasks at any return ends them; the token lets them write what they have.
    let stop = cancel.child_token();
    let queue = Arc::new(Mutex::new(VecDeque::from(rest.to_vec())));
    let stream = Stream::new(hub.clone(), target.clone(), Arc::clone(part), stop.clone());
    let mut tasks = JoinSet::new();
    // The first answer says whether the server knows ranges: only then others ask beside it.
    let ranges = CancellationToken::new();
    let workers = manner.parallel.clamp(1, 64).min(missing.len());
    for number in 0..workers {
        let (stream, queue, ranges) = (stream.clone(), Arc::clone(&queue), ranges.clone());
        tasks.spawn(async move {
            let mut next = if number == 0 { Some(first) } else { None };
            if number > 0 {
                ranges.cancelled().await;
            }
            loop {
                let Some(chunk) = next.take().or_else(|| pop(&queue)) else { return Ok(()) };
                if stream.chunk(chunk, number == 0, &ranges).await? == stream::Got::Everything {
                    pop_all(&queue);
                    ranges.cancel();
                }
            }
        });
    }
    let mut ticks = tokio::time::interval(REPORT_INTERVAL);
    let (mut count, mut result) = (0u32, Ok(()));
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => break,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => {
                    // The first failure is the reason; the others are told to write and stop.
                    if result.is_ok() {
                        result = Err(error);
                    }
                    stop.cancel();
                    ranges.cancel();
                }
                Some(Err(broken)) => {
                    result = result.and(Err(PullError::Storage { path: part.path().into(), reason: broken.to_string() }));
                    stop.cancel();
                    ranges.cancel();
                }
            },
            _ = ticks.tick() => {
                report.say(Phase::Downloading, part.done(), target.bytes);
                count += 1;
                if count.is_multiple_of(REPORTS_PER_NOTE) {
                    let part = Arc::clone(part);
                    blocking(move || part.save()).await?;
                }
            }
        }
    }
    report.say(Phase::Downloading, part.done(), target.bytes);
    if cancel.is_cancelled() {
        return Err(PullError::Cancelled);
    }
    result
}

/// Compares what came with what was promised; what is wrong is deleted.
async fn check(
    part: &Arc<Part>,
    target: &Target,
    report: &Report,
    cancel: &CancellationToken,
) -> Result<String, PullError> {
    let (path, watch, cancel, total) = (part.path().to_owned(), report.clone(), cancel.clone(), target.bytes);
    let (digest, is_gguf) = blocking(move || {
        sha256(&path, &mut |done| {
            watch.say(Phase::Checking, done, total);
            !cancel.is_cancelled()
        })
    })
    .await?;
    let file = report.file.clone();
    if let Some(expected) = target.sha256.as_ref().filter(|expected| **expected != digest) {
        part.discard();
        return Err(PullError::DigestWrong { file, expected: expected.clone(), got: digest });
    }
    if !is_gguf {
        part.discard();
        return Err(PullError::NotAModel { host: crate::hub::host(&target.url), file });
    }
    Ok(digest)
}

/// SHA-256 of a file as lower-case hex, and whether the file begins as a GGUF does. `progress` returns false to stop.
pub(crate) fn sha256(path: &Path, progress: &mut dyn FnMut(u64) -> bool) -> Result<(String, bool), PullError> {
    let storage = |e: std::io::Error| PullError::storage(path, &e);
    let mut file = std::fs::File::open(path).map_err(storage)?;
    let (mut hash, mut done, mut is_gguf) = (Sha256::new(), 0u64, false);
    let mut buffer = vec![0; HASH_BYTES];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(storage(e)),
        };
        is_gguf |= done == 0 && buffer[..read].starts_with(b"GGUF");
        hash.update(&buffer[..read]);
        let before = done;
        done += read as u64;
        // Every 32 MiB is often enough.
        if before >> 25 != done >> 25 && !progress(done) {
            return Err(PullError::Cancelled);
        }
    }
    match progress(done) {
        true => Ok((hex::encode(hash.finalize()), is_gguf)),
        false => Err(PullError::Cancelled),
    }
}

/// Work that waits for the disk, on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PullError> + Send + 'static,
) -> Result<T, PullError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(broken) => Err(PullError::Storage { path: "".into(), reason: broken.to_string() }),
    }
}

fn has_room(dest: &Path, missing: u64) -> Result<(), PullError> {
    let folder = dest.parent().unwrap_or(Path::new("."));
    // Where the system does not say, the disk will.
    let Ok(free) = fs4::available_space(folder) else { return Ok(()) };
    let needed = missing.saturating_add(SPARE_BYTES);
    match needed <= free {
        true => Ok(()),
        false => Err(PullError::DiskTooSmall { folder: folder.to_owned(), needed, free }),
    }
}

fn pop(queue: &Mutex<VecDeque<usize>>) -> Option<usize> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn pop_all(queue: &Mutex<VecDeque<usize>>) {
    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_too_small_is_noticed_before() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("m.gguf");
        assert!(has_room(&dest, 1).is_ok());
        assert_eq!(has_room(&dest, 1 << 60).unwrap_err().code(), "models_disk_full");
    }

    #[test]
    fn a_digest_is_that_of_the_file_and_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.gguf");
        std::fs::write(&file, "GGUFabc").unwrap();
        let expected = hex::encode(Sha256::digest(b"GGUFabc"));
        assert_eq!(sha256(&file, &mut |_| true), Ok((expected, true)));
        assert_eq!(sha256(&file, &mut |_| false), Err(PullError::Cancelled));
    }
}
