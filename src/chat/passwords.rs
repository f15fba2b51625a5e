//! A changed password, and the end of the user's other sessions that comes with it.
//!
//! They are gone for good at once, however many there are: from the moment that a loop is told, the user that it remembers is a former
//! one, whose sessions are good for nothing, and the session that stays has a user of its own ([`Sessions::part`]). What is
//! remembered of the former one's sessions goes slice by slice, and their polls with it.
//!
//! Where other servers share the database one of them may have made a session since, of which this loop may know before it hears of the
//! change: so the store says which have ended, and those alone end, each as at a logout.
//!
//! [`Sessions::part`]: super::sessions::Sessions::part

use std::collections::HashSet;

use super::Chat;
use super::call::Reply;
use super::serve::Ending;
use super::sessions::UserKey;
use crate::job::{Fault, LOGINS_LOOP};
use crate::model::{Now, SessionHash, Ticket, UserId};

impl Chat {
    /// The sessions of a user have ended: these, or all but the one that is kept.
    pub(super) fn end_others(
        &mut self,
        user: UserId,
        kept: &SessionHash,
        ended: Option<&[SessionHash]>,
    ) {
        if let Some(ended) = ended {
            let all: HashSet<&SessionHash> = ended.iter().collect();
            self.end_reads(Fault::NoSession, |reader| all.contains(&reader.session));
            return ended.iter().for_each(|hash| self.end_remembered(hash));
        }
        self.end_reads(Fault::NoSession, |reader| {
            reader.user == user && reader.session != *kept
        });
        if let Some(former) = self.sessions.part(user, kept) {
            self.parting.push_back(former);
        }
    }

    /// The store has changed a password, or has not.
    pub(super) fn password_changed(&mut self, now: Now, ticket: Ticket, done: Result<(), Fault>) {
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
            self.sessions.end(session, Fault::NoSession);
            self.end(session, Ending::of_session());
        }
        self.parting.push_back(former);
        slice
    }
}
