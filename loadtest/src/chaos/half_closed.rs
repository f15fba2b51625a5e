//! Clients that shut their sending side down and go on listening. A poll of theirs is forgotten, as the FIN is all that a client that has gone
//! sends; any other call is answered before the connection ends.

use std::time::Duration;

use loiter_client::{get, post};

use super::field::Field;
use super::herd::{End, Herd};
use super::vanish::{nobody_is_left, parked};
use crate::error::Error;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    let polls = field.options.scaled(1_000, 50);
    let mut herd = parked(field, polls)?;
    herd.hang_up();
    herd.go_on(PATIENCE, |herd| herd.count(|m| m.end.is_some()) == polls);
    field.count("parked polls hung up", polls);
    let unanswered = |m: &super::herd::Member| m.end == Some(End::Closed) && m.statuses.is_empty();
    field.expect("of them closed unanswered", herd.count(unanswered), polls);
    drop(herd);
    nobody_is_left(field)?;

    let (room, session) = (field.room, field.session());
    let newest = field
        .setup
        .admin
        .newest(room)?
        .map_or(0, |newest| newest.id);
    let calls = field.options.scaled(1_000, 50);
    let mut herd = Herd::connect(field.addr(), calls, None)?;
    herd.say(|at| match at % 2 {
        0 => get("/whoami/").session(&session).bytes(),
        _ => {
            let send = post("/message/sendMessage/").form("chatroomid", room);
            let send = send
                .form("message", format!("half closed {at}"))
                .form("limit", 1);
            send.session(&session).bytes()
        }
    });
    herd.go_on(PATIENCE, Herd::have_said_all);
    herd.hang_up();
    herd.go_on(PATIENCE, |herd| herd.count(|m| m.end.is_some()) == calls);
    field.count("other calls hung up", calls);
    let answered = |m: &super::herd::Member| m.end == Some(End::Closed) && m.statuses == [200];
    field.expect("of them answered 200", herd.count(answered), calls);
    let saved = field
        .setup
        .admin
        .newest(room)?
        .map_or(0, |newest| newest.id)
        - newest;
    field.expect("of their messages saved", saved, calls / 2);
    Ok(())
}
