//! Who may see the fingerprint of an answer: whoever the requester lets, until the window closes.
//!
//! The session key that asked signs for it, so no other key of the requester is shown to anybody. A grant for an auditor names its agent:
//! a link on which another agent is known does not get past with it.

use super::draw;
use crate::canonical::Encoder;
use crate::{receipt, signature};
use ainonymous_types::limits::AUDIT_WINDOW_US;
use ainonymous_types::{AgentPubKey, Bytes32, OpenGrant, OpenRefusal, SignedReceipt, TimestampUs};

/// The bytes that the session key signs. The secret is not among them: the receipt binds to it.
pub fn canonical(signed: &SignedReceipt, auditor: Option<&AgentPubKey>, until: TimestampUs) -> Vec<u8> {
    Encoder::bytes("ainonymous/open-grant/v1")
        .bytes32(&receipt::leaf(signed))
        .option(auditor, |e, agent| e.holo(agent))
        .i64(until)
        .finish()
}

/// Whether a provider must open what the receipt names: `own` is the provider's agent, `known` whoever has shown itself on the link,
/// `now` the provider's clock. A receipt is checked before a grant, so that nobody learns anything by a bad one.
pub fn judge(
    signed: &SignedReceipt,
    grant: &OpenGrant,
    own: &AgentPubKey,
    known: Option<&AgentPubKey>,
    now: TimestampUs,
) -> Result<(), OpenRefusal> {
    let OpenGrant { secret, auditor, until, signature: by_session } = grant;
    let said = &signed.receipt;
    if said.provider != *own || !receipt::is_signed(signed) {
        return Err(OpenRefusal::UnknownReceipt);
    }
    let granted = draw::challenge(secret) == said.audit.challenge
        && (auditor.is_none() || auditor.as_ref() == known)
        && now < *until
        && signature::is_good(&said.session_key, &canonical(signed, auditor.as_ref(), *until), by_session);
    if !granted {
        return Err(OpenRefusal::NotGranted);
    }
    if said.fingerprint == Bytes32([0; 32]) {
        return Err(OpenRefusal::NotRecorded);
    }
    if !is_open(said.finished_at, now) {
        return Err(OpenRefusal::WindowClosed);
    }
    Ok(())
}

/// Whether what belongs to an answer that ended then must still be kept.
pub fn is_open(finished_at: TimestampUs, now: TimestampUs) -> bool {
    now < finished_at.saturating_add(AUDIT_WINDOW_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{AuditTerms, Bytes64, EntryHash, FinishReason, Receipt};
    use ed25519_dalek::{Signer, SigningKey};

    const SECRET: Bytes32 = Bytes32([5; 32]);
    const NOW: TimestampUs = 1_000_000;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36([&key(n).verifying_key().to_bytes()[..], &[0; 4]].concat())
    }

    fn sign(receipt: Receipt) -> SignedReceipt {
        let signature = Bytes64(key(1).sign(&receipt::canonical(&receipt)).to_bytes());
        SignedReceipt { receipt, signature }
    }

    fn honest() -> Receipt {
        Receipt {
            provider: agent(1),
            spec: EntryHash::from_raw_36(vec![7; 36]),
            session_key: Bytes32(key(2).verifying_key().to_bytes()),
            input: Bytes32([3; 32]),
            output: Bytes32([4; 32]),
            fingerprint: Bytes32([6; 32]),
            prompt_tokens: 5,
            completion_tokens: 6,
            finish: FinishReason::Stop,
            finished_at: 1,
            audit: AuditTerms { challenge: draw::challenge(&SECRET), rate_ppm: 0, auditors_ppm: 0 },
        }
    }

    fn grant(signed: &SignedReceipt, auditor: Option<AgentPubKey>, until: TimestampUs) -> OpenGrant {
        let signature = Bytes64(key(2).sign(&canonical(signed, auditor.as_ref(), until)).to_bytes());
        OpenGrant { secret: SECRET, auditor, until, signature }
    }

    #[test]
    fn whoever_was_let_sees_it_and_nobody_else() {
        let signed = sign(honest());
        let (own, auditor) = (grant(&signed, None, NOW + 1), grant(&signed, Some(agent(8)), NOW + 1));
        let see = |grant: &OpenGrant, known: Option<&AgentPubKey>| judge(&signed, grant, &agent(1), known, NOW);
        assert_eq!(see(&own, None), Ok(()));
        assert_eq!(see(&own, Some(&agent(9))), Ok(()), "the requester may be known");
        assert_eq!(see(&auditor, Some(&agent(8))), Ok(()));
        assert_eq!(see(&auditor, Some(&agent(9))), Err(OpenRefusal::NotGranted), "it is for another agent");
        assert_eq!(see(&auditor, None), Err(OpenRefusal::NotGranted), "nobody knows who asks");
        let widened = OpenGrant { auditor: None, ..auditor.clone() };
        assert_eq!(see(&widened, None), Err(OpenRefusal::NotGranted), "it was signed for an auditor");
        let longer = OpenGrant { until: NOW + 2, ..own.clone() };
        assert_eq!(see(&longer, None), Err(OpenRefusal::NotGranted), "it was signed for a shorter time");
        let guess = OpenGrant { secret: Bytes32([9; 32]), ..own.clone() };
        assert_eq!(see(&guess, None), Err(OpenRefusal::NotGranted), "another secret");
        assert_eq!(judge(&signed, &own, &agent(1), None, NOW + 1), Err(OpenRefusal::NotGranted), "it has ended");
        let other = sign(Receipt { completion_tokens: 7, ..honest() });
        assert_eq!(judge(&other, &own, &agent(1), None, NOW), Err(OpenRefusal::NotGranted), "another receipt");
    }

    #[test]
    fn receipts_of_others_are_unknown_and_old_ones_are_closed() {
        let signed = sign(honest());
        let own = grant(&signed, None, i64::MAX);
        assert_eq!(judge(&signed, &own, &agent(2), None, NOW), Err(OpenRefusal::UnknownReceipt));
        let forged = SignedReceipt { signature: Bytes64([0; 64]), ..signed.clone() };
        assert_eq!(judge(&forged, &own, &agent(1), None, NOW), Err(OpenRefusal::UnknownReceipt));
        let last = 1 + AUDIT_WINDOW_US - 1;
        assert_eq!(judge(&signed, &own, &agent(1), None, last), Ok(()));
        assert_eq!(judge(&signed, &own, &agent(1), None, last + 1), Err(OpenRefusal::WindowClosed));
        let bare = sign(Receipt { fingerprint: Bytes32([0; 32]), ..honest() });
        assert_eq!(judge(&bare, &grant(&bare, None, i64::MAX), &agent(1), None, NOW), Err(OpenRefusal::NotRecorded));
    }
}
