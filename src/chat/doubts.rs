//! Who may have left a chatroom, until the store has said whether they have: nothing that is said there is for them so long.
//!
//! Where other servers write to the database too, who has left may be back by the time that a loop hears of it, in whichever order it hears of both.
//! So there it is heard as a doubt, and the store is asked which chatrooms the user is in, once for all of their doubts and polls ([`Chat::user_loaded`]). Until it has said so
//!
//! - **polls stay parked**: those end that are to end by what it says, and no others;
//! - **no poll of theirs gets a list of that chatroom**: a poll of one that is woken, or over, becomes a call again that waits for its user
//!   ([`Chat::begins_again`], [`Chat::give`]); one of several stays where it is, as a stream does, and is looked at again then;
//! - an endpoll of theirs is answered then.
//!
//! So whoever has asked whether a loop has heard of it may rely on that. A doubt is there only while the user's chatrooms are being loaded.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Chat;
use super::held::{Held, HeldKey};
use super::sessions::{SessionKey, Standing};
use crate::job::Fault;
use crate::model::{ChatroomId, Now, Ticket, UserId};

/// All of them, by whom they are of.
#[derive(Debug, Default)]
pub(super) struct Doubts(HashMap<UserId, Doubt>);

/// What is to be said of one user.
#[derive(Debug, Default)]
struct Doubt {
    /// Which they may have left.
    chatrooms: BTreeSet<ChatroomId>,
    /// Polls of several chatrooms, and streams, to which something has come meanwhile; whether they are over in any case.
    held: BTreeMap<HeldKey, bool>,
    /// Endpolls in those chatrooms; one of them as often as it waits.
    endpolls: Vec<Ticket>,
}

impl Doubts {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Chat {
    /// A user may have left a chatroom.
    pub(super) fn doubt_left(&mut self, id: UserId, chatroom: ChatroomId) {
        let user = self.sessions.user_by_id(id);
        let Some(asks) = user.and_then(|user| user.doubt_left()) else {
            // They have nothing parked, and nobody is asked.
            return self.leave_gatherings(id, chatroom);
        };
        let endpolls = self.await_user_in_gatherings(id, chatroom);
        let doubt = self.doubts.0.entry(id).or_default();
        doubt.chatrooms.insert(chatroom);
        doubt.endpolls.extend(endpolls);
        if asks {
            self.load_user(id);
        }
    }

    /// Whether a session's user may have left a chatroom. The session is good.
    pub(super) fn is_doubted(&mut self, session: SessionKey, chatroom: ChatroomId) -> bool {
        let doubt = self.doubt_of(session);
        doubt.is_some_and(|doubt| doubt.chatrooms.contains(&chatroom))
    }

    fn doubt_of(&mut self, session: SessionKey) -> Option<&mut Doubt> {
        if self.doubts.0.is_empty() {
            return None;
        }
        let Standing::Good(user) = self.sessions.session(session)?.standing else {
            return None;
        };
        let id = self.sessions.user(user)?.user.id;
        self.doubts.0.get_mut(&id)
    }

    /// Whether the user of a poll of several chatrooms, or of a stream, may have left one of those. Then it is looked at again when that is known,
    /// and ends in any case where it `is_over`.
    pub(super) fn is_put_off(&mut self, key: HeldKey, is_over: bool) -> bool {
        if self.doubts.0.is_empty() {
            return false;
        }
        let poll = self.held.get(key).and_then(Held::as_poll).expect("parked");
        let session = self.sessions.key_of(poll.session);
        if self.doubt_of(session).is_none() {
            return false;
        }
        let places = self.followers.places_of(key);
        let ids: Vec<_> = places
            .map(|(_, place)| self.chatrooms.id_of(place.chatroom))
            .collect();
        self.followers.note_effort(ids.len());
        let Some(doubt) = self.doubt_of(session) else {
            return false;
        };
        let is_doubted = ids.iter().any(|id| doubt.chatrooms.contains(id));
        if is_doubted {
            *doubt.held.entry(key).or_default() |= is_over;
        }
        is_doubted
    }

    /// It is known which chatrooms a user is in, and who has left has been marked to end. Or it is not known, for this reason: who waits where they may not be is to ask again.
    pub(super) fn end_doubt(&mut self, now: Now, id: UserId, fault: Option<Fault>) {
        let Some(doubt) = self.doubts.0.remove(&id) else {
            return;
        };
        if let Some(fault) = fault {
            for &chatroom in &doubt.chatrooms {
                self.unfollow_left(id, chatroom);
                self.end_polls_of(id, chatroom, fault);
            }
        }
        for (key, is_over) in doubt.held {
            self.look_again(now, key, is_over);
        }
        for caller in doubt.endpolls {
            self.gather(caller, fault.map_or(Ok(0), Err));
        }
    }

    /// Stale keys are ignored.
    fn look_again(&mut self, now: Now, key: HeldKey, is_over: bool) {
        if self.followers.feed_mut(key).is_some() {
            return self.feeding.push_back(key);
        }
        if self.followers.get(key).is_none() {
            return;
        }
        if is_over {
            self.end_follower(now, key, None);
        } else if self.has_news(key) {
            self.closing.push_back(key);
        }
    }

    /// Whether something is newer in any chatroom of a poll of several.
    fn has_news(&mut self, key: HeldKey) -> bool {
        let chatrooms = &self.chatrooms;
        let mut places = self.followers.places_of(key);
        places.any(|(_, place)| {
            let room = chatrooms.get(chatrooms.key_of(place.chatroom));
            let room = room.expect("its places keep it");
            room.news(place.since).is_some()
        })
    }
}
