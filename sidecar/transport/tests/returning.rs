//! A network that was away and comes back: nobody waits for an attempt that was begun in the dark.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may fail by panicking.

mod common;
#[path = "../../../tests/e2e/src/path.rs"]
#[allow(unreachable_pub, dead_code)] // It is the laboratory's.
mod path;

use ainonymous_transport::{Address, Pool};
use ainonymous_types::EntryHash;
use common::*;
use path::{Path, Weather};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As long as a question waits for a link.
const PATIENCE: Duration = Duration::from_millis(800);
const LOST: Weather = Weather { delay: Duration::from_millis(10), lost_per_mille: 1_000 };
const GOOD: Weather = Weather { lost_per_mille: 0, ..LOST };

#[tokio::test(flavor = "multi_thread")]
async fn a_question_does_not_wait_for_a_probe_that_was_begun_while_everything_was_lost() {
    let provider = endpoint(1);
    let _keys = serve(&provider, 1, Duration::ZERO);
    let path = Path::to(provider.local_addr().unwrap(), GOOD).await;
    let pool = Arc::new(Pool::new(endpoint(2)));
    let (key, at) = (provider.key(), [Address::Direct(path.address())]);
    path.becomes(LOST);
    let (probing, to) = (pool.clone(), at);
    let probe = tokio::spawn(async move {
        probing.probe(&key, &to, EntryHash::from_raw_36(vec![9; 36]), || secret(99)).await.map(drop)
    });
    // The probe's packets are repeated after 0.3, 0.9, 2.1 and 4.5 seconds.
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    path.becomes(GOOD);
    let begun = Instant::now();
    let link = tokio::time::timeout(PATIENCE, pool.link(&key, &at, || secret(99))).await;
    let link = link.expect("not behind the probe").unwrap();
    assert!(!probe.is_finished(), "after {:?}", begun.elapsed());
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0]);
    assert_eq!(pool.link(&key, &at, || unreachable!()).await.unwrap().peer(), key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_packet_that_is_lost_is_repeated_within_the_patience_of_a_question() {
    let provider = endpoint(1);
    let _keys = serve(&provider, 1, Duration::ZERO);
    let path = Path::to(provider.local_addr().unwrap(), LOST).await;
    let pool = Arc::new(Pool::new(endpoint(2)));
    let (key, at) = (provider.key(), [Address::Direct(path.address())]);
    let asking = tokio::spawn(async move { tokio::time::timeout(PATIENCE, pool.link(&key, &at, || secret(99))).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    path.becomes(GOOD);
    asking.await.unwrap().expect("in time").unwrap();
}
