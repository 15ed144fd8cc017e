//! The rules for audits: that the right one looked, promised before it was shown anything, and reckoned correctly.
//!
//! What a replay found is the auditor's word, unless it shows everything; what follows from it is arithmetic and is checked here.
//! No verdict, whichever it is, makes an entry invalid.

use super::bounds::{at_most, bytes_at_most, not_empty, range, unique};
use super::Known;
use crate::audit::{calibration, draw, evidence, leaf, scope, statistics};
use crate::{chat, commit, receipt, Breach};
use ainonymous_types::{
    limits, Accusation, ActionHash, AgentPubKey, AuditCommit, AuditMode, AuditReport, AuditTerms, Bytes32, Calibration,
    CalibrationScope, Capability, Conviction, Equivocation, Evidence, Outcome, Receipt, Role, SignedReceipt, Standing,
    Verdict,
};
use std::ops::Range;

/// Jurors that have to confirm an accusation.
pub const CONFIRMATIONS_MIN: usize = 3;

/// A commitment by itself: a signed receipt of somebody else, its secret, and a draw that fell on the author.
pub fn audit_commit(commit: &AuditCommit, author: &AgentPubKey) -> Result<(), Breach> {
    let AuditCommit { capability: _, receipt: signed, proof, secret, mode, previous, replay } = commit;
    let statement = &signed.receipt;
    if statement.provider == *author {
        return Err(Breach::AuditsItself);
    }
    at_most("proof.path", proof.path.len(), limits::MERKLE_PATH_MAX)?;
    let tokens = statement.completion_tokens.into();
    range("completion_tokens", tokens, 1, limits::ANSWER_TOKENS_MAX.into(), "tokens")?;
    if *replay == Bytes32([0; 32]) {
        return Err(Breach::Empty { what: "replay" });
    }
    let AuditTerms { challenge, rate_ppm: _, auditors_ppm: _ } = &statement.audit;
    if draw::challenge(secret) != *challenge {
        return Err(Breach::CommitmentMismatch { what: "secret" });
    }
    match mode {
        AuditMode::Drawn => drawn(signed, secret, author)?,
        AuditMode::Canary => {
            range("completion_tokens", tokens, 1, limits::EVIDENCE_TOKENS_MAX as u64, "tokens of a canary")?;
        }
        AuditMode::Jury(_) | AuditMode::Appeal(_) if previous.is_some() => {
            return Err(Breach::Unsupported { what: "earlier reports in juries" });
        }
        AuditMode::Jury(_) | AuditMode::Appeal(_) => {}
    }
    receipt::is_signed(signed).then_some(()).ok_or(Breach::Signature { what: "the receipt" })
}

fn drawn(signed: &SignedReceipt, secret: &Bytes32, author: &AgentPubKey) -> Result<(), Breach> {
    let beacon = draw::beacon(&signed.receipt, secret);
    if !draw::is_audited(&beacon, &signed.receipt.audit) {
        return Err(Breach::NotDrawn { what: "the answer" });
    }
    let fell = draw::is_auditor(&beacon, &signed.receipt.audit, author);
    fell.then_some(()).ok_or(Breach::NotDrawn { what: "the auditor" })
}

/// A commitment against the batch that it names: the provider's, with the receipt where the proof says.
pub fn audit_commit_batch(commit: &AuditCommit, known: &Known) -> Result<(), Breach> {
    let (_, batch) =
        known.receipt_batch().ok_or(Breach::WrongReference { what: "proof.batch", expected: "receipt batch" })?;
    if known.author != commit.receipt.receipt.provider {
        return Err(Breach::HashMismatch { what: "proof.batch" });
    }
    receipt::in_batch(&commit.receipt, &commit.proof, batch)
}

/// A commitment against the capability that it relies on: the author's own, as auditor.
pub fn audit_commit_capability(author: &AgentPubKey, known: &Known) -> Result<(), Breach> {
    let capability = capability_of(known)?;
    if known.author != *author {
        return Err(Breach::NotAuthor { what: "the capability" });
    }
    capability.roles.contains(&Role::Auditor).then_some(()).ok_or(Breach::NotAuditor)
}

/// A commitment against the report that it builds on, by that report's own commitment: about the same provider, and no jury's.
pub fn audit_commit_previous(commit: &AuditCommit, earlier: &AuditCommit) -> Result<(), Breach> {
    let same = earlier.receipt.receipt.provider == commit.receipt.receipt.provider;
    if !same || earlier.mode.case().is_some() {
        return Err(Breach::HashMismatch { what: "previous" });
    }
    Ok(())
}

/// What a juror's commitment is judged by: an accusation and the audits that it lists, newest first.
#[derive(Debug)]
pub struct Case<'a> {
    /// Who accused.
    pub accuser: &'a AgentPubKey,
    /// The accusation.
    pub accusation: &'a Accusation,
    /// For each listed report: its author, its weight, and its commitment.
    pub audits: &'a [(AgentPubKey, i16, AuditCommit)],
    /// Who has convicted, where a second jury is drawn.
    pub convicted_by: &'a [AgentPubKey],
}

/// A juror's commitment against the accusation: drawn into the jury, no party to it, and about the answer that fell to it, which is
/// one of those that spoke against the provider. Who has convicted is a party in the second jury.
pub fn audit_commit_jury(commit: &AuditCommit, author: &AgentPubKey, case: &Case<'_>) -> Result<(), Breach> {
    let Case { accuser, accusation, audits, convicted_by } = case;
    if accusation.provider != commit.receipt.receipt.provider {
        return Err(Breach::HashMismatch { what: "accusation.provider" });
    }
    let is_auditor = audits.iter().any(|(auditor, ..)| auditor == author);
    if *accuser == author || is_auditor || convicted_by.contains(author) {
        return Err(Breach::NotDrawn { what: "this juror, who is a party" });
    }
    let (_, _, newest) = audits.first().ok_or(Breach::Empty { what: "reports" })?;
    let answer = draw::beacon(&newest.receipt.receipt, &newest.secret);
    let beacon = match commit.mode {
        AuditMode::Appeal(_) => draw::appeal(&answer),
        AuditMode::Jury(_) | AuditMode::Drawn | AuditMode::Canary => draw::jury(&answer),
    };
    if !draw::is_juror(&beacon, &newest.receipt.receipt.audit, author) {
        return Err(Breach::NotDrawn { what: "the juror" });
    }
    let against: Vec<&AuditCommit> = audits.iter().filter(|(_, llr, _)| *llr > 0).map(|(_, _, c)| c).collect();
    let at = draw::case(&beacon, author, u32::try_from(against.len()).unwrap_or(u32::MAX));
    let fell = against.get(at as usize).is_some_and(|audited| audited.receipt == commit.receipt);
    fell.then_some(()).ok_or(Breach::NotDrawn { what: "the answer, for this juror" })
}

/// A report by itself.
pub fn audit_report(report: &AuditReport) -> Result<(), Breach> {
    evidence::bounds(&report.standing)?;
    match &report.outcome {
        Outcome::Measured(found) => statistics::bounds(found),
        Outcome::NotOpened(found) => statistics::bounds_of_tokens(found),
        Outcome::Mismatch => Ok(()),
    }
}

/// A report against the author's commitment: about that answer, or the stretch of it that was drawn, with everything shown if it is a canary.
pub fn audit_report_commit(report: &AuditReport, author: &AgentPubKey, known: &Known) -> Result<(), Breach> {
    let (_, commit) =
        known.audit_commit().ok_or(Breach::WrongReference { what: "commit", expected: "audit commitment" })?;
    if known.author != *author {
        return Err(Breach::NotAuthor { what: "the commitment" });
    }
    let tokens = leaf::tokens_in(&judged_windows(commit, author), commit.receipt.receipt.completion_tokens);
    if report.outcome.statistics().is_some_and(|found| found.tokens != tokens) {
        return Err(Breach::Arithmetic { what: "tokens" });
    }
    let shows = commit.mode == AuditMode::Canary;
    match &report.evidence {
        None if shows => Err(Breach::Empty { what: "evidence" }),
        None => Ok(()),
        Some(_) if !shows => Err(Breach::Unsupported { what: "prompts and answers in the open, but for canaries," }),
        Some(evidence) => shown(report, commit, evidence),
    }
}

/// Which windows of the answer a report on this commitment speaks of: all, but for a drawn audit of an answer that is longer than one report can speak of.
pub fn judged_windows(commit: &AuditCommit, author: &AgentPubKey) -> Range<usize> {
    let receipt = &commit.receipt.receipt;
    match commit.mode {
        AuditMode::Drawn => draw::stretch(&draw::beacon(receipt, &commit.secret), author, receipt.completion_tokens),
        AuditMode::Canary | AuditMode::Jury(_) | AuditMode::Appeal(_) => {
            0..leaf::count(receipt.completion_tokens) as usize
        }
    }
}

/// What a canary shows: the question and answer of the receipt, the provider's fingerprint if it has opened the one that it signed, the auditor's
/// replay, and an outcome that follows from them.
fn shown(report: &AuditReport, commit: &AuditCommit, evidence: &Evidence) -> Result<(), Breach> {
    let Evidence { input, salt, tokens, text, opened, replay } = evidence;
    let statement = &commit.receipt.receipt;
    chat::bounds(input)?;
    let question = input.messages.iter().map(|m| m.content.len()).fold(0usize, usize::saturating_add);
    bytes_at_most("evidence.input", question, limits::EVIDENCE_TEXT_BYTES_MAX)?;
    bytes_at_most("evidence.text", text.len(), limits::EVIDENCE_TEXT_BYTES_MAX)?;
    at_most("evidence.tokens", tokens.len(), limits::EVIDENCE_TOKENS_MAX)?;
    let windows = limits::EVIDENCE_TOKENS_MAX / limits::FINGERPRINT_WINDOW_TOKENS;
    at_most("evidence.opened", opened.len(), windows)?;
    at_most("evidence.replay", replay.len(), windows)?;
    for leaf in opened {
        at_most("evidence.opened.tokens", leaf.tokens.len(), limits::FINGERPRINT_WINDOW_TOKENS)?;
        bytes_at_most("evidence.opened.body", leaf.body.len(), limits::FINGERPRINT_LEAF_BYTES_MAX)?;
    }
    leaf::replay_bounds(replay)?;
    let replayed = replay.iter().flat_map(|ours| &ours.leaf.tokens);
    if tokens.len() as u64 != u64::from(statement.completion_tokens) || !replayed.eq(tokens) {
        return Err(Breach::Arithmetic { what: "evidence.tokens" });
    }
    if commit::input(salt, input) != statement.input {
        return Err(Breach::CommitmentMismatch { what: "question" });
    }
    if commit::output(salt, tokens, text) != statement.output {
        return Err(Breach::CommitmentMismatch { what: "answer" });
    }
    if leaf::replay(replay) != commit.replay {
        return Err(Breach::CommitmentMismatch { what: "replay" });
    }
    if !opened.is_empty() && leaf::fingerprint(opened) != statement.fingerprint {
        return Err(Breach::CommitmentMismatch { what: "fingerprint" });
    }
    let found = statistics::outcome(opened, replay)?;
    (found == report.outcome).then_some(()).ok_or(Breach::Arithmetic { what: "outcome" })
}

/// A calibration for a report: of the answer's model, from the provider's class of machine to the auditor's.
pub fn audit_report_calibration<'a>(
    known: &'a Known,
    commit: &AuditCommit,
    prover: &Known,
    verifier: &Known,
) -> Result<&'a Calibration, Breach> {
    let (_, table) =
        known.calibration().ok_or(Breach::WrongReference { what: "calibration", expected: "calibration" })?;
    if table.spec.entry != commit.receipt.receipt.spec {
        return Err(Breach::HashMismatch { what: "calibration.spec" });
    }
    let classes = [("calibration.prover", &table.prover, prover), ("calibration.verifier", &table.verifier, verifier)];
    for (what, stated, machine) in classes {
        if calibration::class(capability_of(machine)?) != *stated {
            return Err(Breach::HashMismatch { what });
        }
    }
    Ok(table)
}

/// A calibration for a report: one that speaks of so many tokens, and of such a question where that is shown.
pub fn audit_report_scope(
    report: &AuditReport,
    commit: &AuditCommit,
    author: &AgentPubKey,
    table: &Calibration,
) -> Result<(), Breach> {
    let tokens = leaf::tokens_in(&judged_windows(commit, author), commit.receipt.receipt.completion_tokens);
    let answer = match &report.evidence {
        Some(evidence) => scope::of(&evidence.input, tokens),
        None => CalibrationScope { tokens, ..scope::NOTHING },
    };
    scope::covers(&table.scope, &answer).then_some(()).ok_or(Breach::OutOfScope)
}

/// The reckoning of a report: verdict, weight and standing, from the calibration, the commitment and the standing before it.
pub fn audit_report_arithmetic(
    report: &AuditReport,
    author: &AgentPubKey,
    commit: &AuditCommit,
    table: Option<&Calibration>,
    before: &Standing,
) -> Result<(), Breach> {
    let (verdict, llr) = match commit.mode {
        AuditMode::Drawn | AuditMode::Canary => calibration::judge(table, &report.outcome),
        AuditMode::Jury(_) | AuditMode::Appeal(_) => calibration::judge_in_jury(table, &report.outcome),
    };
    if report.verdict != verdict {
        return Err(Breach::Arithmetic { what: "verdict" });
    }
    if report.llr != llr {
        return Err(Breach::Arithmetic { what: "llr" });
    }
    let standing = match commit.mode {
        AuditMode::Drawn | AuditMode::Canary => evidence::add(before, author, llr),
        AuditMode::Jury(_) | AuditMode::Appeal(_) => Standing::default(),
    };
    (report.standing == standing).then_some(()).ok_or(Breach::Arithmetic { what: "standing" })
}

/// An accusation by itself.
pub fn accusation(accusation: &Accusation) -> Result<(), Breach> {
    let Accusation { provider: _, reports } = accusation;
    not_empty("reports", reports.len())?;
    at_most("reports", reports.len(), limits::ACCUSATION_REPORTS_MAX)?;
    unique("reports", reports)
}

/// An accusation against the audits that it lists, newest first: all about the accused, each built on the next, the newest past the
/// bound. The list reaches back to where the score was nothing, or is as long as it may be: none is left out. `before` is the
/// standing that the oldest was built on.
pub fn accusation_reports(
    accusation: &Accusation,
    audits: &[(&AuditReport, &AuditCommit)],
    before: Option<&Standing>,
) -> Result<(), Breach> {
    let newest = audits.first().ok_or(Breach::Empty { what: "reports" })?;
    for (_, commit) in audits {
        let about = commit.receipt.receipt.provider == accusation.provider;
        if !about || commit.mode.case().is_some() {
            return Err(Breach::HashMismatch { what: "reports" });
        }
    }
    let linked =
        audits.iter().zip(accusation.reports.iter().skip(1)).all(|((_, c), next)| c.previous.as_ref() == Some(next));
    if !linked {
        return Err(Breach::Unordered { what: "reports" });
    }
    if !evidence::is_enough(&newest.0.standing) {
        return Err(Breach::NotEnough { what: "the evidence" });
    }
    let complete = before.is_none_or(|before| before.score == 0) || audits.len() == limits::ACCUSATION_REPORTS_MAX;
    complete.then_some(()).ok_or(Breach::NotEnough { what: "the list of reports" })
}

/// A conviction by itself.
pub fn conviction(conviction: &Conviction) -> Result<(), Breach> {
    let Conviction { accusation: _, confirmations } = conviction;
    at_most("confirmations", confirmations.len(), limits::CONVICTION_REPORTS_MAX)?;
    if confirmations.len() < CONFIRMATIONS_MIN {
        return Err(Breach::NotEnough { what: "the jury" });
    }
    unique("confirmations", confirmations)
}

/// One confirmation of a conviction: a failing report out of the jury over this accusation.
pub fn confirmation(accusation: &ActionHash, report: &AuditReport, commit: &AuditCommit) -> Result<(), Breach> {
    if commit.mode != AuditMode::Jury(accusation.clone()) {
        return Err(Breach::HashMismatch { what: "confirmations" });
    }
    (report.verdict == Verdict::Fail).then_some(()).ok_or(Breach::NotEnough { what: "a juror's verdict" })
}

/// An appeal against the accusation behind the conviction: by the accused, whom somebody else cannot make look guilty twice.
pub fn appeal(author: &AgentPubKey, accusation: &Accusation) -> Result<(), Breach> {
    (accusation.provider == *author).then_some(()).ok_or(Breach::NotAuthor { what: "the convicted provider" })
}

/// Two receipts for one question: both signed by the provider, with the same session, question and challenge, and something else
/// promised. The one whose bytes come first stands first, so that there is one such entry for each pair.
///
/// Whoever asks can ask the same again under another id, as often and as late as it likes. A provider that remembers for a while what it
/// has signed is safe (`receipt::question`): answers that ended long after each other prove nothing.
pub fn equivocation(equivocation: &Equivocation) -> Result<(), Breach> {
    let Equivocation { first, second } = equivocation;
    let (a, b) = (&first.receipt, &second.receipt);
    let question = |r: &Receipt| receipt::question(&r.session_key, &r.input, &r.audit.challenge);
    let same = a.provider == b.provider && question(a) == question(b);
    if !same || a.audit.challenge == Bytes32([0; 32]) {
        return Err(Breach::HashMismatch { what: "second" });
    }
    if a.output == b.output && a.fingerprint == b.fingerprint && a.spec == b.spec {
        return Err(Breach::Repeated { what: "receipts" });
    }
    let apart_us = a.finished_at.abs_diff(b.finished_at);
    range("the time between the receipts", apart_us, 0, limits::EQUIVOCATION_APART_US_MAX, "microseconds")?;
    if receipt::canonical(a) >= receipt::canonical(b) {
        return Err(Breach::Unordered { what: "receipts" });
    }
    let signed = receipt::is_signed(first) && receipt::is_signed(second);
    signed.then_some(()).ok_or(Breach::Signature { what: "the receipts" })
}

fn capability_of(known: &Known) -> Result<&Capability, Breach> {
    let (_, capability) =
        known.capability().ok_or(Breach::WrongReference { what: "capability", expected: "capability" })?;
    Ok(capability)
}
