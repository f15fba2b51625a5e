//! Answers to endpolls, and how many polls each may have ended.

use super::lists::Last;
use super::{Verdict, demand};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::ledger::Begun;
use crate::line::{Asked, Line};
use crate::world::World;

impl World {
    pub(super) fn judge_end_polls(
        &mut self,
        asked: &Asked,
        begun: Begun,
        (chatroom, limit): (usize, Option<u8>),
        answer: &Answer,
    ) -> Result<Last, String> {
        let list = &answer.body["messages"];
        let last = self.judge_list(list, (chatroom, limit), begun, true)?;
        let is_new = last.is_none_or(|last| last >= begun.of.heard);
        demand(is_new, "the list is old")?;
        let ended = answer.body["ended"].as_u64().ok_or("no number")?;
        let key = (asked.token.clone().unwrap_or_default(), chatroom);
        self.check_none_is_parked(&key)?;
        let turn = self.trace.turns();
        self.ledger.endpolls.insert(key.clone(), turn);
        if self.ledger.is_draining {
            // All polls end then, and by what is not counted.
            return Ok(last);
        }
        // One whose answer nobody waited for may have had a part in these.
        let is_shared = self.orphans.contains(&key);
        let is_last = !self.is_endpoll_asked(&key.0, chatroom);
        let mut polls = self.ledger.ended_polls.remove(&key).unwrap_or_default();
        polls.told += ended;
        let since = polls.since.unwrap_or(begun.turn).min(begun.turn);
        let told = polls.told;
        let (sure, others): (Vec<_>, Vec<_>) =
            (polls.polls.iter()).partition(|poll| poll.is_by_endpoll);
        let sure = sure.len() as u64;
        // A message that comes meanwhile is in the lists of those that end after it: they may have ended by either.
        let perhaps = others.iter().filter(|poll| poll.turn >= since).count() as u64;
        let perhaps = perhaps + self.polls_under_way(&key);
        let is_enough = told >= sure || is_shared || !is_last;
        if !is_last {
            // Two loops may end a session's polls at once, each some of them.
            polls.since = Some(since);
            self.ledger.ended_polls.insert(key, polls);
        }
        demand(
            is_enough && told <= sure + perhaps,
            &format!("{told} told, {sure} to {} ended", sure + perhaps),
        )?;
        Ok(last)
    }

    pub(super) fn is_endpoll_under_way(&self, token: &str, chatroom: usize) -> bool {
        self.is_endpoll_asked(token, chatroom)
            // Its connection may have gone, and its line with it.
            || self.orphans.contains(&(token.to_owned(), chatroom))
    }

    pub(super) fn is_endpoll_asked(&self, token: &str, chatroom: usize) -> bool {
        let asked = self.lines.values().flat_map(|line| &line.asked);
        let mut asked = asked.filter(|asked| asked.begun.is_some());
        asked.any(|asked| {
            matches!(asked.ask, Ask::EndPolls { chatroom: c, .. } if c == chatroom)
                && asked.token.as_deref() == Some(token)
        })
    }

    /// Polls that have ended, perhaps, and whose list is still being read: it goes back further than what is remembered.
    fn polls_under_way(&self, key: &(String, usize)) -> u64 {
        let lines = self.polling(key);
        lines
            .filter(|(line, asked)| self.has_awaited_store(line.home, line.key, asked))
            .count() as u64
    }

    /// Of the polls that were parked before an endpoll was asked for, none is when it is answered.
    fn check_none_is_parked(&self, key: &(String, usize)) -> Verdict {
        let mut left = self.polling(key);
        let is_left = left.any(|(line, asked)| {
            // One of all chatrooms waits in one of them when its loop has been told that its user is in it.
            let mut places = self.places(asked).into_iter();
            asked.parked.is_some()
                && places.any(|(id, _)| id == key.1)
                && !self.has_awaited_store(line.home, line.key, asked)
        });
        demand(!is_left, "an endpoll has left a poll")
    }

    /// Connections with a poll of this session in this chatroom.
    fn polling(
        &self,
        (token, chatroom): &(String, usize),
    ) -> impl Iterator<Item = (&Line, &Asked)> {
        let lines = self.lines.values();
        let lines = lines.filter(|line| !line.is_closing && !line.is_finishing);
        let polls = lines.filter_map(|line| Some((line, line.asked.front()?)));
        polls.filter(move |(_, asked)| {
            asked.begun.is_some()
                && asked.token.as_ref() == Some(token)
                && self.polled(asked).contains(chatroom)
        })
    }
}
