//! The machine that a run was made on: what a figure means nothing without.

use std::fs;
use std::path::Path;

use rustix::fs::statfs;

/// The kernel's number for a file system in memory.
const TMPFS: i64 = 0x0102_1994;

/// The kernel, the processors and the memory, in words.
pub(crate) fn described() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    // Not those that this program may use: it may be bound to one of them.
    let processors = read("/proc/cpuinfo");
    let cpus = processors
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = field(&processors, "model name");
    let (kernel, gib) = (kernel.trim(), kib.div_ceil(1 << 20));
    format!("Linux {kernel}, {cpus} × {model}, {gib} GiB")
}

/// Whether what is written there is kept in memory only, so that nothing is durable and nothing costs what it does on a disk.
pub(crate) fn is_in_memory(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|found| found.f_type == TMPFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let text = described();
        assert!(
            text.starts_with("Linux ") && text.ends_with(" GiB"),
            "{text}"
        );
        assert!(!is_in_memory(Path::new("/proc")));
    }
}
