//! What audits say: written down with the links by which it is found, and looked up page by page.

use crate::find::{me, refuse, valid_known};
use ainonymous_types::{
    limits, Accusation, ActionHash, AgentPubKey, AnyLinkableHash, Appeal, AuditCommit, AuditMode, AuditPage,
    AuditQuery, AuditReport, AuditSubject, Audited, Bytes32, Calibration, Conviction, EntryHash, Equivocation,
    Evidence, Found, SignedReceipt, TimestampUs,
};
use ainonymous_verify::rules::{self, Known};
use ainonymous_verify::{receipt, Breach};
use hdk::prelude::*;
use inference_integrity::{EntryTypes, LinkTypes};

const NO_COMMIT: Breach = Breach::WrongReference { what: "commit", expected: "audit commitment" };
const NO_ACCUSATION: Breach = Breach::WrongReference { what: "accusation", expected: "accusation" };

/// Says how honest machines differ on a model.
#[hdk_extern]
pub fn create_calibration(table: Calibration) -> ExternResult<ActionHash> {
    let spec = table.spec.entry.clone();
    let action = create_entry(EntryTypes::Calibration(table))?;
    create_link(spec, action.clone(), LinkTypes::SpecToCalibration, ())?;
    Ok(action)
}

/// Calibrations of a model spec.
#[hdk_extern]
pub fn get_calibrations(query: AuditQuery) -> ExternResult<AuditPage<Calibration>> {
    let base: AnyLinkableHash = match &query.subject {
        AuditSubject::Spec(spec) => spec.clone().into(),
        _ => return Err(elsewhere()),
    };
    page(base, LinkTypes::SpecToCalibration, query.before, |known| Ok(known.calibration().map(|(_, e)| e.clone())))
}

/// Promises an audit.
#[hdk_extern]
pub fn create_audit_commit(commit: AuditCommit) -> ExternResult<ActionHash> {
    let place = place_of(&commit.receipt)?;
    let action = create_entry(EntryTypes::AuditCommit(commit))?;
    create_link(place, action.clone(), LinkTypes::ReceiptToAudit, ())?;
    Ok(action)
}

/// Commitments to audits of an answer.
#[hdk_extern]
pub fn get_audit_commits(query: AuditQuery) -> ExternResult<AuditPage<AuditCommit>> {
    let base = match &query.subject {
        AuditSubject::Receipt(leaf) => place(leaf)?,
        _ => return Err(elsewhere()),
    };
    page(base, LinkTypes::ReceiptToAudit, query.before, |known| Ok(known.audit_commit().map(|(_, e)| e.clone())))
}

/// Says what an audit has found: of the provider, or in a jury of the accusation or conviction.
#[hdk_extern]
pub fn create_audit_report(report: AuditReport) -> ExternResult<ActionHash> {
    let commit = commit_of(&report)?.ok_or_else(|| refuse(NO_COMMIT))?;
    let place = place_of(&commit.receipt)?;
    let action = create_entry(EntryTypes::AuditReport(report))?;
    create_link(place, action.clone(), LinkTypes::ReceiptToAudit, ())?;
    match commit.mode {
        AuditMode::Jury(accusation) => {
            create_link(accusation, action.clone(), LinkTypes::AccusationToReport, ())?;
        }
        AuditMode::Appeal(conviction) => {
            create_link(conviction, action.clone(), LinkTypes::ConvictionToReport, ())?;
        }
        AuditMode::Drawn | AuditMode::Canary => {
            let provider = commit.receipt.receipt.provider;
            create_link(provider, action.clone(), LinkTypes::ProviderToReport, ())?;
        }
    }
    Ok(action)
}

/// Reports about a provider, about an answer, or of a jury.
#[hdk_extern]
pub fn get_audit_reports(query: AuditQuery) -> ExternResult<AuditPage<Audited>> {
    let (base, kind): (AnyLinkableHash, _) = match &query.subject {
        AuditSubject::Provider(agent) => (agent.clone().into(), LinkTypes::ProviderToReport),
        AuditSubject::Receipt(leaf) => (place(leaf)?.into(), LinkTypes::ReceiptToAudit),
        AuditSubject::Accusation(action) => (action.clone().into(), LinkTypes::AccusationToReport),
        AuditSubject::Conviction(action) => (action.clone().into(), LinkTypes::ConvictionToReport),
        AuditSubject::Spec(_) => return Err(elsewhere()),
    };
    page(base, kind, query.before, |known| {
        let Some((_, report)) = known.audit_report() else { return Ok(None) };
        let Some(commit) = commit_of(report)? else { return Ok(None) };
        let shows = report.evidence.is_some();
        Ok(Some(Audited { commit, report: AuditReport { evidence: None, ..report.clone() }, shows }))
    })
}

/// Everything that a canary has compared; none if there is no such report, or it shows nothing.
#[hdk_extern]
pub fn get_audit_evidence(report: ActionHash) -> ExternResult<Option<Evidence>> {
    let known = valid_known(&report)?;
    Ok(known.and_then(|known| known.audit_report().and_then(|(_, report)| report.evidence.clone())))
}

/// Says that the evidence against a provider is enough for a jury.
#[hdk_extern]
pub fn create_accusation(accusation: Accusation) -> ExternResult<ActionHash> {
    let provider = accusation.provider.clone();
    let action = create_entry(EntryTypes::Accusation(accusation))?;
    create_link(provider, action.clone(), LinkTypes::ProviderToAccusation, ())?;
    Ok(action)
}

/// Accusations of a provider.
#[hdk_extern]
pub fn get_accusations(query: AuditQuery) -> ExternResult<AuditPage<Accusation>> {
    let base = provider(&query)?;
    page(base, LinkTypes::ProviderToAccusation, query.before, |known| Ok(known.accusation().map(|(_, e)| e.clone())))
}

/// Says that a jury has confirmed an accusation.
#[hdk_extern]
pub fn create_conviction(conviction: Conviction) -> ExternResult<ActionHash> {
    let known = valid_known(&conviction.accusation)?.ok_or_else(|| refuse(NO_ACCUSATION))?;
    let provider = known.accusation().map(|(_, accusation)| accusation.provider.clone());
    let provider = provider.ok_or_else(|| refuse(NO_ACCUSATION))?;
    let action = create_entry(EntryTypes::Conviction(conviction))?;
    create_link(provider, action.clone(), LinkTypes::ProviderToConviction, ())?;
    Ok(action)
}

/// Convictions of a provider.
#[hdk_extern]
pub fn get_convictions(query: AuditQuery) -> ExternResult<AuditPage<Conviction>> {
    let base = provider(&query)?;
    page(base, LinkTypes::ProviderToConviction, query.before, |known| Ok(known.conviction().map(|(_, e)| e.clone())))
}

/// Asks for a second jury over this agent's conviction.
#[hdk_extern]
pub fn create_appeal(appeal: Appeal) -> ExternResult<ActionHash> {
    let action = create_entry(EntryTypes::Appeal(appeal))?;
    create_link(me()?, action.clone(), LinkTypes::ProviderToAppeal, ())?;
    Ok(action)
}

/// Appeals of a provider.
#[hdk_extern]
pub fn get_appeals(query: AuditQuery) -> ExternResult<AuditPage<Appeal>> {
    let base = provider(&query)?;
    page(base, LinkTypes::ProviderToAppeal, query.before, |known| Ok(known.appeal().map(|(_, e)| e.clone())))
}

/// Shows that a provider has signed two receipts for one question.
#[hdk_extern]
pub fn create_equivocation(pair: Equivocation) -> ExternResult<ActionHash> {
    let provider = pair.first.receipt.provider.clone();
    let places = [place_of(&pair.first)?, place_of(&pair.second)?];
    let action = create_entry(EntryTypes::Equivocation(pair))?;
    create_link(provider, action.clone(), LinkTypes::ProviderToEquivocation, ())?;
    for place in places {
        create_link(place, action.clone(), LinkTypes::ReceiptToAudit, ())?;
    }
    Ok(action)
}

/// Proofs that a provider has signed two receipts for one question, by provider or by receipt.
#[hdk_extern]
pub fn get_equivocations(query: AuditQuery) -> ExternResult<AuditPage<Equivocation>> {
    let (base, kind): (AnyLinkableHash, _) = match &query.subject {
        AuditSubject::Provider(agent) => (agent.clone().into(), LinkTypes::ProviderToEquivocation),
        AuditSubject::Receipt(leaf) => (place(leaf)?.into(), LinkTypes::ReceiptToAudit),
        _ => return Err(elsewhere()),
    };
    page(base, kind, query.before, |known| Ok(known.equivocation().map(|(_, e)| e.clone())))
}

/// A page of what is linked from there and is what is looked for, newest first. Links are hints: what they lead to is fetched, and
/// what is not valid, or not there yet, is passed over. Two links of one microsecond at a page's end count as one.
fn page<T>(
    base: impl Into<AnyLinkableHash>,
    kind: LinkTypes,
    before: Option<TimestampUs>,
    read: impl Fn(&Known) -> ExternResult<Option<T>>,
) -> ExternResult<AuditPage<T>> {
    let latest = sys_time()?.as_micros().saturating_add(limits::LINK_AHEAD_US_MAX);
    let before = before.unwrap_or(TimestampUs::MAX).min(latest);
    let mut links = get_links(LinkQuery::try_new(base.into(), kind)?, GetStrategy::Network)?;
    links.retain(|link| link.timestamp.as_micros() < before);
    links.sort_by_key(|link| std::cmp::Reverse((link.timestamp, link.create_link_hash.clone())));
    let mut seen: HashSet<ActionHash> = HashSet::new();
    let mut page = AuditPage { found: Vec::new(), next: None };
    let (mut looked_at, mut last) = (0, None);
    for link in links {
        let linked_at = link.timestamp.as_micros();
        if looked_at == limits::AUDITS_PAGE_MAX {
            page.next = last;
            break;
        }
        let Some(action) = link.target.into_action_hash().filter(|action| seen.insert(action.clone())) else {
            continue;
        };
        (looked_at, last) = (looked_at + 1, Some(linked_at));
        let Some(known) = valid_known(&action)? else { continue };
        // Only the author of what it leads to may draw such a link.
        if known.author != link.author {
            continue;
        }
        if let Some(entry) = read(&known)? {
            page.found.push(Found { action, author: known.author, linked_at, entry });
        }
    }
    Ok(page)
}

fn commit_of(report: &AuditReport) -> ExternResult<Option<AuditCommit>> {
    Ok(valid_known(&report.commit)?.and_then(|known| known.audit_commit().map(|(_, commit)| commit.clone())))
}

fn provider(query: &AuditQuery) -> ExternResult<AgentPubKey> {
    match &query.subject {
        AuditSubject::Provider(agent) => Ok(agent.clone()),
        _ => Err(elsewhere()),
    }
}

fn place_of(signed: &SignedReceipt) -> ExternResult<EntryHash> {
    place(&receipt::leaf(signed))
}

fn place(leaf: &Bytes32) -> ExternResult<EntryHash> {
    Path::from(rules::receipt_path(leaf)).path_entry_hash()
}

fn elsewhere() -> WasmError {
    refuse(Breach::Unsupported { what: "such things, looked up there," })
}
