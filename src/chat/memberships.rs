//! Who is in which chatroom, as the store tells of it: what a loop remembers of its users changes here.

use super::Chat;
use super::call::Reply;
use crate::job::{AddedRow, Fault, RemovedRow};
use crate::model::{ChatroomId, Now, Ticket, UserId};

impl Chat {
    pub(super) fn chatroom_created(
        &mut self,
        now: Now,
        ticket: Ticket,
        admin: UserId,
        chatroom: Result<ChatroomId, Fault>,
    ) {
        if let Ok(chatroom) = chatroom
            && let Some(user) = self.sessions.user_by_id(admin)
        {
            user.joined(chatroom);
            self.follow_joined(now, admin, chatroom);
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
        if let Ok(row) = &added
            && let Some(user) = self.sessions.user_by_id(row.joined)
        {
            user.joined(id);
            self.follow_joined(now, row.joined, id);
        }
        self.answer_own(ticket, added.map(|row| Reply::Chatroom(id, row.chatroom)));
    }

    /// From here on who left is refused what only participants may. Who has no session here has no polls here either.
    pub(super) fn participant_removed(
        &mut self,
        ticket: Ticket,
        id: ChatroomId,
        removed: Result<RemovedRow, Fault>,
    ) {
        if let Ok(row) = &removed
            && let Some(left) = row.left
        {
            self.leave_gatherings(left, id);
            if let Some(user) = self.sessions.user_by_id(left) {
                user.left(id);
                self.unfollow_left(left, id);
                self.end_polls_of(left, id);
            }
        }
        match removed {
            Ok(row) if row.left.is_some() => {
                if ticket.event_loop == self.settings.event_loop {
                    self.answer_when_heard(ticket, Reply::Chatroom(id, row.chatroom));
                }
            }
            removed => {
                self.answer_own(ticket, removed.map(|row| Reply::Chatroom(id, row.chatroom)));
            }
        }
    }
}
