//! The calls that prepare, trigger and check a run: those of the blocking client, where it matters which server is asked.

use std::time::Duration;

use loiter_client::{Message, Place, post};

use crate::error::Error;
use crate::http::Target;
use crate::requests::Requests;

/// The newest message of a chatroom, as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    /// Its id, which counts from 1 within its chatroom; 0 where the server gives none.
    pub(crate) id: u64,
    /// Its text.
    pub(crate) text: String,
}

impl From<&Message> for Newest {
    fn from(message: &Message) -> Self {
        Self {
            id: message.id,
            text: message.message.clone(),
        }
    }
}

/// The client, perhaps logged in.
pub(crate) struct Client {
    client: loiter_client::Client,
    target: Target,
}

impl Client {
    /// A client that has neither connected nor logged in.
    pub(crate) fn new(target: Target) -> Self {
        let addr = target.addr;
        let place = Place::found_by(&target.host, move || Ok(vec![addr]));
        Self {
            client: loiter_client::Client::new(place),
            target,
        }
    }

    /// The same, with more patience than is usual if that is more.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        let patience = self.patience().max(patience);
        self.client = self.client.with_patience(patience);
        self
    }

    /// How long an answer may take.
    pub(crate) fn patience(&self) -> Duration {
        self.client.patience()
    }

    /// Registers a user and logs in; the user's id. The client keeps the session.
    pub(crate) fn sign_up(&mut self, name: &str, password: &str) -> Result<u64, Error> {
        let user = self.client.register(name, password)?;
        self.client.log_in(name, password)?;
        Ok(user.userid)
    }

    /// The session's token; empty before [`Client::sign_up`].
    pub(crate) fn session(&self) -> &str {
        self.client.session().unwrap_or_default()
    }

    /// A new chatroom's id.
    pub(crate) fn new_chatroom(&mut self) -> Result<u64, Error> {
        Ok(self.client.new_chatroom()?)
    }

    /// Makes a user a participant.
    pub(crate) fn add_to_chatroom(&mut self, chatroomid: u64, name: &str) -> Result<(), Error> {
        let request = post("/message/addToChatroom/").with("chatroomid", chatroomid);
        // Not by the client's own call, which wants to be shown the chatroom: the floor has none to show.
        self.client.ask(request.with("usertoadd", name))?;
        Ok(())
    }

    /// Sends a message once, as the senders of a run do, and waits until it is durable; the last message of the answered list, or
    /// where the server answers with none, what was sent.
    pub(crate) fn send(&mut self, chatroomid: u64, text: &str) -> Result<Newest, Error> {
        let dialect = self.target.dialect;
        let requests = Requests::new(&self.target, &[self.session().to_owned()]);
        let mut request = Vec::new();
        requests.send(chatroomid, 0, text.as_bytes(), &mut request);
        let call = "POST /message/sendMessage/";
        let answer = self.client.ask_bytes(call, &request)?;
        if !dialect.has_lists() {
            let text = text.to_owned();
            return Ok(Newest { id: 0, text });
        }
        match dialect.hear(&answer.body) {
            Ok(Some(last)) => Ok(Newest {
                id: last.id,
                text: last.text.to_owned(),
            }),
            Ok(None) | Err(_) => {
                let what = "a consistent list of messages";
                Err(loiter_client::Error::Lacking(what).into())
            }
        }
    }

    /// The chatroom's newest message, by an endpoll with nothing parked; `None` where it has none.
    pub(crate) fn newest(&mut self, chatroomid: u64) -> Result<Option<Newest>, Error> {
        let ended = self.client.end_polls(chatroomid)?;
        Ok(ended.messages.last().map(Newest::from))
    }

    /// Ends the session's polls in a chatroom; how many there were.
    pub(crate) fn end_polls(&mut self, chatroomid: u64) -> Result<u64, Error> {
        Ok(self.client.end_polls(chatroomid)?.ended)
    }

    /// The newest `limit` messages older than `before`, or the newest of all; oldest first.
    pub(crate) fn history(
        &mut self,
        chatroomid: u64,
        before: Option<u64>,
        limit: u8,
    ) -> Result<Vec<Message>, Error> {
        Ok(self.client.history(chatroomid, before, limit)?)
    }

    /// A cheap call that changes nothing: once it is answered, the server has taken another turn.
    pub(crate) fn round_trip(&mut self) -> Result<(), Error> {
        self.client.chatrooms()?;
        Ok(())
    }
}
