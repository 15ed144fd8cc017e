//! A plain classifier: naive Bayes over features that are whole numbers. Whatever it can tell, a provider can tell as cheaply.

use std::collections::{HashMap, HashSet};

/// What is known of one question: the n-th number is the n-th feature.
pub(super) type Features = Vec<u64>;

/// What was learned from examples of two kinds.
#[derive(Default)]
pub(super) struct Classifier {
    /// How often a feature had a value, in each kind.
    seen: HashMap<(usize, u64), [u64; 2]>,
    /// Values that a feature had.
    values: HashMap<usize, HashSet<u64>>,
    examples: [u64; 2],
}

impl Classifier {
    pub(super) fn of(canaries: &[Features], others: &[Features]) -> Self {
        let mut learned = Self::default();
        for (kind, examples) in [canaries, others].into_iter().enumerate() {
            learned.examples[kind] = examples.len() as u64;
            for (feature, value) in examples.iter().flat_map(|example| example.iter().copied().enumerate()) {
                learned.seen.entry((feature, value)).or_default()[kind] += 1;
                learned.values.entry(feature).or_default().insert(value);
            }
        }
        learned
    }

    /// Whether it takes this for a canary: which kind it is likelier from, each value counted once more than it was seen.
    pub(super) fn is_canary(&self, features: &Features) -> bool {
        let likely = |kind: usize| {
            let each = features.iter().copied().enumerate().map(|(feature, value)| {
                let seen = self.seen.get(&(feature, value)).map_or(0, |seen| seen[kind]);
                let values = self.values.get(&feature).map_or(0, HashSet::len) as u64 + 1;
                ((seen + 1) as f64 / (self.examples[kind] + values) as f64).ln()
            });
            each.sum::<f64>()
        };
        likely(0) > likely(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_apart_what_differs_and_nothing_else() {
        let (even, odd): (Vec<Features>, Vec<Features>) =
            ((0..50).map(|n| vec![n % 3, 0]).collect(), (0..50).map(|n| vec![n % 3, 1]).collect());
        let learned = Classifier::of(&even, &odd);
        assert!(even.iter().all(|example| learned.is_canary(example)));
        assert!(!odd.iter().any(|example| learned.is_canary(example)));
        assert!(!Classifier::of(&even, &even).is_canary(&even[0]), "alike: it says no");
    }
}
