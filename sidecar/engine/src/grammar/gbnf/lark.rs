//! Writes a grammar that is cut into lexemes in the notation of `llguidance`: a line for each part, so that nothing is nested.

use super::lexemes::Cut;
use super::{Grammar, Id, Node};
use crate::grammar::vocabulary::literal;
use std::fmt::Write as _;

pub(super) fn write(grammar: &Grammar, cut: &Cut) -> String {
    let known = vec![false; grammar.nodes.len()];
    let mut writer = Writer { grammar, cut, out: String::new(), open: vec![], terminals: known.clone(), rules: known };
    let start = writer.part(grammar.rules[grammar.root]);
    let _ = writeln!(writer.out, "start: {start}");
    while let Some((node, is_terminal)) = writer.open.pop() {
        writer.line(node, is_terminal);
    }
    writer.out
}

struct Writer<'a> {
    grammar: &'a Grammar,
    cut: &'a Cut,
    out: String,
    /// Nodes that are named and not written yet, and whether as terminals.
    open: Vec<(Id, bool)>,
    terminals: Vec<bool>,
    rules: Vec<bool>,
}

impl Writer<'_> {
    /// The name of a part of a rule.
    fn part(&mut self, node: Id) -> String {
        if matches!(&self.grammar.nodes[node], Node::Sequence(parts) if parts.is_empty()) {
            "\"\"".into()
        } else if self.cut.is_lexeme(node) {
            self.terminal(node)
        } else {
            let meant = self.meant(node);
            let node = if self.cut.is_lexeme(meant) { node } else { meant };
            if !std::mem::replace(&mut self.rules[node], true) {
                self.open.push((node, false));
            }
            format!("r{node}")
        }
    }

    /// The name of a lexeme or of a part of one.
    fn terminal(&mut self, node: Id) -> String {
        let node = self.meant(node);
        if !std::mem::replace(&mut self.terminals[node], true) {
            self.open.push((node, true));
        }
        format!("T{node}")
    }

    /// What a rule's name stands for, so that all its names become one.
    fn meant(&self, node: Id) -> Id {
        match self.grammar.nodes[node] {
            Node::Rule(rule) => self.grammar.rules[rule],
            _ => node,
        }
    }

    fn line(&mut self, node: Id, is_terminal: bool) {
        let grammar = self.grammar;
        let text = is_terminal.then(|| text(grammar, node)).flatten();
        let mut name = |part: &Id| if is_terminal { self.terminal(*part) } else { self.part(*part) };
        let says = match (&grammar.nodes[node], text) {
            (_, Some(text)) => literal(&text),
            (Node::Class(ranges), None) => class(ranges),
            (Node::Sequence(parts), None) if parts.is_empty() => "\"\"".into(),
            (Node::Sequence(parts), None) => parts.iter().map(name).collect::<Vec<_>>().join(" "),
            (Node::Choice(parts), None) => parts.iter().map(name).collect::<Vec<_>>().join(" | "),
            (Node::Repeat { of, least, most }, None) => {
                let of = name(of);
                match (least, most) {
                    (0, None) => format!("{of}*"),
                    (1, None) => format!("{of}+"),
                    (0, Some(1)) => format!("{of}?"),
                    (least, None) => format!("{of}{{{least},}}"),
                    (least, Some(most)) => format!("{of}{{{least},{most}}}"),
                }
            }
            (Node::Rule(rule), None) => name(&grammar.rules[*rule]),
        };
        let kind = if is_terminal { 'T' } else { 'r' };
        let _ = writeln!(self.out, "{kind}{node}: {says}");
    }
}

/// The text that a part stands for, if it is one of single characters.
fn text(grammar: &Grammar, node: Id) -> Option<String> {
    let single = |part: &Id| match grammar.nodes[*part] {
        Node::Class(ref ranges) => match ranges.as_slice() {
            [(first, last)] if first == last => char::from_u32(*first),
            _ => None,
        },
        _ => None,
    };
    match &grammar.nodes[node] {
        Node::Sequence(parts) if !parts.is_empty() => parts.iter().map(single).collect(),
        Node::Class(_) => single(&node).map(String::from),
        _ => None,
    }
}

fn class(ranges: &[(u32, u32)]) -> String {
    let one = |(first, last): &(u32, u32)| format!("\\x{{{first:x}}}-\\x{{{last:x}}}");
    format!("/[{}]/", ranges.iter().map(one).collect::<String>())
}
