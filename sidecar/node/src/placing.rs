//! Keeping this node's links where it is looked for: at the depth that it counts, drawn anew before they are too old.
//!
//! A link is one small action on the DHT that nothing can take back, so links are touched as seldom as finding allows.

use crate::buckets::{self, not_before};
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_protocol::buckets::{renew_after_us, Census};
use ainonymous_types::{PlacesInput, Topic, TopicDepth};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The network is counted this often.
const COUNT_EVERY: Duration = Duration::from_secs(3_600);
/// Searches of one count.
const SEARCHES: usize = 2;
/// Looks while a link waits to be drawn anew.
const LOOKS: u32 = 4;

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
        COUNT_EVERY.min(self.renew_after() / LOOKS)
    }

    fn renew_after(&self) -> Duration {
        let age_us = u64::try_from(self.link_age.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(renew_after_us(age_us))
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
        let renew_before = not_before(self.renew_after());
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

    #[test]
    fn links_are_looked_after_often_enough_to_be_drawn_anew_in_time() {
        for seconds in [5, 20, 3_600, 216_000] {
            let placing = Placing::new(Duration::from_secs(seconds));
            // Drawn anew at the latest one look after it was due; then half of its age is left for more tries.
            assert!(placing.renew_after() + placing.every() <= placing.link_age / 2, "{seconds}");
        }
        assert_eq!(Placing::new(Duration::from_secs(216_000)).every(), COUNT_EVERY);
    }
}
