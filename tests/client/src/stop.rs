//! The end of a client, told by another thread: whatever it waits for, it waits no longer.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Stops one client, from any thread and for good.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    /// What the client may be waiting on. Not ours to keep open: the server must see the end of whatever the client lets go.
    socket: Weak<TcpStream>,
}

impl Stop {
    /// Ends what the client is at, and everything that it would do after that, with [`Error::Stopped`](crate::Error::Stopped). A
    /// call that was under way may have been done. Only the search for the server, and connecting to it, is waited for.
    pub fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        if let Some(socket) = state.socket.upgrade() {
            // One that is shut down already is as good.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.0.changed.notify_all();
    }

    /// Whether it has been stopped.
    pub fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// Makes this the socket that a stop shuts down; says whether the client goes on.
    pub(crate) fn watch(&self, socket: Weak<TcpStream>) -> bool {
        let mut state = self.state();
        state.socket = socket;
        !state.is_stopped
    }

    /// Waits for a time to pass; says whether the client goes on.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let goes_on = |state: &mut State| !state.is_stopped;
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.state(), pause, goes_on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_stopped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics in here.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::strict::PATIENCE;

    #[test]
    fn a_pause_ends_whether_the_stop_comes_before_it_or_in_it() {
        for yields in 0..200 {
            let stop = Stop::default();
            let (tell, told) = mpsc::channel();
            let pausing = stop.clone();
            thread::spawn(move || {
                tell.send(true).unwrap();
                let goes_on = pausing.pause(Duration::from_secs(3600));
                tell.send(goes_on).unwrap();
            });
            assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
            (0..yields).for_each(|_| thread::yield_now());
            stop.stop();
            assert_eq!(told.recv_timeout(PATIENCE), Ok(false));
        }
    }

    #[test]
    fn a_pause_that_nobody_stops_is_one() {
        assert!(Stop::default().pause(Duration::from_millis(1)));
    }
}
