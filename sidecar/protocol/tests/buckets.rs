//! Buckets as providers and requesters use them: golden places, flat reads, and no trap in any count.

#![allow(clippy::unwrap_used)] // A test may fail by panicking.

use ainonymous_protocol::buckets::{depth_for, renew_after_us, Census, Search, BUCKET_FILL_MAX, READS_MAX};
use ainonymous_protocol::RANDOM_BYTES;
use ainonymous_types::limits::{BUCKET_DEPTH_MAX as DEPTH_MAX, BUCKET_MEMBERS_MAX};
use ainonymous_types::{AgentPubKey, EntryHash, Place, Topic};
use ainonymous_verify::buckets::{path, Lot};
use proptest::prelude::*;

fn spec() -> Topic {
    Topic::Providers(EntryHash::from_raw_36(vec![5; 36]))
}

fn agent(n: u64) -> AgentPubKey {
    let mut raw = vec![0; 36];
    raw[..8].copy_from_slice(&n.to_le_bytes());
    AgentPubKey::from_raw_36(raw)
}

fn numbers(places: &[Place]) -> Vec<(u8, u32)> {
    places.iter().map(|place| (place.depth, place.bucket)).collect()
}

#[test]
fn depth_grows_by_one_when_the_network_doubles() {
    for (providers, depth) in
        [(0, 0), (10, 0), (32, 0), (65, 1), (66, 2), (1_000, 5), (100_000, 12), (u64::MAX, DEPTH_MAX)]
    {
        assert_eq!(depth_for(providers), depth, "{providers}");
    }
    assert!(
        (1..100_000u64).all(|n| n >> depth_for(n) <= BUCKET_FILL_MAX && (depth_for(n) == 0 || n >> depth_for(n) >= 16))
    );
}

#[test]
fn a_provider_has_a_place_at_its_depth_and_one_deeper_and_maybe_at_the_root() {
    for n in 0..200 {
        let lot = Lot::of(&spec(), &agent(n));
        let places = lot.places(5);
        assert_eq!(numbers(&places)[..2], [(5, lot.place(6).bucket / 2), (6, lot.place(6).bucket)]);
        assert_eq!(places.contains(&Place::ROOT), lot.level() >= 5);
        assert!(places.iter().all(|place| lot.may_be_at(*place)));
        assert_eq!(lot.places(0)[0], Place::ROOT);
        assert_eq!(lot.places(DEPTH_MAX)[0].depth, DEPTH_MAX);
    }
    let strays = (0..64).filter(|n| Lot::of(&spec(), &agent(*n)).may_be_at(Lot::of(&spec(), &agent(77)).place(5)));
    assert!(strays.count() < 10);
}

#[test]
fn a_flooded_bucket_costs_no_more_than_a_full_one() {
    let members: Vec<AgentPubKey> = (0..1_000).map(agent).collect();
    let mut census = Census::default();
    let mut search = Search::new(&spec(), &[3; RANDOM_BYTES]);
    let place = search.next(&census).unwrap();
    assert_eq!(search.on_read(place, &members, &mut census).len(), BUCKET_MEMBERS_MAX);
    let counted = census.providers().unwrap();
    assert!((600..2_500).contains(&counted), "levels count the network: {counted}");
}

#[test]
fn a_few_at_the_root_that_do_not_belong_there_change_nothing() {
    let mut census = Census::default();
    let honest = [7, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 9, 9, 10, 11];
    census.on_root(honest.len(), &honest);
    let before = census.providers().unwrap();
    let stuffed: Vec<u8> = honest.iter().copied().chain([0, 0, 24, 24]).collect();
    census.on_root(stuffed.len(), &stuffed);
    assert!(census.providers().unwrap() <= before * 2 && census.providers().unwrap() >= before / 2);
}

#[test]
fn providers_move_with_room_between_the_levels() {
    let counted = |n: usize| {
        let mut census = Census::default();
        census.on_bucket(0, n);
        census
    };
    assert_eq!(Census::default().move_to(3), None);
    assert_eq!(counted(36).move_to(0), None, "a little too many is no reason to move");
    assert_eq!(counted(60).move_to(0), Some(1));
    assert_eq!(counted(30).move_to(1), None, "a little too few is none either");
    assert_eq!(counted(20).move_to(1), Some(0));
}

proptest! {
    /// Whatever the DHT returns: at most four reads, none twice, and an end.
    #[test]
    fn reads_are_bounded(
        counts in prop::collection::vec(0usize..200, READS_MAX + 1),
        known in any::<Option<(u8, usize)>>(),
        random in any::<[u8; RANDOM_BYTES]>(),
    ) {
        let mut census = Census::default();
        if let Some((depth, members)) = known {
            census.on_bucket(depth, members);
        }
        let mut search = Search::new(&spec(), &random);
        let mut read = Vec::new();
        while let Some(place) = search.next(&census) {
            prop_assert!(!read.contains(&place));
            let members: Vec<AgentPubKey> = (0..counts[read.len()] as u64).map(agent).collect();
            let kept = search.on_read(place, &members, &mut census);
            prop_assert!(kept.iter().all(|at| *at < members.len()) && kept.len() <= BUCKET_MEMBERS_MAX);
            read.push(place);
            prop_assert!(read.len() <= READS_MAX);
        }
        prop_assert!(!read.is_empty());
        prop_assert!(census.depth().is_some_and(|depth| depth <= DEPTH_MAX));
    }
}

#[test]
fn links_are_drawn_anew_at_the_stated_pace() {
    let hour = 3_600_000_000;
    assert_eq!(renew_after_us(60 * hour), 24 * hour);
    assert_eq!((renew_after_us(0), renew_after_us(20_000_000)), (0, 8_000_000));
    assert!(renew_after_us(u64::MAX) < u64::MAX / 2);
}

/// Golden: whoever computes another place links where nobody looks.
#[test]
fn places_are_golden() {
    let places = |n: u64| {
        let lot = Lot::of(&spec(), &agent(n));
        (lot.place(12).bucket, lot.place(24).bucket, lot.level())
    };
    let golden = [(221, 907_902, 1), (1_939, 7_943_865, 2), (3_217, 13_177_314, 0), (2_394, 9_808_742, 0)];
    assert_eq!([places(0), places(1), places(2), places(77)], golden);
    let path = path(&spec(), Lot::of(&spec(), &agent(1)).place(5));
    assert_eq!(path, format!("providers_of.{}.5.15", EntryHash::from_raw_36(vec![5; 36])));
}
