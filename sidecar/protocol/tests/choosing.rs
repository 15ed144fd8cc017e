//! Choosing as a caller sees it: demands are never relaxed, probes are few, nobody can aim, and strangers cannot outshine
//! good peers.

#![allow(clippy::unwrap_used)] // A test may fail by panicking.

use ainonymous_protocol::breaker::Breaker;
use ainonymous_protocol::choosing::{
    choose, plan, Candidate, Demand, Demands, Kinship, Need, Price, Probed, Refusal, Region, FALLBACKS_MAX, PROBES_MAX,
};
use ainonymous_protocol::history::Observed;
use ainonymous_protocol::reports::{Standing, Word, REPORTERS_MAX};
use ainonymous_protocol::reputation::Reputation;
use ainonymous_protocol::{Speed, RANDOM_BYTES};
use ainonymous_types::AgentPubKey;
use proptest::prelude::*;

const NOW: u64 = 1_000_000_000;
const NEED: Need = Need { prompt_tokens: 500, answer_tokens: 256 };

fn agents(count: usize) -> Vec<AgentPubKey> {
    (0..count).map(|n| AgentPubKey::from_raw_36(vec![u8::try_from(n).unwrap(); 36])).collect()
}

fn dice(n: u64) -> [u8; RANDOM_BYTES] {
    let mut random = [0x5a; RANDOM_BYTES];
    random[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    random
}

fn reply(free_slots: u32, queue_depth: u32) -> Option<Probed> {
    let speed = Speed::tokens_per_s(50);
    Some(Probed { at_us: NOW, round_trip_us: 20_000, queue_depth, slots: 4, free_slots, speed, price: None })
}

fn seen(tokens_per_s: u32) -> Observed {
    Observed { speed: Speed::tokens_per_s(tokens_per_s), answers: 8, seen_us: NOW, ..Observed::default() }
}

fn stranger(agent: &AgentPubKey) -> Candidate<'_> {
    Candidate::stranger(agent, Speed::tokens_per_s(50))
}

fn chosen(candidates: &[Candidate<'_>], throw: u64) -> usize {
    choose(NEED, &Demands::NONE, candidates, NOW, &dice(throw)).unwrap().order[0]
}

#[test]
fn a_refusal_names_the_demand_and_what_it_cost() {
    let keys = agents(3);
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    candidates[0].kinship = Kinship::Friend;
    candidates[0].routed = true;
    let demands = Demands { no_further_than: Kinship::Friend, no_routers: true, ..Demands::NONE };
    let refusal = plan(NEED, &demands, &candidates, NOW, &dice(1)).unwrap_err();
    assert_eq!(refusal, Refusal::Unmet { demand: Demand::Kinship(Kinship::Friend), cost: 2, candidates: 3 });
    assert_eq!(
        refusal.to_string(),
        "nobody meets the demand \"own machines and friends only\": it alone excluded 2 of 3 candidates"
    );
    assert_eq!((refusal.code(), refusal.hint().is_empty()), ("demand_unmet", false));
    assert_eq!(choose(NEED, &Demands::NONE, &[], NOW, &dice(1)), Err(Refusal::Nobody));
}

/// Whoever was found to serve something cheaper may be quick by it.
#[test]
fn whose_audits_failed_is_asked_after_others() {
    let keys = agents(3);
    let seen = [seen(50), seen(50), seen(120)];
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    for (candidate, own) in candidates.iter_mut().zip(&seen) {
        candidate.own = Some(own);
        candidate.probed = reply(4, 0);
    }
    assert_eq!(chosen(&candidates, 1), 2, "the quickest");
    candidates[0].reputation = Reputation { ok_milli: 30_000, ..Reputation::default() };
    candidates[2].reputation = Reputation { bad_milli: 2_000, ..Reputation::default() };
    for throw in 0..8 {
        let choice = choose(NEED, &Demands::NONE, &candidates, NOW, &dice(throw)).unwrap();
        assert_eq!(choice.order.len(), 3, "it is not ruled out by that");
        assert_eq!(choice.order[2], 2, "but comes last");
    }
    let only = choose(NEED, &Demands::NONE, &candidates[2..], NOW, &dice(1)).unwrap();
    assert!(only.reasons[0].to_string().contains("worse by failed audits"), "{}", only.reasons[0]);
}

#[test]
fn an_untold_region_or_price_does_not_meet_a_demand() {
    let keys = agents(1);
    let mut candidate = stranger(&keys[0]);
    candidate.probed = reply(4, 0);
    let here = Demands { region: Region::parse("eu"), ..Demands::NONE };
    let cheap = Demands { price_max: Some(Price(10)), ..Demands::NONE };
    assert!(choose(NEED, &here, &[candidate], NOW, &dice(1)).is_err());
    assert!(choose(NEED, &cheap, &[candidate], NOW, &dice(1)).is_err());
    assert_eq!(plan(NEED, &cheap, &[candidate], NOW - 1, &dice(1)), Ok(vec![]), "it has just been probed");
    candidate.region = Region::parse("eu");
    candidate.probed.as_mut().unwrap().price = Some(Price(10));
    assert!(choose(NEED, &Demands { region: here.region, ..cheap }, &[candidate], NOW, &dice(1)).is_ok());
    candidate.probed.as_mut().unwrap().price = Some(Price(11));
    assert!(choose(NEED, &cheap, &[candidate], NOW, &dice(1)).is_err());
}

#[test]
fn the_only_candidate_is_asked_without_a_probe_and_the_reason_says_so() {
    let keys = agents(1);
    let candidates = [stranger(&keys[0])];
    assert_eq!(plan(NEED, &Demands::NONE, &candidates, NOW, &dice(1)), Ok(vec![]));
    let choice = choose(NEED, &Demands::NONE, &candidates, NOW, &dice(1)).unwrap();
    let why = choice.reasons[0].to_string();
    assert!(why.starts_with("public; first token in ") && why.ends_with("; the only candidate"), "{why}");
    assert!(choice.reasons[0]
        .hedged()
        .to_string()
        .ends_with("quicker to its first word than one that was asked before"));
    assert!(!why.contains('\n'));
}

#[test]
fn a_claim_of_a_hundredfold_does_not_beat_a_good_peer_that_is_known() {
    let keys = agents(5);
    let good = seen(60);
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    for candidate in &mut candidates {
        candidate.probed = reply(4, 0);
        candidate.own = Some(&good);
    }
    candidates[0].own = None;
    candidates[0].claimed = Speed::tokens_per_s(5_000);
    candidates[0].probed.as_mut().unwrap().speed = Speed::tokens_per_s(5_000);
    assert!((0..200).all(|throw| chosen(&candidates, throw) != 0));
}

#[test]
fn once_measured_a_liar_is_not_believed_about_its_queue_either() {
    let keys = agents(2);
    let good = seen(30);
    let liar = Observed { first_token_us: 30_000_000, ..seen(30) };
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    candidates[0].own = Some(&liar);
    candidates[0].claimed = Speed::tokens_per_s(3_000);
    candidates[0].probed = reply(4, 0);
    candidates[1].own = Some(&good);
    candidates[1].probed = reply(0, 4);
    assert_eq!(chosen(&candidates, 1), 1);
}

#[test]
fn own_experience_outweighs_any_number_of_reporters() {
    let keys = agents(2);
    let (slow, quick) = (seen(10), seen(50));
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    let praise = Word { standing: Standing::Close, speed: Speed::tokens_per_s(600), troubled_permille: 0 };
    let (praise, slander) = ([praise; 100], [Word { speed: Speed::from(1), troubled_permille: 1_000, ..praise }; 100]);
    candidates[0].own = Some(&slow);
    candidates[0].reported = &praise;
    candidates[1].reported = &slander;
    candidates[1].own = Some(&quick);
    candidates.iter_mut().for_each(|c| c.probed = reply(4, 0));
    assert_eq!(chosen(&candidates, 1), 1);
}

#[test]
fn warnings_steer_between_strangers_but_do_not_forbid() {
    let keys = agents(2);
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    let bad = [Word { standing: Standing::Known, speed: Speed::tokens_per_s(5), troubled_permille: 500 }; 3];
    candidates[0].reported = &bad;
    candidates.iter_mut().for_each(|c| c.probed = reply(4, 0));
    assert!((0..50).all(|throw| chosen(&candidates, throw) == 1));
    let why = choose(NEED, &Demands::NONE, &candidates, NOW, &dice(1)).unwrap().reasons[1].to_string();
    assert!(why.contains("; counted 24 % worse by 3 reports"), "{why}");
    candidates[1].probed = reply(0, 8);
    assert!((0..50).all(|throw| chosen(&candidates, throw) == 0));
}

#[test]
fn of_equals_the_cheapest_is_asked_and_a_price_buys_no_speed() {
    let keys = agents(3);
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    for (candidate, price) in candidates.iter_mut().zip([Some(Price(2_000)), Some(Price(0)), None]) {
        candidate.probed = reply(4, 0).map(|probed| Probed { price, ..probed });
    }
    assert!((0..50).all(|throw| chosen(&candidates, throw) == 1));
    candidates[1].probed = reply(0, 8).map(|probed| Probed { price: Some(Price(0)), ..probed });
    assert!((0..50).all(|throw| chosen(&candidates, throw) == 0));
}

#[test]
fn in_a_crowded_network_a_proven_liars_empty_queue_draws_nobody() {
    let keys = agents(4);
    let (good, liar) = (seen(40), Observed { first_token_us: 500_000, ..seen(20) });
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    for candidate in &mut candidates {
        candidate.own = Some(&good);
        candidate.probed = reply(0, 6);
    }
    candidates[0].own = Some(&liar);
    candidates[0].claimed = Speed::tokens_per_s(2_000);
    candidates[0].probed = reply(4, 0);
    assert!((0..50).all(|throw| chosen(&candidates, throw) != 0));
}

#[test]
fn the_closer_are_preferred_until_they_take_much_longer() {
    let keys = agents(2);
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    candidates.iter_mut().for_each(|c| c.probed = reply(4, 0));
    candidates[0].kinship = Kinship::Own;
    assert!((0..50).all(|throw| chosen(&candidates, throw) == 0));
    candidates[0].probed = reply(0, 8);
    assert!((0..50).all(|throw| chosen(&candidates, throw) == 1));
}

#[test]
fn a_kept_prefix_draws_a_session_but_cannot_overload_a_node() {
    let keys = agents(4);
    let long = Need { prompt_tokens: 4_000, answer_tokens: 64 };
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    candidates.iter_mut().for_each(|c| c.probed = reply(4, 0));
    candidates[2].prefix_tokens = 4_000;
    let pick = |c: &[Candidate<'_>], throw| choose(long, &Demands::NONE, c, NOW, &dice(throw)).unwrap();
    assert!((0..50).all(|throw| pick(&candidates, throw).order[0] == 2));
    assert_eq!(pick(&candidates, 1).reasons[0].prefix_tokens, 4_000);
    // A full queue: the prefix counts for nothing.
    candidates[2].probed = reply(0, 4);
    assert!((0..50).all(|throw| pick(&candidates, throw).order[0] != 2));
}

#[test]
fn whoever_failed_lately_comes_last_but_is_not_forbidden() {
    let keys = agents(2);
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    candidates[0].breaker = Breaker::Open { until_us: NOW + 1 };
    candidates[0].probed = reply(4, 0);
    let choice = choose(NEED, &Demands::NONE, &candidates, NOW, &dice(1)).unwrap();
    assert_eq!(choice.order, [1, 0]);
    assert_eq!(plan(NEED, &Demands::NONE, &candidates, NOW, &dice(1)), Ok(vec![1]));
    assert!(choose(NEED, &Demands::NONE, &candidates[..1], NOW, &dice(1)).unwrap().reasons[0].last_resort);
}

#[test]
fn near_equals_share_the_load_and_the_probes() {
    let keys = agents(40);
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    let mut probes = vec![0u32; keys.len()];
    for throw in 0..4_000 {
        for at in plan(NEED, &Demands::NONE, &candidates, NOW, &dice(throw)).unwrap() {
            probes[at] += 1;
        }
    }
    assert!(probes.iter().all(|n| (250..=550).contains(n)), "each of 40 about 400 times: {probes:?}");
    candidates.iter_mut().for_each(|c| c.probed = reply(4, 0));
    let mut asked = vec![0u32; keys.len()];
    (0..4_000).for_each(|throw| asked[chosen(&candidates, throw)] += 1);
    assert!(asked.iter().all(|n| (60..=150).contains(n)), "each of 40 about 100 times: {asked:?}");
}

#[derive(Clone, Debug)]
struct Any {
    kinship: u8,
    routed: bool,
    region: Option<bool>,
    numbers: [u64; 8],
    small: [u32; 8],
    has: [bool; 4],
    breaker: u8,
}

fn any_candidate() -> impl Strategy<Value = Any> {
    let rest = (any::<[u32; 8]>(), any::<[bool; 4]>(), 0u8..3);
    (0u8..4, any::<bool>(), any::<Option<bool>>(), any::<[u64; 8]>(), rest).prop_map(
        |(kinship, routed, region, numbers, (small, has, breaker))| Any {
            kinship,
            routed,
            region,
            numbers,
            small,
            has,
            breaker,
        },
    )
}

fn observed(any: &Any) -> Observed {
    Observed {
        speed: Speed::from(any.numbers[0]),
        first_token_us: any.numbers[1],
        first_token_spread_us: any.numbers[7],
        answers: any.small[0],
        failures: any.small[1],
        failing_permille: any.small[2],
        late_permille: any.small[3],
        last_failure_us: None,
        seen_us: any.numbers[2],
    }
}

fn candidate<'a>(any: &Any, agent: &'a AgentPubKey, own: &'a Observed, words: &'a [Word]) -> Candidate<'a> {
    let region = any.region.and_then(|eu| Region::parse(if eu { "eu" } else { "us" }));
    let probed = Probed {
        at_us: any.numbers[3],
        round_trip_us: any.numbers[4],
        queue_depth: any.small[4],
        slots: any.small[5],
        free_slots: any.small[6],
        speed: Speed::from(any.numbers[5]),
        price: any.has[3].then_some(Price(any.numbers[6] % 20)),
    };
    Candidate {
        kinship: [Kinship::Own, Kinship::Friend, Kinship::Lan, Kinship::Public][usize::from(any.kinship)],
        routed: any.routed,
        region,
        own: any.has[0].then_some(own),
        reported: if any.has[1] { words } else { &[] },
        probed: any.has[2].then_some(probed),
        asked_since: any.small[1],
        breaker: [Breaker::Closed, Breaker::HalfOpen, Breaker::Open { until_us: any.numbers[0] }]
            [usize::from(any.breaker)],
        prefix_tokens: any.small[0],
        ..Candidate::stranger(agent, Speed::from(any.numbers[6]))
    }
}

proptest! {
    /// Whatever peers say: no panic, no more than four probes, none twice, and nobody who misses a demand is ever named.
    #[test]
    fn nothing_relaxes_a_demand(
        anys in prop::collection::vec(any_candidate(), 0..24),
        (level, no_routers, region, price) in (0u8..4, any::<bool>(), any::<bool>(), any::<Option<u8>>()),
        (prompt_tokens, answer_tokens, now_us, random) in (any::<u32>(), any::<u32>(), any::<u64>(), any::<[u8; RANDOM_BYTES]>()),
    ) {
        let keys = agents(anys.len() / 2 + 1);
        let own: Vec<Observed> = anys.iter().map(observed).collect();
        // Each agent may be listed twice.
        let word = |any: &Any| Word {
            standing: if any.has[0] { Standing::Close } else { Standing::Known },
            speed: Speed::from(any.numbers[7]),
            troubled_permille: any.small[7],
        };
        let words: Vec<Word> = anys.iter().map(word).take(REPORTERS_MAX).collect();
        let of = |(at, any): (usize, &Any)| candidate(any, &keys[at / 2], &own[at], &words);
        let candidates: Vec<Candidate<'_>> = anys.iter().enumerate().map(of).collect();
        let demands = Demands {
            no_further_than: [Kinship::Own, Kinship::Friend, Kinship::Lan, Kinship::Public][usize::from(level)],
            no_routers,
            region: region.then(|| Region::parse("eu").unwrap()),
            price_max: price.map(|p| Price(u64::from(p % 20))),
            answers: 1,
        };
        let need = Need { prompt_tokens, answer_tokens };
        let met = |c: &Candidate<'_>, asked: bool| {
            let told = c.probed.and_then(|p| p.price);
            c.kinship <= demands.no_further_than
                && !(no_routers && c.routed)
                && demands.region.is_none_or(|r| c.region == Some(r))
                && demands.price_max.is_none_or(|max| told.map_or(!asked, |price| price <= max))
        };
        match plan(need, &demands, &candidates, now_us, &random) {
            Ok(probes) => {
                prop_assert!(probes.len() <= PROBES_MAX);
                prop_assert!(probes.iter().all(|at| met(&candidates[*at], false)));
                for (at, probe) in probes.iter().enumerate() {
                    prop_assert!(probes[..at].iter().all(|p| candidates[*p].agent != candidates[*probe].agent));
                }
            }
            Err(_) => prop_assert!(candidates.iter().all(|c| !met(c, false))),
        }
        match choose(need, &demands, &candidates, now_us, &random) {
            Ok(choice) => {
                prop_assert!(!choice.order.is_empty() && choice.order.len() <= FALLBACKS_MAX);
                prop_assert_eq!(choice.order.len(), choice.reasons.len());
                prop_assert!(choice.order.iter().all(|at| met(&candidates[*at], true)));
                prop_assert!(choice.reasons.iter().all(|why| !why.to_string().contains('\n')));
            }
            Err(Refusal::Unmet { cost, candidates: all, .. }) => {
                prop_assert!(cost >= 1 && cost <= all && all == candidates.len());
                prop_assert!(candidates.iter().all(|c| !met(c, true)));
            }
            Err(Refusal::Nobody) => prop_assert!(candidates.is_empty()),
        }
    }
}
