//! What the engine has been told so far, and what held when it took each request.
//!
//! The engine may know more than it was told (a read can see what a write's completion has yet to tell),
//! never less: these are the bounds that the checks hold answers against.

use std::collections::{BTreeMap, BTreeSet};

use loiter::job::{Completion, Fault, Job};
use loiter::model::{ChatroomId, SessionHash, UserId};

use crate::data::Data;
use crate::line::Asked;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The newest message that the engine was told of, by chatroom.
    heard: BTreeMap<i64, i64>,
    /// Chatrooms whose list the store was asked for. What is heard of meanwhile is told when the list is
    /// there, and may end the polls that have come since.
    loading: BTreeSet<i64>,
    joined: BTreeSet<(i64, i64)>,
    ended: BTreeSet<[u8; 32]>,
    pub(crate) storage_failures: u64,
    pub(crate) refusals: u64,
    unloaded: BTreeMap<i64, u64>,
    /// Polls that ended since an endpoll was last answered, by session and chatroom.
    pub(crate) ended_polls: BTreeMap<(String, usize), Vec<EndedPoll>>,
    pub(crate) is_draining: bool,
}

/// What held when the engine had taken a request's last byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) turn: u32,
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
                message: Ok(message),
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
            Completion::LoggedOut {
                session,
                done: Ok(()) | Err(Fault::NoSession),
                ..
            } => drop(self.ended.insert(session.0)),
            Completion::ChatroomLoaded {
                chatroom, loaded, ..
            } => {
                self.loading.remove(&chatroom.get());
                let failed = u64::from(loaded.is_err());
                *self.unloaded.entry(chatroom.get()).or_default() += failed;
            }
            _ => {}
        }
        let text = format!("{completion:?}");
        self.storage_failures += u64::from(text.contains("StorageFailed"));
    }

    /// The engine asks for a chatroom's list.
    pub(crate) fn load(&mut self, chatroom: ChatroomId) {
        self.loading.insert(chatroom.get());
    }

    /// A job is about to be given back to the engine.
    pub(crate) fn refuse(&mut self, job: &Job) {
        self.refusals += 1;
        if let Job::LoadChatroom { chatroom, .. } = job {
            self.loading.remove(&chatroom.get());
            *self.unloaded.entry(chatroom.get()).or_default() += 1;
        }
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
    pub(crate) fn begin(&self, data: &Data, asked: &Asked, turn: u32) -> Begun {
        let chatroom = asked.ask.chatroom().unwrap_or(0);
        let hash = asked.token.as_deref().map(crate::data::hash_of);
        let user = hash.and_then(|hash| data.sessions.get(&hash.0));
        let user: Option<UserId> = user.map(|session| session.user);
        let id = ChatroomId::new(chatroom as i64);
        Begun {
            turn,
            heard: self.heard(chatroom),
            is_loading: self.loading.contains(&(chatroom as i64)),
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
