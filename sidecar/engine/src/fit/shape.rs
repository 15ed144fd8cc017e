//! What a model takes, read from its metadata: bytes of weights, cache and buffers, computed as llama.cpp does.
//!
//! It must not know how much memory there is, nor read files. Where the metadata does not say enough, it counts too much rather
//! than too little.

use ainonymous_types::KvType;

/// llama.cpp rounds the tokens of a cache up to this.
const CELLS_STEP: u64 = 256;
/// Share of the compute buffers that does not depend on the model: graphs, their inputs, the vocabulary's copies.
const BUFFER_BASE_BYTES: u64 = 16 << 20;
/// Largest number that is believed: lengths, heads, token ids and layers of real models stay far below.
const NUMBER_MAX: u64 = 1 << 24;

/// Metadata of a model file.
pub(crate) trait Metadata {
    /// Integers or truth values; a single one is an array of one. `None` if there is none of that name.
    fn numbers(&self, key: &str) -> Option<Vec<u64>>;
    /// Text; empty if there is none.
    fn text(&self, key: &str) -> String;
}

/// Sizes of the weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weights {
    /// Bytes of each layer.
    pub(crate) layers: Vec<u64>,
    /// Bytes of output, embeddings and whatever belongs to no layer.
    pub(crate) rest: u64,
    /// Number of weights.
    pub(crate) parameters: u64,
}

impl Weights {
    /// Those of another part of the model besides.
    pub(crate) fn add(&mut self, part: Self) {
        let Self { layers, rest, parameters } = part;
        self.layers.resize(self.layers.len().max(layers.len()), 0);
        self.layers.iter_mut().zip(layers).for_each(|(sum, bytes)| *sum = sum.saturating_add(bytes));
        self.rest = self.rest.saturating_add(rest);
        self.parameters = self.parameters.saturating_add(parameters);
    }
}

/// What a model takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) layers: Vec<Layer>,
    /// Bytes of weights that belong to no layer.
    pub(crate) rest_bytes: u64,
    /// Number of weights.
    pub(crate) parameters: u64,
    /// Context that the model was trained with, in tokens; 0 if it does not say.
    pub(crate) context_trained: u32,
    /// Tokens that sliding layers look back.
    window: u64,
    /// Most heads of a layer.
    heads: u64,
    /// Length of an embedding.
    width: u64,
    /// Length of the widest inner activation.
    inner: u64,
    vocabulary: u64,
}

/// One layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) weight_bytes: u64,
    /// Numbers that the cache keeps of a token's key.
    keys: u64,
    /// Numbers that the cache keeps of a token's value.
    values: u64,
    /// Values of the layer with the most: the cache is laid out so unless flash attention is on.
    values_padded: u64,
    /// Looks back only as far as the window.
    slides: bool,
    /// Bytes of recurrent state of one sequence.
    state_bytes: u64,
}

/// How a context is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// Context of one slot in tokens.
    pub(crate) context_tokens: u32,
    pub(crate) slots: u32,
    /// Tokens of one step.
    pub(crate) batch_tokens: u32,
    /// Rows of logits of one step.
    pub(crate) outputs: u32,
    pub(crate) kv_type: KvType,
}

impl Shape {
    pub(crate) fn read(metadata: &impl Metadata, weights: &Weights) -> Self {
        let architecture = metadata.text("general.architecture");
        let key = |name: &str| format!("{architecture}.{name}");
        let bounded = |name: &str| -> Option<Vec<u64>> {
            Some(metadata.numbers(&key(name))?.into_iter().map(|number| number.min(NUMBER_MAX)).collect())
        };
        let length = |name: &str| bounded(name)?.first().copied();
        let number = |name: &str| length(name).unwrap_or(0);
        let of_layer = |name: &str, layer: usize| {
            let all = bounded(name)?;
            if all.len() > 1 {
                all.get(layer).copied()
            } else {
                all.first().copied()
            }
        };
        let most = |name: &str| bounded(name).unwrap_or_default().into_iter().max().unwrap_or(0);
        let (width, heads) = (number("embedding_length"), most("attention.head_count"));
        let head = width / heads.max(1);
        let (keys, values) =
            (length("attention.key_length").unwrap_or(head), length("attention.value_length").unwrap_or(head));
        let sliding = (
            length("attention.key_length_swa").unwrap_or(keys),
            length("attention.value_length_swa").unwrap_or(values),
        );
        let window = number("attention.sliding_window");
        let slides = Slides::read(&architecture, bounded("attention.sliding_window_pattern"), window);
        let own_cache = weights.layers.len().saturating_sub(match architecture.as_str() {
            "gemma4" | "gemma3n" => number("attention.shared_kv_layers") as usize,
            _ => 0,
        });
        // Multi-head latent attention keeps one compressed key and derives the values.
        let latent = length("attention.key_length_mla").is_some();
        let state_bytes = state_bytes(number);
        let mut layers: Vec<Layer> = weights
            .layers
            .iter()
            .enumerate()
            .map(|(at, weight_bytes)| {
                let slides = slides.at(at);
                let (keys, values) = if slides { sliding } else { (keys, values) };
                let groups = of_layer("attention.head_count_kv", at).or_else(|| of_layer("attention.head_count", at));
                let groups = match groups {
                    Some(groups) if at < own_cache => groups,
                    Some(_) => 0,
                    None if state_bytes > 0 => 0,
                    None => return Layer { weight_bytes: *weight_bytes, ..Layer::guess(*weight_bytes) },
                };
                let values = if latent { 0 } else { groups * values };
                Layer {
                    weight_bytes: *weight_bytes,
                    keys: groups * keys,
                    values,
                    values_padded: 0,
                    slides,
                    state_bytes,
                }
            })
            .collect();
        let most_values = layers.iter().map(|layer| layer.values).max().unwrap_or(0);
        for layer in layers.iter_mut().filter(|layer| layer.values > 0) {
            layer.values_padded = most_values;
        }
        let experts = most("expert_used_count").max(1) * most("expert_feed_forward_length");
        Self {
            layers,
            rest_bytes: weights.rest,
            parameters: weights.parameters,
            context_trained: u32::try_from(number("context_length")).unwrap_or(u32::MAX),
            window,
            heads,
            width,
            inner: most("feed_forward_length").max(experts).max(heads * keys),
            vocabulary: number("vocab_size"),
        }
    }

    /// The same with so many token ids.
    pub(crate) fn with_vocabulary(self, vocabulary: u64) -> Self {
        Self { vocabulary: self.vocabulary.max(vocabulary), ..self }
    }

    /// Bytes of all weights.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.weight_bytes).fold(self.rest_bytes, u64::saturating_add)
    }

    /// Bytes of one layer's cache.
    pub(crate) fn cache_bytes(&self, layer: &Layer, of: &Use) -> u64 {
        let cells = cells(of);
        let cells = if layer.slides {
            cells.min((self.window + u64::from(of.batch_tokens)).next_multiple_of(CELLS_STEP))
        } else {
            cells
        };
        let row = match of.kv_type {
            KvType::F16 | KvType::Bf16 => 2 * (layer.keys + layer.values_padded),
            // 32 numbers of a byte and a scale.
            KvType::Q8_0 => (layer.keys.div_ceil(32) + layer.values.div_ceil(32)) * 34,
        };
        let slots = u64::from(of.slots);
        cells.saturating_mul(slots).saturating_mul(row).saturating_add(layer.state_bytes.saturating_mul(slots))
    }

    /// Bytes of the cache of all layers.
    pub(crate) fn all_cache_bytes(&self, of: &Use) -> u64 {
        self.layers.iter().map(|layer| self.cache_bytes(layer, of)).fold(0, u64::saturating_add)
    }

    /// Bytes that one device needs while it computes, about: scores of attention over the whole context, the widest
    /// activations, logits. The test `buffers_are_about_llama_cpps` compares with what llama.cpp takes.
    pub(crate) fn buffer_bytes(&self, of: &Use) -> u64 {
        let (batch, outputs) = (u64::from(of.batch_tokens), u64::from(of.outputs));
        // Flash attention never has all scores at once.
        let scores = match of.kv_type {
            KvType::F16 | KvType::Bf16 => 2 * self.heads + 2,
            KvType::Q8_0 => 2,
        };
        let attention = cells(of).saturating_mul(batch).saturating_mul(4 * scores);
        let activations = batch.saturating_mul(4 * (8 * self.width + 3 * self.inner));
        let logits = outputs.saturating_mul(4 * (self.vocabulary + self.width));
        // Once for the graph and once for the copy that is read.
        BUFFER_BASE_BYTES.saturating_add(attention).saturating_add(activations).saturating_add(logits.saturating_mul(2))
    }
}

impl Layer {
    /// A layer of which only the size is known: grouped-query attention keeps about half the model's width of a token, and the
    /// width follows from the size (about twelve squares).
    fn guess(weight_bytes: u64) -> Self {
        let each = ((weight_bytes / 12) as f64).sqrt() as u64 / 4;
        Self { keys: each, values: each, ..Self::default() }
    }
}

/// Tokens of one slot that a layer keeps which looks back all the way.
fn cells(of: &Use) -> u64 {
    let slots = u64::from(of.slots.max(1));
    let all = (u64::from(of.context_tokens) * slots).next_multiple_of(CELLS_STEP);
    (all / slots).next_multiple_of(CELLS_STEP)
}

/// State of one sequence in a layer that has one, in 32-bit numbers.
fn state_bytes(number: impl Fn(&str) -> u64) -> u64 {
    let (inner, state) = (number("ssm.inner_size"), number("ssm.state_size"));
    let channels = inner + 2 * number("ssm.group_count") * state;
    let convolved = number("ssm.conv_kernel").saturating_sub(1).saturating_mul(channels);
    convolved.saturating_add(inner * state).saturating_mul(4)
}

/// Which layers slide.
enum Slides {
    None,
    Each(Vec<u64>),
    /// All but the last of so many, or all but the first.
    Every {
        period: usize,
        full_first: bool,
    },
}

impl Slides {
    fn read(architecture: &str, pattern: Option<Vec<u64>>, window: u64) -> Self {
        if window == 0 {
            return Self::None;
        }
        // The architectures whose pattern llama.cpp knows without the file; others count as looking back all the way.
        let known = match architecture {
            "gemma2" | "gpt-oss" => Some((2, false)),
            "gemma3n" => Some((5, false)),
            "gemma3" | "gemma-embedding" => Some((6, false)),
            "cohere2" | "exaone4" | "exaone-moe" | "afmoe" | "llama4" | "olmo2" => Some((4, false)),
            "plamo3" => Some((8, false)),
            "smallthinker" | "cohere2moe" => Some((4, true)),
            _ => None,
        };
        match (pattern, known) {
            (Some(each), _) if each.len() > 1 => Self::Each(each),
            (Some(period), Some((_, full_first))) if period[..] != [0] => {
                Self::Every { period: period.first().map_or(1, |period| *period as usize), full_first }
            }
            (_, Some((period, full_first))) => Self::Every { period, full_first },
            (_, None) => Self::None,
        }
    }

    fn at(&self, layer: usize) -> bool {
        match self {
            Self::None => false,
            Self::Each(each) => each.get(layer).is_some_and(|slides| *slides != 0),
            Self::Every { period, full_first: true } => !layer.is_multiple_of(*period),
            Self::Every { period, full_first: false } => layer % period < period - 1,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Metadata by key.
    #[derive(Default)]
    pub(crate) struct Table(pub(crate) BTreeMap<&'static str, Vec<u64>>, pub(crate) &'static str);

    impl Metadata for Table {
        fn numbers(&self, key: &str) -> Option<Vec<u64>> {
            let name = key.strip_prefix(self.1)?.strip_prefix('.')?;
            self.0.get(name).cloned()
        }

        fn text(&self, _: &str) -> String {
            self.1.into()
        }
    }

    fn weights(layers: usize) -> Weights {
        Weights { layers: vec![1 << 20; layers], rest: 1 << 20, parameters: 1 << 20 }
    }

    fn of(context_tokens: u32, slots: u32, kv_type: KvType) -> Use {
        Use { context_tokens, slots, batch_tokens: 512, outputs: slots, kv_type }
    }

    /// Numbers as llama.cpp prints them for Llama 3.1 8B: 128 KiB of cache for a token.
    #[test]
    fn grouped_query_attention() {
        let table = Table(
            [
                ("embedding_length", vec![4_096]),
                ("attention.head_count", vec![32]),
                ("attention.head_count_kv", vec![8]),
                ("context_length", vec![131_072]),
            ]
            .into(),
            "llama",
        );
        let shape = Shape::read(&table, &weights(32));
        assert_eq!(shape.all_cache_bytes(&of(8_192, 1, KvType::F16)), 1 << 30);
        assert_eq!(shape.all_cache_bytes(&of(8_192, 4, KvType::F16)), 4 << 30);
        assert_eq!(shape.all_cache_bytes(&of(8_192, 1, KvType::Q8_0)), (1 << 30) / 2 * 34 / 32);
        assert_eq!(shape.all_cache_bytes(&of(1, 1, KvType::F16)), 256 * (128 << 10), "in steps of 256 tokens");
        assert_eq!(shape.context_trained, 131_072);
    }

    /// Gemma 3 4B: 34 layers, every sixth looks back all the way.
    #[test]
    fn sliding_layers_keep_their_window() {
        let pairs = [
            ("embedding_length", vec![2_560]),
            ("attention.head_count", vec![8]),
            ("attention.head_count_kv", vec![4]),
            ("attention.key_length", vec![256]),
            ("attention.value_length", vec![256]),
            ("attention.sliding_window", vec![1_024]),
        ];
        let shape = Shape::read(&Table(pairs.clone().into(), "gemma3"), &weights(34));
        let token = 2 * 2 * 4 * 256;
        assert_eq!(shape.all_cache_bytes(&of(8_192, 2, KvType::F16)), 2 * token * (5 * 8_192 + 29 * 1_536));
        // Shorter than the window: all alike.
        assert_eq!(shape.all_cache_bytes(&of(512, 1, KvType::F16)), 34 * token * 512);
        let unknown = Shape::read(&Table(pairs.clone().into(), "other"), &weights(34));
        assert_eq!(unknown.all_cache_bytes(&of(8_192, 1, KvType::F16)), 34 * token * 8_192, "too much, not too little");
        let mut said = BTreeMap::from(pairs);
        said.insert("attention.sliding_window_pattern", vec![1, 1, 0, 1]);
        let said = Shape::read(&Table(said, "other"), &weights(4));
        assert_eq!(said.all_cache_bytes(&of(8_192, 1, KvType::F16)), token * (8_192 + 3 * 1_536));
    }

    #[test]
    fn layers_that_share_a_cache_have_none() {
        let pairs = [
            ("embedding_length", vec![512]),
            ("attention.head_count", vec![4]),
            ("attention.head_count_kv", vec![1, 2, 1, 2]),
            ("attention.key_length", vec![128]),
            ("attention.value_length", vec![128]),
            ("attention.shared_kv_layers", vec![2]),
        ];
        let shape = Shape::read(&Table(pairs.into(), "gemma4"), &weights(4));
        // Keys of one and two groups; values as wide as the widest.
        assert_eq!(shape.all_cache_bytes(&of(256, 1, KvType::F16)), 256 * 2 * (128 + 256 + 2 * 256));
    }

    #[test]
    fn recurrent_layers_have_a_state_and_no_cache() {
        let pairs = [
            ("embedding_length", vec![2_048]),
            ("ssm.inner_size", vec![4_096]),
            ("ssm.state_size", vec![16]),
            ("ssm.conv_kernel", vec![4]),
        ];
        let shape = Shape::read(&Table(pairs.into(), "mamba"), &weights(2));
        let state = 4 * (3 * 4_096 + 4_096 * 16);
        assert_eq!(shape.all_cache_bytes(&of(8_192, 3, KvType::F16)), 2 * 3 * state);
    }

    #[test]
    fn without_metadata_the_size_must_do() {
        let shape = Shape::read(&Table(BTreeMap::new(), "x"), &Weights { layers: vec![12 << 20], ..weights(0) });
        assert_eq!(shape.all_cache_bytes(&of(256, 1, KvType::F16)), 256 * 2 * (256 + 256));
        assert!(shape.buffer_bytes(&of(256, 1, KvType::F16)) >= BUFFER_BASE_BYTES);
    }

    /// A file from a stranger may say anything.
    #[test]
    fn absurd_numbers_do_not_overflow() {
        let pairs = [
            ("embedding_length", vec![u64::MAX]),
            ("attention.head_count", vec![u64::MAX]),
            ("attention.key_length", vec![u64::MAX]),
            ("attention.value_length", vec![u64::MAX]),
            ("attention.sliding_window", vec![u64::MAX]),
            ("feed_forward_length", vec![u64::MAX]),
            ("ssm.inner_size", vec![u64::MAX]),
            ("ssm.state_size", vec![u64::MAX]),
            ("ssm.group_count", vec![u64::MAX]),
            ("attention.sliding_window_pattern", vec![0]),
        ];
        for architecture in ["gemma3", "llama"] {
            let shape = Shape::read(&Table(pairs.clone().into(), architecture), &weights(3));
            assert!(shape.all_cache_bytes(&of(u32::MAX, 64, KvType::F16)) > 1 << 40);
            assert!(shape.buffer_bytes(&of(u32::MAX, 64, KvType::Q8_0)) > 1 << 20);
        }
    }
}
