//! Logins: tried, put off, or refused, by how many have failed for the name and from the address.
//!
//! A password takes a while to verify, and until then nobody knows whether it counts. So no more are verified at a
//! time than may still fail; the others wait for those before them. A guesser gets exactly the limit, and who logs in
//! correctly many times at once is slowed, not refused.
//!
//! The limit is the whole server's: one loop ([`crate::job::LOGINS_LOOP`]) counts, and the others hand their logins to it.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::Chat;
use super::attempts::{Attempts, Verdict};
use super::call::{Failure, Reply};
use super::notice::Notice;
use crate::job::{Audience, Fault, Job, LOGINS_LOOP};
use crate::model::{Customer, Now, Secret, SessionHash, Ticket, UserId};

/// Logins that wait for others to be verified.
const WAITING_MAX: usize = 256;
/// … and of them from one address: whoever logs in again and again from there must not leave the others no place to wait.
const WAITING_EACH: usize = WAITING_MAX / 4;

/// A password to verify: a login, or a change of the password, which is counted as one.
#[derive(Clone, Debug)]
pub struct Login {
    pub(super) ticket: Ticket,
    /// The folded name; `None` for one that could not have been registered.
    pub(super) folded: Option<Arc<str>>,
    pub(super) password: Secret,
    pub(super) address: IpAddr,
    pub(super) aim: Aim,
}

/// What a password is verified for.
#[derive(Clone, Debug)]
pub(super) enum Aim {
    /// A new session.
    Session,
    /// A new password, and the end of all sessions of the user but this one.
    Password {
        session: SessionHash,
        user: UserId,
        new: Secret,
    },
}

impl Login {
    fn job(self) -> Job {
        let Self {
            ticket, password, ..
        } = self;
        let customer = self.address.into();
        match self.aim {
            Aim::Session => Job::LogIn {
                ticket,
                customer,
                folded: self.folded,
                password,
            },
            Aim::Password { session, user, new } => Job::ChangePassword {
                ticket,
                customer,
                session,
                user,
                password,
                new,
            },
        }
    }
}

/// The logins that are not answered yet.
#[derive(Debug)]
pub(super) struct Logins {
    attempts: Attempts,
    /// Those whose passwords are being verified.
    underway: HashMap<Ticket, Login>,
    waiting: VecDeque<Login>,
}

impl Logins {
    /// No logins, and a limit of failures a minute.
    pub(super) fn new(failures_max: u32) -> Self {
        Self {
            attempts: Attempts::new(failures_max),
            underway: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.underway.len() + self.waiting.len()
    }

    fn is_crowded_from(&self, address: IpAddr) -> bool {
        let customer = Customer::from(address);
        let from = |login: &&Login| Customer::from(login.address) == customer;
        self.waiting.len() >= WAITING_EACH
            && self.waiting.iter().filter(from).count() >= WAITING_EACH
    }
}

impl Chat {
    /// Has the loop that counts see to it.
    pub(super) fn hand_in(&mut self, now: Now, login: Login) {
        match self.settings.event_loop {
            LOGINS_LOOP => self.log_in(now, login),
            _ => self.tell(Audience::One(LOGINS_LOOP), Notice::LogIn(login)),
        }
    }

    /// Verifies a password that has just come, unless too many have failed.
    pub(super) fn log_in(&mut self, now: Now, login: Login) {
        let may_wait = !self.logins.is_crowded_from(login.address);
        self.try_log_in(now, login, may_wait);
    }

    fn try_log_in(&mut self, now: Now, login: Login, may_wait: bool) {
        let logins = &mut self.logins;
        let verdict = logins
            .attempts
            .begin(now.monotonic_ms, login.folded.as_ref(), login.address);
        match verdict {
            Verdict::Try => {
                logins.underway.insert(login.ticket, login.clone());
                self.submit(login.job());
            }
            Verdict::Wait if may_wait && logins.waiting.len() < WAITING_MAX => {
                logins.waiting.push_back(login);
            }
            Verdict::Wait => self.answer_anywhere(login.ticket, Fault::Overloaded.into()),
            Verdict::Refuse { retry_after_s } => {
                let failure = Failure::TooManyAttempts { retry_after_s };
                self.answer_anywhere(login.ticket, Reply::Failed(failure));
            }
        }
    }

    /// A password has been verified, or could not be.
    pub(super) fn verified(&mut self, now: Now, ticket: Ticket, verified: Result<Reply, Fault>) {
        let Some(asked) = self.logins.underway.remove(&ticket) else {
            return;
        };
        let has_failed = matches!(verified, Err(Fault::BadCredentials));
        let had_no_room = matches!(verified, Err(Fault::Overloaded));
        let logins = &mut self.logins;
        let folded = asked.folded.as_ref();
        (logins.attempts).end(now.monotonic_ms, folded, asked.address, has_failed);
        // While others are with the store there will be room again, and a completion to tell of it.
        let may_wait = !logins.underway.is_empty() && logins.waiting.len() < WAITING_MAX;
        if had_no_room && may_wait {
            return logins.waiting.push_front(asked);
        }
        match verified {
            // A password was changed, and other sessions ended with it.
            Ok(Reply::Done) => self.answer_anywhere_when_heard(ticket, Reply::Done),
            verified => self.answer_anywhere(ticket, verified.unwrap_or_else(Reply::from)),
        }
        if !had_no_room || self.logins.underway.is_empty() {
            for waiting in std::mem::take(&mut self.logins.waiting) {
                self.try_log_in(now, waiting, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Output;
    use crate::config::Config;
    use crate::job::Completion;
    use crate::model::{ConnectionKey, User};

    fn chat(login_attempts: u32) -> Chat {
        let config = Config {
            login_attempts,
            ..Config::default()
        };
        Chat::new(&config, 0)
    }

    fn ticket(exchange: u32) -> Ticket {
        Ticket {
            connection: ConnectionKey::from_bits(1 << 32).expect("a key"),
            exchange,
            event_loop: 0,
        }
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn ask(chat: &mut Chat, exchange: u32) {
        ask_from(chat, exchange, HERE);
    }

    fn ask_from(chat: &mut Chat, exchange: u32, address: IpAddr) {
        let login = Login {
            ticket: ticket(exchange),
            folded: Some("ann".into()),
            password: Secret("x".into()),
            address,
            aim: Aim::Session,
        };
        chat.log_in(Now::default(), login);
    }

    fn verified(chat: &mut Chat, exchange: u32, login: Result<(), Fault>) {
        let user = User {
            id: UserId::new(1).expect("positive"),
            name: "ann".into(),
        };
        let completion = Completion::LoggedIn {
            ticket: ticket(exchange),
            login: login.map(|()| (user, Secret("token".into()))),
        };
        chat.complete(Now::default(), completion);
    }

    /// What was submitted (+) and answered (-), by exchange.
    fn done(chat: &mut Chat) -> Vec<i64> {
        std::iter::from_fn(|| chat.next_output())
            .map(|output| match output {
                Output::Submit(Job::LogIn { ticket, .. }) => i64::from(ticket.exchange),
                Output::Answer(ticket, _) => -i64::from(ticket.exchange),
                output => panic!("{output:?}"),
            })
            .collect()
    }

    #[test]
    fn the_others_wait_for_those_that_may_fail() {
        let mut chat = chat(2);
        (1..=4).for_each(|exchange| ask(&mut chat, exchange));
        assert_eq!(done(&mut chat), [1, 2]);
        verified(&mut chat, 1, Ok(()));
        assert_eq!(done(&mut chat), [-1, 3]);
        verified(&mut chat, 2, Err(Fault::BadCredentials));
        assert_eq!(done(&mut chat), [-2]);
        verified(&mut chat, 3, Err(Fault::BadCredentials));
        // Two have failed: the last is refused without being tried.
        assert_eq!(done(&mut chat), [-3, -4]);
        assert_eq!(chat.logins.len(), 0);
    }

    #[test]
    fn who_waits_from_one_address_leaves_others_a_place_to_wait() {
        let mut chat = chat(1);
        let waiting_max = i64::try_from(WAITING_EACH).expect("a few");
        let crowd = u32::try_from(WAITING_EACH).expect("a few") + 2;
        (1..=crowd).for_each(|exchange| ask(&mut chat, exchange));
        // One is tried, so many wait, and the last has no place.
        assert_eq!(done(&mut chat), [1, -(waiting_max + 2)]);
        for other in 1..=2 {
            let there = std::net::Ipv4Addr::new(203, 0, 113, other).into();
            ask_from(&mut chat, crowd + u32::from(other), there);
        }
        assert_eq!(done(&mut chat), [0; 0], "others wait");
        // All of them do until their turn comes, those of the crowd too.
        verified(&mut chat, 1, Ok(()));
        assert_eq!(done(&mut chat), [-1, 2]);
        assert_eq!(chat.logins.len(), WAITING_EACH + 2);
    }

    #[test]
    fn a_full_store_puts_logins_off_while_there_is_one_to_wait_for() {
        let mut chat = chat(2);
        (1..=3).for_each(|exchange| ask(&mut chat, exchange));
        assert_eq!(done(&mut chat), [1, 2]);
        verified(&mut chat, 2, Err(Fault::Overloaded));
        assert_eq!(done(&mut chat), [0; 0]);
        verified(&mut chat, 1, Ok(()));
        assert_eq!(done(&mut chat), [-1, 2, 3]);
        verified(&mut chat, 2, Err(Fault::Overloaded));
        verified(&mut chat, 3, Err(Fault::Overloaded));
        // Nobody is left to wait for: both are told, after one more try of the one that was put off.
        assert_eq!(done(&mut chat), [-3, 2]);
        verified(&mut chat, 2, Err(Fault::Overloaded));
        assert_eq!(done(&mut chat), [-2]);
        assert_eq!(chat.logins.len(), 0);
    }
}
