//! What does not end the number of polls: how many may come or be woken at once, what is in between, where the database is.

use super::{Judge, Remark, bytes_for, number, sysctl};
use crate::cli::check::figures::{bytes, decimal};

/// Bytes of a remembered session.
const SESSION_BYTES: u64 = 250;
/// Newcomers that are worth a place in a backlog: as many as are accepted in the second in which those without one try again.
const BACKLOG_MAX: u64 = 65_535;
/// Questions a second whether clients are still there, from which on they are worth a remark.
const QUESTIONS_MAX: u64 = 10_000;
/// Bytes free on the disk, below which they are worth one: four times what the write-ahead log may have.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// File systems that are other machines', as the kernel names them. A write-ahead log needs memory that all of its users share.
const NETWORK: [&str; 20] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph",
    "fuse.davfs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
];
/// File systems that are gone when the machine is off.
const MEMORY: [&str; 2] = ["ramfs", "tmpfs"];

impl Judge<'_> {
    /// Where no number was asked for, nothing is too small for it.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        let polls = self.asked.unwrap_or(0);
        let mut remarks = vec![self.backlog(polls), self.buffers(polls), self.ports(polls)];
        remarks.extend(self.caches(polls));
        remarks.extend(self.keepalive(polls));
        match self.config.database_address() {
            Some(address) => remarks.push(elsewhere(&address)),
            None => remarks.extend([self.file_system(), self.disk()]),
        }
        remarks
    }

    fn backlog(&self, polls: u64) -> Remark {
        let found = self.machine.somaxconn;
        let loops = number(self.config.loops).max(1);
        let wanted = polls.min(BACKLOG_MAX).div_ceil(loops);
        let is_warning = found.is_some_and(|found| found < wanted);
        let found_text = known(found.map(decimal));
        Remark {
            name: "backlog",
            text: format!(
                "Newcomers that wait to be accepted (net.core.somaxconn): {found_text} for each event loop. Of those who come back at once, as after a failure of the network, the others try again a second later."
            ),
            found: vec![("somaxconn", found)],
            is_warning,
            set: when(is_warning, || sysctl("net.core.somaxconn", wanted)),
        }
    }

    fn buffers(&self, polls: u64) -> Remark {
        let found = self.machine.tcp_pressure_pages;
        let is_warning = found.is_some_and(|found| found < polls);
        let found_text = known(found.map(decimal));
        let (low, high) = (polls / 4 * 3, polls.saturating_add(polls / 2));
        Remark {
            name: "tcp_memory",
            text: format!(
                "Pages of TCP's buffers (the second of net.ipv4.tcp_mem): {found_text}. A poll that waits takes none; an answer takes one at least until its client has it, so they matter where slow clients are woken all at once."
            ),
            found: vec![("pressure_pages", found)],
            is_warning,
            set: when(is_warning, || {
                format!("sysctl -w net.ipv4.tcp_mem=\"{low} {polls} {high}\"")
            }),
        }
    }

    fn ports(&self, polls: u64) -> Remark {
        let ports = self.machine.ports;
        let count = ports.map(|(first, last)| last.saturating_sub(first).saturating_add(1));
        let (first, last) = ports.unzip();
        let short = count.filter(|count| *count < polls);
        // What a range may have at most, below which the well-known ones are.
        let addresses = polls.div_ceil(64_512);
        let set = short.map(|_| {
            let range = "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"";
            match addresses {
                1 => format!("where a proxy runs: {range}"),
                _ => format!("where a proxy runs: {range}, and {addresses} addresses or ports (--listen) that it connects to"),
            }
        });
        Remark {
            name: "ports",
            text: format!(
                "Ports to connect from (net.ipv4.ip_local_port_range): {}. No limit for clients with addresses of their own; but all that come through a proxy come from its address, and one address has no more connections than these to each of ours.",
                known(count.map(decimal))
            ),
            found: vec![("first", first), ("last", last)],
            is_warning: false,
            set: set.into_iter().collect(),
        }
    }

    fn caches(&self, polls: u64) -> Option<Remark> {
        let config = self.config;
        let each = number(config.cache_messages)
            .saturating_add(number(config.cache_sessions).saturating_mul(SESSION_BYTES));
        let all = each
            .saturating_mul(number(config.loops))
            .saturating_add(number(config.max_unsent));
        let cgroup = self
            .machine
            .cgroup
            .map(|cgroup| cgroup.max_bytes.saturating_sub(cgroup.used_bytes));
        let room = [self.machine.memory_bytes, cgroup]
            .into_iter()
            .flatten()
            .min()?;
        let left = room.saturating_sub(bytes_for(polls));
        (left < all).then(|| Remark {
            name: "caches",
            text: format!(
                "Memory beside the polls: {} are left, and caches and what clients have not taken may grow to {}. With less the system ends loiter when they do; --max-unsent bounds the larger part.",
                bytes(left),
                bytes(all)
            ),
            found: vec![("left_bytes", Some(left)), ("caches_bytes", Some(all))],
            is_warning: true,
            set: Vec::new(),
        })
    }

    fn keepalive(&self, polls: u64) -> Option<Remark> {
        let seconds = self.config.keepalive.as_secs().max(1);
        let questions = polls / seconds;
        let enough = polls.div_ceil(QUESTIONS_MAX).min(7200);
        (questions > QUESTIONS_MAX).then(|| Remark {
            name: "keepalive",
            text: format!(
                "Questions whether silent clients are still there: {} a second, one for each every {seconds} s.",
                decimal(questions)
            ),
            found: vec![("a_second", Some(questions))],
            is_warning: false,
            set: vec![format!("--keepalive {enough}s, which finds vanished clients as much later")],
        })
    }

    fn file_system(&self) -> Remark {
        let name = self.machine.file_system.as_deref();
        let is_one_of = |of: &[&str]| name.is_some_and(|name| of.contains(&name));
        let (network, memory) = (is_one_of(&NETWORK), is_one_of(&MEMORY));
        let verdict = match name {
            _ if network => " of another machine. SQLite's write-ahead log needs a local one",
            _ if memory => ", which is memory: gone when the machine is off",
            Some(_) => "",
            None => ". It must be a local one",
        };
        let name = known(name.map(str::to_owned));
        Remark {
            name: "file_system",
            text: format!("The database's file system: {name}{verdict}."),
            found: Vec::new(),
            is_warning: network || memory,
            set: when(network, || "--database on a local disk".to_owned()),
        }
    }

    fn disk(&self) -> Remark {
        let free = self.machine.free_bytes;
        Remark {
            name: "disk",
            text: format!(
                "Free on its disk: {}. The write-ahead log takes some 64 MiB of it, and a copy as much as the database.",
                known(free.map(bytes))
            ),
            found: vec![("free_bytes", free)],
            is_warning: free.is_some_and(|free| free < FREE_BYTES_MIN),
            set: Vec::new(),
        }
    }
}

/// What is said instead of a file system and a disk.
fn elsewhere(address: &str) -> Remark {
    Remark {
        name: "database",
        text: format!(
            "The database is at {address}. Its file system and its disk are for whoever looks after it, and were not looked at."
        ),
        found: Vec::new(),
        is_warning: false,
        set: Vec::new(),
    }
}

fn when(is: bool, set: impl FnOnce() -> String) -> Vec<String> {
    is.then(set).into_iter().collect()
}

fn known(text: Option<String>) -> String {
    text.unwrap_or_else(|| "not known".to_owned())
}
