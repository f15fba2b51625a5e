//! Following chatrooms: one poll with `since`, again and again, whatever happens in between.
//!
//! A message is told only if it is the one behind the last that was told of its chatroom. So nothing that the network, the server or a
//! repetition does can double, lose or reorder anything: what does not follow is passed over, and the next poll asks for what does.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::{Error, Failure, json};
use crate::follow::reading::{Pairs, Reading};
use crate::following::{Chatrooms, Following, Gap, News};
use crate::model::{Message, Shown};
use crate::pauses::Backoff;
use crate::request::{Request, get};

/// A poll that ends so soon with nothing was ended by somebody: another client, where a session may have no more polls.
const EARLY: Duration = Duration::from_millis(500);
/// Bytes of the longest pair, of ids as large as they may become.
const PAIR_MAX: usize = 39;

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
            early: Backoff::new(self.pauses()),
            reading: Reading::new(following.since.clone()),
            has_begun: false,
            stock_is_due: None,
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
    reading: Reading,
    /// Whether the first overview has told where following begins.
    has_begun: bool,
    /// When to ask again how far each chatroom is, be there news or not.
    stock_is_due: Option<Instant>,
    backoff: Backoff,
    /// Of polls that end at once with nothing.
    early: Backoff,
    on_news: F,
}

/// What one step has come to, unless it failed: whether `on_news` wants to hear more.
type Told = Result<ControlFlow<()>, Error>;

impl<F: FnMut(News<'_>) -> ControlFlow<()>> Follower<'_, F> {
    fn run(&mut self) -> Result<(), Error> {
        if self.chatroomid().len() + PAIR_MAX > self.following.query_max {
            return Err(Error::TooMany);
        }
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
        if let Chatrooms::These(chatrooms) = &self.following.chatrooms
            && chatrooms.iter().all(|id| self.reading.knows(*id))
        {
            chatrooms.iter().for_each(|id| self.reading.follow(*id));
            if self.reading.is_whole(&self.pairs()) {
                return Ok(());
            }
        }
        self.look_around()
    }

    fn step(&mut self) -> Told {
        if self.stock_is_due.is_some_and(|due| due <= Instant::now()) {
            self.look_around()?;
        }
        let pairs = self.pairs();
        if !self.reading.is_whole(&pairs) && self.stock_is_due.is_none() {
            self.stock_is_due = Instant::now().checked_add(self.following.timeout);
        }
        let begun = Instant::now();
        match self.poll(&pairs) {
            Ok(messages) if messages.is_empty() => {
                if begun.elapsed() < EARLY {
                    self.client.pause(self.early.next(None))?;
                } else {
                    self.early.reset();
                }
                if self.following.chatrooms == Chatrooms::All {
                    self.look_around()?;
                }
            }
            Ok(messages) => {
                self.early.reset();
                return self.tell(messages, &pairs);
            }
            Err(Error::Failed(failure)) if is_gap(&failure) => return self.tell_gap(failure),
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
            Chatrooms::These(chatrooms) => {
                Vec::from_iter(chatrooms.iter().map(u64::to_string)).join(",")
            }
        }
    }

    fn pairs(&self) -> Pairs {
        let room = self.following.query_max - self.chatroomid().len();
        self.reading.pairs(room)
    }

    fn poll(&mut self, pairs: &Pairs) -> Result<Vec<Message>, Error> {
        let timeout = self.following.timeout;
        let chatroomid = format!("chatroomid={}", self.chatroomid());
        let mut poll: Request = get("/message/longpoll/").raw(&chatroomid);
        if let Some(chatroom) = self.only() {
            poll = poll.with("since", self.reading.told(chatroom));
        } else if !pairs.text.is_empty() {
            poll = poll.raw(&format!("since={}", pairs.text));
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

    /// The chatroom, where it is followed by itself.
    fn only(&self) -> Option<u64> {
        match &self.following.chatrooms {
            Chatrooms::These(chatrooms) if chatrooms.len() == 1 => Some(chatrooms[0]),
            Chatrooms::These(_) | Chatrooms::All => None,
        }
    }

    /// Tells of what follows what was told before.
    fn tell(&mut self, messages: Vec<Message>, pairs: &Pairs) -> Told {
        let sorted = self.reading.sort(messages, pairs);
        if sorted.is_joined {
            // The next poll asks for what comes before.
            self.stock_is_due = Some(Instant::now());
        }
        let is_strict = self.following.is_strict;
        if sorted.news.is_empty() && (sorted.is_joined || sorted.is_found) {
            Ok(ControlFlow::Continue(()))
        } else if sorted.news.is_empty() {
            Err(Error::Lacking("messages newer than the last ones"))
        } else if sorted.is_out_of_turn && is_strict {
            Err(Error::Lacking("the message that follows"))
        } else {
            Ok((self.on_news)(News::Messages(&sorted.news)))
        }
    }

    /// Whether one of all chatrooms is the user's no longer.
    fn has_left(&self, failure: &Failure) -> bool {
        self.following.chatrooms == Chatrooms::All && failure.code == "not_a_participant"
    }

    /// Learns how far each chatroom is, and of all of them which there are. One that was joined is told from its first message.
    fn look_around(&mut self) -> Result<(), Error> {
        let mut overview = self.client.overview()?;
        self.stock_is_due = None;
        match &self.following.chatrooms {
            Chatrooms::All => {
                self.reading.take_stock(&overview, !self.has_begun);
                self.stock_is_due = Instant::now().checked_add(self.following.timeout);
            }
            Chatrooms::These(chatrooms) => {
                overview.retain(|row| chatrooms.binary_search(&row.chatroomid).is_ok());
                self.reading.take_stock(&overview, !self.has_begun);
                // Who is not in one of them is told so by the poll.
                chatrooms.iter().for_each(|id| self.reading.follow(*id));
            }
        }
        self.has_begun = true;
        Ok(())
    }

    /// Tells where there is a gap, and goes on behind it.
    fn tell_gap(&mut self, failure: Box<Failure>) -> Told {
        // Of one chatroom the server need not say which it is.
        let Some(chatroomid) = failure.chatroomid.or(self.only()) else {
            return Err(Error::Failed(failure));
        };
        let since = self.reading.told(chatroomid);
        let gap = match (failure.first, failure.last) {
            (Some(first), _) => {
                self.reading
                    .go_on(chatroomid, first.saturating_sub(1), false);
                Gap::Expired {
                    chatroomid,
                    since,
                    first,
                }
            }
            (None, Some(last)) => {
                self.reading.go_on(chatroomid, last, true);
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

mod reading;
#[cfg(test)]
mod tests;
