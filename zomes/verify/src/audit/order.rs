//! Whether an answer that an auditor is shown is one that it shall audit: as far as that follows from what it is shown.
//!
//! Nothing here reads the network: that the batch stands there, and who else is at it, is for whoever can look. Validation judges the
//! commitment that follows by the same rules.

use super::{draw, grant};
use crate::rules;
use crate::rules::bounds::{at_most, bytes_at_most};
use crate::{chat, commit, signal, Breach};
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, AuditCommit, AuditMode, AuditOrder, AuditRefusal, AuditShown, AuditTerms, Bytes32,
    ChunkMore, TimestampUs,
};
use std::collections::HashSet;

/// A promise is waited for so long: an honest auditor asks a provider that is busy for two minutes, and needs a moment to publish.
pub const REPORT_WITHIN_US: i64 = 180 * 1_000_000;

/// Whether an order is within its bounds.
pub fn bounds(order: &AuditOrder) -> Result<(), Breach> {
    let AuditOrder { receipt, proof, secret: _ } = order;
    signal::receipt(receipt)?;
    signal::batch_proof(proof)
}

/// Whether the encoded form of what is shown is within its bound. To be asked before decoding.
pub fn shown_bytes(len: usize) -> Result<(), Breach> {
    bytes_at_most("shown", len, limits::SHOWN_BYTES_MAX)
}

/// Whether what is shown is within its bounds; how long it may be as a whole is asked before ([`shown_bytes`]).
pub fn shown_bounds(shown: &AuditShown) -> Result<(), Breach> {
    let AuditShown { input, salt: _, tokens, text: _, more, grant: _ } = shown;
    chat::bounds(input)?;
    at_most("tokens", tokens.len(), limits::SHOWN_TOKENS_MAX as usize)?;
    let Some(ChunkMore { reasoning: _, tool_calls, logprobs }) = more.as_deref() else { return Ok(()) };
    at_most("tool_calls", tool_calls.len(), limits::CHUNK_TOOL_CALLS_MAX)?;
    at_most("logprobs", logprobs.len(), 0)
}

/// Whether this auditor shall audit the answer at all: drawn for what the provider has signed, while it must still be opened.
pub fn judge(order: &AuditOrder, auditor: &AgentPubKey, now: TimestampUs) -> Result<(), AuditRefusal> {
    let said = &order.receipt.receipt;
    if said.completion_tokens > limits::SHOWN_TOKENS_MAX {
        return Err(AuditRefusal::NotReplayable);
    }
    if !grant::is_open(said.finished_at, now) {
        return Err(AuditRefusal::NotGranted);
    }
    // Any replay but none: what it gives is not known yet.
    let promised = commitment(order, &ActionHash::from_raw_36(vec![0; 36]), None, Bytes32([1; 32]));
    rules::audit_commit(&promised, auditor).map_err(|breach| match breach {
        Breach::NotDrawn { .. } | Breach::AuditsItself => AuditRefusal::NotDrawn,
        _ => AuditRefusal::DoesNotFit,
    })
}

/// Whether what is shown is what the provider has signed, and lets this auditor see the fingerprint.
pub fn fits(
    order: &AuditOrder,
    shown: &AuditShown,
    auditor: &AgentPubKey,
    now: TimestampUs,
) -> Result<(), AuditRefusal> {
    let AuditOrder { receipt, proof: _, secret } = order;
    let AuditShown { input, salt, tokens, text, more, grant: by_session } = shown;
    let said = &receipt.receipt;
    let granted = by_session.secret == *secret
        && by_session.auditor.as_ref() == Some(auditor)
        && grant::judge(receipt, by_session, &said.provider, Some(auditor), now).is_ok();
    if !granted {
        return Err(AuditRefusal::NotGranted);
    }
    let mut output = commit::Output::new(salt);
    output.push(tokens, text, more.as_deref());
    let fits = tokens.len() as u64 == u64::from(said.completion_tokens)
        && commit::input(salt, input) == said.input
        && output.finish() == said.output;
    fits.then_some(()).ok_or(AuditRefusal::DoesNotFit)
}

/// How another's promise to compute an answer again stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Promised a moment ago: the report may follow.
    Fresh,
    /// Promised long ago, and nothing was reported.
    Broken,
    /// Reported, and nothing follows from it.
    Undecided,
    /// Reported a pass or a fail.
    Decided,
}

impl Kept {
    /// How a promise stands that is known since then, and that nobody has reported on.
    pub fn since(known_since: TimestampUs, now: TimestampUs) -> Self {
        match now.saturating_sub(known_since) < REPORT_WITHIN_US {
            true => Self::Fresh,
            false => Self::Broken,
        }
    }
}

/// Another's promise to compute an answer again.
#[derive(Clone, Copy, Debug)]
pub struct Promise<'a> {
    /// Who promises.
    pub author: &'a AgentPubKey,
    /// What for.
    pub mode: &'a AuditMode,
    /// How it stands.
    pub kept: Kept,
}

/// Whether a further look at an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// It is.
    No,
    /// Not while others may still report: a little later it may be.
    ForNow,
    /// It is not.
    Yes,
}

/// Whether others have looked at an answer often enough: `me` has promised to, or as many other auditors as may be shown it. Else one unlucky
/// answer, shown to everybody, would be evidence as often as there are auditors.
///
/// So what counts is evidence: reports from which something follows. A promise alone costs its author nothing; as long as it is fresh it is
/// waited for, and no longer, and not at all where as many have already promised and kept silent: they would be followed by others for ever.
pub fn enough<'a>(promises: impl IntoIterator<Item = Promise<'a>>, me: &AgentPubKey) -> Enough {
    let (mut decided, mut fresh, mut broken) = (HashSet::new(), HashSet::new(), HashSet::new());
    for Promise { author, mode, kept } in promises {
        if author == me {
            return Enough::Yes;
        }
        if *mode != AuditMode::Drawn {
            continue;
        }
        match kept {
            Kept::Decided => decided.insert(author),
            Kept::Fresh => fresh.insert(author),
            Kept::Broken => broken.insert(author),
            Kept::Undecided => continue,
        };
    }
    // Whoever has broken one promise is not waited for because of another.
    let awaited = fresh.iter().filter(|author| !decided.contains(*author) && !broken.contains(*author)).count();
    if decided.len() >= limits::SHOWN_AUDITORS_MAX {
        Enough::Yes
    } else if broken.len() < limits::SHOWN_AUDITORS_MAX && decided.len() + awaited >= limits::SHOWN_AUDITORS_MAX {
        Enough::ForNow
    } else {
        Enough::No
    }
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
        secret: order.secret,
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

    fn order_of(receipt: Receipt) -> AuditOrder {
        let signature = Bytes64(key(1).sign(&receipt::canonical(&receipt)).to_bytes());
        let proof = BatchProof { batch: ActionHash::from_raw_36(vec![8; 36]), index: 0, path: vec![] };
        AuditOrder { receipt: SignedReceipt { receipt, signature }, proof, secret: SECRET }
    }

    fn shown_with(order: &AuditOrder, auditor: Option<AgentPubKey>) -> AuditShown {
        let until = NOW + 1;
        let signature = Bytes64(key(2).sign(&grant::canonical(&order.receipt, auditor.as_ref(), until)).to_bytes());
        let grant = OpenGrant { secret: SECRET, auditor, until, signature };
        let (input, tokens, text) = (question("Why?"), vec![4, 5], "So.".to_owned());
        AuditShown { input, salt: SALT, tokens, text, more: None, grant }
    }

    fn all() -> Receipt {
        receipt_of(limits::PPM_MAX, limits::PPM_MAX)
    }

    #[test]
    fn an_order_is_for_whom_the_dice_have_drawn() {
        use AuditRefusal::{DoesNotFit, NotDrawn, NotGranted, NotReplayable};
        let judged = |order: &AuditOrder| judge(order, &agent(8), NOW);
        assert_eq!(judged(&order_of(all())), Ok(()));
        for terms in [(0, limits::PPM_MAX), (limits::PPM_MAX, 0)] {
            assert_eq!(judged(&order_of(receipt_of(terms.0, terms.1))), Err(NotDrawn));
        }
        assert_eq!(judge(&order_of(all()), &agent(1), NOW), Err(NotDrawn), "nobody audits itself");
        let guessed = AuditOrder { secret: Bytes32([9; 32]), ..order_of(all()) };
        assert_eq!(judged(&guessed), Err(DoesNotFit), "a secret that was chosen afterwards");
        let mut forged = order_of(all());
        forged.receipt.receipt.completion_tokens = 3;
        assert_eq!(judged(&forged), Err(DoesNotFit), "not signed like that");
        let (bare, long) = (
            Receipt { fingerprint: Bytes32([0; 32]), ..all() },
            Receipt { completion_tokens: limits::SHOWN_TOKENS_MAX + 1, ..all() },
        );
        assert_eq!(judged(&order_of(bare)), Ok(()), "who signs that it has kept nothing is judged by its tokens");
        assert_eq!(judged(&order_of(long)), Err(NotReplayable));
        let late = 1 + limits::AUDIT_WINDOW_US;
        assert_eq!(judge(&order_of(all()), &agent(8), late), Err(NotGranted), "nobody must open it any more");
        assert_eq!(judge(&order_of(all()), &agent(8), late - 1), Ok(()));
    }

    #[test]
    fn what_was_not_signed_or_not_granted_is_not_audited() {
        use AuditRefusal::{DoesNotFit, NotGranted};
        let order = order_of(all());
        let fitting = |auditor: Option<AgentPubKey>, spoil: &dyn Fn(&mut AuditShown)| {
            let mut shown = shown_with(&order, auditor);
            spoil(&mut shown);
            fits(&order, &shown, &agent(8), NOW)
        };
        let spoilt = |spoil: &dyn Fn(&mut AuditShown)| fitting(Some(agent(8)), spoil);
        assert_eq!(spoilt(&|_| {}), Ok(()));
        assert_eq!(fitting(Some(agent(9)), &|_| {}), Err(NotGranted), "another auditor's");
        assert_eq!(fitting(None, &|_| {}), Err(NotGranted), "nobody is named");
        assert_eq!(spoilt(&|s| s.grant.auditor = None), Err(NotGranted));
        assert_eq!(spoilt(&|s| s.grant.secret = Bytes32([9; 32])), Err(NotGranted), "another secret");
        let shown = shown_with(&order, Some(agent(8)));
        assert_eq!(fits(&order, &shown, &agent(8), NOW + 1), Err(NotGranted), "too late");
        assert_eq!(fits(&order, &shown, &agent(9), NOW), Err(NotGranted));
        assert_eq!(spoilt(&|s| s.input = question("Who?")), Err(DoesNotFit), "another question");
        assert_eq!(spoilt(&|s| s.text = "No.".into()), Err(DoesNotFit), "foreign text");
        assert_eq!(spoilt(&|s| s.tokens = vec![4, 6]), Err(DoesNotFit), "foreign tokens");
        assert_eq!(spoilt(&|s| s.salt = Bytes32([8; 32])), Err(DoesNotFit));
        let thought = || ChunkMore { reasoning: "Hm.".into(), tool_calls: vec![], logprobs: vec![] };
        assert_eq!(spoilt(&|s| s.more = Some(Box::new(thought()))), Err(DoesNotFit), "thoughts that it never had");
        let longer = order_of(Receipt { completion_tokens: 3, ..all() });
        let shown = shown_with(&longer, Some(agent(8)));
        assert_eq!(fits(&longer, &shown, &agent(8), NOW), Err(DoesNotFit), "tokens are missing");
    }

    #[test]
    fn orders_and_what_is_shown_are_bounded() {
        let mut order = order_of(all());
        assert!(bounds(&order).is_ok());
        order.proof.path = vec![SALT; limits::MERKLE_PATH_MAX + 1];
        assert!(bounds(&order).is_err());
        let order = order_of(receipt_of(limits::PPM_MAX + 1, 0));
        assert!(bounds(&order).is_err());
        let bounded = |spoil: &dyn Fn(&mut AuditShown)| {
            let mut shown = shown_with(&order, None);
            spoil(&mut shown);
            shown_bounds(&shown).is_ok()
        };
        assert!(bounded(&|s| s.tokens = vec![0; limits::SHOWN_TOKENS_MAX as usize]));
        assert!(!bounded(&|s| s.tokens = vec![0; limits::SHOWN_TOKENS_MAX as usize + 1]));
        assert!(!bounded(&|s| s.input.messages.clear()));
        assert!(shown_bytes(limits::SHOWN_BYTES_MAX).is_ok() && shown_bytes(limits::SHOWN_BYTES_MAX + 1).is_err());
    }

    fn judged(promises: &[(u8, AuditMode, Kept)]) -> Enough {
        let authors: Vec<AgentPubKey> = promises.iter().map(|(author, ..)| agent(*author)).collect();
        let promises = authors.iter().zip(promises);
        enough(promises.map(|(author, (_, mode, kept))| Promise { author, mode, kept: *kept }), &agent(1))
    }

    #[test]
    fn one_answer_is_evidence_twice_at_most_and_once_for_each_auditor() {
        let of = |commits: &[(u8, AuditMode)]| {
            let decided = |(author, mode): &(u8, AuditMode)| (*author, mode.clone(), Kept::Decided);
            judged(&commits.iter().map(decided).collect::<Vec<_>>()) == Enough::Yes
        };
        let jury = || AuditMode::Jury(ActionHash::from_raw_36(vec![3; 36]));
        assert!(!of(&[]) && !of(&[(2, AuditMode::Drawn)]));
        assert!(!of(&[(2, AuditMode::Drawn), (2, AuditMode::Drawn)]), "one auditor is one");
        assert!(!of(&[(2, AuditMode::Drawn), (3, jury()), (4, AuditMode::Canary)]));
        assert!(of(&[(2, AuditMode::Drawn), (3, AuditMode::Drawn)]));
        assert!(of(&[(1, AuditMode::Drawn)]) && of(&[(1, jury())]) && of(&[(1, AuditMode::Canary)]), "its own");
    }

    #[test]
    fn promises_alone_keep_nobody_from_looking() {
        use Kept::{Broken, Decided, Fresh, Undecided};
        let of = |promises: &[(u8, Kept)]| {
            let drawn = |(author, kept): &(u8, Kept)| (*author, AuditMode::Drawn, *kept);
            judged(&promises.iter().map(drawn).collect::<Vec<_>>())
        };
        assert_eq!(of(&[(2, Broken), (3, Broken), (4, Broken)]), Enough::No);
        assert_eq!(of(&[(2, Undecided), (3, Undecided)]), Enough::No, "no evidence, however many say nothing");
        assert_eq!(of(&[(2, Fresh)]), Enough::No);
        assert_eq!(of(&[(2, Fresh), (3, Fresh)]), Enough::ForNow, "they may report yet");
        assert_eq!(of(&[(2, Decided), (3, Fresh)]), Enough::ForNow);
        assert_eq!(of(&[(2, Decided), (2, Fresh)]), Enough::No, "one auditor is one");
        assert_eq!(
            of(&[(2, Broken), (2, Fresh), (3, Fresh)]),
            Enough::No,
            "who has not kept one promise is not waited for"
        );
        let relay = [(2, Broken), (3, Broken), (4, Fresh), (5, Fresh)];
        assert_eq!(of(&relay), Enough::No, "one after the other for ever");
        assert_eq!(of(&[(2, Broken), (3, Broken), (4, Decided), (5, Decided)]), Enough::Yes);
        assert_eq!(of(&[(1, Broken)]), Enough::Yes, "its own");
    }

    #[test]
    fn a_promise_is_fresh_for_a_few_minutes() {
        assert_eq!(Kept::since(NOW, NOW), Kept::Fresh);
        assert_eq!(Kept::since(NOW, NOW + REPORT_WITHIN_US - 1), Kept::Fresh);
        assert_eq!(Kept::since(NOW, NOW + REPORT_WITHIN_US), Kept::Broken);
        assert_eq!(Kept::since(TimestampUs::MIN, TimestampUs::MAX), Kept::Broken);
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
