//! What a word into the silence is worth: answers whose asker gets another address in their middle, with and without it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test may fail by panicking.

mod common;
#[path = "../../../tests/e2e/src/path.rs"]
mod path;

use ainonymous_transport::{Address, Endpoint, Frame, Link, Pool};
use common::*;
use path::{Path, Weather};
use std::time::{Duration, Instant};

/// One way.
const DELAY: Duration = Duration::from_millis(25);
/// Chunks of an answer, and where the address changes.
const CHUNKS: u32 = 60;
const CHANGES_AT: u32 = 20;

/// The longest silence after the change, in milliseconds; none if the answer broke off.
async fn silence(link: &Link, path: &Path, words: bool, jitter: Duration) -> u128 {
    let mut stream = if words { link.open().await.unwrap() } else { link.open_silent().await.unwrap() };
    stream.sender.send(&Frame::Ask(Box::new(ask("hello")))).await.unwrap();
    let (mut longest, mut heard, mut next) = (Duration::ZERO, Instant::now(), 0);
    let mut changed = false;
    loop {
        let frame = stream.receiver.recv().await.unwrap();
        if changed {
            longest = longest.max(heard.elapsed());
        }
        let Some(frame) = frame else { break };
        heard = Instant::now();
        let Frame::Tokens { chunk, .. } = frame else { panic!("{frame:?}") };
        assert_eq!(chunk, next, "not a token lost or doubled");
        next += 1;
        if chunk == CHANGES_AT {
            tokio::time::sleep(jitter).await;
            path.lose_address();
            changed = true;
        }
    }
    assert_eq!(next, CHUNKS);
    longest.as_millis()
}

fn rounds() -> u32 {
    std::env::var("AINONYMOUS_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hears_nothing_says_something_and_is_heard_sooner() {
    for pause in [5, 20, 60] {
        let provider: Endpoint = endpoint(1);
        let _keys = serve(&provider, CHUNKS, Duration::from_millis(pause));
        let weather = Weather { delay: DELAY, ..Weather::default() };
        let path = Path::to(provider.local_addr().unwrap(), weather).await;
        let pool = Pool::new(endpoint(2));
        let link = pool.link(&provider.key(), &[Address::Direct(path.address())], || secret(99)).await.unwrap();
        let mut seen = [Vec::new(), Vec::new()];
        for round in 0..rounds() {
            for words in [false, true] {
                let jitter = Duration::from_micros(u64::from(round) * 1_700 % (pause * 1_000));
                seen[usize::from(words)].push(silence(&link, &path, words, jitter).await);
            }
        }
        for (words, all) in [false, true].iter().zip(&mut seen) {
            all.sort_unstable();
            let at = |percent: usize| all[(all.len() - 1) * percent / 100];
            println!(
                "{pause} ms between chunks, words {words}: median {} p90 {} p98 {} max {} of {}",
                at(50),
                at(90),
                at(98),
                at(100),
                all.len()
            );
        }
    }
}
