//! Polls that are over and whose list the store is reading, since it reaches back further than is remembered here.
//!
//! Such a poll is in no list any more that an ending could walk: so whose it is stands here until the store has answered. The store
//! itself looks whether the user is in the chatroom; of sessions it is not asked. One that ends meanwhile answers its polls at once, and what the
//! store says then is for nobody.

use std::collections::HashMap;

use super::Chat;
use super::call::Reply;
use super::sessions::{SessionKey, Standing};
use crate::job::{Fault, Job};
use crate::model::{SessionHash, Ticket, UserId};

/// Who waits for a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) session: SessionHash,
    pub(super) user: UserId,
    /// It waited in all chatrooms that its user is in.
    is_of_all: bool,
    /// It has been answered: its session has ended, or may have.
    is_over: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Reads(HashMap<Ticket, Reader>);

impl Reads {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Chat {
    /// Has the store read a list for a poll that is over; `job` is made for its user.
    pub(super) fn read_for(
        &mut self,
        ticket: Ticket,
        session: SessionKey,
        is_of_all: bool,
        job: impl FnOnce(UserId) -> Job,
    ) {
        let session = self.sessions.session(session).expect("its call keeps it");
        let (hash, standing) = (session.hash, &session.standing);
        let &Standing::Good(user) = standing else {
            return self.answer(ticket, Fault::NoSession.into());
        };
        let user = self.sessions.user(user).expect("its sessions keep it");
        let user = user.user.id;
        let reader = Reader {
            session: hash,
            user,
            is_of_all,
            is_over: false,
        };
        self.reads.0.insert(ticket, reader);
        self.submit(job(user));
    }

    /// Sessions have ended, or are forgotten, for this reason: so have their polls.
    pub(super) fn end_reads(&mut self, why: Fault, is_over: impl Fn(&Reader) -> bool) {
        let mut over = Vec::new();
        for (&ticket, reader) in &mut self.reads.0 {
            if !reader.is_over && is_over(reader) {
                reader.is_over = true;
                over.push(ticket);
            }
        }
        // The same inputs give the same outputs.
        over.sort_unstable_by_key(|ticket| ticket.connection);
        for ticket in over {
            self.answer(ticket, why.into());
        }
    }

    /// The store has read what a poll waits for, or another call, whatever has become of its session.
    pub(super) fn read_done(&mut self, ticket: Ticket, read: Result<Reply, Fault>) {
        let Some(reader) = self.reads.0.remove(&ticket) else {
            return self.answer_own(ticket, read);
        };
        if reader.is_over {
            return;
        }
        let reply = match read {
            // Its user has left one of them, of which this loop may not have heard yet: it goes on without that when it comes again.
            Err(Fault::NotAParticipant) if reader.is_of_all => {
                Reply::Messages(self.empty_list.clone())
            }
            read => read.unwrap_or_else(Reply::from),
        };
        self.answer(ticket, reply);
    }
}
