//! What the store says, taken in: the caches change here and nowhere else.

use std::sync::Arc;

use super::Chat;
use super::call::Reply;
use super::chatrooms::{ChatroomKey, Load, Loading};
use super::recent::Recent;
use super::serve::Ending;
use super::sessions::{SessionKey, Standing};
use crate::job::{AddedRow, Completion, Fault, RecentRows, SessionRow};
use crate::model::{ChatroomId, Message, Now, SessionHash, Ticket, UserId};

impl Chat {
    /// Takes in what became of a job.
    pub fn complete(&mut self, now: Now, completion: Completion) {
        match completion {
            Completion::SessionFound { session, found } => self.session_found(&session, found),
            Completion::UserLoaded { user, chatrooms } => self.user_loaded(user, chatrooms),
            Completion::ChatroomLoaded { chatroom, loaded } => {
                self.chatroom_loaded(chatroom, loaded);
            }
            Completion::MessageSaved {
                ticket,
                chatroom,
                message,
            } => self.message_saved(ticket, chatroom, message),
            Completion::LoggedOut {
                ticket,
                session,
                done,
            } => self.logged_out(ticket, session, done),
            Completion::LoggedIn { ticket, login } => self.logged_in(now, ticket, login),
            Completion::ChatroomCreated {
                ticket,
                admin,
                chatroom,
            } => self.chatroom_created(ticket, admin, chatroom),
            Completion::ParticipantAdded {
                ticket,
                chatroom,
                added,
            } => self.participant_added(ticket, chatroom, added),
            Completion::Registered { ticket, user } => {
                self.answer_own(ticket, user.map(Reply::Registered));
            }
            Completion::UsersFound { ticket, users }
            | Completion::ParticipantsListed { ticket, users } => {
                self.answer_own(ticket, users.map(Reply::Users));
            }
        }
    }

    /// Answers a ticket of this loop. Completions of writes come to every loop.
    pub(super) fn answer_own(&mut self, ticket: Ticket, reply: Result<Reply, Fault>) {
        if ticket.event_loop == self.settings.event_loop {
            self.answer(ticket, reply.unwrap_or_else(Reply::from));
        }
    }

    fn session_found(&mut self, hash: &SessionHash, found: Result<Option<SessionRow>, Fault>) {
        let Some((key, waiters, ended)) = self.loading_session(hash) else {
            return;
        };
        match found {
            Ok(Some(row)) if !ended => {
                self.sessions.settle(key, row.user, row.used_unix_ms);
                self.again.extend(waiters);
            }
            Ok(_) => {
                self.sessions.remove(key);
                for waiter in waiters {
                    self.give_up(waiter, Fault::NoSession);
                }
            }
            Err(fault) => {
                self.sessions.remove(key);
                for waiter in waiters {
                    self.give_up(waiter, fault);
                }
            }
        }
    }

    fn loading_session(
        &mut self,
        hash: &SessionHash,
    ) -> Option<(SessionKey, Vec<super::HeldKey>, bool)> {
        let key = self.sessions.find(hash)?;
        match &mut self.sessions.session(key)?.standing {
            Standing::Loading { waiters, ended } => Some((key, std::mem::take(waiters), *ended)),
            Standing::Good(_) | Standing::Ended => None,
        }
    }

    fn user_loaded(&mut self, id: UserId, chatrooms: Result<Vec<ChatroomId>, Fault>) {
        let Some(user) = self.sessions.user_by_id(id) else {
            return;
        };
        match chatrooms {
            Ok(chatrooms) => {
                let waiters = user.settle(chatrooms);
                self.again.extend(waiters);
            }
            Err(fault) => {
                for waiter in user.unsettle() {
                    self.give_up(waiter, fault);
                }
            }
        }
        self.sessions.release_user(id);
    }

    fn logged_out(&mut self, ticket: Ticket, hash: SessionHash, done: Result<(), Fault>) {
        if matches!(done, Ok(()) | Err(Fault::NoSession)) {
            self.end_session(&hash);
        }
        self.answer_own(ticket, done.map(|()| Reply::LoggedOut));
    }

    fn end_session(&mut self, hash: &SessionHash) {
        let Some(key) = self.sessions.find(hash) else {
            return;
        };
        let session = self.sessions.session(key).expect("found");
        if let Standing::Loading { ended, .. } = &mut session.standing {
            *ended = true;
        } else {
            self.sessions.end(key);
            self.end(key, Ending::of_session());
        }
    }

    fn chatroom_created(
        &mut self,
        ticket: Ticket,
        admin: UserId,
        chatroom: Result<ChatroomId, Fault>,
    ) {
        if let Ok(chatroom) = chatroom
            && let Some(user) = self.sessions.user_by_id(admin)
        {
            user.joined(chatroom);
        }
        self.answer_own(ticket, chatroom.map(Reply::Created));
    }

    fn participant_added(
        &mut self,
        ticket: Ticket,
        id: ChatroomId,
        added: Result<AddedRow, Fault>,
    ) {
        if let Ok(row) = &added
            && let Some(user) = self.sessions.user_by_id(row.joined)
        {
            user.joined(id);
        }
        let reply = added.map(|row| Reply::Chatroom {
            id,
            admin: row.admin,
            participants: row.participants,
        });
        self.answer_own(ticket, reply);
    }

    fn message_saved(&mut self, ticket: Ticket, id: ChatroomId, message: Result<Message, Fault>) {
        let message = match message {
            Ok(message) => message,
            Err(fault) => return self.answer_own(ticket, Err(fault)),
        };
        let sender = (ticket.event_loop == self.settings.event_loop).then_some(ticket);
        let key = match sender {
            Some(_) => self.chatrooms.enter(id),
            None => match self.chatrooms.find(id) {
                Some(key) => key,
                None => return,
            },
        };
        let room = self.chatrooms.chatroom(key).expect("entered");
        room.saves = room.saves.wrapping_add(1);
        if matches!(room.load, Load::Unknown) {
            self.load_chatroom(key);
        }
        self.take_in(key, message, sender);
    }

    /// Takes in a saved message, in the order of ids, and wakes whoever waits for it.
    fn take_in(&mut self, key: ChatroomKey, message: Message, sender: Option<Ticket>) {
        let max = self.settings.recent;
        let room = self.chatrooms.chatroom(key).expect("entered");
        if let Load::Loading(loading) = &mut room.load {
            return loading.saved.push((message, sender));
        }
        let id = message.id;
        let is_known = room.recent.last().is_some_and(|last| id <= last);
        if !is_known && !room.recent.is_next(id) {
            // A gap: cannot happen on one machine. Fetch, never guess.
            log::warn!(
                "chatroom {}: message {id} does not follow; loading anew",
                room.id
            );
            room.load = Load::Unknown;
            self.load_chatroom(key);
            return self.take_in(key, message, sender);
        }
        if !is_known {
            self.chatrooms.push(key, &message, max);
        }
        let room = self.chatrooms.chatroom(key).expect("the newest stays");
        if let Some(sender) = sender {
            let list = room.recent.list_until(Some(id));
            self.answer(sender, Reply::Messages(list));
        }
        self.wake(key);
    }

    fn chatroom_loaded(&mut self, id: ChatroomId, loaded: Result<RecentRows, Fault>) {
        let Some(key) = self.chatrooms.find(id) else {
            return;
        };
        let room = self.chatrooms.chatroom(key).expect("found");
        let Load::Loading(_) = &room.load else {
            return;
        };
        let Load::Loading(loading) = std::mem::replace(&mut room.load, Load::Known) else {
            unreachable!("it was loading")
        };
        match loaded {
            Ok(rows) => {
                self.chatrooms.fill(key, &rows, self.settings.recent);
                for (message, sender) in loading.saved {
                    self.take_in(key, message, sender);
                }
                self.again.extend(loading.waiters);
                if self.is_draining {
                    self.wake(key);
                }
            }
            Err(fault) => self.load_failed(key, *loading, fault),
        }
    }

    /// The recent messages cannot be had. What was saved meanwhile is told all the same, as a
    /// short list: the senders' messages are on disk, and a poll that slept on would have missed one.
    fn load_failed(&mut self, key: ChatroomKey, loading: Loading, fault: Fault) {
        let room = self.chatrooms.chatroom(key).expect("found");
        room.load = Load::Unknown;
        let mut short = Recent::default();
        let mut newest: Option<Arc<[u8]>> = None;
        for (message, sender) in loading.saved {
            short.push(&message, self.settings.recent);
            let list = short.list();
            newest = Some(list.clone());
            if let Some(sender) = sender {
                self.answer(sender, Reply::Messages(list));
            }
        }
        match newest {
            Some(list) => self.wake_with(key, list),
            None if self.is_draining => self.wake(key),
            None => {}
        }
        for waiter in loading.waiters {
            self.give_up(waiter, fault);
        }
    }
}
