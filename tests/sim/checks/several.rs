//! Answers to polls of several chatrooms.

use loiter::model::UserId;
use serde_json::Value;

use super::{Verdict, demand};
use crate::answer::Answer;
use crate::ask::{Poll, Several, Which};
use crate::line::Asked;
use crate::world::World;

/// A list's messages by their chatrooms, in the list's order.
type Groups<'a> = Vec<(usize, &'a [Value])>;

impl World {
    pub(super) fn judge_several(
        &mut self,
        asked: &Asked,
        several: &Several,
        user: UserId,
        answer: &Answer,
    ) -> Verdict {
        let begun = asked.begun.expect("it is answered");
        let chronicle = &self.store.chronicle;
        if answer.is(500, "not_a_participant") {
            let Which::These(ids) = &several.which else {
                return demand(false, "nobody is an outsider in all that they are in");
            };
            let mut ids = ids.iter();
            let from = self.refused_from(begun);
            let may_be_out = ids.any(|&id| chronicle.may_be_out(user, id, from));
            return demand(may_be_out, "a participant is refused");
        }
        let own = self.polled(asked);
        let mut ids = own.iter();
        let may_be_in = ids.all(|&id| chronicle.may_be_in(user, id, begun.told));
        demand(may_be_in, "an outsider is answered")?;
        if answer.status != 200 {
            return self.judge_refused_several(asked, several, answer);
        }
        let list = answer.body.as_array().ok_or("no array")?;
        let groups = groups(list)?;
        let is_own = groups.iter().all(|(id, _)| own.contains(id));
        demand(is_own, "a chatroom that was not asked for")?;
        match several.since {
            None => self.judge_spoken(asked, several, &groups, answer)?,
            Some(_) => self.judge_news(asked, several, user, &groups)?,
        }
        for (id, messages) in groups {
            let last = messages.last().and_then(|message| message["id"].as_i64());
            self.check_is_meant_for(asked, user, id, last)?;
        }
        let is_nothing_new = list.is_empty() && !self.may_end_with_nothing(asked, several, user);
        self.note_ended(asked, begun, is_nothing_new)
    }

    /// The list of the chatroom that spoke, or none.
    fn judge_spoken(
        &self,
        asked: &Asked,
        several: &Several,
        groups: &Groups<'_>,
        answer: &Answer,
    ) -> Verdict {
        let &[(id, _)] = &groups[..] else {
            return demand(groups.is_empty(), "several lists");
        };
        let begun = asked.begun_in(id);
        let last = self.judge_list(&answer.body, (id, several.limit), begun, false)?;
        let has_spoken = last.is_some_and(|last| last > begun.of.heard);
        demand(has_spoken, "the list of one that has not spoken")
    }

    /// The oldest of what is newer, chatroom by chatroom.
    fn judge_news(
        &self,
        asked: &Asked,
        several: &Several,
        user: UserId,
        groups: &Groups<'_>,
    ) -> Verdict {
        let told = asked.begun.expect("it is answered").told;
        if groups.is_empty() && self.has_left_one(asked, several, user) {
            return Ok(());
        }
        let mut left = several
            .limit
            .map_or(self.config.recent as usize, usize::from);
        let mut polled = self.polled(asked);
        polled.sort_unstable();
        for id in polled {
            let begun = asked.begun_in(id);
            let group = groups.iter().find(|(of, _)| *of == id);
            let messages = group.map_or(&[][..], |(_, messages)| messages);
            let since = several.since(id).unwrap_or(begun.of.heard);
            let was_in = !self.store.chronicle.may_be_out(user, id, told);
            if let Some(first) = messages.first() {
                let first = first["id"].as_i64().ok_or("no id")?;
                // Who has come in meanwhile hears from then on, unless they have said how far they were.
                let is_behind = first == since + 1
                    || several.since(id).is_none() && self.may_begin_with(asked, id, first);
                let is_later = !was_in && several.since(id).is_none() && first > since;
                demand(
                    is_behind || is_later,
                    "what is right behind since is left out",
                )?;
            }
            demand(since <= self.stored(id) || !was_in, "since is ahead")?;
            let last = self.judge_slice(messages, id, begun)?;
            left = (left.checked_sub(messages.len())).ok_or("the list is too long")?;
            let knows_all = last.unwrap_or(since) >= begun.of.heard;
            demand(
                knows_all || left == 0 || !was_in,
                "what was known is left out",
            )?;
        }
        Ok(())
    }

    /// Whether somebody who hears of a chatroom from when they came may hear of this message first: others write too.
    fn may_begin_with(&self, asked: &Asked, chatroom: usize, first: i64) -> bool {
        let heard = asked.begun_in(chatroom).of.heard;
        let from_now = self.read_from_now(asked, chatroom);
        self.cluster.is_some() && first > heard && first - 1 <= from_now
    }

    fn judge_refused_several(&self, asked: &Asked, several: &Several, answer: &Answer) -> Verdict {
        let id = answer.body["chatroomid"].as_u64().ok_or("no chatroom")? as usize;
        demand(self.polled(asked).contains(&id), "another chatroom")?;
        let begun = asked.begun_in(id);
        let since = several.since(id).unwrap_or(begun.of.heard);
        let is_told = several.since.is_some();
        demand(is_told, "a poll without since is refused")?;
        let poll = Poll {
            chatroom: id,
            since: Some(since),
            limit: several.limit,
            timeout_s: None,
        };
        self.judge_refused_poll(poll, begun, answer)
    }

    /// Whether a poll of all chatrooms may get nothing of any, since its user has left one while it was being read.
    fn has_left_one(&self, asked: &Asked, several: &Several, user: UserId) -> bool {
        let told = asked.begun.expect("it is answered").told;
        let chronicle = &self.store.chronicle;
        let mut own = self.polled(asked).into_iter();
        several.which == Which::All && own.any(|id| chronicle.may_be_out(user, id, told))
    }

    /// Whether a poll may end with nothing though nobody has asked for it and its time is not over: where its user has come into a chatroom in which
    /// they have read before, or where what was said is kept no longer.
    fn may_end_with_nothing(&self, asked: &Asked, several: &Several, user: UserId) -> bool {
        let told = asked.begun.expect("it is answered").told;
        let chronicle = &self.store.chronicle;
        let mut pairs = several.since.iter().flatten();
        let has_come = several.which == Which::All
            && pairs.any(|&(id, _)| {
                chronicle.may_be_out(user, id, told) && chronicle.may_be_in(user, id, told)
            });
        let is_gone = |id: usize| self.kept_from(id) > asked.begun_in(id).of.heard + 1;
        let has_left = self.has_left_one(asked, several, user);
        let begun = asked.begun.expect("it is answered");
        // Where it cannot be said which chatrooms those are, it is to ask again.
        let is_unknown = self.cluster.is_some()
            && several.which == Which::All
            && (self.ledger.has_storage_failed(&begun) || self.ledger.refusals > begun.refusals);
        is_unknown
            || has_come
            || has_left
            || several.since.is_none() && self.polled(asked).into_iter().any(is_gone)
    }
}

fn groups(list: &[Value]) -> Result<Groups<'_>, String> {
    let groups = list.chunk_by(|a, b| a["chatroomid"] == b["chatroomid"]);
    let groups: Option<Groups<'_>> = groups
        .map(|group| Some((group[0]["chatroomid"].as_u64()? as usize, group)))
        .collect();
    let groups = groups.ok_or("a message of no chatroom")?;
    let is_ordered = groups.is_sorted_by(|(a, _), (b, _)| a < b);
    demand(is_ordered, "not in the order of the chatrooms' ids")?;
    Ok(groups)
}
