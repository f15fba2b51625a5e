//! What the event loops of one server tell one another, beside what the store tells all of them.
//!
//! A loop has the sockets that it has accepted, and so the polls that are parked on them. Four things cannot be
//! decided from that alone: which polls of a session an endpoll ends (`gathering`), who is present (`presence`), and whether a login
//! (`logins`) or, where that is limited, a registration (`rates`) may be tried. With one loop there is nobody to tell, and nothing is told.

use super::Chat;
use super::call::Reply;
use super::gathering::PollsToEnd;
use super::logins::Login;
use super::presence::Question;
use super::rates::Registration;
use crate::job::{Audience, Fault};
use crate::model::{Now, Ticket};

/// What one loop tells another. Each comes once, in order with what the store tells.
#[derive(Clone, Debug)]
pub enum Notice {
    /// To the loop that counts failed logins: may this one be tried? A change of a password is one.
    LogIn(Login),
    /// To the same loop: may this one be registered?
    Register(Registration),
    /// To the loop that owns the connection: the answer to a call that another loop has decided.
    Answer(Ticket, Reply),
    /// The same, when what was done holds at all servers of the database.
    AnswerWhenHeard(Ticket, Reply),
    /// To all others: a session's polls in a chatroom are to end.
    EndPolls(PollsToEnd),
    /// To the loop that asked for it: they have.
    PollsEnded {
        /// Who asked.
        caller: Ticket,
        /// How many there were. A fault where they are still parked.
        ended: Result<u32, Fault>,
    },
    /// To all others: who of these is present?
    WhoIsPresent(Question),
    /// To the loop that asked: these are, as far as this one knows.
    Present {
        /// Who asked.
        caller: Ticket,
        /// Their places among those who were asked about.
        places: Vec<u32>,
    },
}

impl Chat {
    /// Takes in what another loop tells.
    pub fn hear(&mut self, now: Now, notice: Notice) {
        match notice {
            Notice::LogIn(login) => self.log_in(now, login),
            Notice::Register(registration) => self.register(now, registration),
            Notice::Answer(ticket, reply) => self.answer(ticket, reply),
            Notice::AnswerWhenHeard(ticket, reply) => self.answer_when_heard(ticket, reply),
            Notice::EndPolls(polls) => self.end_for_another(now, polls),
            Notice::PollsEnded { caller, ended } => self.gather(caller, ended),
            Notice::WhoIsPresent(question) => self.search(question),
            Notice::Present { caller, places } => self.gather_present(caller, &places),
        }
    }

    /// Answers a call wherever its connection is.
    pub(super) fn answer_anywhere(&mut self, ticket: Ticket, reply: Reply) {
        if ticket.event_loop == self.settings.event_loop {
            self.answer(ticket, reply);
        } else {
            let there = Audience::One(ticket.event_loop);
            self.tell(there, Notice::Answer(ticket, reply));
        }
    }
}
