//! The polite client, who goes on while everybody else misbehaves, and notices how long the server makes it wait.
//!
//! On one connection it says something fifty times a second, on a schedule; on another it polls, and hears what it said. Each message counts
//! twice: from when it was due to its answer, and to when the poll had it. A server that stalls is charged for all that was due meanwhile. What it hears has to be
//! each of its messages that was acknowledged, once and in order.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use loiter_client::{Answer, Connection, get, post};
use socket2::{Domain, Socket, Type};

use crate::clock::latencies;
use crate::connect;
use crate::error::Error;
use crate::probe;
use crate::setup::Setup;
use crate::tally::Tally;

/// Between two messages.
const PERIOD: Duration = Duration::from_millis(20);
/// How long it waits for anything: what takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// It goes on in two threads until it is asked what it found. Dropped, it ends.
pub(crate) struct Polite {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Found>>,
}

struct Shared {
    over: AtomicBool,
    rests: AtomicBool,
    /// What has been said and not heard yet: by number, when it was due.
    due: Mutex<HashMap<u64, Instant>>,
    /// The id of the last message that was acknowledged.
    acknowledged: AtomicU64,
    /// Whether no more will be.
    said_all: AtomicBool,
}

/// What it found.
pub(crate) struct Found {
    /// From when a message was due to its answer, and to its poll's.
    pub(crate) latencies: Histogram<u64>,
    /// Messages that were acknowledged.
    pub(crate) messages: u64,
    /// Messages that were refused because too much was waiting (503).
    pub(crate) refused: u64,
    /// What went wrong.
    pub(crate) tally: Tally,
}

impl Found {
    fn nothing() -> Self {
        Self {
            latencies: latencies(),
            messages: 0,
            refused: 0,
            tally: Tally::default(),
        }
    }

    fn took(&mut self, due: Instant) {
        let took = due.elapsed().as_nanos();
        let took = u64::try_from(took).unwrap_or(u64::MAX);
        self.latencies.saturating_record(took.max(1));
    }
}

/// Whose connections these are, and where they lead.
#[derive(Clone)]
struct Line {
    addr: SocketAddr,
    net: u8,
    session: String,
    room: u64,
}

impl Line {
    /// From an address of its own: who waits until the others' polls are parked does not wait for this one's.
    fn connect(&self) -> Result<Connection, Error> {
        let failed = || Error::io("connect the polite client");
        let socket = Socket::new(Domain::for_address(self.addr), Type::STREAM.cloexec(), None);
        let socket = socket.map_err(failed())?;
        if let Some(source) = connect::askers_source(self.addr, self.net) {
            let bound = socket.bind(&SocketAddr::new(source, 0).into());
            bound.map_err(failed())?;
        }
        let connected = socket.connect_timeout(&self.addr.into(), PATIENCE);
        connected.map_err(failed())?;
        Connection::of(TcpStream::from(socket), PATIENCE).map_err(failed())
    }
}

impl Polite {
    /// Begins in a chatroom of its own; its first message has been heard when this returns.
    pub(crate) fn start(setup: &mut Setup, addr: SocketAddr) -> Result<Self, Error> {
        let line = Line {
            addr,
            net: setup.net,
            session: setup.sessions[0].clone(),
            room: setup.chatrooms(1)?[0],
        };
        let shared = Arc::new(Shared {
            over: AtomicBool::new(false),
            rests: AtomicBool::new(false),
            due: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            said_all: AtomicBool::new(false),
        });
        let (says, hears) = (line.connect()?, line.connect()?);
        let (speaker, listener) = (Arc::clone(&shared), Arc::clone(&shared));
        let other = line.clone();
        let threads = vec![
            thread::spawn(move || speaker.speak(&line, says)),
            thread::spawn(move || listener.listen(&other, hears)),
        ];
        let polite = Self { shared, threads };
        polite.wait_for_the_first();
        Ok(polite)
    }

    fn wait_for_the_first(&self) {
        let until = Instant::now() + PATIENCE;
        let heard = || {
            let acknowledged = self.shared.acknowledged.load(Ordering::Acquire);
            acknowledged > 0 && !self.shared.due().contains_key(&0)
        };
        while !heard() && !self.has_given_up() && Instant::now() < until {
            thread::sleep(PERIOD);
        }
    }

    fn has_given_up(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Says nothing until [`Polite::wakes`].
    pub(crate) fn rests(&self) {
        self.shared.rests.store(true, Ordering::Release);
    }

    /// Goes on.
    pub(crate) fn wakes(&self) {
        self.shared.rests.store(false, Ordering::Release);
    }

    /// Ends it, once it has heard all that it said.
    pub(crate) fn end(mut self) -> Found {
        self.shared.over.store(true, Ordering::Release);
        let mut all = Found::nothing();
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(found) => {
                    all.latencies += found.latencies;
                    all.messages += found.messages;
                    all.refused += found.refused;
                    all.tally.add(found.tally);
                }
                Err(_) => all.tally.unexpected(|| "the polite client failed".into()),
            }
        }
        all
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
    }
}

impl Shared {
    fn due(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn speak(&self, line: &Line, mut connection: Connection) -> Found {
        probe::be_preferred();
        let mut found = Found::nothing();
        let (mut due, mut number) = (Instant::now(), 0);
        while !self.is_over() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.rests.load(Ordering::Acquire) {
                due = Instant::now() + PERIOD;
                continue;
            }
            self.due().insert(number, due);
            match self.say(line, &mut connection, number) {
                Ok(Some(id)) => {
                    found.took(due);
                    found.messages += 1;
                    self.acknowledged.store(id, Ordering::Release);
                }
                Ok(None) => {
                    found.took(due);
                    found.refused += 1;
                    self.due().remove(&number);
                }
                Err(what) => {
                    found.tally.unexpected(|| what);
                    break;
                }
            }
            (due, number) = (due + PERIOD, number + 1);
        }
        self.said_all.store(true, Ordering::Release);
        found
    }

    /// The message's id, or none where it was refused for now.
    fn say(
        &self,
        line: &Line,
        connection: &mut Connection,
        number: u64,
    ) -> Result<Option<u64>, String> {
        let request = post("/message/sendMessage/").session(&line.session);
        let request = request.form("chatroomid", line.room).form("limit", 1);
        let answer = connection.ask(&request.form("message", format!("polite {number}")));
        let answer = answer.map_err(|e| format!("polite message {number}: {e}"))?;
        if answer.closes() {
            *connection = line.connect().map_err(|e| e.to_string())?;
        }
        match answer.status {
            200 => match heard(&answer).and_then(|list| list.last().map(|(id, _)| *id)) {
                Some(id) => Ok(Some(id)),
                None => Err(format!("polite message {number} was answered no list")),
            },
            503 if answer.field("retry-after").is_some() => Ok(None),
            other => Err(format!("polite message {number} was answered {other}")),
        }
    }

    fn listen(&self, line: &Line, mut connection: Connection) -> Found {
        probe::be_preferred();
        let (mut found, mut last) = (Found::nothing(), 0);
        loop {
            let said_all = self.said_all.load(Ordering::Acquire);
            if said_all && last >= self.acknowledged.load(Ordering::Acquire) {
                return found;
            }
            let poll = get("/message/longpoll/").session(&line.session);
            let poll = poll.with("chatroomid", line.room).with("since", last);
            // So that it ends without a message too, once all has been said.
            let poll = poll.with("timeout", 1).with("limit", 200);
            let list = connection.ask(&poll).map_err(|e| e.to_string());
            let list = list.and_then(|answer| {
                let status = answer.status;
                heard(&answer).ok_or_else(|| format!("{status} without a list"))
            });
            match list {
                Ok(list) => {
                    for (id, number) in list {
                        self.hear(id, number, &mut last, &mut found);
                    }
                }
                Err(what) => {
                    found
                        .tally
                        .unexpected(|| format!("the polite poll: {what}"));
                    return found;
                }
            }
        }
    }

    fn hear(&self, id: u64, number: u64, last: &mut u64, found: &mut Found) {
        let due = self.due().remove(&number);
        match due {
            Some(due) if id == *last + 1 => found.took(due),
            Some(_) => found.tally.missing(id.saturating_sub(*last + 1).max(1), || {
                format!("the polite poll was told {id} after {last}")
            }),
            None => found.tally.doubled(1, || {
                format!("the polite poll was told {id}, polite {number}, which it had or which was refused")
            }),
        }
        *last = id;
    }
}

/// Ids and numbers of the messages that an answer lists.
fn heard(answer: &Answer) -> Option<Vec<(u64, u64)>> {
    let list = answer.value().filter(|_| answer.status == 200)?;
    let message = |message: &serde_json::Value| {
        let text = message["message"].as_str()?;
        let number = text.strip_prefix("polite ")?.parse().ok()?;
        Some((message["id"].as_u64()?, number))
    };
    list.as_array()?.iter().map(message).collect()
}
