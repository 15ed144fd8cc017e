//! What a model spec needs to know of a file besides its hashes.

use crate::gguf::{Header, Tensor};
use crate::ModelError;
use crate::{parts, tensor};
use ainonymous_types::{limits, Bytes32};
use ainonymous_verify::text::{to_label, to_printable};
use std::collections::BTreeMap;
use std::path::Path;

/// A model file in words and numbers that fit into a model spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `general.name` of the file, or its stem.
    pub name: String,
    /// Quantisation label, for example `q8_0`.
    pub quantization: String,
    /// `general.architecture`.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Context that the model was trained with, in tokens; 0 if the file does not say.
    pub context_trained: u32,
    /// Length of the file in bytes, of all parts together.
    pub file_bytes: u64,
    /// Number of layers; 0 if the file does not say.
    pub layers: u32,
    /// The chat template, if it has one.
    pub chat_template: Option<String>,
    /// Does the file say how vectors of tokens become one of the text? Models made for embedding do.
    pub names_its_pooling: bool,
    /// See [`Header::tokenizer_hash`].
    pub tokenizer_hash: Bytes32,
    /// See [`Header::template_hash`].
    pub template_hash: Bytes32,
}

/// Reads the header of a file, and of its other parts if it was split, checks them, and says what the model is.
pub fn describe(path: &Path) -> Result<Description, ModelError> {
    let mut parts = parts::read(path)?.into_iter().map(|(_, header)| header);
    let Some(mut header) = parts.next() else { return Err(ModelError::NotFound { path: path.into() }) };
    for mut part in parts {
        header.tensors.append(&mut part.tensors);
        header.file_bytes += part.file_bytes;
    }
    let malformed = |what| ModelError::Malformed { path: path.into(), what };
    let architecture = header.text("general.architecture").unwrap_or_default();
    if architecture.is_empty() {
        return Err(malformed("it names no architecture"));
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let named = to_printable(header.text("general.name").unwrap_or_default(), limits::MODEL_NAME_BYTES_MAX);
    let name = if named.is_empty() { to_printable(&stem, limits::MODEL_NAME_BYTES_MAX) } else { named };
    let own = |key: &str| format!("{architecture}.{key}");
    let small = |key: &str| u32::try_from(header.number(&own(key)).unwrap_or(0)).unwrap_or(u32::MAX);
    Ok(Description {
        name: if name.is_empty() { "model".into() } else { name },
        quantization: quantization(&header),
        architecture: to_label(architecture, limits::ARCHITECTURE_BYTES_MAX),
        parameters: header.tensors.iter().fold(0u64, |sum, t| sum.saturating_add(t.elements)),
        context_trained: small("context_length"),
        file_bytes: header.file_bytes,
        layers: small("block_count"),
        chat_template: header.text("tokenizer.chat_template").map(str::to_owned),
        names_its_pooling: header.number(&own("pooling_type")).is_some(),
        tokenizer_hash: header.tokenizer_hash,
        template_hash: header.template_hash,
    })
}

/// The file's own word for it, or the format that most bytes have.
fn quantization(header: &Header) -> String {
    let stated = header.number("general.file_type").and_then(tensor::file_type_label);
    stated.or_else(|| most_bytes(&header.tensors).and_then(tensor::label)).unwrap_or("unknown").to_owned()
}

fn most_bytes(tensors: &[Tensor]) -> Option<u32> {
    let mut bytes: BTreeMap<u32, u64> = BTreeMap::new();
    for tensor in tensors {
        let sum = bytes.entry(tensor.format).or_default();
        *sum = sum.saturating_add(tensor.bytes.unwrap_or(0));
    }
    bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(format, _)| format)
}
