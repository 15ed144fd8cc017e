//! What peers say of other providers, and how little of it counts.
//!
//! A report is worth something only from somebody of whom one has own experience: a machine of one's own, a friend, or a stranger who has
//! answered well. Even then each reporter moves what a choice is made by, the expected cost, by a few hundredths at most, all
//! strangers together by a bounded share, and own experience of the provider fades all of it out. Warnings count more than
//! praise: a liar who praises his kind gains next to nothing, and one who slanders cannot hide a good peer.
//!
//! It must not know how reports travel, and nothing of what was asked or answered.

use crate::choosing::Kinship;
use crate::history::Observed;
use crate::recent::Recent;
use crate::speed::Speed;
use ainonymous_types::{AgentPubKey, EntryHash};

/// Most reports that one peer tells at once.
pub const REPORTS_MAX: usize = 8;
/// Most providers of whom reports are remembered.
pub const SUBJECTS_MAX: usize = 1_024;
/// Most reporters who count for one provider.
pub const REPORTERS_MAX: usize = 8;
/// A report counts for this long.
pub const REPORT_US_MAX: u64 = 3_600_000_000;
/// Answers that a stranger must have given here before its reports count.
pub const REPORTER_ANSWERS_MIN: u32 = 2;
/// Whoever fails more often than this, in thousandths, is not believed about others either.
pub const REPORTER_TROUBLED_PERMILLE_MAX: u32 = 250;
/// One stranger makes a provider look worse by this much at most, in thousandths of its cost,
pub const STRANGER_WORSE_PERMILLE: i64 = 80;
/// or better by this much;
pub const STRANGER_BETTER_PERMILLE: i64 = 20;
/// all strangers together worse by this much,
pub const STRANGERS_WORSE_PERMILLE: i64 = 320;
/// or better by this much.
pub const STRANGERS_BETTER_PERMILLE: i64 = 50;
/// An own machine or a friend makes it look worse by this much at most,
pub const CLOSE_WORSE_PERMILLE: i64 = 300;
/// or better by this much.
pub const CLOSE_BETTER_PERMILLE: i64 = 100;

/// What one peer says that it saw of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<A = AgentPubKey> {
    /// Of whom.
    pub agent: A,
    /// Average speed of its answers; unknown if it never answered.
    pub speed: Speed,
    /// Share of requests that failed or whose first token came too late, in thousandths.
    pub troubled_permille: u32,
}

/// Whether a reporter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// An own machine, or a friend's.
    Close,
    /// A stranger who has answered well here.
    Known,
}

impl Standing {
    /// Of somebody of whom this was seen; none for whoever does not count.
    pub fn of(kinship: Kinship, claimed: Speed, own: Option<&Observed>) -> Option<Self> {
        let honest = |own: &&Observed| {
            own.answers >= REPORTER_ANSWERS_MIN
                && own.failing_permille.max(own.late_permille) <= REPORTER_TROUBLED_PERMILLE_MAX
                && !own.is_exaggerated_by(claimed)
        };
        match kinship {
            Kinship::Own | Kinship::Friend => Some(Self::Close),
            Kinship::Lan | Kinship::Public => own.filter(honest).map(|_| Self::Known),
        }
    }
}

/// What one reporter said of one provider, as it counts in a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Who says it.
    pub standing: Standing,
    /// What it measured; unknown if it got no answer.
    pub speed: Speed,
    /// Share of its requests that failed or came too late, in thousandths.
    pub troubled_permille: u32,
}

impl Word {
    /// How much longer than believed this reporter says that it takes, in thousandths, within what it is allowed to say.
    fn permille(&self, believed: Speed) -> i64 {
        let slower = if self.speed.is_known() {
            let ratio = believed.milli().saturating_mul(1_000) / self.speed.milli().max(1);
            i64::try_from(ratio).unwrap_or(i64::MAX).saturating_sub(1_000)
        } else {
            0
        };
        let said = slower.saturating_add(i64::from(self.troubled_permille.min(1_000)));
        match self.standing {
            Standing::Close => said.clamp(-CLOSE_BETTER_PERMILLE, CLOSE_WORSE_PERMILLE),
            Standing::Known => said.clamp(-STRANGER_BETTER_PERMILLE, STRANGER_WORSE_PERMILLE),
        }
    }
}

/// By how many thousandths of its cost all these words make a provider look worse, or better where it is negative. `answers_milli` is
/// own experience of it, in thousandths of an answer: with one answer reports count half, with three a quarter.
pub fn worse_permille(words: &[Word], believed: Speed, answers_milli: u64) -> i64 {
    let of = |standing: Standing| {
        let words = words.iter().take(REPORTERS_MAX).filter(move |word| word.standing == standing);
        words.map(|word| word.permille(believed)).sum::<i64>()
    };
    let strangers = of(Standing::Known).clamp(-STRANGERS_BETTER_PERMILLE, STRANGERS_WORSE_PERMILLE);
    let close = of(Standing::Close).clamp(-2 * CLOSE_BETTER_PERMILLE, 2 * CLOSE_WORSE_PERMILLE);
    let own = i64::try_from(answers_milli).unwrap_or(i64::MAX - 1_000);
    strangers.saturating_add(close).saturating_mul(1_000) / own.saturating_add(1_000)
}

/// What others have said of providers, bounded: of whom nobody has spoken longest makes room.
#[derive(Clone, Debug)]
pub struct Reports(Recent<(EntryHash, AgentPubKey), Subject<AgentPubKey>>);

/// What was said of one provider, longest ago first, by at most [`REPORTERS_MAX`] reporters, each known by an `R`.
#[derive(Clone, Debug)]
pub struct Subject<R> {
    words: Vec<Word>,
    /// By whom and when, in the same places.
    told: Vec<(R, u64)>,
}

impl<R> Default for Subject<R> {
    fn default() -> Self {
        Self { words: Vec::new(), told: Vec::new() }
    }
}

impl Default for Reports {
    fn default() -> Self {
        Self(Recent::new(SUBJECTS_MAX))
    }
}

impl Reports {
    /// Somebody told these. What it says of itself does not count, nor what is beyond [`REPORTS_MAX`].
    pub fn on_told(&mut self, spec: &EntryHash, by: &AgentPubKey, standing: Standing, told: &[Report], now_us: u64) {
        for Report { agent, speed, troubled_permille } in told.iter().take(REPORTS_MAX).filter(|r| r.agent != *by) {
            let word = Word { standing, speed: *speed, troubled_permille: (*troubled_permille).min(1_000) };
            self.0.touch(&(spec.clone(), agent.clone()), Subject::default).put(by, word, now_us);
        }
    }

    /// What counts of what was said of this provider.
    pub fn of(&self, spec: &EntryHash, agent: &AgentPubKey, now_us: u64) -> &[Word] {
        self.0.get(&(spec.clone(), agent.clone())).map(|subject| subject.lately(now_us)).unwrap_or_default()
    }

    /// Of how many providers something was said.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<R: Clone + PartialEq> Subject<R> {
    /// Somebody says this: instead of what it said before, and else of what was said longest ago. A stranger never takes the place
    /// of somebody close.
    pub fn put(&mut self, by: &R, word: Word, now_us: u64) {
        let may_go = |held: &Word| word.standing == Standing::Close || held.standing == Standing::Known;
        let before = self.told.iter().position(|(who, _)| who == by);
        let full = self.words.len() >= REPORTERS_MAX;
        let oldest = || if full { self.words.iter().position(may_go) } else { None };
        match before.or_else(oldest) {
            Some(at) => {
                self.words.remove(at);
                self.told.remove(at);
            }
            None if full => return,
            None => {}
        }
        self.words.push(word);
        self.told.push((by.clone(), now_us));
    }

    /// What counts now.
    pub fn lately(&self, now_us: u64) -> &[Word] {
        let old = self.told.iter().take_while(|(_, at_us)| now_us.saturating_sub(*at_us) > REPORT_US_MAX).count();
        self.words.get(old..).unwrap_or_default()
    }
}

/// What a node tells of its own experience with a model spec: of up to [`REPORTS_MAX`] providers, from `start` on among those of
/// whom it knows something. It says nothing of when, how often or what was asked.
pub fn to_tell<'a, A: Clone>(rows: impl Iterator<Item = (A, &'a Observed)>, start: usize) -> Vec<Report<A>> {
    let tried = |seen: &Observed| seen.answers > 0 || seen.failures > 0 || seen.late_permille > 0;
    let known: Vec<(A, &Observed)> = rows.filter(|(_, seen)| tried(seen)).collect();
    let first = start.checked_rem(known.len()).unwrap_or(0);
    let told = known.iter().cycle().skip(first).take(known.len().min(REPORTS_MAX));
    told.map(|(agent, seen)| Report {
        agent: agent.clone(),
        speed: seen.speed,
        troubled_permille: seen.failing_permille.max(seen.late_permille).min(1_000),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agent(n: u16) -> AgentPubKey {
        let mut raw = vec![0; 36];
        raw[..2].copy_from_slice(&n.to_le_bytes());
        AgentPubKey::from_raw_36(raw)
    }

    fn spec() -> EntryHash {
        EntryHash::from_raw_36(vec![9; 36])
    }

    fn said(of: u16, tokens_per_s: u32, troubled_permille: u32) -> Report {
        Report { agent: agent(of), speed: Speed::tokens_per_s(tokens_per_s), troubled_permille }
    }

    #[test]
    fn only_those_who_answered_well_are_heard() {
        let good = Observed { answers: REPORTER_ANSWERS_MIN, speed: Speed::tokens_per_s(40), ..Observed::default() };
        let claims = Speed::tokens_per_s(50);
        assert_eq!(Standing::of(Kinship::Friend, claims, None), Some(Standing::Close));
        assert_eq!(Standing::of(Kinship::Public, claims, None), None);
        assert_eq!(Standing::of(Kinship::Public, claims, Some(&good)), Some(Standing::Known));
        assert_eq!(Standing::of(Kinship::Public, Speed::tokens_per_s(4_000), Some(&good)), None, "a liar");
        let new = Observed { answers: REPORTER_ANSWERS_MIN - 1, ..good.clone() };
        let failing = Observed { failing_permille: REPORTER_TROUBLED_PERMILLE_MAX + 1, ..good };
        assert_eq!(Standing::of(Kinship::Lan, claims, Some(&new)), None);
        assert_eq!(Standing::of(Kinship::Lan, claims, Some(&failing)), None);
    }

    #[test]
    fn a_reporter_has_one_word_and_none_about_itself() {
        let mut reports = Reports::default();
        for round in 0..5 {
            let told = [said(1, 10, round), said(2, 10, 0)];
            reports.on_told(&spec(), &agent(2), Standing::Known, &told, u64::from(round));
        }
        assert_eq!(reports.of(&spec(), &agent(1), 5).len(), 1);
        assert_eq!(reports.of(&spec(), &agent(1), 5)[0].troubled_permille, 4);
        assert_eq!(reports.of(&spec(), &agent(2), 5), []);
        assert_eq!(reports.of(&spec(), &agent(1), REPORT_US_MAX + 5), [], "old words are forgotten");
    }

    #[test]
    fn tables_are_bounded_and_strangers_cannot_push_friends_out() {
        let mut reports = Reports::default();
        reports.on_told(&spec(), &agent(60_000), Standing::Close, &[said(1, 10, 0)], 0);
        for by in 0..100 {
            reports.on_told(&spec(), &agent(1_000 + by), Standing::Known, &[said(1, 10, 0)], 1 + u64::from(by));
        }
        let words = reports.of(&spec(), &agent(1), 200);
        assert_eq!(words.len(), REPORTERS_MAX);
        assert_eq!(words.iter().filter(|word| word.standing == Standing::Close).count(), 1);
        let many: Vec<Report> = (0..200).map(|n| said(n, 1, 1)).collect();
        reports.on_told(&spec(), &agent(9_999), Standing::Known, &many, 1);
        assert_eq!(reports.len(), 1 + REPORTS_MAX - 1, "one more peer cannot tell more than so many at once");
        for of in 0..2_000 {
            reports.on_told(&spec(), &agent(9_999), Standing::Known, &[said(of, 1, 1)], 1);
        }
        assert_eq!(reports.len(), SUBJECTS_MAX);
    }

    #[test]
    fn what_is_told_is_bounded_and_says_nothing_of_the_unknown() {
        let seen = Observed { answers: 3, speed: Speed::tokens_per_s(7), late_permille: 9, ..Observed::default() };
        let nothing = Observed::default();
        let agents: Vec<AgentPubKey> = (0..20).map(agent).collect();
        let told = to_tell(agents.iter().map(|a| (a.clone(), &seen)), usize::MAX);
        assert_eq!(told.len(), REPORTS_MAX);
        assert!(told.iter().all(|r| r.speed == Speed::tokens_per_s(7) && r.troubled_permille == 9));
        assert!(told.iter().enumerate().all(|(at, r)| told[..at].iter().all(|before| before.agent != r.agent)));
        assert_eq!(to_tell(agents.iter().map(|a| (a.clone(), &nothing)), 3), []);
    }

    fn any_word() -> impl Strategy<Value = Word> {
        (any::<bool>(), any::<u64>(), any::<u32>()).prop_map(|(close, speed, troubled_permille)| Word {
            standing: if close { Standing::Close } else { Standing::Known },
            speed: Speed::from(speed),
            troubled_permille,
        })
    }

    proptest! {
        /// The cap: whatever is said by however many, strangers move a cost by no more than their share, one of them by
        /// no more than his, and own experience fades it.
        #[test]
        fn no_reporters_move_a_cost_beyond_their_share(
            words in prop::collection::vec(any_word(), 0..40),
            (one, believed, answers_milli) in (any_word(), any::<u64>(), 0u64..20_000),
        ) {
            let believed = Speed::from(believed);
            let strangers: Vec<Word> = words.iter().map(|w| Word { standing: Standing::Known, ..*w }).collect();
            let all = worse_permille(&strangers, believed, 0);
            prop_assert!((-STRANGERS_BETTER_PERMILLE..=STRANGERS_WORSE_PERMILLE).contains(&all));
            let few: Vec<Word> = strangers.iter().take(REPORTERS_MAX - 1).copied().collect();
            let one = Word { standing: Standing::Known, ..one };
            let moved = worse_permille(&[&few[..], &[one]].concat(), believed, 0) - worse_permille(&few, believed, 0);
            prop_assert!((-STRANGER_BETTER_PERMILLE..=STRANGER_WORSE_PERMILLE).contains(&moved), "{}", moved);
            let (new, experienced) = (worse_permille(&words, believed, 0), worse_permille(&words, believed, answers_milli));
            prop_assert!(experienced.abs() <= new.abs());
            let most = 1_000 * (STRANGERS_WORSE_PERMILLE + 2 * CLOSE_WORSE_PERMILLE);
            prop_assert!(experienced.abs() <= most / (1_000 + i64::try_from(answers_milli).unwrap()) + 1);
        }
    }
}
