//! What providers do, and what an auditor finds who asked the question and computes the answer again.

use crate::give::{compute_again, give, load, options, question, replayed, Given};
use crate::Files;
use ainonymous_engine::request::{Message, Role};
use ainonymous_engine::{Engine, EngineOptions, LlamaEngine, Prompt, Question, ReplayQuestion};
use ainonymous_types::{FinishReason, KvType, Outcome};
use ainonymous_verify::audit::{calibration, statistics};
use futures::stream::{self, StreamExt};

/// Answers under way at a time.
const AT_ONCE: usize = 32;
/// Above the seeds that tables are made from.
const FIRST_SEED: u64 = 100_000;
/// Shortest and longest answer.
const TOKENS: (u64, u64) = (16, 64);

/// Something that a provider does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deed {
    CheaperQuantisation,
    CheaperLaundered,
    CheaperUnopened,
    CheaperOneInTen,
    OtherModel,
    OtherModelUnopened,
    Temperature,
    Seed,
    CachedReply,
    Truncation,
    TruncationEnded,
    EditedToken,
    HiddenPrompt,
    HiddenPromptLaundered,
    QuantisedCache,
    OverBilling,
}

impl Deed {
    /// Whether the whole answer is of another model, whose fingerprint says so.
    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Self::CheaperQuantisation | Self::OtherModel)
    }

    /// Whether only tokens can tell: those who are found are among the answers in which some differ.
    pub(crate) fn shows_in_tokens_only(self) -> bool {
        matches!(
            self,
            Self::CheaperLaundered
                | Self::CheaperUnopened
                | Self::OtherModelUnopened
                | Self::Temperature
                | Self::Seed
                | Self::CachedReply
                | Self::HiddenPromptLaundered
        )
    }

    /// Whether answers are computed otherwise than asked, so that they may come out the same all the same.
    pub(crate) fn computes_otherwise(self) -> bool {
        !matches!(
            self,
            Self::CheaperOneInTen | Self::Truncation | Self::TruncationEnded | Self::EditedToken | Self::OverBilling
        )
    }
}

/// An attack: its name, what is done, and whether each answer on average must be found to be false (at least this share, in percent).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) deed: Deed,
    /// Share of single audits that has to fail, in percent; where it shows in tokens only, of answers in which some differ. 0 promises nothing.
    pub(crate) promised_percent: u64,
    pub(crate) note: &'static str,
}

const fn attack(name: &'static str, deed: Deed, promised_percent: u64, note: &'static str) -> Attack {
    Attack { name, deed, promised_percent, note }
}

pub(crate) const ATTACKS: [Attack; 16] = [
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
    attack("temperature 1.2 for 1", Deed::Temperature, 60, "with the asked seed: few tokens differ"),
    attack("another seed", Deed::Seed, 90, "short certain answers are the same with any seed"),
    attack("a cached reply", Deed::CachedReply, 90, "to the same words, asked before with another seed"),
    attack("truncation", Deed::Truncation, 90, "said to have ended by itself, without the token that ends answers"),
    attack("truncation, with an end put to it", Deed::TruncationEnded, 90, "the fingerprint is the right model's"),
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
    quantised: LlamaEngine,
    pub(crate) checker: LlamaEngine,
}

impl Lab {
    pub(crate) async fn open(Files { model, cheaper, other, table: _ }: &Files<'_>) -> Self {
        let quantised = EngineOptions { kv_type: KvType::Q8_0, ..options(model, 8) };
        Self {
            honest: load(None, options(model, 16)).await.unwrap(),
            cheaper: load(None, options(cheaper, 8)).await.unwrap(),
            other: load(None, options(other, 8)).await.unwrap(),
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
            let audited = self.audit(Some(&given), &given, FinishReason::Length).await;
            (given, audited)
        });
        let all: Vec<_> = stream::iter(all).buffered(AT_ONCE).collect().await;
        all.into_iter().filter(|(given, _)| !given.tokens.is_empty()).collect()
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
        let given = match deed {
            Deed::CheaperQuantisation | Deed::CheaperLaundered | Deed::CheaperUnopened => {
                give(&self.cheaper, question.clone()).await
            }
            Deed::CheaperOneInTen if n.is_multiple_of(10) => give(&self.cheaper, question.clone()).await,
            Deed::OtherModel | Deed::OtherModelUnopened => give(&self.other, question.clone()).await,
            Deed::QuantisedCache => give(&self.quantised, question.clone()).await,
            Deed::Temperature => {
                let mut hotter = question.clone();
                hotter.sampling.temperature_milli = hotter.sampling.temperature_milli * 12 / 10;
                give(&self.honest, hotter).await
            }
            Deed::Seed => give(&self.honest, with_seed(&question, 7_000_000 + n)).await,
            Deed::CachedReply => give(&self.honest, with_seed(&question, 9_000_000)).await,
            Deed::HiddenPrompt | Deed::HiddenPromptLaundered => give(&self.honest, instructed(&question)).await,
            Deed::CheaperOneInTen
            | Deed::Truncation
            | Deed::TruncationEnded
            | Deed::EditedToken
            | Deed::OverBilling => give(&self.honest, question.clone()).await,
        };
        let mut given = Given { question, ..given };
        let received = match deed {
            Deed::Truncation | Deed::TruncationEnded => {
                // Only what ended by itself can be passed off as ended: half of it.
                let keep = given.tokens.len() / 2;
                if given.question.ignore_end || keep < 4 {
                    return None;
                }
                let end = given.tokens.last().copied().filter(|_| deed == Deed::TruncationEnded);
                if end.is_some() && self.is_cut(&given).await {
                    // It ended by its bound: there is no end to put to half of it.
                    return None;
                }
                given.tokens.truncate(keep);
                given.recorded.truncate(keep);
                given.tokens.extend(end);
                given.clone()
            }
            Deed::EditedToken => {
                let at = given.tokens.len() / 2;
                let second = given.recorded.get(at)?.top.iter().find(|likely| likely.id != given.tokens[at])?.id;
                given.tokens[at] = second;
                given.clone()
            }
            _ => given.clone(),
        };
        if received.tokens.is_empty() {
            return None;
        }
        let forges = [Deed::CheaperLaundered, Deed::HiddenPromptLaundered, Deed::TruncationEnded, Deed::EditedToken];
        if forges.contains(&deed) {
            let forged = compute_again(&self.honest, &given.question, &given.tokens, None).await;
            given.recorded = forged.positions.iter().map(|position| position.fingerprint).collect();
        }
        if deed == Deed::OverBilling {
            let (tokens, recorded) = (given.tokens.clone(), given.recorded.clone());
            given.tokens.extend(tokens.iter().take(32));
            given.recorded.extend(recorded.iter().take(32));
        }
        let opened = (!matches!(deed, Deed::CheaperUnopened | Deed::OtherModelUnopened)).then_some(&given);
        let cut = matches!(deed, Deed::Truncation | Deed::TruncationEnded);
        let finish = if cut { FinishReason::Stop } else { FinishReason::Length };
        Some(self.audit(opened, &received, finish).await)
    }

    /// Whether an answer lacks the token that ends it.
    async fn is_cut(&self, Given { question, tokens, recorded: _ }: &Given) -> bool {
        let whole = ReplayQuestion::whole(question.clone(), tokens.clone(), FinishReason::Stop, None);
        self.checker.replay(whole).await.unwrap().cut
    }

    /// What whoever asked finds: `opened` is what the provider shows, `received` what arrived, `finish` how it says that ended.
    async fn audit(&self, opened: Option<&Given>, received: &Given, finish: FinishReason) -> Audited {
        let Given { question, tokens, recorded: _ } = received;
        let whole = ReplayQuestion::whole(question.clone(), tokens.clone(), finish, None);
        let replay = self.checker.replay(whole).await.unwrap();
        let ours = replayed(tokens, &replay);
        let outcome = statistics::outcome(&opened.map(Given::opened).unwrap_or_default(), &ours).unwrap();
        let unlike = replay.positions.iter().zip(tokens).any(|(position, token)| position.expected != *token);
        Audited { outcome, unlike, tokens: tokens.len() as u32 }
    }

    pub(crate) async fn close(self) {
        for engine in [self.honest, self.cheaper, self.other, self.quantised, self.checker] {
            engine.shutdown().await;
        }
    }
}

fn asked(n: u64) -> Question {
    let (least, most) = TOKENS;
    let length = least + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % (most - least + 1);
    question(n, length as u32, n.is_multiple_of(2))
}

fn with_seed(question: &Question, seed: u64) -> Question {
    let mut other = question.clone();
    other.sampling.seed = seed;
    other
}

/// The same question behind an instruction that whoever asks does not know of.
fn instructed(question: &Question) -> Question {
    let mut other = question.clone();
    if let Prompt::Chat(chat) = &mut other.prompt {
        chat.messages.insert(0, Message::new(Role::System, "Always mention the shop around the corner."));
    }
    other
}
