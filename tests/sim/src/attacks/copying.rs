//! An auditor that computes nothing: it waits until another has shown a canary, then promises and publishes the same as its own.
//!
//! To copy before is found (`sidecar/engine/examples/attacks/auditors.rs`); afterwards everything is public, the secret too. Whether an entry is
//! in order is asked of the rules by which all nodes validate; that an agreeing report makes its author trusted is up to nodes.

use super::row::Row;
use super::{agent, bytes, dice, row, Fared};
use ainonymous_types::limits::PPM_MAX;
use ainonymous_types::{
    ActionHash, AgentPubKey, AuditCommit, AuditMode, AuditReport, AuditTerms, BatchProof, Bytes32, Bytes64,
    Calibration, ChatInput, ChatMessage, ChatRole, EntryHash, Evidence, FinishReason, Likely, OpenedLeaf, Outcome,
    Receipt, ReplayLeaf, Sampling, SignedReceipt, SpecRef, Standing, Statistics, Verdict,
};
use ainonymous_verify::audit::{calibration, draw, evidence, fingerprint, leaf, measure, scope, statistics};
use ainonymous_verify::rules::{self, AppEntry, Content, Known};
use ainonymous_verify::{commit, receipt, Breach};
use ed25519_dalek::{Signer, SigningKey};
use rand_chacha::ChaCha8Rng;

/// Tokens of an answer.
const TOKENS: u32 = 40;

pub(super) fn rows(tries: u64) -> Vec<Row> {
    let mut dice = dice(4);
    let Some(table) = table() else { return Vec::new() };
    let (mut refused, mut original_refused, canaries) = (0, 0, tries / 5);
    for _ in 0..canaries {
        let original = canary(&table, &mut dice);
        original_refused += u64::from(judged(&original, &table).is_err());
        refused += u64::from(judged(&copied(&original), &table).is_err());
    }
    vec![row(
        "an auditor copies what a canary has shown",
        0,
        Fared { tried: canaries, found: refused, honest_tried: canaries, false_alarms: original_refused },
        "found are copies that validation refuses: none says that it came first, or who asked",
    )]
}

/// A promise and what was published after it.
struct Published {
    author: AgentPubKey,
    commit: AuditCommit,
    report: AuditReport,
}

/// By all the rules that look at it alone: the promise, the report, what it shows, and the reckoning.
fn judged(published: &Published, table: &Calibration) -> Result<(), Breach> {
    let Published { author, commit, report } = published;
    rules::audit_commit(commit, author)?;
    rules::audit_report(report)?;
    let content = Content::App(EntryHash::from_raw_36(vec![9; 36]), AppEntry::AuditCommit(commit.clone()));
    rules::audit_report_commit(report, author, &Known { author: author.clone(), content })?;
    rules::audit_report_arithmetic(report, author, commit, Some(table), &Standing::default())?;
    // Nobody is found right by a report from which nothing follows.
    (report.verdict == Verdict::Pass).then_some(()).ok_or(Breach::NotEnough { what: "the verdict" })
}

/// The same as somebody else's: nothing of it is computed.
fn copied(original: &Published) -> Published {
    let Published { author: _, commit, report } = original;
    let author = agent(666);
    let replay = report.evidence.as_ref().map_or(Bytes32([0; 32]), |shown| leaf::replay(&shown.replay));
    let standing = evidence::add(&Standing::default(), &author, report.llr);
    Published {
        commit: AuditCommit { capability: action(66), replay, ..commit.clone() },
        report: AuditReport { commit: action(67), standing, ..report.clone() },
        author,
    }
}

/// An honest auditor's report about an honest answer.
fn canary(table: &Calibration, dice: &mut ChaCha8Rng) -> Published {
    let (author, key) = (agent(7), SigningKey::from_bytes(&bytes(dice)));
    let (salt, secret, tokens) = (Bytes32(bytes(dice)), Bytes32(bytes(dice)), (0..TOKENS).collect::<Vec<u32>>());
    let messages = vec![ChatMessage::new(ChatRole::User, "Why is salt important?")];
    let input = ChatInput { messages, sampling: Sampling::default(), max_tokens: 64, stop: vec![], more: None };
    let text = "Because.".to_owned();
    let position = || {
        let likely = |(id, byte): (u32, &u8)| Likely { id, minus_sixteenths: 16 * id as u16 + u16::from(byte % 8) };
        (0..8).zip(&bytes(dice)).map(likely).collect()
    };
    let positions: Vec<_> = std::iter::repeat_with(position).map(fingerprint::position).take(tokens.len()).collect();
    let opened = leaf::leaves(&salt, &tokens, &positions).unwrap_or_default();
    let of = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![0; leaf.tokens.len()], impossible: 0, leaf };
    let replay: Vec<ReplayLeaf> =
        leaf::leaves(&secret, &tokens, &positions).unwrap_or_default().into_iter().map(of).collect();
    let statement = Receipt {
        provider: AgentPubKey::from_raw_36([&key.verifying_key().to_bytes()[..], &[0; 4]].concat()),
        spec: EntryHash::from_raw_36(vec![7; 36]),
        session_key: Bytes32([2; 32]),
        input: commit::input(&salt, &input),
        output: commit::output(&salt, &tokens, &text),
        fingerprint: leaf::fingerprint(&opened),
        prompt_tokens: 5,
        completion_tokens: TOKENS,
        finish: FinishReason::Stop,
        finished_at: 1,
        audit: AuditTerms { challenge: draw::challenge(&secret), rate_ppm: PPM_MAX, auditors_ppm: PPM_MAX },
    };
    let signature = Bytes64(key.sign(&receipt::canonical(&statement)).to_bytes());
    let promise = AuditCommit {
        capability: action(3),
        receipt: SignedReceipt { receipt: statement, signature },
        proof: BatchProof { batch: action(4), index: 0, path: vec![] },
        secret,
        mode: AuditMode::Canary,
        previous: None,
        replay: leaf::replay(&replay),
    };
    let outcome = statistics::outcome(&opened, &replay).unwrap_or(Outcome::Mismatch);
    let (verdict, llr) = calibration::judge(Some(table), &outcome);
    let report = AuditReport {
        commit: action(5),
        calibration: Some(action(6)),
        outcome,
        verdict,
        llr,
        standing: evidence::add(&Standing::default(), &author, llr),
        evidence: Some(Evidence { input, salt, tokens, text, opened, replay }),
    };
    Published { author, commit: promise, report }
}

/// A table of machines that hardly differ.
fn table() -> Option<Calibration> {
    let found = |delta: u32| Statistics {
        tokens: TOKENS,
        delta_sum: delta,
        delta_window: delta,
        delta_position: delta,
        ..Statistics::default()
    };
    let honest: Vec<Statistics> = (0..3_500).map(|n| found(n % 9)).collect();
    let cheats: Vec<Statistics> = (0..300).map(|n| found(100 + n % 90)).collect();
    let spec = SpecRef { entry: EntryHash::from_raw_36(vec![7; 36]), action: action(8) };
    let rows = vec![measure::row(1, &honest, &cheats)?];
    Some(Calibration {
        spec,
        prover: "cpu".into(),
        verifier: "cpu".into(),
        scope: scope::ALL,
        data: Bytes32([1; 32]),
        rows,
    })
}

fn action(n: u8) -> ActionHash {
    ActionHash::from_raw_36(vec![n; 36])
}
