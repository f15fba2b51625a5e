//! The server that is measured: where it is, what may be seen of its process, and how long it is waited for.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::Error;
use crate::host::Host;
use crate::http::Target;
use crate::report::{Figure, Report};
use crate::server_stats::{Process, Reading};
use crate::strace::{Calls, Strace};

/// System calls shown in the table; the file has all.
const CALLS_SHOWN: usize = 8;

/// A server that is measured.
pub(crate) struct Subject {
    /// Where it listens, and how it answers.
    pub(crate) target: Target,
    /// Where the server itself listens, if what listens there is a proxy.
    pub(crate) behind: Option<SocketAddr>,
    /// Its process, where it can be seen.
    pub(crate) process: Option<Process>,
    /// Whether its system calls are counted.
    pub(crate) strace: bool,
    /// How long a message may take to reach everybody.
    pub(crate) patience: Duration,
    /// Where it is a server of our own.
    pub(crate) host: Option<Host>,
}

/// A look at the server that began.
pub(crate) struct Watch {
    before: Reading,
    strace: Option<Strace>,
}

/// What was seen of the server between two moments.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Whether anything could be.
    pub(crate) known: bool,
    /// At first.
    pub(crate) before: Reading,
    /// At last.
    pub(crate) after: Reading,
    /// System calls, where they were counted.
    pub(crate) calls: Calls,
}

impl Subject {
    /// Who listens where, in the order in which a request passes.
    pub(crate) fn hops(&self) -> Vec<SocketAddr> {
        Vec::from_iter([self.target.addr].into_iter().chain(self.behind))
    }

    /// Reads the server's process; all zeros where it is not known.
    pub(crate) fn read(&self) -> Result<Reading, Error> {
        let reading = self.process.as_ref().map(Process::read).transpose();
        reading.map(Option::unwrap_or_default).map_err(|e| {
            match self.host.as_ref().and_then(Host::died) {
                Some(status) => Error::Host(format!("the server has ended with {status}")),
                None => Error::io("read the server's process")(e),
            }
        })
    }

    /// Begins to look.
    pub(crate) fn watch(&self) -> Result<Watch, Error> {
        let process = self.process.as_ref().filter(|_| self.strace);
        let strace = process.map(|process| Strace::attach(process.pid()));
        Ok(Watch {
            strace: strace.transpose()?,
            before: self.read()?,
        })
    }

    /// Ends to look.
    pub(crate) fn seen(&self, watch: Watch) -> Result<Seen, Error> {
        let after = self.read()?;
        let calls = watch.strace.map(Strace::detach).transpose()?;
        Ok(Seen {
            known: self.process.is_some(),
            before: watch.before,
            after,
            calls: calls.unwrap_or_default(),
        })
    }
}

impl Seen {
    /// CPU for each of `count` things, its kernel's share and the share of one CPU in all: `each` names the first.
    pub(crate) fn report(
        &self,
        (key, label): (&'static str, &'static str),
        count: u64,
        took: Duration,
        report: &mut Report,
    ) {
        if !self.known {
            return;
        }
        let cpu_ns = self.after.cpu_ns_since(&self.before);
        report.add(key, label, Figure::Nanos(cpu_ns / count.max(1)));
        let kernel = self.after.kernel_share_since(&self.before);
        report.add("cpu_kernel_share", "in the kernel", Figure::Cpu(kernel));
        let share = cpu_ns as f64 / took.as_nanos().max(1) as f64;
        report.add("cpu", "server CPU", Figure::Cpu(share));
        let pss = Figure::Bytes(self.after.memory.pss);
        report.add("pss_bytes", "server PSS", pss);
        let (from, to) = (&self.before.switches, &self.after.switches);
        let switches =
            (to.voluntary + to.involuntary).saturating_sub(from.voluntary + from.involuntary);
        report.add("switches", "context switches", Figure::Count(switches));
        report.detail("before", self.before.to_json());
        report.detail("after", self.after.to_json());
        self.report_calls(count, report);
    }

    fn report_calls(&self, count: u64, report: &mut Report) {
        for (name, calls) in self.calls.iter().take(CALLS_SHOWN) {
            let each = *calls as f64 / count.max(1) as f64;
            let label = format!("{name}() each");
            report.add(format!("calls_{name}_each"), label, Figure::Each(each));
        }
        if !self.calls.is_empty() {
            let all: Value = self
                .calls
                .iter()
                .map(|(name, n)| json!([name, n]))
                .collect();
            report.detail("system_calls", all);
        }
    }
}
