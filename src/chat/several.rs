//! Polls of several chatrooms on one socket.
//!
//! Such a poll waits in each of its chatrooms by a place (`followers`). It ends as soon as one of them speaks: with what is
//! newer in all of them for a client that has said how far it has read, or else with the list of the one that
//! spoke. Ended otherwise it gets what is newer all the same, which mostly is nothing.
//!
//! What the chatrooms no longer remember the store reads, for all of them at once, and answers by itself.
//!
//! **From now** is from the moment the call came, also where it first waits for its session or for chatrooms to be loaded:
//! while any does, it is noted which messages the loop is told of (`told`), since the chatrooms of one that wants all
//! of them may not even be known.

use smallvec::SmallVec;

use super::Chat;
use super::call::{Failure, Reply};
use super::chatrooms::{ChatroomKey, Load};
use super::followers::{Follower, Kind};
use super::held::{Held, HeldKey};
use super::news::Terms;
use super::proceed::Step;
use super::sessions::{Chatrooms, SessionKey};
use super::told::Arrival;
use super::wanted::{Limit, Since};
use crate::buffer::Bytes;
use crate::job::Fault;
use crate::model::{ChatroomId, MessageId, Now, Ticket, UserId};

/// A wait for a message in one of several chatrooms.
#[derive(Clone, Debug)]
pub struct SeveralCall {
    /// Where.
    pub chatrooms: Which,
    /// How far the client has read in chatrooms, ascending; from now in all others. `None` where it has not said.
    pub since: Option<Vec<(ChatroomId, Since)>>,
    /// Messages at most.
    pub limit: Option<Limit>,
    /// How long at most, in seconds.
    pub timeout_s: Option<u16>,
    /// Whether its time is over: it is answered as soon as it can be, and not parked.
    pub is_over: bool,
    /// Whether its `since` was ahead of what was remembered somewhere, and the store has been asked how far the chatrooms reach.
    pub is_ahead: bool,
}

/// Several chatrooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// These, ascending.
    These(Vec<ChatroomId>),
    /// Those that the user is in.
    All,
}

/// One that may be parked.
pub(super) struct Following {
    pub(super) session: SessionKey,
    kind: Kind,
    limit: Option<Limit>,
    places: Places,
}

/// Why it is not settled yet how far one has read in each chatroom.
enum Unsettled {
    /// It is not known how far these reach.
    Unknown(Vec<ChatroomId>),
    /// Further than one of them reaches.
    Ahead(Failure),
}

/// Chatrooms, and how far one has read in each, as [`Place::since`](super::followers::Place::since).
type Places = Vec<(ChatroomKey, Option<Since>)>;

/// What one held that is yet to be parked needs to be kept.
#[derive(Debug)]
pub(super) struct SeveralWatch {
    /// Its chatrooms, while it waits for some of them.
    pub(super) chatrooms: Vec<ChatroomKey>,
    /// When it came.
    arrival: Arrival,
}

impl Which {
    /// Whether one that its user is in is among them.
    pub(super) fn include(&self, chatroom: ChatroomId) -> bool {
        match self {
            Self::These(these) => these.binary_search(&chatroom).is_ok(),
            Self::All => true,
        }
    }
}

impl SeveralCall {
    fn since(&self, chatroom: ChatroomId) -> Option<Since> {
        let pairs = self.since.as_deref()?;
        let at = pairs.binary_search_by_key(&chatroom, |&(of, _)| of).ok()?;
        Some(pairs[at].1)
    }

    fn kind(&self, user: UserId, known: &[ChatroomId]) -> Kind {
        let has_since = self.since.is_some();
        let pairs = self.since.as_deref().unwrap_or_default();
        let is_elsewhere = |(of, _): &&(ChatroomId, Since)| known.binary_search(of).is_err();
        match self.chatrooms {
            Which::These(_) => Kind::These { has_since },
            Which::All => Kind::All {
                user,
                has_since,
                elsewhere: pairs.iter().filter(is_elsewhere).copied().collect(),
            },
        }
    }
}

impl Chat {
    pub(super) fn poll_several(
        &mut self,
        now: Now,
        (ticket, session): (Ticket, SessionKey),
        call: &mut SeveralCall,
        watch: Option<&SeveralWatch>,
    ) -> Step {
        if self.followers.is_spent() {
            return Step::AwaitTurn;
        }
        let user_key = self.user_key(session);
        let user = self.user_of(session);
        let user_id = user.user.id;
        let Chatrooms::Known(known) = &user.chatrooms else {
            return Step::AwaitUser(user_key);
        };
        let kind = call.kind(user_id, known);
        let ids = match &call.chatrooms {
            Which::All => known.clone(),
            Which::These(ids) if ids.iter().all(|id| known.binary_search(id).is_ok()) => {
                ids.clone()
            }
            Which::These(_) => return self.fail(ticket, Fault::NotAParticipant),
        };
        self.followers.note_effort(ids.len());
        let chatrooms = &mut self.chatrooms;
        let keys: Vec<_> = ids.iter().map(|&id| chatrooms.enter_beside(id)).collect();
        if let Which::These(_) = call.chatrooms
            && let Some(&key) = keys.iter().find(|&&key| self.is_leaving(session, key))
        {
            return Step::AwaitLeft(key);
        }
        let places = match self.places_of(&ids, &keys, call, watch) {
            Ok(places) => places,
            Err(Unsettled::Unknown(chatrooms)) => return Step::AwaitNewest(keys, chatrooms),
            Err(Unsettled::Ahead(ahead)) => {
                self.answer(ticket, Reply::Failed(ahead));
                return Step::Done;
            }
        };
        let news = self.news_in(places.iter().copied());
        if !news.is_empty() || call.is_over || self.is_draining {
            // Who is always behind never parks, and is there all the same.
            match call.chatrooms {
                Which::All => self.sessions.leave_all(session, now),
                Which::These(ref ids) => {
                    self.sessions.leave_these(session, ids.iter().copied(), now);
                }
            }
            let terms = Terms {
                is_of_all: call.chatrooms == Which::All,
                has_since: call.since.is_some(),
                limit: call.limit,
            };
            self.answer_several(ticket, session, terms, news);
            return Step::Done;
        }
        if self.followers.places.len() + places.len() > self.settings.places_max {
            return self.fail(ticket, Fault::Overloaded);
        }
        Step::Follow(Box::new(Following {
            session,
            kind,
            limit: call.limit,
            places,
        }))
    }

    /// How far the client has read in each chatroom.
    fn places_of(
        &mut self,
        ids: &[ChatroomId],
        keys: &[ChatroomKey],
        call: &mut SeveralCall,
        watch: Option<&SeveralWatch>,
    ) -> Result<Places, Unsettled> {
        let mut unknown = Vec::new();
        let mut is_ahead = false;
        let mut places = Vec::with_capacity(keys.len());
        for (&id, &key) in ids.iter().zip(keys) {
            let since = call.since(id);
            let room = self.chatrooms.chatroom(key).expect("entered");
            // What others write is told from what was read on; what this server has written itself is not enough.
            let is_heard = !self.settings.is_shared || room.is_read();
            match (since, room.known_newest().filter(|_| is_heard)) {
                (None, None) if self.settings.is_shared => unknown.push(id),
                (None, _) => places.push((key, self.since_call(key, watch))),
                (Some(_), None) => unknown.push(id),
                (Some(since), Some(last)) if since.get() <= last => {
                    places.push((key, Some(since)));
                }
                (Some(_), Some(last)) if call.is_ahead => {
                    let chatroom = Some(id);
                    let ahead = Failure::SinceAhead { chatroom, last };
                    return Err(Unsettled::Ahead(ahead));
                }
                (Some(_), Some(_)) => {
                    // What somebody has read from the store need not have been heard of here yet.
                    unknown.push(id);
                    is_ahead = true;
                }
            }
        }
        call.is_ahead |= is_ahead;
        match unknown.is_empty() {
            true => Ok(places),
            false => Err(Unsettled::Unknown(unknown)),
        }
    }

    /// How far one has read in a chatroom who wants to hear of it from when their call came.
    fn since_call(&mut self, key: ChatroomKey, watch: Option<&SeveralWatch>) -> Option<Since> {
        let room = self.chatrooms.chatroom(key).expect("entered");
        let told = watch.and_then(|watch| self.told_log.since(watch.arrival, room.id));
        let Some((first, last)) = told else {
            return match self.settings.is_shared {
                // What others have written before may yet be told here, as what is new.
                true => room.known_newest().and_then(Since::new),
                false => room.told.newest.map(Since::through),
            };
        };
        // It may not have been remembered yet when the loop was told.
        room.told.catch_up(last);
        Some(Since::before(first))
    }

    /// Parks one under a key that is in no list yet.
    pub(super) fn follow(&mut self, now: Now, key: HeldKey, following: Following) {
        let Following {
            session,
            kind,
            limit,
            places,
        } = following;
        self.followers.insert(key, kind, limit);
        for (chatroom, since) in places {
            // A chatroom that is not here is loaded when it speaks: very many may never do.
            (self.followers).take(&mut self.chatrooms, key, chatroom, since);
        }
        self.chatrooms.evict();
        self.park_in_session(now, key, session);
    }

    /// Ends a poll of several chatrooms, or a stream. `woken`: the chatroom that ends it, and its list. Whether it got what it asked for, or is to get that
    /// when it is known that it may.
    pub(super) fn end_follower(
        &mut self,
        now: Now,
        key: HeldKey,
        woken: Option<(ChatroomKey, Bytes)>,
    ) -> bool {
        let refusal = self.refusal_of(key);
        let follower = self.followers.get(key).expect("one of them");
        let (is_of_all, limit) = (follower.is_of_all(), follower.limit);
        let has_since = match follower.kind {
            Kind::Stream(feed) => {
                self.end_stream(now, key, feed, refusal);
                return false;
            }
            Kind::These { has_since } | Kind::All { has_since, .. } => has_since,
        };
        if let Some(fault) = refusal {
            let (ticket, _) = self.unfollow(now, key);
            self.answer(ticket, fault.into());
            return false;
        }
        if self.is_put_off(key, true) {
            return true;
        }
        if !has_since
            && limit.is_none()
            && let Some((_, list)) = woken
        {
            let (ticket, _) = self.unfollow(now, key);
            self.answer(ticket, Reply::Messages(list));
            return true;
        }
        let chatrooms = &self.chatrooms;
        let places = self.followers.places_of(key);
        let places = places.map(|(_, place)| (chatrooms.key_of(place.chatroom), place.since));
        let places: SmallVec<[_; 16]> = places.collect();
        let mut news = self.news_in(places.into_iter());
        if let Some((spoke, _)) = woken
            && !has_since
        {
            news.retain(|(of, _)| *of == spoke);
        }
        let (ticket, session) = self.unfollow(now, key);
        let terms = Terms {
            is_of_all,
            has_since,
            limit,
        };
        self.answer_several(ticket, session, terms, news);
        true
    }

    /// Why one of them must not get what it waits for, if it must not.
    pub(super) fn refusal_of(&mut self, key: HeldKey) -> Option<Fault> {
        let poll = self.held.get(key).and_then(Held::as_poll).expect("parked");
        let session = self.sessions.key_of(poll.session);
        match self.session_refusal(session) {
            Some(fault) => Some(fault),
            None => self.told_leaving_one(key),
        }
    }

    /// Takes one off all lists.
    pub(super) fn unfollow(&mut self, now: Now, key: HeldKey) -> (Ticket, SessionKey) {
        let session = self.leave_session(key);
        self.note_left(now, key, session);
        self.followers.end(&mut self.chatrooms, key);
        let poll = self.held.remove(key);
        let poll = poll.as_ref().and_then(Held::as_poll).expect("parked");
        (poll.ticket(self.settings.event_loop), session)
    }

    /// Its user was there until now.
    fn note_left(&mut self, now: Now, key: HeldKey, session: SessionKey) {
        let (followers, chatrooms) = (&self.followers, &self.chatrooms);
        let is_of_all = followers.get(key).is_some_and(Follower::is_of_all);
        if is_of_all {
            return self.sessions.leave_all(session, now);
        }
        let places = followers.places_of(key);
        let ids = places.map(|(_, place)| chatrooms.id_of(place.chatroom));
        self.sessions.leave_these(session, ids, now);
    }

    /// A user has come into a chatroom, when this was the newest message, if that is known: who waits in all of theirs waits there too.
    pub(super) fn follow_joined(
        &mut self,
        now: Now,
        user: UserId,
        id: ChatroomId,
        behind: Option<Option<MessageId>>,
    ) {
        for key in self.followers.of_all(user) {
            let follower = self.followers.get(key).expect("it was noted");
            let Kind::All { elsewhere, .. } = &follower.kind else {
                unreachable!("noted as one of all");
            };
            if elsewhere.iter().any(|&(of, _)| of == id) {
                // How far it has read there can be compared only when it asks again.
                self.end_follower(now, key, None);
                continue;
            }
            let chatroom = self.chatrooms.enter(id);
            if (self.followers.place_in(&self.chatrooms, key, chatroom)).is_some() {
                continue;
            }
            if self.followers.places.len() >= self.settings.places_max {
                // There is no room: it is told so when it asks again.
                self.end_follower(now, key, None);
            } else {
                let since = match behind {
                    Some(last) => Some(last.map_or(Since::NOTHING, Since::through)),
                    None => self.since_call(chatroom, None),
                };
                (self.followers).take(&mut self.chatrooms, key, chatroom, since);
                if self.settings.is_shared {
                    // What others write is told from what was loaded on.
                    self.load_chatroom(chatroom);
                    self.late.push((key, chatroom));
                    self.end_late(chatroom);
                }
            }
        }
    }

    /// Who has come to wait in a chatroom later than their user came into it ends, if it has been spoken in meanwhile; when that is known.
    pub(super) fn end_late(&mut self, chatroom: ChatroomKey) {
        let Some(room) = self.chatrooms.get(chatroom) else {
            return;
        };
        if !matches!(room.load, Load::Known) {
            return;
        }
        let late = self.late.extract_if(.., |(_, of)| *of == chatroom);
        let late: Vec<HeldKey> = late.map(|(key, _)| key).collect();
        for key in late {
            let place = self.followers.place_in(&self.chatrooms, key, chatroom);
            let since = place.and_then(|place| self.followers.places.get(place)?.since);
            let room = self.chatrooms.get(chatroom).expect("just seen");
            if since.is_some() && room.news(since).is_some() {
                self.closing.push_back(key);
            }
        }
    }

    /// A user has left a chatroom: who waits in all of theirs goes on without it. Should the user come back, what was said meanwhile is
    /// theirs to read: so how far they have read is kept.
    pub(super) fn unfollow_left(&mut self, user: UserId, id: ChatroomId) {
        let Some(chatroom) = self.chatrooms.find(id) else {
            return;
        };
        for key in self.followers.of_all(user) {
            if let Some(place) = self.followers.place_in(&self.chatrooms, key, chatroom) {
                self.followers.note_elsewhere(key, id, place);
                self.followers.give_up(&mut self.chatrooms, key, place);
            }
        }
    }

    /// Begins to note what the loop is told, for one that waits.
    pub(super) fn watch_all(&mut self) -> SeveralWatch {
        SeveralWatch {
            chatrooms: Vec::new(),
            arrival: self.told_log.arrive(),
        }
    }

    /// Keeps chatrooms for one that waits for some of them.
    pub(super) fn keep_chatrooms(&mut self, watch: &mut SeveralWatch, keys: Vec<ChatroomKey>) {
        for &key in &keys {
            let room = self.chatrooms.chatroom(key).expect("entered");
            room.watchers += 1;
        }
        let before = std::mem::replace(&mut watch.chatrooms, keys);
        self.release_chatrooms(&before);
    }

    fn release_chatrooms(&mut self, keys: &[ChatroomKey]) {
        for &key in keys {
            let room = self.chatrooms.chatroom(key);
            room.expect("its watchers keep it").watchers -= 1;
        }
    }

    pub(super) fn unwatch_all(&mut self, watch: &SeveralWatch) {
        self.release_chatrooms(&watch.chatrooms);
        self.told_log.leave(watch.arrival);
    }
}
