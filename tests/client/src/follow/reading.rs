//! How far each chatroom is told, and which of them a poll asks for by a pair.
//!
//! The pairs of very many chatrooms do not fit into one request. In a chatroom without a pair a poll tells what is said while it waits,
//! and what is said between two polls is missed; but the ids of a chatroom have no gaps, so the next message that does not follow, or else an
//! overview, shows it. Such a chatroom has its pair in the next poll, which is answered with all that was missed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Message, Overview};

/// How far each chatroom is told.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The last message that was told, by chatroom; 0 where none was. Of those that were left too: who comes back goes on there.
    told: BTreeMap<u64, u64>,
    /// The chatrooms that are followed.
    followed: BTreeMap<u64, Known>,
    /// Counts the messages told.
    turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// The newest message that is known to be there. Where it is not the last one told, there is something to be told.
    newest: u64,
    /// The greater, the more recently somebody spoke.
    spoken: u64,
}

/// The pairs of a poll.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs {
    /// As they stand in the query.
    pub(super) text: String,
    chatrooms: BTreeSet<u64>,
}

/// What a list of messages has come to.
pub(super) struct Sorted {
    /// Those that follow what was told before.
    pub(super) news: Vec<Message>,
    /// Some are of a chatroom that is not followed yet.
    pub(super) is_joined: bool,
    /// Some are of a chatroom without a pair, and do not follow.
    pub(super) is_found: bool,
    /// Some do not follow though their chatroom had its pair.
    pub(super) is_out_of_turn: bool,
}

impl Reading {
    pub(super) fn new(told: BTreeMap<u64, u64>) -> Self {
        let (followed, turn) = (BTreeMap::new(), 0);
        Self {
            told,
            followed,
            turn,
        }
    }

    /// Whether it is known how far this chatroom is told.
    pub(super) fn knows(&self, chatroom: u64) -> bool {
        self.told.contains_key(&chatroom)
    }

    /// How far it is told.
    pub(super) fn told(&self, chatroom: u64) -> u64 {
        self.told.get(&chatroom).copied().unwrap_or(0)
    }

    /// Follows these and no others, the most recently spoken in first. Those that are new are told from their next message on, or from their
    /// first.
    pub(super) fn take_stock(&mut self, overview: &[Overview], is_from_now: bool) {
        self.turn += overview.len() as u64;
        let mut spoken = self.turn;
        self.followed.clear();
        for &Overview {
            chatroomid, last, ..
        } in overview
        {
            let begin = if is_from_now { last } else { 0 };
            self.told.entry(chatroomid).or_insert(begin);
            let known = Known {
                newest: last,
                spoken,
            };
            self.followed.insert(chatroomid, known);
            spoken -= 1;
        }
    }

    /// Follows this one too, of which nothing more is known.
    pub(super) fn follow(&mut self, chatroom: u64) {
        let newest = *self.told.entry(chatroom).or_insert(0);
        let known = Known { newest, spoken: 0 };
        self.followed.entry(chatroom).or_insert(known);
    }

    /// Pairs for as many chatrooms as have room: first where there is something to be told, then where somebody spoke last.
    pub(super) fn pairs(&self, bytes_max: usize) -> Pairs {
        let mut order = Vec::from_iter(&self.followed);
        order.sort_by_key(|(id, known)| (known.newest == self.told(**id), Reverse(known.spoken)));
        let mut left = bytes_max;
        let has_room = |(id, _): &(&u64, _)| {
            let len = pair(**id, self.told(**id)).len() + 1;
            let rest = left.checked_sub(len);
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        let chosen = order.into_iter().take_while(has_room);
        let chatrooms = BTreeSet::from_iter(chosen.map(|(id, _)| *id));
        let pairs = chatrooms.iter().map(|id| pair(*id, self.told(*id)));
        Pairs {
            text: Vec::from_iter(pairs).join(","),
            chatrooms,
        }
    }

    /// Whether each chatroom has one of these.
    pub(super) fn is_whole(&self, pairs: &Pairs) -> bool {
        pairs.chatrooms.len() == self.followed.len()
    }

    /// Takes from what a poll with these pairs has brought what is to be told, which then counts as told.
    pub(super) fn sort(&mut self, messages: Vec<Message>, pairs: &Pairs) -> Sorted {
        let mut sorted = Sorted {
            news: messages,
            is_joined: false,
            is_found: false,
            is_out_of_turn: false,
        };
        sorted.news.retain(|&Message { chatroomid, id, .. }| {
            let Some(known) = self.followed.get_mut(&chatroomid) else {
                // It need not be the first one of its chatroom.
                sorted.is_joined = true;
                return false;
            };
            let told = self.told.entry(chatroomid).or_insert(0);
            let follows = id == *told + 1;
            if follows {
                self.turn += 1;
                known.spoken = self.turn;
                known.newest = known.newest.max(id);
                *told = id;
            } else {
                known.newest = id;
                let had_pair = pairs.chatrooms.contains(&chatroomid);
                sorted.is_out_of_turn |= had_pair;
                sorted.is_found |= !had_pair;
            }
            follows
        });
        sorted
    }

    /// Goes on behind a message, whatever was told before; `is_newest` where there is nothing behind it.
    pub(super) fn go_on(&mut self, chatroom: u64, id: u64, is_newest: bool) {
        self.told.insert(chatroom, id);
        if let Some(known) = self.followed.get_mut(&chatroom) {
            known.newest = if is_newest { id } else { known.newest.max(id) };
        }
    }
}

fn pair(chatroom: u64, id: u64) -> String {
    format!("{chatroom}:{id}")
}
