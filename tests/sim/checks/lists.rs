//! Lists of messages: whole, in order, and for whom they are meant.

use loiter::model::UserId;
use serde_json::Value;

use super::{Verdict, demand};
use crate::answer::Answer;
use crate::data::chatroom_id;
use crate::ledger::Begun;
use crate::line::Asked;
use crate::world::World;

/// A list's newest message; none where it is empty.
pub(super) type Last = Option<i64>;

impl World {
    /// A list of most recent messages must be the store's.
    ///
    /// One of more messages than are usual may be as short as the usual one where it is `made_here`, of what an engine remembers.
    pub(super) fn judge_list(
        &self,
        list: &Value,
        (chatroom, limit): (usize, Option<u8>),
        begun: Begun,
        made_here: bool,
    ) -> Result<Last, String> {
        let recent = i64::from(self.config.recent);
        let max = limit.map_or(recent, i64::from);
        let min = if made_here { max.min(recent) } else { max };
        let list = list.as_array().ok_or("no array")?;
        let last = self.judge_slice(list, chatroom, begun)?;
        let length = list.len() as i64;
        demand(length <= max, "the list is too long")?;
        let room = self.store.data.chatroom(chatroom_id(chatroom));
        let expired = room.map_or(0, |room| room.expired) as i64;
        let is_full = match last {
            Some(last) => length >= min || last - length <= expired,
            None => begun.of.heard <= expired,
        };
        // The loop may have heard of what others wrote behind a message before it is told that its own is saved.
        let is_overtaken = made_here && self.cluster.is_some();
        let may_be_short = is_overtaken || self.ledger.unloaded(chatroom) > begun.of.unloaded;
        demand(is_full || may_be_short, "the list is too short")?;
        Ok(last)
    }

    /// Messages must be the store's, one behind another, and none of those that the engine had been told are gone.
    pub(super) fn judge_slice(
        &self,
        list: &[Value],
        chatroom: usize,
        begun: Begun,
    ) -> Result<Last, String> {
        let room = self.store.data.chatroom(chatroom_id(chatroom));
        let room = room.ok_or("no chatroom")?;
        let Some(first) = list.first() else {
            return Ok(None);
        };
        let first = first["id"].as_i64().ok_or("no id")?;
        demand(first >= begun.of.first, "the list begins with what is gone")?;
        for (id, told) in (first..).zip(list) {
            let stored = room.messages.get(id as usize - 1).ok_or("not stored")?;
            let same = told["id"] == id
                && told["chatroomid"] == chatroom
                && told["userid"] == stored.user.id.get()
                && told["username"] == *stored.user.name
                && told["message"] == *stored.text;
            demand(same, "the list is no slice of the stored messages")?;
        }
        Ok(Some(first + list.len() as i64 - 1))
    }

    /// The newest of those that are older than `before`.
    pub(super) fn judge_history(
        &self,
        begun: Begun,
        (chatroom, before, limit): (usize, Option<i64>, Option<u8>),
        answer: &Answer,
    ) -> Result<Last, String> {
        let last = self.judge_list(&answer.body, (chatroom, limit), begun, false);
        let room = self.store.data.chatroom(chatroom_id(chatroom));
        let room = room.ok_or("no chatroom")?;
        let stored = room.messages.len() as i64;
        let Some(before) = before.filter(|&before| before <= stored) else {
            let last = last?;
            let is_newest = last.is_none_or(|last| last >= begun.of.heard);
            demand(is_newest, "what was known is left out")?;
            return Ok(last);
        };
        // Of an empty one the beginning may be gone, or there is none.
        let is_all_gone = before - 1 <= room.expired as i64;
        let last = match answer.body.as_array().is_some_and(Vec::is_empty) {
            true if is_all_gone => None,
            _ => last?,
        };
        let ends_before = last.is_none_or(|last| {
            last == before - 1 || last < before && stored > begun.of.heard && last >= begun.of.heard
        });
        demand(ends_before, "the list does not end right before")?;
        Ok(last)
    }

    /// Who has left hears nothing that was said after, and no poll anything that was said after its session.
    pub(super) fn check_is_meant_for(
        &self,
        asked: &Asked,
        user: UserId,
        chatroom: usize,
        last: Last,
    ) -> Verdict {
        let Some(last) = last else { return Ok(()) };
        let left = self.ledger.heard_before_leaving(user, chatroom);
        let is_back = match self.cluster {
            None => (self.store.data).has_joined(user, chatroom_id(chatroom)),
            // It may have read that they are, and be yet to hear that they have left again.
            Some(_) => (self.store.chronicle).may_be_in(user, chatroom, self.ledger.told()),
        };
        let is_for_user = is_back || left.is_none_or(|heard| last <= heard);
        demand(is_for_user, "who has left hears what was said after")?;
        // What was submitted before is done.
        let ended = self.ledger.heard_in_session(asked.session, chatroom);
        let is_for_session = !asked.ask.waits() || ended.is_none_or(|heard| last <= heard);
        demand(is_for_session, "a poll has outlived its session")
    }
}
