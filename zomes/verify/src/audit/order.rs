//! Whether an answer that an auditor is shown is one that it shall audit: as far as that follows from the order itself.
//!
//! Nothing here reads the network: that the batch stands there, and who else is at it, is for whoever can look. Validation judges the
//! commitment that follows by the same rules.

use super::{draw, grant};
use crate::rules::{self, bounds::at_most};
use crate::{chat, commit, signal, Breach};
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, AuditCommit, AuditMode, AuditOrder, AuditRefusal, AuditTerms, Bytes32, ChunkMore,
    OpenRefusal, TimestampUs,
};

/// Whether an order is within its bounds; how long it may be as a whole is asked before it is decoded.
pub fn bounds(order: &AuditOrder) -> Result<(), Breach> {
    let AuditOrder { receipt, proof, input, salt: _, tokens, text: _, more, grant: _ } = order;
    signal::receipt(receipt)?;
    signal::batch_proof(proof)?;
    chat::bounds(input)?;
    at_most("tokens", tokens.len(), limits::ORDER_TOKENS_MAX)?;
    let Some(ChunkMore { reasoning: _, tool_calls, logprobs }) = more.as_deref() else { return Ok(()) };
    at_most("tool_calls", tool_calls.len(), limits::CHUNK_TOOL_CALLS_MAX)?;
    at_most("logprobs", logprobs.len(), 0)
}

/// Whether this auditor shall audit the answer at all: drawn, let in, and shown what the provider has signed.
pub fn judge(order: &AuditOrder, auditor: &AgentPubKey, now: TimestampUs) -> Result<(), AuditRefusal> {
    let AuditOrder { receipt, proof: _, input, salt, tokens, text, more, grant: by_session } = order;
    let said = &receipt.receipt;
    if by_session.auditor.as_ref() != Some(auditor) {
        return Err(AuditRefusal::NotGranted);
    }
    grant::judge(receipt, by_session, &said.provider, Some(auditor), now).map_err(|refusal| match refusal {
        OpenRefusal::NotRecorded => AuditRefusal::NotReplayable,
        OpenRefusal::NotGranted | OpenRefusal::WindowClosed => AuditRefusal::NotGranted,
        OpenRefusal::UnknownReceipt | OpenRefusal::NotKept | OpenRefusal::Busy | OpenRefusal::NotCommitted => {
            AuditRefusal::DoesNotFit
        }
    })?;
    // Any replay but none: what it gives is not known yet.
    let promised = commitment(order, &ActionHash::from_raw_36(vec![0; 36]), None, Bytes32([1; 32]));
    rules::audit_commit(&promised, auditor).map_err(|breach| match breach {
        Breach::NotDrawn { .. } | Breach::AuditsItself => AuditRefusal::NotDrawn,
        _ => AuditRefusal::DoesNotFit,
    })?;
    let mut output = commit::Output::new(salt);
    output.push(tokens, text, more.as_deref());
    let fits = tokens.len() as u64 == u64::from(said.completion_tokens)
        && commit::input(salt, input) == said.input
        && output.finish() == said.output;
    fits.then_some(()).ok_or(AuditRefusal::DoesNotFit)
}

/// What an auditor promises of an order.
pub fn commitment(
    order: &AuditOrder,
    capability: &ActionHash,
    previous: Option<ActionHash>,
    replay: Bytes32,
) -> AuditCommit {
    AuditCommit {
        capability: capability.clone(),
        receipt: order.receipt.clone(),
        proof: order.proof.clone(),
        secret: order.grant.secret,
        mode: AuditMode::Drawn,
        previous,
        replay,
    }
}

/// Whom of these an answer is shown to first: those who are drawn and are not its provider, by their tickets.
pub fn drawn(
    auditors: impl IntoIterator<Item = AgentPubKey>,
    provider: &AgentPubKey,
    beacon: &Bytes32,
    terms: &AuditTerms,
) -> Vec<AgentPubKey> {
    let mut drawn: Vec<(Bytes32, AgentPubKey)> = auditors
        .into_iter()
        .filter(|agent| agent != provider && draw::is_auditor(beacon, terms, agent))
        .map(|agent| (draw::ticket(beacon, &agent), agent))
        .collect();
    drawn.sort_by(|(a, x), (b, y)| (a.0, x).cmp(&(b.0, y)));
    drawn.dedup();
    drawn.into_iter().map(|(_, agent)| agent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt;
    use ainonymous_types::{
        BatchProof, Bytes64, ChatInput, ChatMessage, ChatRole, EntryHash, FinishReason, OpenGrant, Receipt, Sampling,
        SignedReceipt,
    };
    use ed25519_dalek::{Signer, SigningKey};

    const SECRET: Bytes32 = Bytes32([5; 32]);
    const SALT: Bytes32 = Bytes32([7; 32]);
    const NOW: TimestampUs = 1_000_000;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36([&key(n).verifying_key().to_bytes()[..], &[0; 4]].concat())
    }

    fn question(text: &str) -> ChatInput {
        let messages = vec![ChatMessage::new(ChatRole::User, text)];
        ChatInput { messages, sampling: Sampling::default(), max_tokens: 9, stop: vec![], more: None }
    }

    fn receipt_of(rate_ppm: u32, auditors_ppm: u32) -> Receipt {
        Receipt {
            provider: agent(1),
            spec: EntryHash::from_raw_36(vec![7; 36]),
            session_key: Bytes32(key(2).verifying_key().to_bytes()),
            input: commit::input(&SALT, &question("Why?")),
            output: commit::output(&SALT, &[4, 5], "So."),
            fingerprint: Bytes32([6; 32]),
            prompt_tokens: 5,
            completion_tokens: 2,
            finish: FinishReason::Stop,
            finished_at: 1,
            audit: AuditTerms { challenge: draw::challenge(&SECRET), rate_ppm, auditors_ppm },
        }
    }

    fn order_of(receipt: Receipt, auditor: Option<AgentPubKey>) -> AuditOrder {
        let signature = Bytes64(key(1).sign(&receipt::canonical(&receipt)).to_bytes());
        let receipt = SignedReceipt { receipt, signature };
        let until = NOW + 1;
        let signature = Bytes64(key(2).sign(&grant::canonical(&receipt, auditor.as_ref(), until)).to_bytes());
        let grant = OpenGrant { secret: SECRET, auditor, until, signature };
        let proof = BatchProof { batch: ActionHash::from_raw_36(vec![8; 36]), index: 0, path: vec![] };
        let (input, tokens, text) = (question("Why?"), vec![4, 5], "So.".to_owned());
        AuditOrder { receipt, proof, input, salt: SALT, tokens, text, more: None, grant }
    }

    fn order() -> AuditOrder {
        order_of(receipt_of(limits::PPM_MAX, limits::PPM_MAX), Some(agent(8)))
    }

    fn judged(spoil: impl FnOnce(&mut AuditOrder)) -> Result<(), AuditRefusal> {
        let mut order = order();
        spoil(&mut order);
        judge(&order, &agent(8), NOW)
    }

    #[test]
    fn an_order_is_for_whom_the_dice_and_the_requester_name() {
        assert_eq!(judged(|_| {}), Ok(()));
        assert_eq!(judge(&order(), &agent(9), NOW), Err(AuditRefusal::NotGranted), "another auditor's");
        let open = order_of(receipt_of(limits::PPM_MAX, limits::PPM_MAX), None);
        assert_eq!(judge(&open, &agent(8), NOW), Err(AuditRefusal::NotGranted), "nobody is named");
        assert_eq!(judge(&order(), &agent(8), NOW + 1), Err(AuditRefusal::NotGranted), "too late");
        for terms in [(0, limits::PPM_MAX), (limits::PPM_MAX, 0)] {
            let order = order_of(receipt_of(terms.0, terms.1), Some(agent(8)));
            assert_eq!(judge(&order, &agent(8), NOW), Err(AuditRefusal::NotDrawn));
        }
        let own = order_of(receipt_of(limits::PPM_MAX, limits::PPM_MAX), Some(agent(1)));
        assert_eq!(judge(&own, &agent(1), NOW), Err(AuditRefusal::NotDrawn), "nobody audits itself");
    }

    #[test]
    fn what_was_not_signed_is_not_audited() {
        use AuditRefusal::{DoesNotFit, NotGranted, NotReplayable};
        assert_eq!(judged(|o| o.grant.secret = Bytes32([9; 32])), Err(NotGranted), "another secret");
        assert_eq!(judged(|o| o.receipt.receipt.completion_tokens = 3), Err(DoesNotFit), "another receipt");
        assert_eq!(judged(|o| o.input = question("Who?")), Err(DoesNotFit), "another question");
        assert_eq!(judged(|o| o.text = "No.".into()), Err(DoesNotFit), "foreign text");
        assert_eq!(judged(|o| o.tokens = vec![4, 6]), Err(DoesNotFit), "foreign tokens");
        assert_eq!(judged(|o| o.salt = Bytes32([8; 32])), Err(DoesNotFit));
        let thought = ChunkMore { reasoning: "Hm.".into(), tool_calls: vec![], logprobs: vec![] };
        assert_eq!(judged(|o| o.more = Some(Box::new(thought))), Err(DoesNotFit), "thoughts that it never had");
        let longer = Receipt { completion_tokens: 3, ..receipt_of(limits::PPM_MAX, limits::PPM_MAX) };
        assert_eq!(judge(&order_of(longer, Some(agent(8))), &agent(8), NOW), Err(DoesNotFit), "tokens are missing");
        let bare = Receipt { fingerprint: Bytes32([0; 32]), ..receipt_of(limits::PPM_MAX, limits::PPM_MAX) };
        assert_eq!(judge(&order_of(bare, Some(agent(8))), &agent(8), NOW), Err(NotReplayable));
    }

    #[test]
    fn orders_are_bounded() {
        let bounded = |spoil: &dyn Fn(&mut AuditOrder)| {
            let mut order = order();
            spoil(&mut order);
            bounds(&order).is_ok()
        };
        assert!(bounded(&|o| o.tokens = vec![0; limits::ORDER_TOKENS_MAX]));
        assert!(!bounded(&|o| o.tokens = vec![0; limits::ORDER_TOKENS_MAX + 1]));
        assert!(!bounded(&|o| o.proof.path = vec![SALT; limits::MERKLE_PATH_MAX + 1]));
        assert!(!bounded(&|o| o.receipt.receipt.audit.rate_ppm = limits::PPM_MAX + 1));
        assert!(!bounded(&|o| o.input.messages.clear()));
    }

    #[test]
    fn whoever_has_the_lowest_ticket_is_asked_first_and_the_provider_never() {
        let terms = |auditors_ppm| AuditTerms { challenge: SALT, rate_ppm: 0, auditors_ppm };
        let (beacon, all) = (Bytes32([3; 32]), (1..=9).chain([4]).map(agent));
        let found = drawn(all.clone(), &agent(1), &beacon, &terms(limits::PPM_MAX));
        assert_eq!(found.len(), 8, "each once, and not the provider");
        assert!(!found.contains(&agent(1)));
        let tickets: Vec<_> = found.iter().map(|agent| draw::ticket(&beacon, agent).0).collect();
        assert!(tickets.is_sorted());
        let half = drawn(all.clone(), &agent(1), &beacon, &terms(limits::PPM_MAX / 2));
        assert!(half.len() < 8 && found.starts_with(&half), "the first of them, if fewer are drawn");
        assert!(drawn(all, &agent(1), &beacon, &terms(0)).is_empty());
    }
}
