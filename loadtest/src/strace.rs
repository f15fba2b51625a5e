//! System calls of the server, counted by `strace -c` while something is measured. It stops the server at each call, so times measured meanwhile
//! are not the server's own: for the counts alone.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::error::Error;
use crate::interrupt::{self, Ending};

/// An strace that is attached. Dropped, it detaches.
pub(crate) struct Strace(Arc<Attached>);

/// The process and the file that it writes, until it has ended.
struct Attached(Mutex<Option<(Child, NamedTempFile)>>);

/// How often each system call was made, the most frequent first.
pub(crate) type Calls = Vec<(String, u64)>;

impl Strace {
    /// Attaches to all threads of a process, and waits until it is.
    pub(crate) fn attach(pid: u32) -> Result<Self, Error> {
        let mut said = None;
        // A server that is not ours must not be traced any longer than it is measured.
        let strace = Self(interrupt::started(|| {
            let table = NamedTempFile::new().map_err(Error::io("make a temporary file"))?;
            let mut process = Command::new("strace")
                .args(["-f", "-c", "-U", "calls,name", "-o"])
                .arg(table.path())
                .args(["-p", &pid.to_string()])
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()
                .map_err(Error::io("start strace"))?;
            said = process.stderr.take();
            Ok(Attached(Mutex::new(Some((process, table)))))
        })?);
        let mut first = String::new();
        if let Some(said) = said {
            let mut said = BufReader::new(said);
            said.read_line(&mut first)
                .map_err(Error::io("hear strace"))?;
            // It says a line for each thread that comes or goes; unread, a pipe fills.
            std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        }
        if first.contains("attached") {
            Ok(strace)
        } else {
            let first = first.trim();
            Err(Error::Unavailable(format!(
                "strace does not attach: {first}"
            )))
        }
    }

    /// Detaches; what was counted.
    pub(crate) fn detach(self) -> Result<Calls, Error> {
        let failed = || Error::io("end strace");
        let Some((mut process, table)) = self.0.lock().take() else {
            return Err(Error::Unavailable("strace has ended".into()));
        };
        kill_process(Pid::from_child(&process), Signal::INT).map_err(|e| failed()(e.into()))?;
        process.wait().map_err(failed())?;
        let table = fs::read_to_string(table.path());
        Ok(parse(
            &table.map_err(Error::io("read what strace counted"))?,
        ))
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Attached {
    fn lock(&self) -> MutexGuard<'_, Option<(Child, NamedTempFile)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ending for Attached {
    /// After a failure or a signal. Killed, it detaches too.
    fn end(&self) {
        if let Some((mut process, _table)) = self.lock().take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn parse(table: &str) -> Calls {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let calls = words.next()?.parse().ok()?;
        let name = words.next().filter(|name| *name != "total")?;
        Some((name.to_owned(), calls))
    };
    let mut calls: Calls = table.lines().filter_map(row).collect();
    calls.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    calls
}

#[cfg(test)]
mod tests {
    use rustix::process::test_kill_process;

    use super::*;

    #[test]
    fn a_signal_ends_it_and_takes_its_file_away() {
        let table = NamedTempFile::new().unwrap();
        let path = table.path().to_owned();
        let process = Command::new("sh")
            .args(["-c", "kill -STOP $$"])
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&process);
        let strace = Strace(Arc::new(Attached(Mutex::new(Some((process, table))))));
        strace.0.end();
        assert!(test_kill_process(pid).is_err() && !path.exists());
        assert!(strace.detach().is_err());
    }

    #[test]
    fn the_table_is_read_without_its_frame() {
        let table = "    calls syscall\n--------- ----------------\n       12 sendto\n        30 epoll_wait\n\
            --------- ----------------\n       42 total\n";
        let expected = [("epoll_wait".to_owned(), 30), ("sendto".to_owned(), 12)];
        assert_eq!(parse(table), expected);
    }
}
