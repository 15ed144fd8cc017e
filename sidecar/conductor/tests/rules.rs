//! The rules of the network in real conductors: what honest nodes can do, and what becomes of what they would not.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../tests/zomes/rogue/src/payload.rs"]
mod payload;

use ainonymous_conductor::{pack, Conductor, NetworkState};
use ainonymous_types::*;
use ainonymous_verify::{ask, commit, merkle, receipt};
use common::{bootstrap, eventually, happ, options, repository, run, until, NOWHERE};
use ed25519_dalek::{Signer, SigningKey};
use holochain::conductor::api::AdminInterfaceApi;
use holochain::conductor::{Conductor as Holochain, ConductorHandle};
use holochain_conductor_api::conductor::{ConductorConfig, ConductorTuningParams, KeystoreConfig, NetworkConfig};
use holochain_conductor_api::{AdminRequest, AdminResponse, CellInfo};
use holochain_types::app::{AppBundleSource, InstallAppPayload};
use holochain_types::prelude::{CellId, ExternIO, Nonce256Bits, Timestamp, ZomeCallParams, ZomeCallResponse};
use payload::{AnyEntry, RawCall, RawEntry, RawLink, RawPayload, RawUpdate, VectorReport};
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A conductor that has the rogue coordinator as well, on the same network as all others.
struct Rogue {
    conductor: ConductorHandle,
    happ: Vec<u8>,
}

/// One agent of it.
#[derive(Clone)]
struct RogueAgent {
    conductor: ConductorHandle,
    cell: CellId,
}

impl Rogue {
    async fn start(dir: &Path, url: &str, self_validation: bool) -> Self {
        ainonymous_conductor::install_crypto_provider();
        let config = ConductorConfig {
            data_root_path: Some(dir.to_path_buf().into()),
            keystore: KeystoreConfig::LairServerInProc { lair_root: None },
            network: NetworkConfig {
                bootstrap_url: url2::Url2::parse(url),
                relay_url: url2::Url2::parse(url),
                // Peers that are gone are asked too; do not wait for them.
                request_timeout_s: 5,
                advanced: Some(serde_json::json!({
                    "irohTransport": { "relayAllowPlainText": true },
                    "k2Gossip": { "initialInitiateIntervalMs": 500, "initiateIntervalMs": 1_000,
                        "minInitiateIntervalMs": 900, "initiateJitterMs": 100, "roundTimeoutMs": 10_000 },
                    "coreBootstrap": { "backoffMinMs": 500, "backoffMaxMs": 3_000 },
                })),
                ..NetworkConfig::default()
            },
            tuning_params: Some(ConductorTuningParams {
                disable_self_validation: !self_validation,
                sys_validation_retry_delay: Some(Duration::from_secs(1)),
                ..ConductorTuningParams::new()
            }),
            ..ConductorConfig::default()
        };
        let passphrase = Arc::new(Mutex::new(sodoken::LockedArray::from(b"rogue".to_vec())));
        let builder = Holochain::builder().config(config).passphrase(Some(passphrase)).no_print_setup();
        Self { conductor: Box::pin(builder.build()).await.unwrap(), happ: rogue_happ().await }
    }

    /// A new agent.
    async fn agent(&self, name: &str) -> RogueAgent {
        let api = AdminInterfaceApi::new(self.conductor.clone());
        let install = AdminRequest::InstallApp(Box::new(InstallAppPayload {
            source: AppBundleSource::Bytes(self.happ.clone().into()),
            agent_key: None,
            installed_app_id: Some(name.into()),
            network_seed: None,
            roles_settings: None,
            ignore_genesis_failure: false,
            restore_from_dht: false,
        }));
        let AdminResponse::AppInstalled(info) = Box::pin(api.handle_request(Ok(install))).await.unwrap() else {
            panic!("not installed")
        };
        let enable = AdminRequest::EnableApp { installed_app_id: name.into() };
        Box::pin(api.handle_request(Ok(enable))).await.unwrap();
        let CellInfo::Provisioned(cell) = &info.cell_info[ROLE_NAME][0] else { panic!("no cell") };
        RogueAgent { conductor: self.conductor.clone(), cell: cell.cell_id.clone() }
    }

    async fn stop(self) {
        Box::pin(self.conductor.shutdown()).await.unwrap().unwrap();
    }
}

impl RogueAgent {
    fn key(&self) -> AgentPubKey {
        self.cell.agent_pubkey().clone()
    }

    async fn call<O: DeserializeOwned + Debug>(
        &self,
        zome: &'static str,
        function: &'static str,
        input: impl Serialize + Debug,
    ) -> Result<O, String> {
        let params = ZomeCallParams {
            provenance: self.key(),
            cell_id: self.cell.clone(),
            zome_name: zome.into(),
            fn_name: function.into(),
            cap_secret: None,
            payload: ExternIO::encode(input).unwrap(),
            nonce: Nonce256Bits::from(rand::random::<[u8; 32]>()),
            expires_at: Timestamp::now().saturating_add(&Duration::from_secs(300)),
        };
        let conductor = self.conductor.clone();
        let called = tokio::spawn(Box::pin(async move { conductor.call_zome(params).await })).await.unwrap();
        match called {
            Ok(Ok(ZomeCallResponse::Ok(output))) => Ok(output.decode().unwrap()),
            Ok(Ok(other)) => Err(format!("{other:?}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Calls the rogue zome for an action.
    async fn rogue(&self, function: &'static str, input: impl Serialize + Debug) -> Result<ActionHash, String> {
        self.call("rogue", function, input).await
    }
}

/// Lets a conductor have the zomes as another compiled them: that is what takes longest in its first minute.
fn compiled_already(from: &Path, to: &Path) {
    let (from, to) = (from.join("databases"), to.join("databases"));
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("wasm.db") || name == "db.key" {
            std::fs::copy(file.path(), to.join(name)).unwrap();
        }
    }
}

/// The app with the rogue coordinator beside ours.
async fn rogue_happ() -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    for file in [
        "tests/zomes/rogue/dna.yaml",
        "happ.yaml",
        "workdir/zomes/inference.wasm",
        "workdir/zomes/inference_integrity.wasm",
        "workdir/zomes/rogue.wasm",
    ] {
        std::fs::create_dir_all(out.path().join(file).parent().unwrap()).unwrap();
        std::fs::copy(repository(file), out.path().join(file)).unwrap();
    }
    let path = |file: &str| out.path().join(file);
    pack::pack_dna(&path("tests/zomes/rogue/dna.yaml"), &path("workdir/inference.dna")).await.unwrap();
    pack::pack_happ(&path("happ.yaml"), &path("workdir/rogue.happ")).await.unwrap()
}

fn model_spec(name: &str) -> ModelSpec {
    ModelSpec {
        name: name.into(),
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

fn provider(spec: &SpecRef, tokens_per_s: u32) -> CapabilityInput {
    CapabilityInput {
        roles: vec![Role::Provider],
        transport_key: None,
        addresses: vec![],
        backend: Backend::Cpu,
        backend_detail: "test".into(),
        models: vec![ServedModel { spec: spec.clone(), tokens_per_s }],
    }
}

fn offered(spec: &SpecRef) -> Capability {
    let CapabilityInput { roles, transport_key, addresses, backend, backend_detail, models } = provider(spec, 1);
    Capability { roles, sealing_key: Bytes32([5; 32]), transport_key, addresses, backend, backend_detail, models }
}

/// A question of 100 bytes, signed by its conversation's key.
fn question(spec: &SpecRef) -> PostedQuestion {
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = ChatMessage { role: ChatRole::User, content: "x".repeat(100) };
    let input = ChatInput { messages: vec![message], sampling: Sampling::default(), max_tokens: 16, stop: vec![] };
    let (id, salt, session_key) = (RequestId([1; 16]), Bytes32([9; 32]), Bytes32(key.verifying_key().to_bytes()));
    let commitment = commit::input(&salt, &input);
    let signature = key.sign(&ask::canonical(&id, &spec.entry, &commitment, &session_key));
    PostedQuestion { id, input, salt, session_key, signature: Bytes64(signature.to_bytes()) }
}

fn now_us() -> i64 {
    Timestamp::now().as_micros()
}

async fn start(happ: &[u8], dir: &Path, url: &str) -> Conductor {
    Conductor::start(options(happ, dir, url)).await.unwrap()
}

#[test]
fn a_posted_question_is_answered_receipted_and_read() {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let alice = start(&happ, &dir.path().join("alice"), server.url()).await;
        let bob = start(&happ, &dir.path().join("bob"), server.url()).await;
        until(&alice, "ready", NetworkState::is_ready).await;
        until(&bob, "ready", NetworkState::is_ready).await;

        let spec = bob.create_model_spec(model_spec("tiny-gemma")).await.unwrap();
        assert_eq!(bob.create_model_spec(model_spec("tiny-gemma")).await.unwrap(), spec, "written once");
        let capability = bob.put_capability(provider(&spec, 100)).await.unwrap();
        assert_eq!(bob.put_capability(provider(&spec, 119)).await.unwrap(), capability, "no faster worth an action");
        let faster = bob.put_capability(provider(&spec, 121)).await.unwrap();
        assert_ne!(faster, capability);
        let found = eventually("the provider", || async {
            let found = alice.get_providers_for_model_spec(spec.entry.clone()).await.unwrap();
            found.into_iter().find(|p| p.action == faster)
        })
        .await;
        assert_eq!((found.agent.clone(), found.capability.models[0].tokens_per_s), (bob.agent(), 121));
        assert_eq!(alice.get_all_providers().await.unwrap(), vec![found.clone()]);
        let specs = alice.get_all_model_specs().await.unwrap();
        assert_eq!(specs, vec![ModelSpecRecord { spec: spec.clone(), model: model_spec("tiny-gemma") }]);
        // Whoever else names the same model refers to what is written.
        assert_eq!(alice.create_model_spec(model_spec("tiny-gemma")).await.unwrap(), spec);

        let mut heard = bob.signals();
        let mut answered = alice.signals();
        let asked = question(&spec);
        let expires_at = now_us() + 60_000_000;
        let input = RequestInput { capability: faster, spec: spec.clone(), question: asked.clone(), expires_at };
        let forged = PostedQuestion { session_key: Bytes32([8; 32]), ..asked.clone() };
        let refused = alice.create_request(RequestInput { question: forged, ..input.clone() }).await.unwrap_err();
        assert!(refused.to_string().contains("signature"), "{refused}");
        let posted = Instant::now();
        let request = alice.create_request(input).await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.expect("told").unwrap();
        let signal = PeerSignal::RequestPosted { request: request.clone() };
        assert_eq!(told, LocalSignal::Peer { from: alice.agent(), signal });
        let open = eventually("the request", || async { bob.get_open_requests().await.unwrap().pop() }).await;
        assert_eq!((&open.action, &open.requester, &open.spec), (&request, &alice.agent(), &spec.entry));
        assert_eq!(open.question, Ok(asked.clone()));
        println!("posted and opened after {} ms", posted.elapsed().as_millis());

        let text = "Paris.";
        let tokens = vec![9079, 236761];
        let statement = Receipt {
            provider: bob.agent(),
            spec: spec.entry.clone(),
            session_key: asked.session_key,
            input: commit::input(&asked.salt, &asked.input),
            output: commit::output(&asked.salt, &tokens, text),
            fingerprint: Bytes32([0; 32]),
            prompt_tokens: 20,
            completion_tokens: 2,
            finish: FinishReason::Stop,
            finished_at: now_us(),
        };
        let stolen = alice.sign_receipt(statement.clone()).await.unwrap_err();
        assert!(stolen.to_string().contains("not_author"), "{stolen}");
        let signed = bob.sign_receipt(statement).await.unwrap();
        let leaves = [receipt::leaf(&signed)];
        let batch = ReceiptBatch {
            capability,
            spec: spec.clone(),
            root: merkle::root(&leaves).unwrap(),
            count: 1,
            prompt_tokens: 20,
            completion_tokens: 2,
        };
        let written = bob.create_receipt_batch(batch.clone()).await.unwrap();
        let proof = BatchProof { batch: written.clone(), index: 0, path: merkle::path(&leaves, 0).unwrap() };
        let answer = PostedAnswer { text: text.into(), tokens, receipt: signed.clone(), proof: proof.clone() };
        assert_eq!(alice.get_answer(request.clone()).await.unwrap(), None);
        let input = AnswerInput { request: request.clone(), answer: answer.clone() };
        let action = bob.create_answer(input).await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(10), answered.recv()).await.expect("told").unwrap();
        let signal = PeerSignal::AnswerPosted { request: request.clone(), answer: action };
        assert_eq!(told, LocalSignal::Peer { from: bob.agent(), signal });
        let read = eventually("the answer", || async { alice.get_answer(request.clone()).await.unwrap() }).await;
        assert_eq!(read, answer);
        assert_eq!(bob.get_open_requests().await.unwrap(), vec![], "answered");
        let record =
            eventually("the batch", || async { alice.get_receipt_batch(written.clone()).await.unwrap() }).await;
        assert_eq!(record, ReceiptBatchRecord { author: bob.agent(), batch });
        receipt::in_batch(&signed, &proof, &record.batch).unwrap();
        println!("answered and read after {} ms", posted.elapsed().as_millis());

        let clear: Vec<u8> = asked.input.messages[0].content.clone().into();
        for op in bob.dht_ops().await.unwrap() {
            assert!(!op.windows(clear.len()).any(|w| w == clear), "the question stands on the DHT in the clear");
            assert!(!op.windows(text.len()).any(|w| w == text.as_bytes()), "the answer does");
        }
        for (kind, stats) in bob.dht_stats().await.unwrap().by_kind {
            println!("{kind:<40} {:>3} ops {:>6} bytes", stats.ops, stats.bytes);
        }

        bob.delete_my_capability().await.unwrap();
        assert_eq!(bob.get_my_capability().await.unwrap(), None);
        eventually("nobody", || async { alice.get_all_providers().await.unwrap().is_empty().then_some(()) }).await;
        assert_eq!(alice.get_providers_for_model_spec(spec.entry.clone()).await.unwrap(), vec![]);
        let back = bob.put_capability(provider(&spec, 100)).await.unwrap();
        let mine = bob.get_my_capability().await.unwrap().unwrap();
        assert_eq!((mine.action, mine.capability.sealing_key), (back, found.capability.sealing_key));
        eventually("back", || async { (alice.get_all_providers().await.unwrap().len() == 1).then_some(()) }).await;

        bob.shutdown().await.unwrap();
        alice.shutdown().await.unwrap();
        server.shutdown().await;
    });
}

#[test]
fn the_golden_vectors_hold_in_wasm() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let rogue = Rogue::start(dir.path(), NOWHERE, true).await;
        let agent = rogue.agent("vectors").await;
        let mut passed = 0;
        for file in std::fs::read_dir(repository("tests/vectors")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "json") {
                let json = std::fs::read_to_string(&path).unwrap();
                let report: VectorReport = agent.call("rogue", "check_vectors", json).await.unwrap();
                assert_eq!(report.failed, Vec::<String>::new(), "{}", path.display());
                passed += report.passed;
            }
        }
        println!("{passed} vectors hold in wasm");
        assert!(passed > 200, "{passed}");
        rogue.stop().await;
    });
}

/// Everything bad, by somebody whose own conductor looks.
#[test]
fn an_honest_conductor_refuses_to_write_what_breaks_a_rule() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let rogue = Rogue::start(dir.path(), NOWHERE, true).await;
        let (me, other) = (rogue.agent("me").await, rogue.agent("other").await);
        let spec: SpecRef = other.call("inference", "create_model_spec", model_spec("tiny-gemma")).await.unwrap();
        let capability: ActionHash = other.call("inference", "put_capability", provider(&spec, 1)).await.unwrap();
        let input = RequestInput {
            capability: capability.clone(),
            spec: spec.clone(),
            question: question(&spec),
            expires_at: now_us() + 60_000_000,
        };
        let request: ActionHash = other.call("inference", "create_request", input).await.unwrap();

        let refused = |result: Result<ActionHash, String>, code: &str| {
            let error = result.expect_err(code);
            assert!(error.contains(code), "{code}: {error}");
        };
        let bytes = |entry: &ModelSpec| holochain_serialized_bytes::encode(entry).unwrap();
        let stowaway = [bytes(&model_spec("a")), vec![0xc0]].concat();
        let raw = |entry_type, bytes| me.rogue("commit_raw", RawEntry { entry_type, bytes });
        refused(raw(0, vec![0xc1]).await, "undecodable");
        refused(raw(0, bytes(&model_spec("a"))[..99].to_vec()).await, "undecodable");
        refused(raw(0, stowaway).await, "not_canonical");
        refused(raw(1, bytes(&model_spec("a"))).await, "undecodable");
        assert!(raw(9, bytes(&model_spec("a"))).await.is_err(), "an entry type that does not exist");

        let entry = |entry| me.rogue("commit_entry", entry);
        refused(entry(AnyEntry::ModelSpec(model_spec(""))).await, "empty");
        refused(entry(AnyEntry::ModelSpec(model_spec("\u{202e}"))).await, "charset");
        let bad = Capability { roles: vec![Role::Auditor], ..offered(&spec) };
        refused(entry(AnyEntry::Capability(bad)).await, "models_without_provider");
        let elsewhere = SpecRef { entry: spec.entry.clone(), action: capability.clone() };
        refused(entry(AnyEntry::Capability(offered(&elsewhere))).await, "wrong_reference");
        let asked = Request {
            commitment: Bytes32([1; 32]),
            spec: spec.clone(),
            assignee: other.key(),
            capability: capability.clone(),
            reply_key: Bytes32([2; 32]),
            max_tokens: 1,
            expires_at: now_us() + 60_000_000,
            sealed: vec![0; 64],
        };
        refused(entry(AnyEntry::Request(Request { expires_at: 1, ..asked.clone() })).await, "expired");
        refused(entry(AnyEntry::Request(Request { assignee: me.key(), ..asked })).await, "not_assignee");
        let answer = Answer { request: request.clone(), sealed: vec![0; 64] };
        refused(entry(AnyEntry::Answer(answer)).await, "not_assignee");
        let batch = ReceiptBatch {
            capability: capability.clone(),
            spec: spec.clone(),
            root: Bytes32([3; 32]),
            count: 1,
            prompt_tokens: 1,
            completion_tokens: 1,
        };
        refused(entry(AnyEntry::ReceiptBatch(batch)).await, "not_author");

        let update = RawUpdate { original: spec.action.clone(), bytes: bytes(&model_spec("b")) };
        refused(me.rogue("update_raw", update).await, "immutable");
        let better = holochain_serialized_bytes::encode(&offered(&spec)).unwrap();
        let update = RawUpdate { original: capability.clone(), bytes: better };
        refused(me.rogue("update_raw", update).await, "not_author");
        refused(me.rogue("delete_raw", spec.action.clone()).await, "undeletable");
        refused(me.rogue("delete_raw", capability.clone()).await, "not_author");

        let anchor: EntryHash = me.call("rogue", "anchor_hash", "providers").await.unwrap();
        let link = |base: AnyLinkableHash, target: &ActionHash, link_type, tag: &[u8]| RawLink {
            base,
            target: target.clone().into(),
            link_type,
            tag: tag.into(),
        };
        let draw = |link| me.rogue("create_link_raw", link);
        refused(draw(link(anchor.clone().into(), &capability, 1, &[])).await, "not_author");
        refused(draw(link(anchor.into(), &spec.action, 1, &[])).await, "link_target");
        refused(draw(link(me.key().into(), &capability, 3, &[1])).await, "link_tag");
        refused(draw(link(other.key().into(), &capability, 3, &[])).await, "link_base");
        refused(draw(link(request.clone().into(), &request, 5, &[])).await, "link_target");
        rogue.stop().await;
    });
}

/// What a conductor that does not look has written, others refuse: its author is warranted, and nothing of it counts.
#[test]
fn peers_warrant_who_writes_what_breaks_a_rule() {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let bob = start(&happ, &dir.path().join("bob"), server.url()).await;
        let network = pack::dna_hash(&happ).await.unwrap();
        let spec = bob.create_model_spec(model_spec("tiny-gemma")).await.unwrap();
        let theirs = bob.put_capability(provider(&spec, 1)).await.unwrap();

        let codes = ["undecodable", "empty", "not_author", "undeletable", "link_tag"];
        for code in codes {
            // A conductor each: nothing more is heard from where a warranted agent lives.
            let folder = dir.path().join(code);
            if code != codes[0] {
                compiled_already(&dir.path().join(codes[0]), &folder);
            }
            let rogue = Rogue::start(&folder, server.url(), false).await;
            assert_eq!(pack::dna_hash(&rogue.happ).await.unwrap(), network, "coordinators do not count");
            let agent = rogue.agent(code).await;
            let () = agent.call("inference", "delete_my_capability", ()).await.unwrap();
            eventually("bob's spec at the rogue", || async {
                agent.call::<bool>("rogue", "is_valid", spec.action.clone()).await.ok().filter(|valid| *valid)
            })
            .await;
            let written = Instant::now();
            let action = match code {
                "undecodable" => agent.rogue("commit_raw", RawEntry { entry_type: 0, bytes: vec![0xc1] }).await,
                "empty" => agent.rogue("commit_entry", AnyEntry::ModelSpec(model_spec(""))).await,
                "not_author" => {
                    let batch = ReceiptBatch {
                        capability: theirs.clone(),
                        spec: spec.clone(),
                        root: Bytes32([3; 32]),
                        count: 1,
                        prompt_tokens: 1,
                        completion_tokens: 1,
                    };
                    agent.rogue("commit_entry", AnyEntry::ReceiptBatch(batch)).await
                }
                "undeletable" => agent.rogue("delete_raw", spec.action.clone()).await,
                _ => {
                    let (base, target) = (agent.key().into(), theirs.clone().into());
                    agent.rogue("create_link_raw", RawLink { base, target, link_type: 3, tag: vec![1] }).await
                }
            };
            let action = action.unwrap();
            let standing = eventually(code, || async {
                let standing = bob.get_agent_standing(agent.key()).await.ok()?;
                (!standing.warrants.is_empty()).then_some(standing)
            })
            .await;
            let reasons = &standing.warrants;
            assert!(reasons.iter().all(|reason| reason.contains(code)), "{code}: {reasons:?}");
            assert_eq!(bob.get_receipt_batch(action).await.unwrap(), None);
            println!("{code:<12} warranted after {} ms: {}", written.elapsed().as_millis(), reasons[0]);
            rogue.stop().await;
        }
        // Bob's spec was "deleted" by a stranger: it still counts.
        assert_eq!(bob.get_all_model_specs().await.unwrap().len(), 1);
        bob.shutdown().await.unwrap();
        server.shutdown().await;
    });
}

#[test]
fn nonsense_from_a_peer_is_noted_and_nothing_else_is_granted() {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let bob = start(&happ, &dir.path().join("bob"), server.url()).await;
        let rogue = Rogue::start(&dir.path().join("rogue"), server.url(), true).await;
        let agent = rogue.agent("rogue").await;
        bob.get_my_capability().await.unwrap();
        until(&bob, "ready", NetworkState::is_ready).await;
        let mut heard = bob.signals();
        let say = |function: &'static str, payload: RawPayload| {
            let call = RawCall { to: bob.agent(), zome: COORDINATOR_ZOME.into(), function: function.into(), payload };
            agent.call::<String>("rogue", "call_raw", call)
        };
        let encoded = |signal: &PeerSignal| holochain_serialized_bytes::encode(signal).unwrap();
        let chunk = PeerSignal::Tokens(TokenChunk {
            id: RequestId([0; 16]),
            chunk: 0,
            text: "x".repeat(limits::CHUNK_TEXT_BYTES_MAX + 1),
            tokens: vec![],
        });
        let cases = [
            (RawPayload::Bytes(vec![1, 2, 3]), "undecodable"),
            (RawPayload::Bytes(vec![]), "undecodable"),
            (RawPayload::Number(42), "undecodable"),
            (RawPayload::Bytes(encoded(&chunk)), "too_long"),
            (RawPayload::Bytes(vec![0; limits::SIGNAL_BYTES_MAX + 1]), "too_long"),
        ];
        for (payload, code) in cases {
            // What `call_remote` says is encoded once more on its way, as `send_remote_signal` does.
            let said = eventually("a word", || async {
                say("recv_remote_signal", payload.clone()).await.ok().filter(|said| said.starts_with("Ok"))
            })
            .await;
            let got = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.expect("noted").unwrap();
            let LocalSignal::Rejected { from, reason } = got else { panic!("{code}: {got:?} {said}") };
            assert_eq!(from, agent.key());
            assert!(reason.starts_with(code), "{code}: {reason}");
        }
        for function in ["put_capability", "sign_receipt", "get_open_requests", "delete_my_capability", "send_signal"] {
            let said = say(function, RawPayload::Number(1)).await.unwrap();
            assert!(said.starts_with("Unauthorized"), "{function}: {said}");
        }
        rogue.stop().await;
        bob.shutdown().await.unwrap();
        server.shutdown().await;
    });
}
