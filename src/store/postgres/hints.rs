//! What other servers have written, told to the loops of this one.
//!
//! **The truth is in the database; a hint is only a hint.** A thread looks [`Config::ask_every`](crate::Config::ask_every) at what the others have
//! written since it looked last (`written`), fetches of it what is newer in the chatrooms that the loops hold, and tells them. It does so sooner for what a hint
//! says: the text of one is "-5 @8 7:42 9:3 +": who tells it, whose question was answered, the chatrooms that a commit has written to and up
//! to which message, and whether it has changed anything else. A hint that is lost costs time, and no message; one that is wrong costs a question.
//!
//! Besides it asks for the chatrooms that are held, whatever was said of them: for all as soon as it is connected, and else for each once a minute, in
//! slices between which it hears hints (`Rounds`).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::Level;
use tokio_postgres::types::{ToSql, Type};

use super::address::Address;
use super::carrier::Ear;
use super::changes::{self, Asked};
use super::client::{Client, End};
use super::error::Error;
use super::hearing::Hearing;
use super::questions::Member;
use super::{rows, sql, written};
use crate::job::Completion;
use crate::store::Attendant;
use crate::store::job_error::JobError;
use crate::store::lane::{Outlet, outlive};
use crate::store::others::{
    ASKED_AT_ONCE, FETCHED_MAX, Fetched, Followed, Hinted, Missing, Rounds, Seen, Written,
};
use crate::store::trouble::{Trouble, tell};

/// How long the thread waits for notifications before it looks whether it is to end.
pub(super) const WAIT_MAX: Duration = Duration::from_millis(250);

/// How long it waits before it connects again, at first; twice as long each time.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(50);
/// … and at most.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Has the thread end.
#[derive(Debug)]
pub(super) struct Stop {
    hearing: Arc<Hearing>,
    end: Arc<End>,
    is_over: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
    #[cfg(debug_assertions)]
    is_broken: AtomicBool,
}

impl Stop {
    pub(super) fn new(hearing: Arc<Hearing>, end: Arc<End>) -> Self {
        Self {
            hearing,
            end,
            is_over: AtomicBool::new(false),
            lock: Mutex::new(()),
            changed: Condvar::new(),
            #[cfg(debug_assertions)]
            is_broken: AtomicBool::new(false),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        #[cfg(debug_assertions)]
        assert!(!self.is_broken.load(Ordering::Relaxed), "broken by a test");
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn sleep(&self, time: Duration) {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_over.load(Ordering::Relaxed) {
            let _woken = self.changed.wait_timeout(lock, time);
        }
    }
}

impl Attendant for Stop {
    fn end(&self) {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is to be told any more, and what is left is still to be done.
        self.hearing.retire();
        self.is_over.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn finish_by(&self, end: Instant) {
        self.end.be_at(end);
    }

    fn is_deaf(&self) -> bool {
        self.hearing.is_deaf()
    }

    #[cfg(debug_assertions)]
    fn break_thread(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }
}

/// The thread's all.
pub(super) struct Listener {
    /// Where notifications come from; where none are wanted, or hints come by something else, only who asks.
    pub(super) address: Address,
    pub(super) ear: Ear,
    pub(super) ask_every: Duration,
    pub(super) member: Member,
    pub(super) followed: Arc<Followed>,
    pub(super) outlet: Outlet,
    pub(super) stop: Arc<Stop>,
    /// What was there before this server remembered anything, and when it looked for it.
    pub(super) seen: (Seen, Instant),
}

/// The channel on which servers that share a schema tell one another.
pub(super) fn channel(client: &mut Client) -> Result<String, Error> {
    Ok((client.query_typed_one(sql::servers::CHANNEL, &[])?).try_get(0)?)
}

impl Listener {
    /// Tells until it is to end; connects again whenever the connection is lost.
    pub(super) fn run(mut self) {
        let mut trouble = Trouble::new("hint");
        let mut seen = (std::mem::take(&mut self.seen.0), self.seen.1);
        let mut pause = PAUSE_MIN;
        // On the next connection where this one is lost.
        let mut questions = Asked::default();
        while !self.stop.is_over() {
            match outlive(|| self.listen(&mut seen, &mut questions, &mut trouble, &mut pause)) {
                Ok(()) => {}
                Err(error) => {
                    trouble.report(&error);
                    self.outlet
                        .post(self.member.questions.expire(Instant::now()));
                    self.stop.sleep(jittered(pause));
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        self.outlet.post(self.member.questions.give_up());
    }

    /// Listens on a new connection, until it is to end.
    fn listen(
        &self,
        (seen, looked_at): &mut (Seen, Instant),
        questions: &mut Asked,
        trouble: &mut Trouble,
        pause: &mut Duration,
    ) -> Result<(), JobError> {
        let mut client = self.address.connect()?;
        if matches!(self.ear, Ear::Listen) {
            let channel = channel(&mut client)?;
            client.batch_execute(&format!("LISTEN \"{channel}\""))?;
        }
        let mut ask_at = Instant::now();
        let mut hinted = Hinted::default();
        let (mut found, mut rounds) = (Written::default(), Rounds::new(ASKED_AT_ONCE));
        let mut asked_at = Instant::now();
        // Until others of this server are connected to another place: what is said there is not to be missed.
        while !self.stop.is_over() && self.address.leads_to(&client) {
            let is_time = ask_at <= Instant::now() || hinted.is_missed;
            let mut has_slept = false;
            if is_time || hinted.is_changed {
                let now = Instant::now();
                let away = is_time.then(|| now.saturating_duration_since(*looked_at));
                let heard = changes::look(seen, &mut client, &self.member, away)?;
                has_slept = heard.has_slept;
                if is_time {
                    *looked_at = now;
                }
                // What was changed before the messages that came after it: they are not for who has left. What is asked behind all that was written before.
                let changed = questions.take_from(heard, now);
                self.outlet.post(changed);
            }
            if is_time {
                let away = asked_at.elapsed();
                asked_at = Instant::now();
                ask_at = asked_at + self.ask_every;
                if self.member.say_here(&mut client)? {
                    // What it has not heard of as its own it may have looked past.
                    rounds.ask_for_all(&self.followed);
                }
                // Only now: whom nobody waits for is not to go by what it remembers. What was looked at holds, however long the rest takes.
                self.member.hearing.note(*looked_at);
                let (said, is_missed) = written::look(&mut found, &mut client, &self.member, away)?;
                self.follow_up(&mut client, &said, ask_at)?;
                rounds.pass(away);
                if is_missed || has_slept {
                    rounds.ask_for_all(&self.followed);
                }
            }
            if rounds.are_due(&self.followed) {
                self.ask(&mut client, &mut rounds, ask_at)?;
            }
            // Before the answers: who asked for them gets what was written before.
            self.follow_up(&mut client, &hinted, ask_at)?;
            self.outlet.post(questions.take(Instant::now()));
            let looks_for_gone = is_time || hinted.has_gone;
            if (looks_for_gone || hinted.is_answered) && self.member.questions.is_asking() {
                let told = self.member.take_answers(&mut client, looks_for_gone)?;
                self.outlet.post(told);
            }
            self.outlet
                .post(self.member.questions.expire(Instant::now()));
            trouble.over();
            *pause = PAUSE_MIN;
            let wait_until = match rounds.are_due(&self.followed) {
                true => Instant::now(),
                false => ask_at,
            };
            hinted = self.wait(&mut client, wait_until)?;
        }
        Ok(())
    }

    /// Waits for hints, until then at most, and takes all that are there.
    fn wait(&self, client: &mut Client, until: Instant) -> Result<Hinted, JobError> {
        let mut left = until
            .saturating_duration_since(Instant::now())
            .min(WAIT_MAX);
        let due = self.followed.take_due();
        if !due.is_empty() {
            left = Duration::ZERO;
        }
        let mut hinted = match &self.ear {
            Ear::Listen => self.wait_for_notifications(client, left)?,
            #[cfg(feature = "redis")]
            Ear::Box(inbox) => inbox.wait(left),
            Ear::None => {
                self.stop.sleep(left);
                Hinted::default()
            }
        };
        for (chatroom, last) in due {
            hinted.note(chatroom.get(), last);
        }
        Ok(hinted)
    }

    fn wait_for_notifications(
        &self,
        client: &mut Client,
        left: Duration,
    ) -> Result<Hinted, JobError> {
        let mut hinted = Hinted::default();
        let server = self.member.number();
        let mine = format!("{server} ");
        for notification in client.notifications(left)? {
            if !notification.payload().starts_with(&mine) {
                hinted.take(notification.payload(), server);
            }
        }
        Ok(hinted)
    }

    /// Asks for some of the chatrooms that are held, whatever was said of them.
    fn ask(
        &self,
        client: &mut Client,
        rounds: &mut Rounds,
        until: Instant,
    ) -> Result<(), JobError> {
        let (chatrooms, told) = rounds.take(&self.followed);
        if chatrooms.is_empty() {
            return Ok(());
        }
        let asked: &[(&(dyn ToSql + Sync), Type)] =
            &[(&chatrooms, Type::INT8_ARRAY), (&told, Type::INT8_ARRAY)];
        let mut behind = Hinted {
            is_certain: true,
            ..Hinted::default()
        };
        let mut ahead = Vec::new();
        for row in client.query_typed(sql::servers::NEWER_THAN, asked)? {
            match row.try_get(2)? {
                true => ahead.push((rows::chatroom_id(&row, 0)?, row.try_get(1)?)),
                false => _ = behind.chatrooms.insert(row.try_get(0)?, row.try_get(1)?),
            }
        }
        if self.followed.goes_back(ahead) {
            tell(Level::Error, format_args!("{}", JobError::GoneBack));
            self.outlet.post(vec![Completion::ChangesMissed]);
        }
        self.follow_up(client, &behind, until)
    }

    /// Fetches what the loops have not been told of these, and tells them. What there is no time for is put off: what others have changed is not to be
    /// heard of too late.
    fn follow_up(
        &self,
        client: &mut Client,
        hinted: &Hinted,
        until: Instant,
    ) -> Result<(), JobError> {
        let mut missing = Missing::of(&self.followed, hinted);
        while !missing.is_empty() && !self.stop.is_over() {
            let asked: &[(&(dyn ToSql + Sync), Type)] = &[
                (&missing.chatrooms(), Type::INT8_ARRAY),
                (&missing.told(), Type::INT8_ARRAY),
                (&(FETCHED_MAX as i64), Type::INT8),
            ];
            let found = client.query_typed(sql::servers::NEWS_OF, asked)?;
            let message = |row| rows::message(row, rows::chatroom_id(row, 5)?);
            let found = found.iter().map(message);
            let fetched = Fetched::of(found.collect::<Result<_, JobError>>()?);
            self.outlet.post(fetched.completions());
            missing.note_told(&self.followed, &fetched);
            if until <= Instant::now() {
                break;
            }
        }
        missing.put_off(&self.followed);
        Ok(())
    }
}

/// A time, less up to three quarters: servers that have lost something together do not all come back together.
pub(super) fn jittered(time: Duration) -> Duration {
    // Keyed anew each time, at random.
    let random = RandomState::new().build_hasher().finish();
    time.mul_f32(1.0 - (random % 768) as f32 / 1024.0)
}
