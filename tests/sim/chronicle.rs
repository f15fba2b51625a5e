//! Who was in which chatroom, and what it was called, commit by commit.
//!
//! An answer tells what held at some time between its question and itself: of what the store read, from what was committed when
//! it was asked on; of what an engine remembers, from what it had been told by then on.

use std::sync::Arc;

use loiter::job::{Completion, RemovedRow};
use loiter::model::{ChatroomId, User, UserId};
use serde_json::{Value, json};

use crate::data::{Data, chatroom_id};

#[derive(Debug)]
enum Change {
    Created(UserId, Option<Arc<str>>),
    Joined(UserId),
    Left(UserId),
    Renamed(Option<Arc<str>>),
}

/// All changes, in the order of their commits. A number of them is a time.
#[derive(Debug, Default)]
pub(crate) struct Chronicle(Vec<(ChatroomId, Change)>);

/// A chatroom at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    pub(crate) admin: Option<UserId>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) participants: Vec<UserId>,
}

impl Room {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Created(admin, name) => {
                self.admin = Some(*admin);
                self.name.clone_from(name);
                self.participants = vec![*admin];
            }
            Change::Joined(user) if self.participants.contains(user) => {}
            Change::Joined(user) => self.participants.push(*user),
            Change::Left(user) => self.participants.retain(|other| other != user),
            Change::Renamed(name) => self.name.clone_from(name),
        }
    }

    /// As the contract has it.
    pub(crate) fn json(&self, id: usize, data: &Data) -> Value {
        let admin = self.admin.map(UserId::get);
        let participants = self.users(data);
        let mut json = json!({"chatroomid": id, "admin": admin, "participants": participants});
        if let Some(name) = &self.name {
            json["name"] = json!(**name);
        }
        json
    }

    pub(crate) fn users(&self, data: &Data) -> Value {
        let ids = self.participants.iter();
        let users = ids.map(|&id| user_json(data.user(id).expect("registered")));
        users.collect()
    }
}

pub(crate) fn user_json(user: &User) -> Value {
    json!({"userid": user.id.get(), "username": *user.name})
}

impl Chronicle {
    pub(crate) fn of(data: &Data) -> Self {
        let mut chronicle = Self::default();
        for (n, room) in (1..).zip(&data.chatrooms) {
            let created = Change::Created(room.admin, room.name.clone());
            chronicle.0.push((chatroom_id(n), created));
            for user in &room.participants {
                chronicle.0.push((chatroom_id(n), Change::Joined(*user)));
            }
        }
        chronicle
    }

    /// The time.
    pub(crate) fn now(&self) -> usize {
        self.0.len()
    }

    /// Something was committed.
    pub(crate) fn note(&mut self, completion: &Completion, data: &Data) {
        self.0.extend(change(completion, data));
    }

    /// Whether it tells of a change, and with it of a time.
    pub(crate) fn is_told_by(completion: &Completion) -> bool {
        change(completion, &Data::default()).is_some()
    }

    /// A chatroom as it was at `from`, and after each change since; before it was made it is empty.
    pub(crate) fn rooms(&self, id: usize, from: usize) -> Vec<Room> {
        let mut rooms = vec![Room::default()];
        for (at, (chatroom, change)) in self.0.iter().enumerate() {
            if chatroom.get() == id as i64 {
                let mut room = rooms.last().expect("one at least").clone();
                room.apply(change);
                if at < from {
                    rooms.clear();
                }
                rooms.push(room);
            }
        }
        rooms
    }

    /// Whether a user was in a chatroom at any time since `from`.
    pub(crate) fn may_be_in(&self, user: UserId, chatroom: usize, from: usize) -> bool {
        let rooms = self.rooms(chatroom, from);
        rooms.iter().any(|room| room.participants.contains(&user))
    }

    /// Who was let go last, and from where.
    pub(crate) fn newest_left(&self) -> Option<(UserId, usize)> {
        self.0
            .iter()
            .rev()
            .find_map(|(chatroom, change)| match change {
                Change::Left(user) => Some((*user, usize::try_from(chatroom.get()).expect("few"))),
                _ => None,
            })
    }

    /// When a user was last let go from a chatroom before a time.
    pub(crate) fn last_left(
        &self,
        user: UserId,
        chatroom: ChatroomId,
        before: usize,
    ) -> Option<usize> {
        self.0[..before].iter().rposition(|(of, change)| {
            *of == chatroom && matches!(change, Change::Left(left) if *left == user)
        })
    }

    /// Whether a user was not in a chatroom at any time since `from`.
    pub(crate) fn may_be_out(&self, user: UserId, chatroom: usize, from: usize) -> bool {
        let rooms = self.rooms(chatroom, from);
        rooms.iter().any(|room| !room.participants.contains(&user))
    }
}

fn change(completion: &Completion, data: &Data) -> Option<(ChatroomId, Change)> {
    match completion {
        Completion::ChatroomCreated {
            admin,
            chatroom: Ok(id),
            ..
        } => {
            let name = data.chatroom(*id).and_then(|room| room.name.clone());
            Some((*id, Change::Created(*admin, name)))
        }
        Completion::ParticipantAdded {
            chatroom,
            added: Ok(row),
            ..
        } => Some((*chatroom, Change::Joined(row.joined))),
        Completion::ParticipantRemoved {
            chatroom,
            removed:
                Ok(RemovedRow {
                    left,
                    was_in_it: true,
                    ..
                }),
            ..
        } => Some((*chatroom, Change::Left(*left))),
        Completion::ChatroomRenamed {
            chatroom,
            renamed: Ok(row),
            ..
        } => Some((*chatroom, Change::Renamed(row.name.clone()))),
        _ => None,
    }
}
