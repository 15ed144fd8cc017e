//! The places of a context: who answers in which, what each still holds, and how a new prompt finds a beginning of itself
//! that is computed already.

use super::prefixes::{common, PrefixStore, PREFIX_TOKENS_MIN};
use super::slot::Slot;
use crate::llama::{Context, Token};

/// A place for one answer.
#[derive(Default)]
pub(super) struct Sequence {
    pub(super) slot: Option<Slot>,
    /// Tokens whose computation an earlier answer left here.
    left: Vec<Token>,
    /// When it was last in use; counts.
    used: u64,
}

/// All places.
pub(super) struct Sequences {
    pub(super) all: Vec<Sequence>,
    pub(super) prefixes: PrefixStore,
    clock: u64,
}

impl Sequences {
    pub(super) fn new(count: u32, prefix_bytes_max: usize) -> Self {
        let all = (0..count).map(|_| Sequence::default()).collect();
        Self { all, prefixes: PrefixStore::new(prefix_bytes_max), clock: 0 }
    }

    pub(super) fn has_free(&self) -> bool {
        self.all.iter().any(|s| s.slot.is_none())
    }

    /// Answers under way.
    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.all.iter().enumerate().filter_map(|(at, s)| s.slot.as_ref().map(|slot| (at, slot)))
    }

    pub(super) fn slot(&mut self, sequence: usize) -> Option<&mut Slot> {
        self.all.get_mut(sequence)?.slot.as_mut()
    }

    /// Chooses a free place for a prompt and prepares it: returns the place and how many tokens of the prompt are computed
    /// there. At least one token is left to compute, for its logits.
    pub(super) fn take(&mut self, context: &mut Context, prompt: &[Token]) -> Option<(usize, usize)> {
        self.clock += 1;
        let most = prompt.len().saturating_sub(1);
        let here = self.all.iter().enumerate().filter(|(_, s)| s.slot.is_none()).map(|(at, s)| {
            let keep = common(&s.left, prompt).min(most);
            let usable = keep >= PREFIX_TOKENS_MIN && context.can_keep(at as u32, keep as u32);
            (if usable { keep } else { 0 }, at)
        });
        let (keep, at) = here.max_by_key(|&(keep, at)| (keep, std::cmp::Reverse((self.all[at].used, at))))?;
        let copied = self.prefixes.longest(prompt).map_or(0, |(tokens, _)| tokens);
        if keep >= copied && keep > 0 {
            if keep == self.all[at].left.len() || context.keep(at as u32, keep as u32) {
                return Some((at, self.occupy(at, keep)));
            }
            context.forget(at as u32);
            self.all[at].left.clear();
        }
        // Nothing here is worth keeping for this prompt: the place that was used least recently gives way.
        let free = self.all.iter().enumerate().filter(|(_, s)| s.slot.is_none());
        let (at, _) = free.min_by_key(|(at, s)| (!s.left.is_empty(), s.used, *at))?;
        self.set_aside(context, at);
        if let Some((tokens, state)) = self.prefixes.longest(prompt) {
            if context.restore(at as u32, state) {
                return Some((at, self.occupy(at, tokens)));
            }
        }
        Some((at, self.occupy(at, 0)))
    }

    /// Keeps a copy of the first `tokens` tokens of an answer under way, which are all that is computed of it.
    pub(super) fn copy(&mut self, context: &mut Context, sequence: usize) {
        let Some(slot) = self.all.get(sequence).and_then(|s| s.slot.as_ref()) else { return };
        let tokens = &slot.tokens[..slot.computed];
        if tokens.len() >= PREFIX_TOKENS_MIN && self.prefixes.wants(tokens, context.state_bytes(sequence as u32)) {
            if let Some(state) = context.save(sequence as u32) {
                self.prefixes.insert(tokens, state);
            }
        }
    }

    /// Ends an answer. What is computed stays, unless the computation failed.
    pub(super) fn free(&mut self, context: &mut Context, sequence: usize, failed: bool) -> Option<Slot> {
        let place = self.all.get_mut(sequence)?;
        let slot = place.slot.take()?;
        if failed || slot.computed < PREFIX_TOKENS_MIN {
            context.forget(sequence as u32);
            place.left.clear();
        } else {
            place.left = slot.tokens[..slot.computed].to_vec();
        }
        Some(slot)
    }

    /// Empties a place; what it held is copied if it may be asked for again.
    fn set_aside(&mut self, context: &mut Context, at: usize) {
        let left = std::mem::take(&mut self.all[at].left);
        if left.is_empty() {
            return;
        }
        if self.prefixes.wants(&left, context.state_bytes(at as u32)) {
            if let Some(state) = context.save(at as u32) {
                self.prefixes.insert(&left, state);
            }
        }
        context.forget(at as u32);
    }

    fn occupy(&mut self, at: usize, computed: usize) -> usize {
        let place = &mut self.all[at];
        place.left.clear();
        place.used = self.clock;
        computed
    }
}
