//! What the model says of an answer: it is computed again and compared.
//!
//! With a calibration of the two machines the verdict is that of audits. Without one little follows from differences, for nobody has
//! measured what honest machines differ by; then only what is exactly the model's own passes.

use super::ReceiptFile;
use ainonymous_engine::{evidence, Engine, EngineError, Question, ReplayQuestion, SAMPLER_VERSION};
use ainonymous_types::{Bytes32, Calibration, OpenedLeaf, Outcome, Statistics, Verdict};
use ainonymous_verify::audit::{calibration, statistics};
use serde::Serialize;

/// Without a calibration, a fingerprint that was recorded by the same model differs by rounding, by the instructions that compute it, and
/// by the batches in which a prompt was computed: by this much a token at most, in 128ths of a nat. (The tiny model's, between five
/// instruction sets, differ by 2.1 in the worst pair's mean and by 3.9 in 99 of 100 windows; those of its coarser twin by 21, and by more
/// than 12 in 99 of 100: docs/reference/calibration.)
const ROUNDING_128THS_MAX: u32 = 4;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replayed {
    /// What follows.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub sentence: String,
    /// Tokens that are those that the model chooses here, of all.
    pub same_choice: usize,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Mean distance from the choice, in nats.
    pub margin_mean: f64,
    /// Largest distance from the choice, in nats.
    pub margin_max: f64,
    /// What audits compare; none if there is no fingerprint to compare with.
    pub statistics: Option<Counted>,
    /// What has computed it here.
    pub class: String,
}

/// The statistics of audits, in their units (`verify::audit::statistics`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // As in `Statistics`.
pub struct Counted {
    pub delta_sum: u32,
    pub delta_window: u32,
    pub delta_position: u32,
    pub margin_sum: u32,
    pub margin_window: u32,
    pub tail: u32,
    pub impossible: u32,
}

/// Computes the answer again. The engine must have loaded the model that the file names: that is for the caller to see to.
pub async fn replay(
    file: &ReceiptFile,
    engine: &dyn Engine,
    table: Option<&Calibration>,
) -> Result<Replayed, EngineError> {
    let question = Question::try_from(file.question.clone())?;
    let answer = file.tokens.clone();
    let replay = engine.replay(ReplayQuestion { question, answer, kv_type: Some(file.model.kv_type) }).await?;
    let margins = || replay.positions.iter().map(|position| f64::from(position.margin_milli) / 1_000.0);
    let tokens = file.tokens.len();
    let mut replayed = Replayed {
        verdict: Verdict::Inconclusive,
        sentence: String::new(),
        same_choice: replay.positions.iter().filter(|position| position.margin_milli == 0).count(),
        tokens,
        margin_mean: margins().sum::<f64>() / tokens.max(1) as f64,
        margin_max: margins().fold(0.0, f64::max),
        statistics: None,
        class: replay.class.to_string(),
    };
    let ours = evidence::replayed(&Bytes32([0; 32]), &file.tokens, &replay).unwrap_or_default();
    let own: Vec<OpenedLeaf> = ours.iter().map(|window| window.leaf.clone()).collect();
    let shown = file.fingerprint.as_ref();
    // Without a fingerprint the model's own stands for it: then only tokens are compared.
    let outcome = statistics::outcome(shown.unwrap_or(&own), &ours).unwrap_or(Outcome::Mismatch);
    if let (Outcome::Measured(found), true) = (&outcome, shown.is_some()) {
        replayed.statistics = Some(Counted::of(found));
    }
    (replayed.verdict, replayed.sentence) = judge(file, &replayed, &outcome, table.filter(|_| shown.is_some()));
    Ok(replayed)
}

fn judge(file: &ReceiptFile, found: &Replayed, outcome: &Outcome, table: Option<&Calibration>) -> (Verdict, String) {
    let Outcome::Measured(statistics) = outcome else {
        return (Verdict::Fail, "What the provider has shown is no fingerprint of this answer.".into());
    };
    if file.model.sampler_version != SAMPLER_VERSION {
        let sentence =
            "The answer was chosen with dice of another version than this program has: its tokens cannot be compared.";
        return (Verdict::Inconclusive, sentence.into());
    }
    if let Some(table) = table {
        let verdict = calibration::judge(Some(table), outcome).0;
        let sentence = match verdict {
            Verdict::Pass => "The answer is as honest answers are, by the calibration of these machines.",
            Verdict::Fail => "The answer is not as honest answers are: by the calibration of these machines one in a thousand is like that.",
            Verdict::Inconclusive => "The calibration does not speak of answers of this length.",
        };
        return (verdict, sentence.into());
    }
    let is_own = found.same_choice == found.tokens && statistics.impossible == 0;
    let near = statistics.delta_sum <= ROUNDING_128THS_MAX.saturating_mul(statistics.tokens);
    let compared = file.fingerprint.is_some();
    if is_own && near && compared {
        let sentence =
            "Every token is the one that this model chooses here, and the provider's fingerprint differs from this \
                        machine's by rounding alone.";
        return (Verdict::Pass, sentence.into());
    }
    if is_own && !compared {
        let sentence = "Every token is the one that this model chooses here. The provider's fingerprint was not opened, so that is all \
                        that was compared.";
        return (Verdict::Pass, sentence.into());
    }
    let sentence = "The answer differs from what this model says here. Nobody has told what honest machines like these two differ \
                    by, so nothing follows: see the numbers.";
    (Verdict::Inconclusive, sentence.into())
}

impl Counted {
    fn of(found: &Statistics) -> Self {
        let Statistics {
            tokens: _,
            delta_sum,
            delta_window,
            delta_position,
            margin_sum,
            margin_window,
            tail,
            impossible,
        } = *found;
        Self { delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible }
    }
}
