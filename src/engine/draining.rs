//! The end of everything: each connection is gone to once, slice by slice, and read once more where it seems idle.

use super::{Engine, Output};
use crate::http::Phase;
use crate::model::{ConnectionKey, Now};

/// Slots that a drain looks into in one turn.
const DRAINED_PER_TURN: usize = 4096;
/// … and connections that it has read once more: like those that are served, half of what the runtime reads in one,
/// so that whoever asks something meanwhile is not behind all of them.
pub(super) const PROBED_PER_TURN: usize = 128;

impl Engine {
    /// Begins to end everything: parked polls with their lists, idle connections as soon as it is sure that nothing
    /// had come on them, the others with their answer. It is done when there are no connections left.
    pub fn drain(&mut self, now: Now) {
        if !self.is_draining {
            self.is_draining = true;
            self.draining = Some(0);
            self.chat.drain();
            self.drain_own();
            self.carry_out(now);
        }
    }

    pub(super) fn drain_slice(&mut self) {
        let Some(start) = self.draining else { return };
        let mut end = start.saturating_add(DRAINED_PER_TURN);
        let mut left = PROBED_PER_TURN;
        for key in self.peers.keys_in(start..end) {
            left = left.saturating_sub(self.drain_one(key).into());
            if left == 0 {
                end = (key.slot() as usize).saturating_add(1);
                break;
            }
        }
        self.draining = (end < self.peers.slots()).then_some(end);
    }

    /// A drain comes to one connection. Whether that is read once more.
    pub(super) fn drain_one(&mut self, key: ConnectionKey) -> bool {
        let peer = self.peers.get_mut(key).expect("listed");
        peer.exchange.close_after_answer();
        let is_idle = peer.exchange.phase() == Phase::Idle;
        if is_idle {
            self.outputs.push_back(Output::Probe(key));
        }
        is_idle
    }
}
