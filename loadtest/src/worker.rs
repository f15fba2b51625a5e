//! One worker process: it holds its part of the polls, because one process may not open as many files as a run needs.
//!
//! Its standard input brings the plan as one line of JSON, then the word `tell` as often as the coordinator likes;
//! the end of input ends the worker, so none outlives its coordinator. It says, each as one line of JSON:
//! `opening` now and then, `open` once every poll is written, `woken` when every poll was woken since the last `tell`, and
//! `told` as the answer to `tell`. Between two of these it sleeps in its epoll wait: an idle server is not disturbed.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use mio::Waker;
use serde_json::{Value, json};

use crate::error::Error;
use crate::http;
use crate::plan::Plan;
use crate::pollers::Pollers;
use crate::swarm::{Layout, Swarm};

/// Between two reports while polls are being opened.
const REPORT_EVERY: Duration = Duration::from_millis(100);
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
    let swarm = Swarm::new(layout(&plan), Pollers::new(plan));
    let mut swarm = swarm.map_err(Error::io("open an epoll loop"))?;
    let waker = swarm.waker().map_err(Error::io("make a waker"))?;
    // Kept here too: a waker that is dropped takes along a wake that the loop has not seen.
    let asked = listen(Arc::clone(&waker));
    work(&mut swarm, polls, &asked)?;
    drop(waker);
    Ok(())
}

fn layout(plan: &Plan) -> Layout {
    let (_, session) = plan.place(0);
    let probe = http::request("GET", "/message/chatrooms/", &plan.host, Some(session));
    Layout {
        addr: plan.addr,
        net: plan.net,
        first: plan.first,
        count: plan.polls as usize,
        batch: plan.batch as usize,
        probe: probe.into_bytes(),
    }
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
            say(&json!({"say": "open", "live": swarm.role().live()}))?;
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
                Ok(_) => say(&told(swarm.role()))?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
            woken = false;
        }
    }
}

fn told(pollers: &mut Pollers) -> Value {
    let (round, tally) = pollers.end_round();
    let counts: Vec<(u64, u64)> = round
        .latencies
        .iter_recorded()
        .map(|step| (step.value_iterated_to(), step.count_at_value()))
        .collect();
    json!({
        "say": "told",
        "live": pollers.live(),
        "delivered": round.delivered,
        "latencies": counts,
        "tally": tally.to_json(),
    })
}

fn say(word: &Value) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let said = writeln!(out, "{word}").and_then(|()| out.flush());
    said.map_err(Error::io("tell the coordinator"))
}
