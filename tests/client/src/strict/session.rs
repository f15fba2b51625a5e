//! Who is logged in, and the requests that tests make all the time. Everybody's password is `pw`.

use serde_json::Value;

use super::{Answer, Request, get, post};

/// Who is logged in.
#[derive(Clone, Debug)]
pub struct Session {
    /// The value of the cookie.
    pub token: String,
    /// The user's id.
    pub userid: i64,
    /// The user's name.
    pub username: String,
}

impl Session {
    /// The session that a login's answer begins.
    pub fn of(answer: &Answer) -> Self {
        let user = answer.ok();
        let cookie = answer.field("set-cookie").expect("a cookie");
        let rest = cookie.strip_prefix("session=").expect(cookie);
        let (token, _) = rest.split_once(';').expect(cookie);
        Self {
            token: token.to_owned(),
            userid: user["userid"].as_i64().expect("an id"),
            username: user["username"].as_str().expect("a name").to_owned(),
        }
    }

    /// The user's object.
    pub fn object(&self) -> Value {
        serde_json::json!({"userid": self.userid, "username": self.username})
    }
}

impl Request {
    /// Adds the session's cookie.
    pub fn of(self, session: &Session) -> Self {
        self.session(&session.token)
    }
}

/// Registers a user.
pub fn registering(name: &str) -> Request {
    post("/register/")
        .form("username", name)
        .form("password", "pw")
}

/// Logs a user in.
pub fn logging_in(name: &str) -> Request {
    post("/login/")
        .form("username", name)
        .form("password", "pw")
}

/// Makes somebody a participant.
pub fn adding(admin: &Session, chatroom: i64, userid: i64) -> Request {
    post("/message/addToChatroom/")
        .with("chatroomid", chatroom)
        .with("usertoadd", userid)
        .of(admin)
}

/// Sends a message.
pub fn saying(session: &Session, chatroom: i64, text: &str) -> Request {
    post("/message/sendMessage/")
        .with("chatroomid", chatroom)
        .with("message", text)
        .of(session)
}

/// A longpoll.
pub fn polling(session: &Session, chatroom: i64) -> Request {
    get("/message/longpoll/")
        .with("chatroomid", chatroom)
        .of(session)
}

/// An endpoll.
pub fn ending(session: &Session, chatroom: i64) -> Request {
    get("/message/endpoll/")
        .with("chatroomid", chatroom)
        .of(session)
}
