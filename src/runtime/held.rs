//! What connections hold only while a request is half read or an answer half sent.
//!
//! It stands beside the connections, under their keys: one that holds nothing, as every parked poll does,
//! has two flags that say so and not even a pointer. Whoever changes what is held here keeps the flags true.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};

use mio::net::TcpStream;
use socket2::SockRef;

use crate::buffer::Bytes;
use crate::model::ConnectionKey;

/// Pieces of output given to the kernel at once.
const PIECES_MAX: usize = 32;

/// What the connections of one loop hold.
pub(super) struct Held {
    /// Bytes of one connection's input, at most.
    pub(super) input_max: usize,
    /// Input that was offered and not consumed; not empty.
    pub(super) input: HashMap<ConnectionKey, Vec<u8>>,
    /// Output behind the first piece in the outbox, or after a short write all of it; not empty.
    pub(super) output: HashMap<ConnectionKey, Unsent>,
}

impl Held {
    pub(super) fn new(input_max: usize) -> Self {
        Self {
            input_max,
            input: HashMap::new(),
            output: HashMap::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.input.clear();
        self.output.clear();
    }
}

/// Output of one connection, in order.
#[derive(Default)]
pub(super) struct Unsent {
    pieces: VecDeque<Bytes>,
    /// Bytes of the first of `pieces` that went.
    sent: usize,
}

impl Unsent {
    /// All of `first` but its first `sent` bytes.
    pub(super) fn rest_of(first: Bytes, sent: usize) -> Self {
        Self {
            pieces: VecDeque::from([first]),
            sent,
        }
    }

    pub(super) fn push_back(&mut self, piece: Bytes) {
        self.pieces.push_back(piece);
    }

    /// Puts a piece before all others, of which nothing can have gone yet.
    pub(super) fn push_front(&mut self, piece: Bytes) {
        self.pieces.push_front(piece);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Writes until all went or the kernel takes no more. Whether any went.
    pub(super) fn write(&mut self, socket: &TcpStream) -> io::Result<bool> {
        let mut some_went = false;
        while !self.is_empty() {
            let (offered, sent) = self.write_pieces(socket)?;
            self.skip(sent);
            some_went |= sent > 0;
            if sent < offered {
                break;
            }
        }
        Ok(some_went)
    }

    /// Bytes offered and bytes that went.
    fn write_pieces(&self, socket: &TcpStream) -> io::Result<(usize, usize)> {
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        let mut offered = 0;
        let mut count = 0;
        for (piece, bytes) in pieces.iter_mut().zip(&self.pieces) {
            let unsent = if count == 0 {
                &bytes[self.sent..]
            } else {
                bytes
            };
            *piece = IoSlice::new(unsent);
            offered += unsent.len();
            count += 1;
        }
        // Not `write_vectored`, which may raise SIGPIPE: a host that is no Rust program may not ignore that.
        let socket = SockRef::from(socket);
        let write = || socket.send_vectored_with_flags(&pieces[..count], libc::MSG_NOSIGNAL);
        Ok((offered, count_sent(write)?))
    }

    fn skip(&mut self, mut sent: usize) {
        sent += self.sent;
        while let Some(first) = self.pieces.front()
            && sent >= first.len()
        {
            sent -= first.len();
            self.pieces.pop_front();
        }
        self.sent = sent;
    }
}

/// A full socket is no error: nothing went.
pub(super) fn count_sent(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipping_what_went_ends_inside_a_piece() {
        let mut unsent = Unsent::rest_of(Bytes::from_static(b"abc"), 0);
        unsent.push_back(Bytes::from_static(b"defg"));
        unsent.skip(2);
        assert_eq!((unsent.pieces.len(), unsent.sent), (2, 2));
        unsent.skip(3);
        assert_eq!((unsent.pieces.len(), unsent.sent), (1, 2));
        unsent.skip(2);
        assert_eq!((unsent.pieces.len(), unsent.sent), (0, 0));
    }
}
