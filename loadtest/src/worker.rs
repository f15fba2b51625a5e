//! One worker process: it holds its part of the polls, because one process may not open as many files as a run needs.
//!
//! Its standard input brings the plan as one line of JSON, then the words `tell`, `again` and `count` as often as the coordinator likes;
//! the end of input ends the worker, so none outlives its coordinator. It says, each as one line of JSON:
//! `opening` now and then, `open` once every poll is written, `woken` when every poll was woken since the last `tell`, and
//! `told` as the answer to `tell`, and `count` as that to the other two, `again` letting all polls that rest ask again first. Between two of these it sleeps in its epoll wait: an idle server is not disturbed.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::Error;
use crate::plan::Plan;
use crate::pollers::Pollers;
use crate::swarm::{Swarm, Waker};
use crate::told::{self, Told};

/// Between two reports while polls are being opened.
const REPORT_EVERY: Duration = Duration::from_millis(20);
/// How long a worker may need to see its input's end while it is opening.
const TURN: Duration = Duration::from_secs(1);

/// Runs until standard input ends.
pub(crate) fn run() -> Result<(), Error> {
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    read.map_err(Error::io("read the plan"))?;
    let plan = serde_json::from_str(&line).ok();
    let plan = plan.as_ref().and_then(Plan::from_json);
    let plan = plan.ok_or_else(|| Error::Worker("the plan is not one".into()))?;
    let polls = plan.polls as usize;
    let swarm = Swarm::new(plan.layout(), Pollers::new(plan));
    let mut swarm = swarm.map_err(Error::io("open an epoll loop"))?;
    let waker = swarm.waker().map_err(Error::io("make a waker"))?;
    // Kept here too: a waker that is dropped takes along a wake that the loop has not seen.
    let asked = listen(Arc::clone(&waker));
    work(&mut swarm, polls, &asked)?;
    drop(waker);
    Ok(())
}

/// Turns each line of standard input into a message and a wake; its end into a closed channel.
fn listen(waker: Arc<Waker>) -> Receiver<String> {
    let (send, asked) = mpsc::channel();
    thread::spawn(move || {
        // The loop may have ended before its input: then nobody is left to be told.
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(send);
        let _ = waker.wake();
    });
    asked
}

fn work(swarm: &mut Swarm<Pollers>, polls: usize, asked: &Receiver<String>) -> Result<(), Error> {
    let (mut open, mut woken) = (false, false);
    let mut reported = Instant::now();
    loop {
        let timeout = if open { None } else { Some(TURN) };
        swarm.turn(timeout).map_err(Error::io("wait for events"))?;
        if !open && swarm.started() == polls {
            open = true;
            let greetings = told::counts(swarm.greetings());
            let live = swarm.role().live();
            say(&json!({"say": "open", "live": live, "greetings": greetings}))?;
        } else if !open && reported.elapsed() > REPORT_EVERY {
            reported = Instant::now();
            say(&json!({"say": "opening", "polls": swarm.started()}))?;
        }
        if !woken && swarm.role().all_woken() {
            woken = true;
            say(&json!({"say": "woken"}))?;
        }
        loop {
            match asked.try_recv() {
                Ok(word) if word == "tell" => {
                    woken = false;
                    say(&told(swarm.role()).to_json())?;
                }
                Ok(word) => {
                    if word == "again" {
                        again(swarm, polls);
                    }
                    let (delivered, live) = (swarm.role().delivered(), swarm.role().live());
                    say(&json!({"say": "count", "delivered": delivered, "live": live}))?;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }
}

fn again(swarm: &mut Swarm<Pollers>, polls: usize) {
    for at in 0..polls {
        swarm.wake(at);
    }
}

fn told(pollers: &mut Pollers) -> Told {
    let (round, tally) = pollers.end_round();
    Told::of(pollers.live(), round, tally)
}

fn say(word: &Value) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let said = writeln!(out, "{word}").and_then(|()| out.flush());
    said.map_err(Error::io("tell the coordinator"))
}
