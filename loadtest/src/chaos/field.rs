//! Where a flood is let loose: a server of its own, the polite client beside it, and what is seen of both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::floods::Flood;
use super::options::ChaosOptions;
use super::polite::Polite;
use super::verdict::Verdict;
use crate::error::Error;
use crate::host::{self, Launch};
use crate::progress::{Phase, say};
use crate::server_stats::{Process, Reading};
use crate::setup::Setup;
use crate::subject::Subject;
use crate::tally::Tally;

/// How long the server may take until it has settled, beyond what it promises.
const SETTLING_MAX: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);
/// Between two looks at the server's memory. Each costs the server as many page tables as it has.
const LOOKS: Duration = Duration::from_millis(100);

/// The place, and what has happened there.
pub(crate) struct Field<'a> {
    /// What was asked for.
    pub(crate) options: &'a ChaosOptions,
    /// The server.
    pub(crate) subject: Subject,
    /// Its users and chatrooms.
    pub(crate) setup: Setup,
    /// The chatroom in which the flood takes place.
    pub(crate) room: u64,
    /// Who must not notice; none where the server is killed, which everybody notices.
    pub(crate) polite: Option<Polite>,
    /// Whether the polite client may be told 503: the flood fills what it needs too.
    pub(crate) polite_may_be_refused: bool,
    /// What the flood counted.
    pub(crate) counts: Vec<(&'static str, u64)>,
    /// What must not have happened.
    pub(crate) tally: Tally,
    before: Reading,
    rounds: Vec<Reading>,
    peak: Peak,
    first_peak: u64,
}

impl<'a> Field<'a> {
    /// Starts the server, and the polite client.
    pub(crate) fn open(flood: &Flood, options: &'a ChaosOptions) -> Result<Self, Error> {
        let (subject, mut setup) = start(flood, options)?;
        let room = setup.chatrooms(1)?[0];
        let polite = Polite::start(&mut setup, subject.target.addr)?;
        // Connected again, where it was idle for long, it takes no more than it has now.
        setup.admin.round_trip()?;
        let before = subject.read()?;
        let peak = Peak::watch(subject.process.clone());
        Ok(Self {
            options,
            subject,
            setup,
            room,
            polite: Some(polite),
            polite_may_be_refused: false,
            counts: Vec::new(),
            tally: Tally::default(),
            before,
            rounds: Vec::new(),
            peak,
            first_peak: 0,
        })
    }

    /// Where the server listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.subject.target.addr
    }

    /// The session in which the flood takes place.
    pub(crate) fn session(&self) -> String {
        self.setup.sessions[0].clone()
    }

    /// Counts something.
    pub(crate) fn count(&mut self, what: &'static str, many: u64) {
        match self.counts.iter_mut().find(|(own, _)| *own == what) {
            Some((_, sum)) => *sum += many,
            None => self.counts.push((what, many)),
        }
    }

    /// Counts something that has to be so many.
    pub(crate) fn expect(&mut self, what: &'static str, many: u64, expected: u64) {
        self.count(what, many);
        if many != expected {
            self.tally
                .unexpected(|| format!("{what}: {many}, and not {expected}"));
        }
    }

    /// Keeps the most of something that is not summed up.
    pub(crate) fn most(&mut self, what: &'static str, many: u64) {
        match self.counts.iter_mut().find(|(own, _)| *own == what) {
            Some((_, most)) => *most = many.max(*most),
            None => self.counts.push((what, many)),
        }
    }

    /// Something must be so.
    pub(crate) fn must(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.tally.unexpected(what);
        }
    }

    /// The server's files above those that it had before.
    pub(crate) fn files_more(&self) -> Result<u64, Error> {
        let files = self.process()?.files();
        let files = files.map_err(Error::io("count the server's files"))?;
        Ok(files.saturating_sub(self.before.files))
    }

    /// The server's process.
    pub(crate) fn process(&self) -> Result<&Process, Error> {
        let process = self.subject.process.as_ref();
        process.ok_or_else(|| Error::Host("the server's process is not known".into()))
    }

    /// Waits until the server has closed all that the flood opened; how long that took, or none where `patience` ended first.
    pub(crate) fn forgotten(&self, patience: Duration) -> Result<Option<Duration>, Error> {
        let began = Instant::now();
        while self.files_more()? > 0 {
            if began.elapsed() > patience {
                return Ok(None);
            }
            thread::sleep(STEP);
        }
        Ok(Some(began.elapsed()))
    }

    /// After a round: waits until the server has settled, and reads it.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        let _phase = Phase::start("waiting until the server has settled", 0);
        self.forgotten(SETTLING_MAX)?;
        if self.rounds.is_empty() {
            self.first_peak = self.peak.so_far();
        }
        self.rounds.push(self.subject.read()?);
        Ok(())
    }

    /// Ends the polite client and the server; what is to be said of both.
    pub(crate) fn close(mut self, name: &'static str) -> Result<Verdict, Error> {
        let polite = self.polite.take().map(Polite::end);
        let peak = self.peak.end();
        let host = self.subject.host.take();
        host.map_or(Ok(()), host::Host::end)?;
        Ok(Verdict {
            name,
            counts: self.counts,
            polite,
            polite_may_be_refused: self.polite_may_be_refused,
            before: self.before,
            rounds: self.rounds,
            peak,
            first_peak: self.first_peak,
            tally: self.tally,
        })
    }
}

/// The server of a flood, with what it needs.
pub(crate) fn launch(flood: &Flood, options: &ChaosOptions) -> Launch {
    let program = options.server.clone().unwrap_or_else(host::beside);
    // What the caller says wins, also where the flood then shows nothing, and says so.
    let name = |arg: &str| arg.split('=').next().map(str::to_owned);
    let given = Vec::from_iter(options.server_args.iter().map(|arg| name(arg)));
    let mut args = (flood.server)(options);
    args.retain(|arg| !given.contains(&name(arg)));
    args.extend_from_slice(&options.server_args);
    let mut launch = Launch::loiter(program, &args, false);
    if let Some(files) = flood.files {
        // The limit has to be there before the program is, and only a shell of its own can have it without this program.
        let script = "ulimit -n \"$0\"; exec \"$@\"";
        let program = launch.program.to_string_lossy().into_owned();
        let shell = [
            "-c".to_owned(),
            script.to_owned(),
            files.to_string(),
            program,
        ];
        launch.args = shell.into_iter().chain(launch.args).collect();
        launch.program = "/bin/sh".into();
    }
    launch
}

fn start(flood: &Flood, options: &ChaosOptions) -> Result<(Subject, Setup), Error> {
    let host = launch(flood, options).start()?;
    let process = Process::new(host.pid).map_err(Error::io("read the server's process"))?;
    let subject = Subject {
        target: host.target.clone(),
        behind: None,
        process: Some(process),
        strace: false,
        patience: SETTLING_MAX,
        host: Some(host),
    };
    let setup = Setup::new(&subject, 1)?;
    Ok((subject, setup))
}

/// Looks at the server's memory now and then; what it was at most.
struct Peak {
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<()>>>,
}

impl Peak {
    fn watch(process: Option<Process>) -> Self {
        let (most, over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (seen, flag) = (Arc::clone(&most), Arc::clone(&over));
        let look = move || {
            let process = process?;
            while !flag.load(Ordering::Acquire) {
                // One that is gone is told by whoever needs it.
                let memory = process.memory().ok()?;
                seen.fetch_max(memory.private_dirty, Ordering::AcqRel);
                thread::sleep(LOOKS);
            }
            Some(())
        };
        Self {
            most,
            over,
            thread: Some(thread::spawn(look)),
        }
    }

    fn so_far(&self) -> u64 {
        self.most.load(Ordering::Acquire)
    }

    fn end(&mut self) -> u64 {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            say("loiter-loadtest: nobody looked at the server's memory");
        }
        self.so_far()
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::super::floods::FLOODS;
    use super::super::options::tests::chaos;
    use super::*;

    fn line(name: &str, options: &str) -> String {
        let flood = FLOODS.iter().find(|flood| flood.name == name).unwrap();
        let launch = launch(flood, &chaos(options));
        format!("{} {}", launch.program.display(), launch.args.join(" "))
    }

    #[test]
    fn options_of_the_caller_win_over_those_of_a_flood() {
        let args = line("queue", "--server /bin/sh");
        assert!(args.ends_with(" --queue=8"), "{args}");
        let args = line("queue", "--server /bin/sh --server-arg=--queue=100");
        assert!(
            args.ends_with(" --queue=100") && !args.contains("--queue=8"),
            "{args}"
        );
    }

    #[test]
    fn a_limit_on_files_is_set_before_the_server_starts() {
        let args = line("few-files", "--server /bin/true");
        let limited = "/bin/sh -c ulimit -n \"$0\"; exec \"$@\" 256 /bin/true --listen ";
        assert!(args.starts_with(limited), "{args}");
    }
}
