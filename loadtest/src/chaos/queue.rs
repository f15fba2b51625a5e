//! More senders than may wait for the writing lane: whoever is too many gets 503 with `Retry-After`, before anything was done. So the chatroom
//! has exactly the messages that were acknowledged.

use std::collections::BTreeSet;
use std::time::Duration;

use loiter_client::post;

use super::field::Field;
use super::herd::Herd;
use super::options::ChaosOptions;
use crate::error::Error;

/// Jobs that may wait.
const QUEUE: usize = 8;
/// Messages of each sender.
const TURNS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest list.
const LIMIT: u8 = 200;

/// The server's options.
pub(super) fn server(_: &ChaosOptions) -> Vec<String> {
    vec![format!("--queue={QUEUE}")]
}

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    // The polite client may be too many as well.
    field.polite_may_be_refused = true;
    let (room, session) = (field.setup.chatrooms(1)?[0], field.session());
    let senders = field.options.scaled(500, 100);
    let mut herd = Herd::connect(field.addr(), senders, None)?;
    let mut acknowledged = BTreeSet::new();
    for turn in 0..TURNS {
        let text = |at: usize| format!("{turn}-{at}");
        herd.say(|at| {
            let send = post("/message/sendMessage/").session(&session);
            let send = send.form("chatroomid", room).form("limit", 1);
            send.form("message", text(at)).bytes()
        });
        let answered = |m: &super::herd::Member| m.end.is_some() || m.statuses.len() > turn;
        herd.go_on(PATIENCE, |herd| herd.count(answered) == senders);
        for (at, member) in herd.members.iter().enumerate() {
            if member.statuses.get(turn) == Some(&200) {
                acknowledged.insert(text(at));
            }
        }
    }
    let all = senders * TURNS as u64;
    field.count("messages of too many senders", all);
    let (good, refused) = (herd.answers(200), herd.answers(503));
    field.count("acknowledged", good);
    field.expect("refused with 503", refused, all - good);
    let retries = herd.members.iter().map(|m| m.retries).sum();
    field.expect("of these with Retry-After", retries, refused);
    field.must(refused > 0, || "nobody was too many".into());
    let saved = history(field, room)?;
    let missing = acknowledged.difference(&saved).count() as u64;
    field.expect("acknowledged and not there", missing, 0);
    let half_done = saved.difference(&acknowledged).count() as u64;
    field.expect("refused and there all the same", half_done, 0);
    Ok(())
}

/// All that was said in a chatroom; whatever was said twice is told.
fn history(field: &mut Field<'_>, room: u64) -> Result<BTreeSet<String>, Error> {
    let mut texts = BTreeSet::new();
    let mut before = None;
    loop {
        let list = field.setup.admin.history(room, before, LIMIT)?;
        let Some(first) = list.first() else {
            return Ok(texts);
        };
        before = Some(first.id);
        for message in list {
            let doubled = !texts.insert(message.message.clone());
            field
                .tally
                .doubled(doubled.into(), || format!("{message:?}"));
        }
    }
}
