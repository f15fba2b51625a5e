//! Who waits in several chatrooms, or stays: polls of several chatrooms, and streams.
//!
//! Such a poll is parked once, under its key, as one of a single chatroom is, and has a [`Place`] in the list of each of its
//! chatrooms, beside the list of polls there. Whatever concerns one chatroom goes through its places; whatever concerns the
//! connection or the session finds the poll itself, and from it all its places. A poll of one chatroom has no place, and pays for none of this.
//!
//! Each place says how far its client has read in its chatroom. So whoever ends such a poll, for whatever reason and
//! whichever of its chatrooms spoke, finds what is newer, exactly.
//!
//! `several` is what becomes of polls, `streams` of streams. Here is what they stand in.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::chatrooms::{Chatroom, ChatroomKey, Chatrooms};
use super::held::{Held, HeldKey};
use super::streams::Feed;
use super::wanted::{Limit, Since};
use crate::arena::{Arena, Key, Link, List, Pinned};
use crate::model::{ChatroomId, UserId};

pub(super) type PlaceKey = Key<Place>;

/// Where somebody waits in one of their chatrooms.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) poll: Pinned<Held>,
    pub(super) chatroom: Pinned<Chatroom>,
    /// How far they have read; `None` is up to the first that the loop will be told of: it has been told of none.
    pub(super) since: Option<Since>,
    in_chatroom: Link,
    of_follower: Link,
}

/// What is known of one who waits by places, beside the poll.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) places: List<Place>,
    pub(super) kind: Kind,
    pub(super) limit: Option<Limit>,
}

/// What somebody waits for.
#[derive(Debug)]
pub(super) enum Kind {
    /// The next message of any of these chatrooms.
    These {
        /// Whether their client said how far it has read: then it gets what is newer.
        has_since: bool,
    },
    /// The next message of any chatroom that the user is in, those included that they come into.
    All {
        user: UserId,
        has_since: bool,
        /// How far their client has read in chatrooms that they are not in.
        elsewhere: Vec<(ChatroomId, Since)>,
    },
    /// Every message of one chatroom.
    Stream(Feed),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Followers {
    pub(super) places: Arena<Place>,
    by_key: HashMap<HeldKey, Follower>,
    /// Of each user those of all chatrooms.
    of_all: HashMap<UserId, SmallVec<[HeldKey; 1]>>,
    /// Places that were taken, given up or looked through since it was last asked.
    effort: usize,
}

/// Places that cost as much to take, to give up or to look through as a poll costs to wake.
const PLACES_EACH: usize = 32;
/// Places that one turn takes and gives up before the rest has to wait for its slices (`Chat::serve`): half a millisecond.
const EFFORT_MAX: usize = 8 * 1024;

impl Follower {
    /// Whether its chatrooms are those that its user is in, whichever these are.
    pub(super) fn is_of_all(&self) -> bool {
        matches!(self.kind, Kind::All { .. })
    }
}

impl Followers {
    /// Takes one in who has no place yet.
    pub(super) fn insert(&mut self, key: HeldKey, kind: Kind, limit: Option<Limit>) {
        if let Kind::All { user, .. } = &kind {
            self.of_all.entry(*user).or_default().push(key);
        }
        let places = List::default();
        let follower = Follower {
            places,
            kind,
            limit,
        };
        self.by_key.insert(key, follower);
    }

    pub(super) fn get(&self, key: HeldKey) -> Option<&Follower> {
        self.by_key.get(&key)
    }

    pub(super) fn feed_mut(&mut self, key: HeldKey) -> Option<&mut Feed> {
        match &mut self.by_key.get_mut(&key)?.kind {
            Kind::Stream(feed) => Some(feed),
            Kind::These { .. } | Kind::All { .. } => None,
        }
    }

    /// Forgets one who has no place any more.
    fn remove(&mut self, key: HeldKey) {
        let follower = self.by_key.remove(&key).expect("forgotten once");
        debug_assert!(follower.places.is_empty(), "its places would be orphans");
        if let Kind::All { user, .. } = follower.kind {
            let of_user = self.of_all.get_mut(&user).expect("it was noted");
            of_user.retain(|&mut of| of != key);
            if of_user.is_empty() {
                self.of_all.remove(&user);
            }
        }
    }

    /// Those of a user that are of all chatrooms.
    pub(super) fn of_all(&self, user: UserId) -> SmallVec<[HeldKey; 1]> {
        self.of_all.get(&user).cloned().unwrap_or_default()
    }

    /// All there are, in an order that the same inputs give again.
    pub(super) fn keys(&self) -> Vec<HeldKey> {
        let mut keys: Vec<HeldKey> = self.by_key.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// So many places are taken or looked through.
    pub(super) fn note_effort(&mut self, places: usize) {
        self.effort += places;
    }

    /// Whether what has been done since [`Followers::cost`] was last asked is enough for a turn.
    pub(super) fn is_spent(&self) -> bool {
        self.effort >= EFFORT_MAX
    }

    /// What has been done since this was last asked, in polls to wake.
    pub(super) fn cost(&mut self) -> usize {
        std::mem::take(&mut self.effort) / PLACES_EACH
    }

    /// The places of one of them, in the order in which they were taken.
    pub(super) fn places_of(
        &self,
        key: HeldKey,
    ) -> impl Iterator<Item = (PlaceKey, &Place)> + Clone {
        let list = self.by_key.get(&key).map(|follower| &follower.places);
        let next = list.and_then(|list| list.front(&self.places));
        let after = move |&at: &PlaceKey| list?.after(&self.places, at, |place| &place.of_follower);
        std::iter::successors(next, after)
            .map(|key| (key, self.places.get(key).expect("it is in the list")))
    }

    /// The place of one of them in a chatroom.
    pub(super) fn place_in(
        &self,
        chatrooms: &Chatrooms,
        key: HeldKey,
        chatroom: ChatroomKey,
    ) -> Option<PlaceKey> {
        let room = &chatrooms.get(chatroom)?.places;
        let own = &self.by_key.get(&key)?.places;
        // A place is in both lists: the shorter one is looked through, which is empty where a chatroom is new.
        if room.len() < own.len() {
            let poll = key.pin();
            let next = |&at: &PlaceKey| room.after(&self.places, at, chatroom_link);
            let mut places = std::iter::successors(room.front(&self.places), next);
            return places.find(|&at| self.places.get(at).is_some_and(|place| place.poll == poll));
        }
        let slot = chatroom.pin();
        let mut places = self.places_of(key);
        places.find_map(|(at, place)| (place.chatroom == slot).then_some(at))
    }

    /// Takes a place behind all others.
    pub(super) fn take(
        &mut self,
        chatrooms: &mut Chatrooms,
        key: HeldKey,
        chatroom: ChatroomKey,
        since: Option<Since>,
    ) {
        let place = self.places.insert(Place {
            poll: key.pin(),
            chatroom: chatroom.pin(),
            since,
            in_chatroom: Link::default(),
            of_follower: Link::default(),
        });
        let room = chatrooms.chatroom(chatroom).expect("entered");
        (room.places).push_back(&mut self.places, place, |place| &mut place.in_chatroom);
        let follower = self.by_key.get_mut(&key).expect("taken in before");
        (follower.places).push_back(&mut self.places, place, |place| &mut place.of_follower);
    }

    /// Remembers how far one of all chatrooms has read in one that its user has left: they may come back to it.
    pub(super) fn note_elsewhere(&mut self, key: HeldKey, chatroom: ChatroomId, place: PlaceKey) {
        let since = self.places.get(place).and_then(|place| place.since);
        if let Some(follower) = self.by_key.get_mut(&key)
            && let Kind::All {
                has_since: true,
                elsewhere,
                ..
            } = &mut follower.kind
        {
            elsewhere.extend(since.map(|since| (chatroom, since)));
        }
    }

    /// Gives a place up, and takes every mark off it.
    pub(super) fn give_up(&mut self, chatrooms: &mut Chatrooms, key: HeldKey, place: PlaceKey) {
        self.leave_list(chatrooms, place);
        let follower = self.by_key.get_mut(&key).expect("it has a place");
        (follower.places).remove(&mut self.places, place, |place| &mut place.of_follower);
        self.places.remove(place);
    }

    /// Gives all places of one of them up, and forgets it.
    pub(super) fn end(&mut self, chatrooms: &mut Chatrooms, key: HeldKey) {
        while let Some(place) = self.first_place(key) {
            self.give_up(chatrooms, key, place);
            self.effort += 1;
        }
        self.remove(key);
    }

    fn first_place(&self, key: HeldKey) -> Option<PlaceKey> {
        self.by_key.get(&key)?.places.front(&self.places)
    }

    /// Moves a place behind all others of its chatroom, and takes every mark off it.
    pub(super) fn move_back(&mut self, chatrooms: &mut Chatrooms, place: PlaceKey) {
        let chatroom = self.leave_list(chatrooms, place);
        let room = chatrooms.chatroom(chatroom).expect("its places keep it");
        (room.places).push_back(&mut self.places, place, |place| &mut place.in_chatroom);
    }

    fn leave_list(&mut self, chatrooms: &mut Chatrooms, place: PlaceKey) -> ChatroomKey {
        let chatroom = self.places.get(place).expect("it is taken").chatroom;
        let chatroom = chatrooms.key_of(chatroom);
        let room = chatrooms.chatroom(chatroom).expect("its places keep it");
        if room.places_through == Some(place) {
            room.places_through = (room.places).before(&self.places, place, chatroom_link);
        }
        if let Some(leaving) = &mut room.leaving {
            (leaving.places).leave(place, &room.places, &self.places, chatroom_link);
        }
        (room.places).remove(&mut self.places, place, |place| &mut place.in_chatroom);
        chatroom
    }
}

/// The link in the chatroom's list of places.
pub(super) fn chatroom_link(place: &Place) -> &Link {
    &place.in_chatroom
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::SideTable;

    #[test]
    fn a_place_is_small() {
        assert_eq!(size_of::<Place>(), 32);
        assert_eq!(SideTable::<Place, Place>::SLOT_BYTES, 40);
    }
}
