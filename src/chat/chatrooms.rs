//! Chatrooms as the loop remembers them: their recent messages and their parked polls.

use std::collections::HashMap;

use crate::arena::{Arena, Key, Link, List, Pinned};
use crate::buffer::Bytes;
use crate::chat::followers::{Place, PlaceKey};
use crate::chat::gathering::PollsToEnd;
use crate::chat::held::{Held, HeldKey};
use crate::chat::leaving::Leaving;
use crate::chat::recent::Recent;
use crate::chat::wanted::Since;
use crate::model::{ChatroomId, Message, MessageId, Ticket};

pub(super) type ChatroomKey = Key<Chatroom>;

/// A chatroom that somebody polls, or lately did something in.
#[derive(Debug)]
pub(super) struct Chatroom {
    pub(super) id: ChatroomId,
    pub(super) recent: Recent,
    pub(super) load: Load,
    pub(super) polls: List<Held>,
    /// Those of polls of several chatrooms, and of streams.
    pub(super) places: List<Place>,
    /// The last of the polls that the wake under way is for; none when none is.
    pub(super) wake_through: Option<HeldKey>,
    /// The last of the places.
    pub(super) places_through: Option<PlaceKey>,
    /// The list that those polls get.
    pub(super) wake_list: Option<Bytes>,
    pub(super) is_waking: bool,
    /// While polls of those who have left may be parked here.
    pub(super) leaving: Option<Box<Leaving>>,
    pub(super) told: Told,
    /// Where others write to the database too: the newest message that polls have been woken for, or that was there before any was parked. What
    /// is told once more wakes nobody.
    pub(super) woken: Option<MessageId>,
    /// How far it reached when the store was last asked for that alone.
    pub(super) reached: Option<Since>,
    /// Held calls that compare `told` later: the chatroom stays for them.
    pub(super) watchers: u32,
    by_use: Link,
}

/// Which messages the loop has been told of since it remembers the chatroom. The store may have read later ones before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    first: Option<MessageId>,
    pub(super) newest: Option<MessageId>,
}

impl Told {
    /// They come in the order of their ids, but for what other servers have written.
    pub(super) fn note(&mut self, id: MessageId) {
        self.first.get_or_insert(id);
        self.newest = self.newest.max(Some(id));
    }

    /// What was told before the chatroom was remembered, up to this one: whoever has been told of nothing since hears of the next.
    pub(super) fn catch_up(&mut self, newest: MessageId) {
        self.newest = self.newest.max(Some(newest));
    }

    /// Whether something was told since `newest` was the newest of it.
    pub(super) fn has_more_than(&self, newest: Option<MessageId>) -> bool {
        match newest {
            Some(_) => self.newest > newest,
            None => self.first.is_some(),
        }
    }

    /// How far somebody has read who has read all that was told when `newest` was the newest of it: `None` is as `Place::since`.
    pub(super) fn since(&self, newest: Option<MessageId>) -> Option<Since> {
        match newest {
            Some(newest) => Some(Since::through(newest)),
            None => self.first.map(Since::before),
        }
    }
}

/// Whether the recent messages are here.
#[derive(Debug)]
pub(super) enum Load {
    /// Nobody has asked the store yet, or it could not say.
    Unknown,
    /// The store has been asked.
    Loading(Box<Loading>),
    /// They are.
    Known,
}

/// What has come while the store was being asked.
#[derive(Debug, Default)]
pub(super) struct Loading {
    /// Calls to be begun again.
    pub(super) waiters: Vec<HeldKey>,
    /// Messages saved meanwhile, each with the sender who waits for the list that it ends.
    pub(super) saved: Vec<(Message, Option<Ticket>)>,
    /// The oldest message that is kept, where others have expired meanwhile.
    pub(super) first: Option<MessageId>,
    /// Polls that other loops have asked to end meanwhile.
    pub(super) endings: Vec<PollsToEnd>,
    /// The store is to be asked once more: which messages have expired meanwhile was not told.
    pub(super) is_stale: bool,
}

/// All remembered chatrooms.
#[derive(Debug)]
pub(super) struct Chatrooms {
    by_id: HashMap<ChatroomId, ChatroomKey>,
    chatrooms: Arena<Chatroom>,
    by_use: List<Chatroom>,
    /// Bytes of all recent messages, and their bound.
    bytes: usize,
    bytes_max: usize,
    /// Which have come (true) and gone since the store was told last, in order; only where it is to be told.
    held: Option<Vec<(ChatroomId, bool)>>,
}

/// Chatrooms cost memory without any message too: each counts as this many bytes more.
const BYTES_EACH: usize = 256;
/// How many of the least recently used are looked at for one to leave, at each message.
const EVICTION_TRIES: usize = 8;

impl Chatroom {
    /// Whether anybody waits in it.
    pub(super) fn has_polls(&self) -> bool {
        !self.polls.is_empty() || !self.places.is_empty()
    }

    /// The newest message that somebody who waits here could be given, from here or from the store; 0 where there is none.
    pub(super) fn newest(&self) -> i64 {
        let told = self.told.newest.map_or(0, MessageId::get);
        match self.load {
            // What the store has and has not told of yet is told soon.
            Load::Known => self.recent.last().map_or(0, MessageId::get).max(told),
            Load::Unknown | Load::Loading(_) => self.reached.map_or(0, Since::get).max(told),
        }
    }

    /// The newest message of all that are known here, if it is known that there is none before it which the loop is yet to be told of.
    pub(super) fn known_newest(&self) -> Option<i64> {
        let is_told = self.told.newest.is_some() || self.reached.is_some();
        let is_known = is_told || matches!(self.load, Load::Known);
        is_known.then(|| self.newest().max(self.reached.map_or(0, Since::get)))
    }

    /// Whether the store has said how far it reaches.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.load, Load::Known) || self.reached.is_some()
    }

    /// From where on there is something newer for one who has read so far (see `Place::since`), if there is.
    pub(super) fn news(&self, since: Option<Since>) -> Option<Since> {
        let since = since.or_else(|| self.told.since(None))?;
        (since.get() < self.newest()).then_some(since)
    }

    /// Whether something needs this chatroom to stay.
    pub(super) fn is_pinned(&self) -> bool {
        self.has_polls()
            || self.watchers > 0
            || self.is_waking
            || self.leaving.is_some()
            || matches!(self.load, Load::Loading(_))
    }
}

impl Chatrooms {
    pub(super) fn new(bytes_max: usize, are_told: bool) -> Self {
        Self {
            held: are_told.then(Vec::new),
            by_id: HashMap::new(),
            chatrooms: Arena::default(),
            by_use: List::default(),
            bytes: 0,
            bytes_max,
        }
    }

    pub(super) fn find(&self, id: ChatroomId) -> Option<ChatroomKey> {
        self.by_id.get(&id).copied()
    }

    /// The chatroom, remembered from now on if it was not. Says nothing of whether it exists.
    pub(super) fn enter(&mut self, id: ChatroomId) -> ChatroomKey {
        let key = self.enter_beside(id);
        self.evict();
        key
    }

    /// The same, but no other leaves for it: for whoever enters several, and evicts when they are taken.
    pub(super) fn enter_beside(&mut self, id: ChatroomId) -> ChatroomKey {
        if let Some(key) = self.find(id) {
            self.touch(key);
            return key;
        }
        self.bytes += BYTES_EACH;
        let key = self.chatrooms.insert(Chatroom {
            id,
            recent: Recent::default(),
            load: Load::Unknown,
            polls: List::default(),
            places: List::default(),
            wake_through: None,
            places_through: None,
            wake_list: None,
            is_waking: false,
            leaving: None,
            told: Told::default(),
            woken: None,
            reached: None,
            watchers: 0,
            by_use: Link::default(),
        });
        self.by_id.insert(id, key);
        if let Some(held) = &mut self.held {
            held.push((id, true));
        }
        self.by_use
            .push_back(&mut self.chatrooms, key, |chatroom| &mut chatroom.by_use);
        key
    }

    /// The key of one that has stayed.
    pub(super) fn key_of(&self, pinned: Pinned<Chatroom>) -> ChatroomKey {
        self.chatrooms.key_of(pinned)
    }

    /// The id of one that has stayed.
    pub(super) fn id_of(&self, pinned: Pinned<Chatroom>) -> ChatroomId {
        let chatroom = self.chatrooms.get(self.key_of(pinned));
        chatroom.expect("its key is the slot's").id
    }

    pub(super) fn get(&self, key: ChatroomKey) -> Option<&Chatroom> {
        self.chatrooms.get(key)
    }

    pub(super) fn chatroom(&mut self, key: ChatroomKey) -> Option<&mut Chatroom> {
        self.chatrooms.get_mut(key)
    }

    /// All chatrooms in which polls of one chatroom are parked.
    pub(super) fn with_polls(&self) -> Vec<ChatroomKey> {
        let polled = self
            .chatrooms
            .iter()
            .filter(|(_, chatroom)| !chatroom.polls.is_empty());
        polled.map(|(key, _)| key).collect()
    }

    /// What is known of their messages may not be so any more, not even how far they are: it is read when somebody asks for it, and what is being read is read once more.
    pub(super) fn doubt_all(&mut self) {
        let keys: Vec<_> = self.chatrooms.iter().map(|(key, _)| key).collect();
        for key in keys {
            let chatroom = self.chatrooms.get_mut(key).expect("just listed");
            match &mut chatroom.load {
                Load::Unknown => {}
                Load::Loading(loading) => loading.is_stale = true,
                Load::Known => chatroom.load = Load::Unknown,
            }
            chatroom.told = Told::default();
            (chatroom.woken, chatroom.reached) = (None, None);
        }
    }

    fn touch(&mut self, key: ChatroomKey) {
        self.by_use
            .remove(&mut self.chatrooms, key, |chatroom| &mut chatroom.by_use);
        self.by_use
            .push_back(&mut self.chatrooms, key, |chatroom| &mut chatroom.by_use);
    }

    /// The store has said what the recent messages are.
    pub(super) fn fill<'a>(
        &mut self,
        key: ChatroomKey,
        messages: impl Iterator<Item = &'a Message>,
        last: Option<MessageId>,
    ) {
        self.change(key, |recent| {
            *recent = Recent::default();
            messages.for_each(|message| recent.push(message, u32::MAX));
            recent.go_on_behind(last);
        });
    }

    /// Lets go of messages that are gone.
    pub(super) fn forget_before(&mut self, key: ChatroomKey, first: MessageId) {
        self.change(key, |recent| recent.forget_before(first));
    }

    /// Appends a message to the recent ones.
    pub(super) fn push(&mut self, key: ChatroomKey, message: &Message, max: u32) {
        self.change(key, |recent| recent.push(message, max));
    }

    /// Lets go of the oldest messages beyond `max`.
    pub(super) fn trim(&mut self, key: ChatroomKey, max: u32) {
        self.change(key, |recent| recent.trim(max));
    }

    fn change(&mut self, key: ChatroomKey, change: impl FnOnce(&mut Recent)) {
        let chatroom = self
            .chatrooms
            .get_mut(key)
            .expect("changed while it is there");
        self.bytes -= chatroom.recent.bytes();
        change(&mut chatroom.recent);
        self.bytes += chatroom.recent.bytes();
        self.touch(key);
        self.evict();
    }

    pub(super) fn evict(&mut self) {
        for _ in 0..EVICTION_TRIES.min(self.by_use.len().saturating_sub(1)) {
            if self.bytes <= self.bytes_max {
                return;
            }
            let Some(oldest) = self.by_use.front(&self.chatrooms) else {
                return;
            };
            if self.chatrooms.get(oldest).is_some_and(Chatroom::is_pinned) {
                self.touch(oldest);
            } else {
                self.remove(oldest);
            }
        }
    }

    fn remove(&mut self, key: ChatroomKey) {
        self.by_use
            .remove(&mut self.chatrooms, key, |chatroom| &mut chatroom.by_use);
        let chatroom = self.chatrooms.remove(key).expect("listed");
        self.by_id.remove(&chatroom.id);
        if let Some(held) = &mut self.held {
            held.push((chatroom.id, false));
        }
        self.bytes -= BYTES_EACH + chatroom.recent.bytes();
    }

    /// Which have been held from then on, or no more, since this was asked last; where the store wants to know.
    pub(super) fn take_held(&mut self) -> Vec<(ChatroomId, bool)> {
        self.held.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether the store has not been told yet.
    pub(super) fn has_held(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.is_empty())
    }

    /// How many chatrooms are remembered.
    pub(super) fn len(&self) -> usize {
        self.chatrooms.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: i64) -> ChatroomId {
        ChatroomId::new(n).expect("positive")
    }

    #[test]
    fn the_least_recently_used_leaves_unless_it_is_needed() {
        let mut chatrooms = Chatrooms::new(3 * BYTES_EACH, true);
        let pinned = chatrooms.enter(id(1));
        chatrooms.chatroom(pinned).expect("entered").watchers = 1;
        chatrooms.enter(id(2));
        chatrooms.enter(id(3));
        chatrooms.enter(id(2));
        chatrooms.enter(id(4));
        assert_eq!(chatrooms.find(id(1)), Some(pinned));
        assert!(chatrooms.find(id(2)).is_some());
        assert_eq!(chatrooms.find(id(3)), None);
        assert_eq!(chatrooms.len(), 3);
    }
}
