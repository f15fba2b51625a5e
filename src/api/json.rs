//! The objects of the contract, as compact JSON.
//!
//! Messages are not here: the chat core keeps them ready-made.

use std::fmt::Write;

use crate::job::{ChatroomRow, OverviewRow};
use crate::model::{ChatroomId, MessageId, User};

pub(super) fn user(user: &User) -> String {
    let mut json = String::new();
    push_user(&mut json, user);
    json
}

/// An array of users.
pub(super) fn users(users: &[User]) -> String {
    let mut json = String::new();
    push_users(&mut json, users);
    json
}

pub(super) fn chatroom(id: ChatroomId, room: &ChatroomRow) -> String {
    let mut json = String::new();
    push_which(&mut json, id, room.name.as_deref());
    let admin = room.admin;
    put(
        &mut json,
        format_args!(r#","admin":{admin},"participants":"#),
    );
    push_users(&mut json, &room.participants);
    json.push('}');
    json
}

/// An array of chatrooms' ids.
pub(super) fn chatrooms(ids: &[ChatroomId]) -> String {
    // An id's usual digits and its comma; more are made room for.
    let mut json = String::with_capacity(ids.len().saturating_mul(8).saturating_add(2));
    push_array(&mut json, ids, |json, id| put(json, format_args!("{id}")));
    json
}

/// An array of chatrooms, each with what was last said in it: 0 where nothing ever was.
pub(super) fn overview(rows: &[OverviewRow]) -> String {
    let mut json = String::new();
    push_array(&mut json, rows, |json, row| {
        push_which(json, row.chatroom, row.name.as_deref());
        let (admin, participants) = (row.admin, row.participants);
        let last = row.last.map_or(0, MessageId::get);
        put(
            json,
            format_args!(r#","admin":{admin},"participants":{participants},"last":{last}}}"#),
        );
    });
    json
}

pub(super) fn error(code: &str, message: &str) -> String {
    format!(r#"{{"error":"{code}","message":{}}}"#, text(message))
}

/// A failure that tells numbers too, by their names.
pub(super) fn error_with(code: &str, message: &str, numbers: &[(&str, i64)]) -> String {
    let mut json = error(code, message);
    json.pop();
    for (name, number) in numbers {
        put(&mut json, format_args!(r#","{name}":{number}"#));
    }
    json.push('}');
    json
}

/// The beginning of an object of a chatroom: which it is, and its name if it has one.
fn push_which(json: &mut String, id: ChatroomId, name: Option<&str>) {
    put(json, format_args!(r#"{{"chatroomid":{id}"#));
    if let Some(name) = name {
        put(json, format_args!(r#","name":{}"#, text(name)));
    }
}

fn push_user(json: &mut String, user: &User) {
    let name = text(&user.name);
    put(
        json,
        format_args!(r#"{{"userid":{},"username":{name}}}"#, user.id),
    );
}

fn push_users(json: &mut String, users: &[User]) {
    push_array(json, users, push_user);
}

fn push_array<T>(json: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    json.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        push(json, item);
    }
    json.push(']');
}

fn put(json: &mut String, text: std::fmt::Arguments<'_>) {
    json.write_fmt(text).expect("a String takes all");
}

fn text(text: &str) -> String {
    serde_json::to_string(text).expect("every string has a JSON form")
}
