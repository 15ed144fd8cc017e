//! What an auditor asks of its own making, and when: built like what people ask, out of dice that are passed in.
//!
//! How long an answer may be, and how tokens are drawn, is taken from questions that the node has asked lately, if it has asked any; of those
//! nothing else is kept. So settings do not tell a canary from other questions with a bound. What does: an answer that shall be shown in
//! full has 256 tokens at most, so questions without a bound, which are common, are never canaries; and the texts are a list that everybody
//! can read here (measured by `cargo xtask attacks`: docs/reference/attacks.md). So an auditor has its own model say them in other words
//! ([`wish`], [`in_own_words`]), and falls back on the list where the model says nothing that could be asked.

use crate::dice::RANDOM_BYTES;
use ainonymous_types::limits::{EVIDENCE_TOKENS_MAX, SEED_MAX};
use ainonymous_types::{ChatInput, ChatMessage, ChatRole, Sampling};
use std::collections::VecDeque;

/// Shapes that are remembered.
const SHAPES_MAX: usize = 64;
/// No wait is longer than so many times the mean: two in a hundred would be.
const WAIT_MAX: f64 = 4.0;
/// Bounds that clients commonly set.
const BOUNDS: [u32; 4] = [64, 128, 200, 256];

/// How a question looked, without anything of what it said.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    sampling: Sampling,
    max_tokens: u32,
}

/// How this node's questions looked lately.
#[derive(Debug, Default)]
pub struct Shapes(VecDeque<Shape>);

impl Shapes {
    /// A question was asked. Only shapes that a canary can have are kept.
    pub fn note(&mut self, input: &ChatInput) {
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

/// The wait before the next one, in microseconds, where one is asked every so many on average. Exponentially distributed, as the gaps
/// between questions that people ask at any time: how long none came says nothing of when one will.
pub fn wait_us(every_us: u64, dice: u32) -> u64 {
    let left = (f64::from(dice) + 0.5) / (f64::from(u32::MAX) + 1.0);
    (every_us as f64 * (-left.ln()).min(WAIT_MAX)) as u64
}

/// Tokens that a model may take to put a question into its own words.
pub const OWN_WORDS_TOKENS_MAX: u32 = 96;
/// Bytes of such a question; a longer one is cut where a sentence ends.
const OWN_WORDS_BYTES_MAX: usize = 400;
/// Words of the shortest.
const OWN_WORDS_MIN: usize = 3;

/// What a model is told to say this question in its own words.
pub fn wish(question: &str) -> String {
    format!("Say this as somebody else would who wants to know the same, or something near to it, and say nothing else: {question}")
}

/// The question in what a model has said; none if there is none.
pub fn in_own_words(said: &str) -> Option<String> {
    let said = said.trim().lines().map(str::trim).find(|line| !line.is_empty())?;
    let said = said.trim_matches(|c: char| matches!(c, '"' | '*' | '`' | '“' | '”' | '„'));
    let within =
        said.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= OWN_WORDS_BYTES_MAX).last()?;
    let cut = said.get(..within)?;
    let whole = match within < said.len() {
        true => cut.rfind(['.', '?', '!']).and_then(|end| cut.get(..=end))?,
        false => cut,
    };
    let usable = whole.split_whitespace().count() >= OWN_WORDS_MIN && !whole.chars().any(char::is_control);
    usable.then(|| whole.to_owned())
}

/// A question out of dice.
pub fn question(shapes: &Shapes, dice: &[u8; RANDOM_BYTES]) -> ChatInput {
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
    use crate::dice::Dice;
    use ainonymous_verify::chat;
    use std::collections::HashSet;

    fn dice(n: u64) -> [u8; RANDOM_BYTES] {
        let mut seed = [0; RANDOM_BYTES];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let mut numbers = Dice::new(&seed);
        // The first numbers of so plain a seed are alike.
        for _ in 0..8 {
            numbers.next();
        }
        std::array::from_fn(|_| numbers.next() as u8)
    }

    #[test]
    fn nobody_can_foretell_when_the_next_one_comes_but_it_does() {
        let mut numbers = Dice::new(&dice(1));
        let mut waits: Vec<u64> = (0..10_000).map(|_| wait_us(600, numbers.next() as u32)).collect();
        let mean = waits.iter().sum::<u64>() / 10_000;
        assert!((560..=620).contains(&mean), "{mean}");
        waits.sort_unstable();
        assert!(waits[1_000] < 100 && waits[5_000].abs_diff(416) < 30 && waits[9_999] == 2_400, "{:?}", &waits[9_990..]);
        assert!(wait_us(u64::MAX, u32::MAX) < u64::MAX && wait_us(u64::MAX, 0) == u64::MAX && wait_us(0, 0) == 0);
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
    fn a_question_in_a_models_own_words_is_one_within_bounds_or_none() {
        assert!(wish("Why is salt important?").ends_with("Why is salt important?"));
        let said = |text: &str| in_own_words(text);
        assert_eq!(
            said("\n \"What makes salt matter so much?\" \nSure!").as_deref(),
            Some("What makes salt matter so much?")
        );
        for nothing in ["", " \n ", "Salt.", "**", "\"", "one two"] {
            assert_eq!(said(nothing), None, "{nothing:?}");
        }
        let long = "Äh, was ist das? ".repeat(99);
        let cut = said(&long).unwrap();
        assert!(
            cut.len() <= OWN_WORDS_BYTES_MAX && cut.ends_with('?') && cut.len() > OWN_WORDS_BYTES_MAX - 20,
            "{cut}"
        );
        assert_eq!(said(&"word ".repeat(999)), None, "no sentence ends");
        assert_eq!(said("rings a \u{7} bell here"), None);
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
