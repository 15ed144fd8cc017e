//! From a conversation to tokens, in time that grows no faster than its length.
//!
//! llama.cpp's search for special tokens takes time in the square of their number, and peers choose what a prompt
//! says. So a long text is cut before special tokens and split piece by piece, which gives the same tokens.

use super::images::{Images, Part, Placed};
use super::said::Said;
use super::slot::extra_rows;
use crate::dialect::{opens_thinking, Dialect, OutputParser};
use crate::grammar::{Grammar, Lead, Vocabulary};
use crate::llama::{Model, Piece, Token};
use crate::request::{Image, ToolChoice};
use crate::template::ChatTemplate;
use crate::{EngineError, Inspect, Inspected, Prompt, Question};
use aho_corasick::{AhoCorasick, MatchKind};
use ainonymous_types::{limits, FinishReason};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A piece is at least so long; shorter texts are not cut.
const PIECE_BYTES_MIN: usize = 8 << 10;

/// A question that can be computed.
pub(super) struct Ready {
    /// Of the prompt, and of a begun answer behind it.
    pub(super) tokens: Vec<Token>,
    /// How many of them are the begun answer's.
    pub(super) begun: usize,
    /// Rows of images, in the order of their places.
    pub(super) images: Vec<Placed>,
    /// Where the last message of its conversation begins.
    pub(super) shared_until: Option<usize>,
    /// What the answer must look like; it has taken in what was begun.
    pub(super) grammar: Option<Grammar>,
    /// What the answer says; it has taken in what was begun.
    pub(super) said: Said,
    /// What was begun is complete: there is nothing to compute.
    pub(super) ended: Option<FinishReason>,
}

#[derive(Default)]
struct Tokens {
    tokens: Vec<Token>,
    images: Vec<Placed>,
    shared_until: Option<usize>,
    /// The prompt ends within a thought.
    opened: bool,
}

/// Images of a question, and whether it is still wanted.
struct Shown<'a> {
    images: &'a [&'a Image],
    goes_on: &'a dyn Fn() -> bool,
}

/// Makes prompts for one model.
pub(super) struct Prompter {
    pub(super) model: Arc<Model>,
    template: ChatTemplate,
    dialect: Dialect,
    /// Made when it is needed first.
    vocabulary: Option<Arc<Vocabulary>>,
    special: Option<AhoCorasick>,
    /// Longest text of one token in bytes, where a text cannot have fewer tokens than that allows.
    token_bytes_max: Option<usize>,
    context_tokens: u32,
    /// None if the model sees none.
    images: Option<Images>,
}

impl Prompter {
    pub(super) fn new(model: Arc<Model>, template: ChatTemplate, context_tokens: u32, images: Option<Images>) -> Self {
        let (texts, longest) = model.special_texts();
        let special = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&texts).ok();
        let token_bytes_max = model.keeps_text().then_some(longest);
        let dialect = Dialect::detect(template.source());
        Self { model, template, dialect, vocabulary: None, special, token_bytes_max, context_tokens, images }
    }

    /// What a question becomes. `seed` makes ids of tool calls; `markers` are the special tokens that answers show. Before each
    /// image `goes_on` says whether it is still wanted.
    pub(super) fn prepare(
        &mut self,
        question: &Question,
        (seed, markers): (u64, &[Token]),
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Ready, EngineError> {
        self.prepare_at(now_s(), question, (seed, markers), goes_on)
    }

    /// The same as it was at this time, in seconds since the epoch: templates may state the date.
    pub(super) fn prepare_at(
        &mut self,
        at_s: i64,
        question: &Question,
        (seed, markers): (u64, &[Token]),
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Ready, EngineError> {
        let Tokens { mut tokens, images, shared_until, opened } = self.tokens(&question.prompt, at_s, goes_on)?;
        let (mut grammar, parser) = match &question.prompt {
            Prompt::Chat(chat) => {
                let dialect = self.dialect;
                let constrained = question.constraint.is_some()
                    || matches!(chat.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
                let grammar = match constrained {
                    true => {
                        Grammar::for_chat(self.vocabulary()?, question.constraint.as_ref(), (dialect, chat, opened))?
                    }
                    false => None,
                };
                (grammar, Some(OutputParser::new(dialect, chat, opened, seed)))
            }
            Prompt::Text(_) | Prompt::Tokens(_) => {
                let grammar = match &question.constraint {
                    Some(constraint) => Some(Grammar::compile(self.vocabulary()?, constraint, Lead::NONE)?),
                    None => None,
                };
                (grammar, None)
            }
        };
        let room = self.context_tokens.saturating_sub(tokens.len() as u32 + extra_rows(&images, tokens.len()));
        let asked_for = if question.max_tokens == 0 { room } else { question.max_tokens.min(room) };
        let mut said = Said::new(parser, &question.stop, asked_for.min(limits::ANSWER_TOKENS_MAX));
        let mut begun = self.in_vocabulary(&question.begun)?;
        if let Some(grammar) = &mut grammar {
            begun.iter().try_for_each(|token| grammar.accept(*token as u32))?;
        }
        let ended = said.begun(&self.model, markers, &begun)?;
        let count = begun.len();
        tokens.append(&mut begun);
        if ended.is_none() {
            self.check(tokens.len() + extra_rows(&images, tokens.len()) as usize)?;
        }
        Ok(Ready { tokens, begun: count, images, shared_until, grammar, said, ended })
    }

    /// What tokeniser and template say.
    pub(super) fn inspect(&mut self, question: &Inspect) -> Result<Inspected, EngineError> {
        Ok(match question {
            Inspect::Count(Prompt::Tokens(tokens)) => Inspected::Count(tokens.len() as u32),
            Inspect::Count(Prompt::Text(text)) => Inspected::Count(self.framed(text)?.0.len() as u32),
            Inspect::Count(prompt @ Prompt::Chat(chat)) if chat.images().next().is_some() => {
                Inspected::Count(self.tokens(prompt, now_s(), &|| true)?.tokens.len() as u32)
            }
            Inspect::Count(Prompt::Chat(chat)) => {
                let rendered = self.template.render(chat, now_s())?;
                Inspected::Count(self.framed(&rendered)?.0.len() as u32)
            }
            Inspect::Tokenize { text, add_special, parse_special } => {
                let mut tokens = match parse_special {
                    true => self.split(text)?,
                    false => self.model.tokenize_plain(text).ok_or_else(unsplit)?,
                };
                if *add_special {
                    let frame = |wanted: bool, token: Option<Token>| token.filter(|_| wanted);
                    tokens.splice(..0, frame(self.model.wants_bos(), self.model.bos()));
                    tokens.extend(frame(self.model.wants_eos(), self.model.eos()));
                }
                let bytes = |token: Token| {
                    let mut bytes = Vec::new();
                    self.model.piece(token, true, &mut bytes);
                    (token as u32, bytes)
                };
                Inspected::Tokens(tokens.into_iter().map(bytes).collect())
            }
            Inspect::Detokenize(tokens) => {
                let mut bytes = Vec::new();
                self.in_vocabulary(tokens)?.into_iter().for_each(|token| self.model.piece(token, true, &mut bytes));
                Inspected::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            Inspect::Render(chat) => Inspected::Text(self.template.render(chat, now_s())?),
        })
    }

    /// Special tokens that an answer in a chat has to show.
    pub(super) fn markers(&self) -> Vec<Token> {
        let shown = |&token: &Token| {
            let mut text = Vec::new();
            self.model.piece(token, true, &mut text);
            let text = std::str::from_utf8(&text).unwrap_or_default();
            self.model.is_special(token) && !self.model.ends_answer(token) && self.dialect.needs_special_text(text)
        };
        (0..self.model.vocabulary() as Token).filter(shown).collect()
    }

    fn vocabulary(&mut self) -> Result<&Arc<Vocabulary>, EngineError> {
        if self.vocabulary.is_none() {
            let model = &self.model;
            let special: Vec<bool> = (0..model.vocabulary() as Token).map(|token| model.is_special(token)).collect();
            let ends: Vec<u32> = model.end_tokens().into_iter().map(|token| token as u32).collect();
            self.vocabulary = Some(Vocabulary::new(model.token_bytes(), &special, &ends)?);
        }
        let missing = || EngineError::Unsupported { what: "structured output".into() };
        self.vocabulary.as_ref().ok_or_else(missing)
    }

    fn tokens(&mut self, prompt: &Prompt, at_s: i64, goes_on: &dyn Fn() -> bool) -> Result<Tokens, EngineError> {
        let chat = match prompt {
            Prompt::Tokens(tokens) => return Ok(Tokens { tokens: self.known(tokens)?, ..Tokens::default() }),
            Prompt::Text(text) => {
                return self.assemble(text, &[Part::Text(text)], &Shown { images: &[], goes_on }, None)
            }
            Prompt::Chat(chat) => chat,
        };
        let shown: Vec<&Image> = chat.images().collect();
        let marked = match &self.images {
            _ if shown.is_empty() => None,
            Some(images) => Some(images.marked(chat)),
            None => return Err(EngineError::NoProjector),
        };
        let chat = marked.as_ref().unwrap_or(chat);
        let text = self.template.render(chat, at_s)?;
        let before_last = self.template.render_before_last(chat, at_s, &text);
        let parts = match &self.images {
            Some(images) if !shown.is_empty() => images.parts(&text, shown.len())?,
            _ => vec![Part::Text(&text)],
        };
        self.assemble(&text, &parts, &Shown { images: &shown, goes_on }, before_last)
    }

    /// The tokens of a text. They begin with at most one begin token, whoever adds it. `shared_bytes`: a beginning of the text
    /// that others may share.
    fn assemble(
        &mut self,
        text: &str,
        parts: &[Part<'_>],
        shown: &Shown<'_>,
        shared_bytes: Option<usize>,
    ) -> Result<Tokens, EngineError> {
        // Too long in any case: not worth the work.
        self.check(self.token_bytes_max.map_or(0, |max| text.len() / max))?;
        let (mut tokens, mut images, mut shared, mut extra) = (Vec::new(), Vec::new(), None, 0);
        for part in parts {
            let text_part = match part {
                Part::Text(part) => part,
                Part::Image(number) => {
                    let image = shown.images.get(*number).ok_or(EngineError::NoProjector)?;
                    if !(shown.goes_on)() {
                        return Err(EngineError::Draining);
                    }
                    extra += self.show(*number, image, &mut tokens, &mut images)?;
                    self.check(tokens.len() + extra)?;
                    continue;
                }
            };
            let begin = tokens.len();
            tokens.append(&mut self.split(text_part)?);
            // The part's place in the text, which it is a piece of.
            let place = text_part.as_ptr() as usize - text.as_ptr() as usize;
            let bytes = shared_bytes.and_then(|bytes| bytes.checked_sub(place)).filter(|&b| b <= text_part.len());
            shared = shared.or_else(|| Some(begin + self.tokens_of(bytes?, &tokens[begin..])?));
        }
        if let Some(bos) = self.model.bos() {
            let leading = tokens.iter().take_while(|&&t| t == bos).count();
            let wanted = usize::from(leading > 0 || self.model.wants_bos());
            tokens.splice(..leading, std::iter::repeat_n(bos, wanted));
            shared = shared.filter(|&shared| shared >= leading).map(|shared| shared - leading + wanted);
            images.iter_mut().for_each(|placed: &mut Placed| placed.at = placed.at - leading + wanted);
        }
        match tokens.last() {
            None => return Err(EngineError::EmptyPrompt),
            // The first token of the answer is chosen behind a token.
            Some(token) if *token < 0 => {
                return Err(EngineError::TemplateFailed { detail: "nothing follows the last image".into() });
            }
            Some(_) => {}
        }
        self.check(tokens.len() + extra)?;
        Ok(Tokens { tokens, images, shared_until: shared, opened: opens_thinking(text) })
    }

    /// Appends an image; returns how many entries its rows take in a cache besides their positions.
    fn show(
        &mut self,
        number: usize,
        image: &Image,
        tokens: &mut Vec<Token>,
        images: &mut Vec<Placed>,
    ) -> Result<usize, EngineError> {
        let Some(known) = &mut self.images else { return Err(EngineError::NoProjector) };
        let (stands_for, pieces) = known.project(number, image)?;
        let mut extra = 0;
        for piece in pieces {
            match piece {
                Piece::Tokens(mut around) => tokens.append(&mut around),
                Piece::Rows(rows) => {
                    extra += (rows.count - rows.positions) as usize;
                    let at = tokens.len();
                    tokens.extend(std::iter::repeat_n(stands_for, rows.positions as usize));
                    images.push(Placed { at, rows });
                }
            }
        }
        Ok(extra)
    }

    /// The tokens of a text, with one begin token if it begins with any or the model wants it; how many it had, and has.
    fn framed(&self, text: &str) -> Result<(Vec<Token>, usize, usize), EngineError> {
        let mut tokens = self.split(text)?;
        let Some(bos) = self.model.bos() else { return Ok((tokens, 0, 0)) };
        let leading = tokens.iter().take_while(|&&t| t == bos).count();
        let wanted = usize::from(leading > 0 || self.model.wants_bos());
        tokens.splice(..leading, std::iter::repeat_n(bos, wanted));
        Ok((tokens, leading, wanted))
    }

    /// The tokens of a text, special ones recognised.
    fn split(&self, text: &str) -> Result<Vec<Token>, EngineError> {
        let mut tokens = Vec::new();
        for piece in pieces(text, self.special.as_ref(), PIECE_BYTES_MIN) {
            tokens.append(&mut self.model.tokenize(piece).ok_or_else(unsplit)?);
        }
        Ok(tokens)
    }

    /// How many tokens make the first `bytes` bytes of a text, if one ends there.
    fn tokens_of(&self, bytes: usize, tokens: &[Token]) -> Option<usize> {
        if bytes == 0 {
            return Some(0);
        }
        let (mut seen, mut piece) = (0, Vec::new());
        for (count, &token) in (1..).zip(tokens) {
            piece.clear();
            self.model.piece(token, true, &mut piece);
            seen += piece.len();
            if seen >= bytes {
                return (seen == bytes).then_some(count);
            }
        }
        None
    }

    /// Tokens as a caller gives them, if the model knows them all.
    fn known(&self, tokens: &[u32]) -> Result<Vec<Token>, EngineError> {
        self.check(tokens.len())?;
        self.in_vocabulary(tokens)
    }

    pub(super) fn in_vocabulary(&self, tokens: &[u32]) -> Result<Vec<Token>, EngineError> {
        let unknown = || EngineError::InputOutOfBounds { bound: "the model's vocabulary".into() };
        tokens.iter().map(|token| self.model.token(*token)).collect::<Option<_>>().ok_or_else(unknown)
    }

    /// A prompt needs room for one token of an answer.
    pub(super) fn check(&self, tokens: usize) -> Result<(), EngineError> {
        let prompt_tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        if prompt_tokens >= self.context_tokens {
            return Err(EngineError::PromptTooLong { prompt_tokens, context_tokens: self.context_tokens });
        }
        Ok(())
    }
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

fn unsplit() -> EngineError {
    EngineError::TemplateFailed { detail: "the text cannot be split into tokens".into() }
}

/// Cuts a text before special tokens that do not follow white space (which some of them swallow).
fn pieces<'a>(text: &'a str, special: Option<&AhoCorasick>, bytes_min: usize) -> Vec<&'a str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    if let Some(special) = special.filter(|_| text.len() > 2 * bytes_min) {
        for found in special.find_iter(text) {
            let at = found.start();
            let after_space = text[..at].ends_with(char::is_whitespace);
            if at - start >= bytes_min && !after_space {
                pieces.push(&text[start..at]);
                start = at;
            }
        }
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_before_special_tokens_only() {
        let builder = || AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(["<a>", "<a><b>", "<b>"]);
        let special = builder().ok();
        let cut = |text| pieces(text, special.as_ref(), 4);
        assert_eq!(cut("0123<a>4567<b>89 <a>"), ["0123", "<a>4567", "<b>89 <a>"]);
        assert_eq!(cut("01234567<a><b>01"), ["01234567", "<a><b>01"], "not within a longer one");
        assert_eq!(cut("no special token in here"), ["no special token in here"]);
        assert_eq!(cut("ab<a>"), ["ab<a>"], "short");
        assert_eq!(pieces("0123<a>4567", None, 1), ["0123<a>4567"]);
        assert_eq!(cut("").concat(), "");
    }

    fn test_model() -> (Model, AhoCorasick) {
        let path = std::path::Path::new("../../tests/models/tiny-gemma-q8_0.gguf");
        let model = Model::load(path, 0, &mut |_| true).unwrap();
        let (texts, _) = model.special_texts();
        let special = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts).unwrap();
        (model, special)
    }

    #[test]
    fn pieces_give_the_same_tokens_as_the_whole() {
        let (model, special) = test_model();
        let turn = "<|turn>user\nOne day Tom went to the park.\n\n<turn|>\n<|turn>model\nYes,  he <turn|>did<|turn><bos> \n 🦀☃<eos>";
        let text = turn.repeat(20);
        let whole = model.tokenize(&text).unwrap();
        for bytes_min in [1, 7, 64, 500] {
            let pieces = pieces(&text, Some(&special), bytes_min);
            assert!(pieces.len() > 2);
            assert_eq!(pieces.concat(), text);
            let tokens: Vec<Token> = pieces.iter().flat_map(|piece| model.tokenize(piece).unwrap()).collect();
            assert_eq!(tokens, whole, "pieces of {bytes_min} bytes");
        }
    }

    #[test]
    fn a_prompt_of_special_tokens_takes_no_time() {
        let (model, special) = test_model();
        let text = "<|turn>".repeat((1 << 20) / 7);
        let began = std::time::Instant::now();
        for piece in pieces(&text, Some(&special), PIECE_BYTES_MIN) {
            model.tokenize(piece).unwrap();
        }
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }
}
