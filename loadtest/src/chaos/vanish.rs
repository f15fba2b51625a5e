//! Polls that park and vanish, by FIN and by RST: in turn as `churn` has them, or thousands in the same instant.

use super::field::Field;
use super::herd::Herd;
use crate::churn::visit;
use crate::error::Error;
use crate::requests::Requests;
use crate::settle::settle;
use std::time::Duration;

/// Batches of a round: one half by FIN, one half by RST.
const BATCHES: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// Connect, park, vanish, batch after batch.
pub(super) fn in_turn(field: &mut Field<'_>) -> Result<(), Error> {
    let polls = field.options.scaled(5_000, 50);
    for batch in 0..BATCHES {
        let resets = batch % 2 == 1;
        field.setup.next_net();
        let mut plan = field.setup.plan(vec![field.room], polls, false);
        plan.resets = resets;
        let (_, tally) = visit(&field.subject, &mut field.setup, &plan, 1)?;
        field.tally.add(tally);
        field.forgotten(PATIENCE)?;
        field.count(by(resets), polls);
    }
    nobody_is_left(field)
}

/// All park, and close in the same instant.
pub(super) fn at_once(field: &mut Field<'_>) -> Result<(), Error> {
    let polls = field.options.scaled(5_000, 100);
    for resets in [false, true] {
        parked(field, polls)?.vanish(resets);
        field.forgotten(PATIENCE)?;
        field.count(by(resets), polls);
    }
    nobody_is_left(field)
}

fn by(resets: bool) -> &'static str {
    match resets {
        false => "vanished by FIN",
        true => "vanished by RST",
    }
}

/// So many that have parked a poll in the flood's chatroom.
pub(super) fn parked(field: &mut Field<'_>, polls: u64) -> Result<Herd, Error> {
    let requests = Requests::new(&field.subject.target, &field.setup.sessions);
    let mut poll = Vec::new();
    requests.poll(field.room, 0, &mut poll);
    let mut herd = Herd::connect(field.addr(), polls, None)?;
    herd.say(|_| poll.clone());
    let said = herd.go_on(PATIENCE, Herd::have_said_all);
    field.must(said, || "some could not even park".into());
    settle(&[field.addr()], polls, &mut field.setup.admin)?;
    Ok(herd)
}

/// An endpoll ends none of those who have gone.
pub(super) fn nobody_is_left(field: &mut Field<'_>) -> Result<(), Error> {
    let left = field.setup.admin.end_polls(field.room)?;
    field.expect("still parked", left, 0);
    Ok(())
}
