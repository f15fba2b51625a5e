//! Sessions as the loop remembers them, and the users behind them.
//!
//! Each is loaded by its own key and told of every change from the moment that its load is
//! asked for, so that a read that was on its way while a write completed cannot bring back what
//! is gone: a change that comes while the load is under way is kept beside it and wins.

use std::collections::HashMap;

use crate::arena::{Arena, Key, Link, List, Pinned};
use crate::chat::held::{Held, HeldKey};
use crate::chat::serve::Endings;
use crate::model::{ChatroomId, SessionHash, User, UserId};

pub(super) type SessionKey = Key<Session>;
pub(super) type UserKey = Key<CachedUser>;

/// A session, from the first request that names it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) hash: SessionHash,
    pub(super) standing: Standing,
    pub(super) polls: List<Held>,
    /// While polls of it are to be ended: it stays for that.
    pub(super) endings: Option<Box<Endings>>,
    /// When a request last used it, and up to when the store has been told so; unix time.
    pub(super) used_ms: u64,
    pub(super) told_ms: u64,
    by_use: Link,
}

/// What is known of a session.
#[derive(Debug)]
pub(super) enum Standing {
    /// The store has been asked. `ended`: it was logged out meanwhile, whatever the store will say.
    Loading { waiters: Vec<HeldKey>, ended: bool },
    /// It is this user's.
    Good(UserKey),
    /// It is gone for good, but polls of it are still being ended.
    Ended,
}

/// A user with a remembered session.
#[derive(Debug)]
pub(super) struct CachedUser {
    pub(super) user: User,
    pub(super) chatrooms: Chatrooms,
    sessions: u32,
}

/// The chatrooms that a user is in.
#[derive(Debug)]
pub(super) enum Chatrooms {
    /// Nobody has asked yet.
    Unknown,
    /// The store has been asked; what has changed meanwhile stands beside, in the order in which it was told.
    Loading {
        waiters: Vec<HeldKey>,
        changes: Vec<Change>,
    },
    /// Ascending.
    Known(Vec<ChatroomId>),
}

/// What has changed in the chatrooms that a user is in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// One more.
    Joined(ChatroomId),
    /// One less.
    Left(ChatroomId),
}

/// All remembered sessions and users.
#[derive(Debug)]
pub(super) struct Sessions {
    by_hash: HashMap<SessionHash, SessionKey>,
    sessions: Arena<Session>,
    by_use: List<Session>,
    by_user: HashMap<UserId, UserKey>,
    users: Arena<CachedUser>,
    max: usize,
}

/// How many of the least recently used are looked at for one to leave. Those with parked polls
/// stay, so that all may have to: then the cache is larger than its bound by what is in use.
const EVICTION_TRIES: usize = 8;

impl Sessions {
    pub(super) fn new(max: usize) -> Self {
        Self {
            by_hash: HashMap::new(),
            sessions: Arena::default(),
            by_use: List::default(),
            by_user: HashMap::new(),
            users: Arena::default(),
            max,
        }
    }

    pub(super) fn find(&self, hash: &SessionHash) -> Option<SessionKey> {
        self.by_hash.get(hash).copied()
    }

    /// The key of one that has stayed.
    pub(super) fn key_of(&self, pinned: Pinned<Session>) -> SessionKey {
        self.sessions.key_of(pinned)
    }

    pub(super) fn session(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(key)
    }

    pub(super) fn user(&mut self, key: UserKey) -> Option<&mut CachedUser> {
        self.users.get_mut(key)
    }

    pub(super) fn user_by_id(&mut self, id: UserId) -> Option<&mut CachedUser> {
        self.users.get_mut(*self.by_user.get(&id)?)
    }

    /// Begins to remember a session whose load has been asked for.
    pub(super) fn expect(&mut self, hash: SessionHash, waiter: HeldKey) -> SessionKey {
        if self.sessions.len() >= self.max {
            self.evict();
        }
        let key = self.sessions.insert(Session {
            hash,
            standing: Standing::Loading {
                waiters: vec![waiter],
                ended: false,
            },
            polls: List::default(),
            endings: None,
            used_ms: 0,
            told_ms: 0,
            by_use: Link::default(),
        });
        self.by_hash.insert(hash, key);
        self.by_use
            .push_back(&mut self.sessions, key, |session| &mut session.by_use);
        key
    }

    /// The store has said whose session it is.
    pub(super) fn settle(&mut self, key: SessionKey, user: User, used_ms: u64) {
        let user = self.enter_user(user);
        let session = self.sessions.get_mut(key).expect("settled while it loads");
        session.standing = Standing::Good(user);
        session.used_ms = used_ms;
        session.told_ms = used_ms;
    }

    fn enter_user(&mut self, user: User) -> UserKey {
        let users = &mut self.users;
        let key = *self.by_user.entry(user.id).or_insert_with(|| {
            users.insert(CachedUser {
                user,
                chatrooms: Chatrooms::Unknown,
                sessions: 0,
            })
        });
        users.get_mut(key).expect("users leave both").sessions += 1;
        key
    }

    /// A request has used the session.
    pub(super) fn touch(&mut self, key: SessionKey, now_ms: u64) {
        let session = self
            .sessions
            .get_mut(key)
            .expect("touched while it is there");
        session.used_ms = session.used_ms.max(now_ms);
        self.by_use
            .remove(&mut self.sessions, key, |session| &mut session.by_use);
        self.by_use
            .push_back(&mut self.sessions, key, |session| &mut session.by_use);
    }

    /// From here on requests do not find the session. Its value stays until [`Sessions::remove`].
    pub(super) fn end(&mut self, key: SessionKey) {
        let session = self.sessions.get_mut(key).expect("ended while it is there");
        let standing = std::mem::replace(&mut session.standing, Standing::Ended);
        self.by_hash.remove(&session.hash);
        if let Standing::Good(user) = standing {
            self.leave_user(user);
        }
    }

    /// Forgets a session that has no polls.
    pub(super) fn remove(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        debug_assert!(session.polls.is_empty(), "its polls would be orphans");
        self.by_use
            .remove(&mut self.sessions, key, |session| &mut session.by_use);
        let session = self.sessions.remove(key).expect("it was there");
        match session.standing {
            Standing::Ended => {}
            Standing::Loading { .. } => drop(self.by_hash.remove(&session.hash)),
            Standing::Good(user) => {
                self.by_hash.remove(&session.hash);
                self.leave_user(user);
            }
        }
    }

    fn leave_user(&mut self, key: UserKey) {
        let user = self.users.get_mut(key).expect("counted by its sessions");
        user.sessions -= 1;
        // A user whose chatrooms are being loaded stays: what comes meanwhile must be kept beside.
        let loading = matches!(user.chatrooms, Chatrooms::Loading { .. });
        if user.sessions == 0 && !loading {
            self.forget_user(key);
        }
    }

    /// Forgets a user whose load has ended and whose sessions are gone.
    pub(super) fn release_user(&mut self, id: UserId) {
        if let Some(&key) = self.by_user.get(&id)
            && self.users.get(key).is_some_and(|user| user.sessions == 0)
        {
            self.forget_user(key);
        }
    }

    fn forget_user(&mut self, key: UserKey) {
        let user = self.users.remove(key).expect("forgotten once");
        self.by_user.remove(&user.user.id);
    }

    fn evict(&mut self) {
        for _ in 0..EVICTION_TRIES.min(self.by_use.len()) {
            let Some(oldest) = self.by_use.front(&self.sessions) else {
                return;
            };
            let session = self.sessions.get(oldest).expect("listed");
            if session.is_idle() && matches!(session.standing, Standing::Good(_)) {
                return self.remove(oldest);
            }
            self.by_use
                .remove(&mut self.sessions, oldest, |session| &mut session.by_use);
            self.by_use
                .push_back(&mut self.sessions, oldest, |session| &mut session.by_use);
        }
    }

    /// How many sessions and users are remembered.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.sessions.len(), self.users.len())
    }
}

impl Session {
    /// Whether nothing needs it to stay.
    pub(super) fn is_idle(&self) -> bool {
        self.polls.is_empty() && self.endings.is_none()
    }
}

impl CachedUser {
    /// The user is in one more chatroom.
    pub(super) fn joined(&mut self, chatroom: ChatroomId) {
        self.change(Change::Joined(chatroom));
    }

    /// The user is in one chatroom less.
    pub(super) fn left(&mut self, chatroom: ChatroomId) {
        self.change(Change::Left(chatroom));
    }

    /// While the store is asked what was told last of a chatroom holds, whether or not the read was done before. What the read saw and is
    /// yet to be told comes after it.
    fn change(&mut self, change: Change) {
        match &mut self.chatrooms {
            Chatrooms::Unknown => {}
            Chatrooms::Loading { changes, .. } => changes.push(change),
            Chatrooms::Known(known) => apply(known, change),
        }
    }

    /// The store has said which chatrooms the user is in. Returns who waited for it.
    pub(super) fn settle(&mut self, mut known: Vec<ChatroomId>) -> Vec<HeldKey> {
        match std::mem::replace(&mut self.chatrooms, Chatrooms::Unknown) {
            Chatrooms::Loading { waiters, changes } => {
                for change in changes {
                    apply(&mut known, change);
                }
                self.chatrooms = Chatrooms::Known(known);
                waiters
            }
            other => {
                self.chatrooms = other;
                Vec::new()
            }
        }
    }

    /// The store could not say. Returns who waited for it.
    pub(super) fn unsettle(&mut self) -> Vec<HeldKey> {
        match std::mem::replace(&mut self.chatrooms, Chatrooms::Unknown) {
            Chatrooms::Loading { waiters, .. } => waiters,
            other => {
                self.chatrooms = other;
                Vec::new()
            }
        }
    }
}

fn apply(known: &mut Vec<ChatroomId>, change: Change) {
    match change {
        Change::Joined(chatroom) => {
            if let Err(place) = known.binary_search(&chatroom) {
                known.insert(place, chatroom);
            }
        }
        Change::Left(chatroom) => {
            if let Ok(place) = known.binary_search(&chatroom) {
                known.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: i64) -> User {
        User {
            id: UserId::new(id).expect("positive"),
            name: "ann".into(),
        }
    }

    fn waiter() -> HeldKey {
        HeldKey::from_bits(1 << 32).expect("a key")
    }

    fn room(id: i64) -> ChatroomId {
        ChatroomId::new(id).expect("positive")
    }

    #[test]
    fn the_least_recently_used_leaves_with_its_user() {
        let mut sessions = Sessions::new(2);
        let keys: Vec<_> = (1..=2)
            .map(|n| {
                let key = sessions.expect(SessionHash([n; 32]), waiter());
                sessions.settle(key, user(n.into()), 0);
                key
            })
            .collect();
        sessions.touch(keys[0], 5);
        sessions.expect(SessionHash([3; 32]), waiter());
        assert_eq!(sessions.find(&SessionHash([1; 32])), Some(keys[0]));
        assert_eq!(sessions.find(&SessionHash([2; 32])), None);
        assert_eq!(sessions.counts(), (2, 1));
    }

    #[test]
    fn a_session_that_loads_never_leaves() {
        let mut sessions = Sessions::new(1);
        let loading = sessions.expect(SessionHash([1; 32]), waiter());
        sessions.expect(SessionHash([2; 32]), waiter());
        assert!(sessions.session(loading).is_some());
    }

    #[test]
    fn what_is_joined_while_loading_is_kept() {
        let mut sessions = Sessions::new(2);
        let key = sessions.expect(SessionHash([1; 32]), waiter());
        sessions.settle(key, user(1), 0);
        let ann = sessions.user_by_id(user(1).id).expect("entered");
        ann.chatrooms = Chatrooms::Loading {
            waiters: vec![waiter()],
            changes: Vec::new(),
        };
        ann.joined(room(5));
        assert_eq!(ann.settle(vec![room(2), room(9)]), [waiter()]);
        ann.joined(room(5));
        let Chatrooms::Known(known) = &ann.chatrooms else {
            panic!("settled")
        };
        assert_eq!(*known, [room(2), room(5), room(9)]);
    }

    #[test]
    fn what_was_told_last_while_loading_holds() {
        let mut ann = CachedUser {
            user: user(1),
            chatrooms: Chatrooms::Loading {
                waiters: Vec::new(),
                changes: Vec::new(),
            },
            sessions: 1,
        };
        // The read may have been done before any of it, or after: it has some of them and not others.
        for chatroom in [2, 5] {
            ann.joined(room(chatroom));
            ann.left(room(chatroom));
        }
        for chatroom in [3, 6] {
            ann.left(room(chatroom));
            ann.joined(room(chatroom));
        }
        ann.settle(vec![room(1), room(2), room(3)]);
        let Chatrooms::Known(known) = &ann.chatrooms else {
            panic!("settled")
        };
        assert_eq!(*known, [room(1), room(3), room(6)]);
        // The read had seen what is told only now.
        ann.left(room(1));
        ann.left(room(1));
        let Chatrooms::Known(known) = &ann.chatrooms else {
            panic!("settled")
        };
        assert_eq!(*known, [room(3), room(6)]);
    }

    #[test]
    fn two_sessions_share_a_user_until_both_end() {
        let mut sessions = Sessions::new(9);
        let keys = [1, 2].map(|n| {
            let key = sessions.expect(SessionHash([n; 32]), waiter());
            sessions.settle(key, user(1), 0);
            key
        });
        sessions.end(keys[0]);
        assert_eq!(sessions.counts(), (2, 1));
        sessions.remove(keys[0]);
        sessions.remove(keys[1]);
        assert_eq!(sessions.counts(), (0, 0));
    }
}
