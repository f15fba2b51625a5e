//! What takes long, in slices: beginning held calls again, ending a session's polls, waking chatrooms, looking for who is present.
//!
//! A wake marks the last poll that it is for and the list that they get; serving it takes polls off
//! the front of the chatroom's list up to that mark. Polls that come meanwhile stand behind the
//! mark and wait for the next message; a message that comes meanwhile moves the mark and renews the list.
//!
//! An ending walks a session's polls the same way, but takes only some of them, so it needs a
//! cursor (`walk`). A session has one, for the first of its endings; [`Chat::unpark`] keeps it valid.
//!
//! Calls, sessions, chatrooms and searches take turns, a slice each: neither a large chatroom nor a session that asks
//! again and again to end its many polls holds up the others.

use std::collections::VecDeque;

use super::Chat;
use super::call::Reply;
use super::chatrooms::{ChatroomKey, Load};
use super::gathering::Newest;
use super::held::{self, Held, HeldKey};
use super::lists::Unparked;
use super::sessions::{SessionKey, Standing};
use super::walk::Walk;
use super::wanted::Since;
use crate::buffer::Bytes;
use crate::job::Fault;
use crate::model::{MessageId, Now, Ticket};

/// Polls of one chatroom or session that are served before the next one's turn.
const SLICE: usize = 64;
/// Polls that are passed over, for they are not meant, at the cost of one that is answered: an answer is a system call.
pub(super) const PASSED_EACH: usize = 128;
/// Bytes of a list that cost as much to send as a poll costs to wake.
const BYTES_EACH: usize = 8 * 1024;

/// What a session's polls are to be ended for, and how far that is.
#[derive(Debug, Default)]
pub(super) struct Endings {
    queue: VecDeque<Ending>,
    /// Where the first of them is.
    walk: Walk<Held>,
    is_listed: bool,
}

/// Polls of a session that are to end.
#[derive(Debug)]
pub(super) struct Ending {
    why: Why,
    /// Those that have got what they asked for; not those that were refused it, since their session was gone or their user had left.
    ended: u32,
}

#[derive(Debug)]
enum Why {
    /// endpoll: those in one chatroom, with its list; then the caller is told how many.
    Asked { caller: Ticket, newest: Newest },
    /// The session is gone for good, or forgotten: all of them.
    Ended,
}

impl Ending {
    /// The list is that of the chatroom as it is now; it is renewed if that changes before all have ended.
    pub(super) fn polls_in(caller: Ticket, newest: Newest) -> Self {
        Self {
            why: Why::Asked { caller, newest },
            ended: 0,
        }
    }

    pub(super) fn of_session() -> Self {
        Self {
            why: Why::Ended,
            ended: 0,
        }
    }
}

impl Chat {
    /// A turn's input is over: what it could do at once was bounded, and is bounded anew from here on.
    pub fn end_input(&mut self) {
        self.followers.cost();
    }

    /// Serves what is marked, about `budget` polls and calls, or fewer where lists are long.
    pub fn serve(&mut self, now: Now, budget: usize) {
        self.submit_notes();
        self.sessions.roll(now);
        let mut left = budget;
        // Once: what they are told now has to go out first.
        left -= self.serve_feeding(now, left.min(SLICE));
        while left > 0 && self.has_turns() {
            if let Some(key) = self.again.pop_front() {
                self.begin_again(now, key);
                left = left.saturating_sub(1 + self.followers.cost());
            }
            if left > 0
                && let Some(key) = self.turns.pop_front()
            {
                self.begin_again(now, key);
                left = left.saturating_sub(1 + self.followers.cost());
            }
            if left > 0
                && let Some(session) = self.ending.pop_front()
            {
                left = left.saturating_sub(self.serve_endings(now, session, left.min(SLICE)));
            }
            if left > 0
                && let Some(key) = self.closing.pop_front()
            {
                if self.followers.get(key).is_some() {
                    self.end_follower(now, key, None);
                }
                left = left.saturating_sub(1 + self.followers.cost());
            }
            if left > 0
                && let Some(former) = self.parting.pop_front()
            {
                left = left.saturating_sub(self.serve_parting(former, left.min(SLICE)));
            }
            if left > 0
                && let Some(chatroom) = self.leaving.pop_front()
            {
                left = left.saturating_sub(self.serve_leaving(now, chatroom, left.min(SLICE)));
            }
            if left > 0
                && let Some(chatroom) = self.waking.pop_front()
            {
                left = left.saturating_sub(self.serve_wake(now, chatroom, left.min(SLICE)));
            }
            if left > 0
                && let Some(search) = self.searching.pop_front()
            {
                left = left.saturating_sub(self.serve_search(now, search, left.min(SLICE)));
            }
        }
    }

    /// Whether [`Chat::serve`] has something to do.
    pub fn has_work(&self) -> bool {
        self.has_turns()
            || !self.feeding.is_empty()
            || !self.fed.is_empty()
            || !self.used.is_empty()
            || self.chatrooms.has_held()
    }

    /// Whether anybody waits for a turn. A use noted while these are taken is none: it goes to the store in the
    /// next slice.
    fn has_turns(&self) -> bool {
        !(self.again.is_empty()
            && self.turns.is_empty()
            && self.ending.is_empty()
            && self.leaving.is_empty()
            && self.closing.is_empty()
            && self.parting.is_empty()
            && self.waking.is_empty()
            && self.searching.is_empty())
    }

    /// Marks polls of a session to be ended.
    pub(super) fn end(&mut self, key: SessionKey, mut ending: Ending) {
        if let Why::Asked { newest, .. } = &ending.why
            && let Some(room) = self.chatrooms.chatroom(newest.chatroom)
        {
            let chatroom = room.id;
            ending.ended += self.end_waiting(key, chatroom);
        }
        let session = (self.sessions.session(key)).expect("ended while it is there");
        let endings = session.endings.get_or_insert_default();
        endings.queue.push_back(ending);
        if !std::mem::replace(&mut endings.is_listed, true) {
            self.ending.push_back(key);
        }
    }

    /// Marks all polls that are parked in a chatroom now, to get its list as it is now.
    /// Where the list is still being loaded, [`Chat::complete`] does so when it is there.
    pub(super) fn wake(&mut self, key: ChatroomKey) {
        self.wake_by(key, None);
    }

    /// The same, with its list where somebody has had it rendered just now.
    pub(super) fn wake_by(&mut self, key: ChatroomKey, list: Option<Bytes>) {
        let room = (self.chatrooms.chatroom(key)).expect("woken while it is there");
        if !room.has_polls() || matches!(room.load, Load::Loading(_)) {
            return;
        }
        let list = list.unwrap_or_else(|| room.recent.list(self.settings.recent));
        self.wake_with(key, list);
    }

    /// Marks all polls that are parked in a chatroom now, to get this list.
    pub(super) fn wake_with(&mut self, key: ChatroomKey, list: Bytes) {
        let room = self
            .chatrooms
            .chatroom(key)
            .expect("woken while it is there");
        room.wake_through = room.polls.back(&self.held);
        room.places_through = room.places.back(&self.followers.places);
        if room.wake_through.is_none() && room.places_through.is_none() {
            return;
        }
        self.counters.wakes.add(1);
        room.wake_list = Some(list);
        if !room.is_waking {
            room.is_waking = true;
            self.waking.push_back(key);
        }
    }

    /// Wakes a slice of a chatroom's polls; returns what it cost, at least 1.
    fn serve_wake(&mut self, now: Now, key: ChatroomKey, slice: usize) -> usize {
        let mut cost = 0;
        loop {
            let room = self.chatrooms.chatroom(key).expect("a wake keeps it");
            if room.wake_through.is_none() && room.places_through.is_none() {
                room.is_waking = false;
                room.wake_list = None;
                return cost.max(1);
            }
            if cost >= slice {
                self.waking.push_back(key);
                return cost;
            }
            let list = room.wake_list.clone().expect("a wake has its list");
            let Some(through) = room.wake_through else {
                cost += self.wake_place(now, key, list);
                continue;
            };
            let first = room.polls.front(&self.held);
            let first = first.expect("the mark is in the list");
            if first == through {
                room.wake_through = None;
            }
            cost += cost_of(&list);
            if self.pass_over(key, first) {
                continue;
            }
            let poll = self.unlink(now, first);
            if !self.begins_again(first, &poll) {
                self.held.remove(first);
                self.end_with(&poll, list);
            }
        }
    }

    /// Wakes who has the first place in a chatroom; returns what it cost.
    fn wake_place(&mut self, now: Now, chatroom: ChatroomKey, list: Bytes) -> usize {
        let room = (self.chatrooms.chatroom(chatroom)).expect("a wake keeps it");
        let first = room.places.front(&self.followers.places);
        let first = first.expect("the mark is in the list");
        if room.places_through == Some(first) {
            room.places_through = None;
        }
        let place = self.followers.places.get(first).expect("it is in the list");
        let key = self.held.key_of(place.poll);
        // What the list is for: where others write too, more may be known of than it has.
        let woken = room.woken.filter(|_| self.settings.is_shared);
        let is_before = |since: &Since| woken.is_none_or(|woken| since.get() < woken.get());
        let has_news = room.news(place.since).filter(is_before).is_some();
        let cost = cost_of(&list);
        if self.refusal_of(key).is_none() {
            if self.followers.feed_mut(key).is_some() {
                self.followers.move_back(&mut self.chatrooms, first);
                self.counters.deliveries.add(1);
                self.feed(key);
                return cost;
            }
            if !has_news {
                // The store had read what is told only now, and so had the client.
                self.followers.move_back(&mut self.chatrooms, first);
                return 1;
            }
            if self.is_put_off(key, false) {
                self.followers.move_back(&mut self.chatrooms, first);
                return 1 + self.followers.cost();
            }
        }
        self.counters.deliveries.add(1);
        self.end_follower(now, key, Some((chatroom, list)));
        cost + self.followers.cost()
    }

    /// Ends a poll or a stream as an endpoll would, whatever it waits in: in a later slice, if very many places have been given up in this turn.
    pub(super) fn end_parked_poll(&mut self, now: Now, key: HeldKey) {
        if self.followers.get(key).is_some() {
            match self.followers.is_spent() {
                true => self.closing.push_back(key),
                false => drop(self.end_follower(now, key, None)),
            }
            return;
        }
        let poll = self.unpark(now, key);
        self.give(&poll);
    }

    /// Puts a poll behind all others of its chatroom if it has all that there is to tell; whether it has.
    ///
    /// A load may have told it of a message that is only now being heard of: that is no reason to end it with nothing.
    fn pass_over(&mut self, chatroom: ChatroomKey, key: HeldKey) -> bool {
        let Some(since) = self.wanted.get(key).and_then(|wanted| wanted.since) else {
            return false;
        };
        let room = self.chatrooms.chatroom(chatroom).expect("a wake keeps it");
        let is_known = matches!(room.load, Load::Known);
        let has_all = room.recent.last().map_or(0, MessageId::get) <= since.get();
        // Who leaves is told so by whatever comes to their poll first, and the walk would miss it behind its end.
        if !is_known || !has_all || room.leaving.is_some() || self.is_draining {
            return false;
        }
        room.polls.remove(&mut self.held, key, held::in_chatroom);
        room.polls.push_back(&mut self.held, key, held::in_chatroom);
        true
    }

    /// Answers a poll that gets a chatroom's list, or what it wants instead.
    fn end_with(&mut self, poll: &Unparked, list: Bytes) {
        self.counters.deliveries.add(1);
        match poll.wanted.is_usual() && poll.refusal.is_none() && !poll.is_doubted {
            true => self.answer(poll.ticket, Reply::Messages(list)),
            false => self.give(poll),
        }
    }

    /// Takes a session's first ending on by at most a slice; returns what it cost, at least 1.
    fn serve_endings(&mut self, now: Now, key: SessionKey, slice: usize) -> usize {
        let mut cost = 0;
        let mut passed: usize = 0;
        while cost < slice {
            let session = (self.sessions.session(key)).expect("its endings keep it");
            let endings = session
                .endings
                .as_mut()
                .expect("listed while there are some");
            match endings.walk {
                Walk::Waiting => endings.walk = Walk::begin(&session.polls, &self.held),
                Walk::At { at, .. } => match self.step_ending(now, key, at) {
                    0 => {
                        passed += 1;
                        cost += usize::from(passed.is_multiple_of(PASSED_EACH));
                    }
                    ended => cost += ended,
                },
                Walk::Over => return cost + self.finish_ending(key),
            }
        }
        self.ending.push_back(key);
        cost
    }

    /// Ends the poll at the cursor if it is meant, and moves the cursor on; returns what ending it cost, 0 if it is not.
    fn step_ending(&mut self, now: Now, key: SessionKey, at: HeldKey) -> usize {
        let max = self.settings.recent;
        let session = (self.sessions.session(key)).expect("its endings keep it");
        let endings = session.endings.as_mut().expect("it walks");
        (endings.walk).step(&session.polls, &self.held, held::session_link);
        let ending = endings.queue.front_mut().expect("it walks");
        let poll = self.held.get(at).and_then(Held::as_poll);
        let poll = poll.expect("the cursor stands in the list");
        let Some(polled) = poll.chatroom else {
            return self.step_ending_follower(now, key, at);
        };
        let polled = self.chatrooms.key_of(polled);
        let mut cost = 1;
        let list = match &mut ending.why {
            Why::Asked { newest, .. } if newest.chatroom != polled => return 0,
            Why::Asked { newest, .. } => {
                let room = self.chatrooms.chatroom(polled);
                newest.renew(room.expect("its polls keep it"), max);
                cost = cost_of(&newest.list);
                Some(newest.list.clone())
            }
            Why::Ended => None,
        };
        let poll = self.unpark(now, at);
        if poll.refusal.is_none() {
            self.count_ended(key);
        }
        match list {
            None => {
                let why = poll.refusal.unwrap_or(Fault::NoSession);
                self.answer(poll.ticket, why.into());
            }
            Some(list) => self.end_with(&poll, list),
        }
        cost
    }

    /// The same for who waits by places.
    fn step_ending_follower(&mut self, now: Now, key: SessionKey, at: HeldKey) -> usize {
        let session = (self.sessions.session(key)).expect("its endings keep it");
        let endings = session.endings.as_mut().expect("it walks");
        let is_meant = match &endings.queue.front().expect("it walks").why {
            // A stream is no poll.
            Why::Asked { newest, .. } => {
                let chatroom = newest.chatroom;
                self.followers.feed_mut(at).is_none()
                    && (self.followers.place_in(&self.chatrooms, at, chatroom)).is_some()
            }
            Why::Ended => true,
        };
        if !is_meant {
            return 0;
        }
        if self.end_follower(now, at, None) {
            self.count_ended(key);
        }
        1 + self.followers.cost()
    }

    fn count_ended(&mut self, key: SessionKey) {
        let session = (self.sessions.session(key)).expect("its endings keep it");
        let endings = session.endings.as_mut().expect("it walks");
        endings.queue.front_mut().expect("it walks").ended += 1;
    }

    fn finish_ending(&mut self, key: SessionKey) -> usize {
        let session = (self.sessions.session(key)).expect("its endings keep it");
        let endings = session.endings.as_mut().expect("one is over");
        let ending = endings.queue.pop_front().expect("one is over");
        endings.walk = Walk::Waiting;
        if endings.queue.is_empty() {
            session.endings = None;
            if matches!(session.standing, Standing::Ended(..)) {
                self.sessions.remove(key);
            }
        } else {
            self.ending.push_back(key);
        }
        let Why::Asked { caller, newest } = ending.why else {
            return 1;
        };
        let cost = cost_of(&newest.own);
        self.ended_here(key, caller, ending.ended, newest);
        cost
    }

    /// Takes a parked poll off its lists, and every mark off it, for good.
    pub(super) fn unpark(&mut self, now: Now, key: HeldKey) -> Unparked {
        let poll = self.unlink(now, key);
        self.held.remove(key);
        poll
    }

    /// The same, but it stays among what is held.
    fn unlink(&mut self, now: Now, key: HeldKey) -> Unparked {
        let poll = self.held.get(key).and_then(Held::as_poll).expect("parked");
        let ticket = poll.ticket(self.settings.event_loop);
        let chatroom = poll.chatroom.expect("a poll of one chatroom");
        let chatroom = self.chatrooms.key_of(chatroom);
        let room = (self.chatrooms.chatroom(chatroom)).expect("its polls keep it");
        if room.wake_through == Some(key) {
            room.wake_through = room.polls.before(&self.held, key, held::chatroom_link);
        }
        if let Some(leaving) = &mut room.leaving {
            (leaving.walk).leave(key, &room.polls, &self.held, held::chatroom_link);
        }
        let somebody_leaves = room.leaving.is_some();
        let chatroom_id = room.id;
        room.polls.remove(&mut self.held, key, held::in_chatroom);
        let session = self.leave_session(key);
        self.sessions.leave(session, chatroom_id, now);
        let refusal = match self.session_refusal(session) {
            Some(fault) => Some(fault),
            None if !somebody_leaves => None,
            None => self.told_leaving(session, chatroom),
        };
        let is_doubted = refusal.is_none() && self.is_doubted(session, chatroom_id);
        Unparked {
            ticket,
            session,
            chatroom,
            wanted: self.wanted.remove(key).unwrap_or_default(),
            refusal,
            is_doubted,
        }
    }
}

impl Chat {
    /// Takes a parked poll off its session's list, and its session's mark off it.
    pub(super) fn leave_session(&mut self, key: HeldKey) -> SessionKey {
        let poll = self.held.get(key).and_then(Held::as_poll).expect("parked");
        let session_key = self.sessions.key_of(poll.session);
        let session = (self.sessions.session(session_key)).expect("its polls keep it");
        if let Some(endings) = &mut session.endings {
            (endings.walk).leave(key, &session.polls, &self.held, held::session_link);
        }
        session.polls.remove(&mut self.held, key, held::in_session);
        session_key
    }
}

/// What it costs to answer one poll with a list, in polls with a short one.
fn cost_of(list: &[u8]) -> usize {
    1 + list.len() / BYTES_EACH
}
