//! Two embedded conductors that find each other through our own bootstrap server.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;

use ainonymous_conductor::{Conductor, NetworkState};
use ainonymous_types::{
    Backend, Bytes32, CapabilityInput, KvType, LocalSignal, ModelSpec, PeerSignal, RequestId, Role, SendSignal,
    ServedModel, SpecRef,
};
use common::{bootstrap, eventually, happ, options, resident_mib, run, until};
use std::time::{Duration, Instant};

fn model() -> ModelSpec {
    ModelSpec {
        name: "test".into(),
        quantization: "q8_0".into(),
        architecture: "gemma4".into(),
        gguf_hash: Bytes32([1; 32]),
        gguf_root: Bytes32([2; 32]),
        gguf_bytes: 4 << 20,
        tokenizer_hash: Bytes32([3; 32]),
        template_hash: Bytes32([4; 32]),
        sampler_version: 1,
        kv_type: KvType::F16,
        context_tokens: 1_024,
    }
}

fn provider(spec: &SpecRef, detail: &str) -> CapabilityInput {
    CapabilityInput {
        roles: vec![Role::Provider],
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: detail.into(),
        models: vec![ServedModel { spec: spec.clone(), tokens_per_s: 100 }],
        router: None,
        region: None,
    }
}

#[test]
fn two_nodes_meet_speak_and_find_each_other() {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let start = |name: &str| Conductor::start(options(&happ, &dir.path().join(name), server.url()));
        let (alice, bob) = (start("alice").await.unwrap(), start("bob").await.unwrap());
        let met = Instant::now();
        until(&alice, "ready", NetworkState::is_ready).await;
        until(&bob, "ready", NetworkState::is_ready).await;
        println!("met after {} ms, {} MiB for both", met.elapsed().as_millis(), resident_mib());

        // Init grants the right to send signals: both must be through it.
        alice.get_my_capability().await.unwrap();
        bob.get_my_capability().await.unwrap();
        let mut heard = bob.signals();
        let mut delays = Vec::new();
        for n in 0..10u8 {
            let signal = PeerSignal::Cancel { id: RequestId([n; 16]) };
            let sent = Instant::now();
            alice.send_signal(SendSignal { to: vec![bob.agent()], signal: signal.clone() }).await.unwrap();
            let got = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.expect("it arrives").unwrap();
            delays.push(sent.elapsed());
            assert_eq!(got, LocalSignal::Peer { from: alice.agent(), signal });
        }
        delays.sort();
        println!("signal one way: median {:?}, worst {:?}", delays[delays.len() / 2], delays[delays.len() - 1]);

        let announced = Instant::now();
        let spec = alice.create_model_spec(model()).await.unwrap();
        alice.put_capability(provider(&spec, "first")).await.unwrap();
        common::place(&alice, &spec).await;
        println!("model spec and capability written after {} ms", announced.elapsed().as_millis());
        let found = eventually("alice as a provider at bob", || async {
            let providers = bob.get_providers_for_model_spec(spec.entry.clone()).await.ok()?;
            providers.into_iter().find(|p| p.agent == alice.agent())
        })
        .await;
        println!("provider found by the other node after {} ms", announced.elapsed().as_millis());
        assert_eq!(found.capability.models[0].spec.entry, spec.entry);
        // Each link comes on its own.
        let known = eventually("the spec", || async { bob.get_all_model_specs().await.ok()?.pop() }).await;
        assert_eq!(known.model, model());
        let standing = bob.get_agent_standing(alice.agent()).await.unwrap();
        assert!(standing.actions > 0 && standing.warrants.is_empty(), "{standing:?}");

        // Concurrent writes queue up instead of failing.
        let writes = (0..4).map(|n| {
            let (alice, capability) = (alice.clone(), provider(&spec, &format!("write {n}")));
            tokio::spawn(async move { alice.put_capability(capability).await })
        });
        for write in writes.collect::<Vec<_>>() {
            write.await.unwrap().unwrap();
        }

        let stats = bob.dht_stats().await.unwrap();
        println!("bob stores {} ops, {} bytes, {} waiting", stats.ops, stats.bytes, stats.waiting);
        bob.shutdown().await.unwrap();
        alice.shutdown().await.unwrap();
        server.shutdown().await;
    });
}
