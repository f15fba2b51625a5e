//! The coordinator's side of the worker processes: starts them, hears them, sums up what they tell.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
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
use crate::told::{self, Told};

/// Files that a worker needs beside its connections.
const SPARE_FILES: u64 = 32;
/// How long the workers may be silent while they open connections.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Processes, at most: each takes some megabytes, and this program three files for it.
const WORKERS_MAX: u64 = 1024;
/// Connections on their way at a time, of all workers together. A server's backlog is 4096 where the system allows it,
/// and on a system that does not, 128 is what it may be: but there a drop costs a retry and nothing else.
const IN_FLIGHT: u64 = 1024;

/// The workers of one run.
pub(crate) struct Crew {
    workers: Vec<Worker>,
    heard: Receiver<(usize, Option<Word>)>,
    /// How long each connection's first question took, where every one asks it.
    pub(crate) greetings: Histogram<u64>,
}

struct Worker {
    process: Child,
    input: Option<ChildStdin>,
    started: u64,
    open: bool,
    woken: bool,
}

#[derive(Debug)]
enum Word {
    Opening(u64),
    Open(u64, Box<Histogram<u64>>),
    Woken,
    Count(u64, u64),
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
fn share(whole: &Plan, processes: u64, files: u64) -> Result<Vec<Plan>, Error> {
    let each_max = files.saturating_sub(SPARE_FILES).max(1);
    let workers = processes
        .max(whole.polls.div_ceil(each_max))
        .min(whole.polls.max(1));
    if workers > WORKERS_MAX {
        let polls = whole.polls;
        return Err(Error::Unavailable(format!(
            "{polls} polls need {workers} processes with {files} open files each, and {WORKERS_MAX} is the most"
        )));
    }
    let plans = (0..workers)
        .map(|worker| {
            let from = whole.polls * worker / workers;
            let to = whole.polls * (worker + 1) / workers;
            Plan {
                first: whole.first + from,
                polls: to - from,
                // Where every connection asks, all come at once.
                batch: if whole.greets {
                    whole.polls
                } else {
                    IN_FLIGHT / workers
                }
                .max(1),
                ..whole.clone()
            }
        })
        .collect();
    Ok(plans)
}

impl Crew {
    /// Starts the workers; they begin to open connections at once.
    pub(crate) fn start(whole: &Plan, processes: u64) -> Result<Self, Error> {
        let (send, heard) = mpsc::channel();
        let mut crew = Self {
            workers: Vec::new(),
            heard,
            greetings: latencies(),
        };
        for plan in share(whole, processes, raise_file_limit())? {
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
            .process_group(0)
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
                Word::Open(count, greetings) => {
                    self.workers[at].open = true;
                    self.workers[at].started = count;
                    self.greetings += *greetings;
                    live += count;
                }
                Word::Woken => self.workers[at].woken = true,
                Word::Count(..) | Word::Told(_) => {}
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

    /// Lets every poll that rests ask again; when it returns, all of them have.
    pub(crate) fn again(&mut self) -> Result<(), Error> {
        self.counts_after("again").map(drop)
    }

    /// Deliveries in this round so far. Every answer that a worker had read when it was asked is followed by its re-poll when this returns.
    pub(crate) fn delivered(&mut self) -> Result<u64, Error> {
        let (delivered, _) = self.counts_after("count")?;
        Ok(delivered)
    }

    /// Connections that are not broken, of those whose answers have been read.
    pub(crate) fn live(&mut self) -> Result<u64, Error> {
        let (_, live) = self.counts_after("count")?;
        Ok(live)
    }

    /// Deliveries in this round, and connections that live.
    fn counts_after(&mut self, word: &str) -> Result<(u64, u64), Error> {
        for at in 0..self.workers.len() {
            self.say(at, word)?;
        }
        let (mut sum, mut waiting) = ((0, 0), self.workers.len());
        while waiting > 0 {
            match self.hear(Instant::now() + SILENCE_MAX)? {
                Some((_, Word::Count(delivered, live))) => {
                    sum = (sum.0 + delivered, sum.1 + live);
                    waiting -= 1;
                }
                Some((at, Word::Woken)) => self.workers[at].woken = true,
                Some(_) => {}
                None => return Err(Error::Worker("no answer for a minute".into())),
            }
        }
        Ok(sum)
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
        "open" => {
            let greetings = told::histogram(&line["greetings"])?;
            Some(Word::Open(line["live"].as_u64()?, Box::new(greetings)))
        }
        "woken" => Some(Word::Woken),
        "count" => Some(Word::Count(
            line["delivered"].as_u64()?,
            line["live"].as_u64()?,
        )),
        "told" => Told::from_json(line).map(|told| Word::Told(Box::new(told))),
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
        let parts = share(&whole, 1, 20_000).unwrap();
        assert_eq!(parts.len(), 6);
        let mut next = 0;
        for part in &parts {
            assert_eq!(part.first, next);
            assert!(part.polls <= 20_000 - SPARE_FILES);
            next += part.polls;
        }
        assert_eq!(next, whole.polls);
        assert_eq!(share(&whole, 8, 1 << 20).unwrap().len(), 8);
        whole.polls = 2;
        assert_eq!(share(&whole, 8, 1 << 20).unwrap().len(), 2);
    }

    #[test]
    fn more_polls_than_processes_can_hold_are_refused() {
        let mut whole = plan();
        whole.polls = 4_000_000_000;
        let refused = share(&whole, 1, 20_000).unwrap_err().to_string();
        assert!(refused.contains("need 200321 processes"), "{refused}");
    }

    #[test]
    fn what_a_worker_says_is_understood() {
        let open = json!({"say": "open", "live": 3, "greetings": [[5, 2]]});
        let Some(Word::Open(3, greetings)) = word_of(&open) else {
            panic!("not understood: {open}");
        };
        assert_eq!(greetings.len(), 2);
        let count = json!({"say": "count", "delivered": 5, "live": 3});
        assert!(matches!(word_of(&count), Some(Word::Count(5, 3))));
        let told = Told::nothing().to_json();
        assert!(matches!(word_of(&told), Some(Word::Told(_))));
        assert!(word_of(&json!({"say": "else"})).is_none());
        assert!(word_of(&json!({"say": "told"})).is_none());
    }
}
