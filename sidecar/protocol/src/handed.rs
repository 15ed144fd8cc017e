//! What of an answer has reached the asker, so that another provider can go on where the first one fell silent.
//!
//! The next provider is given the tokens and computes what follows them: nothing is said twice, and nothing has to be compared.

use ainonymous_types::{limits, AgentPubKey, ChatInput, TokenChunk};

/// Text and tokens in the asker's hand, and from whom.
#[derive(Debug, Default)]
pub struct Handed {
    text: String,
    tokens: Vec<u32>,
    parts: Vec<HandedPart>,
}

/// What one provider contributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedPart {
    /// Who.
    pub provider: AgentPubKey,
    /// How many tokens.
    pub tokens: u32,
}

impl Handed {
    /// Whether the asker has anything at all.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.text.is_empty()
    }

    /// The text in the asker's hand, without thoughts and calls.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many tokens are in the asker's hand.
    pub fn tokens(&self) -> u32 {
        count(self.tokens.len())
    }

    /// Who gave how many of them, in order; nobody stands in it twice in a row.
    pub fn parts(&self) -> &[HandedPart] {
        &self.parts
    }

    /// Takes what a provider has sent next.
    pub fn take(&mut self, provider: &AgentPubKey, chunk: &TokenChunk) {
        self.tokens.extend_from_slice(&chunk.tokens);
        if self.text.len() + chunk.text.len() <= limits::ANSWER_BYTES_MAX {
            self.text.push_str(&chunk.text);
        }
        let tokens = count(chunk.tokens.len());
        match self.parts.last_mut() {
            Some(last) if last.provider == *provider => last.tokens = last.tokens.saturating_add(tokens),
            _ => self.parts.push(HandedPart { provider: provider.clone(), tokens }),
        }
    }

    /// The question to the next provider: what is there already is the beginning of its answer. None if that is longer than a
    /// question can bring.
    pub fn rest_of(&self, input: &ChatInput) -> Option<ChatInput> {
        let mut rest = input.clone();
        if !self.tokens.is_empty() {
            let more = rest.more.get_or_insert_default();
            more.begun.extend_from_slice(&self.tokens);
            if more.begun.len() > limits::BEGUN_TOKENS_MAX {
                return None;
            }
        }
        Some(rest)
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::RequestId;

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn chunk(text: &str, tokens: &[u32]) -> TokenChunk {
        TokenChunk { id: RequestId([0; 16]), chunk: 0, text: text.into(), tokens: tokens.into(), more: None }
    }

    #[test]
    fn the_second_provider_goes_on_where_the_first_fell_silent() {
        let (mut handed, input) = (Handed::default(), ChatInput::default());
        assert_eq!(handed.rest_of(&input), Some(input.clone()), "nothing is there yet");
        handed.take(&agent(1), &chunk("The", &[1]));
        handed.take(&agent(1), &chunk(" capital", &[2, 3]));
        let rest = handed.rest_of(&input).unwrap();
        assert_eq!(rest.more.unwrap().begun, [1, 2, 3]);
        handed.take(&agent(2), &chunk(" is", &[4]));
        assert_eq!((handed.text(), handed.tokens()), ("The capital is", 4));
        assert_eq!(handed.rest_of(&input).unwrap().more.unwrap().begun, [1, 2, 3, 4]);
        let parts: Vec<_> = handed.parts().iter().map(|part| (part.provider.clone(), part.tokens)).collect();
        assert_eq!(parts, [(agent(1), 3), (agent(2), 1)]);
    }

    #[test]
    fn a_beginning_longer_than_a_question_can_bring_is_not_continued() {
        let (mut handed, input) = (Handed::default(), ChatInput::default());
        handed.take(&agent(1), &chunk("", &vec![7; limits::BEGUN_TOKENS_MAX]));
        assert!(handed.rest_of(&input).is_some());
        handed.take(&agent(1), &chunk("", &[7]));
        assert_eq!(handed.rest_of(&input), None);
    }
}
