//! Audits on the DHT, from the first commitment to a conviction, and each way in which an entry is not in order.

#![allow(missing_docs, clippy::unwrap_used)]

mod audited;

use ainonymous_types::*;
use ainonymous_verify::audit::calibration::LLR_MAX;
use ainonymous_verify::audit::{draw, leaf};
use ainonymous_verify::judge::{self, Header, Records, Refusal};
use ainonymous_verify::network::{self, Network};
use ainonymous_verify::receipt;
use ainonymous_verify::rules::{self, Anchor, AppEntry, Content, Known};
use ainonymous_verify::vectors::receipt_place as place;
use audited::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const ANSWERS: usize = 10;
const SPEC: u8 = 20;
const OFFER: u8 = 21;
const BATCH: u8 = 22;
const TABLE: u8 = 23;
/// Capabilities of auditors and jurors, from here on.
const AUDITORS: u8 = 30;
/// Commitments and reports of the chain, from here on.
const COMMITS: u8 = 100;
const REPORTS: u8 = 120;
const ACCUSATION: u8 = 140;
const JURORS: u8 = 150;
const CONFIRMED: u8 = 170;
const CONVICTION: u8 = 180;

fn action(n: u8) -> ActionHash {
    ActionHash::from_raw_36(vec![n; 36])
}

fn spec_ref() -> SpecRef {
    SpecRef { entry: EntryHash::from_raw_36(vec![SPEC; 36]), action: action(SPEC) }
}

/// The DHT.
struct Dht(HashMap<ActionHash, Known>);

impl Records for Dht {
    type Error = ();
    fn valid(&self, action: &ActionHash) -> Result<Known, ()> {
        self.0.get(action).cloned().ok_or(())
    }
    fn anchor(&self, _: Anchor) -> Result<EntryHash, ()> {
        Err(())
    }
    fn bucket(&self, _: &Topic, _: Place) -> Result<EntryHash, ()> {
        Err(())
    }
    fn receipt(&self, leaf: &Bytes32) -> Result<EntryHash, ()> {
        Ok(place(leaf))
    }
    fn network(&self) -> Result<Network, Refusal<()>> {
        Ok(Network::new(network::public("audits"), "")?)
    }
}

impl Dht {
    /// A spec, a provider with ten receipts in a batch, a calibration, and fifteen who audit.
    fn new() -> Self {
        let mut dht = Self(HashMap::new());
        let provider = Party::new(PROVIDER).agent();
        let spec = ModelSpec {
            name: "tiny".into(),
            quantization: "q8_0".into(),
            architecture: "gemma4".into(),
            gguf_hash: Bytes32([1; 32]),
            gguf_root: Bytes32([2; 32]),
            gguf_bytes: 3_000,
            tokenizer_hash: Bytes32([3; 32]),
            template_hash: Bytes32([4; 32]),
            sampler_version: 2,
            kv_type: KvType::F16,
            context_tokens: 2_048,
        };
        dht.write(&provider, SPEC, AppEntry::ModelSpec(spec));
        dht.write(&provider, OFFER, AppEntry::Capability(offer(Role::Provider, &spec_ref())));
        dht.write(&provider, BATCH, AppEntry::ReceiptBatch(batch(&receipts(), spec_ref(), action(OFFER))));
        dht.write(&provider, TABLE, AppEntry::Calibration(table(spec_ref())));
        for n in AUDITORS..AUDITORS + 15 {
            dht.write(&Party::new(n).agent(), n, AppEntry::Capability(offer(Role::Auditor, &spec_ref())));
        }
        dht
    }

    fn write(&mut self, author: &AgentPubKey, n: u8, entry: AppEntry) {
        let content = Content::App(EntryHash::from_raw_36(vec![n; 36]), entry);
        self.0.insert(action(n), Known { author: author.clone(), content });
    }

    /// Writes what must be valid.
    fn write_valid(&mut self, author: &AgentPubKey, n: u8, entry: AppEntry) {
        assert_eq!(self.code(author, &entry), "ok", "{n}");
        self.write(author, n, entry);
    }

    fn code(&self, author: &AgentPubKey, entry: &AppEntry) -> &'static str {
        match judge::entry(Header { author, timestamp: 0 }, entry, self) {
            Ok(()) => "ok",
            Err(Refusal::Breach(breach)) => breach.code(),
            Err(Refusal::Records(())) => "missing",
        }
    }

    fn report(&self, n: u8) -> AuditReport {
        let known = &self.0[&action(n)];
        known.audit_report().unwrap().1.clone()
    }

    /// Nine audits by three auditors in turn, none of which finds a fingerprint of the answer: the last one accuses.
    fn accused() -> Self {
        let mut dht = Self::new();
        let mut before = Standing::default();
        for n in 0..9u8 {
            let auditor = auditor(n % 3);
            let mut commit = promised(n as usize, n % 3, AuditMode::Drawn);
            commit.previous = n.checked_sub(1).map(|n| action(REPORTS + n));
            dht.write_valid(&auditor, COMMITS + n, AppEntry::AuditCommit(commit));
            let report = found(action(COMMITS + n), None, Outcome::Mismatch, &auditor, &before);
            before = report.standing.clone();
            dht.write_valid(&auditor, REPORTS + n, AppEntry::AuditReport(report));
        }
        dht.write_valid(&auditor(0), ACCUSATION, AppEntry::Accusation(accusation()));
        dht
    }

    /// What a juror has found.
    fn hear(&mut self, juror: u8) {
        let who = auditor(juror);
        let commit = promised(case(&who), juror, AuditMode::Jury(action(ACCUSATION)));
        self.write_valid(&who, JURORS + juror, AppEntry::AuditCommit(commit));
        let mut report = found(action(JURORS + juror), None, Outcome::Mismatch, &who, &Standing::default());
        report.standing = Standing::default();
        self.write_valid(&who, CONFIRMED + juror, AppEntry::AuditReport(report));
    }

    /// Jurors 3, 4 and 5 have convicted the provider.
    fn convicted() -> Self {
        let mut dht = Self::accused();
        (3..6).for_each(|juror| dht.hear(juror));
        let confirmations = (3..6).map(|n| action(CONFIRMED + n)).collect();
        let conviction = Conviction { accusation: action(ACCUSATION), confirmations };
        dht.write_valid(&auditor(0), CONVICTION, AppEntry::Conviction(conviction));
        dht
    }
}

fn receipts() -> Vec<SignedReceipt> {
    (0..ANSWERS as u8).map(|n| Party::new(PROVIDER).sign(receipt_of(n))).collect()
}

fn receipt_of(n: u8) -> Receipt {
    audited::receipt(&spec_ref().entry, n, 3)
}

fn auditor(n: u8) -> AgentPubKey {
    Party::new(AUDITORS + n).agent()
}

/// The commitment of an auditor to the audit of an answer.
fn promised(answer: usize, by: u8, mode: AuditMode) -> AuditCommit {
    let receipts = receipts();
    promise(&receipts[answer], proof(&receipts, answer, &action(BATCH)), action(AUDITORS + by), mode)
}

fn accusation() -> Accusation {
    let reports = (0..9).rev().map(|n| action(REPORTS + n)).collect();
    Accusation { provider: Party::new(PROVIDER).agent(), reports }
}

/// The answer that falls to a juror.
fn case(juror: &AgentPubKey) -> usize {
    dealt(&draw::jury(&draw::beacon(&receipts()[8].receipt, &SECRET)), juror)
}

/// The answer that falls to one of the second jury.
fn case_of_appeal(juror: &AgentPubKey) -> usize {
    dealt(&draw::appeal(&draw::beacon(&receipts()[8].receipt, &SECRET)), juror)
}

fn dealt(beacon: &Bytes32, juror: &AgentPubKey) -> usize {
    8 - draw::case(beacon, juror, 9) as usize
}

#[test]
fn a_commitment_is_by_the_one_on_whom_the_draw_fell() {
    let dht = Dht::new();
    let code = |by: u8, spoil: &dyn Fn(&mut AuditCommit)| {
        let mut commit = promised(0, 0, AuditMode::Drawn);
        spoil(&mut commit);
        dht.code(&auditor(by), &AppEntry::AuditCommit(commit))
    };
    let signed = |c: &mut AuditCommit, spoil: fn(&mut Receipt)| {
        spoil(&mut c.receipt.receipt);
        c.receipt = Party::new(PROVIDER).sign(c.receipt.receipt.clone());
    };
    assert_eq!(code(0, &|_| ()), "ok");
    assert_eq!(code(1, &|_| ()), "not_author", "somebody else's capability");
    assert_eq!(code(0, &|c| c.capability = action(OFFER)), "not_author");
    assert_eq!(code(0, &|c| c.capability = action(SPEC)), "wrong_reference");
    assert_eq!(code(0, &|c| c.capability = action(99)), "missing");
    assert_eq!(code(0, &|c| c.secret = Bytes32([1; 32])), "commitment_mismatch");
    assert_eq!(code(0, &|c| c.replay = Bytes32([0; 32])), "empty");
    assert_eq!(code(0, &|c| c.receipt.signature = Bytes64([1; 64])), "signature");
    assert_eq!(code(0, &|c| c.receipt.receipt.prompt_tokens += 1), "signature");
    assert_eq!(code(0, &|c| signed(c, |r| r.audit.rate_ppm = 0)), "not_drawn");
    assert_eq!(code(0, &|c| signed(c, |r| r.audit.auditors_ppm = 0)), "not_drawn");
    assert_eq!(code(0, &|c| signed(c, |r| r.completion_tokens = 0)), "out_of_range");
    assert_eq!(code(0, &|c| signed(c, |r| r.prompt_tokens += 1)), "proof_mismatch", "signed, but in no batch");
    assert_eq!(code(0, &|c| c.proof.index = 1), "proof_mismatch");
    assert_eq!(code(0, &|c| c.proof.batch = action(SPEC)), "wrong_reference");
    assert_eq!(code(0, &|c| c.proof.path = vec![Bytes32([0; 32]); limits::MERKLE_PATH_MAX + 1]), "too_many");
    assert_eq!(code(0, &|c| c.previous = Some(action(99))), "missing");
    assert_eq!(code(0, &|c| c.previous = Some(action(BATCH))), "wrong_reference");
    let itself = AppEntry::AuditCommit(promised(0, 0, AuditMode::Drawn));
    assert_eq!(dht.code(&Party::new(PROVIDER).agent(), &itself), "audits_itself");
    // Canaries need no draw, but have to be short enough to be shown.
    assert_eq!(code(0, &|c| c.mode = AuditMode::Canary), "ok");
    let long = |c: &mut AuditCommit| {
        c.mode = AuditMode::Canary;
        signed(c, |r| r.completion_tokens = limits::EVIDENCE_TOKENS_MAX as u32 + 1);
    };
    assert_eq!(code(0, &long), "out_of_range");
    let not_an_auditor = |c: &mut AuditCommit| c.capability = action(AUDITORS);
    let mut other = Dht::new();
    other.write(&auditor(0), AUDITORS, AppEntry::Capability(offer(Role::Provider, &spec_ref())));
    let mut commit = promised(0, 0, AuditMode::Drawn);
    not_an_auditor(&mut commit);
    assert_eq!(other.code(&auditor(0), &AppEntry::AuditCommit(commit)), "not_auditor");
}

#[test]
fn every_verdict_is_valid_if_it_follows() {
    let mut dht = Dht::new();
    dht.write_valid(&auditor(0), COMMITS, AppEntry::AuditCommit(promised(0, 0, AuditMode::Drawn)));
    let table = table(spec_ref());
    let calibrated = || Some((action(TABLE), &table));
    let good = |outcome| found(action(COMMITS), calibrated(), outcome, &auditor(0), &Standing::default());
    let mut verdicts = Vec::new();
    for outcome in [outcome(0), outcome(3), outcome(60), Outcome::Mismatch, silent(0), silent(512)] {
        let report = good(outcome);
        verdicts.push(report.verdict);
        assert_eq!(dht.code(&auditor(0), &AppEntry::AuditReport(report)), "ok");
    }
    use Verdict::{Fail, Inconclusive, Pass};
    assert_eq!(verdicts, [Pass, Fail, Fail, Fail, Inconclusive, Fail]);
    let unknown = found(action(COMMITS), None, outcome(60), &auditor(0), &Standing::default());
    assert_eq!((unknown.verdict, unknown.llr), (Inconclusive, 0));
    assert_eq!(dht.code(&auditor(0), &AppEntry::AuditReport(unknown)), "ok");

    let code = |by: u8, spoil: &dyn Fn(&mut AuditReport)| {
        let mut report = good(outcome(3));
        spoil(&mut report);
        dht.code(&auditor(by), &AppEntry::AuditReport(report))
    };
    assert_eq!(code(1, &|_| ()), "not_author");
    assert_eq!(code(0, &|r| r.commit = action(99)), "missing");
    assert_eq!(code(0, &|r| r.commit = action(BATCH)), "wrong_reference");
    assert_eq!(code(0, &|r| r.verdict = Pass), "arithmetic");
    assert_eq!(code(0, &|r| r.llr -= 1), "arithmetic");
    assert_eq!(code(0, &|r| r.standing.score += 1), "arithmetic");
    assert_eq!(code(0, &|r| r.standing.shares[0].auditor = auditor(1)), "arithmetic");
    assert_eq!(code(0, &|r| r.calibration = None), "arithmetic");
    assert_eq!(code(0, &|r| r.calibration = Some(action(SPEC))), "wrong_reference");
    assert_eq!(code(0, &|r| r.evidence = Some(shown(3))), "unsupported", "a private audit shows nothing");
    let shares = vec![Share { auditor: auditor(0), llr: 1 }; limits::STANDING_SHARES_MAX + 1];
    assert_eq!(code(0, &|r| r.standing.shares = shares.clone()), "too_many");
    let measured = |spoil: fn(&mut Statistics)| {
        move |r: &mut AuditReport| {
            let Outcome::Measured(found) = &mut r.outcome else { panic!("not measured") };
            spoil(found);
        }
    };
    assert_eq!(code(0, &measured(|s| s.tokens += 1)), "arithmetic", "another length than the receipt's");
    assert_eq!(code(0, &measured(|s| s.delta_window = s.delta_sum + 1)), "impossible");
    let silent_with = |spoil: fn(&mut Statistics)| {
        let mut found = *silent(0).statistics().unwrap();
        spoil(&mut found);
        code(0, &|r| r.outcome = Outcome::NotOpened(found))
    };
    assert_eq!(silent_with(|s| s.tokens -= 1), "arithmetic", "tokens of another length");
    assert_eq!(silent_with(|s| s.tail = 1), "impossible", "a distance from nothing");
}

/// Of a longer answer than a report can speak of, a drawn auditor judges the stretch that its ticket says, and no other.
#[test]
fn a_drawn_audit_of_a_long_answer_is_of_a_stretch() {
    let mut commit = promised(0, 0, AuditMode::Drawn);
    commit.receipt.receipt.completion_tokens = 700;
    let windows = rules::judged_windows(&commit, &auditor(0));
    assert_eq!(windows.len(), 8);
    let tokens = leaf::tokens_in(&windows, 700);
    let known = Known {
        author: auditor(0),
        content: Content::App(EntryHash::from_raw_36(vec![5; 36]), AppEntry::AuditCommit(commit.clone())),
    };
    let code = |tokens: u32| {
        let outcome = Outcome::NotOpened(Statistics { tokens, ..Statistics::default() });
        let report = found(action(COMMITS), None, outcome, &auditor(0), &Standing::default());
        rules::audit_report_commit(&report, &auditor(0), &known).map_or_else(|breach| breach.code(), |()| "ok")
    };
    assert_eq!([code(tokens), code(tokens + 1), code(700)], ["ok", "arithmetic", "arithmetic"]);
    let starts: HashSet<usize> = (0..40).map(|n| rules::judged_windows(&commit, &auditor(n)).start).collect();
    assert!(starts.len() > 5, "others look elsewhere: {starts:?}");
    commit.mode = AuditMode::Jury(action(ACCUSATION));
    assert_eq!(rules::judged_windows(&commit, &auditor(0)), 0..22);
}

#[test]
fn a_calibration_is_of_this_model_and_these_machines() {
    let mut dht = Dht::new();
    dht.write_valid(&auditor(0), COMMITS, AppEntry::AuditCommit(promised(0, 0, AuditMode::Drawn)));
    let with = |spoil: fn(&mut Calibration)| {
        let mut table = table(spec_ref());
        spoil(&mut table);
        table
    };
    for (spoil, expected) in [
        ((|_| ()) as fn(&mut Calibration), "ok"),
        (|t| t.prover = "cpu-avx512".into(), "hash_mismatch"),
        (|t| t.verifier = "cuda".into(), "hash_mismatch"),
        (|t| t.spec.entry = EntryHash::from_raw_36(vec![9; 36]), "hash_mismatch"),
    ] {
        let table = with(spoil);
        dht.write(&auditor(5), TABLE, AppEntry::Calibration(table.clone()));
        let report =
            found(action(COMMITS), Some((action(TABLE), &table)), outcome(0), &auditor(0), &Standing::default());
        assert_eq!(dht.code(&auditor(0), &AppEntry::AuditReport(report)), expected);
    }
    // It was made from answers that were as long as this one, of 40 tokens.
    for (tokens, expected) in [(40, "ok"), (39, "out_of_scope")] {
        let mut table = table(spec_ref());
        table.scope.tokens = tokens;
        dht.write(&auditor(5), TABLE, AppEntry::Calibration(table.clone()));
        let calibrated = Some((action(TABLE), &table));
        let report = found(action(COMMITS), calibrated, outcome(0), &auditor(0), &Standing::default());
        assert_eq!(dht.code(&auditor(0), &AppEntry::AuditReport(report)), expected);
    }
    let code = |spoil| dht.code(&auditor(5), &AppEntry::Calibration(with(spoil)));
    assert_eq!(code(|_| ()), "ok");
    assert_eq!(code(|t| t.rows.clear()), "empty");
    assert_eq!(code(|t| t.spec.action = action(OFFER)), "wrong_reference");
    assert_eq!(code(|t| t.rows[0].tables[0].llr = vec![LLR_MAX; 6]), "uncalibrated");
}

#[test]
fn a_canary_shows_everything_and_everything_is_checked() {
    let mut dht = Dht::new();
    dht.write_valid(&auditor(0), COMMITS, AppEntry::AuditCommit(promised(0, 0, AuditMode::Canary)));
    let table = table(spec_ref());
    let code = |spoil: &dyn Fn(&mut AuditReport)| {
        let calibration = Some((action(TABLE), &table));
        let mut report = found(action(COMMITS), calibration, outcome(3), &auditor(0), &Standing::default());
        report.evidence = Some(shown(3));
        spoil(&mut report);
        dht.code(&auditor(0), &AppEntry::AuditReport(report))
    };
    let evidence = |spoil: fn(&mut Evidence)| move |r: &mut AuditReport| r.evidence.iter_mut().for_each(spoil);
    assert_eq!(code(&|_| ()), "ok");
    // Where the question is shown, the table has to be for questions as hot.
    let cooler = |temperature_milli: u32| {
        let mut dht = Dht::new();
        dht.write_valid(&auditor(0), COMMITS, AppEntry::AuditCommit(promised(0, 0, AuditMode::Canary)));
        let mut cool = table.clone();
        cool.scope.temperature_milli = temperature_milli;
        dht.write_valid(&auditor(5), TABLE, AppEntry::Calibration(cool.clone()));
        let calibrated = Some((action(TABLE), &cool));
        let mut report = found(action(COMMITS), calibrated, outcome(3), &auditor(0), &Standing::default());
        report.evidence = Some(shown(3));
        dht.code(&auditor(0), &AppEntry::AuditReport(report))
    };
    let asked = question().sampling.temperature_milli;
    assert_eq!([cooler(asked), cooler(asked - 1)], ["ok", "out_of_scope"]);
    assert_eq!(code(&|r| r.evidence = None), "empty");
    assert_eq!(code(&evidence(|e| e.input.max_tokens += 1)), "commitment_mismatch");
    assert_eq!(code(&evidence(|e| e.salt = Bytes32([1; 32]))), "commitment_mismatch");
    assert_eq!(code(&evidence(|e| e.text.push('!'))), "commitment_mismatch");
    assert_eq!(code(&evidence(|e| e.opened[0].salt = Bytes32([1; 32]))), "commitment_mismatch");
    assert_eq!(code(&evidence(|e| e.opened = leaves(0))), "commitment_mismatch", "another fingerprint than it signed");
    assert_eq!(code(&evidence(|e| e.replay[0].margins[0] = 1)), "commitment_mismatch", "not what was promised");
    assert_eq!(code(&evidence(|e| e.tokens[0] += 1)), "arithmetic");
    assert_eq!(code(&evidence(|e| e.tokens.truncate(39))), "arithmetic");
    assert_eq!(code(&evidence(|e| e.replay.truncate(1))), "arithmetic");
    assert_eq!(code(&|r| r.outcome = Outcome::Mismatch), "arithmetic");
    assert_eq!(code(&evidence(|e| e.text = "x".repeat(limits::EVIDENCE_TEXT_BYTES_MAX + 1))), "too_long");
    let long = "x".repeat(limits::EVIDENCE_TEXT_BYTES_MAX + 1);
    assert_eq!(code(&|r| r.evidence.iter_mut().for_each(|e| e.input.messages[0].content = long.clone())), "too_long");
    assert_eq!(code(&evidence(|e| e.tokens = vec![0; limits::EVIDENCE_TOKENS_MAX + 1])), "too_many");
    assert_eq!(code(&evidence(|e| e.opened = vec![e.opened[0].clone(); 9])), "too_many");
    assert_eq!(code(&evidence(|e| e.opened[0].body = vec![0; limits::FINGERPRINT_LEAF_BYTES_MAX + 1])), "too_long");
    // Of whoever opens nothing question, answer and replay are shown: by these a juror judges.
    let unopened = |spoil: fn(&mut Evidence), outcome: Outcome| {
        let mut report =
            found(action(COMMITS), Some((action(TABLE), &table)), outcome, &auditor(0), &Standing::default());
        report.evidence = Some(Evidence { opened: vec![], ..shown(3) });
        report.evidence.iter_mut().for_each(spoil);
        dht.code(&auditor(0), &AppEntry::AuditReport(report))
    };
    assert_eq!(unopened(|_| (), silent(0)), "ok");
    assert_eq!(unopened(|_| (), silent(7)), "arithmetic", "margins that the replay does not show");
    assert_eq!(unopened(|_| (), outcome(3)), "arithmetic", "a distance from nothing");
    assert_eq!(unopened(|e| e.opened = leaves(3), silent(0)), "arithmetic", "it has opened");
    assert_eq!(unopened(|e| e.text.push('!'), silent(0)), "commitment_mismatch");
}

#[test]
fn nine_bad_reports_by_three_auditors_accuse_and_three_jurors_convict() {
    let mut dht = Dht::accused();
    let jurors: Vec<u8> = (3..8).collect();
    for juror in &jurors {
        dht.hear(*juror);
        let who = auditor(*juror);
        let scored = found(action(JURORS + juror), None, Outcome::Mismatch, &who, &Standing::default());
        assert_eq!(dht.code(&who, &AppEntry::AuditReport(scored)), "arithmetic", "juries add to no score");
    }
    let code = |confirmations: &[u8]| {
        let confirmations = confirmations.iter().map(|n| action(CONFIRMED + n)).collect();
        dht.code(&auditor(0), &AppEntry::Conviction(Conviction { accusation: action(ACCUSATION), confirmations }))
    };
    assert_eq!(code(&[3, 4, 5]), "ok");
    assert_eq!(code(&[3, 4, 5, 6, 7]), "ok");
    assert_eq!(code(&[3, 4]), "not_enough");
    assert_eq!(code(&[3, 4, 4]), "repeated");
    assert_eq!(code(&[3, 4, 5, 6, 7, 8]), "too_many");
    assert_eq!(code(&[3, 4, 30]), "missing");
    let ordinary =
        Conviction { accusation: action(ACCUSATION), confirmations: (0..3).map(|n| action(REPORTS + n)).collect() };
    assert_eq!(dht.code(&auditor(0), &AppEntry::Conviction(ordinary)), "hash_mismatch", "no jurors");
    let of_nothing =
        Conviction { accusation: action(BATCH), confirmations: (3..6).map(|n| action(CONFIRMED + n)).collect() };
    assert_eq!(dht.code(&auditor(0), &AppEntry::Conviction(of_nothing)), "wrong_reference");
    // A juror who finds nothing confirms nothing.
    let mut acquitted = dht.report(CONFIRMED + 3);
    (acquitted.outcome, acquitted.verdict, acquitted.llr) = (silent(0), Verdict::Inconclusive, 0);
    dht.write(&auditor(3), CONFIRMED + 3, AppEntry::AuditReport(acquitted));
    let confirmations = (3..6).map(|n| action(CONFIRMED + n)).collect();
    let conviction = Conviction { accusation: action(ACCUSATION), confirmations };
    assert_eq!(dht.code(&auditor(0), &AppEntry::Conviction(conviction)), "not_enough");
}

/// An auditor can say that a provider has opened nothing, and nobody can tell: so jurors acquit by the tokens.
#[test]
fn a_juror_acquits_by_tokens_alone() {
    let mut dht = Dht::accused();
    let who = auditor(3);
    let commit = promised(case(&who), 3, AuditMode::Jury(action(ACCUSATION)));
    dht.write_valid(&who, JURORS + 3, AppEntry::AuditCommit(commit));
    let code = |verdict: Verdict| {
        let table = table(spec_ref());
        let mut report =
            found(action(JURORS + 3), Some((action(TABLE), &table)), silent(0), &who, &Standing::default());
        (report.verdict, report.standing) = (verdict, Standing::default());
        dht.code(&who, &AppEntry::AuditReport(report))
    };
    assert_eq!(
        [code(Verdict::Pass), code(Verdict::Inconclusive), code(Verdict::Fail)],
        ["ok", "arithmetic", "arithmetic"]
    );
}

#[test]
fn a_juror_twice_is_one_juror() {
    let mut dht = Dht::accused();
    for (n, juror) in [(3, 3), (4, 4), (5, 3)] {
        let who = auditor(juror);
        let commit = promised(case(&who), juror, AuditMode::Jury(action(ACCUSATION)));
        dht.write_valid(&who, JURORS + n, AppEntry::AuditCommit(commit));
        let mut report = found(action(JURORS + n), None, Outcome::Mismatch, &who, &Standing::default());
        report.standing = Standing::default();
        dht.write_valid(&who, CONFIRMED + n, AppEntry::AuditReport(report));
    }
    let confirmations = (3..6).map(|n| action(CONFIRMED + n)).collect();
    let conviction = Conviction { accusation: action(ACCUSATION), confirmations };
    assert_eq!(dht.code(&auditor(0), &AppEntry::Conviction(conviction)), "repeated");
}

#[test]
fn a_jury_is_drawn_and_no_party_to_it() {
    let dht = Dht::accused();
    let code = |juror: u8, answer: usize, spoil: &dyn Fn(&mut AuditCommit)| {
        let mut commit = promised(answer, juror, AuditMode::Jury(action(ACCUSATION)));
        spoil(&mut commit);
        dht.code(&auditor(juror), &AppEntry::AuditCommit(commit))
    };
    let dealt = case(&auditor(3));
    assert_eq!(code(3, dealt, &|_| ()), "ok");
    assert_eq!(code(3, (dealt + 1) % 9, &|_| ()), "not_drawn", "another answer than the one dealt");
    assert_eq!(code(0, case(&auditor(0)), &|_| ()), "not_drawn", "the accuser");
    assert_eq!(code(1, case(&auditor(1)), &|_| ()), "not_drawn", "one of the auditors");
    assert_eq!(code(3, dealt, &|c| c.previous = Some(action(REPORTS))), "unsupported");
    assert_eq!(code(3, dealt, &|c| c.mode = AuditMode::Jury(action(99))), "missing");
    assert_eq!(code(3, dealt, &|c| c.mode = AuditMode::Jury(action(BATCH))), "wrong_reference");
}

#[test]
fn the_convicted_may_appeal_and_nobody_else() {
    let dht = Dht::convicted();
    let code = |author: &AgentPubKey, conviction: u8| {
        dht.code(author, &AppEntry::Appeal(Appeal { conviction: action(conviction) }))
    };
    let provider = Party::new(PROVIDER).agent();
    assert_eq!(code(&provider, CONVICTION), "ok");
    assert_eq!(code(&auditor(0), CONVICTION), "not_author");
    assert_eq!(code(&provider, ACCUSATION), "wrong_reference");
    assert_eq!(code(&provider, 99), "missing");
}

#[test]
fn a_second_jury_is_drawn_anew_without_those_who_convicted() {
    let mut dht = Dht::convicted();
    let code = |dht: &Dht, juror: u8, answer: usize, conviction: u8| {
        let commit = promised(answer, juror, AuditMode::Appeal(action(conviction)));
        dht.code(&auditor(juror), &AppEntry::AuditCommit(commit))
    };
    let at = |juror: u8| case_of_appeal(&auditor(juror));
    assert_eq!(code(&dht, 8, at(8), CONVICTION), "ok");
    assert_eq!(code(&dht, 8, (at(8) + 1) % 9, CONVICTION), "not_drawn", "another answer than the one dealt");
    for party in [0, 1, 2, 3, 4, 5] {
        assert_eq!(code(&dht, party, at(party), CONVICTION), "not_drawn", "the accuser, an auditor or who convicted");
    }
    assert_eq!(code(&dht, 8, at(8), ACCUSATION), "wrong_reference");
    assert_eq!(code(&dht, 8, at(8), 99), "missing");
    let dealt_anew = (6..15).filter(|juror| case(&auditor(*juror)) != at(*juror)).count();
    assert!(dealt_anew > 3, "the dice are thrown again: {dealt_anew} of 9");
    // Who convicts again, by other jurors, draws nobody else.
    (6..9).for_each(|juror| dht.hear(juror));
    let confirmations = (6..9).map(|n| action(CONFIRMED + n)).collect();
    let again = Conviction { accusation: action(ACCUSATION), confirmations };
    dht.write_valid(&auditor(0), CONVICTION + 1, AppEntry::Conviction(again));
    assert_eq!(code(&dht, 9, at(9), CONVICTION + 1), "ok", "the same answer");
    // What the second jury finds adds to no score, confirms nothing, and is no report to build on.
    let commit = promised(at(8), 8, AuditMode::Appeal(action(CONVICTION)));
    dht.write_valid(&auditor(8), 200, AppEntry::AuditCommit(commit));
    let mut report = found(action(200), None, Outcome::Mismatch, &auditor(8), &Standing::default());
    assert_eq!(dht.code(&auditor(8), &AppEntry::AuditReport(report.clone())), "arithmetic");
    report.standing = Standing::default();
    dht.write_valid(&auditor(8), 201, AppEntry::AuditReport(report));
    let confirmations = vec![action(CONFIRMED + 3), action(CONFIRMED + 4), action(201)];
    let mixed = Conviction { accusation: action(ACCUSATION), confirmations };
    assert_eq!(dht.code(&auditor(0), &AppEntry::Conviction(mixed)), "hash_mismatch");
    let mut built = promised(9, 9, AuditMode::Drawn);
    built.previous = Some(action(201));
    assert_eq!(dht.code(&auditor(9), &AppEntry::AuditCommit(built)), "hash_mismatch");
}

#[test]
fn an_accusation_leaves_nothing_out() {
    let mut dht = Dht::accused();
    let code = |dht: &Dht, spoil: &dyn Fn(&mut Accusation)| {
        let mut accusation = accusation();
        spoil(&mut accusation);
        dht.code(&auditor(9), &AppEntry::Accusation(accusation))
    };
    assert_eq!(code(&dht, &|_| ()), "ok", "by anybody");
    assert_eq!(code(&dht, &|a| a.reports.clear()), "empty");
    assert_eq!(code(&dht, &|a| drop(a.reports.remove(0))), "not_enough", "the score has not crossed the bound");
    assert_eq!(code(&dht, &|a| drop(a.reports.pop())), "not_enough", "the oldest is left out");
    assert_eq!(code(&dht, &|a| drop(a.reports.remove(4))), "unordered", "one in between is left out");
    assert_eq!(code(&dht, &|a| a.reports.reverse()), "unordered");
    assert_eq!(code(&dht, &|a| a.reports[1] = a.reports[0].clone()), "repeated");
    assert_eq!(code(&dht, &|a| a.reports = (0..17).map(action).collect()), "too_many");
    assert_eq!(code(&dht, &|a| a.provider = auditor(4)), "hash_mismatch");
    assert_eq!(code(&dht, &|a| a.reports[8] = action(BATCH)), "wrong_reference");
    // A report is about one provider; evidence is not added to somebody else's.
    let mut foreign = promised(9, 5, AuditMode::Drawn);
    foreign.previous = Some(action(REPORTS + 8));
    assert_eq!(dht.code(&auditor(5), &AppEntry::AuditCommit(foreign.clone())), "ok");
    let Some((_, earlier)) = dht.0[&action(COMMITS + 8)].audit_commit() else { panic!() };
    let mut other = earlier.clone();
    other.receipt.receipt.provider = auditor(8);
    dht.write(&auditor(2), COMMITS + 8, AppEntry::AuditCommit(other));
    assert_eq!(dht.code(&auditor(5), &AppEntry::AuditCommit(foreign)), "hash_mismatch");
}

#[test]
fn two_receipts_for_one_question() {
    let dht = Dht::new();
    let provider = Party::new(PROVIDER);
    let of = |spoil: fn(&mut Receipt)| {
        let mut receipt = receipt_of(1);
        spoil(&mut receipt);
        provider.sign(receipt)
    };
    let code = |a: SignedReceipt, b: SignedReceipt| {
        let (first, second) =
            if receipt::canonical(&a.receipt) <= receipt::canonical(&b.receipt) { (a, b) } else { (b, a) };
        dht.code(&auditor(0), &AppEntry::Equivocation(Equivocation { first, second }))
    };
    let good = || of(|_| ());
    assert_eq!(code(good(), of(|r| r.output = Bytes32([9; 32]))), "ok");
    assert_eq!(code(good(), of(|r| r.fingerprint = Bytes32([9; 32]))), "ok");
    assert_eq!(code(good(), good()), "repeated");
    assert_eq!(code(good(), of(|r| r.finished_at += 1)), "repeated", "the same promise again is none");
    assert_eq!(code(good(), of(|r| (r.output, r.session_key) = (Bytes32([9; 32]), Bytes32([9; 32])))), "hash_mismatch");
    assert_eq!(code(good(), of(|r| (r.output, r.input) = (Bytes32([9; 32]), Bytes32([9; 32])))), "hash_mismatch");
    let unchallenged = |output: u8| {
        let mut receipt = receipt_of(1);
        (receipt.output, receipt.audit) = (Bytes32([output; 32]), AuditTerms::default());
        provider.sign(receipt)
    };
    assert_eq!(code(unchallenged(1), unchallenged(2)), "hash_mismatch", "without a challenge the question is not one");
    let mut forged = of(|r| r.output = Bytes32([9; 32]));
    forged.signature = good().signature;
    assert_eq!(code(good(), forged), "signature");
    let (first, second) = (of(|r| r.output = Bytes32([9; 32])), of(|r| r.output = Bytes32([8; 32])));
    let turned = AppEntry::Equivocation(Equivocation { first, second });
    assert_eq!(dht.code(&auditor(0), &turned), "unordered");
}

#[test]
fn two_receipts_prove_something_only_within_a_while() {
    let dht = Dht::new();
    let provider = Party::new(PROVIDER);
    // The first receipt ends at `one`; the second, which says something else, at `other`.
    let code = |one: i64, other: i64| {
        let (mut a, mut b) = (receipt_of(1), receipt_of(1));
        (a.finished_at, b.finished_at, b.output) = (one, other, Bytes32([9; 32]));
        let mut pair = [provider.sign(a), provider.sign(b)];
        pair.sort_by_key(|signed| receipt::canonical(&signed.receipt));
        let [first, second] = pair;
        dht.code(&auditor(0), &AppEntry::Equivocation(Equivocation { first, second }))
    };
    let (at, most) = (receipt_of(1).finished_at, limits::EQUIVOCATION_APART_US_MAX as i64);
    for (apart, expected) in
        [(0, "ok"), (most, "ok"), (most + 1, "out_of_range"), (30 * 24 * 60 * most, "out_of_range")]
    {
        assert_eq!(code(at, at + apart), expected, "{apart} later");
        assert_eq!(code(at, at - apart), expected, "{apart} earlier");
    }
    // Whatever a receipt says of its time.
    for (one, other) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MIN, 0), (-1, i64::MAX)] {
        assert_eq!(code(one, other), "out_of_range", "{one} and {other}");
    }
    for end in [i64::MIN, i64::MAX] {
        assert_eq!(code(end, end), "ok");
    }
    assert_eq!(code(i64::MAX, i64::MAX - most), "ok");
    assert_eq!(code(i64::MIN, i64::MIN + most + 1), "out_of_range");
}

#[test]
fn a_question_is_what_was_asked_and_not_the_answer() {
    let of = |r: &Receipt| receipt::question(&r.session_key, &r.input, &r.audit.challenge);
    let good = of(&receipt_of(1));
    let other = |change: fn(&mut Receipt)| {
        let mut receipt = receipt_of(1);
        change(&mut receipt);
        of(&receipt)
    };
    let b = Bytes32([9; 32]);
    assert_eq!(other(|r| (r.output, r.fingerprint, r.finished_at) = (Bytes32([9; 32]), Bytes32([9; 32]), 5)), good);
    assert_ne!(other(|r| r.session_key = Bytes32([9; 32])), good);
    assert_ne!(other(|r| r.input = Bytes32([9; 32])), good);
    assert_ne!(other(|r| r.audit.challenge = Bytes32([9; 32])), good);
    let z = Bytes32([0; 32]);
    assert_ne!(receipt::question(&b, &z, &z), receipt::question(&z, &b, &z), "each has its place");
}

/// What everybody stores for an audit: a change here is a change of the network's growth.
#[test]
fn entries_of_audits_stay_small() {
    let encoded = |entry: &AppEntry| match entry {
        AppEntry::AuditCommit(e) => holochain_serialized_bytes::encode(e),
        AppEntry::AuditReport(e) => holochain_serialized_bytes::encode(e),
        AppEntry::Calibration(e) => holochain_serialized_bytes::encode(e),
        AppEntry::Accusation(e) => holochain_serialized_bytes::encode(e),
        _ => panic!("no entry of audits"),
    };
    let first = found(
        action(COMMITS),
        Some((action(TABLE), &table(spec_ref()))),
        outcome(0),
        &auditor(0),
        &Standing::default(),
    );
    let shares = (0..limits::STANDING_SHARES_MAX as u8).map(|n| Share { auditor: auditor(n), llr: 700 }).collect();
    let crowded = AuditReport { standing: Standing { score: 6_000, shares }, ..first.clone() };
    let canary = AuditReport { evidence: Some(shown(3)), ..first.clone() };
    for (what, entry, most) in [
        ("commitment", AppEntry::AuditCommit(promised(0, 0, AuditMode::Drawn)), 1_000),
        ("report", AppEntry::AuditReport(first), 420),
        ("report in a crowd", AppEntry::AuditReport(crowded), 2_700),
        ("canary of 40 tokens", AppEntry::AuditReport(canary), 4_500),
        ("calibration of one length", AppEntry::Calibration(table(spec_ref())), 1_400),
        ("accusation", AppEntry::Accusation(accusation()), 450),
    ] {
        let size = encoded(&entry).unwrap().len();
        println!("{what}: {size} bytes");
        assert!(size <= most, "{what}: {size} bytes, more than {most}");
    }
}

/// Whatever decodes is judged, and nothing panics.
fn judge_mangled(dht: &Dht, good: &AppEntry, changes: &[(usize, u8)]) {
    fn mangled<T: serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug>(
        entry: &T,
        changes: &[(usize, u8)],
    ) -> Option<T> {
        let mut bytes = holochain_serialized_bytes::encode(entry).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = *byte;
        }
        holochain_serialized_bytes::decode(&bytes).ok()
    }
    let entry = match good {
        AppEntry::AuditCommit(e) => mangled(e, changes).map(AppEntry::AuditCommit),
        AppEntry::AuditReport(e) => mangled(e, changes).map(AppEntry::AuditReport),
        AppEntry::Calibration(e) => mangled(e, changes).map(AppEntry::Calibration),
        AppEntry::Equivocation(e) => mangled(e, changes).map(AppEntry::Equivocation),
        _ => panic!("no entry of audits"),
    };
    if let Some(entry) = entry {
        let _ = dht.code(&auditor(0), &entry);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_mangled_entry_panics(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut dht = Dht::new();
        let commit = AppEntry::AuditCommit(promised(0, 0, AuditMode::Canary));
        dht.write(&auditor(0), COMMITS, commit.clone());
        let table = table(spec_ref());
        let calibration = Some((action(TABLE), &table));
        let mut report = found(action(COMMITS), calibration, outcome(3), &auditor(0), &Standing::default());
        report.evidence = Some(shown(3));
        let mut other = receipt_of(1);
        other.output = Bytes32([9; 32]);
        let (first, second) = (Party::new(PROVIDER).sign(receipt_of(1)), Party::new(PROVIDER).sign(other));
        let equivocation = AppEntry::Equivocation(Equivocation { first, second });
        for good in [commit, AppEntry::AuditReport(report), AppEntry::Calibration(table.clone()), equivocation] {
            judge_mangled(&dht, &good, &changes);
        }
    }
}
