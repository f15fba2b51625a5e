//! A chatroom in memory: who is in it, its most recent messages as ready-made JSON, and the polls parked in it.
//!
//! A poll is a oneshot channel in a slab, so a wake is one walk that hands the same shared bytes to each; a poll
//! whose client vanishes takes itself out when its future is dropped.

use std::collections::{HashSet, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use slab::Slab;
use tokio::sync::oneshot;

use crate::session::Session;

/// What ends a poll.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// With the list of most recent messages.
    List(Bytes),
    /// The session is gone.
    LoggedOut,
}

/// A chatroom; its id and admin never change.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: i64,
    pub(crate) admin: i64,
    recent_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    participants: HashSet<i64>,
    /// JSON objects, oldest first.
    recent: VecDeque<String>,
    /// The list of `recent`, once it was asked for.
    list: Option<Bytes>,
    polls: Slab<Poll>,
    /// Polls so far: tells a poll from a later one in its place.
    parked: u64,
}

#[derive(Debug)]
struct Poll {
    number: u64,
    session: Arc<Session>,
    ended: oneshot::Sender<Ended>,
}

impl Room {
    pub(crate) fn new(
        id: i64,
        admin: i64,
        participants: HashSet<i64>,
        recent: VecDeque<String>,
        recent_max: usize,
    ) -> Self {
        let state = State {
            participants,
            recent,
            list: None,
            polls: Slab::new(),
            parked: 0,
        };
        Self {
            id,
            admin,
            recent_max,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has(&self, user: i64) -> bool {
        self.state().participants.contains(&user)
    }

    pub(crate) fn add(&self, user: i64) {
        self.state().participants.insert(user);
    }

    /// Parks a poll; `None` for one who is not in the chatroom.
    pub(crate) fn park(self: &Arc<Self>, session: &Arc<Session>) -> Option<Parked> {
        let (ended, receiver) = oneshot::channel();
        let mut state = self.state();
        if !state.participants.contains(&session.user) {
            return None;
        }
        state.parked += 1;
        let number = state.parked;
        let key = state.polls.insert(Poll {
            number,
            session: Arc::clone(session),
            ended,
        });
        Some(Parked {
            room: Arc::clone(self),
            key,
            number,
            receiver,
        })
    }

    /// Takes in a saved message and ends all polls; the new list.
    pub(crate) fn said(&self, message: String) -> Bytes {
        let mut state = self.state();
        state.recent.push_back(message);
        if state.recent.len() > self.recent_max {
            state.recent.pop_front();
        }
        state.list = None;
        let list = state.list();
        let polls = mem::take(&mut state.polls);
        drop(state);
        for (_, poll) in polls {
            let _ = poll.ended.send(Ended::List(list.clone()));
        }
        list
    }

    /// Ends the polls that a session has here; how many, and the list.
    pub(crate) fn end(&self, session: &Arc<Session>) -> (usize, Bytes) {
        let list = self.state().list();
        (
            self.end_with(session, || Ended::List(list.clone())),
            list.clone(),
        )
    }

    /// Ends the polls of a session that is gone.
    pub(crate) fn log_out(&self, session: &Arc<Session>) {
        self.end_with(session, || Ended::LoggedOut);
    }

    /// Ends every poll, since the server ends.
    pub(crate) fn drain(&self) {
        let mut state = self.state();
        let list = state.list();
        for (_, poll) in mem::take(&mut state.polls) {
            let _ = poll.ended.send(Ended::List(list.clone()));
        }
    }

    fn end_with(&self, session: &Arc<Session>, ended: impl Fn() -> Ended) -> usize {
        let mut state = self.state();
        let theirs =
            |(key, poll): (usize, &Poll)| Arc::ptr_eq(&poll.session, session).then_some(key);
        let keys: Vec<usize> = state.polls.iter().filter_map(theirs).collect();
        for key in &keys {
            let _ = state.polls.remove(*key).ended.send(ended());
        }
        keys.len()
    }
}

impl State {
    fn list(&mut self) -> Bytes {
        let recent = &self.recent;
        let render = || {
            let len: usize = recent.iter().map(|message| message.len() + 1).sum();
            let mut list = String::with_capacity(len + 2);
            list.push('[');
            for (at, message) in recent.iter().enumerate() {
                list.push_str(if at == 0 { "" } else { "," });
                list.push_str(message);
            }
            list.push(']');
            Bytes::from(list)
        };
        self.list.get_or_insert_with(render).clone()
    }
}

/// A parked poll.
pub(crate) struct Parked {
    room: Arc<Room>,
    key: usize,
    number: u64,
    receiver: oneshot::Receiver<Ended>,
}

impl Parked {
    pub(crate) async fn ended(mut self) -> Ended {
        // The sender lives in the chatroom until it is used.
        (&mut self.receiver).await.unwrap_or(Ended::LoggedOut)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let mut state = self.room.state();
        let is_ours = |poll: &Poll| poll.number == self.number;
        if state.polls.get(self.key).is_some_and(is_ours) {
            state.polls.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Arc<Room> {
        let participants = HashSet::from([1]);
        Arc::new(Room::new(7, 1, participants, VecDeque::new(), 2))
    }

    fn session(user: i64) -> Arc<Session> {
        Arc::new(Session {
            user,
            name: "ann".into(),
            token: [0; 32],
        })
    }

    #[test]
    fn a_message_ends_what_is_parked_with_the_newest_list() {
        let room = room();
        assert!(room.park(&session(2)).is_none());
        let mut poll = room.park(&session(1)).unwrap();
        room.said("{1}".into());
        let Ended::List(list) = poll.receiver.try_recv().unwrap() else {
            panic!("not a list");
        };
        assert_eq!(list, "[{1}]");
        room.said("{2}".into());
        assert_eq!(room.said("{3}".into()), "[{2},{3}]");
    }

    #[test]
    fn a_poll_that_goes_takes_nobody_elses_place() {
        let room = room();
        let (one, two) = (session(1), session(1));
        let woken = room.park(&one).unwrap();
        room.said("{1}".into());
        let _parked = room.park(&two).unwrap();
        drop(woken);
        assert_eq!(room.end(&one).0, 0);
        assert_eq!(room.end(&two).0, 1);
        let gone = room.park(&two).unwrap();
        drop(gone);
        assert_eq!(room.end(&two).0, 0);
    }
}
