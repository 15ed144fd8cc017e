//! Images of questions: how they pass through a chat template, and what was computed of them.
//!
//! A template sees marks in the text instead of images. A mark holds a number that nobody outside this process knows, so a
//! text cannot contain one. What an image became is kept for a while, for a conversation sends its images with every turn;
//! it is known by the hash of the file, and gets a number that no other image of this process gets, which stands for it in
//! lists of tokens.

use crate::image;
use crate::llama::{Piece, ProjectError, Projector, Rows, Token};
use crate::request::{Chat, Image, Message};
use crate::EngineError;
use sha2::{Digest, Sha256};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Memory for computed images, in bytes; of a long conversation with Gemma 3 about 200.
const KEPT_BYTES_MAX: usize = 512 << 20;
/// Most computed images kept.
const KEPT_MAX: usize = 1_024;

/// Rows of an image in a prompt.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// The token before which they stand; so many tokens as they have positions stand for them in the prompt.
    pub(super) at: usize,
    pub(super) rows: Arc<Rows>,
}

/// What a text has between its marks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    /// The image of this number in the question.
    Image(usize),
}

/// Puts images of conversations into prompts.
pub(super) struct Images {
    projector: Arc<Projector>,
    /// Begins a mark.
    mark: String,
    kept: Kept,
}

impl Images {
    pub(super) fn new(projector: Arc<Projector>) -> Self {
        // 128 bits of the system's dice.
        let (high, low) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        Self { projector, mark: format!("<image {high:016x}{low:016x} "), kept: Kept::default() }
    }

    /// The conversation with marks instead of images.
    pub(super) fn marked(&self, chat: &Chat) -> Chat {
        let mut numbers = 0..;
        let mut marked = |message: &Message| {
            let (mut content, mut from) = (String::new(), 0);
            for (image, number) in message.images.iter().zip(&mut numbers) {
                content.push_str(&message.content[from..image.at]);
                content.push_str(&format!("{}{number}>", self.mark));
                from = image.at;
            }
            content.push_str(&message.content[from..]);
            Message { content, images: Vec::new(), ..message.clone() }
        };
        Chat { messages: chat.messages.iter().map(&mut marked).collect(), ..chat.clone() }
    }

    /// A rendered prompt taken apart at its marks.
    pub(super) fn parts<'a>(&self, text: &'a str, count: usize) -> Result<Vec<Part<'a>>, EngineError> {
        parts(text, &self.mark, count)
            .ok_or_else(|| EngineError::TemplateFailed { detail: "the template leaves out an image".into() })
    }

    /// What the image of this number becomes: pieces, and the number that stands for its rows.
    pub(super) fn project(&mut self, number: usize, image: &Image) -> Result<(Token, Vec<Piece>), EngineError> {
        let hash: [u8; 32] = Sha256::digest(&image.bytes).into();
        if let Some(known) = self.kept.get(&hash) {
            return Ok(known);
        }
        let pixels = image::decode(&image.bytes).map_err(|e| e.of(number + 1))?;
        let pieces = self.projector.project(&pixels).map_err(|e| {
            let image::Pixels { width, height, .. } = pixels;
            match e {
                ProjectError::TooManyRows => image::ImageError::TooLarge { width, height, bound: "tokens of a batch" },
                ProjectError::Failed => image::ImageError::Invalid("the projector cannot read it".into()),
            }
            .of(number + 1)
        })?;
        self.kept.put(hash, pieces)
    }
}

fn parts<'a>(text: &'a str, mark: &str, count: usize) -> Option<Vec<Part<'a>>> {
    let mut seen = vec![false; count];
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(mark) {
        let (number, after) = rest[at + mark.len()..].split_once('>')?;
        let number: usize = number.parse().ok()?;
        *seen.get_mut(number)? = true;
        parts.extend((at > 0).then(|| Part::Text(&rest[..at])));
        parts.push(Part::Image(number));
        rest = after;
    }
    parts.extend((!rest.is_empty()).then_some(Part::Text(rest)));
    seen.into_iter().all(|seen| seen).then_some(parts)
}

/// Computed images; the least recently used give way.
#[derive(Default)]
struct Kept {
    all: Vec<One>,
    bytes: usize,
    /// Images numbered so far.
    numbered: Token,
    clock: u64,
}

struct One {
    hash: [u8; 32],
    number: Token,
    pieces: Vec<Piece>,
    bytes: usize,
    used: u64,
}

impl Kept {
    fn get(&mut self, hash: &[u8; 32]) -> Option<(Token, Vec<Piece>)> {
        self.clock += 1;
        let one = self.all.iter_mut().find(|one| one.hash == *hash)?;
        one.used = self.clock;
        Some((one.number, one.pieces.clone()))
    }

    /// Keeps and numbers an image. Numbers are negative, as no token is, and never given twice: an image that was forgotten
    /// is computed again under a new one, and no prompt is taken for another.
    fn put(&mut self, hash: [u8; 32], pieces: Vec<Piece>) -> Result<(Token, Vec<Piece>), EngineError> {
        let exhausted = || EngineError::Unsupported { what: "further images until it is loaded again".into() };
        self.numbered = self.numbered.checked_sub(1).ok_or_else(exhausted)?;
        self.clock += 1;
        let bytes = pieces.iter().map(|piece| if let Piece::Rows(rows) = piece { rows.bytes() } else { 0 }).sum();
        self.bytes += bytes;
        self.all.push(One { hash, number: self.numbered, pieces: pieces.clone(), bytes, used: self.clock });
        while self.bytes > KEPT_BYTES_MAX || self.all.len() > KEPT_MAX {
            let Some((oldest, _)) = self.all.iter().enumerate().min_by_key(|(_, one)| one.used) else { break };
            self.bytes -= self.all.swap_remove(oldest).bytes;
        }
        Ok((self.numbered, pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart_at_its_marks() {
        let of = |text| parts(text, "<m ", 2);
        let (text, image) = (Part::Text, Part::Image);
        assert_eq!(of("a<m 0>b<m 1>").unwrap(), [text("a"), image(0), text("b"), image(1)]);
        assert_eq!(of("<m 1><m 0> ").unwrap(), [image(1), image(0), text(" ")]);
        for lost in ["a<m 0>b", "a<m 0>b<m 2><m 1>", "a<m x>", "a<m 0>b<m 1", ""] {
            assert_eq!(of(lost), None, "{lost}");
        }
        assert_eq!(parts("plain", "<m ", 0).unwrap(), [Part::Text("plain")]);
    }

    #[test]
    fn numbers_are_given_once_and_the_least_recently_used_give_way() {
        let mut kept = Kept::default();
        let hash = |n: usize| -> [u8; 32] { Sha256::digest(n.to_le_bytes()).into() };
        for n in 0..KEPT_MAX {
            kept.put(hash(n), vec![]).unwrap();
        }
        assert_eq!(kept.get(&hash(0)).unwrap().0, -1);
        kept.put(hash(KEPT_MAX), vec![]).unwrap();
        assert!(kept.get(&hash(0)).is_some(), "used lately");
        assert!(kept.get(&hash(1)).is_none());
        let again = kept.put(hash(1), vec![]).unwrap().0;
        assert_eq!(again, -(KEPT_MAX as Token) - 2, "a new number");
        kept.numbered = Token::MIN;
        assert_eq!(kept.put(hash(2), vec![]).unwrap_err().code(), "unsupported_by_model");
    }
}
