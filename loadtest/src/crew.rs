//! The coordinator's side of the worker processes: starts them, hears them, sums up what they tell.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use crate::clock::latencies;
use crate::error::Error;
use crate::plan::Plan;
use crate::tally::Tally;

/// Files that a worker needs beside its connections.
const SPARE_FILES: u64 = 32;
/// How long the workers may be silent while they open connections.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Connections on their way at a time, of all workers together. A server's backlog is 4096 where the system allows it,
/// and on a system that does not, 128 is what it may be: but there a drop costs a retry and nothing else.
const IN_FLIGHT: u64 = 1024;

/// The workers of one run.
pub(crate) struct Crew {
    workers: Vec<Worker>,
    heard: Receiver<(usize, Option<Word>)>,
}

struct Worker {
    process: Child,
    input: Option<ChildStdin>,
    started: u64,
    open: bool,
    woken: bool,
}

/// What all workers know of the round that ends.
#[derive(Debug)]
pub(crate) struct Told {
    /// Connections that are not broken.
    pub(crate) live: u64,
    /// Deliveries in the round.
    pub(crate) delivered: u64,
    /// How long each took, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    /// What went wrong in the round.
    pub(crate) tally: Tally,
}

#[derive(Debug)]
enum Word {
    Opening(u64),
    Open(u64),
    Woken,
    Told(Box<Told>),
}

/// Lifts the limit on open files as far as the system allows; the limit then.
pub(crate) fn raise_file_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused, the limit stays as it was, and the polls are shared out by it.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// `whole` cut into one plan for each of `processes` workers, or as many more as `files` open files each ask for.
fn share(whole: &Plan, processes: u64, files: u64) -> Vec<Plan> {
    let each_max = files.saturating_sub(SPARE_FILES).max(1);
    let workers = processes
        .max(whole.polls.div_ceil(each_max))
        .min(whole.polls.max(1));
    (0..workers)
        .map(|worker| {
            let from = whole.polls * worker / workers;
            let to = whole.polls * (worker + 1) / workers;
            Plan {
                first: whole.first + from,
                polls: to - from,
                batch: (IN_FLIGHT / workers).max(1),
                ..whole.clone()
            }
        })
        .collect()
}

impl Crew {
    /// Starts the workers; they begin to open connections at once.
    pub(crate) fn start(whole: &Plan, processes: u64) -> Result<Self, Error> {
        let (send, heard) = mpsc::channel();
        let mut crew = Self {
            workers: Vec::new(),
            heard,
        };
        for plan in share(whole, processes, raise_file_limit()) {
            crew.hire(&plan, send.clone())?;
        }
        Ok(crew)
    }

    fn hire(&mut self, plan: &Plan, send: Sender<(usize, Option<Word>)>) -> Result<(), Error> {
        let program = env::current_exe().map_err(Error::io("find this program"))?;
        let mut process = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::io("start a worker"))?;
        let at = self.workers.len();
        if let Some(output) = process.stdout.take() {
            thread::spawn(move || hear(at, output, &send));
        }
        let input = process.stdin.take();
        self.workers.push(Worker {
            process,
            input,
            started: 0,
            open: false,
            woken: false,
        });
        self.say(at, &plan.to_json().to_string())
    }

    /// How many processes there are.
    pub(crate) fn processes(&self) -> usize {
        self.workers.len()
    }

    /// Waits until every poll is written; `progress` hears how many are. How many connections live then.
    pub(crate) fn open(&mut self, mut progress: impl FnMut(u64)) -> Result<u64, Error> {
        let mut live = 0;
        while !self.workers.iter().all(|worker| worker.open) {
            let Some((at, word)) = self.hear(Instant::now() + SILENCE_MAX)? else {
                let what = "nothing was opened for a minute; does the server accept?";
                return Err(Error::Worker(what.into()));
            };
            match word {
                Word::Opening(started) => self.workers[at].started = started,
                Word::Open(count) => {
                    self.workers[at].open = true;
                    self.workers[at].started = count;
                    live += count;
                }
                Word::Woken => self.workers[at].woken = true,
                Word::Told(_) => {}
            }
            progress(self.workers.iter().map(|worker| worker.started).sum());
        }
        Ok(live)
    }

    /// Waits until every poll has been woken since the last [`Crew::tell`], but not beyond `until`.
    pub(crate) fn woken(&mut self, until: Instant) -> Result<bool, Error> {
        while !self.workers.iter().all(|worker| worker.woken) {
            match self.hear(until)? {
                Some((at, Word::Woken)) => self.workers[at].woken = true,
                Some(_) => {}
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Ends the round: what it brought.
    pub(crate) fn tell(&mut self) -> Result<Told, Error> {
        for at in 0..self.workers.len() {
            self.say(at, "tell")?;
        }
        let mut sum = Told::nothing();
        let mut waiting = self.workers.len();
        while waiting > 0 {
            match self.hear(Instant::now() + SILENCE_MAX)? {
                Some((at, Word::Told(told))) => {
                    self.workers[at].woken = false;
                    waiting -= 1;
                    sum.add(*told);
                }
                Some(_) => {}
                None => return Err(Error::Worker("no answer for a minute".into())),
            }
        }
        Ok(sum)
    }

    /// Ends the workers, and with them their connections.
    pub(crate) fn leave(mut self) -> Result<(), Error> {
        for worker in &mut self.workers {
            worker.input = None;
        }
        for mut worker in self.workers.drain(..) {
            let ended = worker.process.wait();
            let ended = ended.map_err(Error::io("wait for a worker"))?;
            if !ended.success() {
                return Err(Error::Worker(format!("ended with {ended}")));
            }
        }
        Ok(())
    }

    fn say(&mut self, at: usize, line: &str) -> Result<(), Error> {
        let Some(input) = &mut self.workers[at].input else {
            return Ok(());
        };
        writeln!(input, "{line}").map_err(Error::io("tell a worker"))
    }

    /// The next word of any worker; `None` once `until` has passed.
    fn hear(&mut self, until: Instant) -> Result<Option<(usize, Word)>, Error> {
        let left = until.saturating_duration_since(Instant::now());
        match self.heard.recv_timeout(left) {
            Ok((at, Some(word))) => Ok(Some((at, word))),
            Ok((_, None)) | Err(RecvTimeoutError::Disconnected) => {
                Err(Error::Worker("ended early".into()))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
        }
    }
}

impl Drop for Crew {
    /// After a failure: a worker that hangs must not outlive the run.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.process.kill();
            let _ = worker.process.wait();
        }
    }
}

impl Told {
    fn nothing() -> Self {
        Self {
            live: 0,
            delivered: 0,
            latencies: latencies(),
            tally: Tally::default(),
        }
    }

    fn add(&mut self, other: Self) {
        self.live += other.live;
        self.delivered += other.delivered;
        self.latencies += other.latencies;
        self.tally.add(other.tally);
    }
}

/// Passes on each line of a worker; at the end, or at a line that is no word, `None`.
fn hear(at: usize, output: ChildStdout, send: &Sender<(usize, Option<Word>)>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let word = serde_json::from_str(&line).ok();
        let word = word.as_ref().and_then(word_of);
        let last = word.is_none();
        if send.send((at, word)).is_err() || last {
            return;
        }
    }
    let _ = send.send((at, None));
}

fn word_of(line: &Value) -> Option<Word> {
    match line["say"].as_str()? {
        "opening" => Some(Word::Opening(line["polls"].as_u64()?)),
        "open" => Some(Word::Open(line["live"].as_u64()?)),
        "woken" => Some(Word::Woken),
        "told" => {
            let mut told = Told::nothing();
            told.live = line["live"].as_u64()?;
            told.delivered = line["delivered"].as_u64()?;
            told.tally = Tally::from_json(&line["tally"])?;
            for step in line["latencies"].as_array()? {
                let (ns, count) = (step[0].as_u64()?, step[1].as_u64()?);
                told.latencies.saturating_record_n(ns, count);
            }
            Some(Word::Told(Box::new(told)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;
    use serde_json::json;

    #[test]
    fn polls_are_shared_out_without_rest() {
        let mut whole = plan();
        (whole.first, whole.polls) = (0, 100_001);
        let parts = share(&whole, 1, 20_000);
        assert_eq!(parts.len(), 6);
        let mut next = 0;
        for part in &parts {
            assert_eq!(part.first, next);
            assert!(part.polls <= 20_000 - SPARE_FILES);
            next += part.polls;
        }
        assert_eq!(next, whole.polls);
        assert_eq!(share(&whole, 8, 1 << 20).len(), 8);
        whole.polls = 2;
        assert_eq!(share(&whole, 8, 1 << 20).len(), 2);
    }

    #[test]
    fn what_a_worker_tells_is_understood() {
        let tally = Tally {
            doubled: 1,
            ..Tally::default()
        };
        let line = json!({
            "say": "told", "live": 3, "delivered": 2,
            "latencies": [[1000, 1], [2000, 1]], "tally": tally.to_json(),
        });
        let Some(Word::Told(told)) = word_of(&line) else {
            panic!("not understood: {line}");
        };
        assert_eq!((told.live, told.delivered), (3, 2));
        assert_eq!(told.latencies.len(), 2);
        assert_eq!(told.tally, tally);
        assert!(word_of(&json!({"say": "else"})).is_none());
        assert!(word_of(&json!({"say": "told"})).is_none());
    }
}
