//! Loading the dice: the beacon that draws answers and auditors is a hash of the provider's receipt and of a secret of whoever asks. Each tries
//! alone, without the other's part. What both gain who try together needs no nodes (`tests/sim`).

use crate::network::{self, question, text, Network};
use crate::row::Row;
use ainonymous_e2e::{Harm, Hostile, Stranger};
use ainonymous_types::limits::PPM_MAX;
use ainonymous_types::{AgentPubKey, AuditTerms, Bytes32, EntryHash, Receipt};
use ainonymous_verify::audit::draw;

/// Secrets that are tried for one question.
const SECRETS: usize = 64;
/// Of two answers one is audited: there choosing would gain most.
const HALF_AUDITED: AuditTerms = AuditTerms { challenge: Bytes32([0; 32]), rate_ppm: PPM_MAX / 2, auditors_ppm: 0 };
/// The same of two auditors.
const HALF: AuditTerms = AuditTerms { challenge: Bytes32([0; 32]), rate_ppm: PPM_MAX, auditors_ppm: PPM_MAX / 2 };

pub(crate) async fn rows(network: &mut Network) -> Vec<Row> {
    vec![receipts(network).await, secrets(network).await]
}

/// A provider that sends that receipt of many by which it may escape the audit that half of its answers get.
async fn receipts(network: &mut Network) -> Row {
    let dna = text(&network.asker.wait_ready()["dna_hash"]);
    let hostile = Hostile::join(&network.url, Harm::LoadsDice("Paris.".into(), vec![300, 301, 302])).await;
    let stranger = Stranger::at(hostile.whereabouts(), &dna);
    let tries = 2 * network.answers as u64;
    let mut audited = 0;
    for _ in 0..tries {
        let secret = Bytes32(rand::random());
        let receipt = stranger.is_signed_for(hostile.spec(), secret, HALF_AUDITED).await.receipt;
        audited += u64::from(draw::is_audited(&draw::beacon(&receipt, &secret), &receipt.audit));
    }
    hostile.leave().await;
    Row {
        attack: "a provider tries receipts",
        nodes: Some(2),
        tried: tries,
        found: audited,
        note:
            "64 for each answer, without the secret; found are those that are audited all the same, where half are due"
                .into(),
        promised_percent: 20,
        ..Row::default()
    }
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
