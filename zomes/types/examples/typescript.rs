//! Prints the TypeScript twin of this crate: every shape, every limit, every name. `cargo xtask gen` keeps the result.
//!
//! It must not decide anything: a type appears here because it exists there. Two checks make forgetting impossible:
//! a listed type may only refer to listed types, and each `pub const` of `limits.rs` must be listed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is all it does")]

use ainonymous_types::*;
use std::process::ExitCode;
use ts_rs::{Config, TS};

/// One declaration: its name, its text, and the names that it refers to.
struct Declaration {
    name: String,
    text: String,
    needs: Vec<String>,
}

/// Declares one type, with its documentation.
fn declare<T: TS + 'static>(config: &Config) -> Declaration {
    let docs = T::docs().map(|docs| format!("{}\n", docs.trim_end())).unwrap_or_default();
    Declaration {
        name: T::ident(config),
        text: tidy(&format!("{docs}export {}", T::decl(config))),
        needs: T::dependencies(config).into_iter().map(|dependency| dependency.ts_name).collect(),
    }
}

/// Puts each field on its own line, with its documentation in one comment before it.
fn tidy(text: &str) -> String {
    let mut out = String::new();
    let mut docs: Vec<&str> = Vec::new();
    let mut indent = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (line, line.strip_prefix('*')) {
            ("/**", _) => docs.clear(),
            ("*/", _) => out.push_str(&comment(indent, &docs)),
            (_, Some(text)) => docs.push(text.trim()),
            (_, None) => {
                match line.strip_suffix(", };") {
                    Some(last) => out.push_str(&format!("{indent}{last},\n}};\n")),
                    None => out.push_str(&format!("{indent}{line}\n")),
                }
                indent = "  ";
            }
        }
    }
    out
}

/// A documentation comment: on one line if it has one.
fn comment(indent: &str, lines: &[&str]) -> String {
    if let [line] = lines {
        return format!("{indent}/** {line} */\n");
    }
    let body: String = lines.iter().map(|line| format!("{}\n", format!("{indent} * {line}").trim_end())).collect();
    format!("{indent}/**\n{body}{indent} */\n")
}

macro_rules! declarations {
    ($config:expr; $($type:ty),* $(,)?) => { vec![$(declare::<$type>($config)),*] };
}

macro_rules! constants {
    ($($name:ident),* $(,)?) => { vec![$((stringify!($name), limits::$name.to_string())),*] };
}

fn main() -> ExitCode {
    let config = Config::new().with_large_int("number");
    let types = declarations! {
        &config;
        // Chat.
        ChatRole, ChatImage, ChatToolCall, MessageMore, ChatMessage, Sampling, ChatPrompt, ChatTool, ChatToolChoice,
        ChatConstraint, LogitBias, ChatAdjust, ChatMore, ChatInput, FinishReason, ToolCallBegin, ToolCallPiece,
        TokenLogprob, TokenLogprobs, ChunkMore,
        // Entries.
        KvType, ModelSpec, SpecRef, Role, Backend, ServedModel, RouterOffer, Capability, Request, Answer, ReceiptBatch,
        // Receipts.
        AuditTerms, Receipt, SignedReceipt, BatchProof,
        // Signals.
        Ask, TokenChunk, Done, RefuseReason, PeerSignal, LocalSignal,
        // Calls.
        ModelSpecRecord, CapabilityInput, ProviderRecord, SendSignal, RequestInput, PostedQuestion, OpenRequest,
        AnswerInput, PostedAnswer, ReceiptBatchRecord, AgentStanding,
        // Finding each other.
        Topic, Place, BucketQuery, BucketMember, PlacesInput, TopicDepth, OwnPlaces,
        // Audits.
        Statistics, Outcome, Verdict, AuditMode, AuditCommit, Share, Standing, OpenedLeaf, ReplayLeaf, Evidence,
        AuditReport, Accusation, Conviction, Appeal, Equivocation, AuditSubject, AuditQuery, Audited, Found<ts_rs::Dummy>,
        AuditPage<ts_rs::Dummy>,
    };
    let limits = constants! {
        MODEL_NAME_BYTES_MAX, QUANTIZATION_BYTES_MAX, ARCHITECTURE_BYTES_MAX, MODEL_FILE_BYTES_MAX,
        CONTEXT_TOKENS_MAX, CAPABILITY_MODELS_MAX, CAPABILITY_ROLES_MAX, CAPABILITY_ADDRESSES_MAX,
        ADDRESS_BYTES_MAX, ROUTER_ADDRESSES_MAX, REGION_BYTES_MAX, BACKEND_DETAIL_BYTES_MAX, TOKENS_PER_S_MAX,
        CHAT_MESSAGES_MAX, PROMPT_BYTES_MAX,
        STOP_STRINGS_MAX, STOP_BYTES_MAX, ANSWER_TOKENS_MAX, ANSWER_BYTES_MAX, TEMPERATURE_MILLI_MAX, SEED_MAX,
        TOP_K_MAX, TOOLS_MAX, TOOL_NAME_BYTES_MAX, TOOL_CALLS_MAX, TOOLS_BYTES_MAX, CONSTRAINT_BYTES_MAX, PENALTY_MILLI_MAX,
        LOGIT_BIASES_MAX, LOGIT_BIAS_MILLI_MAX, TOP_LOGPROBS_MAX, TOKEN_TEXT_BYTES_MAX, IMAGES_MAX, IMAGE_BYTES_MAX,
        SENT_IMAGES_BYTES_MAX, BEGUN_TOKENS_MAX, QUESTION_BYTES_MAX,
        SEALED_REQUEST_BYTES_MAX, SEALED_ANSWER_BYTES_MAX, SEALED_BYTES_MIN, REQUEST_TTL_US_MAX,
        BATCH_RECEIPTS_MAX, MERKLE_PATH_MAX, SIGNAL_BYTES_MAX, CHUNK_TEXT_BYTES_MAX, CHUNK_TOKENS_MAX,
        CHUNK_TOOL_CALLS_MAX, CHUNK_LOGPROBS_MAX, DETAIL_BYTES_MAX, SIGNAL_RECIPIENTS_MAX, ANSWER_CHUNKS_MAX,
        DURATION_US_MAX, TIMESTAMP_US_MAX, BUCKET_TAG_BYTES, BUCKET_DEPTH_MAX, BUCKET_LISTED_MAX, BUCKET_MEMBERS_MAX,
        LINK_RENEW_US, LINK_AGE_US_MAX, LINK_AHEAD_US_MAX, MODEL_SPECS_LISTED_MAX,
        OPEN_REQUESTS_MAX, NETWORK_NAME_BYTES_MAX, NETWORK_SEED_BYTES_MAX, FOUNDERS_MAX, WORK_BITS_MAX, JOININGS_FETCHED_MAX,
        MEMBERSHIP_PROOF_BYTES_MAX,
        SERVER_URL_BYTES_MAX, INVITE_TEXT_BYTES_MAX, FINGERPRINT_LIKELY_MAX, FINGERPRINT_WINDOW_TOKENS,
        FINGERPRINT_LEAF_BYTES_MAX, FINGERPRINT_SIXTEENTHS_MAX, AUDIT_WINDOW_US, EQUIVOCATION_APART_US_MAX,
        DELTA_SIXTEENTHS_MAX, MARGIN_1024THS_MAX,
        EVIDENCE_TOKENS_MAX, EVIDENCE_TEXT_BYTES_MAX, SHOWN_BYTES_MAX, SHOWN_TOKENS_MAX, SHOWN_AUDITORS_MAX,
        PPM_MAX, CLASS_BYTES_MAX, CALIBRATION_ROWS_MAX,
        CALIBRATION_BINS_MAX, CALIBRATION_ANSWERS_MIN, CALIBRATION_ANSWERS_MAX, STANDING_SHARES_MAX,
        ACCUSATION_REPORTS_MAX, CONVICTION_REPORTS_MAX, AUDITS_PAGE_MAX, AGREEMENT_ANSWERS_MAX,
    };

    let mut forgotten: Vec<String> = Vec::new();
    for needed in types.iter().flat_map(|declaration| &declaration.needs) {
        if needed != "Uint8Array" && !types.iter().any(|declaration| &declaration.name == needed) {
            forgotten.push(format!("type {needed}"));
        }
    }
    let source = include_str!("../src/limits.rs");
    for line in source.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = line.split(':').next().unwrap_or(line);
        if !limits.iter().any(|(listed, _)| *listed == name) {
            forgotten.push(format!("limit {name}"));
        }
    }
    if !forgotten.is_empty() {
        eprintln!("add to the lists in zomes/types/examples/typescript.rs: {}", forgotten.join(", "));
        return ExitCode::FAILURE;
    }

    println!("// Generated from zomes/types by `cargo xtask gen`. Do not edit.");
    println!("// Byte strings and Holochain hashes are `Uint8Array`; integers are `number`, exact up to 2^53 - 1.\n");
    for (name, value) in [
        ("ROLE_NAME", ROLE_NAME),
        ("COORDINATOR_ZOME", COORDINATOR_ZOME),
        ("INTEGRITY_ZOME", INTEGRITY_ZOME),
        ("APP_ID", APP_ID),
    ] {
        println!("export const {name} = {value:?};");
    }
    println!(
        "\n/** Every bound on what a peer or a user can send, with its unit in its name. */\nexport const limits = {{"
    );
    for (name, value) in &limits {
        println!("  {name}: {value},");
    }
    println!("}} as const;\n");
    println!("{}", types.iter().map(|declaration| declaration.text.as_str()).collect::<Vec<_>>().join("\n").trim_end());
    ExitCode::SUCCESS
}
