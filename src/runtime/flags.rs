//! What a connection remembers, in two bytes: what the kernel says only once, which lists it is on, and what its
//! owner asked for.
//!
//! | set by | flags |
//! | --- | --- |
//! | an event, or a call that found out | `READABLE`, `HUNG_UP`, `ENDED`, `GONE`, `STALLED`, `FLOODED` |
//! | the owner | `PAUSED`, `REOFFER`, `FINISHING`, `CLOSING` |
//! | the loop's bookkeeping | `LISTED`, `DIRTY`, `WATCHED`, `FINISHED`, `HOLDS_INPUT`, `HOLDS_OUTPUT` |
//!
//! `HUNG_UP`, `ENDED`, `GONE`, `WATCHED`, `FINISHING`, `FINISHED` and `CLOSING` are never taken back.

#[derive(Clone, Copy, Default)]
pub(super) struct Flags(u16);

impl Flags {
    /// The socket may hold unread bytes, a FIN or an error, or is to be asked whether it does.
    pub(super) const READABLE: u16 = 1 << 0;
    /// The peer sent its FIN.
    pub(super) const HUNG_UP: u16 = 1 << 1;
    /// A read returned 0.
    pub(super) const ENDED: u16 = 1 << 2;
    /// The socket failed.
    pub(super) const GONE: u16 = 1 << 3;
    /// The consumer wants no input.
    pub(super) const PAUSED: u16 = 1 << 4;
    /// Resumed: what is left over is to be offered before the socket is read.
    pub(super) const REOFFER: u16 = 1 << 5;
    /// On the ready list.
    pub(super) const LISTED: u16 = 1 << 6;
    /// In the outbox.
    pub(super) const DIRTY: u16 = 1 << 7;
    /// A write was cut short, and an event will tell when the next is worth its call.
    pub(super) const STALLED: u16 = 1 << 8;
    /// Registered for writability. That stays: an edge comes only after a short write.
    pub(super) const WATCHED: u16 = 1 << 9;
    /// Nothing more will be sent.
    pub(super) const FINISHING: u16 = 1 << 10;
    /// Our FIN went.
    pub(super) const FINISHED: u16 = 1 << 11;
    /// To be reaped.
    pub(super) const CLOSING: u16 = 1 << 12;
    /// Paused, with more input behind it than a peer has reason to send.
    pub(super) const FLOODED: u16 = 1 << 13;

    /// Input that was offered and not consumed is held.
    pub(super) const HOLDS_INPUT: u16 = 1 << 14;
    /// Output that did not go is held.
    pub(super) const HOLDS_OUTPUT: u16 = 1 << 15;

    pub(super) fn any(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    pub(super) fn set(&mut self, bits: u16) {
        self.0 |= bits;
    }

    pub(super) fn clear(&mut self, bits: u16) {
        self.0 &= !bits;
    }

    /// Whether that changed anything.
    pub(super) fn set_new(&mut self, bit: u16) -> bool {
        let new = !self.any(bit);
        self.set(bit);
        new
    }

    /// Whether that changed anything.
    pub(super) fn clear_old(&mut self, bit: u16) -> bool {
        let old = self.any(bit);
        self.clear(bit);
        old
    }
}
