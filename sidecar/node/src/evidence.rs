//! What questions and answers leave behind so that they can be checked: on the provider's side what opens a receipt's fingerprint, on
//! the requester's all that was asked, said and signed.
//!
//! Only what stands in it. Where it is kept `store` knows, what follows from it `verify`. Nothing here has a `Debug` that tells a word of it.

use crate::receipt_file::Batch;
use crate::Hiding;
use ainonymous_protocol::{sign_grant, HandedPart};
use ainonymous_types::limits::AUDIT_WINDOW_US;
use ainonymous_types::{
    AgentPubKey, Bytes32, ChatInput, ChunkMore, ModelSpec, OpenGrant, OpenedLeaf, RequestId, SignedReceipt, SpecRef,
    TimestampUs, TokenChunk,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a provider keeps of an answer until the window closes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnswerKept {
    /// The question.
    pub(crate) input: ChatInput,
    /// Salt of the commitments.
    pub(crate) salt: Bytes32,
    /// Tokens, fingerprint and salts.
    pub(crate) leaves: Vec<OpenedLeaf>,
}

/// What only whoever asks knows.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Of the key that signed the question.
    pub session: Bytes32,
    /// Behind the challenge of the question.
    pub audit: Bytes32,
}

/// What an answer's own provider has said, without what others had begun.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Tokens.
    pub tokens: Vec<u32>,
    /// Text.
    pub text: String,
    /// Thoughts and tool calls; no log-probabilities, which no receipt speaks of.
    pub more: Option<Box<ChunkMore>>,
}

/// A question of this node to a peer, and what became of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// By which whoever asked knows it.
    pub id: RequestId,
    /// By which its provider knows it, and which the question's signature covers.
    pub request: RequestId,
    /// The whole question, as its provider got it.
    pub input: ChatInput,
    /// Salt of the commitments.
    pub salt: Bytes32,
    /// What only this node knows.
    pub secrets: Secrets,
    /// The model that was asked for.
    pub spec: SpecRef,
    /// What that is, if this node knew.
    pub model: Option<ModelSpec>,
    /// Whether the question went through routers: what is asked about it later goes the same way.
    pub hide: Hiding,
    /// Whether the provider knew who asks.
    pub known: bool,
    /// The answer; none while it is not there.
    pub answer: Option<Answered>,
}

/// An answer that fits its receipt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// What was said.
    pub said: Said,
    /// The provider's statement.
    pub receipt: SignedReceipt,
    /// Who has begun the answer, and how many tokens each of them said: they are in the question.
    pub begun_by: Vec<(AgentPubKey, u32)>,
    /// Where the receipt stands, once that was checked.
    pub batch: Option<Batch>,
    /// The fingerprint, if it was asked for and fits the receipt.
    pub opened: Option<Vec<OpenedLeaf>>,
}

impl Asked {
    /// Lets the fingerprint of the answer be seen by `auditor`, or by whoever holds the grant if that is none; as long as a provider must
    /// keep it. None while there is no answer.
    pub fn grant(&self, auditor: Option<AgentPubKey>) -> Option<OpenGrant> {
        let receipt = &self.answer.as_ref()?.receipt;
        let until: TimestampUs = receipt.receipt.finished_at.saturating_add(AUDIT_WINDOW_US);
        Some(sign_grant(&self.secrets.session.0, self.secrets.audit, receipt, auditor, until))
    }
}

impl Answered {
    pub(crate) fn new(said: Said, receipt: SignedReceipt, begun_by: &[HandedPart]) -> Self {
        let begun_by = begun_by.iter().map(|part| (part.provider.clone(), part.tokens)).collect();
        Self { said, receipt, begun_by, batch: None, opened: None }
    }
}

impl Said {
    /// Adds what was said next.
    pub(crate) fn push(&mut self, chunk: &TokenChunk) {
        let TokenChunk { id: _, chunk: _, text, tokens, more } = chunk;
        self.text.push_str(text);
        self.tokens.extend_from_slice(tokens);
        let Some(ChunkMore { reasoning, tool_calls, logprobs: _ }) = more.as_deref() else { return };
        if reasoning.is_empty() && tool_calls.is_empty() {
            return;
        }
        let whole = self.more.get_or_insert_default();
        whole.reasoning.push_str(reasoning);
        whole.tool_calls.extend_from_slice(tool_calls);
    }
}

macro_rules! untold {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            /// Tells nothing of what was asked or said.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
untold!(AnswerKept, Secrets, Said, Asked, Answered);

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::ToolCallPiece;
    use ainonymous_verify::commit;

    #[test]
    fn what_was_said_fits_the_commitment_however_it_was_cut() {
        let chunk = |tokens: &[u32], text: &str, reasoning: &str| {
            let call = ToolCallPiece { index: 0, begins: None, arguments: "{}".into() };
            let tool_calls = if reasoning.is_empty() { vec![] } else { vec![call] };
            let more = ChunkMore { reasoning: reasoning.into(), tool_calls, logprobs: vec![] };
            let more = (!reasoning.is_empty()).then(|| Box::new(more));
            TokenChunk { id: RequestId([0; 16]), chunk: 0, text: text.into(), tokens: tokens.into(), more }
        };
        let (mut said, salt) = (Said::default(), Bytes32([3; 32]));
        let mut streamed = commit::Output::new(&salt);
        for chunk in [chunk(&[1], "a", ""), chunk(&[2, 3], "", "hm"), chunk(&[], "b", "so")] {
            streamed.push(&chunk.tokens, &chunk.text, chunk.more.as_deref());
            said.push(&chunk);
        }
        let mut whole = commit::Output::new(&salt);
        whole.push(&said.tokens, &said.text, said.more.as_deref());
        assert_eq!(whole.finish(), streamed.finish());
        assert_eq!(format!("{said:?}"), "Said(…)");
    }
}
