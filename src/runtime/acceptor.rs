//! Accepting: from each listener in turn, so many a turn, and what happens when there is no room.
//!
//! A listener's event is an edge too: `pending` remembers it until an accept would block.
//!
//! Two things can run out. At the configured number of connections a newcomer is accepted, refused and left to linger
//! (`refused`). When descriptors run out nothing can be accepted at all, and a newcomer that stays
//! in the backlog would keep the loop spinning; so one descriptor is held in reserve. It is given up to accept the
//! newcomers one by one, refuse and close them, and taken back; then accepting pauses, and who comes
//! meanwhile waits in the backlog until a connection is reaped or [`BACK_OFF`] is over. Until it is taken back no other loop
//! accepts: a newcomer there would have it for good, and those who come here would wait without an answer.
//!
//! The end is a last call: a listener's backlog dies with it, and with the backlog whatever those have asked who wait in
//! it. So they are let in first, until nobody is left or so many have come that they cannot all have been there before. A socket that was handed
//! over is only let go of: who waits there is somebody else's to answer.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::listener::{BindError, Listener};
use super::places::Places;
use super::refused::Refused;

/// Newcomers in one turn: enough to take a storm in quickly, few enough that those already served do not feel it.
pub(super) const ACCEPTS_MAX: usize = 64;

/// How long accepting pauses when it cannot go on: ten attempts a second cost nothing, and a person does not notice the wait.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Newcomers of a loop's last call: as many as Linux has wait at a socket, unless it is told otherwise (`net.core.somaxconn`).
const LAST_ACCEPTS_MAX: usize = 4096;

/// Token 0 is the waker's.
const FIRST_TOKEN: usize = 1;

pub(super) struct Acceptor {
    entrances: Vec<Entrance>,
    /// Whose turn it is among the entrances.
    next: usize,
    accepts_left: usize,
    back_off: Option<Instant>,
    /// Since the last back-off nobody could be accepted: it was logged, and need not be again.
    distressed: bool,
    reserve: Option<File>,
    refused: Refused,
    /// How many may still come in, once it is the last call.
    pub(super) last_accepts_left: Option<usize>,
    has_stopped: bool,
}

struct Entrance {
    listener: Listener,
    /// Newcomers may be waiting.
    pending: bool,
}

impl Acceptor {
    pub(super) fn new(
        listeners: Vec<Listener>,
        registry: &Registry,
        refusal: Vec<u8>,
    ) -> Result<Self, BindError> {
        let mut entrances = Vec::with_capacity(listeners.len());
        for (index, mut listener) in listeners.into_iter().enumerate() {
            let token = Token(FIRST_TOKEN + index);
            registry
                .register(listener.socket_mut(), token, Interest::READABLE)
                .map_err(BindError::Reactor)?;
            entrances.push(Entrance {
                listener,
                pending: false,
            });
        }
        Ok(Self {
            entrances,
            next: 0,
            accepts_left: 0,
            back_off: None,
            distressed: false,
            reserve: Some(open_reserve().map_err(BindError::Reactor)?),
            refused: Refused::new(refusal),
            last_accepts_left: None,
            has_stopped: false,
        })
    }

    /// An event told of newcomers. Tokens of closed listeners are ignored.
    pub(super) fn newcomers_at(&mut self, token: Token) {
        let index = token.0.wrapping_sub(FIRST_TOKEN);
        if let Some(entrance) = self.entrances.get_mut(index) {
            entrance.pending = true;
        }
    }

    pub(super) fn begin_turn(&mut self) {
        self.accepts_left = ACCEPTS_MAX;
        self.refused.expire();
        if self.back_off.is_some() && !self.backs_off() {
            self.back_off = None;
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.entrances.iter().any(|entrance| entrance.pending) && !self.backs_off()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let lingering = self.refused.deadline();
        self.back_off.into_iter().chain(lingering).min()
    }

    /// The clock is read only in distress.
    fn backs_off(&self) -> bool {
        self.back_off.is_some_and(|until| Instant::now() < until)
    }

    /// The next newcomer for whom there is a place; the others are refused. A last call ends where there is none.
    pub(super) fn accept(&mut self, places: &Places) -> Option<TcpStream> {
        while self.accepts_left > 0 && self.back_off.is_none() {
            let Some(index) = self.next_pending().filter(|_| !self.has_called_enough()) else {
                if self.last_accepts_left.is_some() {
                    self.stop(places);
                }
                return None;
            };
            self.accepts_left -= 1;
            let door = places.door()?;
            if let Some(left) = &mut self.last_accepts_left {
                *left -= 1;
            }
            let accepted = self.entrances[index].listener.accept();
            drop(door);
            match accepted {
                Ok((newcomer, _)) if places.take() => {
                    self.distressed = false;
                    return Some(newcomer);
                }
                Ok((socket, _)) => self.refused.refuse(socket),
                Err(error) => self.accept_failed(index, &error, places),
            }
        }
        None
    }

    fn has_called_enough(&self) -> bool {
        self.last_accepts_left == Some(0)
    }

    fn next_pending(&mut self) -> Option<usize> {
        let count = self.entrances.len();
        let index = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|&index| self.entrances[index].pending)?;
        self.next = index + 1;
        Some(index)
    }

    fn accept_failed(&mut self, index: usize, error: &io::Error, places: &Places) {
        match error.kind() {
            ErrorKind::WouldBlock => self.entrances[index].pending = false,
            // That newcomer failed, not the listener: accept(2) passes on what its connection met.
            ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::PermissionDenied
            | ErrorKind::Interrupted => {}
            _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                // The refused have had their answer; what they linger on is needed more elsewhere.
                if !self.refused.close_all() {
                    self.refuse_by_the_reserve(index, places);
                    self.back_off(error);
                }
            }
            // Memory, or what we do not know: whatever it is, it must not make the loop spin.
            _ => self.back_off(error),
        }
    }

    fn refuse_by_the_reserve(&mut self, index: usize, places: &Places) {
        let _alone = places.door_alone();
        drop(self.reserve.take());
        while self.accepts_left > 0 {
            self.accepts_left -= 1;
            match self.entrances[index].listener.accept() {
                Ok((socket, _)) => self.refused.refuse_at_once(socket),
                Err(error) => {
                    self.entrances[index].pending = error.kind() != ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        // A thread that is no loop may have been quicker. Then the next attempt is only to wait and to open it again.
        self.reserve = open_reserve().ok();
    }

    fn back_off(&mut self, error: &io::Error) {
        if !self.distressed {
            log::warn!("accepting pauses, and newcomers wait or are refused: {error}");
        }
        self.distressed = true;
        self.back_off = Some(Instant::now() + BACK_OFF);
    }

    /// Tells a newcomer that there is no room after all.
    pub(super) fn refuse(&mut self, socket: TcpStream) {
        self.refused.refuse(socket);
    }

    pub(super) fn set_refusal(&mut self, refusal: Vec<u8>) {
        self.refused.set_answer(refusal);
    }

    pub(super) fn refusals(&self) -> u64 {
        self.refused.count
    }

    /// Whatever accepting waits for may be there now.
    pub(super) fn descriptors_were_freed(&mut self) {
        self.back_off = None;
    }

    /// Lets go of sockets that were handed over, and has [`Acceptor::accept`] close the others when all have come in who
    /// wait there.
    pub(super) fn call_the_last(&mut self, registry: &Registry) {
        for entrance in &mut self.entrances {
            entrance.pending = true;
            // Closing is not enough where somebody else has the socket too: its newcomers would go on waking the loop.
            if entrance.listener.was_handed_over()
                && let Err(error) = registry.deregister(entrance.listener.socket_mut())
            {
                log::error!("cannot forget a listener: {error}");
            }
        }
        self.entrances
            .retain(|entrance| !entrance.listener.was_handed_over());
        self.back_off = None;
        self.last_accepts_left.get_or_insert(LAST_ACCEPTS_MAX);
    }

    /// Closes the listeners.
    pub(super) fn stop(&mut self, places: &Places) {
        self.entrances.clear();
        self.back_off = None;
        if !std::mem::replace(&mut self.has_stopped, true) {
            places.stop_accepting();
        }
    }
}

fn open_reserve() -> io::Result<File> {
    File::open("/dev/null")
}
