//! Which files a confined worker can open, by Landlock. It must not know system calls.
//!
//! Landlock holds for the calling thread and those that it starts, hence the look at the threads. It does not hide names, sizes
//! and dates; it also denies TCP and, on newer kernels, signals and abstract sockets to processes outside.

use landlock::{
    Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, ABI,
};
use std::path::{Path, PathBuf};

/// The newest version whose rights were looked at; older kernels enforce what they know of it.
const VERSION: ABI = ABI::V6;

/// What every program may read: itself, the processors, shared libraries.
const READ: [&str; 12] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/kernel/numa_balancing",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// What drivers of GPUs read besides: the kernel's list of devices, and which drivers there are.
const READ_GPU: [&str; 20] = [
    "/sys",
    "/proc/devices",
    "/proc/modules",
    "/proc/driver/nvidia",
    "/proc/sys/vm",
    "/etc/drirc",
    "/etc/nvidia",
    "/etc/vulkan",
    "/usr/share/drirc.d",
    "/usr/share/glvnd",
    "/usr/share/libdrm",
    "/usr/share/nvidia",
    "/usr/share/vulkan",
    "/usr/local/lib",
    "/usr/local/cuda",
    "/usr/local/nvidia",
    "/opt/cuda",
    "/opt/rocm",
    "/nix/store",
    "/run/opengl-driver",
];

/// Devices of GPUs, and files that drivers write, below the root folder.
const WRITE_GPU: [&str; 4] = ["/dev/dri", "/dev/kfd", "/dev/dxg", "/dev/null"];
/// ROCm's library keeps what its processes share there.
const WRITE_ROCM: &str = "/dev/shm";
/// Compiled shaders, below the home folder; only if they are there already.
const CACHES_GPU: [&str; 6] = [
    ".nv/ComputeCache",
    ".cache/nvidia",
    ".cache/mesa_shader_cache",
    ".cache/mesa_shader_cache_db",
    ".cache/radv_builtin_shaders64",
    ".AMD/VkCache",
];

/// Lets nothing be opened but the model and what a program needs to run. Says by what, or why not.
pub(super) fn confine(model_files: &[PathBuf], gpu: bool) -> Result<String, String> {
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(1) => {}
        Ok(threads) => return Err(format!("{threads} threads run already")),
        Err(e) => return Err(format!("/proc cannot be read: {e}")),
    }
    let status = restrict(model_files, gpu).map_err(|e| e.to_string())?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => Err("Landlock is not enabled".into()),
        (RulesetStatus::NotEnforced, _) => Err("the kernel has no Landlock".into()),
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(format!("Landlock {}", effective_abi as i32)),
        _ => Ok("Landlock".into()),
    }
}

fn restrict(model_files: &[PathBuf], gpu: bool) -> Result<landlock::RestrictionStatus, RulesetError> {
    let all = AccessFs::from_all(VERSION);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()?;
    for file in model_files {
        rules = allow(rules, file, AccessFs::ReadFile.into())?;
    }
    if let Ok(program) = std::env::current_exe() {
        rules = allow(rules, &program, AccessFs::ReadFile.into())?;
    }
    for path in READ {
        rules = allow(rules, Path::new(path), read)?;
    }
    if gpu {
        for path in READ_GPU {
            rules = allow(rules, Path::new(path), read)?;
        }
        for path in nvidia_devices().iter().map(PathBuf::as_path).chain(WRITE_GPU.iter().map(Path::new)) {
            rules = allow(rules, path, device)?;
        }
        for path in caches() {
            rules = allow(rules, &path, all & !AccessFs::Execute)?;
        }
    }
    rules.restrict_self()
}

/// What is not there needs no rule: opening it then fails as it would anyway.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(rules) };
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if metadata.is_dir() { access } else { access & AccessFs::from_file(VERSION) };
    rules.add_rule(PathBeneath::new(opened, access))
}

/// `/dev/nvidia0`, `/dev/nvidiactl`, `/dev/nvidia-uvm`, the folder `/dev/nvidia-caps` and their like.
fn nvidia_devices() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/dev") else { return Vec::new() };
    let is_nvidia =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"nvidia"));
    entries.flatten().map(|entry| entry.path()).filter(is_nvidia).collect()
}

fn caches() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()) {
        paths.extend(CACHES_GPU.iter().map(|folder| home.join(folder)));
    }
    if cfg!(feature = "rocm") {
        paths.push(WRITE_ROCM.into());
    }
    paths
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_does_not_claim_to_hold_for_threads_that_run_already() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        let why = super::confine(&[], false).unwrap_err();
        assert!(why.contains("threads run already"), "{why}");
        drop(stop);
        assert!(other.join().unwrap().is_err());
        assert!(std::fs::read("/etc/passwd").is_ok(), "and nothing has changed");
    }
}
