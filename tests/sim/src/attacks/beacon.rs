//! Loading the dice: what somebody gains who tries many receipts, or many secrets, or both.
//!
//! The beacon is a hash of the provider's receipt and the asker's secret (`verify::audit::draw`). Each alone has to guess the other's part.

use super::row::Row;
use super::{agent, bytes, dice, fared, median, row};
use ainonymous_protocol::reputation::{Found, Reputations};
use ainonymous_types::limits::PPM_MAX;
use ainonymous_types::{AuditTerms, Bytes32, EntryHash, FinishReason, Receipt};
use ainonymous_verify::audit::draw;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Receipts, or secrets, that are tried for one answer.
const TRIED_EACH: u64 = 64;
/// Of two answers one is to be audited, or goes to the accomplice: what is gained shows best there.
const HALF_PPM: u32 = PPM_MAX / 2;
/// One auditor in fifty is drawn where asker and provider draw together.
const FEW_PPM: u32 = PPM_MAX / 50;
/// After so many tries they would give up.
const TOGETHER_MAX: u64 = 100_000;
/// Accomplices who would like to be jurors.
const JURORS: u64 = 10;
/// And so many of them have to be.
const JURORS_NEEDED: usize = ainonymous_verify::rules::CONFIRMATIONS_MIN;

pub(super) fn rows(tries: u64) -> Vec<Row> {
    let mut dice = dice(3);
    let by_receipts = receipts(tries, &mut dice);
    let by_secrets = secrets(tries, &mut dice);
    let together: Vec<Option<u64>> = (0..tries / 5).map(|_| both(&mut dice)).collect();
    let jury: Vec<Option<u64>> = (0..tries / 25).map(|_| own_jury(&mut dice)).collect();
    vec![
        row(
            "a provider tries receipts",
            45,
            fared(tries, by_receipts),
            format!("{TRIED_EACH} for each answer, without the secret, to escape an audit that half of them get; found are those that get it"),
        ),
        row(
            "an asker tries secrets",
            45,
            fared(tries, by_secrets),
            format!("{TRIED_EACH} for each question, before the receipt, for an accomplice that is drawn by half; found are those that draw it not"),
        ),
        row(
            "asker and provider draw together",
            0,
            missed(&together),
            format!(
                "not found, by decision: the one auditor in fifty that they want is drawn after {} receipts (median)",
                median(together.iter().flatten().copied().collect())
            ),
        ),
        row(
            "what such a draw earns",
            100,
            earned(tries),
            "passes in audits that were ordered; found are those after which as many answers are audited as of anybody new",
        ),
        row(
            "an accuser asks until the dice draw its jury",
            0,
            missed(&jury),
            format!(
                "not found: where one juror in twenty is drawn, an honest provider is asked {} times (median) until three of {JURORS} accomplices are; by default all are drawn",
                median(jury.iter().flatten().copied().collect())
            ),
        ),
    ]
}

/// Answers that are audited although the provider has chosen among its receipts: the one that escapes most of the secrets that it can think of.
fn receipts(tries: u64, dice: &mut ChaCha8Rng) -> u64 {
    let mut audited = 0;
    for _ in 0..tries {
        let secret = Bytes32(bytes(dice));
        let terms = AuditTerms { challenge: draw::challenge(&secret), rate_ppm: HALF_PPM, auditors_ppm: 0 };
        let guesses = [(); 4].map(|()| Bytes32(bytes(dice)));
        let escapes = |receipt: &Receipt| {
            guesses.iter().filter(|guess| !draw::is_audited(&draw::beacon(receipt, guess), &terms)).count()
        };
        let made = (0..TRIED_EACH).map(|_| receipt(terms, dice)).max_by_key(escapes);
        audited += u64::from(made.is_some_and(|made| draw::is_audited(&draw::beacon(&made, &secret), &terms)));
    }
    audited
}

/// Answers that an accomplice does not get although the asker has chosen among its secrets: it knows the question and can compute the answer, but
/// neither the salts of the fingerprint nor the provider's clock.
fn secrets(tries: u64, dice: &mut ChaCha8Rng) -> u64 {
    let accomplice = agent(7);
    let mut missed = 0;
    for _ in 0..tries {
        let with = |secret: &Bytes32| AuditTerms {
            challenge: draw::challenge(secret),
            rate_ppm: PPM_MAX,
            auditors_ppm: HALF_PPM,
        };
        let is_drawn = |receipt: &Receipt, secret: &Bytes32| {
            draw::is_auditor(&draw::beacon(receipt, secret), &receipt.audit, &accomplice)
        };
        let guessed = receipt(with(&Bytes32([0; 32])), dice);
        let liked = |secret: &Bytes32| is_drawn(&Receipt { audit: with(secret), ..guessed.clone() }, secret);
        let secret = (0..TRIED_EACH).map(|_| Bytes32(bytes(dice))).find(liked).unwrap_or(Bytes32([1; 32]));
        missed += u64::from(!is_drawn(&receipt(with(&secret), dice), &secret));
    }
    missed
}

/// Receipts that are signed until the accomplice is drawn, where the provider knows the secret.
fn both(dice: &mut ChaCha8Rng) -> Option<u64> {
    let (secret, accomplice) = (Bytes32(bytes(dice)), agent(7));
    let terms = AuditTerms { challenge: draw::challenge(&secret), rate_ppm: PPM_MAX, auditors_ppm: FEW_PPM };
    (1..=TOGETHER_MAX).find(|_| draw::is_auditor(&draw::beacon(&receipt(terms, dice), &secret), &terms, &accomplice))
}

/// Passes in audits that were arranged, and those after which nothing has changed.
fn earned(tries: u64) -> super::Fared {
    let (mut known, provider) = (Reputations::default(), agent(1));
    let new = known.of(&provider, |_| false, 0).rate_ppm();
    let unchanged = (0..tries).filter(|_| {
        known.on_ordered_audit(&provider, Found::Passed, 0);
        known.of(&provider, |_| false, 0).rate_ppm() >= new
    });
    fared(tries, unchanged.count() as u64)
}

/// Questions to an honest provider until the last answer, which draws the jury, draws enough accomplices.
fn own_jury(dice: &mut ChaCha8Rng) -> Option<u64> {
    (1..=TOGETHER_MAX).find(|_| {
        let secret = Bytes32(bytes(dice));
        let terms = AuditTerms { challenge: draw::challenge(&secret), rate_ppm: PPM_MAX, auditors_ppm: FEW_PPM };
        let jury = draw::jury(&draw::beacon(&receipt(terms, dice), &secret));
        (0..JURORS).filter(|n| draw::is_juror(&jury, &terms, &agent(100 + n))).count() >= JURORS_NEEDED
    })
}

/// Attempts that were given up.
fn missed(attempts: &[Option<u64>]) -> super::Fared {
    fared(attempts.len() as u64, attempts.iter().filter(|tries| tries.is_none()).count() as u64)
}

/// A receipt of an answer: what its provider is free in is drawn.
fn receipt(audit: AuditTerms, dice: &mut ChaCha8Rng) -> Receipt {
    Receipt {
        provider: agent(1),
        spec: EntryHash::from_raw_36(vec![7; 36]),
        session_key: Bytes32([2; 32]),
        input: Bytes32([3; 32]),
        output: Bytes32([4; 32]),
        fingerprint: Bytes32(bytes(dice)),
        prompt_tokens: 5,
        completion_tokens: 40,
        finish: FinishReason::Stop,
        finished_at: dice.random_range(0..1_000_000_000),
        audit,
    }
}
