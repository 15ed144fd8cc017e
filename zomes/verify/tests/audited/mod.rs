//! A provider, auditors and jurors with real keys, and what they write in the course of an audit that ends in a conviction.

#![allow(dead_code, unreachable_pub)]

use ainonymous_types::*;
use ainonymous_verify::audit::{calibration, draw, evidence, leaf, scope, statistics};
use ainonymous_verify::{commit, merkle, receipt};
use ed25519_dalek::{Signer, SigningKey};

/// Somebody with a key.
pub struct Party(SigningKey);

impl Party {
    pub fn new(n: u8) -> Self {
        Self(SigningKey::from_bytes(&[n; 32]))
    }

    pub fn agent(&self) -> AgentPubKey {
        let mut raw = self.0.verifying_key().to_bytes().to_vec();
        raw.extend([0; 4]);
        AgentPubKey::from_raw_36(raw)
    }

    pub fn sign(&self, receipt: Receipt) -> SignedReceipt {
        let signature = Bytes64(self.0.sign(&receipt::canonical(&receipt)).to_bytes());
        SignedReceipt { receipt, signature }
    }
}

pub const PROVIDER: u8 = 1;
pub const SECRET: Bytes32 = Bytes32([42; 32]);
const SALT: Bytes32 = Bytes32([43; 32]);
const TEXT: &str = "Paris is the capital.";

pub fn question() -> ChatInput {
    let message = ChatMessage::new(ChatRole::User, "What is the capital of France?");
    ChatInput { messages: vec![message], sampling: Sampling::default(), max_tokens: 64, stop: vec![], more: None }
}

fn tokens() -> Vec<u32> {
    (100..140).collect()
}

/// What the provider (shifted by so many sixteenths) or the auditor (not shifted) thought likely.
pub fn leaves(shift: u16) -> Vec<OpenedLeaf> {
    let position: Position = (0..8).map(|i| Likely { id: i, minus_sixteenths: shift + 16 * i as u16 }).collect();
    leaf::leaves(&SALT, &tokens(), &vec![position; tokens().len()]).unwrap()
}

pub fn replay() -> Vec<ReplayLeaf> {
    let of = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![0; leaf.tokens.len()], impossible: 0, leaf };
    leaves(0).into_iter().map(of).collect()
}

/// The provider's receipt for its n-th answer, whose fingerprint is this far from the truth.
pub fn receipt(spec: &EntryHash, n: u8, shift: u16) -> Receipt {
    Receipt {
        provider: Party::new(PROVIDER).agent(),
        spec: spec.clone(),
        session_key: Bytes32([n; 32]),
        input: commit::input(&SALT, &question()),
        output: commit::output(&SALT, &tokens(), TEXT),
        fingerprint: leaf::fingerprint(&leaves(shift)),
        prompt_tokens: 12,
        completion_tokens: tokens().len() as u32,
        finish: FinishReason::Stop,
        finished_at: 1_760_000_000_000_000,
        audit: AuditTerms { challenge: draw::challenge(&SECRET), rate_ppm: 1_000_000, auditors_ppm: 1_000_000 },
    }
}

/// Ten receipts in one batch.
pub fn batch(receipts: &[SignedReceipt], spec: SpecRef, capability: ActionHash) -> ReceiptBatch {
    let leaves: Vec<_> = receipts.iter().map(receipt::leaf).collect();
    let root = merkle::root(&leaves).unwrap();
    ReceiptBatch { capability, spec, root, count: receipts.len() as u32, prompt_tokens: 120, completion_tokens: 400 }
}

pub fn proof(receipts: &[SignedReceipt], index: usize, batch: &ActionHash) -> BatchProof {
    let leaves: Vec<_> = receipts.iter().map(receipt::leaf).collect();
    BatchProof { batch: batch.clone(), index: index as u32, path: merkle::path(&leaves, index).unwrap() }
}

pub fn offer(role: Role, spec: &SpecRef) -> Capability {
    let models = match role {
        Role::Provider => vec![ServedModel { spec: spec.clone(), tokens_per_s: 10 }],
        Role::Router | Role::Auditor => vec![],
    };
    Capability {
        roles: vec![role],
        sealing_key: Bytes32([5; 32]),
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: if role == Role::Provider { "avx2, one" } else { "avx512, another" }.into(),
        models,
        router: None,
        region: None,
    }
}

pub fn table(spec: SpecRef) -> Calibration {
    let (honest, cheats) = (vec![9_000, 900, 95, 5, 0, 0], vec![10, 20, 50, 300, 900, 2_000]);
    let tables = vec![(vec![10, 20, 40, 80, 160], honest, cheats); calibration::Statistic::ALL.len()];
    let rows = vec![calibration::calibrated(8, &tables).unwrap()];
    Calibration {
        spec,
        prover: "cpu-avx2".into(),
        verifier: "cpu-avx512".into(),
        scope: scope::ALL,
        data: Bytes32([7; 32]),
        rows,
    }
}

pub fn promise(receipt: &SignedReceipt, proof: BatchProof, capability: ActionHash, mode: AuditMode) -> AuditCommit {
    AuditCommit {
        capability,
        receipt: receipt.clone(),
        proof,
        secret: SECRET,
        mode,
        previous: None,
        replay: leaf::replay(&replay()),
    }
}

/// What follows from an outcome, after this standing.
pub fn found(
    commit: ActionHash,
    calibration: Option<(ActionHash, &Calibration)>,
    outcome: Outcome,
    auditor: &AgentPubKey,
    before: &Standing,
) -> AuditReport {
    let (action, table) = calibration.unzip();
    let (verdict, llr) = calibration::judge(table, &outcome);
    let standing = evidence::add(before, auditor, llr);
    AuditReport { commit, calibration: action, outcome, verdict, llr, standing, evidence: None }
}

/// A canary's evidence over a fingerprint that is this far from the truth.
pub fn shown(shift: u16) -> Evidence {
    let (opened, replay) = (leaves(shift), replay());
    Evidence { input: question(), salt: SALT, tokens: tokens(), text: TEXT.into(), opened, replay }
}

/// What tokens say that are this far from what the auditor's model draws, of whoever opens nothing.
pub fn silent(margin: u32) -> Outcome {
    let tokens = tokens().len() as u32;
    Outcome::NotOpened(Statistics { tokens, margin_sum: margin, margin_window: margin, ..Statistics::default() })
}

pub fn outcome(shift: u16) -> Outcome {
    statistics::outcome(&leaves(shift), &replay()).unwrap()
}
