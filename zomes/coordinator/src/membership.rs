//! Who is in this network: how agents joined it, whom its founders have shut out, and being known on direct connections.

use crate::find::{anchor, links, me, refuse, valid_known};
use ainonymous_types::{AgentPubKey, Bytes64, LinkClaim, LinkProof, Membership, Revocation, RevocationRecord, Revoked};
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

/// Who may be shown to others. In a public network everybody, and nothing is fetched for it.
pub(crate) struct Gate {
    network: Network,
    revoked: HashSet<Revoked>,
}

impl Gate {
    pub(crate) fn open() -> ExternResult<Self> {
        let network = own_network()?;
        let revoked = revocations(&network)?.into_iter().map(|record| record.target).collect();
        Ok(Self { network, revoked })
    }

    /// Whether an agent joined with a good invite and was not shut out. Whose chain has not arrived is not let in yet.
    pub(crate) fn admits(&self, agent: &AgentPubKey) -> ExternResult<bool> {
        if self.network.is_open() {
            return Ok(true);
        }
        Ok(match membership(&self.network, agent)? {
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

/// The rule is asked once more, here: whether the action was validated already plays no part.
fn membership(network: &Network, agent: &AgentPubKey) -> ExternResult<Membership> {
    if network.is_open() || network.is_founder(agent) {
        return Ok(Membership::Member { invite: None });
    }
    let Some(record) = joining_record(agent)? else { return Ok(Membership::Unknown) };
    let action = record.action();
    let ActionData::AgentValidationPkg(joining) = &action.data else { return Ok(Membership::Unknown) };
    let proof = joining.membrane_proof.as_ref().map(|proof| proof.bytes().as_slice());
    Ok(match rules::membership(network, agent, Some(action.timestamp().as_micros()), proof) {
        Ok(invite) => Membership::Member { invite },
        Err(breach) => Membership::Stranger { reason: format!("{}: {breach}", breach.code()) },
    })
}

/// The action with which an agent joined: as it is known here, else as others know it.
fn joining_record(agent: &AgentPubKey) -> ExternResult<Option<Record>> {
    for options in [GetOptions::local(), GetOptions::network()] {
        let range = ChainQueryFilterRange::ActionSeqRange(MEMBERSHIP_SEQ, MEMBERSHIP_SEQ);
        let filter = ChainQueryFilter::new().sequence_range(range);
        let activity = get_agent_activity(agent.clone(), filter, ActivityRequest::Full, options.clone());
        // A network that cannot be asked says nothing.
        let Ok(activity) = activity else { continue };
        let actions = activity.valid_activity.iter().chain(&activity.rejected_activity);
        for (_, action) in actions.filter(|(seq, _)| *seq == MEMBERSHIP_SEQ) {
            let record = get(action.clone(), options.clone()).ok().flatten();
            if let Some(record) = record.filter(|record| record.action().author() == agent) {
                return Ok(Some(record));
            }
        }
    }
    Ok(None)
}
