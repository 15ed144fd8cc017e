//! Which answers are being computed again now, here or by auditors who were shown them: so that people see that something is under way.
//!
//! An answer may be looked at for two reasons at once. Each is counted, so that the end of one does not hide the other.

use crate::node::lock;
use ainonymous_types::Bytes32;
use std::collections::HashMap;
use std::sync::Mutex;

/// How often each answer is looked at, by the leaf of its receipt. Bounded by those who look.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<HashMap<Bytes32, usize>>);

/// An answer that is looked at until this is dropped.
#[derive(Debug)]
pub(super) struct Running<'a> {
    runs: &'a Runs,
    leaf: Bytes32,
}

impl Runs {
    /// Whether somebody looks at it.
    pub(super) fn has(&self, leaf: &Bytes32) -> bool {
        lock(&self.0).contains_key(leaf)
    }

    /// Somebody looks at it until what this returns is dropped.
    pub(super) fn begin(&self, leaf: &Bytes32) -> Running<'_> {
        *lock(&self.0).entry(*leaf).or_default() += 1;
        Running { runs: self, leaf: *leaf }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut runs = lock(&self.runs.0);
        let left = runs.get(&self.leaf).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => runs.remove(&self.leaf),
            _ => runs.insert(self.leaf, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_looked_at_until_the_last_has_ended() {
        let (runs, leaf) = (Runs::default(), Bytes32([1; 32]));
        let (own, shown) = (runs.begin(&leaf), runs.begin(&leaf));
        assert!(runs.has(&leaf) && !runs.has(&Bytes32([2; 32])));
        drop(own);
        assert!(runs.has(&leaf), "the other goes on");
        drop(shown);
        assert!(!runs.has(&leaf));
        assert!(lock(&runs.0).is_empty(), "nothing is left behind");
    }
}
