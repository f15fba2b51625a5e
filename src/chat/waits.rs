//! What a call waits for that needs something from the store, and what is kept for it meanwhile.
//!
//! It is held, asks for what is missing unless somebody has before, and stands among those who wait for that. When it is there they
//! are all begun again (`proceed`). A poll notes from the beginning what its chatrooms have heard of by then (`Watch`).

use super::Chat;
use super::call::SessionCall;
use super::chatrooms::{ChatroomKey, Load};
use super::held::{Held, HeldKey, Waiting, Watch};
use super::proceed::Step;
use super::sessions::{Chatrooms, SessionKey, Standing, UserKey};
use super::wanted::Since;
use crate::job::{Fault, Job};
use crate::model::{ChatroomId, MessageId, SessionHash, Ticket, UserId};

/// Messages that are loaded beyond those of a list. A load may see messages whose senders are still to be
/// answered, each with the list that ends with their own: so many of them get a whole one. A store's
/// commit that is on its way has no more than that.
pub(super) const AHEAD_MAX: u32 = 256;
impl Chat {
    /// Holds a call that is to be begun again.
    pub(super) fn hold(&mut self, waiting: Waiting) -> HeldKey {
        let place = self.waiting.insert(Box::new(waiting));
        self.held.insert(Held::Waiting(place))
    }

    /// A held call cannot get what it waits for.
    pub(super) fn give_up(&mut self, key: HeldKey, fault: Fault) {
        if let Some(&Held::Waiting(place)) = self.held.get(key) {
            self.held.remove(key);
            let waiting = self.waiting.remove(place).expect("it waits");
            self.settled(key, &waiting);
            self.unwatch(waiting.watch.as_ref());
            self.refuse(&waiting, fault);
        }
    }

    /// Lets a call of this session wait for what `step` says.
    pub(super) fn wait(&mut self, step: Step, key: HeldKey, hash: SessionHash) {
        if let Step::AwaitLeft(_)
        | Step::AwaitChatroom(_)
        | Step::AwaitNewest(..)
        | Step::AwaitTurn = step
        {
            self.note_settling(key, hash);
        }
        match step {
            Step::Done | Step::Park(..) | Step::Follow(_) | Step::Stream(..) => {
                unreachable!("nothing to wait for")
            }
            Step::AwaitUnknownSession => {
                self.sessions.expect(hash, key);
                self.find_session(hash);
            }
            Step::AwaitSession(session) => {
                match &mut self.sessions.session(session).expect("found").standing {
                    Standing::Loading { waiters, .. } => waiters.push(key),
                    _ => unreachable!("it loads"),
                }
            }
            Step::AwaitUser(user) => self.wait_for_user(user, key),
            Step::AwaitLeft(chatroom) => {
                let room = self.chatrooms.chatroom(chatroom).expect("entered");
                let leaving = room.leaving.as_mut().expect("somebody leaves");
                leaving.waiters.push(key);
            }
            Step::AwaitChatroom(chatroom) => self.wait_for_chatroom(chatroom, key),
            Step::AwaitNewest(_, chatrooms) => self.wait_for_newest(chatrooms, key, hash),
            Step::AwaitTurn => self.turns.push_back(key),
        }
    }

    fn wait_for_chatroom(&mut self, chatroom: ChatroomKey, waiter: HeldKey) {
        self.load_chatroom(chatroom);
        let room = self.chatrooms.chatroom(chatroom).expect("entered");
        match &mut room.load {
            Load::Loading(loading) => loading.waiters.push(waiter),
            _ => unreachable!("it loads"),
        }
    }

    /// Who ends the session's polls finds this one.
    fn note_settling(&mut self, key: HeldKey, hash: SessionHash) {
        let Some(&Held::Waiting(place)) = self.held.get(key) else {
            unreachable!("it is to wait")
        };
        let waiting = self.waiting.get(place).expect("it waits");
        if let SessionCall::Poll(_) | SessionCall::PollSeveral(_) = waiting.call {
            self.settling.entry(hash).or_default().insert(key);
        }
    }

    pub(super) fn settled(&mut self, key: HeldKey, waiting: &Waiting) {
        if let Some(settling) = self.settling.get_mut(&waiting.session) {
            settling.remove(&key);
            if settling.is_empty() {
                self.settling.remove(&waiting.session);
            }
        }
    }

    /// Ends the polls of a session that would wait in a chatroom, one that its user is in, and are not parked yet: they are answered as soon as they can be. How many.
    pub(super) fn end_waiting(&mut self, session: SessionKey, chatroom: ChatroomId) -> u32 {
        let hash = self
            .sessions
            .session(session)
            .expect("its call keeps it")
            .hash;
        let mut ended = 0;
        for key in self.settling.get(&hash).into_iter().flatten() {
            let Some(&Held::Waiting(place)) = self.held.get(*key) else {
                unreachable!("it is settling")
            };
            let waiting = self.waiting.get_mut(place).expect("it waits");
            let is_over = match &mut waiting.call {
                SessionCall::Poll(poll) if poll.chatroom == chatroom => &mut poll.is_over,
                SessionCall::PollSeveral(poll) if poll.chatrooms.include(chatroom) => {
                    &mut poll.is_over
                }
                _ => continue,
            };
            ended += u32::from(!std::mem::replace(is_over, true));
        }
        ended
    }

    /// One job for all of them: a list of most recent messages for each would be a lot that nobody may ever want.
    fn wait_for_newest(&mut self, chatrooms: Vec<ChatroomId>, waiter: HeldKey, hash: SessionHash) {
        let Some(&Held::Waiting(place)) = self.held.get(waiter) else {
            unreachable!("it is to wait")
        };
        let ticket = self.waiting.get(place).expect("it waits").ticket;
        self.newest_waiters.insert(ticket, waiter);
        let session = self.sessions.find(&hash).expect("its call has come so far");
        let user = self.user_of(session).user.id;
        self.submit_held();
        self.submit(Job::ReadNewest {
            ticket,
            user,
            chatrooms,
        });
    }

    /// The store has read the newest messages' ids for somebody.
    pub(super) fn newest_read(
        &mut self,
        ticket: Ticket,
        read: Result<Vec<(ChatroomId, Option<MessageId>)>, Fault>,
    ) {
        let waiter = self.newest_waiters.remove(&ticket);
        let waiter = waiter.expect("asked for somebody, who may have gone");
        match read {
            Ok(newest) => {
                for (id, last) in newest {
                    if let Some(key) = self.chatrooms.find(id) {
                        let room = self.chatrooms.chatroom(key).expect("found");
                        let reached = last.map_or(Since::NOTHING, Since::through);
                        room.reached = room.reached.max(Some(reached));
                    }
                }
                self.again.push_back(waiter);
            }
            Err(fault) => self.give_up(waiter, fault),
        }
    }

    fn wait_for_user(&mut self, key: UserKey, waiter: HeldKey) {
        let user = self.sessions.user(key).expect("its sessions keep it");
        match &mut user.chatrooms {
            Chatrooms::Known(_) => unreachable!("nothing to wait for"),
            Chatrooms::Loading { waiters, .. } => waiters.push(waiter),
            unknown @ Chatrooms::Unknown => {
                *unknown = Chatrooms::loading(vec![waiter]);
                let user = user.user.id;
                self.load_user(user);
            }
        }
    }

    pub(super) fn find_session(&mut self, session: SessionHash) {
        self.counters.session_loads.add(1);
        self.submit(Job::FindSession {
            event_loop: self.settings.event_loop,
            session,
        });
    }

    pub(super) fn load_user(&mut self, user: UserId) {
        self.counters.user_loads.add(1);
        self.submit(Job::LoadUser {
            event_loop: self.settings.event_loop,
            user,
        });
    }

    /// What the store is told without an answer: uses of sessions, and which chatrooms are held here.
    pub(super) fn submit_notes(&mut self) {
        if !self.used.is_empty() {
            let used = std::mem::take(&mut self.used);
            self.submit(Job::TouchSessions { used });
        }
        self.submit_held();
    }

    /// Which chatrooms are held here. The store is told so before it is asked how far one is: from what it says on others' messages are told.
    fn submit_held(&mut self) {
        if self.chatrooms.has_held() {
            let event_loop = self.settings.event_loop;
            let chatrooms = self.chatrooms.take_held();
            self.submit(Job::Follow {
                event_loop,
                chatrooms,
            });
        }
    }

    /// Asks for a chatroom's recent messages, unless they are here or on their way.
    pub(super) fn load_chatroom(&mut self, key: ChatroomKey) {
        let room = self.chatrooms.chatroom(key).expect("entered");
        if matches!(room.load, Load::Unknown) {
            room.load = Load::Loading(Box::default());
            let chatroom = room.id;
            self.ask_for_chatroom(chatroom);
        }
    }

    pub(super) fn ask_for_chatroom(&mut self, chatroom: ChatroomId) {
        self.counters.chatroom_loads.add(1);
        self.submit_held();
        self.submit(Job::LoadChatroom {
            event_loop: self.settings.event_loop,
            chatroom,
            recent: self.settings.recent.saturating_add(AHEAD_MAX),
        });
    }

    /// A poll that has to wait notes what its chatroom has heard of when it came, and keeps what it waits for.
    pub(super) fn watch(&mut self, waiting: &mut Waiting, step: &Step) {
        let of_one = match &waiting.call {
            SessionCall::Poll(poll) => poll.chatroom,
            SessionCall::Stream(call) => call.chatroom,
            SessionCall::PollSeveral(_) => {
                let mut watch = match waiting.watch.take() {
                    Some(Watch::Several(watch)) => watch,
                    Some(Watch::Chatroom { .. }) | None => self.watch_all(),
                };
                if let Step::AwaitNewest(chatrooms, _) = step {
                    self.keep_chatrooms(&mut watch, chatrooms.clone());
                }
                waiting.watch = Some(Watch::Several(watch));
                return;
            }
            _ => return,
        };
        if waiting.watch.is_none() {
            let chatroom = self.chatrooms.enter(of_one);
            let room = self.chatrooms.chatroom(chatroom).expect("entered");
            room.watchers += 1;
            let told = room.told.newest;
            waiting.watch = Some(Watch::Chatroom { chatroom, told });
        }
    }

    pub(super) fn unwatch(&mut self, watch: Option<&Watch>) {
        match watch {
            None => {}
            Some(&Watch::Chatroom { chatroom, .. }) => {
                let room = self.chatrooms.chatroom(chatroom);
                room.expect("its watchers keep it").watchers -= 1;
            }
            Some(Watch::Several(watch)) => self.unwatch_all(watch),
        }
    }
}
