//! Which list a poll gets: ready-made where it is here, else from the store.
//!
//! A poll that asks for nothing special gets the list that all get. One with a `since` or a `limit` gets its own.
//! Mostly it is the next one's too, also where many time out together, so the last is kept. What the chatroom no longer remembers the store reads,
//! and answers by itself: a wake never waits for that.

use super::Chat;
use super::call::{Failure, PollCall, Reply, SessionCall};
use super::chatrooms::{ChatroomKey, Load};
use super::held::{Held, HeldKey, Waiting};
use super::proceed::Step;
use super::sessions::SessionKey;
use super::wanted::{Limit, Wanted};
use crate::buffer::Bytes;
use crate::job::{Fault, Job, MessageRange, MessageRows};
use crate::model::{MessageId, Now, Ticket};

/// A list that somebody got by themselves, not by a wake.
#[derive(Debug)]
pub(super) struct TailoredList {
    chatroom: ChatroomKey,
    /// The chatroom's newest message then.
    last: Option<MessageId>,
    wanted: Wanted,
    list: Bytes,
}

/// Where a list is to be had.
pub(super) enum Listed {
    Here(Bytes),
    /// In the store alone.
    Stored(MessageRange, u32),
    /// The chatroom has to be loaded first.
    Unknown,
}

/// A poll that was parked.
pub(super) struct Unparked {
    pub(super) ticket: Ticket,
    pub(super) session: SessionKey,
    pub(super) chatroom: ChatroomKey,
    pub(super) wanted: Wanted,
    /// Why it must not get a list, if it must not.
    pub(super) refusal: Option<Fault>,
    /// Whether it may is known only when its user's chatrooms have been loaded (`doubts`).
    pub(super) is_doubted: bool,
}

impl Chat {
    /// The list that somebody wants of a chatroom.
    pub(super) fn listed(&mut self, key: ChatroomKey, wanted: Wanted) -> Listed {
        let usual = self.settings.recent;
        let room = self.chatrooms.chatroom(key).expect("entered");
        let Load::Known = room.load else {
            return Listed::Unknown;
        };
        let last = room.recent.last();
        if let Some(same) = &self.last_list
            && (same.chatroom, same.last, same.wanted) == (key, last, wanted)
        {
            return Listed::Here(same.list.clone());
        }
        let limit = wanted.limit.map_or(usual, |limit| limit.get());
        let (list, range) = match wanted.since {
            Some(since) => (
                room.recent.newer(since.get(), limit),
                MessageRange::After(since.message()),
            ),
            // What all get is what is here.
            None if wanted.is_usual() => {
                (Some(room.recent.list(usual)), MessageRange::Before(None))
            }
            None => (room.recent.newest(limit), MessageRange::Before(None)),
        };
        let Some(list) = list else {
            return Listed::Stored(range, limit);
        };
        self.last_list = Some(TailoredList {
            chatroom: key,
            last,
            wanted,
            list: list.clone(),
        });
        Listed::Here(list)
    }

    /// Answers a call with the list that it wants, as soon as that is here.
    pub(super) fn list_for(
        &mut self,
        ticket: Ticket,
        session: SessionKey,
        key: ChatroomKey,
        wanted: Wanted,
    ) -> Step {
        match self.listed(key, wanted) {
            Listed::Here(list) => self.answer(ticket, Reply::Messages(list)),
            Listed::Unknown => return Step::AwaitChatroom(key),
            Listed::Stored(range, limit) => {
                let room = self.chatrooms.chatroom(key).expect("entered");
                let chatroom = room.id;
                self.read_for(ticket, session, false, |user| Job::ReadMessages {
                    ticket,
                    chatroom,
                    user,
                    range,
                    limit,
                });
            }
        }
        Step::Done
    }

    /// Gives a poll that is over what it wants.
    pub(super) fn give(&mut self, poll: &Unparked) {
        if let Some(fault) = poll.refusal {
            return self.answer(poll.ticket, fault.into());
        }
        let step = match poll.is_doubted {
            true => Step::AwaitUser(self.user_key(poll.session)),
            false => self.list_for(poll.ticket, poll.session, poll.chatroom, poll.wanted),
        };
        if matches!(step, Step::Done) {
            return;
        }
        let waiting = self.waiting_of(poll, true);
        let hash = waiting.session;
        let key = self.hold(waiting);
        self.wait(step, key, hash);
    }

    /// Has a poll that is woken begin again, in its place of `held`, where it is not known whether it may be told; and one with `since` where it is not known what
    /// there is for it: perhaps nothing, then it parks once more. Whether it does.
    pub(super) fn begins_again(&mut self, key: HeldKey, poll: &Unparked) -> bool {
        let room = (self.chatrooms.chatroom(poll.chatroom)).expect("its polls keep it");
        let is_known = matches!(room.load, Load::Known);
        let has_since = poll.wanted.since.is_some();
        let step = match poll.is_doubted {
            true => Step::AwaitUser(self.user_key(poll.session)),
            false if is_known || !has_since || poll.refusal.is_some() => return false,
            false => Step::AwaitChatroom(poll.chatroom),
        };
        let waiting = self.waiting_of(poll, !has_since);
        let hash = waiting.session;
        let place = self.waiting.insert(Box::new(waiting));
        *self.held.get_mut(key).expect("unlinked, not removed") = Held::Waiting(place);
        self.wait(step, key, hash);
        true
    }

    /// A poll that was parked, as a call that waits.
    fn waiting_of(&mut self, poll: &Unparked, is_over: bool) -> Waiting {
        let session = (self.sessions.session(poll.session)).expect("its polls keep it");
        let room = (self.chatrooms.chatroom(poll.chatroom)).expect("its polls keep it");
        Waiting {
            ticket: poll.ticket,
            session: session.hash,
            call: SessionCall::Poll(PollCall {
                chatroom: room.id,
                wanted: poll.wanted,
                timeout_s: None,
                is_over,
                is_ahead: false,
            }),
            watch: None,
            is_renewed: false,
        }
    }

    /// Remembers how long a list a caller wants, until [`Chat::take_limit`] is asked with the answer.
    pub(super) fn note_limit(&mut self, ticket: Ticket, limit: Option<Limit>) {
        if let Some(limit) = limit {
            self.limits.insert(ticket, limit);
        }
    }

    /// How long a list a caller wants who is being answered; forgets it.
    pub(super) fn take_limit(&mut self, ticket: Ticket) -> u32 {
        match self.limits.is_empty() {
            true => self.settings.recent,
            false => (self.limits.remove(&ticket)).map_or(self.settings.recent, Limit::get),
        }
    }

    /// The store has read messages for somebody.
    pub(super) fn messages_read(
        &mut self,
        now: Now,
        ticket: Ticket,
        range: MessageRange,
        read: Result<MessageRows, Fault>,
    ) {
        if let MessageRange::After(since) = range
            && let Some(stream) = self.stream_reads.remove(&ticket)
        {
            return self.stream_read(now, stream, since, read);
        }
        let sent = self.sent_before.remove(&ticket);
        let reply = read.map(|rows| {
            if let MessageRange::After(since) = range
                && rows.bounds.is_gap(since)
            {
                let (chatroom, first) = (None, rows.bounds.first);
                return Reply::Failed(Failure::SinceExpired { chatroom, first });
            }
            let messages = rows.messages.json().clone();
            match sent {
                Some(id) => Reply::Sent { id, messages },
                None => Reply::Messages(messages),
            }
        });
        self.read_done(ticket, reply);
    }
}
