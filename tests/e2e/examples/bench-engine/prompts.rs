//! Texts of a wanted length that no earlier text begins with, from words that the tiny vocabulary has.

use crate::ask::{Question, Server};

const WORDS: [&str; 32] = [
    "the", "a", "dog", "cat", "park", "went", "to", "and", "saw", "big", "red", "ball", "Tom", "Anna", "was", "happy",
    "in", "house", "they", "played", "with", "his", "her", "friend", "day", "one", "then", "said", "he", "she", "it",
    "at",
];
/// Words of the text that teaches how many tokens a word takes.
const SAMPLE_WORDS: usize = 200;

/// Makes texts; each is new.
pub(crate) struct Prompts {
    state: u64,
    /// Tokens of a conversation without text, and of one word.
    overhead: f64,
    per_word: f64,
}

impl Prompts {
    /// Learns from a server how long texts are.
    pub(crate) fn new(server: &Server) -> Result<Self, String> {
        let mut prompts = Self { state: 1, overhead: 0.0, per_word: 1.0 };
        let mut tokens = |words| {
            let question = Question { system: None, user: prompts.words(words), max_tokens: 1 };
            server.ask(&question).map(|seen| f64::from(seen.prompt_tokens))
        };
        let (short, long) = (tokens(SAMPLE_WORDS / 4)?, tokens(SAMPLE_WORDS)?);
        prompts.per_word = (long - short) / (SAMPLE_WORDS - SAMPLE_WORDS / 4) as f64;
        prompts.overhead = short - prompts.per_word * (SAMPLE_WORDS / 4) as f64;
        Ok(prompts)
    }

    /// A text that makes a prompt of about so many tokens.
    pub(crate) fn text(&mut self, tokens: u32) -> String {
        let words = (f64::from(tokens) - self.overhead) / self.per_word;
        self.words(words.max(1.0) as usize)
    }

    /// So many words.
    pub(crate) fn words(&mut self, count: usize) -> String {
        let mut word = || {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            WORDS[(self.state >> 59) as usize]
        };
        (0..count).map(|_| word()).collect::<Vec<_>>().join(" ")
    }
}
