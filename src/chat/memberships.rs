//! Who is in which chatroom, as the store tells of it: what a loop remembers of its users changes here.
//!
//! Where other servers write to the database too, what they have changed is told later than what this one has, in whichever order it happened.
//! So there what is told is only a reason to ask for the truth. What is known of the user is forgotten, nothing is told them of what they may have left (`doubts`), and
//! their polls end, or go on in one chatroom more, by what the store says.

use super::Chat;
use super::call::Reply;
use crate::job::{AddedRow, Fault, RemovedRow};
use crate::model::{ChatroomId, MessageId, Now, Ticket, UserId};

impl Chat {
    /// The store has said which chatrooms a user is in, or could not.
    pub(super) fn user_loaded(
        &mut self,
        now: Now,
        id: UserId,
        chatrooms: Result<Vec<ChatroomId>, Fault>,
    ) {
        let Some(user) = self.sessions.user_by_id(id) else {
            return;
        };
        match chatrooms {
            Ok(_) if user.is_doubted() => return self.load_user(id),
            Ok(chatrooms) => {
                let waiters = user.settle(chatrooms);
                let (joined, left) = user.difference();
                let behind = std::mem::take(&mut user.joined_behind);
                self.again.extend(waiters);
                left.into_iter().for_each(|of| self.forget_left(id, of));
                self.end_doubt(now, id, None);
                for of in joined {
                    let behind = behind.iter().find(|(joined, _)| *joined == of);
                    self.follow_joined(now, id, of, behind.map(|&(_, last)| last));
                }
            }
            Err(fault) => {
                user.joined_behind.clear();
                for waiter in user.unsettle() {
                    self.give_up(waiter, fault);
                }
                self.end_doubt(now, id, Some(fault));
                if self.settings.is_shared {
                    // What they have come into is known only when they ask again.
                    for key in self.followers.of_all(id) {
                        self.end_follower(now, key, None);
                    }
                }
            }
        }
        self.sessions.release_user(id);
    }

    /// A user is in one chatroom more, as somebody has said.
    fn note_joined(&mut self, now: Now, id: UserId, chatroom: ChatroomId, last: Option<MessageId>) {
        let Some(user) = self.sessions.user_by_id(id) else {
            return;
        };
        if self.settings.is_shared {
            if !user.chatrooms.is_unknown() {
                user.joined_behind.push((chatroom, last));
            }
            return self.doubt(id);
        }
        user.joined(chatroom);
        self.follow_joined(now, id, chatroom, None);
    }

    /// What is known of a user's chatrooms is asked for anew.
    pub(super) fn doubt(&mut self, id: UserId) {
        let user = self.sessions.user_by_id(id);
        if user.is_some_and(|user| user.doubt()) {
            self.load_user(id);
        }
    }

    /// Nothing of a user stays in a chatroom that they have left.
    fn forget_left(&mut self, user: UserId, chatroom: ChatroomId) {
        self.leave_gatherings(user, chatroom);
        self.unfollow_left(user, chatroom);
        self.end_polls_of(user, chatroom, Fault::NotAParticipant);
    }

    pub(super) fn chatroom_created(
        &mut self,
        now: Now,
        ticket: Ticket,
        admin: UserId,
        chatroom: Result<ChatroomId, Fault>,
    ) {
        if let Ok(chatroom) = chatroom {
            self.note_joined(now, admin, chatroom, None);
        }
        self.answer_own(ticket, chatroom.map(Reply::Created));
    }

    pub(super) fn participant_added(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: ChatroomId,
        added: Result<AddedRow, Fault>,
    ) {
        if let Ok(row) = &added {
            self.note_joined(now, row.joined, id, row.last);
        }
        self.answer_own(ticket, added.map(|row| Reply::Chatroom(id, row.chatroom)));
    }

    /// From here on who left is refused what only participants may, or waits until it is known whether they are out. Who has no session here has no polls here either.
    pub(super) fn participant_removed(
        &mut self,
        ticket: Ticket,
        id: ChatroomId,
        removed: Result<RemovedRow, Fault>,
    ) {
        if let Ok(row) = &removed {
            let left = row.left;
            if self.settings.is_shared {
                // Where they were out before, another server may have removed them, and this one not have heard of it.
                self.doubt_left(left, id);
            } else if row.was_in_it {
                self.leave_gatherings(left, id);
                if let Some(user) = self.sessions.user_by_id(left) {
                    user.left(id);
                    self.forget_left(left, id);
                }
            }
        }
        let reply = removed.map(|row| Reply::Chatroom(id, row.chatroom));
        match reply {
            // Who was out by then may be so for others' sake, who have not been told yet.
            Ok(_) | Err(Fault::NotAParticipant) => {
                if ticket.event_loop == self.settings.event_loop {
                    self.answer_when_heard(ticket, reply.unwrap_or_else(Reply::from));
                }
            }
            Err(_) => self.answer_own(ticket, reply),
        }
    }
}
