//! Those who follow what is said and are to miss nothing, as the documentation tells a client to do it.

use fastrand::Rng;

use super::choosing::{limit, timeout_s};
use super::{Client, Role};
use crate::answer::Answer;
use crate::ask::{Ask, Poll, Several, Stream, Which};
use crate::checks::Verdict;
use crate::data::Data;

impl Client {
    /// What a follower asks for next.
    pub(super) fn follow(&mut self, rng: &mut Rng) -> Ask {
        let since = self.reader.newest(self.chatroom);
        match self.role {
            // The newest ids of its chatrooms come first, and now and then those of new ones.
            Role::FollowerOfAll if !self.has_overview || rng.u8(..16) == 0 => Ask::Overview,
            Role::FollowerOfAll => several(rng, Which::All, self.reader.pairs()),
            Role::FollowerOfSeveral if self.chatrooms.len() > 1 => {
                let pairs = self.chatrooms.iter();
                let pairs = pairs.map(|&id| (id, self.reader.newest(id))).collect();
                several(rng, Which::These(self.chatrooms.clone()), pairs)
            }
            // A stream may stand behind an answer that is not taken.
            Role::Listener if rng.u8(..4) == 0 => Ask::WhoAmI,
            Role::Listener => Ask::Stream(Stream {
                chatroom: self.chatroom,
                since: Some(since),
                in_header: rng.bool(),
            }),
            _ => Ask::Poll(Poll {
                since: Some(since),
                limit: rng.bool().then(|| rng.u8(1..8)),
                timeout_s: timeout_s(rng),
                chatroom: self.chatroom,
            }),
        }
    }

    /// Takes in an answer; an error where it cannot be.
    pub(super) fn hear_as_follower(&mut self, ask: &Ask, answer: &Answer) -> Verdict {
        let rows = answer.body.as_array().map_or(&[][..], |rows| rows);
        match (ask, answer.status) {
            (Ask::Overview, 200) if answer.body.is_array() => {
                self.has_overview = true;
                for row in rows {
                    let id = row["chatroomid"].as_u64().ok_or("no id")?;
                    let last = row["last"].as_i64().ok_or("no last")?;
                    self.reader.begin(id as usize, last);
                }
                Ok(())
            }
            // Whoever is let in while a poll of all waits is told from then on.
            (Ask::Several(_), 200) if self.role == Role::FollowerOfAll => {
                for message in rows {
                    let id = message["chatroomid"].as_u64().ok_or("no chatroom")?;
                    let first = message["id"].as_i64().ok_or("no id")?;
                    self.reader.begin(id as usize, first - 1);
                }
                self.reader.hear(rows)
            }
            (Ask::Poll(_) | Ask::Several(_), 200) => self.reader.hear(rows),
            (Ask::Poll(_) | Ask::Several(_) | Ask::Stream(_), 410) => {
                let first = answer.body["first"].as_i64().ok_or("no first")?;
                let id = answer.body["chatroomid"].as_u64().map(|id| id as usize);
                let id = id.or(ask.chatroom()).ok_or("no chatroom")?;
                self.reader.skip_to(id, first)
            }
            (Ask::Poll(_) | Ask::Several(_) | Ask::Stream(_), 409) => {
                Err("a follower is told that it is ahead".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whose session is another's now, or who is not in one of its chatrooms, looks where they are.
    pub(super) fn look_around(&mut self, rng: &mut Rng, data: &Data, token: &str) {
        self.has_overview = false;
        let Some(session) = data.session(token) else {
            return;
        };
        let own = data.chatrooms_of(session.user).into_iter();
        let mut own: Vec<usize> = own.map(|id| id.get() as usize).collect();
        rng.shuffle(&mut own);
        if let Some(&first) = own.first()
            && self.role == Role::Listener
        {
            self.chatroom = first;
        }
        own.truncate(rng.usize(2..5));
        self.chatrooms = own;
    }
}

fn several(rng: &mut Rng, which: Which, pairs: Vec<(usize, i64)>) -> Ask {
    Ask::Several(Several {
        which,
        since: Some(pairs),
        limit: rng.bool().then(|| rng.u8(1..8)),
        timeout_s: timeout_s(rng),
    })
}

/// Any chatrooms, foreign ones too, since what is long gone or still to come, or since now.
pub(super) fn any_several(rng: &mut Rng, rooms: usize) -> Several {
    let mut ids: Vec<usize> = (1..=rooms + 1).collect();
    rng.shuffle(&mut ids);
    ids.truncate(rng.usize(2..4));
    let which = match rng.bool() || ids.len() < 2 {
        true => Which::All,
        false => Which::These(ids.clone()),
    };
    let mut pairs = |rng: &mut Rng| {
        ids.truncate(rng.usize(..3));
        let pairs = ids.iter().map(|&id| (id, rng.i64(0..40)));
        pairs.collect()
    };
    Several {
        which,
        since: rng.bool().then(|| pairs(rng)),
        limit: limit(rng),
        timeout_s: timeout_s(rng),
    }
}

pub(super) fn any_stream(rng: &mut Rng, chatroom: usize) -> Stream {
    Stream {
        chatroom,
        since: rng.bool().then(|| rng.i64(0..40)),
        in_header: rng.bool(),
    }
}
