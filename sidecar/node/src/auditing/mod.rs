//! Checking answers of others: computing them again with a model of one's own, and remembering what that says of who gave them.
//!
//! Own questions are checked wherever this node has the model ([`own`]): nobody else sees them, unless a person lets auditors whom the dice
//! draw see some ([`consent`]). With the auditor's role, which is off unless it is asked for, the node also asks questions of its own making
//! and publishes what it finds ([`canary`]), looks at what others show it ([`ordered`]), and sits in juries ([`jury`]); convicted, it may want another one ([`appeal`]). What is compared and what follows is `verify::audit`'s; whom that makes trustworthy is `protocol::reputation`'s. This module must not judge.

mod appeal;
mod canary;
mod consent;
mod desk;
mod findings;
mod jury;
mod ordered;
mod own;
mod promises;
mod reading;
mod replay;
mod reporting;
mod running;
mod showing;
mod tables;

pub(crate) use appeal::run as appeal;
pub(crate) use canary::run as play;
pub(crate) use consent::Consent;
pub(crate) use findings::findings;
pub use findings::{AccusationFound, AppealFound, ConvictionFound, Findings, Published, ReportFound};
pub(crate) use jury::run as sit;
pub(crate) use ordered::on_order;
pub use own::AuditRefused;
pub(crate) use own::{state, verify};
pub(crate) use reading::run as read;
pub use tables::calibration_for;
#[cfg(test)]
pub(crate) use tables::Table;

use crate::evidence::Asked;
use crate::node::{lock, Node};
use crate::serving::now_us;
use crate::store::Store;
use crate::{AuditMade, AuditStatus, Audits, Hiding, NodeError, ProviderAudits};
use ainonymous_protocol::canaries::Shapes;
use ainonymous_protocol::reputation::{Counts, Found, Reputation, Reputations};
use ainonymous_types::{AgentPubKey, Bytes32, ChatInput, Verdict};
use desk::Desk;
use promises::Promises;
use running::{Running, Runs};
use showing::Showing;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tables::Tables;
use tokio::sync::Semaphore;

/// Audits that wait for their turn; what comes beyond is not audited.
const WAITING_MAX: usize = 32;
/// Audits shown to people.
const MADE_MAX: usize = 32;
/// What own audits have found that is remembered by answer.
const FOUND_MAX: usize = 4_096;

/// A wait from half of what is said to half as much again, so that nodes do not all look at once.
fn jittered(every: Duration) -> Duration {
    every.mul_f64(rand::random_range(0.5..=1.5))
}

/// How a node audits.
#[derive(Clone, Debug, Default)]
pub struct AuditHabits {
    /// Answers to own questions are not computed again, though this node has the model.
    pub not_own: bool,
    /// The auditor's role: questions of its own making, and reports for everybody to see.
    pub role: bool,
    /// How often such a question is asked; none is the default.
    pub every: Option<Duration>,
    /// Files of calibrations (`cargo xtask calibrate`): without one for a pair of machines an audit sees only what no rounding explains.
    pub tables: Vec<PathBuf>,
}

/// What this node knows from audits.
#[derive(Debug)]
pub(crate) struct Auditing {
    habits: AuditHabits,
    tables: Tables,
    reputations: Mutex<Reputations>,
    made: Mutex<VecDeque<AuditMade>>,
    /// What own audits have found, by the leaves of receipts: for people, and to compare what others report.
    found: Mutex<HashMap<Bytes32, AuditMade>>,
    /// Answers that are being computed again.
    running: Runs,
    /// Answers that this node has shown to auditors, by the same.
    shown: Mutex<HashSet<Bytes32>>,
    showing: Showing,
    /// Answers of others that this node was shown.
    desk: Desk,
    /// What other auditors have promised of these.
    promises: Promises,
    shapes: Mutex<Shapes>,
    waiting: Arc<Semaphore>,
    /// Replays share the engine with questions: one at a time.
    turn: tokio::sync::Mutex<()>,
}

/// An answer of a peer to a question of this node's people is complete and kept, by whatever way it came: what follows for audits.
pub(crate) fn on_answered(node: &Node, asked: &Asked, consent: Consent) {
    let (auditing, Some(answered)) = (&node.inner.auditing, &asked.answer) else { return };
    // Canaries are asked in the open and show to everybody how they were drawn; what is read about a provider tells who has asked it.
    if asked.hide == Hiding::No {
        auditing.note_shape(&asked.input);
        auditing.meet(node, &answered.receipt.receipt.provider);
    }
    own::audit(node, asked.id);
    consent::show(node, asked, consent);
}

impl Auditing {
    /// With what earlier runs have found; fails if a table cannot be read.
    pub(crate) fn open(habits: AuditHabits, store: &Store) -> Result<Self, NodeError> {
        let tables = Tables::read(&habits.tables)?;
        Ok(Self {
            habits,
            tables,
            reputations: Mutex::new(Reputations::from(store.reputations().unwrap_or_default())),
            made: Mutex::default(),
            found: Mutex::default(),
            running: Runs::default(),
            shown: Mutex::default(),
            showing: Showing::default(),
            desk: Desk::default(),
            promises: Promises::default(),
            shapes: Mutex::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Whether this node has taken the auditor's role.
    pub(crate) fn has_role(&self) -> bool {
        self.habits.role
    }

    /// What is known of a provider now.
    pub(crate) fn reputation(&self, node: &Node, provider: &AgentPubKey) -> Reputation {
        let peers = &node.inner.habits.peers;
        let is_friend = |agent: &AgentPubKey| peers.friends.contains(agent) || peers.own.contains(agent);
        lock(&self.reputations).of(provider, is_friend, micros_now())
    }

    /// A question of this node's people was asked: canaries shall look like it.
    fn note_shape(&self, input: &ChatInput) {
        if self.habits.role {
            lock(&self.shapes).note(input);
        }
    }

    /// A peer has answered: what others say of it is read from now on, for most nodes cannot audit anything.
    fn meet(&self, node: &Node, provider: &AgentPubKey) {
        if lock(&self.reputations).on_met(provider) {
            self.save(&node.inner.store);
        }
    }

    /// Whether a provider is convicted: nobody asks it.
    pub(crate) fn is_convicted(&self, provider: &AgentPubKey) -> bool {
        lock(&self.reputations).of(provider, |_| false, 0).convicted
    }

    /// What a question to this provider says of its later audit: how often this node wants to look, or more often if it is told to. Canaries
    /// say the same, for the provider reads it.
    pub(crate) fn terms(&self, node: &Node, provider: &AgentPubKey) -> Audits {
        let told = node.inner.habits.audits_wished;
        let rate_ppm = self.reputation(node, provider).rate_ppm().max(told.rate_ppm);
        Audits { rate_ppm, ..told }
    }

    /// What an own audit has found of an answer.
    fn found(&self, leaf: &Bytes32) -> Option<AuditMade> {
        lock(&self.found).get(leaf).cloned()
    }

    fn is_running(&self, leaf: &Bytes32) -> bool {
        self.running.has(leaf)
    }

    /// An answer is being computed again until what this returns is dropped.
    fn begin(&self, leaf: &Bytes32) -> Running<'_> {
        self.running.begin(leaf)
    }

    /// An own audit has ended. The same answer counts once, however often somebody looks.
    fn record(&self, node: &Node, provider: &AgentPubKey, leaf: Bytes32, made: AuditMade) {
        let mut found = lock(&self.found);
        let before = found.get(&leaf).filter(|before| before.auditor.is_none()).map(|before| before.verdict);
        if before.is_some_and(|before| stands(before, made.verdict)) {
            return;
        }
        if found.len() >= FOUND_MAX {
            found.clear();
        }
        found.insert(leaf, made.clone());
        drop(found);
        if before == Some(made.verdict) {
            return;
        }
        let counted = match made.verdict {
            Verdict::Pass => Found::Passed,
            Verdict::Fail => Found::Failed,
            Verdict::Inconclusive => Found::Inconclusive,
        };
        lock(&self.reputations).on_own_audit(provider, counted, micros_now());
        self.note(node, provider, made);
    }

    /// An audit that somebody else has ordered here has ended.
    fn record_ordered(&self, node: &Node, provider: &AgentPubKey, made: AuditMade) {
        let found = match made.verdict {
            Verdict::Pass => Found::Passed,
            Verdict::Fail => Found::Failed,
            Verdict::Inconclusive => Found::Inconclusive,
        };
        lock(&self.reputations).on_ordered_audit(provider, found, micros_now());
        self.note(node, provider, made);
    }

    /// An auditor to whom this node has shown an answer has published what it found: what that is worth is decided where reports are read.
    /// Of two the worse is shown with the answer, and what this node has found itself before both.
    fn hear(&self, node: &Node, provider: &AgentPubKey, leaf: Bytes32, made: AuditMade) {
        let mut found = lock(&self.found);
        let stays = |known: &AuditMade| known.auditor.is_none() || known.verdict == Verdict::Fail;
        if !found.get(&leaf).is_some_and(stays) {
            if found.len() >= FOUND_MAX {
                found.clear();
            }
            found.insert(leaf, made.clone());
        }
        drop(found);
        lock(&self.reputations).on_met(provider);
        self.note(node, provider, made);
    }

    /// Notes an audit for people, and writes down what follows.
    fn note(&self, node: &Node, provider: &AgentPubKey, made: AuditMade) {
        if made.verdict == Verdict::Fail {
            tracing::warn!(%provider, model = made.model, why = ?made.why, "an answer of a provider is not what it promised");
        }
        let mut all = lock(&self.made);
        all.push_back(made);
        while all.len() > MADE_MAX {
            all.pop_front();
        }
        drop(all);
        self.save(&node.inner.store);
    }

    /// Whether this node has shown an answer to an auditor since its start.
    fn has_shown(&self, leaf: &Bytes32) -> bool {
        lock(&self.shown).contains(leaf)
    }

    /// This node shows an answer to an auditor.
    fn shows(&self, leaf: Bytes32) {
        let mut shown = lock(&self.shown);
        if shown.len() >= FOUND_MAX {
            shown.clear();
        }
        shown.insert(leaf);
    }

    fn save(&self, store: &Store) {
        let rows = Vec::from(&*lock(&self.reputations));
        if let Err(e) = store.put_reputations(&rows) {
            tracing::warn!(error = %e, hint = e.hint(), "what audits have found cannot be written down");
        }
    }

    /// What audits have found, for people.
    pub(crate) fn status(&self, node: &Node) -> AuditStatus {
        let providers = lock(&self.reputations).providers();
        let of = |provider: &AgentPubKey| {
            let counts = lock(&self.reputations).counts(provider);
            let reputation = self.reputation(node, provider);
            // Of whoever has only answered there is nothing to show.
            let is_known = counts != Counts::default() || reputation != Reputation::default();
            is_known.then(|| ProviderAudits {
                provider: provider.to_string(),
                passed: counts.passed,
                failed: counts.failed,
                inconclusive: counts.inconclusive,
                convicted: reputation.convicted,
                rate_percent: f64::from(reputation.rate_ppm()) / 10_000.0,
            })
        };
        AuditStatus {
            own: !self.habits.not_own,
            role: self.habits.role,
            show_auditors: node.inner.habits.audits_wished.show_auditors,
            tables: self.tables.names(),
            providers: providers.iter().filter_map(of).collect(),
            last: lock(&self.made).iter().cloned().collect(),
        }
    }
}

fn micros_now() -> u64 {
    u64::try_from(now_us()).unwrap_or(0)
}

/// Whether what was found before stands when another look at the same answer ends so. One at another stretch of a long answer may find nothing,
/// because its provider opens no more, or that this stretch is in order.
fn stands(before: Verdict, now: Verdict) -> bool {
    before == Verdict::Fail || (before == Verdict::Pass && now == Verdict::Inconclusive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_look_takes_nothing_back() {
        use Verdict::{Fail, Inconclusive, Pass};
        let all = [Pass, Fail, Inconclusive];
        assert_eq!(all.map(|now| stands(Pass, now)), [false, false, true], "a pass, but for a fail");
        assert_eq!(all.map(|now| stands(Fail, now)), [true, true, true], "a fail, whatever comes");
        assert_eq!(all.map(|now| stands(Inconclusive, now)), [false, false, false], "nothing, by anything");
    }
}
