//! Newcomers for whom there was no room: told so, then kept for a moment.
//!
//! A socket that is closed while its peer's bytes are unread, or still on their way, is reset, and a reset may
//! overtake the refusal. So the sockets linger, a few and not long, and are closed when what came has been thrown away.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

/// Half of what connections leave of the descriptors. In a storm the oldest goes early.
const LINGERING_MAX: usize = 32;

/// A request that was under way when the refusal went has arrived by then.
const LINGER: Duration = Duration::from_secs(1);

/// Reads of what a refused newcomer sent, before its socket is closed.
const DISCARDS_MAX: usize = 16;

/// What to tell the refused, and those who were just told.
pub(super) struct Refused {
    answer: Vec<u8>,
    lingering: VecDeque<(Instant, TcpStream)>,
    /// How many there have been.
    pub(super) count: u64,
}

impl Refused {
    pub(super) fn new(answer: Vec<u8>) -> Self {
        Self {
            answer,
            lingering: VecDeque::new(),
            count: 0,
        }
    }

    /// From now on newcomers are told this.
    pub(super) fn set_answer(&mut self, answer: Vec<u8>) {
        self.answer = answer;
    }

    /// Tells a newcomer, and lets it linger.
    pub(super) fn refuse(&mut self, socket: TcpStream) {
        self.tell(&socket);
        if self.lingering.len() == LINGERING_MAX {
            self.close_oldest();
        }
        self.lingering.push_back((Instant::now(), socket));
    }

    /// Tells a newcomer, and closes: there is no descriptor to linger on.
    pub(super) fn refuse_at_once(&mut self, socket: TcpStream) {
        self.tell(&socket);
        discard(&socket);
    }

    /// A new socket's buffer takes any refusal whole, so what fails here fails because the newcomer is
    /// gone, and then there is nobody to tell.
    fn tell(&mut self, mut socket: &TcpStream) {
        self.count += 1;
        if socket.write(&self.answer).is_ok() {
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    /// Closes those who lingered long enough. Reads the clock only if there are any.
    pub(super) fn expire(&mut self) {
        if self.lingering.is_empty() {
            return;
        }
        let now = Instant::now();
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.close_oldest();
        }
    }

    /// When the next one has lingered long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lingering.front().map(|(since, _)| *since + LINGER)
    }

    /// Closes all; whether that freed any descriptor.
    pub(super) fn close_all(&mut self) -> bool {
        let any = !self.lingering.is_empty();
        while !self.lingering.is_empty() {
            self.close_oldest();
        }
        any
    }

    fn close_oldest(&mut self) {
        if let Some((_, socket)) = self.lingering.pop_front() {
            discard(&socket);
        }
    }
}

fn discard(mut socket: &TcpStream) {
    let mut waste = [0; 4096];
    for _ in 0..DISCARDS_MAX {
        match socket.read(&mut waste) {
            Ok(count) if count == waste.len() => {}
            _ => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn no_more_linger_than_may() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut refused = Refused::new(b"no".to_vec());
        for _ in 0..LINGERING_MAX + 5 {
            let _client = std::net::TcpStream::connect(address).unwrap();
            let (socket, _) = listener.accept().unwrap();
            socket.set_nonblocking(true).unwrap();
            refused.refuse(TcpStream::from_std(socket));
        }
        assert_eq!(refused.lingering.len(), LINGERING_MAX);
        assert!(refused.close_all());
        assert_eq!(refused.deadline(), None);
        assert!(!refused.close_all());
    }
}
