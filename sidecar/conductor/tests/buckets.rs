//! Buckets in real conductors: who is found where, what draws and removes links, and what that costs everybody.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;

use ainonymous_conductor::{Conductor, NetworkState};
use ainonymous_types::*;
use ainonymous_verify::buckets;
use common::{bootstrap, eventually, happ, options, run, until};
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> TimestampUs {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

fn model() -> ModelSpec {
    ModelSpec {
        name: "tiny-gemma".into(),
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

fn offer(spec: &SpecRef, router: Bytes32) -> CapabilityInput {
    CapabilityInput {
        roles: vec![Role::Provider, Role::Router],
        transport_key: None,
        must_be_known: false,
        addresses: vec![],
        backend: Backend::Cpu,
        backend_detail: "test".into(),
        models: vec![ServedModel { spec: spec.clone(), tokens_per_s: 100 }],
        router: Some(RouterOffer { key: router, addresses: vec!["quic://192.0.2.1:4433".into()] }),
        region: Some("eu".into()),
    }
}

async fn put(node: &Conductor, topics: &[(&Topic, u8)], renew_before: TimestampUs) -> OwnPlaces {
    let topics = topics.iter().map(|(topic, depth)| TopicDepth { topic: (*topic).clone(), depth: *depth }).collect();
    node.put_places(PlacesInput { topics, renew_before, not_before: 0 }).await.unwrap()
}

async fn read(node: &Conductor, topic: &Topic, place: Place, not_before: TimestampUs) -> Vec<BucketMember> {
    node.get_bucket(BucketQuery { topic: topic.clone(), place, not_before }).await.unwrap()
}

#[test]
fn a_node_is_found_where_its_lot_draws_it_and_nowhere_when_its_links_are_old() {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let start = |name: &str| Conductor::start(options(&happ, &dir.path().join(name), server.url()));
        let (alice, bob) = (start("alice").await.unwrap(), start("bob").await.unwrap());
        until(&alice, "ready", NetworkState::is_ready).await;
        until(&bob, "ready", NetworkState::is_ready).await;

        let (spec, key) = (bob.create_model_spec(model()).await.unwrap(), Bytes32([7; 32]));
        let (of_spec, of_key) = (Topic::Providers(spec.entry.clone()), Topic::Router(key));
        assert_eq!(put(&bob, &[], 0).await.drawn, 0, "nothing is offered yet");
        let capability = bob.put_capability(offer(&spec, key)).await.unwrap();
        let topics = [(&of_spec, 3), (&Topic::Routers, 0), (&of_key, 0)];
        let at_3 = buckets::places(&of_spec, &bob.agent(), 3);
        let done = put(&bob, &topics, 0).await;
        assert_eq!(done.drawn as usize, at_3.len() + 2 + 1, "of the spec, of routers at depth 0 and 1, of the key");
        assert_eq!(put(&bob, &topics, 0).await.drawn, 0, "drawn once");
        let all: Vec<Topic> = topics.iter().map(|(topic, _)| (*topic).clone()).collect();
        assert_eq!(bob.get_my_places(all.clone()).await.unwrap().topics, done.topics);

        for place in &at_3 {
            let members = eventually("bob in his bucket", || async {
                Some(read(&alice, &of_spec, *place, 0).await).filter(|members| !members.is_empty())
            })
            .await;
            assert_eq!((members.len(), &members[0].agent, &members[0].capability), (1, &bob.agent(), &capability));
        }
        let elsewhere = Place { bucket: at_3[0].bucket ^ 1, ..at_3[0] };
        assert!(read(&alice, &of_spec, elsewhere, 0).await.is_empty());
        let members = eventually("the router by its key", || async {
            Some(read(&alice, &of_key, Place::ROOT, 0).await).filter(|members| !members.is_empty())
        })
        .await;
        let found = alice.get_providers(&[members[0].capability.clone()]).await.unwrap();
        assert_eq!(found[0].capability.router.as_ref().map(|router| router.key), Some(key));
        assert_eq!(found[0].capability.region.as_deref(), Some("eu"));
        let one_past = vec![capability.clone(); limits::BUCKET_MEMBERS_MAX + 1];
        let refused = alice.get_providers(&one_past).await.unwrap_err();
        assert!(refused.to_string().contains("too_many"), "{refused}");

        // A capability that changes keeps its links: whoever reads them finds the newest word.
        let before = bob.dht_stats().await.unwrap();
        let faster = CapabilityInput { region: Some("de".into()), ..offer(&spec, key) };
        let newest = bob.put_capability(faster).await.unwrap();
        assert_eq!(put(&bob, &topics, 0).await.drawn, 0);
        let found = eventually("the newest word", || async {
            alice
                .get_providers(std::slice::from_ref(&capability))
                .await
                .unwrap()
                .pop()
                .filter(|found| found.action == newest)
        })
        .await;
        assert_eq!(found.capability.region.as_deref(), Some("de"));
        let changed = bob.dht_stats().await.unwrap();
        println!("a changed capability: {} ops, {} bytes", changed.ops - before.ops, changed.bytes - before.bytes);

        // Renewed: drawn again, nothing removed, and listed once.
        let renewed_at = now();
        let before = bob.dht_stats().await.unwrap();
        let renewed = put(&bob, &topics, renewed_at).await;
        assert_eq!((renewed.drawn, renewed.removed), (done.drawn, 0));
        let after = bob.dht_stats().await.unwrap();
        println!("{} links: {} ops, {} bytes", renewed.drawn, after.ops - before.ops, after.bytes - before.bytes);
        eventually("the new link", || async {
            let members = read(&alice, &of_spec, at_3[0], 0).await;
            (members.len() == 1 && members[0].linked_at >= renewed_at).then_some(())
        })
        .await;
        assert!(read(&alice, &of_spec, at_3[0], now() + 60_000_000).await.is_empty(), "older than that: gone");

        // The network is smaller than thought: links move.
        let moved = put(&bob, &[(&of_spec, 0), (&Topic::Routers, 0), (&of_key, 0)], 0).await;
        assert!(moved.drawn > 0 && moved.removed > 0, "{moved:?}");
        eventually("bob at the root", || async {
            let there = read(&alice, &of_spec, Place::ROOT, 0).await;
            let left = read(&alice, &of_spec, at_3[0], 0).await;
            (there.len() == 1 && left.is_empty()).then_some(())
        })
        .await;
        let stranger = Topic::Providers(EntryHash::from_raw_36(vec![9; 36]));
        let topics = vec![TopicDepth { topic: stranger, depth: 0 }];
        let refused = bob.put_places(PlacesInput { topics, renew_before: 0, not_before: 0 }).await.unwrap_err();
        assert!(refused.to_string().contains("spec_not_listed"), "{refused}");

        // Withdrawn: found nowhere.
        bob.delete_my_capability().await.unwrap();
        eventually("nobody anywhere", || async {
            let spec = read(&alice, &of_spec, Place::ROOT, 0).await;
            let router = read(&alice, &of_key, Place::ROOT, 0).await;
            (spec.is_empty() && router.is_empty()).then_some(())
        })
        .await;
        assert_eq!(bob.get_my_places(all).await.unwrap().topics, []);
        bob.shutdown().await.unwrap();
        alice.shutdown().await.unwrap();
        server.shutdown().await;
    });
}
