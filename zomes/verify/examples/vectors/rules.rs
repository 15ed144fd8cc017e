//! The rules of the DHT: what may be written, linked, updated, deleted, and by whom.

use super::fixtures::*;
use super::stated;
use ainonymous_types::*;
use ainonymous_verify::buckets;
use ainonymous_verify::rules::{Anchor, AppEntry, Kind, LinkKind};
use ainonymous_verify::vectors::{
    anchor, bucket, receipt_place, Case, ChangeCase, EncodingCase, EntryCase, File, LinkCase, PlaceCase, UnlinkCase,
};

pub(crate) fn entries() -> File {
    let mut cases = model_specs();
    cases.extend(capabilities());
    cases.extend(requests());
    cases.extend(answers());
    cases.extend(batches());
    cases.extend(revocations());
    super::file("Entries: alone, and against the records that they refer to.", cases)
}

fn entry(name: &str, author: u8, entry: AppEntry, expected: &str) -> Case {
    let case = EntryCase { author: agent(author), timestamp: NOW, entry };
    stated(name, "rules.entry", &case, expected)
}

fn revocations() -> Vec<Case> {
    let case = |name: &str, author, target, expected: &str| {
        entry(name, author, AppEntry::Revocation(Revocation { target }), expected)
    };
    vec![
        case("a founder revokes an agent", ALICE, Revoked::Agent(agent(MALLORY)), "ok"),
        case("a founder revokes an invite", ALICE, Revoked::Invite(b32(0x61)), "ok"),
        case("somebody else revokes an agent", MALLORY, Revoked::Agent(agent(BOB)), "not_founder"),
        case("somebody else revokes an invite", BOB, Revoked::Invite(b32(0x61)), "not_founder"),
        case("a founder revokes a founder", ALICE, Revoked::Agent(agent(ALICE)), "founder_revoked"),
    ]
}

fn model_specs() -> Vec<Case> {
    let case = |name: &str, spoil: &dyn Fn(&mut ModelSpec), expected: &str| {
        entry(name, ALICE, AppEntry::ModelSpec(with(model_spec(), |s| spoil(s))), expected)
    };
    vec![
        case("model spec", &|_| (), "ok"),
        case("model name empty", &|s| s.name.clear(), "empty"),
        case("longest model name", &|s| s.name = "n".repeat(limits::MODEL_NAME_BYTES_MAX), "ok"),
        case("model name one byte past", &|s| s.name = "n".repeat(limits::MODEL_NAME_BYTES_MAX + 1), "too_long"),
        case("model name with a control character", &|s| s.name = "a\u{7}".into(), "charset"),
        case("model name that looks like another", &|s| s.name = "gemm\u{0430}".into(), "charset"),
        case("model name with space at its end", &|s| s.name = "gemma ".into(), "charset"),
        case("longest quantization", &|s| s.quantization = "q".repeat(limits::QUANTIZATION_BYTES_MAX), "ok"),
        case(
            "quantization one byte past",
            &|s| s.quantization = "q".repeat(limits::QUANTIZATION_BYTES_MAX + 1),
            "too_long",
        ),
        case("quantization in capitals", &|s| s.quantization = "Q8_0".into(), "charset"),
        case("longest architecture", &|s| s.architecture = "a".repeat(limits::ARCHITECTURE_BYTES_MAX), "ok"),
        case(
            "architecture one byte past",
            &|s| s.architecture = "a".repeat(limits::ARCHITECTURE_BYTES_MAX + 1),
            "too_long",
        ),
        case("architecture with a slash", &|s| s.architecture = "a/b".into(), "charset"),
        case("a file of one byte", &|s| s.gguf_bytes = 1, "ok"),
        case("a file of nothing", &|s| s.gguf_bytes = 0, "out_of_range"),
        case("largest file", &|s| s.gguf_bytes = limits::MODEL_FILE_BYTES_MAX, "ok"),
        case("file one byte past", &|s| s.gguf_bytes = limits::MODEL_FILE_BYTES_MAX + 1, "out_of_range"),
        case("no context", &|s| s.context_tokens = 0, "out_of_range"),
        case("largest context", &|s| s.context_tokens = limits::CONTEXT_TOKENS_MAX, "ok"),
        case("context one token past", &|s| s.context_tokens = limits::CONTEXT_TOKENS_MAX + 1, "out_of_range"),
    ]
}

fn capabilities() -> Vec<Case> {
    use Role::{Auditor, Provider, Router};
    let case = |name: &str, spoil: &dyn Fn(&mut Capability), expected: &str| {
        entry(name, BOB, AppEntry::Capability(with(capability(), |c| spoil(c))), expected)
    };
    fn offering(spoil: &dyn Fn(&mut RouterOffer)) -> impl Fn(&mut Capability) + '_ {
        move |c| {
            c.roles = vec![Provider, Router];
            c.router = Some(with(router(), |r| spoil(r)));
        }
    }
    fn addresses(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("10.0.0.{i}:7")).collect()
    }
    let speed = |n| move |c: &mut Capability| c.models[0].tokens_per_s = n;
    let spec = |spoil: fn(&mut SpecRef)| move |c: &mut Capability| spoil(&mut c.models[0].spec);
    vec![
        case("capability", &|_| (), "ok"),
        case(
            "all roles",
            &|c| {
                c.roles = vec![Provider, Router, Auditor];
                c.router = Some(router());
            },
            "ok",
        ),
        case("the router role without a router", &|c| c.roles = vec![Provider, Router], "router_and_role"),
        case("a router without the router role", &|c| c.router = Some(router()), "router_and_role"),
        case("a router's key of zeros", &offering(&|r| r.key = b32(0)), "zero_key"),
        case("a router nowhere", &offering(&|r| r.addresses.clear()), "empty"),
        case("most addresses of a router", &offering(&|r| r.addresses = addresses(limits::ROUTER_ADDRESSES_MAX)), "ok"),
        case(
            "one address of a router past",
            &offering(&|r| r.addresses = addresses(limits::ROUTER_ADDRESSES_MAX + 1)),
            "too_many",
        ),
        case("an address of a router twice", &offering(&|r| r.addresses = vec!["a:1".into(); 2]), "repeated"),
        case(
            "address of a router one byte past",
            &offering(&|r| r.addresses = vec!["a".repeat(limits::ADDRESS_BYTES_MAX + 1)]),
            "too_long",
        ),
        case("a region", &|c| c.region = Some("eu-west".into()), "ok"),
        case("longest region", &|c| c.region = Some("a".repeat(limits::REGION_BYTES_MAX)), "ok"),
        case("region one byte past", &|c| c.region = Some("a".repeat(limits::REGION_BYTES_MAX + 1)), "too_long"),
        case("an empty region", &|c| c.region = Some(String::new()), "empty"),
        case("a region in capitals", &|c| c.region = Some("DE".into()), "charset"),
        case("no roles", &|c| c.roles.clear(), "empty"),
        case("too many roles", &|c| c.roles = vec![Provider; limits::CAPABILITY_ROLES_MAX + 1], "too_many"),
        case("roles out of order", &|c| c.roles = vec![Auditor, Provider], "unordered"),
        case("a role twice", &|c| c.roles = vec![Provider, Provider], "unordered"),
        case("no sealing key", &|c| c.sealing_key = b32(0), "zero_key"),
        case("a transport key", &|c| c.transport_key = Some(b32(1)), "ok"),
        case("a transport key of zeros", &|c| c.transport_key = Some(b32(0)), "zero_key"),
        case("most addresses", &|c| c.addresses = addresses(limits::CAPABILITY_ADDRESSES_MAX), "ok"),
        case("one address past", &|c| c.addresses = addresses(limits::CAPABILITY_ADDRESSES_MAX + 1), "too_many"),
        case("an address twice", &|c| c.addresses = vec!["a:1".into(), "a:1".into()], "repeated"),
        case("an empty address", &|c| c.addresses = vec![String::new()], "empty"),
        case("longest address", &|c| c.addresses = vec!["a".repeat(limits::ADDRESS_BYTES_MAX)], "ok"),
        case("address one byte past", &|c| c.addresses = vec!["a".repeat(limits::ADDRESS_BYTES_MAX + 1)], "too_long"),
        case("address with a line break", &|c| c.addresses = vec!["a:1\n".into()], "charset"),
        case("no detail", &|c| c.backend_detail.clear(), "ok"),
        case("longest detail", &|c| c.backend_detail = "d".repeat(limits::BACKEND_DETAIL_BYTES_MAX), "ok"),
        case(
            "detail one byte past",
            &|c| c.backend_detail = "d".repeat(limits::BACKEND_DETAIL_BYTES_MAX + 1),
            "too_long",
        ),
        case("detail beyond ASCII", &|c| c.backend_detail = "GPU\u{2122}".into(), "charset"),
        case("no models", &|c| c.models.clear(), "ok"),
        case("models without the provider role", &|c| c.roles = vec![Router], "models_without_provider"),
        case(
            "one model past",
            &|c| {
                let model = c.models[0].clone();
                c.models = (0..=limits::CAPABILITY_MODELS_MAX as u8)
                    .map(|n| with(model.clone(), |m| m.spec.entry = entry_hash(100 + n)))
                    .collect();
            },
            "too_many",
        ),
        case("a model twice", &|c| c.models.push(c.models[0].clone()), "repeated"),
        case("not measured", &speed(0), "ok"),
        case("fastest", &speed(limits::TOKENS_PER_S_MAX), "ok"),
        case("speed one past", &speed(limits::TOKENS_PER_S_MAX + 1), "out_of_range"),
        case("a spec that has not arrived", &spec(|s| s.action = action(99)), "missing"),
        case("a spec that is something else", &spec(|s| s.action = action(30)), "wrong_reference"),
        case("a spec by another hash", &spec(|s| s.entry = entry_hash(21)), "hash_mismatch"),
    ]
}

fn requests() -> Vec<Case> {
    let case = |name: &str, spoil: &dyn Fn(&mut Request), expected: &str| {
        entry(name, ALICE, AppEntry::Request(with(request(), |r| spoil(r))), expected)
    };
    let open = |us: i64| move |r: &mut Request| r.expires_at = NOW.saturating_add(us);
    let tokens = |n| move |r: &mut Request| r.max_tokens = n;
    vec![
        case("request", &|_| (), "ok"),
        case("no reply key", &|r| r.reply_key = b32(0), "zero_key"),
        case("no tokens", &tokens(0), "out_of_range"),
        case("most tokens", &tokens(limits::ANSWER_TOKENS_MAX), "ok"),
        case("one token past", &tokens(limits::ANSWER_TOKENS_MAX + 1), "out_of_range"),
        case("sealed too short", &|r| r.sealed.truncate(limits::SEALED_BYTES_MIN - 1), "too_short"),
        case("expired as it is written", &open(0), "expired"),
        case("expires at once", &open(1), "ok"),
        case("open for longest", &open(limits::REQUEST_TTL_US_MAX), "ok"),
        case("open one microsecond past", &open(limits::REQUEST_TTL_US_MAX + 1), "open_too_long"),
        case("open until the end of time", &|r| r.expires_at = i64::MAX, "open_too_long"),
        case("expired since the beginning of time", &|r| r.expires_at = i64::MIN, "expired"),
        case("a spec that has not arrived", &|r| r.spec.action = action(99), "missing"),
        case("a spec by another hash", &|r| r.spec.entry = entry_hash(21), "hash_mismatch"),
        case("a capability that has not arrived", &|r| r.capability = action(99), "missing"),
        case("a capability that is something else", &|r| r.capability = action(20), "wrong_reference"),
        case("somebody else's capability", &|r| r.assignee = agent(MALLORY), "not_assignee"),
        case(
            "a capability that does not list the spec",
            &|r| {
                r.assignee = agent(MALLORY);
                r.capability = action(90);
            },
            "spec_not_listed",
        ),
    ]
}

fn answers() -> Vec<Case> {
    let case = |name: &str, author: u8, spoil: &dyn Fn(&mut Answer), expected: &str| {
        entry(name, author, AppEntry::Answer(with(answer(), |a| spoil(a))), expected)
    };
    vec![
        case("answer", BOB, &|_| (), "ok"),
        case("an answer by somebody else", MALLORY, &|_| (), "not_assignee"),
        case("an answer by the requester", ALICE, &|_| (), "not_assignee"),
        case("sealed too short", BOB, &|a| a.sealed.truncate(limits::SEALED_BYTES_MIN - 1), "too_short"),
        case("to a request that has not arrived", BOB, &|a| a.request = action(99), "missing"),
        case("to something else", BOB, &|a| a.request = action(30), "wrong_reference"),
    ]
}

fn batches() -> Vec<Case> {
    let case = |name: &str, author: u8, spoil: &dyn Fn(&mut ReceiptBatch), expected: &str| {
        entry(name, author, AppEntry::ReceiptBatch(with(batch(), |b| spoil(b))), expected)
    };
    let prompt = 2 * u64::from(model_spec().context_tokens);
    let completion = 2 * u64::from(limits::ANSWER_TOKENS_MAX);
    vec![
        case("receipt batch", BOB, &|_| (), "ok"),
        case("no receipts", BOB, &|b| b.count = 0, "out_of_range"),
        case("most receipts", BOB, &|b| b.count = limits::BATCH_RECEIPTS_MAX, "ok"),
        case("one receipt past", BOB, &|b| b.count = limits::BATCH_RECEIPTS_MAX + 1, "out_of_range"),
        case("longest prompts", BOB, &|b| b.prompt_tokens = prompt, "ok"),
        case("one prompt token past", BOB, &|b| b.prompt_tokens = prompt + 1, "sum_too_large"),
        case("more prompt tokens than anybody's", BOB, &|b| b.prompt_tokens = u64::MAX, "sum_too_large"),
        case("longest answers", BOB, &|b| b.completion_tokens = completion, "ok"),
        case("one answer token past", BOB, &|b| b.completion_tokens = completion + 1, "sum_too_large"),
        case("by somebody else's capability", MALLORY, &|_| (), "not_author"),
        case("by a capability that does not list the spec", MALLORY, &|b| b.capability = action(90), "spec_not_listed"),
        case("a capability that has not arrived", BOB, &|b| b.capability = action(99), "missing"),
        case("a capability that is something else", BOB, &|b| b.capability = action(20), "wrong_reference"),
        case("a spec that has not arrived", BOB, &|b| b.spec.action = action(99), "missing"),
        case("a spec that is something else", BOB, &|b| b.spec.action = action(30), "wrong_reference"),
        case("a spec by another hash", BOB, &|b| b.spec.entry = entry_hash(21), "hash_mismatch"),
    ]
}

pub(crate) fn links() -> File {
    use LinkKind::*;
    let to = |n: u8| AnyLinkableHash::from(action(n));
    let specs = || AnyLinkableHash::from(anchor(Anchor::ModelSpecs));
    let other = || AnyLinkableHash::from(entry_hash(77));
    let of_spec = || Topic::Providers(entry_hash(20));
    let revoked = || AnyLinkableHash::from(anchor(Anchor::Revocations));
    let spec = || AnyLinkableHash::from(entry_hash(20));
    let who = |n: u8| AnyLinkableHash::from(agent(n));
    let cases = vec![
        link("anchor to model spec", ALICE, AllModelSpecs, specs(), to(20), "ok"),
        link("anchor to somebody else's model spec", BOB, AllModelSpecs, specs(), to(20), "not_author"),
        link("anchor of model specs to a capability", BOB, AllModelSpecs, specs(), to(30), "link_target"),
        link("another anchor to a model spec", ALICE, AllModelSpecs, revoked(), to(20), "link_base"),
        link("anchor to an entry", ALICE, AllModelSpecs, specs(), spec(), "link_target"),
        link("anchor to what has not arrived", ALICE, AllModelSpecs, specs(), to(99), "missing"),
        drawn("bucket to provider", BOB, &of_spec(), 0, to(30), "ok"),
        drawn("deeper bucket to provider", BOB, &of_spec(), 5, to(30), "ok"),
        drawn("deepest bucket to provider", BOB, &of_spec(), limits::BUCKET_DEPTH_MAX, to(30), "ok"),
        drawn("bucket to somebody else", MALLORY, &of_spec(), 5, to(30), "not_author"),
        drawn("bucket to one who is no provider", MALLORY, &of_spec(), 5, to(90), "not_provider"),
        drawn("bucket to a request", ALICE, &of_spec(), 5, to(40), "link_target"),
        drawn("bucket of a spec that is not listed", BOB, &Topic::Providers(entry_hash(21)), 5, to(30), "link_base"),
        bucketed("another bucket than the lot draws", BOB, BucketToProvider, strange(&of_spec()), 5, "link_base"),
        bucketed("another depth than the tag says", BOB, BucketToProvider, own(&of_spec(), 5), 6, "link_base"),
        bucketed(
            "a level past the deepest",
            BOB,
            BucketToProvider,
            own(&of_spec(), limits::BUCKET_DEPTH_MAX),
            limits::BUCKET_DEPTH_MAX + 1,
            "out_of_range",
        ),
        bucketed("no bucket to provider", BOB, BucketToProvider, other(), 0, "link_base"),
        bucketed("a provider in a bucket of routers", BOB, BucketToRouter, own(&Topic::Routers, 0), 0, "not_router"),
        link("bucket without its depth", BOB, BucketToProvider, own(&of_spec(), 0), to(30), "link_tag"),
        drawn("bucket to router", MALLORY, &Topic::Routers, 3, to(110), "ok"),
        drawn("a router's key to router", MALLORY, &Topic::Router(router().key), 0, to(110), "ok"),
        drawn("another router's key to router", MALLORY, &Topic::Router(b32(9)), 0, to(110), "link_base"),
        drawn("bucket of routers to somebody else", BOB, &Topic::Routers, 3, to(110), "not_author"),
        drawn("bucket of routers to a request", ALICE, &Topic::Routers, 3, to(40), "link_target"),
        link("agent to capability", BOB, AgentToCapability, who(BOB), to(30), "ok"),
        link("agent to somebody else's capability", MALLORY, AgentToCapability, who(MALLORY), to(30), "not_author"),
        link("another agent to one's capability", BOB, AgentToCapability, who(ALICE), to(30), "link_base"),
        link("agent to a request", ALICE, AgentToCapability, who(ALICE), to(40), "link_target"),
        link("assignee to request", ALICE, AssigneeToRequest, who(BOB), to(40), "ok"),
        link("assignee to somebody else's request", MALLORY, AssigneeToRequest, who(BOB), to(40), "not_author"),
        link("another agent to the request", ALICE, AssigneeToRequest, who(MALLORY), to(40), "link_base"),
        link("assignee to a capability", BOB, AssigneeToRequest, who(BOB), to(30), "link_target"),
        link("request to answer", BOB, RequestToAnswer, to(40), to(50), "ok"),
        link("request to somebody else's answer", MALLORY, RequestToAnswer, to(40), to(50), "not_author"),
        link("another request to the answer", BOB, RequestToAnswer, to(41), to(50), "link_base"),
        link("request to a batch", BOB, RequestToAnswer, to(40), to(60), "link_target"),
        link("anchor to revocation", ALICE, AllRevocations, revoked(), to(100), "ok"),
        link("anchor to somebody else's revocation", MALLORY, AllRevocations, revoked(), to(100), "not_author"),
        link("another anchor to a revocation", ALICE, AllRevocations, specs(), to(100), "link_base"),
        link("anchor of revocations to a request", ALICE, AllRevocations, revoked(), to(40), "link_target"),
        link("model spec to calibration", MALLORY, SpecToCalibration, spec(), to(120), "ok"),
        link("model spec to somebody else's calibration", BOB, SpecToCalibration, spec(), to(120), "not_author"),
        link("another spec to the calibration", MALLORY, SpecToCalibration, other(), to(120), "link_base"),
        link("model spec to a capability", BOB, SpecToCalibration, spec(), to(30), "link_target"),
        link("receipt to commitment", MALLORY, ReceiptToAudit, receipt_at(1), to(130), "ok"),
        link("receipt to somebody else's commitment", BOB, ReceiptToAudit, receipt_at(1), to(130), "not_author"),
        link("another receipt to the commitment", MALLORY, ReceiptToAudit, receipt_at(2), to(130), "link_base"),
        link("receipt to report", MALLORY, ReceiptToAudit, receipt_at(1), to(140), "ok"),
        link("another receipt to the report", MALLORY, ReceiptToAudit, receipt_at(2), to(140), "link_base"),
        link("receipt to a report of a jury", ALICE, ReceiptToAudit, receipt_at(1), to(170), "ok"),
        link("one receipt to equivocation", ALICE, ReceiptToAudit, receipt_at(1), to(190), "ok"),
        link("the other receipt to equivocation", ALICE, ReceiptToAudit, receipt_at(2), to(190), "ok"),
        link("a third receipt to the equivocation", ALICE, ReceiptToAudit, receipt_at(3), to(190), "link_base"),
        link("receipt to an accusation", MALLORY, ReceiptToAudit, receipt_at(1), to(150), "link_target"),
        link("provider to report", MALLORY, ProviderToReport, who(BOB), to(140), "ok"),
        link("provider to somebody else's report", ALICE, ProviderToReport, who(BOB), to(140), "not_author"),
        link("another provider to the report", MALLORY, ProviderToReport, who(ALICE), to(140), "link_base"),
        link("provider to a report of a jury", ALICE, ProviderToReport, who(BOB), to(170), "link_target"),
        link("provider to a commitment as report", MALLORY, ProviderToReport, who(BOB), to(130), "link_target"),
        link("provider to accusation", MALLORY, ProviderToAccusation, who(BOB), to(150), "ok"),
        link("provider to somebody else's accusation", ALICE, ProviderToAccusation, who(BOB), to(150), "not_author"),
        link("another provider to the accusation", MALLORY, ProviderToAccusation, who(ALICE), to(150), "link_base"),
        link("provider to a report as accusation", MALLORY, ProviderToAccusation, who(BOB), to(140), "link_target"),
        link("accusation to report of its jury", ALICE, AccusationToReport, to(150), to(170), "ok"),
        link("accusation to somebody else's report", MALLORY, AccusationToReport, to(150), to(170), "not_author"),
        link("another accusation to the report", ALICE, AccusationToReport, to(151), to(170), "link_base"),
        link("accusation to a report outside juries", MALLORY, AccusationToReport, to(150), to(140), "link_target"),
        link("accusation to a commitment", ALICE, AccusationToReport, to(150), to(160), "link_target"),
        link("provider to conviction", ALICE, ProviderToConviction, who(BOB), to(180), "ok"),
        link("provider to somebody else's conviction", MALLORY, ProviderToConviction, who(BOB), to(180), "not_author"),
        link("another provider to the conviction", ALICE, ProviderToConviction, who(MALLORY), to(180), "link_base"),
        link(
            "provider to an accusation as conviction",
            MALLORY,
            ProviderToConviction,
            who(BOB),
            to(150),
            "link_target",
        ),
        link("provider to its appeal", BOB, ProviderToAppeal, who(BOB), to(200), "ok"),
        link("provider to somebody else's appeal", ALICE, ProviderToAppeal, who(BOB), to(200), "link_base"),
        link("an agent to somebody else's appeal", ALICE, ProviderToAppeal, who(ALICE), to(200), "not_author"),
        link("provider to a conviction as appeal", BOB, ProviderToAppeal, who(BOB), to(180), "link_target"),
        link("conviction to report of the second jury", ALICE, ConvictionToReport, to(180), to(220), "ok"),
        link("conviction to a report of the first jury", ALICE, ConvictionToReport, to(180), to(170), "link_target"),
        link("conviction to somebody else's report", BOB, ConvictionToReport, to(180), to(220), "not_author"),
        link("another conviction to the report", ALICE, ConvictionToReport, to(181), to(220), "link_base"),
        link("accusation to a report of the second jury", ALICE, AccusationToReport, to(150), to(220), "link_target"),
        link("provider to a report of the second jury", ALICE, ProviderToReport, who(BOB), to(220), "link_target"),
        link("provider to equivocation", ALICE, ProviderToEquivocation, who(BOB), to(190), "ok"),
        link("provider to somebody else's equivocation", BOB, ProviderToEquivocation, who(BOB), to(190), "not_author"),
        link("another provider to the equivocation", ALICE, ProviderToEquivocation, who(ALICE), to(190), "link_base"),
        link("provider to a batch", BOB, ProviderToEquivocation, who(BOB), to(60), "link_target"),
        tagged(),
        place("a place", &of_spec(), 7),
        place("the root", &of_spec(), 0),
        place("the deepest place", &of_spec(), limits::BUCKET_DEPTH_MAX),
        place("no place so deep", &of_spec(), limits::BUCKET_DEPTH_MAX + 1),
        place("a place of routers", &Topic::Routers, 7),
        place("the place of a router's key", &Topic::Router(b32(9)), 0),
        place("no other place of a router's key", &Topic::Router(b32(9)), 1),
        unlink("remove one's own link", BOB, ALICE, BOB, ALICE, "ok"),
        unlink("remove somebody else's link", MALLORY, ALICE, BOB, ALICE, "not_author"),
        unlink("remove a link from elsewhere", BOB, MALLORY, BOB, ALICE, "hash_mismatch"),
    ];
    super::file("Links: where they may start and end, and who may draw and remove them.", cases)
}

fn link(
    name: &str,
    author: u8,
    kind: LinkKind,
    base: AnyLinkableHash,
    target: AnyLinkableHash,
    expected: &str,
) -> Case {
    let case = LinkCase { author: agent(author), kind, base, target, tag: vec![] };
    stated(name, "rules.link", &case, expected)
}

/// From the bucket that the author's own lot draws.
fn drawn(name: &str, author: u8, topic: &Topic, depth: u8, target: AnyLinkableHash, expected: &str) -> Case {
    let place = buckets::place(topic, &agent(author), depth).unwrap();
    let base = bucket(topic, place).into();
    let kind = buckets::link_kind(topic);
    let case = LinkCase { author: agent(author), kind, base, target, tag: vec![depth] };
    stated(name, "rules.link", &case, expected)
}

/// From a bucket to Bob's capability.
fn bucketed(name: &str, author: u8, kind: LinkKind, base: AnyLinkableHash, depth: u8, expected: &str) -> Case {
    let case = LinkCase { author: agent(author), kind, base, target: action(30).into(), tag: vec![depth] };
    stated(name, "rules.link", &case, expected)
}

/// Where Bob's n-th receipt has its place.
fn receipt_at(n: u8) -> AnyLinkableHash {
    receipt_place(&ainonymous_verify::receipt::leaf(&receipt(n))).into()
}

/// Bob's bucket.
fn own(topic: &Topic, depth: u8) -> AnyLinkableHash {
    bucket(topic, buckets::place(topic, &agent(BOB), depth).unwrap()).into()
}

/// Beside Bob's bucket of depth 5.
fn strange(topic: &Topic) -> AnyLinkableHash {
    let place = buckets::place(topic, &agent(BOB), 5).unwrap();
    bucket(topic, Place { bucket: place.bucket ^ 1, ..place }).into()
}

fn place(name: &str, topic: &Topic, depth: u8) -> Case {
    super::computed(name, "buckets.place", &PlaceCase { topic: topic.clone(), agent: agent(BOB), depth })
}

fn tagged() -> Case {
    let case = LinkCase {
        author: agent(BOB),
        kind: LinkKind::AgentToCapability,
        base: agent(BOB).into(),
        target: action(30).into(),
        tag: vec![1],
    };
    stated("a link with a tag", "rules.link", &case, "link_tag")
}

fn unlink(name: &str, author: u8, base: u8, drawn_by: u8, drawn_from: u8, expected: &str) -> Case {
    let case = UnlinkCase {
        author: agent(author),
        base: agent(base).into(),
        drawn_by: agent(drawn_by),
        drawn_from: agent(drawn_from).into(),
    };
    stated(name, "rules.delete_link", &case, expected)
}

pub(crate) fn changes() -> File {
    let change = |operation: &str, name: &str, author: u8, kind: Kind, original: u8, expected: &str| {
        let case = ChangeCase { author: agent(author), kind, original: action(original) };
        stated(name, operation, &case, expected)
    };
    let update = |name: &str, author, kind, original, expected: &str| {
        change("rules.update", name, author, kind, original, expected)
    };
    let delete = |name: &str, author, original, expected: &str| {
        change("rules.delete", name, author, Kind::Capability, original, expected)
    };
    let encoding = |name: &str, bytes: &[u8], again: &[u8], expected: &str| {
        let case = EncodingCase { bytes: bytes.into(), again: again.into() };
        stated(name, "rules.entry_encoding", &case, expected)
    };
    let cases = vec![
        update("update one's capability", BOB, Kind::Capability, 30, "ok"),
        update("update somebody else's capability", MALLORY, Kind::Capability, 30, "not_author"),
        update("put a capability in place of a model spec", ALICE, Kind::Capability, 20, "wrong_reference"),
        update("update what has not arrived", BOB, Kind::Capability, 99, "missing"),
        update("update a model spec", ALICE, Kind::ModelSpec, 20, "immutable"),
        update("update a request", ALICE, Kind::Request, 40, "immutable"),
        update("update an answer", BOB, Kind::Answer, 50, "immutable"),
        update("update a receipt batch", BOB, Kind::ReceiptBatch, 60, "immutable"),
        update("update a revocation", ALICE, Kind::Revocation, 100, "immutable"),
        delete("delete one's capability", BOB, 30, "ok"),
        delete("delete one's grant", BOB, 70, "ok"),
        delete("delete somebody else's capability", MALLORY, 30, "not_author"),
        delete("delete somebody else's grant", MALLORY, 70, "not_author"),
        delete("delete a model spec", ALICE, 20, "undeletable"),
        delete("delete a request", ALICE, 40, "undeletable"),
        delete("delete an answer", BOB, 50, "undeletable"),
        delete("delete a receipt batch", BOB, 60, "undeletable"),
        delete("delete a revocation", ALICE, 100, "undeletable"),
        delete("delete something else", BOB, 80, "undeletable"),
        encoding("an entry in its own bytes", &[0x81, 0xa1], &[0x81, 0xa1], "ok"),
        encoding("an entry with a stowaway", &[0x81, 0xa1, 0x00], &[0x81, 0xa1], "not_canonical"),
    ];
    super::file("Updates, deletions and encodings.", cases)
}
