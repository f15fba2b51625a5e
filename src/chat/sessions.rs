//! Sessions as the loop remembers them, and the users behind them.
//!
//! Each is loaded by its own key and told of every change from the moment that its load is
//! asked for, so that a read that was on its way while a write completed cannot bring back what
//! is gone: a change that comes while the load is under way is kept beside it and wins. Whose a session is nobody knows before it
//! is loaded: so the users whose other sessions have ended are noted while any is.
//! `whose` finds the sessions of somebody who is looked for.

mod known;
mod whose;

use std::collections::HashMap;

use crate::arena::{Arena, Key, Link, List, Pinned};
use crate::chat::held::{Held, HeldKey};
use crate::chat::lately::{Lately, Left};
use crate::chat::serve::Endings;
use crate::job::Fault;
use crate::model::{ChatroomId, MessageId, SessionHash, User, UserId};

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
    /// What its last poll has left.
    pub(super) left: Left,
    by_use: Link,
    /// In the list of its user, while it is good.
    of_user: Link,
    /// In the list of all that are or were of whoever has this id, once that is known.
    of_id: Link,
}

/// What is known of a session.
#[derive(Debug)]
pub(super) enum Standing {
    /// The store has been asked. `ended`: it was logged out meanwhile, whatever the store will say. `is_stale`: it is to be asked once more, for what has
    /// changed meanwhile was not told. `parted`: how many of `Sessions::parted` had been noted before.
    Loading {
        waiters: Vec<HeldKey>,
        ended: bool,
        is_stale: bool,
        parted: usize,
    },
    /// It is this user's.
    Good(UserKey),
    /// It is gone for good, or forgotten, but polls of it are still being ended, for this reason. It was this user's.
    Ended(UserId, Fault),
}

/// A user with a remembered session.
#[derive(Debug)]
pub(super) struct CachedUser {
    pub(super) user: User,
    pub(super) chatrooms: Chatrooms,
    /// Those that were known, while the store is asked anew or has failed to say: polls may be parked by them.
    before: Option<Vec<ChatroomId>>,
    /// Those that the user has come into since the store was asked, and the newest message of each then.
    pub(super) joined_behind: Vec<(ChatroomId, Option<MessageId>)>,
    sessions: List<Session>,
    /// All these sessions are gone for good, but are not ended here yet. Nobody finds this user by their id.
    is_former: bool,
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
        /// It is to be asked once more: what it says may be older than what was told since.
        is_stale: bool,
    },
    /// Ascending.
    Known(Vec<ChatroomId>),
}

impl Chatrooms {
    /// The store is being asked, and these wait for it.
    pub(super) fn loading(waiters: Vec<HeldKey>) -> Self {
        Self::Loading {
            waiters,
            changes: Vec::new(),
            is_stale: false,
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
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
    /// All that are known whose they are or were, whether good or not.
    by_id: HashMap<UserId, List<Session>>,
    /// What those have left that do not remember it themselves.
    lately: Lately,
    /// Sessions that are being loaded.
    loading: usize,
    /// Users whose sessions have ended but for one, since none were being loaded.
    parted: Vec<(UserId, SessionHash)>,
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
            by_id: HashMap::new(),
            lately: Lately::default(),
            loading: 0,
            parted: Vec::new(),
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
        self.loading += 1;
        let key = self.sessions.insert(Session {
            hash,
            standing: Standing::Loading {
                waiters: vec![waiter],
                ended: false,
                is_stale: false,
                parted: self.parted.len(),
            },
            polls: List::default(),
            endings: None,
            used_ms: 0,
            told_ms: 0,
            left: Left::default(),
            by_use: Link::default(),
            of_user: Link::default(),
            of_id: Link::default(),
        });
        self.by_hash.insert(hash, key);
        self.by_use
            .push_back(&mut self.sessions, key, |session| &mut session.by_use);
        key
    }

    /// What has changed was not told: whatever the store was asked before, it is to be asked once more when it has answered.
    pub(super) fn doubt_loads(&mut self) {
        let sessions: Vec<_> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in sessions {
            let session = self.sessions.get_mut(key).expect("just listed");
            if let Standing::Loading { is_stale, .. } = &mut session.standing {
                *is_stale = true;
            }
        }
        let users: Vec<_> = self.users.iter().map(|(key, _)| key).collect();
        for key in users {
            let user = self.users.get_mut(key).expect("just listed");
            if let Chatrooms::Loading { .. } = user.chatrooms {
                user.doubt();
            }
        }
    }

    /// Whether what the store has said of a session may be too old; then it is to be asked once more, and is being asked.
    pub(super) fn is_doubted(&mut self, key: SessionKey) -> bool {
        match self
            .sessions
            .get_mut(key)
            .map(|session| &mut session.standing)
        {
            Some(Standing::Loading {
                ended: false,
                is_stale,
                ..
            }) => std::mem::take(is_stale),
            _ => false,
        }
    }

    /// The store has said whose session it is.
    pub(super) fn settle(&mut self, key: SessionKey, user: User, used_ms: u64) {
        self.end_load();
        self.enter_id(user.id, key);
        let user = self.enter_user(user);
        self.join(user, key);
        let session = self.sessions.get_mut(key).expect("settled while it loads");
        session.standing = Standing::Good(user);
        session.used_ms = used_ms;
        session.told_ms = used_ms;
    }

    /// What was noted for the sake of those being loaded is for those alone.
    fn end_load(&mut self) {
        self.loading -= 1;
        if self.loading == 0 {
            self.parted.clear();
        }
    }

    fn enter_user(&mut self, user: User) -> UserKey {
        let users = &mut self.users;
        let entry = self.by_user.entry(user.id);
        *entry.or_insert_with(|| users.insert(CachedUser::new(user, Chatrooms::Unknown)))
    }

    fn join(&mut self, user: UserKey, session: SessionKey) {
        let user = self.users.get_mut(user).expect("users leave both");
        (user.sessions).push_back(&mut self.sessions, session, of_user);
    }

    /// All sessions of a user but one have ended. Returns the former user whose sessions those are, if there are any here.
    pub(super) fn part(&mut self, id: UserId, kept: &SessionHash) -> Option<UserKey> {
        if self.loading > 0 {
            self.parted.push((id, *kept));
        }
        let former = *self.by_user.get(&id)?;
        let kept = self.find(kept).filter(|&key| self.is_of(key, former));
        let user = self.users.get_mut(former).expect("users leave both");
        if user.sessions.len() == usize::from(kept.is_some()) {
            return None;
        }
        user.is_former = true;
        let chatrooms = std::mem::replace(&mut user.chatrooms, Chatrooms::Unknown);
        let mut again = CachedUser::new(user.user.clone(), chatrooms);
        again.before = user.before.take();
        again.joined_behind = std::mem::take(&mut user.joined_behind);
        if let Some(kept) = kept {
            user.sessions.remove(&mut self.sessions, kept, of_user);
        }
        self.by_user.remove(&id);
        // What is being loaded has somebody who waits for it.
        if kept.is_some() || matches!(again.chatrooms, Chatrooms::Loading { .. }) {
            let again = self.users.insert(again);
            self.by_user.insert(id, again);
            if let Some(kept) = kept {
                self.join(again, kept);
                self.sessions.get_mut(kept).expect("found").standing = Standing::Good(again);
            }
        }
        Some(former)
    }

    fn is_of(&self, session: SessionKey, user: UserKey) -> bool {
        let session = self.sessions.get(session).expect("found");
        matches!(session.standing, Standing::Good(of) if of == user)
    }

    /// Whether a user's sessions are all gone for good.
    pub(super) fn is_former(&self, user: UserKey) -> bool {
        self.users.get(user).is_some_and(|user| user.is_former)
    }

    /// A session of this user.
    pub(super) fn first_of(&self, user: UserKey) -> Option<SessionKey> {
        self.users.get(user)?.sessions.front(&self.sessions)
    }

    /// Whether a session that is being loaded has ended with others of this user since that was asked for.
    pub(super) fn has_parted(&self, key: SessionKey, user: UserId) -> bool {
        let session = self.sessions.get(key).expect("it is being loaded");
        let Standing::Loading { parted, .. } = session.standing else {
            return false;
        };
        let mut since = self.parted[parted..].iter();
        since.any(|&(whose, kept)| whose == user && kept != session.hash)
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

    /// All that are good, but for those of former users.
    pub(super) fn good(&self) -> Vec<SessionKey> {
        let is_good = |session: &Session| match session.standing {
            Standing::Good(user) => !self.is_former(user),
            Standing::Loading { .. } | Standing::Ended(..) => false,
        };
        let good = (self.sessions.iter()).filter(|(_, session)| is_good(session));
        good.map(|(key, _)| key).collect()
    }

    /// From here on requests do not find the session, which was good. Its value stays until [`Sessions::remove`], and its polls get this fault.
    pub(super) fn end(&mut self, key: SessionKey, why: Fault) {
        let session = self.sessions.get_mut(key).expect("ended while it is there");
        let Standing::Good(user) = session.standing else {
            unreachable!("only good sessions end")
        };
        let id = self.users.get(user).expect("its sessions keep it").user.id;
        session.standing = Standing::Ended(id, why);
        self.by_hash.remove(&session.hash);
        self.leave_user(user, key);
    }

    /// Forgets a session that has no polls.
    pub(super) fn remove(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        debug_assert!(session.polls.is_empty(), "its polls would be orphans");
        let (user, left) = (self.user_id(session), session.left.clone());
        match session.standing {
            Standing::Ended(..) => {}
            Standing::Loading { .. } => {
                self.by_hash.remove(&session.hash);
                self.end_load();
            }
            Standing::Good(user) => {
                self.by_hash.remove(&session.hash);
                self.leave_user(user, key);
            }
        }
        if let Some(user) = user {
            self.lately.keep(user, &left);
            self.leave_id(user, key);
        }
        self.by_use
            .remove(&mut self.sessions, key, |session| &mut session.by_use);
        self.sessions.remove(key);
    }

    fn leave_user(&mut self, key: UserKey, session: SessionKey) {
        let user = self.users.get_mut(key).expect("its sessions keep it");
        user.sessions.remove(&mut self.sessions, session, of_user);
        // A user whose chatrooms are being loaded stays: what comes meanwhile must be kept beside.
        let loading = matches!(user.chatrooms, Chatrooms::Loading { .. });
        if user.sessions.is_empty() && !loading {
            self.forget_user(key);
        }
    }

    /// Forgets a user whose load has ended and whose sessions are gone.
    pub(super) fn release_user(&mut self, id: UserId) {
        if let Some(&key) = self.by_user.get(&id)
            && self
                .users
                .get(key)
                .is_some_and(|user| user.sessions.is_empty())
        {
            self.forget_user(key);
        }
    }

    fn forget_user(&mut self, key: UserKey) {
        let user = self.users.remove(key).expect("forgotten once");
        if !user.is_former {
            self.by_user.remove(&user.user.id);
        }
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
    fn new(user: User, chatrooms: Chatrooms) -> Self {
        Self {
            user,
            chatrooms,
            before: None,
            joined_behind: Vec::new(),
            sessions: List::default(),
            is_former: false,
        }
    }
}

/// The link in the list of the user's sessions.
fn of_user(session: &mut Session) -> &mut Link {
    &mut session.of_user
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
        ann.chatrooms = Chatrooms::loading(vec![waiter()]);
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
        let mut ann = CachedUser::new(user(1), Chatrooms::loading(Vec::new()));
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
    fn a_former_user_goes_with_the_last_session() {
        let mut sessions = Sessions::new(9);
        let keys = [1, 2, 3].map(|n| {
            let key = sessions.expect(SessionHash([n; 32]), waiter());
            sessions.settle(key, user(1), 0);
            key
        });
        let kept = SessionHash([2; 32]);
        let former = sessions.part(user(1).id, &kept).expect("two have ended");
        assert!(sessions.is_former(former) && !sessions.is_of(keys[1], former));
        assert_eq!(sessions.counts(), (3, 2));
        sessions.user_by_id(user(1).id).expect("the kept one's");
        for key in [keys[0], keys[2]] {
            assert_eq!(sessions.first_of(former), Some(key));
            sessions.end(key, Fault::NoSession);
        }
        assert_eq!(sessions.counts(), (3, 1));
        // Nobody has come since.
        assert_eq!(sessions.part(user(1).id, &kept), None);
        assert_eq!(sessions.part(user(2).id, &kept), None);
    }

    #[test]
    fn a_session_that_loads_while_others_end_ends_with_them() {
        let mut sessions = Sessions::new(9);
        let [kept, other] = [1, 2].map(|n| sessions.expect(SessionHash([n; 32]), waiter()));
        sessions.part(user(1).id, &SessionHash([1; 32]));
        let later = sessions.expect(SessionHash([3; 32]), waiter());
        assert!(sessions.has_parted(other, user(1).id));
        assert!(!sessions.has_parted(other, user(2).id));
        assert!(!sessions.has_parted(kept, user(1).id));
        assert!(!sessions.has_parted(later, user(1).id));
        for key in [kept, other, later] {
            sessions.remove(key);
        }
        assert!(sessions.parted.is_empty());
    }

    #[test]
    fn two_sessions_share_a_user_until_both_end() {
        let mut sessions = Sessions::new(9);
        let keys = [1, 2].map(|n| {
            let key = sessions.expect(SessionHash([n; 32]), waiter());
            sessions.settle(key, user(1), 0);
            key
        });
        sessions.end(keys[0], Fault::NoSession);
        assert_eq!(sessions.counts(), (2, 1));
        sessions.remove(keys[0]);
        sessions.remove(keys[1]);
        assert_eq!(sessions.counts(), (0, 0));
    }
}
