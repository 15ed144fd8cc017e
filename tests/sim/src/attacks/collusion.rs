//! Agents of one person, as providers and auditors: praising each other, and slandering others.
//!
//! Seen from a node that has nothing to do with them. What it reads of others goes through `protocol::reputation`; of passes that were
//! arranged it reads even less than is assumed here, because all are taken for canaries.

use super::row::Row;
use super::{agent, bytes, dice, median, row, Fared};
use ainonymous_protocol::reputation::{Found, Reputations};
use ainonymous_types::limits::{ACCUSATION_REPORTS_MAX, PPM_MAX};
use ainonymous_types::{
    Accusation, ActionHash, AgentPubKey, AuditCommit, AuditMode, AuditReport, AuditTerms, BatchProof, Bytes32, Bytes64,
    Conviction, EntryHash, FinishReason, Outcome, Receipt, SignedReceipt, Standing,
};
use ainonymous_verify::audit::{calibration, draw, evidence};
use ainonymous_verify::rules::{self, Case};
use rand_chacha::ChaCha8Rng;

/// Accomplices, and the honest beside them.
const RING: u64 = 40;
/// Where the honest begin.
const HONEST: u64 = 1_000;
/// Reports of each about each other.
const REPORTS: i64 = 100;
/// Verdicts of an auditor that were confirmed before it begins.
const CONFIRMED: u32 = 100;
/// Passes that an honest provider has, of this node's own audits, when it is slandered.
const PASSED: u32 = 30;
/// Honest auditors.
const AUDITORS: u64 = 20;

pub(super) fn rows(tries: u64) -> Vec<Row> {
    let mut dice = dice(2);
    let strangers = praised(false);
    let trusted = praised(true);
    let cheats = median((0..tries / 5).map(|_| cheats_before_found(trusted.rate_ppm, &mut dice)).collect());
    let own = (1..).find(|n| rate_after(*n) <= trusted.rate_ppm).unwrap_or(0);
    let (slandered, lost) = slandered(PASSED);
    let crews = tries / 5;
    let five: Vec<Trial> = (0..crews).map(|_| trial(5, &mut dice)).collect();
    let six: Vec<Trial> = (0..crews).map(|_| trial(6, &mut dice)).collect();
    let convicted = |trials: &[Trial]| trials.iter().filter(|trial| trial.convicted).count() as u64;
    let again = six.iter().map(|trial| trial.accomplices_again).max().unwrap_or(0);
    let honest = median(six.iter().map(|trial| trial.honest_again as u64).collect());
    let of_crews = |trials: &[Trial]| Fared {
        tried: crews,
        found: crews - convicted(trials),
        honest_tried: crews,
        false_alarms: convicted(trials),
    };
    vec![
        row(
            "accomplices praise each other",
            100,
            strangers.fared,
            "forty of them, each with a hundred passes by each; found are those of whom as many answers are audited as of anybody new",
        ),
        row(
            "the same by auditors who were found right",
            0,
            trusted.fared,
            format!(
                "{:.1} % of their answers are audited then, as of whoever has passed {own} own audits, and no more praise lowers it: {cheats} cheats (median) until the first is found",
                f64::from(trusted.rate_ppm) / 10_000.0
            ),
        ),
        row("auditors earn trust, then slander", 100, slandered, lost),
        row(
            "five accomplices convict an honest provider",
            100,
            of_crews(&five),
            "three accuse, and two are no jury; found are attempts that convict nobody",
        ),
        row(
            "six accomplices convict an honest provider",
            0,
            of_crews(&six),
            format!(
                "not found: three accuse, three are the jury. It counts for whoever trusts these: friends and one's own machines. A second jury has {again} of them and {honest} honest auditors"
            ),
        ),
    ]
}

/// What becomes of a ring whose members all praise each other.
struct Praised {
    fared: Fared,
    /// How many of the answers of one are audited then.
    rate_ppm: u32,
}

/// The honest beside them are slandered as often as members of the ring are praised, by the same: where that is worth nothing.
fn praised(trusted: bool) -> Praised {
    let mut known = Reputations::default();
    let new = known.of(&agent(0), nobody, 0);
    for by in 0..RING {
        if trusted {
            (0..CONFIRMED).for_each(|_| known.on_checked(&agent(by), true, 0));
        }
        for at in 1..=REPORTS {
            for provider in 0..RING {
                known.on_report(&agent(provider), &agent(by), Found::Passed, at, 0);
                if !trusted {
                    known.on_report(&agent(HONEST + provider), &agent(by), Found::Failed, at, 0);
                }
            }
        }
    }
    let of = |n: u64| known.of(&agent(n), nobody, 0);
    let found = (0..RING).filter(|n| of(*n).rate_ppm() >= new.rate_ppm()).count() as u64;
    let suffers = |n: &u64| of(*n).rate_ppm() > new.rate_ppm() || of(*n).worse_permille() > new.worse_permille();
    let false_alarms = (HONEST..HONEST + RING).filter(suffers).count() as u64;
    let rate_ppm = (0..RING).map(|n| of(n).rate_ppm()).min().unwrap_or(PPM_MAX);
    Praised { fared: Fared { tried: RING, found, honest_tried: RING, false_alarms }, rate_ppm }
}

/// How many of a provider's answers are audited after so many that have passed, with own audits alone.
fn rate_after(passed: u32) -> u32 {
    let mut known = Reputations::default();
    (0..passed).for_each(|_| known.on_own_audit(&agent(1), Found::Passed, 0));
    known.of(&agent(1), nobody, 0).rate_ppm()
}

/// Answers that are cheats until one is audited, by dice that nobody can foretell.
fn cheats_before_found(rate_ppm: u32, dice: &mut ChaCha8Rng) -> u64 {
    let terms = AuditTerms { challenge: Bytes32([0; 32]), rate_ppm, auditors_ppm: 0 };
    let is_audited = |_: &u64| draw::is_audited(&Bytes32(bytes(dice)), &terms);
    (1..).find(is_audited).unwrap_or(u64::MAX)
}

/// Two auditors who were found right a hundred times slander honest providers, as often as they like. Found are providers that are not treated as
/// if nothing were known of them.
fn slandered(passed: u32) -> (Fared, String) {
    let mut known = Reputations::default();
    let slanderers = [agent(0), agent(1)];
    let providers = || (HONEST..HONEST + RING).map(agent);
    for slanderer in &slanderers {
        (0..CONFIRMED).for_each(|_| known.on_checked(slanderer, true, 0));
    }
    providers().for_each(|one| (0..passed).for_each(|_| known.on_own_audit(&one, Found::Passed, 0)));
    let rate = |known: &Reputations| known.of(&agent(HONEST), nobody, 0).rate_ppm();
    let before = rate(&known);
    let mut standing = Standing::default();
    for at in 1..=REPORTS * 10 {
        for slanderer in &slanderers {
            for one in providers() {
                known.on_report(&one, slanderer, Found::Failed, at, 0);
            }
            standing = evidence::add(&standing, slanderer, calibration::LLR_MAX);
        }
    }
    let (after, new) = (rate(&known), Reputations::default().of(&agent(0), nobody, 0).rate_ppm());
    let spared = |one: &AgentPubKey| {
        let of = known.of(one, nobody, 0);
        !of.convicted && of.rate_ppm() < new && !evidence::is_enough(&standing)
    };
    let found = providers().filter(spared).count() as u64;
    // Each of their verdicts that this node looks at itself contradicts them.
    let trust = |known: &Reputations| known.auditor_permille(&slanderers[0], 0);
    let (stranger, mut contradicted) = (known.auditor_permille(&agent(9_999), 0), 0);
    while trust(&known) > stranger {
        known.on_checked(&slanderers[0], false, 0);
        contradicted += 1;
    }
    let percent = |ppm: u32| f64::from(ppm) / 10_000.0;
    let note = format!(
        "two of them, about providers with {passed} passes, of whom {:.1} % of the answers are audited instead of {:.1} %; whoever was confirmed {CONFIRMED} times is a stranger again when contradicted {contradicted} times",
        percent(after),
        percent(before)
    );
    (Fared { tried: RING, found, honest_tried: RING, false_alarms: RING - found }, note)
}

/// What came of an attempt to convict an honest provider.
struct Trial {
    convicted: bool,
    /// Of those who attempt it, jurors in the second jury.
    accomplices_again: usize,
    /// Honest ones there.
    honest_again: usize,
}

/// A crew accuses with as few as it takes, and the rest of it are jurors if the rules let them. All auditors may be drawn: whoever asks decides that.
fn trial(crew: u64, dice: &mut ChaCha8Rng) -> Trial {
    let provider = agent(HONEST);
    let (verdict, llr) = calibration::judge(None, &Outcome::Mismatch);
    let first = dice_agents(dice);
    let crew: Vec<AgentPubKey> = (0..crew).map(|n| agent(first + n)).collect();
    let honest: Vec<AgentPubKey> = (0..AUDITORS).map(|n| agent(first + 100 + n)).collect();

    let (mut standing, mut audits) = (Standing::default(), Vec::new());
    let accusers = evidence::AUDITORS_MIN as usize;
    for auditor in crew.iter().take(accusers).cycle().take(ACCUSATION_REPORTS_MAX) {
        if evidence::is_enough(&standing) {
            break;
        }
        standing = evidence::add(&standing, auditor, llr);
        audits.insert(0, (auditor.clone(), llr, committed(&provider, AuditMode::Canary, dice)));
    }
    let none = Trial { convicted: false, accomplices_again: 0, honest_again: 0 };
    let Some((accuser, ..)) = audits.first().cloned().filter(|_| evidence::is_enough(&standing)) else { return none };
    let accusation = Accusation { provider, reports: vec![action(bytes(dice))] };
    let case = Case { accuser: &accuser, accusation: &accusation, audits: &audits, convicted_by: &[] };
    // Each tries every answer: one falls to it, if any does.
    let sits = |juror: &AgentPubKey, mode: &AuditMode, case: &Case<'_>| {
        audits
            .iter()
            .map(|(.., commit)| AuditCommit { mode: mode.clone(), previous: None, ..commit.clone() })
            .find(|commit| rules::audit_commit_jury(commit, juror, case).is_ok())
    };
    let accused = action(bytes(dice));
    let report = AuditReport {
        commit: accused.clone(),
        calibration: None,
        outcome: Outcome::Mismatch,
        verdict,
        llr,
        standing: Standing::default(),
        evidence: None,
    };
    let jury = AuditMode::Jury(accused.clone());
    let confirming: Vec<&AgentPubKey> = crew
        .iter()
        .filter(|juror| {
            sits(juror, &jury, &case).is_some_and(|said| rules::confirmation(&accused, &report, &said).is_ok())
        })
        .collect();
    let confirmations = confirming.iter().map(|_| action(bytes(dice))).collect();
    let convicted = rules::conviction(&Conviction { accusation: accused, confirmations }).is_ok();
    let convicted_by: Vec<AgentPubKey> = confirming.into_iter().cloned().collect();
    let case = Case { convicted_by: &convicted_by, ..case };
    let appeal = AuditMode::Appeal(action(bytes(dice)));
    let again = |of: &[AgentPubKey]| of.iter().filter(|juror| sits(juror, &appeal, &case).is_some()).count();
    Trial { convicted, accomplices_again: again(&crew), honest_again: again(&honest) }
}

/// Where the agents of one attempt begin: others draw another jury.
fn dice_agents(dice: &mut ChaCha8Rng) -> u64 {
    u64::from_le_bytes(bytes(dice)[..8].try_into().unwrap_or_default()) >> 1
}

fn action(of: [u8; 32]) -> ActionHash {
    ActionHash::from_raw_36([&of[..], &[0; 4]].concat())
}

/// What an auditor promises of an answer that the provider gave honestly.
fn committed(provider: &AgentPubKey, mode: AuditMode, dice: &mut ChaCha8Rng) -> AuditCommit {
    let secret = Bytes32(bytes(dice));
    let receipt = Receipt {
        provider: provider.clone(),
        spec: EntryHash::from_raw_36(vec![7; 36]),
        session_key: Bytes32(bytes(dice)),
        input: Bytes32(bytes(dice)),
        output: Bytes32(bytes(dice)),
        fingerprint: Bytes32(bytes(dice)),
        prompt_tokens: 5,
        completion_tokens: 40,
        finish: FinishReason::Stop,
        finished_at: 1,
        audit: AuditTerms { challenge: draw::challenge(&secret), rate_ppm: PPM_MAX, auditors_ppm: PPM_MAX },
    };
    AuditCommit {
        capability: action(bytes(dice)),
        receipt: SignedReceipt { receipt, signature: Bytes64([0; 64]) },
        proof: BatchProof { batch: action(bytes(dice)), index: 0, path: vec![] },
        secret,
        mode,
        previous: None,
        replay: Bytes32([1; 32]),
    }
}

fn nobody(_: &AgentPubKey) -> bool {
    false
}
