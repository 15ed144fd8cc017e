//! What computes, in a word that a receipt or a calibration can name.
//!
//! Two engines of one class compute nearly the same logits; between classes the last digits differ, and how much is a matter of
//! measurement. So a class names everything that is known to change them: the kind of device, the instructions it is computed
//! with, the number format of the cache, flash attention, and the build. The number of threads and of answers at a time
//! does not on a processor: without flash attention they change nothing there (docs/adr/0025-replayable-answers.md).

use ainonymous_types::{Backend, KvType};
use ainonymous_verify::text::to_label;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The llama.cpp that this engine was built with: version of the crate that carries it and the beginning of its checksum,
/// because the code in it says of itself only `0.6.0-dev`.
pub const LLAMA_BUILD: &str = "0.1.161-e9bea77f";

/// Longest word for instructions or device, in bytes.
const VARIANT_BYTES_MAX: usize = 32;
/// Longest word for a build, in bytes.
const BUILD_BYTES_MAX: usize = 32;

/// What computes. Written as five words: `cpu/zen4/f16/fa-off/0.1.161-e9bea77f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineClass {
    backend: Backend,
    variant: String,
    kv_type: KvType,
    flash_attention: FlashAttention,
    build: String,
}

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashAttention {
    /// Step by step.
    Off,
    /// In one piece, without the whole matrix in memory.
    On,
    /// In one piece if the device can; which it is depends on device, model and build alone.
    Auto,
}

impl FlashAttention {
    /// On a processor it stays off where it can: with it the number of threads changes results there, and decoding differs from
    /// prefilling. llama.cpp has no quantised cache without it. On a GPU it is what makes long contexts quick, and results
    /// depend on the batch anyway.
    pub(crate) fn of(kv_type: KvType, gpu: bool) -> Self {
        match kv_type {
            KvType::Q8_0 => Self::On,
            KvType::F16 | KvType::Bf16 if gpu => Self::Auto,
            KvType::F16 | KvType::Bf16 => Self::Off,
        }
    }
}

/// A text that is no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a class of engines")]
pub struct NotAClass;

impl EngineClass {
    /// `variant`: the instruction set on a processor, the device elsewhere; what a label cannot hold becomes `-`.
    pub(crate) fn new(backend: Backend, variant: &str, kv_type: KvType) -> Self {
        let variant = to_label(variant, VARIANT_BYTES_MAX);
        let flash_attention = FlashAttention::of(kv_type, backend != Backend::Cpu);
        Self { backend, variant, kv_type, flash_attention, build: LLAMA_BUILD.into() }
    }

    /// Kind of device.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Instruction set or device.
    pub fn variant(&self) -> &str {
        &self.variant
    }

    /// Number format of the key-value cache.
    pub fn kv_type(&self) -> KvType {
        self.kv_type
    }

    /// How attention is computed.
    pub fn flash_attention(&self) -> FlashAttention {
        self.flash_attention
    }

    /// The same with another cache.
    pub(crate) fn with_cache(self, kv_type: KvType) -> Self {
        Self { kv_type, flash_attention: FlashAttention::of(kv_type, self.backend != Backend::Cpu), ..self }
    }
}

const BACKENDS: [(Backend, &str); 5] = [
    (Backend::Cpu, "cpu"),
    (Backend::Cuda, "cuda"),
    (Backend::Vulkan, "vulkan"),
    (Backend::Metal, "metal"),
    (Backend::Rocm, "rocm"),
];
const KV_TYPES: [(KvType, &str); 3] = [(KvType::F16, "f16"), (KvType::Bf16, "bf16"), (KvType::Q8_0, "q8_0")];
const FLASH_ATTENTION: [(FlashAttention, &str); 3] =
    [(FlashAttention::Off, "fa-off"), (FlashAttention::On, "fa-on"), (FlashAttention::Auto, "fa-auto")];

fn name<T: PartialEq>(all: &[(T, &'static str)], value: &T) -> &'static str {
    all.iter().find(|(known, _)| known == value).map_or("", |(_, name)| name)
}

fn named<T: Copy>(all: &[(T, &str)], name: &str) -> Result<T, NotAClass> {
    all.iter().find(|(_, known)| *known == name).map(|(value, _)| *value).ok_or(NotAClass)
}

impl fmt::Display for EngineClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, variant, kv_type, flash_attention, build } = self;
        let (backend, kv_type) = (name(&BACKENDS, backend), name(&KV_TYPES, kv_type));
        write!(f, "{backend}/{variant}/{kv_type}/{}/{build}", name(&FLASH_ATTENTION, flash_attention))
    }
}

impl FromStr for EngineClass {
    type Err = NotAClass;

    fn from_str(text: &str) -> Result<Self, NotAClass> {
        let words: Vec<&str> = text.split('/').collect();
        let [backend, variant, kv_type, flash_attention, build] = words[..] else { return Err(NotAClass) };
        let is_label = |text: &str, bytes_max: usize| !text.is_empty() && to_label(text, bytes_max) == text;
        if !is_label(variant, VARIANT_BYTES_MAX) || !is_label(build, BUILD_BYTES_MAX) {
            return Err(NotAClass);
        }
        Ok(Self {
            backend: named(&BACKENDS, backend)?,
            variant: variant.into(),
            kv_type: named(&KV_TYPES, kv_type)?,
            flash_attention: named(&FLASH_ATTENTION, flash_attention)?,
            build: build.into(),
        })
    }
}

impl Serialize for EngineClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EngineClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_five_words_and_back() {
        let class = EngineClass::new(Backend::Cpu, "zen4", KvType::F16);
        assert_eq!(class.to_string(), format!("cpu/zen4/f16/fa-off/{LLAMA_BUILD}"));
        assert_eq!(class.to_string().parse(), Ok(class.clone()));
        let gpu = EngineClass::new(Backend::Vulkan, "NVIDIA GeForce RTX 4090/Ü", KvType::F16);
        assert_eq!(gpu.flash_attention(), FlashAttention::Auto);
        assert_eq!(gpu.clone().with_cache(KvType::Q8_0).flash_attention(), FlashAttention::On);
        assert_eq!(gpu.to_string().parse(), Ok(gpu.clone()), "{gpu}");
        assert_eq!(rmp_serde::from_slice::<EngineClass>(&rmp_serde::to_vec(&gpu).unwrap()).unwrap(), gpu);
        for bad in ["", "cpu/zen4/f16/fa-off", "tpu/x/f16/fa-off/1", "cpu//f16/fa-off/1", "cpu/x/f16/fa-off/1/2"] {
            assert_eq!(bad.parse::<EngineClass>(), Err(NotAClass), "{bad}");
        }
        let long = format!("cpu/{}/f16/fa-off/1", "x".repeat(VARIANT_BYTES_MAX + 1));
        assert_eq!(long.parse::<EngineClass>(), Err(NotAClass));
    }

    /// Another llama.cpp is another class.
    #[test]
    fn the_build_is_the_one_in_the_lock_file() {
        let lock = std::fs::read_to_string("../../Cargo.lock").unwrap();
        let package = lock.split("[[package]]").find(|p| p.contains("name = \"llama-cpp-sys-2\"")).unwrap();
        let value = |key: &str| package.split(&format!("{key} = \"")).nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(LLAMA_BUILD, format!("{}-{}", value("version"), &value("checksum")[..8]));
    }
}
