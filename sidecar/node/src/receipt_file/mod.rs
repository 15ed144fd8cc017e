//! A receipt for people: one file that says everything about one answer, to be checked anywhere, without this node.
//!
//! It contains question and answer in full, and the secret behind the receipt's challenge; it contains no key that signs. What is in it and
//! how it is written stands here, what is wrong with one in [`check`], what a model says of it in [`replay`].

pub mod check;
mod json;
pub mod replay;
#[cfg(test)]
mod tests;

use crate::evidence::{Answered, Asked, Said};
use ainonymous_protocol::sign_ask;
use ainonymous_types::limits::QUESTION_BYTES_MAX;
use ainonymous_types::{
    ActionHash, AgentPubKey, BatchProof, Bytes32, Bytes64, ChatInput, ChunkMore, ModelSpec, OpenedLeaf, ReceiptBatch,
    RequestId, SignedReceipt,
};
use serde::{Deserialize, Serialize};

/// What a file of this kind says it is.
pub const FORMAT: &str = "ainonymous-receipt";
/// Version of the format: of the fields, and of what must fit what.
pub const VERSION: u32 = 1;
/// Largest file that is read: bytes are written with two characters each, and a fingerprint comes besides.
pub const FILE_BYTES_MAX: usize = 6 * QUESTION_BYTES_MAX;
/// What every file says of itself, to whoever opens it in an editor.
const ABOUT: &str = "One answer and its provider's signed receipt. This file contains the whole question and the whole answer: whoever has \
                     it can read them. Check it with `ainonymous verify FILE`.";

/// One answer with all that is needed to check it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFile {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// For people; nothing is checked against it.
    pub about: String,
    /// The question's id, which its signature covers.
    pub id: RequestId,
    /// The model that was asked for; its hash is in the receipt.
    pub model: ModelSpec,
    /// The whole question.
    pub question: ChatInput,
    /// Salt of the commitments to question and answer.
    pub salt: Bytes32,
    /// Signature over the question by the receipt's session key.
    pub signature: Bytes64,
    /// The secret behind the receipt's challenge.
    pub secret: Bytes32,
    /// Who has begun the answer, if others have: their tokens are in the question, and no receipt speaks of them.
    pub begun_by: Vec<Beginner>,
    /// The answer's tokens, from where it was begun.
    pub tokens: Vec<u32>,
    /// Its text.
    pub text: String,
    /// Thoughts and tool calls.
    pub more: Option<Box<ChunkMore>>,
    /// The provider's statement.
    pub receipt: SignedReceipt,
    /// Where the receipt stands on the DHT; none if that is not known.
    pub batch: Option<Batch>,
    /// What the model found likely, as the provider has shown it; none if it was not asked to.
    pub fingerprint: Option<Vec<OpenedLeaf>>,
}

/// Who has begun an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beginner {
    /// Who.
    pub provider: AgentPubKey,
    /// How many tokens it said.
    pub tokens: u32,
}

/// A receipt's place in a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Where the batch stands on the DHT. That it does cannot be told from a file.
    pub action: ActionHash,
    /// Its root.
    pub root: Bytes32,
    /// How many receipts it has.
    pub count: u32,
    /// Which of them this is, from 0.
    pub index: u32,
    /// Sibling hashes from leaf to root.
    pub path: Vec<Bytes32>,
}

impl Batch {
    /// A receipt's place in a batch that was found on the DHT.
    pub(crate) fn new(proof: &BatchProof, batch: &ReceiptBatch) -> Self {
        let BatchProof { batch: action, index, path } = proof.clone();
        Self { action, root: batch.root, count: batch.count, index, path }
    }

    /// The place alone.
    pub fn proof(&self) -> BatchProof {
        let Self { action, root: _, count: _, index, path } = self.clone();
        BatchProof { batch: action, index, path }
    }
}

/// Why something is no such file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is too long.
    #[error("it has more than {} MiB", FILE_BYTES_MAX >> 20)]
    TooLarge,
    /// It is no JSON, or not of this kind.
    #[error("it is not a receipt file: {problem}")]
    NotOne {
        /// What the reader says.
        problem: String,
    },
    /// It was written by a later program.
    #[error("it is of version {version}, and this program knows version {VERSION}")]
    Version {
        /// Which it says.
        version: u64,
    },
}

impl FileError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "receipt_file_too_large",
            Self::NotOne { .. } => "not_a_receipt_file",
            Self::Version { .. } => "receipt_file_version",
        }
    }
}

impl ReceiptFile {
    /// The file about a question of this node; none while there is no answer.
    pub(crate) fn of(asked: Asked) -> Option<Self> {
        let Asked { id: _, request, input, salt, secrets, spec, model, hide: _, known: _, answer } = asked;
        let (Answered { said, receipt, begun_by, batch, opened }, model) = (answer?, model?);
        let Said { tokens, text, more } = said;
        let (said_input, audit) = (receipt.receipt.input, receipt.receipt.audit);
        let (_, signature) = sign_ask(&secrets.session.0, &request, &spec.entry, &said_input, &audit);
        Some(Self {
            format: FORMAT.into(),
            version: VERSION,
            about: ABOUT.into(),
            id: request,
            model,
            question: input,
            salt,
            signature,
            secret: secrets.audit,
            begun_by: begun_by.into_iter().map(|(provider, tokens)| Beginner { provider, tokens }).collect(),
            tokens,
            text,
            more,
            receipt,
            batch,
            fingerprint: opened,
        })
    }

    /// As it is written: JSON, in which bytes are `{"hex": …}`.
    pub fn to_text(&self) -> String {
        let value = json::write(self).unwrap_or_default();
        serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
    }

    /// Reads one. Whether it fits together is another question.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let not_one = |problem: String| FileError::NotOne { problem };
        if bytes.len() > FILE_BYTES_MAX {
            return Err(FileError::TooLarge);
        }
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| not_one(e.to_string()))?;
        if value["format"] != FORMAT {
            return Err(not_one(format!("its format is not {FORMAT}")));
        }
        match value["version"].as_u64() {
            Some(version) if version == u64::from(VERSION) => json::read(value).map_err(not_one),
            Some(version) => Err(FileError::Version { version }),
            None => Err(not_one("it has no version".into())),
        }
    }
}

impl std::fmt::Debug for ReceiptFile {
    /// Tells nothing of what was asked or said.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiptFile({})", self.id)
    }
}
