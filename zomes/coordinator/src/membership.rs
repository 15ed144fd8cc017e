//! Who is in this network: how agents joined it, whom its founders have shut out, and being known on direct connections.

use crate::find::{anchor, links, me, refuse, valid_known};
use ainonymous_types::{
    limits, AgentPubKey, Bytes64, LinkClaim, LinkProof, Membership, Revocation, RevocationRecord, Revoked,
};
use ainonymous_verify::link;
use ainonymous_verify::network::Network;
use ainonymous_verify::rules::{self, Anchor};
use hdk::prelude::*;
use inference_integrity::{network, EntryTypes, LinkTypes};

/// Where an agent's membership stands on its chain: after the DNA.
const MEMBERSHIP_SEQ: u32 = 1;

/// How an agent joined, by its own chain. It says nothing of revocations.
#[hdk_extern]
pub fn get_membership(agent: AgentPubKey) -> ExternResult<Membership> {
    membership(&own_network()?, &agent)
}

/// This agent's word that it is the one who asks on a direct connection.
#[hdk_extern]
pub fn sign_link(claim: LinkClaim) -> ExternResult<LinkProof> {
    let (agent, network) = (me()?, dna_info()?.hash);
    let signature = sign_raw(agent.clone(), link::canonical(&network, &agent, &claim))?;
    Ok(LinkProof { agent, signature: Bytes64(signature.0) })
}

/// Everybody whom founders have shut out, oldest first.
#[hdk_extern]
pub fn get_revocations(_: ()) -> ExternResult<Vec<RevocationRecord>> {
    revocations(&own_network()?)
}

/// Shuts somebody out, if this agent is a founder.
#[hdk_extern]
pub fn create_revocation(revocation: Revocation) -> ExternResult<ActionHash> {
    rules::revocation(&own_network()?, &agent_info()?.agent_initial_pubkey, &revocation).map_err(refuse)?;
    let action = create_entry(EntryTypes::Revocation(revocation))?;
    create_link(anchor(Anchor::Revocations)?, action.clone(), LinkTypes::AllRevocations, ())?;
    Ok(action)
}

/// Who may be shown to others. In a public network that asks for nothing everybody, and nothing is fetched for it.
pub(crate) struct Gate {
    network: Network,
    revoked: HashSet<Revoked>,
    /// Agents that may still be asked for elsewhere.
    elsewhere: usize,
}

impl Gate {
    pub(crate) fn open() -> ExternResult<Self> {
        let network = own_network()?;
        let revoked = revocations(&network)?.into_iter().map(|record| record.target).collect();
        Ok(Self { network, revoked, elsewhere: limits::JOININGS_FETCHED_MAX })
    }

    /// Whether an agent joined with a good invite or the work that is asked for, and was not shut out. Whose chain has not arrived
    /// is not let in yet; nor, for now, who would have to be asked for elsewhere after too many others.
    pub(crate) fn admits(&mut self, agent: &AgentPubKey) -> ExternResult<bool> {
        if shows_nothing(&self.network, agent) {
            return Ok(!self.revoked.contains(&Revoked::Agent(agent.clone())));
        }
        let here = joined(&self.network, agent, GetOptions::local())?;
        let membership = match here {
            Membership::Unknown if self.elsewhere > 0 => {
                self.elsewhere -= 1;
                joined(&self.network, agent, GetOptions::network())?
            }
            here => here,
        };
        Ok(match membership {
            Membership::Member { invite } => {
                let by_invite = invite.is_some_and(|key| self.revoked.contains(&Revoked::Invite(key)));
                !by_invite && !self.revoked.contains(&Revoked::Agent(agent.clone()))
            }
            Membership::Stranger { .. } | Membership::Unknown => false,
        })
    }
}

fn own_network() -> ExternResult<Network> {
    network()?.map_err(refuse)
}

fn revocations(network: &Network) -> ExternResult<Vec<RevocationRecord>> {
    let mut found = Vec::new();
    if network.is_open() {
        return Ok(found);
    }
    for link in links(anchor(Anchor::Revocations)?, LinkTypes::AllRevocations)? {
        // Only what founders drew is fetched: what others draw is refused, but may be seen for a moment.
        let Some(action) = link.target.into_action_hash().filter(|_| network.is_founder(&link.author)) else {
            continue;
        };
        let Some(known) = valid_known(&action)? else { continue };
        if let Some((_, revocation)) = known.revocation() {
            let target = revocation.target.clone();
            found.push(RevocationRecord { action, author: known.author, target });
        }
    }
    Ok(found)
}

/// How an agent joined: as it is known here, else as others know it.
fn membership(network: &Network, agent: &AgentPubKey) -> ExternResult<Membership> {
    if shows_nothing(network, agent) {
        return Ok(Membership::Member { invite: None });
    }
    match joined(network, agent, GetOptions::local())? {
        Membership::Unknown => joined(network, agent, GetOptions::network()),
        known => Ok(known),
    }
}

/// Whether an agent is in the network whatever it has shown.
fn shows_nothing(network: &Network, agent: &AgentPubKey) -> bool {
    network.admits_all() || network.is_founder(agent)
}

/// The rule is asked once more, here: whether the action was validated already plays no part.
fn joined(network: &Network, agent: &AgentPubKey, options: GetOptions) -> ExternResult<Membership> {
    let Some(record) = joining_record(agent, options) else { return Ok(Membership::Unknown) };
    let action = record.action();
    let ActionData::AgentValidationPkg(joining) = &action.data else { return Ok(Membership::Unknown) };
    let proof = joining.membrane_proof.as_ref().map(|proof| proof.bytes().as_slice());
    Ok(match rules::membership(network, agent, Some(action.timestamp().as_micros()), proof) {
        Ok(invite) => Membership::Member { invite },
        Err(breach) => Membership::Stranger { reason: format!("{}: {breach}", breach.code()) },
    })
}

/// The action with which an agent joined. A network that cannot be asked says nothing.
fn joining_record(agent: &AgentPubKey, options: GetOptions) -> Option<Record> {
    let range = ChainQueryFilterRange::ActionSeqRange(MEMBERSHIP_SEQ, MEMBERSHIP_SEQ);
    let filter = ChainQueryFilter::new().sequence_range(range);
    let activity = get_agent_activity(agent.clone(), filter, ActivityRequest::Full, options.clone()).ok()?;
    let actions = activity.valid_activity.iter().chain(&activity.rejected_activity);
    let mut actions = actions.filter(|(seq, _)| *seq == MEMBERSHIP_SEQ);
    actions.find_map(|(_, action)| {
        let record = get(action.clone(), options.clone()).ok().flatten();
        record.filter(|record| record.action().author() == agent)
    })
}
