//! Output that peers have not taken yet: of each connection in order, and of all together within a bound.
//!
//! Many who are slow may share what was sent to them, so bytes are counted once, however many wait with them. Where all together are beyond
//! the bound, those are given up who keep most: first of those who have taken hardly anything for a second, and only then of the others. A peer that
//! reads keeps ever less, and has just taken some; one that takes a byte now and then is not one that reads.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use socket2::SockRef;

use crate::buffer::Bytes;
use crate::model::ConnectionKey;

/// Pieces of output given to the kernel at once.
const PIECES_MAX: usize = 32;

/// For how long a peer that reads may take hardly anything: retransmissions are repeated sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that a peer which reads takes in that time, by 128 kbit/s at least.
const TAKEN_MIN: usize = 16 * 1024;

/// Output of connections that is not sent yet.
pub(super) struct Unsent {
    bytes_max: usize,
    /// Of distinct pieces.
    bytes: usize,
    /// By where a piece begins in memory.
    pieces: HashMap<usize, Shared>,
    /// Not empty, each.
    queues: HashMap<ConnectionKey, Queue>,
}

/// A piece that is not sent yet.
struct Shared {
    waiting: usize,
    bytes: usize,
}

/// What one connection has not sent yet.
struct Queue {
    pieces: VecDeque<Bytes>,
    /// Bytes of the first of `pieces` that went.
    sent: usize,
    /// Bytes that went since.
    taken: usize,
    /// When so much went that the peer reads, or else since when it has something.
    taken_at: Instant,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            pieces: VecDeque::new(),
            sent: 0,
            taken: 0,
            taken_at: Instant::now(),
        }
    }
}

impl Unsent {
    /// Nothing. All that connections keep is to be `bytes_max` bytes at the most.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            pieces: HashMap::new(),
            queues: HashMap::new(),
        }
    }

    /// Bytes of all that is kept; what many share once.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    /// All of `first` but its first `sent` bytes, of a connection that keeps nothing.
    pub(super) fn keep_rest(&mut self, key: ConnectionKey, first: Bytes, sent: usize) {
        self.push_back(key, first);
        self.queues.get_mut(&key).expect("just pushed").sent = sent;
    }

    pub(super) fn push_back(&mut self, key: ConnectionKey, piece: Bytes) {
        self.count(&piece);
        self.queues.entry(key).or_default().pieces.push_back(piece);
    }

    /// Puts a piece before all others, of which nothing can have gone yet.
    pub(super) fn push_front(&mut self, key: ConnectionKey, piece: Bytes) {
        self.count(&piece);
        self.queues.entry(key).or_default().pieces.push_front(piece);
    }

    fn count(&mut self, piece: &Bytes) {
        let shared = self.pieces.entry(place(piece)).or_insert(Shared {
            waiting: 0,
            bytes: 0,
        });
        shared.waiting += 1;
        // A piece may be the beginning of another.
        if piece.len() > shared.bytes {
            self.bytes += piece.len() - shared.bytes;
            shared.bytes = piece.len();
        }
    }

    fn uncount(&mut self, piece: &Bytes) {
        let place = place(piece);
        let shared = self.pieces.get_mut(&place).expect("it was counted");
        shared.waiting -= 1;
        if shared.waiting == 0 {
            self.bytes -= shared.bytes;
            self.pieces.remove(&place);
        }
    }

    /// Writes what a connection keeps until all went or the kernel takes no more. Whether any went, and whether all.
    pub(super) fn write(
        &mut self,
        key: ConnectionKey,
        socket: &TcpStream,
    ) -> io::Result<(bool, bool)> {
        let mut some_went = false;
        while let Some(queue) = self.queues.get_mut(&key) {
            let (offered, sent) = queue.write_pieces(socket)?;
            some_went |= sent > 0;
            self.skip(key, sent);
            if sent < offered {
                break;
            }
        }
        Ok((some_went, !self.queues.contains_key(&key)))
    }

    fn skip(&mut self, key: ConnectionKey, sent: usize) {
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        queue.taken += sent;
        if queue.taken >= TAKEN_MIN {
            queue.taken = 0;
            queue.taken_at = Instant::now();
        }
        let gone = queue.skip(sent);
        if queue.pieces.is_empty() {
            self.queues.remove(&key);
        }
        gone.iter().for_each(|piece| self.uncount(piece));
    }

    /// Lets go of what a connection keeps.
    pub(super) fn remove(&mut self, key: ConnectionKey) {
        if let Some(queue) = self.queues.remove(&key) {
            queue.pieces.iter().for_each(|piece| self.uncount(piece));
        }
    }

    pub(super) fn is_beyond_bound(&self) -> bool {
        self.bytes > self.bytes_max && self.queues.len() > 1
    }

    /// Lets go of what those connections keep who keep most, until there is room again. Who they are.
    pub(super) fn give_up(&mut self) -> Vec<ConnectionKey> {
        // An eighth of it: looking through all of them is not for each byte.
        let enough = self.bytes_max - self.bytes_max / 8;
        let now = Instant::now();
        let mut by_weight: Vec<_> = (self.queues.iter())
            .map(|(&key, queue)| (self.weight(queue, now), key))
            .collect();
        by_weight.sort_unstable_by_key(|&(weight, key)| (weight, key.to_bits()));
        let mut given_up = Vec::new();
        while self.bytes > enough
            && self.queues.len() > 1
            && let Some((_, key)) = by_weight.pop()
        {
            self.remove(key);
            given_up.push(key);
        }
        given_up
    }

    /// Whether a peer takes hardly anything, and the bytes that it keeps; of what others keep too, its share.
    fn weight(&self, queue: &Queue, now: Instant) -> (bool, usize) {
        let pieces = queue.unsent();
        let share = |piece: &[u8], of: &Bytes| piece.len() / self.pieces[&place(of)].waiting;
        let bytes = (pieces.zip(&queue.pieces))
            .map(|(piece, of)| share(piece, of))
            .sum();
        let since = now.saturating_duration_since(queue.taken_at);
        (since >= PATIENCE, bytes)
    }
}

impl Queue {
    fn unsent(&self) -> impl Iterator<Item = &[u8]> {
        let skipped = [self.sent].into_iter().chain(std::iter::repeat(0));
        (self.pieces.iter())
            .zip(skipped)
            .map(|(piece, skipped)| &piece[skipped..])
    }

    /// Bytes offered and bytes that went.
    fn write_pieces(&self, socket: &TcpStream) -> io::Result<(usize, usize)> {
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        let mut offered = 0;
        let mut count = 0;
        for (piece, unsent) in pieces.iter_mut().zip(self.unsent()) {
            *piece = IoSlice::new(unsent);
            offered += unsent.len();
            count += 1;
        }
        // Not `write_vectored`, which may raise SIGPIPE: a host that is no Rust program may not ignore that.
        let socket = SockRef::from(socket);
        let write = || socket.send_vectored_with_flags(&pieces[..count], libc::MSG_NOSIGNAL);
        Ok((offered, count_sent(write)?))
    }

    /// Pieces of which nothing is left when so much has gone.
    fn skip(&mut self, mut sent: usize) -> Vec<Bytes> {
        let mut gone = Vec::new();
        sent += self.sent;
        while let Some(first) = self.pieces.front()
            && sent >= first.len()
        {
            sent -= first.len();
            gone.extend(self.pieces.pop_front());
        }
        self.sent = sent;
        gone
    }
}

fn place(piece: &Bytes) -> usize {
    piece.as_ptr().addr()
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

    fn key(slot: u64) -> ConnectionKey {
        ConnectionKey::from_bits((1 << 32) | slot).expect("a key")
    }

    fn piece(bytes: usize) -> Bytes {
        Bytes::from(vec![b'x'; bytes])
    }

    #[test]
    fn skipping_what_went_ends_inside_a_piece() {
        let mut unsent = Unsent::new(100);
        unsent.push_back(key(1), piece(3));
        unsent.push_back(key(1), piece(4));
        for (sent, left) in [(2, Some((2, 2))), (3, Some((1, 2))), (2, None)] {
            unsent.skip(key(1), sent);
            let queue = unsent.queues.get(&key(1));
            assert_eq!(queue.map(|queue| (queue.pieces.len(), queue.sent)), left);
        }
        assert_eq!((unsent.bytes, unsent.pieces.len()), (0, 0));
    }

    #[test]
    fn what_many_share_counts_once_and_as_long_as_one_keeps_it() {
        let mut unsent = Unsent::new(100);
        let shared = piece(60);
        (1..=9).for_each(|n| unsent.push_back(key(n), shared.clone()));
        unsent.keep_rest(key(10), shared.slice(..20), 5);
        assert_eq!(unsent.bytes, 60);
        assert!(!unsent.is_beyond_bound());
        (1..=9).for_each(|n| unsent.skip(key(n), 60));
        assert_eq!(unsent.bytes, 60);
        unsent.remove(key(10));
        assert_eq!((unsent.bytes, unsent.queues.len()), (0, 0));
    }

    #[test]
    fn who_has_just_taken_some_is_kept_before_who_takes_nothing() {
        let mut unsent = Unsent::new(5 * TAKEN_MIN);
        (1..=3).for_each(|n| unsent.push_back(key(n), piece(TAKEN_MIN)));
        (4..=5).for_each(|n| unsent.push_back(key(n), piece(2 * TAKEN_MIN)));
        let long_ago = Instant::now() - 2 * PATIENCE;
        (unsent.queues.values_mut()).for_each(|queue| queue.taken_at = long_ago);
        // Those who keep most have just been sent some of it, one of them next to nothing.
        unsent.skip(key(4), TAKEN_MIN);
        unsent.skip(key(5), 1);
        let given_up = unsent.give_up();
        assert_eq!(given_up[0], key(5));
        assert!(!given_up.contains(&key(4)), "{given_up:?}");
        assert_eq!(given_up.len(), 2);
    }

    #[test]
    fn who_keeps_most_is_given_up_and_one_may_keep_all() {
        let mut unsent = Unsent::new(100);
        unsent.push_back(key(1), piece(300));
        assert!(!unsent.is_beyond_bound(), "one alone");
        unsent.skip(key(1), 280);
        let shared = piece(200);
        (2..=21).for_each(|n| unsent.push_back(key(n), shared.clone()));
        unsent.push_back(key(22), piece(21));
        assert!(unsent.is_beyond_bound());
        // The first has taken most of a piece that is still here as a whole; of the shared one each has ten bytes.
        assert_eq!(unsent.give_up()[..2], [key(22), key(1)]);
        assert!(unsent.queues.len() <= 1 || unsent.bytes <= 87);
        assert!(!unsent.is_beyond_bound());
    }
}
