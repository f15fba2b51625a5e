//! What takes long, in slices: beginning held calls again, ending a session's polls, waking chatrooms.
//!
//! A wake marks the last poll that it is for and the list that they get; serving it takes polls off
//! the front of the chatroom's list up to that mark. Polls that come meanwhile stand behind the
//! mark and wait for the next message; a message that comes meanwhile moves the mark and renews the list.
//! Chatrooms take turns, a slice each, so that a large one does not hold up the others.
//!
//! An ending walks a session's polls the same way, but takes only some of them, so it needs a
//! cursor; only the first in the queue has one, and [`Chat::unpark`] keeps it valid.

use std::sync::Arc;

use super::Chat;
use super::call::Reply;
use super::chatrooms::{ChatroomKey, Load};
use super::held::{self, Held, HeldKey, Poll};
use super::sessions::{Session, SessionKey};
use crate::arena::Arena;
use crate::job::{Fault, Job};
use crate::model::{Now, Ticket};

/// Polls of one chatroom that are woken before the next chatroom's turn.
const SLICE: usize = 64;

/// Polls of a session that are to end.
#[derive(Debug)]
pub(super) struct Ending {
    session: SessionKey,
    why: Why,
    walk: Walk,
    ended: u32,
}

#[derive(Debug)]
enum Why {
    /// endpoll: those in one chatroom, with its list; then the caller is told how many.
    Asked {
        ticket: Ticket,
        chatroom: ChatroomKey,
        list: Arc<[u8]>,
    },
    /// The session is gone for good: all of them.
    Ended,
}

/// Where an ending is in its session's list.
#[derive(Clone, Copy, Debug)]
enum Walk {
    /// Not begun: it will be for the polls that are parked when it is.
    Waiting,
    /// At this poll, and for those up to and with `through`.
    At { at: HeldKey, through: HeldKey },
    /// Behind the last.
    Over,
}

impl Ending {
    pub(super) fn polls_in(
        ticket: Ticket,
        session: SessionKey,
        chatroom: ChatroomKey,
        list: Arc<[u8]>,
    ) -> Self {
        Self {
            session,
            why: Why::Asked {
                ticket,
                chatroom,
                list,
            },
            walk: Walk::Waiting,
            ended: 0,
        }
    }

    pub(super) fn of(session: SessionKey) -> Self {
        Self {
            session,
            why: Why::Ended,
            walk: Walk::Waiting,
            ended: 0,
        }
    }
}

impl Chat {
    /// Serves what is marked, at most `budget` polls and calls. Says whether more is left.
    pub fn serve(&mut self, now: Now, budget: usize) -> bool {
        if !self.used.is_empty() {
            let used = std::mem::take(&mut self.used);
            self.submit(Job::TouchSessions { used });
        }
        let mut left = budget;
        while left > 0 {
            if let Some(key) = self.again.pop_front() {
                self.begin_again(now, key);
                left -= 1;
            } else if !self.endings.is_empty() {
                left -= self.serve_ending(left);
            } else if let Some(chatroom) = self.waking.pop_front() {
                left -= self.serve_wake(chatroom, left.min(SLICE));
            } else {
                return false;
            }
        }
        self.has_work()
    }

    /// Whether [`Chat::serve`] has something to do.
    pub fn has_work(&self) -> bool {
        !(self.again.is_empty()
            && self.endings.is_empty()
            && self.waking.is_empty()
            && self.used.is_empty())
    }

    /// Marks all polls that are parked in a chatroom now, to get its list as it is now.
    /// Where the list is still being loaded, [`Chat::complete`] does so when it is there.
    pub(super) fn wake(&mut self, key: ChatroomKey) {
        let room = (self.chatrooms.chatroom(key)).expect("woken while it is there");
        if room.polls.is_empty() || matches!(room.load, Load::Loading(_)) {
            return;
        }
        let list = room.recent.list();
        self.wake_with(key, list);
    }

    /// Marks all polls that are parked in a chatroom now, to get this list.
    pub(super) fn wake_with(&mut self, key: ChatroomKey, list: Arc<[u8]>) {
        let room = self
            .chatrooms
            .chatroom(key)
            .expect("woken while it is there");
        let Some(last) = room.polls.back(&self.held) else {
            return;
        };
        room.wake_through = Some(last);
        room.wake_list = Some(list);
        if !room.is_waking {
            room.is_waking = true;
            self.waking.push_back(key);
        }
    }

    /// Wakes a slice of a chatroom's polls; returns what it cost, at least 1.
    fn serve_wake(&mut self, key: ChatroomKey, slice: usize) -> usize {
        let mut woken = 0;
        loop {
            let room = self.chatrooms.chatroom(key).expect("a wake keeps it");
            let Some(through) = room.wake_through else {
                room.is_waking = false;
                room.wake_list = None;
                return woken.max(1);
            };
            if woken == slice {
                self.waking.push_back(key);
                return woken;
            }
            let list = room.wake_list.clone().expect("a wake has its list");
            let first = room
                .polls
                .front(&self.held)
                .expect("the mark is in the list");
            if first == through {
                room.wake_through = None;
            }
            let poll = self.unpark(first);
            self.answer(poll.ticket, Reply::Messages(list));
            woken += 1;
        }
    }

    /// Takes the first ending on by at most `budget` polls; returns what it cost, at least 1.
    fn serve_ending(&mut self, budget: usize) -> usize {
        for visited in 0..budget {
            let ending = self.endings.front().expect("served while there is one");
            match ending.walk {
                Walk::Waiting => self.start_ending(),
                Walk::At { at, through } => self.step_ending(at, through),
                Walk::Over => {
                    self.finish_ending();
                    return visited.max(1);
                }
            }
        }
        budget
    }

    fn start_ending(&mut self) {
        let ending = self.endings.front_mut().expect("served while there is one");
        let ends = self.sessions.session(ending.session).and_then(|session| {
            let first = session.polls.front(&self.held)?;
            Some((first, session.polls.back(&self.held)?))
        });
        ending.walk = match ends {
            Some((at, through)) => Walk::At { at, through },
            None => Walk::Over,
        };
    }

    /// Ends the poll at the cursor if it is meant, and moves the cursor on.
    fn step_ending(&mut self, at: HeldKey, through: HeldKey) {
        let ending = self.endings.front_mut().expect("served while there is one");
        let session = (self.sessions.session(ending.session)).expect("its polls keep it");
        ending.walk = walk_on(session, &self.held, at, through);
        let poll = self.held.get(at).and_then(Held::as_poll);
        let poll = poll.expect("the cursor stands in the list");
        let reply = match &ending.why {
            Why::Asked { chatroom, .. } if *chatroom != poll.chatroom => return,
            Why::Asked { list, .. } => Reply::Messages(list.clone()),
            Why::Ended => Fault::NoSession.into(),
        };
        ending.ended += 1;
        let poll = self.unpark(at);
        self.answer(poll.ticket, reply);
    }

    fn finish_ending(&mut self) {
        let ending = self.endings.pop_front().expect("served while there is one");
        match ending.why {
            Why::Asked { ticket, list, .. } => self.answer(
                ticket,
                Reply::Ended {
                    polls: ending.ended,
                    messages: list,
                },
            ),
            Why::Ended => self.sessions.remove(ending.session),
        }
    }

    /// Takes a parked poll off its lists, and every mark off it.
    pub(super) fn unpark(&mut self, key: HeldKey) -> Poll {
        let poll = self.held.get(key).and_then(Held::as_poll).expect("parked");
        let (session, chatroom) = (poll.session, poll.chatroom);
        let room = self
            .chatrooms
            .chatroom(chatroom)
            .expect("its polls keep it");
        if room.wake_through == Some(key) {
            room.wake_through = room.polls.before(&self.held, key, held::chatroom_link);
        }
        room.polls.remove(&mut self.held, key, held::in_chatroom);
        let session = self.sessions.session(session).expect("its polls keep it");
        if let Some(ending) = self.endings.front_mut()
            && let Walk::At { at, through } = ending.walk
        {
            if at == key {
                ending.walk = walk_on(session, &self.held, at, through);
            } else if through == key {
                let before = session.polls.before(&self.held, key, held::session_link);
                let through = before.expect("the cursor stands before it");
                ending.walk = Walk::At { at, through };
            }
        }
        session.polls.remove(&mut self.held, key, held::in_session);
        match self.held.remove(key) {
            Some(Held::Parked(poll)) => poll,
            _ => unreachable!("it was parked"),
        }
    }
}

fn walk_on(session: &Session, held: &Arena<Held>, at: HeldKey, through: HeldKey) -> Walk {
    match session.polls.after(held, at, held::session_link) {
        Some(next) if at != through => Walk::At { at: next, through },
        _ => Walk::Over,
    }
}
