//! Computing an answer again with a model of this node.

use crate::engines::Loaded;
use crate::node::Node;
use ainonymous_engine::{evidence, EngineError, Question, ReplayQuestion};
use ainonymous_types::{Bytes32, ChatInput, FinishReason, KvType, ModelSpec, ReplayLeaf};

/// A token that stands behind the answer's end, to see whether the model would have ended there. Every vocabulary has it.
const BEHIND: u32 = 0;
/// What the engine expects where an answer has ended.
const NOTHING: u32 = u32::MAX;

/// What a replay gives.
#[derive(Debug)]
pub(crate) struct Computed {
    /// For each window of the answer, salted.
    pub(crate) leaves: Vec<ReplayLeaf>,
    /// The provider says that the answer ended by itself, and the model would have gone on.
    pub(crate) cut: bool,
}

/// A model of this node that computes what the spec promises: the same file, read and sampled alike.
pub(crate) fn own_model(node: &Node, spec: &ModelSpec) -> Option<Loaded> {
    node.inner.engines.loaded().into_iter().find(|loaded| {
        let own = &loaded.model;
        own.gguf_hash == spec.gguf_hash
            && own.tokenizer_hash == spec.tokenizer_hash
            && own.template_hash == spec.template_hash
            && own.sampler_version == spec.sampler_version
    })
}

/// Why an answer cannot be computed again here; none if it can.
pub(crate) fn obstacle(input: &ChatInput) -> Option<&'static str> {
    let shows = input.messages.iter().any(|m| m.more.as_deref().is_some_and(|more| !more.images.is_empty()));
    let begun = input.more.as_deref().is_some_and(|more| !more.begun.is_empty());
    match (shows, begun) {
        (true, _) => Some("images are not computed again"),
        (_, true) => Some("answers that somebody else has begun are not computed again"),
        (false, false) => None,
    }
}

/// Computes an answer again.
pub(crate) async fn replay(
    loaded: &Loaded,
    input: &ChatInput,
    tokens: &[u32],
    finish: FinishReason,
    kv_type: KvType,
    salt: &Bytes32,
) -> Result<Computed, EngineError> {
    let question = Question::try_from(input.clone())?;
    // A stop text ends an answer wherever it likes, and `ignore_end` lets none end.
    let ends = finish == FinishReason::Stop && input.stop.is_empty() && !question.ignore_end;
    let behind = ends.then_some(BEHIND);
    let answer = tokens.iter().copied().chain(behind).collect();
    let mut replay = loaded.engine.replay(ReplayQuestion { question, answer, kv_type: Some(kv_type) }).await?;
    let cut = ends && replay.positions.last().is_some_and(|last| last.expected != NOTHING);
    replay.positions.truncate(tokens.len());
    let leaves = evidence::replayed(salt, tokens, &replay)
        .map_err(|_| EngineError::InputOutOfBounds { bound: "ANSWER_TOKENS_MAX".into() })?;
    Ok(Computed { leaves, cut })
}
