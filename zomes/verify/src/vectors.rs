//! Golden vectors: named cases, each an operation, what goes in, and what must come out, the same in every build.
//!
//! The files are JSON so that Rust, wasm and TypeScript read the same ones. Values stand in them as on the wire, named
//! fields and all; byte strings are written in hexadecimal after `0x`.

pub mod audit;
pub mod joining;

use crate::audit::grant;
use crate::canonical::Encoder;
use crate::judge::{self, Header, NewLink, Records, Refusal};
use crate::network::{self, Network};
use crate::rules::{self, Anchor, AppEntry, Kind, Known, LinkKind};
use crate::{ask, buckets, chat, chunks, commit, invite, link, merkle, receipt, signal, Breach};
use ainonymous_types::{
    ActionHash, AgentPubKey, AnyLinkableHash, AuditTerms, BatchProof, Bytes32, ChatInput, ChunkMore, DnaHash,
    EntryHash, InviteTerms, LinkClaim, LinkProof, NetworkKind, NetworkProperties, PeerSignal, Place, Receipt,
    ReceiptBatch, RequestId, Revocation, SignedReceipt, TimestampUs, Topic, NETWORK_VERSION,
};
use holochain_serialized_bytes::{decode, encode};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use serde_json::Value;

/// A file of vectors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct File {
    /// What it is about.
    pub about: String,
    /// The valid records that there are, by their actions.
    #[serde(default)]
    pub records: Value,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The operation, as module and function.
    #[serde(rename = "do")]
    pub operation: String,
    /// What goes in.
    pub with: Value,
    /// What must come out.
    pub gives: Value,
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Cases that gave what they should.
    pub passed: u32,
    /// Those that did not: name, expected, given.
    pub failed: Vec<String>,
}

/// Runs all cases of a file; an error if it is no file of vectors.
pub fn check(json: &str) -> Result<Report, String> {
    let file: File = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let mut report = Report::default();
    for Case { name, operation, with, gives } in file.cases {
        match run(&operation, &with, &file.records) {
            Ok(given) if given == gives => report.passed += 1,
            Ok(given) => report.failed.push(format!("{name}: expected {gives}, got {given}")),
            Err(error) => report.failed.push(format!("{name}: {error}")),
        }
    }
    Ok(report)
}

/// A value as it stands in a file.
pub fn to_json<T: Serialize + std::fmt::Debug>(value: &T) -> Result<Value, String> {
    let bytes = encode(value).map_err(|e| e.to_string())?;
    let wire = rmpv::decode::read_value(&mut bytes.as_slice()).map_err(|e| e.to_string())?;
    wire_to_json(wire)
}

/// A value from a file.
pub fn from_json<T: DeserializeOwned + std::fmt::Debug>(json: &Value) -> Result<T, String> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &json_to_wire(json)?).map_err(|e| e.to_string())?;
    decode(&bytes).map_err(|e| e.to_string())
}

/// `commit.input`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct InputCase {
    pub salt: Bytes32,
    pub input: ChatInput,
}

/// `commit.output`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct OutputCase {
    pub salt: Bytes32,
    pub tokens: Vec<u32>,
    pub text: String,
    pub more: Option<ChunkMore>,
}

/// `ask.canonical`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct AskCase {
    pub id: RequestId,
    pub spec: EntryHash,
    pub commitment: Bytes32,
    pub session_key: Bytes32,
    pub audit: AuditTerms,
}

/// `grant.canonical`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct GrantCase {
    pub signed: SignedReceipt,
    pub auditor: Option<AgentPubKey>,
    pub until: TimestampUs,
}

/// `receipt.in_batch`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct BatchCase {
    pub signed: SignedReceipt,
    pub proof: BatchProof,
    pub batch: ReceiptBatch,
}

/// `merkle.root` and `merkle.path`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LeavesCase {
    pub leaves: Vec<Bytes32>,
    pub index: u32,
}

/// `merkle.verify_path`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PathCase {
    pub root: Bytes32,
    pub leaf: Bytes32,
    pub index: u64,
    pub count: u64,
    pub path: Vec<Bytes32>,
}

/// `rules.entry`: an entry and its header.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EntryCase {
    pub author: AgentPubKey,
    pub timestamp: TimestampUs,
    pub entry: AppEntry,
}

/// `rules.update` and `rules.delete`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ChangeCase {
    pub author: AgentPubKey,
    pub kind: Kind,
    pub original: ActionHash,
}

/// `rules.link`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LinkCase {
    pub author: AgentPubKey,
    pub kind: LinkKind,
    pub base: AnyLinkableHash,
    pub target: AnyLinkableHash,
    #[serde(with = "serde_bytes")]
    pub tag: Vec<u8>,
}

/// `buckets.place`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PlaceCase {
    pub topic: Topic,
    pub agent: AgentPubKey,
    pub depth: u8,
}

/// `rules.delete_link`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct UnlinkCase {
    pub author: AgentPubKey,
    pub base: AnyLinkableHash,
    pub drawn_by: AgentPubKey,
    pub drawn_from: AnyLinkableHash,
}

/// `rules.entry_encoding`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EncodingCase {
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub again: Vec<u8>,
}

/// `network.id` and `network.of_dna`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NetworkCase {
    pub properties: NetworkProperties,
    pub seed: String,
}

/// `network.of_dna`: the modifiers of a DNA.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DnaCase {
    #[serde(with = "serde_bytes")]
    pub properties: Vec<u8>,
    pub seed: String,
}

/// `invite.joining`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct JoiningCase {
    pub terms: InviteTerms,
    pub agent: AgentPubKey,
}

/// `rules.membership`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct MembershipCase {
    pub properties: NetworkProperties,
    pub seed: String,
    pub agent: AgentPubKey,
    pub joined_at: Option<TimestampUs>,
    pub proof: Option<serde_bytes::ByteBuf>,
}

/// `rules.revocation`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RevocationCase {
    pub properties: NetworkProperties,
    pub author: AgentPubKey,
    pub revocation: Revocation,
}

/// `link.canonical`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LinkClaimCase {
    pub network: DnaHash,
    pub agent: AgentPubKey,
    pub claim: LinkClaim,
}

/// `link.proves`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LinkProofCase {
    pub network: DnaHash,
    pub claim: LinkClaim,
    pub proof: LinkProof,
}

/// Does what a case says, where these records are valid and no others.
pub fn run(operation: &str, with: &Value, records: &Value) -> Result<Value, String> {
    match operation {
        "commit.input" => from_json(with).and_then(|c: InputCase| to_json(&commit::input(&c.salt, &c.input))),
        "commit.output" => from_json(with).and_then(|c: OutputCase| to_json(&output(&c))),
        "ask.canonical" => {
            let bytes = |c: AskCase| ask::canonical(&c.id, &c.spec, &c.commitment, &c.session_key, &c.audit);
            from_json(with).map(|c| hexed(&bytes(c)))
        }
        "grant.canonical" => {
            let bytes = |c: GrantCase| grant::canonical(&c.signed, c.auditor.as_ref(), c.until);
            from_json(with).map(|c| hexed(&bytes(c)))
        }
        "receipt.canonical" => from_json(with).map(|c: Receipt| hexed(&receipt::canonical(&c))),
        "receipt.leaf" => from_json(with).and_then(|c: SignedReceipt| to_json(&receipt::leaf(&c))),
        "receipt.question" => {
            let question = |c: Receipt| receipt::question(&c.session_key, &c.input, &c.audit.challenge);
            from_json(with).and_then(|c| to_json(&question(c)))
        }
        "receipt.in_batch" => {
            from_json(with).map(|c: BatchCase| verdict(receipt::in_batch(&c.signed, &c.proof, &c.batch)))
        }
        "merkle.root" => from_json(with).and_then(|c: LeavesCase| to_json(&merkle::root(&c.leaves))),
        "merkle.path" => from_json(with).and_then(|c: LeavesCase| to_json(&merkle::path(&c.leaves, c.index as usize))),
        "merkle.verify_path" => {
            from_json(with).map(|c: PathCase| verdict(merkle::verify_path(&c.root, &c.leaf, c.index, c.count, &c.path)))
        }
        "chunks.root" => from_json(with).and_then(|bytes: u32| to_json(&chunk_root(bytes))),
        "buckets.place" => from_json(with).and_then(|c: PlaceCase| {
            let place = buckets::place(&c.topic, &c.agent, c.depth);
            to_json(&place.map(|place| (place, buckets::path(&c.topic, place))))
        }),
        "chat.bounds" => from_json(with).map(|c: ChatInput| verdict(chat::bounds(&c))),
        "network.id" => from_json(with).and_then(|c: NetworkCase| to_json(&network::id(&c.properties, &c.seed))),
        "network.bounds" => from_json(with).map(|c: NetworkProperties| verdict(network::bounds(&c))),
        "network.of_dna" => {
            from_json(with).map(|c: DnaCase| verdict(Network::of_dna(&c.properties, &c.seed).map(drop)))
        }
        "link.canonical" => {
            from_json(with).map(|c: LinkClaimCase| hexed(&link::canonical(&c.network, &c.agent, &c.claim)))
        }
        "link.proves" => from_json(with).map(|c: LinkProofCase| verdict(link::proves(&c.network, &c.claim, &c.proof))),
        "invite.terms" => from_json(with).map(|c: InviteTerms| hexed(&invite::terms(&c))),
        "invite.joining" => from_json(with).map(|c: JoiningCase| hexed(&invite::joining(&c.terms, &c.agent))),
        "rules.membership" => from_json(with).map(|c: MembershipCase| verdict(membership(&c))),
        "rules.revocation" => from_json(with).map(|c: RevocationCase| {
            verdict(Network::new(c.properties, "").and_then(|n| rules::revocation(&n, &c.author, &c.revocation)))
        }),
        "signal.bounds" => from_json(with).map(|c: PeerSignal| verdict(signal::bounds(&c))),
        _ => run_rule(operation, with, records),
    }
}

fn run_rule(operation: &str, with: &Value, records: &Value) -> Result<Value, String> {
    let records = Map(from_json::<Option<_>>(records)?.unwrap_or_default());
    match operation {
        "rules.entry" => from_json(with).and_then(|c: EntryCase| {
            let header = Header { author: &c.author, timestamp: c.timestamp };
            judged(judge::entry(header, &c.entry, &records))
        }),
        "rules.update" => {
            from_json(with).and_then(|c: ChangeCase| judged(judge::update(&c.author, c.kind, &c.original, &records)))
        }
        "rules.delete" => {
            from_json(with).and_then(|c: ChangeCase| judged(judge::delete(&c.author, &c.original, &records)))
        }
        "rules.link" => from_json(with).and_then(|c: LinkCase| {
            let link = NewLink { kind: c.kind, base: &c.base, target: &c.target, tag: &c.tag };
            judged(judge::link(&c.author, link, &records))
        }),
        "rules.delete_link" => from_json(with)
            .map(|c: UnlinkCase| verdict(rules::delete_link(&c.author, &c.base, &c.drawn_by, &c.drawn_from))),
        "rules.entry_encoding" => {
            from_json(with).map(|c: EncodingCase| verdict(rules::entry_encoding(&c.bytes, &c.again)))
        }
        _ => joining::run(operation, with).unwrap_or_else(|| audit::run(operation, with)),
    }
}

/// The anchors of the vectors: in a conductor they are hashes of paths, here any two hashes do.
pub fn anchor(anchor: Anchor) -> EntryHash {
    EntryHash::from_raw_36(vec![anchor.path().len() as u8; 36])
}

/// The buckets of the vectors, likewise: SHA-256 of the path, and its first bytes again.
pub fn bucket(topic: &Topic, place: Place) -> EntryHash {
    let hash = Encoder::hash(&buckets::path(topic, place)).finish().0;
    EntryHash::from_raw_36([&hash[..], &hash[..4]].concat())
}

/// Where the vectors link what is about a receipt, likewise.
pub fn receipt_place(leaf: &Bytes32) -> EntryHash {
    let hash = Encoder::hash(&rules::receipt_path(leaf)).finish().0;
    EntryHash::from_raw_36([&hash[..], &hash[..4]].concat())
}

/// The network of the vectors about entries and links: by invitation, founded by the first agent.
pub fn private_network() -> Network {
    let founders = vec![AgentPubKey::from_raw_36(vec![1; 36])];
    let (name, kind) = ("vectors".to_owned(), NetworkKind::Private);
    let properties = NetworkProperties { version: NETWORK_VERSION, name, kind, founders, work_bits: 0 };
    Network { id: network::id(&properties, ""), properties }
}

fn membership(case: &MembershipCase) -> Result<(), Breach> {
    let network = Network::new(case.properties.clone(), &case.seed)?;
    let proof = case.proof.as_ref().map(|proof| proof.as_slice());
    rules::membership(&network, &case.agent, case.joined_at, proof).map(drop)
}

struct Map(Vec<(ActionHash, Known)>);

impl Records for Map {
    type Error = ActionHash;

    fn valid(&self, action: &ActionHash) -> Result<Known, ActionHash> {
        let found = self.0.iter().find(|(hash, _)| hash == action);
        found.map(|(_, known)| known.clone()).ok_or_else(|| action.clone())
    }

    fn anchor(&self, which: Anchor) -> Result<EntryHash, ActionHash> {
        Ok(anchor(which))
    }

    fn bucket(&self, topic: &Topic, place: Place) -> Result<EntryHash, ActionHash> {
        Ok(bucket(topic, place))
    }

    fn receipt(&self, leaf: &Bytes32) -> Result<EntryHash, ActionHash> {
        Ok(receipt_place(leaf))
    }

    fn network(&self) -> Result<Network, Refusal<ActionHash>> {
        Ok(private_network())
    }
}

fn output(case: &OutputCase) -> Bytes32 {
    let mut output = commit::Output::new(&case.salt);
    output.push(&case.tokens, &case.text, case.more.as_ref());
    output.finish()
}

fn verdict(result: Result<(), Breach>) -> Value {
    match result {
        Ok(()) => "ok".into(),
        Err(breach) => format!("{}: {breach}", breach.code()).into(),
    }
}

fn judged(result: Result<(), Refusal<ActionHash>>) -> Result<Value, String> {
    match result {
        Ok(()) => Ok(verdict(Ok(()))),
        Err(Refusal::Breach(breach)) => Ok(verdict(Err(breach))),
        Err(Refusal::Records(_)) => Ok("missing: a record has not arrived".into()),
    }
}

/// A file of this many bytes, counting up modulo 251.
fn chunk_root(bytes: u32) -> Option<Bytes32> {
    let mut tree = chunks::ChunkTree::new();
    let file: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8).collect();
    tree.update(&file);
    tree.finish()
}

fn hexed(bytes: &[u8]) -> Value {
    format!("0x{}", hex::encode(bytes)).into()
}

fn wire_to_json(wire: rmpv::Value) -> Result<Value, String> {
    use rmpv::Value as Wire;
    Ok(match wire {
        Wire::Nil => Value::Null,
        Wire::Boolean(b) => b.into(),
        Wire::Integer(n) => n.as_u64().map(Value::from).or_else(|| n.as_i64().map(Value::from)).unwrap_or_default(),
        Wire::String(s) => s.into_str().ok_or("text that is not UTF-8")?.into(),
        Wire::Binary(b) => hexed(&b),
        Wire::Array(items) => Value::Array(items.into_iter().map(wire_to_json).collect::<Result<_, _>>()?),
        Wire::Map(pairs) => {
            let pair = |(key, value): (Wire, Wire)| {
                Ok((key.as_str().ok_or("a key that is no text")?.to_owned(), wire_to_json(value)?))
            };
            Value::Object(pairs.into_iter().map(pair).collect::<Result<_, String>>()?)
        }
        Wire::F32(_) | Wire::F64(_) | Wire::Ext(..) => return Err("not an integer, text, list or map".into()),
    })
}

fn json_to_wire(json: &Value) -> Result<rmpv::Value, String> {
    use rmpv::Value as Wire;
    Ok(match json {
        Value::Null => Wire::Nil,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => {
            n.as_u64().map(Wire::from).or_else(|| n.as_i64().map(Wire::from)).ok_or("a number that is no integer")?
        }
        Value::String(s) => match s.strip_prefix("0x") {
            Some(digits) => Wire::Binary(hex::decode(digits).map_err(|e| e.to_string())?),
            None => s.as_str().into(),
        },
        Value::Array(items) => Wire::Array(items.iter().map(json_to_wire).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let pair = |(key, value): (&String, &Value)| Ok((key.as_str().into(), json_to_wire(value)?));
            Wire::Map(fields.iter().map(pair).collect::<Result<_, String>>()?)
        }
    })
}
