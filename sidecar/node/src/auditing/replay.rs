//! Computing an answer again with a model of this node.

use crate::engines::Loaded;
use crate::node::Node;
use ainonymous_engine::{evidence, EngineError, Question, ReplayQuestion};
use ainonymous_types::{Bytes32, ChatInput, KvType, ModelSpec, Receipt, ReplayLeaf};

/// What a replay gives.
#[derive(Debug)]
pub(crate) struct Computed {
    /// For each window of the answer, salted.
    pub(crate) leaves: Vec<ReplayLeaf>,
    /// The provider says that the answer ended by itself, and it does not: its last token counts as one that could not stand there.
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

/// Why an answer cannot be computed again here; none if it can. What somebody else has begun is part of the question.
pub(crate) fn obstacle(input: &ChatInput) -> Option<&'static str> {
    let shows = input.messages.iter().any(|m| m.more.as_deref().is_some_and(|more| !more.images.is_empty()));
    shows.then_some("images are not computed again")
}

/// Computes an answer's first tokens again, or all: as its receipt says that it ended, and when.
pub(crate) async fn replay(
    loaded: &Loaded,
    input: &ChatInput,
    (tokens, until): (&[u32], usize),
    statement: &Receipt,
    kv_type: KvType,
    salt: &Bytes32,
) -> Result<Computed, EngineError> {
    let question = Question::try_from(input.clone())?;
    let until = until.min(tokens.len());
    let whole = ReplayQuestion::whole(question, tokens.to_vec(), statement.finish, Some(kv_type));
    let replay = loaded.engine.replay(whole.only(until).at(statement.finished_at)).await?;
    let leaves = evidence::replayed(salt, &tokens[..until], &replay)
        .map_err(|_| EngineError::InputOutOfBounds { bound: "ANSWER_TOKENS_MAX".into() })?;
    Ok(Computed { leaves, cut: replay.cut })
}
