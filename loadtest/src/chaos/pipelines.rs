//! Storms of requests on a few connections, written without waiting for any answer, and one connection that hogs whatever turns it is given.

use std::time::Duration;

use loiter_client::{get, post};

use super::field::Field;
use super::herd::Herd;
use crate::error::Error;

const CONNECTIONS: u64 = 8;
/// So many times the others' requests come on the first connection.
const HOG: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    let (room, session) = (field.room, field.session());
    let each = field.options.scaled(5_000, 200);
    let newest = field
        .setup
        .admin
        .newest(room)?
        .map_or(0, |newest| newest.id);
    let ask = get("/message/chatrooms/").session(&session).bytes();
    // The last connection sends messages: the store has to take them one by one, and in order.
    let sends = each / 10;
    let send = post("/message/sendMessage/")
        .session(&session)
        .form("chatroomid", room);
    let send = send.form("message", "pipelined").form("limit", 1).bytes();
    let many = |at: usize| match at as u64 {
        0 => each * HOG,
        at if at == CONNECTIONS - 1 => sends,
        _ => each,
    };
    let mut herd = Herd::connect(field.addr(), CONNECTIONS, None)?;
    herd.say(|at| match many(at) == sends {
        true => send.repeat(sends as usize),
        false => ask.repeat(many(at) as usize),
    });
    let all: u64 = (0..CONNECTIONS as usize).map(many).sum();
    herd.go_on(PATIENCE, |herd| {
        let answered: u64 = herd.members.iter().map(|m| m.statuses.len() as u64).sum();
        answered >= all || herd.count(|m| m.end.is_some()) > 0
    });
    field.count("requests written ahead", all);
    field.expect("of them answered 200", herd.answers(200), all);
    field.count("of them from one connection", each * HOG);
    let saved = field
        .setup
        .admin
        .newest(room)?
        .map_or(0, |newest| newest.id)
        - newest;
    field.expect("of their messages saved", saved, sends);
    Ok(())
}
