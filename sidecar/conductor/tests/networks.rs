//! A network by invitation in real conductors: who is let in, who is not, who is shut out again.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;

use ainonymous_conductor::keyring::{accept, new_seed, InviteWish, Keyring};
use ainonymous_conductor::{
    pack, Conductor, ConductorError, ConductorOptions, FoundedNetwork, Mode, NetworkState, Passphrase,
};
use ainonymous_types::*;
use ainonymous_verify::network::Network;
use common::{bootstrap, eventually, happ, options, run, until, NOWHERE};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Somebody with a keystore of their own.
struct Person {
    root: PathBuf,
    keyring: Keyring,
    agent: AgentPubKey,
}

impl Person {
    async fn new(dir: &Path, name: &str) -> Self {
        let root = dir.join(name);
        let keyring = Keyring::open(&root, &Passphrase::cheap("correct horse")).await.unwrap();
        let agent = keyring.new_agent().await.unwrap();
        Self { root, keyring, agent }
    }

    fn options(&self, circle: &Circle, url: &str, proof: Option<MembershipProof>) -> ConductorOptions {
        let data_dir = self.root.join("networks/circle");
        let mut options = options(&circle.happ, &data_dir, url);
        if let Mode::Embedded(embedded) = &mut options.mode {
            embedded.keystore = Some(Keyring::folder(&self.root));
        }
        let properties = circle.network.properties.clone();
        options.network = Some(FoundedNetwork { properties, agent: Some(self.agent.clone()), proof });
        options.network_seed = Some(circle.seed.clone());
        options.app_id = format!("{APP_ID}-circle");
        options
    }

    async fn start(&self, circle: &Circle, url: &str, proof: Option<MembershipProof>) -> Conductor {
        Conductor::start(self.options(circle, url, proof)).await.unwrap()
    }
}

struct Circle {
    happ: Vec<u8>,
    network: Network,
    seed: String,
}

impl Circle {
    async fn of(founder: &Person, kind: NetworkKind) -> Self {
        let (name, founders, seed) = ("Circle".to_owned(), vec![founder.agent.clone()], new_seed());
        let properties = NetworkProperties { version: NETWORK_VERSION, name, kind, founders, work_bits: 0 };
        Self { happ: happ().await, network: Network::new(properties, &seed).unwrap(), seed }
    }

    /// An invite of this person to this network, taken up by that one.
    async fn proof(&self, by: &Person, to: &Person, lasts_us: i64) -> MembershipProof {
        let expires_at = now_us() + lasts_us;
        let wish = InviteWish { network: self.network.id, founder: by.agent.clone(), expires_at, agent: None };
        let pass = by.keyring.invite(wish).await.unwrap();
        let own = NetworkProperties { founders: vec![by.agent.clone()], ..self.network.properties.clone() };
        let believed = Network { id: self.network.id, properties: own };
        accept(&believed, &pass, &to.agent, expires_at - 1).unwrap()
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
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

async fn offer(node: &Conductor) {
    let spec = node.create_model_spec(model_spec()).await.unwrap();
    let capability = CapabilityInput {
        roles: vec![Role::Provider],
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: "test".into(),
        models: vec![ServedModel { spec: spec.clone(), tokens_per_s: 1 }],
        router: None,
        region: None,
    };
    node.put_capability(capability).await.unwrap();
    common::place(node, &spec).await;
}

async fn providers(node: &Conductor) -> Vec<AgentPubKey> {
    let mut found = Vec::new();
    for spec in node.get_all_model_specs().await.unwrap() {
        found.extend(node.get_providers_for_model_spec(spec.spec.entry).await.unwrap());
    }
    found.into_iter().map(|provider| provider.agent).collect()
}

#[test]
fn members_are_let_in_strangers_are_not_and_the_revoked_are_shut_out() {
    run(async {
        let (dir, server) = (tempfile::tempdir().unwrap(), bootstrap().await);
        let [founder, member, late] = ["founder", "member", "late"].map(|name| Person::new(dir.path(), name));
        let (founder, member, late) = (founder.await, member.await, late.await);
        let circle = Circle::of(&founder, NetworkKind::Private).await;
        let invited = circle.proof(&founder, &member, 60_000_000).await;

        // One's own conductor says no before anything is published.
        let elsewhere = Circle::of(&founder, NetworkKind::Private).await.proof(&founder, &late, 60_000_000).await;
        let forged = circle.proof(&late, &late, 60_000_000).await;
        for (proof, breach) in [
            (None, "not_invited"),
            (Some(elsewhere), "other_network"),
            (Some(forged), "not_founder"),
            (Some(invited.clone()), "signature"),
        ] {
            let refused = Conductor::start(late.options(&circle, server.url(), proof)).await.expect_err(breach);
            assert_eq!(refused.code(), "not_admitted", "{refused}");
            assert!(refused.to_string().contains(breach), "{breach}: {refused}");
        }

        let started = Instant::now();
        let alice = founder.start(&circle, server.url(), None).await;
        let bob = member.start(&circle, server.url(), Some(invited.clone())).await;
        assert_eq!((alice.agent(), bob.agent()), (founder.agent.clone(), member.agent.clone()));
        assert_ne!(alice.dna_hash(), pack::dna_hash(&circle.happ).await.unwrap(), "a network of its own");
        until(&alice, "ready", NetworkState::is_ready).await;
        offer(&bob).await;
        eventually("the member", || async { providers(&alice).await.contains(&member.agent).then_some(()) }).await;
        let invite = Some(invited.terms.key);
        for (asks, of, invite) in [(&alice, &member.agent, invite), (&bob, &founder.agent, None)] {
            // The beginning of a chain may come later than what was written after it.
            eventually("how it joined", || async {
                (asks.get_membership(of.clone()).await.ok()? == Membership::Member { invite }).then_some(())
            })
            .await;
        }
        println!("a member was let in and found after {} ms", started.elapsed().as_millis());

        // The expiry is judged by the time of the action that joins: whoever's own conductor does not look, others do.
        let expired = circle.proof(&founder, &late, -1_000_000).await;
        let mut blind = late.options(&circle, server.url(), Some(expired));
        if let Mode::Embedded(embedded) = &mut blind.mode {
            embedded.self_validation = false;
        }
        let mallory = Conductor::start(blind).await.unwrap();
        let standing = eventually("a warrant", || async {
            let standing = alice.get_agent_standing(late.agent.clone()).await.unwrap();
            (!standing.warrants.is_empty()).then_some(standing)
        })
        .await;
        assert!(standing.warrants.iter().any(|reason| reason.starts_with("invite_expired")), "{standing:?}");
        let judged = alice.get_membership(late.agent.clone()).await.unwrap();
        assert!(!matches!(judged, Membership::Member { .. }), "{judged:?}");
        assert_eq!(providers(&alice).await, std::slice::from_ref(&member.agent));
        mallory.shutdown().await.unwrap();

        // Only a founder revokes; then nobody is shown the revoked any more.
        let revocation = Revocation { target: Revoked::Agent(member.agent.clone()) };
        let refused = bob.create_revocation(revocation.clone()).await.unwrap_err();
        assert!(
            matches!(&refused, ConductorError::CallRejected { problem, .. } if problem.contains("not_founder")),
            "{refused}"
        );
        let action = alice.create_revocation(revocation.clone()).await.unwrap();
        assert_eq!(providers(&alice).await, Vec::<AgentPubKey>::new());
        let found = RevocationRecord { action, author: founder.agent.clone(), target: revocation.target };
        eventually("the revocation", || async {
            (bob.get_revocations().await.unwrap() == [found.clone()]).then_some(())
        })
        .await;
        bob.shutdown().await.unwrap();

        // Who was admitted once starts again, with the same agent.
        alice.shutdown().await.unwrap();
        let again = founder.start(&circle, server.url(), None).await;
        assert_eq!(again.agent(), founder.agent);
        again.shutdown().await.unwrap();
        server.shutdown().await;
    });
}

#[test]
fn a_network_on_a_lan_looks_nowhere_else() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let founder = Person::new(dir.path(), "founder").await;
        let circle = Circle::of(&founder, NetworkKind::Lan).await;
        for url in ["https://bootstrap.example", "http://8.8.8.8:4000"] {
            let refused = Conductor::start(founder.options(&circle, url, None)).await.expect_err(url);
            assert_eq!(refused.code(), "invalid_url", "{refused}");
        }
        let node = founder.start(&circle, NOWHERE, None).await;
        assert!(providers(&node).await.is_empty());
        // Without its keystore a network's agent is not replaced by a new one.
        node.shutdown().await.unwrap();
        let mut lost = founder.options(&circle, NOWHERE, None);
        if let Mode::Embedded(embedded) = &mut lost.mode {
            embedded.keystore = Some(dir.path().join("elsewhere"));
        }
        assert_eq!(Conductor::start(lost).await.expect_err("no keystore").code(), "keystore_damaged");
    });
}
