//! Which rules the entries of audits have to pass, and what has to be fetched for them.

use super::{spec_ref, valid, Header, Records, Refusal};
use crate::rules::{self, Case, Known};
use crate::Breach;
use ainonymous_types::{
    Accusation, ActionHash, AgentPubKey, Appeal, AuditCommit, AuditMode, AuditReport, Calibration, Conviction, Standing,
};

pub(super) fn calibration<R: Records>(table: &Calibration, records: &R) -> Result<(), Refusal<R::Error>> {
    crate::audit::calibration::rules(table)?;
    spec_ref(&table.spec, records).map(|_| ())
}

pub(super) fn commit<R: Records>(
    header: Header<'_>,
    commit: &AuditCommit,
    records: &R,
) -> Result<(), Refusal<R::Error>> {
    rules::audit_commit(commit, header.author)?;
    rules::audit_commit_batch(commit, &valid(&commit.proof.batch, records)?)?;
    rules::audit_commit_capability(header.author, &valid(&commit.capability, records)?)?;
    if let Some(previous) = &commit.previous {
        let earlier = Audit::fetch("previous", previous, records)?;
        rules::audit_commit_previous(commit, &earlier.commit)?;
    }
    let (what, accusation, confirmations) = match &commit.mode {
        AuditMode::Drawn | AuditMode::Canary => return Ok(()),
        AuditMode::Jury(accusation) => ("mode.jury", accusation.clone(), Vec::new()),
        AuditMode::Appeal(conviction) => {
            let Conviction { accusation, confirmations } = convicted("mode.appeal", conviction, records)?;
            ("accusation", accusation, confirmations)
        }
    };
    let known = valid(&accusation, records)?;
    let (_, accusation) = known.accusation().ok_or(Breach::WrongReference { what, expected: "accusation" })?;
    let mut audits = Vec::with_capacity(accusation.reports.len());
    for action in &accusation.reports {
        let Audit { author, report, commit } = Audit::fetch("reports", action, records)?;
        audits.push((author, report.llr, commit));
    }
    let jurors = confirmations.iter().map(|action| valid(action, records).map(|known| known.author));
    let convicted_by = jurors.collect::<Result<Vec<_>, _>>()?;
    let case = Case { accuser: &known.author, accusation, audits: &audits, convicted_by: &convicted_by };
    Ok(rules::audit_commit_jury(commit, header.author, &case)?)
}

pub(super) fn report<R: Records>(
    header: Header<'_>,
    report: &AuditReport,
    records: &R,
) -> Result<(), Refusal<R::Error>> {
    rules::audit_report(report)?;
    let known = valid(&report.commit, records)?;
    rules::audit_report_commit(report, header.author, &known)?;
    let (_, commit) =
        known.audit_commit().ok_or(Breach::WrongReference { what: "commit", expected: "audit commitment" })?;
    let before = match &commit.previous {
        Some(previous) => Audit::fetch("previous", previous, records)?.report.standing,
        None => Standing::default(),
    };
    let table = match &report.calibration {
        Some(action) => Some(valid(action, records)?),
        None => None,
    };
    let table = match &table {
        Some(table) => Some(applicable(header, report, table, commit, records)?),
        None => None,
    };
    Ok(rules::audit_report_arithmetic(report, header.author, commit, table, &before)?)
}

/// The calibration, if it is one of such answers and this pair of machines: the provider's class by the capability of its batch, the auditor's by
/// that of its commitment.
fn applicable<'a, R: Records>(
    header: Header<'_>,
    report: &AuditReport,
    table: &'a Known,
    commit: &AuditCommit,
    records: &R,
) -> Result<&'a Calibration, Refusal<R::Error>> {
    let batch = valid(&commit.proof.batch, records)?;
    let (_, batch) =
        batch.receipt_batch().ok_or(Breach::WrongReference { what: "proof.batch", expected: "receipt batch" })?;
    let prover = valid(&batch.capability, records)?;
    let verifier = valid(&commit.capability, records)?;
    let table = rules::audit_report_calibration(table, commit, &prover, &verifier)?;
    rules::audit_report_scope(report, commit, header.author, table)?;
    Ok(table)
}

pub(super) fn accusation<R: Records>(accusation: &Accusation, records: &R) -> Result<(), Refusal<R::Error>> {
    rules::accusation(accusation)?;
    let audits = audits(&accusation.reports, records)?;
    let before = match audits.last().and_then(|oldest| oldest.commit.previous.as_ref()) {
        Some(previous) => Some(Audit::fetch("previous", previous, records)?.report.standing),
        None => None,
    };
    let listed: Vec<_> = audits.iter().map(|audit| (&audit.report, &audit.commit)).collect();
    Ok(rules::accusation_reports(accusation, &listed, before.as_ref())?)
}

pub(super) fn conviction<R: Records>(conviction: &Conviction, records: &R) -> Result<(), Refusal<R::Error>> {
    rules::conviction(conviction)?;
    let known = valid(&conviction.accusation, records)?;
    known.accusation().ok_or(Breach::WrongReference { what: "accusation", expected: "accusation" })?;
    let confirmations = audits(&conviction.confirmations, records)?;
    for Audit { author: _, report, commit } in &confirmations {
        rules::confirmation(&conviction.accusation, report, commit)?;
    }
    let jurors: Vec<_> = confirmations.iter().map(|audit| &audit.author).collect();
    Ok(rules::bounds::unique("jurors", &jurors)?)
}

pub(super) fn appeal<R: Records>(header: Header<'_>, appeal: &Appeal, records: &R) -> Result<(), Refusal<R::Error>> {
    let Conviction { accusation, .. } = convicted("conviction", &appeal.conviction, records)?;
    let known = valid(&accusation, records)?;
    let (_, accusation) =
        known.accusation().ok_or(Breach::WrongReference { what: "accusation", expected: "accusation" })?;
    Ok(rules::appeal(header.author, accusation)?)
}

fn convicted<R: Records>(
    what: &'static str,
    action: &ActionHash,
    records: &R,
) -> Result<Conviction, Refusal<R::Error>> {
    let known = valid(action, records)?;
    let (_, conviction) = known.conviction().ok_or(Breach::WrongReference { what, expected: "conviction" })?;
    Ok(conviction.clone())
}

/// A report with the commitment that it belongs to.
struct Audit {
    author: AgentPubKey,
    report: AuditReport,
    commit: AuditCommit,
}

impl Audit {
    fn fetch<R: Records>(what: &'static str, action: &ActionHash, records: &R) -> Result<Self, Refusal<R::Error>> {
        let known = valid(action, records)?;
        let (_, report) = known.audit_report().ok_or(Breach::WrongReference { what, expected: "audit report" })?;
        let commit = valid(&report.commit, records)?;
        let (_, commit) =
            commit.audit_commit().ok_or(Breach::WrongReference { what: "commit", expected: "audit commitment" })?;
        Ok(Self { author: known.author.clone(), report: report.clone(), commit: commit.clone() })
    }
}

fn audits<R: Records>(actions: &[ActionHash], records: &R) -> Result<Vec<Audit>, Refusal<R::Error>> {
    actions.iter().map(|action| Audit::fetch("reports", action, records)).collect()
}
