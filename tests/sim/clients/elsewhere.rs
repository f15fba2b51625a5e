//! Users of an event loop that is not simulated.

use loiter::job::Job;
use loiter::model::Ticket;

use crate::data::{chatroom_id, hash_of};
use crate::world::World;

impl World {
    /// Users of an event loop that is not simulated: this one hears of what they did, and must not answer for it.
    pub(super) fn act_elsewhere(&mut self) {
        let Some(connection) = self.some_key() else {
            return;
        };
        let ticket = Ticket {
            connection,
            exchange: self.rng.u32(1..4),
            event_loop: u16::try_from(self.loops.len()).expect("few"),
        };
        let chatroom = self.rng.usize(1..=self.store.data.chatrooms.len());
        let token = &self.tokens[self.rng.usize(..self.tokens.len())];
        let job = match self.rng.u8(..8) {
            0 => Job::LogOut {
                ticket,
                session: hash_of(token),
            },
            _ => {
                let chatroom = chatroom_id(chatroom);
                let participants = self.store.data.participants(chatroom);
                let Some(author) = self.rng.choice(participants) else {
                    return;
                };
                self.texts += 1;
                Job::SaveMessage {
                    ticket,
                    chatroom,
                    author,
                    text: format!("m{}", self.texts).into(),
                    nonce: None,
                }
            }
        };
        self.trace.note(format_args!("elsewhere {job:?}"));
        self.store.write_elsewhere(job);
    }
}
