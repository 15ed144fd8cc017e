//! What the system knows of processes: processor time and memory. Nothing where there is no `/proc`.

use std::path::Path;

/// Processor time that a process has taken, in seconds.
pub(crate) fn cpu_s(pid: u32) -> Option<f64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything but ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / ticks_per_s())
}

fn ticks_per_s() -> f64 {
    // SAFETY: `sysconf` takes a number and gives one.
    #[allow(unsafe_code)]
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ticks.max(1) as f64
}

/// Resident memory of a process in bytes, and how much of it is this file.
pub(crate) fn resident(pid: u32, file: &Path) -> Option<(f64, f64)> {
    let smaps = fs_err::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let file = file.canonicalize().ok()?.display().to_string();
    let (mut all, mut of_file, mut is_file) = (0.0, 0.0, false);
    for line in smaps.lines() {
        if let Some(kib) = line.strip_prefix("Rss:") {
            let bytes = kib.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0;
            all += bytes;
            of_file += if is_file { bytes } else { 0.0 };
        } else if line.split_whitespace().next().is_some_and(|range| range.contains('-')) {
            is_file = line.ends_with(&file);
        }
    }
    Some((all, of_file))
}

/// Processes that wanted to run, on average over a minute.
pub(crate) fn load() -> Option<f64> {
    fs_err::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
