//! Questions of an auditor's own making, built like those that people ask: the provider must not tell them apart.
//!
//! Text and settings are drawn by dice. How long an answer may be, and how tokens are drawn, is taken from questions that this node has
//! asked lately, if it has asked any; of those nothing else is kept. One thing cannot be hidden: an answer that shall be shown in full
//! has 256 tokens at most, so questions without a bound, which are common, are never canaries.

use ainonymous_types::limits::{EVIDENCE_TOKENS_MAX, SEED_MAX};
use ainonymous_types::{ChatInput, ChatMessage, ChatRole, Sampling};
use std::collections::VecDeque;

/// Shapes that are remembered.
const SHAPES_MAX: usize = 64;
/// Bounds that clients commonly set.
const BOUNDS: [u32; 4] = [64, 128, 200, 256];

/// How a question looked, without anything of what it said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    sampling: Sampling,
    max_tokens: u32,
}

/// How this node's questions looked lately.
#[derive(Debug, Default)]
pub(crate) struct Shapes(VecDeque<Shape>);

impl Shapes {
    /// A question was asked. Only shapes that a canary can have are kept.
    pub(crate) fn note(&mut self, input: &ChatInput) {
        let fits = (1..=EVIDENCE_TOKENS_MAX).contains(&(input.max_tokens as usize));
        if !fits || input.more.is_some() || !input.stop.is_empty() {
            return;
        }
        self.0.push_back(Shape { sampling: input.sampling, max_tokens: input.max_tokens });
        while self.0.len() > SHAPES_MAX {
            self.0.pop_front();
        }
    }
}

const OPENINGS: [&str; 16] = [
    "Can you explain {}?",
    "Please tell me about {}.",
    "What should I know about {}?",
    "Write a short text about {}.",
    "Give me three facts about {}.",
    "I have to talk about {} tomorrow. Where do I begin?",
    "Why is {} important?",
    "Summarise {} in two sentences.",
    "What is the history of {}?",
    "How would you describe {} to a child?",
    "Compare {} with something similar.",
    "Write a poem about {}.",
    "What are common mistakes about {}?",
    "Tell me a story about {}.",
    "hi, quick question: what's the deal with {}",
    "List pros and cons of {}.",
];
const TOPICS: [&str; 40] = [
    "the sea",
    "bread",
    "bicycles",
    "Rome",
    "winter",
    "the moon",
    "rivers",
    "a good breakfast",
    "chess",
    "clouds",
    "Paris",
    "bees",
    "old maps",
    "the number zero",
    "gardens",
    "trains",
    "music",
    "salt",
    "the colour blue",
    "libraries",
    "dogs",
    "volcanoes",
    "tea",
    "bridges",
    "sleep",
    "glass",
    "the wind",
    "football",
    "cats",
    "coffee",
    "mirrors",
    "an island",
    "the alphabet",
    "light",
    "iron",
    "markets",
    "swimming",
    "the stars",
    "paper",
    "a small town",
];
const ENDINGS: [&str; 8] = [
    "",
    "",
    "",
    " Keep it short.",
    " Thanks!",
    " I know little about it.",
    " Please be precise.",
    " In plain words, please.",
];

/// A question out of dice.
pub(crate) fn question(shapes: &Shapes, dice: &[u8; 32]) -> ChatInput {
    let roll = |at: usize, sides: usize| {
        let four = [dice[at], dice[at + 1], dice[at + 2], dice[at + 3]];
        u32::from_le_bytes(four) as usize % sides.max(1)
    };
    let (opening, topic, ending) = (roll(0, OPENINGS.len()), roll(4, TOPICS.len()), roll(8, ENDINGS.len()));
    let text = format!("{}{}", OPENINGS[opening].replace("{}", TOPICS[topic]), ENDINGS[ending]);
    let seed = u64::from_le_bytes([dice[12], dice[13], dice[14], dice[15], dice[16], dice[17], dice[18], dice[19]]);
    let seed = seed & SEED_MAX;
    let shape = shapes
        .0
        .get(roll(20, shapes.0.len()))
        .copied()
        .unwrap_or_else(|| Shape { sampling: common(roll(24, 4)), max_tokens: BOUNDS[roll(28, BOUNDS.len())] });
    ChatInput {
        messages: vec![ChatMessage::new(ChatRole::User, text)],
        sampling: Sampling { seed, ..shape.sampling },
        max_tokens: shape.max_tokens,
        stop: vec![],
        more: None,
    }
}

/// What clients set if their users set nothing, or what they like best.
fn common(which: usize) -> Sampling {
    let usual = Sampling::default();
    match which {
        0 => Sampling { temperature_milli: 700, ..usual },
        1 => Sampling { temperature_milli: 0, ..usual },
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_verify::chat;
    use std::collections::HashSet;

    fn dice(n: u64) -> [u8; 32] {
        sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(n.to_le_bytes())).into()
    }

    #[test]
    fn hardly_any_two_are_alike_and_all_are_within_bounds() {
        let mut seen = HashSet::new();
        for n in 0..2_000 {
            let question = question(&Shapes::default(), &dice(n * 7));
            chat::bounds(&question).unwrap();
            assert!((1..=EVIDENCE_TOKENS_MAX as u32).contains(&question.max_tokens));
            seen.insert(question.messages[0].content.clone());
        }
        assert!(seen.len() > 1_000, "{}", seen.len());
    }

    #[test]
    fn they_look_like_the_questions_of_this_node_and_say_nothing_of_them() {
        let mut shapes = Shapes::default();
        let mut own = question(&shapes, &dice(1));
        own.messages[0].content = "a secret".into();
        (own.sampling.temperature_milli, own.max_tokens) = (1_234, 99);
        shapes.note(&own);
        shapes.note(&ChatInput { max_tokens: 0, ..own.clone() });
        shapes.note(&ChatInput { max_tokens: EVIDENCE_TOKENS_MAX as u32 + 1, ..own.clone() });
        assert_eq!(shapes.0.len(), 1, "what could not be shown is no example");
        let made = question(&shapes, &dice(5));
        assert_eq!((made.sampling.temperature_milli, made.max_tokens), (1_234, 99));
        assert!(!made.messages[0].content.contains("secret"));
        assert_ne!(made.sampling.seed, own.sampling.seed);
    }
}
