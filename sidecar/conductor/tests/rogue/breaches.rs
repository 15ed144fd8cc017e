//! Everything that breaks a rule, one act for each way to break it: the same list for the conductor that refuses to
//! write it and for the peers that warrant whoever wrote it.

use super::payload::{Act, AnyEntry, RawEntry, RawLink, RawUpdate};
use super::{model_spec, offered, RogueAgent};
use crate::common::eventually;
use ainonymous_types::*;
use ainonymous_verify::buckets;
use holochain_types::prelude::Timestamp;
use std::time::Duration;

/// Link types in the integrity zome's order.
const ALL_MODEL_SPECS: u8 = 0;
const BUCKET_TO_PROVIDER: u8 = 1;
const BUCKET_TO_ROUTER: u8 = 2;
const AGENT_TO_CAPABILITY: u8 = 3;
const ASSIGNEE_TO_REQUEST: u8 = 4;
const REQUEST_TO_ANSWER: u8 = 5;
const ALL_REVOCATIONS: u8 = 6;

/// An act that breaks one rule.
pub struct Bad {
    /// The rule: a function of `verify::rules`.
    pub rule: &'static str,
    /// The code of the breach.
    pub code: &'static str,
    /// What is written.
    pub act: Act,
}

/// What an honest peer has written: a spec, a capability that lists it, and a request.
#[derive(Clone)]
pub struct Honest {
    pub agent: AgentPubKey,
    pub spec: SpecRef,
    pub capability: ActionHash,
    pub request: ActionHash,
}

/// What the rogue has written by the rules, to break others with.
pub struct Own {
    me: AgentPubKey,
    capability: ActionHash,
    auditor: ActionHash,
    router: ActionHash,
    request: ActionHash,
    answer: ActionHash,
    spec_anchor: EntryHash,
    revoked_anchor: EntryHash,
    /// Where the rogue may be linked from as a provider of the spec, at depth 0 and at depth 3; a bucket beside that one, and
    /// its place among routers.
    buckets: [EntryHash; 4],
    their_link: ActionHash,
}

/// Now and a minute. Microseconds.
pub fn in_a_minute() -> i64 {
    Timestamp::now().saturating_add(&Duration::from_secs(60)).as_micros()
}

impl Own {
    /// Writes it, all within the rules.
    pub async fn prepare(agent: &RogueAgent, honest: &Honest) -> Self {
        let auditor = Capability { roles: vec![Role::Auditor], models: vec![], ..offered(&honest.spec) };
        let offer = RouterOffer { key: Bytes32([6; 32]), addresses: vec!["quic://192.0.2.1:4433".into()] };
        let router =
            Capability { roles: vec![Role::Router], models: vec![], router: Some(offer), ..offered(&honest.spec) };
        let entries = [offered(&honest.spec), auditor, router].map(AnyEntry::Capability).map(Act::Entry).to_vec();
        let [capability, auditor, router] = agent.act(entries).await.unwrap().try_into().unwrap();
        let asked = asked(honest, agent.key(), &capability);
        let [request] = agent.act(vec![Act::Entry(AnyEntry::Request(asked))]).await.unwrap().try_into().unwrap();
        let answer = AnyEntry::Answer(Answer { request: request.clone(), sealed: vec![0; 64] });
        let [answer] = agent.act(vec![Act::Entry(answer)]).await.unwrap().try_into().unwrap();
        Self {
            me: agent.key(),
            capability,
            auditor,
            router,
            request,
            answer,
            spec_anchor: agent.call("rogue", "anchor_hash", "model_specs").await.unwrap(),
            revoked_anchor: agent.call("rogue", "anchor_hash", "revoked").await.unwrap(),
            buckets: Self::buckets(agent, honest).await,
            their_link: eventually("the honest one's link", || async {
                agent.call::<Option<ActionHash>>("rogue", "link_of", honest.agent.clone()).await.ok().flatten()
            })
            .await,
        }
    }

    async fn buckets(agent: &RogueAgent, honest: &Honest) -> [EntryHash; 4] {
        let of_spec = Topic::Providers(honest.spec.entry.clone());
        let deep = buckets::place(&of_spec, &agent.key(), 3).unwrap();
        let beside = Place { bucket: deep.bucket ^ 1, ..deep };
        let mut hashes = Vec::new();
        for (topic, place) in
            [(&of_spec, Place::ROOT), (&of_spec, deep), (&of_spec, beside), (&Topic::Routers, Place::ROOT)]
        {
            hashes.push(agent.call("rogue", "anchor_hash", buckets::path(topic, place)).await.unwrap());
        }
        hashes.try_into().unwrap()
    }
}

fn asked(honest: &Honest, assignee: AgentPubKey, capability: &ActionHash) -> Request {
    Request {
        commitment: Bytes32([1; 32]),
        spec: honest.spec.clone(),
        assignee,
        capability: capability.clone(),
        reply_key: Bytes32([2; 32]),
        max_tokens: 1,
        expires_at: in_a_minute(),
        sealed: vec![0; 64],
    }
}

fn bytes<T: serde::Serialize + std::fmt::Debug>(value: &T) -> Vec<u8> {
    holochain_serialized_bytes::encode(value).unwrap()
}

/// All of it.
pub fn all(honest: &Honest, own: &Own) -> Vec<Bad> {
    [encodings(), model_specs(), capabilities(honest, own), requests(honest, own), answers(honest, own)]
        .into_iter()
        .flatten()
        .chain(batches(honest, own))
        .chain(changes(honest, own))
        .chain(links(honest, own))
        .collect()
}

fn entry(rule: &'static str, code: &'static str, entry: AnyEntry) -> Bad {
    Bad { rule, code, act: Act::Entry(entry) }
}

fn encodings() -> Vec<Bad> {
    let raw =
        |code, entry_type, bytes| Bad { rule: "entry_encoding", code, act: Act::Bytes(RawEntry { entry_type, bytes }) };
    let good = bytes(&model_spec("a"));
    vec![
        raw("undecodable", 0, vec![0xc1]),
        raw("undecodable", 0, good[..99].to_vec()),
        raw("undecodable", 1, good.clone()),
        raw("not_canonical", 0, [good, vec![0xc0]].concat()),
    ]
}

fn model_specs() -> Vec<Bad> {
    let spec = |code, spec| entry("model_spec", code, AnyEntry::ModelSpec(spec));
    let good = model_spec("a");
    vec![
        spec("empty", model_spec("")),
        spec("too_long", model_spec(&"x".repeat(limits::MODEL_NAME_BYTES_MAX + 1))),
        spec("charset", model_spec("\u{202e}")),
        spec("out_of_range", ModelSpec { gguf_bytes: 0, ..good.clone() }),
        spec("out_of_range", ModelSpec { context_tokens: limits::CONTEXT_TOKENS_MAX + 1, ..good }),
    ]
}

fn capabilities(honest: &Honest, own: &Own) -> Vec<Bad> {
    let capability = |rule, code, capability| entry(rule, code, AnyEntry::Capability(capability));
    let good = || offered(&honest.spec);
    let served = |spec| ServedModel { spec, tokens_per_s: 1 };
    let elsewhere = SpecRef { entry: honest.spec.entry.clone(), action: own.capability.clone() };
    let other_entry = SpecRef { entry: own.spec_anchor.clone(), action: honest.spec.action.clone() };
    let too_fast = ServedModel { spec: honest.spec.clone(), tokens_per_s: limits::TOKENS_PER_S_MAX + 1 };
    let addresses = vec!["a".to_string(); 2];
    let many = (0..=limits::CAPABILITY_ADDRESSES_MAX).map(|n| n.to_string()).collect();
    let long = "x".repeat(limits::BACKEND_DETAIL_BYTES_MAX + 1);
    vec![
        capability("capability", "empty", Capability { roles: vec![], ..good() }),
        capability("capability", "unordered", Capability { roles: vec![Role::Auditor, Role::Provider], ..good() }),
        capability("capability", "zero_key", Capability { sealing_key: Bytes32([0; 32]), ..good() }),
        capability("capability", "zero_key", Capability { transport_key: Some(Bytes32([0; 32])), ..good() }),
        capability("capability", "too_many", Capability { addresses: many, ..good() }),
        capability("capability", "repeated", Capability { addresses, ..good() }),
        capability("capability", "too_long", Capability { backend_detail: long, ..good() }),
        capability("capability", "models_without_provider", Capability { roles: vec![Role::Auditor], ..good() }),
        capability("capability", "out_of_range", Capability { models: vec![too_fast], ..good() }),
        capability("capability", "router_and_role", Capability { roles: vec![Role::Provider, Role::Router], ..good() }),
        capability("capability", "charset", Capability { region: Some("DE".into()), ..good() }),
        capability("capability", "repeated", Capability { models: vec![served(honest.spec.clone()); 2], ..good() }),
        capability("spec_ref", "wrong_reference", Capability { models: vec![served(elsewhere)], ..good() }),
        capability("spec_ref", "hash_mismatch", Capability { models: vec![served(other_entry)], ..good() }),
    ]
}

fn requests(honest: &Honest, own: &Own) -> Vec<Bad> {
    let request = |rule, code, request| entry(rule, code, AnyEntry::Request(request));
    let good = || asked(honest, honest.agent.clone(), &honest.capability);
    let next_month = in_a_minute() + limits::REQUEST_TTL_US_MAX * 4;
    vec![
        request("request", "zero_key", Request { reply_key: Bytes32([0; 32]), ..good() }),
        request("request", "out_of_range", Request { max_tokens: 0, ..good() }),
        request("request", "too_short", Request { sealed: vec![0; limits::SEALED_BYTES_MIN - 1], ..good() }),
        request("request", "too_long", Request { sealed: vec![0; limits::SEALED_REQUEST_BYTES_MAX + 1], ..good() }),
        request("request_time", "expired", Request { expires_at: 1, ..good() }),
        request("request_time", "open_too_long", Request { expires_at: next_month, ..good() }),
        request("request_capability", "not_assignee", Request { assignee: own.me.clone(), ..good() }),
        request("request_capability", "wrong_reference", Request { capability: own.answer.clone(), ..good() }),
        request("request_capability", "spec_not_listed", asked(honest, own.me.clone(), &own.auditor)),
    ]
}

fn answers(honest: &Honest, own: &Own) -> Vec<Bad> {
    let answer = |rule, code, request: &ActionHash, sealed| {
        entry(rule, code, AnyEntry::Answer(Answer { request: request.clone(), sealed: vec![0; sealed] }))
    };
    vec![
        answer("answer", "too_short", &own.request, limits::SEALED_BYTES_MIN - 1),
        answer("answer", "too_long", &own.request, limits::SEALED_ANSWER_BYTES_MAX + 1),
        answer("answer_request", "wrong_reference", &own.capability, 64),
        answer("answer_request", "not_assignee", &honest.request, 64),
    ]
}

fn batches(honest: &Honest, own: &Own) -> Vec<Bad> {
    let batch = |rule, code, batch| entry(rule, code, AnyEntry::ReceiptBatch(batch));
    let good = || ReceiptBatch {
        capability: own.capability.clone(),
        spec: honest.spec.clone(),
        root: Bytes32([3; 32]),
        count: 1,
        prompt_tokens: 1,
        completion_tokens: 1,
    };
    let past_context = u64::from(model_spec("").context_tokens) + 1;
    let answer_tokens = u64::from(limits::ANSWER_TOKENS_MAX) + 1;
    let theirs = honest.capability.clone();
    vec![
        batch("receipt_batch", "out_of_range", ReceiptBatch { count: 0, ..good() }),
        batch("receipt_batch", "out_of_range", ReceiptBatch { count: limits::BATCH_RECEIPTS_MAX + 1, ..good() }),
        batch("receipt_batch", "sum_too_large", ReceiptBatch { completion_tokens: answer_tokens, ..good() }),
        batch("receipt_batch_sums", "sum_too_large", ReceiptBatch { prompt_tokens: past_context, ..good() }),
        batch("receipt_batch_capability", "not_author", ReceiptBatch { capability: theirs, ..good() }),
        batch(
            "receipt_batch_capability",
            "spec_not_listed",
            ReceiptBatch { capability: own.auditor.clone(), ..good() },
        ),
        batch(
            "receipt_batch_capability",
            "wrong_reference",
            ReceiptBatch { capability: own.request.clone(), ..good() },
        ),
    ]
}

fn changes(honest: &Honest, own: &Own) -> Vec<Bad> {
    let update = |code, original: &ActionHash, bytes| Bad {
        rule: "update",
        code,
        act: Act::Update(RawUpdate { original: original.clone(), bytes }),
    };
    let revocation = Revocation { target: Revoked::Agent(honest.agent.clone()) };
    let delete = |code, action: &ActionHash| Bad { rule: "delete", code, act: Act::Delete(action.clone()) };
    vec![
        update("immutable", &honest.spec.action, bytes(&model_spec("b"))),
        update("not_author", &honest.capability, bytes(&offered(&honest.spec))),
        delete("undeletable", &honest.spec.action),
        delete("undeletable", &own.answer),
        delete("not_author", &honest.capability),
        Bad { rule: "delete_link", code: "not_author", act: Act::Unlink(own.their_link.clone()) },
        entry("revocation", "unsupported", AnyEntry::Revocation(revocation)),
    ]
}

fn links(honest: &Honest, own: &Own) -> Vec<Bad> {
    fn link(
        rule: &'static str,
        code: &'static str,
        link_type: u8,
        base: impl Into<AnyLinkableHash>,
        target: &ActionHash,
    ) -> Bad {
        let link = RawLink { base: base.into(), target: target.clone().into(), link_type, tag: vec![] };
        Bad { rule, code, act: Act::Link(link) }
    }
    let (specs, revoked, me) = (&own.spec_anchor, &own.revoked_anchor, &own.me);
    let [root, deep, beside, routers] = &own.buckets;
    let bucket = |rule, code, link_type, base: &EntryHash, depth: u8, target: &ActionHash| {
        let link = RawLink { base: base.clone().into(), target: target.clone().into(), link_type, tag: vec![depth] };
        Bad { rule, code, act: Act::Link(link) }
    };
    let spec = &honest.spec;
    let (mine, theirs) = (&own.capability, &honest.capability);
    let tagged =
        RawLink { base: me.clone().into(), target: mine.clone().into(), link_type: AGENT_TO_CAPABILITY, tag: vec![1] };
    vec![
        Bad { rule: "link_tag", code: "link_tag", act: Act::Link(tagged) },
        link("all_model_specs", "link_base", ALL_MODEL_SPECS, revoked.clone(), &spec.action),
        link("all_model_specs", "link_target", ALL_MODEL_SPECS, specs.clone(), mine),
        link("all_model_specs", "not_author", ALL_MODEL_SPECS, specs.clone(), &spec.action),
        link("link_tag", "link_tag", BUCKET_TO_PROVIDER, root.clone(), mine),
        bucket("bucket_depth", "out_of_range", BUCKET_TO_PROVIDER, deep, limits::BUCKET_DEPTH_MAX + 1, mine),
        bucket("bucket_to_provider", "link_base", BUCKET_TO_PROVIDER, beside, 3, mine),
        bucket("bucket_to_provider", "link_base", BUCKET_TO_PROVIDER, deep, 2, mine),
        bucket("bucket_to_provider", "link_base", BUCKET_TO_PROVIDER, specs, 0, mine),
        bucket("bucket_to_provider", "link_target", BUCKET_TO_PROVIDER, root, 0, &own.request),
        bucket("bucket_to_provider", "not_author", BUCKET_TO_PROVIDER, root, 0, theirs),
        bucket("bucket_to_provider", "not_provider", BUCKET_TO_PROVIDER, root, 0, &own.auditor),
        bucket("bucket_to_router", "link_target", BUCKET_TO_ROUTER, routers, 0, &own.request),
        bucket("bucket_to_router", "not_author", BUCKET_TO_ROUTER, routers, 0, theirs),
        bucket("bucket_to_router", "not_router", BUCKET_TO_ROUTER, routers, 0, mine),
        bucket("bucket_to_router", "link_base", BUCKET_TO_ROUTER, root, 0, &own.router),
        link("agent_to_capability", "link_base", AGENT_TO_CAPABILITY, honest.agent.clone(), mine),
        link("agent_to_capability", "link_target", AGENT_TO_CAPABILITY, me.clone(), &own.request),
        link("agent_to_capability", "not_author", AGENT_TO_CAPABILITY, me.clone(), theirs),
        link("assignee_to_request", "link_target", ASSIGNEE_TO_REQUEST, me.clone(), mine),
        link("assignee_to_request", "link_base", ASSIGNEE_TO_REQUEST, honest.agent.clone(), &own.request),
        link("assignee_to_request", "not_author", ASSIGNEE_TO_REQUEST, honest.agent.clone(), &honest.request),
        link("all_revocations", "link_base", ALL_REVOCATIONS, specs.clone(), mine),
        link("request_to_answer", "link_target", REQUEST_TO_ANSWER, own.request.clone(), mine),
        link("request_to_answer", "link_base", REQUEST_TO_ANSWER, honest.request.clone(), &own.answer),
    ]
}
