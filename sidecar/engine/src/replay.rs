//! Computing an answer again that somebody claims to have given: what is asked and what is found.
//!
//! Prompt and answer go through the model in one piece, which is several times as cheap as saying it, and each token is
//! compared with what the dice choose. What the findings mean for the one who answered is not known here: differences are
//! evidence, not a verdict.

use crate::request::broken;
use crate::{EngineClass, EngineError, Fingerprint, Question};
use ainonymous_types::{limits, FinishReason, KvType};
use serde::{Deserialize, Serialize};

/// Tokens that are computed together in a replay. Always the same number from the same beginning, so that a replay does not
/// depend on what else the engine does; few, because with few tokens results are nearest to those of one token at a time.
pub const REPLAY_STEP_TOKENS: u32 = 32;
/// Tokens among which an answer's should be: one that is less likely than that is reported with its distance.
pub const LIKELY_TOKENS: usize = 64;

/// An answer to be computed again.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayQuestion {
    /// What was asked. What decides about each token counts: prompt, sampling, adjustments, constraint, `ignore_end`; how
    /// long the answer may be, what ends it and what is reported do not.
    pub question: Question,
    /// Tokens that are claimed to be the answer.
    pub answer: Vec<u32>,
    /// Only so many of them are computed, the first ones; all if there are fewer.
    pub until: usize,
    /// The answer is claimed to have ended by itself: then its last token, if it has one, must not be an ordinary one.
    pub ended: bool,
    /// When it was answered, in seconds since the epoch: templates may state the date. `None` takes now.
    pub at_s: Option<i64>,
    /// Number format of the key-value cache that they were computed with; `None` takes this engine's.
    pub kv_type: Option<KvType>,
}

impl ReplayQuestion {
    /// All of an answer, and how it is claimed to have ended. A stop text ends one wherever it likes, and `ignore_end` lets none end.
    pub fn whole(question: Question, answer: Vec<u32>, finish: FinishReason, kv_type: Option<KvType>) -> Self {
        let ended = finish == FinishReason::Stop && question.stop.is_empty() && !question.ignore_end;
        Self { question, until: answer.len(), answer, ended, at_s: None, kv_type }
    }

    /// The beginning of an answer, or one of which nobody says how it ended.
    pub fn beginning(question: Question, answer: Vec<u32>, kv_type: Option<KvType>) -> Self {
        Self { question, until: answer.len(), answer, ended: false, at_s: None, kv_type }
    }

    /// The same, but only the first tokens are computed. Whether the last is one that can stand there is found all the same: that needs no computing.
    #[must_use]
    pub fn only(self, until: usize) -> Self {
        Self { until: until.min(self.answer.len()), ..self }
    }

    /// The same, answered at this time, in microseconds since the epoch: when an answer ends is as good as when it began, but at midnight.
    #[must_use]
    pub fn at(self, answered_us: i64) -> Self {
        Self { at_s: Some(answered_us.div_euclid(1_000_000)), ..self }
    }
}

/// What an engine finds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// For each token of the answer that was computed.
    pub positions: Vec<Replayed>,
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// It is claimed to have ended by itself, and does not: its last token is an ordinary one, which ends no answer and so could not stand there.
    pub cut: bool,
    /// What computed it.
    pub class: EngineClass,
}

/// One token of an answer, computed again.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// What the model finds likely there; `chosen_16` is of the claimed token.
    pub fingerprint: Fingerprint,
    /// The token that this engine chooses; `u32::MAX` behind the end of an answer, or where it broke its constraint before.
    pub expected: u32,
    /// How far the claimed token is from that, in thousandths of a nat: the least difference of logits that would make it the
    /// choice. At most [`crate::sampler::MARGIN_MILLI_MAX`], which stands for tokens that could not be chosen, not stand there, or are none of the model's.
    pub margin_milli: u32,
    /// How many tokens are likelier than the claimed one, after adjustments and constraint.
    pub rank: u32,
    /// How much less likely it is than the last of the [`LIKELY_TOKENS`] most likely, after adjustments and constraint, in
    /// sixteenths of a nat; 0 for those.
    pub outside_16: u16,
}

crate::request::secret!(ReplayQuestion, Replay, Replayed);

impl ReplayQuestion {
    /// Refuses what breaks a bound.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let Self { question, answer, until: _, ended: _, at_s: _, kv_type: _ } = self;
        broken(&[("ANSWER_TOKENS_MAX", answer.len() <= limits::ANSWER_TOKENS_MAX as usize)])?;
        if question.has_images() {
            return Err(EngineError::Unsupported { what: "replaying an answer about images".into() });
        }
        question.check()
    }
}
