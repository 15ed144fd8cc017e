//! Beginnings of prompts whose computation is kept: in the sequences themselves, and as copies in memory.
//!
//! A sequence keeps what its last answer left, which serves the next turn of a conversation without a copy. Copies serve
//! everybody else: the beginning before the last message (system prompt and history) is copied while a prompt is computed,
//! and a conversation is copied when its sequence is given to another. Copies are whole states, because a sliding-window
//! cache cannot be taken back to an earlier position; the least recently used give way to a budget of bytes.

use crate::llama::Token;

/// Shorter beginnings are computed faster than they are looked after.
pub(super) const PREFIX_TOKENS_MIN: usize = 48;
/// Most copies kept, whatever their size.
const COPIES_MAX: usize = 256;

/// How many tokens two texts have in common at their beginning.
pub(super) fn common(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Copies of computed beginnings.
#[derive(Debug)]
pub(super) struct PrefixStore {
    copies: Vec<Copy>,
    bytes: usize,
    bytes_max: usize,
    clock: u64,
}

#[derive(Debug)]
struct Copy {
    tokens: Vec<Token>,
    state: Vec<u8>,
    used: u64,
}

impl Copy {
    fn bytes(&self) -> usize {
        self.state.len() + self.tokens.len() * size_of::<Token>()
    }
}

impl PrefixStore {
    /// Keeps at most so many bytes; 0 keeps nothing.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { copies: Vec::new(), bytes: 0, bytes_max, clock: 0 }
    }

    /// The longest copy that `prompt` begins with and goes on after: its length and state.
    pub(super) fn longest(&mut self, prompt: &[Token]) -> Option<(usize, &[u8])> {
        let begins = |c: &&mut Copy| c.tokens.len() < prompt.len() && prompt.starts_with(&c.tokens);
        let found = self.copies.iter_mut().filter(begins).max_by_key(|c| c.tokens.len())?;
        self.clock += 1;
        found.used = self.clock;
        Some((found.tokens.len(), &found.state))
    }

    /// Is a copy of exactly these tokens wanted: long enough, and not there yet?
    pub(super) fn wants(&self, tokens: &[Token], state_bytes: usize) -> bool {
        tokens.len() >= PREFIX_TOKENS_MIN
            && state_bytes <= self.bytes_max / 2
            && !self.copies.iter().any(|c| c.tokens == tokens)
    }

    /// Keeps a copy; the least recently used make room for it.
    pub(super) fn insert(&mut self, tokens: &[Token], state: Vec<u8>) {
        self.clock += 1;
        let copy = Copy { tokens: tokens.to_vec(), state, used: self.clock };
        if copy.bytes() > self.bytes_max {
            return;
        }
        self.bytes += copy.bytes();
        self.copies.push(copy);
        while self.bytes > self.bytes_max || self.copies.len() > COPIES_MAX {
            let Some((oldest, _)) = self.copies.iter().enumerate().min_by_key(|(_, c)| c.used) else { return };
            self.bytes -= self.copies.swap_remove(oldest).bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(n: usize, last: Token) -> Vec<Token> {
        let mut tokens: Vec<Token> = (0..n as Token).collect();
        tokens[n - 1] = last;
        tokens
    }

    #[test]
    fn the_longest_beginning_is_found_and_the_whole_prompt_is_not_one() {
        let mut store = PrefixStore::new(1 << 20);
        store.insert(&tokens(50, -1), vec![1]);
        store.insert(&tokens(60, 59), vec![2]);
        store.insert(&tokens(70, 69), vec![3]);
        assert_eq!(store.longest(&tokens(65, 64)), Some((60, &[2][..])));
        assert_eq!(store.longest(&tokens(70, 69)), Some((60, &[2][..])), "one token is left to compute");
        assert_eq!(store.longest(&tokens(71, 70)), Some((70, &[3][..])));
        assert_eq!(store.longest(&tokens(60, -2)), None);
    }

    #[test]
    fn the_least_recently_used_give_way() {
        let state = |n| vec![n; 1_000];
        let mut store = PrefixStore::new(3_000);
        store.insert(&tokens(50, -1), state(1));
        store.insert(&tokens(50, -2), state(2));
        let mut longer = tokens(50, -1);
        longer.push(7);
        assert!(store.longest(&longer).is_some());
        store.insert(&tokens(50, -3), state(3));
        assert!(store.bytes <= 3_000);
        assert!(store.longest(&longer).is_some(), "used lately");
        longer[49] = -2;
        assert!(store.longest(&longer).is_none(), "not used");
        assert!(!store.wants(&tokens(50, -3), 10), "there already");
        assert!(!store.wants(&tokens(PREFIX_TOKENS_MIN - 1, 0), 10), "too short");
        assert!(!store.wants(&tokens(50, -9), 1_501), "would take more than half");
        assert!(store.wants(&tokens(50, -9), 1_500));
    }

    #[test]
    fn nothing_is_kept_without_a_budget() {
        let mut store = PrefixStore::new(0);
        store.insert(&tokens(50, -1), vec![]);
        assert_eq!(store.bytes, 0);
        assert!(!store.wants(&tokens(50, -1), 1));
    }
}
