//! An endpoll where the session's polls may be parked at several event loops.
//!
//! The loop that is asked ends its own polls as ever (`serve`), and tells the others to end theirs; each tells back how
//! many there were, and when all have told the caller is answered. So every poll that a loop had read before it was told
//! has ended by then, those too that were still waiting for what they needed to park.
//!
//! Each loop gives its polls its own list, not the caller's: a poll may have come after a message that the caller's
//! loop had not taken in yet, and must not be taken back behind it. A loop whose list is not here loads it first. If
//! that fails its polls stay, and the caller is told so, as if the only loop had failed.

use std::sync::Arc;

use super::Chat;
use super::call::{Reply, SessionCall};
use super::chatrooms::{Chatroom, ChatroomKey, Load};
use super::held::Waiting;
use super::notice::Notice;
use super::proceed::Step;
use super::serve::Ending;
use super::sessions::SessionKey;
use crate::job::{Audience, Fault};
use crate::model::{ChatroomId, MessageId, Now, SessionHash, Ticket};

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
    pub(super) list: Arc<[u8]>,
    /// The last message in the list.
    last: Option<MessageId>,
}

/// What has come of an endpoll so far.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Loops that have not told yet, this one included.
    awaited: usize,
    ended: u32,
    fault: Option<Fault>,
    /// The list that the caller gets, once this loop's own polls have ended.
    newest: Option<Newest>,
}

impl PollsToEnd {
    pub(super) fn caller(&self) -> Ticket {
        self.caller
    }
}

impl Newest {
    /// The list as it is now.
    pub(super) fn of(key: ChatroomKey, room: &Chatroom, max: u32) -> Self {
        Self {
            chatroom: key,
            list: room.recent.list(max),
            last: room.recent.last(),
        }
    }

    /// A message may have been saved since: who is told after that must not miss it.
    pub(super) fn renew(&mut self, room: &Chatroom, max: u32) {
        if matches!(room.load, Load::Known) && room.recent.last() > self.last {
            *self = Self::of(self.chatroom, room, max);
        }
    }
}

impl Chat {
    /// Has the other loops end a session's polls in a chatroom too.
    pub(super) fn end_elsewhere(
        &mut self,
        caller: Ticket,
        session: SessionHash,
        chatroom: ChatroomId,
    ) {
        if self.settings.loops == 1 {
            return;
        }
        let gathering = Gathering {
            awaited: self.settings.loops,
            ended: 0,
            fault: None,
            newest: None,
        };
        self.gatherings.insert(caller, gathering);
        let polls = PollsToEnd {
            caller,
            session,
            chatroom,
        };
        self.tell(Audience::All, Notice::EndPolls(polls));
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
        };
        // Nobody here can go away before it is done.
        let _ = self.begin(now, waiting);
    }

    /// Does so, once all is loaded that polls which came before may wait for.
    pub(super) fn end_for(&mut self, session: SessionKey, polls: PollsToEnd) -> Step {
        if let Err(step) = self.is_participant(session, polls.chatroom) {
            return step;
        }
        match self.chatrooms.find(polls.chatroom) {
            Some(key) if self.is_leaving(session, key) => return Step::AwaitLeft(key),
            _ => self.end_parked(polls),
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
            return self.tell_ended(polls.caller, Ok(0));
        };
        self.load_chatroom(key);
        let room = self.chatrooms.chatroom(key).expect("its polls keep it");
        if let Load::Loading(loading) = &mut room.load {
            return loading.endings.push(polls);
        }
        let newest = Newest::of(key, room, max);
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
        let there = Audience::One(caller.event_loop);
        self.tell(there, Notice::PollsEnded { caller, ended });
    }

    /// The polls of this loop have ended, as the caller has asked here or at another loop.
    pub(super) fn ended_here(&mut self, caller: Ticket, polls: u32, newest: Newest) {
        if caller.event_loop != self.settings.event_loop {
            return self.tell_ended(caller, Ok(polls));
        }
        match self.gatherings.get_mut(&caller) {
            Some(gathering) => {
                gathering.newest = Some(newest);
                self.gather(caller, Ok(polls));
            }
            None => self.answer_ended(caller, polls, newest),
        }
    }

    /// Takes in what came of one loop's share of an endpoll.
    pub(super) fn gather(&mut self, caller: Ticket, ended: Result<u32, Fault>) {
        let gathering = (self.gatherings.get_mut(&caller)).expect("it stays until all have told");
        gathering.awaited -= 1;
        match ended {
            Ok(polls) => gathering.ended += polls,
            // Not `Overloaded`, which would say that nothing was done.
            Err(_) => gathering.fault = Some(Fault::StorageFailed),
        }
        if gathering.awaited > 0 {
            return;
        }
        let gathering = self.gatherings.remove(&caller).expect("just seen");
        match gathering.fault {
            Some(fault) => {
                self.take_limit(caller);
                self.answer(caller, fault.into());
            }
            None => {
                let newest = gathering.newest.expect("this loop's own share came too");
                self.answer_ended(caller, gathering.ended, newest);
            }
        }
    }

    fn answer_ended(&mut self, caller: Ticket, polls: u32, mut newest: Newest) {
        if let Some(room) = self.chatrooms.chatroom(newest.chatroom) {
            newest.renew(room, self.settings.recent);
        }
        let limit = self.take_limit(caller);
        let messages = match self.chatrooms.chatroom(newest.chatroom) {
            Some(room) if limit != self.settings.recent && matches!(room.load, Load::Known) => {
                room.recent.list(limit)
            }
            _ => newest.list,
        };
        let reply = Reply::Ended { polls, messages };
        self.answer(caller, reply);
    }
}
