//! Which parts of a grammar become lexemes.
//!
//! A part that does not recur can be one. It must not be one if that loses texts: a lexeme goes on as long as any lexeme that
//! may stand at its place goes on, so what follows it must not begin with a character with which one of these would go on.
//! Where that happens, the greedy part is taken apart one level, and all is looked at again. Single characters are never greedy,
//! so this ends.

use super::automaton::{meet, Alphabet, Automaton, Letters, Meeting};
use super::{Grammar, Id, Node};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Most lexemes of a grammar.
const LEXEMES_MAX: usize = 2_000;
/// Most comparisons of two lexemes.
const MEETINGS_MAX: usize = 100_000;

/// There are too many lexemes, or too many that may stand at one place.
#[derive(Debug)]
pub(super) struct TooComplex;

/// How a grammar is cut into lexemes.
#[derive(Debug)]
pub(super) struct Cut {
    /// Is each node free of recursion?
    flat: Vec<bool>,
    /// Is each node, though flat, taken apart?
    apart: Vec<bool>,
}

impl Cut {
    /// Is this part of a rule a lexeme?
    pub(super) fn is_lexeme(&self, node: Id) -> bool {
        self.flat[node] && !self.apart[node]
    }
}

pub(super) fn cut(grammar: &Grammar) -> Result<Cut, TooComplex> {
    let mut cut = Cut { flat: flat(grammar), apart: vec![false; grammar.nodes.len()] };
    if cut.is_lexeme(grammar.rules[grammar.root]) {
        return Ok(cut);
    }
    let alphabet = Alphabet::of(grammar);
    let mut automata = HashMap::new();
    let mut meetings = 0;
    loop {
        let places = Places::of(grammar, &cut);
        if places.lexemes.len() > LEXEMES_MAX {
            return Err(TooComplex);
        }
        let mut greedy: BTreeSet<Id> = BTreeSet::new();
        for &lexeme in &places.lexemes {
            let made = automata.entry(lexeme).or_insert_with(|| Automaton::of(grammar, &alphabet, lexeme));
            // One that is too large to be looked at is taken apart as well.
            greedy.extend(made.is_none().then_some(lexeme));
        }
        if greedy.is_empty() {
            let known: HashMap<Id, &Automaton> =
                automata.iter().filter_map(|(id, made)| Some((*id, made.as_ref()?))).collect();
            greedy = places.greedy(&alphabet, &known, &mut meetings)?;
        }
        let before = cut.apart.iter().filter(|apart| **apart).count();
        greedy
            .iter()
            .filter(|node| !matches!(grammar.nodes[**node], Node::Class(_)))
            .for_each(|n| cut.apart[*n] = true);
        if cut.apart.iter().filter(|apart| **apart).count() == before {
            return Ok(cut);
        }
    }
}

/// Which nodes lead to no rule that leads to itself.
fn flat(grammar: &Grammar) -> Vec<bool> {
    let mut named_by: Vec<Vec<usize>> = vec![vec![]; grammar.rules.len()];
    let mut names = vec![0usize; grammar.rules.len()];
    for (rule, body) in grammar.rules.iter().enumerate() {
        let mut open = vec![*body];
        while let Some(node) = open.pop() {
            if let Node::Rule(named) = grammar.nodes[node] {
                named_by[named].push(rule);
                names[rule] += 1;
            }
            open.extend(grammar.parts(node));
        }
    }
    let mut done: VecDeque<usize> = (0..names.len()).filter(|rule| names[*rule] == 0).collect();
    let mut is_flat = vec![false; names.len()];
    while let Some(rule) = done.pop_front() {
        is_flat[rule] = true;
        for &by in &named_by[rule] {
            names[by] -= 1;
            if names[by] == 0 {
                done.push_back(by);
            }
        }
    }
    // The parts of a node are made before it.
    let mut flat: Vec<bool> = Vec::with_capacity(grammar.nodes.len());
    for (node, kind) in grammar.nodes.iter().enumerate() {
        let whole = match kind {
            Node::Rule(rule) => is_flat[*rule],
            _ => grammar.parts(node).iter().all(|part| flat[*part]),
        };
        flat.push(whole);
    }
    flat
}

/// What may follow what, as a net of places: between them stand lexemes, or nothing.
struct Places {
    lexemes: Vec<Id>,
    silent: Vec<Vec<usize>>,
    /// From a place over a lexeme.
    steps: Vec<Vec<Id>>,
    /// Where each lexeme ends.
    ends: HashMap<Id, usize>,
    begin: usize,
    /// Where each rule begins and ends.
    rules: Vec<Option<(usize, usize)>>,
}

impl Places {
    fn of(grammar: &Grammar, cut: &Cut) -> Self {
        let rules = vec![None; grammar.rules.len()];
        let (silent, steps) = (vec![], vec![]);
        let mut places = Self { lexemes: vec![], silent, steps, ends: HashMap::new(), begin: 0, rules };
        let mut open = VecDeque::new();
        places.begin = places.of_rule(grammar.root, &mut open).0;
        while let Some(rule) = open.pop_front() {
            let (begin, end) = places.of_rule(rule, &mut open);
            places.append(grammar, cut, grammar.rules[rule], (begin, end), &mut open);
        }
        places
    }

    fn place(&mut self) -> usize {
        self.silent.push(vec![]);
        self.steps.push(vec![]);
        self.steps.len() - 1
    }

    fn of_rule(&mut self, rule: usize, open: &mut VecDeque<usize>) -> (usize, usize) {
        if let Some(known) = self.rules[rule] {
            return known;
        }
        let made = (self.place(), self.place());
        self.rules[rule] = Some(made);
        open.push_back(rule);
        made
    }

    fn append(
        &mut self,
        grammar: &Grammar,
        cut: &Cut,
        node: Id,
        (from, to): (usize, usize),
        open: &mut VecDeque<usize>,
    ) {
        if cut.is_lexeme(node) && !matches!(&grammar.nodes[node], Node::Sequence(parts) if parts.is_empty()) {
            self.lexemes.push(node);
            self.steps[from].push(node);
            self.ends.insert(node, to);
            return;
        }
        match &grammar.nodes[node] {
            Node::Sequence(parts) => {
                let mut at = from;
                for part in parts {
                    let next = self.place();
                    self.append(grammar, cut, *part, (at, next), open);
                    at = next;
                }
                self.silent[at].push(to);
            }
            Node::Choice(parts) => {
                for part in parts {
                    let (begin, end) = (self.place(), self.place());
                    self.silent[from].push(begin);
                    self.append(grammar, cut, *part, (begin, end), open);
                    self.silent[end].push(to);
                }
            }
            Node::Repeat { of, least, most } => {
                let (begin, end) = (self.place(), self.place());
                self.silent[from].push(begin);
                self.append(grammar, cut, *of, (begin, end), open);
                self.silent[end].push(to);
                if *most != Some(1) {
                    self.silent[end].push(begin);
                }
                if *least == 0 {
                    self.silent[from].push(to);
                }
            }
            Node::Rule(rule) => {
                let (begin, end) = self.of_rule(*rule, open);
                self.silent[from].push(begin);
                self.silent[end].push(to);
            }
            Node::Class(_) => {}
        }
    }

    /// The lexemes that may come next at a place.
    fn next(&self, place: usize, empty: &BTreeSet<Id>) -> BTreeSet<Id> {
        let (mut found, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![place]);
        while let Some(place) = open.pop() {
            if seen.insert(place) {
                open.extend(&self.silent[place]);
                found.extend(&self.steps[place]);
                open.extend(self.steps[place].iter().filter(|id| empty.contains(id)).map(|id| self.ends[id]));
            }
        }
        found
    }

    /// Lexemes that would swallow what follows another.
    fn greedy(
        &self,
        alphabet: &Alphabet,
        automata: &HashMap<Id, &Automaton>,
        meetings: &mut usize,
    ) -> Result<BTreeSet<Id>, TooComplex> {
        let empty: BTreeSet<Id> = self.lexemes.iter().copied().filter(|id| automata[id].may_be_empty()).collect();
        let behind: BTreeMap<Id, BTreeSet<Id>> =
            self.lexemes.iter().map(|id| (*id, self.next(self.ends[id], &empty))).collect();
        let letters = |lexemes: &BTreeSet<Id>| {
            let mut all = Letters::default();
            lexemes.iter().for_each(|id| all.add(&automata[id].first()));
            all
        };
        let follow: BTreeMap<Id, Letters> = behind.iter().map(|(id, next)| (*id, letters(next))).collect();
        let mut together = Together::default();
        let begin = self.next(self.begin, &empty);
        together.all(&begin, &begin);
        behind.values().for_each(|next| together.all(next, next));
        let mut greedy = BTreeSet::new();
        while let Some((a, b)) = together.open.pop() {
            *meetings += 1;
            if *meetings > MEETINGS_MAX {
                return Err(TooComplex);
            }
            match meet(alphabet, automata[&a], automata[&b], (&follow[&a], &follow[&b])) {
                Some(Meeting { second_swallows, first_swallows, same_text }) => {
                    greedy.extend(second_swallows.then_some(b));
                    greedy.extend(first_swallows.then_some(a));
                    if same_text {
                        together.all(&behind[&a], &behind[&b]);
                    }
                }
                None => greedy.extend([a, b]),
            }
        }
        Ok(greedy)
    }
}

/// Pairs of lexemes that may stand at one place.
#[derive(Default)]
struct Together {
    known: BTreeSet<(Id, Id)>,
    open: Vec<(Id, Id)>,
}

impl Together {
    fn all(&mut self, some: &BTreeSet<Id>, others: &BTreeSet<Id>) {
        for &a in some {
            for &b in others {
                let pair = (a.min(b), a.max(b));
                if self.known.insert(pair) {
                    self.open.push(pair);
                }
            }
        }
    }
}
