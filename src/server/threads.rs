//! The threads of all loops but the first: started with the first turn, joined with the last.
//!
//! A loop that fails or panics takes the whole server with it (see `panicked`): it asks all others to stop, and the first
//! loop's turn passes on what had happened.

use std::io;
use std::thread::{self, JoinHandle};

use super::event_loop::EventLoop;
use super::handle::Handle;
use super::panicked::Panicked;

/// The loops beyond the first, and their threads.
pub(super) struct Threads {
    waiting: Vec<EventLoop>,
    running: Vec<JoinHandle<io::Result<()>>>,
    control: Handle,
}

/// Stops all loops when it is dropped, unless its own has ended well.
struct Watch {
    control: Handle,
    has_ended_well: bool,
}

impl Threads {
    /// Loops to be started, in the order of their numbers.
    pub(super) fn new(mut loops: Vec<EventLoop>, control: Handle) -> Self {
        loops.reverse();
        Self {
            waiting: loops,
            running: Vec::new(),
            control,
        }
    }

    pub(super) fn are_to_be_started(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Starts those that are not running yet.
    ///
    /// # Errors
    /// The system has no thread for one. The loop that it was for is lost with its sockets; the server cannot go on.
    pub(super) fn start(&mut self) -> io::Result<()> {
        while let Some(event_loop) = self.waiting.pop() {
            let name = format!("loiter-loop-{}", self.running.len() + 1);
            let control = self.control.clone();
            let thread = thread::Builder::new()
                .name(name)
                .spawn(move || run(event_loop, control));
            match thread {
                Ok(thread) => self.running.push(thread),
                Err(error) => {
                    self.control.stop();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits until all have ended, which they do within a turn.
    ///
    /// # Errors
    /// What the first of them ended for that did not end well; its panic, if it was one.
    pub(super) fn join(&mut self) -> io::Result<()> {
        self.waiting.clear();
        let mut outcome = Ok(());
        for (number, thread) in (1..).zip(self.running.drain(..)) {
            let ended = match thread.join() {
                Ok(ended) => ended,
                Err(payload) => Err(Panicked::of_loop(number, &*payload).into()),
            };
            outcome = outcome.and(ended);
        }
        outcome
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if self.running.is_empty() {
            return;
        }
        self.control.stop();
        if let Err(error) = self.join() {
            log::error!("an event loop had failed: {error}");
        }
    }
}

fn run(mut event_loop: EventLoop, control: Handle) -> io::Result<()> {
    let mut watch = Watch {
        control,
        has_ended_well: false,
    };
    while !event_loop.is_done() {
        event_loop.turn(None)?;
    }
    watch.has_ended_well = true;
    Ok(())
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.has_ended_well {
            self.control.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::handle::Wish;

    fn running(run: impl FnOnce() -> io::Result<()> + Send + 'static) -> Threads {
        let mut threads = Threads::new(Vec::new(), Handle::new([]));
        threads.running.push(thread::spawn(run));
        threads
    }

    #[test]
    fn a_loop_that_ends_badly_stops_the_others() {
        let control = Handle::new([]);
        let watch = |has_ended_well| Watch {
            control: control.clone(),
            has_ended_well,
        };
        drop(watch(true));
        assert_eq!(control.wish(), Wish::Serve);
        drop(watch(false));
        assert_eq!(control.wish(), Wish::Stop);
    }

    #[test]
    fn what_ended_a_loop_is_passed_on() {
        let failed = running(|| Err(io::Error::other("no events"))).join();
        assert_eq!(failed.expect_err("failed").to_string(), "no events");
        assert!(running(|| Ok(())).join().is_ok());
        let panicked = running(|| panic!("a defect")).join();
        let reason = panicked.expect_err("panicked").to_string();
        assert_eq!(reason, "event loop 1 panicked: a defect");
    }
}
