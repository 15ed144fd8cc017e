//! Which of llama.cpp's libraries compute on this machine.
//!
//! A build for every machine has the code for processors in a dozen variants, and that for GPUs, as libraries of their own; the
//! best that this machine can run are loaded when the worker starts. It must not know models. Nothing else is loaded from
//! anywhere else: the folder is that of llama.cpp itself, or the one that `AINONYMOUS_BACKENDS_DIR` names.

use super::sys;
use crate::EngineError;
use std::ffi::{c_void, CStr};
#[cfg(dispatch)]
use std::path::PathBuf;
use std::sync::OnceLock;

/// Names another folder for the libraries that compute; one with a single variant in it forces that variant.
#[cfg(dispatch)]
const FOLDER_VARIABLE: &str = "AINONYMOUS_BACKENDS_DIR";

/// What was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backends {
    /// Variant of the processor's code, for example `zen4`; none where the build has only one.
    pub(crate) variant: Option<String>,
}

/// Loads them, once for this process; says what was loaded, or why nothing can compute.
pub(crate) fn backends() -> Result<Backends, EngineError> {
    static LOADED: OnceLock<Result<Backends, EngineError>> = OnceLock::new();
    LOADED.get_or_init(load).clone()
}

#[cfg(dispatch)]
fn load() -> Result<Backends, EngineError> {
    let folder = std::env::var_os(FOLDER_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from).or_else(own_folder);
    let folder = folder.unwrap_or_default();
    let missing = || EngineError::BackendsMissing { folder: folder.display().to_string() };
    let path = std::ffi::CString::new(folder.to_str().ok_or_else(missing)?).map_err(|_| missing())?;
    // SAFETY: the path is a C string that outlives the call.
    unsafe { sys::ggml_backend_load_all_from_path(path.as_ptr()) };
    let register = cpu_register().ok_or_else(missing)?;
    Ok(Backends {
        variant: library_of(in_register(register, c"ggml_backend_set_n_threads")).as_deref().and_then(variant),
    })
}

/// The code is part of this executable.
#[cfg(not(dispatch))]
fn load() -> Result<Backends, EngineError> {
    Ok(Backends { variant: None })
}

/// A function of the processor's library, which the linker does not know; null if it has none of that name.
///
/// The caller must know the function's type.
pub(super) fn cpu_function(name: &CStr) -> *mut c_void {
    cpu_register().map_or(std::ptr::null_mut(), |register| in_register(register, name))
}

fn cpu_register() -> Option<sys::ggml_backend_reg_t> {
    // SAFETY: asks the registry for the first device of a kind; null if there is none.
    let register = unsafe {
        let device = sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU);
        if device.is_null() {
            return None;
        }
        sys::ggml_backend_dev_backend_reg(device)
    };
    (!register.is_null()).then_some(register)
}

fn in_register(register: sys::ggml_backend_reg_t, name: &CStr) -> *mut c_void {
    // SAFETY: registers live as long as the process; the name is a C string that outlives the call.
    unsafe { sys::ggml_backend_reg_get_proc_address(register, name.as_ptr()) }
}

/// The folder that llama.cpp itself was loaded from.
#[cfg(dispatch)]
fn own_folder() -> Option<PathBuf> {
    let library = library_of(sys::llama_backend_init as *mut c_void)?;
    Some(PathBuf::from(library).parent()?.to_path_buf())
}

/// The file that an address was loaded from.
#[cfg(dispatch)]
fn library_of(address: *mut c_void) -> Option<String> {
    if address.is_null() {
        return None;
    }
    // SAFETY: the structure is plain data and filled by the call; names in it live as long as the library.
    let name = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(address, &mut info) == 0 {
            return None;
        }
        super::text(info.dli_fname)
    };
    (!name.is_empty()).then_some(name)
}

/// `/x/libggml-cpu-zen4.so` is `zen4`.
#[cfg(any(dispatch, test))]
fn variant(library: &str) -> Option<String> {
    let name = library.rsplit('/').next()?.strip_prefix("libggml-cpu-")?.strip_suffix(".so")?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn variants_are_in_the_name() {
        assert_eq!(super::variant("/a/libggml-cpu-b/libggml-cpu-zen4.so").as_deref(), Some("zen4"));
        assert_eq!(super::variant("libggml-cpu-armv8.2_1.so").as_deref(), Some("armv8.2_1"));
        assert_eq!(super::variant("/usr/lib/libggml-cpu.so"), None);
        assert_eq!(super::variant("libggml-cpu-.so"), None);
    }

    /// The library beside this test is found without any help, and the loader's rules name a variant.
    #[test]
    fn this_machine_can_compute() {
        super::super::init();
        let loaded = super::backends().unwrap();
        assert_eq!(loaded.variant.is_some(), cfg!(dispatch), "{loaded:?}");
        assert!(!super::cpu_function(c"ggml_threadpool_new").is_null());
        assert!(super::cpu_function(c"no such function").is_null());
    }
}
