//! A call's way: from its session over what it needs loaded to its answer, its job, or its place.
//!
//! A call that needs something from the store is held, and begun again from the start when
//! that is there: [`Chat::proceed`] has no memory of how far it came before.

use super::Chat;
use super::call::{Failure, PollCall, Reply, SessionCall};
use super::chatrooms::{ChatroomKey, Load};
use super::gathering::Newest;
use super::held::{self, Held, HeldKey, Poll, Waiting, Watch};
use super::jobs::job_of;
use super::lists::Listed;
use super::logins::{Aim, Login};
use super::serve::Ending;
use super::sessions::{Chatrooms, SessionKey, Standing, UserKey};
use super::several::Following;
use super::wanted::{Limit, Since, Wanted};
use crate::job::{Fault, Job, MessageRange};
use crate::model::{ChatroomId, MessageId, Now, SessionHash, Ticket, fold};

/// The store is told of a session's use when it is told this share of the lifetime ago or longer.
const USE_TOLD_SHARE: u64 = 100;
/// … and at most so often.
const USE_TOLD_MS_MIN: u64 = 1_000;
/// … and at least so often.
const USE_TOLD_MS_MAX: u64 = 3_600_000;
/// … and in a short lifetime this share of it: another loop, which asks the store, must not take a session that is in use for
/// one that has expired.
const USE_TOLD_SHARE_MAX: u64 = 10;

/// How far a call came.
pub(super) enum Step {
    /// It is answered, or the store will answer its ticket.
    Done,
    /// The session is being loaded.
    AwaitSession(SessionKey),
    /// The store must be asked for the session.
    AwaitUnknownSession,
    /// The user's chatrooms must be loaded.
    AwaitUser(UserKey),
    /// The chatroom's recent messages must be loaded.
    AwaitChatroom(ChatroomKey),
    /// Polls from before the user left the chatroom must have gone.
    AwaitLeft(ChatroomKey),
    /// Of these chatrooms, some must be asked for their newest messages' ids.
    AwaitNewest(Vec<ChatroomKey>, Vec<ChatroomId>),
    /// Enough has been done in this turn for others that wait in very many chatrooms.
    AwaitTurn,
    /// A poll may take its place.
    Park(SessionKey, ChatroomKey, Wanted),
    /// A poll may take its places.
    Follow(Box<Following>),
    /// A stream may take its place, whether or not it has begun.
    Stream(SessionKey, ChatroomKey, Option<Since>, bool),
}

impl Chat {
    /// Takes a new call as far as it goes.
    pub(super) fn begin(&mut self, now: Now, mut waiting: Waiting) -> Option<HeldKey> {
        if waiting.call.ends_polls() && !self.again.is_empty() {
            // Polls that came before it may be among them.
            let key = self.hold(waiting);
            self.again.push_back(key);
            return Some(key);
        }
        match self.proceed(now, &mut waiting) {
            Step::Done => None,
            Step::Park(session, chatroom, wanted) => {
                let poll = Poll::new(waiting.ticket, session, Some(chatroom));
                let key = self.held.insert(Held::Parked(poll));
                self.park(now, key, (session, chatroom), wanted);
                Some(key)
            }
            Step::Follow(following) => {
                let poll = Poll::new(waiting.ticket, following.session, None);
                let key = self.held.insert(Held::Parked(poll));
                self.follow(now, key, *following);
                Some(key)
            }
            Step::Stream(session, chatroom, since, is_begun) => {
                let poll = Poll::new(waiting.ticket, session, None);
                let key = self.held.insert(Held::Parked(poll));
                self.park_stream(now, key, (session, is_begun), chatroom, since);
                self.held.get(key).map(|_| key)
            }
            step => {
                self.watch(&mut waiting, &step);
                let hash = waiting.session;
                let key = self.hold(waiting);
                self.wait(step, key, hash);
                Some(key)
            }
        }
    }

    /// Takes a held call on from where it waited. Stale keys are ignored.
    pub(super) fn begin_again(&mut self, now: Now, key: HeldKey) {
        let Some(&Held::Waiting(place)) = self.held.get(key) else {
            return;
        };
        let mut waiting = self.waiting.remove(place).expect("it waits");
        self.settled(key, &waiting);
        let step = self.proceed(now, &mut waiting);
        let mut park = |poll| *self.held.get_mut(key).expect("held") = Held::Parked(poll);
        match step {
            Step::Done => {
                self.held.remove(key);
                self.unwatch(waiting.watch.as_ref());
            }
            Step::Park(session, chatroom, wanted) => {
                park(Poll::new(waiting.ticket, session, Some(chatroom)));
                self.park(now, key, (session, chatroom), wanted);
                self.unwatch(waiting.watch.as_ref());
            }
            Step::Follow(following) => {
                park(Poll::new(waiting.ticket, following.session, None));
                self.follow(now, key, *following);
                self.unwatch(waiting.watch.as_ref());
            }
            Step::Stream(session, chatroom, since, is_begun) => {
                park(Poll::new(waiting.ticket, session, None));
                self.park_stream(now, key, (session, is_begun), chatroom, since);
                self.unwatch(waiting.watch.as_ref());
            }
            step => {
                self.watch(&mut waiting, &step);
                let hash = waiting.session;
                let place = self.waiting.insert(waiting);
                *self.held.get_mut(key).expect("held") = Held::Waiting(place);
                self.wait(step, key, hash);
            }
        }
    }

    /// A call gets nothing but a fault.
    pub(super) fn refuse(&mut self, waiting: &Waiting, fault: Fault) {
        match &waiting.call {
            SessionCall::EndForAnother(polls) => self.refuse_to_end(polls, fault),
            _ => self.answer(waiting.ticket, fault.into()),
        }
    }

    fn proceed(&mut self, now: Now, waiting: &mut Waiting) -> Step {
        let ticket = waiting.ticket;
        if self.is_deaf {
            self.refuse(waiting, Fault::StorageFailed);
            return Step::Done;
        }
        let session = match self.good_session(now, &waiting.session) {
            Ok(session) => session,
            Err(Some(step)) => return step,
            Err(None) => {
                self.refuse(waiting, Fault::NoSession);
                return Step::Done;
            }
        };
        if let Some(step) = self.renew(session, waiting) {
            return step;
        }
        let watch = waiting.watch.as_ref();
        match &mut waiting.call {
            SessionCall::Chatrooms => self.chatrooms_of(ticket, session),
            SessionCall::Poll(poll) => self.poll(now, (ticket, session), poll, watch),
            SessionCall::PollSeveral(poll) => {
                let watch = match watch {
                    Some(Watch::Several(watch)) => Some(watch),
                    Some(Watch::Chatroom { .. }) | None => None,
                };
                self.poll_several(now, (ticket, session), poll, watch)
            }
            SessionCall::Stream(call) => self.open_stream((ticket, session), call, watch),
            &mut SessionCall::EndPolls { chatroom, limit } => {
                self.end_polls(ticket, session, chatroom, limit)
            }
            &mut SessionCall::EndForAnother(polls) => self.end_for(session, polls),
            SessionCall::Refused(refusal) => {
                let failure = Failure::BadParameter(refusal.clone());
                self.answer(ticket, Reply::Failed(failure));
                Step::Done
            }
            SessionCall::WhoAmI { token } => {
                let token = token.clone();
                let user = self.user_of(session).user.clone();
                self.answer(ticket, Reply::LoggedIn(user, token));
                Step::Done
            }
            SessionCall::ChangePassword {
                password,
                new,
                address,
            } => {
                let user = self.user_of(session).user.clone();
                let login = Login {
                    ticket,
                    folded: Some(fold(&user.name).into()),
                    password: password.clone(),
                    address: *address,
                    aim: Aim::Password {
                        session: waiting.session,
                        user: user.id,
                        new: new.clone(),
                    },
                };
                self.hand_in(now, login);
                Step::Done
            }
            &mut SessionCall::History {
                chatroom,
                before,
                limit,
            } => {
                let user = self.user_of(session).user.id;
                self.submit(Job::ReadMessages {
                    ticket,
                    chatroom,
                    user,
                    range: MessageRange::Before(before),
                    limit: limit.map_or(self.settings.recent, Limit::get),
                });
                Step::Done
            }
            call => {
                let user = self.user_of(session).user.clone();
                if let SessionCall::Send { limit, .. } = *call {
                    if let Err(retry_after_s) = self.rates.begin_send(now, ticket, user.id) {
                        let failure = Failure::TooManyAttempts { retry_after_s };
                        self.answer(ticket, Reply::Failed(failure));
                        return Step::Done;
                    }
                    self.sends += 1;
                    self.note_limit(ticket, limit);
                }
                if let SessionCall::Presence { chatroom } = *call {
                    self.note_presence(ticket, chatroom, Some(user.id));
                }
                let job = job_of(ticket, waiting.session, user, call);
                self.submit(job);
                Step::Done
            }
        }
    }

    pub(super) fn fail(&mut self, ticket: Ticket, fault: Fault) -> Step {
        self.answer(ticket, fault.into());
        Step::Done
    }

    /// The session, if it is known to be good; else what to wait for, or nothing if there is no such session.
    fn good_session(&mut self, now: Now, hash: &SessionHash) -> Result<SessionKey, Option<Step>> {
        let Some(key) = self.sessions.find(hash) else {
            return Err(Some(Step::AwaitUnknownSession));
        };
        let session = self.sessions.session(key).expect("found");
        match session.standing {
            Standing::Loading { ended: true, .. } | Standing::Ended(..) => return Err(None),
            Standing::Loading { .. } => return Err(Some(Step::AwaitSession(key))),
            Standing::Good(user) => {
                if !self.parting.is_empty() && self.sessions.is_former(user) {
                    return Err(None);
                }
            }
        }
        let session = self.sessions.session(key).expect("found");
        let lifetime_ms = self.settings.session_lifetime_ms;
        let is_idle = session.is_idle();
        if is_idle && now.unix_ms.saturating_sub(session.used_ms) > lifetime_ms {
            // Another loop, or a poll that was parked there, may have used it since.
            self.sessions.remove(key);
            return Err(Some(Step::AwaitUnknownSession));
        }
        self.counters.session_hits.add(1);
        self.note_use(now, key);
        Ok(key)
    }

    pub(super) fn note_use(&mut self, now: Now, key: SessionKey) {
        self.sessions.touch(key, now.unix_ms);
        let lifetime_ms = self.settings.session_lifetime_ms;
        let every_ms = (lifetime_ms / USE_TOLD_SHARE)
            .clamp(USE_TOLD_MS_MIN, USE_TOLD_MS_MAX)
            .min(lifetime_ms / USE_TOLD_SHARE_MAX);
        let session = self.sessions.session(key).expect("touched");
        if session.used_ms.saturating_sub(session.told_ms) >= every_ms {
            session.told_ms = session.used_ms;
            self.used.push((session.hash, session.used_ms));
        }
    }

    fn chatrooms_of(&mut self, ticket: Ticket, session: SessionKey) -> Step {
        let key = self.user_key(session);
        match &self.user_of(session).chatrooms {
            Chatrooms::Known(known) => {
                let known = known.clone();
                self.answer(ticket, Reply::Chatrooms(known));
                Step::Done
            }
            _ => Step::AwaitUser(key),
        }
    }

    fn poll(
        &mut self,
        now: Now,
        (ticket, session): (Ticket, SessionKey),
        poll: &mut PollCall,
        watch: Option<&Watch>,
    ) -> Step {
        let key = match self.enter(ticket, session, poll.chatroom) {
            Ok(key) => key,
            Err(step) => return step,
        };
        let room = self.chatrooms.chatroom(key).expect("entered");
        let missed = match poll.wanted.since {
            // What others write is told from what was loaded on.
            None if self.settings.is_shared && !matches!(room.load, Load::Known) => {
                return Step::AwaitChatroom(key);
            }
            None => match watch {
                Some(&Watch::Chatroom { chatroom, told }) => {
                    chatroom == key && room.told.has_more_than(told)
                }
                Some(Watch::Several(_)) | None => false,
            },
            Some(since) => match self.is_behind(ticket, key, since, &mut poll.is_ahead) {
                Ok(is_behind) => is_behind,
                Err(step) => return step,
            },
        };
        if missed || poll.is_over || self.is_draining {
            // Others see the same of who is always answered at once as of who always has to wait.
            self.sessions.leave(session, poll.chatroom, now);
            return self.list_for(ticket, session, key, poll.wanted);
        }
        Step::Park(session, key, poll.wanted)
    }

    /// Whether a chatroom has something newer, as far as that is known; who is ahead of it is refused.
    pub(super) fn is_behind(
        &mut self,
        ticket: Ticket,
        key: ChatroomKey,
        since: Since,
        is_ahead: &mut bool,
    ) -> Result<bool, Step> {
        let room = self.chatrooms.chatroom(key).expect("entered");
        let Load::Known = room.load else {
            return Err(Step::AwaitChatroom(key));
        };
        let last = room.recent.last().map_or(0, MessageId::get);
        if since.get() <= last {
            return Ok(since.get() < last);
        }
        if !std::mem::replace(is_ahead, true) {
            // What somebody has read from the store need not have been heard of here yet. The list stays for all others.
            let chatroom = room.id;
            return Err(Step::AwaitNewest(vec![key], vec![chatroom]));
        }
        let reached = room.reached.map_or(0, Since::get);
        if since.get() <= reached {
            room.load = Load::Unknown;
            return Err(Step::AwaitChatroom(key));
        }
        let (chatroom, last) = (None, last.max(reached));
        self.answer(
            ticket,
            Reply::Failed(Failure::SinceAhead { chatroom, last }),
        );
        Err(Step::Done)
    }

    fn end_polls(
        &mut self,
        ticket: Ticket,
        session: SessionKey,
        chatroom: ChatroomId,
        limit: Option<Limit>,
    ) -> Step {
        let key = match self.enter(ticket, session, chatroom) {
            Ok(key) => key,
            Err(step) => return step,
        };
        // That of all who ask for it while nobody speaks.
        let Listed::Here(list) = self.listed(key, Wanted::default()) else {
            return Step::AwaitChatroom(key);
        };
        let limit = limit.map_or(self.settings.recent, Limit::get);
        let room = self.chatrooms.chatroom(key).expect("entered");
        let newest = Newest::of(key, room, list, limit);
        self.end(session, Ending::polls_in(ticket, newest));
        self.end_elsewhere(ticket, session, chatroom);
        Step::Done
    }

    /// The chatroom, for a participant; others are refused.
    pub(super) fn enter(
        &mut self,
        ticket: Ticket,
        session: SessionKey,
        chatroom: ChatroomId,
    ) -> Result<ChatroomKey, Step> {
        if !self.is_participant(session, chatroom)? {
            return Err(self.fail(ticket, Fault::NotAParticipant));
        }
        let key = self.chatrooms.enter(chatroom);
        match self.is_leaving(session, key) {
            true => Err(Step::AwaitLeft(key)),
            false => Ok(key),
        }
    }

    /// Whether the session's user is in a chatroom, as far as that is known.
    pub(super) fn is_participant(
        &mut self,
        session: SessionKey,
        chatroom: ChatroomId,
    ) -> Result<bool, Step> {
        let key = self.user_key(session);
        match &self.user_of(session).chatrooms {
            Chatrooms::Known(known) => Ok(known.binary_search(&chatroom).is_ok()),
            _ => Err(Step::AwaitUser(key)),
        }
    }

    pub(super) fn user_key(&mut self, session: SessionKey) -> UserKey {
        match self
            .sessions
            .session(session)
            .map(|session| &session.standing)
        {
            Some(Standing::Good(user)) => *user,
            _ => unreachable!("asked of good sessions only"),
        }
    }

    pub(super) fn user_of(&mut self, session: SessionKey) -> &mut super::sessions::CachedUser {
        let key = self.user_key(session);
        self.sessions.user(key).expect("its sessions keep it")
    }

    /// Puts a poll into the lists of its chatroom and its session.
    fn park(
        &mut self,
        now: Now,
        key: HeldKey,
        (session, chatroom): (SessionKey, ChatroomKey),
        wanted: Wanted,
    ) {
        if !wanted.is_usual() {
            self.wanted.insert(key, wanted);
        }
        let room = self.chatrooms.chatroom(chatroom).expect("entered");
        room.polls.push_back(&mut self.held, key, held::in_chatroom);
        // Asked for now, so that the wake will not have to.
        self.load_chatroom(chatroom);
        self.park_in_session(now, key, session);
    }

    /// Puts a poll into the list of its session, whose oldest ends where it is one too many.
    pub(super) fn park_in_session(&mut self, now: Now, key: HeldKey, session: SessionKey) {
        let session = self.sessions.session(session).expect("good");
        session
            .polls
            .push_back(&mut self.held, key, held::in_session);
        let max = self.settings.polls_per_session_max;
        let surplus =
            (session.polls.front(&self.held)).filter(|_| max > 0 && session.polls.len() > max);
        if let Some(oldest) = surplus {
            self.end_parked_poll(now, oldest);
        }
    }
}
