//! Audits in real conductors: from a calibration to a conviction, seen by somebody else; and what becomes of those who lie in them.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

#[path = "../../../zomes/verify/tests/audited/mod.rs"]
mod audited;
mod common;
mod rogue;

use ainonymous_conductor::Conductor;
use ainonymous_types::*;
use ainonymous_verify::audit::{calibration, draw, evidence, fingerprint, leaf, scope, statistics};
use ainonymous_verify::{commit, receipt};
use audited::{batch, found, leaves, proof, question, replay, shown, table, SECRET};
use common::{bootstrap, eventually, happ, options, run, NOWHERE};
use rogue::payload::{Act, RawEntry, RawLink, Timed, TimedReport};
use rogue::{model_spec, provider, Rogue, RogueAgent};
use std::path::Path;
use std::time::{Duration, Instant};

/// Entry types in the integrity zome's order.
const CAPABILITY: u8 = 1;
const RECEIPT_BATCH: u8 = 4;
const CALIBRATION: u8 = 6;
const AUDIT_COMMIT: u8 = 7;
const AUDIT_REPORT: u8 = 8;
const PROVIDER_TO_REPORT: u8 = 9;
/// Answers that Bob has given.
const ANSWERS: u8 = 11;
/// How long no warrant may come before it is held that none does.
const QUIET: Duration = Duration::from_secs(10);
/// Most that the judgement of the largest report may take in wasm, in microseconds.
const VALIDATION_US_MAX: i64 = 20_000;

/// Bob, who answers, and what he has promised.
struct Bob {
    node: Conductor,
    spec: SpecRef,
    receipts: Vec<SignedReceipt>,
    batch: ActionHash,
}

impl Bob {
    /// Bob answers eleven questions; the fingerprint that he signs is three sixteenths of a nat from the truth.
    async fn start(happ: &[u8], dir: &Path, url: &str) -> Self {
        let node = Conductor::start(options(happ, dir, url)).await.unwrap();
        let spec = node.create_model_spec(model_spec("tiny-gemma")).await.unwrap();
        let offer = CapabilityInput { backend_detail: "avx2, one".into(), ..provider(&spec, 100) };
        let capability = node.put_capability(offer).await.unwrap();
        let mut receipts = Vec::new();
        for n in 0..ANSWERS {
            let statement = Receipt { provider: node.agent(), ..audited::receipt(&spec.entry, n, 3) };
            receipts.push(node.sign_receipt(statement).await.unwrap());
        }
        let batch = ReceiptBatch { completion_tokens: 440, ..batch(&receipts, spec.clone(), capability) };
        let batch = node.create_receipt_batch(batch).await.unwrap();
        Self { node, spec, receipts, batch }
    }

    /// A promise to audit one of his answers.
    fn promise(&self, answer: usize, capability: &ActionHash, mode: AuditMode) -> AuditCommit {
        let proof = proof(&self.receipts, answer, &self.batch);
        audited::promise(&self.receipts[answer], proof, capability.clone(), mode)
    }

    fn about(&self) -> AuditQuery {
        AuditQuery { subject: AuditSubject::Provider(self.node.agent()), before: None }
    }

    fn about_answer(&self, answer: usize) -> AuditQuery {
        AuditQuery { subject: AuditSubject::Receipt(receipt::leaf(&self.receipts[answer])), before: None }
    }
}

/// Somebody who audits, and what it calls that offer.
struct Auditor {
    agent: RogueAgent,
    capability: ActionHash,
}

impl Auditor {
    async fn of(rogue: &Rogue, name: &str, bob: &Bob) -> Self {
        let agent = rogue.agent(name).await;
        let offer = CapabilityInput {
            roles: vec![Role::Auditor],
            backend_detail: "avx512, another".into(),
            models: vec![],
            ..provider(&bob.spec, 0)
        };
        let capability = agent.call("inference", "put_capability", offer).await.unwrap();
        Self { agent, capability }
    }

    async fn sees(&self, bob: &Bob) {
        for action in [&bob.spec.action, &bob.batch] {
            eventually("what Bob wrote", || async {
                self.agent.call::<bool>("rogue", "is_valid", action.clone()).await.ok().filter(|valid| *valid)
            })
            .await;
        }
    }

    async fn write<T: serde::Serialize + std::fmt::Debug>(&self, function: &'static str, entry: &T) -> ActionHash {
        self.agent.call("inference", function, entry).await.unwrap()
    }
}

fn encoded<T: serde::Serialize + std::fmt::Debug>(entry: &T) -> Vec<u8> {
    holochain_serialized_bytes::encode(entry).unwrap()
}

/// From a calibration over nine failed audits by three auditors, an accusation and three jurors to a conviction and an appeal: Bob's own
/// node finds all of it, and nobody is warranted for a verdict.
#[test]
fn an_audit_is_found_by_others_from_calibration_to_appeal() {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let bob = Bob::start(&happ, &dir.path().join("bob"), server.url()).await;
        let others = Rogue::start(&dir.path().join("others"), server.url(), true).await;
        let mut auditors = Vec::new();
        for n in 0..7 {
            auditors.push(Auditor::of(&others, &format!("auditor-{n}"), &bob).await);
        }
        auditors[0].sees(&bob).await;

        // A canary that shows everything, and one that passes: measured by the calibration.
        let table = table(bob.spec.clone());
        let calibrated = auditors[0].write("create_calibration", &table).await;
        let promised = bob.promise(9, &auditors[0].capability, AuditMode::Canary);
        let canary = auditors[0].write("create_audit_commit", &promised).await;
        let who = auditors[0].agent.key();
        let outcome = statistics::outcome(&leaves(3), &replay()).unwrap();
        let mut report = found(canary.clone(), Some((calibrated.clone(), &table)), outcome, &who, &Standing::default());
        assert_eq!(report.verdict, Verdict::Fail);
        report.evidence = Some(shown(3));
        let failed = auditors[0].write("create_audit_report", &report).await;

        // Nine audits that find no fingerprint of the answer, each built on the one before.
        let (mut before, mut previous, mut reports) = (Standing::default(), None, Vec::new());
        for n in 0..9 {
            let auditor = &auditors[n % 3];
            let mut promised = bob.promise(n, &auditor.capability, AuditMode::Drawn);
            promised.previous = previous;
            let commit = auditor.write("create_audit_commit", &promised).await;
            let report = found(commit, None, Outcome::Mismatch, &auditor.agent.key(), &before);
            before = report.standing.clone();
            let action = auditor.write("create_audit_report", &report).await;
            previous = Some(action.clone());
            reports.insert(0, action);
        }
        assert!(evidence::is_enough(&before));
        let accusation = Accusation { provider: bob.node.agent(), reports: reports.clone() };
        let accused = auditors[0].write("create_accusation", &accusation).await;
        let beacon = draw::jury(&draw::beacon(&bob.receipts[8].receipt, &SECRET));
        let mut confirmations = Vec::new();
        for juror in &auditors[3..6] {
            let dealt = 8 - draw::case(&beacon, &juror.agent.key(), 9) as usize;
            let promised = bob.promise(dealt, &juror.capability, AuditMode::Jury(accused.clone()));
            let commit = juror.write("create_audit_commit", &promised).await;
            let mut report = found(commit, None, Outcome::Mismatch, &juror.agent.key(), &Standing::default());
            report.standing = Standing::default();
            confirmations.push(juror.write("create_audit_report", &report).await);
        }
        let conviction = Conviction { accusation: accused.clone(), confirmations: confirmations.clone() };
        let convicted = auditors[5].write("create_conviction", &conviction).await;
        let mut twice = bob.receipts[10].receipt.clone();
        twice.output = Bytes32([9; 32]);
        let mut pair = [bob.receipts[10].clone(), bob.node.sign_receipt(twice).await.unwrap()];
        pair.sort_by_key(|signed| receipt::canonical(&signed.receipt));
        let [first, second] = pair;
        let equivocation = Equivocation { first, second };
        let shown_twice = auditors[1].write("create_equivocation", &equivocation).await;

        // Bob finds all of it.
        let spec = AuditQuery { subject: AuditSubject::Spec(bob.spec.entry.clone()), before: None };
        let tables = eventually("the calibration", || async {
            let page = bob.node.get_calibrations(spec.clone()).await.unwrap();
            (!page.found.is_empty()).then_some(page)
        })
        .await;
        assert_eq!((&tables.found[0].action, &tables.found[0].entry, tables.next), (&calibrated, &table, None));
        let about_bob = eventually("all reports", || async {
            let page = bob.node.get_audit_reports(bob.about()).await.unwrap();
            (page.found.len() == 10).then_some(page)
        })
        .await;
        let actions: Vec<_> = about_bob.found.iter().map(|f| f.action.clone()).collect();
        assert_eq!(actions, [reports.clone(), vec![failed.clone()]].concat(), "newest first, none of the jury");
        assert!(about_bob.found.iter().all(|f| f.entry.report.evidence.is_none()));
        assert_eq!(about_bob.found.iter().filter(|f| f.entry.shows).count(), 1);
        // Before the fourth of them there are six.
        let earlier = AuditQuery { before: Some(about_bob.found[3].linked_at), ..bob.about() };
        assert_eq!(bob.node.get_audit_reports(earlier).await.unwrap().found.len(), 6);
        let evidence = bob.node.get_audit_evidence(failed.clone()).await.unwrap();
        assert_eq!(evidence, Some(shown(3)));
        assert_eq!(
            bob.node.get_audit_evidence(reports[0].clone()).await.unwrap(),
            None,
            "a private audit shows nothing"
        );
        let of_answer = bob.node.get_audit_commits(bob.about_answer(9)).await.unwrap();
        assert_eq!(of_answer.found.iter().map(|f| &f.action).collect::<Vec<_>>(), [&canary]);
        let of_answer = bob.node.get_audit_reports(bob.about_answer(9)).await.unwrap();
        assert_eq!(of_answer.found[0].entry.report.verdict, Verdict::Fail);
        let accusations =
            eventually("the accusation", || async { bob.node.get_accusations(bob.about()).await.unwrap().found.pop() })
                .await;
        assert_eq!((accusations.action, accusations.entry), (accused.clone(), accusation));
        let jury = AuditQuery { subject: AuditSubject::Accusation(accused.clone()), before: None };
        eventually("the jury", || async {
            let found = bob.node.get_audit_reports(jury.clone()).await.unwrap().found;
            (found.len() == 3 && found.iter().all(|f| confirmations.contains(&f.action))).then_some(())
        })
        .await;
        let read =
            eventually("the conviction", || async { bob.node.get_convictions(bob.about()).await.unwrap().found.pop() })
                .await;
        assert_eq!((read.action, read.entry), (convicted.clone(), conviction));

        // He appeals; another juror's report is found where the second jury is looked for.
        let appeal = Appeal { conviction: convicted.clone() };
        let appealed = bob.node.create_appeal(appeal.clone()).await.unwrap();
        let asked = bob.node.get_appeals(bob.about()).await.unwrap().found.pop().unwrap();
        assert_eq!((asked.action, asked.author, asked.entry), (appealed, bob.node.agent(), appeal));
        let (juror, beacon) = (&auditors[6], draw::appeal(&draw::beacon(&bob.receipts[8].receipt, &SECRET)));
        let dealt = 8 - draw::case(&beacon, &juror.agent.key(), 9) as usize;
        let promised = bob.promise(dealt, &juror.capability, AuditMode::Appeal(convicted.clone()));
        let commit = juror.write("create_audit_commit", &promised).await;
        let report = found(commit, None, audited::silent(0), &juror.agent.key(), &Standing::default());
        let heard = juror.write("create_audit_report", &report).await;
        let second = AuditQuery { subject: AuditSubject::Conviction(convicted), before: None };
        eventually("the second jury", || async {
            let found = bob.node.get_audit_reports(second.clone()).await.unwrap().found;
            found.iter().any(|found| found.action == heard).then_some(())
        })
        .await;
        for query in [bob.about(), bob.about_answer(10)] {
            let found = eventually("the equivocation", || async {
                bob.node.get_equivocations(query.clone()).await.unwrap().found.pop()
            })
            .await;
            assert_eq!((found.action, found.entry), (shown_twice.clone(), equivocation.clone()));
        }
        let elsewhere = bob.node.get_convictions(spec).await.unwrap_err();
        assert!(elsewhere.to_string().contains("unsupported"), "{elsewhere}");

        // Verdicts are no breach: neither who judged nor who was judged is warranted.
        tokio::time::sleep(QUIET).await;
        for agent in auditors.iter().map(|a| a.agent.key()).chain([bob.node.agent()]) {
            assert_eq!(bob.node.get_agent_standing(agent).await.unwrap().warrants, Vec::<String>::new());
        }
        others.stop().await;
        bob.node.shutdown().await.unwrap();
        server.shutdown().await;
    });
}

/// What a rogue writes, and the code of the breach that others warrant it for.
async fn lie(kind: &str, auditor: &Auditor, bob: &Bob) -> (&'static str, Vec<Act>) {
    let entry = |entry_type, bytes| Act::Bytes(RawEntry { entry_type, bytes });
    let promise = || bob.promise(0, &auditor.capability, AuditMode::Drawn);
    match kind {
        "malformed" => ("undecodable", vec![entry(AUDIT_COMMIT, encoded(&promise())[..99].to_vec())]),
        "another secret" => {
            let commit = AuditCommit { secret: Bytes32([1; 32]), ..promise() };
            ("commitment_mismatch", vec![entry(AUDIT_COMMIT, encoded(&commit))])
        }
        "not in the batch" => {
            let mut commit = promise();
            commit.proof.index = 1;
            ("proof_mismatch", vec![entry(AUDIT_COMMIT, encoded(&commit))])
        }
        "slander" => {
            // A measurement within bounds, called a failure that no calibration says it is.
            let commit: ActionHash = auditor.write("create_audit_commit", &promise()).await;
            let outcome = statistics::outcome(&leaves(3), &replay()).unwrap();
            let mut report = found(commit, None, outcome, &auditor.agent.key(), &Standing::default());
            report.verdict = Verdict::Fail;
            ("arithmetic", vec![entry(AUDIT_REPORT, encoded(&report))])
        }
        "a heavier score" => {
            let commit: ActionHash = auditor.write("create_audit_commit", &promise()).await;
            let mut report = found(commit, None, Outcome::Mismatch, &auditor.agent.key(), &Standing::default());
            report.standing.score += 1;
            ("arithmetic", vec![entry(AUDIT_REPORT, encoded(&report))])
        }
        "another provider" => {
            let commit: ActionHash = auditor.write("create_audit_commit", &promise()).await;
            let report = found(commit, None, Outcome::Mismatch, &auditor.agent.key(), &Standing::default());
            let target = auditor.write("create_audit_report", &report).await;
            let base = auditor.agent.key().into();
            let link = RawLink { base, target: target.into(), link_type: PROVIDER_TO_REPORT, tag: vec![] };
            ("link_base", vec![Act::Link(link)])
        }
        other => panic!("no lie is called {other}"),
    }
}

const LIES: [&str; 6] =
    ["malformed", "another secret", "not in the batch", "slander", "a heavier score", "another provider"];

#[test]
fn an_honest_conductor_writes_no_lie_about_an_audit() {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let bob = Bob::start(&happ, &dir.path().join("bob"), server.url()).await;
        let honest = Rogue::start(&dir.path().join("honest"), server.url(), true).await;
        let auditor = Auditor::of(&honest, "auditor", &bob).await;
        auditor.sees(&bob).await;
        for kind in LIES {
            let (code, acts) = lie(kind, &auditor, &bob).await;
            let error = auditor.agent.act(acts).await.expect_err(kind);
            assert!(error.contains(code), "{kind}: {code}: {error}");
        }
        honest.stop().await;
        bob.node.shutdown().await.unwrap();
        server.shutdown().await;
    });
}

#[test]
fn peers_warrant_who_lies_about_what_is_audited() {
    peers_warrant(&LIES[..3]);
}

#[test]
fn peers_warrant_who_lies_about_what_was_found() {
    peers_warrant(&LIES[3..]);
}

fn peers_warrant(lies: &[&str]) {
    run(async {
        let (happ, dir, server) = (happ().await, tempfile::tempdir().unwrap(), bootstrap().await);
        let bob = Bob::start(&happ, &dir.path().join("bob"), server.url()).await;
        // Each in a conductor of its own: whoever is warranted is blocked, and with it whatever else comes from there.
        for &kind in lies {
            let rogue = Rogue::start(&dir.path().join(kind), server.url(), false).await;
            let auditor = Auditor::of(&rogue, kind, &bob).await;
            auditor.sees(&bob).await;
            let (code, acts) = lie(kind, &auditor, &bob).await;
            auditor.agent.act(acts).await.unwrap();
            let (written, agent) = (Instant::now(), auditor.agent.key());
            eventually(&format!("warrant for {kind}"), || async {
                let warrants = bob.node.get_agent_standing(agent.clone()).await.unwrap().warrants;
                warrants.iter().any(|reason| reason.starts_with(code)).then_some(())
            })
            .await;
            println!("{kind}: warranted after {} ms", written.elapsed().as_millis());
            rogue.stop().await;
        }
        assert_eq!(bob.node.get_agent_standing(bob.node.agent()).await.unwrap().warrants, Vec::<String>::new());
        bob.node.shutdown().await.unwrap();
        server.shutdown().await;
    });
}

/// The largest report that there is: a canary of 256 tokens with question and answer as long as they may be, every token id as wide as
/// can be, in a crowd of auditors, by a calibration of as many bins as there may be.
fn largest(provider: &AgentPubKey, author: &AgentPubKey) -> TimedReport {
    let action = |n: u8| ActionHash::from_raw_36(vec![n; 36]);
    let spec = SpecRef { entry: EntryHash::from_raw_36(vec![20; 36]), action: action(20) };
    let tokens: Vec<u32> = (0..limits::EVIDENCE_TOKENS_MAX as u32).map(|t| u32::MAX - t).collect();
    let position = |t: u32| {
        let likely = |i: u32| Likely { id: u32::MAX - 977 * i - t, minus_sixteenths: (1 + 120 * i) as u16 };
        fingerprint::position((0..8).map(likely).collect())
    };
    let positions: Vec<Position> = tokens.iter().map(|t| position(t % 97)).collect();
    let salt = Bytes32([43; 32]);
    let opened = leaf::leaves(&salt, &tokens, &positions).unwrap();
    let of = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![511; leaf.tokens.len()], impossible: u32::MAX, leaf };
    let replayed: Vec<ReplayLeaf> = leaf::leaves(&salt, &tokens, &positions).unwrap().into_iter().map(of).collect();
    let mut input = question();
    input.messages[0].content = "x".repeat(limits::EVIDENCE_TEXT_BYTES_MAX);
    let text = "y".repeat(limits::EVIDENCE_TEXT_BYTES_MAX);
    let statement = Receipt {
        provider: provider.clone(),
        input: commit::input(&salt, &input),
        output: commit::output(&salt, &tokens, &text),
        fingerprint: leaf::fingerprint(&opened),
        completion_tokens: tokens.len() as u32,
        ..audited::receipt(&spec.entry, 1, 0)
    };
    let signed = SignedReceipt { receipt: statement, signature: Bytes64([1; 64]) };
    let receipts = [signed.clone()];
    let commit = AuditCommit {
        replay: leaf::replay(&replayed),
        previous: Some(action(8)),
        ..audited::promise(&signed, proof(&receipts, 0, &action(4)), action(2), AuditMode::Canary)
    };
    let bins = limits::CALIBRATION_BINS_MAX;
    let mut honest = vec![1; bins];
    honest[0] = 100_000;
    let cuts = (1..bins as u32).map(|cut| cut * 40).collect::<Vec<_>>();
    let tables = vec![(cuts, honest, vec![10; bins]); calibration::Statistic::ALL.len()];
    let rows = (0..limits::CALIBRATION_ROWS_MAX as u32).map(|n| calibration::calibrated(1 + 32 * n, &tables).unwrap());
    let (prover, verifier) = ("cpu-avx2".to_owned(), "cpu-avx512".to_owned());
    let table = Calibration {
        spec: spec.clone(),
        prover,
        verifier,
        scope: scope::ALL,
        data: Bytes32([7; 32]),
        rows: rows.collect(),
    };
    let shares = (0..limits::STANDING_SHARES_MAX as u8).map(|n| Share { auditor: Numbered(n).agent(), llr: 100 });
    let before = Standing { score: 3_200, shares: shares.collect() };
    let outcome = statistics::outcome(&opened, &replayed).unwrap();
    let mut report = found(action(7), Some((action(6), &table)), outcome, author, &before);
    report.evidence = Some(Evidence { input, salt, tokens, text, opened, replay: replayed });
    let earlier = AuditReport { standing: before, evidence: None, ..report.clone() };
    let raw = |entry_type, bytes| RawEntry { entry_type, bytes };
    let offer = |role| audited::offer(role, &spec);
    TimedReport {
        author: author.clone(),
        report: encoded(&report),
        records: vec![
            (action(1), provider.clone(), raw(CAPABILITY, encoded(&offer(Role::Provider)))),
            (action(2), author.clone(), raw(CAPABILITY, encoded(&offer(Role::Auditor)))),
            (action(4), provider.clone(), raw(RECEIPT_BATCH, encoded(&batch(&receipts, spec.clone(), action(1))))),
            (action(6), author.clone(), raw(CALIBRATION, encoded(&table))),
            (action(7), author.clone(), raw(AUDIT_COMMIT, encoded(&commit))),
            (action(8), author.clone(), raw(AUDIT_REPORT, encoded(&earlier))),
        ],
        rounds: 20,
    }
}

/// Agents by number.
struct Numbered(u8);

impl Numbered {
    fn agent(&self) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![self.0; 36])
    }
}

#[test]
fn the_largest_report_is_validated_quickly_in_wasm() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let rogue = Rogue::start(dir.path(), NOWHERE, true).await;
        let agent = rogue.agent("clock").await;
        let timed = largest(&Numbered(1).agent(), &agent.key());
        let bytes = timed.report.len();
        let found: Timed = agent.call("rogue", "time_report", timed).await.unwrap();
        println!("{bytes} bytes: {} us at least, {} us on average", found.least_us, found.all_us / 20);
        assert_eq!(found.verdict, "ok");
        assert!(found.least_us <= VALIDATION_US_MAX, "{found:?}");
        rogue.stop().await;
    });
}
