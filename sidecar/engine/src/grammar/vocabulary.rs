//! A model's tokens as `llguidance` wants them: a tree of their bytes, built once per model.
//!
//! Special tokens are no text and must never match any, so their bytes begin with a byte that UTF-8 does not have.

use super::invalid;
use crate::EngineError;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::ParserFactory;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Most tokens that a vocabulary can have; `toktrie` counts its nodes in 22 bits.
const TOKENS_MAX: usize = 1 << 21;
/// Longest token that an answer under a grammar can have, in bytes; `toktrie` has room for 1024. Longer ones are white space.
const TOKEN_BYTES_MAX: usize = 256;

/// Bounds on the work for one grammar. Fifty thousand steps of the first take about a millisecond.
mod bounds {
    /// Steps to build the lexer.
    pub(super) const LEXER_FUEL: u64 = 1_000_000;
    /// Steps of the lexer for one token; 14,000 take about a millisecond.
    pub(super) const STEP_LEXER_FUEL: u64 = 200_000;
    /// Items of the parser for one token; 20,000 take about a millisecond.
    pub(super) const STEP_ITEMS: usize = 50_000;
    /// States of the lexer, of one to two kilobytes each.
    pub(super) const LEXER_STATES: usize = 25_000;
    /// Symbols in the grammar.
    pub(super) const GRAMMAR_SYMBOLS: usize = 200_000;
}

/// The tokens of a model.
pub(crate) struct Vocabulary {
    factory: ParserFactory,
    special: HashMap<String, TokenId>,
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").finish_non_exhaustive()
    }
}

impl Vocabulary {
    /// `tokens`: the bytes of each token, in the order of their ids, special ones with the text that they stand for.
    /// `special`: which are special. `eos`: the tokens that end an answer, the usual one first; not none.
    pub(crate) fn new(tokens: Vec<Vec<u8>>, special: &[bool], eos: &[u32]) -> Result<Arc<Self>, EngineError> {
        let unsupported = || EngineError::Unsupported { what: "structured output with this vocabulary".into() };
        let count = tokens.len();
        let known = |id: &u32| (*id as usize) < count;
        if count == 0 || count > TOKENS_MAX || special.len() != count || eos.is_empty() || !eos.iter().all(known) {
            return Err(unsupported());
        }
        let mut names = HashMap::new();
        let words: Vec<Vec<u8>> = tokens
            .into_iter()
            .zip(special)
            .zip(0..)
            .map(|((bytes, &special), id)| {
                if special {
                    if let Ok(name) = std::str::from_utf8(&bytes) {
                        names.entry(name.to_owned()).or_insert(id);
                    }
                    let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
                    word.extend(bytes.iter().take(TOKEN_BYTES_MAX));
                    word
                } else if bytes.len() > TOKEN_BYTES_MAX || bytes.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER) {
                    // Without bytes it fits nowhere.
                    vec![]
                } else {
                    bytes
                }
            })
            .collect();
        let tree = TokTrie::from(&TokRxInfo::new(count as u32, eos[0]), &words).with_eos_tokens(eos);
        let tokens: TokEnv = Arc::new(Tokens(tree));
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let capabilities = InferenceCapabilities::default();
        let mut factory = ParserFactory::new(&tokens, capabilities, &slices).map_err(|_| unsupported())?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.initial_lexer_fuel = bounds::LEXER_FUEL;
        limits.step_lexer_fuel = bounds::STEP_LEXER_FUEL;
        limits.step_max_items = bounds::STEP_ITEMS;
        limits.max_lexer_states = bounds::LEXER_STATES;
        limits.max_grammar_size = bounds::GRAMMAR_SYMBOLS;
        // Errors would quote the answer.
        limits.verbose_errors = false;
        Ok(Arc::new(Self { factory, special: names }))
    }

    pub(super) fn factory(&self) -> &ParserFactory {
        &self.factory
    }

    /// A text in Lark's notation. Where it names special tokens it becomes these, as the model would write it.
    pub(super) fn lark(&self, text: &str) -> String {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some((at, name, id)) = self.first_special(rest) {
            if at > 0 {
                out.push(literal(&rest[..at]));
            }
            out.push(format!("<[{id}]>"));
            rest = &rest[at + name..];
        }
        if !rest.is_empty() || out.is_empty() {
            out.push(literal(rest));
        }
        out.join(" ")
    }

    /// Is there a special token of this name?
    pub(super) fn is_special(&self, name: &str) -> bool {
        self.special.contains_key(name)
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = (&String, &TokenId)> {
        self.special.iter()
    }

    /// The first special token named in a text: where, how long its name is, and its id.
    fn first_special(&self, text: &str) -> Option<(usize, usize, TokenId)> {
        text.char_indices().find_map(|(at, _)| {
            let ends = text[at..].char_indices().map(|(i, c)| at + i + c.len_utf8());
            let found = ends.rev().find_map(|end| Some((end - at, *self.special.get(&text[at..end])?)));
            found.map(|(length, id)| (at, length, id))
        })
    }
}

/// A text as a string of Lark.
pub(super) fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The tokens without a tokeniser: which tokens write a text is left to the model.
struct Tokens(TokTrie);

impl TokenizerEnv for Tokens {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, text: &[u8]) -> Vec<TokenId> {
        self.0.greedy_tokenize(text)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

/// Refuses a schema that is nested too deeply for those who read it.
pub(super) fn check_depth(schema: &serde_json::Value, depth_max: usize) -> Result<(), EngineError> {
    let mut level = vec![schema];
    for _ in 0..depth_max {
        level = level.into_iter().flat_map(children).collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    Err(invalid("the schema is nested too deeply"))
}

fn children(value: &serde_json::Value) -> Box<dyn Iterator<Item = &serde_json::Value> + '_> {
    match value {
        serde_json::Value::Array(items) => Box::new(items.iter()),
        serde_json::Value::Object(members) => Box::new(members.values()),
        _ => Box::new(std::iter::empty()),
    }
}
