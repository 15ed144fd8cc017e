//! How far a token is from being the one that the dice choose: zero for that one, and the least change of logits that would
//! have made it so for any other.
//!
//! Two machines compute logits that differ in their last digits, so now and then they choose differently where two tokens are
//! nearly even. Honest differences are small; a token that another model wrote, other dice or another temperature are far away.
//! This is the margin of Token-DiFR (arXiv 2511.20621), for which logits are not divided by the temperature, with one
//! addition: a token at an edge of the surviving set (`top_k`, `top_p`, `min_p`) may have been on its other side, so it is
//! not the draw alone that is compared. In nats of difference between two logits.

use super::{argmax, better, Candidate, Sampler, SCORE_ONE};
use ainonymous_verify::gumbel::Dice;

/// Margin of a token that could not have been chosen at all, and the largest that is told apart, in thousandths of a nat.
pub const MARGIN_MILLI_MAX: u32 = 64_000;

/// Halvings in the search for the least change: to a thousandth of a nat.
const HALVINGS: u32 = 16;

/// What the dice say of a token that somebody claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// The token that they choose.
    pub(crate) expected: u32,
    /// How far the claimed one is from that, in thousandths of a nat; 0 only for the same token or a margin below half of one.
    pub(crate) margin_milli: u32,
}

impl Sampler {
    /// Compares a token with the one that [`Self::choose`] takes at this position.
    pub(crate) fn judge(&mut self, logits: &[f32], position: u32, claimed: u32) -> Judged {
        let expected = self.choose(logits, position);
        if expected == claimed {
            return Judged { expected, margin_milli: 0 };
        }
        let margin = self.margin(logits, position, claimed) * 1_000.0;
        // What is not a number is far.
        let within = margin < f64::from(MARGIN_MILLI_MAX);
        Judged { expected, margin_milli: if within { margin.max(0.0).round() as u32 } else { MARGIN_MILLI_MAX } }
    }

    /// The margin of a token that is not chosen, in nats.
    fn margin(&mut self, logits: &[f32], position: u32, claimed: u32) -> f64 {
        let own = logits.get(claimed as usize).copied().filter(|logit| logit.is_finite());
        let Some(claimed) = own.map(|logit| Candidate { id: claimed, logit }) else { return f64::INFINITY };
        if self.is_greedy(logits) {
            let highest = logits.get(argmax(logits) as usize).copied().unwrap_or(f32::INFINITY);
            return f64::from(highest) - f64::from(claimed.logit);
        }
        let cuts = Cuts::new(self, logits);
        let dice = Dice::new(self.sampling.seed, position);
        let score = |sampler: &Self, c: Candidate| sampler.score(c, dice.noise(c.id)) / SCORE_ONE;
        let own_score = score(self, claimed);
        let ahead = |(score, c): &(f64, Candidate)| *score > own_score || (*score == own_score && c.id < claimed.id);
        self.survivors(logits);
        let scored = self.candidates.iter().map(|c| (score(self, *c), *c));
        let mut rivals: Vec<(f64, Candidate)> = scored.filter(ahead).collect();
        rivals.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
        // A change must let the token survive, and every rival must be either outscored or cut. Of the highest rivals the
        // cheapest number is cut.
        let most = f64::from(MARGIN_MILLI_MAX) / 1_000.0;
        let mut change = least(most, |change| cuts.may_keep(claimed, change));
        let mut best = f64::INFINITY;
        for (score, rival) in rivals {
            best = best.min(change.max(score - own_score));
            if change >= best {
                return best;
            }
            change = change.max(least(best, |change| cuts.may_cut(rival, change)));
        }
        best.min(change)
    }
}

/// The edges of the surviving set.
struct Cuts {
    /// Where `top_p` cuts: what `top_k` left, the most likely first, each with the weight of all before it among the probabilities. Sorted once,
    /// because a token far down has thousands of rivals, and whoever answers chooses the token.
    ranked: Vec<(Candidate, f64)>,
    total: f64,
    /// The lowest logit that `top_k` left and the highest that it cut.
    top_k: Option<(f64, f64)>,
    /// Logarithm of the odds of `top_p`.
    top_p: Option<f64>,
    /// The lowest logit that `min_p` leaves.
    floor: f64,
}

impl Cuts {
    fn new(sampler: &Sampler, logits: &[f32]) -> Self {
        let s = sampler.sampling;
        let candidates = logits.iter().zip(0u32..).map(|(&logit, id)| Candidate { id, logit });
        let mut all: Vec<Candidate> = candidates.filter(|c| !c.logit.is_nan()).collect();
        let k = s.top_k as usize;
        let mut top_k = None;
        if k > 0 && k < all.len() {
            all.select_nth_unstable_by(k, better);
            let lowest = all[..k].iter().map(|c| f64::from(c.logit)).fold(f64::INFINITY, f64::min);
            top_k = Some((lowest, f64::from(all[k].logit)));
            all.truncate(k);
        }
        let highest = all.iter().map(|c| f64::from(c.logit)).fold(f64::NEG_INFINITY, f64::max);
        let (mut ranked, mut total) = (Vec::new(), 0.0);
        if s.top_p_milli < 1_000 {
            all.sort_unstable_by(better);
            ranked.reserve_exact(all.len());
            for c in all {
                ranked.push((c, total));
                total += (f64::from(c.logit) - highest).exp();
            }
        }
        let top_p = (s.top_p_milli < 1_000).then(|| log_odds(f64::from(s.top_p_milli) / 1_000.0));
        let floor = match s.min_p_milli {
            0 => f64::NEG_INFINITY,
            milli => highest + (f64::from(milli.min(1_000)) / 1_000.0).ln(),
        };
        Self { ranked, total, top_k, top_p, floor }
    }

    /// Could the candidate survive if logits differed by so much?
    fn may_keep(&self, c: Candidate, change: f64) -> bool {
        let raised = f64::from(c.logit) + change;
        self.top_k.is_none_or(|(lowest, _)| raised >= lowest)
            && self.top_p.is_none_or(|p| self.odds_above(raised, c) - change < p || self.is_first(raised, c))
            && raised >= self.floor
    }

    /// Could the candidate be cut if logits differed by so much?
    fn may_cut(&self, c: Candidate, change: f64) -> bool {
        let lowered = f64::from(c.logit) - change;
        self.top_k.is_some_and(|(_, next)| lowered <= next)
            || self.top_p.is_some_and(|p| self.odds_above(lowered, c) + change >= p && !self.is_first(lowered, c))
            || lowered < self.floor
    }

    /// Logarithm of the odds of all others whose logits are above this; `c` is where the token stands by itself.
    fn odds_above(&self, logit: f64, c: Candidate) -> f64 {
        let end = self.above(logit);
        let weight = self.ranked.get(end).map_or(self.total, |(_, before)| *before);
        let own = self.place(c).filter(|place| *place < end);
        let own = own.map_or(0.0, |place| {
            let (_, before) = self.ranked[place];
            self.ranked.get(place + 1).map_or(self.total, |(_, next)| *next) - before
        });
        log_odds((weight - own).max(0.0) / self.total)
    }

    /// Is no other above this? The first survives whatever `top_p` is.
    fn is_first(&self, logit: f64, c: Candidate) -> bool {
        let end = self.above(logit);
        end == 0 || (end == 1 && self.ranked[0].0.id == c.id)
    }

    /// How many have logits above this.
    fn above(&self, logit: f64) -> usize {
        self.ranked.partition_point(|(c, _)| f64::from(c.logit) > logit)
    }

    /// Where a token stands, if `top_k` left it.
    fn place(&self, c: Candidate) -> Option<usize> {
        self.ranked.binary_search_by(|(other, _)| better(other, &c)).ok()
    }
}

fn log_odds(p: f64) -> f64 {
    (p / (1.0 - p).max(f64::MIN_POSITIVE)).ln()
}

/// The least change at which something is possible, which it stays above that; infinite if it is not at `most`.
fn least(most: f64, possible: impl Fn(f64) -> bool) -> f64 {
    if possible(0.0) {
        return 0.0;
    }
    if !most.is_finite() || !possible(most) {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, most);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if possible(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::Sampling;
    use ainonymous_verify::gumbel::NOISE_ONE;
    use proptest::prelude::*;

    fn sampling(temperature_milli: u32) -> Sampling {
        Sampling { temperature_milli, top_p_milli: 1_000, min_p_milli: 0, top_k: 0, seed: 7 }
    }

    fn margin(sampling: Sampling, logits: &[f32], claimed: u32) -> u32 {
        Sampler::new(sampling).judge(logits, 3, claimed).margin_milli
    }

    #[test]
    fn without_dice_it_is_the_difference_to_the_most_likely() {
        assert_eq!(margin(sampling(0), &[1.0, 3.0, 2.5, -9.0], 1), 0);
        assert_eq!(margin(sampling(0), &[1.0, 3.0, 2.5, -9.0], 2), 500);
        assert_eq!(margin(sampling(0), &[1.0, 3.0, 3.0, -9.0], 2), 0, "a tie is no difference");
        assert_eq!(margin(sampling(0), &[1.0, 3.0, f32::NEG_INFINITY, f32::NAN], 2), MARGIN_MILLI_MAX);
        assert_eq!(margin(sampling(0), &[1.0, 3.0, f32::NEG_INFINITY, f32::NAN], 3), MARGIN_MILLI_MAX);
        assert_eq!(margin(sampling(0), &[1.0, 3.0], 9), MARGIN_MILLI_MAX, "no such token");
        assert_eq!(margin(sampling(0), &[1e9, 3.0], 1), MARGIN_MILLI_MAX);
    }

    #[test]
    fn with_dice_it_is_the_difference_of_what_they_compare() {
        let logits: Vec<f32> = (0..20).map(|i| (i as f32 * 0.9).sin() * 2.0).collect();
        let mut sampler = Sampler::new(sampling(700));
        let dice = Dice::new(7, 3);
        let noise = |id| f64::from(dice.noise(id)) / f64::from(NOISE_ONE);
        let scores: Vec<f64> = logits.iter().zip(0..).map(|(&logit, id)| f64::from(logit) + 0.7 * noise(id)).collect();
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (id, score) in (0..).zip(&scores) {
            let judged = sampler.judge(&logits, 3, id);
            assert_eq!(judged.margin_milli, ((highest - score) * 1_000.0).round() as u32);
            assert_eq!(scores[judged.expected as usize], highest);
        }
    }

    #[test]
    fn what_was_cut_is_as_far_as_the_edge() {
        // Where the dice do not matter: at 1/1000 of a degree the order is that of the logits.
        let logits = [5.0, 4.0, 3.99, 1.0, 0.0];
        let two = Sampling { top_k: 2, ..sampling(1) };
        let far = margin(Sampling { top_k: 4, ..sampling(1) }, &logits, 4);
        assert!((4_990..5_010).contains(&far), "{far}");
        // Its noise wins by far, but it does not survive.
        let hot = Sampling { temperature_milli: 5_000, ..two };
        let lucky = (0..5_000).find(|&position| Sampler::new(sampling(5_000)).choose(&logits, position) == 2).unwrap();
        let judged = Sampler::new(hot).judge(&logits, lucky, 2);
        assert!((9..=11).contains(&judged.margin_milli) && judged.expected != 2, "{judged:?}");
        let floor = Sampling { top_k: 0, min_p_milli: 367, ..hot };
        let lucky = (0..5_000).find(|&position| Sampler::new(sampling(5_000)).choose(&logits, position) == 3).unwrap();
        let below = Sampler::new(floor).judge(&logits, lucky, 3).margin_milli;
        assert!((2_996..=3_000).contains(&below), "{below}");
    }

    #[test]
    fn a_rival_at_the_edge_counts_as_little_as_its_distance_from_it() {
        // Half of the probability is the first token's; `top_p` keeps the second by a hair.
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
        let cut = Sampling { top_p_milli: 501, ..sampling(5_000) };
        let open = Sampling { top_p_milli: 1_000, ..cut };
        let position = (0..5_000).find(|&p| Sampler::new(open).choose(&logits, p) == 1).unwrap();
        let judged = Sampler::new(cut).judge(&logits, position, 0);
        assert_eq!(judged.expected, 1);
        assert!((3..=5).contains(&judged.margin_milli), "{judged:?}");
        assert!(Sampler::new(open).judge(&logits, position, 0).margin_milli > 5);
    }

    /// Whoever answers may claim the least likely of a large vocabulary: with a look at all tokens for each of its rivals this would take minutes.
    #[test]
    fn a_token_far_down_among_many_is_judged_soon() {
        let logits: Vec<f32> = (0..60_000).map(|i| (i as f32 * 0.37).sin() * 0.01).collect();
        let wide = Sampling { top_p_milli: 999, ..sampling(1_500) };
        let judged: Vec<Judged> = (0..4).map(|position| Sampler::new(wide).judge(&logits, position, 17)).collect();
        assert!(
            judged.iter().all(|judged| judged.margin_milli > 0 && judged.margin_milli < MARGIN_MILLI_MAX),
            "{judged:?}"
        );
    }

    prop_compose! {
        fn any_sampling()(
            temperature_milli in prop_oneof![Just(0), 1u32..3_000],
            top_p_milli in prop_oneof![Just(1_000), 0u32..1_000],
            min_p_milli in prop_oneof![Just(0), 0u32..=1_000],
            top_k in 0u32..40,
            seed in 0u64..1_000,
        ) -> Sampling {
            Sampling { temperature_milli, top_p_milli, min_p_milli, top_k, seed }
        }
    }

    proptest! {
        /// Whatever the settings: a token that logits within a bound would have chosen has a margin within that bound.
        #[test]
        fn small_differences_have_small_margins(
            sampling in any_sampling(),
            rows in prop::collection::vec((-80i32..80, -100i32..=100), 2..120),
            scale in 1u32..100,
            position in 0u32..10_000,
        ) {
            let (mine, theirs): (Vec<f32>, Vec<f32>) = rows.iter().map(|&(logit, noise)| {
                let logit = logit as f32 / 10.0;
                (logit, logit + noise as f32 / 100.0 * scale as f32 / 1_000.0)
            }).unzip();
            let claimed = Sampler::new(sampling).choose(&theirs, position);
            let judged = Sampler::new(sampling).judge(&mine, position, claimed);
            prop_assert!(judged.margin_milli <= 2 * scale + 2, "{judged:?}");
        }

        /// The odds are those of all others that are above, added up one by one.
        #[test]
        fn odds_are_those_of_what_is_above(
            logits in prop::collection::vec(-8f32..8.0, 2..80),
            top_k in 0u32..40,
            of in 0usize..80,
            at in -9f64..9.0,
        ) {
            let sampler = Sampler::new(Sampling { top_p_milli: 500, top_k, ..sampling(1_000) });
            let cuts = Cuts::new(&sampler, &logits);
            let id = of % logits.len();
            let c = Candidate { id: id as u32, logit: logits[id] };
            let kept = || cuts.ranked.iter().map(|(c, _)| *c);
            let weight = |c: Candidate| f64::from(c.logit).exp();
            let above = || kept().filter(|other| f64::from(other.logit) > at && other.id != c.id);
            let share = above().map(weight).sum::<f64>() / kept().map(weight).sum::<f64>();
            let odds = cuts.odds_above(at, c);
            let is_edge = !(1e-9..=1.0 - 1e-9).contains(&share);
            prop_assert!((odds - log_odds(share)).abs() < 1e-3 || is_edge, "{odds} {share}");
            prop_assert_eq!(cuts.is_first(at, c), above().next().is_none());
        }

        /// And the token that is chosen has none.
        #[test]
        fn what_is_chosen_has_no_margin(
            sampling in any_sampling(),
            logits in prop::collection::vec(-8f32..8.0, 2..120),
            position in 0u32..10_000,
        ) {
            let claimed = Sampler::new(sampling).choose(&logits, position);
            let judged = Sampler::new(sampling).judge(&logits, position, claimed);
            prop_assert_eq!(judged, Judged { expected: claimed, margin_milli: 0 });
        }
    }
}
