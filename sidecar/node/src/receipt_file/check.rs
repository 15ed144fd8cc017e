//! What can be told of a receipt file without a model and without a network: whether its parts fit together and who has signed what.
//!
//! Each part is looked at by itself, so that whatever was changed is named. What a file cannot prove is said as well.

use super::ReceiptFile;
use ainonymous_protocol::verify_ask;
use ainonymous_types::{Bytes32, EntryHash, ModelSpec, OpenedLeaf};
use ainonymous_verify::audit::{draw, fingerprint, leaf};
use ainonymous_verify::{chat, commit, merkle, receipt, signal};
use serde::Serialize;

/// One part of a file, looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which part: a stable name.
    pub part: &'static str,
    /// What was found.
    pub found: Found,
    /// In a sentence.
    pub sentence: String,
}

/// What was found of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It fits.
    Fits,
    /// It does not.
    DoesNotFit,
    /// It is not there, or cannot be told from a file.
    Unknown,
}

/// Looks at everything. `hash_of` gives the identity that the network has for a model spec.
pub fn check(file: &ReceiptFile, hash_of: impl Fn(&ModelSpec) -> Option<EntryHash>) -> Vec<Finding> {
    let said = &file.receipt.receipt;
    let commitment = commit::input(&file.salt, &file.question);
    let asked = verify_ask(&file.id, &said.spec, &said.input, &said.session_key, &said.audit, &file.signature);
    let mut output = commit::Output::new(&file.salt);
    output.push(&file.tokens, &file.text, file.more.as_deref());
    let bounds = chat::bounds(&file.question).and_then(|()| signal::receipt(&file.receipt));
    let mut findings = vec![
        part("bounds", bounds.is_ok(), "Question and receipt are within the bounds of the network.", || {
            format!(
                "Question or receipt break a bound of the network: {}.",
                bounds.as_ref().err().map_or(String::new(), ToString::to_string)
            )
        }),
        part("question", commitment == said.input, "The question is the one that the receipt binds to.", || {
            "The question is not the one that the receipt binds to: the question or its salt was changed.".into()
        }),
        part(
            "asked",
            asked.is_ok(),
            "The question, its id and its terms of audit are signed by the key that asked.",
            || "The key that asked has not signed this question, this id, this model and these terms of audit.".into(),
        ),
        part("answer", output.finish() == said.output, "The answer is the one that the receipt binds to.", || {
            "The answer is not the one that the receipt binds to: its tokens, text, thoughts or calls were changed."
                .into()
        }),
        counts(file),
        part(
            "signature",
            receipt::is_signed(&file.receipt),
            "The receipt is signed by the provider that it names.",
            || {
                "The receipt is not signed by the provider that it names: the receipt or the signature was changed."
                    .into()
            },
        ),
        part(
            "model",
            hash_of(&file.model).as_ref() == Some(&said.spec),
            "The model is the one that the receipt names.",
            || {
                "The model spec is not the one that the receipt names: its name, file, template or settings were changed.".into()
            },
        ),
        part(
            "secret",
            draw::challenge(&file.secret) == said.audit.challenge,
            "The secret is the one behind the receipt's challenge.",
            || "The secret is not the one behind the receipt's challenge.".into(),
        ),
    ];
    findings.push(begun(file));
    findings.push(batch(file));
    findings.push(shown(file));
    findings
}

/// Whether nothing is wrong.
pub fn all_fit(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.found != Found::DoesNotFit)
}

fn part(part: &'static str, fits: bool, good: &str, bad: impl FnOnce() -> String) -> Finding {
    let found = if fits { Found::Fits } else { Found::DoesNotFit };
    Finding { part, found, sentence: if fits { good.into() } else { bad() } }
}

fn unknown(part: &'static str, sentence: &str) -> Finding {
    Finding { part, found: Found::Unknown, sentence: sentence.into() }
}

fn counts(file: &ReceiptFile) -> Finding {
    let (stated, there) = (file.receipt.receipt.completion_tokens as usize, file.tokens.len());
    part("counts", stated == there, &format!("The receipt counts the {there} tokens that are there."), || {
        format!("The receipt counts {stated} tokens, and {there} are there.")
    })
}

fn begun(file: &ReceiptFile) -> Finding {
    let brought = file.question.more.as_deref().map_or(0, |more| more.begun.len());
    let named = file.begun_by.iter().fold(0usize, |sum, part| sum.saturating_add(part.tokens as usize));
    if file.begun_by.is_empty() && brought == 0 {
        return part("beginning", true, "Nobody else has begun the answer.", String::new);
    }
    // Whoever asks may bring a beginning of its own, of which no provider is named.
    let fits = named <= brought;
    part(
        "beginning",
        fits,
        &format!("The answer goes on behind {brought} tokens of which this receipt says nothing."),
        || format!("{named} tokens are said to be begun by others, and the question brings {brought}."),
    )
}

fn batch(file: &ReceiptFile) -> Finding {
    let Some(batch) = &file.batch else {
        return unknown("batch", "Where the receipt stands on the DHT is not in the file.");
    };
    let (leaf, index, count) = (receipt::leaf(&file.receipt), u64::from(batch.index), u64::from(batch.count));
    let fits = merkle::verify_path(&batch.root, &leaf, index, count, &batch.path).is_ok();
    let good = "The receipt's path leads to the root of a batch. That this batch stands on the DHT under the action that is named \
                only a node can tell.";
    part("batch", fits, good, || {
        "The receipt's path does not lead to the root of its batch: the path, its place or the root was changed.".into()
    })
}

/// The fingerprint against receipt and answer.
fn shown(file: &ReceiptFile) -> Finding {
    let named = file.receipt.receipt.fingerprint;
    let Some(leaves) = &file.fingerprint else {
        return unknown(
            "fingerprint",
            match named == Bytes32([0; 32]) {
                true => "The provider has recorded no fingerprint.",
                false => "The provider has recorded a fingerprint, which was not opened.",
            },
        );
    };
    let tokens: Vec<u32> = leaves.iter().flat_map(|leaf| leaf.tokens.iter().copied()).collect();
    let whole = |leaf: &OpenedLeaf| fingerprint::decode(&leaf.body).is_ok_and(|body| body.len() == leaf.tokens.len());
    let fits = leaf::fingerprint(leaves) == named && tokens == file.tokens && leaves.iter().all(whole);
    part("fingerprint", fits, "The fingerprint is the one that the receipt names, and it is of these tokens.", || {
        "The fingerprint is not the one that the receipt names, or not of these tokens.".into()
    })
}
