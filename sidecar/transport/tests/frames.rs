//! The encoding of frames: it never changes by accident, and nothing that a peer can send makes it fail otherwise than by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may fail by panicking.

use ainonymous_transport::{Frame, FrameError, Load, Open, Seen, FRAME_BYTES_MAX, OPENED_LEAVES_MAX, REPLY_BYTES_MAX};
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
            audit: AuditTerms::default(),
        },
        signature: Bytes64([6; 64]),
    }
}

fn ask(content: String) -> Ask {
    let messages = vec![ChatMessage::new(ChatRole::System, "Be brief."), ChatMessage::new(ChatRole::User, content)];
    Ask {
        id: RequestId([1; 16]),
        spec: EntryHash::from_raw_36(vec![7; 36]),
        input: ChatInput {
            messages,
            sampling: Sampling::default(),
            max_tokens: 300,
            stop: vec!["END".into()],
            more: None,
        },
        salt: Bytes32([2; 32]),
        session_key: Bytes32([3; 32]),
        audit: AuditTerms::default(),
        signature: Bytes64([4; 64]),
    }
}

fn everything() -> ChatInput {
    let mut input = ask("What is this?".into()).input;
    let call = ChatToolCall { id: "call_1".into(), name: "look".into(), arguments: "{}".into() };
    input.messages[1].more = Some(Box::new(MessageMore {
        images: vec![ChatImage { at: 4, file: vec![1, 2, 3] }],
        reasoning: Some("Hm.".into()),
        tool_calls: vec![call],
        tool_call_id: Some("call_0".into()),
        name: Some("look".into()),
    }));
    let (bias, last_tokens) = (vec![LogitBias { token: 300, bias_milli: -100_000 }], 64);
    let adjust = ChatAdjust { repetition_milli: 1_100, presence_milli: -500, frequency_milli: 250, last_tokens, bias };
    let tool = ChatTool { name: "look".into(), description: Some("Looks.".into()), parameters: "{}".into() };
    input.more = Some(Box::new(ChatMore {
        prompt: None,
        tools: vec![tool],
        tool_choice: ChatToolChoice::Named("look".into()),
        parallel_tool_calls: true,
        thinking: Some(true),
        template_arguments: "{}".into(),
        adjust: Some(adjust),
        constraint: Some(ChatConstraint::JsonSchema("{}".into())),
        logprobs: Some(5),
        ignore_end: true,
        begun: vec![9_079, 236_761],
    }));
    input
}

fn besides() -> ChunkMore {
    let one = |token, logprob_micro| TokenLogprob { token, text: vec![0xc3], logprob_micro };
    let logprobs = |token| TokenLogprobs { chosen: one(token, -1_234_567), top: vec![one(7, i32::MIN)] };
    let begins = Some(ToolCallBegin { id: "call_1".into(), name: "look".into() });
    ChunkMore {
        reasoning: "Hm.".into(),
        tool_calls: vec![ToolCallPiece { index: 300, begins, arguments: "{}".into() }],
        logprobs: vec![logprobs(9_079), logprobs(236_761)],
    }
}

fn proof_of(agent: u8) -> LinkProof {
    LinkProof { agent: AgentPubKey::from_raw_36(vec![agent; 36]), signature: Bytes64([6; 64]) }
}

fn opened_leaf(n: u8, body: usize) -> OpenedLeaf {
    OpenedLeaf { salt: Bytes32([n; 32]), tokens: vec![9_079, 236_761], body: vec![n; body] }
}

fn open(auditor: Option<AgentPubKey>) -> Frame {
    let grant =
        OpenGrant { secret: Bytes32([5; 32]), auditor, until: 1_700_000_600_000_000, signature: Bytes64([7; 64]) };
    Frame::Open(Box::new(Open { receipt: receipt(), grant }))
}

fn order() -> AuditOrder {
    let proof = BatchProof { batch: ActionHash::from_raw_36(vec![8; 36]), index: 5, path: vec![Bytes32([1; 32])] };
    AuditOrder { receipt: receipt(), proof, secret: Bytes32([5; 32]) }
}

fn shown() -> AuditShown {
    let Frame::Open(open) = open(Some(AgentPubKey::from_raw_36(vec![8; 36]))) else { panic!() };
    let Ask { input, salt, .. } = ask("What is the capital of France?".into());
    AuditShown { input, salt, tokens: vec![9_079, 236_761], text: "é".into(), more: None, grant: open.grant }
}

fn show(shown: AuditShown) -> Frame {
    Frame::AuditShown(Box::new(shown))
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
        ("02_tokens", Frame::Tokens { chunk: 1, text: "é".into(), tokens: vec![9_079, 236_761], more: None }),
        (
            "03_done",
            Frame::Done {
                chunks: 2,
                receipt: Box::new(receipt()),
                cached_tokens: 200,
                stopped_by: Some(0),
                first_token_us: 41_000,
                decode_us: 900_000,
            },
        ),
        ("04_refused", Frame::Refused { reason: RefuseReason::Busy, detail: "later".into() }),
        ("05_cancel", Frame::Cancel),
        ("06_resend", Frame::Resend { id: RequestId([1; 16]), from_chunk: 128 }),
        ("07_published", Frame::Published { proof }),
        ("08_probe", Frame::Probe { spec: EntryHash::from_raw_36(vec![7; 36]) }),
        ("09_load", Frame::Load(load)),
        ("10_ask_with_everything", Frame::Ask(Box::new(Ask { input: everything(), ..ask("What is this?".into()) }))),
        (
            "11_tokens_with_everything",
            Frame::Tokens {
                chunk: 1, text: "é".into(), tokens: vec![9_079, 236_761], more: Some(Box::new(besides()))
            },
        ),
        ("12_prove", Frame::Prove { version: 1, proof: Box::new(proof_of(9)) }),
        ("13_known", Frame::Known),
        ("14_tell", Frame::Tell { spec: EntryHash::from_raw_36(vec![7; 36]) }),
        ("15_told", Frame::Told(vec![seen(9, 0), seen(8, 1_000)])),
        ("16_open", open(None)),
        ("17_open_by_an_auditor", open(Some(AgentPubKey::from_raw_36(vec![9; 36])))),
        ("18_opened", Frame::Opened { first: 300, leaves: vec![opened_leaf(1, 3), opened_leaf(2, 0)] }),
        ("19_not_opened", Frame::NotOpened(OpenRefusal::WindowClosed)),
        ("20_not_opened_before_a_commitment", Frame::NotOpened(OpenRefusal::NotCommitted)),
        ("21_audit", Frame::Audit(Box::new(order()))),
        ("22_audit_taken", Frame::AuditTaken),
        ("23_audit_shown", show(shown())),
        (
            "24_audit_shown_with_everything",
            show(AuditShown {
                input: everything(),
                more: Some(Box::new(ChunkMore { logprobs: vec![], ..besides() })),
                ..shown()
            }),
        ),
        ("25_not_audited", Frame::NotAudited(AuditRefusal::Failed)),
        ("26_audited", Frame::Audited { report: ActionHash::from_raw_36(vec![8; 36]) }),
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
    let frame = Frame::Tokens { chunk: 100, text: " word".into(), tokens: vec![100_000], more: None };
    assert_eq!(frame.encode().unwrap().len(), 4 + 1 + 1 + 6 + 4 + 1);
}

#[test]
fn bounds_hold_at_the_bound_and_one_past_it() {
    let text = |len: usize| Frame::Tokens { chunk: 0, text: "x".repeat(len), tokens: vec![], more: None };
    let body = |frame: Frame| frame.encode().unwrap()[4..].to_vec();
    assert!(Frame::decode(&body(text(limits::CHUNK_TEXT_BYTES_MAX))).is_ok());
    assert_eq!(Frame::decode(&body(text(limits::CHUNK_TEXT_BYTES_MAX + 1))), Err(FrameError::Bounds("too_long")));
    let tokens = |n: usize| Frame::Tokens { chunk: 0, text: String::new(), tokens: vec![u32::MAX; n], more: None };
    assert!(Frame::decode(&body(tokens(limits::CHUNK_TOKENS_MAX))).is_ok());
    assert_eq!(Frame::decode(&body(tokens(limits::CHUNK_TOKENS_MAX + 1))), Err(FrameError::Bounds("too_many")));
    let likely = |alternatives| {
        let one =
            TokenLogprob { token: u32::MAX, text: vec![0; limits::TOKEN_TEXT_BYTES_MAX], logprob_micro: i32::MIN };
        TokenLogprobs { chosen: one.clone(), top: vec![one; alternatives] }
    };
    let piece = |arguments: String| ToolCallPiece { index: u32::MAX, begins: None, arguments };
    let mut tool_calls = vec![piece(String::new()); limits::CHUNK_TOOL_CALLS_MAX - 1];
    tool_calls.push(piece("x".repeat(limits::CHUNK_TEXT_BYTES_MAX / 2)));
    let largest = |tokens: usize, logprobs: Vec<TokenLogprobs>| Frame::Tokens {
        chunk: limits::ANSWER_CHUNKS_MAX,
        text: "x".repeat(limits::CHUNK_TEXT_BYTES_MAX / 2),
        tokens: vec![u32::MAX; tokens],
        more: Some(Box::new(ChunkMore { reasoning: String::new(), tool_calls: tool_calls.clone(), logprobs })),
    };
    let spread = body(largest(limits::CHUNK_TOKENS_MAX, vec![]));
    let dense = body(largest(limits::CHUNK_LOGPROBS_MAX, vec![likely(0); limits::CHUNK_LOGPROBS_MAX]));
    let deep = body(largest(24, vec![likely(20); 24]));
    for frame in [spread, dense, deep] {
        assert!(frame.len() <= REPLY_BYTES_MAX, "{} of {REPLY_BYTES_MAX}", frame.len());
        assert!(Frame::decode(&frame).is_ok());
    }
    let prompt = |len: usize| Frame::Ask(Box::new(ask("x".repeat(len))));
    let room = limits::PROMPT_BYTES_MAX - "Be brief.".len();
    assert!(Frame::decode(&body(prompt(room))).is_ok());
    assert!(matches!(Frame::decode(&body(prompt(room + 1))), Err(FrameError::Bounds(_))));
    assert!(matches!(prompt(FRAME_BYTES_MAX).encode(), Err(FrameError::TooLong { .. })));
    let shown = |bytes: usize| {
        let mut ask = ask("x".repeat(room));
        let images = vec![ChatImage { at: 0, file: vec![1; bytes] }];
        ask.input.messages[1].more = Some(Box::new(MessageMore { images, ..MessageMore::default() }));
        let tool = |bytes: usize| ChatTool { name: "f".into(), description: None, parameters: "x".repeat(bytes - 1) };
        ask.input.more = Some(Box::new(ChatMore {
            tools: vec![tool(limits::TOOLS_BYTES_MAX)],
            constraint: Some(ChatConstraint::JsonSchema("x".repeat(limits::CONSTRAINT_BYTES_MAX))),
            begun: vec![u32::MAX; 300],
            ..ChatMore::default()
        }));
        Frame::Ask(Box::new(ask))
    };
    assert!(Frame::decode(&body(shown(limits::SENT_IMAGES_BYTES_MAX))).is_ok(), "the largest question has a frame");
    assert!(matches!(Frame::decode(&body(shown(limits::SENT_IMAGES_BYTES_MAX + 1))), Err(FrameError::Bounds(_))));
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
fn leaves_are_bounded_and_a_full_frame_of_them_is_taken() {
    let body = |frame: Frame| frame.encode().unwrap()[4..].to_vec();
    let leaf = |tokens: usize, bytes: usize| OpenedLeaf { tokens: vec![u32::MAX; tokens], ..opened_leaf(1, bytes) };
    let (window, bytes) = (limits::FINGERPRINT_WINDOW_TOKENS, limits::FINGERPRINT_LEAF_BYTES_MAX);
    let frame = |first, count: usize, leaf: OpenedLeaf| Frame::Opened { first, leaves: vec![leaf; count] };
    let full = body(frame(0, OPENED_LEAVES_MAX, leaf(window, bytes)));
    assert!(full.len() <= REPLY_BYTES_MAX, "{} of {REPLY_BYTES_MAX}", full.len());
    assert!(Frame::decode(&full).is_ok());
    let refused = |frame: Frame, why| assert_eq!(Frame::decode(&body(frame)), Err(FrameError::Bounds(why)));
    refused(frame(0, OPENED_LEAVES_MAX + 1, leaf(1, 1)), "opened_many");
    refused(frame(0, 0, leaf(1, 1)), "opened_many");
    refused(frame(0, 1, leaf(window + 1, 1)), "opened_leaf");
    refused(frame(0, 1, leaf(1, bytes + 1)), "opened_leaf");
    let last = limits::ANSWER_TOKENS_MAX / window as u32 - 1;
    assert!(Frame::decode(&body(frame(last, 1, leaf(1, 1)))).is_ok());
    refused(frame(last, 2, leaf(1, 1)), "opened_first");
    refused(frame(u32::MAX, 1, leaf(1, 1)), "opened_first");
    let mut bad = receipt();
    bad.receipt.audit.rate_ppm = limits::PPM_MAX + 1;
    let Frame::Open(open) = open(None) else { panic!() };
    refused(Frame::Open(Box::new(Open { receipt: bad, ..*open })), "out_of_range");
}

#[test]
fn what_an_auditor_is_shown_is_bounded_and_tells_nothing_in_a_log() {
    let body = |frame: Frame| frame.encode().unwrap()[4..].to_vec();
    let body_of = |shown: AuditShown| body(show(shown));
    let most = limits::SHOWN_TOKENS_MAX as usize;
    assert!(Frame::decode(&body_of(AuditShown { tokens: vec![1; most], ..shown() })).is_ok());
    let many = body_of(AuditShown { tokens: vec![1; most + 1], ..shown() });
    assert_eq!(Frame::decode(&many), Err(FrameError::Bounds("too_many")));
    let beside = body_of(AuditShown { text: String::new(), ..shown() }).len() + 2;
    let text = |len: usize| body_of(AuditShown { text: "x".repeat(len), ..shown() });
    assert_eq!(text(limits::SHOWN_BYTES_MAX - beside).len(), limits::SHOWN_BYTES_MAX);
    assert!(Frame::decode(&text(limits::SHOWN_BYTES_MAX - beside)).is_ok());
    let too_long = FrameError::TooLong { len: limits::SHOWN_BYTES_MAX + 1, max: limits::SHOWN_BYTES_MAX };
    assert_eq!(Frame::decode(&text(limits::SHOWN_BYTES_MAX - beside + 1)), Err(too_long));
    let likely = AuditShown { more: Some(Box::new(besides())), ..shown() };
    assert_eq!(Frame::decode(&body_of(likely)), Err(FrameError::Bounds("too_many")), "no receipt speaks of them");
    let mut far = order();
    far.proof.path = vec![Bytes32([1; 32]); limits::MERKLE_PATH_MAX + 1];
    assert_eq!(Frame::decode(&body(Frame::Audit(Box::new(far)))), Err(FrameError::Bounds("too_many")));
    let said = format!("{:?} {:?}", show(shown()), Frame::Audit(Box::new(order())));
    assert!(!said.contains("France") && !said.contains('é') && !said.contains("secret"), "{said}");
}

#[test]
fn a_proof_of_another_version_is_refused() {
    let body = |version| Frame::Prove { version, proof: Box::new(proof_of(9)) }.encode().unwrap()[4..].to_vec();
    assert!(Frame::decode(&body(1)).is_ok());
    for version in [0, 2, u8::MAX] {
        assert_eq!(Frame::decode(&body(version)), Err(FrameError::Bounds("proof_version")));
    }
    // A hash that is no agent's.
    let mut other = body(1);
    let at = other.windows(3).position(|three| three == [0x84, 0x20, 0x24]).unwrap();
    other[at + 1] = 0x21;
    assert_eq!(Frame::decode(&other), Err(FrameError::Malformed));
}

#[test]
fn what_follows_a_frame_is_refused() {
    let mut body = Frame::Cancel.encode().unwrap()[4..].to_vec();
    body.push(0);
    assert_eq!(Frame::decode(&body), Err(FrameError::Malformed));
}

/// What a stream is about is seen by its first byte: nobody is told who may not be by spelling that otherwise.
#[test]
fn a_kind_is_spelt_in_one_byte() {
    for frame in examples().into_values() {
        let body = frame.encode().unwrap()[4..].to_vec();
        assert_eq!(Frame::decode(&body).as_ref(), Ok(&frame));
        let longer = [&[body[0] | 0x80, 0], &body[1..]].concat();
        assert_eq!(Frame::decode(&longer), Err(FrameError::Malformed), "{frame:?}");
    }
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
    fn a_damaged_frame_is_another_frame_or_none(which in 0usize..27, at in any::<prop::sample::Index>(), bit in 0u8..8) {
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
    fn proofs_come_back_as_they_were(agent in any::<[u8; 32]>(), signature in any::<[u8; 32]>()) {
        let agent = AgentPubKey::from_raw_36([&agent[..], &[0; 4]].concat());
        let signature = Bytes64([signature, signature].concat().try_into().unwrap());
        let frame = Frame::Prove { version: 1, proof: Box::new(LinkProof { agent, signature }) };
        prop_assert_eq!(Frame::decode(&frame.encode().unwrap()[4..]).unwrap(), frame);
    }

    #[test]
    fn leaves_come_back_as_they_were(first in 0u32..32_704, bodies in proptest::collection::vec(0usize..=limits::FINGERPRINT_LEAF_BYTES_MAX, 1..=OPENED_LEAVES_MAX)) {
        let leaves = bodies.iter().map(|bytes| opened_leaf(*bytes as u8, *bytes)).collect();
        let frame = Frame::Opened { first, leaves };
        prop_assert_eq!(Frame::decode(&frame.encode().unwrap()[4..]).unwrap(), frame);
    }

    #[test]
    fn chunks_come_back_as_they_were(chunk in 0..limits::ANSWER_CHUNKS_MAX, text in ".{0,300}", tokens in proptest::collection::vec(any::<u32>(), 0..64)) {
        let frame = Frame::Tokens { chunk, text, tokens, more: None };
        prop_assert_eq!(Frame::decode(&frame.encode().unwrap()[4..]).unwrap(), frame);
    }
}
