//! What a machine's limits allow: numbers in, findings out. Nothing here reads anything.
//!
//! What ends the number of polls is here, what is worth knowing beside it in `remarks`. A limit that is not known limits nothing, and is said not to be known. What a poll costs was measured: see
//! `docs/benchmarks.md`, *What a parked poll costs the system* and *What a parked poll keeps*.

mod remarks;

use loiter::Config;

use super::figures::bytes;
use super::machine::{Cgroup, Conntrack, Machine};

/// Bytes that a parked poll takes of loiter's own memory, chatrooms and sessions among them.
pub(super) const POLL_BYTES: u64 = 118;
/// Bytes that its connection takes of the kernel's: a socket, a file, and a place in epoll. They count for a cgroup, too.
pub(super) const CONNECTION_BYTES: u64 = 4_000;
/// Bytes that the process has before anybody comes, and in its first requests.
const PROCESS_BYTES: u64 = 8 * MIB;
const MIB: u64 = 1 << 20;

/// All that there is to say.
#[derive(Debug)]
pub(super) struct Report {
    /// How many polls were asked for.
    pub(super) asked: Option<u64>,
    /// Each of them ends the number of polls, the tightest first.
    pub(super) limits: Vec<Limit>,
    /// What does not, and is worth knowing.
    pub(super) remarks: Vec<Remark>,
}

/// Something that a poll takes one of, or a part.
#[derive(Debug)]
pub(super) struct Limit {
    /// For programs.
    pub(super) name: &'static str,
    /// For people.
    pub(super) label: &'static str,
    /// What was found, in the order in which it is told.
    pub(super) found: Vec<(&'static str, Option<u64>)>,
    /// How many polls that allows; `None` where it is not known.
    pub(super) polls: Option<u64>,
    /// What to do so that it allows as many as were asked for. Nothing where it does.
    pub(super) set: Vec<String>,
}

/// What does not limit how many polls wait.
#[derive(Debug)]
pub(super) struct Remark {
    /// For programs.
    pub(super) name: &'static str,
    /// For people: one or more sentences.
    pub(super) text: String,
    /// What was found.
    pub(super) found: Vec<(&'static str, Option<u64>)>,
    /// Whether something should be done about it.
    pub(super) is_warning: bool,
    /// What that is.
    pub(super) set: Vec<String>,
}

impl Report {
    /// How many polls the machine holds, as far as its limits are known.
    pub(super) fn holds(&self) -> Option<u64> {
        self.limits.first().and_then(|limit| limit.polls)
    }

    /// Whether as many as were asked for fit into all limits that are known.
    pub(super) fn fits(&self) -> bool {
        let asked = self.asked.unwrap_or(0);
        self.holds().is_none_or(|holds| holds >= asked)
    }
}

/// Judges a machine, for a server with these settings.
pub(super) fn judge(machine: &Machine, config: &Config, asked: Option<u64>) -> Report {
    let judge = Judge {
        machine,
        config,
        asked,
    };
    let mut limits = judge.limits();
    // Those that are not known come last, and of equal ones the first named first.
    limits.sort_by_key(|limit| limit.polls.unwrap_or(u64::MAX));
    Report {
        asked,
        limits,
        remarks: judge.remarks(),
    }
}

struct Judge<'a> {
    machine: &'a Machine,
    config: &'a Config,
    asked: Option<u64>,
}

impl Judge<'_> {
    fn limits(&self) -> Vec<Limit> {
        let mut limits = vec![self.open_files(), self.files_of_all(), self.epoll()];
        limits.extend(self.connections());
        limits.push(self.memory());
        limits.extend(self.cgroup());
        limits.extend(self.tracked());
        limits
    }

    /// Whether so many are fewer than were asked for.
    fn is_short(&self, polls: Option<u64>) -> Option<u64> {
        let asked = self.asked?;
        (polls? < asked).then_some(asked)
    }

    fn limit(
        &self,
        (name, label): (&'static str, &'static str),
        found: Vec<(&'static str, Option<u64>)>,
        polls: Option<u64>,
        set: impl FnOnce(u64) -> Vec<String>,
    ) -> Limit {
        Limit {
            name,
            label,
            found,
            polls,
            set: self.is_short(polls).map(set).unwrap_or_default(),
        }
    }

    fn kept_back(&self) -> u64 {
        number(self.config.files_kept_back())
    }

    fn connections(&self) -> Option<Limit> {
        let max = number(self.config.max_connections?);
        let found = vec![("max", Some(max))];
        let names = ("max_connections", "--max-connections");
        Some(self.limit(names, found, Some(max), |asked| {
            vec![format!(
                "--max-connections {asked}, or nothing: then it is what open files leave"
            )]
        }))
    }

    fn open_files(&self) -> Limit {
        let Machine {
            files_soft,
            files_hard,
            nr_open,
            ..
        } = *self.machine;
        let found = vec![
            ("soft", files_soft),
            ("hard", files_hard),
            ("nr_open", nr_open),
        ];
        let polls = files_hard.map(|hard| number(self.config.connections_within(hard)));
        self.limit(("open_files", "open files"), found, polls, |asked| {
            let files = asked.saturating_add(self.kept_back());
            let raise = nr_open.filter(|most| *most < files);
            let raise = raise.map(|_| sysctl("fs.nr_open", files));
            let raise = raise.into_iter();
            raise
                .chain([format!(
                    "LimitNOFILE={files} in the unit of systemd, or `ulimit -n {files}` by root in the shell that starts it"
                )])
                .collect()
        })
    }

    fn files_of_all(&self) -> Limit {
        let Machine {
            file_max,
            files_open,
            ..
        } = *self.machine;
        let found = vec![("max", file_max), ("open", files_open)];
        let taken = files_open.unwrap_or(0).saturating_add(self.kept_back());
        let polls = file_max.map(|max| max.saturating_sub(taken));
        let names = ("files_of_all", "open files of all processes");
        self.limit(names, found, polls, |asked| {
            vec![sysctl("fs.file-max", asked.saturating_add(taken))]
        })
    }

    fn epoll(&self) -> Limit {
        let max = self.machine.epoll_watches;
        let kept_back = self.kept_back();
        let polls = max.map(|max| max.saturating_sub(kept_back));
        let names = ("epoll_watches", "descriptors in epoll");
        self.limit(names, vec![("max", max)], polls, |asked| {
            vec![sysctl(
                "fs.epoll.max_user_watches",
                asked.saturating_add(kept_back),
            )]
        })
    }

    fn memory(&self) -> Limit {
        let available = self.machine.memory_bytes;
        let found = vec![("available_bytes", available)];
        let names = ("memory", "memory");
        self.limit(names, found, available.map(polls_in), |asked| {
            vec![format!("{} of memory available", bytes(bytes_for(asked)))]
        })
    }

    fn cgroup(&self) -> Option<Limit> {
        let Cgroup {
            max_bytes,
            used_bytes,
        } = self.machine.cgroup?;
        let found = vec![
            ("max_bytes", Some(max_bytes)),
            ("used_bytes", Some(used_bytes)),
        ];
        let polls = polls_in(max_bytes.saturating_sub(used_bytes));
        let names = ("cgroup_memory", "memory of the cgroup");
        Some(self.limit(names, found, Some(polls), |asked| {
            let max = used_bytes.saturating_add(bytes_for(asked)).div_ceil(MIB);
            vec![format!(
                "MemoryMax={max}M in the unit of systemd, or as much by what has made the cgroup (--memory {max}m)"
            )]
        }))
    }

    fn tracked(&self) -> Option<Limit> {
        let Conntrack { max, count } = self.machine.conntrack?;
        let found = vec![("max", Some(max)), ("count", Some(count))];
        let names = ("conntrack", "tracked connections");
        Some(
            self.limit(names, found, Some(max.saturating_sub(count)), |asked| {
                let max = asked.saturating_add(count);
                vec![format!(
                    "{}, or have the firewall not track what comes to loiter's port",
                    sysctl("net.netfilter.nf_conntrack_max", max)
                )]
            }),
        )
    }
}

fn polls_in(bytes: u64) -> u64 {
    bytes.saturating_sub(PROCESS_BYTES) / (POLL_BYTES + CONNECTION_BYTES)
}

fn bytes_for(polls: u64) -> u64 {
    polls
        .saturating_mul(POLL_BYTES + CONNECTION_BYTES)
        .saturating_add(PROCESS_BYTES)
}

fn sysctl(name: &str, value: u64) -> String {
    format!("sysctl -w {name}={value}")
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
