//! What the engines have been told so far, and what held when one took each request.
//!
//! What is posted counts as told: it is taken before any input. An engine may know more than it was told (a read can see what a write's completion has yet to tell),
//! never less: these are the bounds that the checks hold answers against.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use loiter::job::{Completion, Fault, Job, News, RemovedRow, Saved};
use loiter::model::{ChatroomId, MessageList, SessionHash, Ticket, UserId};

use crate::ask::Ask;
use crate::chronicle::Chronicle;
use crate::data::{Data, chatroom_id, hash_of};
use crate::line::Asked;
use crate::store::Store;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The newest message that the engine was told of, by chatroom.
    heard: BTreeMap<i64, i64>,
    /// The newest message in any list that the store has read. It may be one that the engine is yet to be told of.
    read: BTreeMap<i64, i64>,
    /// Chatrooms whose list the store was asked for. What is heard of meanwhile is told when the list is
    /// there, and may end the polls that have come since.
    loading: BTreeSet<(u16, i64)>,
    /// The oldest message that is kept, as the engine was told, by chatroom.
    first: BTreeMap<i64, i64>,
    /// How much of the chronicle was told.
    told: usize,
    /// Of several servers' chronicle how much is committed, and which of it this one is yet to be told.
    committed: Option<usize>,
    untold: BTreeSet<usize>,
    joined: BTreeSet<(i64, i64)>,
    /// How far the engine had heard of a chatroom when who is in it came into it.
    joined_at: BTreeMap<(i64, i64), i64>,
    /// The turn in which somebody has last left a chatroom.
    left_turn: BTreeMap<(i64, i64), u32>,
    /// Who has left which chatroom and is not back.
    left: BTreeMap<(i64, i64), Parting>,
    /// Whose sessions those are that may be good.
    sessions: BTreeMap<[u8; 32], i64>,
    ended: BTreeMap<[u8; 32], Parting>,
    /// Polls that each session has begun at each loop.
    polls: BTreeMap<(String, usize), u64>,
    turn: u32,
    /// Calls fail that could be answered from memory.
    is_deaf: bool,
    storage_failures: u64,
    pub(crate) refusals: u64,
    unloaded: BTreeMap<i64, u64>,
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
    /// The loop that has it.
    pub(crate) at: usize,
    /// Of the chatroom that it is about.
    pub(crate) of: BegunIn,
    /// Times in the chronicle: how much of it was told, how much committed.
    pub(crate) told: usize,
    pub(crate) committed: usize,
    pub(crate) session_ended: bool,
    pub(crate) storage_failures: u64,
    pub(crate) refusals: u64,
    /// How often not all servers had answered.
    pub(crate) unanswered: u64,
    /// How many were committed.
    pub(crate) users: usize,
    /// How many passwords the user has had whose password is asked for; none where there was no such user.
    pub(crate) passwords: usize,
}

/// What held of a chatroom then. One that was not there yet has said nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BegunIn {
    /// The newest message that the engine had been told of.
    pub(crate) heard: i64,
    /// The oldest message that is kept.
    pub(crate) first: i64,
    /// Its list was being loaded.
    pub(crate) is_loading: bool,
    /// How often its list could not be had.
    pub(crate) unloaded: u64,
}

impl Default for BegunIn {
    fn default() -> Self {
        Self {
            heard: 0,
            first: 1,
            is_loading: false,
            unloaded: 0,
        }
    }
}

/// The end of a membership or a session, as it was told.
#[derive(Clone, Debug)]
pub(crate) struct Parting {
    turn: u32,
    /// The newest messages that were told of before, by chatroom.
    heard: BTreeMap<i64, i64>,
}

impl Ledger {
    /// That of an engine that begins with this store.
    pub(crate) fn new(store: &Store) -> Self {
        let data = &store.data;
        let mut ledger = Self {
            told: store.chronicle.now(),
            ..Self::default()
        };
        for (n, chatroom) in (1..).zip(&data.chatrooms) {
            ledger.heard.insert(n, chatroom.messages.len() as i64);
            ledger.first.insert(n, chatroom.expired as i64 + 1);
            for user in &chatroom.participants {
                ledger.joined.insert((user.get(), n));
            }
        }
        for (hash, session) in &data.sessions {
            ledger.sessions.insert(*hash, session.user.get());
            if session.is_gone {
                ledger.ended.insert(*hash, ledger.parting());
            }
        }
        ledger
    }

    /// Whether the server hears nothing of the others in this turn.
    pub(crate) fn note_deaf(&mut self, is_deaf: bool) {
        self.is_deaf = is_deaf;
        self.storage_failures += u64::from(is_deaf);
    }

    /// Whether the storage has failed since a call was begun.
    pub(crate) fn has_storage_failed(&self, begun: &Begun) -> bool {
        self.is_deaf || self.storage_failures > begun.storage_failures
    }

    /// A turn begins.
    pub(crate) fn turn(&mut self, turn: u32) {
        self.turn = turn;
    }

    fn parting(&self) -> Parting {
        Parting {
            turn: self.turn,
            heard: self.heard.clone(),
        }
    }

    fn end_session(&mut self, hash: [u8; 32]) {
        let mut parting = self.parting();
        // Of sessions the store is not asked when it reads: what it had read before may be told.
        for (&chatroom, &read) in &self.read {
            let heard = parting.heard.entry(chatroom).or_default();
            *heard = read.max(*heard);
        }
        self.ended.entry(hash).or_insert(parting);
    }

    fn note_read(&mut self, read: impl IntoIterator<Item = (i64, i64)>) {
        for (chatroom, id) in read {
            let newest = self.read.entry(chatroom).or_default();
            *newest = id.max(*newest);
        }
    }

    fn join(&mut self, user: UserId, chatroom: ChatroomId) {
        let key = (user.get(), chatroom.get());
        if self.joined.insert(key) {
            let heard = self.heard(chatroom.get() as usize);
            self.joined_at.insert(key, heard);
        }
        self.left.remove(&key);
    }

    fn leave(&mut self, user: UserId, chatroom: ChatroomId) {
        let key = (user.get(), chatroom.get());
        if self.joined.remove(&key) {
            self.left.insert(key, self.parting());
            self.left_turn.insert(key, self.turn);
        }
    }

    fn expire(&mut self, chatroom: ChatroomId, first: i64) {
        let kept = self.first.entry(chatroom.get()).or_default();
        // What others have deleted before this one was told of it may come yet.
        let told = match self.committed {
            Some(_) => self.heard.get(&chatroom.get()).copied().unwrap_or_default() + 1,
            None => i64::MAX,
        };
        *kept = first.min(told).max(*kept);
    }

    /// The engine is about to be told this.
    pub(crate) fn tell(&mut self, completion: &Completion) {
        self.told += usize::from(Chronicle::is_told_by(completion));
        match completion {
            Completion::MessageSaved {
                chatroom,
                saved: Ok(Saved::New(message)),
                ..
            } => {
                let heard = self.heard.entry(chatroom.get()).or_default();
                *heard = message.id.get().max(*heard);
            }
            Completion::ChatroomCreated {
                admin,
                chatroom: Ok(chatroom),
                ..
            } => self.join(*admin, *chatroom),
            Completion::ParticipantAdded {
                chatroom,
                added: Ok(row),
                ..
            } => self.join(row.joined, *chatroom),
            Completion::ParticipantRemoved {
                chatroom,
                removed:
                    Ok(RemovedRow {
                        left,
                        was_in_it: true,
                        ..
                    }),
                ..
            } => {
                let key = (left.get(), chatroom.get());
                self.joined.remove(&key);
                self.left.insert(key, self.parting());
                self.left_turn.insert(key, self.turn);
            }
            Completion::ParticipantRemoved {
                chatroom,
                removed: Ok(row),
                ..
            } => self.leave(row.left, *chatroom),
            Completion::MessagesExpired { chatroom, first } => self.expire(*chatroom, first.get()),
            Completion::LoggedIn {
                login: Ok((user, token)),
                ..
            } => drop((self.sessions).insert(hash_of(&token.0).0, user.id.get())),
            Completion::PasswordChanged {
                user,
                session,
                ended,
                done: Ok(()),
                ..
            } => match ended {
                Some(ended) => ended.iter().for_each(|hash| self.end_session(hash.0)),
                None => self.end_others(*user, session),
            },
            Completion::LoggedOut {
                session,
                done: Ok(()) | Err(Fault::NoSession),
                ..
            } => self.end_session(session.0),
            Completion::ChatroomLoaded {
                event_loop,
                chatroom,
                loaded,
            } => {
                if let Ok(rows) = loaded {
                    let ids = rows.messages.iter().map(|message| message.id.get());
                    self.note_read(ids.map(|id| (chatroom.get(), id)));
                }
                self.loading.remove(&(*event_loop, chatroom.get()));
                let failed = u64::from(loaded.is_err());
                *self.unloaded.entry(chatroom.get()).or_default() += failed;
            }
            Completion::MessagesRead { read: Ok(rows), .. } => {
                self.note_read(shown(&rows.messages))
            }
            Completion::NewsRead {
                read: Ok(News::Messages(messages)),
                ..
            } => self.note_read(shown(messages)),
            _ => {}
        }
        let text = format!("{completion:?}");
        let has_failed = text.contains("StorageFailed")
            || text.contains("has_failed: true")
            || text == "ChangesMissed";
        self.storage_failures += u64::from(has_failed);
        self.refusals += u64::from(text.contains("Overloaded"));
    }

    fn end_others(&mut self, user: UserId, kept: &SessionHash) {
        let sessions = self.sessions.iter();
        let others: Vec<_> = sessions
            .filter(|(hash, whose)| **whose == user.get() && **hash != kept.0)
            .map(|(hash, _)| *hash)
            .collect();
        others.into_iter().for_each(|hash| self.end_session(hash));
    }

    /// The engine asks for a chatroom's list.
    pub(crate) fn load(&mut self, event_loop: u16, chatroom: ChatroomId) {
        self.loading.insert((event_loop, chatroom.get()));
    }

    /// A job is about to be given back to the engine.
    pub(crate) fn refuse(&mut self, job: &Job) {
        self.refusals += 1;
        if let Job::LogIn { ticket, .. } | Job::ChangePassword { ticket, .. } = job {
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
        self.ended.contains_key(&hash.0)
    }

    pub(crate) fn has_joined(&self, user: UserId, chatroom: usize) -> bool {
        self.joined.contains(&(user.get(), chatroom as i64))
    }

    /// How far the engine had heard of a chatroom when this user came into it; 0 where they were in it from the beginning.
    pub(crate) fn joined_at(&self, user: UserId, chatroom: usize) -> i64 {
        let heard = self.joined_at.get(&(user.get(), chatroom as i64));
        heard.copied().unwrap_or_default()
    }

    /// Whether somebody has left a chatroom since a turn, and before this one: answers from before may still be queued.
    pub(crate) fn has_left_since(&self, user: UserId, chatroom: usize, turn: u32) -> bool {
        let left = self.left_turn.get(&(user.get(), chatroom as i64));
        left.is_some_and(|&left| left > turn && left < self.turn)
    }

    /// How much of the chronicle was told.
    pub(crate) fn told(&self) -> usize {
        let first = self.untold.first().copied();
        first.or(self.committed).unwrap_or(self.told)
    }

    /// Several servers have a store in common: so much of its chronicle is committed. What is `to_be_told` this one is yet to hear of.
    pub(crate) fn note_committed(&mut self, committed: usize, to_be_told: Option<usize>) {
        self.committed = Some(committed);
        self.untold.extend(to_be_told);
    }

    /// It is told of that now.
    pub(crate) fn note_told(&mut self, at: usize) {
        self.untold.remove(&at);
    }

    /// Nothing that was remembered holds: from now on it is what is stored.
    pub(crate) fn note_all_told(&mut self, data: &Data) {
        self.untold.clear();
        for (n, chatroom) in (1..).zip(&data.chatrooms) {
            let id = chatroom_id(n);
            for user in data.users.iter().map(|account| account.user.id) {
                match chatroom.participants.contains(&user) {
                    true => self.join(user, id),
                    false => self.leave(user, id),
                }
            }
            self.expire(id, chatroom.expired as i64 + 1);
        }
        let gone = data.sessions.iter().filter(|(_, session)| session.is_gone);
        gone.for_each(|(hash, _)| self.end_session(*hash));
    }

    pub(crate) fn is_untold(&self, at: usize) -> bool {
        self.untold.contains(&at)
    }

    /// A session has been made, here or elsewhere.
    pub(crate) fn note_session(&mut self, session: SessionHash, user: UserId) {
        self.sessions.insert(session.0, user.get());
    }

    /// The chatrooms that a user is in, ascending.
    pub(crate) fn chatrooms_of(&self, user: UserId) -> Vec<usize> {
        let own = self.joined.iter().filter(|(whose, _)| *whose == user.get());
        own.map(|(_, chatroom)| *chatroom as usize).collect()
    }

    pub(crate) fn first(&self, chatroom: usize) -> i64 {
        self.first.get(&(chatroom as i64)).copied().unwrap_or(1)
    }

    /// The newest message that who has left a chatroom may still hear of; `None` for who has not, or only in this turn: answers from
    /// before may still be queued.
    pub(crate) fn heard_before_leaving(&self, user: UserId, chatroom: usize) -> Option<i64> {
        let parting = self.left.get(&(user.get(), chatroom as i64))?;
        parting.heard(chatroom).filter(|_| parting.turn < self.turn)
    }

    /// The same of a session that has ended.
    pub(crate) fn heard_in_session(&self, hash: SessionHash, chatroom: usize) -> Option<i64> {
        let parting = self.ended.get(&hash.0)?;
        parting.heard(chatroom).filter(|_| parting.turn < self.turn)
    }

    /// How many polls a session has begun at a loop.
    pub(crate) fn polls(&self, token: &str, at: usize) -> u64 {
        let polls = self.polls.get(&(token.to_owned(), at));
        polls.copied().unwrap_or_default()
    }

    fn count_poll(&mut self, asked: &Asked, at: usize) {
        if let (Some(token), true) = (&asked.token, asked.ask.waits()) {
            *self.polls.entry((token.clone(), at)).or_default() += 1;
        }
    }

    /// What holds for a request that a loop has taken now.
    pub(crate) fn begin(
        &mut self,
        store: &Store,
        asked: &mut Asked,
        at: usize,
        now_ms: u64,
    ) -> Begun {
        self.count_poll(asked, at);
        let data = &store.data;
        if let Ask::Several(_) = asked.ask {
            let all = 1..=data.chatrooms.len();
            asked.begun_in = all.map(|id| (id, self.begin_in(id, at))).collect();
        }
        let user = data.sessions.get(&asked.session.0);
        let account = match &asked.ask {
            Ask::LogIn { name, .. } => data.named(&name.to_lowercase()),
            _ => user.and_then(|session| data.users.get(session.user.get() as usize - 1)),
        };
        Begun {
            turn: self.turn,
            now_ms,
            at,
            of: self.begin_in(asked.ask.chatroom().unwrap_or(0), at),
            told: self.told(),
            committed: store.chronicle.now(),
            session_ended: self.has_ended(asked.session),
            storage_failures: self.storage_failures,
            refusals: self.refusals,
            unanswered: 0,
            users: data.users.len(),
            passwords: account.map_or(0, |account| account.passwords.len()),
        }
    }
}

impl Ledger {
    fn begin_in(&self, chatroom: usize, at: usize) -> BegunIn {
        BegunIn {
            heard: self.heard(chatroom),
            first: self.first(chatroom),
            is_loading: self.loading.contains(&(at as u16, chatroom as i64)),
            unloaded: self.unloaded(chatroom),
        }
    }
}

impl Parting {
    fn heard(&self, chatroom: usize) -> Option<i64> {
        Some(
            self.heard
                .get(&(chatroom as i64))
                .copied()
                .unwrap_or_default(),
        )
    }
}

/// The chatroom and the id of each message of a list, as a client reads them.
fn shown(list: &MessageList) -> Vec<(i64, i64)> {
    let messages: Vec<serde_json::Value> = serde_json::from_slice(list.json()).expect("JSON");
    let number = |message: &serde_json::Value, name| message[name].as_i64().expect("a number");
    let pair = |message| (number(message, "chatroomid"), number(message, "id"));
    messages.iter().map(pair).collect()
}
