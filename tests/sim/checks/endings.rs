//! Answers to endpolls, and how many polls each may have ended, at whichever server.

use std::collections::{BTreeMap, BTreeSet};

use super::lists::Last;
use super::{Verdict, demand};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::ledger::Begun;
use crate::line::{Asked, Line};
use crate::world::World;

/// A session, by its token, and a chatroom.
pub(crate) type EndedIn = (String, usize);

/// What is known of endpolls, and of polls that have ended.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    /// Polls that ended since all endpolls were last answered.
    pub(super) polls: BTreeMap<EndedIn, EndedPolls>,
    /// The turn in which an endpoll was last answered.
    pub(super) answered: BTreeMap<EndedIn, u32>,
    /// Endpolls whose client went away, or that are under way where nobody waits for it: what they end nobody is told of.
    pub(crate) orphans: BTreeSet<EndedIn>,
}

/// Polls that ended, as far as one endpoll, or several that overlap, may have had a part in it.
#[derive(Debug, Default)]
pub(super) struct EndedPolls {
    polls: Vec<EndedPoll>,
    /// How many have been told, while another endpoll is under way, and the turn in which the first began.
    told: u64,
    since: Option<u32>,
}

#[derive(Debug)]
struct EndedPoll {
    /// The turn of its answer.
    turn: u32,
    /// No message can have ended it.
    is_by_endpoll: bool,
}

impl Endings {
    pub(super) fn push(&mut self, of: EndedIn, turn: u32, is_by_endpoll: bool) {
        let ended = EndedPoll {
            turn,
            is_by_endpoll,
        };
        self.polls.entry(of).or_default().polls.push(ended);
    }

    /// No endpoll is under way anywhere.
    pub(crate) fn settle(&mut self) {
        for of in std::mem::take(&mut self.orphans) {
            self.polls.remove(&of);
        }
    }
}

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
        self.check_none_is_parked(&key, begun)?;
        let turn = self.trace.turns();
        self.endings.answered.insert(key.clone(), turn);
        if self.ledger.is_draining {
            // All polls end then, and by what is not counted.
            self.endings.orphans.insert(key);
            return Ok(last);
        }
        // One whose answer nobody waited for may have had a part in these, and a server that has not answered has told of none.
        let is_shared = self.endings.orphans.contains(&key) || self.may_lack(begun);
        let is_last = !self.is_endpoll_asked(&key.0, chatroom);
        let mut polls = self.endings.polls.remove(&key).unwrap_or_default();
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
            self.endings.polls.insert(key, polls);
        }
        demand(
            is_enough && told <= sure + perhaps,
            &format!("{told} told, {sure} to {} ended", sure + perhaps),
        )?;
        Ok(last)
    }

    /// Everything rests: an endpoll, at any server, ends the polls of a session at all of them, and counts each.
    pub(crate) fn check_endpoll(&mut self) {
        let parked = self.at_each(Self::parked).concat();
        let Some(of) = self.rng.choice(parked) else {
            return;
        };
        let here = self.rng.usize(..self.servers());
        self.visit(here);
        self.trace.note(format_args!("who is polling in {of:?}?"));
        let before = self.unanswered;
        let turn = self.trace.turns();
        let (least, most) = self.parked_polls(&of, turn);
        let ask = Ask::EndPolls {
            chatroom: of.1,
            limit: None,
        };
        let home = self.rng.usize(..self.loops.len());
        let answer = self.ask_calmly(home, ask, of.0.clone());
        // Something may still be broken.
        if answer.status != 200 || self.unanswered > before {
            return;
        }
        let ended = answer.body["ended"].as_u64().expect("a number");
        let is_so = (least..=most).contains(&ended);
        self.demand(
            is_so,
            &format!("{ended} told, {least} to {most} were parked"),
        );
        self.tally.add(
            "polls counted that others had",
            ended.saturating_sub(self.polling(&of).count() as u64),
        );
        let left = self.parked_polls(&of, turn);
        self.demand(left == (0, 0), "an endpoll has left a poll at rest");
    }

    /// How many polls of a session that were begun by then are parked in a chatroom for longer than an endpoll takes, and how many in any case.
    fn parked_polls(&mut self, of: &EndedIn, turn: u32) -> (u64, u64) {
        /// Of which time passes meanwhile.
        const ANSWERED_MS: u64 = 10_000;
        let polls = |world: &Self| {
            let left_ms = |asked: &Asked| {
                let begun = asked.begun.expect("it polls");
                let waited_ms = world.now.monotonic_ms - begun.now_ms;
                world.waits_ms(&asked.ask).0.saturating_sub(waited_ms)
            };
            let is_there = |asked: &Asked| {
                let is_old = asked.begun.is_some_and(|begun| begun.turn <= turn);
                is_old && world.places(asked).iter().any(|(id, _)| *id == of.1)
            };
            let polls = world.polling(of);
            // One that has ended may wait for its list.
            let polls = polls.filter(|(line, asked)| !world.awaits_store(line, asked));
            let polls = polls.map(|(_, asked)| asked);
            let polls = polls.filter(|asked| is_there(asked)).map(left_ms);
            let polls: Vec<_> = polls.collect();
            let long = polls.iter().filter(|left_ms| **left_ms > ANSWERED_MS);
            (long.count() as u64, polls.len() as u64)
        };
        let polls = self.at_each(polls);
        let sum = |(a, b): (u64, u64), (c, d): (u64, u64)| (a + c, b + d);
        polls.into_iter().fold((0, 0), sum)
    }

    pub(super) fn is_endpoll_under_way(&mut self, token: &str, chatroom: usize) -> bool {
        self.is_endpoll_asked(token, chatroom)
            // Its connection may have gone, and its line with it.
            || self.endings.orphans.contains(&(token.to_owned(), chatroom))
    }

    pub(super) fn is_endpoll_asked(&mut self, token: &str, chatroom: usize) -> bool {
        let is_asked = |world: &Self| {
            let asked = world.lines.values().flat_map(|line| &line.asked);
            let mut asked = asked.filter(|asked| asked.begun.is_some());
            asked.any(|asked| {
                matches!(asked.ask, Ask::EndPolls { chatroom: c, .. } if c == chatroom)
                    && asked.token.as_deref() == Some(token)
            })
        };
        self.at_each(is_asked).contains(&true)
    }

    /// Polls that have ended, perhaps, and whose list is still being read: it goes back further than what is remembered.
    fn polls_under_way(&mut self, key: &EndedIn) -> u64 {
        let under_way = |world: &Self| {
            let lines = world.polling(key);
            lines
                .filter(|(line, asked)| world.has_awaited_store(line.home, line.key, asked))
                .count() as u64
        };
        self.at_each(under_way).into_iter().sum()
    }

    /// Of the polls that were parked before an endpoll was asked for, none is when it is answered.
    fn check_none_is_parked(&mut self, key: &EndedIn, begun: Begun) -> Verdict {
        let here = self.here;
        let may_lack = self.may_lack(begun);
        let is_left = |world: &Self| {
            let mut left = world.polling(key);
            let is_left = left.any(|(line, asked)| {
                // One of all chatrooms waits in one of them when its loop has been told that its user is in it.
                let mut places = world.places(asked).into_iter();
                asked.parked.is_some()
                    && places.any(|(id, _)| id == key.1)
                    && !world.has_awaited_store(line.home, line.key, asked)
            });
            is_left && !(may_lack && world.here != here)
        };
        let is_left = self.at_each(is_left).contains(&true);
        demand(!is_left, "an endpoll has left a poll")
    }

    /// Connections with a poll of this session in this chatroom.
    fn polling(&self, (token, chatroom): &EndedIn) -> impl Iterator<Item = (&Line, &Asked)> {
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
