//! Reading buckets of the DHT: who is linked as what. Where to read and whom to look at is decided by `protocol::buckets`.

use crate::serving::now_us;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_protocol::buckets::{Census, Search};
use ainonymous_protocol::choosing::CANDIDATES_MAX;
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, BucketMember, BucketQuery, Place, ProviderRecord, TimestampUs, Topic,
};
use rand::seq::SliceRandom;
use rand::Rng;
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
    Ok(some(found, &mut rand::rng()))
}

/// As many of these as are looked at, in a new order each time. Buckets are read in the order of their members' keys, and how an agent joined
/// is fetched for so many of one list only (`limits::JOININGS_FETCHED_MAX`): else strangers with low keys would keep a newcomer unseen.
fn some(mut found: Vec<BucketMember>, dice: &mut impl Rng) -> Vec<BucketMember> {
    found.shuffle(dice);
    found.truncate(CANDIDATES_MAX);
    found
}

/// One bucket, in a new order each time ([`some`] says why).
pub(crate) async fn read(
    conductor: &Conductor,
    topic: &Topic,
    place: Place,
    link_age: Duration,
) -> Result<Vec<BucketMember>, ConductorError> {
    let query = BucketQuery { topic: topic.clone(), place, not_before: not_before(link_age) };
    let mut members = conductor.get_bucket(query).await?;
    members.shuffle(&mut rand::rng());
    Ok(members)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_stays_behind_strangers_for_ever() {
        let member = |n: usize| {
            let raw = |n: usize| [&n.to_be_bytes()[..], &[0; 28]].concat();
            let (agent, capability) = (AgentPubKey::from_raw_36(raw(n)), ActionHash::from_raw_36(raw(n)));
            BucketMember { agent, capability, linked_at: 0 }
        };
        // The newcomer has the last key of all.
        let members: Vec<BucketMember> = (0..2 * CANDIDATES_MAX).map(member).collect();
        let newcomer = member(2 * CANDIDATES_MAX - 1);
        let (mut looked_at, mut fetched) = (0, 0);
        for _ in 0..1_000 {
            let some = some(members.clone(), &mut rand::rng());
            assert_eq!(some.len(), CANDIDATES_MAX);
            looked_at += usize::from(some.contains(&newcomer));
            fetched += usize::from(some[..limits::JOININGS_FETCHED_MAX].contains(&newcomer));
        }
        // Half of the time, and one time in sixteen: these bounds are missed by chance once in more than 10^9 runs.
        assert!((350..650).contains(&looked_at), "{looked_at}");
        assert!(fetched >= 16, "{fetched}");
    }
}
