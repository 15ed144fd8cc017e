//! Salted commitments: they bind a receipt to a question and an answer without telling either.
//!
//! The salt is 32 random bytes chosen by the requester; without it a short question could be guessed from its hash.

use crate::canonical::Encoder;
use ainonymous_types::{Bytes32, ChatInput, ChatRole};
use sha2::Sha256;

/// Commitment to a question.
pub fn input(salt: &Bytes32, input: &ChatInput) -> Bytes32 {
    let ChatInput { messages, sampling, max_tokens, stop } = input;
    let mut e = Encoder::hash("ainonymous/input/v1").bytes32(salt).count(messages.len());
    for message in messages {
        let role = match message.role {
            ChatRole::System => 0,
            ChatRole::User => 1,
            ChatRole::Assistant => 2,
        };
        e = e.u8(role).text(&message.content);
    }
    e = e
        .u32(sampling.temperature_milli)
        .u32(sampling.top_p_milli)
        .u32(sampling.min_p_milli)
        .u32(sampling.top_k)
        .u64(sampling.seed)
        .u32(*max_tokens)
        .count(stop.len());
    for text in stop {
        e = e.text(text);
    }
    e.finish()
}

/// Commitment to a whole answer. The same as feeding [`Output`] piece by piece.
pub fn output(salt: &Bytes32, tokens: &[u32], text: &str) -> Bytes32 {
    let mut output = Output::new(salt);
    output.push(tokens, text);
    output.finish()
}

/// Commitment to an answer that is still being written: constant memory, however long it gets.
#[derive(Clone, Debug)]
pub struct Output {
    salt: Bytes32,
    tokens: Stream,
    text: Stream,
}

impl Output {
    /// Nothing said so far.
    pub fn new(salt: &Bytes32) -> Self {
        Self {
            salt: *salt,
            tokens: Stream::new("ainonymous/output-tokens/v1", salt),
            text: Stream::new("ainonymous/output-text/v1", salt),
        }
    }

    /// Adds tokens and text. How they are cut into pieces makes no difference.
    pub fn push(&mut self, tokens: &[u32], text: &str) {
        for token in tokens {
            self.tokens.push(&token.to_le_bytes(), 1);
        }
        self.text.push(text.as_bytes(), text.len() as u64);
    }

    /// The commitment to all that was pushed.
    pub fn finish(&self) -> Bytes32 {
        Encoder::hash("ainonymous/output/v1")
            .bytes32(&self.salt)
            .u64(self.tokens.count)
            .bytes32(&self.tokens.finish())
            .u64(self.text.count)
            .bytes32(&self.text.finish())
            .finish()
    }
}

/// A hash that grows; the count that closes it is written by its owner.
#[derive(Debug)]
struct Stream {
    hash: Encoder<Sha256>,
    count: u64,
}

impl Clone for Stream {
    fn clone(&self) -> Self {
        Self { hash: self.hash.fork(), count: self.count }
    }
}

impl Stream {
    fn new(domain: &str, salt: &Bytes32) -> Self {
        Self { hash: Encoder::hash(domain).bytes32(salt), count: 0 }
    }

    fn push(&mut self, bytes: &[u8], count: u64) {
        self.hash.add(bytes);
        self.count = self.count.saturating_add(count);
    }

    fn finish(&self) -> Bytes32 {
        self.hash.fork().finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_make_the_whole(tokens in prop::collection::vec(any::<u32>(), 0..40), text in ".{0,60}", cut in 0usize..40) {
            let salt = Bytes32([7; 32]);
            let at = cut.min(tokens.len());
            let chars: Vec<char> = text.chars().collect();
            let mid = cut.min(chars.len());
            let (left, right): (String, String) = (chars[..mid].iter().collect(), chars[mid..].iter().collect());
            let mut o = Output::new(&salt);
            o.push(&tokens[..at], &left);
            let early = o.finish();
            o.push(&tokens[at..], &right);
            prop_assert_eq!(o.finish(), output(&salt, &tokens, &text));
            prop_assert_eq!(early, output(&salt, &tokens[..at], &left));
        }
    }

    #[test]
    fn salt_tokens_and_text_all_count() {
        let base = output(&Bytes32([0; 32]), &[1, 2], "ab");
        assert_ne!(base, output(&Bytes32([1; 32]), &[1, 2], "ab"));
        assert_ne!(base, output(&Bytes32([0; 32]), &[1], "ab"));
        assert_ne!(base, output(&Bytes32([0; 32]), &[1, 2], "a"));
    }
}
