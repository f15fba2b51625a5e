//! Logins: tried, put off, or refused, by how many have failed for the name and from the address.
//!
//! A password takes a while to verify, and until then nobody knows whether it counts. So no more are verified at a
//! time than may still fail; the others wait for those before them. A guesser gets exactly the limit, and who logs in
//! correctly many times at once is slowed, not refused.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::Chat;
use super::attempts::{Attempts, Verdict};
use super::call::{Failure, Reply};
use crate::job::{Fault, Job};
use crate::model::{Now, Secret, Ticket, User};

/// Logins that wait for others to be verified.
const WAITING_MAX: usize = 256;

/// A login that is asked for.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) ticket: Ticket,
    /// The folded name; `None` for one that could not have been registered.
    pub(super) folded: Option<Arc<str>>,
    pub(super) password: Secret,
    pub(super) address: IpAddr,
}

/// The logins that are not answered yet.
#[derive(Debug)]
pub(super) struct Logins {
    attempts: Attempts,
    /// Whose passwords are being verified.
    underway: HashMap<Ticket, (Option<Arc<str>>, IpAddr)>,
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
}

impl Chat {
    /// Verifies a password, unless too many have failed.
    pub(super) fn log_in(&mut self, now: Now, login: Login) {
        let logins = &mut self.logins;
        let verdict = logins
            .attempts
            .begin(now.monotonic_ms, login.folded.as_ref(), login.address);
        match verdict {
            Verdict::Try => {
                let Login {
                    ticket,
                    folded,
                    password,
                    address,
                } = login;
                logins.underway.insert(ticket, (folded.clone(), address));
                self.submit(Job::LogIn {
                    ticket,
                    folded,
                    password,
                });
            }
            Verdict::Wait if logins.waiting.len() < WAITING_MAX => logins.waiting.push_back(login),
            Verdict::Wait => self.answer(login.ticket, Fault::Overloaded.into()),
            Verdict::Refuse { retry_after_s } => {
                let failure = Failure::TooManyAttempts { retry_after_s };
                self.answer(login.ticket, Reply::Failed(failure));
            }
        }
    }

    /// A password has been verified, or could not be.
    pub(super) fn logged_in(
        &mut self,
        now: Now,
        ticket: Ticket,
        login: Result<(User, Secret), Fault>,
    ) {
        let has_failed = matches!(login, Err(Fault::BadCredentials));
        self.answer_own(
            ticket,
            login.map(|(user, token)| Reply::LoggedIn(user, token)),
        );
        // Only the loop that asked has the entry.
        if let Some((folded, address)) = self.logins.underway.remove(&ticket) {
            let attempts = &mut self.logins.attempts;
            attempts.end(now.monotonic_ms, folded.as_ref(), address, has_failed);
            for waiting in std::mem::take(&mut self.logins.waiting) {
                self.log_in(now, waiting);
            }
        }
    }
}
