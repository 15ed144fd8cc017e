//! What providers do against the rules: the same whether single audits are tried or a whole node cheats (`cheat`).

use crate::give::{compute_again, give, Given};
use ainonymous_engine::request::{Message, Role};
use ainonymous_engine::{Engine, Fingerprint, LlamaEngine, Prompt, Question, ReplayQuestion};
use ainonymous_types::FinishReason;

/// Something that a provider does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deed {
    Nothing,
    /// The honest answer, told by whoever tells the false ones: what comes of that is not the deed's.
    Retold,
    CheaperQuantisation,
    CheaperLaundered,
    CheaperUnopened,
    CheaperOneInTen,
    OtherModel,
    OtherModelUnopened,
    Tuned,
    TunedLaundered,
    Temperature,
    Seed,
    CachedReply,
    Truncation,
    TruncationEnded,
    Padding,
    EditedToken,
    HiddenPrompt,
    HiddenPromptLaundered,
    QuantisedCache,
    /// Not a worker's deed: whoever signs says that there were more tokens than were sent.
    OverBilling,
}

/// What an answer is computed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Means {
    /// The model that was asked.
    Asked,
    Cheaper,
    Other,
    /// The model that was asked, trained on.
    Tuned,
    /// The model that was asked, with a coarser cache.
    Quantised,
}

/// An answer, as whoever asked gets it, and what its provider keeps to show of it.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) tokens: Vec<u32>,
    /// Of each token; none if it opens nothing.
    pub(crate) recorded: Option<Vec<Fingerprint>>,
    /// How it says that it ended.
    pub(crate) finish: FinishReason,
}

impl From<Given> for Told {
    fn from(Given { question: _, tokens, recorded, finish }: Given) -> Self {
        Self { tokens, recorded: Some(recorded), finish }
    }
}

impl Deed {
    /// Whether the whole answer is of another model, whose fingerprint says so.
    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Self::CheaperQuantisation | Self::OtherModel | Self::Tuned)
    }

    /// Whether only tokens can tell: those who are found are among the answers in which some differ.
    pub(crate) fn shows_in_tokens_only(self) -> bool {
        matches!(
            self,
            Self::CheaperLaundered
                | Self::CheaperUnopened
                | Self::OtherModelUnopened
                | Self::TunedLaundered
                | Self::Temperature
                | Self::Seed
                | Self::CachedReply
                | Self::HiddenPromptLaundered
        )
    }

    /// Whether answers are computed otherwise than asked, so that they may come out the same all the same.
    pub(crate) fn computes_otherwise(self) -> bool {
        let of_the_right_model = [
            Self::Nothing,
            Self::Retold,
            Self::CheaperOneInTen,
            Self::Truncation,
            Self::TruncationEnded,
            Self::Padding,
            Self::EditedToken,
            Self::OverBilling,
        ];
        !of_the_right_model.contains(&self)
    }

    pub(crate) fn means(self) -> Means {
        match self {
            Self::CheaperQuantisation | Self::CheaperLaundered | Self::CheaperUnopened | Self::CheaperOneInTen => {
                Means::Cheaper
            }
            Self::OtherModel | Self::OtherModelUnopened => Means::Other,
            Self::Tuned | Self::TunedLaundered => Means::Tuned,
            Self::QuantisedCache => Means::Quantised,
            _ => Means::Asked,
        }
    }

    /// Answers the n-th question; none where this one gives no room for the deed. `instead` has [`Self::means`] loaded, where that is not the model
    /// that was asked.
    pub(crate) async fn answer(
        self,
        honest: &LlamaEngine,
        instead: Option<&LlamaEngine>,
        n: u64,
        question: &Question,
    ) -> Option<Told> {
        let replaced = instead.filter(|_| self != Self::CheaperOneInTen || n.is_multiple_of(10)).unwrap_or(honest);
        let asked = match self {
            Self::Temperature => hotter(question),
            Self::Seed => with_seed(question, 7_000_000 + n),
            Self::CachedReply => with_seed(question, 9_000_000),
            Self::HiddenPrompt | Self::HiddenPromptLaundered => instructed(question),
            _ => question.clone(),
        };
        let mut told = Told::from(give(replaced, asked).await);
        match self {
            Self::Truncation | Self::TruncationEnded => {
                // Only what ended by itself can be passed off as ended: half of it.
                let keep = told.tokens.len() / 2;
                if question.ignore_end || keep < 4 {
                    return None;
                }
                let end = told.tokens.last().copied().filter(|_| self == Self::TruncationEnded);
                if end.is_some() && is_cut(honest, question, &told.tokens).await {
                    // It ended by its bound: there is no end to put to half of it.
                    return None;
                }
                told.tokens.truncate(keep);
                told.recorded.iter_mut().for_each(|recorded| recorded.truncate(keep));
                told.tokens.extend(end);
                told.finish = FinishReason::Stop;
            }
            Self::Padding => {
                let padded = give(honest, Question { ignore_end: true, ..question.clone() }).await;
                if padded.tokens.len() <= told.tokens.len() {
                    return None;
                }
                told = padded.into();
            }
            Self::EditedToken => {
                let at = told.tokens.len() / 2;
                let likely = told.recorded.as_ref()?.get(at)?.top;
                told.tokens[at] = likely.iter().find(|likely| likely.id != told.tokens[at])?.id;
            }
            Self::CheaperUnopened | Self::OtherModelUnopened => told.recorded = None,
            _ => {}
        }
        if told.tokens.is_empty() {
            return None;
        }
        let forges = [
            Self::CheaperLaundered,
            Self::TunedLaundered,
            Self::HiddenPromptLaundered,
            Self::TruncationEnded,
            Self::EditedToken,
        ];
        if forges.contains(&self) {
            let forged = compute_again(honest, question, &told.tokens, None).await;
            told.recorded = Some(forged.positions.iter().map(|position| position.fingerprint).collect());
        }
        Some(told)
    }
}

/// Whether an answer lacks the token that ends it.
async fn is_cut(engine: &LlamaEngine, question: &Question, tokens: &[u32]) -> bool {
    let whole = ReplayQuestion::whole(question.clone(), tokens.to_vec(), FinishReason::Stop, None);
    engine.replay(whole).await.unwrap().cut
}

fn hotter(question: &Question) -> Question {
    let mut hotter = question.clone();
    hotter.sampling.temperature_milli = hotter.sampling.temperature_milli * 12 / 10;
    hotter
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
