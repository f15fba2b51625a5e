//! One user asks for a thousand long lists at once, each on a connection of its own. What another asks for must be read before those are through, and
//! a chatroom in which nobody has spoken since the start must take its first message.

use std::time::Duration;

use loiter_client::{Client, get};

use super::deaf;
use super::field::Field;
use super::herd::{Herd, Member};
use crate::clock::now_ns;
use crate::error::Error;

/// What another user does meanwhile, one after the other.
const CALLS: u64 = 5;
/// Messages of a list, and of the chatroom that it is of.
const LIST: usize = deaf::MESSAGES;
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    deaf::list(field)?;
    let session = field.session();
    // Each another one than the one before: what many want is read once.
    let list = |at: usize| {
        let list = get("/message/history/").with("chatroomid", field.room);
        let list = list
            .with("limit", LIST)
            .with("before", LIST + 1 - at % (LIST / 2));
        list.session(&session).bytes()
    };
    let mut other = newcomer(field)?;
    let lists = field.options.scaled(1_000, 300);
    let mut herd = Herd::connect(field.addr(), lists, None)?;
    herd.say(list);
    let is_answered = |member: &Member| member.end.is_some() || !member.statuses.is_empty();
    herd.go_on(PATIENCE, |herd| herd.count(is_answered) > 0);
    let done = calls(&mut other)?;
    herd.hear();
    let waiting = lists - herd.count(is_answered);
    field.must(waiting > 0, || "no list was waited for any more".into());
    herd.go_on(PATIENCE, |herd| herd.count(is_answered) == lists);
    field.count("long lists asked for at once by one user", lists);
    field.expect("of them answered 200", herd.answers(200), lists);
    field.count(
        "still waiting when the other's last call was answered",
        waiting,
    );
    field.expect("calls of another user meanwhile", done, CALLS);
    Ok(())
}

/// Somebody else, whom no cache knows yet.
fn newcomer(field: &Field<'_>) -> Result<Client, Error> {
    let mut other = Client::new(field.addr()).with_patience(PATIENCE);
    let name = format!("{}-{}", field.setup.run, now_ns());
    other.register(&name, &name)?;
    other.log_in(&name, &name)?;
    Ok(other)
}

/// A chatroom and what is in it, each read from the database for the first time; how many calls were answered well.
fn calls(other: &mut Client) -> Result<u64, loiter_client::Error> {
    let room = other.new_chatroom()?;
    other.send(room, "hello")?;
    let asks = [
        get("/message/history/").with("chatroomid", room),
        get("/message/chatroomParticipants/").with("chatroomid", room),
        get("/message/overview/"),
    ];
    let mut done = 2;
    for ask in asks {
        let ask = match other.session() {
            Some(session) => ask.session(session),
            None => ask,
        };
        done += u64::from(other.ask(ask)?.status == 200);
    }
    Ok(done)
}
