//! The safe layer over llama.cpp's C interface, as small as the engine's needs.
//!
//! It must not know questions, slots or frames. Everything that can be checked before a call is checked here, because
//! llama.cpp answers a broken precondition by aborting the process. Used in the worker process only.
#![allow(unsafe_code)]

mod backends;
mod context;
mod gguf;
mod model;
mod projector;

pub(crate) use backends::backends;
pub(crate) use context::{AbortSwitch, Batch, Context, ContextOptions, DecodeError, EmbedContext};
pub(crate) use gguf::GgufFacts;
pub(crate) use model::Model;
pub(crate) use projector::{Piece, ProjectError, Projector, ProjectorOptions, Rows};

use llama_cpp_sys_2 as sys;
use std::collections::VecDeque;
use std::ffi::{c_char, c_void, CStr};
use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

/// A token id as llama.cpp counts them.
pub(crate) type Token = i32;

/// Error lines of llama.cpp that are kept for telling why something failed.
const ERROR_LINES_MAX: usize = 16;

struct Log {
    /// A line that is not complete yet, and whether it is worth showing.
    line: String,
    level: sys::ggml_log_level,
    errors: VecDeque<String>,
}

static LOG: Mutex<Log> = Mutex::new(Log { line: String::new(), level: 0, errors: VecDeque::new() });

/// Initialises llama.cpp once for this process. Its warnings and errors go to standard error. Whether anything can compute is
/// for [`backends`] to say.
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the callback is a plain function without state of its own.
        unsafe { sys::llama_log_set(Some(on_log), std::ptr::null_mut()) };
        let _ = backends();
        // SAFETY: called once, and without other precondition.
        unsafe { sys::llama_backend_init() };
    });
}

/// The last error lines of llama.cpp, oldest first.
pub(crate) fn error_lines() -> Vec<String> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).errors.iter().cloned().collect()
}

unsafe extern "C" fn on_log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a string that ends with NUL and lives as long as the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    #[cfg(test)]
    tests::note(&text);
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    if level != sys::GGML_LOG_LEVEL_CONT {
        log.level = level;
        log.line.clear();
    }
    if log.level != sys::GGML_LOG_LEVEL_WARN && log.level != sys::GGML_LOG_LEVEL_ERROR {
        return;
    }
    log.line.push_str(&text);
    if !log.line.ends_with('\n') && log.line.len() < crate::error::DETAIL_BYTES_MAX {
        return;
    }
    let line = crate::error::clip(&log.line);
    log.line.clear();
    let _ = writeln!(std::io::stderr(), "{line}");
    if log.level == sys::GGML_LOG_LEVEL_ERROR {
        if log.errors.len() == ERROR_LINES_MAX {
            log.errors.pop_front();
        }
        log.errors.push_back(line);
    }
}

/// A device that llama.cpp can compute on.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// Name of its backend: `CUDA`, `Vulkan`, `Metal`, `ROCm`, `CPU`.
    pub(crate) backend: String,
    /// Name of the device, for people.
    pub(crate) description: String,
    /// Memory that is free, in bytes.
    pub(crate) free_bytes: u64,
    /// Is it a GPU (of its own or integrated)?
    pub(crate) is_gpu: bool,
}

/// All devices that this build can use.
pub(crate) fn devices() -> Vec<Device> {
    init();
    // SAFETY: the registry is filled by `init`; indices below the count give devices that live as long as the process.
    unsafe {
        (0..sys::ggml_backend_dev_count())
            .map(|index| {
                let device = sys::ggml_backend_dev_get(index);
                let (mut free, mut total) = (0, 0);
                sys::ggml_backend_dev_memory(device, &mut free, &mut total);
                let kind = sys::ggml_backend_dev_type(device);
                Device {
                    backend: text(sys::ggml_backend_reg_name(sys::ggml_backend_dev_backend_reg(device))),
                    description: text(sys::ggml_backend_dev_description(device)),
                    free_bytes: free as u64,
                    is_gpu: kind == sys::GGML_BACKEND_DEVICE_TYPE_GPU || kind == sys::GGML_BACKEND_DEVICE_TYPE_IGPU,
                }
            })
            .collect()
    }
}

/// A C string as text; empty if there is none.
///
/// # Safety
/// `pointer` is null or points at a string that ends with NUL.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::Use;
    use ainonymous_types::KvType;
    use std::path::Path;
    use std::sync::Arc;

    /// What llama.cpp says of its buffers, in bytes: of caches, and of computing.
    static SAID: Mutex<(f64, f64)> = Mutex::new((0.0, 0.0));

    /// `CPU KV buffer size =     1.50 MiB`
    pub(super) fn note(line: &str) {
        let Some((name, size)) = line.split_once("buffer size =") else { return };
        let Some(mib) = size.trim().strip_suffix("MiB").and_then(|mib| mib.trim().parse::<f64>().ok()) else { return };
        let mut said = SAID.lock().unwrap();
        if name.contains("KV") {
            said.0 += mib * 1_048_576.0;
        } else if name.contains("compute") || name.contains("output") {
            said.1 += mib * 1_048_576.0;
        }
    }

    /// The plan's numbers are those of llama.cpp: caches to its last printed digit, buffers never less and not much more.
    #[test]
    fn caches_and_buffers_are_llama_cpps() {
        let path = Path::new("../../tests/models/tiny-gemma-q8_0.gguf");
        let facts = GgufFacts::read(path).unwrap();
        let model = Arc::new(Model::load(path, 0, &mut |_| true).unwrap());
        assert_eq!(facts.shape.parameters, model.parameters());
        assert_eq!(facts.shape.layers.len() as u32, model.layers());
        assert_eq!(facts.shape.context_trained, model.context_trained());
        for (context_tokens, slots, batch_tokens, kv_type) in [
            (512, 1, 512, KvType::F16),
            (500, 3, 512, KvType::F16),
            (2_048, 4, 32, KvType::Bf16),
            (1_024, 2, 128, KvType::Q8_0),
        ] {
            let of = Use { context_tokens, slots, batch_tokens, outputs: slots, kv_type };
            let options = ContextOptions {
                context_tokens,
                sequences: slots,
                outputs: slots,
                batch_tokens,
                threads: 1,
                kv_type,
                flash_attention: crate::class::FlashAttention::of(kv_type, false),
            };
            *SAID.lock().unwrap() = (0.0, 0.0);
            Context::new(model.clone(), options, Arc::default()).unwrap();
            let (cache, buffers) = *SAID.lock().unwrap();
            let (ours, about) = (facts.shape.all_cache_bytes(&of) as f64, facts.shape.buffer_bytes(&of) as f64);
            assert!((cache - ours).abs() < 0.011 * 1_048_576.0, "{of:?}: {cache} {ours}");
            assert!(buffers > 0.0 && buffers <= about && about < 2.5 * buffers + 64e6, "{of:?}: {buffers} {about}");
        }
    }
}
