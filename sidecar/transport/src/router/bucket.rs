//! A token bucket: so much a second, and so much at once. Pure: time is an argument.

use std::time::{Duration, Instant};

const NANOS: u128 = 1_000_000_000;

/// What may still be taken.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    rate_per_s: u64,
    burst: u64,
    level: u64,
    /// Up to here the level has been filled.
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate_per_s: u64, burst: u64, now: Instant) -> Self {
        Self { rate_per_s: rate_per_s.max(1), burst, level: burst, filled: now }
    }

    /// Takes so much if it is there; else nothing.
    pub(crate) fn take(&mut self, amount: u64, now: Instant) -> bool {
        self.fill(now);
        match self.level.checked_sub(amount) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_nanos();
        let gained = elapsed.saturating_mul(u128::from(self.rate_per_s)) / NANOS;
        let room = self.burst - self.level;
        if gained >= u128::from(room) {
            self.level = self.burst;
            self.filled = self.filled.max(now);
        } else if let Ok(gained) = u64::try_from(gained) {
            self.level += gained;
            // Only the time that made whole units: the rest counts next time.
            let used = u128::from(gained) * NANOS / u128::from(self.rate_per_s);
            self.filled += Duration::from_nanos(u64::try_from(used).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_the_rate() {
        let begun = Instant::now();
        let mut bucket = Bucket::new(10, 5, begun);
        assert!(!bucket.take(6, begun), "more than it ever holds");
        assert!(bucket.take(5, begun));
        assert!(!bucket.take(1, begun));
        assert!(!bucket.take(1, begun + Duration::from_millis(99)));
        assert!(bucket.take(1, begun + Duration::from_millis(100)));
        assert!(!bucket.take(1, begun + Duration::from_millis(199)));
        assert!(bucket.take(5, begun + Duration::from_secs(60)));
        assert!(!bucket.take(1, begun + Duration::from_secs(60)), "it never holds more than the burst");
    }

    #[test]
    fn a_clock_that_stands_or_jumps_back_gives_nothing() {
        let later = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::new(1, 1, later);
        assert!(bucket.take(1, later));
        assert!(!bucket.take(1, later - Duration::from_secs(5)));
        assert!(!bucket.take(1, later));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(
            rate in 1u64..5_000,
            burst in 1u64..500,
            takes in proptest::collection::vec((1u64..50, 0u64..3_000), 1..200),
        ) {
            let begun = Instant::now();
            let (mut now, mut taken) = (begun, 0);
            let mut bucket = Bucket::new(rate, burst, begun);
            for (amount, micros) in takes {
                now += Duration::from_micros(micros);
                taken += if bucket.take(amount, now) { amount } else { 0 };
                let allowed = u128::from(burst) + (now - begun).as_nanos() * u128::from(rate) / NANOS;
                prop_assert!(u128::from(taken) <= allowed, "{taken} of {allowed}");
            }
        }
    }
}
