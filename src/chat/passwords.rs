//! A changed password, and the end of the user's other sessions that comes with it.
//!
//! They are gone for good at once, however many there are: from the moment that a loop is told, the user that it remembers is a former
//! one, whose sessions are good for nothing, and the session that stays has a user of its own ([`Sessions::part`]). What is
//! remembered of the former one's sessions goes slice by slice, and their polls with it.
//!
//! [`Sessions::part`]: super::sessions::Sessions::part

use super::Chat;
use super::call::Reply;
use super::serve::Ending;
use super::sessions::UserKey;
use crate::job::{Fault, LOGINS_LOOP};
use crate::model::{Now, SessionHash, Ticket, UserId};

impl Chat {
    /// The store has changed a password, or has not.
    pub(super) fn password_changed(
        &mut self,
        now: Now,
        ticket: Ticket,
        user: UserId,
        session: &SessionHash,
        done: Result<(), Fault>,
    ) {
        if done.is_ok() {
            self.end_reads(|reader| reader.user == user && reader.session != *session);
        }
        if done.is_ok()
            && let Some(former) = self.sessions.part(user, session)
        {
            self.parting.push_back(former);
        }
        if self.settings.event_loop == LOGINS_LOOP {
            self.verified(now, ticket, done.map(|()| Reply::Done));
        }
    }

    /// Ends a slice of a former user's sessions; returns what it cost, at least 1.
    pub(super) fn serve_parting(&mut self, former: UserKey, slice: usize) -> usize {
        for cost in 0..slice {
            let Some(session) = self.sessions.first_of(former) else {
                return cost.max(1);
            };
            self.sessions.end(session);
            self.end(session, Ending::of_session());
        }
        self.parting.push_back(former);
        slice
    }
}
