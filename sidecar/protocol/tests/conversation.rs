//! Both machines against each other over a network that loses, repeats and reorders: the text arrives whole, or the
//! question fails by name within its bounds. Time and dice come from the test, so every history can be replayed.

#![allow(clippy::unwrap_used)] // A test may fail by panicking.

use ainonymous_protocol::timing::{DIRECT, SIGNALS, STALL_US};
use ainonymous_protocol::{
    sign_ask, sign_grant, verify_ask, AnswerEnd, Answering, Asked, AskedOf, Effect, Failure, Question, SignatureError,
};
use ainonymous_types::{
    limits, AgentPubKey, AuditTerms, Bytes32, Bytes64, ChatInput, ChatMessage, ChatRole, ChunkMore, EntryHash,
    FinishReason, PeerSignal, Receipt, RefuseReason, RequestId, Sampling, SignedReceipt, TokenChunk, TokenLogprob,
    TokenLogprobs, ToolCallBegin, ToolCallPiece,
};
use ainonymous_verify::commit;
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;

const ID: RequestId = RequestId([7; 16]);
const SALT: Bytes32 = Bytes32([9; 32]);
const STEP_US: u64 = 10_000;

fn provider_key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn provider() -> AgentPubKey {
    // The last four bytes say where on the DHT the agent lives; no signature depends on them.
    let mut raw = provider_key().verifying_key().to_bytes().to_vec();
    raw.extend([0; 4]);
    AgentPubKey::from_raw_36(raw)
}

fn spec() -> EntryHash {
    EntryHash::from_raw_36(vec![5; 36])
}

fn input() -> ChatInput {
    ChatInput {
        messages: vec![ChatMessage::new(ChatRole::User, "What is the capital of France?")],
        sampling: Sampling::default(),
        max_tokens: 0,
        stop: vec![],
        more: None,
    }
}

fn audit() -> AuditTerms {
    AuditTerms { challenge: Bytes32([6; 32]), rate_ppm: 20_000, auditors_ppm: 200_000 }
}

fn asked_of() -> AskedOf {
    let Asked { id, spec, session_key, salt, commitment, audit, .. } = asked();
    AskedOf { id, spec, session_key, salt, commitment, audit }
}

fn asked() -> Asked {
    let commitment = commit::input(&SALT, &input());
    let (session_key, signature) = sign_ask(&[1; 32], &ID, &spec(), &commitment, &audit());
    assert_eq!(verify_ask(&ID, &spec(), &commitment, &session_key, &audit(), &signature), Ok(()));
    Asked {
        id: ID,
        provider: provider(),
        spec: spec(),
        session_key,
        salt: SALT,
        commitment,
        audit: audit(),
        max_tokens: 0,
        begun_tokens: 0,
    }
}

fn ended() -> AnswerEnd {
    AnswerEnd {
        finish: FinishReason::Stop,
        prompt_tokens: 4,
        cached_tokens: 3,
        stopped_by: None,
        finished_at: 1,
        fingerprint: Bytes32([8; 32]),
        decode_us: 7_000,
    }
}

fn sign(receipt: Receipt) -> SignedReceipt {
    let signature = provider_key().sign(&ainonymous_verify::receipt::canonical(&receipt));
    SignedReceipt { receipt, signature: Bytes64(signature.to_bytes()) }
}

/// One run: tokens come every step; `fate` decides for each message: deliver now, later, twice, or never.
struct Run {
    text: String,
    end: Option<Effect>,
    signals: usize,
}

fn run(tokens: &[&str], fates: &[u8], tamper: impl Fn(&mut Receipt)) -> Run {
    let asked = asked();
    let mut question = Question::new(asked.clone(), SIGNALS, 0);
    let mut answering = Answering::new(asked_of(), SIGNALS, 0);
    let mut to_requester: Vec<(u64, PeerSignal)> = vec![(STEP_US, answering.on_queued(0, 0))];
    let (mut text, mut end, mut signals, mut fate) = (String::new(), None, 0, fates.iter().cycle());
    let mut next = tokens.iter().enumerate();
    let mut finished = false;
    for step in 1..20_000u64 {
        let now = step * STEP_US;
        let mut out = Vec::new();
        if let Some((id, token)) = next.next() {
            out.extend(answering.on_token(id as u32, token, None, now));
        } else if !finished {
            finished = true;
            let how = ended();
            let (rest, mut receipt) = answering.finish(provider(), how, now);
            tamper(&mut receipt);
            out.extend(rest);
            out.push(answering.done(sign(receipt)));
        }
        if !finished && now >= answering.next_tick_us() {
            out.extend(answering.on_tick(now));
        }
        let due: Vec<PeerSignal> = to_requester.iter().filter(|(at, _)| *at <= now).map(|(_, s)| s.clone()).collect();
        to_requester.retain(|(at, _)| *at > now);
        let mut effects: Vec<Effect> = due.into_iter().flat_map(|s| question.on_signal(&provider(), s, now)).collect();
        if now >= question.next_tick_us() {
            effects.extend(question.on_tick(now));
        }
        for effect in effects {
            match effect {
                Effect::Part(part) => text.push_str(&part.text),
                Effect::Resend(from_chunk) => {
                    out.extend(answering.resend(from_chunk));
                    out.extend(answering.signed_done());
                }
                Effect::Answered(_) | Effect::Failed(_) => end = Some(effect),
                Effect::Queued(_) | Effect::AskAgain => {}
            }
        }
        for signal in out {
            signals += 1;
            match fate.next().unwrap() {
                0..=5 => to_requester.push((now + STEP_US, signal)),
                6 => to_requester.push((now + 7 * STEP_US, signal)),
                7 => to_requester.extend([(now + STEP_US, signal.clone()), (now + 3 * STEP_US, signal)]),
                _ => {}
            }
        }
        if question.ended() {
            break;
        }
    }
    Run { text, end, signals }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn an_answer_arrives_whole_over_a_bad_network(
        count in 1usize..200,
        fates in proptest::collection::vec(0u8..9, 50..200),
    ) {
        let words: Vec<String> = (0..count).map(|i| format!("w{i}é ")).collect();
        let tokens: Vec<&str> = words.iter().map(String::as_str).collect();
        let run = run(&tokens, &fates, |_| ());
        match run.end {
            Some(Effect::Answered(_)) => prop_assert_eq!(run.text, words.concat()),
            // Losing message after message is a dead connection: named, never a hang, never a wrong text.
            Some(Effect::Failed(Failure::Gone(_) | Failure::Silent)) => prop_assert!(words.concat().starts_with(&run.text)),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn a_good_network_needs_few_messages_and_no_repeats() {
    let tokens = vec!["x "; 300];
    let run = run(&tokens, &[0], |_| ());
    assert!(matches!(run.end, Some(Effect::Answered(_))));
    // 300 tokens at 10 ms in chunks of 30 ms, and the end.
    assert!(run.signals <= 102, "{}", run.signals);
}

#[test]
fn a_receipt_about_anything_else_is_not_believed() {
    type Tamper = fn(&mut Receipt);
    let elsewise = "its receipt says something else of an audit than was asked";
    let tampers: [(&str, Tamper); 8] = [
        (elsewise, |r| r.audit.challenge.0[0] ^= 1),
        (elsewise, |r| r.audit.rate_ppm += 1),
        (elsewise, |r| r.audit.auditors_ppm = 0),
        ("its receipt is about another answer", |r| r.output = Bytes32([1; 32])),
        ("its receipt is about another question", |r| r.input = Bytes32([1; 32])),
        ("its receipt names another model spec", |r| r.spec = EntryHash::from_raw_36(vec![6; 36])),
        ("its receipt names another provider", |r| r.provider = AgentPubKey::from_raw_36(vec![6; 36])),
        ("its receipt counts other tokens than it sent", |r| r.completion_tokens += 1),
    ];
    for (problem, tamper) in tampers {
        let run = run(&["Paris", "."], &[0], tamper);
        assert_eq!(run.end, Some(Effect::Failed(Failure::Broken(problem))));
    }
}

#[test]
fn a_signature_by_somebody_else_is_not_believed() {
    let asked = asked();
    let mut question = Question::new(asked.clone(), SIGNALS, 0);
    let mut answering = Answering::new(asked_of(), SIGNALS, 0);
    let chunk = answering.on_token(1, "Paris", None, 1).pop().unwrap();
    let end = ended();
    let (_, receipt) = answering.finish(provider(), end, 2);
    let mut signed = sign(receipt);
    signed.signature.0[5] ^= 1;
    let _ = question.on_signal(&provider(), chunk, 1);
    let done = answering.done(signed);
    let effects = question.on_signal(&provider(), done, 2);
    assert_eq!(effects, vec![Effect::Failed(Failure::Broken("its receipt is not signed by it"))]);
}

#[test]
fn silence_before_and_after_the_first_token_has_different_names() {
    let mut question = Question::new(asked(), SIGNALS, 0);
    assert_eq!(question.on_tick(1_500_000), vec![Effect::AskAgain]);
    assert_eq!(question.on_tick(4_200_000), vec![Effect::Failed(Failure::Silent)]);
    assert!(question.on_tick(9_000_000).is_empty());

    let mut question = Question::new(asked(), SIGNALS, 0);
    let mut answering = Answering::new(asked_of(), SIGNALS, 0);
    let chunk = answering.on_token(1, "Paris", None, 1).pop().unwrap();
    let effects = question.on_signal(&provider(), chunk, 10);
    assert!(matches!(&effects[..], [Effect::Part(part)] if part.text == "Paris" && part.tokens == [1]), "{effects:?}");
    assert_eq!(question.on_tick(1_600_000), vec![Effect::Resend(1)]);
    assert_eq!(question.on_tick(4_300_000), vec![Effect::Failed(Failure::Gone(1))]);
}

#[test]
fn others_cannot_speak_for_the_provider() {
    let mut question = Question::new(asked(), SIGNALS, 0);
    let other = AgentPubKey::from_raw_36(vec![8; 36]);
    let refused = PeerSignal::Refused { id: ID, reason: RefuseReason::Busy, detail: String::new() };
    assert!(question.on_signal(&other, refused.clone(), 1).is_empty());
    assert!(!question.ended());
    let effects = question.on_signal(&provider(), refused, 2);
    assert_eq!(effects, vec![Effect::Failed(Failure::Refused(RefuseReason::Busy, String::new()))]);
}

#[test]
fn an_answer_longer_than_asked_for_is_broken_off() {
    let mut question = Question::new(Asked { max_tokens: 2, ..asked() }, SIGNALS, 0);
    let mut answering = Answering::new(asked_of(), SIGNALS, 0);
    let first = answering.on_token(1, "a", None, 1).pop().unwrap();
    let _ = question.on_signal(&provider(), first, 1);
    let _ = answering.on_token(2, "b", None, 2);
    let rest = answering.on_token(3, "c", None, 60_000).pop().unwrap();
    let effects = question.on_signal(&provider(), rest, 60_001);
    assert_eq!(effects, vec![Effect::Failed(Failure::Broken("its answer is longer than asked for"))]);
}

#[test]
fn what_was_begun_counts_towards_the_longest_answer() {
    let mut question = Question::new(Asked { max_tokens: 3, begun_tokens: 2, ..asked() }, SIGNALS, 0);
    let mut answering = Answering::new(asked_of(), SIGNALS, 0);
    let first = answering.on_token(1, "a", None, 1).pop().unwrap();
    assert!(matches!(question.on_signal(&provider(), first, 1)[..], [Effect::Part(_)]));
    let second = answering.on_token(2, "b", None, 60_000).pop().unwrap();
    let effects = question.on_signal(&provider(), second, 60_001);
    assert_eq!(effects, vec![Effect::Failed(Failure::Broken("its answer is longer than asked for"))]);
}

fn thought(text: &str) -> Option<ChunkMore> {
    Some(ChunkMore { reasoning: text.into(), ..ChunkMore::default() })
}

fn called(begins: bool, arguments: &str) -> Option<ChunkMore> {
    let begins = begins.then(|| ToolCallBegin { id: "call_1".into(), name: "weather".into() });
    let tool_calls = vec![ToolCallPiece { index: 0, begins, arguments: arguments.into() }];
    Some(ChunkMore { tool_calls, ..ChunkMore::default() })
}

/// Everything that the answering side sends for these tokens, all at one moment.
fn sent(tokens: Vec<(&str, Option<ChunkMore>)>) -> (Vec<TokenChunk>, Vec<PeerSignal>) {
    let mut answering = Answering::new(asked_of(), SIGNALS, 0);
    let mut signals = Vec::new();
    for (id, (text, more)) in (0..).zip(tokens) {
        signals.extend(answering.on_token(id, text, more, 1));
    }
    let (rest, receipt) = answering.finish(provider(), ended(), 2);
    signals.extend(rest);
    signals.push(answering.done(sign(receipt)));
    let chunks = signals.iter().filter_map(|signal| match signal {
        PeerSignal::Tokens(chunk) => Some(chunk.clone()),
        _ => None,
    });
    (chunks.collect(), signals)
}

#[test]
fn thoughts_words_and_calls_keep_their_order() {
    let tokens = vec![
        ("", thought("Hm")),
        ("", thought(", rain")),
        ("", thought("?")),
        ("Let", None),
        ("", None),
        (" me", None),
        ("", called(true, "{")),
        ("", called(false, "}")),
        ("Done", None),
    ];
    let (chunks, signals) = sent(tokens);
    let told: Vec<(&str, String, String, usize)> = chunks
        .iter()
        .map(|chunk| {
            let more = chunk.more.as_deref().cloned().unwrap_or_default();
            let arguments = more.tool_calls.iter().map(|piece| piece.arguments.as_str()).collect();
            (chunk.text.as_str(), more.reasoning, arguments, chunk.tokens.len())
        })
        .collect();
    let expected = [
        ("", "Hm".to_string(), String::new(), 1),
        ("", ", rain?".into(), String::new(), 2),
        ("Let me", String::new(), String::new(), 3),
        ("", String::new(), "{}".into(), 2),
        ("Done", String::new(), String::new(), 1),
    ];
    assert_eq!(told, expected);
    let mut question = Question::new(asked(), SIGNALS, 0);
    let effects: Vec<Effect> = signals.into_iter().flat_map(|s| question.on_signal(&provider(), s, 3)).collect();
    let Some(Effect::Answered(answered)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(answered.cached_tokens, 3);
}

#[test]
fn what_was_held_back_for_long_is_cut_into_parts_within_bounds() {
    let long = "é".repeat(limits::CHUNK_TEXT_BYTES_MAX);
    let mut more = called(true, &long).unwrap();
    more.reasoning = long.clone();
    let one = TokenLogprob { token: 0, text: vec![], logprob_micro: -1 };
    more.logprobs = vec![TokenLogprobs { chosen: one, top: vec![] }];
    let (chunks, signals) = sent(vec![(&long, Some(more))]);
    assert!(chunks.len() > 6);
    for signal in &signals {
        assert_eq!(ainonymous_verify::signal::bounds(signal), Ok(()));
    }
    assert_eq!(chunks.iter().map(|chunk| chunk.text.as_str()).collect::<String>(), long);
    let more = |chunk: &TokenChunk| chunk.more.as_deref().cloned().unwrap_or_default();
    assert_eq!(chunks.iter().map(|chunk| more(chunk).reasoning).collect::<String>(), long);
    assert_eq!(chunks.iter().map(|chunk| more(chunk).logprobs.len()).sum::<usize>(), 1);
    let mut question = Question::new(asked(), SIGNALS, 0);
    let effects: Vec<Effect> = signals.into_iter().flat_map(|s| question.on_signal(&provider(), s, 3)).collect();
    assert!(matches!(effects.last(), Some(Effect::Answered(_))), "the commitment is to the whole, however it is cut");
}

#[test]
fn a_large_question_has_time_to_arrive() {
    let mut question = Question::new(asked(), DIRECT.carrying(1 << 20), 0);
    assert!(question.on_tick(8_000_000).is_empty(), "a megabyte on a slow line");
    assert_eq!(question.on_tick(9_000_000), vec![Effect::Failed(Failure::Silent)]);
    let mut question = Question::new(asked(), DIRECT.carrying(1 << 20), 0);
    let _ = question.on_signal(&provider(), PeerSignal::Accepted { id: ID, queue_position: 0 }, 10);
    assert_eq!(question.on_tick(800_010), vec![Effect::Failed(Failure::Gone(0))], "silence afterwards is silence");
    assert_eq!(DIRECT.carrying(64 << 10), DIRECT, "what is usual waits for nothing");
}

#[test]
fn an_answer_is_not_kept_waiting_behind_its_acknowledgement() {
    let mut answering = Answering::new(asked_of(), SIGNALS, 0);
    assert_eq!(answering.on_tick(39_999), None);
    assert!(matches!(answering.on_token(1, "Paris", None, 39_999)[..], [PeerSignal::Tokens(_)]));
    let mut slow = Answering::new(asked_of(), SIGNALS, 0);
    assert_eq!(slow.next_tick_us(), 40_000);
    assert!(matches!(slow.on_tick(40_000), Some(PeerSignal::Accepted { queue_position: 0, .. })));
    assert_eq!(slow.next_tick_us(), 1_040_000);
}

#[test]
fn a_slow_engine_is_not_a_dead_one() {
    let mut question = Question::new(asked(), SIGNALS, 0);
    let mut answering = Answering::new(asked_of(), SIGNALS, 0);
    let mut now = 0;
    for _ in 0..61 {
        now = answering.next_tick_us();
        let beat = answering.on_tick(now).unwrap();
        let _ = question.on_signal(&provider(), beat, now);
        assert!(question.on_tick(now).is_empty());
    }
    assert!(now >= 60_000_000 && !question.ended());
}

#[test]
fn a_stream_speaks_oftener_and_is_given_up_sooner_than_signals() {
    let mut question = Question::new(asked(), DIRECT.over(100_000), 0);
    let mut answering = Answering::new(asked_of(), DIRECT, 0);
    let (mut heard, mut last) = (0, 0);
    for now in (0..10_000_000).step_by(10_000) {
        if let Some(signal) = answering.on_tick(now) {
            question.on_signal(&asked().provider, signal, now);
            (heard, last) = (heard + 1, now);
        }
        assert!(question.on_tick(now).is_empty(), "heartbeats keep it");
    }
    assert!((48..=51).contains(&heard), "{heard}");
    assert!(question.on_tick(last + 1_399_999).is_empty(), "six round trips are added");
    assert_eq!(question.on_tick(last + 1_400_000), vec![Effect::Failed(Failure::Gone(0))]);
    assert!(question.ended() && question.on_lost().is_empty());
}

/// Tokens that the engine hands over at once were not computed at once.
#[test]
fn how_long_it_computed_is_for_the_engine_to_say() {
    let mut answering = Answering::new(asked_of(), DIRECT, 0);
    (1..=3).for_each(|token| drop(answering.on_token(token, "a", None, 50)));
    let (_, receipt) = answering.finish(provider(), ended(), 51);
    let PeerSignal::Done(done) = answering.done(sign(receipt)) else { panic!("no end") };
    assert_eq!((done.first_token_us, done.decode_us), (50, 7_000));
}

#[test]
fn the_receipt_repeats_what_the_question_says_of_an_audit_and_names_the_fingerprint() {
    let mut answering = Answering::new(asked_of(), DIRECT, 0);
    let (_, receipt) = answering.finish(provider(), ended(), 1);
    assert_eq!((receipt.audit, receipt.fingerprint), (audit(), Bytes32([8; 32])));
}

#[test]
fn the_session_signs_for_the_audit_too() {
    let commitment = commit::input(&SALT, &input());
    let (key, signature) = sign_ask(&[1; 32], &ID, &spec(), &commitment, &audit());
    let checked = |audit: AuditTerms| verify_ask(&ID, &spec(), &commitment, &key, &audit, &signature);
    assert_eq!(checked(audit()), Ok(()));
    for other in [
        AuditTerms { challenge: Bytes32([7; 32]), ..audit() },
        AuditTerms { rate_ppm: 20_001, ..audit() },
        AuditTerms { auditors_ppm: 0, ..audit() },
    ] {
        assert_eq!(checked(other), Err(SignatureError::DoesNotFit), "{other:?}");
    }
}

#[test]
fn a_grant_is_what_the_provider_judges_by() {
    use ainonymous_verify::audit::{draw, grant};
    let (secret, session) = (Bytes32([5; 32]), [1; 32]);
    let terms = AuditTerms { challenge: draw::challenge(&secret), ..audit() };
    let mut answering = Answering::new(AskedOf { audit: terms, ..asked_of() }, DIRECT, 0);
    let (_, receipt) = answering.finish(provider(), ended(), 1);
    let signed = sign(receipt);
    let given = sign_grant(&session, secret, &signed, None, 100);
    assert_eq!(grant::judge(&signed, &given, &provider(), None, 99), Ok(()));
    assert!(grant::judge(&signed, &sign_grant(&[2; 32], secret, &signed, None, 100), &provider(), None, 99).is_err());
    assert!(!format!("{given:?}").contains("5, 5"), "the secret is in no log");
}

/// A provider that beats its heart and says nothing: before its first word it may compute, after that it is given up.
#[test]
fn a_heart_that_beats_keeps_a_question_for_a_while_only_once_it_has_begun() {
    let beat = || PeerSignal::Accepted { id: ID, queue_position: 0 };
    let (mut question, mut now_us) = (Question::new(asked(), DIRECT, 0), 0);
    let quiet = DIRECT.quiet_us();
    assert_eq!(question.quiet_at_us(), quiet);
    for _ in 0..2 * STALL_US / DIRECT.heartbeat_us {
        now_us += DIRECT.heartbeat_us;
        assert_eq!(question.on_tick(now_us), [], "it may compute a long prompt");
        question.on_signal(&provider(), beat(), now_us);
        assert_eq!(question.quiet_at_us(), now_us + quiet, "whoever beats its heart is not quiet");
    }
    let part = |chunk, text: &str| {
        PeerSignal::Tokens(TokenChunk { id: ID, chunk, text: text.into(), tokens: vec![], more: None })
    };
    assert_eq!(question.on_signal(&provider(), part(0, "The"), now_us).len(), 1);
    let (begun_us, mut chunk) = (now_us, 1);
    loop {
        assert!(question.next_tick_us() <= begun_us + STALL_US);
        now_us += DIRECT.heartbeat_us;
        // Nor do parts help in which nothing is said.
        question.on_signal(&provider(), part(chunk, ""), now_us);
        chunk += 1;
        match question.on_tick(now_us).as_slice() {
            [] => assert!(now_us < begun_us + STALL_US, "kept for ever"),
            end => break assert_eq!(end, [Effect::Failed(Failure::Gone(0))]),
        }
    }
    assert_eq!(now_us, begun_us + STALL_US);
}
