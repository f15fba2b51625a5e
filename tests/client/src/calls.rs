//! The calls of the API, each asked once; but for sending, which is repeated until it is answered.
//!
//! POSTs carry their parameters in a form, so that neither passwords nor what is said stand in a URL.

use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, json};
use crate::model::{Chatroom, Ended, Message, Overview, Shown, User};
use crate::pauses::{Backoff, random};
use crate::request::{Request, get, post};

fn shown<T: Shown>(json: &Value, what: &'static str) -> Result<T, Error> {
    T::of(json).ok_or(Error::Lacking(what))
}

/// A POST with parameters in its body, be they none.
fn form(path: &str) -> Request {
    post(path).with_form()
}

/// A list that the API shows as `{}` where it is empty.
fn users(json: &Value) -> Result<Vec<User>, Error> {
    match json.as_object() {
        Some(none) if none.is_empty() => Ok(Vec::new()),
        _ => shown(json, "users"),
    }
}

impl Client {
    fn call(&mut self, request: Request) -> Result<Value, Error> {
        json(&self.ask(request)?)
    }

    /// Registers a user, who is not logged in by that.
    pub fn register(&mut self, name: &str, password: &str) -> Result<User, Error> {
        let who = form("/register/").form("username", name);
        let user = self.call(who.form("password", password))?;
        shown(&user, "a user")
    }

    /// Begins a session, in which all further calls are made.
    pub fn log_in(&mut self, name: &str, password: &str) -> Result<User, Error> {
        let who = form("/login/").form("username", name);
        let user = self.call(who.form("password", password))?;
        match self.session() {
            Some(_) => shown(&user, "a user"),
            None => Err(Error::Lacking("a session cookie")),
        }
    }

    /// Ends the session for good, and with it all its polls.
    pub fn log_out(&mut self) -> Result<(), Error> {
        self.call(form("/logout/")).map(drop)
    }

    /// Changes the password, and ends the user's other sessions.
    pub fn change_password(&mut self, password: &str, new_password: &str) -> Result<(), Error> {
        let request = form("/changePassword/").form("password", password);
        let request = request.form("newpassword", new_password);
        self.call(request).map(drop)
    }

    /// The session's user.
    pub fn whoami(&mut self) -> Result<User, Error> {
        shown(&self.call(get("/whoami/"))?, "a user")
    }

    /// The ids of the user's chatrooms, ascending.
    pub fn chatrooms(&mut self) -> Result<Vec<u64>, Error> {
        shown(&self.call(get("/message/chatrooms/"))?, "chatrooms")
    }

    /// The user's chatrooms at a glance, the most recently spoken in first.
    pub fn overview(&mut self) -> Result<Vec<Overview>, Error> {
        shown(&self.call(get("/message/overview/"))?, "an overview")
    }

    /// Users whose name begins with `name`, letter case aside.
    pub fn find_users(&mut self, name: &str) -> Result<Vec<User>, Error> {
        users(&self.call(get("/message/getUser/").with("name", name))?)
    }

    /// A new chatroom's id.
    pub fn new_chatroom(&mut self) -> Result<u64, Error> {
        let chatroom = self.call(form("/message/newChatroom/"))?;
        shown(&chatroom["chatroomid"], "a chatroomid")
    }

    /// Gives a chatroom a name.
    pub fn rename_chatroom(&mut self, chatroom: u64, name: &str) -> Result<Chatroom, Error> {
        let request = form("/message/renameChatroom/").form("chatroomid", chatroom);
        shown(&self.call(request.form("name", name))?, "a chatroom")
    }

    /// Makes a user a participant: `whom` is an id or a name.
    pub fn add_to_chatroom(
        &mut self,
        chatroom: u64,
        whom: impl ToString,
    ) -> Result<Chatroom, Error> {
        let request = form("/message/addToChatroom/").form("chatroomid", chatroom);
        shown(&self.call(request.form("usertoadd", whom))?, "a chatroom")
    }

    /// Takes a user out of a chatroom: `whom` is an id or a name.
    pub fn remove_from_chatroom(
        &mut self,
        chatroom: u64,
        whom: impl ToString,
    ) -> Result<Chatroom, Error> {
        let request = form("/message/removeFromChatroom/").form("chatroomid", chatroom);
        shown(
            &self.call(request.form("usertoremove", whom))?,
            "a chatroom",
        )
    }

    /// Leaves a chatroom.
    pub fn leave_chatroom(&mut self, chatroom: u64) -> Result<(), Error> {
        let request = form("/message/leaveChatroom/").form("chatroomid", chatroom);
        self.call(request).map(drop)
    }

    /// Who is in a chatroom, by the order in which they joined.
    pub fn participants(&mut self, chatroom: u64) -> Result<Vec<User>, Error> {
        let request = get("/message/chatroomParticipants/").with("chatroomid", chatroom);
        users(&self.call(request)?)
    }

    /// The newest `limit` messages (1 to 200) older than `before`, or the newest of all; oldest first.
    pub fn history(
        &mut self,
        chatroom: u64,
        before: Option<u64>,
        limit: u8,
    ) -> Result<Vec<Message>, Error> {
        let mut request = get("/message/history/").with("chatroomid", chatroom);
        if let Some(before) = before {
            request = request.with("before", before);
        }
        shown(&self.call(request.with("limit", limit))?, "messages")
    }

    /// Ends the polls that this session has parked in a chatroom.
    pub fn end_polls(&mut self, chatroom: u64) -> Result<Ended, Error> {
        let request = get("/message/endpoll/").with("chatroomid", chatroom);
        shown(&self.call(request)?, "what has ended")
    }

    /// Says something, once, and waits until it is durable; the message's id. Repeats it with the same nonce, whatever
    /// happens on the way, until it is answered with anything but a failure that passes ([`Error::is_passing`]).
    pub fn send(&mut self, chatroom: u64, text: &str) -> Result<u64, Error> {
        self.send_as(
            &format!("{:016x}{:016x}", random(), random()),
            chatroom,
            text,
        )
    }

    /// The same with a nonce of the caller's own (1 to 64 bytes), who may go on with it after the program's end: whatever is sent
    /// to the chatroom with this nonce within a day is one message.
    pub fn send_as(&mut self, nonce: &str, chatroom: u64, text: &str) -> Result<u64, Error> {
        let request = form("/message/sendMessage/").form("chatroomid", chatroom);
        // Of the list that comes back nothing is wanted.
        let request = request
            .form("message", text)
            .form("nonce", nonce)
            .form("limit", 1);
        let mut backoff = Backoff::new(self.pauses());
        loop {
            match self.ask(request.clone()) {
                Ok(answer) => {
                    let id = answer.field("loiter-message-id");
                    let id = id.and_then(|id| id.parse().ok());
                    return id.ok_or(Error::Lacking("a Loiter-Message-Id"));
                }
                Err(error) if error.is_passing() => {
                    self.pause(backoff.next(error.retry_after()))?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use crate::scripted::Turn::{Answer, Last, Ok as Good};

    #[test]
    fn a_message_is_repeated_with_its_nonce_until_it_is_answered() {
        let failed = r#"{"error":"storage_failed","message":"It is full."}"#;
        let server = Scripted::new([
            Last(""),
            Answer(503, "Retry-After: 0\r\n", "{}"),
            Answer(500, "", failed),
            Answer(200, "Loiter-Message-Id: 12\r\n", "[]"),
            Answer(200, "Loiter-Message-Id: 13\r\n", "[]"),
        ]);
        let mut client = server.client();
        assert_eq!(client.send(7, "a b").unwrap(), 12);
        assert_eq!(client.send(7, "a b").unwrap(), 13);
        let requests = server.requests();
        assert_eq!(requests[..4], vec![requests[0].clone(); 4]);
        let sent = "POST /message/sendMessage/ chatroomid=7&message=a%20b&nonce=";
        assert!(requests[0].starts_with(sent), "{requests:?}");
        assert_ne!(
            requests[4], requests[0],
            "another message has another nonce"
        );
    }

    #[test]
    fn whatever_else_is_answered_ends_it() {
        let failed = r#"{"error":"not_a_participant","message":"You are not."}"#;
        let server = Scripted::new([Answer(500, "", failed), Good("[]")]);
        let mut client = server.client();
        let refused = client.send_as("n", 7, "a").unwrap_err();
        assert_eq!(refused.failure().unwrap().code, "not_a_participant");
        let lacking = client.send_as("n", 7, "a").unwrap_err();
        assert!(matches!(lacking, Error::Lacking(_)), "{lacking}");
        server.requests();
    }

    #[test]
    fn nobody_found_is_an_empty_object() {
        let server = Scripted::new([Good("{}"), Good(r#"{"userid":1}"#)]);
        let mut client = server.client();
        assert_eq!(client.find_users("x").unwrap(), []);
        assert!(client.find_users("x").is_err());
        server.requests();
    }
}
