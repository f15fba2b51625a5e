//! What is newer in several chatrooms, as one list: ready-made where it is here, else from the store.

use smallvec::SmallVec;

use super::Chat;
use super::call::{Failure, Reply};
use super::chatrooms::{ChatroomKey, Load};
use super::lists::Listed;
use super::sessions::SessionKey;
use super::wanted::{Limit, Since, Wanted};
use crate::buffer::{Buffer, Bytes};
use crate::job::{Fault, Job, MessageRange, News};
use crate::model::Ticket;

/// Chatrooms in which there is something newer, and than what.
pub(super) type NewsOf = SmallVec<[(ChatroomKey, Since); 2]>;

/// What a poll of several chatrooms has asked for, beyond the chatrooms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Of all that its user is in.
    pub(super) is_of_all: bool,
    /// Its client has said how far it has read: it gets what is newer.
    pub(super) has_since: bool,
    pub(super) limit: Option<Limit>,
}

impl Chat {
    /// Those of these places where something is newer.
    pub(super) fn news_in(
        &mut self,
        places: impl Iterator<Item = (ChatroomKey, Option<Since>)>,
    ) -> NewsOf {
        let mut news = NewsOf::new();
        for (key, since) in places {
            let room = self.chatrooms.chatroom(key).expect("it is waited in");
            news.extend(room.news(since).map(|since| (key, since)));
        }
        news
    }

    /// Answers one that is over.
    pub(super) fn answer_several(
        &mut self,
        ticket: Ticket,
        session: SessionKey,
        terms: Terms,
        news: NewsOf,
    ) {
        let limit = terms.limit;
        let reader = (ticket, session, terms);
        match *news {
            [] => self.answer(ticket, Reply::Messages(self.empty_list.clone())),
            [(key, _)] | [(key, _), ..] if !terms.has_since => self.give_spoken(reader, key),
            [(key, since)] => match self.listed(
                key,
                Wanted {
                    since: Some(since),
                    limit,
                },
            ) {
                Listed::Here(list) => self.answer(ticket, Reply::Messages(list)),
                Listed::Stored(..) | Listed::Unknown => self.read_news(reader, &news),
            },
            [..] => match self.joined_lists(limit, &news) {
                Some(list) => self.answer(ticket, Reply::Messages(list)),
                None => self.read_news(reader, &news),
            },
        }
    }

    /// Answers with the list of the chatroom that spoke.
    fn give_spoken(
        &mut self,
        (ticket, session, terms): (Ticket, SessionKey, Terms),
        key: ChatroomKey,
    ) {
        let limit = terms.limit;
        if let Listed::Here(list) = self.listed(key, Wanted { since: None, limit }) {
            return self.answer(ticket, Reply::Messages(list));
        }
        let chatroom = self.chatrooms.chatroom(key).expect("it is waited in").id;
        let limit = limit.map_or(self.settings.recent, Limit::get);
        self.read_for(ticket, session, terms.is_of_all, |user| Job::ReadMessages {
            ticket,
            chatroom,
            user,
            range: MessageRange::Before(None),
            limit,
        });
    }

    /// What is newer in several chatrooms as one list, in the order of the chatrooms' ids, unless some of it is not here.
    fn joined_lists(&mut self, limit: Option<Limit>, news: &NewsOf) -> Option<Bytes> {
        let mut left = limit.map_or(self.settings.recent, Limit::get);
        let mut joined = Buffer::default();
        joined.extend_from_slice(b"[");
        for (key, since) in self.by_id(news) {
            let room = self.chatrooms.chatroom(key).expect("it is waited in");
            let Load::Known = room.load else {
                return None;
            };
            let list = room.recent.newer(since.get(), left)?;
            if joined.as_slice().len() > 1 {
                joined.extend_from_slice(b",");
            }
            joined.extend_from_slice(&list[1..list.len() - 1]);
            let newer = room.newest() - since.get();
            left -= u32::try_from(newer).unwrap_or(left).min(left);
            if left == 0 {
                break;
            }
        }
        joined.extend_from_slice(b"]");
        Some(joined.freeze())
    }

    fn read_news(&mut self, (ticket, session, terms): (Ticket, SessionKey, Terms), news: &NewsOf) {
        let mut since = Vec::with_capacity(news.len());
        for (key, after) in self.by_id(news) {
            let room = self.chatrooms.chatroom(key).expect("it is waited in");
            since.push((room.id, after.message()));
        }
        let limit = terms.limit.map_or(self.settings.recent, Limit::get);
        self.read_for(ticket, session, terms.is_of_all, |user| Job::ReadNews {
            ticket,
            user,
            since,
            limit,
        });
    }

    fn by_id(&self, news: &NewsOf) -> NewsOf {
        let mut sorted = news.clone();
        sorted.sort_by_key(|&(key, _)| self.chatrooms.id_of(key.pin()));
        sorted
    }

    /// The store has read what is newer in several chatrooms.
    pub(super) fn news_read(&mut self, ticket: Ticket, read: Result<News, Fault>) {
        let reply = read.map(|news| match news {
            News::Messages(messages) => Reply::Messages(messages.json().clone()),
            News::Expired { chatroom, first } => Reply::Failed(Failure::SinceExpired {
                chatroom: Some(chatroom),
                first,
            }),
        });
        self.read_done(ticket, reply);
    }
}
