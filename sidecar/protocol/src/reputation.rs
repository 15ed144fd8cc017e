//! How far a peer is trusted by what audits have found: as a provider, and apart from that as an auditor.
//!
//! Evidence is counted as passes and fails (beta reputation: Jøsang and Ismail, 2002, whose expected value is `(r + 1)/(r + s + 2)`) and
//! fades by half in a month. Own audits count in full. What another auditor reports counts as far as its word was confirmed here before,
//! by their rule of discounting: `r′ = 2·r_y·r / ((s_y + 2)(r + s + 2) + 2·r_y)`, where `r_y, s_y` are own confirmations and contradictions of the
//! reporter. So a stranger's word is worth nothing, however many strangers there are, and nobody's is worth more than `2·r_y/(s_y + 2)`
//! audits. All of them together stay below a cap: no crowd makes a newcomer an old acquaintance.
//!
//! From it follow how often a provider is audited (`verify::audit::rate`) and how it stands in the choice of whom to ask. It must not
//! know how audits are done, and it holds nothing of what was asked or answered. Integers only: thousandths of an audit.

use crate::recent::Recent;
use ainonymous_types::{AgentPubKey, TimestampUs};
use ainonymous_verify::audit::rate::{rate_ppm, Stakes};
use serde::{Deserialize, Serialize};

/// Providers, and auditors, of whom something is remembered.
pub const PEERS_MAX: usize = 4_096;
/// Auditors whose reports about one provider are remembered.
pub const REPORTERS_MAX: usize = 32;
/// Evidence of this age counts half: thirty days.
pub const HALF_LIFE_US: u64 = 30 * 24 * 3_600 * 1_000_000;
/// One audit.
const AUDIT: u64 = 1_000;
/// More audits than that count as so many.
const AUDITS_MAX: u64 = 1_000_000 * AUDIT;
/// What a friend's audits count before any was confirmed here: as if so many had been.
const FRIEND: u64 = 10 * AUDIT;
/// Passes that all others together report count as so many at most,
pub const OTHERS_OK_MILLI_MAX: u64 = 10 * AUDIT;
/// and fails as so many.
pub const OTHERS_BAD_MILLI_MAX: u64 = 5 * AUDIT;
/// Nobody's answers are audited more rarely: one in a hundred.
pub const FLOOR_PPM: u32 = 10_000;
/// What a cheat saves on one request, in thousandths of it: `q4_k_m` in place of `q8_0` reads 4.58 GiB where 7.96 are due.
pub const GAIN_MILLI: u64 = 420;
/// How likely one audit of a cheat is to see it, in millionths: what the least conspicuous of the calibrated cheats gives.
pub const DETECTION_PPM: u32 = 900_000;
/// An audit that failed makes a provider look this many times as costly as its share of fails.
const WARY_FACTOR: u64 = 10;

/// What one audit has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The answer is as honest ones are.
    Passed,
    /// It is not.
    Failed,
    /// Nothing follows.
    Inconclusive,
}

/// Evidence for and against somebody, in thousandths of an audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beta {
    /// For.
    pub ok_milli: u64,
    /// Against.
    pub bad_milli: u64,
    /// As of then.
    pub at_us: u64,
}

impl Beta {
    /// What is left of it at a later moment.
    pub fn faded(self, now_us: u64) -> Self {
        let age = now_us.saturating_sub(self.at_us);
        let (halvings, rest) = (age / HALF_LIFE_US, age % HALF_LIFE_US);
        let fade = |milli: u64| {
            let halved = u32::try_from(halvings).ok().and_then(|n| milli.min(AUDITS_MAX).checked_shr(n)).unwrap_or(0);
            // In between along a straight line: from all to half.
            let lost = u128::from(halved) * u128::from(rest) / (2 * u128::from(HALF_LIFE_US));
            halved - u64::try_from(lost).unwrap_or(halved).min(halved)
        };
        Self { ok_milli: fade(self.ok_milli), bad_milli: fade(self.bad_milli), at_us: self.at_us.max(now_us) }
    }

    /// The chance that the next audit passes, in thousandths: a half if nothing is known.
    pub fn expected_permille(self) -> u64 {
        let (ok, bad) = (self.ok_milli.min(AUDITS_MAX), self.bad_milli.min(AUDITS_MAX));
        (ok + AUDIT) * 1_000 / (ok + bad + 2 * AUDIT)
    }

    fn add(&mut self, good: bool, now_us: u64) {
        *self = self.faded(now_us);
        let counted = if good { &mut self.ok_milli } else { &mut self.bad_milli };
        *counted = counted.saturating_add(AUDIT).min(AUDITS_MAX);
    }

    /// The same as it counts for whoever has this experience of the one who says it.
    pub fn discounted(self, of_reporter: Self) -> Self {
        let said = |milli: u64| {
            let (sure, unsure) = (u128::from(of_reporter.ok_milli.min(AUDITS_MAX)), u128::from(of_reporter.bad_milli));
            let unsure = unsure.min(AUDITS_MAX.into()) + 2 * u128::from(AUDIT);
            let all = u128::from(self.ok_milli.min(AUDITS_MAX)) + u128::from(self.bad_milli.min(AUDITS_MAX));
            let over = unsure * (all + 2 * u128::from(AUDIT)) + 2 * sure * u128::from(AUDIT);
            let counts = 2 * sure * u128::from(milli.min(AUDITS_MAX)) * u128::from(AUDIT) / over.max(1);
            u64::try_from(counts).unwrap_or(AUDITS_MAX)
        };
        Self { ok_milli: said(self.ok_milli), bad_milli: said(self.bad_milli), at_us: self.at_us }
    }
}

/// What is known of one provider now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reputation {
    /// Passes, own and what counts of others', in thousandths.
    pub ok_milli: u64,
    /// Fails, likewise.
    pub bad_milli: u64,
    /// A jury has confirmed an accusation and no second one has found otherwise, or it has signed two receipts for one question.
    pub convicted: bool,
}

impl Reputation {
    /// How likely its next answer is to be audited, in millionths.
    pub fn rate_ppm(&self) -> u32 {
        if self.convicted {
            return ainonymous_types::limits::PPM_MAX;
        }
        let whole = |milli: u64| u32::try_from(milli / AUDIT).unwrap_or(u32::MAX);
        let (ok, bad) = (whole(self.ok_milli), whole(self.bad_milli.saturating_add(AUDIT - 1)));
        // Whoever has been honest for long has that to lose: nobody begins anew with it.
        let loss_milli = self.ok_milli;
        let (floor_ppm, gain_milli, detection_ppm) = (FLOOR_PPM, GAIN_MILLI, DETECTION_PPM);
        rate_ppm(&Stakes { ok, bad, floor_ppm, gain_milli, loss_milli, detection_ppm })
    }

    /// By how many thousandths it looks more costly than others. Nothing is held against a newcomer.
    pub fn worse_permille(&self) -> u64 {
        let (ok, bad) = (self.ok_milli.min(AUDITS_MAX), self.bad_milli.min(AUDITS_MAX));
        bad * 1_000 * WARY_FACTOR / (ok + bad + 2 * AUDIT)
    }
}

/// What is remembered of one provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Provider {
    own: Beta,
    others: Vec<Word>,
    convicted: bool,
    #[serde(default)]
    equivocated: bool,
    counts: Counts,
}

/// What one auditor has reported of one provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Word {
    by: AgentPubKey,
    said: Beta,
    /// Reports up to this moment have been counted.
    upto: TimestampUs,
}

/// How many own audits of a provider ended how, for people. Does not fade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Nothing followed.
    pub inconclusive: u64,
}

/// One line of what is remembered, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReputationRow {
    agent: AgentPubKey,
    provider: Option<Provider>,
    auditor: Option<Beta>,
}

/// What is remembered of everybody, bounded: of whom nothing was heard longest makes room.
#[derive(Clone, Debug)]
pub struct Reputations {
    providers: Recent<AgentPubKey, Provider>,
    auditors: Recent<AgentPubKey, Beta>,
}

impl Default for Reputations {
    fn default() -> Self {
        Self { providers: Recent::new(PEERS_MAX), auditors: Recent::new(PEERS_MAX) }
    }
}

impl Reputations {
    /// An own audit of a provider has ended.
    pub fn on_own_audit(&mut self, provider: &AgentPubKey, found: Found, now_us: u64) {
        let known = self.providers.touch(provider, Provider::default);
        let counted = match found {
            Found::Passed => &mut known.counts.passed,
            Found::Failed => &mut known.counts.failed,
            Found::Inconclusive => &mut known.counts.inconclusive,
        };
        *counted = counted.saturating_add(1);
        match found {
            Found::Passed => known.own.add(true, now_us),
            Found::Failed => known.own.add(false, now_us),
            Found::Inconclusive => {}
        }
    }

    /// This node deals with a provider, whether or not it audits it itself: what others say of it is to be read. Whether that is new. It takes nobody's
    /// place: more is known of those.
    pub fn on_met(&mut self, provider: &AgentPubKey) -> bool {
        let new = self.providers.get(provider).is_none();
        if !(new && self.providers.is_full()) {
            self.providers.touch(provider, Provider::default);
        }
        new
    }

    /// An audit has ended that somebody else ordered here. Who asks and who answers may have arranged it, so a pass earns nothing.
    pub fn on_ordered_audit(&mut self, provider: &AgentPubKey, found: Found, now_us: u64) {
        if found == Found::Failed {
            self.on_own_audit(provider, found, now_us);
        }
    }

    /// Somebody has published what it found, then. Returns whether that was new: each report counts once, and older ones after newer
    /// ones do not count.
    pub fn on_report(
        &mut self,
        provider: &AgentPubKey,
        by: &AgentPubKey,
        found: Found,
        linked_at: TimestampUs,
        now_us: u64,
    ) -> bool {
        // Nobody's word about itself counts.
        if provider == by {
            return false;
        }
        let others = &mut self.providers.touch(provider, Provider::default).others;
        let at = match others.iter().position(|word| word.by == *by) {
            Some(at) => at,
            None => {
                if others.len() >= REPORTERS_MAX {
                    others.remove(0);
                }
                others.push(Word { by: by.clone(), said: Beta::default(), upto: TimestampUs::MIN });
                others.len() - 1
            }
        };
        let Some(word) = others.get_mut(at).filter(|word| linked_at > word.upto) else { return false };
        word.upto = linked_at;
        match found {
            Found::Passed => word.said.add(true, now_us),
            Found::Failed => word.said.add(false, now_us),
            Found::Inconclusive => {}
        }
        true
    }

    /// An auditor's verdict was looked at here: by an own replay of the same answer, or by a jury.
    pub fn on_checked(&mut self, auditor: &AgentPubKey, confirmed: bool, now_us: u64) {
        self.auditors.touch(auditor, Beta::default).add(confirmed, now_us);
    }

    /// A jury has convicted a provider, or a second one has found otherwise.
    pub fn on_judged(&mut self, provider: &AgentPubKey, convicted: bool) {
        self.providers.touch(provider, Provider::default).convicted = convicted;
    }

    /// A provider has signed two receipts for one question. There is no way back.
    pub fn on_equivocated(&mut self, provider: &AgentPubKey) {
        self.providers.touch(provider, Provider::default).equivocated = true;
    }

    /// What is known of a provider now. `is_friend` says whose audits count before any of them was confirmed.
    pub fn of(&self, provider: &AgentPubKey, is_friend: impl Fn(&AgentPubKey) -> bool, now_us: u64) -> Reputation {
        let Some(known) = self.providers.get(provider) else { return Reputation::default() };
        let (mut ok, mut bad) = (0u64, 0u64);
        for Word { by, said, upto: _ } in &known.others {
            let mut experience = self.auditors.get(by).copied().unwrap_or_default().faded(now_us);
            if is_friend(by) {
                experience.ok_milli = experience.ok_milli.saturating_add(FRIEND);
            }
            let counts = said.faded(now_us).discounted(experience);
            (ok, bad) = (ok.saturating_add(counts.ok_milli), bad.saturating_add(counts.bad_milli));
        }
        let own = known.own.faded(now_us);
        Reputation {
            ok_milli: own.ok_milli.saturating_add(ok.min(OTHERS_OK_MILLI_MAX)),
            bad_milli: own.bad_milli.saturating_add(bad.min(OTHERS_BAD_MILLI_MAX)),
            convicted: known.convicted || known.equivocated,
        }
    }

    /// How own audits of a provider ended.
    pub fn counts(&self, provider: &AgentPubKey) -> Counts {
        self.providers.get(provider).map(|known| known.counts).unwrap_or_default()
    }

    /// Everybody who was audited here or spoken of, longest ago first.
    pub fn providers(&self) -> Vec<AgentPubKey> {
        self.providers.oldest_first().into_iter().map(|(agent, _)| agent.clone()).collect()
    }

    /// The chance that an auditor's next verdict is confirmed, in thousandths.
    pub fn auditor_permille(&self, auditor: &AgentPubKey, now_us: u64) -> u64 {
        self.auditors.get(auditor).copied().unwrap_or_default().faded(now_us).expected_permille()
    }
}

impl From<&Reputations> for Vec<ReputationRow> {
    fn from(all: &Reputations) -> Self {
        let row = |agent: &AgentPubKey| ReputationRow { agent: agent.clone(), provider: None, auditor: None };
        let providers = all.providers.oldest_first().into_iter();
        let auditors = all.auditors.oldest_first().into_iter();
        providers
            .map(|(agent, known)| ReputationRow { provider: Some(known.clone()), ..row(agent) })
            .chain(auditors.map(|(agent, beta)| ReputationRow { auditor: Some(*beta), ..row(agent) }))
            .collect()
    }
}

impl From<Vec<ReputationRow>> for Reputations {
    fn from(rows: Vec<ReputationRow>) -> Self {
        let mut all = Self::default();
        for ReputationRow { agent, provider, auditor } in rows {
            if let Some(mut known) = provider {
                known.others.truncate(REPORTERS_MAX);
                *all.providers.touch(&agent, Provider::default) = known;
            }
            if let Some(beta) = auditor {
                *all.auditors.touch(&agent, Beta::default) = beta;
            }
        }
        all
    }
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

    fn nobody(_: &AgentPubKey) -> bool {
        false
    }

    fn after(audits: &[(Found, u32)]) -> Reputations {
        let mut all = Reputations::default();
        for (found, times) in audits {
            (0..*times).for_each(|_| all.on_own_audit(&agent(1), *found, 0));
        }
        all
    }

    #[test]
    fn a_newcomer_is_always_audited_and_the_long_honest_seldom() {
        let rate = |audits: &[(Found, u32)]| after(audits).of(&agent(1), nobody, 0).rate_ppm();
        assert_eq!(Reputation::default().rate_ppm(), 1_000_000);
        assert!((230_000..250_000).contains(&rate(&[(Found::Passed, 10)])), "{}", rate(&[(Found::Passed, 10)]));
        assert!((85_000..95_000).contains(&rate(&[(Found::Passed, 30)])));
        assert_eq!(rate(&[(Found::Passed, 400)]), FLOOR_PPM);
        assert!(rate(&[(Found::Passed, 400), (Found::Failed, 1)]) > FLOOR_PPM);
        assert_eq!(rate(&[(Found::Inconclusive, 99)]), 1_000_000, "what cannot be checked earns nothing");
        let mut convicted = after(&[(Found::Passed, 400)]);
        convicted.on_judged(&agent(1), true);
        assert_eq!(convicted.of(&agent(1), nobody, 0).rate_ppm(), 1_000_000);
        convicted.on_judged(&agent(1), false);
        assert_eq!(convicted.of(&agent(1), nobody, 0).rate_ppm(), FLOOR_PPM, "a second jury gives back what was lost");
        convicted.on_equivocated(&agent(1));
        convicted.on_judged(&agent(1), false);
        assert_eq!(convicted.of(&agent(1), nobody, 0).rate_ppm(), 1_000_000, "no jury undoes a proof");
    }

    #[test]
    fn an_audit_that_others_have_arranged_earns_nobody_anything() {
        let mut arranged = Reputations::default();
        arranged.on_met(&agent(1));
        for found in [Found::Passed, Found::Inconclusive] {
            (0..100).for_each(|_| arranged.on_ordered_audit(&agent(1), found, 0));
        }
        assert_eq!(arranged.of(&agent(1), nobody, 0), Reputation::default());
        assert_eq!(arranged.counts(&agent(1)), Counts::default());
        assert_eq!(arranged.providers(), [agent(1)], "but what others say of it is read");
        arranged.on_ordered_audit(&agent(1), Found::Failed, 0);
        assert_eq!(arranged.of(&agent(1), nobody, 0).bad_milli, 1_000, "and nobody arranges a fail of its own");
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let all = after(&[(Found::Passed, 64), (Found::Failed, 8)]);
        let at = |half_lives: u64| {
            let found = all.of(&agent(1), nobody, HALF_LIFE_US * half_lives);
            (found.ok_milli, found.bad_milli)
        };
        assert_eq!((at(0), at(1), at(3)), ((64_000, 8_000), (32_000, 4_000), (8_000, 1_000)));
        assert_eq!(all.of(&agent(1), nobody, HALF_LIFE_US / 2).ok_milli, 48_000);
        assert_eq!(all.of(&agent(1), nobody, u64::MAX).rate_ppm(), 1_000_000, "a stranger again");
        assert_eq!(all.counts(&agent(1)), Counts { passed: 64, failed: 8, inconclusive: 0 });
    }

    #[test]
    fn strangers_count_for_nothing_and_confirmed_auditors_for_something() {
        let mut all = Reputations::default();
        for by in 100..900 {
            assert!(all.on_report(&agent(1), &agent(by), Found::Failed, 5, 0));
        }
        assert_eq!(all.of(&agent(1), nobody, 0), Reputation::default(), "eight hundred slanderers");
        assert!(all.of(&agent(1), |by| *by == agent(899), 0).bad_milli > 0, "but a friend is heard");
        let mut all = Reputations::default();
        (0..20).for_each(|_| all.on_checked(&agent(2), true, 0));
        (1..=9).for_each(|at| assert!(all.on_report(&agent(1), &agent(2), Found::Passed, at, 0)));
        let trusted = all.of(&agent(1), nobody, 0).ok_milli;
        assert!((4_000..9_000).contains(&trusted), "{trusted}");
        assert!(!all.on_report(&agent(1), &agent(2), Found::Passed, 9, 0), "a report counts once");
        assert!(!all.on_report(&agent(2), &agent(2), Found::Passed, 99, 0), "nobody praises himself");
        // An auditor who was wrong is believed less.
        (0..40).for_each(|_| all.on_checked(&agent(2), false, 0));
        assert!(all.of(&agent(1), nobody, 0).ok_milli < trusted / 2);
        assert!(all.auditor_permille(&agent(2), 0) < 400 && all.auditor_permille(&agent(9), 0) == 500);
    }

    #[test]
    fn tables_are_bounded_and_survive_storing() {
        let mut all = Reputations::default();
        for n in 0..=PEERS_MAX as u16 {
            all.on_own_audit(&agent(n), Found::Passed, u64::from(n));
            all.on_checked(&agent(n), true, u64::from(n));
        }
        (0..2 * REPORTERS_MAX as u16).for_each(|by| {
            let _ = all.on_report(&agent(7), &agent(5_000 + by), Found::Failed, 1, 1);
        });
        assert_eq!(all.counts(&agent(0)), Counts::default(), "the oldest made room");
        let rows: Vec<ReputationRow> = (&all).into();
        let stored = serde_json::to_string(&rows).unwrap();
        let read = Reputations::from(serde_json::from_str::<Vec<ReputationRow>>(&stored).unwrap());
        assert_eq!(read.providers(), all.providers());
        assert_eq!(read.of(&agent(9), nobody, 9), all.of(&agent(9), nobody, 9));
        assert_eq!(read.providers.get(&agent(7)).unwrap().others.len(), REPORTERS_MAX);
    }

    fn beta() -> impl Strategy<Value = Beta> {
        (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(ok_milli, bad_milli, at_us)| Beta {
            ok_milli,
            bad_milli,
            at_us,
        })
    }

    fn plausible() -> impl Strategy<Value = Beta> {
        (0u64..2_000_000, 0u64..2_000_000).prop_map(|(ok_milli, bad_milli)| Beta { ok_milli, bad_milli, at_us: 0 })
    }

    proptest! {
        #[test]
        fn no_numbers_overflow(a in beta(), b in beta(), now_us in any::<u64>(), convicted in any::<bool>()) {
            let counts = a.faded(now_us).discounted(b);
            prop_assert!(a.expected_permille() <= 1_000 && b.faded(now_us).expected_permille() <= 1_000);
            let of = Reputation { ok_milli: counts.ok_milli, bad_milli: a.bad_milli, convicted };
            prop_assert!((FLOOR_PPM..=1_000_000).contains(&of.rate_ppm()));
            prop_assert!(of.worse_permille() <= 1_000 * WARY_FACTOR);
        }

        /// Discounting: never more than was said, never more than the reporter is worth, more the more it was confirmed, nothing for a
        /// stranger's word.
        #[test]
        fn anothers_word_is_worth_what_the_other_is(said in plausible(), of in plausible(), more in 1u64..1_000_000) {
            let counts = said.discounted(of);
            prop_assert!(counts.ok_milli <= said.ok_milli && counts.bad_milli <= said.bad_milli);
            let most = 2 * of.ok_milli * AUDIT / (of.bad_milli + 2 * AUDIT) + 1;
            prop_assert!(counts.ok_milli + counts.bad_milli <= most);
            let better = said.discounted(Beta { ok_milli: of.ok_milli + more, ..of });
            prop_assert!(better.ok_milli >= counts.ok_milli && better.bad_milli >= counts.bad_milli);
            let worse = said.discounted(Beta { bad_milli: of.bad_milli + more, ..of });
            prop_assert!(worse.ok_milli <= counts.ok_milli && worse.bad_milli <= counts.bad_milli);
            let stranger = said.discounted(Beta { ok_milli: 0, ..of });
            prop_assert_eq!((stranger.ok_milli, stranger.bad_milli), (0, 0));
        }

        /// However many say whatever, and however well they are known: all together move a provider by no more than their cap.
        #[test]
        fn others_together_stay_below_their_cap(
            words in prop::collection::vec((0u16..50, 0u8..3, 0i64..1_000), 0..300),
            confirmed in prop::collection::vec((0u16..50, any::<bool>()), 0..100),
        ) {
            let mut all = Reputations::default();
            confirmed.iter().for_each(|(by, good)| all.on_checked(&agent(100 + by), *good, 0));
            for (by, found, at) in &words {
                let found = [Found::Passed, Found::Failed, Found::Inconclusive][usize::from(*found)];
                all.on_report(&agent(1), &agent(100 + by), found, *at, 0);
            }
            let of = all.of(&agent(1), |_| true, 0);
            prop_assert!(of.ok_milli <= OTHERS_OK_MILLI_MAX && of.bad_milli <= OTHERS_BAD_MILLI_MAX);
            // Others' praise alone never brings the rate to where own experience can.
            prop_assert!(of.rate_ppm() >= 230_000);
        }

        /// A pass never makes a provider look worse, a fail never better.
        #[test]
        fn passes_help_and_fails_harm(ok in 0u32..300, bad in 0u32..20) {
            let of = |ok, bad| after(&[(Found::Passed, ok), (Found::Failed, bad)]).of(&agent(1), nobody, 0);
            let (here, better, worse) = (of(ok, bad), of(ok + 1, bad), of(ok, bad + 1));
            prop_assert!(better.rate_ppm() <= here.rate_ppm() && worse.rate_ppm() >= here.rate_ppm());
            prop_assert!(better.worse_permille() <= here.worse_permille() && worse.worse_permille() > here.worse_permille());
        }
    }
}
