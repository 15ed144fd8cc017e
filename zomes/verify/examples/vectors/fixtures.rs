//! Things that are as they should be, to be spoilt one at a time.

use ainonymous_types::*;
use ainonymous_verify::rules::{AppEntry, Content, Known};

pub(crate) const NOW: i64 = 1_760_000_000_000_000;

pub(crate) const ALICE: u8 = 1;
pub(crate) const BOB: u8 = 2;
pub(crate) const MALLORY: u8 = 3;

pub(crate) fn agent(n: u8) -> AgentPubKey {
    AgentPubKey::from_raw_36(vec![n; 36])
}

pub(crate) fn action(n: u8) -> ActionHash {
    ActionHash::from_raw_36(vec![n; 36])
}

pub(crate) fn entry_hash(n: u8) -> EntryHash {
    EntryHash::from_raw_36(vec![n; 36])
}

pub(crate) fn b32(n: u8) -> Bytes32 {
    Bytes32([n; 32])
}

pub(crate) fn with<T>(mut good: T, spoil: impl FnOnce(&mut T)) -> T {
    spoil(&mut good);
    good
}

pub(crate) fn model_spec() -> ModelSpec {
    ModelSpec {
        name: "tiny-gemma".into(),
        quantization: "q8_0".into(),
        architecture: "gemma4".into(),
        gguf_hash: b32(0x11),
        gguf_root: b32(0x12),
        gguf_bytes: 3_000_000,
        tokenizer_hash: b32(0x13),
        template_hash: b32(0x14),
        sampler_version: 1,
        kv_type: KvType::F16,
        context_tokens: 2_048,
    }
}

/// The spec that everything refers to: entry 20, written at action 20.
pub(crate) fn spec_ref() -> SpecRef {
    SpecRef { entry: entry_hash(20), action: action(20) }
}

pub(crate) fn capability() -> Capability {
    Capability {
        roles: vec![Role::Provider],
        sealing_key: b32(0x21),
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: "avx2".into(),
        models: vec![ServedModel { spec: spec_ref(), tokens_per_s: 100 }],
        router: None,
        region: None,
    }
}

pub(crate) fn router() -> RouterOffer {
    RouterOffer { key: b32(0x71), addresses: vec!["quic://192.0.2.1:4433".into()] }
}

/// Alice asks Bob.
pub(crate) fn request() -> Request {
    Request {
        commitment: b32(0x31),
        spec: spec_ref(),
        assignee: agent(BOB),
        capability: action(30),
        reply_key: b32(0x32),
        max_tokens: 64,
        expires_at: NOW + 60_000_000,
        sealed: vec![7; limits::SEALED_BYTES_MIN],
    }
}

/// Bob answers.
pub(crate) fn answer() -> Answer {
    Answer { request: action(40), sealed: vec![8; limits::SEALED_BYTES_MIN] }
}

pub(crate) fn batch() -> ReceiptBatch {
    ReceiptBatch {
        capability: action(30),
        spec: spec_ref(),
        root: b32(0x41),
        count: 2,
        prompt_tokens: 20,
        completion_tokens: 16,
    }
}

/// Alice shuts Mallory out.
pub(crate) fn revocation() -> Revocation {
    Revocation { target: Revoked::Agent(agent(MALLORY)) }
}

pub(crate) fn chat() -> ChatInput {
    ChatInput {
        messages: vec![
            ChatMessage::new(ChatRole::System, "Answer briefly."),
            ChatMessage::new(ChatRole::User, "What is the capital of France? \u{1f1eb}\u{1f1f7}"),
        ],
        sampling: Sampling { seed: 42, ..Sampling::default() },
        max_tokens: 16,
        stop: vec!["\n\n".into()],
        more: None,
    }
}

/// A question that uses every field.
pub(crate) fn everything() -> ChatInput {
    let more = MessageMore {
        images: vec![ChatImage { at: 0, file: vec![0x89, 0x50, 0x4e, 0x47] }],
        reasoning: Some("It is in Europe.".into()),
        tool_calls: vec![ChatToolCall {
            id: "call_0".into(),
            name: "weather".into(),
            arguments: "{\"city\":\"Paris\"}".into(),
        }],
        tool_call_id: None,
        name: Some("Tom".into()),
    };
    let tool = ChatTool {
        name: "weather".into(),
        description: Some("The weather in a city.".into()),
        parameters: "{\"type\":\"object\"}".into(),
    };
    let adjust = ChatAdjust {
        repetition_milli: 1_100,
        presence_milli: -500,
        frequency_milli: 250,
        last_tokens: 64,
        bias: vec![LogitBias { token: 300, bias_milli: -100_000 }],
    };
    let mut chat = chat();
    chat.messages[1].more = Some(Box::new(more));
    chat.more = Some(Box::new(ChatMore {
        prompt: None,
        tools: vec![tool],
        tool_choice: ChatToolChoice::Auto,
        parallel_tool_calls: true,
        thinking: Some(true),
        template_arguments: "{\"style\":\"plain\"}".into(),
        adjust: Some(adjust),
        constraint: Some(ChatConstraint::JsonSchema("{\"type\":\"string\"}".into())),
        logprobs: Some(5),
        ignore_end: false,
        begun: vec![818, 5_279],
    }));
    chat
}

/// What a part of an answer can have besides text.
pub(crate) fn spoken() -> ChunkMore {
    let one = |token, logprob_micro| TokenLogprob { token, text: vec![0xe2, 0x98], logprob_micro };
    let logprobs = |token| TokenLogprobs { chosen: one(token, -1_234_567), top: vec![one(7, i32::MIN)] };
    ChunkMore {
        reasoning: "It is in Europe.".into(),
        tool_calls: vec![ToolCallPiece {
            index: 0,
            begins: Some(ToolCallBegin { id: "call_0".into(), name: "weather".into() }),
            arguments: "{\"city\":\"Paris\"}".into(),
        }],
        logprobs: vec![logprobs(818), logprobs(5_279)],
    }
}

pub(crate) fn receipt(n: u8) -> SignedReceipt {
    let receipt = Receipt {
        provider: agent(BOB),
        spec: entry_hash(20),
        session_key: b32(0x51),
        input: b32(0x52),
        output: b32(n),
        fingerprint: b32(0),
        prompt_tokens: 10,
        completion_tokens: 8,
        finish: FinishReason::Stop,
        finished_at: NOW,
        audit: AuditTerms { challenge: b32(0x53), rate_ppm: 20_000, auditors_ppm: 200_000 },
    };
    SignedReceipt { receipt, signature: Bytes64([n; 64]) }
}

/// Somebody promises to audit Bob's first receipt.
fn promise(mode: AuditMode) -> AuditCommit {
    let proof = BatchProof { batch: action(60), index: 0, path: vec![] };
    let (capability, receipt, secret, replay) = (action(90), receipt(1), b32(0x54), b32(0x61));
    AuditCommit { capability, receipt, proof, secret, mode, previous: None, replay }
}

/// And finds nothing.
fn report(commit: u8) -> AuditReport {
    AuditReport {
        commit: action(commit),
        calibration: None,
        outcome: Outcome::NotOpened(Statistics {
            tokens: receipt(1).receipt.completion_tokens,
            ..Statistics::default()
        }),
        verdict: Verdict::Inconclusive,
        llr: 0,
        standing: Standing::default(),
        evidence: None,
    }
}

fn known(author: u8, n: u8, entry: AppEntry) -> (ActionHash, Known) {
    (action(n), Known { author: agent(author), content: Content::App(entry_hash(n), entry) })
}

/// The valid records that there are: a spec (20), Bob's capability (30), Alice's request to Bob (40), his answer (50),
/// his batch (60), a grant of his (70), something else of his (80), Mallory's capability as auditor (90), Alice's
/// revocation of Mallory (100): she founded the network; Mallory's capability as router (110), calibration (120), commitment to
/// audit Bob (130), report (140) and accusation of Bob (150); Alice's commitment in the jury over it (160), her report (170), a
/// conviction (180) and an equivocation (190) by her; Bob's appeal (200), Alice's commitment in the second jury (210) and her report (220).
pub(crate) fn records() -> Vec<(ActionHash, Known)> {
    let auditor = with(capability(), |c| {
        c.roles = vec![Role::Auditor];
        c.models.clear();
    });
    let forwarding = with(capability(), |c| {
        c.roles = vec![Role::Router];
        c.models.clear();
        c.router = Some(router());
    });
    vec![
        known(ALICE, 20, AppEntry::ModelSpec(model_spec())),
        known(BOB, 30, AppEntry::Capability(capability())),
        known(ALICE, 40, AppEntry::Request(request())),
        known(BOB, 50, AppEntry::Answer(answer())),
        known(BOB, 60, AppEntry::ReceiptBatch(batch())),
        (action(70), Known { author: agent(BOB), content: Content::Grant }),
        (action(80), Known { author: agent(BOB), content: Content::Other }),
        known(MALLORY, 90, AppEntry::Capability(auditor)),
        known(ALICE, 100, AppEntry::Revocation(revocation())),
        known(MALLORY, 110, AppEntry::Capability(forwarding)),
        known(MALLORY, 120, AppEntry::Calibration(super::audits::table())),
        known(MALLORY, 130, AppEntry::AuditCommit(promise(AuditMode::Drawn))),
        known(MALLORY, 140, AppEntry::AuditReport(report(130))),
        known(MALLORY, 150, AppEntry::Accusation(Accusation { provider: agent(BOB), reports: vec![action(140)] })),
        known(ALICE, 160, AppEntry::AuditCommit(promise(AuditMode::Jury(action(150))))),
        known(ALICE, 170, AppEntry::AuditReport(report(160))),
        known(
            ALICE,
            180,
            AppEntry::Conviction(Conviction { accusation: action(150), confirmations: vec![action(170)] }),
        ),
        known(ALICE, 190, AppEntry::Equivocation(Equivocation { first: receipt(1), second: receipt(2) })),
        known(BOB, 200, AppEntry::Appeal(Appeal { conviction: action(180) })),
        known(ALICE, 210, AppEntry::AuditCommit(promise(AuditMode::Appeal(action(180))))),
        known(ALICE, 220, AppEntry::AuditReport(report(210))),
    ]
}
