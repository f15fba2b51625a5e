//! What other servers of the same database ask this one, and what a call here must not take from a cache that they may have outdated.
//!
//! A question is a call like any other, made by nobody: its ticket is of no connection, and whatever would be answered to it
//! goes back to the server that asked.
//!
//! A cache hears of what others have written a moment later. Where it says that somebody is *not* in a chatroom that moment would be
//! seen: who has just been let in, at another server, would be refused. So before a call is refused, and where it asks for just what may have
//! changed, the store is asked once more.

use std::collections::HashMap;

use super::Chat;
use super::call::{Failure, Reply, SessionCall};
use super::held::Waiting;
use super::notice::Notice;
use super::proceed::Step;
use super::serve::Ending;
use super::sessions::{Chatrooms, SessionKey};
use super::several::Which;
use crate::job::{Audience, Fault, Job, QuestionId, ServerAnswer, ServerQuestion};
use crate::model::{ChatroomId, ConnectionKey, Now, SessionHash, Ticket};

/// What other servers have asked, and were not answered yet.
#[derive(Debug, Default)]
pub(super) struct Questions {
    by_ticket: HashMap<Ticket, QuestionId>,
    last: u32,
}

impl Questions {
    pub(super) fn len(&self) -> usize {
        self.by_ticket.len()
    }

    /// A ticket for a question.
    fn take_in(&mut self, event_loop: u16, id: QuestionId) -> Ticket {
        self.last = self.last.wrapping_add(1);
        let ticket = Ticket {
            exchange: self.last,
            event_loop,
            ..Ticket::of_nobody()
        };
        self.by_ticket.insert(ticket, id);
        ticket
    }

    /// Whether it is another server that asks.
    pub(super) fn is_of_server(ticket: Ticket) -> bool {
        ticket.connection == nobody()
    }
}

fn nobody() -> ConnectionKey {
    Ticket::of_nobody().connection
}

impl Chat {
    /// Another server asks.
    pub(super) fn server_asks(&mut self, now: Now, id: QuestionId, question: ServerQuestion) {
        let ticket = self.questions.take_in(self.settings.event_loop, id);
        match question {
            ServerQuestion::WhoIsPresent { chatroom, user } => {
                self.note_presence(ticket, chatroom, None);
                self.submit(Job::ListParticipants {
                    ticket,
                    chatroom,
                    user,
                });
            }
            ServerQuestion::EndPolls { session, chatroom } => {
                self.end_for_server(now, ticket, session, chatroom);
            }
            // Each loop says that nobody has no polls here; but first it hears of what was told before.
            ServerQuestion::HaveHeard => {
                let nowhere = ChatroomId::new(1).expect("positive");
                self.end_for_server(now, ticket, SessionHash([0; 32]), nowhere);
            }
        }
    }

    /// Tells the server that has asked.
    pub(super) fn answer_server(&mut self, ticket: Ticket, reply: &Reply) {
        let Some(question) = self.questions.by_ticket.remove(&ticket) else {
            return;
        };
        let nothing = ServerAnswer::default();
        let answer = match reply {
            Reply::Users(users) => ServerAnswer {
                present: users.iter().map(|user| user.id).collect(),
                ..nothing
            },
            Reply::Ended { polls, .. } => ServerAnswer {
                ended: *polls,
                ..nothing
            },
            // Whoever has gone, or is not in the chatroom any more, has nothing parked there.
            Reply::Failed(Failure::Fault(Fault::NoSession | Fault::NotAParticipant)) => nothing,
            _ => ServerAnswer {
                has_failed: true,
                ..nothing
            },
        };
        self.submit(Job::AnswerServer { question, answer });
    }

    /// All other servers have answered, or are taken for gone.
    pub(super) fn servers_answered(&mut self, ticket: Ticket, answer: Result<ServerAnswer, Fault>) {
        let answer = answer.and_then(|answer| match answer.has_failed {
            true => Err(Fault::StorageFailed),
            false => Ok(answer),
        });
        if let Some(reply) = self.unheard.remove(&ticket) {
            // Done it is, whether or not all have heard of it.
            self.answer(ticket, reply);
        } else if self.gatherings.contains_key(&ticket) {
            self.gather(ticket, answer.map(|answer| answer.ended));
        } else {
            self.servers_have_found(ticket, answer.map(|answer| answer.present));
        }
    }

    /// Answers a call of this loop when what was done holds at all servers: who is told that somebody is out must find it so everywhere.
    pub(super) fn answer_when_heard(&mut self, ticket: Ticket, reply: Reply) {
        if !self.settings.is_shared {
            return self.answer(ticket, reply);
        }
        self.unheard.insert(ticket, reply);
        self.submit(Job::AskServers {
            ticket,
            question: ServerQuestion::HaveHeard,
        });
    }

    /// The same, wherever the call's connection is.
    pub(super) fn answer_anywhere_when_heard(&mut self, ticket: Ticket, reply: Reply) {
        if ticket.event_loop == self.settings.event_loop {
            self.answer_when_heard(ticket, reply);
        } else {
            let there = Audience::One(ticket.event_loop);
            self.tell(there, Notice::AnswerWhenHeard(ticket, reply));
        }
    }

    /// What others have changed cannot be told any more, for this server has not heard of them for too long: all that is remembered is asked for anew, and what was
    /// asked for before that once more when it comes. Who waits here may have been logged out or removed meanwhile, so they are told that the storage has failed, and ask
    /// again.
    pub(super) fn changes_missed(&mut self) {
        self.last_list = None;
        self.last_events = None;
        self.chatrooms.doubt_all();
        self.sessions.doubt_loads();
        self.end_reads(Fault::StorageFailed, |_| true);
        self.fail_gatherings();
        for key in self.sessions.good() {
            let session = self.sessions.session(key).expect("just listed");
            if session.is_idle() {
                self.sessions.remove(key);
            } else {
                self.sessions.end(key, Fault::StorageFailed);
                self.end(key, Ending::of_session());
            }
        }
    }

    /// What is to be waited for, where the call depends on something that other servers may have changed; once for each call.
    pub(super) fn renew(&mut self, session: SessionKey, waiting: &mut Waiting) -> Option<Step> {
        if !self.settings.is_shared {
            return None;
        }
        let user_key = self.user_key(session);
        let user = self.user_of(session);
        // Otherwise it is loaded in any case.
        let Chatrooms::Known(known) = &user.chatrooms else {
            return None;
        };
        let is_known = |chatroom| known.binary_search(&chatroom).is_ok();
        let is_old = match &waiting.call {
            SessionCall::Chatrooms => true,
            SessionCall::Poll(poll) => !is_known(poll.chatroom),
            SessionCall::PollSeveral(poll) => match &poll.chatrooms {
                Which::These(chatrooms) => !chatrooms.iter().all(|&chatroom| is_known(chatroom)),
                Which::All => false,
            },
            SessionCall::Stream(stream) => !is_known(stream.chatroom),
            SessionCall::EndPolls { chatroom, .. } => !is_known(*chatroom),
            _ => false,
        };
        if is_old && !std::mem::replace(&mut waiting.is_renewed, true) {
            let id = user.user.id;
            self.doubt(id);
            return Some(Step::AwaitUser(user_key));
        }
        None
    }
}
