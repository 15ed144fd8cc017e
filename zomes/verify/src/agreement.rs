//! Several providers, one question, one seed: where their answers agree, and who dissents.
//!
//! Answers are compared window by window of 32 tokens. After the first token that differs everything may differ, so a provider
//! dissents from the window in which it first left the majority; what it says after that is no new dissent. This module must not
//! know who the providers are or whom to believe: a majority is more than half of all who answered.

use ainonymous_types::limits::{AGREEMENT_ANSWERS_MAX, FINGERPRINT_WINDOW_TOKENS};

/// How several answers compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// One for each window of the longest answer.
    pub windows: Vec<Window>,
    /// For each answer, the window in which it left the majority; none if it never did.
    pub left_at: Vec<Option<usize>>,
    /// Tokens at the beginning that a majority has in common.
    pub agreed_tokens: usize,
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first answer that says what the majority says; none without a majority.
    pub majority: Option<usize>,
    /// How many say so.
    pub votes: usize,
}

impl Agreement {
    /// Who dissents from a majority.
    pub fn dissenters(&self) -> impl Iterator<Item = usize> + '_ {
        self.left_at.iter().enumerate().filter(|(_, left)| left.is_some()).map(|(answer, _)| answer)
    }

    /// The first answer that never left the majority, if there was one to the end.
    pub fn chosen(&self) -> Option<usize> {
        let to_the_end = self.windows.iter().all(|window| window.majority.is_some());
        if to_the_end {
            self.left_at.iter().position(Option::is_none)
        } else {
            None
        }
    }
}

/// Compares answers by their tokens. Answers beyond the bound are not looked at.
pub fn compare(answers: &[&[u32]]) -> Agreement {
    let answers = &answers[..answers.len().min(AGREEMENT_ANSWERS_MAX)];
    let length = answers.iter().map(|tokens| tokens.len()).max().unwrap_or(0);
    // An empty answer is one too: that nothing is said is then the whole of it.
    let count = length.div_ceil(FINGERPRINT_WINDOW_TOKENS).max(usize::from(!answers.is_empty()));
    let mut left_at = vec![None; answers.len()];
    let mut windows = Vec::with_capacity(count);
    let mut agreed_tokens = 0;
    let mut unbroken = true;
    for at in 0..count {
        let said: Vec<&[u32]> = answers.iter().map(|tokens| window(tokens, at)).collect();
        // Whoever has left has no vote: what it says follows from where it went.
        let votes = |what: &[u32]| said.iter().zip(&left_at).filter(|(s, left)| left.is_none() && **s == what).count();
        let best = (0..said.len())
            .filter(|i| left_at[*i].is_none())
            .map(|i| (votes(said[i]), i))
            .max_by_key(|(n, i)| (*n, usize::MAX - i));
        let Some((n, first)) = best.filter(|(n, _)| 2 * n > answers.len()) else {
            windows.push(Window { majority: None, votes: best.map_or(0, |(n, _)| n) });
            if unbroken {
                agreed_tokens += shared(&said, &left_at);
            }
            unbroken = false;
            continue;
        };
        for (left, s) in left_at.iter_mut().zip(&said) {
            if left.is_none() && *s != said[first] {
                *left = Some(at);
            }
        }
        windows.push(Window { majority: Some(first), votes: n });
        if unbroken {
            agreed_tokens += said[first].len();
        }
    }
    Agreement { windows, left_at, agreed_tokens }
}

/// The tokens at the beginning of a window that more than half of all answers have in common.
fn shared(said: &[&[u32]], left_at: &[Option<usize>]) -> usize {
    let with =
        |prefix: &[u32]| said.iter().zip(left_at).filter(|(s, left)| left.is_none() && s.starts_with(prefix)).count();
    let longest = said.iter().map(|s| (0..=s.len()).rev().find(|n| 2 * with(&s[..*n]) > said.len()).unwrap_or(0));
    longest.max().unwrap_or(0)
}

fn window(tokens: &[u32], at: usize) -> &[u32] {
    let start = at.saturating_mul(FINGERPRINT_WINDOW_TOKENS).min(tokens.len());
    &tokens[start..tokens.len().min(start + FINGERPRINT_WINDOW_TOKENS)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(length: usize, changed: Option<usize>) -> Vec<u32> {
        (0..length).map(|t| t as u32 + if changed.is_some_and(|at| t >= at) { 1_000 } else { 0 }).collect()
    }

    fn compared(answers: &[Vec<u32>]) -> Agreement {
        compare(&answers.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn one_of_three_dissents_from_where_it_left() {
        let agreement = compared(&[answer(100, None), answer(100, Some(40)), answer(100, None)]);
        assert_eq!(agreement.left_at, [None, Some(1), None]);
        assert_eq!(agreement.dissenters().collect::<Vec<_>>(), [1]);
        assert_eq!((agreement.agreed_tokens, agreement.chosen()), (100, Some(0)));
        assert_eq!(agreement.windows[1], Window { majority: Some(0), votes: 2 });
    }

    #[test]
    fn without_a_majority_nobody_dissents() {
        let agreement = compared(&[answer(64, None), answer(64, Some(40))]);
        assert_eq!(agreement.windows[1].majority, None);
        assert_eq!((agreement.dissenters().count(), agreement.chosen(), agreement.agreed_tokens), (0, None, 40));
        let agreement = compared(&[answer(10, Some(0)), answer(10, None), answer(10, Some(5))]);
        assert_eq!((agreement.chosen(), agreement.agreed_tokens), (None, 5));
    }

    #[test]
    fn a_shorter_answer_is_another_answer() {
        let agreement = compared(&[answer(70, None), answer(64, None), answer(70, None)]);
        assert_eq!(agreement.left_at, [None, Some(2), None]);
        let agreement = compared(&[vec![], vec![], answer(3, None)]);
        assert_eq!((agreement.left_at.clone(), agreement.chosen()), (vec![None, None, Some(0)], Some(0)));
    }

    #[test]
    fn who_left_has_no_vote_when_it_comes_back() {
        // The second leaves; then the others part: one against one of three is no majority, whatever the second says.
        let mut back = answer(64, None);
        back[3] = 9;
        let agreement = compared(&[answer(64, None), back, answer(64, Some(40))]);
        assert_eq!(agreement.left_at, [None, Some(0), None]);
        assert_eq!(agreement.windows[1].majority, None);
    }

    #[test]
    fn nobody_and_too_many() {
        let none = compare(&[]);
        assert_eq!((none.windows.len(), none.chosen()), (0, None));
        assert_eq!(compared(&vec![answer(1, None); AGREEMENT_ANSWERS_MAX + 1]).left_at.len(), AGREEMENT_ANSWERS_MAX);
        assert_eq!(compared(&[answer(5, None)]).chosen(), Some(0));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_who_comes_first(
            answers in prop::collection::vec(prop::collection::vec(0u32..2, 0..70), 0..6), turn in 0usize..6,
        ) {
            let turned: Vec<_> = (0..answers.len()).map(|i| answers[(i + turn) % answers.len()].clone()).collect();
            let (a, b) = (compared(&answers), compared(&turned));
            prop_assert_eq!(a.agreed_tokens, b.agreed_tokens);
            for (i, left) in b.left_at.iter().enumerate() {
                prop_assert_eq!(*left, a.left_at[(i + turn) % answers.len()]);
            }
        }
    }
}
