//! What an agent signs to be known on a direct connection, and whether such a proof is good.
//!
//! The signature is over what TLS exports for that one connection (RFC 9266), so it is worth nothing on any other: not
//! to whoever recorded it, and not to a provider who would pass it on to another as if it were the asker.

use crate::canonical::Encoder;
use crate::signature::{is_good, key_of};
use crate::Breach;
use ainonymous_types::{AgentPubKey, DnaHash, LinkClaim, LinkProof};

/// Version of the bytes below, as it stands beside a proof on the wire.
pub const VERSION: u8 = 1;

/// The bytes that an agent signs: that in this network it is the one who asks on this connection.
pub fn canonical(network: &DnaHash, agent: &AgentPubKey, claim: &LinkClaim) -> Vec<u8> {
    let LinkClaim { binding, requester, provider } = claim;
    let e = Encoder::bytes("ainonymous/link/v1").holo(network).holo(agent);
    e.bytes32(binding).bytes32(requester).bytes32(provider).finish()
}

/// Whether an agent has signed to be the one who asks on this connection. It says nothing of who may ask.
pub fn proves(network: &DnaHash, claim: &LinkClaim, proof: &LinkProof) -> Result<(), Breach> {
    let LinkProof { agent, signature } = proof;
    match is_good(&key_of(agent), &canonical(network, agent, claim), signature) {
        true => Ok(()),
        false => Err(Breach::Signature { what: "the proof of who asks" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{Bytes32, Bytes64};
    use ed25519_dalek::{Signer, SigningKey};

    fn network(n: u8) -> DnaHash {
        DnaHash::from_raw_36(vec![n; 36])
    }

    fn agent(secret: &SigningKey) -> AgentPubKey {
        AgentPubKey::from_raw_36([&secret.verifying_key().to_bytes()[..], &[0; 4]].concat())
    }

    fn claim() -> LinkClaim {
        LinkClaim { binding: Bytes32([1; 32]), requester: Bytes32([2; 32]), provider: Bytes32([3; 32]) }
    }

    fn signed(secret: &SigningKey, network: &DnaHash, claim: &LinkClaim) -> LinkProof {
        let agent = agent(secret);
        let signature = Bytes64(secret.sign(&canonical(network, &agent, claim)).to_bytes());
        LinkProof { agent, signature }
    }

    #[test]
    fn a_proof_is_good_on_its_own_connection_and_nowhere_else() {
        let (own, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let proof = signed(&own, &network(1), &claim());
        assert_eq!(proves(&network(1), &claim(), &proof), Ok(()));
        let breach = Err(Breach::Signature { what: "the proof of who asks" });
        let elsewhere = [
            LinkClaim { binding: Bytes32([9; 32]), ..claim() },
            LinkClaim { requester: Bytes32([9; 32]), ..claim() },
            LinkClaim { provider: Bytes32([9; 32]), ..claim() },
            LinkClaim { requester: claim().provider, provider: claim().requester, ..claim() },
        ];
        for claim in elsewhere {
            assert_eq!(proves(&network(1), &claim, &proof), breach, "{claim:?}");
        }
        assert_eq!(proves(&network(2), &claim(), &proof), breach, "another network");
        let claimed = LinkProof { agent: agent(&other), ..proof.clone() };
        assert_eq!(proves(&network(1), &claim(), &claimed), breach, "in another's name");
        let mut bent = proof;
        bent.signature.0[0] ^= 1;
        assert_eq!(proves(&network(1), &claim(), &bent), breach);
    }

    #[test]
    fn the_bytes_stay_as_they_are() {
        let agent = AgentPubKey::from_raw_36(vec![5; 36]);
        let bytes = canonical(&network(1), &agent, &claim());
        let (dna, key) = (network(1).get_raw_39().to_vec(), agent.get_raw_39().to_vec());
        let label = b"ainonymous/link/v1";
        let parts = [&[label.len() as u8, 0, 0, 0][..], label, &dna, &key, &[1; 32], &[2; 32], &[3; 32]];
        assert_eq!(bytes, parts.concat());
    }
}
