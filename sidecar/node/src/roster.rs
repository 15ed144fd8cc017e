//! Who is in the network, as people see it: who is online, how each joined, whom founders shut out.
//!
//! It shows what the conductor knows already and looks up how a few unknown ones joined; nobody is asked anything. It must not
//! know who may revoke: founders and validation do.

use crate::members::{Members, Verdict};
use crate::node::Node;
use ainonymous_types::AgentPubKey;
use futures::future::join_all;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Most entries of a roster.
pub(crate) const ROSTER_MAX: usize = 512;
/// Agents whose joining is looked up for one roster; the next one has more.
const LOOK_UPS_MAX: usize = 16;
/// Longest time for that.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(2);

/// Who is in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Roster {
    /// Only who was invited is in it.
    pub by_invitation: bool,
    /// In the order of their keys; this node is among them.
    pub members: Vec<RosterEntry>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RosterEntry {
    /// Its agent key, as `uhCAk…`.
    pub agent: String,
    /// It is this node.
    pub is_self: bool,
    /// It was online a few seconds ago.
    pub is_online: bool,
    /// What it may do.
    pub standing: Standing,
    /// Key of the invite that it came with, in hexadecimal; none for founders, in public networks, and while unknown.
    pub invite: Option<String>,
}

/// What an agent may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It asks and answers.
    Member,
    /// It does not: it was shut out, or came without a good invite.
    Refused,
    /// How it joined was not read yet.
    Unknown,
}

impl Node {
    /// Who is in the network. Of a network by invitation also who was shut out.
    pub async fn roster(&self) -> Roster {
        let members = &self.inner.members;
        let by_invitation = members.by_invitation();
        let Some(conductor) = self.conductor() else { return Roster { by_invitation, members: vec![] } };
        let (own, online) = (conductor.agent(), conductor.online());
        if by_invitation {
            let unknown = online.iter().chain([&own]).filter(|agent| members.verdict(agent) == Verdict::Unknown);
            let look_ups = unknown.take(LOOK_UPS_MAX).map(|agent| members.look_up(&conductor, agent));
            let _ = tokio::time::timeout(LOOK_UP_TIME_MAX, join_all(look_ups)).await;
        }
        Roster { by_invitation, members: entries(members, &own, online) }
    }
}

fn entries(members: &Members, own: &AgentPubKey, online: Vec<AgentPubKey>) -> Vec<RosterEntry> {
    let online: HashSet<AgentPubKey> = online.into_iter().collect();
    let known = online.iter().cloned().chain([own.clone()]).chain(members.revoked_agents());
    let entry = |agent: AgentPubKey| RosterEntry {
        is_self: agent == *own,
        is_online: agent == *own || online.contains(&agent),
        standing: match members.verdict(&agent) {
            Verdict::Admitted => Standing::Member,
            Verdict::Refused => Standing::Refused,
            Verdict::Unknown => Standing::Unknown,
        },
        invite: members.invite_of(&agent).map(|invite| invite.to_hex()),
        agent: agent.to_string(),
    };
    // By key, so that nobody stands there twice and the order stays.
    let sorted: BTreeMap<String, RosterEntry> = known.map(entry).map(|entry| (entry.agent.clone(), entry)).collect();
    sorted.into_values().take(ROSTER_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::tests::{agent, members};
    use ainonymous_types::{Bytes32, Revoked};

    #[test]
    fn everybody_stands_there_once_with_what_is_known() {
        let invite = Bytes32([1; 32]);
        let known = members(&[(1, Some(invite)), (2, None), (3, Some(invite))], [Revoked::Agent(agent(3))]);
        let roster = entries(&known, &agent(2), vec![agent(1), agent(4), agent(1)]);
        let of = |n: u8| roster.iter().find(|entry| entry.agent == agent(n).to_string()).unwrap();
        assert_eq!(roster.len(), 4);
        assert_eq!((of(1).standing, of(1).is_online, of(1).is_self), (Standing::Member, true, false));
        assert_eq!(of(1).invite, Some(invite.to_hex()));
        assert_eq!((of(2).standing, of(2).is_online, of(2).is_self), (Standing::Member, true, true));
        assert_eq!((of(3).standing, of(3).is_online), (Standing::Refused, false), "who was shut out stays listed");
        assert_eq!((of(4).standing, of(4).invite.clone()), (Standing::Unknown, None));
    }

    #[test]
    fn it_is_bounded() {
        let many = (0..=ROSTER_MAX).map(|n| AgentPubKey::from_raw_36([&n.to_le_bytes()[..], &[0; 28]].concat()));
        assert_eq!(entries(&Members::new(false), &agent(1), many.collect()).len(), ROSTER_MAX);
    }
}
