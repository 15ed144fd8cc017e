//! How far a provider's fingerprint is from an auditor's, in integers.
//!
//! - **T1, margin**: how far each token was from being drawn by the auditor's model with the requester's dice; clipped at half a
//!   nat (Token-DiFR, arXiv 2511.20621). It binds the tokens to the model: a cheap decode with an honest fingerprint fails here.
//! - **T2, delta**: at each position, the distances of log-probabilities, each clipped at two nats, summed over the tokens that
//!   the provider found likely and those that only the auditor did, together clipped at 8 × 2 nats. The most sensitive one.
//! - **T3, tail**: positions whose distributions are more than 0.1 apart in total variation (IMMACULATE, arXiv 2602.22700).
//! - **T4, impossible**: tokens outside the auditor's 64 most likely by more than a nat that the dice do not choose.
//!
//! Beside the sums stand the worst window and the worst position, which a single exchanged token cannot hide from. A token
//! that is on one list only is taken to be as likely as it can be without being on the other: the distances here are never
//! larger than the real ones.

use super::fingerprint;
use crate::fixed::{exp_minus, ONE};
use crate::Breach;
use ainonymous_types::limits::{
    DELTA_SIXTEENTHS_MAX, FINGERPRINT_LIKELY_MAX, FINGERPRINT_SIXTEENTHS_MAX, FINGERPRINT_WINDOW_TOKENS,
    MARGIN_1024THS_MAX,
};
use ainonymous_types::{Likely, OpenedLeaf, Outcome, ReplayLeaf, Statistics};

/// Largest distance at one position, in 128ths of a nat: 8 tokens × 2 nats.
pub const POSITION_DELTA_MAX: u32 = DELTA_SIXTEENTHS_MAX * FINGERPRINT_LIKELY_MAX as u32;
/// Above this total variation a position counts for the tail.
const TAIL: i64 = ONE / 10;

/// What an auditor finds when the provider opens its leaves: `replay` are the auditor's own leaves over the tokens that the
/// requester received, in form ([`super::leaf::replay_bounds`]). Whatever is not a fingerprint of exactly these tokens is a mismatch; where nothing
/// is opened, the tokens speak alone.
pub fn outcome(opened: &[OpenedLeaf], replay: &[ReplayLeaf]) -> Result<Outcome, Breach> {
    super::leaf::replay_bounds(replay)?;
    if opened.is_empty() && !replay.is_empty() {
        return Ok(Outcome::NotOpened(of_tokens(replay)));
    }
    if opened.len() != replay.len() {
        return Ok(Outcome::Mismatch);
    }
    let mut total = Statistics::default();
    for (theirs, ours) in opened.iter().zip(replay) {
        let Some(window) = window(theirs, ours) else { return Ok(Outcome::Mismatch) };
        add(&mut total, &window);
    }
    Ok(Outcome::Measured(total))
}

/// What the tokens say alone, where the provider opens nothing: how far they are from what the auditor's model draws. No distance of
/// fingerprints is counted, so nothing here is more than if it had opened.
fn of_tokens(replay: &[ReplayLeaf]) -> Statistics {
    let mut total = Statistics::default();
    replay.iter().for_each(|ours| add(&mut total, &tokens_of(ours)));
    total
}

/// What the tokens of one window say.
fn tokens_of(ours: &ReplayLeaf) -> Statistics {
    let margin_sum = ours.margins.iter().map(|margin| u32::from((*margin).min(MARGIN_1024THS_MAX))).sum();
    Statistics {
        tokens: ours.leaf.tokens.len() as u32,
        margin_sum,
        margin_window: margin_sum,
        impossible: ours.impossible.count_ones(),
        ..Statistics::default()
    }
}

/// The statistics of one window; none if the leaf is not one of these tokens.
fn window(theirs: &OpenedLeaf, ours: &ReplayLeaf) -> Option<Statistics> {
    if theirs.tokens != ours.leaf.tokens {
        return None;
    }
    let (provider, auditor) = (fingerprint::decode(&theirs.body).ok()?, fingerprint::decode(&ours.leaf.body).ok()?);
    if provider.len() != theirs.tokens.len() || auditor.len() != provider.len() {
        return None;
    }
    let mut window = tokens_of(ours);
    for (p, a) in provider.iter().zip(&auditor) {
        let delta = delta(p, a);
        window.delta_sum += delta;
        window.delta_position = window.delta_position.max(delta);
        window.tail += u32::from(total_variation(p, a) > TAIL);
    }
    window.delta_window = window.delta_sum;
    Some(window)
}

/// Adds a later window. Bounded inputs cannot reach the end of 32 bits; if they did, the sums would stop there.
fn add(total: &mut Statistics, window: &Statistics) {
    let Statistics { tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible } =
        window;
    total.tokens = total.tokens.saturating_add(*tokens);
    total.delta_sum = total.delta_sum.saturating_add(*delta_sum);
    total.delta_window = total.delta_window.max(*delta_window);
    total.delta_position = total.delta_position.max(*delta_position);
    total.margin_sum = total.margin_sum.saturating_add(*margin_sum);
    total.margin_window = total.margin_window.max(*margin_window);
    total.tail = total.tail.saturating_add(*tail);
    total.impossible = total.impossible.saturating_add(*impossible);
}

/// Whether such statistics can come from any answer at all: sums and their largest parts fit each other.
pub fn bounds(statistics: &Statistics) -> Result<(), Breach> {
    let Statistics { tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible } =
        *statistics;
    let windows = u64::from(super::leaf::count(tokens));
    let longest = u64::from(tokens.min(FINGERPRINT_WINDOW_TOKENS as u32));
    // A largest part is at least the average, and at most the whole.
    let parts = |part: u32, sum: u32, most_parts: u64, part_max: u64| {
        part <= sum && u64::from(part).saturating_mul(most_parts) >= u64::from(sum) && u64::from(part) <= part_max
    };
    let fits = parts(delta_window, delta_sum, windows, longest * u64::from(POSITION_DELTA_MAX))
        && parts(delta_position, delta_sum, tokens.into(), POSITION_DELTA_MAX.into())
        && delta_position <= delta_window
        && parts(margin_window, margin_sum, windows, longest * u64::from(MARGIN_1024THS_MAX))
        && tail <= tokens
        && impossible <= tokens;
    fits.then_some(()).ok_or(Breach::Impossible { what: "statistics" })
}

/// The same for what tokens say alone: no distance of fingerprints.
pub fn bounds_of_tokens(statistics: &Statistics) -> Result<(), Breach> {
    bounds(statistics)?;
    let Statistics { delta_sum, tail, .. } = *statistics;
    (delta_sum == 0 && tail == 0).then_some(()).ok_or(Breach::Impossible { what: "distances of what was not opened" })
}

/// T2 at one position, in 128ths of a nat: sixteenths, summed over eight tokens instead of averaged.
fn delta(provider: &[Likely], auditor: &[Likely]) -> u32 {
    let clipped = |a: u16, b: u16| u32::from(a.abs_diff(b)).min(DELTA_SIXTEENTHS_MAX);
    let theirs = provider.iter().map(|p| match find(auditor, p.id) {
        Some(a) => clipped(p.minus_sixteenths, a.minus_sixteenths),
        None => beyond(p, auditor),
    });
    let ours = auditor.iter().filter(|a| find(provider, a.id).is_none()).map(|a| beyond(a, provider));
    theirs.chain(ours).sum::<u32>().min(POSITION_DELTA_MAX)
}

/// How much more likely a token is than it can be where it is not listed, clipped.
fn beyond(token: &Likely, list: &[Likely]) -> u32 {
    u32::from(unlisted(list).saturating_sub(token.minus_sixteenths)).min(DELTA_SIXTEENTHS_MAX)
}

/// T3: the total variation of two distributions, or less: the larger of what one has more of and what the other has more of.
fn total_variation(a: &[Likely], b: &[Likely]) -> i64 {
    more(a, b).max(more(b, a))
}

/// What is more likely by `a` than by `b`, in all.
fn more(a: &[Likely], b: &[Likely]) -> i64 {
    let other = |id| find(b, id).map_or(unlisted(b), |token| token.minus_sixteenths);
    a.iter().map(|token| (probability(token.minus_sixteenths) - probability(other(token.id))).max(0)).sum()
}

fn probability(minus_sixteenths: u16) -> i64 {
    exp_minus(i64::from(minus_sixteenths) * (ONE / 16))
}

fn find(list: &[Likely], id: u32) -> Option<&Likely> {
    list.iter().find(|token| token.id == id)
}

/// As likely as a token can be that is not on the list. A list that is not full names every token that there is.
fn unlisted(list: &[Likely]) -> u16 {
    match list.last() {
        Some(last) if list.len() == FINGERPRINT_LIKELY_MAX => last.minus_sixteenths,
        _ => FINGERPRINT_SIXTEENTHS_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::leaf;
    use ainonymous_types::{Bytes32, Position};
    use proptest::prelude::*;

    fn listed(list: &[(u32, u16)]) -> Position {
        list.iter().map(|&(id, minus_sixteenths)| Likely { id, minus_sixteenths }).collect()
    }

    /// Eight tokens, each a nat less likely than the one before.
    fn usual() -> Position {
        (0..8).map(|i| Likely { id: i, minus_sixteenths: 9 + 16 * i as u16 }).collect()
    }

    fn opened(positions: &[Position]) -> Vec<OpenedLeaf> {
        let tokens: Vec<u32> = (0..positions.len() as u32).collect();
        leaf::leaves(&Bytes32([1; 32]), &tokens, positions).unwrap()
    }

    fn replayed(positions: &[Position], margin: u16) -> Vec<ReplayLeaf> {
        let of = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![margin; leaf.tokens.len()], impossible: 0, leaf };
        opened(positions).into_iter().map(of).collect()
    }

    fn measured(provider: &[Position], auditor: &[Position], margin: u16) -> Statistics {
        match outcome(&opened(provider), &replayed(auditor, margin)).unwrap() {
            Outcome::Measured(found) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_fingerprint_is_no_distance() {
        let same = measured(&vec![usual(); 40], &vec![usual(); 40], 0);
        assert_eq!(same, Statistics { tokens: 40, ..Statistics::default() });
    }

    /// Whoever opens nothing is judged by its tokens, never by more than if it had opened.
    #[test]
    fn what_tokens_say_is_there_without_a_fingerprint() {
        let mut replay = replayed(&vec![usual(); 40], 3);
        replay[1].impossible = 0b101;
        let Outcome::NotOpened(alone) = outcome(&[], &replay).unwrap() else { panic!("nothing was opened") };
        let expected =
            Statistics { tokens: 40, margin_sum: 120, margin_window: 96, impossible: 2, ..Statistics::default() };
        assert_eq!(alone, expected);
        bounds_of_tokens(&alone).unwrap();
        let Outcome::Measured(opened) = outcome(&opened(&vec![listed(&[(0, 0)]); 40]), &replay).unwrap() else {
            panic!("a measurement")
        };
        assert!(opened.delta_sum > 0 && bounds_of_tokens(&opened).is_err());
        let without = Statistics { delta_sum: 0, delta_window: 0, delta_position: 0, tail: 0, ..opened };
        assert_eq!(without, alone);
    }

    #[test]
    fn a_distance_counts_where_it_is() {
        let mut other = vec![usual(); 40];
        other[35][0].minus_sixteenths = 8;
        other[35][7].minus_sixteenths += 3;
        other[2][7].minus_sixteenths += 1;
        let found = measured(&vec![usual(); 40], &other, 2);
        assert_eq!((found.delta_sum, found.delta_window, found.delta_position), (5, 4, 4));
        assert_eq!((found.margin_sum, found.margin_window, found.tail), (80, 64, 0));
        bounds(&found).unwrap();
    }

    #[test]
    fn distances_are_clipped_and_the_missing_count_by_what_is_certain() {
        let far = listed(&[(0, 500)]);
        assert_eq!(delta(&listed(&[(0, 0)]), &far), DELTA_SIXTEENTHS_MAX);
        // The auditor's eighth is at 121: a token that it does not list is there at most.
        let mut others = usual();
        others[7] = Likely { id: 99, minus_sixteenths: 121 };
        assert_eq!(delta(&others, &usual()), 0, "it may be just below");
        others[7] = Likely { id: 99, minus_sixteenths: 118 };
        assert_eq!(delta(&others, &usual()), 3, "and at the other it is at 118 at most, which is no distance");
        assert_eq!(delta(&usual(), &others), 3);
        // A list that is not full says that there is nothing else.
        assert_eq!(delta(&listed(&[(0, 9)]), &usual()), 7 * DELTA_SIXTEENTHS_MAX);
        let nothing_in_common: Position =
            (0..8).map(|i| Likely { id: 50 + i, minus_sixteenths: 9 + 16 * i as u16 }).collect();
        assert!(delta(&nothing_in_common, &usual()) <= POSITION_DELTA_MAX);
    }

    #[test]
    fn the_tail_is_what_differs_by_more_than_a_tenth() {
        // e^(−2/16) = 0.882, e^(−4/16) = 0.779
        let near = |k| listed(&[(0, k), (1, 40), (2, 60), (3, 70), (4, 80), (5, 90), (6, 100), (7, 110)]);
        let (a, b, c) = (near(2), near(3), near(4));
        assert!(total_variation(&a, &b) < TAIL && total_variation(&a, &c) > TAIL);
        assert_eq!(total_variation(&a, &c), total_variation(&c, &a));
        assert_eq!(measured(&vec![a; 5], &vec![c; 5], 0).tail, 5);
    }

    #[test]
    fn what_is_no_fingerprint_of_these_tokens_is_a_mismatch() {
        let (good, replay) = (opened(&vec![usual(); 40]), replayed(&vec![usual(); 40], 0));
        let after = |spoil: fn(&mut Vec<OpenedLeaf>)| {
            let mut leaves = good.clone();
            spoil(&mut leaves);
            outcome(&leaves, &replay).unwrap()
        };
        assert!(matches!(after(|_| ()), Outcome::Measured(_)));
        assert_eq!(after(|l| l[0].tokens[5] += 1), Outcome::Mismatch, "another token");
        assert_eq!(after(|l| l.truncate(1)), Outcome::Mismatch, "too short");
        assert_eq!(after(|l| l.push(l[0].clone())), Outcome::Mismatch, "too long");
        assert_eq!(after(|l| l[1].body = l[0].body.clone()), Outcome::Mismatch, "more positions than tokens");
        assert_eq!(after(|l| l[1].body.truncate(3)), Outcome::Mismatch, "no fingerprint");
        assert!(matches!(after(|l| l.clear()), Outcome::NotOpened(_)), "nothing");
        let mut bad = replay.clone();
        bad[0].margins[0] = MARGIN_1024THS_MAX + 1;
        assert_eq!(outcome(&good, &bad).unwrap_err().code(), "out_of_range");
    }

    #[test]
    fn statistics_that_contradict_themselves_are_refused() {
        let good = Statistics {
            tokens: 40,
            delta_sum: 100,
            delta_window: 60,
            delta_position: 30,
            margin_sum: 50,
            margin_window: 25,
            tail: 40,
            impossible: 40,
        };
        bounds(&good).unwrap();
        bounds(&Statistics::default()).unwrap();
        let code = |spoil: fn(&mut Statistics)| {
            let mut s = good;
            spoil(&mut s);
            bounds(&s).map_err(|b| b.code())
        };
        for (what, spoil) in [
            ("more tail than tokens", (|s| s.tail = 41) as fn(&mut Statistics)),
            ("more impossible than tokens", |s| s.impossible = 41),
            ("a part larger than the whole", |s| s.delta_window = 101),
            ("a worst window below the average", |s| s.delta_window = 49),
            ("a worst position above its window", |s| s.delta_position = 61),
            ("a worst position below the average", |s| s.delta_position = 2),
            ("a margin below the average", |s| s.margin_window = 24),
            ("no tokens", |s| s.tokens = 0),
            ("past the clip", |s| (s.delta_sum, s.delta_window, s.delta_position) = (u32::MAX, u32::MAX, u32::MAX)),
        ] {
            assert_eq!(code(spoil), Err("impossible"), "{what}");
        }
    }

    fn any_window() -> impl Strategy<Value = Vec<Position>> {
        let token = (0u32..20, 0..=FINGERPRINT_SIXTEENTHS_MAX)
            .prop_map(|(id, minus_sixteenths)| Likely { id, minus_sixteenths });
        let position = prop::collection::vec(token, 1..12).prop_map(fingerprint::position);
        prop::collection::vec(position, 32)
    }

    proptest! {
        #[test]
        fn whatever_is_measured_is_within_bounds(a in any_window(), b in any_window(), margin in 0..=MARGIN_1024THS_MAX) {
            let found = measured(&a, &b, margin);
            prop_assert_eq!(bounds(&found), Ok(()));
            let back = measured(&b, &a, margin);
            prop_assert_eq!((found.delta_sum, found.tail), (back.delta_sum, back.tail), "a distance has no direction");
        }

        #[test]
        fn no_numbers_overflow(n in any::<[u32; 8]>()) {
            let [tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible] = n;
            let _ = bounds(&Statistics { tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible });
        }
    }
}
