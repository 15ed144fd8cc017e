//! Finding each other: places on the DHT from which capabilities are linked, and how they are asked for.
//!
//! Shapes only. Which place belongs to whom is judged in `verify::buckets`, how many places there are is counted by whoever reads.

use crate::{ActionHash, AgentPubKey, Bytes32, EntryHash, TimestampUs};
use holochain_serialized_bytes::prelude::*;

/// What somebody is looked for as.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "type", content = "of", rename_all = "snake_case")]
pub enum Topic {
    /// A provider of this model spec.
    Providers(#[cfg_attr(feature = "ts", ts(type = "Uint8Array"))] EntryHash),
    /// Any router.
    Routers,
    /// The router with this transport key: one bucket, without levels.
    Router(Bytes32),
}

/// One of the 2^depth buckets of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Place {
    /// How deep.
    pub depth: u8,
    /// Which of the 2^depth.
    pub bucket: u32,
}

impl Place {
    /// The only bucket of depth 0.
    pub const ROOT: Self = Self { depth: 0, bucket: 0 };
}

/// Which bucket to read (`get_bucket`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct BucketQuery {
    /// Whose.
    pub topic: Topic,
    /// Which.
    pub place: Place,
    /// Links drawn before this are passed over: whoever drew them is gone.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub not_before: TimestampUs,
}

/// Somebody who is linked from a bucket: a hint until his capability was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct BucketMember {
    /// Who.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub agent: AgentPubKey,
    /// A version of his capability.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub capability: ActionHash,
    /// When the newest link was drawn. Microseconds since the epoch.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub linked_at: TimestampUs,
}

/// Where this node wants to be found (`put_places`): this, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PlacesInput {
    /// Each topic once, and how deep its buckets are.
    pub topics: Vec<TopicDepth>,
    /// Links drawn before this are drawn anew.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub renew_before: TimestampUs,
    /// Links drawn before this are not looked at by anybody any more.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub not_before: TimestampUs,
}

/// A topic, and the depth of its buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TopicDepth {
    /// Whose buckets.
    pub topic: Topic,
    /// How deep they are.
    pub depth: u8,
}

/// Where this node is linked from already (`get_my_places`, `put_places`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct OwnPlaces {
    /// Topics that it is linked under, of those asked for.
    pub topics: Vec<TopicDepth>,
    /// Links that were drawn just now.
    pub drawn: u32,
    /// Links that were removed just now.
    pub removed: u32,
}
