//! Networks and invites: identities, what is signed, who may join and who may revoke.
//!
//! Keys are made from fixed secrets, so that signatures are the same each time.

use super::fixtures::{agent, b32, with, ALICE, BOB, MALLORY, NOW};
use super::{computed, stated};
use ainonymous_types::*;
use ainonymous_verify::vectors::joining::{InviteCase, PassCase, WorkCase};
use ainonymous_verify::vectors::{
    Case, DnaCase, File, JoiningCase, LinkClaimCase, LinkProofCase, MembershipCase, NetworkCase, RevocationCase,
};
use ainonymous_verify::work::Work;
use ainonymous_verify::{invite, link, network};
use ed25519_dalek::{Signer, SigningKey};
use holochain_serialized_bytes::encode;

const SEED: &str = "0123456789abcdef";
/// An agent as people write it, with the right checksum.
const SOMEBODY: &str = "uhCAkcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxhKJJ";

fn secret(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn public(n: u8) -> Bytes32 {
    Bytes32(secret(n).verifying_key().to_bytes())
}

fn sign(n: u8, bytes: &[u8]) -> Bytes64 {
    Bytes64(secret(n).sign(bytes).to_bytes())
}

/// An agent whose key is known; where it stands on the DHT's circle plays no part here.
fn person(n: u8) -> AgentPubKey {
    AgentPubKey::from_raw_36([&public(n).0[..], &[n; 4]].concat())
}

fn founder() -> AgentPubKey {
    person(0x71)
}

fn properties() -> NetworkProperties {
    let founders = vec![founder(), person(0x72)];
    let (version, name, kind) = (NETWORK_VERSION, "Reading circle".to_owned(), NetworkKind::Private);
    NetworkProperties { version, name, kind, founders, work_bits: 0 }
}

fn terms() -> InviteTerms {
    InviteTerms {
        network: network::id(&properties(), SEED),
        founder: founder(),
        key: public(0x73),
        expires_at: NOW + 1,
        agent: None,
    }
}

/// A public network where every new agent costs some work.
fn dear(bits: u8) -> NetworkProperties {
    NetworkProperties { work_bits: bits, ..network::public("Everybody") }
}

/// What an invited agent shows, as the founder signed these terms.
fn proof(terms: InviteTerms, joiner: &AgentPubKey) -> MembershipProof {
    MembershipProof {
        founder_signature: sign(0x71, &invite::terms(&terms)),
        joiner_signature: sign(0x73, &invite::joining(&terms, joiner)),
        terms,
    }
}

pub(crate) fn cases() -> File {
    let mut cases = identities();
    cases.extend(invites());
    cases.extend(joining());
    cases.extend(working());
    cases.extend(revoking());
    cases.extend(being_known());
    File {
        about:
            "Networks and invites: identities, what is signed, what is worked, who may join, who may revoke, who asks."
                .into(),
        records: serde_json::Value::Null,
        cases,
    }
}

fn identities() -> Vec<Case> {
    let id = |name: &str, properties: NetworkProperties, seed: &str| {
        computed(name, "network.id", &NetworkCase { properties, seed: seed.into() })
    };
    let bounds = |name: &str, spoil: &dyn Fn(&mut NetworkProperties), expected: &str| {
        stated(name, "network.bounds", &with(properties(), |p| spoil(p)), expected)
    };
    let many = |count: usize| (0..count).map(|n| agent(n as u8)).collect::<Vec<_>>();
    let of_dna = |name: &str, bytes: Vec<u8>, expected: &str| {
        stated(name, "network.of_dna", &DnaCase { properties: bytes, seed: String::new() }, expected)
    };
    let mut newer = properties();
    newer.version = NETWORK_VERSION + 1;
    // As they stand in a DNA's manifest: agents are texts there.
    let manifest = serde_json::json!({
        "version": NETWORK_VERSION, "name": "Reading circle", "kind": "private", "founders": [SOMEBODY],
    });
    vec![
        id("a network", properties(), SEED),
        id("another seed", properties(), "another"),
        id("another name", with(properties(), |p| p.name = "Reading circl".into()), SEED),
        id("another kind", with(properties(), |p| p.kind = NetworkKind::Lan), SEED),
        id("another founder", with(properties(), |p| p.founders[1] = agent(ALICE)), SEED),
        id("founders in another order", with(properties(), |p| p.founders.reverse()), SEED),
        id("a public network", network::public("Everybody"), SEED),
        id("a public network that asks for work", dear(20), SEED),
        id("one that asks for a bit more", dear(21), SEED),
        bounds("a private network", &|_| (), "ok"),
        bounds("a network on a LAN", &|p| p.kind = NetworkKind::Lan, "ok"),
        bounds("longest name", &|p| p.name = "n".repeat(limits::NETWORK_NAME_BYTES_MAX), "ok"),
        bounds("name one byte past", &|p| p.name = "n".repeat(limits::NETWORK_NAME_BYTES_MAX + 1), "too_long"),
        bounds("no name", &|p| p.name.clear(), "empty"),
        bounds("a name that turns around", &|p| p.name = "a\u{202e}b".into(), "charset"),
        bounds("another version", &|p| p.version += 1, "out_of_range"),
        bounds("nobody founded it", &|p| p.founders.clear(), "empty"),
        bounds("most founders", &|p| p.founders = many(limits::FOUNDERS_MAX), "ok"),
        bounds("one founder past", &|p| p.founders = many(limits::FOUNDERS_MAX + 1), "too_many"),
        bounds("a founder twice", &|p| p.founders = vec![founder(); 2], "repeated"),
        bounds("a founder of a public network", &|p| p.kind = NetworkKind::Public, "too_many"),
        bounds("a public network that asks for work", &|p| *p = dear(1), "ok"),
        bounds("most work", &|p| *p = dear(limits::WORK_BITS_MAX), "ok"),
        bounds("a bit past most work", &|p| *p = dear(limits::WORK_BITS_MAX + 1), "out_of_range"),
        bounds("work where members are invited", &|p| p.work_bits = 1, "out_of_range"),
        bounds("work on a LAN", &|p| (p.kind, p.work_bits) = (NetworkKind::Lan, 1), "out_of_range"),
        of_dna("properties that nobody set", vec![0xc0], "ok"),
        of_dna("properties of ours", encode(&properties()).unwrap(), "ok"),
        of_dna("properties of a manifest", encode(&manifest).unwrap(), "ok"),
        of_dna("properties that ask for work", encode(&dear(20)).unwrap(), "ok"),
        of_dna("properties that ask for too much work", encode(&dear(41)).unwrap(), "out_of_range"),
        of_dna("properties of a later version", encode(&newer).unwrap(), "out_of_range"),
        of_dna("properties of something else", encode(&7u8).unwrap(), "undecodable"),
        of_dna("no properties at all", vec![], "undecodable"),
        computed("what a founder signs", "invite.terms", &terms()),
        computed("the same for one agent", "invite.terms", &with(terms(), |t| t.agent = Some(agent(BOB)))),
        computed("what the invite's key signs", "invite.joining", &JoiningCase { terms: terms(), agent: agent(BOB) }),
    ]
}

/// Invites as texts: those of before must be read for ever.
fn invites() -> Vec<Case> {
    let (seed, bootstrap) = (SEED.to_owned(), "https://b.example".to_owned());
    let public = InviteCase { properties: network::public("Everybody"), seed, bootstrap, relay: None, pass: None };
    let pass = PassCase {
        founder_signature: sign(0x71, &invite::terms(&terms())),
        terms: terms(),
        secret: Bytes32(secret(0x73).to_bytes()),
    };
    let private = |kind| {
        let properties = with(properties(), |p| p.kind = kind);
        let terms = with(terms(), |t| t.network = network::id(&properties, SEED));
        let pass = Some(PassCase { terms, ..pass.clone() });
        InviteCase { properties, relay: Some("https://r.example".into()), pass, ..public.clone() }
    };
    vec![
        computed("an invite to a private network", "invite.text", &private(NetworkKind::Private)),
        computed("an invite to a network on a LAN", "invite.text", &private(NetworkKind::Lan)),
        computed("where a public network is", "invite.text", &public),
        computed(
            "where one is that asks for work",
            "invite.text",
            &InviteCase { properties: dear(20), ..public.clone() },
        ),
        stated(
            "to a private network that asks for work",
            "invite.text",
            &with(private(NetworkKind::Private), |i| i.properties.work_bits = 20),
            "out_of_range",
        ),
    ]
}

fn joining() -> Vec<Case> {
    let bob = || agent(BOB);
    let case = |name: &str, agent: AgentPubKey, joined_at, proof: Option<Vec<u8>>, expected: &str| {
        let (properties, seed, proof) = (properties(), SEED.to_owned(), proof.map(Into::into));
        stated(name, "rules.membership", &MembershipCase { properties, seed, agent, joined_at, proof }, expected)
    };
    let shown = |name: &str, spoil: &dyn Fn(&mut MembershipProof), expected: &str| {
        let proof = with(proof(terms(), &bob()), |p| spoil(p));
        case(name, bob(), Some(NOW), Some(encode(&proof).unwrap()), expected)
    };
    let signed = |name: &str, spoil: &dyn Fn(&mut InviteTerms), expected: &str| {
        let proof = proof(with(terms(), |t| spoil(t)), &bob());
        case(name, bob(), Some(NOW), Some(encode(&proof).unwrap()), expected)
    };
    let good = || encode(&proof(terms(), &bob())).unwrap();
    let stowaway = || [good(), vec![0]].concat();
    let everybody = MembershipCase {
        properties: network::public("Everybody"),
        seed: SEED.into(),
        agent: bob(),
        joined_at: Some(NOW),
        proof: None,
    };
    vec![
        stated("everybody joins a public network", "rules.membership", &everybody, "ok"),
        case("a founder joins", founder(), Some(NOW), None, "ok"),
        case("somebody without an invite", bob(), Some(NOW), None, "not_invited"),
        case("with an invite", bob(), Some(NOW), Some(good()), "ok"),
        case("before there is an action", bob(), None, Some(good()), "ok"),
        case("in the last microsecond", bob(), Some(NOW), Some(good()), "ok"),
        case("too late", bob(), Some(NOW + 1), Some(good()), "invite_expired"),
        case("somebody else shows the proof", agent(MALLORY), Some(NOW), Some(good()), "signature"),
        signed("an invite for this agent", &|t| t.agent = Some(agent(BOB)), "ok"),
        signed("an invite for another agent", &|t| t.agent = Some(agent(ALICE)), "invited_other"),
        signed("an invite to another network", &|t| t.network = b32(1), "other_network"),
        signed("an invite by nobody of this network", &|t| t.founder = person(0x74), "not_founder"),
        signed("in the name of the other founder", &|t| t.founder = person(0x72), "signature"),
        shown("an expiry that was changed", &|p| p.terms.expires_at += 1, "signature"),
        shown("a binding that was taken off", &|p| p.terms.agent = Some(agent(BOB)), "signature"),
        shown("another invite's key", &|p| p.terms.key = public(0x75), "signature"),
        shown("a founder's signature of zeros", &|p| p.founder_signature = Bytes64([0; 64]), "signature"),
        shown("a joiner's signature of zeros", &|p| p.joiner_signature = Bytes64([0; 64]), "signature"),
        shown(
            "signatures exchanged",
            &|p| std::mem::swap(&mut p.founder_signature, &mut p.joiner_signature),
            "signature",
        ),
        case("a proof with a stowaway", bob(), Some(NOW), Some(stowaway()), "not_canonical"),
        case("a proof that is none", bob(), Some(NOW), Some(vec![0xc0]), "undecodable"),
        case("a proof of no bytes", bob(), Some(NOW), Some(vec![]), "undecodable"),
        case("longest nonsense", bob(), Some(NOW), Some(vec![0; limits::MEMBERSHIP_PROOF_BYTES_MAX]), "undecodable"),
        case(
            "nonsense one byte past",
            bob(),
            Some(NOW),
            Some(vec![0; limits::MEMBERSHIP_PROOF_BYTES_MAX + 1]),
            "too_long",
        ),
    ]
}

fn working() -> Vec<Case> {
    const BITS: u8 = 12;
    let (bob, id) = (agent(BOB), |bits| network::id(&dear(bits), SEED));
    let case = |bits, agent: &AgentPubKey, nonce| WorkCase { network: id(bits), agent: agent.clone(), bits, nonce };
    let found = |bits, agent: &AgentPubKey| Work::new(&id(bits), agent, bits).find(0..1 << 24).unwrap();
    let joins = |name: &str, bits, proof: Option<Vec<u8>>, expected: &str| {
        let (properties, seed, agent, joined_at) = (dear(bits), SEED.to_owned(), bob.clone(), Some(NOW));
        let case = MembershipCase { properties, seed, agent, joined_at, proof: proof.map(Into::into) };
        stated(name, "rules.membership", &case, expected)
    };
    let good = || encode(&found(BITS, &bob)).unwrap();
    // One that is good for a bit less, and for no bit more.
    let weak = (0..).map(|nonce| WorkProof { nonce }).find(|proof| {
        let done = |bits| Work::new(&id(BITS), &bob, bits).is_done(proof);
        done(BITS - 1) && !done(BITS)
    });
    let two_fields = std::collections::BTreeMap::from([("also", 1u64), ("nonce", found(BITS, &bob).nonce)]);
    vec![
        computed("what a number is hashed to", "work.hash", &case(BITS, &bob, 0)),
        computed("the largest number", "work.hash", &case(BITS, &bob, u64::MAX)),
        computed("the same for another agent", "work.hash", &case(BITS, &agent(ALICE), 0)),
        computed("in another network", "work.hash", &case(BITS + 1, &bob, 0)),
        computed("the first good number of one bit", "work.find", &case(1, &bob, 0)),
        computed("the first good number", "work.find", &case(BITS, &bob, 0)),
        computed("the next one", "work.find", &case(BITS, &bob, found(BITS, &bob).nonce + 1)),
        joins("with the work done", BITS, Some(good()), "ok"),
        joins("without it", BITS, None, "work_missing"),
        joins("with nearly enough", BITS, Some(encode(&weak.unwrap()).unwrap()), "work_too_little"),
        joins("with another's work", BITS, Some(encode(&found(BITS, &agent(ALICE))).unwrap()), "work_too_little"),
        joins("with another network's work", BITS, Some(encode(&found(BITS + 1, &bob)).unwrap()), "work_too_little"),
        joins("work with a stowaway", BITS, Some([good(), vec![0]].concat()), "not_canonical"),
        joins("work with another field", BITS, Some(encode(&two_fields).unwrap()), "not_canonical"),
        joins("an invite instead of work", BITS, Some(encode(&proof(terms(), &bob)).unwrap()), "undecodable"),
        joins("work of no bytes", BITS, Some(vec![]), "undecodable"),
        joins("nonsense instead of work", BITS, Some(vec![0; limits::MEMBERSHIP_PROOF_BYTES_MAX + 1]), "too_long"),
        joins("anything where no work is asked for", 0, Some(vec![0xc0]), "ok"),
    ]
}

fn revoking() -> Vec<Case> {
    let case = |name: &str, properties: NetworkProperties, author: AgentPubKey, target: Revoked, expected: &str| {
        let case = RevocationCase { properties, author, revocation: Revocation { target } };
        stated(name, "rules.revocation", &case, expected)
    };
    let (bob, invite) = (|| Revoked::Agent(agent(BOB)), || Revoked::Invite(public(0x73)));
    vec![
        case("a founder revokes an agent", properties(), founder(), bob(), "ok"),
        case("another founder revokes an invite", properties(), person(0x72), invite(), "ok"),
        case("a member revokes an agent", properties(), agent(MALLORY), bob(), "not_founder"),
        case("a founder revokes a founder", properties(), founder(), Revoked::Agent(person(0x72)), "founder_revoked"),
        case("in a public network", network::public("Everybody"), agent(ALICE), bob(), "unsupported"),
    ]
}

fn being_known() -> Vec<Case> {
    let network = |n: u8| DnaHash::from_raw_36(vec![n; 36]);
    let claim = || LinkClaim { binding: b32(1), requester: b32(2), provider: b32(3) };
    let case = |name: &str, spoil: &dyn Fn(&mut LinkProofCase), expected: &str| {
        let (network, agent) = (network(4), person(0x74));
        let signature = sign(0x74, &link::canonical(&network, &agent, &claim()));
        let case = LinkProofCase { network, claim: claim(), proof: LinkProof { agent, signature } };
        stated(name, "link.proves", &with(case, |c| spoil(c)), expected)
    };
    let signed = LinkClaimCase { network: network(4), agent: person(0x74), claim: claim() };
    vec![
        computed("what an agent signs to be known", "link.canonical", &signed),
        case("an agent that is known", &|_| (), "ok"),
        case("on another connection", &|c| c.claim.binding = b32(9), "signature"),
        case("with another requester's key", &|c| c.claim.requester = b32(9), "signature"),
        case("to another provider", &|c| c.claim.provider = b32(9), "signature"),
        case("the other way round", &|c| (c.claim.requester, c.claim.provider) = (b32(3), b32(2)), "signature"),
        case("in another network", &|c| c.network = DnaHash::from_raw_36(vec![5; 36]), "signature"),
        case("in another's name", &|c| c.proof.agent = person(0x75), "signature"),
        case("a signature of zeros", &|c| c.proof.signature = Bytes64([0; 64]), "signature"),
    ]
}
