//! What the servers that share a database ask one another, by way of that database.
//!
//! A question is about what is parked: on no disk, and known to the server alone that has the sockets.

use crate::model::{ChatroomId, SessionHash, UserId};

/// Which question, among all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuestionId {
    /// The server that asks.
    pub server: i64,
    /// Its number.
    pub number: i64,
}

/// What one server asks all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerQuestion {
    /// Who of a chatroom's participants is present with you?
    WhoIsPresent {
        /// Which chatroom.
        chatroom: ChatroomId,
        /// Who wants to know, and is in it.
        user: UserId,
    },
    /// End the polls that a session has parked in a chatroom. How many were there?
    EndPolls {
        /// Which session.
        session: SessionHash,
        /// Which chatroom.
        chatroom: ChatroomId,
    },
    /// Have you heard of all that I had written when I asked?
    HaveHeard,
}

/// What one server answers, or all together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerAnswer {
    /// Those who are present, in no order; some may be there twice.
    pub present: Vec<UserId>,
    /// Polls that have ended.
    pub ended: u32,
    /// It could not be done, or found out: polls are still parked.
    pub has_failed: bool,
}

impl ServerAnswer {
    /// Takes in what another one answers.
    pub fn add(&mut self, other: Self) {
        self.present.extend(other.present);
        self.ended = self.ended.saturating_add(other.ended);
        self.has_failed |= other.has_failed;
    }
}
