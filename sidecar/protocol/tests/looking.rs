//! Whom to look at: a queue is remembered for as long as it lasts, strangers are tried as far as strangers deserve it, and another
//! look is awaited where it may save more than it costs.

#![allow(clippy::unwrap_used)] // A test may fail by panicking.

use ainonymous_protocol::breaker::Breaker;
use ainonymous_protocol::choosing::{
    choose, plan, probe_patience_us, Candidate, Demands, Need, Probed, PROBE_WAIT_US, QUEUE_FRESH_US,
};
use ainonymous_protocol::history::Observed;
use ainonymous_protocol::{Speed, RANDOM_BYTES};
use ainonymous_types::AgentPubKey;

const NOW: u64 = 1_000_000_000;
const NEED: Need = Need { prompt_tokens: 500, answer_tokens: 256 };

fn agents(count: u8) -> Vec<AgentPubKey> {
    (0..count).map(|n| AgentPubKey::from_raw_36(vec![n; 36])).collect()
}

fn dice(n: u64) -> [u8; RANDOM_BYTES] {
    let mut random = [0x5a; RANDOM_BYTES];
    random[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    random
}

fn reply(free_slots: u32, queue_depth: u32, at_us: u64) -> Probed {
    let speed = Speed::tokens_per_s(50);
    Probed { at_us, round_trip_us: 20_000, queue_depth, slots: 4, free_slots, speed, price: None }
}

fn seen(tokens_per_s: u32) -> Observed {
    Observed { speed: Speed::tokens_per_s(tokens_per_s), answers: 8, seen_us: NOW, ..Observed::default() }
}

fn stranger(agent: &AgentPubKey) -> Candidate<'_> {
    Candidate::stranger(agent, Speed::tokens_per_s(50))
}

fn cost_order(candidates: &[Candidate<'_>]) -> Vec<usize> {
    choose(NEED, &Demands::NONE, candidates, NOW, &dice(1)).unwrap().order
}

/// How often each is probed.
fn probes(candidates: &[Candidate<'_>]) -> Vec<u32> {
    let mut counts = vec![0; candidates.len()];
    for throw in 0..1_000 {
        plan(NEED, &Demands::NONE, candidates, NOW, &dice(throw)).unwrap().into_iter().for_each(|at| counts[at] += 1);
    }
    counts
}

#[test]
fn a_queue_is_remembered_and_forgotten_by_and_by() {
    let (keys, own) = (agents(1), seen(50));
    let mut candidate = Candidate { own: Some(&own), ..stranger(&keys[0]) };
    let mut wait_us = |age_us: u64| {
        candidate.probed = Some(reply(0, 7, NOW - age_us));
        choose(NEED, &Demands::NONE, &[candidate], NOW, &dice(1)).unwrap().reasons[0].expected.wait_us
    };
    let (fresh, soon, later, long_ago) = (wait_us(0), wait_us(2_000_000), wait_us(10_000_000), wait_us(300_000_000));
    assert_eq!((fresh, wait_us(QUEUE_FRESH_US)), (10_240_000, 10_240_000), "eight answers of 5.12 s in four slots");
    assert!(fresh > soon && soon > fresh / 2 && soon > later && later > long_ago, "{fresh} {soon} {later} {long_ago}");
    assert!(long_ago < 200_000, "{long_ago}");
}

#[test]
fn a_modest_claim_is_believed_and_no_claim_is_worth_more_than_what_is_typical() {
    let (keys, own) = (agents(4), seen(50));
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    candidates.iter_mut().for_each(|c| c.probed = Some(reply(4, 0, NOW)));
    candidates[..3].iter_mut().for_each(|c| c.own = Some(&own));
    let speed = |candidates: &[Candidate<'_>]| {
        let choice = choose(NEED, &Demands::NONE, candidates, NOW, &dice(1)).unwrap();
        let at = choice.order.iter().position(|at| *at == 3).unwrap();
        choice.reasons[at].expected.speed
    };
    for (claimed, believed) in [(40, 40), (50, 50), (90, 50)] {
        candidates[3].claimed = Speed::tokens_per_s(claimed);
        candidates[3].probed.as_mut().unwrap().speed = Speed::tokens_per_s(claimed);
        assert_eq!(speed(&candidates), Speed::tokens_per_s(believed), "{claimed}");
    }
}

#[test]
fn the_more_of_those_tried_were_bad_the_less_the_next_stranger_is_trusted() {
    let keys = agents(8);
    let (good, slow, liar) = (seen(50), seen(42), Observed { answers: 8, ..seen(10) });
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    candidates.iter_mut().for_each(|c| c.probed = Some(reply(4, 0, NOW)));
    candidates[..3].iter_mut().for_each(|c| c.own = Some(&good));
    candidates[3].own = Some(&slow);
    candidates[4..7].iter_mut().for_each(|c| c.own = Some(&good));
    let place = |candidates: &[Candidate<'_>], who: usize| cost_order(candidates).iter().position(|at| *at == who);
    assert!(place(&candidates, 7) < place(&candidates, 3), "a stranger before somebody slower who is known");
    candidates[4..7].iter_mut().for_each(|c| c.own = Some(&liar));
    assert!(place(&candidates, 7) > place(&candidates, 3), "three of seven exaggerated");
}

#[test]
fn somebody_new_is_looked_at_who_might_be_asked() {
    let (keys, own) = (agents(12), seen(50));
    let mut candidates: Vec<_> = keys.iter().map(stranger).collect();
    candidates[..8].iter_mut().for_each(|c| c.own = Some(&own));
    candidates[8..10].iter_mut().for_each(|c| c.claimed = Speed::tokens_per_s(45));
    candidates[10..].iter_mut().for_each(|c| c.claimed = Speed::tokens_per_s(10));
    let counts = probes(&candidates);
    assert!(counts[8..10].iter().all(|n| *n > 200), "{counts:?}");
    assert_eq!(counts[10..], [0, 0], "whoever says that it is slow is not looked at while there are quicker ones");
    // Whoever failed and may be back is looked at by every request, in turn.
    candidates[0].breaker = Breaker::HalfOpen;
    candidates[1].breaker = Breaker::HalfOpen;
    let counts = probes(&candidates);
    assert_eq!(counts[0] + counts[1], 1_000, "{counts:?}");
    assert!(counts[..2].iter().all(|n| *n > 400), "{counts:?}");
}

#[test]
fn more_replies_are_awaited_while_all_that_came_have_a_queue() {
    let (free, full) = (reply(1, 0, NOW), reply(0, 7, NOW));
    assert_eq!(probe_patience_us(30_000, &free), 60_000);
    assert_eq!(probe_patience_us(1_000, &free), 11_000);
    assert_eq!(probe_patience_us(30_000, &reply(0, 0, NOW)), 30_000 + 1_280_000 / 8);
    assert_eq!(probe_patience_us(30_000, &full), PROBE_WAIT_US);
    assert_eq!(probe_patience_us(u64::MAX, &full), PROBE_WAIT_US);
    assert_eq!(probe_patience_us(0, &Probed { speed: Speed::UNKNOWN, ..full }), PROBE_WAIT_US);
}
