//! The fingerprint of an answer while it is said: window by window, so that a long answer takes little memory.
//!
//! Positions come with tokens, or not at all: if one is missing there is no fingerprint, and the receipt says so with zeros.

use ainonymous_types::limits::FINGERPRINT_WINDOW_TOKENS;
use ainonymous_types::{Bytes32, OpenedLeaf, Position};
use ainonymous_verify::audit::leaf;

/// A fingerprint that is being recorded.
pub struct Recording {
    secret: Bytes32,
    tokens: Vec<u32>,
    positions: Vec<Position>,
    leaves: Vec<OpenedLeaf>,
    whole: bool,
}

/// A fingerprint: what the receipt names, and what is shown to whoever may see it.
#[derive(Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Root over the leaves.
    pub root: Bytes32,
    /// In order.
    pub leaves: Vec<OpenedLeaf>,
}

impl Recording {
    /// Nothing said so far. The salts of the leaves are drawn from `secret`, 32 random bytes of this answer alone.
    pub fn new(secret: Bytes32) -> Self {
        Self { secret, tokens: Vec::new(), positions: Vec::new(), leaves: Vec::new(), whole: true }
    }

    /// The next token, and what the model found likely in its place.
    pub fn push(&mut self, token: u32, position: Option<Position>) {
        let Some(position) = position.filter(|_| self.whole) else {
            self.whole = false;
            return;
        };
        self.tokens.push(token);
        self.positions.push(position);
        if self.tokens.len() == FINGERPRINT_WINDOW_TOKENS {
            self.close_window();
        }
    }

    /// The fingerprint of all that was pushed; none if it is not whole, or of nothing.
    pub fn finish(mut self) -> Option<Recorded> {
        self.close_window();
        let recorded = Recorded { root: leaf::fingerprint(&self.leaves), leaves: self.leaves };
        (self.whole && !recorded.leaves.is_empty()).then_some(recorded)
    }

    fn close_window(&mut self) {
        let (tokens, positions) = (std::mem::take(&mut self.tokens), std::mem::take(&mut self.positions));
        let index = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        match leaf::window(&self.secret, index, &tokens, &positions) {
            _ if tokens.is_empty() => {}
            Ok(leaf) => self.leaves.push(leaf),
            // Not what an engine of ours says: no fingerprint rather than one that does not decode.
            Err(_) => self.whole = false,
        }
    }
}

impl std::fmt::Debug for Recording {
    /// Leaves out what was likely: it tells the text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recording({} leaves)", self.leaves.len())
    }
}

impl std::fmt::Debug for Recorded {
    /// Leaves out what was likely: it tells the text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorded({} leaves)", self.leaves.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::Likely;
    use proptest::prelude::*;

    const SECRET: Bytes32 = Bytes32([7; 32]);

    fn position(n: u32) -> Position {
        vec![Likely { id: n, minus_sixteenths: 1 }, Likely { id: n + 1, minus_sixteenths: 40 }]
    }

    fn record(tokens: &[u32], missing: Option<usize>) -> Option<Recorded> {
        let mut recording = Recording::new(SECRET);
        for (at, token) in tokens.iter().enumerate() {
            recording.push(*token, (missing != Some(at)).then(|| position(*token)));
        }
        recording.finish()
    }

    proptest! {
        #[test]
        fn window_by_window_is_the_same_as_all_at_once(tokens in prop::collection::vec(0u32..1_000, 1..150)) {
            let positions: Vec<Position> = tokens.iter().map(|token| position(*token)).collect();
            let whole = leaf::leaves(&SECRET, &tokens, &positions).unwrap();
            let recorded = record(&tokens, None).unwrap();
            prop_assert_eq!(recorded.root, leaf::fingerprint(&whole));
            prop_assert_eq!(recorded.leaves, whole);
        }

        #[test]
        fn one_token_without_its_position_and_there_is_no_fingerprint(length in 1usize..100, at in any::<prop::sample::Index>()) {
            let tokens: Vec<u32> = (0..length as u32).collect();
            prop_assert!(record(&tokens, Some(at.index(length))).is_none());
        }
    }

    #[test]
    fn nothing_said_and_what_does_not_encode_have_none() {
        assert!(record(&[], None).is_none());
        let mut recording = Recording::new(SECRET);
        recording.push(1, Some(vec![]));
        assert!(recording.finish().is_none());
    }

    #[test]
    fn debug_output_tells_nothing() {
        let recorded = record(&[4_711; 40], None).unwrap();
        assert_eq!(format!("{recorded:?}"), "Recorded(2 leaves)");
    }
}
