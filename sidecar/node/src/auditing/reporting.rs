//! Writing an audit down for everybody: the promise before anything is shown, and the report that keeps it.
//!
//! The order is what makes a report worth something: the replay is promised on the DHT before the provider is asked to open its fingerprint,
//! and the report that this one builds on is named before the outcome is known: the newest, never the one that suits best.

use super::jury;
use super::tables::Table;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_types::{
    ActionHash, AgentPubKey, AuditCommit, AuditQuery, AuditReport, AuditSubject, Calibration, Evidence, Outcome,
    SpecRef, Standing, Verdict,
};
use ainonymous_verify::audit::{calibration as tables, evidence as weighed};

/// What an auditor has promised.
#[derive(Debug)]
pub(super) struct Promised {
    commit: ActionHash,
    /// The evidence against the provider before.
    before: Standing,
}

/// What has been published.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) action: ActionHash,
    pub(super) verdict: Verdict,
    standing: Standing,
}

/// Promises an audit of a provider's answer. `commit` is told which report it builds on.
pub(super) async fn promise(
    conductor: &Conductor,
    provider: &AgentPubKey,
    commit: impl FnOnce(Option<ActionHash>) -> AuditCommit,
) -> Result<Promised, ConductorError> {
    let about = AuditQuery { subject: AuditSubject::Provider(provider.clone()), before: None };
    let latest = conductor.get_audit_reports(about).await?.found.into_iter().next();
    let before = latest.as_ref().map(|found| found.entry.report.standing.clone()).unwrap_or_default();
    let commit = conductor.create_audit_commit(commit(latest.map(|found| found.action))).await?;
    Ok(Promised { commit, before })
}

/// Publishes what was found, and what it rests on where that is shown.
pub(super) async fn report(
    conductor: &Conductor,
    promised: Promised,
    table: Option<(ActionHash, Calibration)>,
    outcome: Outcome,
    evidence: Option<Evidence>,
) -> Result<Reported, ConductorError> {
    let Promised { commit, before } = promised;
    let (calibration, table) = table.unzip();
    let (verdict, llr) = tables::judge(table.as_ref(), &outcome);
    let standing = weighed::add(&before, &conductor.agent(), llr);
    let report = AuditReport { commit, calibration, outcome, verdict, llr, standing: standing.clone(), evidence };
    let action = conductor.create_audit_report(report).await?;
    Ok(Reported { action, verdict, standing })
}

impl Reported {
    /// Calls a jury if the evidence is enough.
    pub(super) async fn accuse(self, conductor: &Conductor, provider: &AgentPubKey) -> Result<(), ConductorError> {
        match weighed::is_enough(&self.standing) {
            true => jury::accuse(conductor, provider, self.action).await,
            false => Ok(()),
        }
    }
}

/// This node's own table as the network knows it, if there is one; written down once for each spec and pair of machines.
pub(super) async fn calibration(
    conductor: &Conductor,
    spec: &SpecRef,
    table: Option<Table>,
) -> Result<Option<(ActionHash, Calibration)>, ConductorError> {
    match table {
        Some(table) => published(conductor, spec, &table).await.map(Some),
        None => Ok(None),
    }
}

/// The same for a table.
pub(super) async fn published(
    conductor: &Conductor,
    spec: &SpecRef,
    table: &Table,
) -> Result<(ActionHash, Calibration), ConductorError> {
    let entry = table.entry(spec.clone());
    let mut query = AuditQuery { subject: AuditSubject::Spec(spec.entry.clone()), before: None };
    loop {
        let page = conductor.get_calibrations(query.clone()).await?;
        let own = page.found.into_iter().find(|found| found.author == conductor.agent() && found.entry == entry);
        match (own, page.next) {
            (Some(found), _) => return Ok((found.action, entry)),
            (None, Some(next)) => query.before = Some(next),
            (None, None) => break,
        }
    }
    let action = conductor.create_calibration(entry.clone()).await?;
    Ok((action, entry))
}
