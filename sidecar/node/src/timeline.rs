//! Counts over time, for people who want to see when their machine was busy. Kept in memory: it begins with each start.

use crate::node::{lock, Node};
use crate::Counters;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often counts are noted.
const EVERY: Duration = Duration::from_secs(20);
/// Notes kept: six hours.
const SAMPLES_MAX: usize = 1_080;

/// What a counter said at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Seconds since the epoch.
    pub at_s: u64,
    /// Questions asked by this node.
    pub asked: u64,
    /// Questions of peers answered.
    pub answered: u64,
    /// Questions of peers refused.
    pub refused: u64,
}

/// Counts over time, oldest first; the last one is of now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Seconds between two of them; the last may be nearer.
    pub every_s: u64,
    /// The counts, which only grow.
    pub samples: Vec<Sample>,
}

/// What was noted.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<VecDeque<Sample>>);

impl Notes {
    fn note(&self, sample: Sample) {
        let mut all = lock(&self.0);
        all.push_back(sample);
        while all.len() > SAMPLES_MAX {
            all.pop_front();
        }
    }

    fn with(&self, now: Sample) -> Timeline {
        let samples = lock(&self.0).iter().copied().chain([now]).collect();
        Timeline { every_s: EVERY.as_secs(), samples }
    }
}

impl Node {
    /// Counts over time since the start.
    pub fn timeline(&self) -> Timeline {
        self.inner.notes.with(sample(self.counters()))
    }
}

/// Notes counts until the node stops.
pub(crate) async fn run(node: Node) {
    loop {
        node.inner.notes.note(sample(node.counters()));
        tokio::time::sleep(EVERY).await;
    }
}

fn sample(Counters { asked, answered, refused, .. }: Counters) -> Sample {
    let at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Sample { at_s, asked, answered, refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_kept_and_now_is_last() {
        let notes = Notes::default();
        let at = |at_s| Sample { at_s, asked: at_s, answered: 0, refused: 0 };
        for at_s in 0..SAMPLES_MAX as u64 + 5 {
            notes.note(at(at_s));
        }
        let timeline = notes.with(at(9_999));
        assert_eq!(timeline.samples.len(), SAMPLES_MAX + 1);
        assert_eq!((timeline.samples[0].at_s, timeline.samples[SAMPLES_MAX].at_s), (5, 9_999));
    }
}
