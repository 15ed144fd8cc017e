//! Two embedded conductors that find each other through our own bootstrap server.
#![cfg(feature = "embedded")]

mod common;

use ainonymous_conductor::{Conductor, NetworkState};
use ainonymous_types::{Backend, CapabilityInput, LocalSignal, PeerSignal, RequestId, Role, SendSignal};
use common::{bootstrap, eventually, happ, options, resident_mib, run, until};
use std::time::{Duration, Instant};

fn router() -> CapabilityInput {
    CapabilityInput {
        roles: vec![Role::Router],
        transport_key: None,
        addresses: vec![],
        backend: Backend::Cpu,
        backend_detail: "test".into(),
        models: vec![],
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
        alice.put_capability(router()).await.unwrap();
        let mine = alice.get_my_capability().await.unwrap().expect("just announced");
        assert_eq!((mine.agent, mine.capability.roles), (alice.agent(), vec![Role::Router]));
        let standing = eventually("chain of alice at bob", || async {
            let standing = bob.get_agent_standing(alice.agent()).await.ok()?;
            (standing.actions > 0).then_some(standing)
        })
        .await;
        assert!(standing.warrants.is_empty(), "{standing:?}");
        println!("alice's chain seen by bob after {} ms", announced.elapsed().as_millis());

        // Concurrent writes queue up instead of failing.
        let writes = (0..4).map(|n| {
            let (alice, detail) = (alice.clone(), format!("test {n}"));
            tokio::spawn(
                async move { alice.put_capability(CapabilityInput { backend_detail: detail, ..router() }).await },
            )
        });
        for write in writes.collect::<Vec<_>>() {
            write.await.unwrap().unwrap();
        }

        bob.shutdown().await.unwrap();
        alice.shutdown().await.unwrap();
        server.shutdown().await;
    });
}
