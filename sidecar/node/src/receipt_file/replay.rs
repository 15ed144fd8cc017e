//! What the model says of an answer: it is computed again and compared.
//!
//! With a calibration of the two machines the verdict is that of audits. Without one little follows from differences, for nobody has
//! measured what honest machines differ by; then only what is exactly the model's own passes.

use super::ReceiptFile;
use crate::rounding;
use ainonymous_engine::{evidence, Engine, EngineError, Question, ReplayQuestion, SAMPLER_VERSION};
use ainonymous_types::{Bytes32, Calibration, OpenedLeaf, Outcome, ReplayLeaf, Statistics, Verdict};
use ainonymous_verify::audit::{calibration, doubt, statistics};
use serde::Serialize;

/// Without a calibration, a fingerprint that was recorded by the same model differs by rounding, by the instructions that compute it, and
/// by the batches in which a prompt was computed: by this much a token at most, in 128ths of a nat. (The tiny model's, between five
/// instruction sets, differ by 2.1 in the worst pair's mean and by 3.9 in 99 of 100 windows; those of its coarser twin by 21, and by more
/// than 12 in 99 of 100: docs/reference/calibration.)
const ROUNDING_128THS_MAX: u32 = 4;

/// How honest machines differ, for an answer of any length.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The table; without rows where it says nothing of such an answer.
    pub table: Calibration,
    /// It speaks of so many windows at most: a longer answer is judged piece by piece.
    pub windows_max: usize,
}

impl Measured {
    /// The verdict on each piece; the last overlaps the one before it, so that it is no shorter. Where there are several, one that fails by little
    /// is inconclusive: the longer an honest answer, the more likely it has such a piece. Without a fingerprint tokens fail or nothing follows.
    fn verdicts(&self, shown: Option<&[OpenedLeaf]>, ours: &[ReplayLeaf]) -> Vec<Verdict> {
        let (all, piece) = (ours.len(), self.windows_max.clamp(1, ours.len().max(1)));
        let starts = (0..all).step_by(piece).map(|start| start.min(all - piece));
        let verdict = |start: usize| {
            let windows = start..start + piece;
            let ours = ours.get(windows.clone()).unwrap_or_default();
            let outcome = match shown.map(|shown| shown.get(windows)) {
                Some(Some(shown)) => statistics::outcome(shown, ours),
                Some(None) => Ok(Outcome::Mismatch),
                None => statistics::outcome(&[], ours),
            };
            let outcome = outcome.unwrap_or(Outcome::Mismatch);
            match calibration::judge(Some(&self.table), &outcome).0 {
                Verdict::Fail if piece < all && !doubt::is_beyond(Some(&self.table), &outcome) => Verdict::Inconclusive,
                verdict => verdict,
            }
        };
        starts.map(verdict).collect()
    }
}

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
    /// It is said to have ended by itself, and its last token ends no answer of this model.
    pub cut: bool,
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
    measured: Option<&Measured>,
) -> Result<Replayed, EngineError> {
    let question = Question::try_from(file.question.clone())?;
    let answer = file.tokens.clone();
    let whole = ReplayQuestion::whole(question, answer, file.receipt.receipt.finish, Some(file.model.kv_type));
    let replay = engine.replay(whole.at(file.receipt.receipt.finished_at)).await?;
    let margins = || replay.positions.iter().map(|position| f64::from(position.margin_milli) / 1_000.0);
    let tokens = file.tokens.len();
    let mut replayed = Replayed {
        verdict: Verdict::Inconclusive,
        sentence: String::new(),
        same_choice: replay.positions.iter().filter(|position| position.margin_milli == 0).count(),
        tokens,
        margin_mean: margins().sum::<f64>() / tokens.max(1) as f64,
        margin_max: margins().fold(0.0, f64::max),
        cut: replay.cut,
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
    let verdicts = measured.map(|measured| measured.verdicts(shown.map(Vec::as_slice), &ours));
    let calibrated = measured.is_some_and(|measured| !measured.table.rows.is_empty());
    (replayed.verdict, replayed.sentence) = conclude(file, &replayed, &outcome, verdicts.as_deref(), calibrated);
    Ok(replayed)
}

/// `verdicts` are those on its pieces, where there is a table; `calibrated` if that speaks of such answers.
fn conclude(
    file: &ReceiptFile,
    found: &Replayed,
    outcome: &Outcome,
    verdicts: Option<&[Verdict]>,
    calibrated: bool,
) -> (Verdict, String) {
    match (found.cut, verdicts.is_none() && is_beyond(file, outcome)) {
        (_, true) => beyond_rounding(),
        (true, false) => cut_off(calibrated),
        (false, false) => judge(file, found, outcome, verdicts),
    }
}

/// Whether it is further away than any rounding explains. Of other dice nothing is known.
fn is_beyond(file: &ReceiptFile, outcome: &Outcome) -> bool {
    file.model.sampler_version == SAMPLER_VERSION && rounding::is_beyond(outcome)
}

/// What follows from that where nobody has measured these machines.
fn beyond_rounding() -> (Verdict, String) {
    let sentence = "The answer is further from what this model says here than any rounding explains: it is of another model, another question or another draw.";
    (Verdict::Fail, sentence.into())
}

/// What nobody has calibrated fails nothing.
fn cut_off(calibrated: bool) -> (Verdict, String) {
    let verdict = if calibrated { Verdict::Fail } else { Verdict::Inconclusive };
    let sentence = "The provider says that the answer ended by itself, but its last token is none with which this model ends one: it was cut off.";
    (verdict, sentence.into())
}

/// `verdicts` are those on its pieces, where there is a table.
fn judge(file: &ReceiptFile, found: &Replayed, outcome: &Outcome, verdicts: Option<&[Verdict]>) -> (Verdict, String) {
    let Outcome::Measured(statistics) = outcome else {
        return (Verdict::Fail, "What the provider has shown is no fingerprint of this answer.".into());
    };
    if file.model.sampler_version != SAMPLER_VERSION {
        let sentence =
            "The answer was chosen with dice of another version than this program has: its tokens cannot be compared.";
        return (Verdict::Inconclusive, sentence.into());
    }
    let compared = file.fingerprint.is_some();
    if let Some(verdicts) = verdicts.filter(|verdicts| compared || verdicts.contains(&Verdict::Fail)) {
        let count = |verdict: Verdict| verdicts.iter().filter(|found| **found == verdict).count();
        let (failed, open, all) = (count(Verdict::Fail), count(Verdict::Inconclusive), verdicts.len());
        return match (failed, open, all) {
            (0, 0, 1) => (Verdict::Pass, "The answer is as honest answers are, by the calibration of these machines.".into()),
            (1, _, 1) => (
                Verdict::Fail,
                "The answer is not as honest answers are: by the calibration of these machines one in a thousand is like that.".into(),
            ),
            (0, _, 0 | 1) => (Verdict::Inconclusive, "The calibration does not speak of such answers.".into()),
            (0, 0, all) => (
                Verdict::Pass,
                format!("The answer is as honest answers are, by the calibration of these machines, in each of {all} pieces."),
            ),
            (0, open, all) => (
                Verdict::Inconclusive,
                format!("Of {all} pieces of the answer the calibration of these machines leaves {open} open; the others are as honest answers are."),
            ),
            (failed, _, all) => (
                Verdict::Fail,
                format!("Of {all} pieces of the answer {failed} are far from what honest answers are, by the calibration of these machines."),
            ),
        };
    }
    let is_own = found.same_choice == found.tokens && statistics.impossible == 0;
    let near = statistics.delta_sum <= ROUNDING_128THS_MAX.saturating_mul(statistics.tokens);
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
    if verdicts.is_some_and(|verdicts| !verdicts.is_empty()) && !compared {
        let sentence = "Not every token is the one that this model chooses here, but none is further from it than honest machines come, as far as \
                        the calibration speaks of it. The provider's fingerprint was not opened, so nothing more was compared.";
        return (Verdict::Inconclusive, sentence.into());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auditing::Table;
    use ainonymous_types::Likely;
    use ainonymous_verify::audit::{fingerprint, leaf};

    /// Leaves of an answer of so many tokens, a nat and more beside the model from one token on.
    fn leaves(tokens: u32, from: u32) -> Vec<OpenedLeaf> {
        let likely = |shift: u16| move |i: u32| Likely { id: i, minus_sixteenths: shift + 16 * i as u16 };
        let position = |at: u32| fingerprint::position((0..8).map(likely(if at < from { 0 } else { 30 })).collect());
        let tokens: Vec<u32> = (0..tokens).collect();
        leaf::leaves(&Bytes32([1; 32]), &tokens, &tokens.iter().map(|at| position(*at)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_long_answer_is_judged_piece_by_piece() {
        let measured = Table::of_the_tests().measured();
        let of_replay = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![0; leaf.tokens.len()], impossible: 0, leaf };
        let verdicts = |tokens: u32, from: u32| {
            let ours: Vec<_> = leaves(tokens, u32::MAX).into_iter().map(of_replay).collect();
            measured.verdicts(Some(&leaves(tokens, from)), &ours)
        };
        use Verdict::{Fail, Pass};
        assert_eq!(verdicts(40, 99), [Pass]);
        assert_eq!(verdicts(256, 99), [Fail]);
        assert_eq!(verdicts(600, 999), [Pass; 3]);
        assert_eq!(verdicts(600, 590), [Pass, Pass, Fail], "the last ten tokens count among 248");
        assert_eq!(verdicts(600, 300), [Pass, Fail, Fail]);
        let a_little = |tokens: u32| {
            let mut shown = leaves(tokens, u32::MAX);
            // One position, by what fails by itself and not three times as far.
            let ours: Vec<_> = shown.clone().into_iter().map(of_replay).collect();
            let likely = |i: u32| Likely { id: i, minus_sixteenths: if i < 5 { 8 } else { 0 } + 16 * i as u16 };
            let mut first = fingerprint::decode(&shown[0].body).unwrap();
            first[0] = fingerprint::position((0..8).map(likely).collect());
            shown[0].body = leaf::leaves(&Bytes32([1; 32]), &shown[0].tokens, &first).unwrap()[0].body.clone();
            measured.verdicts(Some(&shown), &ours)
        };
        assert_eq!(a_little(256), [Fail]);
        assert_eq!(a_little(600), [Verdict::Inconclusive, Pass, Pass], "nothing follows from one of several");
        assert_eq!(verdicts(0, 0), []);
    }

    #[test]
    fn without_a_fingerprint_tokens_fail_or_nothing_follows() {
        let measured = Table::of_the_tests().measured();
        let verdicts = |tokens: u32, margin: u16| {
            let of = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![margin; leaf.tokens.len()], impossible: 0, leaf };
            let ours: Vec<_> = leaves(tokens, u32::MAX).into_iter().map(of).collect();
            measured.verdicts(None, &ours)
        };
        assert_eq!([verdicts(40, 0), verdicts(40, 400)], [[Verdict::Inconclusive], [Verdict::Fail]]);
        assert_eq!(verdicts(600, 400), [Verdict::Fail; 3]);
    }

    #[test]
    fn without_a_table_an_answer_is_the_models_own_or_far_away_or_left_open() {
        let mut file = crate::receipt_file::tests::file();
        file.model.sampler_version = SAMPLER_VERSION;
        let verdict = |file: &ReceiptFile, same_choice: usize, margin: u32, cut: bool| {
            let statistics = Statistics { tokens: 40, margin_sum: 40 * margin, ..Statistics::default() };
            let found = Replayed {
                verdict: Verdict::Inconclusive,
                sentence: String::new(),
                same_choice,
                tokens: 40,
                margin_mean: 0.0,
                margin_max: 0.0,
                cut,
                statistics: None,
                class: "cpu-zen4".into(),
            };
            conclude(file, &found, &Outcome::Measured(statistics), None, false).0
        };
        let all = [(40, 0), (39, 95), (30, 96)];
        assert_eq!(
            all.map(|(same, margin)| verdict(&file, same, margin, false)),
            [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail]
        );
        // Cutting it off hides nothing.
        assert_eq!(
            all.map(|(same, margin)| verdict(&file, same, margin, true)),
            [Verdict::Inconclusive, Verdict::Inconclusive, Verdict::Fail]
        );
        file.model.sampler_version += 1;
        assert_eq!(verdict(&file, 0, 512, false), Verdict::Inconclusive, "other dice");
    }
}
