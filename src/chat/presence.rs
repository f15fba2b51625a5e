//! Who is present in a chatroom: whose poll is parked there, or was up to ten seconds ago.
//!
//! The store lists the participants. Then each loop looks for them among its sessions, in slices ([`Chat::serve_search`]), since there may be 100,000 of them, and a
//! session may have as many polls; and when all loops have told, and where others share the database all their servers, the caller is. What is parked and what was left is found
//! where it stands: nothing is kept for the sake of being found.
//!
//! **Who is there all the time is found**, whatever happens between two slices, for what is known of a user only ever moves on to where the search comes
//! later: from a parked poll to its session, and from the session to what is kept beside them all (`lately`). Where the place
//! that the search has come to is gone, it begins with the session or the user anew. Who came, or has been gone for ten seconds, while
//! the search was under way, may be found or not.

use std::collections::HashSet;
use std::sync::Arc;

use super::Chat;
use super::call::Reply;
use super::chatrooms::ChatroomKey;
use super::followers::Follower;
use super::held::{self, Held, HeldKey, Poll};
use super::lately::Moment;
use super::notice::Notice;
use super::serve::PASSED_EACH;
use super::sessions::SessionKey;
use crate::job::{Audience, Fault, Job, ServerQuestion};
use crate::model::{ChatroomId, Now, Ticket, User, UserId};

/// Polls that are passed over at the cost of any other step of a search, which looks something up.
const STEP_COST: usize = 4;

/// What a caller has asked, and has been found out so far.
#[derive(Debug)]
pub(super) enum Presence {
    /// The store is asked for the participants of this chatroom, for a user, or for a server.
    Asked(ChatroomId, Option<UserId>),
    /// The loops are asked for them.
    Listed {
        participants: Arc<[User]>,
        is_present: Vec<bool>,
        /// Loops that have not told yet, this one included, and the other servers as one more.
        awaited: usize,
        fault: Option<Fault>,
    },
}

/// Whom a loop is to look for.
#[derive(Clone, Debug)]
pub struct Question {
    caller: Ticket,
    chatroom: ChatroomId,
    participants: Arc<[User]>,
}

/// How far a loop has come with a question.
#[derive(Debug)]
pub(super) struct Search {
    question: Question,
    /// Whom it is looking for, and where.
    at: usize,
    place: Place,
    /// Those who were found.
    places: Vec<u32>,
}

/// Where a search is with one user.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before the first of the user's sessions.
    User,
    /// Before the first poll of this one.
    Session(SessionKey),
    /// At this poll of the session.
    Poll(SessionKey, HeldKey),
    /// Behind all polls of the session.
    Left(SessionKey),
    /// Behind all sessions.
    Lately,
    /// The user is present, or is not.
    Over(bool),
}

impl Chat {
    /// Remembers what is asked until [`Chat::participants_listed`].
    pub(super) fn note_presence(
        &mut self,
        caller: Ticket,
        chatroom: ChatroomId,
        user: Option<UserId>,
    ) {
        self.presences
            .insert(caller, Presence::Asked(chatroom, user));
    }

    /// The store has listed a chatroom's participants for somebody.
    pub(super) fn participants_listed(&mut self, ticket: Ticket, users: Result<Vec<User>, Fault>) {
        match (self.presences.remove(&ticket), users) {
            (Some(Presence::Asked(chatroom, user)), Ok(users)) => {
                self.look_everywhere(ticket, (chatroom, user), users.into());
            }
            (_, users) => self.answer_own(ticket, users.map(Reply::Users)),
        }
    }

    fn look_everywhere(
        &mut self,
        caller: Ticket,
        (chatroom, user): (ChatroomId, Option<UserId>),
        participants: Arc<[User]>,
    ) {
        // A server asks all others itself.
        let asks_servers = user.filter(|_| self.settings.is_shared);
        let presence = Presence::Listed {
            participants: Arc::clone(&participants),
            is_present: vec![false; participants.len()],
            awaited: self.settings.loops + usize::from(asks_servers.is_some()),
            fault: None,
        };
        self.presences.insert(caller, presence);
        let question = Question {
            caller,
            chatroom,
            participants,
        };
        if self.settings.loops > 1 {
            self.tell(Audience::All, Notice::WhoIsPresent(question.clone()));
        }
        if let Some(user) = asks_servers {
            let question = ServerQuestion::WhoIsPresent { chatroom, user };
            self.submit(Job::AskServers {
                ticket: caller,
                question,
            });
        }
        self.search(question);
    }

    /// Has this loop look for somebody, in its turn.
    pub(super) fn search(&mut self, question: Question) {
        self.searching.push_back(Search {
            question,
            at: 0,
            place: Place::User,
            places: Vec::new(),
        });
    }

    /// Takes a search on by at most a slice; returns what it cost, at least 1.
    pub(super) fn serve_search(&mut self, now: Now, mut search: Search, slice: usize) -> usize {
        let now = Moment::of(now);
        let chatroom = search.question.chatroom;
        // Where nothing is remembered of it nothing is parked in it.
        let room = self.chatrooms.find(chatroom);
        let mut passed = 0;
        while passed < slice * PASSED_EACH {
            let Some(user) = search.question.participants.get(search.at) else {
                self.tell_present(search.question.caller, search.places);
                return (passed / PASSED_EACH).max(1);
            };
            passed += self.cost_of_look(search.place);
            search.place = self.look(user.id, (chatroom, room), search.place, now);
            if let Place::Over(is_present) = search.place {
                let place = u32::try_from(search.at).expect("as many as there are users");
                search.places.extend(is_present.then_some(place));
                search.at += 1;
                search.place = Place::User;
            }
        }
        self.searching.push_back(search);
        slice
    }

    /// Looks for a user at one place; returns the next.
    fn look(
        &mut self,
        user: UserId,
        (chatroom, room): (ChatroomId, Option<ChatroomKey>),
        place: Place,
        now: Moment,
    ) -> Place {
        let key = match place {
            Place::User => {
                let first = self.sessions.first_by_id(user);
                return first.map_or(Place::Lately, Place::Session);
            }
            Place::Lately => return Place::Over(self.sessions.has_left(user, chatroom, now)),
            Place::Session(key) | Place::Poll(key, _) | Place::Left(key) => key,
            Place::Over(_) => unreachable!("then it is the next one's turn"),
        };
        let Some(session) = self.sessions.session(key) else {
            return Place::User;
        };
        match (place, room) {
            (Place::Session(_), Some(_)) => {
                let first = session.polls.front(&self.held);
                first.map_or(Place::Left(key), |first| Place::Poll(key, first))
            }
            (Place::Poll(_, at), Some(room)) => {
                let Some(poll) = self.held.get(at).and_then(Held::as_poll) else {
                    return Place::Session(key);
                };
                let next = session.polls.after(&self.held, at, held::session_link);
                match self.waits_in(at, poll, room) {
                    true => Place::Over(true),
                    false => next.map_or(Place::Left(key), |next| Place::Poll(key, next)),
                }
            }
            _ if session.left.includes(chatroom, now) => Place::Over(true),
            _ => {
                let next = self.sessions.next_by_id(user, key);
                next.map_or(Place::Lately, Place::Session)
            }
        }
    }

    /// Whether a participant's parked poll or stream waits in a chatroom, which it keeps: so the slot says it.
    fn waits_in(&self, key: HeldKey, poll: &Poll, room: ChatroomKey) -> bool {
        match poll.chatroom {
            Some(chatroom) => chatroom == room.pin(),
            None => {
                let of_all = self.followers.get(key).is_some_and(Follower::is_of_all);
                of_all || (self.followers.place_in(&self.chatrooms, key, room)).is_some()
            }
        }
    }

    /// What it costs to look at a place of a search.
    fn cost_of_look(&self, place: Place) -> usize {
        let Place::Poll(_, at) = place else {
            return STEP_COST;
        };
        1 + self
            .followers
            .get(at)
            .map_or(0, |follower| follower.places.len())
    }

    /// All that this loop can say to a question.
    fn tell_present(&mut self, caller: Ticket, places: Vec<u32>) {
        if caller.event_loop == self.settings.event_loop {
            return self.gather_present(caller, &places);
        }
        let there = Audience::One(caller.event_loop);
        self.tell(there, Notice::Present { caller, places });
    }

    /// Takes in whom the other servers have found, or why they could not be asked.
    pub(super) fn servers_have_found(
        &mut self,
        caller: Ticket,
        present: Result<Vec<UserId>, Fault>,
    ) {
        let Some(Presence::Listed {
            participants,
            fault,
            ..
        }) = self.presences.get_mut(&caller)
        else {
            unreachable!("it stays until all have told")
        };
        let mut places = Vec::new();
        match present {
            Ok(present) => {
                let present: HashSet<UserId> = present.into_iter().collect();
                let is_present = participants.iter().map(|user| present.contains(&user.id));
                places.extend(
                    (0..)
                        .zip(is_present)
                        .filter_map(|(at, is)| is.then_some(at)),
                );
            }
            Err(why) => *fault = Some(why),
        }
        self.gather_present(caller, &places);
    }

    /// Takes in what one loop has found, and answers the caller when all have told.
    pub(super) fn gather_present(&mut self, caller: Ticket, places: &[u32]) {
        let Some(Presence::Listed {
            participants,
            is_present,
            awaited,
            fault,
        }) = self.presences.get_mut(&caller)
        else {
            unreachable!("it stays until all have told")
        };
        for &place in places {
            is_present[place as usize] = true;
        }
        *awaited -= 1;
        if *awaited > 0 {
            return;
        }
        if let Some(fault) = *fault {
            self.presences.remove(&caller);
            return self.answer(caller, fault.into());
        }
        let present = participants.iter().zip(is_present).filter(|(_, is)| **is);
        let present = present.map(|(user, _)| user.clone()).collect();
        self.presences.remove(&caller);
        self.answer(caller, Reply::Users(present));
    }
}
