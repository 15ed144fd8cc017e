//! The rules of the network in real conductors: what honest nodes can do, and what becomes of what they would not.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;
mod rogue;

use ainonymous_conductor::{pack, Conductor, NetworkState};
use ainonymous_types::*;
use ainonymous_verify::{ask, commit, merkle, receipt};
use common::{bootstrap, eventually, happ, options, place, repository, run, until, NOWHERE, PATIENCE};
use ed25519_dalek::{Signer, SigningKey};
use rogue::breaches::{self, in_a_minute, Bad, Honest, Own};
use rogue::payload::{Act, RawCall, RawEntry, RawPayload, VectorReport};
use rogue::{model_spec, provider, Rogue};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// A question of 100 bytes, signed by its conversation's key.
fn question(spec: &SpecRef) -> PostedQuestion {
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = ChatMessage::new(ChatRole::User, "x".repeat(100));
    let input =
        ChatInput { messages: vec![message], sampling: Sampling::default(), max_tokens: 16, stop: vec![], more: None };
    let (id, salt, session_key) = (RequestId([1; 16]), Bytes32([9; 32]), Bytes32(key.verifying_key().to_bytes()));
    let commitment = commit::input(&salt, &input);
    let audit = AuditTerms::default();
    let signature = key.sign(&ask::canonical(&id, &spec.entry, &commitment, &session_key, &audit));
    PostedQuestion { id, input, salt, session_key, audit, signature: Bytes64(signature.to_bytes()) }
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
        assert_eq!((place(&bob, &spec).await.drawn, place(&bob, &spec).await.drawn), (2, 0), "drawn once");
        let found = eventually("the provider", || async {
            let found = alice.get_providers_for_model_spec(spec.entry.clone()).await.unwrap();
            found.into_iter().find(|p| p.action == faster)
        })
        .await;
        assert_eq!((found.agent.clone(), found.capability.models[0].tokens_per_s), (bob.agent(), 121));
        // Each link comes on its own.
        let there = |n: usize| (n > 0).then_some(());
        let known = eventually("bob by his key", || async { alice.get_provider(bob.agent()).await.unwrap() }).await;
        assert_eq!(known, found);
        eventually("all model specs", || async { there(alice.get_all_model_specs().await.unwrap().len()) }).await;
        let specs = alice.get_all_model_specs().await.unwrap();
        assert_eq!(specs, vec![ModelSpecRecord { spec: spec.clone(), model: model_spec("tiny-gemma") }]);
        // Whoever else names the same model refers to what is written.
        assert_eq!(alice.create_model_spec(model_spec("tiny-gemma")).await.unwrap(), spec);

        let mut heard = bob.signals();
        let mut answered = alice.signals();
        let asked = question(&spec);
        let expires_at = in_a_minute();
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
            finished_at: in_a_minute(),
            audit: AuditTerms::default(),
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
        let answer =
            PostedAnswer { text: text.into(), tokens, more: None, receipt: signed.clone(), proof: proof.clone() };
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
        eventually("nobody", || async { alice.get_provider(bob.agent()).await.unwrap().is_none().then_some(()) }).await;
        eventually("nobody for the spec either", || async {
            alice.get_providers_for_model_spec(spec.entry.clone()).await.unwrap().is_empty().then_some(())
        })
        .await;
        let back = bob.put_capability(provider(&spec, 100)).await.unwrap();
        let mine = bob.get_my_capability().await.unwrap().unwrap();
        assert_eq!((mine.action, mine.capability.sealing_key), (back, found.capability.sealing_key));
        assert_eq!(place(&bob, &spec).await.drawn, 2);
        eventually("back", || async {
            (alice.get_providers_for_model_spec(spec.entry.clone()).await.unwrap().len() == 1).then_some(())
        })
        .await;

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

/// Rules that a peer can break on a public network's DHT; `membership` is for others (`networks.rs`).
const RULES: [&str; 25] = [
    "agent_to_capability",
    "all_model_specs",
    "all_revocations",
    "answer",
    "answer_request",
    "assignee_to_request",
    "bucket_depth",
    "bucket_to_provider",
    "bucket_to_router",
    "capability",
    "delete",
    "delete_link",
    "entry_encoding",
    "link_tag",
    "model_spec",
    "receipt_batch",
    "receipt_batch_capability",
    "receipt_batch_sums",
    "request",
    "request_capability",
    "request_time",
    "request_to_answer",
    "revocation",
    "spec_ref",
    "update",
];

/// Each way to break each rule, by somebody whose own conductor looks.
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
            expires_at: in_a_minute(),
        };
        let request: ActionHash = other.call("inference", "create_request", input).await.unwrap();
        let honest = Honest { agent: other.key(), spec, capability, request };
        let own = Own::prepare(&me, &honest).await;

        let bad = breaches::all(&honest, &own);
        let tried: BTreeSet<&str> = bad.iter().map(|b| b.rule).collect();
        assert_eq!(tried.into_iter().collect::<Vec<_>>(), RULES, "every rule");
        println!("{} ways to break {} rules", bad.len(), RULES.len());
        for Bad { rule, code, act } in bad {
            let error = me.act(vec![act]).await.expect_err(rule);
            assert!(error.contains(code), "{rule}: {code}: {error}");
        }
        let nowhere = Act::Bytes(RawEntry { entry_type: 9, bytes: vec![0xc0] });
        assert!(me.act(vec![nowhere]).await.is_err(), "an entry type that does not exist");
        rogue.stop().await;
    });
}

/// Rogues that it may take until all they do has arrived before they are warranted.
const ROUNDS_MAX: usize = 8;
/// No further warrant within this time: none comes.
const QUIET: Duration = Duration::from_secs(10);

/// What a conductor that does not look has written, others refuse: its author is warranted, and nothing of it counts.
#[test]
fn peers_warrant_who_writes_what_breaks_a_rule() {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let bob = start(&happ, &dir.path().join("bob"), server.url()).await;
        let spec = bob.create_model_spec(model_spec("tiny-gemma")).await.unwrap();
        let capability = bob.put_capability(provider(&spec, 1)).await.unwrap();
        place(&bob, &spec).await;
        let (question, expires_at) = (question(&spec), in_a_minute());
        let input = RequestInput { capability: capability.clone(), spec: spec.clone(), question, expires_at };
        let request = bob.create_request(input).await.unwrap();
        let honest = Honest { agent: bob.agent(), spec, capability, request };

        // All in one commit, for nothing more is heard from somebody who is warranted. What had not arrived by then, another does.
        let mut left = BTreeSet::new();
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "never warranted: {left:?}");
            let rogue = Rogue::start(&dir.path().join(format!("rogue-{round}")), server.url(), false).await;
            let network = pack::dna_hash(&happ).await.unwrap();
            assert_eq!(pack::dna_hash(&rogue.happ).await.unwrap(), network, "coordinators do not count");
            let agent = rogue.agent("rogue").await;
            for action in [&honest.spec.action, &honest.capability, &honest.request] {
                eventually("what bob wrote", || async {
                    agent.call::<bool>("rogue", "is_valid", action.clone()).await.ok().filter(|valid| *valid)
                })
                .await;
            }
            let own = Own::prepare(&agent, &honest).await;
            let mut bad = breaches::all(&honest, &own);
            if round > 0 {
                bad.retain(|b| left.contains(b.code) || b.rule == "receipt_batch_sums");
            }
            left = bad.iter().map(|b| b.code).collect();
            let (kinds, written) = (left.len(), Instant::now());
            let batch = bad.iter().position(|b| b.rule == "receipt_batch_sums").unwrap();
            let actions = agent.act(bad.into_iter().map(|b| b.act).collect()).await.unwrap();
            let mut since = written;
            while since.elapsed() < if left.len() < kinds { QUIET } else { PATIENCE } && !left.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let warrants = bob.get_agent_standing(agent.key()).await.unwrap().warrants;
                let before = left.len();
                left.retain(|code| !warrants.iter().any(|reason| reason.starts_with(code)));
                if left.len() < before {
                    since = Instant::now();
                }
            }
            let warranted = kinds - left.len();
            println!("{warranted} of {kinds} kinds of breach warranted after {} ms", written.elapsed().as_millis());
            assert!(warranted > 0, "no warrant at all");
            assert_eq!(bob.get_receipt_batch(actions[batch].clone()).await.unwrap(), None);
            rogue.stop().await;
            if left.is_empty() {
                break;
            }
        }
        // Bob's spec was "deleted" by a stranger: it still counts.
        assert_eq!(bob.get_all_model_specs().await.unwrap().len(), 1);
        assert_eq!(bob.get_providers_for_model_spec(honest.spec.entry.clone()).await.unwrap().len(), 1);
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
            more: None,
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
