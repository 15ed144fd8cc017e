//! Dice that nobody can load: whether an answer is audited, and by whom.
//!
//! The requester commits to a secret with its question, the provider signs its receipt, then the secret is told. The beacon is a hash
//! of both: the requester could not know the receipt when it chose, the provider not the secret. (A signature would not do as dice:
//! whoever holds an Ed25519 key can make as many valid ones as it likes.) Requester and provider together can choose the beacon;
//! that is why audits that parties arrange among themselves earn nobody anything.

use super::leaf;
use crate::canonical::Encoder;
use crate::receipt;
use ainonymous_types::limits::{EVIDENCE_TOKENS_MAX, FINGERPRINT_WINDOW_TOKENS, PPM_MAX};
use ainonymous_types::{AgentPubKey, AuditTerms, Bytes32, Receipt};
use std::ops::Range;

/// Jurors that are drawn for each auditor that is drawn, times two: five for two.
const JURORS_FOR_TWO: u64 = 5;

/// What a question says of a secret that is told after the receipt.
pub fn challenge(secret: &Bytes32) -> Bytes32 {
    Encoder::hash("ainonymous/challenge/v1").bytes32(secret).finish()
}

/// The beacon of an answer.
pub fn beacon(receipt: &Receipt, secret: &Bytes32) -> Bytes32 {
    Encoder::hash("ainonymous/beacon/v1").raw(&receipt::canonical(receipt)).bytes32(secret).finish()
}

/// The beacon of a jury: from that of the answer whose audit crossed the bound.
pub fn jury(beacon: &Bytes32) -> Bytes32 {
    Encoder::hash("ainonymous/jury/v1").bytes32(beacon).finish()
}

/// The beacon of the second jury over the same accusation: made from the same answer, so that no conviction, written again and again,
/// draws other jurors.
pub fn appeal(beacon: &Bytes32) -> Bytes32 {
    Encoder::hash("ainonymous/appeal/v1").bytes32(beacon).finish()
}

/// Whether the answer is audited at all.
pub fn is_audited(beacon: &Bytes32, terms: &AuditTerms) -> bool {
    let hash = Encoder::hash("ainonymous/draw/v1").bytes32(beacon).finish();
    is_below(&hash, terms.rate_ppm)
}

/// An agent's ticket: the lower, the earlier its turn.
pub fn ticket(beacon: &Bytes32, agent: &AgentPubKey) -> Bytes32 {
    Encoder::hash("ainonymous/ticket/v1").bytes32(beacon).holo(agent).finish()
}

/// Whether an agent is drawn as auditor of the answer.
pub fn is_auditor(beacon: &Bytes32, terms: &AuditTerms, agent: &AgentPubKey) -> bool {
    is_below(&ticket(beacon, agent), terms.auditors_ppm)
}

/// Whether an agent is drawn into the jury. `beacon` is the jury's own.
pub fn is_juror(beacon: &Bytes32, terms: &AuditTerms, agent: &AgentPubKey) -> bool {
    let ppm = (u64::from(terms.auditors_ppm) * JURORS_FOR_TWO).div_ceil(2);
    is_below(&ticket(beacon, agent), u32::try_from(ppm).unwrap_or(u32::MAX))
}

/// Which of so many answers a juror looks at. `beacon` is the jury's own.
pub fn case(beacon: &Bytes32, agent: &AgentPubKey, count: u32) -> u32 {
    let hash = Encoder::hash("ainonymous/case/v1").bytes32(beacon).holo(agent).finish();
    ((u128::from(leading(&hash)) * u128::from(count)) >> 64) as u32
}

/// Which windows of an answer of so many tokens a drawn auditor judges: all that one report can speak of, or, of a longer answer, as many in a row.
/// Its provider cannot know which before it has signed.
pub fn stretch(beacon: &Bytes32, agent: &AgentPubKey, tokens: u32) -> Range<usize> {
    let hash = Encoder::hash("ainonymous/stretch/v1").bytes32(beacon).holo(agent).finish();
    let some = EVIDENCE_TOKENS_MAX / FINGERPRINT_WINDOW_TOKENS;
    leaf::stretch(leaf::count(tokens) as usize, some, (leading(&hash) >> 32) as u32)
}

/// How likely each of `auditors` must be drawn, in millionths, for so many to be drawn on average.
pub fn auditors_ppm(wanted: u32, auditors: u32) -> u32 {
    let ppm = (u64::from(wanted) * u64::from(PPM_MAX)).div_ceil(u64::from(auditors.max(1)));
    u32::try_from(ppm).unwrap_or(PPM_MAX).min(PPM_MAX)
}

/// Whether a hash, as a fraction of one, is below a probability.
fn is_below(hash: &Bytes32, ppm: u32) -> bool {
    u128::from(leading(hash)) * u128::from(PPM_MAX) < u128::from(ppm) << 64
}

/// The first 64 bits of a hash, as the number that they spell.
fn leading(hash: &Bytes32) -> u64 {
    hash.0.iter().take(8).fold(0, |n, byte| n << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn terms(rate_ppm: u32, auditors_ppm: u32) -> AuditTerms {
        AuditTerms { challenge: Bytes32([0; 32]), rate_ppm, auditors_ppm }
    }

    fn agent(n: u32) -> AgentPubKey {
        let mut raw = vec![0; 36];
        raw[..4].copy_from_slice(&n.to_le_bytes());
        AgentPubKey::from_raw_36(raw)
    }

    fn beacons(n: u64) -> impl Iterator<Item = Bytes32> {
        (0..n).map(|i| Encoder::hash("test").u64(i).finish())
    }

    #[test]
    fn as_many_are_drawn_as_the_terms_say() {
        let audited = |ppm| beacons(20_000).filter(|b| is_audited(b, &terms(ppm, 0))).count();
        assert_eq!((audited(0), audited(PPM_MAX)), (0, 20_000));
        assert!((900..1_100).contains(&audited(50_000)), "{}", audited(50_000));
        let beacon = Bytes32([7; 32]);
        let drawn = (0..20_000).filter(|n| is_auditor(&beacon, &terms(0, 50_000), &agent(*n))).count();
        assert!((900..1_100).contains(&drawn), "{drawn}");
        let jurors = (0..20_000).filter(|n| is_juror(&jury(&beacon), &terms(0, 20_000), &agent(*n))).count();
        assert!((900..1_100).contains(&jurors), "five jurors for two auditors: {jurors}");
        assert!(is_juror(&beacon, &terms(0, u32::MAX), &agent(1)), "more than all is all");
    }

    #[test]
    fn cases_are_dealt_evenly_and_within_bounds() {
        let beacon = Bytes32([7; 32]);
        let mut count = [0; 4];
        for n in 0..4_000 {
            count[case(&beacon, &agent(n), 4) as usize] += 1;
        }
        assert!(count.iter().all(|n| (850..1_150).contains(n)), "{count:?}");
        assert_eq!((case(&beacon, &agent(1), 0), case(&beacon, &agent(1), 1)), (0, 0));
    }

    #[test]
    fn auditors_look_at_different_stretches_of_a_long_answer() {
        let beacon = Bytes32([7; 32]);
        let of = |n: u32, tokens: u32| stretch(&beacon, &agent(n), tokens);
        assert_eq!([of(1, 1), of(1, 256), of(1, 0)], [0..1, 0..8, 0..0], "the whole");
        let begins: HashSet<usize> =
            (0..2_000).map(|n| of(n, 768)).filter(|s| s.len() == 8 && s.end <= 24).map(|s| s.start).collect();
        assert_eq!(begins.len(), 17, "each of them");
        let last = (0..2_000).filter(|n| of(*n, 768).contains(&23)).count();
        assert!((450..590).contains(&last), "eight in 31 see the end: {last}");
        assert_eq!(of(1, u32::MAX).len(), 8);
    }

    #[test]
    fn auditors_for_a_network() {
        assert_eq!((auditors_ppm(2, 10), auditors_ppm(2, 1), auditors_ppm(2, 0)), (200_000, PPM_MAX, PPM_MAX));
        assert_eq!(auditors_ppm(u32::MAX, u32::MAX), PPM_MAX);
        assert_eq!(auditors_ppm(2, 3), 666_667);
    }
}
