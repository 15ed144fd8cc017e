//! Buckets: where on the DHT a capability may be linked from. The hash of an agent's key draws one bucket for each topic and depth,
//! so nobody can place himself where everybody looks, and everybody can check it.
//!
//! How deep the buckets of a topic are is nobody's to judge: whoever reads or links counts (`protocol::buckets`).

use crate::canonical::Encoder;
use crate::rules::LinkKind;
use ainonymous_types::{limits, AgentPubKey, Capability, Place, Role, Topic};

/// What the hash of an agent's key decides, for one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    bits: u32,
    level: u8,
}

impl Lot {
    /// Draws it: the first 4 bytes of a SHA-256 over topic and agent choose the bucket, the next 4 the level.
    pub fn of(topic: &Topic, agent: &AgentPubKey) -> Self {
        let hash = match topic {
            Topic::Providers(spec) => Encoder::hash("ainonymous/bucket/v1").holo(spec),
            Topic::Routers => Encoder::hash("ainonymous/bucket/routers/v1"),
            Topic::Router(key) => Encoder::hash("ainonymous/bucket/router/v1").bytes32(key),
        };
        let hash = hash.holo(agent).finish().0;
        let bits = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        let level = u32::from_be_bytes([hash[4], hash[5], hash[6], hash[7]]).leading_zeros();
        let level = u8::try_from(level).unwrap_or(limits::BUCKET_DEPTH_MAX).min(limits::BUCKET_DEPTH_MAX);
        Self { bits, level }
    }

    /// Its bucket at a depth.
    pub fn place(self, depth: u8) -> Place {
        let depth = depth.min(limits::BUCKET_DEPTH_MAX);
        Place { depth, bucket: self.bits.checked_shr(32 - u32::from(depth)).unwrap_or(0) }
    }

    /// In a network of up to this depth it links from the root too: at depth 1 half of all do, at depth 2 a quarter.
    pub fn level(self) -> u8 {
        self.level
    }

    /// All the places that it is to be linked from in a network of this depth: two or three.
    pub fn places(self, depth: u8) -> Vec<Place> {
        let depth = depth.min(limits::BUCKET_DEPTH_MAX);
        let mut places = vec![self.place(depth)];
        if depth < limits::BUCKET_DEPTH_MAX {
            places.push(self.place(depth + 1));
        }
        if depth > 0 && self.level >= depth {
            places.push(Place::ROOT);
        }
        places
    }

    /// Whether a link from there can be its own: what validation asks.
    pub fn may_be_at(self, place: Place) -> bool {
        place.depth <= limits::BUCKET_DEPTH_MAX && self.place(place.depth) == place
    }
}

/// The text of the Holochain path whose entry hash is the base of the links.
pub fn path(topic: &Topic, place: Place) -> String {
    let Place { depth, bucket } = place;
    match topic {
        Topic::Providers(spec) => format!("providers_of.{spec}.{depth}.{bucket}"),
        Topic::Routers => format!("routers.{depth}.{bucket}"),
        Topic::Router(key) => format!("router.{key}.{depth}.{bucket}"),
    }
}

/// The bucket that an agent's lot draws at a depth; none where the topic has no such depth.
pub fn place(topic: &Topic, agent: &AgentPubKey, depth: u8) -> Option<Place> {
    let exists = depth <= depth_max(topic);
    exists.then(|| Lot::of(topic, agent).place(depth))
}

/// All the places that an agent is to be linked from under a topic whose buckets are so deep.
pub fn places(topic: &Topic, agent: &AgentPubKey, depth: u8) -> Vec<Place> {
    match depth_max(topic) {
        0 => vec![Place::ROOT],
        most => Lot::of(topic, agent).places(depth.min(most)),
    }
}

/// Everything that a capability may be looked for as.
pub fn topics(capability: &Capability) -> Vec<Topic> {
    let mut topics = Vec::new();
    if capability.roles.contains(&Role::Provider) {
        topics.extend(capability.models.iter().map(|model| Topic::Providers(model.spec.entry.clone())));
    }
    if let Some(router) = capability.router.as_ref().filter(|_| capability.roles.contains(&Role::Router)) {
        topics.extend([Topic::Routers, Topic::Router(router.key)]);
    }
    topics
}

/// The kind of link that leads from its buckets.
pub fn link_kind(topic: &Topic) -> LinkKind {
    match topic {
        Topic::Providers(_) => LinkKind::BucketToProvider,
        Topic::Routers | Topic::Router(_) => LinkKind::BucketToRouter,
    }
}

fn depth_max(topic: &Topic) -> u8 {
    match topic {
        Topic::Providers(_) | Topic::Routers => limits::BUCKET_DEPTH_MAX,
        Topic::Router(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{Bytes32, EntryHash};

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    #[test]
    fn topics_do_not_share_buckets() {
        let spec = |n| Topic::Providers(EntryHash::from_raw_36(vec![n; 36]));
        let topics = [spec(1), spec(2), Topic::Routers, Topic::Router(Bytes32([1; 32]))];
        let paths: Vec<String> = topics.iter().map(|topic| path(topic, Place::ROOT)).collect();
        assert!(paths.iter().enumerate().all(|(at, path)| !paths[..at].contains(path)));
        let drawn = |topic: &Topic| (0..40).map(|n| Lot::of(topic, &agent(n)).place(8).bucket).collect::<Vec<_>>();
        assert_ne!(drawn(&topics[0]), drawn(&topics[1]));
        assert_ne!(drawn(&topics[0]), drawn(&topics[2]));
    }

    #[test]
    fn a_router_is_found_by_its_key_at_one_place() {
        let topic = Topic::Router(Bytes32([7; 32]));
        assert_eq!(places(&topic, &agent(1), 5), [Place::ROOT]);
        assert_eq!((place(&topic, &agent(1), 0), place(&topic, &agent(1), 1)), (Some(Place::ROOT), None));
        assert_eq!(place(&Topic::Routers, &agent(1), limits::BUCKET_DEPTH_MAX + 1), None);
    }
}
