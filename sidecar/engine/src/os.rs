//! The few things that only the operating system can do. Besides `llama.rs` the only place with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

/// Gives the frames' channel to the caller alone: what any library prints to standard output goes to standard error, and what
/// else was inherited by mistake is closed. Call it before anything is opened.
pub(crate) fn take_stdout() -> io::Result<File> {
    close_inherited();
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let frames = io::stdout().as_fd().try_clone_to_owned()?;
        // SAFETY: both descriptors are open for the whole life of the process and are plain integers to `dup2`.
        if unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from(frames))
    }
    #[cfg(windows)]
    {
        use std::os::windows::io::AsHandle;
        Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
    }
}

/// Asks to be killed when the thread that started this process ends (Linux; elsewhere the end of stdin must do).
pub(crate) fn die_with_parent() {
    #[cfg(target_os = "linux")]
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and touches no memory of ours.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
    }
}

/// Closes all descriptors but the three standard ones: a file or socket of the host that a library left open is none of ours.
fn close_inherited() {
    #[cfg(target_os = "linux")]
    // SAFETY: the caller promises that nothing is open yet whose descriptor anything here remembers.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, 0 as libc::c_uint);
    }
}

/// Neither this process nor what it starts can gain privileges from a file.
#[cfg(target_os = "linux")]
pub(crate) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())
}

/// Nothing in memory, such as a prompt, is written to disk when the process crashes.
#[cfg(target_os = "linux")]
pub(crate) fn no_core_dumps() -> io::Result<()> {
    let nothing = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the call, which only reads it.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &nothing) }.into())
}

/// Root without its powers, except for reading files whose owner is another (a service's model is often a user's).
#[cfg(target_os = "linux")]
pub(crate) fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    const DAC_READ_SEARCH: u32 = 1 << 2;
    // The version and this thread; then twice effective, permitted, inheritable: for capabilities below and above 32.
    let mut header = [VERSION_3, 0];
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: both arrays have the layout of the kernel's structures, which are words, and outlive the calls.
    unsafe {
        checked(libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()))?;
        let kept = sets[0][1] & DAC_READ_SEARCH;
        sets = [[kept, kept, 0], [0; 3]];
        checked(libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()))
    }
}

#[cfg(target_os = "linux")]
fn checked(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Ends the process at once, without destructors that would race with threads in the middle of a computation.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` never returns and needs nothing.
    #[cfg(unix)]
    unsafe {
        libc::_exit(code)
    }
    #[cfg(not(unix))]
    std::process::exit(code)
}

/// Physical cores that this process may use, at least one: hyper-threads share what llama.cpp needs, and more threads than
/// cores spin at barriers. Affinity and container quotas count.
pub(crate) fn physical_cores() -> u32 {
    let allowed = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    allowed.min(cores_in_sysfs().unwrap_or(allowed)).max(1)
}

/// Distinct (package, core) pairs that sysfs lists.
fn cores_in_sysfs() -> Option<u32> {
    let mut cores = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        let name = entry.file_name();
        let is_cpu = name.to_str().and_then(|n| n.strip_prefix("cpu")).is_some_and(|n| n.parse::<u32>().is_ok());
        let read = |file: &str| std::fs::read_to_string(entry.path().join("topology").join(file)).ok();
        if let (true, Some(package), Some(core)) = (is_cpu, read("physical_package_id"), read("core_id")) {
            cores.insert((package, core));
        }
    }
    (!cores.is_empty()).then_some(cores.len() as u32)
}

/// Memory of this machine in bytes, where the system tells.
pub(crate) fn memory_bytes() -> Option<u64> {
    #[cfg(unix)]
    {
        // SAFETY: `sysconf` takes a number and gives one.
        let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
        u64::try_from(pages).ok()?.checked_mul(u64::try_from(page).ok()?)
    }
    #[cfg(not(unix))]
    None
}

/// Memory that programs can still have in bytes, the container's limit counted, where the system tells.
pub(crate) fn available_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10;
    let cgroup = |file: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok();
    Some(
        free.min(
            cgroup_room(cgroup("memory.max"), cgroup("memory.current"), cgroup("memory.stat")).unwrap_or(u64::MAX),
        ),
    )
}

/// What a control group (version 2) still allows; what it holds of files can be given back.
fn cgroup_room(max: Option<String>, current: Option<String>, stat: Option<String>) -> Option<u64> {
    let max: u64 = max?.trim().parse().ok()?;
    let current: u64 = current?.trim().parse().ok()?;
    let stat = stat.unwrap_or_default();
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let files: u64 = files.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0);
    Some(max.saturating_sub(current.saturating_sub(files)))
}

/// Resident memory of a process in bytes, where the system tells.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The part of it that is of no file, so that the system cannot take it back, where the system tells.
pub(crate) fn anonymous_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "RssAnon:")
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// Bytes that a process has read from disks so far, where the system tells.
pub(crate) fn disk_read_bytes(pid: u32) -> Option<u64> {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("read_bytes:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_machine_has_a_core() {
        assert!(super::physical_cores() >= 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn free_memory_is_part_of_all() {
        let (free, all) = (super::available_bytes().unwrap(), super::memory_bytes().unwrap());
        assert!(free > 1 << 20 && free <= all, "{free} of {all}");
    }

    #[test]
    fn containers_have_their_own_limit() {
        let room = |max: &str| {
            super::cgroup_room(Some(max.into()), Some("700\n".into()), Some("anon 1\ninactive_file 200\n".into()))
        };
        assert_eq!(room("1000\n"), Some(500));
        assert_eq!(room("100\n"), Some(0));
        assert_eq!(room("max\n"), None, "no limit");
        assert_eq!(super::cgroup_room(None, None, None), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(super::resident_bytes(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(super::resident_bytes(u32::MAX), None);
        let anonymous = super::anonymous_bytes(std::process::id()).unwrap();
        assert!(anonymous > 1 << 16 && anonymous <= super::resident_bytes(std::process::id()).unwrap());
    }
}
