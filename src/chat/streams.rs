//! Streams: polls that stay.
//!
//! A stream waits in its chatroom by a place, as a poll of several does, and a wake that comes to it tells it what is newer
//! than it has been told, and leaves it there. Nothing is kept for it between two messages but how far it is.
//!
//! **A slow reader holds nothing up, and nothing is held for it.** While a peer does not take what was sent
//! (the engine says so: [`Chat::pause`]) it is told nothing more; when it has ([`Chat::go_on`]) it catches up with what
//! the chatroom remembers, or the store, a batch at a time. So what waits for it is one batch, whatever was said meanwhile.
//!
//! What came right after a stream's beginning and is kept no longer is told by a status, so a stream begins only when that is
//! known; one that falls so far behind later ends, and learns it when it comes again.

use std::sync::Arc;

use super::call::{Failure, Reply};
use super::chatrooms::{ChatroomKey, Load};
use super::followers::{Kind, PlaceKey};
use super::held::{Held, HeldKey, Watch};
use super::proceed::Step;
use super::recent::Events;
use super::sessions::SessionKey;
use super::wanted::Since;
use super::{Chat, Output};
use crate::job::{Fault, Job, MessageRange, MessageRows};
use crate::model::{ChatroomId, MessageId, Now, Ticket};

/// Messages that a stream is told at once.
const BATCH_MAX: u32 = 64;

/// A wish for a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamCall {
    /// Where.
    pub chatroom: ChatroomId,
    /// How far the client has read; `None` is from now.
    pub since: Option<Since>,
    /// Whether that was ahead of what was remembered, and the store has been asked how far the chatroom reaches.
    pub is_ahead: bool,
}

/// A part of a stream's answer.
#[derive(Clone, Debug)]
pub enum Streamed {
    /// It begins. Comes once, first.
    Begin,
    /// Messages.
    Events(Arc<Events>),
    /// It is over. Comes once, last, unless the stream is forgotten.
    End,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Feed {
    is_begun: bool,
    /// Its peer does not take what was sent.
    is_paused: bool,
    /// The store reads for it.
    is_reading: bool,
    /// It is behind, and its turn comes.
    is_queued: bool,
}

/// Events that were made for a stream, for the next.
#[derive(Debug)]
pub(super) struct LastEvents {
    chatroom: ChatroomKey,
    since: Since,
    newest: Option<MessageId>,
    events: Arc<Events>,
}

impl Chat {
    pub(super) fn open_stream(
        &mut self,
        (ticket, session): (Ticket, SessionKey),
        call: &mut StreamCall,
        watch: Option<&Watch>,
    ) -> Step {
        let key = match self.enter(ticket, session, call.chatroom) {
            Ok(key) => key,
            Err(step) => return step,
        };
        if self.is_draining {
            self.stream(ticket, Streamed::Begin);
            self.stream(ticket, Streamed::End);
            return Step::Done;
        }
        let room = self.chatrooms.chatroom(key).expect("entered");
        let since = match (call.since, watch) {
            (Some(since), _) => match self.is_behind(ticket, key, since, &mut call.is_ahead) {
                Ok(_) => Some(since),
                Err(step) => return step,
            },
            // What others write is told from what was loaded on.
            (None, _) if self.settings.is_shared => match (&room.load, room.known_newest()) {
                (Load::Known, Some(newest)) => Since::new(newest),
                _ => return Step::AwaitChatroom(key),
            },
            (None, Some(&Watch::Chatroom { chatroom, told })) if chatroom == key => {
                room.told.since(told)
            }
            (None, _) => room.told.newest.map(Since::through),
        };
        // There is nothing that one from now could be told instead.
        let is_begun = call.since.is_none();
        if is_begun {
            self.stream(ticket, Streamed::Begin);
        }
        Step::Stream(session, key, since, is_begun)
    }

    /// Parks a stream under a key that is in no list yet.
    pub(super) fn park_stream(
        &mut self,
        now: Now,
        key: HeldKey,
        (session, is_begun): (SessionKey, bool),
        chatroom: ChatroomKey,
        since: Option<Since>,
    ) {
        let feed = Feed {
            is_begun,
            ..Feed::default()
        };
        self.followers.insert(key, Kind::Stream(feed), None);
        (self.followers).take(&mut self.chatrooms, key, chatroom, since);
        self.load_chatroom(chatroom);
        self.park_in_session(now, key, session);
        self.feed(key);
    }

    /// Its peer does not take what was sent. Stale keys, and those of what is no stream, are ignored.
    pub fn pause(&mut self, key: HeldKey) {
        if let Some(feed) = self.followers.feed_mut(key) {
            feed.is_paused = true;
        }
    }

    /// Its peer has taken all that was sent. Stale keys, and those of what is no stream, are ignored.
    pub fn go_on(&mut self, key: HeldKey) {
        if let Some(feed) = self.followers.feed_mut(key) {
            feed.is_paused = false;
            if !std::mem::replace(&mut feed.is_queued, true) {
                self.feeding.push_back(key);
            }
        }
    }

    /// A stream is in use: so is its session. Stale keys are ignored.
    pub fn keep_session(&mut self, now: Now, key: HeldKey) {
        if let Some(poll) = self.held.get(key).and_then(Held::as_poll) {
            let session = self.sessions.key_of(poll.session);
            if self.session_refusal(session).is_none() {
                self.note_use(now, session);
            }
        }
    }

    /// Tells a stream what is newer than it has been told, a batch of it. Stale keys are ignored. Whoever calls has seen that it
    /// may be told: its session is good.
    pub(super) fn feed(&mut self, key: HeldKey) {
        match self.followers.feed_mut(key) {
            Some(feed) if !feed.is_paused && !feed.is_reading && !feed.is_queued => {}
            _ => return,
        }
        if self.is_put_off(key, false) {
            // Its turn comes when it is known whether it may be told.
            let feed = self.followers.feed_mut(key).expect("a stream");
            feed.is_queued = true;
            return;
        }
        let (place, chatroom, since) = self.place_of_stream(key);
        let room = self
            .chatrooms
            .chatroom(chatroom)
            .expect("its places keep it");
        let Some(since) = room.news(since) else {
            return self.begin_stream(key);
        };
        match self.events(chatroom, since) {
            Some(events) => self.tell_events(key, place, events),
            None => self.read_for_stream(key, chatroom, since),
        }
    }

    fn place_of_stream(&mut self, key: HeldKey) -> (PlaceKey, ChatroomKey, Option<Since>) {
        let mut places = self.followers.places_of(key);
        let (at, place) = places.next().expect("a stream has one place");
        (at, self.chatrooms.key_of(place.chatroom), place.since)
    }

    /// A batch of what is newer, if it is here.
    fn events(&mut self, key: ChatroomKey, since: Since) -> Option<Arc<Events>> {
        let room = self.chatrooms.chatroom(key).expect("its places keep it");
        let Load::Known = room.load else {
            return None;
        };
        let newest = room.recent.last();
        if let Some(last) = &self.last_events
            && (last.chatroom, last.since, last.newest) == (key, since, newest)
        {
            return Some(last.events.clone());
        }
        let events = Arc::new(room.recent.events(since.get(), BATCH_MAX)?);
        self.last_events = Some(LastEvents {
            chatroom: key,
            since,
            newest,
            events: events.clone(),
        });
        Some(events)
    }

    fn tell_events(&mut self, key: HeldKey, place: PlaceKey, events: Arc<Events>) {
        self.begin_stream(key);
        let Some(last) = events.last() else { return };
        let ticket = self.ticket_of(key);
        self.stream(ticket, Streamed::Events(events));
        let place = self.followers.places.get_mut(place).expect("just seen");
        place.since = Some(Since::through(last));
        let chatroom = self.chatrooms.key_of(place.chatroom);
        let room = self
            .chatrooms
            .chatroom(chatroom)
            .expect("its places keep it");
        if room.news(Some(Since::through(last))).is_some() {
            // After the others' turn, and when it is known whether the peer takes this: what the store has read comes before this turn's
            // batches, and it must not get one of these too.
            let feed = self.followers.feed_mut(key).expect("a stream");
            if !std::mem::replace(&mut feed.is_queued, true) {
                self.fed.push(key);
            }
        }
    }

    fn begin_stream(&mut self, key: HeldKey) {
        let feed = self.followers.feed_mut(key).expect("a stream");
        if !std::mem::replace(&mut feed.is_begun, true) {
            let ticket = self.ticket_of(key);
            self.stream(ticket, Streamed::Begin);
        }
    }

    fn read_for_stream(&mut self, key: HeldKey, chatroom: ChatroomKey, since: Since) {
        let poll = self.held.get(key).and_then(Held::as_poll).expect("parked");
        let session = self.sessions.key_of(poll.session);
        let user = self.user_of(session).user.id;
        let feed = self.followers.feed_mut(key).expect("a stream");
        feed.is_reading = true;
        let ticket = self.ticket_of(key);
        self.stream_reads.insert(ticket, key);
        let room = self
            .chatrooms
            .chatroom(chatroom)
            .expect("its places keep it");
        let chatroom = room.id;
        self.submit(Job::ReadMessages {
            ticket,
            chatroom,
            user,
            range: MessageRange::After(since.message()),
            limit: BATCH_MAX,
        });
    }

    /// Ends a stream whose session has ended, or whose user has left, before what that has marked comes to it. Stale keys are ignored.
    fn end_feed_if_refused(&mut self, now: Now, key: HeldKey) -> bool {
        let Some(&mut feed) = self.followers.feed_mut(key) else {
            return false;
        };
        let refusal = self.refusal_of(key);
        if refusal.is_some() {
            self.end_stream(now, key, feed, refusal);
        }
        refusal.is_some()
    }

    /// The store has read for a stream.
    pub(super) fn stream_read(
        &mut self,
        now: Now,
        key: HeldKey,
        since: Option<MessageId>,
        read: Result<MessageRows, Fault>,
    ) {
        if self.end_feed_if_refused(now, key) {
            return;
        }
        let Some(feed) = self.followers.feed_mut(key) else {
            return;
        };
        feed.is_reading = false;
        let feed = *feed;
        let failure = match read {
            Err(fault) => Failure::Fault(fault),
            Ok(rows) if rows.bounds.is_gap(since) => Failure::SinceExpired {
                chatroom: None,
                first: rows.bounds.first,
            },
            // It is read again when the peer has taken what was sent before.
            Ok(_) if feed.is_paused => return,
            Ok(rows) => {
                let (place, ..) = self.place_of_stream(key);
                let events = Arc::new(Events::of(&rows.messages));
                return self.tell_events(key, place, events);
            }
        };
        let (ticket, _) = self.unfollow(now, key);
        match feed.is_begun {
            // It can come again, and is told then.
            true => self.stream(ticket, Streamed::End),
            false => self.answer(ticket, Reply::Failed(failure)),
        }
    }

    /// Ends a stream, with the reason if it has not begun.
    pub(super) fn end_stream(
        &mut self,
        now: Now,
        key: HeldKey,
        feed: Feed,
        refusal: Option<Fault>,
    ) {
        let (ticket, _) = self.unfollow(now, key);
        match (feed.is_begun, refusal) {
            (false, Some(fault)) => return self.answer(ticket, fault.into()),
            (false, None) => self.stream(ticket, Streamed::Begin),
            (true, _) => {}
        }
        self.stream(ticket, Streamed::End);
    }

    /// Tells the streams that are behind a batch each.
    pub(super) fn serve_feeding(&mut self, now: Now, slice: usize) -> usize {
        let streams = self.feeding.len().min(slice);
        for _ in 0..streams {
            let key = self.feeding.pop_front().expect("counted");
            if let Some(feed) = self.followers.feed_mut(key) {
                feed.is_queued = false;
            }
            if !self.end_feed_if_refused(now, key) {
                self.feed(key);
            }
        }
        self.feeding.extend(self.fed.drain(..));
        streams
    }

    fn ticket_of(&self, key: HeldKey) -> Ticket {
        let poll = self.held.get(key).and_then(Held::as_poll).expect("parked");
        poll.ticket(self.settings.event_loop)
    }

    fn stream(&mut self, ticket: Ticket, part: Streamed) {
        self.outputs.push_back(Output::Stream(ticket, part));
    }
}
