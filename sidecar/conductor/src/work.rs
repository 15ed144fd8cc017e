//! Doing the work that a public network may ask of a new agent (`ainonymous_verify::work`): once, on one thread, given up as soon as
//! nobody waits for it.
//!
//! It may take a day, so nothing that fails afterwards may cost it. Work is good for one agent: where the conductor makes the key, the key is
//! written down before the work begins, and the next start goes on with it. That the number can be written down is tried before, too. If it
//! then cannot all the same, the node joins with it, and says that a start that fails would have to find it again.

use crate::ConductorError;
use ainonymous_types::{AgentPubKey, Bytes32, WorkProof};
use ainonymous_verify::work::Work;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// File with the number that was found, in the data folder.
const FILE: &str = "work";
/// File with the key of the agent that works, if the conductor made it. Beside the conductor's databases: where those are, the keystore
/// stays, so the key that is named here is in it.
const AGENT_FILE: &str = "conductor/new-agent";
/// Most bytes of either: the digits of the largest number or a key, and a line break.
const FILE_BYTES_MAX: u64 = 64;
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

/// Where a new agent and its work are kept until it has joined.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    proof: PathBuf,
    agent: PathBuf,
}

impl Kept {
    /// In this data folder of a conductor of our own.
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { proof: data_dir.join(FILE), agent: data_dir.join(AGENT_FILE) }
    }

    /// The agent that an earlier start has worked for, else the one that `make` makes, written down at once.
    pub(crate) async fn agent(
        &self,
        make: impl Future<Output = Result<AgentPubKey, ConductorError>>,
    ) -> Result<AgentPubKey, ConductorError> {
        if let Some(agent) = read(&self.agent).and_then(|text| AgentPubKey::try_from(text.as_str()).ok()) {
            tracing::debug!(%agent, "an earlier start has made this agent, and did not come to join with it");
            return Ok(agent);
        }
        let agent = make.await?;
        write(&self.agent, &agent.to_string())?;
        Ok(agent)
    }

    /// The agent has joined: from now on the conductor knows it.
    pub(crate) fn joined(&self) {
        if let Err(e) = fs_err::remove_file(&self.agent) {
            let never_was = e.kind() == std::io::ErrorKind::NotFound;
            if !never_was {
                tracing::warn!(error = %e, "the name of an agent that has joined could not be removed");
            }
        }
    }

    fn proof(&self) -> Option<WorkProof> {
        Some(WorkProof { nonce: read(&self.proof)?.parse().ok()? })
    }
}

/// The proof: as it was kept, else found now.
pub(crate) async fn done(work: Work, kept: Option<&Kept>) -> Result<WorkProof, ConductorError> {
    if let Some(proof) = kept.and_then(Kept::proof).filter(|proof| work.is_done(proof)) {
        return Ok(proof);
    }
    // Nothing is kept yet that is of use. Better to fail now than after a day.
    if let Some(kept) = kept {
        begin_to_write(&kept.proof, "").map_err(|source| ConductorError::storage(&kept.proof, source))?;
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
    if let Some(Err(e)) = kept.map(|kept| write(&kept.proof, &proof.nonce.to_string())) {
        let lost = "the work is done but cannot be kept: if this start fails now, the next one does it again";
        tracing::warn!(error = %e, hint = e.hint(), nonce = proof.nonce, "{lost}");
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

/// Whatever cannot be read was not kept: it is done again.
fn read(path: &Path) -> Option<String> {
    if fs_err::metadata(path).ok()?.len() > FILE_BYTES_MAX {
        return None;
    }
    Some(fs_err::read_to_string(path).ok()?.trim_end().to_owned())
}

/// Written beside it first: a crash leaves the old file or the new one.
fn write(path: &Path, line: &str) -> Result<(), ConductorError> {
    let written = begin_to_write(path, line).and_then(|beside| fs_err::rename(beside, path));
    written.map_err(|source| ConductorError::storage(path, source))
}

fn begin_to_write(path: &Path, line: &str) -> std::io::Result<PathBuf> {
    let beside = path.with_extension("new");
    let mut file = fs_err::File::create(&beside)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()?;
    Ok(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(agent: u8, bits: u8) -> Work {
        Work::new(&Bytes32([7; 32]), &AgentPubKey::from_raw_36(vec![agent; 36]), bits)
    }

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_32(vec![n; 32])
    }

    /// A data folder in which a conductor has been started.
    fn folder() -> (tempfile::TempDir, Kept) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("conductor")).unwrap();
        let kept = Kept::of(dir.path());
        (dir, kept)
    }

    #[tokio::test]
    async fn work_is_done_once_for_each_agent() {
        let (_dir, kept) = folder();
        let proof = done(work(1, 12), Some(&kept)).await.unwrap();
        assert!(work(1, 12).is_done(&proof));
        // What is kept is used: here another number that is as good.
        let next = work(1, 12).find(proof.nonce + 1..u64::MAX).unwrap();
        std::fs::write(&kept.proof, next.nonce.to_string()).unwrap();
        assert_eq!(done(work(1, 12), Some(&kept)).await.unwrap(), next);
        // Of another agent, of less work or of nonsense it is done anew.
        let other = done(work(2, 12), Some(&kept)).await.unwrap();
        assert!(work(2, 12).is_done(&other));
        for nonsense in ["", "-1", "18446744073709551616", &"9".repeat(80)] {
            std::fs::write(&kept.proof, nonsense).unwrap();
            assert_eq!(done(work(1, 12), Some(&kept)).await.unwrap(), proof, "{nonsense}");
        }
        assert_eq!(kept.proof(), Some(proof));
    }

    #[tokio::test]
    async fn a_start_that_fails_before_it_has_joined_costs_neither_agent_nor_work() {
        let (_dir, kept) = folder();
        let failed = kept.agent(async { Err(ConductorError::Stopped) }).await;
        assert!(matches!(failed, Err(ConductorError::Stopped)));
        let first = kept.agent(async { Ok(agent(1)) }).await.unwrap();
        let proof = done(work(1, 12), Some(&kept)).await.unwrap();
        // The app is not installed after all; the next start asks the conductor for no other key.
        let made_again = async { panic!("another agent was made, for whom nobody has worked") };
        assert_eq!(kept.agent(made_again).await.unwrap(), first);
        assert_eq!((kept.proof(), done(work(1, 12), Some(&kept)).await.unwrap()), (Some(proof), proof));
        // What was half written is not read, and names nobody for ever.
        std::fs::write(&kept.agent, "uhCAk").unwrap();
        assert_eq!(kept.agent(async { Ok(agent(2)) }).await.unwrap(), agent(2));
        // Whoever has joined is known to the conductor: a later one is somebody else.
        kept.joined();
        kept.joined();
        assert_eq!(kept.agent(async { Ok(agent(3)) }).await.unwrap(), agent(3));
    }

    #[tokio::test]
    async fn whoever_cannot_keep_the_work_learns_it_before_and_loses_nothing_after() {
        let (dir, kept) = folder();
        let nowhere = Kept::of(&dir.path().join("not there"));
        // Nobody finds so many zero bits: had it begun, it would not end.
        let refused = tokio::time::timeout(Duration::from_secs(60), done(work(1, 60), Some(&nowhere))).await;
        let Ok(Err(ConductorError::Storage { path, .. })) = &refused else { panic!("{refused:?}") };
        assert_eq!(*path, nowhere.proof);
        let refused = nowhere.agent(async { Ok(agent(1)) }).await;
        assert!(matches!(refused, Err(ConductorError::Storage { .. })), "{refused:?}");
        // The disk fills while it works: a folder in the way stands for that.
        let (at_work, in_the_way) = (kept.clone(), async {
            while !kept.proof.with_extension("new").exists() {
                tokio::task::yield_now().await;
            }
            std::fs::create_dir_all(kept.proof.join("full")).unwrap();
        });
        let (proof, ()) = tokio::join!(done(work(1, 16), Some(&at_work)), in_the_way);
        assert!(work(1, 16).is_done(&proof.unwrap()), "the node joins with it");
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
