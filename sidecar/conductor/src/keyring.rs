//! The keystore of a data folder without a conductor: makes agent keys, signs invites, and takes invites up.
//!
//! It may be opened while a node runs; secret keys of agents never leave it. It publishes nothing.

use crate::embedded::{KEYSTORE, STARTED};
use crate::lock::private_dir;
use crate::{keystore, ConductorError, Passphrase};
use ainonymous_types::{AgentPubKey, Bytes32, Bytes64, InviteTerms, MembershipProof, RequestId, TimestampUs};
use ainonymous_verify::invite::{self, Pass};
use ainonymous_verify::network::Network;
use ainonymous_verify::{rules, Breach};
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::Engine as _;
use ed25519_dalek::{Signer, SigningKey};
use holochain_keystore::MetaLairClient;
use holochain_serialized_bytes::{decode, encode};
use std::path::{Path, PathBuf};

/// An open keystore.
pub struct Keyring {
    client: MetaLairClient,
}

/// What a founder decides about an invite.
#[derive(Clone, Debug)]
pub struct InviteWish {
    /// Identity of the network.
    pub network: Bytes32,
    /// The founder, whose key the keystore has.
    pub founder: AgentPubKey,
    /// When it ends. Microseconds since the epoch.
    pub expires_at: TimestampUs,
    /// The only agent that may use it.
    pub agent: Option<AgentPubKey>,
}

impl Keyring {
    /// The folder of the keystore in a data folder.
    pub fn folder(data_dir: &Path) -> PathBuf {
        data_dir.join(KEYSTORE)
    }

    /// Opens the keystore of a data folder; makes one only if nothing there belongs to an older one.
    pub async fn open(data_dir: &Path, passphrase: &Passphrase) -> Result<Self, ConductorError> {
        let folder = Self::folder(data_dir);
        let is_new = !folder.exists() && !data_dir.join(STARTED).exists();
        private_dir(data_dir)?;
        private_dir(&folder)?;
        Ok(Self { client: keystore::open(&folder, data_dir, passphrase, is_new).await? })
    }

    /// A new agent key.
    pub async fn new_agent(&self) -> Result<AgentPubKey, ConductorError> {
        self.client.new_sign_keypair_random().await.map_err(failed)
    }

    /// Whether the keystore has the key of an agent.
    pub async fn has(&self, agent: &AgentPubKey) -> Result<bool, ConductorError> {
        Ok(self.client.list_public_keys().await.map_err(failed)?.contains(agent))
    }

    /// An invite with a key of its own, signed by the founder.
    pub async fn invite(&self, wish: InviteWish) -> Result<Pass, ConductorError> {
        let InviteWish { network, founder, expires_at, agent } = wish;
        let secret = Bytes32(rand::random());
        let key = Bytes32(SigningKey::from_bytes(&secret.0).verifying_key().to_bytes());
        let terms = InviteTerms { network, founder: founder.clone(), key, expires_at, agent };
        let signature = self.client.sign(founder, invite::terms(&terms).into()).await.map_err(failed)?;
        Ok(Pass { terms, founder_signature: Bytes64(signature.0), secret })
    }
}

/// A seed that no other network has.
pub fn new_seed() -> String {
    RequestId(rand::random()).to_hex()
}

/// What an agent shows that takes up an invite now; or which rule everybody else would refuse it by.
pub fn accept(
    network: &Network,
    pass: &Pass,
    agent: &AgentPubKey,
    now: TimestampUs,
) -> Result<MembershipProof, Breach> {
    let Pass { terms, founder_signature, secret } = pass;
    let joiner = SigningKey::from_bytes(&secret.0).sign(&invite::joining(terms, agent));
    let proof = MembershipProof {
        terms: terms.clone(),
        founder_signature: *founder_signature,
        joiner_signature: Bytes64(joiner.to_bytes()),
    };
    let bytes = encode(&proof).map_err(|_| Breach::Undecodable { what: "the membership proof" })?;
    rules::membership(network, agent, Some(now), Some(&bytes))?;
    Ok(proof)
}

/// A proof as text, for files.
pub fn proof_to_text(proof: &MembershipProof) -> String {
    // Its fields are all of fixed length: there is nothing that could fail to encode.
    STANDARD_NO_PAD.encode(encode(proof).unwrap_or_default())
}

/// A proof from such a text.
pub fn proof_from_text(text: &str) -> Option<MembershipProof> {
    decode(&STANDARD_NO_PAD.decode(text).ok()?).ok()
}

fn failed(problem: impl std::fmt::Display) -> ConductorError {
    ConductorError::KeystoreFailed { problem: problem.to_string() }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{NetworkKind, NetworkProperties, NETWORK_VERSION};

    const NOW: i64 = 1_760_000_000_000_000;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_invite_admits_whoever_takes_it_up_and_nobody_who_copies_the_proof() {
        let dir = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::cheap("p");
        let keyring = Keyring::open(dir.path(), &passphrase).await.unwrap();
        let founder = keyring.new_agent().await.unwrap();
        // Opened twice, as beside a running node.
        let beside = Keyring::open(dir.path(), &passphrase).await.unwrap();
        assert!(beside.has(&founder).await.unwrap());
        let (joiner, other) = (beside.new_agent().await.unwrap(), beside.new_agent().await.unwrap());
        let properties = NetworkProperties {
            version: NETWORK_VERSION,
            name: "n".into(),
            kind: NetworkKind::Private,
            founders: vec![founder.clone()],
            work_bits: 0,
        };
        let network = Network::new(properties, "seed").unwrap();
        let wish = |agent| InviteWish { network: network.id, founder: founder.clone(), expires_at: NOW, agent };
        let pass = keyring.invite(wish(None)).await.unwrap();
        let proof = accept(&network, &pass, &joiner, NOW - 1).unwrap();
        assert_eq!(proof_from_text(&proof_to_text(&proof)), Some(proof.clone()));
        let copied = rules::membership(&network, &other, None, Some(&encode(&proof).unwrap()));
        assert_eq!(copied, Err(Breach::Signature { what: "the membership proof" }));
        assert_eq!(accept(&network, &pass, &joiner, NOW), Err(Breach::InviteExpired));
        let bound = keyring.invite(wish(Some(joiner.clone()))).await.unwrap();
        assert!(accept(&network, &bound, &joiner, 0).is_ok());
        assert_eq!(accept(&network, &bound, &other, 0), Err(Breach::InvitedOther));
        let wrong = Keyring::open(dir.path(), &Passphrase::cheap("q")).await.unwrap_err();
        assert_eq!(wrong.code(), "wrong_passphrase");
    }
}
