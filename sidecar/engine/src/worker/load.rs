//! Loads a model: checks the file, decides what goes to the GPU, falls back rather than fail, and says why when it fails.

use super::draft::Drafter;
use super::output::Output;
use crate::error::{clip, EngineError};
use crate::llama::{self, AbortSwitch, Batch, Context, ContextOptions, Device, GgufFacts, LayerBytes, Model};
use crate::options::{DraftOptions, CONTEXT_TOKENS_DEFAULT, DRAFT_TOKENS_MAX, SLOTS_MAX};
use crate::template::ChatTemplate;
use crate::wire::ToHost;
use crate::{os, EngineOptions, GpuLayers, ModelInfo, SandboxReport};
use ainonymous_types::{limits, Backend, KvType};
use ainonymous_verify::text::{to_label, to_printable};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Prompt tokens of one step on a GPU.
const CHUNK_GPU: u32 = 512;
/// Bounds of the prompt tokens of one step on the CPU.
const CHUNK_CPU: std::ops::RangeInclusive<u32> = 32..=512;
/// Weights times tokens of one step on the CPU: keeps a step well under a second on a few cores.
const CHUNK_CPU_WORK: u64 = 250_000_000_000;
/// Memory of a GPU that is left alone: compute buffers and other programs.
const GPU_RESERVE_BYTES: u64 = 768 << 20;
/// Time between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Loaded {
    pub(super) model: Arc<Model>,
    pub(super) context: Context,
    pub(super) drafter: Option<Drafter>,
    pub(super) template: ChatTemplate,
    pub(super) info: ModelInfo,
}

pub(super) fn load(
    options: &EngineOptions,
    sandbox: SandboxReport,
    abort: Arc<AbortSwitch>,
    output: &Output,
) -> Result<Loaded, EngineError> {
    let began = Instant::now();
    let path = options.model_path.as_path();
    let file_bytes = check_file(path)?;
    let facts = GgufFacts::read(path).ok_or_else(why_refused)?;
    let devices = llama::devices();
    let threads = options.threads.unwrap_or_else(os::physical_cores).clamp(1, 512);
    let slots = options.slots.clamp(1, SLOTS_MAX);

    let mut reported = Instant::now();
    let mut progress = |value: f32| {
        if reported.elapsed() >= PROGRESS_EVERY {
            reported = Instant::now();
            output.send(&ToHost::Loading { permille: (value.clamp(0.0, 1.0) * 1_000.0) as u16 });
        }
        true
    };
    let mut tries = gpu_layer_tries(options, &facts.bytes, &devices, slots).into_iter();
    let (model, mut context, gpu_layers, context_tokens) = loop {
        let Some(gpu_layers) = tries.next() else { return Err(why_refused()) };
        let Some(model) = Model::load(path, gpu_layers, &mut progress).map(Arc::new) else {
            if matches!(why_refused(), EngineError::OutOfMemory) && gpu_layers > 0 {
                continue;
            }
            return Err(why_refused());
        };
        if !model.is_generative() {
            let architecture = model.meta("general.architecture").unwrap_or_default();
            return Err(EngineError::UnsupportedArchitecture { architecture: clip(&architecture) });
        }
        let context_tokens = context_tokens(options.context_tokens, model.context_trained());
        let context_options = ContextOptions {
            context_tokens,
            sequences: slots,
            outputs: slots * (options.draft_tokens() + 1),
            batch_tokens: chunk_tokens(gpu_layers > 0, model.parameters()).max(slots * (options.draft_tokens() + 1)),
            threads,
            kv_type: options.kv_type,
        };
        if let Some(context) = Context::new(model.clone(), context_options, abort.clone()) {
            break (model, context, gpu_layers, context_tokens);
        }
    };
    let template = chat_template(&model)?;
    warm_up(&model, &mut context)?;
    let drafter = match &options.draft {
        Some(draft) => Some(load_draft(draft, &facts, &context, gpu_layers > 0, abort)?),
        None => None,
    };
    let info = ModelInfo {
        architecture: to_label(&model.meta("general.architecture").unwrap_or_default(), limits::ARCHITECTURE_BYTES_MAX),
        name: model_name(&model, path),
        parameters: model.parameters(),
        context_tokens: context_tokens.min(context.context_tokens()),
        context_trained: model.context_trained(),
        file_bytes,
        vocabulary: model.vocabulary() as u32,
        layers: model.layers(),
        gpu_layers: gpu_layers.min(model.layers() + 1),
        threads,
        backend: backend(gpu_layers, &devices),
        backend_detail: backend_detail(gpu_layers, &devices),
        quantization: quantization_label(&model.file_type()),
        tokenizer_hash: facts.tokenizer_hash,
        template_hash: facts.template_hash,
        load_ms: began.elapsed().as_millis() as u64,
        sandbox,
    };
    Ok(Loaded { model, context, drafter, template, info })
}

/// The model that guesses. It must split text into the same tokens.
fn load_draft(
    draft: &DraftOptions,
    facts: &GgufFacts,
    context: &Context,
    gpu: bool,
    abort: Arc<AbortSwitch>,
) -> Result<Drafter, EngineError> {
    check_file(&draft.model_path)?;
    let own = GgufFacts::read(&draft.model_path).ok_or_else(why_refused)?;
    if own.tokenizer_hash != facts.tokenizer_hash {
        return Err(EngineError::DraftMismatch);
    }
    let layers = if gpu { u32::MAX } else { 0 };
    let model = Model::load(&draft.model_path, layers, &mut |_| true).map(Arc::new).ok_or_else(why_refused)?;
    let options = ContextOptions { outputs: context.options().sequences, ..context.options() };
    Drafter::new(model, options, draft.tokens_max.clamp(1, DRAFT_TOKENS_MAX), abort).ok_or_else(why_refused)
}

/// Length of the file, or why it cannot be a model.
fn check_file(path: &Path) -> Result<u64, EngineError> {
    let shown = || path.display().to_string();
    let unreadable = |reason: String| EngineError::Unreadable { path: shown(), reason };
    let mut file = File::open(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => EngineError::FileNotFound { path: shown() },
        _ => unreadable(e.to_string()),
    })?;
    let metadata = file.metadata().map_err(|e| unreadable(e.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is not a file".into()));
    }
    let mut magic = [0; 4];
    match file.read_exact(&mut magic) {
        Ok(()) if &magic == b"GGUF" => Ok(metadata.len()),
        Ok(()) => Err(EngineError::NotGguf),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(EngineError::NotGguf),
        Err(e) => Err(unreadable(e.to_string())),
    }
}

/// What llama.cpp's error lines mean.
fn why_refused() -> EngineError {
    classify(&llama::error_lines())
}

/// What error lines of llama.cpp mean.
pub(crate) fn classify(lines: &[String]) -> EngineError {
    let find = |needles: &[&str]| lines.iter().rev().find(|line| needles.iter().any(|needle| line.contains(needle)));
    if find(&["invalid magic"]).is_some() {
        return EngineError::NotGguf;
    }
    if let Some(line) = find(&["unknown model architecture"]) {
        let architecture = line.split('\'').nth(1).unwrap_or_default();
        return EngineError::UnsupportedArchitecture { architecture: clip(architecture) };
    }
    if find(&["not within the file bounds", "corrupted or incomplete", "failed to read"]).is_some() {
        return EngineError::Truncated;
    }
    if find(&["failed to allocate", "unable to allocate", "out of memory", "OutOfMemory", "OutOfDeviceMemory"])
        .is_some()
    {
        return EngineError::OutOfMemory;
    }
    let line = find(&["error loading model"]).or(lines.last());
    EngineError::InvalidModel { detail: line.map_or_else(|| "no reason given".into(), |line| clip(line)) }
}

/// How many layers to try on the GPU, one after the other.
fn gpu_layer_tries(options: &EngineOptions, bytes: &LayerBytes, devices: &[Device], slots: u32) -> Vec<u32> {
    let has_gpu = devices.iter().any(|d| d.is_gpu);
    match options.gpu_layers {
        GpuLayers::Fixed(layers) => vec![if has_gpu { layers } else { 0 }],
        GpuLayers::Auto if !has_gpu => vec![0],
        GpuLayers::Auto => {
            let free: u64 =
                devices.iter().filter(|d| d.is_gpu).map(|d| d.free_bytes.saturating_sub(GPU_RESERVE_BYTES)).sum();
            let context = u64::from(options.context_tokens.unwrap_or(CONTEXT_TOKENS_DEFAULT)) * u64::from(slots);
            let fitting = layers_that_fit(bytes, free, cache_bytes_of_a_layer(bytes, context, options.kv_type));
            let mut tries = vec![fitting, fitting * 3 / 4, fitting / 2, fitting / 4, 0];
            tries.dedup();
            tries
        }
    }
}

/// As many layers, counted from the last, as fit into `free` bytes; one more than there are when everything fits.
fn layers_that_fit(bytes: &LayerBytes, free: u64, cache_bytes: u64) -> u32 {
    let (mut used, mut layers) = (0u64, 0u32);
    for layer in bytes.layers.iter().rev() {
        used += layer + cache_bytes;
        if used > free {
            return layers;
        }
        layers += 1;
    }
    if used + bytes.rest <= free {
        layers += 1;
    }
    layers
}

/// Cache of one layer, estimated from its weights: keys and values of grouped-query attention are about a sixteenth of the
/// model's width squared, and the width follows from the size of a layer (about twelve squares). Too much rather than too
/// little; the tries after it correct what remains.
fn cache_bytes_of_a_layer(bytes: &LayerBytes, context_tokens: u64, kv_type: KvType) -> u64 {
    let weights = bytes.layers.iter().copied().max().unwrap_or(0);
    let width = ((weights / 12) as f64).sqrt() as u64;
    let value_bytes = match kv_type {
        KvType::F16 | KvType::Bf16 => 2,
        KvType::Q8_0 => 1,
    };
    context_tokens * (width / 2) * value_bytes
}

/// Prompt tokens of one step: a function of model and device alone, so that a prompt is always cut at the same places.
fn chunk_tokens(gpu: bool, parameters: u64) -> u32 {
    if gpu {
        return CHUNK_GPU;
    }
    let affordable = CHUNK_CPU_WORK / parameters.max(1);
    let power = affordable.max(1).ilog2().min(31);
    (1u32 << power).clamp(*CHUNK_CPU.start(), *CHUNK_CPU.end())
}

fn context_tokens(wanted: Option<u32>, trained: u32) -> u32 {
    let trained = if trained == 0 { CONTEXT_TOKENS_DEFAULT } else { trained };
    wanted.unwrap_or(CONTEXT_TOKENS_DEFAULT).clamp(1, trained.min(limits::CONTEXT_TOKENS_MAX))
}

fn chat_template(model: &Model) -> Result<ChatTemplate, EngineError> {
    let source = model.chat_template().ok_or(EngineError::NoChatTemplate)?;
    let text = |token: Option<i32>| {
        let mut bytes = Vec::new();
        if let Some(token) = token {
            model.piece(token, true, &mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    ChatTemplate::new(source, text(model.bos()), text(model.eos()))
}

/// One token through the model: what would crash or stall does so now, and the weights are in memory afterwards.
fn warm_up(model: &Model, context: &mut Context) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    batch.add(model.bos().unwrap_or(0), 0, 0, true);
    let computed = context.decode(&mut batch);
    context.forget(0);
    computed.map_err(|e| match e {
        llama::DecodeError::Aborted => EngineError::LoadCancelled,
        llama::DecodeError::Failed(code) => EngineError::DecodeFailed { code },
    })
}

fn model_name(model: &Model, path: &Path) -> String {
    let stem = || path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let name = model.meta("general.name").filter(|n| !n.trim().is_empty()).or_else(stem).unwrap_or_default();
    to_printable(&name, limits::MODEL_NAME_BYTES_MAX)
}

fn backend(gpu_layers: u32, devices: &[Device]) -> Backend {
    let Some(gpu) = devices.iter().find(|d| d.is_gpu && gpu_layers > 0) else { return Backend::Cpu };
    let name = gpu.backend.to_ascii_lowercase();
    match name.as_str() {
        "cuda" => Backend::Cuda,
        "rocm" | "hip" => Backend::Rocm,
        "metal" | "mtl" => Backend::Metal,
        _ if name.starts_with("vulkan") => Backend::Vulkan,
        _ => Backend::Cpu,
    }
}

fn backend_detail(gpu_layers: u32, devices: &[Device]) -> String {
    let device = devices.iter().find(|d| d.is_gpu == (gpu_layers > 0));
    to_printable(device.map_or("", |d| d.description.as_str()), limits::BACKEND_DETAIL_BYTES_MAX)
}

/// `Q4_K - Medium` becomes `q4_k_m`.
fn quantization_label(file_type: &str) -> String {
    let name = file_type.trim_start_matches("(guessed) ").trim_start_matches("all ").to_ascii_lowercase();
    let mut words = name.split_whitespace();
    let mut label = words.next().unwrap_or("unknown").to_owned();
    match words.find(|word| *word != "-") {
        Some("small") => label.push_str("_s"),
        Some("medium") => label.push_str("_m"),
        Some("large") => label.push_str("_l"),
        Some("moe") => label.push_str("_moe"),
        _ => {}
    }
    to_label(&label, limits::QUANTIZATION_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_cpps_words_are_understood() {
        let one = |line: &str| classify(&[line.to_owned()]).code();
        assert_eq!(one("gguf_init: invalid magic characters: 'abcd', expected 'GGUF'"), "not_gguf");
        assert_eq!(one("error loading model: unknown model architecture: 'foo'"), "unsupported_architecture");
        assert_eq!(
            one("tensor 'a' data is not within the file bounds, model is corrupted or incomplete"),
            "model_truncated"
        );
        assert_eq!(one("unable to allocate CUDA0 buffer"), "out_of_memory");
        assert_eq!(one("something else"), "invalid_model");
        assert_eq!(classify(&[]).code(), "invalid_model");
    }

    #[test]
    fn layers_fill_the_gpu_from_the_last() {
        let bytes = LayerBytes { layers: vec![100; 10], rest: 50 };
        assert_eq!(layers_that_fit(&bytes, 1_050, 0), 11);
        assert_eq!(layers_that_fit(&bytes, 1_049, 0), 10);
        assert_eq!(layers_that_fit(&bytes, 1_049, 10), 9);
        assert_eq!(layers_that_fit(&bytes, 0, 0), 0);
    }

    #[test]
    fn automatic_layers_fall_back_to_none() {
        let gpu = |free_bytes| Device { backend: "CUDA".into(), description: "X".into(), free_bytes, is_gpu: true };
        let options = EngineOptions { context_tokens: Some(16), ..EngineOptions::new("m") };
        let bytes = LayerBytes { layers: vec![1 << 20; 8], rest: 1 << 20 };
        assert_eq!(gpu_layer_tries(&options, &bytes, &[], 1), [0]);
        assert_eq!(gpu_layer_tries(&options, &bytes, &[gpu(8 << 30)], 1), [9, 6, 4, 2, 0]);
        assert_eq!(gpu_layer_tries(&options, &bytes, &[gpu(1)], 1), [0]);
        let fixed = EngineOptions { gpu_layers: GpuLayers::Fixed(3), ..options };
        assert_eq!(gpu_layer_tries(&fixed, &bytes, &[gpu(1)], 1), [3]);
        assert_eq!(gpu_layer_tries(&fixed, &bytes, &[], 1), [0]);
    }

    #[test]
    fn chunks_shrink_with_the_model() {
        assert_eq!(chunk_tokens(true, 1 << 40), 512);
        assert_eq!(chunk_tokens(false, 1_450_000), 512);
        assert_eq!(chunk_tokens(false, 1_000_000_000), 128);
        assert_eq!(chunk_tokens(false, 70_000_000_000), 32);
    }

    #[test]
    fn labels_are_as_people_write_them() {
        for (name, label) in [
            ("Q8_0", "q8_0"),
            ("Q4_K - Medium", "q4_k_m"),
            ("(guessed) Q3_K - Small", "q3_k_s"),
            ("all F32", "f32"),
            ("IQ2_XXS - 2.0625 bpw", "iq2_xxs"),
            ("MXFP4 MoE", "mxfp4_moe"),
        ] {
            assert_eq!(quantization_label(name), label);
        }
    }
}
