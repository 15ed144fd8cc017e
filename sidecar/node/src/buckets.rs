//! Reading buckets of the DHT: who is linked as what. Where to read and whom to look at is decided by `protocol::buckets`.

use crate::serving::now_us;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_protocol::buckets::{Census, Search};
use ainonymous_protocol::choosing::CANDIDATES_MAX;
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, BucketMember, BucketQuery, Place, ProviderRecord, TimestampUs, Topic,
};
use std::time::Duration;

/// Links drawn before this are passed over.
pub(crate) fn not_before(link_age: Duration) -> TimestampUs {
    now_us().saturating_sub(i64::try_from(link_age.as_micros()).unwrap_or(i64::MAX))
}

/// One request's reads: at most [`ainonymous_protocol::buckets::READS_MAX`]. Returns whose capability to look at.
pub(crate) async fn search(
    conductor: &Conductor,
    topic: &Topic,
    link_age: Duration,
    census: &mut Census,
) -> Result<Vec<BucketMember>, ConductorError> {
    let mut search = Search::new(topic, &rand::random());
    let mut found: Vec<BucketMember> = Vec::new();
    while let Some(place) = search.next(census) {
        let members = read(conductor, topic, place, link_age).await?;
        let agents: Vec<AgentPubKey> = members.iter().map(|member| member.agent.clone()).collect();
        for at in search.on_read(place, &agents, census) {
            let Some(member) = members.get(at) else { continue };
            if found.iter().all(|other| other.agent != member.agent) {
                found.push(member.clone());
            }
        }
    }
    found.truncate(CANDIDATES_MAX);
    Ok(found)
}

/// One bucket.
pub(crate) async fn read(
    conductor: &Conductor,
    topic: &Topic,
    place: Place,
    link_age: Duration,
) -> Result<Vec<BucketMember>, ConductorError> {
    let query = BucketQuery { topic: topic.clone(), place, not_before: not_before(link_age) };
    conductor.get_bucket(query).await
}

/// What these offer: those whose capability can be had.
pub(crate) async fn capabilities(
    conductor: &Conductor,
    members: &[BucketMember],
) -> Result<Vec<ProviderRecord>, ConductorError> {
    let mut found = Vec::new();
    for some in members.chunks(limits::BUCKET_MEMBERS_MAX) {
        let versions: Vec<ActionHash> = some.iter().map(|member| member.capability.clone()).collect();
        found.extend(conductor.get_providers(&versions).await?);
    }
    Ok(found)
}
