//! What a word into the silence is worth: answers whose asker gets another address in their middle, with and without it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test may fail by panicking.

mod common;
#[path = "../../../tests/e2e/src/path.rs"]
#[allow(unreachable_pub, dead_code)] // It is the laboratory's.
mod path;

use ainonymous_transport::{Address, Endpoint, Frame, Link, Pool};
use common::*;
use path::{Path, Weather};
use std::time::{Duration, Instant};

/// One way.
const DELAY: Duration = Duration::from_millis(25);
/// What has arrived is acknowledged after 25 ms at the latest (RFC 9000, `max_ack_delay`), and that has left.
const ACKNOWLEDGED_MS: u64 = 30;
/// Chunks of an answer, and where the address changes.
const CHUNKS: u32 = 36;
const CHANGES_AT: u32 = 12;

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

/// A look without words takes two seconds, so a test has few; set this for a distribution.
fn rounds() -> u32 {
    std::env::var("AINONYMOUS_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hears_nothing_says_something_and_is_heard_sooner() {
    for pause in [10, 80] {
        let provider: Endpoint = endpoint(1);
        let _keys = serve(&provider, CHUNKS, Duration::from_millis(pause));
        let mut longest = [Vec::new(), Vec::new()];
        for round in 0..rounds() {
            for words in [false, true] {
                // A link each: what one round has done to the other's timers is not measured.
                let weather = Weather { delay: DELAY, ..Weather::default() };
                let path = Path::to(provider.local_addr().unwrap(), weather).await;
                let pool = Pool::new(endpoint(2));
                let at = [Address::Direct(path.address())];
                let link = pool.link(&provider.key(), &at, || secret(99)).await.unwrap();
                // Where chunks are far apart, when everything is acknowledged: nothing would be said from the new address.
                let after_ms = if pause > 2 * ACKNOWLEDGED_MS { ACKNOWLEDGED_MS } else { 0 };
                let jitter = Duration::from_micros(after_ms * 1_000 + u64::from(round) * 7_300 % (pause * 300));
                longest[usize::from(words)].push(silence(&link, &path, words, jitter).await);
            }
        }
        for (words, all) in [false, true].iter().zip(&mut longest) {
            all.sort_unstable();
            let [half, most, all_but_few, max] = [50, 90, 98, 100].map(|percent| all[(all.len() - 1) * percent / 100]);
            println!(
                "{pause} ms between chunks, words {words}: median {half} p90 {most} p98 {all_but_few} max {max} of {}",
                all.len()
            );
        }
        let [without, with] = longest.map(|all| all.last().copied().unwrap());
        assert!(
            pause < ACKNOWLEDGED_MS || without > 1_500,
            "without a word nobody notices until a timer runs out: {without} ms"
        );
        assert!(with < 1_000, "{with} ms");
    }
}
