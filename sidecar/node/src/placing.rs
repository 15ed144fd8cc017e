//! Keeping this node's links where it is looked for: at the depth that it counts, drawn anew before they are too old.
//!
//! A link is one small action on the DHT that nothing can take back, so links are touched as seldom as finding allows.

use crate::buckets::{self, not_before};
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_protocol::buckets::Census;
use ainonymous_types::{PlacesInput, Topic, TopicDepth};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The network is counted this often.
const COUNT_EVERY: Duration = Duration::from_secs(3_600);
/// Searches of one count.
const SEARCHES: usize = 2;
/// A link is drawn anew when it has lived for so many parts of a hundred of its age: two renewals may fail.
const RENEW_AFTER_PERCENT: u32 = 40;

/// Where this node is linked, and when it last looked.
#[derive(Debug)]
pub(crate) struct Placing {
    link_age: Duration,
    depths: HashMap<Topic, u8>,
    looked: Option<Instant>,
}

impl Placing {
    /// Links that are older than `link_age` are passed over by readers.
    pub(crate) fn new(link_age: Duration) -> Self {
        Self { link_age, depths: HashMap::new(), looked: None }
    }

    /// How often to call [`Self::place`].
    pub(crate) fn every(&self) -> Duration {
        COUNT_EVERY.min(self.link_age * RENEW_AFTER_PERCENT / 100 / 4)
    }

    /// Links this node under these topics, moves links where the network has grown, draws old ones anew. If it is not `at_once`,
    /// only when it is time.
    pub(crate) async fn place(
        &mut self,
        conductor: &Conductor,
        topics: &[Topic],
        at_once: bool,
    ) -> Result<(), ConductorError> {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= self.every());
        // With nothing to offer the links went with the capability.
        if topics.is_empty() || !(at_once || due) {
            return Ok(());
        }
        if self.looked.is_none() {
            let found = conductor.get_my_places(topics.to_vec()).await?;
            self.depths = found.topics.into_iter().map(|TopicDepth { topic, depth }| (topic, depth)).collect();
        }
        let mut wanted = Vec::new();
        for topic in topics {
            let depth = self.depth(conductor, topic).await?;
            wanted.push(TopicDepth { topic: topic.clone(), depth });
        }
        let renew_before = not_before(self.link_age * RENEW_AFTER_PERCENT / 100);
        let input = PlacesInput { topics: wanted, renew_before, not_before: not_before(self.link_age) };
        let done = conductor.put_places(input).await?;
        if done.drawn + done.removed > 0 {
            tracing::debug!(drawn = done.drawn, removed = done.removed, "links by which this node is found");
        }
        self.depths = done.topics.into_iter().map(|TopicDepth { topic, depth }| (topic, depth)).collect();
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// How deep to link: as counted; between the levels it stays where it is.
    async fn depth(&self, conductor: &Conductor, topic: &Topic) -> Result<u8, ConductorError> {
        if let Topic::Router(_) = topic {
            return Ok(0);
        }
        let mut census = Census::default();
        for _ in 0..SEARCHES {
            buckets::search(conductor, topic, self.link_age, &mut census).await?;
        }
        Ok(match self.depths.get(topic) {
            Some(now) => census.move_to(*now).unwrap_or(*now),
            None => census.depth().unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::limits::{LINK_AGE_US_MAX, LINK_RENEW_US};

    #[test]
    fn links_are_renewed_at_the_stated_pace_and_looked_after_often_enough_for_it() {
        let link_age = Duration::from_micros(LINK_AGE_US_MAX as u64);
        assert_eq!((link_age * RENEW_AFTER_PERCENT / 100).as_micros(), LINK_RENEW_US as u128);
        for seconds in [5, 20, 3_600, 216_000] {
            let link_age = Duration::from_secs(seconds);
            let placing = Placing::new(link_age);
            // Drawn anew at the latest one look after it was due; then half of its age is left for two more tries.
            assert!(link_age * RENEW_AFTER_PERCENT / 100 + placing.every() <= link_age / 2, "{seconds}");
        }
        assert_eq!(Placing::new(link_age).every(), COUNT_EVERY);
    }
}
