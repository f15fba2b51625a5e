//! What the kernel says of the server's process: memory, CPU, context switches, open files.
//!
//! All of it is read from `/proc/PID`, which needs no help from the server and costs it nothing. CPU and
//! context switches are sums over the threads that live; a thread that ends between two readings takes its share along,
//! which is why `user_ms` and `kernel_ms` come from the process as a whole (at the kernel's tick of 10 ms) beside the finer `on_cpu_ns`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// One reading of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Memory.
    pub(crate) memory: Memory,
    /// Time of the process in its own code, in milliseconds.
    pub(crate) user_ms: u64,
    /// Time of the process in the kernel, in milliseconds.
    pub(crate) kernel_ms: u64,
    /// Time that the living threads spent on a CPU, in nanoseconds.
    pub(crate) on_cpu_ns: u64,
    /// Context switches of the living threads.
    pub(crate) switches: Switches,
    /// Open file descriptors.
    pub(crate) files: u64,
}

/// Bytes of memory, as `smaps_rollup` counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Proportional set size: shared pages divided among those who share them.
    pub(crate) pss: u64,
    /// Resident set size.
    pub(crate) rss: u64,
    /// Pages written by this process alone: heap and stacks.
    pub(crate) private_dirty: u64,
}

/// Context switches, by who wanted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switches {
    /// The thread waited for something.
    pub(crate) voluntary: u64,
    /// The thread's time was up.
    pub(crate) involuntary: u64,
}

/// A process to be read again and again.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pid: u32,
    dir: PathBuf,
}

impl Process {
    /// Makes sure that the process exists and may be read.
    pub(crate) fn new(pid: u32) -> io::Result<Self> {
        let process = Self {
            pid,
            dir: Path::new("/proc").join(pid.to_string()),
        };
        process.read().map(|_| process)
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> io::Result<Memory> {
        parse_memory(&self.text("smaps_rollup")?).ok_or_else(unreadable)
    }

    /// Reads everything now.
    pub(crate) fn read(&self) -> io::Result<Reading> {
        let (user, kernel) = parse_ticks(&self.text("stat")?).ok_or_else(unreadable)?;
        let tick_ms = 1000 / rustix::param::clock_ticks_per_second();
        let mut reading = Reading {
            memory: self.memory()?,
            user_ms: user * tick_ms,
            kernel_ms: kernel * tick_ms,
            files: self.files()?,
            ..Reading::default()
        };
        for task in fs::read_dir(self.dir.join("task"))? {
            let task = task?.path();
            // A thread may end between the listing and the reading.
            let Ok(status) = fs::read_to_string(task.join("status")) else {
                continue;
            };
            reading.switches.voluntary += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
            reading.switches.involuntary +=
                field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
            let run = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let run = run.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
            reading.on_cpu_ns += run.unwrap_or(0);
        }
        Ok(reading)
    }

    /// Open file descriptors now.
    pub(crate) fn files(&self) -> io::Result<u64> {
        Ok(fs::read_dir(self.dir.join("fd"))?.count() as u64)
    }

    fn text(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.dir.join(file))
    }
}

impl Reading {
    /// For the file of figures.
    pub(crate) fn to_json(self) -> Value {
        json!({
            "pss_bytes": self.memory.pss,
            "rss_bytes": self.memory.rss,
            "private_dirty_bytes": self.memory.private_dirty,
            "user_ms": self.user_ms,
            "kernel_ms": self.kernel_ms,
            "on_cpu_ns": self.on_cpu_ns,
            "voluntary_switches": self.switches.voluntary,
            "involuntary_switches": self.switches.involuntary,
            "files": self.files,
        })
    }

    /// CPU since `earlier`, in nanoseconds: the finer figure, or the coarse one where threads have ended.
    pub(crate) fn cpu_ns_since(&self, earlier: &Self) -> u64 {
        let coarse = self.cpu_ms().saturating_sub(earlier.cpu_ms()) * 1_000_000;
        match self.on_cpu_ns.checked_sub(earlier.on_cpu_ns) {
            // A tick may be counted up to 10 ms late, so only a clear difference means a lost thread.
            Some(fine) if fine + 50_000_000 >= coarse => fine,
            _ => coarse,
        }
    }

    /// The kernel's share of the CPU since `earlier`, as far as ticks of 10 ms tell.
    pub(crate) fn kernel_share_since(&self, earlier: &Self) -> f64 {
        let kernel = self.kernel_ms.saturating_sub(earlier.kernel_ms);
        let all = self.cpu_ms().saturating_sub(earlier.cpu_ms());
        kernel as f64 / all.max(1) as f64
    }

    /// User and kernel time of the process, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> u64 {
        self.user_ms + self.kernel_ms
    }
}

fn unreadable() -> io::Error {
    io::Error::other("/proc is not as expected")
}

/// The number behind `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn parse_memory(smaps_rollup: &str) -> Option<Memory> {
    let bytes = |name| field(smaps_rollup, name).map(|kib| kib * 1024);
    Some(Memory {
        pss: bytes("Pss:")?,
        rss: bytes("Rss:")?,
        private_dirty: bytes("Private_Dirty:")?,
    })
}

/// utime and stime, fields 14 and 15. The command (field 2) may itself hold spaces and brackets, so counting starts behind it.
fn parse_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let utime: u64 = fields.next()?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some((utime, stime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:                2048 kB\n\
            Pss:                1024 kB\nPss_Dirty:           900 kB\nShared_Dirty:          0 kB\n\
            Private_Dirty:       512 kB\n";
        let memory = parse_memory(text).unwrap();
        assert_eq!(memory.pss, 1024 * 1024);
        assert_eq!(memory.rss, 2048 * 1024);
        assert_eq!(memory.private_dirty, 512 * 1024);
        assert_eq!(parse_memory("Rss: 1 kB\n"), None);
    }

    #[test]
    fn ticks_are_found_behind_a_command_with_brackets() {
        let stat =
            "7 (a) b) R) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0 100 1000 10 18446744";
        assert_eq!(parse_ticks(stat), Some((31, 11)));
        assert_eq!(parse_ticks("7 (a"), None);
    }

    #[test]
    fn switches_are_told_apart() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(12));
        assert_eq!(field(status, "nonvoluntary_ctxt_switches:"), Some(3));
        assert_eq!(field(status, "absent:"), None);
    }

    #[test]
    fn cpu_falls_back_to_ticks_where_a_thread_has_ended() {
        let at = |user_ms, on_cpu_ns| Reading {
            user_ms,
            on_cpu_ns,
            ..Reading::default()
        };
        assert_eq!(at(20, 17_000_000).cpu_ns_since(&at(0, 0)), 17_000_000);
        assert_eq!(at(900, 5).cpu_ns_since(&at(100, 50)), 800_000_000);
        assert_eq!(at(900, 90_000_000).cpu_ns_since(&at(100, 50)), 800_000_000);
    }

    #[test]
    fn the_kernels_share_is_told_from_the_rest() {
        let at = |user_ms, kernel_ms| Reading {
            user_ms,
            kernel_ms,
            ..Reading::default()
        };
        assert_eq!(at(20, 80).kernel_share_since(&at(0, 20)), 0.75);
        assert_eq!(at(20, 80).kernel_share_since(&at(20, 80)), 0.0);
    }

    #[test]
    fn this_process_can_be_read() {
        let reading = Process::new(std::process::id()).unwrap().read().unwrap();
        assert!(reading.memory.pss > 0 && reading.memory.rss >= reading.memory.private_dirty);
        assert!(reading.files > 0);
    }
}
