//! Following chatrooms: one poll with `since`, again and again, whatever happens in between.
//!
//! A message is told only if it is the one behind the last that was told of its chatroom. So nothing that the network, the server or a
//! repetition does can double, lose or reorder anything: what does not follow is passed over, and the next poll asks for what does.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::client::Client;
use crate::error::{Error, Failure, json};
use crate::following::{Chatrooms, Following, Gap, News};
use crate::model::{Message, Overview, Shown};
use crate::pauses::Backoff;
use crate::request::{Request, get};

impl Client {
    /// Tells of what is said in chatrooms, until `on_news` breaks or the client is stopped, both of which are a good end.
    ///
    /// Goes on through lost connections and restarts of the server, after pauses that grow. Ends with an error where asking again would not help: the session is over (401), say, or
    /// one of the chatrooms is not the user's (500 `not_a_participant`).
    pub fn follow(
        &mut self,
        chatrooms: impl Into<Following>,
        on_news: impl FnMut(News<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let following = chatrooms.into();
        let mut follower = Follower {
            backoff: Backoff::new(self.pauses()),
            told: following.since.clone(),
            client: self,
            following,
            on_news,
        };
        match follower.run() {
            Err(Error::Stopped) => Ok(()),
            ended => ended,
        }
    }
}

struct Follower<'a, F> {
    client: &'a mut Client,
    following: Following,
    /// The last message that was told, by chatroom; 0 where none was.
    told: BTreeMap<u64, u64>,
    backoff: Backoff,
    on_news: F,
}

/// What one step has come to, unless it failed: whether `on_news` wants to hear more.
type Told = Result<ControlFlow<()>, Error>;

impl<F: FnMut(News<'_>) -> ControlFlow<()>> Follower<'_, F> {
    fn run(&mut self) -> Result<(), Error> {
        self.persist(Self::begin)?;
        while self.persist(Self::step)?.is_continue() {}
        Ok(())
    }

    /// Does something as often as it takes.
    fn persist<T>(
        &mut self,
        mut step: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            match step(self) {
                Err(error) if error.is_passing() => {
                    self.client.pause(self.backoff.next(error.retry_after()))?;
                }
                done => {
                    self.backoff.reset();
                    return done;
                }
            }
        }
    }

    /// Learns each chatroom's newest message first, so that nothing is lost between now and the first poll.
    fn begin(&mut self) -> Result<(), Error> {
        let is_known = |chatroom| self.told.contains_key(chatroom);
        let are_known = match &self.following.chatrooms {
            Chatrooms::These(chatrooms) => chatrooms.iter().all(is_known),
            Chatrooms::All => false,
        };
        if !are_known {
            for chatroom in self.client.overview()? {
                let told = self.told.entry(chatroom.chatroomid);
                told.or_insert(chatroom.last);
            }
        }
        if let Chatrooms::These(chatrooms) = &self.following.chatrooms {
            // Who is not in one of them is told so by the poll.
            let told = |id: &u64| (*id, self.told.get(id).copied().unwrap_or(0));
            self.told = chatrooms.iter().map(told).collect();
        }
        Ok(())
    }

    fn step(&mut self) -> Told {
        match self.poll(self.chatroomid(), self.since()) {
            Ok(messages) if messages.is_empty() => self.look_around()?,
            Ok(messages) => return self.tell(messages),
            Err(Error::Failed(failure)) if is_gap(&failure) => return self.find_gap(failure),
            Err(Error::Failed(failure)) if self.has_left(&failure) => {
                self.look_around()?;
                self.client.pause(self.backoff.next(None))?;
            }
            Err(error) => return Err(error),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn chatroomid(&self) -> String {
        match &self.following.chatrooms {
            Chatrooms::All => "all".to_owned(),
            Chatrooms::These(chatrooms) => joined(chatrooms.iter().map(u64::to_string)),
        }
    }

    fn since(&self) -> String {
        match &self.following.chatrooms {
            Chatrooms::These(chatrooms) if chatrooms.len() == 1 => {
                joined(self.told.values().map(u64::to_string))
            }
            _ => joined(
                self.told
                    .iter()
                    .map(|(chatroom, id)| format!("{chatroom}:{id}")),
            ),
        }
    }

    fn poll(&mut self, chatroomid: String, since: String) -> Result<Vec<Message>, Error> {
        let timeout = self.following.timeout;
        let mut poll: Request = get("/message/longpoll/").raw(&format!("chatroomid={chatroomid}"));
        if !since.is_empty() {
            poll = poll.raw(&format!("since={since}"));
        }
        if let Some(limit) = self.following.limit {
            poll = poll.with("limit", limit);
        }
        let poll = poll.with("timeout", timeout.as_secs().max(1));
        // A server that is there answers when that is over; one that has vanished without a word is not waited for any longer.
        let patience = timeout.saturating_add(self.client.patience());
        let answer = self.client.ask_within(patience, poll)?;
        Shown::of(&json(&answer)?).ok_or(Error::Lacking("messages"))
    }

    /// Tells of what follows what was told before.
    fn tell(&mut self, messages: Vec<Message>) -> Told {
        let (known, came) = (self.told.len(), messages.len());
        let mut news = messages;
        news.retain(|message| {
            // A chatroom that was joined meanwhile is told from its first message.
            let last = self.told.entry(message.chatroomid).or_insert(0);
            let follows = message.id == *last + 1;
            *last += u64::from(follows);
            follows
        });
        match news.len() {
            // The next poll asks for what comes before.
            0 if self.told.len() > known => Ok(ControlFlow::Continue(())),
            0 => Err(Error::Lacking("messages newer than the last ones")),
            told if told < came && self.following.is_strict => {
                Err(Error::Lacking("the message that follows"))
            }
            _ => Ok((self.on_news)(News::Messages(&news))),
        }
    }

    /// Whether one of all chatrooms is the user's no longer.
    fn has_left(&self, failure: &Failure) -> bool {
        self.following.chatrooms == Chatrooms::All && failure.code == "not_a_participant"
    }

    /// Learns of chatrooms that were joined or left, where all are followed. One that was joined is told from its first message.
    fn look_around(&mut self) -> Result<(), Error> {
        if self.following.chatrooms == Chatrooms::All {
            let told = |chatroom: Overview| {
                let id = self.told.get(&chatroom.chatroomid);
                (chatroom.chatroomid, id.copied().unwrap_or(0))
            };
            let overview = self.client.overview()?;
            self.told = overview.into_iter().map(told).collect();
        }
        Ok(())
    }

    /// Finds out where there is a gap, and goes on behind it.
    fn find_gap(&mut self, failure: Box<Failure>) -> Told {
        if let Chatrooms::These(chatrooms) = &self.following.chatrooms
            && let [chatroom] = chatrooms[..]
        {
            return self.tell_gap(chatroom, failure);
        }
        self.look_around()?;
        // Of several chatrooms it is not said which: whichever has something else than what was told is asked by itself.
        let mut overview = self.client.overview()?;
        overview.retain(|chatroom| {
            let told = self.told.get(&chatroom.chatroomid);
            told.is_some_and(|told| *told != chatroom.last)
        });
        if overview.is_empty() {
            // It has gone meanwhile, or else the server contradicts itself, which must not make a circle without an end.
            self.client.pause(self.backoff.next(None))?;
        }
        for Overview { chatroomid, .. } in overview {
            let since = self.told[&chatroomid].to_string();
            let told = match self.poll(chatroomid.to_string(), since) {
                Ok(messages) if messages.is_empty() => continue,
                Ok(messages) => self.tell(messages)?,
                Err(Error::Failed(failure)) if is_gap(&failure) => {
                    self.tell_gap(chatroomid, failure)?
                }
                Err(error) => return Err(error),
            };
            if told.is_break() {
                return Ok(told);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn tell_gap(&mut self, chatroomid: u64, failure: Box<Failure>) -> Told {
        let last_told = self.told.entry(chatroomid).or_insert(0);
        let since = *last_told;
        let gap = match (failure.first, failure.last) {
            (Some(first), _) => {
                *last_told = first.saturating_sub(1);
                Gap::Expired {
                    chatroomid,
                    since,
                    first,
                }
            }
            (None, Some(last)) => {
                *last_told = last;
                Gap::Ahead {
                    chatroomid,
                    since,
                    last,
                }
            }
            (None, None) => return Err(Error::Failed(failure)),
        };
        Ok((self.on_news)(News::Gap(gap)))
    }
}

fn is_gap(failure: &Failure) -> bool {
    ["since_ahead", "since_expired"].contains(&&*failure.code)
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    Vec::from_iter(parts).join(",")
}

#[cfg(test)]
mod tests;
