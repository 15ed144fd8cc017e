//! What providers do, and what an auditor finds who asked the question and computes the answer again.

use crate::deeds::{Deed, Means, Told};
use crate::give::{self, give, load, options, question, replayed, Given};
use crate::Files;
use ainonymous_engine::{Engine, EngineOptions, Fingerprint, LlamaEngine, Question, ReplayQuestion};
use ainonymous_types::limits::FINGERPRINT_WINDOW_TOKENS;
use ainonymous_types::{KvType, Outcome};
use ainonymous_verify::audit::{calibration, statistics};
use futures::stream::{self, StreamExt};

/// Answers under way at a time.
const AT_ONCE: usize = 32;
/// Above the seeds that tables are made from.
const FIRST_SEED: u64 = 100_000;
/// Shortest and longest answer.
const TOKENS: (u64, u64) = (16, 64);

/// An attack: its name, what is done, and whether each answer on average must be found to be false (at least this share, in percent).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) deed: Deed,
    /// Share of single audits that has to fail, in percent; where it shows in tokens only, of answers in which some differ. 0 promises nothing.
    pub(crate) promised_percent: u64,
    pub(crate) note: &'static str,
}

pub(crate) const fn attack(name: &'static str, deed: Deed, promised_percent: u64, note: &'static str) -> Attack {
    Attack { name, deed, promised_percent, note }
}

pub(crate) const ATTACKS: [Attack; 19] = [
    attack("q4_0 served as q8_0", Deed::CheaperQuantisation, 90, "its own fingerprint"),
    attack(
        "q4_0 served as q8_0, laundered",
        Deed::CheaperLaundered,
        60,
        "the fingerprint is the right model's: only margins speak",
    ),
    attack(
        "q4_0 served as q8_0, opening nothing",
        Deed::CheaperUnopened,
        60,
        "judged by its tokens: as much as laundering, without its work",
    ),
    attack("q4_0 for one answer in ten", Deed::CheaperOneInTen, 5, "tried counts all answers"),
    attack("another model of the family", Deed::OtherModel, 90, "a smaller one, with the same vocabulary"),
    attack("another model of the family, opening nothing", Deed::OtherModelUnopened, 90, "judged by its tokens"),
    attack("another fine-tune", Deed::Tuned, 90, "the asked model, trained on"),
    attack("another fine-tune, laundered", Deed::TunedLaundered, 70, "the fingerprint is the right model's"),
    attack("temperature 1.2 for 1", Deed::Temperature, 60, "with the asked seed: few tokens differ"),
    attack("another seed", Deed::Seed, 90, "short certain answers are the same with any seed"),
    attack("a cached reply", Deed::CachedReply, 90, "to the same words, asked before with another seed"),
    attack("truncation", Deed::Truncation, 90, "said to have ended by itself, without the token that ends answers"),
    attack("truncation, with an end put to it", Deed::TruncationEnded, 90, "the fingerprint is the right model's"),
    attack("padding", Deed::Padding, 90, "goes on behind its end, to as many tokens as were asked for at most"),
    attack(
        "one edited token",
        Deed::EditedToken,
        80,
        "the second likeliest in the middle, fingerprint of the right model",
    ),
    attack("a hidden system prompt", Deed::HiddenPrompt, 90, "its own fingerprint"),
    attack("a hidden system prompt, laundered", Deed::HiddenPromptLaundered, 70, "fingerprint for the visible prompt"),
    attack(
        "a cache in q8_0 for f16",
        Deed::QuantisedCache,
        0,
        "seen among machines of one class; between classes honest noise may be of that size",
    ),
    attack("over-billing", Deed::OverBilling, 100, "a window more than was received"),
];

/// What an audit of one answer found.
pub(crate) struct Audited {
    pub(crate) outcome: Outcome,
    /// Not every token is what the asked model, seed and temperature give.
    pub(crate) unlike: bool,
    pub(crate) tokens: u32,
}

pub(crate) struct Lab {
    pub(crate) honest: LlamaEngine,
    cheaper: LlamaEngine,
    other: LlamaEngine,
    /// Where there is one of the asked model.
    tuned: Option<LlamaEngine>,
    quantised: LlamaEngine,
    pub(crate) checker: LlamaEngine,
}

impl Lab {
    pub(crate) async fn open(Files { model, cheaper, other, relatives, table: _ }: &Files<'_>) -> Self {
        let tuned = match relatives {
            Some(relatives) => Some(load(None, options(relatives.tuned, 8)).await.unwrap()),
            None => None,
        };
        let quantised = EngineOptions { kv_type: KvType::Q8_0, ..options(model, 8) };
        Self {
            honest: load(None, options(model, 16)).await.unwrap(),
            cheaper: load(None, options(cheaper, 8)).await.unwrap(),
            other: load(None, options(other, 8)).await.unwrap(),
            tuned,
            quantised: load(None, quantised).await.unwrap(),
            checker: load(None, options(model, 1)).await.unwrap(),
        }
    }

    /// The class of this machine.
    pub(crate) fn class(&self) -> String {
        let info = self.checker.info();
        calibration::class_of(info.backend, &info.backend_detail)
    }

    /// Answers by the rules, with what was given.
    pub(crate) async fn honest(&self, answers: u64) -> Vec<(Given, Audited)> {
        // Other questions than the attacks', and more of them: false alarms are rare.
        self.honest_to((1_000_000..1_000_000 + 4 * answers).map(asked)).await
    }

    /// The same to these questions.
    pub(crate) async fn honest_to(&self, questions: impl Iterator<Item = Question>) -> Vec<(Given, Audited)> {
        let all = questions.map(|question| async move {
            let given = give(&self.honest, question).await;
            let audited = self.audit(&given.question, given.clone().into(), false).await;
            (given, audited)
        });
        let all: Vec<_> = stream::iter(all).buffered(AT_ONCE).collect().await;
        all.into_iter().filter(|(given, _)| !given.tokens.is_empty()).collect()
    }

    /// Whether there is what it needs.
    pub(crate) fn can(&self, deed: Deed) -> bool {
        deed.means() != Means::Tuned || self.tuned.is_some()
    }

    pub(crate) async fn attack(&self, attack: Attack, answers: u64) -> Vec<Audited> {
        self.attack_on(attack.deed, (FIRST_SEED..FIRST_SEED + answers).map(asked)).await
    }

    /// Something done to each of these questions.
    pub(crate) async fn attack_on(&self, deed: Deed, questions: impl Iterator<Item = Question>) -> Vec<Audited> {
        let all = questions.enumerate().map(|(n, question)| self.one(deed, n as u64, question));
        stream::iter(all).buffered(AT_ONCE).filter_map(|found| async move { found }).collect().await
    }

    async fn one(&self, deed: Deed, n: u64, question: Question) -> Option<Audited> {
        let instead = match deed.means() {
            Means::Asked => None,
            Means::Cheaper => Some(&self.cheaper),
            Means::Other => Some(&self.other),
            Means::Tuned => self.tuned.as_ref(),
            Means::Quantised => Some(&self.quantised),
        };
        let told = deed.answer(&self.honest, instead, n, &question).await?;
        Some(self.audit(&question, told, deed == Deed::OverBilling).await)
    }

    /// What whoever asked finds; `overbilled` if a window more is signed and opened than arrived.
    async fn audit(&self, question: &Question, told: Told, overbilled: bool) -> Audited {
        let Told { tokens, recorded, finish } = told;
        let whole = ReplayQuestion::whole(question.clone(), tokens.clone(), finish, None);
        let replay = self.checker.replay(whole).await.unwrap();
        let ours = replayed(&tokens, &replay);
        let opened = |recorded: Vec<Fingerprint>| {
            let more = if overbilled { FINGERPRINT_WINDOW_TOKENS } else { 0 };
            let tokens: Vec<u32> = tokens.iter().chain(tokens.iter().take(more)).copied().collect();
            let recorded: Vec<_> = recorded.iter().chain(recorded.iter().take(more)).copied().collect();
            give::opened(&tokens, &recorded)
        };
        let opened = recorded.map(opened);
        let outcome = statistics::outcome(&opened.unwrap_or_default(), &ours).unwrap();
        let unlike = replay.positions.iter().zip(&tokens).any(|(position, token)| position.expected != *token);
        Audited { outcome, unlike, tokens: tokens.len() as u32 }
    }

    pub(crate) async fn close(self) {
        let Self { honest, cheaper, other, tuned, quantised, checker } = self;
        for engine in [honest, cheaper, other, quantised, checker].into_iter().chain(tuned) {
            engine.shutdown().await;
        }
    }
}

fn asked(n: u64) -> Question {
    let (least, most) = TOKENS;
    let length = least + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % (most - least + 1);
    question(n, length as u32, n.is_multiple_of(2))
}
