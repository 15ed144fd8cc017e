//! Salted commitments: they bind a receipt to a question and an answer without telling either.
//!
//! The salt is 32 random bytes chosen by the requester; without it a short question could be guessed from its hash.

mod question;

use crate::canonical::Encoder;
use ainonymous_types::{Bytes32, ChatInput, ChunkMore, ToolCallPiece};
use sha2::Sha256;

/// Commitment to a question.
pub fn input(salt: &Bytes32, input: &ChatInput) -> Bytes32 {
    question::write(Encoder::hash("ainonymous/input/v2").bytes32(salt), input).finish()
}

/// Commitment to a whole answer of text alone. The same as feeding [`Output`] piece by piece.
pub fn output(salt: &Bytes32, tokens: &[u32], text: &str) -> Bytes32 {
    let mut output = Output::new(salt);
    output.push(tokens, text, None);
    output.finish()
}

/// Commitment to an answer that is still being written: constant memory, however long it gets.
#[derive(Clone, Debug)]
pub struct Output {
    salt: Bytes32,
    tokens: Stream,
    text: Stream,
    reasoning: Stream,
    calls: Stream,
}

/// Begins a tool call among the bytes of arguments: no UTF-8 has this byte.
const CALL_BEGINS: u8 = 0xff;

impl Output {
    /// Nothing said so far.
    pub fn new(salt: &Bytes32) -> Self {
        Self {
            salt: *salt,
            tokens: Stream::new("ainonymous/output-tokens/v1", salt),
            text: Stream::new("ainonymous/output-text/v1", salt),
            reasoning: Stream::new("ainonymous/output-reasoning/v1", salt),
            calls: Stream::new("ainonymous/output-calls/v1", salt),
        }
    }

    /// Adds tokens, text and what came besides. How they are cut into pieces makes no difference. Log-probabilities are
    /// no part of it.
    pub fn push(&mut self, tokens: &[u32], text: &str, more: Option<&ChunkMore>) {
        for token in tokens {
            self.tokens.push(&token.to_le_bytes(), 1);
        }
        self.text.push(text.as_bytes(), text.len() as u64);
        let Some(ChunkMore { reasoning, tool_calls, logprobs: _ }) = more else { return };
        self.reasoning.push(reasoning.as_bytes(), reasoning.len() as u64);
        for ToolCallPiece { index, begins, arguments } in tool_calls {
            if let Some(begin) = begins {
                let head = Encoder::bare().u8(CALL_BEGINS).u32(*index).text(&begin.id).text(&begin.name).finish();
                self.calls.push(&head, head.len() as u64);
            }
            self.calls.push(arguments.as_bytes(), arguments.len() as u64);
        }
    }

    /// The commitment to all that was pushed.
    pub fn finish(&self) -> Bytes32 {
        let Self { salt, tokens, text, reasoning, calls } = self;
        let all = Encoder::hash("ainonymous/output/v2").bytes32(salt);
        let add = |all: Encoder<Sha256>, stream: &Stream| all.u64(stream.count).bytes32(&stream.finish());
        [tokens, text, reasoning, calls].into_iter().fold(all, add).finish()
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
    use ainonymous_types::ToolCallBegin;
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
            o.push(&tokens[..at], &left, None);
            let early = o.finish();
            o.push(&tokens[at..], &right, None);
            prop_assert_eq!(o.finish(), output(&salt, &tokens, &text));
            prop_assert_eq!(early, output(&salt, &tokens[..at], &left));
        }
    }

    #[test]
    fn thoughts_and_calls_count_and_how_they_are_cut_does_not() {
        let call = |index, name: &str, arguments: &str| ToolCallPiece {
            index,
            begins: (!name.is_empty()).then(|| ToolCallBegin { id: "call_1".into(), name: name.into() }),
            arguments: arguments.into(),
        };
        let of = |pieces: &[(&str, Vec<ToolCallPiece>)]| {
            let mut output = Output::new(&Bytes32([7; 32]));
            for (reasoning, calls) in pieces {
                let more = ChunkMore { reasoning: (*reasoning).into(), tool_calls: calls.clone(), logprobs: vec![] };
                output.push(&[], "", Some(&more));
            }
            output.finish()
        };
        let whole = of(&[("think", vec![call(0, "weather", "{}"), call(1, "time", "[]")])]);
        let pieces = [("th", vec![]), ("ink", vec![call(0, "weather", "{")]), ("", vec![call(0, "", "}")])];
        let last = ("", vec![call(1, "time", ""), call(1, "", "[]")]);
        assert_eq!(of(&[&pieces[..], &[last]].concat()), whole);
        assert_ne!(of(&[("thin", vec![call(0, "weather", "{}"), call(1, "time", "[]")])]), whole);
        assert_ne!(of(&[("think", vec![call(0, "weather", "{}"), call(0, "time", "[]")])]), whole);
        assert_ne!(of(&[("think", vec![call(0, "weather", "{}[]"), call(1, "time", "")])]), whole);
    }

    #[test]
    fn salt_tokens_and_text_all_count() {
        let base = output(&Bytes32([0; 32]), &[1, 2], "ab");
        assert_ne!(base, output(&Bytes32([1; 32]), &[1, 2], "ab"));
        assert_ne!(base, output(&Bytes32([0; 32]), &[1], "ab"));
        assert_ne!(base, output(&Bytes32([0; 32]), &[1, 2], "a"));
    }
}
