//! A small model that guesses what the large one will say, so that several tokens are computed in one step.
//!
//! Guesses are drawn with the answer's own dice (the same noise at the same position), so they are right more often than
//! their most likely tokens would be, and a wrong one changes nothing: every token is chosen from the large model's logits.
//! Guessing stops by itself where it does not pay and is tried again later.

use super::slot::Slot;
use crate::llama::{AbortSwitch, Batch, Context, ContextOptions, Model, Token};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps measured before guessing is judged.
const TRIAL_STEPS: u32 = 12;
/// Steps without guesses after it did not pay; doubles each time, up to 64 times this.
const PAUSE_STEPS: u32 = 256;

/// The small model, with a sequence for each of the large one's.
pub(super) struct Drafter {
    context: Context,
    /// What each sequence has computed.
    computed: Vec<Vec<Token>>,
    batch: Batch,
    tokens_max: u32,
    pays: Pays,
}

impl Drafter {
    /// `None` if there is no memory for it.
    pub(super) fn new(
        model: Arc<Model>,
        options: ContextOptions,
        tokens_max: u32,
        abort: Arc<AbortSwitch>,
    ) -> Option<Self> {
        let computed = (0..options.sequences).map(|_| Vec::new()).collect();
        let context = Context::new(model, options, abort)?;
        Some(Self { context, computed, batch: Batch::default(), tokens_max, pays: Pays::default() })
    }

    /// Guesses for the slots that can be guessed for: sequence and tokens, none where guessing does not pay now.
    pub(super) fn guess<'a>(&mut self, slots: impl Iterator<Item = (usize, &'a mut Slot)>) -> Vec<(usize, Vec<Token>)> {
        if !self.pays.try_now() {
            return Vec::new();
        }
        let began = Instant::now();
        let mut open: Vec<(usize, &mut Slot, Vec<Token>)> = slots
            .filter(|(_, slot)| slot.is_decoding() && slot.can_be_drafted())
            .map(|(sequence, slot)| (sequence, slot, Vec::new()))
            .collect();
        open.retain(|(sequence, slot, _)| self.catch_up(*sequence, &slot.tokens));
        for ahead in 0..self.tokens_max {
            self.batch.clear();
            let mut rows = Vec::new();
            for (index, (sequence, slot, guesses)) in open.iter().enumerate() {
                if ahead + 1 >= slot.room() || guesses.len() < ahead as usize {
                    continue;
                }
                let token = guesses.last().or(slot.tokens.last()).copied().unwrap_or_default();
                let position = (slot.tokens.len() - 1) as u32 + ahead;
                rows.push((index, self.batch.add(token, position, *sequence as u32, true)));
                self.computed[*sequence].push(token);
            }
            self.context.abort_switch().begin_shared();
            if rows.is_empty() || self.context.decode(&mut self.batch).is_err() {
                break;
            }
            for (index, row) in rows {
                let (_, slot, guesses) = &mut open[index];
                if let Some(logits) = self.context.logits(row) {
                    guesses.push(slot.guess(logits, ahead));
                }
            }
        }
        self.pays.guessing += began.elapsed();
        open.into_iter().map(|(sequence, _, guesses)| (sequence, guesses)).collect()
    }

    /// What came of a step that took `time` besides the guessing and gave `tokens` for `answers`.
    pub(super) fn judge(&mut self, guessed: bool, time: Duration, tokens: u32, answers: u32) {
        self.pays.step(guessed, time, tokens, answers);
    }

    /// An answer has ended.
    pub(super) fn forget(&mut self, sequence: usize) {
        self.context.forget(sequence as u32);
        self.computed[sequence].clear();
    }

    /// Computes all but the last of `tokens`; false if that failed.
    fn catch_up(&mut self, sequence: usize, tokens: &[Token]) -> bool {
        let wanted = &tokens[..tokens.len().saturating_sub(1)];
        let done = &mut self.computed[sequence];
        let mut keep = super::prefixes::common(done, wanted);
        if keep < done.len()
            && !(self.context.can_keep(sequence as u32, keep as u32) && self.context.keep(sequence as u32, keep as u32))
        {
            self.context.forget(sequence as u32);
            keep = 0;
        }
        done.truncate(keep);
        let most = self.context.batch_tokens();
        for chunk in wanted[keep..].chunks(most) {
            self.batch.clear();
            for &token in chunk {
                self.batch.add(token, self.computed[sequence].len() as u32, sequence as u32, false);
                self.computed[sequence].push(token);
            }
            self.context.abort_switch().begin_shared();
            if self.context.decode(&mut self.batch).is_err() {
                self.forget(sequence);
                return false;
            }
        }
        true
    }
}

/// Whether guessing pays: time per token with and without, measured in turns.
#[derive(Debug, Default)]
struct Pays {
    /// Time spent guessing in the present trial.
    guessing: Duration,
    with: Rate,
    without: Rate,
    /// Steps until the next trial.
    pause: u32,
    /// Length of the last pause.
    paused: u32,
}

/// Time and tokens of some steps.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    time: Duration,
    tokens: u32,
    steps: u32,
}

impl Rate {
    fn add(&mut self, time: Duration, tokens: u32) {
        self.time += time;
        self.tokens += tokens;
        self.steps += 1;
    }

    fn per_token(&self) -> f64 {
        self.time.as_secs_f64() / f64::from(self.tokens.max(1))
    }
}

impl Pays {
    fn try_now(&self) -> bool {
        // First a few steps without, to know what to compare with.
        self.pause == 0 && self.without.steps >= TRIAL_STEPS
    }

    fn step(&mut self, guessed: bool, time: Duration, tokens: u32, answers: u32) {
        if answers == 0 {
            return;
        }
        if !guessed {
            self.without.add(time, tokens);
            if self.without.steps > 4 * TRIAL_STEPS {
                self.without =
                    Rate { time: self.without.time / 2, tokens: self.without.tokens / 2, steps: 2 * TRIAL_STEPS };
            }
            self.pause = self.pause.saturating_sub(1);
            return;
        }
        self.with.add(time + std::mem::take(&mut self.guessing), tokens);
        if self.with.steps < TRIAL_STEPS {
            return;
        }
        let pays = self.with.per_token() < self.without.per_token();
        self.with = Rate::default();
        if pays {
            self.paused = 0;
        } else {
            self.paused = (self.paused * 2).clamp(PAUSE_STEPS, 64 * PAUSE_STEPS);
            self.pause = self.paused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pays: &mut Pays, steps: u32, with_us: u64, with_tokens: u32) -> u32 {
        let mut tried = 0;
        for _ in 0..steps {
            if pays.try_now() {
                tried += 1;
                pays.step(true, Duration::from_micros(with_us), with_tokens, 1);
            } else {
                pays.step(false, Duration::from_micros(100), 1, 1);
            }
        }
        tried
    }

    #[test]
    fn guessing_goes_on_while_it_pays() {
        assert_eq!(run(&mut Pays::default(), 1_000, 150, 2), 1_000 - TRIAL_STEPS);
    }

    #[test]
    fn guessing_stops_where_it_does_not_and_is_tried_again_ever_less() {
        let tried = run(&mut Pays::default(), 100_000, 250, 2);
        assert!((2 * TRIAL_STEPS..20 * TRIAL_STEPS).contains(&tried), "{tried}");
    }

    #[test]
    fn steps_without_answers_say_nothing() {
        let mut pays = Pays::default();
        pays.step(false, Duration::from_secs(9), 0, 0);
        assert_eq!(pays.without.steps, 0);
    }
}
