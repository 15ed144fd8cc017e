//! What the network says about an agent.

use ainonymous_types::{AgentPubKey, AgentStanding};
use hdk::prelude::*;

/// Length of an agent's chain and the warrants against it; as far as known here if nobody else can be asked.
#[hdk_extern]
pub fn get_agent_standing(agent: AgentPubKey) -> ExternResult<AgentStanding> {
    let ask = |options| get_agent_activity(agent.clone(), ChainQueryFilter::new(), ActivityRequest::Status, options);
    let activity = ask(GetOptions::network()).or_else(|_| ask(GetOptions::local()))?;
    let actions = activity.highest_observed.map_or(0, |top| top.action_seq.saturating_add(1));
    Ok(AgentStanding { actions, warrants: activity.warrants.iter().map(reason).collect() })
}

fn reason(warrant: &SignedWarrant) -> String {
    let WarrantProof::ChainIntegrity(proof) = &warrant.proof;
    match proof {
        ChainIntegrityWarrant::InvalidChainOp { reason, .. } => reason.clone(),
        ChainIntegrityWarrant::ChainFork { seq, .. } => format!("chain forked at action {seq}"),
    }
}
