//! The tensors of a Gemma 4, and what is in them.

use super::blocks::{half, Format, BLOCK};
use super::dice::Dice;
use super::{Shape, Weights};

/// Control tokens and single bytes come first in the vocabulary: answers neither end by themselves nor break characters.
const SILENT_TOKENS: usize = 300;
const OUTPUT: &str = "output.weight";
/// The tables of the vocabulary keep eight bits in a file of four, as the tiny model's does.
const ALWAYS_EIGHT_BITS: [&str; 2] = ["token_embd.weight", OUTPUT];

/// One tensor of a file.
pub(super) struct Tensor {
    pub(super) name: String,
    /// Sides, the innermost first.
    pub(super) sides: Vec<u32>,
    /// Standard deviation of a matrix, value of a vector.
    scale: f32,
    /// How a matrix is kept; vectors are 32-bit floats.
    pub(super) format: Option<Format>,
}

impl Tensor {
    pub(super) fn bytes(&self) -> u64 {
        let elements: u64 = self.sides.iter().map(|&s| u64::from(s)).product();
        self.format.map_or(elements * 4, |format| elements / BLOCK as u64 * format.block_bytes() as u64)
    }

    /// Blocks of the tokens that are never said.
    fn silent_blocks(&self) -> usize {
        if self.name == OUTPUT {
            SILENT_TOKENS * self.sides[0] as usize / BLOCK
        } else {
            0
        }
    }

    pub(super) fn data(&self, dice: &mut Dice, weights: Weights) -> Vec<u8> {
        match (self.format, weights, self.sides.as_slice()) {
            (None, _, [half]) if self.name.starts_with("rope_freqs") => {
                // A quarter of the head is rotated; a huge divisor turns rotation off.
                let divisor = |at: u32| if at < half / 4 { 1.0f32 } else { 1e30 };
                (0..*half).flat_map(|at| divisor(at).to_le_bytes()).collect()
            }
            (None, ..) => self.sides.iter().flat_map(|&side| self.scale.to_le_bytes().repeat(side as usize)).collect(),
            (Some(format), Weights::Bytes { repeat }, _) => self.thrown_bytes(dice, format, repeat),
            (Some(format), Weights::Numbers, _) => self.thrown_numbers(dice, format),
        }
    }

    /// Blocks whose bytes are thrown: quick, and good for measuring speed.
    fn thrown_bytes(&self, dice: &mut Dice, format: Format, repeat: Option<u64>) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.bytes() as usize + format.block_bytes());
        // Bytes spread evenly over i8 have a standard deviation of 74.
        let scale = half(self.scale / 74.0).to_le_bytes();
        let (blocks, silent) = (self.bytes() as usize / format.block_bytes(), self.silent_blocks());
        let different = repeat.map_or(blocks, |repeat| blocks.min(silent + repeat as usize));
        for block in 0..different {
            data.extend_from_slice(if block < silent { &[0, 0] } else { &scale });
            (0..BLOCK / 8).for_each(|_| data.extend_from_slice(&dice.next().to_le_bytes()));
        }
        let from = silent * format.block_bytes();
        while data.len() < blocks * format.block_bytes() {
            let bytes = (data.len() - from).min(blocks * format.block_bytes() - data.len());
            data.extend_from_within(from..from + bytes);
        }
        data
    }

    /// Blocks of numbers that are thrown first and rounded then: the same numbers for every format.
    fn thrown_numbers(&self, dice: &mut Dice, format: Format) -> Vec<u8> {
        let elements: usize = self.sides.iter().map(|&side| side as usize).product();
        let mut data = Vec::with_capacity(self.bytes() as usize);
        for block in 0..elements / BLOCK {
            let scale = if block < self.silent_blocks() { 0.0 } else { self.scale };
            format.add(&mut data, &std::array::from_fn(|_| dice.normal() * scale));
        }
        data
    }
}

/// All of a model, in the order of the file.
pub(super) fn tensors(s: &Shape, format: Format) -> Vec<Tensor> {
    let mut all = Vec::new();
    let mut add = |name: String, sides: Vec<u32>, scale: f32| {
        let eight_bits = ALWAYS_EIGHT_BITS.contains(&name.as_str());
        let format = (sides.len() > 1).then_some(if eight_bits { Format::Q8_0 } else { format });
        all.push(Tensor { name, sides, scale, format });
    };
    let (query, key) = (s.heads * s.head_width, s.key_value_heads * s.head_width);
    add("token_embd.weight".into(), vec![s.width, s.vocabulary], s.temper.input);
    // A table of its own: with the same for input and output it would say the same token again and again.
    add(OUTPUT.into(), vec![s.width, s.vocabulary], s.temper.output);
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
            ("post_attention_norm", s.width, s.temper.added),
            ("ffn_norm", s.width, 1.0),
            ("post_ffw_norm", s.width, s.temper.added),
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
