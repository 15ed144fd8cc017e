//! What an auditor asks of its own making, and when: built like what people ask, out of dice that are passed in.
//!
//! How long an answer may be, how tokens are drawn and whether a conversation goes on, is taken from questions that the node has asked
//! lately, if it has asked any; of those nothing else is kept. Where an answer without a bound comes out longer than can be shown to
//! everybody, its audit is the node's own affair. The texts are a list that everybody can read here, so an auditor has its own model say
//! them in other words ([`wish`], [`in_own_words`], [`reply`]), and falls back on the list where the model says nothing that could be used.
//! What still tells canaries from other questions is measured by `cargo xtask attacks` (docs/reference/attacks.md).

use crate::dice::{Dice, RANDOM_BYTES};
use ainonymous_types::limits::SEED_MAX;
use ainonymous_types::{ChatInput, ChatMessage, ChatRole, Sampling};
use std::collections::VecDeque;

/// Questions before the last, in the longest conversation that a canary goes on with: each costs the auditor two answers.
const BEFORE_MAX: usize = 4;
/// Shapes that are remembered.
const SHAPES_MAX: usize = 64;
/// No wait is longer than so many times the mean: two in a hundred would be.
const WAIT_MAX: f64 = 4.0;
/// Bounds that clients commonly set; most set none.
const BOUNDS: [u32; 10] = [0, 0, 0, 0, 0, 64, 128, 200, 256, 512];
/// Of ten questions so many go on with a conversation, unless this node's own say otherwise.
const GOES_ON_OF_TEN: usize = 3;

/// How a question looked, without anything of what it said.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    sampling: Sampling,
    /// 0 for none.
    max_tokens: u32,
    /// How many questions of the conversation came before, at most [`BEFORE_MAX`].
    before: usize,
}

/// How this node's questions looked lately.
#[derive(Debug, Default)]
pub struct Shapes(VecDeque<Shape>);

impl Shapes {
    /// A question was asked. Only shapes that a canary can have are kept.
    pub fn note(&mut self, input: &ChatInput) {
        if input.more.is_some() || !input.stop.is_empty() {
            return;
        }
        let questions = input.messages.iter().filter(|message| message.role == ChatRole::User).count();
        let before = questions.saturating_sub(1).min(BEFORE_MAX);
        self.0.push_back(Shape { sampling: input.sampling, max_tokens: input.max_tokens, before });
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

/// What somebody who goes on asks then, and what the model had said before if the own one says nothing of use.
const FOLLOW_UPS: [&str; 12] = [
    "Can you make that shorter?",
    "And what else?",
    "Give me an example.",
    "Thanks! How did it begin?",
    "I don't understand the second part.",
    "Say that more simply, please.",
    "What would somebody say who disagrees?",
    "Which of these matters most?",
    "ok, and nowadays?",
    "Are you sure about that?",
    "Put it into a list.",
    "Where would I read more about it?",
];
const REPLIES: [&str; 4] = [
    "There is a lot to say about {}. Most people begin with what they have seen of it themselves.",
    "In short: {} matters more than one would think, and its history is long.",
    "Opinions about {} differ. Some find it simple, others spend a life on it.",
    "Of course! {} is best understood by an example.",
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
/// Tokens of what a model is taken to have said before, where a conversation goes on,
pub const REPLY_TOKENS_MAX: u32 = 160;
/// and its bytes.
const REPLY_BYTES_MAX: usize = 1_500;

/// What a model is told to say this question in its own words.
pub fn wish(question: &str) -> String {
    format!("Say this as somebody else would who wants to know the same, or something near to it, and say nothing else: {question}")
}

/// The question in what a model has said; none if there is none.
pub fn in_own_words(said: &str) -> Option<String> {
    let said = said.trim().lines().map(str::trim).find(|line| !line.is_empty())?;
    let whole =
        whole(said.trim_matches(|c: char| matches!(c, '"' | '*' | '`' | '“' | '”' | '„')), OWN_WORDS_BYTES_MAX)?;
    let usable = whole.split_whitespace().count() >= OWN_WORDS_MIN && !whole.chars().any(char::is_control);
    usable.then(|| whole.to_owned())
}

/// What a model has said, as it stands before the question that goes on: to the end of a sentence, for it was cut off somewhere. None if it
/// is of no use.
pub fn reply(said: &str) -> Option<String> {
    let whole = sentences(whole(said.trim(), REPLY_BYTES_MAX)?)?;
    let usable = !whole.is_empty() && whole.chars().all(|c| c == '\n' || !c.is_control());
    usable.then(|| whole.to_owned())
}

/// All of it, or as many whole sentences as fit.
fn whole(said: &str, bytes_max: usize) -> Option<&str> {
    let cut = said.get(..said.floor_char_boundary(bytes_max))?;
    if cut.len() < said.len() {
        sentences(cut)
    } else {
        Some(cut)
    }
}

/// Up to the end of the last sentence.
fn sentences(said: &str) -> Option<&str> {
    said.rfind(['.', '?', '!']).and_then(|end| said.get(..=end))
}

/// A question out of dice.
pub fn question(shapes: &Shapes, random: &[u8; RANDOM_BYTES]) -> ChatInput {
    let mut dice = Dice::new(random);
    let topic = one_of(&TOPICS, &mut dice);
    let about = |texts: &[&str], dice: &mut Dice| one_of(texts, dice).replace("{}", topic);
    let text = about(&OPENINGS, &mut dice) + one_of(&ENDINGS, &mut dice);
    let seed = dice.next() & SEED_MAX;
    let shape = shapes.0.get(dice.below(shapes.0.len())).copied().unwrap_or_else(|| Shape {
        sampling: common(dice.below(4)),
        max_tokens: one_of(&BOUNDS, &mut dice),
        before: usize::from(dice.below(10) < GOES_ON_OF_TEN),
    });
    let mut messages = vec![ChatMessage::new(ChatRole::User, text)];
    for _ in 0..shape.before {
        messages.push(ChatMessage::new(ChatRole::Assistant, about(&REPLIES, &mut dice)));
        messages.push(ChatMessage::new(ChatRole::User, one_of(&FOLLOW_UPS, &mut dice).to_owned()));
    }
    ChatInput {
        messages,
        sampling: Sampling { seed, ..shape.sampling },
        max_tokens: shape.max_tokens,
        stop: vec![],
        more: None,
    }
}

fn one_of<T: Copy>(list: &[T], dice: &mut Dice) -> T {
    list[dice.below(list.len())]
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
        assert!(
            waits[1_000] < 100 && waits[5_000].abs_diff(416) < 30 && waits[9_999] == 2_400,
            "{:?}",
            &waits[9_990..]
        );
        assert!(wait_us(u64::MAX, u32::MAX) < u64::MAX && wait_us(u64::MAX, 0) == u64::MAX && wait_us(0, 0) == 0);
    }

    #[test]
    fn hardly_any_two_are_alike_and_all_are_within_bounds() {
        let mut seen = HashSet::new();
        for n in 0..2_000 {
            let question = question(&Shapes::default(), &dice(n * 7));
            chat::bounds(&question).unwrap();
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
        shapes.note(&ChatInput { stop: vec!["\n".to_owned()], ..own.clone() });
        assert_eq!(shapes.0.len(), 1, "what no canary can have is no example");
        let made = question(&shapes, &dice(5));
        assert_eq!((made.sampling.temperature_milli, made.max_tokens), (1_234, 99));
        assert!(!made.messages[0].content.contains("secret"));
        assert_ne!(made.sampling.seed, own.sampling.seed);
    }

    #[test]
    fn where_people_set_no_bound_and_go_on_canaries_do() {
        let mut shapes = Shapes::default();
        let mut own = question(&shapes, &dice(1));
        own.max_tokens = 0;
        own.messages.push(ChatMessage::new(ChatRole::Assistant, "a secret".to_owned()));
        own.messages.push(ChatMessage::new(ChatRole::User, "a secret?".to_owned()));
        own.messages.truncate(3);
        shapes.note(&own);
        let made = question(&shapes, &dice(5));
        chat::bounds(&made).unwrap();
        let roles: Vec<ChatRole> = made.messages.iter().map(|message| message.role).collect();
        assert_eq!((roles, made.max_tokens), (vec![ChatRole::User, ChatRole::Assistant, ChatRole::User], 0));
        assert!(made
            .messages
            .iter()
            .all(|message| !message.content.contains("secret") && !message.content.contains('{')));
    }

    #[test]
    fn what_was_said_before_is_whole_sentences_or_nothing() {
        assert_eq!(reply(" One.\nTwo. And th").as_deref(), Some("One.\nTwo."));
        assert_eq!(
            (reply(" \n"), reply("a \u{7} bell."), reply("no end"), reply(&"word ".repeat(999))),
            (None, None, None, None)
        );
        let long = reply(&"Äh ja, so ist es. ".repeat(999)).unwrap();
        assert!(long.len() <= REPLY_BYTES_MAX && long.ends_with("ist es."), "{long}");
    }
}
