//! Somebody who is no member, and has all that a member could have given away: the provider's key and address, and the protocol.

use crate::Client;
use ainonymous_protocol::sign_ask;
use ainonymous_transport::{
    Address, Endpoint, EndpointOptions, Frame, KnownError, Link, LinkError, Open, Pool, Stream, TransportSecret, Way,
};
use ainonymous_types::{
    AgentPubKey, Ask, AuditOrder, AuditRefusal, AuditTerms, Bytes32, Bytes64, ChatInput, ChatMessage, ChatRole,
    DnaHash, EntryHash, LinkClaim, LinkProof, OpenGrant, OpenRefusal, RefuseReason, RequestId, Sampling, SignedReceipt,
};
use ainonymous_verify::audit::draw;
use ainonymous_verify::{commit, link};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use std::net::Ipv4Addr;

/// How a provider turned the stranger away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It wants to know who asks.
    MustBeKnown,
    /// It knows, and does not answer that agent.
    NotAdmitted,
    /// It has closed the link.
    LinkClosed,
    /// It did not turn it away.
    Answered,
}

/// A stranger with a key of its own.
#[derive(Debug)]
pub struct Stranger {
    pool: Pool,
    provider: Bytes32,
    addresses: Vec<Address>,
    network: DnaHash,
    key: SigningKey,
}

impl Stranger {
    /// One that wants to ask the provider behind this client.
    pub async fn of(provider: &Client, dna_hash: &str) -> Self {
        let quic = provider.get("/ainonymous/v1/status").await.1["quic"].clone();
        let key = quic["key"].as_str().expect("a key");
        let mut provider = Bytes32([0; 32]);
        hex::decode_to_slice(key, &mut provider.0).expect("a key");
        let announced = quic["announced"].as_array().expect("addresses");
        let addresses = announced.iter().filter_map(|a| a.as_str()?.parse().ok()).collect();
        let secret = TransportSecret::from_bytes(rand::random());
        let listen = (Ipv4Addr::UNSPECIFIED, 0).into();
        let endpoint = Endpoint::bind(&EndpointOptions { listen, secret }).expect("a socket");
        let network = DnaHash::try_from(dna_hash).expect("a DNA hash");
        let key = SigningKey::from_bytes(&rand::random());
        Self { pool: Pool::new(endpoint), provider, addresses, network, key }
    }

    /// Asks without a word about itself.
    pub async fn asks(&self) -> Turned {
        let link = self.link(false).await;
        let Ok(mut stream) = link.open().await else { return Turned::LinkClosed };
        let _ = stream.sender.send(&Frame::Ask(Box::new(question()))).await;
        turned(stream.receiver.recv().await)
    }

    /// Its own agent, which is no member.
    pub fn agent(&self) -> AgentPubKey {
        AgentPubKey::from_raw_32(self.key.verifying_key().to_bytes().to_vec())
    }

    /// Asks as it is done and waits for the answer: returns its receipt, the key that asked and the secret behind the challenge.
    pub async fn is_answered(&self, spec: EntryHash) -> (SignedReceipt, [u8; 32], Bytes32) {
        let (session, secret, mut ask) = (rand::random(), Bytes32(rand::random()), question());
        let terms = AuditTerms { challenge: draw::challenge(&secret), rate_ppm: 1_000_000, auditors_ppm: 1_000_000 };
        let commitment = commit::input(&ask.salt, &ask.input);
        (ask.spec, ask.audit) = (spec, terms);
        (ask.session_key, ask.signature) = sign_ask(&session, &ask.id, &ask.spec, &commitment, &ask.audit);
        let mut stream = self.link(false).await.open().await.expect("a stream");
        stream.sender.send(&Frame::Ask(Box::new(ask))).await.expect("it is sent");
        loop {
            match stream.receiver.recv().await {
                Ok(Some(Frame::Done { receipt, .. })) => return (*receipt, session, secret),
                Ok(Some(Frame::Accepted { .. } | Frame::Tokens { .. })) => {}
                other => panic!("no answer: {other:?}"),
            }
        }
    }

    /// Wants to see a fingerprint; none if it is shown, else why not.
    pub async fn opens(&self, receipt: SignedReceipt, grant: OpenGrant) -> Option<OpenRefusal> {
        let stream = self.link(false).await.open().await.expect("a stream");
        opens(stream, receipt, grant).await
    }

    /// The same, and shows its own agent before.
    pub async fn shows_itself_and_opens(&self, receipt: SignedReceipt, grant: OpenGrant) -> Option<OpenRefusal> {
        let link = self.link(true).await;
        let stream = link.open_known(|claim| async move { Some(self.sign(self.agent(), &claim)) }).await;
        opens(stream.expect("it is known"), receipt, grant).await
    }

    /// Shows an answer to whoever is at the other end, as to an auditor; none if it is taken, else why not.
    pub async fn orders(&self, order: AuditOrder) -> Option<AuditRefusal> {
        let mut stream = self.link(false).await.open().await.expect("a stream");
        stream.sender.send(&Frame::Audit(Box::new(order))).await.expect("it is sent");
        match stream.receiver.recv().await {
            Ok(Some(Frame::NotAudited(refusal))) => Some(refusal),
            Ok(Some(Frame::AuditTaken)) => None,
            other => panic!("neither taken nor refused: {other:?}"),
        }
    }

    /// Shows its own agent, signed as it must be, and asks.
    pub async fn shows_itself_and_asks(&self) -> Turned {
        let agent = self.agent();
        match self.link(true).await.open_known(|claim| async move { Some(self.sign(agent, &claim)) }).await {
            Ok(mut stream) => {
                let _ = stream.sender.send(&Frame::Ask(Box::new(question()))).await;
                turned(stream.receiver.recv().await)
            }
            Err(KnownError::Refused { reason, .. }) => refused(reason),
            Err(KnownError::Link(_) | KnownError::Unsigned) => Turned::LinkClosed,
        }
    }

    /// Shows another's agent, signed with its own key.
    pub async fn shows(&self, agent: &Value) -> Turned {
        let agent = AgentPubKey::try_from(agent.as_str().expect("an agent")).expect("an agent");
        let link = self.link(true).await;
        match link.open_known(|claim| async move { Some(self.sign(agent, &claim)) }).await {
            Ok(_) => Turned::Answered,
            Err(KnownError::Refused { reason, .. }) => refused(reason),
            Err(KnownError::Link(_) | KnownError::Unsigned) => Turned::LinkClosed,
        }
    }

    fn sign(&self, agent: AgentPubKey, claim: &LinkClaim) -> LinkProof {
        let bytes = link::canonical(&self.network, &agent, claim);
        LinkProof { agent, signature: Bytes64(self.key.sign(&bytes).to_bytes()) }
    }

    async fn link(&self, known: bool) -> Link {
        let way = Way { addresses: &self.addresses, known, ..Way::default() };
        let fresh = || TransportSecret::from_bytes(rand::random());
        self.pool.link_by(&self.provider, &way, fresh).await.expect("whoever knocks is let in")
    }
}

async fn opens(mut stream: Stream, receipt: SignedReceipt, grant: OpenGrant) -> Option<OpenRefusal> {
    let _ = stream.sender.send(&Frame::Open(Box::new(Open { receipt, grant }))).await;
    match stream.receiver.recv().await {
        Ok(Some(Frame::NotOpened(refusal))) => Some(refusal),
        Ok(Some(Frame::Opened { .. })) => None,
        other => panic!("neither shown nor refused: {other:?}"),
    }
}

fn question() -> Ask {
    let messages = vec![ChatMessage::new(ChatRole::User, "What is the capital of France?")];
    Ask {
        id: RequestId(rand::random()),
        spec: EntryHash::from_raw_36(vec![7; 36]),
        input: ChatInput { messages, sampling: Sampling::default(), max_tokens: 8, stop: vec![], more: None },
        salt: Bytes32(rand::random()),
        session_key: Bytes32([3; 32]),
        audit: AuditTerms::default(),
        signature: Bytes64([4; 64]),
    }
}

fn turned(word: Result<Option<Frame>, LinkError>) -> Turned {
    match word {
        Ok(Some(Frame::Refused { reason, .. })) => refused(reason),
        Ok(Some(_)) => Turned::Answered,
        Ok(None) | Err(_) => Turned::LinkClosed,
    }
}

fn refused(reason: RefuseReason) -> Turned {
    match reason {
        RefuseReason::MustBeKnown => Turned::MustBeKnown,
        RefuseReason::NotAdmitted => Turned::NotAdmitted,
        _ => Turned::Answered,
    }
}
