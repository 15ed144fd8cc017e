//! What the network says about an agent.

use ainonymous_types::{AgentPubKey, AgentStanding};
use hdk::prelude::*;

/// Length of an agent's chain and the warrants against it: what others say, if anybody can be asked, and what is known
/// here. Others may not have heard of a warrant yet, or may be the warranted themselves.
#[hdk_extern]
pub fn get_agent_standing(agent: AgentPubKey) -> ExternResult<AgentStanding> {
    let ask = |options| get_agent_activity(agent.clone(), ChainQueryFilter::new(), ActivityRequest::Status, options);
    let mut standing = AgentStanding { actions: 0, warrants: Vec::new() };
    for activity in [Some(ask(GetOptions::local())?), ask(GetOptions::network()).ok()].into_iter().flatten() {
        let actions = activity.highest_observed.map_or(0, |top| top.action_seq.saturating_add(1));
        standing.actions = standing.actions.max(actions);
        standing.warrants.extend(activity.warrants.iter().map(reason));
    }
    standing.warrants.sort();
    standing.warrants.dedup();
    Ok(standing)
}

fn reason(warrant: &SignedWarrant) -> String {
    let WarrantProof::ChainIntegrity(proof) = &warrant.proof;
    match proof {
        ChainIntegrityWarrant::InvalidChainOp { reason, .. } => reason.clone(),
        ChainIntegrityWarrant::ChainFork { seq, .. } => format!("chain forked at action {seq}"),
    }
}
