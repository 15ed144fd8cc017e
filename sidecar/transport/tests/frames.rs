//! The encoding of frames: it never changes by accident, and nothing that a peer can send makes it fail otherwise than by name.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may fail by panicking.

use ainonymous_transport::{Frame, FrameError, Load, Seen, FRAME_BYTES_MAX, REPLY_BYTES_MAX};
use ainonymous_types::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn receipt() -> SignedReceipt {
    SignedReceipt {
        receipt: Receipt {
            provider: AgentPubKey::from_raw_36(vec![9; 36]),
            spec: EntryHash::from_raw_36(vec![7; 36]),
            session_key: Bytes32([3; 32]),
            input: Bytes32([4; 32]),
            output: Bytes32([5; 32]),
            fingerprint: Bytes32([0; 32]),
            prompt_tokens: 300,
            completion_tokens: 2,
            finish: FinishReason::Length,
            finished_at: 1_700_000_000_000_000,
        },
        signature: Bytes64([6; 64]),
    }
}

fn ask(content: String) -> Ask {
    let messages = vec![
        ChatMessage { role: ChatRole::System, content: "Be brief.".into() },
        ChatMessage { role: ChatRole::User, content },
    ];
    Ask {
        id: RequestId([1; 16]),
        spec: EntryHash::from_raw_36(vec![7; 36]),
        input: ChatInput { messages, sampling: Sampling::default(), max_tokens: 300, stop: vec!["END".into()] },
        salt: Bytes32([2; 32]),
        session_key: Bytes32([3; 32]),
        signature: Bytes64([4; 64]),
    }
}

fn examples() -> BTreeMap<&'static str, Frame> {
    let proof = BatchProof { batch: ActionHash::from_raw_36(vec![8; 36]), index: 5, path: vec![Bytes32([1; 32])] };
    let load = Load {
        serves: true,
        draining: false,
        queued: 3,
        running: 8,
        slots: 8,
        milli_tokens_per_s: 51_234,
        milli_prefill_tokens_per_s: 900_000,
        milli_price: 250,
    };
    let seen = |n, troubled_permille| Seen {
        agent: AgentPubKey::from_raw_36(vec![n; 36]),
        milli_tokens_per_s: 51_234,
        troubled_permille,
    };
    BTreeMap::from([
        ("00_ask", Frame::Ask(Box::new(ask("What is the capital of France?".into())))),
        ("01_accepted", Frame::Accepted { queue_position: 300 }),
        ("02_tokens", Frame::Tokens { chunk: 1, text: "é".into(), tokens: vec![9_079, 236_761] }),
        (
            "03_done",
            Frame::Done { chunks: 2, receipt: Box::new(receipt()), first_token_us: 41_000, decode_us: 900_000 },
        ),
        ("04_refused", Frame::Refused { reason: RefuseReason::Busy, detail: "later".into() }),
        ("05_cancel", Frame::Cancel),
        ("06_resend", Frame::Resend { id: RequestId([1; 16]), from_chunk: 128 }),
        ("07_published", Frame::Published { proof }),
        ("08_probe", Frame::Probe { spec: EntryHash::from_raw_36(vec![7; 36]) }),
        ("09_load", Frame::Load(load)),
        ("10_tell", Frame::Tell { spec: EntryHash::from_raw_36(vec![7; 36]) }),
        ("11_told", Frame::Told(vec![seen(9, 0), seen(8, 1_000)])),
    ])
}

#[test]
fn golden_vectors() {
    let golden: BTreeMap<String, String> = serde_json::from_str(include_str!("frames.json")).unwrap();
    let examples = examples();
    let encoded: BTreeMap<String, String> =
        examples.iter().map(|(name, frame)| ((*name).to_owned(), hex::encode(frame.encode().unwrap()))).collect();
    assert_eq!(encoded, golden, "another encoding is another protocol: it needs another name (ALPN)");
    for (name, frame) in examples {
        let bytes = hex::decode(&golden[name]).unwrap();
        assert_eq!(Frame::decode(&bytes[4..]).unwrap(), frame, "{name}");
    }
}

#[test]
fn a_token_costs_few_bytes() {
    let frame = Frame::Tokens { chunk: 100, text: " word".into(), tokens: vec![100_000] };
    assert_eq!(frame.encode().unwrap().len(), 4 + 1 + 1 + 6 + 4);
}

#[test]
fn bounds_hold_at_the_bound_and_one_past_it() {
    let text = |len: usize| Frame::Tokens { chunk: 0, text: "x".repeat(len), tokens: vec![] };
    let body = |frame: Frame| frame.encode().unwrap()[4..].to_vec();
    assert!(Frame::decode(&body(text(limits::CHUNK_TEXT_BYTES_MAX))).is_ok());
    assert_eq!(Frame::decode(&body(text(limits::CHUNK_TEXT_BYTES_MAX + 1))), Err(FrameError::Bounds("too_long")));
    let tokens = |n: usize| Frame::Tokens { chunk: 0, text: String::new(), tokens: vec![u32::MAX; n] };
    assert!(Frame::decode(&body(tokens(limits::CHUNK_TOKENS_MAX))).is_ok());
    assert_eq!(Frame::decode(&body(tokens(limits::CHUNK_TOKENS_MAX + 1))), Err(FrameError::Bounds("too_many")));
    let largest = Frame::Tokens {
        chunk: u32::MAX,
        text: "x".repeat(limits::CHUNK_TEXT_BYTES_MAX),
        tokens: vec![u32::MAX; limits::CHUNK_TOKENS_MAX],
    };
    assert!(body(largest).len() <= REPLY_BYTES_MAX);
    let prompt = |len: usize| Frame::Ask(Box::new(ask("x".repeat(len))));
    let room = limits::PROMPT_BYTES_MAX - "Be brief.".len();
    assert!(Frame::decode(&body(prompt(room))).is_ok());
    assert!(matches!(Frame::decode(&body(prompt(room + 1))), Err(FrameError::Bounds(_))));
    assert!(matches!(prompt(FRAME_BYTES_MAX).encode(), Err(FrameError::TooLong { .. })));
    let load = |queued| Frame::Load(Load { queued, ..Load::default() });
    assert!(Frame::decode(&body(load(Load::QUESTIONS_MAX))).is_ok());
    assert_eq!(Frame::decode(&body(load(Load::QUESTIONS_MAX + 1))), Err(FrameError::Bounds("load_questions")));
    let price = |milli_price| Frame::Load(Load { milli_price, ..Load::default() });
    assert!(Frame::decode(&body(price(Load::MILLI_PRICE_MAX))).is_ok());
    assert_eq!(Frame::decode(&body(price(Load::MILLI_PRICE_MAX + 1))), Err(FrameError::Bounds("load_price")));
    let seen = |troubled_permille, milli_tokens_per_s| Seen {
        agent: AgentPubKey::from_raw_36(vec![9; 36]),
        milli_tokens_per_s,
        troubled_permille,
    };
    let told = |count, seen: Seen| Frame::Told(vec![seen; count]);
    let speed_max = u64::from(limits::TOKENS_PER_S_MAX) * 1_000;
    assert!(Frame::decode(&body(told(Seen::TOLD_MAX, seen(1_000, speed_max)))).is_ok());
    assert!(body(told(Seen::TOLD_MAX, seen(1_000, speed_max))).len() <= REPLY_BYTES_MAX);
    assert_eq!(Frame::decode(&body(told(Seen::TOLD_MAX + 1, seen(0, 1)))), Err(FrameError::Bounds("told_many")));
    assert_eq!(Frame::decode(&body(told(1, seen(1_001, 1)))), Err(FrameError::Bounds("told_figures")));
    assert_eq!(Frame::decode(&body(told(1, seen(0, speed_max + 1)))), Err(FrameError::Bounds("told_figures")));
}

#[test]
fn what_follows_a_frame_is_refused() {
    let mut body = Frame::Cancel.encode().unwrap()[4..].to_vec();
    body.push(0);
    assert_eq!(Frame::decode(&body), Err(FrameError::Malformed));
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(frame) = Frame::decode(&bytes) {
            // What was understood can be said again, and means the same.
            let again = frame.encode().unwrap();
            prop_assert_eq!(Frame::decode(&again[4..]).unwrap(), frame);
        }
    }

    #[test]
    fn a_damaged_frame_is_another_frame_or_none(which in 0usize..10, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let frame = examples().into_values().nth(which).unwrap();
        let mut body = frame.encode().unwrap()[4..].to_vec();
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        if let Ok(read) = Frame::decode(&body) {
            prop_assert!(read.encode().is_ok());
        }
        let _ = Frame::decode(&body[..at]);
    }

    #[test]
    fn chunks_come_back_as_they_were(chunk in 0..limits::ANSWER_CHUNKS_MAX, text in ".{0,300}", tokens in proptest::collection::vec(any::<u32>(), 0..64)) {
        let frame = Frame::Tokens { chunk, text, tokens };
        prop_assert_eq!(Frame::decode(&frame.encode().unwrap()[4..]).unwrap(), frame);
    }
}
