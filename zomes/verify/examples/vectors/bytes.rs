//! Commitments, receipts and trees: which bytes, which hashes.

use super::fixtures::{agent, b32, batch, chat, entry_hash, everything, receipt, spoken, with};
use super::{computed, stated};
use ainonymous_types::*;
use ainonymous_verify::vectors::{AskCase, BatchCase, File, GrantCase, InputCase, LeavesCase, OutputCase, PathCase};
use ainonymous_verify::{commit, merkle as tree, receipt as statement};

pub(crate) fn commitments() -> File {
    let input =
        |name: &str, salt: u8, input: ChatInput| computed(name, "commit.input", &InputCase { salt: b32(salt), input });
    let said = |name: &str, tokens: &[u32], text: &str, more| {
        computed(name, "commit.output", &OutputCase { salt: b32(9), tokens: tokens.into(), text: text.into(), more })
    };
    let output = |name: &str, tokens: &[u32], text: &str| said(name, tokens, text, None);
    let more = |name: &str, spoil: &dyn Fn(&mut ChatMore)| {
        input(name, 9, with(everything(), |c| spoil(c.more.as_deref_mut().unwrap())))
    };
    let beside = |name: &str, spoil: &dyn Fn(&mut MessageMore)| {
        input(name, 9, with(everything(), |c| spoil(c.messages[1].more.as_deref_mut().unwrap())))
    };
    let ask = AskCase {
        id: RequestId([5; 16]),
        spec: entry_hash(20),
        commitment: commit::input(&b32(9), &chat()),
        session_key: b32(0x51),
        audit: AuditTerms { challenge: b32(0x53), rate_ppm: 20_000, auditors_ppm: 200_000 },
    };
    let unaudited = AskCase { audit: AuditTerms::default(), ..ask.clone() };
    let minimal = ChatInput {
        messages: vec![ChatMessage::new(ChatRole::User, "hi")],
        sampling: Sampling { temperature_milli: 0, top_p_milli: 1_000, min_p_milli: 0, top_k: 0, seed: 0 },
        max_tokens: 0,
        stop: vec![],
        more: None,
    };
    let cases = vec![
        input("a question", 9, chat()),
        input("another salt", 10, chat()),
        input("another seed", 9, with(chat(), |c| c.sampling.seed = 43)),
        input("the largest seed", 9, with(chat(), |c| c.sampling.seed = limits::SEED_MAX)),
        input("roles count", 9, with(chat(), |c| c.messages[0].role = ChatRole::Assistant)),
        input("no stop texts", 9, with(chat(), |c| c.stop.clear())),
        input("the least that can be asked", 9, minimal),
        input("a question with everything", 9, everything()),
        beside("another image", &|m| m.images[0].file[0] = 1),
        beside("an image at another place", &|m| m.images[0].at = 3),
        beside("another thought before", &|m| m.reasoning = None),
        beside("other arguments of a call", &|m| m.tool_calls[0].arguments = "{}".into()),
        beside("a call's result", &|m| m.tool_call_id = Some("call_1".into())),
        beside("a tool's name", &|m| m.name = None),
        more("a prompt of text", &|m| m.prompt = Some(ChatPrompt::Text("2+2=".into()))),
        more("a prompt of tokens", &|m| m.prompt = Some(ChatPrompt::Tokens(vec![2, 818]))),
        more("another tool", &|m| m.tools[0].parameters = "{}".into()),
        more("a tool without a word", &|m| m.tools[0].description = None),
        more("no tool may be called", &|m| m.tool_choice = ChatToolChoice::None),
        more("a tool must be called", &|m| m.tool_choice = ChatToolChoice::Required),
        more("this tool must be called", &|m| m.tool_choice = ChatToolChoice::Named("weather".into())),
        more("one call at a time", &|m| m.parallel_tool_calls = false),
        more("without a thought", &|m| m.thinking = Some(false)),
        more("as the template thinks", &|m| m.thinking = None),
        more("other variables", &|m| m.template_arguments.clear()),
        more("nothing adjusted", &|m| m.adjust = None),
        more("a bonus", &|m| m.adjust.as_mut().unwrap().presence_milli = -1),
        more("another bias", &|m| m.adjust.as_mut().unwrap().bias[0].bias_milli = 5),
        more("any text", &|m| m.constraint = None),
        more("any object", &|m| m.constraint = Some(ChatConstraint::JsonObject)),
        more("a regular expression", &|m| m.constraint = Some(ChatConstraint::Regex("a+".into()))),
        more("a grammar of Lark", &|m| m.constraint = Some(ChatConstraint::Lark("start: /a+/".into()))),
        more("a grammar of llama.cpp", &|m| m.constraint = Some(ChatConstraint::Gbnf("root ::= \"a\"".into()))),
        more("a choice", &|m| m.constraint = Some(ChatConstraint::Choice(vec!["yes".into(), "no".into()]))),
        more("the token's probability alone", &|m| m.logprobs = Some(0)),
        more("no probabilities", &|m| m.logprobs = None),
        more("without an end", &|m| m.ignore_end = true),
        more("another beginning", &|m| m.begun.push(1)),
        output("an answer", &[818, 5279, 529, 7001, 563, 9079, 236761, 106], "The capital of France is Paris."),
        output("the same text from other tokens", &[818, 5279], "The capital of France is Paris."),
        output("no answer at all", &[], ""),
        said("thoughts and calls", &[818, 5279], "It rains.", Some(spoken())),
        said("probabilities do not count", &[818, 5279], "It rains.", Some(with(spoken(), |m| m.logprobs.clear()))),
        said("another thought", &[818, 5279], "It rains.", Some(with(spoken(), |m| m.reasoning.push('!')))),
        said("another call", &[818, 5279], "It rains.", Some(with(spoken(), |m| m.tool_calls[0].index = 1))),
        output("beyond ASCII", &[u32::MAX], "Zu\u{308}rich \u{1f1e8}\u{1f1ed}"),
        computed("what the session key signs", "ask.canonical", &ask),
        computed("the same without an audit", "ask.canonical", &unaudited),
    ];
    File {
        about: "Commitments to questions and answers, and what a session key signs.".into(),
        records: serde_json::Value::Null,
        cases,
    }
}

pub(crate) fn receipts() -> File {
    let finish = |finish| with(receipt(1), |r| r.receipt.finish = finish);
    let receipts: Vec<_> = (1..=5).map(receipt).collect();
    let leaves: Vec<_> = receipts.iter().map(statement::leaf).collect();
    let in_batch = |index: u32| BatchCase {
        signed: receipts[index as usize].clone(),
        proof: BatchProof {
            batch: super::fixtures::action(60),
            index,
            path: tree::path(&leaves, index as usize).unwrap(),
        },
        batch: with(batch(), |b| {
            b.root = tree::root(&leaves).unwrap();
            b.count = 5;
        }),
    };
    let granted = |auditor| GrantCase { signed: receipt(1), auditor, until: 1_700_000_600_000_000 };
    let proof = |name: &str, case: BatchCase, expected: &str| stated(name, "receipt.in_batch", &case, expected);
    let cases = vec![
        computed("a receipt", "receipt.canonical", &receipt(1).receipt),
        computed("ended by length", "receipt.canonical", &finish(FinishReason::Length).receipt),
        computed("cancelled", "receipt.canonical", &finish(FinishReason::Cancelled).receipt),
        computed("another provider", "receipt.canonical", &with(receipt(1), |r| r.receipt.provider = agent(1)).receipt),
        computed("its leaf", "receipt.leaf", &receipt(1)),
        computed("the signature counts", "receipt.leaf", &with(receipt(1), |r| r.signature = Bytes64([0; 64]))),
        computed("what it answers", "receipt.question", &receipt(1).receipt),
        computed(
            "another answer to it",
            "receipt.question",
            &with(receipt(1), |r| r.receipt.output.0 = [9; 32]).receipt,
        ),
        computed(
            "to be judged by other dice",
            "receipt.question",
            &with(receipt(1), |r| r.receipt.audit.challenge = Bytes32([9; 32])).receipt,
        ),
        computed("the requester may see its fingerprint", "grant.canonical", &granted(None)),
        computed("an auditor may see it", "grant.canonical", &granted(Some(agent(3)))),
        proof("first of five", in_batch(0), "ok"),
        proof("last of five", in_batch(4), "ok"),
        proof("a receipt that is not in the batch", with(in_batch(2), |c| c.signed = receipt(9)), "proof_mismatch"),
        proof("at another place", with(in_batch(2), |c| c.proof.index = 3), "proof_mismatch"),
        proof("past the end", with(in_batch(4), |c| c.proof.index = 5), "proof_mismatch"),
        proof("a batch of another size", with(in_batch(2), |c| c.batch.count = 6), "proof_mismatch"),
        proof("a batch of another spec", with(in_batch(2), |c| c.batch.spec.entry = entry_hash(21)), "hash_mismatch"),
    ];
    File {
        about: "Receipts as they are signed, and where they stand in a batch.".into(),
        records: serde_json::Value::Null,
        cases,
    }
}

pub(crate) fn merkle() -> File {
    let leaves = |n: u8| (1..=n).map(b32).collect::<Vec<_>>();
    let of = |n: u8, index: u32| LeavesCase { leaves: leaves(n), index };
    let mut cases = Vec::new();
    for n in [0, 1, 2, 3, 4, 5, 7, 8, 9] {
        cases.push(computed(&format!("root over {n} leaves"), "merkle.root", &of(n, 0)));
    }
    for (n, index) in [(1, 0), (3, 2), (5, 4), (7, 5), (8, 3), (8, 8)] {
        cases.push(computed(&format!("path of leaf {index} of {n}"), "merkle.path", &of(n, index)));
    }
    let proved = || PathCase {
        root: tree::root(&leaves(5)).unwrap(),
        leaf: b32(4),
        index: 3,
        count: 5,
        path: tree::path(&leaves(5), 3).unwrap(),
    };
    let mut proof = |name: &str, case: PathCase, expected: &str| {
        cases.push(stated(name, "merkle.verify_path", &case, expected));
    };
    proof("a path that leads to the root", proved(), "ok");
    proof("another leaf", with(proved(), |c| c.leaf = b32(5)), "proof_mismatch");
    proof("another root", with(proved(), |c| c.root = b32(0)), "proof_mismatch");
    proof("another index", with(proved(), |c| c.index = 2), "proof_mismatch");
    proof("another count", with(proved(), |c| c.count = 4), "proof_mismatch");
    proof("no leaves", with(proved(), |c| c.count = 0), "proof_mismatch");
    proof("a path too short", with(proved(), |c| c.path.truncate(2)), "proof_mismatch");
    proof("a path too long", with(proved(), |c| c.path.push(b32(0))), "proof_mismatch");
    for bytes in [0u32, 1, 1 << 20, (1 << 20) + 1] {
        cases.push(computed(&format!("root over a file of {bytes} bytes"), "chunks.root", &bytes));
    }
    File { about: "Merkle trees over leaves and over files.".into(), records: serde_json::Value::Null, cases }
}
