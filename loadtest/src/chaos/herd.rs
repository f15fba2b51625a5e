//! Very many connections that misbehave together, in one thread.
//!
//! Nothing here waits for a single connection: all are looked at, one after the other, again and again. A look costs a system call each, which for
//! some thousands is a few milliseconds, and no time that is measured hangs on it: the polite client's own thread measures.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use loiter_client::{Framing, Head, Malformed};
use rustix::io::Errno;
use socket2::{Domain, SockFilter, SockRef, Socket, Type};

use crate::error::Error;

/// Between two looks at all of them.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;
/// `BPF_RET | BPF_K` with 0: no byte of a packet gets through.
const DROP: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// The connections.
#[derive(Default)]
pub(crate) struct Herd {
    /// Each of them.
    pub(crate) members: Vec<Member>,
}

/// One connection.
pub(crate) struct Member {
    socket: TcpStream,
    unsent: Vec<u8>,
    sent: usize,
    heard: Vec<u8>,
    /// The statuses of the answers so far.
    pub(crate) statuses: Vec<u16>,
    /// Answers with 503 that say when to come again.
    pub(crate) retries: u64,
    /// How it ended, where it has.
    pub(crate) end: Option<End>,
}

/// How the server's side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By FIN.
    Closed,
    /// By RST, or it never came about.
    Broken,
    /// With bytes that are no answer.
    Nonsense,
}

impl Herd {
    /// So many connections on their way to the server, perhaps with a receive buffer of this size.
    pub(crate) fn connect(
        addr: SocketAddr,
        count: u64,
        buffer: Option<usize>,
    ) -> Result<Self, Error> {
        Self::connect_from(None, addr, count, buffer)
    }

    /// The same, perhaps from an address of the caller's choice.
    pub(crate) fn connect_from(
        source: Option<IpAddr>,
        addr: SocketAddr,
        count: u64,
        buffer: Option<usize>,
    ) -> Result<Self, Error> {
        let members = (0..count).map(|_| Member::connect(source, addr, buffer));
        let members = members.collect::<io::Result<_>>();
        Ok(Self {
            members: members.map_err(Error::io("connect"))?,
        })
    }

    /// Gives each something to say, behind what it has yet to say.
    pub(crate) fn say(&mut self, mut what: impl FnMut(usize) -> Vec<u8>) {
        for (at, member) in self.members.iter_mut().enumerate() {
            member.say(&what(at));
        }
    }

    /// Sends of each `most` bytes at most.
    pub(crate) fn send(&mut self, most: usize) {
        self.living().for_each(|member| member.send(most));
    }

    /// Reads what has come to each.
    pub(crate) fn hear(&mut self) {
        self.living().for_each(Member::hear);
    }

    /// Sends and reads until `done`; whether that came before `patience` ended.
    pub(crate) fn go_on(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) -> bool {
        self.drive(patience, true, done)
    }

    /// The same, but nobody reads.
    pub(crate) fn go_on_deaf(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) -> bool {
        self.drive(patience, false, done)
    }

    fn drive(&mut self, patience: Duration, hears: bool, done: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + patience;
        loop {
            self.send(usize::MAX);
            if hears {
                self.hear();
            }
            if done(self) {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            thread::sleep(PAUSE);
        }
    }

    /// How many have ended so.
    pub(crate) fn ended(&self, how: End) -> u64 {
        self.count(|member| member.end == Some(how))
    }

    /// How many are as `is` says.
    pub(crate) fn count(&self, is: impl Fn(&Member) -> bool) -> u64 {
        self.members.iter().filter(|member| is(member)).count() as u64
    }

    /// Answers with this status.
    pub(crate) fn answers(&self, status: u16) -> u64 {
        let statuses = self.members.iter().flat_map(|member| &member.statuses);
        statuses.filter(|own| **own == status).count() as u64
    }

    /// Whether nobody has anything left to say.
    pub(crate) fn have_said_all(&self) -> bool {
        let has = |member: &Member| member.end.is_some() || member.sent == member.unsent.len();
        self.members.iter().all(has)
    }

    /// Sends the FIN of each.
    pub(crate) fn hang_up(&self) {
        for member in &self.members {
            // One that has ended already has nothing to hang up.
            let _ = member.socket.shutdown(Shutdown::Write);
        }
    }

    /// From now on nothing that the server sends reaches any of them, and so it hears of none of them again.
    pub(crate) fn cut(&self) -> Result<(), Error> {
        for member in &self.members {
            let cut = SockRef::from(&member.socket).attach_filter(&[DROP]);
            cut.map_err(Error::io("drop a socket's packets"))?;
        }
        Ok(())
    }

    /// Closes all at once, by RST if `resets`.
    pub(crate) fn vanish(self, resets: bool) {
        if resets {
            for member in &self.members {
                let _ = SockRef::from(&member.socket).set_linger(Some(Duration::ZERO));
            }
        }
        drop(self);
    }

    fn living(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.iter_mut().filter(|m| m.end.is_none())
    }
}

impl Member {
    fn connect(
        source: Option<IpAddr>,
        addr: SocketAddr,
        buffer: Option<usize>,
    ) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(addr), kind, None)?;
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer)?;
        }
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&addr.into()) {
            Err(e) if e.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => return Err(e),
            _ => {}
        }
        Ok(Self {
            socket: socket.into(),
            unsent: Vec::new(),
            sent: 0,
            heard: Vec::new(),
            statuses: Vec::new(),
            retries: 0,
            end: None,
        })
    }

    /// Gives it something to say.
    pub(crate) fn say(&mut self, what: &[u8]) {
        self.unsent.drain(..self.sent);
        self.sent = 0;
        self.unsent.extend_from_slice(what);
    }

    fn send(&mut self, most: usize) {
        let rest = &self.unsent[self.sent..];
        let rest = &rest[..rest.len().min(most)];
        if rest.is_empty() {
            return;
        }
        // Where it fails there is no connection yet, or no room; what else is wrong shows when it is read.
        self.sent += self.socket.write(rest).unwrap_or(0);
    }

    fn hear(&mut self) {
        let mut piece = [0; PIECE];
        while self.end.is_none() {
            match self.socket.read(&mut piece) {
                Ok(0) => self.end = Some(End::Closed),
                Ok(length) => {
                    self.heard.extend_from_slice(&piece[..length]);
                    self.take_answers();
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                // On its way.
                Err(e) if e.kind() == ErrorKind::NotConnected => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end = Some(End::Broken),
            }
        }
    }

    fn take_answers(&mut self) {
        let mut taken = 0;
        while let Some(answer) = answer(&self.heard[taken..]).transpose() {
            let Ok((status, length, says_when)) = answer else {
                self.end = Some(End::Nonsense);
                return;
            };
            if self.heard.len() - taken < length {
                break;
            }
            taken += length;
            self.statuses.push(status);
            self.retries += u64::from(status == 503 && says_when);
        }
        self.heard.drain(..taken);
    }
}

/// The status of the answer that begins here, its length, and whether it says when to come again; `None` where its head is not all there.
fn answer(input: &[u8]) -> Result<Option<(u16, usize, bool)>, Malformed> {
    let mut says_when = false;
    let head = Head::parse(input, |name, _| {
        says_when |= name.eq_ignore_ascii_case("retry-after");
    });
    let Some(head) = head? else {
        return Ok(None);
    };
    match head.framing {
        Framing::Length(length) => Ok(Some((head.status, head.len + length, says_when))),
        Framing::Chunked | Framing::Connection => Err(Malformed::Unframed),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const BUSY: &[u8] = b"HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno";

    fn herd(count: u64) -> (TcpListener, Herd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let herd = Herd::connect(listener.local_addr().unwrap(), count, None).unwrap();
        (listener, herd)
    }

    #[test]
    fn answers_are_counted_and_ends_told_apart() {
        let (listener, mut herd) = herd(2);
        let (mut one, _) = listener.accept().unwrap();
        let (two, _) = listener.accept().unwrap();
        one.write_all(&[BUSY, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"].concat())
            .unwrap();
        assert!(herd.go_on(PATIENCE, |herd| herd.answers(503) == 1));
        assert_eq!(herd.members.iter().map(|m| m.retries).sum::<u64>(), 1);
        assert_eq!(herd.answers(200), 0, "its body has not come");
        one.write_all(b"x").unwrap();
        drop(one);
        SockRef::from(&two)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(two);
        assert!(herd.go_on(PATIENCE, |herd| herd.count(|m| m.end.is_some()) == 2));
        assert_eq!(herd.answers(200), 1);
        assert_eq!((herd.ended(End::Closed), herd.ended(End::Broken)), (1, 1));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let (listener, mut herd) = herd(1);
        let (mut one, _) = listener.accept().unwrap();
        one.write_all(b"SSH-2.0\r\n\r\n").unwrap();
        assert!(herd.go_on(PATIENCE, |herd| herd.ended(End::Nonsense) == 1));
    }

    #[test]
    fn a_byte_at_a_time_is_a_byte_at_a_time() {
        let (listener, mut herd) = herd(1);
        let (mut one, _) = listener.accept().unwrap();
        herd.say(|_| b"ab".to_vec());
        herd.send(1);
        assert!(!herd.have_said_all());
        herd.send(1);
        assert!(herd.have_said_all());
        let mut both = [0; 2];
        one.read_exact(&mut both).unwrap();
        assert_eq!(&both, b"ab");
    }

    #[test]
    fn who_is_cut_off_hears_nothing() {
        let (listener, mut herd) = herd(2);
        let (mut one, _) = listener.accept().unwrap();
        let (mut two, _) = listener.accept().unwrap();
        let other = herd.members.pop().unwrap();
        herd.cut().unwrap();
        herd.members.push(other);
        one.write_all(BUSY).unwrap();
        two.write_all(BUSY).unwrap();
        assert!(herd.go_on(PATIENCE, |herd| herd.answers(503) == 1));
        assert!(herd.members[0].statuses.is_empty());
    }
}
