//! Whoever waits and hears nothing says something.
//!
//! An asker that only reads says nothing of its own accord for seconds. If its address changes meanwhile, because its NAT forgot it or
//! it is in another network, what the provider sends goes to the old address, and nobody would notice until a timer runs out. A
//! word from the new address is enough: the provider answers there from then on (RFC 9000, section 9).

use crate::config::LINK_WINDOW;
use quinn::{Connection, VarInt};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{timeout_at, Instant};

/// Silence is unusual after so many times the usual gap.
const GAPS: u32 = 2;
/// It is never broken sooner.
const PATIENCE_MIN: Duration = Duration::from_millis(40);
/// Nor first broken later: providers say at least that they are there oftener than this.
const PATIENCE_MAX: Duration = Duration::from_millis(250);
/// The longest time between two words into the same silence.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// What one stream's silence is measured by, and where this side speaks up.
#[derive(Debug)]
pub(crate) struct Silence {
    connection: Connection,
    patience: Patience,
}

impl Silence {
    /// Of a stream that has just been opened.
    pub(crate) fn on(connection: Connection) -> Self {
        Self { connection, patience: Patience::from(Instant::now()) }
    }

    /// Waits for what is heard next, and speaks up meanwhile. Cancel-safe if that is.
    pub(crate) async fn until<T>(&mut self, heard: impl Future<Output = T>) -> T {
        let mut heard = pin!(heard);
        loop {
            match timeout_at(self.patience.ends, heard.as_mut()).await {
                Ok(heard) => {
                    self.patience.heard(Instant::now());
                    return heard;
                }
                Err(_) => {
                    speak(&self.connection);
                    self.patience.spoke(Instant::now());
                }
            }
        }
    }
}

/// QUIC has a frame for this (PING), which quinn does not hand out. Allowing one byte more and then the same as ever is said in a
/// frame that must be acknowledged as well (MAX_DATA).
fn speak(connection: &Connection) {
    for window in [LINK_WINDOW + 1, LINK_WINDOW] {
        connection.set_receive_window(VarInt::from_u32(window));
    }
}

/// When to speak. Pure: time is an argument.
#[derive(Debug)]
struct Patience {
    /// Smoothed time between what was heard.
    gap: Duration,
    last: Instant,
    pause: Duration,
    ends: Instant,
}

impl Patience {
    fn from(now: Instant) -> Self {
        Self { gap: PATIENCE_MAX / GAPS, last: now, pause: PATIENCE_MAX, ends: now + PATIENCE_MAX }
    }

    fn heard(&mut self, now: Instant) {
        self.gap = (self.gap * 7 + (now - self.last)) / 8;
        self.last = now;
        self.pause = (self.gap * GAPS).clamp(PATIENCE_MIN, PATIENCE_MAX);
        self.ends = now + self.pause;
    }

    fn spoke(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(AGAIN_MAX);
        self.ends = now + self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn patience_follows_the_usual_gap_within_its_bounds() {
        let begun = Instant::now();
        for (gap, patience) in [(1, 40), (20, 40), (30, 60), (60, 120), (200, 250)] {
            let mut silence = Patience::from(begun);
            let mut now = begun;
            for _ in 0..100 {
                now += millis(gap);
                silence.heard(now);
            }
            let found = silence.ends - now;
            assert!(found.abs_diff(millis(patience)) < millis(2), "{gap} ms apart: {found:?}");
        }
    }

    #[test]
    fn words_into_one_silence_become_rare() {
        let mut now = Instant::now();
        let mut silence = Patience::from(now);
        let pauses = (0..4).map(|_| {
            let pause = silence.ends - now;
            now = silence.ends;
            silence.spoke(now);
            pause
        });
        assert_eq!(pauses.collect::<Vec<_>>(), [250, 500, 1_000, 1_000].map(millis));
        silence.heard(now);
        assert!(silence.ends - now <= PATIENCE_MAX, "whoever is heard again is waited for as before");
    }
}
