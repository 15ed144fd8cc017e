//! Processor and memory, as far as the operating system says.

use super::Check;
use crate::settings::Settings;
use crate::show::{bytes, count};
use std::collections::HashSet;

/// Below this a node and a small model do not fit beside anything else.
const MEMORY_BYTES_MIN: u64 = 1 << 30;

/// Cores, and whether more threads are asked for than there are.
pub(super) fn processor(settings: &Settings) -> Vec<Check> {
    let usable = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let cores = physical_cores();
    let found = match cores {
        Some(cores) => format!("{}, {}", count(cores, "physical core"), count(usable, "usable thread")),
        None => count(usable, "usable thread"),
    };
    let mut checks = vec![match usable {
        1 => Check::warn("processor", found, "answers and the network share one thread; expect pauses"),
        _ => Check::ok("processor", found),
    }];
    let asked = settings.models.iter().filter_map(|model| model.threads).max().map(u64::from);
    if let Some(asked) = asked.filter(|asked| *asked > usable) {
        let hint = format!("more threads than {usable} make answers slower; leave --threads out");
        checks.push(Check::warn("threads", format!("{asked} are asked for"), hint));
    }
    checks
}

/// Free memory against the models.
pub(super) fn memory(settings: &Settings) -> Check {
    const NAME: &str = "memory";
    let Some(free) = free_memory() else {
        return Check::ok(NAME, "not known on this system");
    };
    let size = |path: &std::path::PathBuf| fs_err::metadata(path).map_or(0, |metadata| metadata.len());
    let models: u64 = settings.models.iter().map(|model| size(&model.path)).sum();
    let found = format!("{} free, models take {}", bytes(free), bytes(models));
    if free < models.saturating_add(MEMORY_BYTES_MIN / 4) {
        return Check::fail(NAME, found, "use a smaller model or quantisation, or close other programs");
    }
    if free < models.saturating_add(MEMORY_BYTES_MIN) {
        return Check::warn(NAME, found, "it may become tight; a smaller --context helps");
    }
    Check::ok(NAME, found)
}

fn physical_cores() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/cpuinfo").ok()?;
    physical_cores_of(&text)
}

/// Distinct pairs of package and core.
fn physical_cores_of(cpuinfo: &str) -> Option<u64> {
    let value = |block: &str, name: &str| {
        let line = block.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split(':').nth(1).map(|value| value.trim().to_owned())
    };
    let cores: HashSet<_> = cpuinfo
        .split("\n\n")
        .filter_map(|block| Some((value(block, "physical id")?, value(block, "core id")?)))
        .collect();
    (!cores.is_empty()).then_some(cores.len() as u64)
}

/// Memory in bytes that programs can have now, where the system says.
pub(crate) fn free_memory() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn threads_of_one_core_count_once() {
        let block = |processor: u32, core: u32| {
            format!("processor\t: {processor}\nphysical id\t: 0\nsiblings\t: 4\ncore id\t\t: {core}\n")
        };
        let text = [block(0, 0), block(1, 1), block(2, 0), block(3, 1)].join("\n");
        assert_eq!(super::physical_cores_of(&text), Some(2));
        assert_eq!(super::physical_cores_of("processor : 0\n"), None, "ARM does not say");
    }
}
