//! One function for each decoder that takes bytes of strangers. What must not happen: a panic, an overflow, a loop without end, memory out
//! of proportion; and what is understood must mean the same when it is said again.
#![allow(clippy::expect_used)] // A finding is a panic.

use crate::invite_text;
use ainonymous_models::Header as ModelHeader;
use ainonymous_transport::{fuzzing, Address, Frame};
use ainonymous_types::{
    ActionHash, AgentPubKey, Bytes32, ChatInput, EntryHash, MembershipProof, NetworkProperties, PeerSignal, Place,
    Topic,
};
use ainonymous_verify::audit::fingerprint as prints;
use ainonymous_verify::invite::Invite;
use ainonymous_verify::judge::{self, Header, NewLink, Records, Refusal};
use ainonymous_verify::network::{self as network_rules, Network};
use ainonymous_verify::rules::{self, Anchor, Known};
use ainonymous_verify::vectors::{self, EntryCase, File, LinkCase};
use ainonymous_verify::{chat, signal as signals};
use holochain_serialized_bytes::{decode, encode};
use std::hint::black_box;
use std::path::Path;
use std::sync::OnceLock;

/// Files of golden vectors that have records.
const VECTORS: [&str; 2] = [include_str!("../../vectors/entries.json"), include_str!("../../vectors/links.json")];

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Target] = &[
    ("address", address),
    ("control", control),
    ("datagram", datagram),
    ("entry", entry),
    ("fingerprint", fingerprint),
    ("frame", frame),
    ("gguf", gguf),
    ("invite", invite),
    ("link", link),
    ("membership", membership),
    ("network", network),
    ("question", question),
    ("signal", signal),
    ("stream", stream),
];

/// Addresses as entries of strangers spell them: one spelling for each.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
}

/// What clients and routers say to each other.
pub fn control(body: &[u8]) {
    fuzzing::control(body);
}

/// Datagrams between routers and clients: a flow's number and a packet.
pub fn datagram(datagram: &[u8]) {
    fuzzing::datagram(datagram);
}

/// Entries: decoded as a conductor does, then judged by the rules of the DHT, where the records of the golden vectors are valid.
pub fn entry(bytes: &[u8]) {
    let Ok(case) = decode::<_, EntryCase>(bytes) else { return };
    let header = Header { author: &case.author, timestamp: case.timestamp };
    judged(judge::entry(header, &case.entry, &Golden));
}

/// A leaf of a fingerprint, of which there is one spelling.
pub fn fingerprint(bytes: &[u8]) {
    if let Ok(window) = prints::decode(bytes) {
        let again = prints::encode(&window).expect("what was understood is within the bounds");
        assert_eq!(again, bytes, "two spellings of one fingerprint");
    }
}

/// Bodies of the frames of a link.
pub fn frame(body: &[u8]) {
    if let Ok(frame) = Frame::decode(body) {
        let again = frame.encode().expect("what was understood is within the bounds");
        assert_eq!(Frame::decode(&again[4..]).as_ref(), Ok(&frame));
    }
}

/// Headers of model files. What one claims never costs more memory than it has bytes, give or take.
pub fn gguf(bytes: &[u8]) {
    // A file as long as it is, and one that claims to go on for long.
    for file_bytes in [bytes.len() as u64, 1 << 40] {
        judged(ModelHeader::parse(bytes, file_bytes, Path::new("fuzzed.gguf")));
    }
}

/// Invites, which people get as text: the bytes in them, and texts. One that is read can be written, and is the same.
pub fn invite(bytes: &[u8]) {
    let check = |text: &str| {
        if let Ok(invite) = Invite::from_text(text) {
            let again = invite.to_text().expect("what was read is within the bounds");
            assert_eq!(Invite::from_text(&again).ok().as_ref(), Some(&invite));
        }
    };
    check(&invite_text(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
}

/// Links: decoded, then judged where the records of the golden vectors are valid, and their tags.
pub fn link(bytes: &[u8]) {
    let Ok(LinkCase { author, kind, base, target, tag }) = decode::<_, LinkCase>(bytes) else { return };
    judged(judge::link(&author, NewLink { kind, base: &base, target: &target, tag: &tag }, &Golden));
    judged(rules::link_tag(kind, &tag));
}

/// How somebody says that it was invited, or has worked: the proof with which it joined. To a network that it does not name, and to the one
/// that it names, so that signatures and times are judged as well; and to a public one that asks for work.
pub fn membership(proof: &[u8]) {
    let joined_at = Some(1_760_000_000_000_000);
    let someone = AgentPubKey::from_raw_36(vec![9; 36]);
    judged(rules::membership(&vectors::private_network(), &someone, joined_at, Some(proof)));
    let dear = NetworkProperties { work_bits: 1, ..network_rules::public("fuzz") };
    judged(
        Network::new(dear, "").and_then(|dear| rules::membership(&dear, &someone, joined_at, Some(proof)).map(drop)),
    );
    let Ok(MembershipProof { terms, .. }) = decode::<_, MembershipProof>(proof) else { return };
    let Network { mut properties, .. } = vectors::private_network();
    properties.founders = vec![terms.founder];
    let named = Network { id: terms.network, properties };
    // Whom the golden vectors invite.
    let invited = terms.agent.unwrap_or_else(|| AgentPubKey::from_raw_36(vec![2; 36]));
    judged(rules::membership(&named, &invited, joined_at, Some(proof)));
}

/// The properties of a DNA, which say what network it is.
pub fn network(properties: &[u8]) {
    judged(Network::of_dna(properties, "seed"));
}

/// Questions, as they are in signals and under the seal of requests on the DHT.
pub fn question(bytes: &[u8]) {
    let Ok(input) = decode::<_, ChatInput>(bytes) else { return };
    if chat::bounds(&input).is_ok() {
        let again = encode(&input).expect("it can be said again");
        assert_eq!(decode::<_, ChatInput>(&again).ok().as_ref(), Some(&input));
    }
}

/// Signals: decoded as a conductor does, then judged by their bounds.
pub fn signal(bytes: &[u8]) {
    let Ok(signal) = decode::<_, PeerSignal>(bytes) else { return };
    if signals::bounds(&signal).is_ok() {
        let again = encode(&signal).expect("it can be said again");
        assert_eq!(decode::<_, PeerSignal>(&again).ok().as_ref(), Some(&signal));
    }
}

/// Streams: lengths and bodies, as both sides of a link cut them up.
pub fn stream(bytes: &[u8]) {
    fuzzing::stream(bytes);
}

/// A judgement that nobody asks about: without this an optimised build would leave out what it is made of.
fn judged<T>(judgement: T) {
    drop(black_box(judgement));
}

/// The records of the golden vectors: without any, most rules would never be asked.
struct Golden;

impl Golden {
    fn records() -> &'static [(ActionHash, Known)] {
        static RECORDS: OnceLock<Vec<(ActionHash, Known)>> = OnceLock::new();
        RECORDS.get_or_init(|| VECTORS.iter().flat_map(|file| read(file)).collect())
    }
}

fn read(file: &str) -> Vec<(ActionHash, Known)> {
    let file: File = serde_json::from_str(file).expect("vectors");
    vectors::from_json::<Option<_>>(&file.records).expect("records").unwrap_or_default()
}

impl Records for Golden {
    type Error = ();

    fn valid(&self, action: &ActionHash) -> Result<Known, ()> {
        let found = Self::records().iter().find(|(hash, _)| hash == action);
        found.map(|(_, known)| known.clone()).ok_or(())
    }

    fn anchor(&self, anchor: Anchor) -> Result<EntryHash, ()> {
        Ok(vectors::anchor(anchor))
    }

    fn bucket(&self, topic: &Topic, place: Place) -> Result<EntryHash, ()> {
        Ok(vectors::bucket(topic, place))
    }

    fn receipt(&self, leaf: &Bytes32) -> Result<EntryHash, ()> {
        Ok(vectors::receipt_place(leaf))
    }

    fn network(&self) -> Result<Network, Refusal<()>> {
        Ok(vectors::private_network())
    }
}
