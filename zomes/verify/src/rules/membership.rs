//! The rules for joining a network and for being shut out of it. Founders decide; everybody checks.

use super::bounds::bytes_at_most;
use crate::network::Network;
use crate::{invite, signature, Breach};
use ainonymous_types::{
    limits, AgentPubKey, Bytes32, InviteTerms, MembershipProof, Revocation, Revoked, TimestampUs, WorkProof,
};
use holochain_serialized_bytes::prelude::{decode, encode, Deserialize, Serialize};

/// Who may join: everybody in a public network, once the work is done that it may ask for; elsewhere founders and whoever
/// shows an invite. Gives the key of the invite that was shown.
///
/// `joined_at` is the time of the joining action itself; before there is one, none. Whoever joins writes that time: an
/// expiry stops those whose clock is honest, a revocation the others.
pub fn membership(
    network: &Network,
    agent: &AgentPubKey,
    joined_at: Option<TimestampUs>,
    proof: Option<&[u8]>,
) -> Result<Option<Bytes32>, Breach> {
    if network.is_open() {
        return work(network, agent, proof).map(|()| None);
    }
    if network.is_founder(agent) {
        return Ok(None);
    }
    let proof: MembershipProof = shown("the membership proof", proof.ok_or(Breach::NotInvited)?)?;
    let MembershipProof { terms, founder_signature, joiner_signature } = &proof;
    let InviteTerms { network: invited_to, founder, key, expires_at, agent: only } = terms;
    if *invited_to != network.id {
        return Err(Breach::OtherNetwork);
    }
    if !network.is_founder(founder) {
        return Err(Breach::NotFounder { what: "the invite" });
    }
    if !signature::is_good(&signature::key_of(founder), &invite::terms(terms), founder_signature) {
        return Err(Breach::Signature { what: "the invite" });
    }
    if only.as_ref().is_some_and(|only| only != agent) {
        return Err(Breach::InvitedOther);
    }
    if !signature::is_good(key, &invite::joining(terms, agent), joiner_signature) {
        return Err(Breach::Signature { what: "the membership proof" });
    }
    if joined_at.is_some_and(|joined_at| joined_at >= *expires_at) {
        return Err(Breach::InviteExpired);
    }
    Ok(Some(*key))
}

/// A revocation: by a founder, of somebody who is none.
pub fn revocation(network: &Network, author: &AgentPubKey, revocation: &Revocation) -> Result<(), Breach> {
    if network.is_open() {
        return Err(Breach::Unsupported { what: "revocations in a public network" });
    }
    if !network.is_founder(author) {
        return Err(Breach::NotFounder { what: "the revocation" });
    }
    match &revocation.target {
        Revoked::Agent(agent) if network.is_founder(agent) => Err(Breach::FounderRevoked),
        Revoked::Agent(_) | Revoked::Invite(_) => Ok(()),
    }
}

/// Whether the work is done that a public network asks for. Where it asks for none, what is shown does not matter.
fn work(network: &Network, agent: &AgentPubKey, proof: Option<&[u8]>) -> Result<(), Breach> {
    let Some(work) = network.work(agent) else { return Ok(()) };
    let bits = work.bits();
    let proof: WorkProof = shown("the proof of work", proof.ok_or(Breach::WorkMissing { bits })?)?;
    work.is_done(&proof).then_some(()).ok_or(Breach::WorkTooLittle { bits })
}

/// A proof as it was shown: within its bound, and in the only encoding that it has.
fn shown<'a, P>(what: &'static str, bytes: &'a [u8]) -> Result<P, Breach>
where
    P: Serialize + Deserialize<'a> + std::fmt::Debug,
{
    bytes_at_most(what, bytes.len(), limits::MEMBERSHIP_PROOF_BYTES_MAX)?;
    let proof: P = decode(bytes).map_err(|_| Breach::Undecodable { what })?;
    let again = encode(&proof).map_err(|_| Breach::Undecodable { what })?;
    (again == bytes).then_some(proof).ok_or(Breach::NotCanonical { what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network;
    use ainonymous_types::NetworkProperties;
    use proptest::prelude::*;

    const BITS: u8 = 6;

    fn dear() -> Network {
        Network::new(NetworkProperties { work_bits: BITS, ..network::public("n") }, "seed").unwrap()
    }

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    proptest! {
        #[test]
        fn nothing_but_good_work_admits(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(membership(&dear(), &agent(1), None, Some(&bytes)).is_err());
            prop_assert!(membership(&dear(), &agent(1), Some(0), None).is_err());
        }

        #[test]
        fn work_admits_whoever_has_done_it_whenever_it_joins(who: u8, joined_at: Option<i64>, nonce: u64) {
            let proof = WorkProof { nonce };
            let shown = |network: &Network| membership(network, &agent(who), joined_at, Some(&encode(&proof).unwrap()));
            let is_done = dear().work(&agent(who)).unwrap().is_done(&proof);
            let expected = if is_done { Ok(None) } else { Err(Breach::WorkTooLittle { bits: BITS }) };
            prop_assert_eq!(shown(&dear()), expected);
            let open = Network::new(network::public("n"), "seed").unwrap();
            prop_assert_eq!(shown(&open), Ok(None), "where no work is asked for, nothing is judged");
        }
    }
}
