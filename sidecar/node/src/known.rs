//! Being known on links: who may be on those that arrive here, and showing this node's agent on its own.
//!
//! An agent is shown once for each connection, never with a question. What is signed and when a signature is good is in
//! `verify::link`; here it is decided whether that agent may ask, before anything of a question is read.

use crate::members::Verdict;
use crate::node::Node;
use crate::requester::Requester;
use ainonymous_transport::Link;
use ainonymous_types::{AgentPubKey, Bytes32, LinkClaim, LinkProof, RefuseReason};
use ainonymous_verify::link as judge;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

/// Proofs that are looked at on one link: each may cost a look into the network.
const PROOFS_MAX: u32 = 4;

/// Whoever is at the other end of a link that arrived here.
#[derive(Debug)]
pub(crate) struct Asker {
    link: Bytes32,
    agent: OnceLock<AgentPubKey>,
    /// Proofs so far; held while one is looked at.
    proofs: tokio::sync::Mutex<u32>,
}

/// What becomes of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The agent is known on this link from now on.
    Known,
    /// It may not ask, or not now.
    Refused(RefuseReason),
    /// No honest peer sends that.
    Forged,
}

impl Asker {
    pub(crate) fn of(link: &Link) -> Self {
        Self { link: link.peer(), agent: OnceLock::new(), proofs: tokio::sync::Mutex::default() }
    }

    /// Who asks, as far as it is known.
    pub(crate) fn requester(&self) -> Requester {
        match self.agent.get() {
            Some(agent) => Requester::Known { agent: agent.clone(), link: self.link },
            None => Requester::Link(self.link),
        }
    }

    /// Whether the agent is known.
    pub(crate) fn is_known(&self) -> bool {
        self.agent.get().is_some()
    }

    /// Why nothing is answered here, if that is so. Costs a look into two maps: it is asked with every question.
    pub(crate) fn barred(&self, node: &Node) -> Option<RefuseReason> {
        match self.agent.get() {
            None => node.must_know().then_some(RefuseReason::MustBeKnown),
            Some(agent) if node.inner.members.verdict(agent) == Verdict::Refused => Some(RefuseReason::NotAdmitted),
            Some(_) => None,
        }
    }

    /// The other end shows an agent.
    pub(crate) async fn shows(&self, node: &Node, link: &Link, proof: LinkProof) -> Outcome {
        let mut proofs = self.proofs.lock().await;
        *proofs = proofs.saturating_add(1);
        let (Some(conductor), Some(plane)) = (node.conductor(), &node.inner.plane) else {
            return Outcome::Refused(RefuseReason::Draining);
        };
        let good = |claim| judge::proves(&conductor.dna_hash(), &claim, &proof).is_ok();
        let is_good = *proofs <= PROOFS_MAX && link.claim_of_asker(plane.key()).is_ok_and(good);
        let LinkProof { agent, signature: _ } = proof;
        // One end of a link is one agent.
        if !is_good || self.agent.get().is_some_and(|known| *known != agent) {
            node.inner.counts.rejected_signals.fetch_add(1, Ordering::Relaxed);
            return Outcome::Forged;
        }
        if !node.inner.habits.peers.serves(&agent) {
            return Outcome::Refused(RefuseReason::NotAdmitted);
        }
        let members = &node.inner.members;
        if members.verdict(&agent) == Verdict::Unknown {
            let Ok(_permit) = Arc::clone(&node.inner.signal_work).try_acquire_owned() else {
                return Outcome::Refused(RefuseReason::Busy);
            };
            members.admits(&conductor, &agent).await;
        }
        if members.verdict(&agent) != Verdict::Admitted {
            return Outcome::Refused(RefuseReason::NotAdmitted);
        }
        // An error means that it is set already, to the same.
        let _ = self.agent.set(agent);
        Outcome::Known
    }
}

/// This node's word that it is the one who asks; none if it cannot sign now.
pub(crate) async fn sign(node: Node, claim: LinkClaim) -> Option<LinkProof> {
    match node.conductor()?.sign_link(claim).await {
        Ok(proof) => Some(proof),
        Err(e) => {
            tracing::warn!(error = %e, hint = e.hint(), "who asks could not be signed");
            None
        }
    }
}
