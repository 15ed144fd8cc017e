//! Bounds too large for a vector, at the bound and one past; and that no rule panics, whatever it is given.

#![allow(missing_docs, clippy::unwrap_used)]

use ainonymous_types::*;
use ainonymous_verify::network::{self, Network};
use ainonymous_verify::rules::{self, AppEntry, Content, Known};
use ainonymous_verify::{ask, chat, commit, judge, receipt, signal, Breach};
use proptest::collection::vec;
use proptest::prelude::*;

fn agent(n: u8) -> AgentPubKey {
    AgentPubKey::from_raw_36(vec![n; 36])
}

fn action(n: u8) -> ActionHash {
    ActionHash::from_raw_36(vec![n; 36])
}

fn spec_ref(n: u8) -> SpecRef {
    SpecRef { entry: EntryHash::from_raw_36(vec![n; 36]), action: action(n) }
}

fn question(content: String, messages: usize) -> ChatInput {
    let message = ChatMessage::new(ChatRole::User, content);
    ChatInput {
        messages: vec![message; messages],
        sampling: Sampling::default(),
        max_tokens: 0,
        stop: vec![],
        more: None,
    }
}

fn request(sealed: usize) -> Request {
    Request {
        commitment: Bytes32([1; 32]),
        spec: spec_ref(2),
        assignee: agent(3),
        capability: action(4),
        reply_key: Bytes32([5; 32]),
        max_tokens: 1,
        expires_at: 1,
        sealed: vec![0; sealed],
    }
}

fn encoded<T: serde::Serialize + std::fmt::Debug>(value: &T) -> usize {
    holochain_serialized_bytes::encode(value).unwrap().len()
}

#[test]
fn prompts() {
    assert_eq!(chat::bounds(&question("x".repeat(limits::PROMPT_BYTES_MAX), 1)), Ok(()));
    let past = chat::bounds(&question("x".repeat(limits::PROMPT_BYTES_MAX + 1), 1));
    assert_eq!(past.unwrap_err().code(), "too_long");
    let shared = chat::bounds(&question("x".repeat(limits::PROMPT_BYTES_MAX / 2 + 1), 2));
    assert_eq!(shared.unwrap_err().code(), "too_long");
    assert_eq!(chat::bounds(&question("x".into(), limits::CHAT_MESSAGES_MAX)), Ok(()));
    let many = chat::bounds(&question("x".into(), limits::CHAT_MESSAGES_MAX + 1));
    assert_eq!(many.unwrap_err().code(), "too_many");
}

/// What a question has besides words, where a vector would be too long.
#[test]
fn tools_forms_images_and_beginnings() {
    let code = |input: &ChatInput| chat::bounds(input).map_err(|breach| breach.code());
    let with = |spoil: &dyn Fn(&mut ChatMore)| {
        let mut more = ChatMore::default();
        spoil(&mut more);
        code(&ChatInput { more: Some(Box::new(more)), ..question("x".into(), 1) })
    };
    let tools = |bytes: usize| {
        let tool = |bytes: usize| ChatTool { name: "f".into(), description: None, parameters: "x".repeat(bytes - 1) };
        with(&|m| m.tools = vec![tool(bytes / 2), tool(bytes - bytes / 2)])
    };
    assert_eq!(tools(limits::TOOLS_BYTES_MAX), Ok(()));
    assert_eq!(tools(limits::TOOLS_BYTES_MAX + 1), Err("too_long"));
    let arguments = |bytes: usize| with(&|m| m.template_arguments = "x".repeat(bytes));
    assert_eq!(arguments(limits::TOOLS_BYTES_MAX), Ok(()));
    assert_eq!(arguments(limits::TOOLS_BYTES_MAX + 1), Err("too_long"));
    let schema = |bytes: usize| with(&|m| m.constraint = Some(ChatConstraint::JsonSchema("x".repeat(bytes))));
    assert_eq!(schema(limits::CONSTRAINT_BYTES_MAX), Ok(()));
    assert_eq!(schema(limits::CONSTRAINT_BYTES_MAX + 1), Err("too_long"));
    let choices = |count: usize| with(&|m| m.constraint = Some(ChatConstraint::Choice(vec![String::new(); count])));
    assert_eq!(choices(limits::CONSTRAINT_BYTES_MAX), Ok(()));
    assert_eq!(choices(limits::CONSTRAINT_BYTES_MAX + 1), Err("too_long"));
    let biases = |count: usize| {
        let bias = vec![LogitBias { token: 1, bias_milli: 0 }; count];
        let adjust =
            ChatAdjust { repetition_milli: 1_000, presence_milli: 0, frequency_milli: 0, last_tokens: 0, bias };
        with(&|m| m.adjust = Some(adjust.clone()))
    };
    assert_eq!(biases(limits::LOGIT_BIASES_MAX), Ok(()));
    assert_eq!(biases(limits::LOGIT_BIASES_MAX + 1), Err("too_many"));
    let begun = |count: usize| with(&|m| m.begun = vec![1; count]);
    assert_eq!(begun(limits::BEGUN_TOKENS_MAX), Ok(()));
    assert_eq!(begun(limits::BEGUN_TOKENS_MAX + 1), Err("too_many"));
    let prompt = |prompt: ChatPrompt| {
        let more = ChatMore { prompt: Some(prompt), ..ChatMore::default() };
        code(&ChatInput { messages: vec![], more: Some(Box::new(more)), ..ChatInput::default() })
    };
    assert_eq!(prompt(ChatPrompt::Text("x".repeat(limits::PROMPT_BYTES_MAX))), Ok(()));
    assert_eq!(prompt(ChatPrompt::Text("x".repeat(limits::PROMPT_BYTES_MAX + 1))), Err("too_long"));
    assert_eq!(prompt(ChatPrompt::Tokens(vec![1; limits::PROMPT_BYTES_MAX / 4])), Ok(()));
    assert_eq!(prompt(ChatPrompt::Tokens(vec![1; limits::PROMPT_BYTES_MAX / 4 + 1])), Err("too_many"));
    let shown = |files: &[usize]| {
        let images = files.iter().map(|bytes| ChatImage { at: 0, file: vec![1; *bytes] }).collect();
        let more = Some(Box::new(MessageMore { images, ..MessageMore::default() }));
        let message = ChatMessage { more, ..ChatMessage::new(ChatRole::User, "x") };
        code(&ChatInput { messages: vec![message], ..ChatInput::default() })
    };
    assert_eq!(shown(&[limits::IMAGE_BYTES_MAX]), Ok(()));
    assert_eq!(shown(&[limits::IMAGE_BYTES_MAX + 1]), Err("too_long"));
    assert_eq!(shown(&[limits::SENT_IMAGES_BYTES_MAX - 1, 1]), Ok(()));
    assert_eq!(shown(&[limits::SENT_IMAGES_BYTES_MAX, 1]), Err("too_long"));
    let more = MessageMore { reasoning: Some("x".repeat(limits::PROMPT_BYTES_MAX)), ..MessageMore::default() };
    let message = ChatMessage { more: Some(Box::new(more)), ..ChatMessage::new(ChatRole::User, "x") };
    assert_eq!(
        code(&ChatInput { messages: vec![message], ..ChatInput::default() }),
        Err("too_long"),
        "all words count"
    );
}

#[test]
fn sealed_payloads() {
    assert_eq!(rules::request(&request(limits::SEALED_REQUEST_BYTES_MAX)), Ok(()));
    assert_eq!(rules::request(&request(limits::SEALED_REQUEST_BYTES_MAX + 1)).unwrap_err().code(), "too_long");
    let answer = |sealed| Answer { request: action(1), sealed: vec![0; sealed] };
    assert_eq!(rules::answer(&answer(limits::SEALED_ANSWER_BYTES_MAX)), Ok(()));
    assert_eq!(rules::answer(&answer(limits::SEALED_ANSWER_BYTES_MAX + 1)).unwrap_err().code(), "too_long");
}

#[test]
fn signals() {
    assert_eq!(signal::encoded_bytes(limits::SIGNAL_BYTES_MAX), Ok(()));
    assert_eq!(signal::encoded_bytes(limits::SIGNAL_BYTES_MAX + 1).unwrap_err().code(), "too_long");
    let chunk = |text: usize| {
        signal::bounds(&PeerSignal::Tokens(TokenChunk {
            id: RequestId([0; 16]),
            chunk: 0,
            text: "x".repeat(text),
            tokens: vec![],
            more: None,
        }))
    };
    let besides = |text: usize, reasoning: usize, tops: usize| {
        let one = TokenLogprob { token: 1, text: vec![], logprob_micro: 0 };
        let tokens = limits::CHUNK_LOGPROBS_MAX / 16;
        let logprobs = vec![TokenLogprobs { chosen: one.clone(), top: vec![one; tops] }; tokens];
        let more = ChunkMore { reasoning: "x".repeat(reasoning), tool_calls: vec![], logprobs };
        let (text, tokens, more) = ("x".repeat(text), vec![1; tokens], Some(Box::new(more)));
        signal::bounds(&PeerSignal::Tokens(TokenChunk { id: RequestId([0; 16]), chunk: 0, text, tokens, more }))
    };
    let half = limits::CHUNK_TEXT_BYTES_MAX / 2;
    assert_eq!(besides(half, half, 15), Ok(()));
    assert_eq!(besides(half, half + 1, 15).unwrap_err().code(), "too_long");
    assert_eq!(besides(1, 1, 16).unwrap_err().code(), "too_many");
    assert_eq!(chunk(limits::CHUNK_TEXT_BYTES_MAX), Ok(()));
    assert_eq!(chunk(limits::CHUNK_TEXT_BYTES_MAX + 1).unwrap_err().code(), "too_long");
    let to = |n| SendSignal { to: vec![agent(1); n], signal: PeerSignal::Cancel { id: RequestId([0; 16]) } };
    assert_eq!(signal::sending(&to(limits::SIGNAL_RECIPIENTS_MAX)), Ok(()));
    assert_eq!(signal::sending(&to(limits::SIGNAL_RECIPIENTS_MAX + 1)).unwrap_err().code(), "too_many");
    assert_eq!(signal::sending(&to(0)).unwrap_err().code(), "empty");
}

#[test]
fn most_models_fit_into_a_capability() {
    let model = |n: usize| ServedModel { spec: spec_ref(n as u8), tokens_per_s: 1 };
    let capability = |n| Capability {
        roles: vec![Role::Provider],
        sealing_key: Bytes32([1; 32]),
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: String::new(),
        models: (0..n).map(model).collect(),
        router: None,
        region: None,
    };
    assert_eq!(rules::capability(&capability(limits::CAPABILITY_MODELS_MAX)), Ok(()));
    let past = rules::capability(&capability(limits::CAPABILITY_MODELS_MAX + 1));
    assert_eq!(past.unwrap_err().code(), "too_many");
}

#[test]
fn the_largest_question_fits_into_a_signal_and_into_a_request() {
    let full = question("x".repeat(limits::PROMPT_BYTES_MAX), 1);
    let posted = PostedQuestion {
        id: RequestId([0; 16]),
        input: ChatInput { stop: vec!["x".repeat(limits::STOP_BYTES_MAX); limits::STOP_STRINGS_MAX], ..full },
        salt: Bytes32([0; 32]),
        session_key: Bytes32([0; 32]),
        audit: AuditTerms::default(),
        signature: Bytes64([0; 64]),
    };
    let bytes = encoded(&posted) + limits::SEALED_BYTES_MIN;
    assert!(bytes <= limits::SEALED_REQUEST_BYTES_MAX, "{bytes}");
    assert!(bytes + 128 <= limits::SIGNAL_BYTES_MAX);
    // As many messages as there may be, with as much text as there may be, still fit.
    let each = limits::PROMPT_BYTES_MAX / limits::CHAT_MESSAGES_MAX;
    let spread = PostedQuestion { input: question("x".repeat(each), limits::CHAT_MESSAGES_MAX), ..posted };
    let bytes = encoded(&spread) + limits::SEALED_BYTES_MIN;
    assert!(bytes <= limits::SEALED_REQUEST_BYTES_MAX, "{bytes}");
    assert!(bytes + 128 <= limits::SIGNAL_BYTES_MAX);
}

#[test]
fn codes_are_snake_case_and_every_breach_has_a_hint() {
    for breach in [Breach::NotProvider, Breach::Expired, Breach::ProofMismatch, Breach::Empty { what: "x" }] {
        assert!(breach.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert!(!breach.hint().is_empty());
    }
}

struct Always(Known);

impl judge::Records for Always {
    type Error = ();
    fn valid(&self, _: &ActionHash) -> Result<Known, ()> {
        Ok(self.0.clone())
    }
    fn anchor(&self, _: rules::Anchor) -> Result<EntryHash, ()> {
        Ok(EntryHash::from_raw_36(vec![1; 36]))
    }
    fn bucket(&self, _: &Topic, _: Place) -> Result<EntryHash, Self::Error> {
        Ok(EntryHash::from_raw_36(vec![0; 36]))
    }
    fn receipt(&self, _: &Bytes32) -> Result<EntryHash, ()> {
        Err(())
    }
    fn network(&self) -> Result<Network, judge::Refusal<()>> {
        Ok(Network::new(network::public("x"), "")?)
    }
}

/// Bytes that may or may not be something: whatever decodes is judged.
fn mangled(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    vec((any::<prop::sample::Index>(), any::<u8>()), 0..4).prop_map(move |changes| {
        let mut bytes = good.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

fn signal_bytes() -> Vec<u8> {
    holochain_serialized_bytes::encode(&PeerSignal::Ask(Ask {
        id: RequestId([0; 16]),
        spec: EntryHash::from_raw_36(vec![1; 36]),
        input: question("hello".into(), 2),
        salt: Bytes32([0; 32]),
        session_key: Bytes32([0; 32]),
        audit: AuditTerms::default(),
        signature: Bytes64([0; 64]),
    }))
    .unwrap()
}

proptest! {
    #[test]
    fn no_bytes_make_a_signal_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(signal) = holochain_serialized_bytes::decode::<_, PeerSignal>(&bytes) {
            let _ = signal::bounds(&signal);
        }
    }

    #[test]
    fn no_mangled_signal_panics(bytes in mangled(signal_bytes())) {
        if let Ok(PeerSignal::Ask(ask)) = holochain_serialized_bytes::decode::<_, PeerSignal>(&bytes) {
            let _ = chat::bounds(&ask.input);
            let commitment = commit::input(&ask.salt, &ask.input);
            ask::canonical(&ask.id, &ask.spec, &commitment, &ask.session_key, &ask.audit);
        }
    }

    #[test]
    fn no_mangled_request_panics(
        bytes in mangled(holochain_serialized_bytes::encode(&request(64)).unwrap()),
        now in any::<i64>(),
        n in any::<u8>(),
    ) {
        if let Ok(request) = holochain_serialized_bytes::decode::<_, Request>(&bytes) {
            let entry = AppEntry::Request(request);
            let known = Known { author: agent(n), content: Content::App(spec_ref(n).entry, entry.clone()) };
            let author = agent(n);
            let _ = judge::entry(judge::Header { author: &author, timestamp: now }, &entry, &Always(known));
        }
    }

    #[test]
    fn no_times_overflow(expires_at in any::<i64>(), now in any::<i64>()) {
        let request = Request { expires_at, ..request(64) };
        let open = i128::from(expires_at) - i128::from(now);
        let fits = open > 0 && open <= i128::from(limits::REQUEST_TTL_US_MAX);
        prop_assert_eq!(rules::request_time(&request, now).is_ok(), fits);
    }

    #[test]
    fn no_counts_overflow(count in any::<u32>(), prompt_tokens in any::<u64>(), completion_tokens in any::<u64>()) {
        let batch = ReceiptBatch {
            capability: action(1), spec: spec_ref(2), root: Bytes32([3; 32]), count, prompt_tokens, completion_tokens,
        };
        let _ = rules::receipt_batch(&batch);
    }

    #[test]
    fn every_field_of_a_receipt_counts(at in 0usize..12, n in 1u32..) {
        let good = Receipt {
            provider: agent(1), spec: spec_ref(2).entry, session_key: Bytes32([3; 32]), input: Bytes32([4; 32]),
            output: Bytes32([5; 32]), fingerprint: Bytes32([6; 32]), prompt_tokens: 0, completion_tokens: 0,
            finish: FinishReason::Stop, finished_at: 0, audit: AuditTerms::default(),
        };
        let mut other = good.clone();
        match at {
            0 => other.provider = agent(9),
            1 => other.spec = spec_ref(9).entry,
            2 => other.session_key = Bytes32([9; 32]),
            3 => other.input = Bytes32([9; 32]),
            4 => other.output = Bytes32([9; 32]),
            5 => other.fingerprint = Bytes32([9; 32]),
            6 => other.prompt_tokens = n,
            7 => other.completion_tokens = n,
            8 => other.finished_at = n.into(),
            9 => other.audit.challenge = Bytes32([9; 32]),
            10 => other.audit.rate_ppm = n,
            _ => other.audit.auditors_ppm = n,
        }
        prop_assert_ne!(receipt::canonical(&good), receipt::canonical(&other));
        let sign = |receipt| SignedReceipt { receipt, signature: Bytes64([7; 64]) };
        prop_assert_ne!(receipt::leaf(&sign(good)), receipt::leaf(&sign(other)));
    }
}

/// What everybody stores for an answer grows with these: a change here is a change of the network's growth.
#[test]
fn typical_entries_stay_small() {
    let spec = ModelSpec {
        name: "tiny-gemma".into(),
        quantization: "q8_0".into(),
        architecture: "gemma4".into(),
        gguf_hash: Bytes32([1; 32]),
        gguf_root: Bytes32([2; 32]),
        gguf_bytes: 3_000_000,
        tokenizer_hash: Bytes32([3; 32]),
        template_hash: Bytes32([4; 32]),
        sampler_version: 1,
        kv_type: KvType::F16,
        context_tokens: 2_048,
    };
    let capability = Capability {
        roles: vec![Role::Provider],
        sealing_key: Bytes32([1; 32]),
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: "avx2".into(),
        models: vec![ServedModel { spec: spec_ref(1), tokens_per_s: 100 }],
        router: None,
        region: None,
    };
    let posted = PostedQuestion {
        id: RequestId([0; 16]),
        input: question("x".repeat(100), 1),
        salt: Bytes32([0; 32]),
        session_key: Bytes32([0; 32]),
        audit: AuditTerms::default(),
        signature: Bytes64([0; 64]),
    };
    let sealed = encoded(&posted) + limits::SEALED_BYTES_MIN;
    let batch = ReceiptBatch {
        capability: action(1),
        spec: spec_ref(2),
        root: Bytes32([3; 32]),
        count: 100,
        prompt_tokens: 2_000,
        completion_tokens: 50_000,
    };
    let sizes = [
        ("model spec", encoded(&spec), 310),
        ("capability", encoded(&capability), 266),
        ("request of 100 bytes", encoded(&request(sealed)), 870),
        ("receipt batch", encoded(&batch), 245),
    ];
    for (what, size, most) in sizes {
        println!("{what}: {size} bytes");
        assert!(size <= most, "{what}: {size} bytes, more than {most}");
    }
}
