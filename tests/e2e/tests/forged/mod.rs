//! Receipt files by a provider that computes with one model and claims another: everything in them fits and is signed.

use ainonymous_e2e::binary;
use ainonymous_engine::{evidence, Engine as _, EngineOptions, Event, LlamaEngine, Question, WorkerCommand};
use ainonymous_models::hash_file;
use ainonymous_node::receipt_file::{ReceiptFile, FORMAT, VERSION};
use ainonymous_node::spec_entry;
use ainonymous_types::{
    AgentPubKey, AuditTerms, Bytes32, Bytes64, ChatInput, ChatMessage, ChatRole, KvType, ModelSpec, Receipt, RequestId,
    Sampling, SignedReceipt,
};
use ainonymous_verify::audit::{draw, leaf};
use ainonymous_verify::{ask, commit, receipt};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

const SECRET: Bytes32 = Bytes32([5; 32]);
const SALT: Bytes32 = Bytes32([9; 32]);
const ID: RequestId = RequestId([7; 16]);

/// An answer that was computed with one file, and is said to be of another.
pub(crate) async fn file(computed: &Path, claimed: &Path, seed: u64) -> ReceiptFile {
    let worker = WorkerCommand { program: binary(), args: vec!["worker".into()] };
    let options = EngineOptions { context_tokens: Some(512), slots: 1, ..EngineOptions::new(computed) };
    let engine = LlamaEngine::load(worker, options, CancellationToken::new()).await.expect("an engine");
    let messages = vec![ChatMessage::new(ChatRole::User, "Tell me a story.")];
    let sampling = Sampling { seed, top_k: 0, top_p_milli: 1_000, ..Sampling::default() };
    let question = ChatInput { messages, sampling, max_tokens: 96, ..ChatInput::default() };
    let asked = Question { fingerprint: true, ..Question::try_from(question.clone()).expect("a question") };
    let mut events = engine.generate(asked).expect("an answer").events;
    let (mut tokens, mut text, mut found) = (Vec::new(), String::new(), Vec::new());
    let finished = loop {
        match events.recv().await.expect("an end") {
            Event::Token { id, text: piece, more } => {
                tokens.push(id);
                text.push_str(&piece);
                found.extend(more.and_then(|more| more.fingerprint));
            }
            Event::Finished(finished) => break finished,
            Event::Failed(error) => panic!("{error}"),
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    };
    let info = engine.info().clone();
    engine.shutdown().await;
    let hashes = hash_file(claimed, &mut |_, _| true).expect("hashes");
    let model = ModelSpec {
        name: "tiny-gemma".into(),
        quantization: "q8_0".into(),
        architecture: info.architecture,
        gguf_hash: hashes.gguf_hash,
        gguf_root: hashes.gguf_root,
        gguf_bytes: hashes.gguf_bytes,
        tokenizer_hash: info.tokenizer_hash,
        template_hash: info.template_hash,
        sampler_version: ainonymous_engine::SAMPLER_VERSION,
        kv_type: KvType::F16,
        context_tokens: 512,
    };
    let leaves = evidence::opened(&Bytes32([8; 32]), &tokens, &found).expect("a fingerprint");
    let (provider, session) = (SigningKey::from_bytes(&[3; 32]), SigningKey::from_bytes(&[1; 32]));
    let audit = AuditTerms { challenge: draw::challenge(&SECRET), rate_ppm: 0, auditors_ppm: 0 };
    let spec = spec_entry(&model).expect("a spec");
    let (input, session_key) = (commit::input(&SALT, &question), Bytes32(session.verifying_key().to_bytes()));
    let statement = Receipt {
        provider: AgentPubKey::from_raw_36([&provider.verifying_key().to_bytes()[..], &[0; 4]].concat()),
        spec: spec.clone(),
        session_key,
        input,
        output: commit::output(&SALT, &tokens, &text),
        fingerprint: leaf::fingerprint(&leaves),
        prompt_tokens: finished.prompt_tokens,
        completion_tokens: finished.completion_tokens,
        finish: finished.finish,
        finished_at: 1_700_000_000_000_000,
        audit,
    };
    let signature = Bytes64(provider.sign(&receipt::canonical(&statement)).to_bytes());
    ReceiptFile {
        format: FORMAT.into(),
        version: VERSION,
        about: String::new(),
        id: ID,
        model,
        question,
        salt: SALT,
        signature: Bytes64(session.sign(&ask::canonical(&ID, &spec, &input, &session_key, &audit)).to_bytes()),
        secret: SECRET,
        begun_by: vec![],
        tokens,
        text,
        more: None,
        receipt: SignedReceipt { receipt: statement, signature },
        batch: None,
        fingerprint: Some(leaves),
    }
}

/// Prepares a node's folder so that it serves one model under the name and the hashes of another: a copy of `computed` that says that
/// it is quantised like `claimed` and is as long, and a cache of hashes that lies.
pub(crate) fn under_anothers_name(folder: &Path, computed: &Path, claimed: &Path) -> PathBuf {
    const KEY: &[u8] = b"general.file_type";
    let read = |path: &Path| std::fs::read(path).expect("a model");
    let place = |bytes: &[u8]| bytes.windows(KEY.len()).position(|some| some == KEY).expect("a key") + KEY.len() + 4;
    let (mut copy, original) = (read(computed), read(claimed));
    let (at, from) = (place(&copy), place(&original));
    copy[at..at + 4].copy_from_slice(&original[from..from + 4]);
    copy.resize(original.len().max(copy.len()), 0);
    let (file, data) = (folder.join("model.gguf"), folder.join("data"));
    std::fs::write(&file, &copy).expect("a model");
    std::fs::create_dir_all(&data).expect("a folder");
    let (file, metadata) = (file.canonicalize().expect("a path"), std::fs::metadata(&file).expect("a file"));
    let nanos = |seconds: i64, nanos: i64| seconds * 1_000_000_000 + nanos;
    let hashes = hash_file(claimed, &mut |_, _| true).expect("hashes");
    let cache = json!({ "version": 1, "entries": [{
        "file": file,
        "identity": {
            "bytes": metadata.len(),
            "modified_ns": nanos(metadata.mtime(), metadata.mtime_nsec()),
            "changed_ns": nanos(metadata.ctime(), metadata.ctime_nsec()),
            "number": metadata.ino(),
        },
        "gguf_hash": hashes.gguf_hash.to_hex(),
        "gguf_root": hashes.gguf_root.to_hex(),
    }] });
    std::fs::write(data.join("hashes.json"), cache.to_string()).expect("a cache");
    file
}
