//! Changes logits before tokens are chosen: penalties for what was said already, biases, and no end before its time.
//!
//! Works on a copy; whoever wants the model's own probabilities reads the original. Pure: the same history and logits give
//! the same copy.

use crate::request::Adjust;
use std::collections::{HashMap, VecDeque};

/// Applies one question's adjustments.
#[derive(Debug)]
pub(crate) struct Adjuster {
    adjust: Adjust,
    /// Tokens that must not be chosen.
    forbidden: Vec<u32>,
    /// The last tokens, prompt included, oldest first; whether each is of the answer.
    recent: VecDeque<(u32, bool)>,
    /// How often each token stands in `recent`: at all, and in the answer.
    counts: HashMap<u32, (u32, u32)>,
    logits: Vec<f32>,
}

impl Adjuster {
    /// For a question whose prompt ends with these tokens. `None` if nothing is to be changed.
    pub(crate) fn new(
        adjust: &Adjust,
        forbidden: Vec<u32>,
        prompt: impl DoubleEndedIterator<Item = u32>,
    ) -> Option<Self> {
        if adjust.is_neutral() && forbidden.is_empty() {
            return None;
        }
        let empty = (VecDeque::new(), HashMap::new(), Vec::new());
        let mut adjuster =
            Self { adjust: adjust.clone(), forbidden, recent: empty.0, counts: empty.1, logits: empty.2 };
        if adjuster.looks_back() && adjust.last_tokens > 0 {
            let tail: Vec<u32> = prompt.rev().take(adjust.last_tokens as usize).collect();
            tail.into_iter().rev().for_each(|token| adjuster.saw(token, false));
        }
        Some(adjuster)
    }

    /// The changed logits.
    pub(crate) fn apply(&mut self, logits: &[f32]) -> &mut [f32] {
        let Self { adjust, forbidden, recent: _, counts, logits: changed } = self;
        let Adjust { repetition, presence, frequency, last_tokens: _, bias } = adjust;
        changed.clear();
        changed.extend_from_slice(logits);
        for (&token, &(all, answered)) in counts.iter() {
            let Some(logit) = changed.get_mut(token as usize) else { continue };
            if all > 0 && *repetition != 1.0 {
                *logit = if *logit > 0.0 { *logit / *repetition } else { *logit * *repetition };
            }
            if answered > 0 {
                *logit -= *presence + *frequency * answered as f32;
            }
        }
        for (token, bias) in bias {
            if let Some(logit) = changed.get_mut(*token as usize) {
                *logit += *bias;
            }
        }
        for &token in forbidden.iter() {
            if let Some(logit) = changed.get_mut(token as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        changed
    }

    /// A token was chosen.
    pub(crate) fn chose(&mut self, token: u32) {
        if self.looks_back() {
            self.saw(token, true);
        }
    }

    fn looks_back(&self) -> bool {
        self.adjust.repetition != 1.0 || self.adjust.presence != 0.0 || self.adjust.frequency != 0.0
    }

    fn saw(&mut self, token: u32, answered: bool) {
        let count = self.counts.entry(token).or_default();
        count.0 += 1;
        count.1 += u32::from(answered);
        let window = self.adjust.last_tokens as usize;
        if window == 0 {
            return;
        }
        self.recent.push_back((token, answered));
        if self.recent.len() > window {
            let Some((old, answered)) = self.recent.pop_front() else { return };
            if let Some(count) = self.counts.get_mut(&old) {
                count.0 -= 1;
                count.1 -= u32::from(answered);
                if count.0 == 0 {
                    self.counts.remove(&old);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(adjust: Adjust, prompt: &[u32], answer: &[u32]) -> Vec<f32> {
        let mut adjuster = Adjuster::new(&adjust, vec![], prompt.iter().copied()).unwrap();
        answer.iter().for_each(|&token| adjuster.chose(token));
        adjuster.apply(&[2.0, -2.0, 1.0, 0.0]).to_vec()
    }

    #[test]
    fn nothing_to_change_is_nothing() {
        assert!(Adjuster::new(&Adjust::default(), vec![], [1].into_iter()).is_none());
        assert!(Adjuster::new(&Adjust::default(), vec![1], [1].into_iter()).is_some());
    }

    #[test]
    fn penalties_do_what_they_say() {
        let repetition = Adjust { repetition: 2.0, ..Adjust::default() };
        assert_eq!(with(repetition.clone(), &[0], &[1]), [1.0, -4.0, 1.0, 0.0], "prompt and answer");
        let presence = Adjust { presence: 0.5, ..Adjust::default() };
        assert_eq!(with(presence, &[0], &[2, 2]), [2.0, -2.0, 0.5, 0.0], "the answer, once");
        let frequency = Adjust { frequency: 0.5, ..Adjust::default() };
        assert_eq!(with(frequency, &[0], &[2, 2]), [2.0, -2.0, 0.0, 0.0], "the answer, each time");
        let short = Adjust { last_tokens: 1, ..repetition };
        assert_eq!(with(short, &[0], &[1, 2]), [2.0, -2.0, 0.5, 0.0], "only the last");
        let all = Adjust { frequency: 1.0, last_tokens: 0, ..Adjust::default() };
        assert_eq!(with(all, &[0], &[3; 100])[3], -100.0, "all of the answer");
    }

    #[test]
    fn biases_and_bans() {
        let adjust = Adjust { bias: vec![(3, 5.0), (9_999, 1.0)], ..Adjust::default() };
        let mut adjuster = Adjuster::new(&adjust, vec![0], std::iter::empty()).unwrap();
        assert_eq!(adjuster.apply(&[2.0, -2.0, 1.0, 0.0]), [f32::NEG_INFINITY, -2.0, 1.0, 5.0]);
    }
}
