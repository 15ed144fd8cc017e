//! A Gemma 4 of any size with random weights, written on the spot: how fast it computes depends on its shape alone.
//!
//! Tokenizer, template and the rest of the metadata are the tiny Gemma's; the vocabulary is filled up with made-up words.
//! The format is described with `ainonymous-models`; only what is changed is understood here.

use std::io::{BufWriter, Result, Write};
use std::path::{Path, PathBuf};

/// What sets the cost of a model.
pub(crate) struct Shape {
    /// For people, in names of files and models.
    pub(crate) label: &'static str,
    pub(crate) vocabulary: u32,
    pub(crate) width: u32,
    pub(crate) layers: u32,
    pub(crate) heads: u32,
    pub(crate) key_value_heads: u32,
    pub(crate) head_width: u32,
    pub(crate) hidden: u32,
    pub(crate) window: u32,
    pub(crate) context: u32,
    /// Blocks of a matrix before its bytes begin again: speed does not depend on them, but making them takes time. A prime
    /// number, so that rows differ. None: they never repeat.
    pub(crate) repeat: Option<u64>,
}

/// 309 million weights, 329 MB as q8_0. A step computes with 276 million of them: the rest are looked up.
pub(crate) const MEDIUM: Shape = Shape {
    label: "309m",
    vocabulary: 32_000,
    width: 1_024,
    layers: 16,
    heads: 8,
    key_value_heads: 2,
    head_width: 128,
    hidden: 4_096,
    window: 512,
    context: 8_192,
    repeat: None,
};

/// Every sixth layer looks at everything, and so does the last.
const FULL_EVERY: u32 = 6;
const ALIGNMENT: u64 = 32;
/// Control tokens and single bytes come first in the vocabulary: answers neither end by themselves nor break characters.
const SILENT_TOKENS: u64 = 300;
/// Weights that share a scale in q8_0, and the bytes that they take with it.
const BLOCK: (u64, u64) = (32, 34);

/// The model in the cache, made once.
pub(crate) fn cached(tiny: &Path, shape: &Shape) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let folder = cache.unwrap_or_else(std::env::temp_dir).join("ainonymous/models");
    let path = folder.join(format!("random-gemma-{}-q8_0.gguf", shape.label));
    if !path.exists() {
        eprintln!("making a model of random weights: {}", path.display());
        fs_err::create_dir_all(&folder).expect("a folder for models");
        write(&path, shape, tiny).expect("a model");
    }
    path
}

/// Context that a model was trained with.
pub(crate) fn context_trained(path: &Path) -> u32 {
    let header = ainonymous_models::Header::read(path).expect("a GGUF file");
    let found = header.values.iter().find(|(key, _)| key.ends_with(".context_length"));
    match found {
        Some((_, ainonymous_models::Value::Unsigned(tokens))) => *tokens as u32,
        _ => 8_192,
    }
}

/// Writes the model; the tiny one lends what is not weights.
fn write(path: &Path, shape: &Shape, tiny: &Path) -> Result<()> {
    let tiny = fs_err::read(tiny)?;
    let tensors = tensors(shape);
    let part = path.with_extension("part");
    let mut out = BufWriter::new(fs_err::File::create(&part)?);
    let pairs = pairs(&tiny, shape);
    let mut head = Vec::new();
    head.extend_from_slice(b"GGUF");
    head.extend_from_slice(&3u32.to_le_bytes());
    head.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    head.extend_from_slice(&(pairs.len() as u64).to_le_bytes());
    pairs.iter().for_each(|pair| head.extend_from_slice(pair));
    let mut offset = 0;
    for tensor in &tensors {
        text(&mut head, &tensor.name);
        head.extend_from_slice(&(tensor.sides.len() as u32).to_le_bytes());
        tensor.sides.iter().for_each(|side| head.extend_from_slice(&u64::from(*side).to_le_bytes()));
        let format: u32 = if tensor.sides.len() > 1 { 8 } else { 0 };
        head.extend_from_slice(&format.to_le_bytes());
        head.extend_from_slice(&u64::to_le_bytes(offset));
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT as usize), 0);
    out.write_all(&head)?;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for tensor in &tensors {
        let data = tensor.data(&mut dice, shape.repeat);
        out.write_all(&data)?;
        out.write_all(&vec![0; (ALIGNMENT - data.len() as u64 % ALIGNMENT) as usize % ALIGNMENT as usize])?;
    }
    out.flush()?;
    fs_err::rename(part, path)
}

struct Tensor {
    name: String,
    /// Sides, the innermost first.
    sides: Vec<u32>,
    /// Standard deviation of a matrix, value of a vector.
    scale: f32,
}

impl Tensor {
    fn bytes(&self) -> u64 {
        let elements: u64 = self.sides.iter().map(|&s| u64::from(s)).product();
        if self.sides.len() > 1 {
            elements / BLOCK.0 * BLOCK.1
        } else {
            elements * 4
        }
    }

    /// Blocks of the tokens that are never said.
    fn silent_blocks(&self) -> u64 {
        if self.name == "output.weight" {
            SILENT_TOKENS * u64::from(self.sides[0]) / BLOCK.0
        } else {
            0
        }
    }

    fn data(&self, dice: &mut Dice, repeat: Option<u64>) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.bytes() as usize + BLOCK.1 as usize);
        if let ([length], false) = (self.sides.as_slice(), self.name.starts_with("rope_freqs")) {
            (0..*length).for_each(|_| data.extend_from_slice(&self.scale.to_le_bytes()));
        } else if let [half] = self.sides.as_slice() {
            // A quarter of the head is rotated; a huge divisor turns rotation off.
            let divisor = |at: u32| if at < half / 4 { 1.0f32 } else { 1e30 };
            (0..*half).for_each(|at| data.extend_from_slice(&divisor(at).to_le_bytes()));
        } else {
            // Bytes spread evenly over i8 have a standard deviation of 74.
            let scale = half(self.scale / 74.0).to_le_bytes();
            let (blocks, silent) = (self.bytes() / BLOCK.1, self.silent_blocks());
            let different = repeat.map_or(blocks, |repeat| blocks.min(silent + repeat));
            for block in 0..different {
                data.extend_from_slice(if block < silent { &[0, 0] } else { &scale });
                (0..4).for_each(|_| data.extend_from_slice(&dice.next().to_le_bytes()));
            }
            let from = (silent * BLOCK.1) as usize;
            while (data.len() as u64) < blocks * BLOCK.1 {
                let bytes = (data.len() - from).min((blocks * BLOCK.1) as usize - data.len());
                data.extend_from_within(from..from + bytes);
            }
        }
        data
    }
}

fn tensors(s: &Shape) -> Vec<Tensor> {
    let mut all = Vec::new();
    let mut add = |name: String, sides: Vec<u32>, scale: f32| all.push(Tensor { name, sides, scale });
    let (query, key) = (s.heads * s.head_width, s.key_value_heads * s.head_width);
    add("token_embd.weight".into(), vec![s.width, s.vocabulary], 0.03);
    // A table of its own: with the same for input and output it would say the same token again and again.
    add("output.weight".into(), vec![s.width, s.vocabulary], 0.03);
    add("output_norm.weight".into(), vec![s.width], 1.0);
    for layer in 0..s.layers {
        let matrices = [
            ("attn_q", s.width, query),
            ("attn_k", s.width, key),
            ("attn_v", s.width, key),
            ("attn_output", query, s.width),
            ("ffn_gate", s.width, s.hidden),
            ("ffn_up", s.width, s.hidden),
            ("ffn_down", s.hidden, s.width),
        ];
        let vectors = [
            ("attn_norm", s.width, 1.0),
            ("attn_q_norm", s.head_width, 1.5),
            ("attn_k_norm", s.head_width, 0.5),
            ("post_attention_norm", s.width, 0.3),
            ("ffn_norm", s.width, 1.0),
            ("post_ffw_norm", s.width, 0.3),
            ("layer_output_scale", 1, 1.0),
        ];
        for (name, from, to) in matrices {
            add(format!("blk.{layer}.{name}.weight"), vec![from, to], 1.0 / (from as f32).sqrt());
        }
        for (name, length, value) in vectors {
            add(format!("blk.{layer}.{name}.weight"), vec![length], value);
        }
    }
    add("rope_freqs.weight".into(), vec![s.head_width / 2], 0.0);
    all
}

/// The tiny model's metadata with another shape.
fn pairs(tiny: &[u8], s: &Shape) -> Vec<Vec<u8>> {
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
        pairs.push(changed(&key, &tiny[begin..value], &tiny[value..at], s));
    }
    pairs
}

fn changed(key: &str, head: &[u8], value: &[u8], s: &Shape) -> Vec<u8> {
    let mut out = head.to_vec();
    let name = key.strip_prefix("gemma4.").unwrap_or(key);
    let number = match name {
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
fn length(kind: u32, bytes: &[u8]) -> usize {
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

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many bytes as were cut")
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// A small positive number as a half-precision float.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = (bits >> 23) as i32 - 127 + 15;
    assert!((1..31).contains(&exponent), "{value} is no normal half");
    ((exponent as u16) << 10) | ((bits >> 13) & 0x3ff) as u16
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}
