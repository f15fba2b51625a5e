//! The password lane: threads that do nothing but hash, so that a storm of logins delays no message. What waits for them is taken by turns
//! ([`Whose`]), so that whoever asks for very many hashes waits for those himself.
//!
//! A job comes in, costs a hash, and goes on to the writing lane as a [`Write`] whose completion is posted after
//! its commit; one that is refused is answered from here. The mark of what was verified goes along, and is looked for once more in the
//! transaction: a password that has been changed meanwhile opens nothing. One that was only hashed again, with more iterations, does: else of
//! two logins at once the second would be told that its password is wrong.
//!
//! A session's token is 32 random bytes as hexadecimal text. The database has the SHA-256 of that *text*:
//! what the client sends back in its cookie is hashed as it stands, and never decoded.

use std::num::NonZeroU32;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::job_error::JobError;
use super::lane::{Outlet, Queue, outlive};
use super::password::{PasswordHash, to_hex, verify};
use super::reading::Reader;
use super::trouble::Trouble;
use super::turns::Turns;
use super::write::{Failure, NewPassword, NewSession, NewUser, Raised, Tried, Write};
use crate::job::{Fault, Job};
use crate::model::{Customer, Secret, SessionHash, Ticket, UserId, Username};

const TOKEN_BYTES: usize = 32;

/// Passwords that wait, and whose.
pub(super) type Passwords = Queue<Job, Turns<Whose, Job>>;

/// Who takes turns: a customer, for what they register and for what they verify each. So an address from which very many register
/// keeps neither others waiting nor those of its own who have registered already: what shares an address need not be one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Registering(Customer),
    Verifying(Customer),
}

/// One thread's part of hashing.
pub(super) struct HashingLane {
    pub(super) queue: Arc<Passwords>,
    pub(super) reader: Arc<dyn Reader>,
    pub(super) writing: Arc<Queue<Write>>,
    pub(super) outlet: Outlet,
    pub(super) iterations: NonZeroU32,
    pub(super) random: SystemRandom,
}

impl HashingLane {
    /// Does jobs until the queue is closed and empty, or its time is over.
    pub(super) fn run(self) {
        let mut trouble = Trouble::new("password");
        while let Some(job) = self.queue.take_one() {
            match outlive(|| self.prepare(&job)) {
                Ok(write) => {
                    trouble.over();
                    self.writing.push_reserved(write);
                }
                Err(error) => {
                    if !matches!(error, JobError::Refused(_)) {
                        trouble.report(&error);
                    }
                    match self.failure(&job, error.fault()) {
                        Some(failure) => self.writing.push_reserved(Write::Failure(failure)),
                        None => self.outlet.post(Vec::from_iter(job.failed(error.fault()))),
                    }
                }
            }
        }
    }

    /// What is to be written of a wrong password before anybody is told, where servers count together.
    fn failure(&self, job: &Job, fault: Fault) -> Option<Failure> {
        if fault != Fault::BadCredentials || !self.reader.counts_failures() {
            return None;
        }
        let (tried, customer) = counted(job)?;
        Some(Failure {
            tried,
            customer,
            completion: job.failed(fault)?,
        })
    }

    fn prepare(&self, job: &Job) -> Result<Write, JobError> {
        if let Some((tried, customer)) = counted(job) {
            self.reader.check_attempts(&tried, customer)?;
        }
        match job {
            Job::Register {
                ticket,
                name,
                password,
                ..
            } => self.register(*ticket, name, password),
            Job::LogIn {
                ticket,
                folded,
                password,
                ..
            } => self.log_in(*ticket, folded.as_deref(), password),
            Job::ChangePassword {
                ticket,
                session,
                user,
                password,
                new,
                ..
            } => self.change_password(*ticket, *session, *user, password, new),
            Job::FindSession { .. }
            | Job::LoadUser { .. }
            | Job::LoadChatroom { .. }
            | Job::ReadMessages { .. }
            | Job::ReadNews { .. }
            | Job::ReadNewest { .. }
            | Job::FindUsers { .. }
            | Job::ListParticipants { .. }
            | Job::ListOverview { .. }
            | Job::LogOut { .. }
            | Job::CreateChatroom { .. }
            | Job::RenameChatroom { .. }
            | Job::AddParticipant { .. }
            | Job::RemoveParticipant { .. }
            | Job::SaveMessage { .. }
            | Job::Probe { .. }
            | Job::TouchSessions { .. }
            | Job::AskServers { .. }
            | Job::AnswerServer { .. }
            | Job::Follow { .. } => unreachable!("Store::submit sends only passwords here"),
        }
    }

    /// A name that is taken already is refused before the hash: that it is taken is no secret. Two who register it at
    /// once are told apart by the writing lane.
    fn register(
        &self,
        ticket: Ticket,
        name: &Username,
        password: &Secret,
    ) -> Result<Write, JobError> {
        if self
            .reader
            .credentials(name.folded(), &|| self.queue.is_over())?
            .is_some()
        {
            return Err(JobError::Refused(Fault::UsernameTaken));
        }
        Ok(Write::User(NewUser {
            ticket,
            name: name.clone(),
            password: self.hash(password)?,
        }))
    }

    fn log_in(
        &self,
        ticket: Ticket,
        folded: Option<&str>,
        password: &Secret,
    ) -> Result<Write, JobError> {
        let stored = match folded {
            Some(folded) => (self.reader).credentials(folded, &|| self.queue.is_over())?,
            None => None,
        };
        let (user, stored) = stored.unzip();
        let verified = self.verify(stored.as_deref(), password)?;
        let raised = verified.raised(&password.0, self.iterations);
        let refused = JobError::Refused(Fault::BadCredentials);
        let (user, stored) = user.zip(stored).ok_or(refused)?;
        let (token, session) = self.new_token()?;
        Ok(Write::Session(NewSession {
            ticket,
            user,
            token,
            session,
            verified: verified.mark(),
            raised: raised.map(|raised| Raised {
                before: stored,
                after: raised.to_text(),
            }),
        }))
    }

    fn change_password(
        &self,
        ticket: Ticket,
        session: SessionHash,
        user: UserId,
        password: &Secret,
        new: &Secret,
    ) -> Result<Write, JobError> {
        let stored = (self.reader).password_of(user, &|| self.queue.is_over())?;
        let verified = self.verify(stored.as_deref(), password)?;
        Ok(Write::Password(NewPassword {
            ticket,
            session,
            user,
            verified: verified.mark(),
            password: self.hash(new)?,
        }))
    }

    /// The hash that is stored as this text, if the password is the one that it is of; costs as much where there is none.
    fn verify(&self, stored: Option<&str>, password: &Secret) -> Result<PasswordHash, JobError> {
        let hash = match stored {
            Some(text) => Some(PasswordHash::parse(text).ok_or(JobError::BadHash)?),
            None => None,
        };
        let is_right = verify(hash.as_ref(), &password.0, self.iterations);
        let refused = JobError::Refused(Fault::BadCredentials);
        hash.filter(|_| is_right).ok_or(refused)
    }

    /// A new password's hash, as it is stored.
    fn hash(&self, password: &Secret) -> Result<String, JobError> {
        PasswordHash::new(&password.0, self.iterations, &self.random)
            .map(|hash| hash.to_text())
            .map_err(|_| JobError::NoRandomness)
    }

    fn new_token(&self) -> Result<(Secret, SessionHash), JobError> {
        let mut bytes = [0; TOKEN_BYTES];
        self.random
            .fill(&mut bytes)
            .map_err(|_| JobError::NoRandomness)?;
        let token = to_hex(&bytes);
        let hash = digest(&SHA256, token.as_bytes());
        let hash = hash.as_ref().try_into().expect("SHA-256 has 32 bytes");
        Ok((Secret(token.into()), SessionHash(hash)))
    }
}

/// By whose password and which address a job's failure is counted; nothing where it is not.
fn counted(job: &Job) -> Option<(Tried, Customer)> {
    match job {
        Job::LogIn {
            folded, customer, ..
        } => Some((Tried::Name(folded.clone()), *customer)),
        Job::ChangePassword { user, customer, .. } => Some((Tried::User(*user), *customer)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
