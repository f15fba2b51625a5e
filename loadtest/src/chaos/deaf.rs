//! Clients that ask for very much and never read: each costs the server one answer at most, and is closed at `--send-timeout`.
//!
//! Their windows are as small as the system allows. What the system's own buffers took counts as taken, so they ask for more than those hold:
//! many lists of two hundred long messages, one behind the other, or a stream of a chatroom that goes on.

use std::time::Duration;

use loiter_client::get;

use super::field::Field;
use super::herd::Herd;
use super::options::ChaosOptions;
use crate::error::Error;
use crate::report::Figure;

/// Messages of the list, and bytes of each.
pub(super) const MESSAGES: usize = 200;
const LENGTH: usize = 4_000;
/// Lists that each asks for: more than any buffer of the system holds.
const LISTS: usize = 40;
/// The system makes of it what it allows at least.
const WINDOW: usize = 1;
const SEND_TIMEOUT: &str = "2s";
/// Lists that each may hold, of the many that it has asked for: one waits for its client, one may have been read and one be written out, and what the
/// allocator keeps counts too.
const HELD: u64 = 4;
/// Beside an answer itself: the socket's own state, and what an allocator adds.
const BESIDE: u64 = 64 * 1024;

/// The server's options.
pub(super) fn server(options: &ChaosOptions) -> Vec<String> {
    vec![
        format!("--send-timeout={SEND_TIMEOUT}"),
        format!("--keepalive={}s", options.keepalive),
    ]
}

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    let (room, session) = (field.room, field.session());
    let list = list(field)?;
    let stream = get("/message/stream/").with("chatroomid", room);
    let stream = stream.with("since", 0).session(&session).bytes();
    let (lists, pairs) = (list.repeat(LISTS), field.options.scaled(100, 5));
    let before = field
        .process()?
        .memory()
        .map_err(Error::io("read the server's memory"))?;
    let mut herd = Herd::connect(field.addr(), 2 * pairs, Some(WINDOW))?;
    herd.say(|at| [&lists, &stream][at % 2].clone());
    let said = herd.go_on_deaf(Duration::from_secs(30), Herd::have_said_all);
    field.must(said, || "some could not even ask".into());
    // Whoever hears a stream has more to hear.
    for _ in 0..10 {
        speak(field)?;
    }
    let most = field
        .process()?
        .memory()
        .map_err(Error::io("read the server's memory"))?;
    let each = most.private_dirty.saturating_sub(before.private_dirty) / (2 * pairs);
    let bound = HELD * (MESSAGES * (LENGTH + 200)) as u64 + BESIDE;
    field.must(each <= bound, || {
        format!(
            "each that does not read holds {}",
            Figure::Bytes(each).shown()
        )
    });
    let patience = field.options.silence_max() + Duration::from_secs(10);
    let took = field.forgotten(patience)?;
    field.count("that pipeline lists and never read", pairs);
    field.count("that hear a stream and never read", pairs);
    let left = field.files_more()?;
    field.expect("not closed by the server", left, 0);
    let took = took.unwrap_or(patience);
    field.most(
        "ms until all were",
        u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    );
    field.most("bytes of memory for each meanwhile", each);
    Ok(())
}

/// As many lists for as many clients, who read them as fast as they come: what the server makes for them others must not wait for.
pub(super) fn and_read(field: &mut Field<'_>) -> Result<(), Error> {
    let each = field.options.scaled(LISTS as u64, 8);
    let list = list(field)?.repeat(each as usize);
    let clients = field.options.scaled(100, 5);
    let all = clients * each;
    let mut herd = Herd::connect(field.addr(), clients, None)?;
    herd.say(|_| list.clone());
    herd.go_on(Duration::from_secs(300), |herd| {
        herd.answers(200) == all || herd.count(|m| m.end.is_some()) > 0
    });
    field.count("long lists asked for and read", all);
    field.expect("of them answered 200", herd.answers(200), all);
    Ok(())
}

/// The request for a long list, of which there is one when this returns.
pub(super) fn list(field: &mut Field<'_>) -> Result<Vec<u8>, Error> {
    if field.setup.admin.newest(field.room)?.is_none() {
        for _ in 0..MESSAGES {
            speak(field)?;
        }
    }
    let list = get("/message/history/").with("chatroomid", field.room);
    let list = list.with("limit", MESSAGES).session(&field.session());
    Ok(list.bytes())
}

fn speak(field: &mut Field<'_>) -> Result<(), Error> {
    let text = "x".repeat(LENGTH);
    field.setup.admin.send(field.room, &text)?;
    Ok(())
}
