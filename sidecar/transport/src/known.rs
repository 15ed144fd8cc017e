//! Being known on a link: the asker shows its agent once for each connection, before the first question on it.
//!
//! What is signed contains what TLS exports for that connection (RFC 9266). A proof is therefore worth nothing elsewhere, and
//! through routers it is made end to end: they have no part in that TLS. Who may be known, and whether a signature is
//! good, is decided above.

use crate::error::LinkError;
use crate::frame::{Frame, REPLY_BYTES_MAX};
use crate::link::Link;
use crate::stream::{from_connection, Stream};
use ainonymous_types::{Bytes32, LinkClaim, LinkProof, RefuseReason};
use ainonymous_verify::link::VERSION;
use quinn::Connection;
use std::future::Future;
use std::time::Duration;

/// What is exported (RFC 9266).
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// Longest time until the provider has said whether it takes a proof: it may have to look up how the agent joined.
const PROOF_MAX: Duration = Duration::from_secs(10);

/// Why the other side does not know who asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// The link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// This side did not sign.
    #[error("who asks was not signed")]
    Unsigned,
    /// The other side does not answer this agent.
    #[error("the other side does not answer this agent: {detail}")]
    Refused {
        /// Why.
        reason: RefuseReason,
        /// In its words.
        detail: String,
    },
}

impl Link {
    /// Begins a question on which the other side knows who asks. `sign` is asked once for each connection of the link;
    /// nothing of a question is sent before the other side has taken the proof.
    pub async fn open_known<F>(&self, sign: impl FnOnce(LinkClaim) -> F) -> Result<Stream, KnownError>
    where
        F: Future<Output = Option<LinkProof>>,
    {
        let connection = self.connection();
        let mut known = self.known.lock().await;
        if !known.contains(&connection.stable_id()) {
            let claim = claim(&connection, self.shown, self.peer())?;
            let proof = sign(claim).await.ok_or(KnownError::Unsigned)?;
            let silent = || LinkError::Broken { reason: format!("no word on a proof in {} s", PROOF_MAX.as_secs()) };
            tokio::time::timeout(PROOF_MAX, prove(&connection, proof))
                .await
                .unwrap_or_else(|_| Err(silent().into()))?;
            known.push(connection.stable_id());
        }
        drop(known);
        Ok(stream(&connection).await?)
    }

    /// What whoever asks on this link signs to be known; `own` is the key that this side has proved.
    pub fn claim_of_asker(&self, own: Bytes32) -> Result<LinkClaim, LinkError> {
        claim(&self.connection(), self.peer(), own)
    }
}

async fn prove(connection: &Connection, proof: LinkProof) -> Result<(), KnownError> {
    let Stream { mut sender, mut receiver } = stream(connection).await?;
    sender.send(&Frame::Prove { version: VERSION, proof: Box::new(proof) }).await?;
    sender.finish();
    match receiver.recv().await? {
        Some(Frame::Known) => Ok(()),
        Some(Frame::Refused { reason, detail }) => Err(KnownError::Refused { reason, detail }),
        _ => Err(LinkError::Truncated.into()),
    }
}

async fn stream(connection: &Connection) -> Result<Stream, LinkError> {
    let stream = connection.open_bi().await.map_err(|e| from_connection(&e))?;
    Ok(Stream::new(stream, REPLY_BYTES_MAX))
}

fn claim(connection: &Connection, requester: Bytes32, provider: Bytes32) -> Result<LinkClaim, LinkError> {
    let mut binding = Bytes32([0; 32]);
    match connection.export_keying_material(&mut binding.0, LABEL, b"") {
        Ok(()) => Ok(LinkClaim { binding, requester, provider }),
        Err(_) => Err(LinkError::Broken { reason: "the handshake has not ended".into() }),
    }
}
