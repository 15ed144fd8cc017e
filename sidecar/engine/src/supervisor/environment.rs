//! Which environment variables a worker is started with.
//!
//! A host's environment holds secrets: this project's passphrase, other programs' tokens. So a worker gets what programs, GPU
//! drivers and llama.cpp are known to read, and nothing else.

use crate::sandbox::SANDBOX_VARIABLE;
use std::ffi::{OsStr, OsString};

/// Variables by their whole name, in capitals.
const NAMES: [&str; 19] = [
    "AINONYMOUS_BACKENDS_DIR",
    "APPDATA",
    "COMPUTERNAME",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOCALAPPDATA",
    "NUMBER_OF_PROCESSORS",
    "PATH",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TZ",
    "USERPROFILE",
    "WINDIR",
];

/// Variables by how their name begins: systems, loaders, OpenMP, then GPUs.
const PREFIXES: [&str; 29] = [
    "LC_",
    "XDG_",
    "LD_",
    "DYLD_",
    "RUST_",
    "MALLOC_",
    "MIMALLOC_",
    "GLIBC_",
    "GGML_",
    "LLAMA_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "CUDA_",
    "CUBLAS_",
    "NCCL_",
    "NVIDIA_",
    "__NV_",
    "__GL_",
    "VK_",
    "MESA_",
    "RADV_",
    "ANV_",
    "AMD_",
    "HSA_",
    "HIP_",
    "ROCR_",
    "MTL_",
    "METAL_",
];

/// The part of `all` that a worker gets.
pub(super) fn of_worker(all: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (OsString, OsString)> {
    all.filter(|(name, _)| passes(name))
}

fn passes(name: &OsStr) -> bool {
    // Windows does not tell capitals from small letters.
    let Some(name) = name.to_str().map(str::to_ascii_uppercase) else { return false };
    name == SANDBOX_VARIABLE || NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_behind_and_drivers_keep_theirs() {
        let secrets = "AINONYMOUS_PASSPHRASE AINONYMOUS_PASSPHRASE_FILE AINONYMOUS_DATA_DIR HF_TOKEN OPENAI_API_KEY \
                       AWS_SECRET_ACCESS_KEY SSH_AUTH_SOCK DBUS_SESSION_BUS_ADDRESS PATHS";
        for name in secrets.split_whitespace() {
            assert!(!passes(OsStr::new(name)), "{name}");
        }
        for name in ["HOME", "Path", "SystemRoot", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "AINONYMOUS_SANDBOX"] {
            assert!(passes(OsStr::new(name)), "{name}");
        }
    }
}
