//! Loading the dice: the beacon that draws answers and auditors is a hash of the provider's receipt and of a secret of whoever asks. Each tries
//! alone, without the other's part. What both gain who try together needs no nodes (`tests/sim`).

use crate::network::{self, known, question, text, Network};
use crate::requesters::settled;
use crate::row::Row;
use ainonymous_e2e::{Harm, Hostile, Stranger};
use ainonymous_types::limits::PPM_MAX;
use ainonymous_types::{AgentPubKey, AuditTerms, Bytes32, EntryHash, Receipt};
use ainonymous_verify::audit::draw;
use serde_json::json;

/// Secrets that are tried for one question.
const SECRETS: usize = 64;
/// Of two auditors one is drawn: there choosing would gain most.
const HALF: AuditTerms = AuditTerms { challenge: Bytes32([0; 32]), rate_ppm: PPM_MAX, auditors_ppm: PPM_MAX / 2 };

pub(crate) async fn rows(network: &mut Network) -> Vec<Row> {
    let here = network.here.status().await["models"][0]["info"]["backend_detail"].clone();
    let receipts_row = Row {
        attack: "a provider tries receipts",
        note: "signs 64 for each false answer, and sends the one that escapes most of the secrets it can think of"
            .into(),
        promised_percent: 80,
        ..receipts(network, &text(&here)).await
    };
    let unknown_row = Row {
        attack: "a machine that no table speaks of",
        note: "the same from a provider that names such a one: found by what no rounding explains".into(),
        promised_percent: 50,
        ..receipts(network, "nobody's").await
    };
    vec![receipts_row, unknown_row, secrets(network).await]
}

/// A provider that answers falsely, with that receipt of many by which it may escape; on such a machine, as it says.
async fn receipts(network: &mut Network, machine: &str) -> Row {
    let here = network.here.clone();
    // The words of the longest answer to another question, which ended by itself.
    let others = network.fair.iter().skip(1).step_by(2);
    let false_text = others.max_by_key(|checked| checked.tokens).expect("answers").text.clone();
    let (_, tokens) = network.honest.client().post("/tokenize", json!({ "content": false_text })).await;
    let tokens: Vec<u32> = serde_json::from_value(tokens["tokens"].clone()).expect("tokens");
    let hostile = Hostile::join_on(machine, &network.url, Harm::LoadsDice(false_text, tokens)).await;
    let bad = hostile.agent();
    known(&here, &bad).await;
    let (mut tried, mut found) = (0, 0);
    for n in (0..2 * network.answers).step_by(2).take(8) {
        let answer = network::answer(&here, question(n, &bad)).await;
        let state = settled(&here, &text(&answer.last["ainonymous"]["receipt_path"])).await;
        tried += 1;
        found += u64::from(state == "disputed");
    }
    hostile.leave().await;
    Row { nodes: Some(3), tried, found, ..Row::default() }
}

/// Somebody asks with that secret of many which may draw an accomplice as auditor.
async fn secrets(network: &mut Network) -> Row {
    let dna = text(&network.asker.wait_ready()["dna_hash"]);
    let answer = network::answer(&network.here, question(0, &network.honest.agent())).await;
    let spec = EntryHash::try_from(text(&answer.last["ainonymous"]["model_spec"]).as_str()).expect("a spec");
    let stranger = Stranger::of(&network.honest.client(), &dna).await;
    let accomplice = AgentPubKey::from_raw_32(rand::random::<[u8; 32]>().to_vec());
    let with = |secret: &Bytes32| AuditTerms { challenge: draw::challenge(secret), ..HALF };
    let is_drawn = |receipt: &Receipt, secret: &Bytes32| {
        draw::is_auditor(&draw::beacon(receipt, secret), &receipt.audit, &accomplice)
    };
    let mut guess = stranger.is_answered_by(spec.clone(), Bytes32([0; 32]), HALF).await.receipt.receipt;
    let tries = 2 * network.answers as u64;
    let mut missed = 0;
    for _ in 0..tries {
        // All but what the provider adds is known before: the last receipt stands for that.
        let secrets: [Bytes32; SECRETS] = std::array::from_fn(|_| Bytes32(rand::random()));
        let liked = |secret: &&Bytes32| is_drawn(&Receipt { audit: with(secret), ..guess.clone() }, secret);
        let secret = *secrets.iter().find(liked).unwrap_or(&secrets[0]);
        guess = stranger.is_answered_by(spec.clone(), secret, HALF).await.receipt.receipt;
        missed += u64::from(!is_drawn(&guess, &secret));
    }
    Row {
        attack: "an asker tries secrets",
        nodes: Some(2),
        tried: tries,
        found: missed,
        note: "64 for each question, for an accomplice that half of them draw; found are those that do not draw it, where half are due".into(),
        promised_percent: 20,
        ..Row::default()
    }
}
