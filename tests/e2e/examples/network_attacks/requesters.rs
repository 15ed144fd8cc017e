//! What is done around answers: a new name after being found, a machine that nobody has measured, a bill for more than was sent, and questions by which an honest provider shall look
//! as if it had signed two things.

use crate::network::{self, known, question, text, Network, LOOK, SOON};
use crate::row::Row;
use ainonymous_e2e::{Client, Harm, Hostile, Node, NodeSpec, Stranger};
use ainonymous_types::{EntryHash, RefuseReason};
use serde_json::json;
use std::time::{Duration, Instant};

/// Tokens billed that were never sent.
const BILLED_MORE: u32 = 32;
/// Longer than somebody who has failed is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(8);

pub(crate) async fn rows(network: &mut Network, quick: bool) -> Vec<Row> {
    let mut rows = vec![over_billing(network).await, framing(network).await];
    if !quick {
        rows.push(nobodys_machine(network).await);
        rows.push(new_name(network).await);
    }
    rows
}

/// Other words than the model's, by a provider on a machine of which no table speaks, as it says: nothing is known of its honest likes.
async fn nobodys_machine(network: &mut Network) -> Row {
    let here = network.here.clone();
    // The words of the longest answer to another question, which ended by itself.
    let others = network.fair.iter().skip(1).step_by(2);
    let said = others.max_by_key(|checked| checked.tokens).expect("answers").text.clone();
    let (_, tokens) = network.honest.client().post("/tokenize", json!({ "content": said })).await;
    let tokens: Vec<u32> = serde_json::from_value(tokens["tokens"].clone()).expect("tokens");
    let hostile = Hostile::join_on("nobody's", &network.url, Harm::OverBills(said, tokens, 0)).await;
    let bad = hostile.agent();
    known(&here, &bad).await;
    let (mut tried, mut found) = (0, 0);
    for n in (0..2 * network.answers).step_by(2).take(8) {
        let answer = network::answer(&here, question(n, &bad)).await;
        tried += 1;
        found += u64::from(settled(&here, &text(&answer.last["ainonymous"]["receipt_path"])).await == "disputed");
    }
    hostile.leave().await;
    Row {
        attack: "a machine that no table speaks of",
        nodes: Some(3),
        tried,
        found,
        audits_median: (found > 0).then_some(1),
        note: "other words than the model's, opening nothing: found by what no rounding explains".into(),
        promised_percent: 50,
        ..Row::default()
    }
}

/// Each time under a new agent: nobody has it checked by hand, the dice alone decide.
async fn new_name(network: &mut Network) -> Row {
    let here = network.here.clone();
    let (names, each) = (3, 4);
    let mut found = 0;
    for name in 0..names {
        let mut cheat = Node::ready(NodeSpec::new(&network.url).cheating());
        let bad = cheat.agent();
        known(&here, &bad).await;
        for n in 0..each {
            let answer = network::answer(&here, question(name * each + n, &bad)).await;
            let state = settled(&here, &text(&answer.last["ainonymous"]["receipt_path"])).await;
            found += u64::from(state == "disputed");
        }
        network.stays.push(cheat);
    }
    Row {
        attack: "a new name after being found",
        nodes: Some(3),
        tried: (names * each) as u64,
        found,
        audits_median: (found > 0).then_some(1),
        false_alarms: network.false_alarms(),
        honest_tried: network.fair.len() as u64,
        note: "q4_0 under three names, four answers each; of whoever is new each answer is audited".into(),
        promised_percent: 90,
        ..Row::default()
    }
}

/// Where an answer stands, once that has not changed for a while.
async fn settled(client: &Client, path: &str) -> String {
    let deadline = Instant::now() + SOON;
    loop {
        let (_, state) = client.get(path).await;
        let audit = text(&state["audit"]);
        if !matches!(audit.as_str(), "running" | "unaudited") || Instant::now() > deadline {
            return audit;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The right text, and a bill for more of it.
async fn over_billing(network: &mut Network) -> Row {
    let here = network.here.clone();
    let said = network.fair[0].text.clone();
    let (_, tokens) = network.honest.client().post("/tokenize", json!({ "content": said })).await;
    let tokens: Vec<u32> = serde_json::from_value(tokens["tokens"].clone()).expect("tokens");
    let over = |more| Harm::OverBills(said.clone(), tokens.clone(), more);
    // Who bills what it sent is believed: so the receipt is refused for nothing else.
    let hostile = Hostile::join(&network.url, over(0)).await;
    let bad = hostile.agent();
    let asked = || question(0, &bad);
    assert_eq!(network::answer(&here, asked()).await.text, said, "the right bill");
    let (mut tried, mut refused) = (0, 0);
    for more in [1, BILLED_MORE] {
        hostile.turns_to(over(more));
        tried += 1;
        let failure = here.stream(asked()).await.expect_err("the wrong bill");
        refused += u64::from(text(&failure.error["message"]).contains("counts other tokens than it sent"));
        tokio::time::sleep(LEFT_ALONE).await;
    }
    Row {
        attack: "over-billing",
        nodes: Some(3),
        tried,
        found: refused,
        note: "a receipt for a token or a window more than was sent: whoever asked refuses it, and says so".into(),
        promised_percent: 100,
        ..Row::default()
    }
}

/// Two receipts for one question are a proof against whoever signed them; so somebody asks an honest provider the same twice.
async fn framing(network: &mut Network) -> Row {
    let dna = text(&network.asker.wait_ready()["dna_hash"]);
    let asked = question(0, &network.honest.agent());
    let answer = network::answer(&network.here, asked).await;
    let spec = EntryHash::try_from(text(&answer.last["ainonymous"]["model_spec"]).as_str()).expect("a spec");
    let stranger = Stranger::of(&network.honest.client(), &dna).await;
    let (mut tried, mut refused) = (0, 0);
    for _ in 0..network.answers.min(8) {
        let told = stranger.is_answered(spec.clone()).await;
        for _ in 0..2 {
            tried += 1;
            refused += u64::from(matches!(stranger.asks_again(&told).await, Err(RefuseReason::Malformed)));
        }
    }
    Row {
        attack: "framing by questions asked twice",
        nodes: Some(2),
        tried,
        found: refused,
        note: "with the key, salt and challenge of a question that was answered; found are those that get no second receipt".into(),
        promised_percent: 100,
        ..Row::default()
    }
}
