//! Who may ask and be asked in a network by invitation: members whom no founder has shut out.
//!
//! How an agent joined never changes, so it is looked up once; whom founders revoke is read again every few seconds. A
//! question of a known member costs a look into two maps, and in a public network nothing.

use crate::node::{lock, Node};
use crate::requester::{Reply, Requester};
use crate::revocations::State;
use crate::serving;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_types::{AgentPubKey, Ask, Bytes32, Membership, RefuseReason, RequestId, Revocation, Revoked};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

/// How often revocations are read, and wishes for new ones looked for.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Agents remembered at once.
const KNOWN_MAX: usize = 4_096;
/// How often the beginning of an agent's chain is looked for before the agent is refused.
const ATTEMPTS: u32 = 8;
/// Pause between two of these looks.
const PAUSE: Duration = Duration::from_millis(250);

/// What is known of the network's members.
#[derive(Debug)]
pub(crate) struct Members {
    by_invitation: bool,
    known: Mutex<HashMap<AgentPubKey, Joined>>,
    revoked: Mutex<HashSet<Revoked>>,
}

/// How an agent joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    /// With this invite, or as a founder.
    Member(Option<Bytes32>),
    /// Without a good one.
    Stranger,
}

/// Whether an agent may ask and be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Admitted,
    /// It may not.
    Refused,
    /// How it joined has not been looked up.
    Unknown,
}

impl Members {
    pub(crate) fn new(by_invitation: bool) -> Self {
        Self { by_invitation, known: Mutex::default(), revoked: Mutex::default() }
    }

    /// Whether only members may ask and be asked.
    pub(crate) fn by_invitation(&self) -> bool {
        self.by_invitation
    }

    /// What is known without asking anybody.
    pub(crate) fn verdict(&self, agent: &AgentPubKey) -> Verdict {
        if !self.by_invitation {
            return Verdict::Admitted;
        }
        let revoked = lock(&self.revoked);
        if revoked.contains(&Revoked::Agent(agent.clone())) {
            return Verdict::Refused;
        }
        match lock(&self.known).get(agent) {
            None => Verdict::Unknown,
            Some(Joined::Stranger) => Verdict::Refused,
            Some(Joined::Member(Some(invite))) if revoked.contains(&Revoked::Invite(*invite)) => Verdict::Refused,
            Some(Joined::Member(_)) => Verdict::Admitted,
        }
    }

    /// Whether an agent may ask: looks up how it joined, if that is not known. Whose chain does not arrive may not.
    pub(crate) async fn admits(&self, conductor: &Conductor, agent: &AgentPubKey) -> bool {
        for attempt in 0..ATTEMPTS {
            match self.verdict(agent) {
                Verdict::Admitted => return true,
                Verdict::Refused => return false,
                Verdict::Unknown if attempt > 0 => tokio::time::sleep(PAUSE).await,
                Verdict::Unknown => {}
            }
            self.look_up(conductor, agent).await;
        }
        self.verdict(agent) == Verdict::Admitted
    }

    /// Reads how an agent joined, if that can be read now.
    pub(crate) async fn look_up(&self, conductor: &Conductor, agent: &AgentPubKey) {
        match conductor.get_membership(agent.clone()).await {
            Ok(Membership::Member { invite }) => self.learn(agent, Joined::Member(invite)),
            Ok(Membership::Stranger { reason }) => {
                tracing::warn!(%agent, reason, "somebody is here who is no member of this network");
                self.learn(agent, Joined::Stranger);
            }
            Ok(Membership::Unknown) => {}
            Err(e) => tracing::debug!(error = %e, "how an agent joined could not be read"),
        }
    }

    /// The invite that an agent came with, as far as that is known.
    pub(crate) fn invite_of(&self, agent: &AgentPubKey) -> Option<Bytes32> {
        match lock(&self.known).get(agent) {
            Some(Joined::Member(invite)) => *invite,
            Some(Joined::Stranger) | None => None,
        }
    }

    /// Agents that are shut out by name.
    pub(crate) fn revoked_agents(&self) -> Vec<AgentPubKey> {
        let agent = |revoked: &Revoked| match revoked {
            Revoked::Agent(agent) => Some(agent.clone()),
            Revoked::Invite(_) => None,
        };
        lock(&self.revoked).iter().filter_map(agent).collect()
    }

    fn learn(&self, agent: &AgentPubKey, joined: Joined) {
        let mut known = lock(&self.known);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(agent.clone(), joined);
    }

    fn set_revoked(&self, revoked: HashSet<Revoked>) -> bool {
        let mut before = lock(&self.revoked);
        let changed = *before != revoked;
        *before = revoked;
        changed
    }
}

/// A peer asks. How it joined is looked up first if that is not known.
pub(crate) fn on_ask(node: &Node, conductor: Conductor, from: AgentPubKey, ask: Ask) {
    match node.inner.members.verdict(&from) {
        Verdict::Admitted => answer(node, conductor, from, ask),
        Verdict::Refused => refuse(node, conductor, from, ask.id),
        Verdict::Unknown => {
            let asked = node.clone();
            node.spawn_signal_work(async move {
                match asked.inner.members.admits(&conductor, &from).await {
                    true => answer(&asked, conductor, from, ask),
                    false => refuse(&asked, conductor, from, ask.id),
                }
            });
        }
    }
}

fn answer(node: &Node, conductor: Conductor, from: AgentPubKey, ask: Ask) {
    let reply = Reply::signals(conductor.clone(), from.clone());
    serving::on_ask(node, conductor, Requester::Agent(from), ask, reply);
}

fn refuse(node: &Node, conductor: Conductor, to: AgentPubKey, id: RequestId) {
    serving::refuse(node, Reply::signals(conductor, to), id, RefuseReason::NotAdmitted, String::new());
}

/// Keeps revocations known and carries out those that this node's person wishes, until the node stops.
pub(crate) async fn watch(node: Node, conductor: Conductor) {
    if !node.inner.members.by_invitation {
        return;
    }
    loop {
        publish_wishes(&node, &conductor).await;
        match conductor.get_revocations().await {
            Ok(records) => {
                let revoked = records.into_iter().map(|record| record.target).collect();
                if node.inner.members.set_revoked(revoked) {
                    let members = &node.inner.members;
                    node.inner.serving.cancel_all(|requester| members.verdict(requester) == Verdict::Refused);
                }
            }
            Err(e) => tracing::debug!(error = %e, "revocations could not be read"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn publish_wishes(node: &Node, conductor: &Conductor) {
    let wishes = match node.inner.revocations.list() {
        Ok(wishes) => wishes,
        Err(e) => return tracing::warn!(error = %e, hint = e.hint(), "wishes for revocations could not be read"),
    };
    for wish in wishes.into_iter().filter(|wish| wish.state == State::Waiting) {
        let state = match conductor.create_revocation(Revocation { target: wish.target.clone() }).await {
            Ok(action) => State::Published { action: action.to_string() },
            Err(ConductorError::CallRejected { problem, .. }) => State::Refused { problem },
            Err(e) => return tracing::warn!(error = %e, "a revocation could not be published; trying again"),
        };
        if let Err(e) = node.inner.revocations.set(&wish.target, &state) {
            tracing::error!(error = %e, hint = e.hint(), "a revocation could not be noted as published");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    /// Members by the invites that they came with, and whom founders shut out.
    pub(crate) fn members(joined: &[(u8, Option<Bytes32>)], revoked: impl Into<HashSet<Revoked>>) -> Members {
        let members = Members::new(true);
        for (n, invite) in joined {
            members.learn(&agent(*n), Joined::Member(*invite));
        }
        members.set_revoked(revoked.into());
        members
    }

    #[test]
    fn members_are_admitted_until_they_or_their_invite_are_revoked() {
        let (invite, other) = (Bytes32([1; 32]), Bytes32([2; 32]));
        let members = Members::new(true);
        assert_eq!(members.verdict(&agent(1)), Verdict::Unknown);
        members.learn(&agent(1), Joined::Member(Some(invite)));
        members.learn(&agent(2), Joined::Member(None));
        members.learn(&agent(3), Joined::Stranger);
        let verdicts = || [1, 2, 3].map(|n| members.verdict(&agent(n)));
        assert_eq!(verdicts(), [Verdict::Admitted, Verdict::Admitted, Verdict::Refused]);
        assert!(members.set_revoked([Revoked::Invite(other)].into()));
        assert_eq!(verdicts()[0], Verdict::Admitted);
        assert!(members.set_revoked([Revoked::Invite(invite), Revoked::Agent(agent(2))].into()));
        assert_eq!(verdicts(), [Verdict::Refused; 3]);
        assert!(!members.set_revoked([Revoked::Invite(invite), Revoked::Agent(agent(2))].into()));
        // Before its chain is known, too.
        members.set_revoked([Revoked::Agent(agent(9))].into());
        assert_eq!(members.verdict(&agent(9)), Verdict::Refused);
        assert_eq!(Members::new(false).verdict(&agent(3)), Verdict::Admitted);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let members = Members::new(true);
        for n in 0..=KNOWN_MAX {
            let raw = [&n.to_le_bytes()[..], &[0; 28]].concat();
            members.learn(&AgentPubKey::from_raw_36(raw), Joined::Stranger);
        }
        assert_eq!(lock(&members.known).len(), 1);
    }
}
