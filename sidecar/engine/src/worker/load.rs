//! Loads a model as planned, with fewer layers on the GPU rather than not at all, and says why when it fails.

use super::draft::Drafter;
use super::output::Output;
use super::plan::Plan;
use crate::error::{clip, EngineError};
use crate::fit::{Reserved, Shape};
use crate::llama::{self, AbortSwitch, Batch, Context, ContextOptions, Device, Model, Projector};
use crate::options::{DraftOptions, ProjectorOptions, DRAFT_TOKENS_MAX};
use crate::template::ChatTemplate;
use crate::wire::ToHost;
use crate::{os, EngineClass, EngineOptions, FlashAttention, ModelInfo, SandboxReport};
use ainonymous_types::{limits, Backend, KvType};
use ainonymous_verify::text::{to_label, to_printable};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Loaded {
    pub(super) model: Arc<Model>,
    pub(super) shape: Shape,
    pub(super) context: Context,
    pub(super) drafter: Option<Drafter>,
    pub(super) projector: Option<Arc<Projector>>,
    pub(super) template: ChatTemplate,
    pub(super) info: ModelInfo,
}

pub(super) fn load(
    options: &EngineOptions,
    reserved: Reserved,
    sandbox: SandboxReport,
    abort: Arc<AbortSwitch>,
    output: &Output,
) -> Result<Loaded, EngineError> {
    let began = Instant::now();
    let path = options.model_path.as_path();
    let plan = Plan::read(options, reserved)?;
    let first = plan.fit(options)?;
    let threads = options.threads.unwrap_or_else(os::physical_cores).clamp(1, 512);

    let mut reported = Instant::now();
    let mut progress = |value: f32| {
        if reported.elapsed() >= PROGRESS_EVERY {
            reported = Instant::now();
            output.send(&ToHost::Loading { permille: (value.clamp(0.0, 1.0) * 1_000.0) as u16 });
        }
        true
    };
    let mut tries = std::iter::once(first.clone()).chain(plan.fewer(options, &first));
    let (model, mut context, fit) = loop {
        let Some(fit) = tries.next() else { return Err(why_refused()) };
        output.send(&ToHost::Planned(fit.takes()));
        let Some(model) = Model::load(path, fit.gpu_layers, &mut progress).map(Arc::new) else {
            if matches!(why_refused(), EngineError::OutOfMemory) && fit.gpu_layers > 0 {
                continue;
            }
            return Err(why_refused());
        };
        if !model.is_generative() {
            let architecture = model.meta("general.architecture").unwrap_or_default();
            return Err(EngineError::UnsupportedArchitecture { architecture: clip(&architecture) });
        }
        let context_options = ContextOptions {
            context_tokens: fit.context_tokens,
            sequences: fit.slots,
            outputs: fit.slots * (options.draft_tokens() + 1),
            batch_tokens: fit.batch_tokens.max(plan.image_tokens(options)),
            threads,
            kv_type: options.kv_type,
            flash_attention: FlashAttention::of(options.kv_type, fit.gpu_layers > 0),
        };
        if let Some(context) = Context::new(model.clone(), context_options, abort.clone()) {
            break (model, context, fit);
        }
    };
    let template = chat_template(&model)?;
    warm_up(&model, &mut context)?;
    let drafter = match &options.draft {
        Some(draft) => Some(load_draft(draft, &plan, &context, fit.gpu_layers > 0, abort)?),
        None => None,
    };
    let projector = match &options.projector {
        Some(wished) => load_projector(wished, &model, &context, fit.gpu_layers > 0)?.map(Arc::new),
        None => None,
    };
    let info = ModelInfo {
        architecture: to_label(&model.meta("general.architecture").unwrap_or_default(), limits::ARCHITECTURE_BYTES_MAX),
        name: model_name(&model, path),
        parameters: model.parameters(),
        context_tokens: fit.context_tokens.min(context.context_tokens()),
        context_trained: model.context_trained(),
        file_bytes: plan.file_bytes,
        vocabulary: model.vocabulary() as u32,
        layers: model.layers(),
        gpu_layers: fit.gpu_layers.min(model.layers() + 1),
        threads,
        backend: backend(fit.gpu_layers, &plan.devices),
        backend_detail: backend_detail(fit.gpu_layers, &plan.devices, plan.variant.as_deref()),
        class: class(fit.gpu_layers, &plan.devices, plan.variant.as_deref(), options.kv_type),
        quantization: quantization_label(&model.file_type()),
        tokenizer_hash: plan.facts.tokenizer_hash,
        template_hash: plan.facts.template_hash,
        images: projector.is_some(),
        fit,
        load_ms: began.elapsed().as_millis() as u64,
        sandbox,
    };
    Ok(Loaded { model, shape: plan.facts.shape.clone(), context, drafter, projector, template, info })
}

/// The model that guesses. It must split text into the same tokens.
fn load_draft(
    draft: &DraftOptions,
    plan: &Plan,
    context: &Context,
    gpu: bool,
    abort: Arc<AbortSwitch>,
) -> Result<Drafter, EngineError> {
    if plan.draft().is_none_or(|own| own.tokenizer_hash != plan.facts.tokenizer_hash) {
        return Err(EngineError::DraftMismatch);
    }
    let layers = if gpu { u32::MAX } else { 0 };
    let model = Model::load(&draft.model_path, layers, &mut |_| true).map(Arc::new).ok_or_else(why_refused)?;
    let options = ContextOptions { outputs: context.options().sequences, ..context.options() };
    Drafter::new(model, options, draft.tokens_max.clamp(1, DRAFT_TOKENS_MAX), abort).ok_or_else(why_refused)
}

/// What reads images. One that was only found is left out if it does not fit the model.
fn load_projector(
    wished: &ProjectorOptions,
    model: &Arc<Model>,
    context: &Context,
    gpu: bool,
) -> Result<Option<Projector>, EngineError> {
    let ContextOptions { threads, batch_tokens, .. } = context.options();
    let options = llama::ProjectorOptions { threads, gpu, batch_tokens };
    let loaded = check_file(&wished.path).and_then(|_| {
        Projector::load(&wished.path, model.clone(), options).map_err(|why| EngineError::InvalidProjector {
            detail: why.or_else(|| llama::error_lines().last().map(|line| clip(line))).unwrap_or_default(),
        })
    });
    match loaded {
        Err(error) if wished.found => {
            let _ = writeln!(std::io::stderr(), "{} is not used: {error}", wished.path.display());
            Ok(None)
        }
        loaded => loaded.map(Some),
    }
}

/// Length of the file, or why it cannot be a model.
pub(super) fn check_file(path: &Path) -> Result<u64, EngineError> {
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
pub(super) fn why_refused() -> EngineError {
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

/// The variant of the processor's code first, where there is one: results differ in the last bits from one to the other.
fn backend_detail(gpu_layers: u32, devices: &[Device], variant: Option<&str>) -> String {
    let device = devices.iter().find(|d| d.is_gpu == (gpu_layers > 0));
    let name = device.map_or("", |d| d.description.as_str());
    let detail = match variant.filter(|_| gpu_layers == 0) {
        Some(variant) => format!("{variant}, {name}"),
        None => name.to_owned(),
    };
    to_printable(&detail, limits::BACKEND_DETAIL_BYTES_MAX)
}

/// What decides the last digits of logits.
fn class(gpu_layers: u32, devices: &[Device], variant: Option<&str>, kv_type: KvType) -> EngineClass {
    let backend = backend(gpu_layers, devices);
    let gpu = devices.iter().find(|device| device.is_gpu && backend != Backend::Cpu);
    let variant = gpu.map_or(variant.unwrap_or(std::env::consts::ARCH), |gpu| gpu.description.as_str());
    EngineClass::new(backend, variant, kv_type)
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
