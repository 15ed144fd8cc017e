//! Somebody who is no member, and has all that a member could have given away: the provider's key and address, and the protocol.

use crate::Client;
use ainonymous_protocol::{sign_ask, sign_grant};
use ainonymous_transport::{
    Address, Endpoint, EndpointOptions, Frame, KnownError, Link, LinkError, Open, Pool, Stream, TransportSecret, Way,
};
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, Ask, AuditOrder, AuditRefusal, AuditShown, AuditTerms, BatchProof, Bytes32,
    Bytes64, ChatInput, ChatMessage, ChatRole, DnaHash, EntryHash, LinkClaim, LinkProof, OpenGrant, OpenRefusal,
    RefuseReason, RequestId, Sampling, SignedReceipt,
};
use ainonymous_verify::audit::draw;
use ainonymous_verify::{commit, link};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use std::net::Ipv4Addr;

/// Every answer, by every auditor.
const AUDITED_ALWAYS: AuditTerms =
    AuditTerms { challenge: Bytes32([0; 32]), rate_ppm: 1_000_000, auditors_ppm: 1_000_000 };

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

/// An answer to a stranger, and all that only whoever asked knows.
#[derive(Clone, Debug)]
pub struct Told {
    /// The question.
    pub input: ChatInput,
    /// Of the commitments.
    pub salt: Bytes32,
    /// The answer.
    pub tokens: Vec<u32>,
    /// The same as text.
    pub text: String,
    /// What the provider has signed.
    pub receipt: SignedReceipt,
    /// Where that stands.
    pub proof: BatchProof,
    /// The key that asked.
    pub session: [u8; 32],
    /// Behind the challenge.
    pub secret: Bytes32,
}

impl Told {
    /// Lets somebody see the fingerprint.
    pub fn grant(&self, auditor: Option<AgentPubKey>) -> OpenGrant {
        sign_grant(&self.session, self.secret, &self.receipt, auditor, i64::MAX)
    }

    /// What an auditor is sent.
    pub fn order(&self) -> AuditOrder {
        AuditOrder { receipt: self.receipt.clone(), proof: self.proof.clone(), secret: self.secret }
    }

    /// What it is shown.
    pub fn shown_to(&self, auditor: &AgentPubKey) -> AuditShown {
        let Self { input, salt, tokens, text, .. } = self.clone();
        AuditShown { input, salt, tokens, text, more: None, grant: self.grant(Some(auditor.clone())) }
    }
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
        let quic = provider.status().await["quic"].clone();
        let key = quic["key"].as_str().expect("a key");
        let mut provider = Bytes32([0; 32]);
        hex::decode_to_slice(key, &mut provider.0).expect("a key");
        let announced = quic["announced"].as_array().expect("addresses");
        let addresses = announced.iter().filter_map(|a| a.as_str()?.parse().ok()).collect();
        Self::at((provider, addresses), dna_hash)
    }

    /// One that wants to ask whoever has this key and these addresses.
    pub fn at((provider, addresses): (Bytes32, Vec<Address>), dna_hash: &str) -> Self {
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

    /// Asks as it is done, waits for the answer and for its receipt's place.
    pub async fn is_answered(&self, spec: EntryHash) -> Told {
        let secret = Bytes32(rand::random());
        self.is_answered_by(spec, secret, AUDITED_ALWAYS).await
    }

    /// The same with a secret of its choice, and these chances of an audit.
    pub async fn is_answered_by(&self, spec: EntryHash, secret: Bytes32, chances: AuditTerms) -> Told {
        let mut ask = question();
        (ask.spec, ask.audit) = (spec, chances);
        self.signs_and_asks(rand::random(), secret, ask).await.expect("an answer")
    }

    /// Asks the same once more under another id: with the same key, the same salt and the same challenge.
    pub async fn asks_again(&self, told: &Told) -> Result<Told, RefuseReason> {
        let mut ask = question();
        ask.audit = AUDITED_ALWAYS;
        (ask.spec, ask.salt, ask.input) = (told.receipt.receipt.spec.clone(), told.salt, told.input.clone());
        self.signs_and_asks(told.session, told.secret, ask).await
    }

    /// What is signed for an answer with this secret and these chances of an audit, wherever that is published.
    pub async fn is_signed_for(&self, spec: EntryHash, secret: Bytes32, chances: AuditTerms) -> SignedReceipt {
        let mut ask = question();
        (ask.spec, ask.audit) = (spec, chances);
        let link = self.link(false).await;
        self.answer(&link, rand::random(), secret, ask).await.1.expect("an answer").2
    }

    /// What is signed for one question that is asked twice, by whoever answers it twice.
    pub async fn is_signed_twice(&self, spec: EntryHash) -> [SignedReceipt; 2] {
        let (session, secret, mut ask) = (rand::random(), Bytes32(rand::random()), question());
        (ask.spec, ask.audit) = (spec, AUDITED_ALWAYS);
        let again = Ask { id: RequestId(rand::random()), ..ask.clone() };
        let link = self.link(false).await;
        let first = self.answer(&link, session, secret, ask).await.1.expect("an answer").2;
        [first, self.answer(&link, session, secret, again).await.1.expect("an answer").2]
    }

    async fn signs_and_asks(&self, session: [u8; 32], secret: Bytes32, ask: Ask) -> Result<Told, RefuseReason> {
        let link = self.link(false).await;
        let (ask, said) = self.answer(&link, session, secret, ask).await;
        let (tokens, text, receipt) = said?;
        let mut stream = link.open().await.expect("a stream");
        let whereto = Frame::Resend { id: ask.id, from_chunk: limits::ANSWER_CHUNKS_MAX };
        stream.sender.send(&whereto).await.expect("it is sent");
        let proof = match stream.receiver.recv().await {
            Ok(Some(Frame::Published { proof })) => proof,
            other => panic!("no place: {other:?}"),
        };
        Ok(Told { input: ask.input, salt: ask.salt, tokens, text, receipt, proof, session, secret })
    }

    /// What is sent, and what is said to it: tokens, text and receipt.
    async fn answer(
        &self,
        link: &Link,
        session: [u8; 32],
        secret: Bytes32,
        mut ask: Ask,
    ) -> (Ask, Result<(Vec<u32>, String, SignedReceipt), RefuseReason>) {
        let commitment = commit::input(&ask.salt, &ask.input);
        ask.audit.challenge = draw::challenge(&secret);
        (ask.session_key, ask.signature) = sign_ask(&session, &ask.id, &ask.spec, &commitment, &ask.audit);
        let mut stream = link.open().await.expect("a stream");
        stream.sender.send(&Frame::Ask(Box::new(ask.clone()))).await.expect("it is sent");
        let (mut tokens, mut text) = (Vec::new(), String::new());
        let receipt = loop {
            match stream.receiver.recv().await {
                Ok(Some(Frame::Done { receipt, .. })) => break *receipt,
                Ok(Some(Frame::Tokens { tokens: more, text: said, .. })) => {
                    tokens.extend(more);
                    text.push_str(&said);
                }
                Ok(Some(Frame::Accepted { .. })) => {}
                Ok(Some(Frame::Refused { reason, .. })) => return (ask, Err(reason)),
                other => panic!("no answer: {other:?}"),
            }
        };
        (ask, Ok((tokens, text, receipt)))
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

    /// Orders an audit of whoever is at the other end, and shows it this if it takes the order. Says where the report stands, or why there is
    /// none and whether the order was taken.
    pub async fn orders(&self, order: AuditOrder, shown: AuditShown) -> Result<ActionHash, (bool, AuditRefusal)> {
        let mut stream = self.link(false).await.open().await.expect("a stream");
        stream.sender.send(&Frame::Audit(Box::new(order))).await.expect("it is sent");
        let mut taken = false;
        loop {
            match stream.receiver.recv().await {
                Ok(Some(Frame::NotAudited(refusal))) => return Err((taken, refusal)),
                Ok(Some(Frame::Audited { report })) => return Ok(report),
                Ok(Some(Frame::AuditTaken)) => {
                    taken = true;
                    let shown = Frame::AuditShown(Box::new(shown.clone()));
                    stream.sender.send(&shown).await.expect("it is sent");
                }
                other => panic!("neither taken nor refused: {other:?}"),
            }
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
