//! Providers that sign two receipts for one question. The two are a proof that anybody can check: whoever reads it asks them no more.

use crate::network::{self, known, question, text, Network, SOON};
use crate::row::Row;
use ainonymous_e2e::{Harm, Hostile, Node, NodeSpec, Observer, Stranger};
use ainonymous_types::Equivocation;
use ainonymous_verify::receipt;
use std::time::{Duration, Instant};

/// Providers that do so.
const SIGNERS: usize = 3;
/// Pause between two questions to one of them.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn row(network: &mut Network) -> Row {
    let dna = text(&network.asker.wait_ready()["dna_hash"]);
    let witness = Observer::join(&network.url).await;
    let mut signers = Vec::new();
    for _ in 0..SIGNERS {
        let signer = Hostile::join(&network.url, Harm::LoadsDice("Paris.".into(), vec![300, 301, 302])).await;
        let mut pair = Stranger::at(signer.whereabouts(), &dna).is_signed_twice(signer.spec()).await;
        pair.sort_by_key(|signed| receipt::canonical(&signed.receipt));
        let [first, second] = pair;
        witness.conductor().create_equivocation(Equivocation { first, second }).await.expect("a proof");
        signers.push(signer);
    }
    // Somebody who has asked them before it has read anything.
    let mut late = Node::ready(NodeSpec::new(&network.url));
    let here = late.client();
    for signer in &signers {
        known(&here, &signer.agent()).await;
        assert_eq!(network::answer(&here, question(0, &signer.agent())).await.text, "Paris.");
    }
    // What is published is read soon after a start, then every five minutes.
    late.stop();
    late.restart();
    late.wait_ready();
    let here = late.client();
    let deadline = Instant::now() + 2 * SOON;
    let mut shut_out = 0;
    for signer in &signers {
        known(&here, &signer.agent()).await;
        while here.stream(question(0, &signer.agent())).await.is_ok() && Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
        }
        // Nobody asks it, though it answers: the question does not reach it.
        let before = signer.asked();
        let _ = here.stream(question(0, &signer.agent())).await;
        shut_out += u64::from(signer.asked() == before);
    }
    let honest = network.honest.agent();
    known(&here, &honest).await;
    assert!(!network::answer(&here, question(0, &honest)).await.text.is_empty(), "the honest are asked as before");
    network.stays.push(late);
    for signer in signers {
        signer.leave().await;
    }
    witness.leave().await;
    Row {
        attack: "equivocation",
        nodes: Some(3),
        tried: SIGNERS as u64,
        found: shut_out,
        note: "two receipts for one question, published by whoever has both; found are those whom a node that has read it asks no more".into(),
        promised_percent: 100,
        ..Row::default()
    }
}
