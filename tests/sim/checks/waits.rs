//! Where polls and streams wait, how far they have read there, and for how long they may.

use loiter::model::UserId;

use crate::ask::{Ask, Poll, Stream, Which};
use crate::line::Asked;
use crate::world::World;

impl World {
    /// Chatrooms in which a poll may be waiting; none for what is no poll.
    pub(crate) fn polled(&self, asked: &Asked) -> Vec<usize> {
        match &asked.ask {
            Ask::Poll(poll) => vec![poll.chatroom],
            Ask::Several(several) => match &several.which {
                Which::These(ids) => ids.clone(),
                Which::All => self.perhaps_own(asked),
            },
            _ => Vec::new(),
        }
    }

    /// Chatrooms in which the user may have been since they asked.
    fn perhaps_own(&self, asked: &Asked) -> Vec<usize> {
        let (Some(user), Some(begun)) = (self.user_of(asked), asked.begun) else {
            return Vec::new();
        };
        let chronicle = &self.store.chronicle;
        let all = 1..=self.store.data.chatrooms.len();
        all.filter(|&id| chronicle.may_be_in(user, id, begun.told))
            .collect()
    }

    pub(crate) fn user_of(&self, asked: &Asked) -> Option<UserId> {
        let session = self.store.data.sessions.get(&asked.session.0);
        session.map(|session| session.user)
    }

    /// Where a poll or stream that is parked has its places, and how far it has read in each.
    pub(crate) fn places(&self, asked: &Asked) -> Vec<(usize, i64)> {
        match &asked.ask {
            Ask::Poll(Poll {
                chatroom, since, ..
            }) => vec![(
                *chatroom,
                since.unwrap_or(self.read_from_now(asked, *chatroom)),
            )],
            Ask::Stream(Stream {
                chatroom, since, ..
            }) => {
                let told = asked.stream.and_then(|stream| stream.told);
                let from_now = self.read_from_now(asked, *chatroom);
                vec![(*chatroom, told.or(*since).unwrap_or(from_now))]
            }
            Ask::Several(several) => {
                let Some(user) = self.user_of(asked) else {
                    return Vec::new();
                };
                let ids = match &several.which {
                    Which::These(ids) => ids.clone(),
                    // The store may have read what is yet to be told.
                    Which::All => (self.ledger.chatrooms_of(user).into_iter())
                        .filter(|&id| {
                            !self
                                .store
                                .chronicle
                                .may_be_out(user, id, self.ledger.told())
                        })
                        .collect(),
                };
                let read = |id| {
                    // Of one that the user came into later it has heard from then on.
                    let from_now = self.read_from_now(asked, id);
                    let from_now = from_now.max(self.ledger.joined_at(user, id));
                    several.since(id).unwrap_or(from_now)
                };
                ids.into_iter().map(|id| (id, read(id))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// How far somebody has read in a chatroom who hears of it from when they came.
    pub(crate) fn read_from_now(&self, asked: &Asked, chatroom: usize) -> i64 {
        match self.cluster {
            None => asked.begun_in(chatroom).of.heard,
            // Of what others commit meanwhile it may hear or not, until it is settled.
            Some(_) => asked.floors.get(&chatroom).copied().unwrap_or(i64::MAX),
        }
    }

    /// How long a request waits at least, and at most, in milliseconds.
    pub(crate) fn waits_ms(&self, ask: &Ask) -> (u64, u64) {
        if !ask.is_poll() {
            return (u64::MAX, u64::MAX);
        }
        let asked_ms = ask.timeout_s().map(|seconds| u64::from(seconds) * 1000);
        let server_ms = self.config.poll_timeout;
        let server_ms = server_ms.map(|timeout| timeout.as_millis() as u64);
        let least = |server_ms: Option<u64>| {
            let waits = asked_ms.into_iter().chain(server_ms);
            waits.min().unwrap_or(u64::MAX)
        };
        (least(server_ms.map(|ms| ms - ms / 10)), least(server_ms))
    }
}
