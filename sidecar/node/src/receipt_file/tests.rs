//! Every field of a receipt file is changed in turn, and what does not fit any more is named.

use super::check::{all_fit, check, Found};
use super::*;
use crate::evidence::Secrets;
use crate::Hiding;
use ainonymous_protocol::{Answering, AskedOf, Recording};
use ainonymous_types::{
    AuditTerms, ChatMessage, ChatRole, EntryHash, FinishReason, KvType, Likely, ReceiptBatch, Sampling, SpecRef,
    TokenChunk,
};
use ainonymous_verify::audit::draw;
use ainonymous_verify::{commit, merkle, receipt};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{json, Value};
use sha2::{Digest, Sha256};

const PROMPT: &str = "What is the capital of France?";
const SESSION: Bytes32 = Bytes32([0x51; 32]);
const SECRET: Bytes32 = Bytes32([5; 32]);
const SALT: Bytes32 = Bytes32([9; 32]);

fn model() -> ModelSpec {
    ModelSpec {
        name: "tiny-gemma".into(),
        quantization: "q8_0".into(),
        architecture: "gemma4".into(),
        gguf_hash: Bytes32([1; 32]),
        gguf_root: Bytes32([2; 32]),
        gguf_bytes: 1_000,
        tokenizer_hash: Bytes32([3; 32]),
        template_hash: Bytes32([4; 32]),
        sampler_version: 1,
        kv_type: KvType::F16,
        context_tokens: 512,
    }
}

/// Not the network's hash of a spec, but one that is as good here.
fn hash_of(model: &ModelSpec) -> Option<EntryHash> {
    let hash = Sha256::digest(rmp_serde::to_vec_named(model).unwrap());
    Some(EntryHash::from_raw_36([&hash[..], &[0; 4]].concat()))
}

fn question() -> ChatInput {
    let messages = vec![ChatMessage::new(ChatRole::System, "0x00"), ChatMessage::new(ChatRole::User, PROMPT)];
    ChatInput {
        messages,
        sampling: Sampling { seed: 7, ..Sampling::default() },
        max_tokens: 40,
        ..ChatInput::default()
    }
}

fn chunk() -> TokenChunk {
    let tokens: Vec<u32> = (0..40).collect();
    let more = ChunkMore { reasoning: "Easy.".into(), ..ChunkMore::default() };
    TokenChunk { id: RequestId([7; 16]), chunk: 0, text: "Paris.".into(), tokens, more: Some(Box::new(more)) }
}

/// An honest file.
pub(super) fn file() -> ReceiptFile {
    let provider = SigningKey::from_bytes(&[3; 32]);
    let agent = AgentPubKey::from_raw_36([&provider.verifying_key().to_bytes()[..], &[0; 4]].concat());
    let (id, spec) = (RequestId([7; 16]), hash_of(&model()).unwrap());
    let audit = AuditTerms { challenge: draw::challenge(&SECRET), rate_ppm: 20_000, auditors_ppm: 5 };
    let commitment = commit::input(&SALT, &question());
    let (session_key, _) = sign_ask(&SESSION.0, &id, &spec, &commitment, &audit);
    let asked = AskedOf { id, spec: spec.clone(), session_key, salt: SALT, commitment, audit };
    let mut answering = Answering::new(asked, ainonymous_protocol::timing::DIRECT, 0);
    let mut recording = Recording::new(Bytes32([8; 32]));
    let (said, more) = (chunk(), chunk().more.map(|more| *more));
    for (at, token) in said.tokens.iter().enumerate() {
        let first = at == 0;
        answering.on_token(*token, if first { &said.text } else { "" }, more.clone().filter(|_| first), 0);
        recording.push(*token, Some(vec![Likely { id: *token, minus_sixteenths: 1 }]));
    }
    let recorded = recording.finish().unwrap();
    let end = ainonymous_protocol::AnswerEnd {
        finish: FinishReason::Stop,
        prompt_tokens: 12,
        cached_tokens: 0,
        stopped_by: None,
        finished_at: 1_700_000_000_000_000,
        fingerprint: recorded.root,
        decode_us: 0,
    };
    let (_, statement) = answering.finish(agent, end, 0);
    let signature = Bytes64(provider.sign(&receipt::canonical(&statement)).to_bytes());
    let signed = SignedReceipt { receipt: statement, signature };
    let leaves = [Bytes32([6; 32]), receipt::leaf(&signed), Bytes32([7; 32])];
    let action = ActionHash::from_raw_36(vec![4; 36]);
    let batch = ReceiptBatch {
        capability: action.clone(),
        spec: SpecRef { entry: spec.clone(), action: action.clone() },
        root: merkle::root(&leaves).unwrap(),
        count: 3,
        prompt_tokens: 36,
        completion_tokens: 120,
    };
    let proof = BatchProof { batch: action.clone(), index: 1, path: merkle::path(&leaves, 1).unwrap() };
    let mut own = Said::default();
    own.push(&said);
    let mut answer = Answered::new(own, signed, &[]);
    (answer.batch, answer.opened) = (Some(Batch::new(&proof, &batch)), Some(recorded.leaves));
    assert_eq!(answer.batch.as_ref().unwrap().proof(), proof);
    let asked = Asked {
        id: RequestId([2; 16]),
        request: id,
        input: question(),
        salt: SALT,
        secrets: Secrets { session: SESSION, audit: SECRET },
        spec: SpecRef { entry: spec, action },
        model: Some(model()),
        hide: Hiding::No,
        known: false,
        answer: Some(answer),
    };
    ReceiptFile::of(asked).unwrap()
}

fn wrong(file: &ReceiptFile) -> Vec<&'static str> {
    let findings = check(file, hash_of);
    assert!(findings.iter().all(|finding| finding.sentence.ends_with('.')), "{findings:?}");
    findings.into_iter().filter(|finding| finding.found == Found::DoesNotFit).map(|finding| finding.part).collect()
}

#[test]
fn an_honest_file_fits_and_comes_back_as_it_was_written() {
    let file = file();
    let findings = check(&file, hash_of);
    assert!(findings.iter().all(|finding| finding.found == Found::Fits), "{findings:?}");
    let text = file.to_text();
    assert_eq!(ReceiptFile::parse(text.as_bytes()).unwrap(), file);
    assert!(text.contains(PROMPT) && text.contains("contains the whole question"), "it says what it contains");
    let session = hex::encode(SESSION.0);
    assert!(!text.contains(&session), "the key that signs stays at home");
    assert_eq!(format!("{file:?}"), format!("ReceiptFile({})", file.id));
}

#[test]
fn each_change_is_named() {
    type Change = (&'static str, fn(&mut ReceiptFile), &'static [&'static str]);
    let changes: [Change; 33] = [
        ("id", |f| f.id.0[0] ^= 1, &["asked"]),
        ("model name", |f| f.model.name.push('x'), &["model"]),
        ("quantisation", |f| f.model.quantization = "q4_0".into(), &["model"]),
        ("architecture", |f| f.model.architecture.push('x'), &["model"]),
        ("file", |f| f.model.gguf_hash.0[0] ^= 1, &["model"]),
        ("file's tree", |f| f.model.gguf_root.0[0] ^= 1, &["model"]),
        ("file's length", |f| f.model.gguf_bytes += 1, &["model"]),
        ("tokenizer", |f| f.model.tokenizer_hash.0[0] ^= 1, &["model"]),
        ("template", |f| f.model.template_hash.0[0] ^= 1, &["model"]),
        ("sampler", |f| f.model.sampler_version += 1, &["model"]),
        ("cache", |f| f.model.kv_type = KvType::Q8_0, &["model"]),
        ("context", |f| f.model.context_tokens += 1, &["model"]),
        ("question", |f| f.question.messages[1].content.push('?'), &["question"]),
        ("settings", |f| f.question.sampling.seed += 1, &["question"]),
        ("salt", |f| f.salt.0[0] ^= 1, &["question", "answer"]),
        ("signature of the question", |f| f.signature.0[0] ^= 1, &["asked"]),
        ("secret", |f| f.secret.0[0] ^= 1, &["secret"]),
        (
            "a beginning",
            |f| f.begun_by.push(Beginner { provider: f.receipt.receipt.provider.clone(), tokens: 1 }),
            &["beginning"],
        ),
        ("a token", |f| f.tokens[3] += 1, &["answer", "fingerprint"]),
        ("a token more", |f| f.tokens.push(1), &["answer", "counts", "fingerprint"]),
        ("text", |f| f.text.push('!'), &["answer"]),
        ("thoughts", |f| f.more = None, &["answer"]),
        ("output", |f| f.receipt.receipt.output.0[0] ^= 1, &["answer", "signature", "batch"]),
        ("counts", |f| f.receipt.receipt.prompt_tokens += 1, &["signature", "batch"]),
        ("end", |f| f.receipt.receipt.finish = FinishReason::Length, &["signature", "batch"]),
        ("time", |f| f.receipt.receipt.finished_at += 1, &["signature", "batch"]),
        ("rate", |f| f.receipt.receipt.audit.rate_ppm += 1, &["asked", "signature", "batch"]),
        ("signature", |f| f.receipt.signature.0[0] ^= 1, &["signature", "batch"]),
        ("batch's root", |f| f.batch.as_mut().unwrap().root.0[0] ^= 1, &["batch"]),
        ("batch's count", |f| f.batch.as_mut().unwrap().count = 2, &["batch"]),
        ("place in the batch", |f| f.batch.as_mut().unwrap().index = 0, &["batch"]),
        ("path", |f| f.batch.as_mut().unwrap().path[0].0[0] ^= 1, &["batch"]),
        ("fingerprint", |f| f.fingerprint.as_mut().unwrap()[1].body[3] ^= 1, &["fingerprint"]),
    ];
    for (what, change, expected) in changes {
        let mut changed = file();
        change(&mut changed);
        assert_eq!(wrong(&changed), expected, "{what}");
        assert!(!all_fit(&check(&changed, hash_of)), "{what}");
    }
    for (name, value) in file_fields() {
        // Every field of the file is in the table, or said to be beyond a file's reach.
        let known =
            ["format", "version", "about", "id", "model", "question", "salt", "signature", "secret", "begun_by"];
        let known = [&known[..], &["tokens", "text", "more", "receipt", "batch", "fingerprint"]].concat();
        assert!(known.contains(&name.as_str()), "a new field {name}: {value}");
    }
}

fn file_fields() -> serde_json::Map<String, Value> {
    let value: Value = serde_json::from_str(&file().to_text()).unwrap();
    value.as_object().unwrap().clone()
}

#[test]
fn what_a_file_cannot_tell_is_said_and_what_is_missing_is_not_wrong() {
    let mut bare = file();
    (bare.batch, bare.fingerprint) = (None, None);
    let findings = check(&bare, hash_of);
    let unknown: Vec<_> = findings.iter().filter(|f| f.found == Found::Unknown).map(|f| f.part).collect();
    assert_eq!(unknown, ["batch", "fingerprint"]);
    assert!(all_fit(&findings));
    let findings = check(&file(), hash_of);
    let batch = findings.iter().find(|finding| finding.part == "batch").unwrap();
    assert!(batch.sentence.contains("only a node can tell"), "the action is not checked, and that is said");
    assert_eq!(wrong(&file()), Vec::<&str>::new());
    let unspecified = check(&file(), |_| None);
    assert!(!all_fit(&unspecified), "a model whose hash cannot be computed does not pass");
}

#[test]
fn what_is_no_such_file_is_refused_by_name() {
    let with = |name: &str, value: Value| {
        let mut fields = file_fields();
        fields.insert(name.into(), value);
        serde_json::to_vec(&fields).unwrap()
    };
    let code = |bytes: &[u8]| ReceiptFile::parse(bytes).unwrap_err().code();
    assert_eq!(code(b"not JSON"), "not_a_receipt_file");
    assert_eq!(code(b"{}"), "not_a_receipt_file");
    assert_eq!(code(&with("format", json!("something"))), "not_a_receipt_file");
    assert_eq!(code(&with("version", json!(VERSION + 1))), "receipt_file_version");
    assert_eq!(code(&with("extra", json!(1))), "not_a_receipt_file", "a field that nobody checks");
    assert_eq!(code(&with("salt", json!({ "hex": "0g" }))), "not_a_receipt_file");
    assert_eq!(code(&with("salt", json!({ "hex": "00" }))), "not_a_receipt_file", "too short");
    assert_eq!(code(&with("tokens", json!([1.5]))), "not_a_receipt_file");
    let deep = format!("{{\"format\":\"{FORMAT}\",\"version\":1,\"about\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(code(deep.as_bytes()), "not_a_receipt_file");
    let mut cut = file_fields();
    cut.remove("receipt");
    assert_eq!(code(&serde_json::to_vec(&cut).unwrap()), "not_a_receipt_file");
    assert_eq!(code(&vec![b' '; FILE_BYTES_MAX + 1]), "receipt_file_too_large");
}
