//! One connection: the runtime's side of it, which keeps the rules of `runtime::Connection`, and its client's.

use loiter::engine::Taken;
use loiter::model::ConnectionKey;

/// Reads of one turn.
const READS_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) key: ConnectionKey,
    /// All that the client has written, and all that it was sent.
    pub(crate) written: Vec<u8>,
    pub(crate) sent: Vec<u8>,
    /// Bytes that the engine has consumed.
    pub(crate) taken: usize,
    /// … and that it was offered.
    read: usize,
    pub(crate) is_paused: bool,
    reoffer: bool,
    /// It is to be read once more, whether something has come or not.
    is_probed: bool,
    pub(crate) has_fin: bool,
    /// The engine was told that the client has ended, and that all before has been offered.
    pub(crate) said_hung_up: bool,
    pub(crate) said_ended: bool,
    /// How much of what was sent has gone out, and how much more the client takes.
    pub(crate) gone_out: usize,
    pub(crate) window: usize,
    pub(crate) is_stalled: bool,
    /// What it wrote was taken although it takes no answers: it must have come to its end.
    pub(crate) must_end: bool,
    pub(crate) is_finishing: bool,
    pub(crate) is_finished: bool,
    pub(crate) is_closing: bool,
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    Stalled,
    Drained,
    Finished,
}

impl Connection {
    pub(crate) fn new(key: ConnectionKey) -> Self {
        Self {
            key,
            written: Vec::new(),
            sent: Vec::new(),
            taken: 0,
            read: 0,
            is_paused: false,
            reoffer: false,
            is_probed: false,
            has_fin: false,
            said_hung_up: false,
            said_ended: false,
            gone_out: 0,
            window: usize::MAX,
            is_stalled: false,
            must_end: false,
            is_finishing: false,
            is_finished: false,
            is_closing: false,
        }
    }

    /// Offers the engine what there is. Whether it was read until no more was there, and is not paused.
    pub(crate) fn offer(&mut self, mut take: impl FnMut(&[u8]) -> Taken) -> bool {
        if std::mem::take(&mut self.reoffer) && self.taken < self.read {
            self.offer_read(&mut take);
        }
        for _ in 0..READS_MAX {
            if self.is_paused {
                return false;
            }
            if self.read == self.written.len() {
                self.is_probed = false;
                return true;
            }
            self.read = self.written.len();
            self.offer_read(&mut take);
        }
        false
    }

    fn offer_read(&mut self, take: &mut impl FnMut(&[u8]) -> Taken) {
        let taken = take(&self.written[self.taken..self.read]);
        assert!(
            taken.consumed <= self.read - self.taken,
            "more is taken than there was"
        );
        self.taken += taken.consumed;
        self.is_paused |= !taken.wants_more;
    }

    pub(crate) fn resume(&mut self) {
        assert!(self.is_paused, "resumed, and was not paused");
        self.is_paused = false;
        self.reoffer = true;
    }

    pub(crate) fn discard(&mut self) {
        self.taken = self.read;
    }

    pub(crate) fn probe(&mut self) {
        self.is_probed = true;
    }

    /// Whether the end of what the client writes can be seen from here.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_fin && !self.is_paused && self.read == self.written.len()
    }

    /// Whether there is a reason to read it.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_closing
            && (self.reoffer && self.taken < self.read
                || !self.is_paused && (self.is_probed || self.read < self.written.len())
                || self.has_fin && !self.said_hung_up
                || self.has_ended() && !self.said_ended)
    }

    /// Lets go out what the client takes.
    pub(crate) fn flush(&mut self) -> Option<Flushed> {
        let went = self.window.min(self.sent.len() - self.gone_out);
        self.gone_out += went;
        self.window -= went;
        if self.gone_out < self.sent.len() {
            let is_new = !std::mem::replace(&mut self.is_stalled, true);
            return (is_new || went > 0).then_some(Flushed::Stalled);
        }
        let was_stalled = std::mem::take(&mut self.is_stalled);
        if self.is_finishing && !self.is_finished {
            self.is_finished = true;
            return Some(Flushed::Finished);
        }
        was_stalled.then_some(Flushed::Drained)
    }
}
