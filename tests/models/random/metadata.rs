//! The tiny model's metadata with another shape: read as far as it has to be changed, copied otherwise.

use super::Shape;

/// Every sixth layer looks at everything, and so does the last.
const FULL_EVERY: u32 = 6;

/// The tiny model's metadata with another shape.
pub(super) fn pairs(tiny: &[u8], s: &Shape, file_type: u32) -> Vec<Vec<u8>> {
    let count = u64::from_le_bytes(array(&tiny[16..24]));
    let mut at = 24;
    let mut pairs = Vec::new();
    for _ in 0..count {
        let begin = at;
        let key_bytes = u64::from_le_bytes(array(&tiny[at..at + 8])) as usize;
        let key = String::from_utf8_lossy(&tiny[at + 8..at + 8 + key_bytes]).into_owned();
        at += 8 + key_bytes;
        let value = at + 4;
        at = value + length(u32::from_le_bytes(array(&tiny[at..value])), &tiny[value..]);
        pairs.push(changed(&key, &tiny[begin..value], &tiny[value..at], s, file_type));
    }
    pairs
}

fn changed(key: &str, head: &[u8], value: &[u8], s: &Shape, file_type: u32) -> Vec<u8> {
    let mut out = head.to_vec();
    let name = key.strip_prefix("gemma4.").unwrap_or(key);
    let number = match name {
        "general.file_type" => Some(file_type),
        "context_length" => Some(s.context),
        "embedding_length" => Some(s.width),
        "block_count" => Some(s.layers),
        "feed_forward_length" => Some(s.hidden),
        "attention.head_count" => Some(s.heads),
        "attention.head_count_kv" => Some(s.key_value_heads),
        "attention.sliding_window" => Some(s.window),
        "attention.key_length" | "attention.value_length" | "rope.dimension_count" => Some(s.head_width),
        "attention.key_length_swa" | "attention.value_length_swa" | "rope.dimension_count_swa" => Some(s.head_width),
        _ => None,
    };
    let is_window = |layer: u32| !(layer + 1).is_multiple_of(FULL_EVERY) && layer + 1 != s.layers;
    let more = |known: u64| u64::from(s.vocabulary) - known;
    let known = || u64::from_le_bytes(array(&value[4..12]));
    match (name, number) {
        (_, Some(number)) => out.extend_from_slice(&number.to_le_bytes()),
        ("general.name", _) => text(&mut out, "random-gemma"),
        ("general.description", _) => text(&mut out, "Random weights: it computes like a model and says nothing"),
        ("general.size_label", _) => text(&mut out, &s.label.to_uppercase()),
        ("attention.sliding_window_pattern", _) => {
            out.extend_from_slice(&value[..4]);
            out.extend_from_slice(&u64::from(s.layers).to_le_bytes());
            out.extend((0..s.layers).map(|layer| u8::from(is_window(layer))));
        }
        ("tokenizer.ggml.tokens", _) => {
            extended(&mut out, value, s.vocabulary);
            (0..more(known())).for_each(|n| text(&mut out, &format!("▁w{n:05}")));
        }
        ("tokenizer.ggml.scores", _) => {
            extended(&mut out, value, s.vocabulary);
            (0..more(known())).for_each(|_| out.extend_from_slice(&(-1000f32).to_le_bytes()));
        }
        ("tokenizer.ggml.token_type", _) => {
            extended(&mut out, value, s.vocabulary);
            (0..more(known())).for_each(|_| out.extend_from_slice(&1u32.to_le_bytes()));
        }
        _ => out.extend_from_slice(value),
    }
    out
}

/// An array whose length is changed; what it held.
fn extended(out: &mut Vec<u8>, value: &[u8], items: u32) {
    out.extend_from_slice(&value[..4]);
    out.extend_from_slice(&u64::from(items).to_le_bytes());
    out.extend_from_slice(&value[12..]);
}

/// Bytes of a metadata value.
pub(super) fn length(kind: u32, bytes: &[u8]) -> usize {
    match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 => 8 + u64::from_le_bytes(array(&bytes[..8])) as usize,
        9 => {
            let (kind, items) = (u32::from_le_bytes(array(&bytes[..4])), u64::from_le_bytes(array(&bytes[4..12])));
            (0..items).fold(12, |at, _| at + length(kind, &bytes[at..]))
        }
        _ => 8,
    }
}

/// The first bytes of a longer slice.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}
