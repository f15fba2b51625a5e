//! Whose a session is or was, and what it has left: for whoever looks for somebody's polls.
//!
//! A session is found here for as long as there is anything of it, whether it is good or not: one that has ended may have polls that are yet
//! to end. So a session has one place here, from the moment that its user is known to its own end, and keeps it whatever becomes of it or of the user.

use std::sync::Arc;

use super::{Session, SessionKey, Sessions, Standing};
use crate::arena::Link;
use crate::chat::lately::{Left, Moment};
use crate::model::{ChatroomId, Now, UserId};

impl Sessions {
    /// Whose a session is or was, as far as that is known.
    pub(super) fn user_id(&self, session: &Session) -> Option<UserId> {
        match session.standing {
            Standing::Loading { .. } => None,
            Standing::Good(user) => self.users.get(user).map(|user| user.user.id),
            Standing::Ended(id, _) => Some(id),
        }
    }

    /// A poll of the session leaves a chatroom, or has not had to stay.
    pub(in crate::chat) fn leave(&mut self, key: SessionKey, chatroom: ChatroomId, now: Now) {
        let at = Moment::of(now);
        self.renew_left(key, Left::One { chatroom, at }, at);
    }

    /// The same of all that its user is in.
    pub(in crate::chat) fn leave_all(&mut self, key: SessionKey, now: Now) {
        let at = Moment::of(now);
        self.renew_left(key, Left::All { at }, at);
    }

    /// The same of several.
    pub(in crate::chat) fn leave_these(
        &mut self,
        key: SessionKey,
        ids: impl Iterator<Item = ChatroomId> + Clone,
        now: Now,
    ) {
        let at = Moment::of(now);
        let session = self.sessions.get_mut(key).expect("its polls keep it");
        // Mostly it is what the session's last poll has left too.
        if let Left::These {
            chatrooms,
            at: left,
        } = &mut session.left
            && chatrooms.iter().copied().eq(ids.clone())
        {
            *left = at;
            return;
        }
        let chatrooms = Arc::new(ids.collect());
        self.renew_left(key, Left::These { chatrooms, at }, at);
    }

    fn renew_left(&mut self, key: SessionKey, left: Left, now: Moment) {
        let session = self.sessions.get_mut(key).expect("its polls keep it");
        if let Some(before) = session.left.renew(left, now) {
            self.keep_left(key, before);
        }
    }

    /// Remembers what a session has left and will not remember itself.
    fn keep_left(&mut self, key: SessionKey, left: Left) {
        let session = self.sessions.get(key).expect("it has left something");
        if let Some(user) = self.user_id(session) {
            self.lately.keep(user, &left);
        }
    }

    /// Lets go of what nobody has left lately.
    pub(in crate::chat) fn roll(&mut self, now: Now) {
        self.lately.roll(now);
    }

    /// Whether a session that does not remember it itself has left a chatroom lately.
    pub(in crate::chat) fn has_left(
        &self,
        user: UserId,
        chatroom: ChatroomId,
        now: Moment,
    ) -> bool {
        self.lately.includes(user, chatroom, now)
    }

    /// The first of all sessions that are or were of a user.
    pub(in crate::chat) fn first_by_id(&self, user: UserId) -> Option<SessionKey> {
        self.by_id.get(&user)?.front(&self.sessions)
    }

    /// The next of them.
    pub(in crate::chat) fn next_by_id(&self, user: UserId, key: SessionKey) -> Option<SessionKey> {
        let all = self.by_id.get(&user)?;
        all.after(&self.sessions, key, |session| &session.of_id)
    }

    /// From now on it is known whose the session is.
    pub(super) fn enter_id(&mut self, user: UserId, session: SessionKey) {
        let all = self.by_id.entry(user).or_default();
        all.push_back(&mut self.sessions, session, of_id);
    }

    /// The session goes.
    pub(super) fn leave_id(&mut self, user: UserId, session: SessionKey) {
        let all = self.by_id.get_mut(&user).expect("its sessions keep it");
        all.remove(&mut self.sessions, session, of_id);
        if all.is_empty() {
            self.by_id.remove(&user);
        }
    }
}

/// The link in the list of all sessions that are or were of the user.
fn of_id(session: &mut Session) -> &mut Link {
    &mut session.of_id
}
