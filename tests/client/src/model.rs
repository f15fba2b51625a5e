//! What answers show, as values.

use serde_json::Value;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub userid: u64,
    /// Its name, in the case it was registered in.
    pub username: String,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id, which counts 1, 2, 3 … within its chatroom.
    pub id: u64,
    /// Its chatroom's id.
    pub chatroomid: u64,
    /// Its author's id.
    pub userid: u64,
    /// Its author's name.
    pub username: String,
    /// What it says.
    pub message: String,
    /// When it was saved (RFC 3339, UTC).
    pub time: String,
}

/// A chatroom and who is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chatroom {
    /// Its id.
    pub chatroomid: u64,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its admin's id.
    pub admin: u64,
    /// By the order in which they joined.
    pub participants: Vec<User>,
}

/// A chatroom at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Its id.
    pub chatroomid: u64,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its admin's id.
    pub admin: u64,
    /// How many are in it.
    pub participants: u64,
    /// Its newest message's id; 0 where nothing was ever said.
    pub last: u64,
}

/// What an endpoll has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Polls that it has ended.
    pub ended: u64,
    /// The chatroom's most recent messages.
    pub messages: Vec<Message>,
}

/// What has a form in JSON.
pub(crate) trait Shown: Sized {
    /// `None` where it lacks something.
    fn of(json: &Value) -> Option<Self>;
}

fn text(json: &Value) -> Option<String> {
    json.as_str().map(str::to_owned)
}

impl Shown for u64 {
    fn of(json: &Value) -> Option<Self> {
        json.as_u64()
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn of(json: &Value) -> Option<Self> {
        json.as_array()?.iter().map(T::of).collect()
    }
}

impl Shown for User {
    fn of(json: &Value) -> Option<Self> {
        Some(Self {
            userid: json["userid"].as_u64()?,
            username: text(&json["username"])?,
        })
    }
}

impl Shown for Message {
    fn of(json: &Value) -> Option<Self> {
        Some(Self {
            id: json["id"].as_u64()?,
            chatroomid: json["chatroomid"].as_u64()?,
            userid: json["userid"].as_u64()?,
            username: text(&json["username"])?,
            message: text(&json["message"])?,
            time: text(&json["time"])?,
        })
    }
}

impl Shown for Chatroom {
    fn of(json: &Value) -> Option<Self> {
        Some(Self {
            chatroomid: json["chatroomid"].as_u64()?,
            name: text(&json["name"]),
            admin: json["admin"].as_u64()?,
            participants: Shown::of(&json["participants"])?,
        })
    }
}

impl Shown for Overview {
    fn of(json: &Value) -> Option<Self> {
        Some(Self {
            chatroomid: json["chatroomid"].as_u64()?,
            name: text(&json["name"]),
            admin: json["admin"].as_u64()?,
            participants: json["participants"].as_u64()?,
            last: json["last"].as_u64()?,
        })
    }
}

impl Shown for Ended {
    fn of(json: &Value) -> Option<Self> {
        Some(Self {
            ended: json["ended"].as_u64()?,
            messages: Shown::of(&json["messages"])?,
        })
    }
}
