//! Doing the work that a public network may ask of a new agent (`ainonymous_verify::work`): once, on one thread, given up as soon as
//! nobody waits for it. What was found is kept in the data folder, so that a start that fails afterwards costs nothing.

use crate::ConductorError;
use ainonymous_types::{AgentPubKey, Bytes32, WorkProof};
use ainonymous_verify::work::Work;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// File with the number that was found, in the data folder.
pub(crate) const FILE: &str = "work";
/// Most bytes of it: the digits of the largest number, and a line break.
const FILE_BYTES_MAX: u64 = 21;
/// Numbers that are tried before it is looked whether anybody still waits: some milliseconds.
const ROUND: u64 = 1 << 15;
/// Rounds that say how quick this machine is.
const SAMPLES: usize = 16;

/// How long work of so many bits takes on this machine, on average. It is a matter of luck: one in twenty takes three times as long.
pub fn expected(bits: u8) -> Duration {
    // Any agent and network will do: nobody finds so many zero bits. The quickest round is the one that nothing disturbed.
    let work = Work::new(&Bytes32([0; 32]), &AgentPubKey::from_raw_36(vec![0; 36]), u8::MAX);
    let round = (0..SAMPLES).map(|_| {
        let started = Instant::now();
        work.find(0..ROUND);
        started.elapsed()
    });
    let tries = 2f64.powi(bits.into());
    let round_s = round.min().unwrap_or_default().as_secs_f64();
    Duration::try_from_secs_f64(round_s / ROUND as f64 * tries).unwrap_or(Duration::MAX)
}

/// The proof: as it was kept, else found now.
pub(crate) async fn done(work: Work, file: Option<&Path>) -> Result<WorkProof, ConductorError> {
    if let Some(proof) = file.and_then(kept).filter(|proof| work.is_done(proof)) {
        return Ok(proof);
    }
    let (bits, cancel) = (work.bits(), CancellationToken::new());
    // Whoever drops this future does not wait any more.
    let _given_up = cancel.clone().drop_guard();
    let started = Instant::now();
    let expected_s = expected(bits).as_secs();
    tracing::info!(bits, expected_s, "working for a new agent, once: the network asks for it");
    let search = tokio::task::spawn_blocking(move || search(&work, &cancel)).await;
    // None is found only if nobody waits, or if the process ends.
    let proof = search.ok().flatten().ok_or(ConductorError::Stopped)?;
    tracing::info!(bits, tries = proof.nonce + 1, took_s = started.elapsed().as_secs(), "the work is done");
    if let Some(path) = file {
        fs_err::write(path, format!("{}\n", proof.nonce)).map_err(|source| ConductorError::storage(path, source))?;
    }
    Ok(proof)
}

/// From the first number on: there is no other place where it would be more likely.
fn search(work: &Work, cancel: &CancellationToken) -> Option<WorkProof> {
    let mut round = 0..ROUND;
    while !cancel.is_cancelled() && !round.is_empty() {
        if let Some(proof) = work.find(round.clone()) {
            return Some(proof);
        }
        round = round.end..round.end.saturating_add(ROUND);
    }
    None
}

/// Whatever cannot be read was not kept: the work is done again.
fn kept(path: &Path) -> Option<WorkProof> {
    if fs_err::metadata(path).ok()?.len() > FILE_BYTES_MAX {
        return None;
    }
    Some(WorkProof { nonce: fs_err::read_to_string(path).ok()?.trim_end().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(agent: u8, bits: u8) -> Work {
        Work::new(&Bytes32([7; 32]), &AgentPubKey::from_raw_36(vec![agent; 36]), bits)
    }

    #[tokio::test]
    async fn work_is_done_once_for_each_agent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let proof = done(work(1, 12), Some(&file)).await.unwrap();
        assert!(work(1, 12).is_done(&proof));
        // What is kept is used: here another number that is as good.
        let next = work(1, 12).find(proof.nonce + 1..u64::MAX).unwrap();
        std::fs::write(&file, next.nonce.to_string()).unwrap();
        assert_eq!(done(work(1, 12), Some(&file)).await.unwrap(), next);
        // Of another agent, of less work or of nonsense it is done anew.
        let other = done(work(2, 12), Some(&file)).await.unwrap();
        assert!(work(2, 12).is_done(&other));
        for nonsense in ["", "-1", "18446744073709551616", &"9".repeat(40)] {
            std::fs::write(&file, nonsense).unwrap();
            assert_eq!(done(work(1, 12), Some(&file)).await.unwrap(), proof, "{nonsense}");
        }
        assert_eq!(kept(&file), Some(proof));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_is_given_up_when_nobody_waits() {
        let cancel = CancellationToken::new();
        let (at_work, given_up) = (work(1, 60), cancel.clone());
        let search = tokio::task::spawn_blocking(move || search(&at_work, &given_up));
        cancel.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), search).await.expect("it ends");
        assert_eq!(ended.unwrap(), None);
        // The same when the future is dropped; the runtime waits for its blocking threads at the end of this test.
        let waited = tokio::time::timeout(Duration::from_millis(50), done(work(1, 60), None)).await;
        assert!(waited.is_err());
    }

    #[test]
    fn each_bit_takes_twice_as_long() {
        let (little, much) = (expected(10), expected(30));
        assert!(little < Duration::from_secs(10), "{little:?}");
        // Measured twice on a machine that does other things as well.
        assert!(much > little * 1_000, "{little:?} {much:?}");
        assert_eq!(expected(u8::MAX), Duration::MAX);
    }
}
