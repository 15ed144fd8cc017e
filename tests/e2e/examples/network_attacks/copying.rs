//! An auditor that computes nothing, and shows what another has computed. Its conductor is its own: it can write whatever validation takes.

use crate::network::{Network, LOOK, SOON};
use crate::row::Row;
use ainonymous_conductor::Conductor;
use ainonymous_e2e::{Node, NodeSpec, Observer};
use ainonymous_types::{
    ActionHash, AgentPubKey, AuditCommit, AuditQuery, AuditReport, AuditSubject, Audited, Backend, Bytes32,
    CapabilityInput, Evidence, Role, Standing,
};
use ainonymous_verify::audit::evidence;
use std::time::{Duration, Instant};

/// Reports that are copied, in a hurry too: they cost little.
const COPIES: usize = 4;
/// Longest wait for them: an auditor asks in its own time, and not every answer is shown.
const PATIENCE: Duration = SOON.saturating_mul(3);

pub(crate) async fn rows(network: &mut Network) -> Vec<Row> {
    let table = network.table.to_string_lossy();
    let audits = ["--no-share", "--audit", "--audit-every-s", "1", "--calibration", &table];
    let auditor = Node::ready(NodeSpec::new(&network.url).serving(&network.model).with(&audits));
    let copier = Observer::join(&network.url).await;
    let conductor = copier.conductor();
    let capability = offers(conductor, &copier, network).await;
    let provider = AgentPubKey::try_from(network.honest.agent().as_str()).expect("an agent");
    let shown = shown(conductor, &provider).await;
    let (mut early_refused, mut late_taken) = (0, 0);
    for (Audited { commit, report, .. }, evidence) in &shown {
        // Before anything is shown it can only promise something else: as here, though that is done afterwards.
        let guessed = AuditCommit { replay: Bytes32([1; 32]), ..promise(commit, &capability) };
        let refused = copied(conductor, &guessed, report, evidence).await.expect_err("it is not what was promised");
        assert!(refused.contains("commitment_mismatch"), "{refused}");
        early_refused += 1;
        late_taken += u64::from(copied(conductor, &promise(commit, &capability), report, evidence).await.is_ok());
    }
    assert_eq!(late_taken, shown.len() as u64, "a copy is as good as what it copies");
    network.stays.push(auditor);
    copier.leave().await;
    let row = |attack, found, promised_percent, note: &'static str| Row {
        attack,
        nodes: Some(4),
        tried: shown.len() as u64,
        found,
        note: note.into(),
        promised_percent,
        ..Row::default()
    };
    vec![
        row(
            "a copying auditor",
            early_refused,
            100,
            "promises before anything is shown, and shows another's canary; found are those that validation refuses",
        ),
        row(
            "an auditor copies what a canary has shown",
            shown.len() as u64 - late_taken,
            0,
            "promises afterwards: validation takes it, and nobody is believed for agreeing",
        ),
    ]
}

/// It says that it audits, on such a machine as the others'.
async fn offers(conductor: &Conductor, copier: &Observer, network: &Network) -> ActionHash {
    copier.spec().await;
    let info = network.here.status().await["models"][0]["info"].clone();
    let offer = CapabilityInput {
        roles: vec![Role::Auditor],
        transport_key: None,
        must_be_known: false,
        addresses: vec![],
        backend: Backend::Cpu,
        backend_detail: info["backend_detail"].as_str().expect("a machine").into(),
        models: vec![],
        router: None,
        region: None,
    };
    conductor.put_capability(offer).await.expect("a capability")
}

/// Canaries about a provider, with all that they show.
async fn shown(conductor: &Conductor, provider: &AgentPubKey) -> Vec<(Audited, Evidence)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let query = AuditQuery { subject: AuditSubject::Provider(provider.clone()), before: None };
        let mut all = Vec::new();
        for found in conductor.get_audit_reports(query).await.map(|page| page.found).unwrap_or_default() {
            if let Ok(Some(evidence)) = conductor.get_audit_evidence(found.action).await {
                all.push((found.entry, evidence));
            }
        }
        if all.len() >= COPIES {
            all.truncate(COPIES);
            return all;
        }
        assert!(Instant::now() < deadline, "{} canaries", all.len());
        tokio::time::sleep(LOOK).await;
    }
}

/// Somebody else's promise as one's own.
fn promise(of: &AuditCommit, capability: &ActionHash) -> AuditCommit {
    AuditCommit { capability: capability.clone(), previous: None, ..of.clone() }
}

/// Publishes that report behind that promise; why not, if validation refuses it.
async fn copied(
    conductor: &Conductor,
    promise: &AuditCommit,
    report: &AuditReport,
    evidence: &Evidence,
) -> Result<(), String> {
    let commit = conductor.create_audit_commit(promise.clone()).await.expect("anybody can promise");
    let standing = evidence::add(&Standing::default(), &conductor.agent(), report.llr);
    let report = AuditReport { commit, standing, evidence: Some(evidence.clone()), ..report.clone() };
    conductor.create_audit_report(report).await.map(drop).map_err(|error| error.to_string())
}
