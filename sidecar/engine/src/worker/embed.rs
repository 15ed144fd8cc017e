//! Vectors of texts: a context of its own, made when the first text comes, one text a step.
//!
//! How the vectors of a text's tokens become one is the model's business (`pooling_type` in its metadata); where the model
//! does not say, it is their mean. Vectors have length 1.

use crate::llama::{AbortSwitch, Batch, DecodeError, EmbedContext, Model, Token};
use crate::request::{EmbedInput, EmbedQuestion, Embeddings};
use crate::EngineError;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// Longest text in tokens, if the model can take that many.
const TEXT_TOKENS_MAX: u32 = 2_048;

/// Texts that are being embedded.
pub(super) struct Embedding {
    pub(super) id: u64,
    pub(super) cancelled: Arc<AtomicBool>,
    question: EmbedQuestion,
    done: Embeddings,
}

impl Embedding {
    pub(super) fn new(id: u64, question: EmbedQuestion, cancelled: Arc<AtomicBool>) -> Self {
        Self { id, cancelled, question, done: Embeddings { vectors: Vec::new(), prompt_tokens: 0 } }
    }
}

/// Makes vectors with one model.
pub(super) struct Embedder {
    model: Arc<Model>,
    threads: u32,
    abort: Arc<AbortSwitch>,
    context: Option<EmbedContext>,
    batch: Batch,
}

impl Embedder {
    pub(super) fn new(model: Arc<Model>, threads: u32, abort: Arc<AbortSwitch>) -> Self {
        Self { model, threads, abort, context: None, batch: Batch::default() }
    }

    /// Embeds the next text; the vectors when it was the last.
    pub(super) fn step(&mut self, embedding: &mut Embedding) -> Result<Option<Embeddings>, EngineError> {
        let done = &mut embedding.done;
        let Some(input) = embedding.question.inputs.get(done.vectors.len()) else {
            return Ok(Some(std::mem::replace(done, Embeddings { vectors: Vec::new(), prompt_tokens: 0 })));
        };
        let tokens = self.tokens(input)?;
        done.prompt_tokens = done.prompt_tokens.saturating_add(tokens.len() as u32);
        done.vectors.push(self.vector(embedding.id, &tokens)?);
        Ok(None)
    }

    fn tokens(&self, input: &EmbedInput) -> Result<Vec<Token>, EngineError> {
        let unknown = || EngineError::InputOutOfBounds { bound: "the model's vocabulary".into() };
        let known = |&token: &u32| Token::try_from(token).ok().filter(|_| (token as usize) < self.model.vocabulary());
        let mut tokens: Vec<Token> = match input {
            EmbedInput::Tokens(tokens) => tokens.iter().map(known).collect::<Option<_>>().ok_or_else(unknown)?,
            EmbedInput::Text(text) => self.model.tokenize(text).ok_or_else(unknown)?,
        };
        if matches!(input, EmbedInput::Text(_)) {
            let frame = |wanted: bool, token: Option<Token>| token.filter(|_| wanted);
            tokens.splice(..0, frame(self.model.wants_bos(), self.model.bos()));
            tokens.extend(frame(self.model.wants_eos(), self.model.eos()));
        }
        Ok(tokens)
    }

    fn vector(&mut self, id: u64, tokens: &[Token]) -> Result<Vec<f32>, EngineError> {
        let context_tokens = TEXT_TOKENS_MAX.min(self.model.context_trained().max(1));
        if tokens.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        if tokens.len() > context_tokens as usize {
            return Err(EngineError::PromptTooLong { prompt_tokens: tokens.len() as u32, context_tokens });
        }
        let context = match &mut self.context {
            Some(context) => context,
            empty => {
                let made = EmbedContext::new(self.model.clone(), context_tokens, self.threads, self.abort.clone());
                empty.insert(made.ok_or(EngineError::OutOfMemory)?)
            }
        };
        self.batch.clear();
        for (position, &token) in (0..).zip(tokens) {
            self.batch.add(token, position, 0, true);
        }
        self.abort.begin(id);
        let mut vector = context.vector(&mut self.batch).map_err(|error| match error {
            DecodeError::Aborted => EngineError::Draining,
            DecodeError::Failed(code) => EngineError::DecodeFailed { code },
        })?;
        normalize(&mut vector);
        Ok(vector)
    }
}

/// Scales to length 1; a vector of zeros stays.
fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn vectors_get_length_one() {
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let mut zero = [0.0; 2];
        normalize(&mut zero);
        assert_eq!(zero, [0.0; 2]);
    }
}
