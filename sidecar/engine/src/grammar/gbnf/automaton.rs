//! Lexemes as automata over sets of characters, and what of two of them fits one text.

use super::{Grammar, Id, Node};
use std::collections::{BTreeSet, HashSet};

/// Most states of one automaton.
const STATES_MAX: usize = 4_096;
/// Most parts of a grammar that one automaton is made of, each counted as often as it comes.
const PARTS_MAX: usize = 4 * STATES_MAX;
/// Most pairs of states that are looked at for two lexemes.
const PAIRS_MAX: usize = 8_192;

/// The characters, cut wherever a class of the grammar begins or ends: each piece is in a class as a whole or not at all.
pub(super) struct Alphabet {
    starts: Vec<u32>,
}

/// A set of pieces of an [`Alphabet`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Letters(Vec<u64>);

impl Letters {
    fn insert(&mut self, piece: usize) {
        if self.0.len() <= piece / 64 {
            self.0.resize(piece / 64 + 1, 0);
        }
        self.0[piece / 64] |= 1 << (piece % 64);
    }

    fn has(&self, piece: usize) -> bool {
        self.0.get(piece / 64).is_some_and(|word| word >> (piece % 64) & 1 == 1)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(own, other)| own & other != 0)
    }
}

impl Alphabet {
    pub(super) fn of(grammar: &Grammar) -> Self {
        let ranges = grammar.nodes.iter().filter_map(|node| match node {
            Node::Class(ranges) => Some(ranges),
            _ => None,
        });
        let starts: BTreeSet<u32> = ranges.flatten().flat_map(|(first, last)| [*first, last + 1]).collect();
        Self { starts: starts.into_iter().collect() }
    }

    fn letters(&self, ranges: &[(u32, u32)]) -> Letters {
        let mut letters = Letters::default();
        for (first, last) in ranges {
            let from = self.starts.partition_point(|start| start < first);
            let to = self.starts.partition_point(|start| start <= last);
            (from..to).for_each(|piece| letters.insert(piece));
        }
        letters
    }
}

/// The texts of one lexeme. State 0 is the first.
pub(super) struct Automaton {
    silent: Vec<Vec<usize>>,
    steps: Vec<Vec<(Letters, usize)>>,
    end: usize,
    parts: usize,
}

/// A set of states, in order.
type States = Vec<usize>;

impl Automaton {
    /// Of a part without recursion; `None` if it takes too many states.
    pub(super) fn of(grammar: &Grammar, alphabet: &Alphabet, node: Id) -> Option<Self> {
        let mut made = Self { silent: vec![vec![]], steps: vec![vec![]], end: 0, parts: 0 };
        made.end = made.append(grammar, alphabet, node, 0)?;
        Some(made)
    }

    fn state(&mut self) -> Option<usize> {
        self.silent.push(vec![]);
        self.steps.push(vec![]);
        (self.steps.len() <= STATES_MAX).then_some(self.steps.len() - 1)
    }

    /// Appends what a part says behind a state; where that ends.
    fn append(&mut self, grammar: &Grammar, alphabet: &Alphabet, node: Id, from: usize) -> Option<usize> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return None;
        }
        match &grammar.nodes[node] {
            Node::Class(ranges) => {
                let to = self.state()?;
                self.steps[from].push((alphabet.letters(ranges), to));
                Some(to)
            }
            Node::Sequence(parts) => {
                parts.iter().try_fold(from, |from, part| self.append(grammar, alphabet, *part, from))
            }
            Node::Choice(parts) => {
                let to = self.state()?;
                for part in parts {
                    let begin = self.state()?;
                    self.silent[from].push(begin);
                    let end = self.append(grammar, alphabet, *part, begin)?;
                    self.silent[end].push(to);
                }
                Some(to)
            }
            Node::Repeat { of, least, most } => {
                let mut at = from;
                for _ in 0..*least {
                    at = self.append(grammar, alphabet, *of, at)?;
                }
                let to = self.state()?;
                match most {
                    None => {
                        let begin = self.state()?;
                        self.silent[at].extend([begin, to]);
                        let end = self.append(grammar, alphabet, *of, begin)?;
                        self.silent[end].extend([begin, to]);
                    }
                    Some(most) => {
                        for _ in *least..*most {
                            self.silent[at].push(to);
                            let begin = self.state()?;
                            self.silent[at].push(begin);
                            at = self.append(grammar, alphabet, *of, begin)?;
                        }
                        self.silent[at].push(to);
                    }
                }
                Some(to)
            }
            Node::Rule(number) => self.append(grammar, alphabet, grammar.rules[*number], from),
        }
    }

    fn closed(&self, states: impl IntoIterator<Item = usize>) -> States {
        let mut all = BTreeSet::new();
        let mut open: Vec<usize> = states.into_iter().collect();
        while let Some(state) = open.pop() {
            if all.insert(state) {
                open.extend(&self.silent[state]);
            }
        }
        all.into_iter().collect()
    }

    fn step(&self, states: &States, piece: usize) -> States {
        let steps = states.iter().flat_map(|state| &self.steps[*state]);
        self.closed(steps.filter(|(letters, _)| letters.has(piece)).map(|(_, to)| *to))
    }

    fn next(&self, states: &States) -> Letters {
        let mut next = Letters::default();
        states.iter().flat_map(|state| &self.steps[*state]).for_each(|(letters, _)| next.add(letters));
        next
    }

    /// What its texts begin with.
    pub(super) fn first(&self) -> Letters {
        self.next(&self.closed([0]))
    }

    /// Is the empty text one of its?
    pub(super) fn may_be_empty(&self) -> bool {
        self.closed([0]).contains(&self.end)
    }
}

/// How two lexemes that may come at one place get on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meeting {
    /// A text of the first could be followed by a character with which the second goes on: the second would swallow it.
    pub(super) second_swallows: bool,
    /// The same the other way round.
    pub(super) first_swallows: bool,
    /// There is a text that is both.
    pub(super) same_text: bool,
}

/// Compares two lexemes; `behind` is what the first and the second can be followed by. `None` if that takes too long.
pub(super) fn meet(alphabet: &Alphabet, a: &Automaton, b: &Automaton, behind: (&Letters, &Letters)) -> Option<Meeting> {
    let mut meeting = Meeting::default();
    let begin = (a.closed([0]), b.closed([0]));
    let mut seen = HashSet::from([begin.clone()]);
    let mut open = vec![begin];
    while let Some((in_a, in_b)) = open.pop() {
        let (next_a, next_b) = (a.next(&in_a), b.next(&in_b));
        // Nobody takes the empty text for a lexeme.
        if seen.len() > 1 {
            let (ends_a, ends_b) = (in_a.contains(&a.end), in_b.contains(&b.end));
            meeting.second_swallows |= ends_a && next_b.meets(behind.0);
            meeting.first_swallows |= ends_b && next_a.meets(behind.1);
            meeting.same_text |= ends_a && ends_b;
        }
        for piece in (0..alphabet.starts.len()).filter(|piece| next_a.has(*piece) && next_b.has(*piece)) {
            let pair = (a.step(&in_a, piece), b.step(&in_b, piece));
            if seen.insert(pair.clone()) {
                open.push(pair);
            }
        }
        if seen.len() > PAIRS_MAX {
            return None;
        }
    }
    Some(meeting)
}
