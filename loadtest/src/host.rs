//! A server of our own: started on a free port with a temporary folder, ended in good order, and gone without a trace.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

use crate::error::Error;
use crate::http::Target;
use crate::interrupt::{self, Ending};
use crate::nchan::{self, Configuration};
use crate::progress::say;

/// How long a server may take until it listens, and a program until it has said its version.
pub(crate) const STARTING_MAX: Duration = Duration::from_secs(30);
/// How long the server may take to end after SIGTERM; its own drain is bounded to ten seconds.
const ENDING_MAX: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);
/// What its first line begins with.
const LISTENING: &str = "listening on ";
/// The CPUs of a pinned run.
const SERVER_CPU: usize = 0;
const GENERATOR_CPU: usize = 1;

/// How to start a server.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its options; `{dir}` stands for the temporary folder.
    pub(crate) args: Vec<String>,
    /// Whether it has CPU 0 for itself, and this program CPU 1.
    pub(crate) pin: bool,
    /// What nginx is configured with, where it is nginx. Every other server says where it listens.
    pub(crate) nginx: Option<Configuration>,
}

/// A server that runs. Dropped, it ends.
pub(crate) struct Host {
    inner: Arc<Running>,
    /// Where it listens.
    pub(crate) target: Target,
    /// The process that serves.
    pub(crate) pid: u32,
}

struct Running(Mutex<Option<(Child, TempDir)>>);

impl Launch {
    /// loiter itself on a database of its own. Hashing a password takes no part in what is measured, so it is made cheap, unless
    /// `args` say otherwise.
    pub(crate) fn loiter(program: PathBuf, args: &[String], pin: bool) -> Self {
        let mut all: Vec<String> = ["--listen", "127.0.0.1:0", "--database", "{dir}/loiter.db"]
            .map(str::to_owned)
            .to_vec();
        for (option, value) in [("--log", "warn"), ("--password-iterations", "1000")] {
            let name = |arg: &str| arg.split('=').next() == Some(option);
            if !args.iter().any(|arg| name(arg)) {
                all.extend([option.to_owned(), value.to_owned()]);
            }
        }
        all.extend_from_slice(args);
        Self {
            program,
            args: all,
            pin,
            nginx: None,
        }
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self) -> Result<Host, Error> {
        self.start_within(STARTING_MAX)
    }

    fn start_within(&self, limit: Duration) -> Result<Host, Error> {
        interrupt::listen()?;
        let (mut pid, mut output, mut configured) = (0, None, None);
        let inner = interrupt::started(|| {
            let dir = tempfile::Builder::new()
                .prefix("loiter-loadtest-")
                .tempdir();
            let dir = dir.map_err(Error::io("make a temporary folder"))?;
            let nginx = self.nginx.as_ref().map(|nginx| nginx.write(dir.path()));
            configured = nginx.transpose()?;
            let mut child = self.spawn(dir.path())?;
            (pid, output) = (child.id(), child.stdout.take());
            Ok(Running(Mutex::new(Some((child, dir)))))
        })?;
        let until = Instant::now() + limit;
        let found = match configured {
            Some(address) => nchan::serving(pid, address, until, || inner.died().is_some()),
            None => output
                .and_then(|output| listening(output, until))
                .map(|target| (target, pid)),
        };
        let Some((target, pid)) = found else {
            let shown = self.program.display();
            let is_late = Instant::now() >= until;
            let ended = inner.stop()?;
            let how = match ended {
                _ if is_late => format!(" within {} s", limit.as_secs()),
                Some(status) => format!(" ({status})"),
                None => String::new(),
            };
            let what = format!("{shown} did not begin to listen{how}");
            return Err(Error::Host(what));
        };
        Ok(Host { inner, target, pid })
    }

    fn spawn(&self, dir: &Path) -> Result<Child, Error> {
        let path = dir.to_string_lossy();
        let args = self.args.iter().map(|arg| arg.replace("{dir}", &path));
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0);
        if self.pin {
            // A child has its parent's CPU, from its first thread on.
            run_on(SERVER_CPU)?;
        }
        let child = command.spawn();
        if self.pin {
            run_on(GENERATOR_CPU)?;
        }
        let shown = self.program.display();
        child.map_err(Error::io(format!("start {shown}")))
    }
}

/// Reads the line that says where the server listens; whatever comes behind it is read and dropped, so that a pipe never fills.
/// `None` where another line comes, or none until `until`.
fn listening(output: ChildStdout, until: Instant) -> Option<Target> {
    let (send, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = String::new();
        let read = output.read_line(&mut line);
        // Who no longer waits for the line has given up the server.
        let _ = read.map(|_| send.send(line));
        let mut chunk = [0; 512];
        while output.read(&mut chunk).is_ok_and(|len| len > 0) {}
    });
    let left = until.saturating_duration_since(Instant::now());
    let line = heard.recv_timeout(left).ok()?;
    line.trim_end().strip_prefix(LISTENING)?.parse().ok()
}

/// Binds the calling thread, and what it starts from now on, to one CPU.
fn run_on(cpu: usize) -> Result<(), Error> {
    let mut set = CpuSet::new();
    set.set(cpu);
    let result = sched_setaffinity(None, &set).map_err(io::Error::from);
    result.map_err(Error::io(format!("run on CPU {cpu}")))
}

/// Binds the calling thread to the server's CPU.
pub(crate) fn run_as_server() -> Result<(), Error> {
    run_on(SERVER_CPU)
}

/// Whether this machine has the two CPUs that a pinned run needs.
pub(crate) fn can_pin() -> bool {
    let allowed = sched_getaffinity(None);
    allowed.is_ok_and(|set| set.is_set(SERVER_CPU) && set.is_set(GENERATOR_CPU))
}

impl Host {
    /// Ends it with SIGTERM; an end that is not in good order is an error.
    pub(crate) fn end(self) -> Result<(), Error> {
        match self.inner.stop()? {
            Some(status) if !status.success() => {
                Err(Error::Host(format!("the server ended with {status}")))
            }
            _ => Ok(()),
        }
    }

    /// How it ended, where it did so by itself.
    pub(crate) fn died(&self) -> Option<ExitStatus> {
        self.inner.died()
    }
}

impl Running {
    fn died(&self) -> Option<ExitStatus> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (child, _) = running.as_mut()?;
        child.try_wait().ok().flatten()
    }

    /// Ends the process and removes its folder; `None` where that was done before.
    fn stop(&self) -> Result<Option<ExitStatus>, Error> {
        // Held until it has ended, so that whoever comes second waits as well.
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((mut child, dir)) = running.take() else {
            return Ok(None);
        };
        let ended = terminate(&mut child);
        let removed = dir.close().map_err(Error::io("remove a temporary folder"));
        ended.and_then(|status| removed.map(|()| Some(status)))
    }
}

fn terminate(child: &mut Child) -> Result<ExitStatus, Error> {
    let failed = || Error::io("end the server");
    // Not reaped yet, so the number is still this process's own.
    if child.try_wait().map_err(failed())?.is_none() {
        // One that has just ended by itself is no failure: its status tells.
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
    }
    let until = Instant::now() + ENDING_MAX;
    loop {
        if let Some(status) = child.try_wait().map_err(failed())? {
            return Ok(status);
        }
        if Instant::now() > until {
            child.kill().map_err(failed())?;
            child.wait().map_err(failed())?;
            let what = format!("did not end within {} s", ENDING_MAX.as_secs());
            return Err(Error::Host(format!("the server {what}")));
        }
        thread::sleep(STEP);
    }
}

impl Ending for Running {
    fn end(&self) {
        if let Err(e) = self.stop() {
            say(format_args!("loiter-loadtest: {e}"));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.inner.end();
    }
}

/// The `loiter` beside this program, or the one that `PATH` has.
pub(crate) fn beside() -> PathBuf {
    let own = env::current_exe().ok();
    own.and_then(|own| Some(own.parent()?.join("loiter")))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from("loiter"))
}

/// Whether a program can be started: a path that leads to a file, or a bare name that `PATH` has.
pub(crate) fn is_here(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            pin: false,
            nginx: None,
        }
    }

    #[test]
    fn a_server_is_started_heard_and_ended() {
        let script = "touch {dir}/x; trap 'exit 0' TERM; echo listening on http://127.0.0.1:9; \
            while :; do sleep 0.01; done";
        let host = launch(script).start().unwrap();
        assert_eq!(host.target.host, "127.0.0.1:9");
        assert!(host.died().is_none());
        host.end().unwrap();
    }

    #[test]
    fn an_end_in_disorder_is_told() {
        let script = "trap 'exit 3' TERM; echo listening on http://127.0.0.1:9; \
            while :; do sleep 0.01; done";
        let host = launch(script).start().unwrap();
        let told = host.end().unwrap_err().to_string();
        assert!(told.contains("exit status: 3"), "{told}");
    }

    #[test]
    fn a_server_that_does_not_listen_is_told() {
        let told = launch("exit 5").start().err().unwrap().to_string();
        assert!(told.contains("did not begin to listen"), "{told}");
        let mut absent = launch("");
        absent.program = "/nowhere/loiter".into();
        assert!(absent.start().is_err());
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let silent = launch("exec sleep 1000");
        let told = silent.start_within(Duration::ZERO).err().unwrap();
        let told = told.to_string();
        assert!(
            told.ends_with("did not begin to listen within 0 s"),
            "{told}"
        );
    }

    #[test]
    fn options_of_the_caller_win() {
        let launch = Launch::loiter("x".into(), &["--log=debug".to_owned()], false);
        let line = launch.args.join(" ");
        assert!(
            line.ends_with("--password-iterations 1000 --log=debug"),
            "{line}"
        );
        assert!(!line.contains("--log warn"));
        let launch = Launch::loiter("x".into(), &["--login-attempts=0".to_owned()], false);
        assert!(launch.args.join(" ").contains("--log warn"));
    }
}
