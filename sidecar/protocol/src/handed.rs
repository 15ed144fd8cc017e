//! What of an answer has reached the asker, so that another provider can go on where the first one fell silent.
//!
//! The same question with the same seed gives the same text on the same class of engine. So the second provider begins anew,
//! what the asker has already is left out, and a difference is seen at once: never is a token lost, doubled or of another answer.

use ainonymous_types::limits;

/// Text and tokens in the asker's hand.
#[derive(Debug, Default)]
pub struct Handed {
    text: String,
    tokens: u32,
    /// How far the present provider is, in the same units.
    bytes_now: usize,
    tokens_now: u32,
}

/// The present provider says something else than the one before it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answers differ")]
pub struct Differs;

impl Handed {
    /// Whether the asker has anything at all.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tokens == 0
    }

    /// The text in the asker's hand.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tokens in the asker's hand.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Another provider begins from the start.
    pub fn begin_again(&mut self) {
        (self.bytes_now, self.tokens_now) = (0, 0);
    }

    /// Takes the next piece of the present provider; returns what of it is new, with its tokens.
    pub fn take(&mut self, piece: &str, tokens: u32) -> Result<Option<(String, u32)>, Differs> {
        let had = self.text.get(self.bytes_now..).unwrap_or_default();
        let known = had.len().min(piece.len());
        if had.as_bytes().get(..known) != piece.as_bytes().get(..known) {
            return Err(Differs);
        }
        let new = piece.get(known..).ok_or(Differs)?.to_owned();
        self.bytes_now += piece.len();
        self.tokens_now = self.tokens_now.saturating_add(tokens);
        let new_tokens = self.tokens_now.saturating_sub(self.tokens);
        self.tokens += new_tokens;
        if self.text.len() + new.len() <= limits::ANSWER_BYTES_MAX {
            self.text.push_str(&new);
        }
        Ok((!new.is_empty() || new_tokens > 0).then_some((new, new_tokens)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_second_provider_goes_on_where_the_first_fell_silent() {
        let mut handed = Handed::default();
        assert_eq!(handed.take("The cap", 2), Ok(Some(("The cap".into(), 2))));
        handed.begin_again();
        assert_eq!(handed.take("The", 1), Ok(None));
        assert_eq!(handed.take(" capital", 1), Ok(Some(("ital".into(), 0))));
        assert_eq!(handed.take(" is", 1), Ok(Some((" is".into(), 1))));
        assert_eq!(handed.tokens(), 3);
    }

    #[test]
    fn another_answer_is_noticed_before_a_word_of_it_is_shown() {
        let mut handed = Handed::default();
        handed.take("Paris é", 3).unwrap();
        handed.begin_again();
        assert_eq!(handed.take("Paris is", 2), Err(Differs));
        let mut inside_a_character = Handed::default();
        inside_a_character.take("e", 1).unwrap();
        inside_a_character.begin_again();
        assert_eq!(inside_a_character.take("é", 1), Err(Differs));
    }

    proptest! {
        /// However the same text is cut by however many providers, the asker gets it once.
        #[test]
        fn nothing_is_lost_or_doubled(text in "[a-zé ]{0,60}", breaks in proptest::collection::vec((0usize..60, 1usize..7), 0..5)) {
            let pieces = |size: usize| {
                let letters: Vec<char> = text.chars().collect();
                letters.chunks(size).map(|c| c.iter().collect::<String>()).collect::<Vec<_>>()
            };
            let (mut handed, mut shown, mut tokens) = (Handed::default(), String::new(), 0);
            let one_token_a_letter = |piece: &str| u32::try_from(piece.chars().count()).unwrap();
            for (until, size) in breaks.into_iter().chain([(usize::MAX, 3)]) {
                handed.begin_again();
                for piece in pieces(size).into_iter().take(until) {
                    if let Some((new, n)) = handed.take(&piece, one_token_a_letter(&piece)).unwrap() {
                        shown.push_str(&new);
                        tokens += n;
                    }
                }
            }
            prop_assert_eq!(tokens, one_token_a_letter(&text));
            prop_assert_eq!(shown, text);
        }
    }
}
