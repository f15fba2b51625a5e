//! An endpoll where the session's polls may be parked at several event loops.
//!
//! The loop that is asked ends its own polls as ever (`serve`), and tells the others to end theirs; each tells back how
//! many there were, and when all have told the caller is answered. So every poll that a loop had read before it was told
//! has ended by then, those too that were still waiting for what they needed to park.
//!
//! Each loop gives its polls its own list, not the caller's: a poll may have come after a message that the caller's
//! loop had not taken in yet, and must not be taken back behind it. A loop whose list is not here loads it first. If
//! that fails its polls stay, and the caller is told so, as if the only loop had failed.
//!
//! Where others share the database all of their servers are asked too ([`Job::AskServers`]), and one of this server's loops does for each of
//! them what it does for a caller of its own.

use super::Chat;
use super::call::{Reply, SessionCall};
use super::chatrooms::{Chatroom, ChatroomKey, Load};
use super::held::Waiting;
use super::notice::Notice;
use super::proceed::Step;
use super::recent::Span;
use super::serve::Ending;
use super::sessions::{SessionKey, Standing};
use crate::buffer::Bytes;
use crate::job::{Audience, Fault, Job, ServerQuestion};
use crate::model::{ChatroomId, Now, SessionHash, Ticket, UserId};

/// Polls that another loop asks to end.
#[derive(Clone, Copy, Debug)]
pub struct PollsToEnd {
    caller: Ticket,
    session: SessionHash,
    chatroom: ChatroomId,
}

/// A chatroom's list of most recent messages, as it was when it was last looked at.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) chatroom: ChatroomKey,
    pub(super) list: Bytes,
    /// The caller's own, which may be shorter or longer, and how long it may be.
    pub(super) own: Bytes,
    limit: u32,
    /// What the chatroom's messages were.
    span: Span,
}

/// What has come of an endpoll so far.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Who asks, and where; nobody where it is another server.
    user: Option<UserId>,
    chatroom: ChatroomId,
    /// The user has left the chatroom meanwhile. What is remembered of them may be gone by the time it is asked for.
    has_left: bool,
    /// Loops that have not told yet, this one included, and the other servers as one more; and the store, where its user may have left the chatroom.
    awaited: usize,
    ended: u32,
    fault: Option<Fault>,
    /// The caller's session and list, once this loop's own polls have ended.
    newest: Option<(SessionKey, Newest)>,
}

impl PollsToEnd {
    pub(super) fn caller(&self) -> Ticket {
        self.caller
    }
}

impl Newest {
    /// The lists as they are now: that of all messages that are remembered, and the caller's of `limit`.
    pub(super) fn of(key: ChatroomKey, room: &Chatroom, list: Bytes, limit: u32) -> Self {
        let is_shorter = (limit as usize) < room.recent.len();
        Self {
            chatroom: key,
            own: match is_shorter {
                true => room.recent.list(limit),
                false => list.clone(),
            },
            limit,
            list,
            span: room.recent.span(),
        }
    }

    /// A message may have been saved since: who is told after that must not miss it. Or the oldest may be gone.
    pub(super) fn renew(&mut self, room: &Chatroom, max: u32) {
        let now = room.recent.span();
        if matches!(room.load, Load::Known) && now.last >= self.span.last && now != self.span {
            let list = room.recent.list(max);
            *self = Self::of(self.chatroom, room, list, self.limit);
        }
    }
}

impl Chat {
    /// Has the other loops end a session's polls in a chatroom too.
    pub(super) fn end_elsewhere(
        &mut self,
        caller: Ticket,
        session: SessionKey,
        chatroom: ChatroomId,
    ) {
        if self.settings.loops == 1 && !self.settings.is_shared {
            return;
        }
        let user = self.user_of(session).user.id;
        let session = self.sessions.session(session).expect("good").hash;
        let polls = PollsToEnd {
            caller,
            session,
            chatroom,
        };
        let awaited = self.settings.loops + usize::from(self.settings.is_shared);
        self.gather_for(polls, Some(user), awaited);
        if self.settings.is_shared {
            self.submit(Job::AskServers {
                ticket: caller,
                question: ServerQuestion::EndPolls { session, chatroom },
            });
        }
    }

    /// Another server has been asked to end polls, and asks this one to end its own.
    pub(super) fn end_for_server(
        &mut self,
        now: Now,
        caller: Ticket,
        session: SessionHash,
        chatroom: ChatroomId,
    ) {
        let polls = PollsToEnd {
            caller,
            session,
            chatroom,
        };
        self.gather_for(polls, None, self.settings.loops);
        self.end_for_another(now, polls);
    }

    fn gather_for(&mut self, polls: PollsToEnd, user: Option<UserId>, awaited: usize) {
        let gathering = Gathering {
            user,
            chatroom: polls.chatroom,
            has_left: false,
            awaited,
            ended: 0,
            fault: None,
            newest: None,
        };
        self.gatherings.insert(polls.caller, gathering);
        if self.settings.loops > 1 {
            self.tell(Audience::All, Notice::EndPolls(polls));
        }
    }

    /// Another loop asks to end polls. Those that came before may still wait for their session or its user to be loaded:
    /// then so does this, behind them.
    pub(super) fn end_for_another(&mut self, now: Now, polls: PollsToEnd) {
        if self.sessions.find(&polls.session).is_none() {
            return self.tell_ended(polls.caller, Ok(0));
        }
        let waiting = Waiting {
            ticket: polls.caller,
            session: polls.session,
            call: SessionCall::EndForAnother(polls),
            watch: None,
            is_renewed: false,
        };
        // Nobody here can go away before it is done.
        let _ = self.begin(now, waiting);
    }

    /// Does so, once all is loaded that polls which came before may wait for.
    pub(super) fn end_for(&mut self, session: SessionKey, polls: PollsToEnd) -> Step {
        let is_participant = match self.is_participant(session, polls.chatroom) {
            Ok(is_participant) => is_participant,
            Err(step) => return step,
        };
        match self.chatrooms.find(polls.chatroom) {
            Some(key) if self.is_leaving(session, key) => return Step::AwaitLeft(key),
            _ if is_participant => self.end_parked(polls),
            // What waits in all chatrooms does not wait in this one.
            _ => self.tell_ended(polls.caller, Ok(0)),
        }
        Step::Done
    }

    /// What another loop has asked for cannot be done.
    pub(super) fn refuse_to_end(&mut self, polls: &PollsToEnd, fault: Fault) {
        let ended = match fault {
            Fault::NoSession => Ok(0),
            _ => Err(fault),
        };
        self.tell_ended(polls.caller, ended);
    }

    /// Ends the polls that are parked here, once their list is here.
    pub(super) fn end_parked(&mut self, polls: PollsToEnd) {
        let max = self.settings.recent;
        let Some((session, key)) = self.parked_here(&polls) else {
            let session = self.sessions.find(&polls.session);
            let ended = session.map_or(0, |session| self.end_waiting(session, polls.chatroom));
            return self.tell_ended(polls.caller, Ok(ended));
        };
        self.load_chatroom(key);
        let room = self.chatrooms.chatroom(key).expect("its polls keep it");
        if let Load::Loading(loading) = &mut room.load {
            return loading.endings.push(polls);
        }
        let newest = Newest::of(key, room, room.recent.list(max), max);
        self.end(session, Ending::polls_in(polls.caller, newest));
    }

    fn parked_here(&mut self, polls: &PollsToEnd) -> Option<(SessionKey, ChatroomKey)> {
        let session = self.sessions.find(&polls.session)?;
        let chatroom = self.chatrooms.find(polls.chatroom)?;
        let has_polls = !self.sessions.session(session)?.polls.is_empty()
            && self.chatrooms.chatroom(chatroom)?.has_polls();
        has_polls.then_some((session, chatroom))
    }

    pub(super) fn tell_ended(&mut self, caller: Ticket, ended: Result<u32, Fault>) {
        if caller.event_loop == self.settings.event_loop {
            return self.gather(caller, ended);
        }
        let there = Audience::One(caller.event_loop);
        self.tell(there, Notice::PollsEnded { caller, ended });
    }

    /// The polls of this loop have ended, as the caller has asked here or at another loop.
    pub(super) fn ended_here(
        &mut self,
        session: SessionKey,
        caller: Ticket,
        polls: u32,
        newest: Newest,
    ) {
        if caller.event_loop != self.settings.event_loop {
            return self.tell_ended(caller, Ok(polls));
        }
        match self.gatherings.get_mut(&caller) {
            Some(gathering) => {
                gathering.newest = Some((session, newest));
                self.gather(caller, Ok(polls));
            }
            None => self.answer_ended(session, caller, polls, newest),
        }
    }

    /// The endpolls that a user has under way in a chatroom wait for one thing more: to hear whether they have left it. Which these are.
    pub(super) fn await_user_in_gatherings(
        &mut self,
        user: UserId,
        chatroom: ChatroomId,
    ) -> Vec<Ticket> {
        let mut waiting = Vec::new();
        for (&caller, gathering) in &mut self.gatherings {
            if (gathering.user, gathering.chatroom) == (Some(user), chatroom) {
                gathering.awaited += 1;
                waiting.push(caller);
            }
        }
        // The same inputs give the same outputs.
        waiting.sort_unstable_by_key(|caller| caller.connection);
        waiting
    }

    /// What was to be told of those under way may be for nobody any more.
    pub(super) fn fail_gatherings(&mut self) {
        for gathering in self.gatherings.values_mut() {
            if gathering.user.is_some() {
                gathering.fault = Some(Fault::OutcomeUnknown);
            }
        }
    }

    /// Whoever has left a chatroom gets no list of it for the endpoll that they have under way.
    pub(super) fn leave_gatherings(&mut self, user: UserId, chatroom: ChatroomId) {
        for gathering in self.gatherings.values_mut() {
            gathering.has_left |= (gathering.user, gathering.chatroom) == (Some(user), chatroom);
        }
    }

    /// Takes in what came of one loop's share of an endpoll.
    pub(super) fn gather(&mut self, caller: Ticket, ended: Result<u32, Fault>) {
        let gathering = (self.gatherings.get_mut(&caller)).expect("it stays until all have told");
        gathering.awaited -= 1;
        match ended {
            Ok(polls) => gathering.ended += polls,
            // Others may have ended some.
            Err(_) => gathering.fault = Some(Fault::OutcomeUnknown),
        }
        if gathering.awaited > 0 {
            return;
        }
        let gathering = self.gatherings.remove(&caller).expect("just seen");
        match gathering.fault {
            Some(fault) => self.answer(caller, fault.into()),
            None if gathering.has_left => self.answer(caller, Fault::NotAParticipant.into()),
            // Each poll has got the list; a server wants none.
            None if gathering.user.is_none() => {
                let (polls, messages) = (gathering.ended, self.empty_list.clone());
                self.answer(caller, Reply::Ended { polls, messages });
            }
            None => {
                let (session, newest) = (gathering.newest).expect("this loop's own share came too");
                self.answer_ended(session, caller, gathering.ended, newest);
            }
        }
    }

    fn answer_ended(
        &mut self,
        session: SessionKey,
        caller: Ticket,
        polls: u32,
        mut newest: Newest,
    ) {
        if let Some(room) = self.chatrooms.chatroom(newest.chatroom) {
            newest.renew(room, self.settings.recent);
            let chatroom = room.id;
            if self.has_left(session, chatroom) {
                return self.answer(caller, Fault::NotAParticipant.into());
            }
        }
        let messages = newest.own;
        let reply = Reply::Ended { polls, messages };
        self.answer(caller, reply);
    }

    /// Whether a session's user is known to have left a chatroom since a call in it was begun: what is said there is not for them any more.
    fn has_left(&mut self, session: SessionKey, chatroom: ChatroomId) -> bool {
        let standing = (self.sessions.session(session)).map(|session| &session.standing);
        matches!(standing, Some(Standing::Good(_)))
            && matches!(self.is_participant(session, chatroom), Ok(false))
    }
}
