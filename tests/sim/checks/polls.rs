//! Answers to polls.

use serde_json::Value;

use super::lists::Last;
use super::{Verdict, demand};
use crate::answer::Answer;
use crate::ask::Poll;
use crate::data::chatroom_id;
use crate::ledger::Begun;
use crate::line::Asked;
use crate::world::World;

impl World {
    pub(super) fn judge_poll(
        &mut self,
        asked: &Asked,
        begun: Begun,
        poll: Poll,
        answer: &Answer,
    ) -> Result<Last, String> {
        let (last, is_nothing_new) = match poll.since {
            None => self.judge_recent(asked, begun, poll, answer)?,
            Some(since) => self.judge_newer(begun, poll, since, answer)?,
        };
        self.note_ended(asked, begun, is_nothing_new)?;
        Ok(last)
    }

    /// The list of most recent messages, and whether the poll can have heard nothing new in it.
    fn judge_recent(
        &self,
        asked: &Asked,
        begun: Begun,
        poll: Poll,
        answer: &Answer,
    ) -> Result<(Last, bool), String> {
        let of = (poll.chatroom, poll.limit);
        let last = self.judge_list(&answer.body, of, begun, false)?;
        let newest = last.unwrap_or_else(|| self.stored(poll.chatroom));
        demand(newest >= begun.of.heard, "what was known is left out")?;
        let was_loading = match self.cluster {
            None => begun.of.is_loading,
            // What was told while it waited for its list counts as new.
            Some(_) => !asked.floors.contains_key(&poll.chatroom),
        };
        Ok((last, newest <= begun.of.heard && !was_loading))
    }

    /// The oldest of all that is newer, or nothing where nothing is.
    fn judge_newer(
        &self,
        begun: Begun,
        poll: Poll,
        since: i64,
        answer: &Answer,
    ) -> Result<(Last, bool), String> {
        let list = answer.body.as_array().ok_or("no array")?;
        let first = list.first().map(|message: &Value| &message["id"]);
        let is_behind = first.is_none_or(|first| *first == since + 1);
        demand(is_behind, "what is right behind since is left out")?;
        demand(since <= self.stored(poll.chatroom), "since is ahead")?;
        let last = self.judge_slice(list, poll.chatroom, begun)?;
        let recent = i64::from(self.config.recent);
        let length_max = poll.limit.map_or(recent, i64::from);
        let length = list.len() as i64;
        demand(length <= length_max, "the list is too long")?;
        let knows_all = last.unwrap_or(since) >= begun.of.heard || length == length_max;
        demand(knows_all, "what was known is left out")?;
        Ok((last, list.is_empty()))
    }

    /// What is `since` a message that is still to come, or before one that is gone.
    pub(super) fn judge_refused_poll(&self, poll: Poll, begun: Begun, answer: &Answer) -> Verdict {
        let since = poll.since.ok_or("a poll without since is refused")?;
        let number = |name: &str| answer.body[name].as_i64().ok_or("no number");
        let stored = self.stored(poll.chatroom);
        if answer.is(409, "since_ahead") {
            let last = number("last")?;
            demand((begun.of.heard..=stored).contains(&last), "another last")?;
            return demand(since > last, "since is not ahead");
        }
        demand(answer.is(410, "since_expired"), "the wrong status")?;
        let first = number("first")?;
        let kept = self.kept_from(poll.chatroom);
        demand((begun.of.first..=kept).contains(&first), "another first")?;
        demand(since + 1 < first && since < stored, "nothing is missing")
    }

    pub(crate) fn stored(&self, chatroom: usize) -> i64 {
        let room = self.store.data.chatroom(chatroom_id(chatroom));
        room.map_or(0, |room| room.messages.len()) as i64
    }

    /// The oldest message that is kept, or the next to come.
    pub(crate) fn kept_from(&self, chatroom: usize) -> i64 {
        let room = self.store.data.chatroom(chatroom_id(chatroom));
        room.map_or(0, |room| room.expired) as i64 + 1
    }

    /// A poll has ended; one with nothing new, because somebody has asked for it, its time is over, or it was one too many.
    pub(super) fn note_ended(
        &mut self,
        asked: &Asked,
        begun: Begun,
        is_nothing_new: bool,
    ) -> Verdict {
        if self.ledger.is_draining {
            if self.cluster.is_some() {
                self.note_perhaps_ended(asked);
            }
            return Ok(());
        }
        let token = asked.token.clone().unwrap_or_default();
        let waited_ms = self.now.monotonic_ms - begun.now_ms;
        let may_be_over = self.waits_ms(&asked.ask).0 <= waited_ms;
        // The first that was parked ends, which need not be the first that came.
        let max = self.config.max_polls_per_session as u64;
        let is_surplus = max > 0 && self.ledger.polls(&token, begun.at) > max;
        let is_by_endpoll = is_nothing_new && !may_be_over && !is_surplus;
        // Where it had to wait for anything then, the endpoll may have been answered before.
        let is_late = self.has_awaited_store(begun.at, self.answering, asked);
        let polled = self.polled(asked);
        let by: Vec<usize> = (polled.iter().copied())
            .filter(|&id| is_by_endpoll && self.may_be_ended(&token, id, begun.turn, is_late))
            .collect();
        demand(
            !is_by_endpoll || !by.is_empty(),
            "a poll ended with nothing new",
        )?;
        for id in polled {
            // Of several it is only known which it was where there is only one.
            let is_by_this = is_by_endpoll && !is_late && by == [id];
            self.push_ended((token.clone(), id), is_by_this);
        }
        Ok(())
    }

    /// Whether an endpoll in a chatroom may be what has ended a poll of this session that was begun in that turn.
    fn may_be_ended(&mut self, token: &str, chatroom: usize, turn: u32, is_late: bool) -> bool {
        let answered = (self.endings.answered).get(&(token.to_owned(), chatroom));
        let was_asked = answered.is_some_and(|&answered| answered >= turn);
        self.is_endpoll_under_way(token, chatroom) || is_late && was_asked
    }

    /// A poll was refused, or its client has gone: perhaps when an endpoll had ended and counted it.
    pub(crate) fn note_perhaps_ended(&mut self, asked: &Asked) {
        if let Some(token) = &asked.token {
            for id in self.polled(asked) {
                self.push_ended((token.clone(), id), false);
            }
        }
    }

    fn push_ended(&mut self, key: (String, usize), is_by_endpoll: bool) {
        let turn = self.trace.turns();
        self.endings.push(key, turn, is_by_endpoll);
    }
}
