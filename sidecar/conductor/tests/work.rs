//! A public network that asks for work, in real conductors: who has worked is found, who has not is refused everywhere.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;
mod rogue;

use ainonymous_conductor::keyring::{new_seed, Keyring};
use ainonymous_conductor::{pack, Conductor, ConductorOptions, FoundedNetwork, Mode, NetworkState, Passphrase};
use ainonymous_types::*;
use ainonymous_verify::buckets;
use ainonymous_verify::network::{self, Network};
use common::{bootstrap, eventually, happ, options, run, until};
use rogue::payload::{Act, AnyEntry, RawLink};
use rogue::{model_spec, offered, provider, Rogue, RogueAgent};
use std::path::Path;

/// Some thousand tries: nothing for a machine, too much for luck.
const BITS: u8 = 12;
/// Position of that kind of link in the integrity zome.
const BUCKET_TO_PROVIDER: u8 = 1;

/// A network where every new agent costs a little.
struct Dear {
    happ: Vec<u8>,
    network: Network,
    seed: String,
}

impl Dear {
    async fn new() -> Self {
        let (properties, seed) = (NetworkProperties { work_bits: BITS, ..network::public("Dear") }, new_seed());
        Self { happ: happ().await, network: Network::new(properties, &seed).unwrap(), seed }
    }

    fn options(&self, dir: &Path, url: &str, agent: Option<AgentPubKey>) -> ConductorOptions {
        let mut options = options(&self.happ, dir, url);
        options.network = Some(FoundedNetwork { properties: self.network.properties.clone(), agent, proof: None });
        options.network_seed = Some(self.seed.clone());
        options
    }

    async fn dna(&self, properties: &NetworkProperties) -> DnaHash {
        pack::dna_hash_of(&self.happ, Some(&self.seed), Some(properties)).await.unwrap()
    }

    /// What a node has found and kept.
    fn work_of(&self, dir: &Path, agent: &AgentPubKey) -> WorkProof {
        let nonce = std::fs::read_to_string(dir.join("work")).unwrap().trim().parse().unwrap();
        let proof = WorkProof { nonce };
        assert!(self.network.work(agent).unwrap().is_done(&proof));
        proof
    }
}

async fn offer(node: &Conductor) -> SpecRef {
    let spec = node.create_model_spec(model_spec("tiny-gemma")).await.unwrap();
    node.put_capability(provider(&spec, 1)).await.unwrap();
    common::place(node, &spec).await;
    spec
}

/// The same by whoever has not worked. Nothing is asked of others: they may have stopped answering by now.
async fn offer_unasked(rogue: &RogueAgent, spec: &SpecRef) {
    let offer = Act::Entry(AnyEntry::Capability(offered(spec)));
    let [capability] = rogue.act(vec![offer]).await.unwrap().try_into().unwrap();
    let path = buckets::path(&Topic::Providers(spec.entry.clone()), Place::ROOT);
    let bucket: EntryHash = rogue.call("rogue", "anchor_hash", path).await.unwrap();
    let (base, target) = (bucket.into(), capability.into());
    rogue.act(vec![Act::Link(RawLink { base, target, link_type: BUCKET_TO_PROVIDER, tag: vec![0] })]).await.unwrap();
}

async fn providers(node: &Conductor) -> Vec<AgentPubKey> {
    let mut found = Vec::new();
    for spec in node.get_all_model_specs().await.unwrap() {
        found.extend(node.get_providers_for_model_spec(spec.spec.entry).await.unwrap());
    }
    found.into_iter().map(|provider| provider.agent).collect()
}

#[test]
fn who_has_worked_is_found_and_who_has_not_is_refused() {
    run(async {
        let (dir, server) = (tempfile::tempdir().unwrap(), bootstrap().await);
        let (dear, url) = (Dear::new().await, server.url());
        let of = |name: &str| dir.path().join(name);

        // One with a key of a keyring, one whose conductor makes a key: both work before they join.
        let keyring = Keyring::open(&of("keys"), &Passphrase::cheap("correct horse")).await.unwrap();
        let key = keyring.new_agent().await.unwrap();
        let mut options = dear.options(&of("alice"), url, Some(key.clone()));
        if let Mode::Embedded(embedded) = &mut options.mode {
            embedded.keystore = Some(Keyring::folder(&of("keys")));
        }
        let alice = Conductor::start(options).await.unwrap();
        let bob = Conductor::start(dear.options(&of("bob"), url, None)).await.unwrap();
        assert_eq!(alice.agent(), key);
        let (of_alice, of_bob) = (dear.work_of(&of("alice"), &alice.agent()), dear.work_of(&of("bob"), &bob.agent()));
        assert!(!of("bob").join("conductor/new-agent").exists(), "whose key is the conductor's by now");
        assert_eq!(alice.dna_hash(), dear.dna(&dear.network.properties).await);
        assert_ne!(alice.dna_hash(), dear.dna(&network::public("Dear")).await, "another network than without work");

        until(&alice, "ready", NetworkState::is_ready).await;
        until(&bob, "ready", NetworkState::is_ready).await;
        let spec = offer(&bob).await;
        eventually("the provider", || async { providers(&alice).await.contains(&bob.agent()).then_some(()) }).await;
        for (asks, of) in [(&alice, bob.agent()), (&bob, alice.agent())] {
            eventually("how it joined", || async {
                (asks.get_membership(of.clone()).await.ok()? == Membership::Member { invite: None }).then_some(())
            })
            .await;
        }

        // One's own conductor says no before anything is written.
        let rogue = Rogue::start(&of("rogue"), url, false).await;
        let network = Some((&dear.network.properties, dear.seed.as_str()));
        let mallory = rogue.key().await;
        for (name, proof, breach) in [
            ("nothing", None, "work_missing"),
            ("another's", Some(of_alice), "work_too_little"),
            ("yet another's", Some(of_bob), "work_too_little"),
        ] {
            let Err(refused) = rogue.join(name, network, Some(mallory.clone()), proof).await else {
                panic!("{name} admits")
            };
            assert!(refused.contains(breach), "{name}: {refused}");
        }

        // Whose conductor does not ask its zomes is refused by the others: nobody lists it, before the warrant and after.
        rogue.begin_unasked(&of("rogue"), url, &alice.dna_hash(), &mallory, Some(of_alice)).await;
        let mallory = rogue.join("unasked", network, Some(mallory), None).await.unwrap();
        offer_unasked(&mallory, &spec).await;
        let mut seen = Vec::new();
        let standing = eventually("a warrant", || async {
            assert_eq!(providers(&alice).await, [bob.agent()], "who has not worked is not listed");
            let standing = alice.get_agent_standing(mallory.key()).await.unwrap();
            (!standing.warrants.is_empty()).then_some(standing)
        })
        .await;
        seen.extend(standing.warrants);
        assert!(seen.iter().any(|reason| reason.starts_with("work_too_little")), "{seen:?}");
        assert_eq!(providers(&alice).await, [bob.agent()]);
        let judged = alice.get_membership(mallory.key()).await.unwrap();
        assert!(!matches!(judged, Membership::Member { .. }), "{judged:?}");
        println!("who had not worked: {seen:?}, {judged:?}");
        rogue.stop().await;

        // Who was admitted once starts again without working: even with a file that says nothing.
        let agent = bob.agent();
        bob.shutdown().await.unwrap();
        std::fs::write(of("bob").join("work"), "").unwrap();
        let again = Conductor::start(dear.options(&of("bob"), url, None)).await.unwrap();
        assert_eq!((again.agent(), std::fs::read_to_string(of("bob").join("work")).unwrap()), (agent, String::new()));
        again.shutdown().await.unwrap();
        alice.shutdown().await.unwrap();
        server.shutdown().await;
    });
}
