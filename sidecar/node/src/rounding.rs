//! What no rounding explains, where nobody has measured how two kinds of machines differ.
//!
//! A distance that was measured: the same weights in four bits come nearly so far from eight, and honest machines nowhere near, five instruction
//! sets and a software graphics card by each other among them. So who is further away, in the tokens alone, has not computed what was asked:
//! another model, another question, other dice. This says nothing of cheaper weights, which tables are for, and accuses nobody before others: it
//! is what a node thinks of an answer that it was given (docs/adr/0045).

use ainonymous_types::{Outcome, Statistics};

/// Of shorter answers nothing follows.
const TOKENS_MIN: u32 = 32;
/// Mean distance of a token from the model's own choice, in 1024ths of a nat; each counts for half a nat at most (`limits::MARGIN_1024THS_MAX`). Of answers of 32 to 64 tokens at
/// temperature 1 honest ones came to 1.1 at most, those of the same weights in four bits to 88, those of other models, seeds and caches to 96 or more in 186 of 212.
const MARGIN_MEAN_1024THS: u32 = 96;

/// Whether an answer that was compared whole is further from the model than any rounding, by its tokens.
pub(crate) fn is_beyond(outcome: &Outcome) -> bool {
    let (Outcome::Measured(found) | Outcome::NotOpened(found)) = outcome else { return false };
    let Statistics { tokens, margin_sum, .. } = *found;
    tokens >= TOKENS_MIN && margin_sum >= tokens.saturating_mul(MARGIN_MEAN_1024THS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_answers_that_are_far_away_are_beyond() {
        let of = |tokens: u32, margin_sum: u32| Statistics { tokens, margin_sum, ..Statistics::default() };
        for (tokens, margin_sum, expected) in [
            (32, 32 * 96, true),
            (32, 32 * 96 - 1, false),
            (31, 31 * 512, false),
            (0, 0, false),
            (256, 256 * 512, true),
            (u32::MAX, 0, false),
        ] {
            for outcome in [Outcome::Measured(of(tokens, margin_sum)), Outcome::NotOpened(of(tokens, margin_sum))] {
                assert_eq!(is_beyond(&outcome), expected, "{outcome:?}");
            }
        }
        // Fingerprints have no part in it: between unlike machines they may be as far apart as they like.
        let apart = Statistics { delta_sum: u32::MAX, tail: 64, impossible: 64, ..of(64, 0) };
        assert!(!is_beyond(&Outcome::Measured(apart)) && !is_beyond(&Outcome::Mismatch));
    }
}
