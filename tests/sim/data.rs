//! What is on the simulated disk: users, sessions, chatrooms, messages.
//!
//! Whatever stands here is committed; the checks compare every answer with it. What a job does to it is
//! what `job` promises of every store.

use std::collections::BTreeMap;
use std::sync::Arc;

use loiter::job::{
    AddedRow, ChatroomRow, Completion, Fault, Job, MessageBounds, MessageRange, MessageRows,
    NONCE_LIFETIME, News, OverviewRow, RecentRows, RemovedRow, Saved, SavedBefore, ServerAnswer,
    SessionRow, Whom,
};
use loiter::model::{
    ChatroomId, ChatroomName, Message, MessageId, Now, Secret, SessionHash, User, UserId,
};

/// All that is committed.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) users: Vec<Account>,
    pub(crate) sessions: BTreeMap<[u8; 32], Session>,
    pub(crate) chatrooms: Vec<Chatroom>,
    pub(crate) session_lifetime_ms: u64,
    /// Several servers have it in common.
    pub(crate) is_shared: bool,
    /// How long messages are kept, if not for ever.
    pub(crate) retention_ms: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) folded: Arc<str>,
    /// The newest is the last.
    pub(crate) passwords: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: UserId,
    pub(crate) used_ms: u64,
    /// It was logged out; kept, so that the checks know whose it was.
    pub(crate) is_gone: bool,
}

#[derive(Debug)]
pub(crate) struct Chatroom {
    pub(crate) admin: UserId,
    pub(crate) name: Option<Arc<str>>,
    /// By the order in which they joined.
    pub(crate) participants: Vec<UserId>,
    /// All that were ever saved.
    pub(crate) messages: Vec<Message>,
    /// How many of them, the oldest, are no longer kept.
    pub(crate) expired: usize,
    /// The messages that were sent with a nonce, by their author and that.
    pub(crate) nonces: BTreeMap<(UserId, Box<str>), MessageId>,
}

impl Chatroom {
    fn kept(&self) -> &[Message] {
        &self.messages[self.expired..]
    }

    /// The newest message ever saved.
    fn last(&self) -> Option<MessageId> {
        self.messages.last().map(|message| message.id)
    }
}

pub(crate) fn hash_of(token: &str) -> SessionHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    SessionHash(digest.as_ref().try_into().expect("32 bytes"))
}

pub(crate) fn user_id(n: usize) -> UserId {
    UserId::new(n as i64).expect("from 1")
}

pub(crate) fn chatroom_id(n: usize) -> ChatroomId {
    ChatroomId::new(n as i64).expect("from 1")
}

/// Whether a job only reads ([`Data::read`]); all others may write ([`Data::write`]), and are done in their order.
pub(crate) fn only_reads(job: &Job) -> bool {
    matches!(
        job,
        Job::FindSession { .. }
            | Job::LoadUser { .. }
            | Job::LoadChatroom { .. }
            | Job::ReadMessages { .. }
            | Job::ReadNews { .. }
            | Job::ReadNewest { .. }
            | Job::FindUsers { .. }
            | Job::ListParticipants { .. }
            | Job::ListOverview { .. }
    )
}

impl Data {
    pub(crate) fn add_user(&mut self, name: &str, password: &str) -> User {
        let user = User {
            id: user_id(self.users.len() + 1),
            name: name.into(),
        };
        self.users.push(Account {
            user: user.clone(),
            folded: name.to_lowercase().into(),
            passwords: vec![password.to_owned()],
        });
        user
    }

    pub(crate) fn add_session(&mut self, user: UserId, now: Now, token: &str) {
        let session = Session {
            user,
            used_ms: now.unix_ms,
            is_gone: false,
        };
        self.sessions.insert(hash_of(token).0, session);
    }

    pub(crate) fn add_chatroom(&mut self, admin: UserId) -> ChatroomId {
        self.chatrooms.push(Chatroom {
            admin,
            name: None,
            participants: vec![admin],
            messages: Vec::new(),
            expired: 0,
            nonces: BTreeMap::new(),
        });
        chatroom_id(self.chatrooms.len())
    }

    pub(crate) fn user(&self, id: UserId) -> Option<&User> {
        let account = self.users.get(id.get() as usize - 1)?;
        Some(&account.user)
    }

    pub(crate) fn named(&self, folded: &str) -> Option<&Account> {
        self.users.iter().find(|account| *account.folded == *folded)
    }

    pub(crate) fn session(&self, token: &str) -> Option<&Session> {
        self.sessions.get(&hash_of(token).0)
    }

    pub(crate) fn chatroom(&self, id: ChatroomId) -> Option<&Chatroom> {
        self.chatrooms.get(usize::try_from(id.get()).ok()? - 1)
    }

    pub(crate) fn chatroom_mut(&mut self, id: ChatroomId) -> Option<&mut Chatroom> {
        self.chatrooms.get_mut(usize::try_from(id.get()).ok()? - 1)
    }

    pub(crate) fn has_joined(&self, user: UserId, chatroom: ChatroomId) -> bool {
        let chatroom = self.chatroom(chatroom);
        chatroom.is_some_and(|chatroom| chatroom.participants.contains(&user))
    }

    pub(crate) fn chatrooms_of(&self, user: UserId) -> Vec<ChatroomId> {
        let all = (1..=self.chatrooms.len()).map(chatroom_id);
        all.filter(|&chatroom| self.has_joined(user, chatroom))
            .collect()
    }

    pub(crate) fn participants(&self, chatroom: ChatroomId) -> Vec<User> {
        let ids = self.chatroom(chatroom).expect("exists").participants.iter();
        ids.map(|&id| self.user(id).expect("registered").clone())
            .collect()
    }

    /// Whether the password that a job is to verify, if any, is right.
    pub(crate) fn has_right_password(&self, job: &Job) -> bool {
        let (account, password) = match job {
            Job::LogIn {
                folded, password, ..
            } => (
                folded.as_deref().and_then(|folded| self.named(folded)),
                password,
            ),
            Job::ChangePassword { user, password, .. } => {
                (self.users.get(user.get() as usize - 1), password)
            }
            _ => return true,
        };
        account.is_some_and(|account| account.passwords.last().is_some_and(|p| *p == *password.0))
    }

    /// What a reading job finds.
    pub(crate) fn read(&self, now: Now, job: Job) -> Completion {
        match job {
            Job::FindSession {
                event_loop,
                session,
            } => Completion::SessionFound {
                event_loop,
                session,
                found: Ok(self.find_session(now, session)),
            },
            Job::LoadUser { event_loop, user } => Completion::UserLoaded {
                event_loop,
                user,
                chatrooms: Ok(self.chatrooms_of(user)),
            },
            Job::LoadChatroom {
                event_loop,
                chatroom,
                recent,
            } => Completion::ChatroomLoaded {
                event_loop,
                chatroom,
                loaded: Ok(self.recent(chatroom, recent)),
            },
            Job::ReadMessages {
                ticket,
                chatroom,
                user,
                range,
                limit,
            } => Completion::MessagesRead {
                ticket,
                chatroom,
                range,
                read: self.read_messages(chatroom, user, range, limit as usize),
            },
            Job::ReadNewest {
                ticket, chatrooms, ..
            } => Completion::NewestRead {
                ticket,
                read: Ok(chatrooms
                    .into_iter()
                    .map(|id| (id, self.chatroom(id).and_then(Chatroom::last)))
                    .collect()),
            },
            Job::ReadNews {
                ticket,
                user,
                since,
                limit,
            } => Completion::NewsRead {
                ticket,
                read: self.read_news(user, &since, limit as usize),
            },
            Job::FindUsers {
                ticket,
                prefix,
                limit,
                ..
            } => Completion::UsersFound {
                ticket,
                users: Ok(self.find_users(&prefix, limit)),
            },
            Job::ListParticipants {
                ticket,
                chatroom,
                user,
            } => Completion::ParticipantsListed {
                ticket,
                users: match self.has_joined(user, chatroom) {
                    true => Ok(self.participants(chatroom)),
                    false => Err(Fault::NotAParticipant),
                },
            },
            Job::ListOverview { ticket, user } => Completion::OverviewListed {
                ticket,
                chatrooms: Ok(self.overview(user)),
            },
            job => unreachable!("{job:?} does not read"),
        }
    }

    fn find_session(&self, now: Now, hash: SessionHash) -> Option<SessionRow> {
        let session = self.sessions.get(&hash.0)?;
        let is_old = now.unix_ms.saturating_sub(session.used_ms) > self.session_lifetime_ms;
        (!session.is_gone && !is_old).then(|| SessionRow {
            user: self.user(session.user).expect("registered").clone(),
            used_unix_ms: session.used_ms,
        })
    }

    fn recent(&self, chatroom: ChatroomId, recent: u32) -> RecentRows {
        let chatroom = self.chatroom(chatroom);
        let kept = chatroom.map_or(&[][..], Chatroom::kept);
        RecentRows {
            last: chatroom.and_then(Chatroom::last),
            messages: kept[kept.len().saturating_sub(recent as usize)..].to_vec(),
        }
    }

    fn read_news(
        &self,
        user: UserId,
        since: &[(ChatroomId, Option<MessageId>)],
        limit: usize,
    ) -> Result<News, Fault> {
        let mut news = Vec::new();
        for &(chatroom, after) in since {
            if news.len() == limit {
                break;
            }
            let range = MessageRange::After(after);
            let (newer, bounds) = self.range(chatroom, user, range, limit - news.len())?;
            if bounds.is_gap(after) {
                let first = bounds.first;
                return Ok(News::Expired { chatroom, first });
            }
            news.extend(newer);
        }
        Ok(News::Messages(news.into_iter().collect()))
    }

    fn read_messages(
        &self,
        id: ChatroomId,
        user: UserId,
        range: MessageRange,
        limit: usize,
    ) -> Result<MessageRows, Fault> {
        let (messages, bounds) = self.range(id, user, range, limit)?;
        Ok(MessageRows {
            messages: messages.iter().collect(),
            bounds,
        })
    }

    fn range(
        &self,
        id: ChatroomId,
        user: UserId,
        range: MessageRange,
        limit: usize,
    ) -> Result<(&[Message], MessageBounds), Fault> {
        let chatroom = self.chatroom(id).filter(|_| self.has_joined(user, id));
        let chatroom = chatroom.ok_or(Fault::NotAParticipant)?;
        let kept = chatroom.kept();
        let place = |id: MessageId| kept.partition_point(|message| message.id < id);
        let messages = match range {
            MessageRange::After(id) => {
                let older = id.map_or(0, |id| kept.partition_point(|message| message.id <= id));
                &kept[older..][..limit.min(kept.len() - older)]
            }
            MessageRange::Before(id) => {
                let until = id.map_or(kept.len(), place);
                &kept[until.saturating_sub(limit)..until]
            }
        };
        let bounds = MessageBounds {
            first: MessageId::new(chatroom.expired as i64 + 1).expect("from 1"),
            last: chatroom.last(),
        };
        Ok((messages, bounds))
    }

    fn overview(&self, user: UserId) -> Vec<OverviewRow> {
        let spoken_ms = |chatroom: ChatroomId| {
            let newest = self.chatroom(chatroom).expect("exists").messages.last();
            newest.map(|message| message.time_unix_ms)
        };
        let mut ids = self.chatrooms_of(user);
        ids.sort_by_key(|&id| std::cmp::Reverse((spoken_ms(id), id)));
        let row = |id| {
            let chatroom = self.chatroom(id).expect("exists");
            OverviewRow {
                chatroom: id,
                name: chatroom.name.clone(),
                admin: chatroom.admin,
                participants: chatroom.participants.len() as u64,
                last: chatroom.last(),
            }
        };
        ids.into_iter().map(row).collect()
    }

    /// Removes old messages, if any are to be removed.
    pub(crate) fn expire(&mut self, now: Now) -> Vec<Completion> {
        let Some(retention_ms) = self.retention_ms else {
            return Vec::new();
        };
        let mut told = Vec::new();
        for (n, chatroom) in (1..).zip(&mut self.chatrooms) {
            let is_old = |message: &&Message| message.time_unix_ms + retention_ms < now.unix_ms;
            let old = chatroom.kept().iter().take_while(is_old).count();
            chatroom.expired += old;
            if old > 0 {
                let first = MessageId::new(chatroom.expired as i64 + 1);
                told.push(Completion::MessagesExpired {
                    chatroom: chatroom_id(n),
                    first: first.expect("from 1"),
                });
            }
        }
        told
    }

    fn find_users(&self, prefix: &str, limit: u32) -> Vec<User> {
        let mut found: Vec<&Account> = (self.users.iter())
            .filter(|account| account.folded.starts_with(prefix))
            .collect();
        found.sort_by(|a, b| a.folded.cmp(&b.folded));
        let found = found.into_iter().take(limit as usize);
        found.map(|account| account.user.clone()).collect()
    }

    /// What a writing job comes to; `token` is the new session's.
    pub(crate) fn write(&mut self, now: Now, token: &str, job: Job) -> Option<Completion> {
        if !self.has_right_password(&job) {
            // It was right when it was verified.
            return job.failed(Fault::BadCredentials);
        }
        Some(match job {
            Job::Register {
                ticket,
                name,
                password,
                ..
            } => Completion::Registered {
                ticket,
                user: match self.named(name.folded()) {
                    Some(_) => Err(Fault::UsernameTaken),
                    None => Ok(self.add_user(name.shown(), &password.0)),
                },
            },
            Job::LogIn { ticket, folded, .. } => Completion::LoggedIn {
                ticket,
                login: Ok(self.log_in(now, token, folded.as_deref())),
            },
            Job::ChangePassword {
                ticket,
                session,
                user,
                new,
                ..
            } => {
                let ended = self.change_password(session, user, &new);
                Completion::PasswordChanged {
                    ticket,
                    user,
                    session,
                    ended: self.is_shared.then_some(ended),
                    done: Ok(()),
                }
            }
            Job::LogOut { ticket, session } => Completion::LoggedOut {
                ticket,
                session,
                done: self.log_out(session),
            },
            Job::CreateChatroom {
                ticket,
                admin,
                name,
            } => Completion::ChatroomCreated {
                ticket,
                admin,
                chatroom: Ok(self.create_chatroom(admin, name)),
            },
            Job::RenameChatroom {
                ticket,
                chatroom,
                admin,
                name,
            } => Completion::ChatroomRenamed {
                ticket,
                chatroom,
                renamed: self.rename_chatroom(chatroom, admin, name),
            },
            Job::AddParticipant {
                ticket,
                chatroom,
                admin,
                whom,
            } => Completion::ParticipantAdded {
                ticket,
                chatroom,
                added: self.add_participant(chatroom, admin, &whom),
            },
            Job::RemoveParticipant {
                ticket,
                chatroom,
                by,
                whom,
            } => Completion::ParticipantRemoved {
                ticket,
                chatroom,
                removed: self.remove_participant(chatroom, by, &whom),
            },
            Job::SaveMessage {
                ticket,
                chatroom,
                author,
                text,
                nonce,
            } => Completion::MessageSaved {
                ticket,
                chatroom,
                saved: self.save(now, chatroom, author, text, nonce),
            },
            Job::Probe { ticket } => Completion::Probed {
                ticket,
                done: Ok(()),
            },
            // There are no others.
            Job::AskServers { ticket, .. } => Completion::ServersAnswered {
                ticket,
                answer: Ok(ServerAnswer::default()),
            },
            Job::TouchSessions { used } => {
                self.touch(used);
                return None;
            }
            job => unreachable!("{job:?} does not write"),
        })
    }

    fn log_in(&mut self, now: Now, token: &str, folded: Option<&str>) -> (User, Secret) {
        let account = folded.and_then(|folded| self.named(folded));
        let user = account.expect("it was verified").user.clone();
        self.add_session(user.id, now, token);
        (user, Secret(token.into()))
    }

    /// Returns the sessions that have ended.
    fn change_password(
        &mut self,
        kept: SessionHash,
        user: UserId,
        new: &Secret,
    ) -> Arc<[SessionHash]> {
        let account = &mut self.users[user.get() as usize - 1];
        account.passwords.push(new.0.to_string());
        let others = (self.sessions.iter_mut())
            .filter(|(hash, session)| **hash != kept.0 && session.user == user);
        let end = |(hash, session): (&[u8; 32], &mut Session)| {
            let was_gone = std::mem::replace(&mut session.is_gone, true);
            (!was_gone).then_some(SessionHash(*hash))
        };
        others.filter_map(end).collect()
    }

    fn log_out(&mut self, session: SessionHash) -> Result<(), Fault> {
        match self.sessions.get_mut(&session.0) {
            Some(session) if !session.is_gone => {
                session.is_gone = true;
                Ok(())
            }
            _ => Err(Fault::NoSession),
        }
    }

    fn touch(&mut self, used: Vec<(SessionHash, u64)>) {
        for (session, used_ms) in used {
            if let Some(session) = self.sessions.get_mut(&session.0) {
                session.used_ms = session.used_ms.max(used_ms);
            }
        }
    }

    fn create_chatroom(&mut self, admin: UserId, name: Option<ChatroomName>) -> ChatroomId {
        let id = self.add_chatroom(admin);
        let chatroom = self.chatroom_mut(id).expect("just made");
        chatroom.name = name.map(|name| name.shown().clone());
        id
    }

    fn rename_chatroom(
        &mut self,
        id: ChatroomId,
        admin: UserId,
        name: ChatroomName,
    ) -> Result<ChatroomRow, Fault> {
        self.administered(id, admin)?.name = Some(name.shown().clone());
        Ok(self.chatroom_row(id))
    }

    /// A chatroom, for its admin.
    fn administered(&mut self, id: ChatroomId, admin: UserId) -> Result<&mut Chatroom, Fault> {
        let chatroom = self.chatroom_mut(id);
        let chatroom = chatroom.filter(|chatroom| chatroom.admin == admin);
        chatroom.ok_or(Fault::NotAdmin)
    }

    fn chatroom_row(&self, id: ChatroomId) -> ChatroomRow {
        let chatroom = self.chatroom(id).expect("exists");
        ChatroomRow {
            admin: chatroom.admin,
            name: chatroom.name.clone(),
            participants: self.participants(id),
        }
    }

    fn add_participant(
        &mut self,
        id: ChatroomId,
        admin: UserId,
        whom: &Whom,
    ) -> Result<AddedRow, Fault> {
        self.administered(id, admin)?;
        let joined = self.whom(whom).ok_or(Fault::NoSuchUser)?;
        let chatroom = self.chatroom_mut(id).expect("it has an admin");
        if !chatroom.participants.contains(&joined) {
            chatroom.participants.push(joined);
        }
        Ok(AddedRow {
            joined,
            last: self.chatroom(id).and_then(Chatroom::last),
            chatroom: self.chatroom_row(id),
        })
    }

    fn whom(&self, whom: &Whom) -> Option<UserId> {
        let account = match whom {
            Whom::Id(id) => self.users.iter().find(|account| account.user.id == *id),
            Whom::Name(folded) => self.named(folded),
            Whom::Nobody => None,
        };
        account.map(|account| account.user.id)
    }

    fn remove_participant(
        &mut self,
        id: ChatroomId,
        by: UserId,
        whom: &Whom,
    ) -> Result<RemovedRow, Fault> {
        let whom = self.whom(whom);
        let user = if whom == Some(by) {
            let chatroom = self.chatroom(id).filter(|_| self.has_joined(by, id));
            let chatroom = chatroom.ok_or(Fault::NotAParticipant)?;
            if chatroom.admin == by && chatroom.participants.len() > 1 {
                return Err(Fault::AdminMustStay);
            }
            by
        } else {
            self.administered(id, by)?;
            whom.ok_or(Fault::NoSuchUser)?
        };
        let was_in_it = self.has_joined(user, id);
        let chatroom = self.chatroom_mut(id).expect("it was found");
        chatroom.participants.retain(|other| *other != user);
        Ok(RemovedRow {
            left: user,
            was_in_it,
            chatroom: self.chatroom_row(id),
        })
    }

    fn save(
        &mut self,
        now: Now,
        id: ChatroomId,
        user: User,
        text: Box<str>,
        nonce: Option<Box<str>>,
    ) -> Result<Saved, Fault> {
        if !self.has_joined(user.id, id) {
            return Err(Fault::NotAParticipant);
        }
        let Chatroom {
            messages, nonces, ..
        } = self.chatroom_mut(id).expect("joined");
        let nonce = nonce.map(|nonce| (user.id, nonce));
        if let Some(before) = nonce.as_ref().and_then(|nonce| nonces.get(nonce)) {
            let sent_ms = messages[before.get() as usize - 1].time_unix_ms;
            if now.unix_ms.saturating_sub(sent_ms) <= NONCE_LIFETIME.as_millis() as u64 {
                let (id, author) = (*before, user.id);
                return Ok(Saved::Before(SavedBefore { id, author }));
            }
        }
        let message = Message {
            id: MessageId::new(messages.len() as i64 + 1).expect("from 1"),
            chatroom: id,
            user,
            text,
            time_unix_ms: now.unix_ms,
        };
        messages.push(message.clone());
        nonces.extend(nonce.map(|nonce| (nonce, message.id)));
        Ok(Saved::New(message))
    }
}
