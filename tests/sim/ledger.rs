//! What the engines have been told so far, and what held when one took each request.
//!
//! What is posted counts as told: it is taken before any input. An engine may know more than it was told (a read can see what a write's completion has yet to tell),
//! never less: these are the bounds that the checks hold answers against.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use loiter::job::{Completion, Fault, Job, RemovedRow, Saved};
use loiter::model::{ChatroomId, Now, SessionHash, Ticket, UserId};

use crate::data::Data;
use crate::line::Asked;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The newest message that the engine was told of, by chatroom.
    heard: BTreeMap<i64, i64>,
    /// Chatrooms whose list the store was asked for. What is heard of meanwhile is told when the list is
    /// there, and may end the polls that have come since.
    loading: BTreeSet<(u16, i64)>,
    joined: BTreeSet<(i64, i64)>,
    ended: BTreeSet<[u8; 32]>,
    pub(crate) storage_failures: u64,
    pub(crate) refusals: u64,
    unloaded: BTreeMap<i64, u64>,
    /// Polls that ended since all endpolls were last answered, by session and chatroom.
    pub(crate) ended_polls: BTreeMap<(String, usize), EndedPolls>,
    /// Logins that are with the store, with their folded names.
    pub(crate) logins: HashMap<Ticket, Option<Arc<str>>>,
    /// Logins that have failed in the minute since the first of them, by folded name.
    failed_logins: BTreeMap<Arc<str>, (u64, u32)>,
    pub(crate) is_draining: bool,
}

/// What held when the engine had taken a request's last byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) turn: u32,
    pub(crate) now_ms: u64,
    pub(crate) heard: i64,
    /// The chatroom's list was being loaded.
    pub(crate) is_loading: bool,
    pub(crate) has_joined: bool,
    pub(crate) session_ended: bool,
    pub(crate) storage_failures: u64,
    pub(crate) refusals: u64,
    pub(crate) unloaded: u64,
    /// How many were committed; none where the chatroom was not.
    pub(crate) participants: usize,
    pub(crate) users: usize,
    /// How many chatrooms the engine knew the user to be in.
    pub(crate) chatrooms: usize,
}

/// Polls that ended, as far as one endpoll, or several that overlap, may have had a part in it.
#[derive(Debug, Default)]
pub(crate) struct EndedPolls {
    pub(crate) polls: Vec<EndedPoll>,
    /// How many have been told, while another endpoll is under way, and the turn in which the first began.
    pub(crate) told: u64,
    pub(crate) since: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct EndedPoll {
    /// The turn of its answer.
    pub(crate) turn: u32,
    /// No message can have ended it.
    pub(crate) is_by_endpoll: bool,
}

impl Ledger {
    /// That of an engine that begins with this data.
    pub(crate) fn new(data: &Data) -> Self {
        let mut ledger = Self::default();
        for (n, chatroom) in (1..).zip(&data.chatrooms) {
            ledger.heard.insert(n, chatroom.messages.len() as i64);
            for user in &chatroom.participants {
                ledger.joined.insert((user.get(), n));
            }
        }
        let gone = data.sessions.iter().filter(|(_, session)| session.is_gone);
        ledger.ended = gone.map(|(hash, _)| *hash).collect();
        ledger
    }

    /// The engine is about to be told this.
    pub(crate) fn tell(&mut self, completion: &Completion) {
        match completion {
            Completion::MessageSaved {
                chatroom,
                saved: Ok(Saved::New(message)),
                ..
            } => drop(self.heard.insert(chatroom.get(), message.id.get())),
            Completion::ChatroomCreated {
                admin,
                chatroom: Ok(chatroom),
                ..
            } => drop(self.joined.insert((admin.get(), chatroom.get()))),
            Completion::ParticipantAdded {
                chatroom,
                added: Ok(row),
                ..
            } => drop(self.joined.insert((row.joined.get(), chatroom.get()))),
            Completion::ParticipantRemoved {
                chatroom,
                removed: Ok(RemovedRow {
                    left: Some(left), ..
                }),
                ..
            } => drop(self.joined.remove(&(left.get(), chatroom.get()))),
            Completion::LoggedOut {
                session,
                done: Ok(()) | Err(Fault::NoSession),
                ..
            } => drop(self.ended.insert(session.0)),
            Completion::ChatroomLoaded {
                event_loop,
                chatroom,
                loaded,
            } => {
                self.loading.remove(&(*event_loop, chatroom.get()));
                let failed = u64::from(loaded.is_err());
                *self.unloaded.entry(chatroom.get()).or_default() += failed;
            }
            _ => {}
        }
        let text = format!("{completion:?}");
        self.storage_failures += u64::from(text.contains("StorageFailed"));
    }

    /// The engine asks for a chatroom's list.
    pub(crate) fn load(&mut self, event_loop: u16, chatroom: ChatroomId) {
        self.loading.insert((event_loop, chatroom.get()));
    }

    /// A job is about to be given back to the engine.
    pub(crate) fn refuse(&mut self, job: &Job) {
        self.refusals += 1;
        if let Job::LogIn { ticket, .. } = job {
            self.logins.remove(ticket);
        }
        if let Job::LoadChatroom {
            event_loop,
            chatroom,
            ..
        } = job
        {
            self.loading.remove(&(*event_loop, chatroom.get()));
            *self.unloaded.entry(chatroom.get()).or_default() += 1;
        }
    }

    /// Counts a failed login; returns how many there are in the name's minute.
    pub(crate) fn fail_login(&mut self, name: Arc<str>, now_ms: u64) -> u32 {
        let (began_ms, failures) = self.failed_logins.entry(name).or_insert((now_ms, 0));
        if now_ms >= *began_ms + 60_000 {
            (*began_ms, *failures) = (now_ms, 0);
        }
        *failures += 1;
        *failures
    }

    pub(crate) fn heard(&self, chatroom: usize) -> i64 {
        let heard = self.heard.get(&(chatroom as i64));
        heard.copied().unwrap_or_default()
    }

    pub(crate) fn unloaded(&self, chatroom: usize) -> u64 {
        let unloaded = self.unloaded.get(&(chatroom as i64));
        unloaded.copied().unwrap_or_default()
    }

    pub(crate) fn has_ended(&self, hash: SessionHash) -> bool {
        self.ended.contains(&hash.0)
    }

    /// What holds for a request now.
    pub(crate) fn begin(
        &self,
        data: &Data,
        asked: &Asked,
        at: usize,
        (turn, now): (u32, Now),
    ) -> Begun {
        let chatroom = asked.ask.chatroom().unwrap_or(0);
        let hash = asked.token.as_deref().map(crate::data::hash_of);
        let user = hash.and_then(|hash| data.sessions.get(&hash.0));
        let user: Option<UserId> = user.map(|session| session.user);
        let id = ChatroomId::new(chatroom as i64);
        Begun {
            turn,
            now_ms: now.monotonic_ms,
            heard: self.heard(chatroom),
            is_loading: self.loading.contains(&(at as u16, chatroom as i64)),
            has_joined: user
                .is_some_and(|user| self.joined.contains(&(user.get(), chatroom as i64))),
            session_ended: hash.is_some_and(|hash| self.has_ended(hash)),
            storage_failures: self.storage_failures,
            refusals: self.refusals,
            unloaded: self.unloaded(chatroom),
            participants: (id.and_then(|id| data.chatroom(id)))
                .map_or(0, |chatroom| chatroom.participants.len()),
            users: data.users.len(),
            chatrooms: (self.joined.iter())
                .filter(|(joined, _)| user.is_some_and(|user| user.get() == *joined))
                .count(),
        }
    }
}
