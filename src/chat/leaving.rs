//! Who has left a chatroom, until none of their polls is parked there.
//!
//! From the moment that a loop is told of it, who has left is refused whatever only participants may (`memberships`).
//! Polls that are parked by then are ended by a walk through the chatroom's polls, in slices. While it is under way
//!
//! - **no poll of theirs gets a list**: whatever comes to it before the walk does, a wake or its time, tells it instead
//!   that its user is not there any more ([`Chat::unpark`]);
//! - **nobody comes back before their polls have gone**: who is let in again meanwhile waits with polls and endpolls of that
//!   chatroom for the walk's end. So each poll of theirs that the walk meets is one from before, and none from after.
//!
//! Whoever leaves during a walk is for the next one, with all who do. So however many leave, a poll is passed over once for
//! all of them, or twice.
//!
//! Where it cannot be found out whether somebody has left (`doubts`) their polls end in the same way, and are told why.

use std::collections::HashMap;

use super::Chat;
use super::chatrooms::ChatroomKey;
use super::followers::{self, Place, PlaceKey};
use super::held::{self, Held, HeldKey};
use super::serve::PASSED_EACH;
use super::sessions::{SessionKey, Standing};
use super::walk::Walk;
use crate::job::Fault;
use crate::model::{ChatroomId, Now, UserId};

/// Those who have left a chatroom while polls of theirs may be parked in it.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Whom the walk is for, and what their polls are told.
    users: HashMap<UserId, Fault>,
    /// Who has left since it began.
    next: HashMap<UserId, Fault>,
    /// Through the polls of one chatroom.
    pub(super) walk: Walk<Held>,
    /// Then through the places of those of several, and of streams.
    pub(super) places: Walk<Place>,
    /// Calls of those who are back already.
    pub(super) waiters: Vec<HeldKey>,
}

impl Leaving {
    fn told(&self, user: UserId) -> Option<Fault> {
        let told = self.users.get(&user).or_else(|| self.next.get(&user));
        told.copied()
    }
}

impl Chat {
    /// Has all polls end that a user has parked in a chatroom, for this reason.
    pub(super) fn end_polls_of(&mut self, user: UserId, chatroom: ChatroomId, why: Fault) {
        let Some(key) = self.chatrooms.find(chatroom) else {
            return;
        };
        let room = self.chatrooms.chatroom(key).expect("found");
        if !room.has_polls() {
            return;
        }
        if room.leaving.is_none() {
            self.leaving.push_back(key);
        }
        let leaving = room.leaving.get_or_insert_default();
        let users = match leaving.walk {
            Walk::Waiting => &mut leaving.users,
            Walk::At { .. } | Walk::Over => &mut leaving.next,
        };
        users.entry(user).or_insert(why);
    }

    /// Whether polls from before a session's user left the chatroom may still be parked there.
    pub(super) fn is_leaving(&mut self, session: SessionKey, key: ChatroomKey) -> bool {
        self.told_leaving(session, key).is_some()
    }

    /// What those polls are told.
    pub(super) fn told_leaving(&mut self, session: SessionKey, key: ChatroomKey) -> Option<Fault> {
        let room = self.chatrooms.chatroom(key).expect("entered");
        room.leaving.as_ref()?;
        let user = self.user_of(session).user.id;
        let room = self.chatrooms.chatroom(key).expect("entered");
        room.leaving.as_ref()?.told(user)
    }

    /// Takes a chatroom's walk on by at most a slice; returns what it cost, at least 1.
    pub(super) fn serve_leaving(&mut self, now: Now, key: ChatroomKey, slice: usize) -> usize {
        let mut cost = 0;
        let mut passed: usize = 0;
        while cost < slice {
            let room = self.chatrooms.chatroom(key).expect("who leaves keeps it");
            let leaving = room.leaving.as_mut().expect("listed while there are some");
            match leaving.walk {
                Walk::Waiting => {
                    leaving.walk = Walk::begin(&room.polls, &self.held);
                    leaving.places = Walk::begin(&room.places, &self.followers.places);
                }
                Walk::At { at, .. } => {
                    (leaving.walk).step(&room.polls, &self.held, held::chatroom_link);
                    if self.end_if_left(now, key, at) {
                        cost += 1;
                    } else {
                        passed += 1;
                        cost += usize::from(passed.is_multiple_of(PASSED_EACH));
                    }
                }
                Walk::Over if let Walk::At { at, .. } = leaving.places => {
                    let places = &self.followers.places;
                    (leaving.places).step(&room.places, places, followers::chatroom_link);
                    self.end_follower_if_left(now, at);
                    cost += 1 + self.followers.cost();
                }
                Walk::Over => {
                    self.again.extend(std::mem::take(&mut leaving.waiters));
                    leaving.users = std::mem::take(&mut leaving.next);
                    leaving.walk = Walk::Waiting;
                    if leaving.users.is_empty() {
                        room.leaving = None;
                        return cost.max(1);
                    }
                }
            }
        }
        self.leaving.push_back(key);
        cost
    }

    /// Ends a poll that is parked in the chatroom if its user has left it.
    fn end_if_left(&mut self, now: Now, chatroom: ChatroomKey, key: HeldKey) -> bool {
        let poll = self.held.get(key).and_then(Held::as_poll);
        let session = self.sessions.key_of(poll.expect("parked").session);
        let session_of_poll = self.sessions.session(session).expect("its polls keep it");
        // The polls of one that has ended end with it.
        let is_good = matches!(session_of_poll.standing, Standing::Good(_));
        let has_left = is_good && self.is_leaving(session, chatroom);
        if has_left {
            let poll = self.unpark(now, key);
            let why = poll.refusal.unwrap_or(Fault::NotAParticipant);
            self.answer(poll.ticket, why.into());
        }
        has_left
    }

    /// Ends what has this place if its user has left the chatroom. What waits in all of a user's chatrooms has left it before.
    fn end_follower_if_left(&mut self, now: Now, place: PlaceKey) {
        let place = self
            .followers
            .places
            .get(place)
            .expect("the cursor stands there");
        let key = self.held.key_of(place.poll);
        if self.told_leaving_one(key).is_some() {
            self.end_follower(now, key, None);
        }
    }

    /// What a poll of several chatrooms, or a stream, of a good session is told whose user has left one of them.
    pub(super) fn told_leaving_one(&mut self, key: HeldKey) -> Option<Fault> {
        let poll = self.held.get(key).and_then(Held::as_poll).expect("parked");
        let session = self.sessions.key_of(poll.session);
        let follower = self.followers.get(key).expect("one of them");
        // What its user has left one of all has left too. Those of a session that has ended end with it.
        let (is_of_all, places) = (follower.is_of_all(), follower.places.len());
        if is_of_all || self.session_refusal(session).is_some() {
            return None;
        }
        self.followers.note_effort(places);
        let chatrooms = &mut self.chatrooms;
        let mut somebody_leaves = false;
        for (_, place) in self.followers.places_of(key) {
            let room = chatrooms.chatroom(chatrooms.key_of(place.chatroom));
            somebody_leaves |= room.expect("its places keep it").leaving.is_some();
        }
        if !somebody_leaves {
            return None;
        }
        let chatrooms = &self.chatrooms;
        let places = self.followers.places_of(key);
        let keys: Vec<_> = places
            .map(|(_, place)| chatrooms.key_of(place.chatroom))
            .collect();
        keys.into_iter()
            .find_map(|key| self.told_leaving(session, key))
    }

    /// Why none of a session's polls must get a list, if they must not.
    pub(super) fn session_refusal(&mut self, key: SessionKey) -> Option<Fault> {
        let session = (self.sessions.session(key)).expect("its polls keep it");
        let standing = match session.standing {
            Standing::Good(user) => Some(user),
            Standing::Loading { .. } => None,
            Standing::Ended(_, why) => return Some(why),
        };
        match standing {
            Some(user) if self.parting.is_empty() || !self.sessions.is_former(user) => None,
            Some(_) | None => Some(Fault::NoSession),
        }
    }
}
