//! A question and its answer as the node's callers see them, whichever way they travel.

use crate::{Agreed, AskError, Demands, Kinship, Reason};
use ainonymous_engine::{More, Question};
use ainonymous_protocol::HandedPart;
use ainonymous_types::{ActionHash, AgentPubKey, FinishReason, RequestId, SignedReceipt, SpecRef};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// Which way a question goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The node's own engine if it has the model, else a peer: over a link, else by signals.
    #[default]
    Auto,
    /// Only the node's own engine.
    Local,
    /// A peer, over a link between the two nodes.
    Direct,
    /// A peer, over a link through a router. Not to be chosen: `AskRequest::hide` is.
    Routed,
    /// A peer, by remote signals through the conductor.
    Signals,
    /// A peer, by a request entry on the DHT.
    Posted,
}

/// A question.
#[derive(Clone, Debug)]
pub struct AskRequest {
    /// `name`, `name:quantisation`, or none for whatever is there.
    pub model: Option<String>,
    /// What is asked.
    pub question: Question,
    /// Which way.
    pub route: Route,
    /// Only this provider.
    pub provider: Option<AgentPubKey>,
    /// What every provider must fulfil.
    pub demands: Demands,
    /// Only through routers, so that the provider does not learn who asks: not the address, and not the agent.
    pub hide: Hiding,
    /// Providers may know which agent asks. In a network by invitation they always do.
    pub known: bool,
    /// Which auditors may see question and answer, if the dice draw them; none is as the node is used to.
    pub show_auditors: Option<ShowAuditors>,
}

/// Which auditors may see a question and its answer, if the dice draw them. They do not learn who asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShowAuditors {
    /// None.
    #[default]
    None,
    /// Those of friends, and one's own.
    Friends,
    /// Anybody's.
    All,
}

impl ShowAuditors {
    /// The one that people spell like that.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "friends" => Some(Self::Friends),
            "all" => Some(Self::All),
            _ => None,
        }
    }

    /// How close an auditor must be; nothing if none is shown anything.
    pub(crate) fn no_further_than(self) -> Option<Kinship> {
        match self {
            Self::None => None,
            Self::Friends => Some(Kinship::Friend),
            Self::All => Some(Kinship::Public),
        }
    }
}

/// How many routers stand between whoever asks and whoever answers, at the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hiding {
    /// None need be.
    #[default]
    No,
    /// One: it learns both addresses, and nothing of what is said.
    OneRouter,
    /// Two: neither learns both addresses.
    TwoRouters,
}

/// Known as soon as a provider has taken the question.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerHead {
    /// Names the question; `Node::receipt` takes it.
    #[serde(serialize_with = "crate::ask::as_display")]
    pub id: RequestId,
    /// `name:quantisation`.
    pub model: String,
    /// Who answers, as `uhCAk…`; none for the node's own engine before the network is joined.
    pub provider: Option<String>,
    /// Which way it went: never `Auto`.
    pub route: Route,
    /// Why this provider; none where there was no choice.
    pub reason: Option<Reason>,
    /// Posted questions: the request's action, as `uhCkk…`; the answer can be fetched with it later.
    pub request: Option<String>,
    /// The model spec; none for the node's own engine before the network is joined.
    #[serde(skip)]
    pub spec: Option<SpecRef>,
}

/// A part of an answer, in order.
#[derive(Clone, Debug)]
pub enum AnswerEvent {
    /// Waiting; so many questions are before it.
    Queued {
        /// 0 means it is next.
        position: u32,
    },
    /// The next piece of text (valid UTF-8) and the tokens behind it.
    Text {
        /// What to append.
        text: String,
        /// How many tokens it took.
        tokens: u32,
        /// Reasoning, tool calls and log-probabilities that came with it.
        more: Option<Box<More>>,
    },
    /// The end; always the last event.
    Done(Box<AnswerDone>),
}

/// How an answer ended.
#[derive(Clone, Debug)]
pub struct AnswerDone {
    /// Why.
    pub finish: FinishReason,
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that were in the cache; a provider's word for it.
    pub cached_tokens: u32,
    /// Which of the question's stop texts ended it, where that is known.
    pub stopped_by: Option<u32>,
    /// Tokens of the answer, whoever has said them.
    pub completion_tokens: u32,
    /// Providers that are gone, and how many tokens each of them has said before the one whose receipt this is went on. No
    /// receipt speaks of these tokens.
    pub begun_by: Vec<HandedPart>,
    /// From asking to the first text, in microseconds, by the asker's clock.
    pub first_token_us: u64,
    /// From first to last token, in microseconds, by the engine's clock.
    pub decode_us: u64,
    /// From asking to the first token by the provider's clock, in microseconds.
    pub provider_first_token_us: u64,
    /// Which way the last part came.
    pub route: Route,
    /// The provider's signed statement; none when the node's own engine answered.
    pub receipt: Option<SignedReceipt>,
    /// Tokens that the receipt speaks of; none when the node's own engine answered.
    pub tokens: Vec<u32>,
    /// Critical questions: how several answers compare.
    pub agreement: Option<Box<Agreed>>,
}

impl AnswerDone {
    /// Decode speed of whoever said the last part, in tokens a second by the engine's clock; 0 if there is nothing to divide.
    pub fn tokens_per_s(&self) -> f64 {
        match self.decode_us {
            0 => 0.0,
            us => f64::from(self.own_tokens().saturating_sub(1)) * 1e6 / us as f64,
        }
    }

    /// Tokens of the answer that the signer of the receipt has said.
    pub fn own_tokens(&self) -> u32 {
        let begun: u32 = self.begun_by.iter().map(|part| part.tokens).fold(0, u32::saturating_add);
        self.completion_tokens.saturating_sub(begun)
    }
}

/// An answer on its way. Dropping it cancels the question.
#[derive(Debug)]
pub struct AnswerStream {
    /// What is known already.
    pub head: AnswerHead,
    /// What is to come; ends after `Done` or an error.
    pub events: mpsc::Receiver<Result<AnswerEvent, AskError>>,
}

/// Where a receipt stands (`Node::receipt`).
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptState {
    /// The question.
    #[serde(serialize_with = "crate::ask::as_display")]
    pub id: RequestId,
    /// Action of the batch on the DHT, as `uhCkk…`, once published.
    #[serde(serialize_with = "crate::ask::as_option_display")]
    pub batch: Option<ActionHash>,
    /// The batch was fetched from the DHT, its author is the provider, the path leads to its root, and signature and
    /// commitments fit what was received.
    pub checked: bool,
    /// Why a check failed.
    pub problem: Option<String>,
}

pub(crate) fn as_display<T: std::fmt::Display, S: serde::Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

pub(crate) fn as_option_display<T: std::fmt::Display, S: serde::Serializer>(
    value: &Option<T>,
    s: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => s.collect_str(value),
        None => s.serialize_none(),
    }
}
