//! The objects of the contract, as compact JSON.
//!
//! Messages are not here: the chat core keeps them ready-made.

use std::fmt::Display;

use crate::model::{ChatroomId, User, UserId};

pub(super) fn user(user: &User) -> String {
    let name = text(&user.name);
    format!(r#"{{"userid":{},"username":{name}}}"#, user.id)
}

/// An array of users.
pub(super) fn users(users: &[User]) -> String {
    array(users.iter().map(user))
}

pub(super) fn chatroom(id: ChatroomId, admin: UserId, participants: &[User]) -> String {
    let participants = users(participants);
    format!(r#"{{"chatroomid":{id},"admin":{admin},"participants":{participants}}}"#)
}

pub(super) fn array<T: Display>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    format!("[{}]", items.join(","))
}

pub(super) fn error(code: &str, message: &str) -> String {
    format!(r#"{{"error":"{code}","message":{}}}"#, text(message))
}

fn text(text: &str) -> String {
    serde_json::to_string(text).expect("every string has a JSON form")
}
