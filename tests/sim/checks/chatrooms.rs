//! Answers about who is in a chatroom and what it is called.

use loiter::model::UserId;
use serde_json::{Value, json};

use super::{Verdict, demand};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::chronicle::Room;
use crate::ledger::Begun;
use crate::world::World;

impl World {
    /// A call that changes a chatroom.
    pub(super) fn judge_change(
        &self,
        ask: &Ask,
        begun: Begun,
        (user, chatroom): (UserId, usize),
        answer: &Answer,
    ) -> Verdict {
        let rooms = self.store.chronicle.rooms(chatroom, begun.committed);
        let whom = match ask {
            Ask::Leave { .. } => Some(user),
            Ask::Add { whom, .. } | Ask::Remove { whom, .. } => self.whom(whom),
            _ => None,
        };
        let is_departure = !matches!(ask, Ask::Add { .. }) && whom == Some(user);
        let was = |holds: &dyn Fn(&Room) -> bool| rooms.iter().any(holds);
        match (answer.status, answer.code()) {
            (403, "not_a_participant") => {
                let is_out = was(&|room| !room.participants.contains(&user));
                demand(is_departure && is_out, "a participant is refused")
            }
            (403, "admin_must_stay") => {
                let is_needed = |room: &Room| {
                    room.admin == Some(user)
                        && room.participants.contains(&user)
                        && room.participants.len() > 1
                };
                demand(is_departure && was(&is_needed), "the admin may go")
            }
            (403, "not_admin") => {
                let is_other = was(&|room| room.admin != Some(user));
                demand(!is_departure && is_other, "the admin is refused")
            }
            (404, "no_such_user") => {
                let was_there = whom.is_some_and(|whom| whom.get() <= begun.users as i64);
                let names_one = matches!(ask, Ask::Add { .. } | Ask::Remove { .. });
                demand(names_one && !was_there, "the user was there all the time")
            }
            (200, _) => {
                let is_done = |room: &Room| self.is_done(ask, whom, (chatroom, room), answer);
                demand(was(&is_done), "not stored, or another chatroom")?;
                let may_do = is_departure || was(&|room| room.admin == Some(user));
                demand(may_do, "who is not its admin has changed it")
            }
            _ => demand(false, "the wrong status"),
        }
    }

    /// Whether a chatroom is as the answer says, and as it was asked for.
    fn is_done(
        &self,
        ask: &Ask,
        whom: Option<UserId>,
        (chatroom, room): (usize, &Room),
        answer: &Answer,
    ) -> bool {
        let has = whom.is_some_and(|whom| room.participants.contains(&whom));
        let is_as_asked = match ask {
            Ask::Rename { name, .. } => room.name.as_deref() == Some(name),
            Ask::Add { .. } => has,
            _ => room.admin.is_some() && !has,
        };
        let told = match ask {
            Ask::Leave { .. } => json!({"status": "ok"}),
            _ => room.json(chatroom, &self.store.data),
        };
        is_as_asked && answer.body == told
    }

    fn whom(&self, whom: &str) -> Option<UserId> {
        let mut users = self.store.data.users.iter();
        let account = users.find(|account| {
            account.user.id.to_string() == whom || *account.folded == *whom.to_lowercase()
        });
        account.map(|account| account.user.id)
    }

    pub(super) fn judge_participants(
        &self,
        body: &Value,
        chatroom: usize,
        begun: Begun,
    ) -> Verdict {
        let rooms = self.store.chronicle.rooms(chatroom, begun.committed);
        let data = &self.store.data;
        let was_so = rooms.iter().any(|room| room.users(data) == *body);
        demand(was_so, "these were never the participants")
    }

    /// Each that is told must have been the user's at some time since, and each that is not must not.
    pub(super) fn judge_chatrooms(&self, begun: Begun, user: UserId, body: &Value) -> Verdict {
        let told = body.as_array().ok_or("no array")?;
        let told: Vec<usize> = told.iter().filter_map(as_id).collect();
        demand(told.is_sorted(), "not ascending")?;
        self.judge_whose(&told, self.refused_from(begun), user)
    }

    fn judge_whose(&self, told: &[usize], from: usize, user: UserId) -> Verdict {
        let chronicle = &self.store.chronicle;
        let is_own = |&id: &usize| chronicle.may_be_in(user, id, from);
        demand(told.iter().all(is_own), "a foreign chatroom")?;
        let mut others = (1..=self.store.data.chatrooms.len()).filter(|id| !told.contains(id));
        let is_none = others.all(|id| chronicle.may_be_out(user, id, from));
        demand(is_none, "a chatroom is missing")
    }

    pub(super) fn judge_overview(&self, begun: Begun, user: UserId, body: &Value) -> Verdict {
        let rows = body.as_array().ok_or("no array")?;
        let told: Vec<usize> = rows
            .iter()
            .filter_map(|row| as_id(&row["chatroomid"]))
            .collect();
        self.judge_whose(&told, begun.committed, user)?;
        for (id, row) in told.into_iter().zip(rows) {
            let rooms = self.store.chronicle.rooms(id, begun.committed);
            let is_so = |room: &Room| {
                row["admin"].as_i64() == room.admin.map(UserId::get)
                    && row["participants"] == room.participants.len()
                    && row["name"].as_str() == room.name.as_deref()
            };
            demand(rooms.iter().any(is_so), "the chatroom was never so")?;
            let last = row["last"].as_u64().ok_or("no last")? as usize;
            let stored = self.store.data.chatrooms[id - 1].messages.len();
            demand(last <= stored, "nobody has said that yet")?;
        }
        Ok(())
    }
}

fn as_id(id: &Value) -> Option<usize> {
    id.as_u64().map(|id| id as usize)
}
