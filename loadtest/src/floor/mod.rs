//! The floor: what a machine's kernel asks for the sockets, beside which a server's own share can be seen.
//!
//! A bare epoll server that does nothing but hold sockets and write prepared answers. It speaks loiter's URLs, so that
//! whatever drives loiter drives it the same way, and answers as many bytes, but there is no chat behind it: nothing is checked,
//! kept or saved, every session is good, and the only list is the last message. One thread; for a connection one
//! accept4 and one epoll_ctl, for a request one recv, for an answer one send, and one epoll_wait for all that is
//! ready. Nothing here parses HTTP beyond finding the path and a number or a text behind it ([`request`]).
//!
//! What it assumes of its clients, since they are this program's own: a request fits one read and comes alone, an answer fits the
//! socket's buffer. Whoever breaks that loses the connection, or is answered as if the rest had not been sent.
//! A client that vanishes without FIN or RST is never missed.

mod answers;
mod request;
mod sockets;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::SystemTime;

use clap::Args;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use signal_hook::consts::{SIGINT, SIGTERM};
use socket2::{Domain, Protocol, Socket, Type};

use crate::crew;
use crate::error::Error;
use crate::progress::say;
use answers::Answers;
use request::Call;
use sockets::Sockets;

/// Taken from one epoll_wait.
const EVENTS: usize = 1024;
/// What a request has to fit.
const REQUEST_MAX: usize = 64 * 1024;
/// Cut by the kernel to what the system allows (`net.core.somaxconn`).
const BACKLOG: i32 = 65_535;
const LISTENER: u64 = u64::MAX;
const END: u64 = u64::MAX - 1;

#[derive(Args, Clone, Debug)]
pub(crate) struct FloorOptions {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(options: &FloorOptions) -> Result<(), Error> {
    crew::raise_file_limit();
    let (end, ended) = UnixStream::pair().map_err(Error::io("make a pair of sockets"))?;
    for signal in [SIGTERM, SIGINT] {
        let end = end.try_clone().map_err(Error::io("hear of signals"))?;
        signal_hook::low_level::pipe::register(signal, end)
            .map_err(Error::io("hear of signals"))?;
    }
    let listen = options.listen;
    let mut floor = Floor::new(listen, ended.into())
        .map_err(Error::io(format!("cannot listen on {listen}")))?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on http://{}", floor.address)
        .and_then(|()| stdout.flush())
        .map_err(Error::io("say where it listens"))?;
    while floor.turn().map_err(Error::io("wait for events"))? {}
    Ok(())
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stay,
    Close,
}

struct Floor {
    epoll: OwnedFd,
    listener: OwnedFd,
    address: SocketAddr,
    /// Readable or closed when it is time to end; held open for the epoll.
    _end: OwnedFd,
    sockets: Sockets,
    answers: Answers,
    events: Vec<Event>,
    scratch: Box<[u8]>,
    /// Files ran out while newcomers waited: the edge is gone, so they are looked for whenever a file is free again.
    newcomers_wait: bool,
}

impl Floor {
    /// Listens. Once something comes from `end`, the server ends.
    fn new(listen: SocketAddr, end: OwnedFd) -> io::Result<Self> {
        let listener = Socket::new(
            Domain::for_address(listen),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        listener.set_reuse_address(true)?;
        // Inherited by each socket accepted from it.
        listener.set_tcp_nodelay(true)?;
        listener.bind(&listen.into())?;
        listener.listen(BACKLOG)?;
        let address = listener.local_addr()?.as_socket();
        let address = address.ok_or(io::ErrorKind::Unsupported)?;
        let listener = OwnedFd::from(listener);

        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let edge = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), edge)?;
        epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            address,
            _end: end,
            sockets: Sockets::default(),
            answers: Answers::new(SystemTime::now()),
            events: Vec::with_capacity(EVENTS),
            scratch: vec![0; REQUEST_MAX].into(),
            newcomers_wait: false,
        })
    }

    /// Waits until something happens and handles it; `false` once it is time to end.
    fn turn(&mut self) -> io::Result<bool> {
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), None) {
            Err(Errno::INTR) => return Ok(true),
            result => result?,
        };
        self.answers.set_time(SystemTime::now());
        let mut newcomers = false;
        for at in 0..self.events.len() {
            let event = self.events[at];
            match event.data.u64() {
                END => return Ok(false),
                LISTENER => newcomers = true,
                key => self.ready(key as usize, event.flags),
            }
        }
        // Last, so that a descriptor freed and used again is never taken for the one of an event that is still to come.
        if newcomers || self.newcomers_wait {
            self.accept()?;
        }
        Ok(true)
    }

    fn accept(&mut self) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let interest = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        let ran_out = loop {
            match accept_with(&self.listener, flags) {
                Ok(socket) => {
                    let key = Sockets::key(&socket);
                    let data = EventData::new_u64(key as u64);
                    epoll::add(&self.epoll, &socket, data, interest)?;
                    self.sockets.insert(socket);
                }
                Err(Errno::AGAIN) => break false,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => break true,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(e) => return Err(e.into()),
            }
        };
        if ran_out && !self.newcomers_wait {
            say("loiter-loadtest: no more files; newcomers wait until some are free");
        }
        self.newcomers_wait = ran_out;
        Ok(())
    }

    /// Reads a connection once: an edge says that there is something, and a request fits one read.
    fn ready(&mut self, key: usize, flags: EventFlags) {
        let is_gone = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if is_gone && self.sockets.is_parked(key) {
            return self.sockets.remove(key);
        }
        let Some(socket) = self.sockets.socket(key) else {
            return;
        };
        let next = match recv(socket, &mut self.scratch[..], RecvFlags::empty()) {
            Ok((0, _)) => Next::Close,
            Ok((len, _)) => self.handle(key, len),
            Err(Errno::AGAIN | Errno::INTR) => Next::Stay,
            Err(_) => Next::Close,
        };
        if next == Next::Close || is_gone {
            self.sockets.remove(key);
        }
    }

    fn handle(&mut self, key: usize, len: usize) -> Next {
        // Whoever is parked has asked already.
        if self.sockets.is_parked(key) {
            return Next::Close;
        }
        let request = &self.scratch[..len];
        let bytes = match request::call(request) {
            Call::Longpoll(chatroom) => {
                self.sockets.park(key, chatroom);
                return Next::Stay;
            }
            Call::Send(chatroom, text) => {
                self.sockets.say(chatroom, text);
                self.answers.list(self.sockets.chatroom(chatroom));
                self.sockets
                    .wake(chatroom, |s| is_sent(s, self.answers.bytes()));
                self.answers.bytes()
            }
            Call::Endpoll(chatroom) => {
                self.answers.list(self.sockets.chatroom(chatroom));
                let ended = self
                    .sockets
                    .wake(chatroom, |s| is_sent(s, self.answers.bytes()));
                self.answers.ended(ended, self.sockets.chatroom(chatroom))
            }
            Call::Chatrooms => self.answers.chatrooms(),
            Call::Register(name) => self.answers.register(name),
            Call::Login => self.answers.login(),
            Call::NewChatroom => {
                let chatroom = self.sockets.new_chatroom();
                self.answers.chatroom(chatroom)
            }
            Call::AddToChatroom(chatroom) => self.answers.chatroom(chatroom),
            Call::Unknown => self.answers.nothing_here(),
        };
        match self.sockets.socket(key) {
            Some(socket) if is_sent(socket, bytes) => Next::Stay,
            _ => Next::Close,
        }
    }
}

/// Whether the socket took all of it. One that does not is of no more use.
fn is_sent(socket: &OwnedFd, bytes: &[u8]) -> bool {
    send(socket, bytes, SendFlags::NOSIGNAL) == Ok(bytes.len())
}
