//! Every kind of operation through `validate`, against a host that knows some records: what is refused is refused in
//! every operation that an action becomes, not in some.

#![cfg(feature = "externs")]
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../verify/tests/audited/mod.rs"]
mod audited;

use ainonymous_types::{
    Answer, Backend, Bytes32, Capability, KvType, ModelSpec, NetworkKind, NetworkProperties, Place, ReceiptBatch,
    Request, Revocation, Revoked, Role, RouterOffer, ServedModel, SpecRef, Topic, NETWORK_VERSION,
};
use ainonymous_verify::buckets;
use ainonymous_verify::network::{self, Network};
use hdi::prelude::*;
use inference_integrity::{genesis_self_check, validate, EntryTypes, LinkTypes};
use std::collections::HashMap;

const ALICE: u8 = 1;
const BOB: u8 = 2;
const NOW: i64 = 1_760_000_000_000_000;

/// The host: one integrity zome with our types, a DHT, and the properties of the DNA.
struct Host(HashMap<ActionHash, Record>, SerializedBytes);

impl HdiT for Host {
    fn zome_info(&self, (): ()) -> ExternResult<ZomeInfo> {
        Ok(ZomeInfo::new(
            "inference_integrity".into(),
            ZomeIndex(0),
            SerializedBytes::default(),
            EntryDefs(vec![]),
            vec![],
            ScopedZomeTypesSet {
                entries: ScopedZomeTypes(vec![(ZomeIndex(0), (0..13).map(EntryDefIndex).collect())]),
                links: ScopedZomeTypes(vec![(ZomeIndex(0), (0..16).map(LinkType).collect())]),
            },
        ))
    }
    fn must_get_valid_record(&self, input: MustGetValidRecordInput) -> ExternResult<Record> {
        self.0.get(&input.into_inner()).cloned().ok_or_else(missing)
    }
    fn must_get_action(&self, input: MustGetActionInput) -> ExternResult<SignedActionHashed> {
        self.0.get(&input.into_inner()).map(|r| r.signed_action.clone()).ok_or_else(missing)
    }
    fn must_get_entry(&self, _: MustGetEntryInput) -> ExternResult<EntryHashed> {
        Err(missing())
    }
    fn must_get_agent_activity(&self, _: MustGetAgentActivityInput) -> ExternResult<Vec<AgentActivity>> {
        Err(missing())
    }
    fn verify_signature(&self, _: VerifySignature) -> ExternResult<bool> {
        Err(missing())
    }
    fn dna_info(&self, (): ()) -> ExternResult<DnaInfo> {
        Ok(DnaInfo {
            name: "inference".into(),
            hash: DnaHash::from_raw_36(vec![0; 36]),
            modifiers: DnaModifiers { network_seed: String::new(), properties: self.1.clone() },
            zome_names: vec!["inference_integrity".into()],
        })
    }
    fn trace(&self, _: TraceMsg) -> ExternResult<()> {
        Ok(())
    }
    fn x_salsa20_poly1305_decrypt(&self, _: XSalsa20Poly1305Decrypt) -> ExternResult<Option<XSalsa20Poly1305Data>> {
        Err(missing())
    }
    fn x_25519_x_salsa20_poly1305_decrypt(
        &self,
        _: X25519XSalsa20Poly1305Decrypt,
    ) -> ExternResult<Option<XSalsa20Poly1305Data>> {
        Err(missing())
    }
    fn ed_25519_x_salsa20_poly1305_decrypt(
        &self,
        _: Ed25519XSalsa20Poly1305Decrypt,
    ) -> ExternResult<XSalsa20Poly1305Data> {
        Err(missing())
    }
}

fn missing() -> WasmError {
    wasm_error!(WasmErrorInner::Host("has not arrived".into()))
}

fn agent(n: u8) -> AgentPubKey {
    AgentPubKey::from_raw_36(vec![n; 36])
}

fn header(author: u8) -> ActionHeader {
    ActionHeader {
        author: agent(author),
        timestamp: Timestamp::from_micros(NOW),
        action_seq: 9,
        prev_action: Some(ActionHash::from_raw_36(vec![0; 36])),
    }
}

fn signed(author: u8, data: ActionData) -> SignedActionHashed {
    let action = Action { header: header(author), data };
    let hash = hash_action(action.clone()).unwrap();
    SignedActionHashed::with_presigned(HoloHashed::with_pre_hashed(action, hash), Signature([0; 64]))
}

fn app_type(index: u8, visibility: EntryVisibility) -> EntryType {
    EntryType::App(AppEntryDef { entry_index: EntryDefIndex(index), zome_index: ZomeIndex(0), visibility })
}

fn raw(bytes: Vec<u8>) -> Entry {
    Entry::App(AppEntryBytes(SerializedBytes::from(UnsafeBytes::from(bytes))))
}

fn bytes_of(entry: &Entry) -> Vec<u8> {
    let Entry::App(bytes) = entry else { panic!("no app entry") };
    bytes.bytes().clone()
}

fn entry_of(entry: EntryTypes) -> (u8, Entry) {
    let index = match &entry {
        EntryTypes::ModelSpec(_) => 0,
        EntryTypes::Capability(_) => 1,
        EntryTypes::Request(_) => 2,
        EntryTypes::Answer(_) => 3,
        EntryTypes::ReceiptBatch(_) => 4,
        EntryTypes::Revocation(_) => 5,
        EntryTypes::Calibration(_) => 6,
        EntryTypes::AuditCommit(_) => 7,
        EntryTypes::AuditReport(_) => 8,
        EntryTypes::Accusation(_) => 9,
        EntryTypes::Conviction(_) => 10,
        EntryTypes::Equivocation(_) => 11,
        EntryTypes::Appeal(_) => 12,
    };
    (index, entry.try_into().unwrap())
}

fn created(author: u8, index: u8, entry: Entry) -> Record {
    let entry_hash = EntryHashed::from_content_sync(entry.clone()).into_hash();
    let data = CreateData { entry_type: app_type(index, EntryVisibility::Public), entry_hash };
    Record::new(signed(author, ActionData::Create(data)), RecordEntry::Present(entry))
}

fn updated(author: u8, original: &Record, entry: Entry) -> Record {
    let data = UpdateData {
        original_action_address: original.action_address().clone(),
        original_entry_address: original.action().entry_hash().unwrap().clone(),
        entry_type: original.action().entry_type().unwrap().clone(),
        entry_hash: EntryHashed::from_content_sync(entry.clone()).into_hash(),
    };
    Record::new(signed(author, ActionData::Update(data)), RecordEntry::Present(entry))
}

/// Every operation that an action becomes, with its name.
fn ops(record: &Record, drawn: Option<&Record>) -> Vec<(&'static str, Op)> {
    let action = record.signed_action.clone();
    let entry = record.entry().as_option().cloned();
    let mut ops = vec![
        ("CreateRecord", Op::CreateRecord(CreateRecord { record: record.clone() })),
        ("AgentActivity", Op::AgentActivity(AgentActivity { action: action.clone(), cached_entry: None })),
    ];
    match &record.action().data {
        ActionData::Create(_) | ActionData::Update(_) => {
            let entry = entry.clone().unwrap();
            ops.push(("CreateEntry", Op::CreateEntry(CreateEntry { action: action.clone(), entry })));
        }
        ActionData::Delete(_) => ops.push(("Delete", Op::Delete(Delete { delete: action.clone() }))),
        ActionData::CreateLink(_) => {
            ops.push(("CreateLink", Op::CreateLink(CreateLink { create_link: action.clone() })))
        }
        ActionData::DeleteLink(_) => ops.push((
            "DeleteLink",
            Op::DeleteLink(DeleteLink { delete_link: action.clone(), create_link: drawn.unwrap().action().clone() }),
        )),
        _ => {}
    }
    if matches!(record.action().data, ActionData::Update(_)) {
        ops.push(("Update", Op::Update(Update { update: action, new_entry: entry })));
    }
    ops
}

/// Alice's spec, Bob's capability, Alice's request to Bob, Bob's answer: all valid.
struct World {
    spec: Record,
    capability: Record,
    request: Record,
    answer: Record,
    link: Record,
}

impl World {
    fn new() -> Self {
        let spec = made(ALICE, EntryTypes::ModelSpec(model_spec()));
        let capability = made(BOB, EntryTypes::Capability(offer(&spec)));
        let request = made(ALICE, EntryTypes::Request(ask(&spec, &capability)));
        let answer = made(BOB, EntryTypes::Answer(reply(&request)));
        let link = linked(BOB, agent(BOB), capability.action_address().clone(), LinkTypes::AgentToCapability, &[]);
        let world = Self { spec, capability, request, answer, link };
        let records = [&world.spec, &world.capability, &world.request, &world.answer, &world.link];
        set_hdi(Host(
            records.map(|r| (r.action_address().clone(), r.clone())).into(),
            properties(NetworkKind::Private),
        ));
        world
    }
}

/// A network that Alice founded, or a public one.
fn properties(kind: NetworkKind) -> SerializedBytes {
    let founders = if kind == NetworkKind::Public { vec![] } else { vec![agent(ALICE)] };
    NetworkProperties { version: NETWORK_VERSION, name: "ops".into(), kind, founders, work_bits: 0 }.try_into().unwrap()
}

/// A public network that asks every new agent for so much work.
fn dear(work_bits: u8) -> NetworkProperties {
    NetworkProperties { work_bits, ..network::public("ops") }
}

fn made(author: u8, entry: EntryTypes) -> Record {
    let (index, entry) = entry_of(entry);
    created(author, index, entry)
}

fn linked(
    author: u8,
    base: impl Into<AnyLinkableHash>,
    target: impl Into<AnyLinkableHash>,
    kind: LinkTypes,
    tag: &[u8],
) -> Record {
    let data = CreateLinkData {
        base_address: base.into(),
        target_address: target.into(),
        zome_index: ZomeIndex(0),
        link_type: LinkType(kind as u8),
        tag: LinkTag(tag.into()),
    };
    Record::new(signed(author, ActionData::CreateLink(data)), RecordEntry::NA)
}

fn model_spec() -> ModelSpec {
    ModelSpec {
        name: "tiny-gemma".into(),
        quantization: "q8_0".into(),
        architecture: "gemma4".into(),
        gguf_hash: Bytes32([1; 32]),
        gguf_root: Bytes32([2; 32]),
        gguf_bytes: 3_000_000,
        tokenizer_hash: Bytes32([3; 32]),
        template_hash: Bytes32([4; 32]),
        sampler_version: 1,
        kv_type: KvType::F16,
        context_tokens: 2_048,
    }
}

fn spec_ref(spec: &Record) -> SpecRef {
    SpecRef { entry: spec.action().entry_hash().unwrap().clone(), action: spec.action_address().clone() }
}

fn offer(spec: &Record) -> Capability {
    Capability {
        roles: vec![Role::Provider],
        sealing_key: Bytes32([5; 32]),
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: "avx2".into(),
        models: vec![ServedModel { spec: spec_ref(spec), tokens_per_s: 100 }],
        router: None,
        region: None,
    }
}

fn ask(spec: &Record, capability: &Record) -> Request {
    Request {
        commitment: Bytes32([6; 32]),
        spec: spec_ref(spec),
        assignee: agent(BOB),
        capability: capability.action_address().clone(),
        reply_key: Bytes32([7; 32]),
        max_tokens: 16,
        expires_at: NOW + 1_000_000,
        sealed: vec![0; 100],
    }
}

fn reply(request: &Record) -> Answer {
    Answer { request: request.action_address().clone(), sealed: vec![0; 100] }
}

fn batch(world: &World) -> ReceiptBatch {
    ReceiptBatch {
        capability: world.capability.action_address().clone(),
        spec: spec_ref(&world.spec),
        root: Bytes32([8; 32]),
        count: 1,
        prompt_tokens: 10,
        completion_tokens: 8,
    }
}

fn revocation() -> Revocation {
    Revocation { target: Revoked::Agent(agent(BOB)) }
}

fn verdict(op: Op) -> String {
    in_short(validate(op))
}

fn in_short(verdict: ExternResult<ValidateCallbackResult>) -> String {
    match verdict {
        Ok(ValidateCallbackResult::Valid) => "ok".into(),
        Ok(ValidateCallbackResult::Invalid(reason)) => reason.split(':').next().unwrap().into(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("host: {error}"),
    }
}

/// The same verdict in every operation that shows what is judged.
fn judged(record: &Record, expected: &str, but: &[&str]) {
    for (name, op) in ops(record, None) {
        if !but.contains(&name) {
            assert_eq!(verdict(op), expected, "{name} of {:?}", record.action());
        }
    }
}

#[test]
fn what_is_good_is_valid_everywhere() {
    let world = World::new();
    for record in [&world.spec, &world.capability, &world.request, &world.answer, &world.link] {
        judged(record, "ok", &[]);
    }
    judged(&made(BOB, EntryTypes::ReceiptBatch(batch(&world))), "ok", &[]);
    judged(&made(ALICE, EntryTypes::Revocation(revocation())), "ok", &[]);
    let better = Capability { backend: Backend::Cuda, ..offer(&world.spec) };
    judged(&updated(BOB, &world.capability, entry_of(EntryTypes::Capability(better)).1), "ok", &[]);
}

#[test]
fn a_bad_entry_is_invalid_with_every_authority_that_sees_it() {
    let world = World::new();
    // The chain's authority is given no entry: it judges what may be written, not what it says.
    let but = &["AgentActivity"];
    let spec = ModelSpec { name: String::new(), ..model_spec() };
    judged(&made(ALICE, EntryTypes::ModelSpec(spec)), "empty", but);
    let capability = Capability { roles: vec![], ..offer(&world.spec) };
    judged(&made(BOB, EntryTypes::Capability(capability.clone())), "empty", but);
    judged(&updated(BOB, &world.capability, entry_of(EntryTypes::Capability(capability)).1), "empty", but);
    let request = Request { expires_at: NOW, ..ask(&world.spec, &world.capability) };
    judged(&made(ALICE, EntryTypes::Request(request)), "expired", but);
    judged(&made(ALICE, EntryTypes::Answer(reply(&world.request))), "not_assignee", but);
    judged(&made(ALICE, EntryTypes::ReceiptBatch(batch(&world))), "not_author", but);
    judged(&made(BOB, EntryTypes::Revocation(revocation())), "not_founder", but);
}

#[test]
fn bytes_that_do_not_decode_are_invalid_and_final() {
    let world = World::new();
    let good = bytes_of(world.spec.entry().as_option().unwrap());
    let mut short_hash = good.clone();
    let at = good.windows(34).position(|w| w[..2] == [0xc4, 32] && w[2..] == [1; 32]).unwrap();
    short_hash[at + 1] = 31;
    short_hash.remove(at + 2);
    let mut stowaway = good.clone();
    stowaway.push(0xc0);
    let but = &["AgentActivity"];
    for index in 0..13 {
        judged(&created(ALICE, index, raw(vec![])), "undecodable", but);
        judged(&created(ALICE, index, raw(vec![0xc1, 0xff])), "undecodable", but);
        judged(&created(ALICE, index, raw(vec![0xc0])), "undecodable", but);
    }
    judged(&created(ALICE, 0, raw(short_hash)), "undecodable", but);
    judged(&created(ALICE, 0, raw(stowaway)), "not_canonical", but);
    judged(&created(ALICE, 1, raw(good.clone())), "undecodable", but);
    judged(&created(ALICE, 13, raw(good)), "undecodable", &[]);
}

#[test]
fn a_map_with_one_more_field_is_not_canonical() {
    let world = World::new();
    let mut bytes = bytes_of(world.answer.entry().as_option().unwrap());
    assert_eq!(bytes[0], 0x82, "a map of two");
    bytes[0] = 0x83;
    bytes.extend([0xa1, b'x', 0xc0]);
    judged(&created(BOB, 3, raw(bytes)), "not_canonical", &["AgentActivity"]);
}

#[test]
fn only_ones_own_capability_changes() {
    let world = World::new();
    let capability = || entry_of(EntryTypes::Capability(offer(&world.spec))).1;
    judged(&updated(ALICE, &world.capability, capability()), "not_author", &[]);
    for original in [&world.spec, &world.request, &world.answer] {
        let same = original.entry().as_option().unwrap().clone();
        judged(&updated(ALICE, original, same), "immutable", &[]);
    }
    let delete = |author: u8, original: &Record| {
        let data = DeleteData {
            deletes_address: original.action_address().clone(),
            deletes_entry_address: original.action().entry_hash().unwrap().clone(),
        };
        Record::new(signed(author, ActionData::Delete(data)), RecordEntry::NA)
    };
    judged(&delete(BOB, &world.capability), "ok", &[]);
    judged(&delete(ALICE, &world.capability), "not_author", &[]);
    for original in [&world.spec, &world.request, &world.answer] {
        judged(&delete(ALICE, original), "undeletable", &[]);
    }
}

#[test]
fn links_are_judged_alike_in_every_operation() {
    let world = World::new();
    let to = |record: &Record| record.action_address().clone();
    let anchor = |path: &str| Path::from(path).path_entry_hash().unwrap();
    let good = [
        linked(ALICE, anchor("model_specs"), to(&world.spec), LinkTypes::AllModelSpecs, &[]),
        linked(BOB, agent(BOB), to(&world.capability), LinkTypes::AgentToCapability, &[]),
        linked(ALICE, agent(BOB), to(&world.request), LinkTypes::AssigneeToRequest, &[]),
        linked(BOB, to(&world.request), to(&world.answer), LinkTypes::RequestToAnswer, &[]),
    ];
    for link in &good {
        judged(link, "ok", &[]);
    }
    judged(&linked(BOB, agent(BOB), to(&world.capability), LinkTypes::AgentToCapability, b"x"), "link_tag", &[]);
    judged(&linked(ALICE, agent(ALICE), to(&world.capability), LinkTypes::AgentToCapability, &[]), "not_author", &[]);
    judged(&linked(BOB, agent(ALICE), to(&world.capability), LinkTypes::AgentToCapability, &[]), "link_base", &[]);
    judged(&linked(BOB, agent(BOB), agent(BOB), LinkTypes::AgentToCapability, &[]), "link_target", &[]);
    judged(&linked(ALICE, anchor("revoked"), to(&world.spec), LinkTypes::AllModelSpecs, &[]), "link_base", &[]);
}

fn bucket(topic: &Topic, place: Place) -> EntryHash {
    Path::from(buckets::path(topic, place)).path_entry_hash().unwrap()
}

#[test]
fn a_link_from_a_bucket_is_where_the_lot_draws_it() {
    let world = World::new();
    let of_spec = Topic::Providers(spec_ref(&world.spec).entry);
    let to = world.capability.action_address();
    let drawn = |depth| bucket(&of_spec, buckets::place(&of_spec, &agent(BOB), depth).unwrap());
    let link = |author, base: EntryHash, tag: &[u8]| linked(author, base, to.clone(), LinkTypes::BucketToProvider, tag);
    for depth in [0, 1, 7, 24] {
        judged(&link(BOB, drawn(depth), &[depth]), "ok", &[]);
    }
    judged(&link(BOB, drawn(7), &[8]), "link_base", &[]);
    judged(&link(BOB, drawn(24), &[25]), "out_of_range", &[]);
    judged(&link(BOB, drawn(7), &[]), "link_tag", &[]);
    judged(&link(BOB, drawn(7), &[7, 7]), "link_tag", &[]);
    let place = buckets::place(&of_spec, &agent(BOB), 7).unwrap();
    let beside = bucket(&of_spec, Place { bucket: place.bucket ^ 1, ..place });
    judged(&link(BOB, beside, &[7]), "link_base", &[]);
    let elsewhere = Topic::Providers(EntryHash::from_raw_36(vec![9; 36]));
    judged(&link(BOB, bucket(&elsewhere, Place::ROOT), &[0]), "link_base", &[]);
    judged(&link(ALICE, drawn(0), &[0]), "not_author", &[]);
    let router = linked(BOB, bucket(&Topic::Routers, Place::ROOT), to.clone(), LinkTypes::BucketToRouter, &[0]);
    judged(&router, "not_router", &[]);
}

#[test]
fn a_router_is_linked_from_its_bucket_and_from_its_key() {
    let _ = World::new();
    let key = Bytes32([7; 32]);
    let offer = Capability {
        roles: vec![Role::Router],
        models: vec![],
        router: Some(RouterOffer { key, addresses: vec!["quic://192.0.2.1:1".into()] }),
        ..offer(&made(ALICE, EntryTypes::ModelSpec(model_spec())))
    };
    let capability = made(BOB, EntryTypes::Capability(offer));
    let to = capability.action_address().clone();
    set_hdi(Host([(to.clone(), capability.clone())].into(), properties(NetworkKind::Public)));
    judged(&capability, "ok", &[]);
    let link = |base: EntryHash, depth| linked(BOB, base, to.clone(), LinkTypes::BucketToRouter, &[depth]);
    let place = buckets::place(&Topic::Routers, &agent(BOB), 3).unwrap();
    judged(&link(bucket(&Topic::Routers, place), 3), "ok", &[]);
    judged(&link(bucket(&Topic::Router(key), Place::ROOT), 0), "ok", &[]);
    judged(&link(bucket(&Topic::Router(Bytes32([8; 32])), Place::ROOT), 0), "link_base", &[]);
    judged(&link(bucket(&Topic::Router(key), Place { depth: 1, bucket: 0 }), 1), "link_base", &[]);
}

#[test]
fn only_ones_own_links_are_removed() {
    let world = World::new();
    let remove = |author: u8, base: AgentPubKey| {
        let data = DeleteLinkData { base_address: base.into(), link_add_address: world.link.action_address().clone() };
        Record::new(signed(author, ActionData::DeleteLink(data)), RecordEntry::NA)
    };
    let cases = [(BOB, agent(BOB), "ok"), (ALICE, agent(BOB), "not_author"), (BOB, agent(ALICE), "hash_mismatch")];
    for (author, base, expected) in cases {
        for (name, op) in ops(&remove(author, base.clone()), Some(&world.link)) {
            assert_eq!(verdict(op), expected, "{name}");
        }
    }
}

#[test]
fn private_entries_and_key_changes_are_refused() {
    let world = World::new();
    let data = CreateData {
        entry_type: app_type(0, EntryVisibility::Private),
        entry_hash: world.spec.action().entry_hash().unwrap().clone(),
    };
    let private = Record::new(signed(ALICE, ActionData::Create(data)), RecordEntry::Hidden);
    for op in [
        Op::CreateRecord(CreateRecord { record: private.clone() }),
        Op::AgentActivity(AgentActivity { action: private.signed_action.clone(), cached_entry: None }),
    ] {
        assert_eq!(verdict(op), "unsupported");
    }
    let data = UpdateData {
        original_action_address: world.spec.action_address().clone(),
        original_entry_address: agent(ALICE).into(),
        entry_type: EntryType::AgentPubKey,
        entry_hash: agent(BOB).into(),
    };
    let change = Record::new(signed(ALICE, ActionData::Update(data)), RecordEntry::Present(Entry::Agent(agent(BOB))));
    judged(&change, "unsupported", &[]);
}

#[test]
fn what_has_not_arrived_is_asked_for_again() {
    let world = World::new();
    set_hdi(Host(HashMap::new(), properties(NetworkKind::Public)));
    for record in [&world.capability, &world.request, &world.answer] {
        for (name, op) in ops(record, None).into_iter().filter(|(name, _)| *name != "AgentActivity") {
            assert!(verdict(op).starts_with("host: "), "{name}");
        }
    }
}

/// The action with which an agent joins, and what its own conductor says before it is written.
fn joined(author: u8, proof: Option<&[u8]>) -> (Record, String) {
    let membrane_proof = proof.map(|p| std::sync::Arc::new(SerializedBytes::from(UnsafeBytes::from(p.to_vec()))));
    let data = AgentValidationPkgData { membrane_proof: membrane_proof.clone() };
    let record = Record::new(signed(author, ActionData::AgentValidationPkg(data)), RecordEntry::NA);
    let check = genesis_self_check(GenesisSelfCheckData { membrane_proof, agent_key: agent(author) });
    (record, in_short(check))
}

#[test]
fn joining_is_judged_before_and_after_it_is_written() {
    let cases: [(NetworkKind, u8, Option<&[u8]>, &str); 5] = [
        (NetworkKind::Public, BOB, None, "ok"),
        (NetworkKind::Private, ALICE, None, "ok"),
        (NetworkKind::Private, BOB, None, "not_invited"),
        (NetworkKind::Lan, BOB, None, "not_invited"),
        (NetworkKind::Private, BOB, Some(&[0xc0]), "undecodable"),
    ];
    for (kind, author, proof, expected) in cases {
        set_hdi(Host(HashMap::new(), properties(kind)));
        let (record, check) = joined(author, proof);
        assert_eq!(check, expected, "{kind:?} {author}");
        judged(&record, expected, &[]);
    }
    // What the properties of a later version mean is not known here: nobody joins.
    set_hdi(Host(HashMap::new(), SerializedBytes::from(UnsafeBytes::from(vec![0x07]))));
    let (record, check) = joined(ALICE, None);
    assert_eq!(check, "undecodable");
    judged(&record, "undecodable", &[]);
}

#[test]
fn work_is_judged_before_and_after_joining_is_written() {
    const BITS: u8 = 10;
    let of = |author, bits| Network::new(dear(bits), "").unwrap().work(&agent(author)).unwrap();
    let found = |author, bits| encode(&of(author, bits).find(0..1 << 20).unwrap()).unwrap();
    let good = found(BOB, BITS);
    for (proof, expected) in [
        (Some(good.clone()), "ok"),
        (None, "work_missing"),
        (Some(found(ALICE, BITS)), "work_too_little"),
        (Some(found(BOB, BITS + 1)), "work_too_little"),
        (Some([good.clone(), vec![0]].concat()), "not_canonical"),
        (Some(vec![0xc0]), "undecodable"),
    ] {
        set_hdi(Host(HashMap::new(), dear(BITS).try_into().unwrap()));
        let (record, check) = joined(BOB, proof.as_deref());
        assert_eq!(check, expected);
        judged(&record, expected, &[]);
    }
    // A network that asks for more than there is admits nobody.
    set_hdi(Host(HashMap::new(), dear(41).try_into().unwrap()));
    assert_eq!(joined(BOB, Some(&good)).1, "out_of_range");
    // Nor is anybody shut out where everybody can come.
    set_hdi(Host(HashMap::new(), dear(BITS).try_into().unwrap()));
    let alone = Revocation { target: Revoked::Invite(Bytes32([1; 32])) };
    judged(&made(ALICE, EntryTypes::Revocation(alone)), "unsupported", &["AgentActivity"]);
}

#[test]
fn only_founders_revoke_and_for_ever() {
    let _ = World::new();
    let revocation = made(ALICE, EntryTypes::Revocation(revocation()));
    judged(&updated(ALICE, &revocation, revocation.entry().as_option().unwrap().clone()), "immutable", &[]);
    let anchor = Path::from("revoked").path_entry_hash().unwrap();
    let link = linked(ALICE, anchor.clone(), revocation.action_address().clone(), LinkTypes::AllRevocations, &[]);
    let stolen = linked(BOB, anchor, revocation.action_address().clone(), LinkTypes::AllRevocations, &[]);
    let records = [(revocation.action_address().clone(), revocation)];
    set_hdi(Host(records.into(), properties(NetworkKind::Private)));
    judged(&link, "ok", &[]);
    judged(&stolen, "not_author", &[]);
    // In a public network nobody is shut out.
    set_hdi(Host(HashMap::new(), properties(NetworkKind::Public)));
    let alone = Revocation { target: Revoked::Invite(Bytes32([1; 32])) };
    judged(&made(ALICE, EntryTypes::Revocation(alone)), "unsupported", &["AgentActivity"]);
}

/// A record by somebody with a real key: the fixtures of audits have such.
fn made_by(author: AgentPubKey, entry: EntryTypes) -> Record {
    let (index, entry) = entry_of(entry);
    let entry_hash = EntryHashed::from_content_sync(entry.clone()).into_hash();
    let data = ActionData::Create(CreateData { entry_type: app_type(index, EntryVisibility::Public), entry_hash });
    let action = Action { header: ActionHeader { author, ..header(ALICE) }, data };
    let hash = hash_action(action.clone()).unwrap();
    let signed = SignedActionHashed::with_presigned(HoloHashed::with_pre_hashed(action, hash), Signature([0; 64]));
    Record::new(signed, RecordEntry::Present(entry))
}

/// From a provider's batch to a conviction, each entry through every operation; then one of each that is not in order.
#[test]
fn audits_are_judged_alike_in_every_operation() {
    use ainonymous_types::{
        limits, Accusation, Appeal, AuditMode, Conviction, Equivocation, Outcome, Standing, Verdict,
    };
    use ainonymous_verify::audit::draw;
    use audited::*;
    let provider = Party::new(PROVIDER);
    let auditor = |n: u8| Party::new(30 + n).agent();
    let but = &["AgentActivity"];
    let mut records = HashMap::new();
    let mut write = |record: &Record| {
        records.insert(record.action_address().clone(), record.clone());
        set_hdi(Host(records.clone(), properties(NetworkKind::Public)));
    };
    let spec = made(ALICE, EntryTypes::ModelSpec(model_spec()));
    let offered = made_by(provider.agent(), EntryTypes::Capability(audited::offer(Role::Provider, &spec_ref(&spec))));
    let receipts: Vec<_> = (0..10).map(|n| provider.sign(audited::receipt(&spec_ref(&spec).entry, n, 3))).collect();
    let batch = audited::batch(&receipts, spec_ref(&spec), offered.action_address().clone());
    let batch = made_by(provider.agent(), EntryTypes::ReceiptBatch(batch));
    let table = audited::table(spec_ref(&spec));
    let calibration = made(BOB, EntryTypes::Calibration(table.clone()));
    let capability = |n| {
        let offer = audited::offer(Role::Auditor, &spec_ref(&spec));
        made_by(auditor(n), EntryTypes::Capability(offer))
    };
    for record in [&spec, &offered, &batch, &calibration] {
        write(record);
        judged(record, "ok", &[]);
    }
    let promised = |answer: usize, by: u8, mode| {
        let proof = audited::proof(&receipts, answer, batch.action_address());
        promise(&receipts[answer], proof, capability(by).action_address().clone(), mode)
    };

    // A measured audit, and one whose verdict does not follow.
    (0..7).for_each(|n| write(&capability(n)));
    let commit = made_by(auditor(0), EntryTypes::AuditCommit(promised(9, 0, AuditMode::Drawn)));
    write(&commit);
    judged(&commit, "ok", &[]);
    let calibrated = Some((calibration.action_address().clone(), &table));
    let at = commit.action_address().clone();
    let fails = found(at, calibrated, audited::outcome(60), &auditor(0), &Standing::default());
    assert_eq!(fails.verdict, Verdict::Fail);
    judged(&made_by(auditor(0), EntryTypes::AuditReport(fails.clone())), "ok", &[]);
    let mut softened = fails;
    softened.verdict = Verdict::Pass;
    judged(&made_by(auditor(0), EntryTypes::AuditReport(softened)), "arithmetic", but);

    // Nine bad reports, an accusation, three jurors, a conviction.
    let (mut before, mut previous, mut reports) = (Standing::default(), None, Vec::new());
    for n in 0..9u8 {
        let mut commit = promised(n as usize, n % 3, AuditMode::Drawn);
        commit.previous = previous;
        let commit = made_by(auditor(n % 3), EntryTypes::AuditCommit(commit));
        write(&commit);
        judged(&commit, "ok", &[]);
        let report = found(commit.action_address().clone(), None, Outcome::Mismatch, &auditor(n % 3), &before);
        before = report.standing.clone();
        let report = made_by(auditor(n % 3), EntryTypes::AuditReport(report));
        write(&report);
        judged(&report, "ok", &[]);
        previous = Some(report.action_address().clone());
        reports.insert(0, report.action_address().clone());
    }
    let accuse = |reports: Vec<ActionHash>| {
        made_by(auditor(0), EntryTypes::Accusation(Accusation { provider: provider.agent(), reports }))
    };
    let accusation = accuse(reports.clone());
    write(&accusation);
    judged(&accusation, "ok", &[]);
    judged(&accuse(reports[1..].to_vec()), "not_enough", but);
    let beacon = draw::jury(&draw::beacon(&receipts[8].receipt, &SECRET));
    let mut confirmations = Vec::new();
    for n in 3..6u8 {
        let dealt = 8 - draw::case(&beacon, &auditor(n), 9) as usize;
        let mode = AuditMode::Jury(accusation.action_address().clone());
        let commit = made_by(auditor(n), EntryTypes::AuditCommit(promised(dealt, n, mode)));
        write(&commit);
        judged(&commit, "ok", &[]);
        let at = commit.action_address().clone();
        let mut report = found(at, None, Outcome::Mismatch, &auditor(n), &Standing::default());
        report.standing = Standing::default();
        let report = made_by(auditor(n), EntryTypes::AuditReport(report));
        write(&report);
        judged(&report, "ok", &[]);
        confirmations.push(report.action_address().clone());
    }
    let convict = |confirmations: Vec<ActionHash>| {
        let accusation = accusation.action_address().clone();
        made_by(auditor(0), EntryTypes::Conviction(Conviction { accusation, confirmations }))
    };
    let convicted = convict(confirmations.clone());
    write(&convicted);
    judged(&convicted, "ok", &[]);
    judged(&convict(confirmations[1..].to_vec()), "not_enough", but);

    // The convicted wants another jury, which is drawn without those who convicted.
    let appeal = || EntryTypes::Appeal(Appeal { conviction: convicted.action_address().clone() });
    judged(&made_by(provider.agent(), appeal()), "ok", &[]);
    judged(&made_by(auditor(0), appeal()), "not_author", but);
    let beacon = draw::appeal(&draw::beacon(&receipts[8].receipt, &SECRET));
    for (n, word) in [(6u8, "ok"), (3, "not_drawn")] {
        let dealt = 8 - draw::case(&beacon, &auditor(n), 9) as usize;
        let mode = AuditMode::Appeal(convicted.action_address().clone());
        let heard = made_by(auditor(n), EntryTypes::AuditCommit(promised(dealt, n, mode)));
        judged(&heard, word, if word == "ok" { &[] } else { but });
    }

    // What nobody may write.
    let own = made_by(provider.agent(), EntryTypes::AuditCommit(promised(9, 0, AuditMode::Drawn)));
    judged(&own, "audits_itself", but);
    let mut bad = table.clone();
    bad.rows.clear();
    judged(&made(BOB, EntryTypes::Calibration(bad)), "empty", but);
    let mut other = receipts[0].receipt.clone();
    other.output = Bytes32([9; 32]);
    let mut pair = [receipts[0].clone(), provider.sign(other)];
    pair.sort_by_key(|signed| ainonymous_verify::receipt::canonical(&signed.receipt));
    let [first, second] = pair;
    let equivocation = Equivocation { first: first.clone(), second: second.clone() };
    judged(&made(BOB, EntryTypes::Equivocation(equivocation)), "ok", &[]);
    let turned = Equivocation { first: second, second: first };
    judged(&made(BOB, EntryTypes::Equivocation(turned)), "unordered", but);
    let mut late = receipts[0].receipt.clone();
    late.output = Bytes32([9; 32]);
    late.finished_at += limits::EQUIVOCATION_APART_US_MAX as i64 + 1;
    let mut pair = [receipts[0].clone(), provider.sign(late)];
    pair.sort_by_key(|signed| ainonymous_verify::receipt::canonical(&signed.receipt));
    let [first, second] = pair;
    judged(&made(BOB, EntryTypes::Equivocation(Equivocation { first, second })), "out_of_range", but);

    // All of it stays.
    for record in [&calibration, &commit, &accusation] {
        let same = record.entry().as_option().unwrap().clone();
        judged(&updated(ALICE, record, same), "immutable", &[]);
    }
}
