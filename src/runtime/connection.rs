//! One connection: its socket, what it is ready for, and how it is read and written.
//!
//! This is what a parked poll costs here, and there may be a million of them: a descriptor and a few flags. All reads
//! go through the loop's one scratch buffer, and only input that the consumer could not use yet, or output
//! that the peer did not take yet, lives on the heap (`held`).
//!
//! Reading is the one place where an edge could be lost, so its rule is short: `READABLE` is set by
//! an event (or where a probe wants to know), and cleared only by a read that proves the socket empty. That is a read that would block, or one that
//! returns less than it had room for: TCP is a stream, so a short read took all there was, and whatever
//! comes later is a new edge. (Urgent data alone ends a read early; a peer that sends it waits for itself.) One
//! thing has no later edge: the FIN. Once it was seen (`HUNG_UP`) only a read of 0 clears `READABLE`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry};

use super::flags::Flags;
use super::held::Held;
use super::token;
use super::unsent::count_sent;
use crate::buffer::Bytes;
use crate::model::ConnectionKey;

/// Bytes of one read. A request fits many times over; a socket's usual buffer is emptied in two.
pub(super) const READ_MAX: usize = 64 * 1024;

/// Reads for one connection in one turn, so that who sends without end delays the others by little.
const READ_CALLS_MAX: usize = 4;

/// Input behind a pause that is still taken for pipelining: two heads of the default size.
const PIPELINED_MAX: usize = 32 * 1024;

/// What a consumer did with the input that it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that need not be offered again.
    pub consumed: usize,
    /// Whether it waits for what comes behind the bytes offered. If not, the connection is paused.
    pub wants_more: bool,
}

/// Where input comes from.
#[derive(Debug)]
pub struct Origin<'a>(&'a TcpStream);

impl Origin<'_> {
    /// The peer's address; the unspecified one (0.0.0.0) for a peer that has reset the connection meanwhile.
    ///
    /// Asks the system: hardly anything wants to know, and an address kept for each connection is memory.
    pub fn address(&self) -> IpAddr {
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        // A socket of IPv6 that takes IPv4 too, as one that was handed over may be, tells those addresses in other words.
        (self.0.peer_addr()).map_or(unknown, |peer| peer.ip().to_canonical())
    }
}

/// What is known of the other end. What was said once may be said again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// It sent its FIN. Bytes before it may still be unread.
    pub hung_up: bool,
    /// All bytes before the FIN were offered, and none will come.
    pub ended: bool,
    /// It reset the connection or is out of reach: nothing can be read or sent.
    pub gone: bool,
    /// The connection is paused, and more input waits than a peer has reason to send. Where that closed its window,
    /// its end cannot be seen.
    pub flooded: bool,
    /// It was read just now until no more was there, and all of that was offered. Of a paused one that is not said.
    pub emptied: bool,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// The peer does not take bytes as fast as they are sent. Said first when not all went, then whenever some went.
    Stalled,
    /// After a stall, all went.
    Drained,
    /// All that there will ever be went, and the peer sees the end.
    Finished,
    /// The peer is gone, and what was unsent with it.
    Broken,
}

/// The loop's own part of reading.
pub(super) struct Reader {
    scratch: Box<[u8]>,
    /// System calls, counted to prove that a request that fits costs one.
    #[cfg(test)]
    pub(super) calls: usize,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            scratch: vec![0; READ_MAX].into_boxed_slice(),
            #[cfg(test)]
            calls: 0,
        }
    }

    fn read(&mut self, mut socket: &TcpStream) -> io::Result<&[u8]> {
        #[cfg(test)]
        {
            self.calls += 1;
        }
        let count = socket.read(&mut self.scratch)?;
        Ok(&self.scratch[..count])
    }
}

pub(super) struct Connection {
    socket: TcpStream,
    flags: Flags,
}

impl Connection {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            flags: Flags::default(),
        }
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub(super) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// Remembers what the kernel says only once. Whether the connection is to be served for it.
    pub(super) fn notice(&mut self, event: &Event) -> bool {
        let mut news = false;
        if event.is_readable() || event.is_read_closed() {
            self.flags.set(Flags::READABLE);
        }
        if event.is_read_closed() {
            news |= self.flags.set_new(Flags::HUNG_UP);
        }
        if event.is_error() {
            news |= self.flags.set_new(Flags::GONE);
        }
        // How much has come is looked at when something has.
        news |= event.is_readable() && self.flags.any(Flags::PAUSED);
        news || self.wants_socket()
    }

    /// Puts it on the ready list; `false` if it is there.
    pub(super) fn list(&mut self) -> bool {
        self.flags.set_new(Flags::LISTED)
    }

    /// Takes it off the ready list; `false` if it is not worth serving.
    pub(super) fn unlist(&mut self) -> bool {
        self.flags.clear(Flags::LISTED);
        !self.flags.any(Flags::CLOSING)
    }

    /// Puts it in the outbox; `false` if it is there.
    pub(super) fn mark_dirty(&mut self) -> bool {
        self.flags.set_new(Flags::DIRTY)
    }

    /// `emptied` is what [`Connection::read`] has found.
    pub(super) fn peer(&self, emptied: bool) -> Peer {
        Peer {
            hung_up: self.flags.any(Flags::HUNG_UP),
            ended: self.flags.any(Flags::ENDED),
            gone: self.flags.any(Flags::GONE),
            flooded: self.flags.any(Flags::FLOODED),
            emptied,
        }
    }

    /// Whether a read of the socket may tell something that the consumer wants to know.
    pub(super) fn wants_socket(&self) -> bool {
        self.flags.any(Flags::READABLE)
            && !self
                .flags
                .any(Flags::PAUSED | Flags::ENDED | Flags::GONE | Flags::CLOSING)
    }

    /// Has the socket read whatever events have told. Whether there is something to be served for; a paused one is
    /// read as it is resumed.
    pub(super) fn probe(&mut self) -> bool {
        self.flags.set(Flags::READABLE);
        self.wants_socket()
    }

    /// Whether it was read until no more was there, and is not paused.
    pub(super) fn read(
        &mut self,
        key: ConnectionKey,
        held: &mut Held,
        reader: &mut Reader,
        mut take: impl FnMut(&[u8], &Origin<'_>) -> Taken,
    ) -> bool {
        if self.flags.any(Flags::GONE | Flags::CLOSING) {
            return false;
        }
        if self.flags.any(Flags::PAUSED) {
            self.look(key, held, reader);
            return false;
        }
        let mut emptied = false;
        if self.flags.clear_old(Flags::REOFFER) && self.flags.any(Flags::HOLDS_INPUT) {
            self.offer(key, held, &[], &mut take);
        }
        for _ in 0..READ_CALLS_MAX {
            if !self.wants_socket() {
                break;
            }
            match reader.read(&self.socket) {
                Ok([]) => {
                    self.flags.set(Flags::ENDED | Flags::HUNG_UP);
                    self.flags.clear(Flags::READABLE);
                }
                Ok(fresh) => {
                    if fresh.len() < READ_MAX && !self.flags.any(Flags::HUNG_UP) {
                        self.flags.clear(Flags::READABLE);
                        emptied = true;
                    }
                    self.offer(key, held, fresh, &mut take);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.flags.clear(Flags::READABLE);
                    emptied = true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.flags.set(Flags::GONE),
            }
        }
        if self.flags.any(Flags::PAUSED) {
            self.look(key, held, reader);
            return false;
        }
        emptied
    }

    /// While paused nothing is read, but a peer that goes on sending is noticed.
    ///
    /// Asked whenever unread input may be there, also right after the read that led to the pause: if the buffer is
    /// full by then, no event will come that tells of it.
    fn look(&mut self, key: ConnectionKey, held: &Held, reader: &mut Reader) {
        let is_known = self
            .flags
            .any(Flags::HUNG_UP | Flags::GONE | Flags::FLOODED);
        if is_known || !self.flags.any(Flags::READABLE) {
            return;
        }
        let held = held.input.get(&key).map_or(0, Vec::len);
        let room = &mut reader.scratch[..PIPELINED_MAX.saturating_sub(held)];
        if self
            .socket
            .peek(room)
            .is_ok_and(|count| count == room.len())
        {
            self.flags.set(Flags::FLOODED);
        }
    }

    /// Offers what is left over with `fresh` behind it, and keeps what is not consumed.
    fn offer(
        &mut self,
        key: ConnectionKey,
        held: &mut Held,
        fresh: &[u8],
        take: &mut impl FnMut(&[u8], &Origin<'_>) -> Taken,
    ) {
        let mut input = match self.flags.clear_old(Flags::HOLDS_INPUT) {
            true => held.input.remove(&key).unwrap_or_default(),
            false => Vec::new(),
        };
        let origin = Origin(&self.socket);
        let taken = if input.is_empty() {
            let taken = take(fresh, &origin);
            input.extend_from_slice(&fresh[taken.consumed..]);
            taken
        } else {
            input.extend_from_slice(fresh);
            let taken = take(&input, &origin);
            input.drain(..taken.consumed);
            taken
        };
        assert!(
            input.len() <= held.input_max,
            "{} bytes of input were neither consumed nor rejected",
            input.len()
        );
        if !taken.wants_more {
            self.flags.set(Flags::PAUSED);
            if input.len() > PIPELINED_MAX {
                self.flags.set(Flags::FLOODED);
            }
        }
        if !input.is_empty() {
            if input.capacity() / 2 > input.len() {
                // What is left of a full read may be one byte.
                input.shrink_to_fit();
            }
            self.flags.set(Flags::HOLDS_INPUT);
            held.input.insert(key, input);
        }
    }

    /// Lets go of what is left over.
    pub(super) fn discard(&mut self, key: ConnectionKey, held: &mut Held) {
        if self.flags.clear_old(Flags::HOLDS_INPUT) {
            held.input.remove(&key);
        }
    }

    /// Whether there is anything to offer or tell.
    pub(super) fn resume(&mut self) -> bool {
        self.flags.clear(Flags::PAUSED | Flags::FLOODED);
        self.flags.set(Flags::REOFFER);
        self.flags
            .any(Flags::HOLDS_INPUT | Flags::HUNG_UP | Flags::GONE)
            || self.wants_socket()
    }

    /// Takes bytes to be sent. Gives them back where nothing is before them: then they belong in the outbox.
    pub(super) fn queue(
        &mut self,
        key: ConnectionKey,
        held: &mut Held,
        bytes: Bytes,
    ) -> Option<Bytes> {
        if self.flags.any(Flags::GONE | Flags::CLOSING) || bytes.is_empty() {
            return None;
        }
        assert!(
            !self.flags.any(Flags::FINISHING),
            "output behind the last output"
        );
        if !self.flags.any(Flags::DIRTY | Flags::STALLED) {
            return Some(bytes);
        }
        self.flags.set(Flags::HOLDS_OUTPUT);
        held.output.push_back(key, bytes);
        None
    }

    /// Whether a flush is to be asked for: not where one comes anyway.
    pub(super) fn finish(&mut self) -> bool {
        self.flags.set_new(Flags::FINISHING)
            && !self
                .flags
                .any(Flags::STALLED | Flags::GONE | Flags::CLOSING)
    }

    /// Whether it was not yet closing.
    pub(super) fn close(&mut self, key: ConnectionKey, held: &mut Held) -> bool {
        self.discard(key, held);
        self.drop_output(key, held);
        self.flags.set_new(Flags::CLOSING)
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.flags.any(Flags::STALLED)
    }

    /// Writes all that it can; `first` is what the outbox had for this connection.
    pub(super) fn flush(
        &mut self,
        key: ConnectionKey,
        held: &mut Held,
        first: Option<Bytes>,
        registry: &Registry,
    ) -> Option<Flushed> {
        self.flags.clear(Flags::DIRTY);
        if self.flags.any(Flags::GONE | Flags::CLOSING) {
            self.drop_output(key, held);
            return None;
        }
        match self.try_flush(key, held, first, registry) {
            Ok(flushed) => flushed,
            Err(_) => {
                self.flags.set(Flags::GONE);
                self.drop_output(key, held);
                Some(Flushed::Broken)
            }
        }
    }

    fn try_flush(
        &mut self,
        key: ConnectionKey,
        held: &mut Held,
        first: Option<Bytes>,
        registry: &Registry,
    ) -> io::Result<Option<Flushed>> {
        let some_went = self.write(key, held, first)?;
        if self.flags.any(Flags::HOLDS_OUTPUT) {
            let stalled_before = !self.flags.set_new(Flags::STALLED);
            if self.flags.set_new(Flags::WATCHED) {
                let interest = Interest::READABLE | Interest::WRITABLE;
                registry.reregister(&mut self.socket, token(key), interest)?;
            }
            return Ok((some_went || !stalled_before).then_some(Flushed::Stalled));
        }
        let stalled_before = self.flags.clear_old(Flags::STALLED);
        if self.flags.any(Flags::FINISHING) && self.flags.set_new(Flags::FINISHED) {
            // A peer that has ended too is closed now, which tells it as much.
            if !self.flags.any(Flags::ENDED) {
                self.socket.shutdown(Shutdown::Write)?;
            }
            return Ok(Some(Flushed::Finished));
        }
        Ok(stalled_before.then_some(Flushed::Drained))
    }

    /// Writes until all went or the kernel takes no more. Whether any went.
    fn write(
        &mut self,
        key: ConnectionKey,
        held: &mut Held,
        first: Option<Bytes>,
    ) -> io::Result<bool> {
        if !self.flags.any(Flags::HOLDS_OUTPUT) {
            let Some(first) = first else { return Ok(false) };
            let sent = count_sent(|| (&self.socket).write(&first))?;
            if sent < first.len() {
                self.flags.set(Flags::HOLDS_OUTPUT);
                held.output.keep_rest(key, first, sent);
            }
            return Ok(sent > 0);
        }
        if let Some(first) = first {
            // More was queued behind it in the same turn, and nothing of it can have gone.
            held.output.push_front(key, first);
        }
        let (some_went, all_went) = held.output.write(key, &self.socket)?;
        if all_went {
            self.flags.clear(Flags::HOLDS_OUTPUT);
        }
        Ok(some_went)
    }

    /// Lets go of what its peer has not taken, and of the peer: others need the room.
    pub(super) fn give_up(&mut self, key: ConnectionKey, held: &mut Held) {
        self.flags.set(Flags::GONE);
        self.drop_output(key, held);
    }

    fn drop_output(&mut self, key: ConnectionKey, held: &mut Held) {
        if self.flags.clear_old(Flags::HOLDS_OUTPUT) {
            held.output.remove(key);
        }
        self.flags.clear(Flags::STALLED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_connection_is_small() {
        // mio notes a stream's selector beside it in debug builds.
        let debug = size_of::<TcpStream>() - 4;
        assert_eq!(size_of::<Connection>(), 8 + debug.next_multiple_of(8));
    }
}
