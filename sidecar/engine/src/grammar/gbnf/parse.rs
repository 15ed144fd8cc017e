//! From text to a [`Grammar`], or to the place where it is none. The notation is that of llama.cpp's `grammars/README.md`.

use super::{Grammar, Id, Node, Problem, DEPTH_MAX, NODES_MAX, REPEAT_MAX};
use std::collections::HashMap;

/// Longest name that an error repeats, in characters.
const NAME_SHOWN_MAX: usize = 40;
/// Code points below and above those that are no characters.
const CHARACTERS: [(u32, u32); 2] = [(0, 0xd7ff), (0xe000, 0x10_ffff)];

pub(super) fn parse(text: &str) -> Result<Grammar, Problem> {
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0, nodes: Vec::new(), names: HashMap::new() };
    parser.space(true);
    while parser.peek().is_some() {
        parser.rule()?;
    }
    let mut rules = vec![0; parser.names.len()];
    let mut names: Vec<(&String, &Named)> = parser.names.iter().collect();
    names.sort_unstable_by_key(|(_, named)| named.used_at);
    for (name, named) in names {
        let undefined = || parser.problem(named.used_at, &format!("the rule '{}' is not defined", shown(name)));
        rules[named.number] = named.body.ok_or_else(undefined)?;
    }
    match parser.names.get("root") {
        Some(named) => Ok(Grammar { rules, root: named.number, nodes: parser.nodes }),
        None => Err(parser.problem(parser.at, "there is no rule 'root'")),
    }
}

/// A rule's name: its number, where it was seen first, and what it says.
struct Named {
    number: usize,
    used_at: usize,
    body: Option<Id>,
}

struct Parser {
    text: Vec<char>,
    at: usize,
    depth: usize,
    nodes: Vec<Node>,
    names: HashMap<String, Named>,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn takes(&mut self, wanted: char) -> bool {
        let is_it = self.peek() == Some(wanted);
        self.at += usize::from(is_it);
        is_it
    }

    /// Passes over blanks and comments, and over line ends where a rule may go on.
    fn space(&mut self, lines: bool) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' => self.at += 1,
                '\r' | '\n' if lines => self.at += 1,
                '#' => {
                    while self.peek().is_some_and(|c| c != '\r' && c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn problem(&self, at: usize, what: &str) -> Problem {
        let before = &self.text[..at.min(self.text.len())];
        let line = before.iter().filter(|c| **c == '\n').count() + 1;
        let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
        Problem { line, column, what: what.to_owned() }
    }

    fn here<T>(&self, what: &str) -> Result<T, Problem> {
        Err(self.problem(self.at, what))
    }

    fn add(&mut self, node: Node) -> Result<Id, Problem> {
        if self.nodes.len() >= NODES_MAX {
            return self.here(&format!("there are more than {NODES_MAX} parts"));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// `name ::= alternatives`, up to the end of the line.
    fn rule(&mut self) -> Result<(), Problem> {
        let begins = self.at;
        let name = self.name()?;
        self.space(false);
        if !"::=".chars().all(|c| self.takes(c)) {
            return self.here("a rule's name is followed by '::='");
        }
        self.space(true);
        let body = self.alternatives(false)?;
        let number = self.number(&name, begins);
        if self.nodes.is_empty() || self.peek().is_some_and(|c| c != '\r' && c != '\n') {
            return self.here("a rule ends with its line");
        }
        self.space(true);
        match self.names.get_mut(&name) {
            Some(named) if named.number == number && named.body.is_none() => {
                named.body = Some(body);
                Ok(())
            }
            _ => Err(self.problem(begins, &format!("the rule '{}' is defined twice", shown(&name)))),
        }
    }

    fn name(&mut self) -> Result<String, Problem> {
        let begins = self.at;
        while self.peek().is_some_and(is_of_name) {
            self.at += 1;
        }
        match begins == self.at {
            true => self.here("a rule's name is expected: letters, digits and '-'"),
            false => Ok(self.text[begins..self.at].iter().collect()),
        }
    }

    fn number(&mut self, name: &str, used_at: usize) -> usize {
        let next = self.names.len();
        self.names.entry(name.to_owned()).or_insert(Named { number: next, used_at, body: None }).number
    }

    /// Sequences with `|` between them. Within a group they may go over several lines.
    fn alternatives(&mut self, within: bool) -> Result<Id, Problem> {
        let mut choices = vec![self.sequence(within)?];
        while self.takes('|') {
            self.space(true);
            choices.push(self.sequence(within)?);
        }
        match choices.as_slice() {
            [only] => Ok(*only),
            _ => self.add(Node::Choice(choices)),
        }
    }

    fn sequence(&mut self, within: bool) -> Result<Id, Problem> {
        let mut parts = Vec::new();
        while let Some(part) = self.part()? {
            let part = self.repetitions(part)?;
            parts.push(part);
            self.space(within);
        }
        match parts.as_slice() {
            [only] => Ok(*only),
            _ => self.add(Node::Sequence(parts)),
        }
    }

    /// A text, a class, a group, a rule's name or `.`; `None` if there is none.
    fn part(&mut self) -> Result<Option<Id>, Problem> {
        let part = match self.peek() {
            Some('"') => self.literal()?,
            Some('[') => self.class()?,
            Some('(') => self.group()?,
            Some('.') => {
                self.at += 1;
                self.add(Node::Class(CHARACTERS.to_vec()))?
            }
            Some('<' | '!') => return self.here("tokens are not supported in grammars; write their text"),
            Some(c) if is_of_name(c) => {
                let used_at = self.at;
                let name = self.name()?;
                let number = self.number(&name, used_at);
                self.add(Node::Rule(number))?
            }
            Some('*' | '+' | '?' | '{') => return self.here("there is nothing to repeat"),
            _ => return Ok(None),
        };
        Ok(Some(part))
    }

    fn group(&mut self) -> Result<Id, Problem> {
        if self.depth >= DEPTH_MAX {
            return self.here(&format!("groups are nested more than {DEPTH_MAX} deep"));
        }
        self.depth += 1;
        self.at += 1;
        self.space(true);
        let inner = self.alternatives(true)?;
        self.depth -= 1;
        match self.takes(')') {
            true => Ok(inner),
            false => self.here("')' is expected"),
        }
    }

    /// `"…"`: a class for each character.
    fn literal(&mut self) -> Result<Id, Problem> {
        self.at += 1;
        let mut parts = Vec::new();
        while !self.takes('"') {
            let c = self.character("'\"'")?;
            parts.push(self.add(Node::Class(vec![(c, c)]))?);
        }
        match parts.as_slice() {
            [only] => Ok(*only),
            _ => self.add(Node::Sequence(parts)),
        }
    }

    /// `[a-z_]`, `[^"\\]`.
    fn class(&mut self) -> Result<Id, Problem> {
        let begins = self.at;
        self.at += 1;
        let negated = self.takes('^');
        let mut ranges = Vec::new();
        while !self.takes(']') {
            let first = self.character("']'")?;
            let is_range = self.peek() == Some('-') && self.text.get(self.at + 1).is_some_and(|c| *c != ']');
            let last = match is_range {
                true => {
                    self.at += 1;
                    self.character("']'")?
                }
                false => first,
            };
            ranges.push((first, last));
        }
        let ranges = if negated { without(&CHARACTERS, &joined(ranges)) } else { joined(ranges) };
        match ranges.is_empty() {
            true => Err(self.problem(begins, "no character fits this class")),
            false => self.add(Node::Class(ranges)),
        }
    }

    /// A character of a text or class, perhaps escaped.
    fn character(&mut self, end: &str) -> Result<u32, Problem> {
        let begins = self.at;
        match self.take() {
            None => self.here(&format!("{end} is expected")),
            Some('\\') => {
                let code = match self.take() {
                    Some('x') => self.hexadecimal(2)?,
                    Some('u') => self.hexadecimal(4)?,
                    Some('U') => self.hexadecimal(8)?,
                    Some('t') => u32::from('\t'),
                    Some('r') => u32::from('\r'),
                    Some('n') => u32::from('\n'),
                    Some(c @ ('\\' | '"' | '[' | ']')) => u32::from(c),
                    _ => {
                        return Err(
                            self.problem(begins, r#"the escapes are \\ \" \[ \] \t \r \n \xAB \uABCD \UABCDABCD"#)
                        )
                    }
                };
                match char::from_u32(code) {
                    Some(_) => Ok(code),
                    None => Err(self.problem(begins, "there is no character of this number")),
                }
            }
            Some(c) => Ok(u32::from(c)),
        }
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<u32, Problem> {
        let mut code = 0;
        for _ in 0..digits {
            match self.peek().and_then(|c| c.to_digit(16)) {
                Some(digit) => code = code << 4 | digit,
                None => return self.here(&format!("{digits} hexadecimal digits are expected")),
            }
            self.at += 1;
        }
        Ok(code)
    }

    /// `*`, `+`, `?`, `{2}`, `{2,}`, `{2,5}`, perhaps several.
    fn repetitions(&mut self, mut part: Id) -> Result<Id, Problem> {
        loop {
            let (least, most) = match self.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => self.braces()?,
                _ => return Ok(part),
            };
            self.at += 1;
            part = match most {
                Some(0) => self.add(Node::Sequence(vec![]))?,
                _ => self.add(Node::Repeat { of: part, least, most })?,
            };
            self.space(false);
        }
    }

    /// Up to the closing brace.
    fn braces(&mut self) -> Result<(u32, Option<u32>), Problem> {
        let begins = self.at;
        self.at += 1;
        self.space(false);
        let least = self.count()?;
        self.space(false);
        let mut most = Some(least);
        if self.takes(',') {
            self.space(false);
            most = match self.peek() {
                Some('}') => None,
                _ => Some(self.count()?),
            };
            self.space(false);
        }
        match self.peek() {
            Some('}') if most.is_none_or(|most| most >= least) => Ok((least, most)),
            Some('}') => Err(self.problem(begins, "the second number is less than the first")),
            _ => self.here("'}' is expected"),
        }
    }

    fn count(&mut self) -> Result<u32, Problem> {
        let begins = self.at;
        let mut count = 0u32;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            count = count.saturating_mul(10).saturating_add(digit);
            self.at += 1;
        }
        match count {
            _ if begins == self.at => self.here("a number is expected"),
            0..=REPEAT_MAX => Ok(count),
            _ => Err(self.problem(begins, &format!("more than {REPEAT_MAX} repetitions"))),
        }
    }
}

/// llama.cpp takes no `_`; others do.
fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN_MAX).collect()
}

/// The characters of these ranges, as ranges in order and apart. What is no character is left out.
fn joined(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.retain(|(first, last)| first <= last);
    ranges.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    let within = |(first, last): (u32, u32)| {
        CHARACTERS.map(|(low, high)| (first.max(low), last.min(high))).into_iter().filter(|(first, last)| first <= last)
    };
    joined.into_iter().flat_map(within).collect()
}

/// `all` without `some`, both in order and apart.
fn without(all: &[(u32, u32)], some: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut rest = Vec::new();
    for &(begin, high) in all {
        let mut low = begin;
        for &(first, last) in some.iter().filter(|(first, last)| *first <= high && *last >= begin) {
            if first > low {
                rest.push((low, first - 1));
            }
            low = low.max(last.saturating_add(1));
        }
        if low <= high {
            rest.push((low, high));
        }
    }
    rest
}
