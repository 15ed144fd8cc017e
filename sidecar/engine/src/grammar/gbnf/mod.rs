//! llama.cpp's notation of grammars (GBNF), turned into the one that `llguidance` reads.
//!
//! GBNF knows characters only; `llguidance` cuts text into lexemes first, each as long as it can be, and never goes back. So the
//! parts of a grammar that do not recur become lexemes, but only where being greedy loses no text ([`lexemes`]); elsewhere
//! they are taken apart, at worst into characters. What comes out accepts the very texts that the grammar describes.

mod automaton;
mod lark;
mod lexemes;
mod parse;
#[cfg(test)]
mod tests;

use super::invalid;
use crate::EngineError;

/// Most rules, groups, texts, classes and repetitions together.
const NODES_MAX: usize = 20_000;
/// Deepest nesting of groups.
const DEPTH_MAX: usize = 64;
/// Most repetitions that a grammar can count (llama.cpp's number).
const REPEAT_MAX: u32 = 2_000;

/// A grammar in the notation of `llguidance`.
pub(super) fn to_lark(text: &str) -> Result<String, EngineError> {
    let grammar = parse::parse(text)
        .map_err(|Problem { line, column, what }| invalid(&format!("GBNF, line {line}, column {column}: {what}")))?;
    let cut = lexemes::cut(&grammar).map_err(|lexemes::TooComplex| invalid("GBNF: it is too complex"))?;
    Ok(lark::write(&grammar, &cut))
}

/// Why a text is no GBNF.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    /// What is wrong there.
    what: String,
}

/// Names a node of a [`Grammar`].
type Id = usize;

/// A part of a grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// One of these characters: ranges, both ends included, in order and apart; not none.
    Class(Vec<(u32, u32)>),
    /// One after the other; the empty text if there are none.
    Sequence(Vec<Id>),
    /// One of them.
    Choice(Vec<Id>),
    /// So many of it.
    Repeat {
        of: Id,
        least: u32,
        /// `None` for any number.
        most: Option<u32>,
    },
    /// What the rule of this number says.
    Rule(usize),
}

/// A grammar as a tree for each rule.
#[derive(Debug)]
struct Grammar {
    nodes: Vec<Node>,
    /// The body of each rule.
    rules: Vec<Id>,
    /// The rule that describes the whole text.
    root: usize,
}

impl Grammar {
    /// The parts of a node, without those behind a rule's name.
    fn parts(&self, node: Id) -> &[Id] {
        match &self.nodes[node] {
            Node::Class(_) | Node::Rule(_) => &[],
            Node::Sequence(parts) | Node::Choice(parts) => parts,
            Node::Repeat { of, .. } => std::slice::from_ref(of),
        }
    }
}
