//! What is given to the writing lane: jobs as they were submitted, and those whose passwords are hashed.

use std::sync::Arc;

use crate::job::{Completion, Fault, Job};
use crate::model::{Customer, Secret, SessionHash, Ticket, User, UserId, Username};

/// Something for the writing lane.
#[derive(Debug)]
pub(super) enum Write {
    /// A job as it was submitted.
    Job(Job),
    /// A registration whose password is hashed.
    User(NewUser),
    /// A login whose password was right.
    Session(NewSession),
    /// A change of a password that was right.
    Password(NewPassword),
    /// A password that was wrong, where that is written.
    Failure(Failure),
}

/// A registration whose password is hashed.
#[derive(Debug)]
pub(super) struct NewUser {
    pub(super) ticket: Ticket,
    pub(super) name: Username,
    /// The hash, as it is stored.
    pub(super) password: String,
}

/// A login whose password was right.
#[derive(Debug)]
pub(super) struct NewSession {
    pub(super) ticket: Ticket,
    pub(super) user: User,
    pub(super) token: Secret,
    pub(super) session: SessionHash,
    /// The mark of the password that was right.
    pub(super) verified: String,
    /// Its hash with more iterations, where it had fewer than are configured now.
    pub(super) raised: Option<Raised>,
}

/// A password's hash with fewer iterations and with more, as they are stored.
#[derive(Debug)]
pub(super) struct Raised {
    pub(super) before: String,
    pub(super) after: String,
}

/// A change of a password that was right.
#[derive(Debug)]
pub(super) struct NewPassword {
    pub(super) ticket: Ticket,
    /// The session that stays.
    pub(super) session: SessionHash,
    pub(super) user: UserId,
    /// The mark of the password that was right.
    pub(super) verified: String,
    /// The new one's hash, as it is stored.
    pub(super) password: String,
}

/// Whose password is tried.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "postgres"),
    allow(dead_code, reason = "a file has one server, which counts by itself")
)]
pub(super) enum Tried {
    /// Of a user with this folded name, if there is one; of nobody for a name that could not have been registered.
    Name(Option<Arc<str>>),
    /// Of this user.
    User(UserId),
}

/// A password that was wrong.
#[derive(Debug)]
pub(super) struct Failure {
    #[cfg_attr(
        not(feature = "postgres"),
        allow(dead_code, reason = "a file has one server, which counts by itself")
    )]
    /// Whose it should have been.
    pub(super) tried: Tried,
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "as above"))]
    /// From where.
    pub(super) customer: Customer,
    /// What is told when it is written.
    pub(super) completion: Completion,
}

impl From<Job> for Write {
    fn from(job: Job) -> Self {
        Self::Job(job)
    }
}

impl Write {
    /// The completion of a write that was not done; `None` if none is wanted.
    pub(super) fn failed(&self, fault: Fault) -> Option<Completion> {
        match self {
            Self::Job(job) => job.failed(fault),
            Self::User(NewUser { ticket, .. }) => Some(Completion::Registered {
                ticket: *ticket,
                user: Err(fault),
            }),
            Self::Session(NewSession { ticket, .. }) => Some(Completion::LoggedIn {
                ticket: *ticket,
                login: Err(fault),
            }),
            Self::Password(new) => Some(new.completion(Err(fault))),
            Self::Failure(failure) => Some(failure.failed(fault)),
        }
    }
}

impl Failure {
    /// The completion where it could not be written.
    fn failed(&self, fault: Fault) -> Completion {
        let mut completion = self.completion.clone();
        match &mut completion {
            Completion::LoggedIn { login, .. } => *login = Err(fault),
            Completion::PasswordChanged { done, .. } => *done = Err(fault),
            _ => unreachable!("nothing else verifies a password"),
        }
        completion
    }
}

impl NewPassword {
    /// The completion of it.
    pub(super) fn completion(&self, done: Result<(), Fault>) -> Completion {
        self.ended(None, done)
    }

    /// The same, where it is known which sessions have ended.
    pub(super) fn ended(
        &self,
        ended: Option<Arc<[SessionHash]>>,
        done: Result<(), Fault>,
    ) -> Completion {
        Completion::PasswordChanged {
            ticket: self.ticket,
            user: self.user,
            session: self.session,
            ended,
            done,
        }
    }
}
