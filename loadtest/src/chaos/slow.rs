//! Requests that come one byte at a time, and take longer than a request may: each is answered 408, and its connection closed.

use std::thread;
use std::time::{Duration, Instant};

use super::field::Field;
use super::herd::{End, Herd};
use super::options::ChaosOptions;
use crate::error::Error;

/// How long a request may take to arrive, so that a run is not as long as it is by default.
const HEADER_TIMEOUT: &str = "2s";
/// Between two bytes of a connection, and so much longer than the timeout until all of them have come.
const PERIOD: Duration = Duration::from_millis(50);
/// Long behind the timeout.
const PATIENCE: Duration = Duration::from_secs(60);
const BODY: usize = 4_000;

/// The server's options.
pub(super) fn server(_: &ChaosOptions) -> Vec<String> {
    vec![format!("--header-timeout={HEADER_TIMEOUT}")]
}

/// Heads.
pub(super) fn heads(field: &mut Field<'_>) -> Result<(), Error> {
    let head = format!(
        "GET /message/chatrooms/ HTTP/1.1\r\nHost: x\r\nX-Padding: {}\r\n\r\n",
        "x".repeat(BODY)
    );
    let herd = connected(field)?;
    drip(field, herd, |_| head.clone().into_bytes(), "slow heads")
}

/// Bodies, one half of them in chunks.
pub(super) fn bodies(field: &mut Field<'_>) -> Result<(), Error> {
    let (session, room) = (field.session(), field.room);
    let text = format!("chatroomid={room}&message={}", "x".repeat(BODY));
    let chunks = Vec::from_iter(text.chars().map(|c| format!("1\r\n{c}\r\n"))).concat();
    let request = |framing: &str, body: &str| {
        format!(
            "POST /message/sendMessage/ HTTP/1.1\r\nHost: x\r\nCookie: session={session}\r\n\
            Content-Type: application/x-www-form-urlencoded\r\n{framing}\r\n\r\n{body}"
        )
    };
    let whole = request(&format!("Content-Length: {}", text.len()), "");
    let chunked = request("Transfer-Encoding: chunked", "");
    let mut herd = connected(field)?;
    // The head comes at once; it is the body that does not end.
    herd.say(|at| [&*whole, &chunked][at % 2].into());
    herd.go_on(PATIENCE, Herd::have_said_all);
    let (text, chunks) = (text.into_bytes(), chunks.into_bytes());
    let body = |at: usize| [&text, &chunks][at % 2].clone();
    drip(field, herd, body, "slow bodies")?;
    let saved = field.setup.admin.newest(room)?;
    field.must(saved.is_none(), || {
        format!("a message was saved whose end never came: {saved:?}")
    });
    Ok(())
}

fn connected(field: &Field<'_>) -> Result<Herd, Error> {
    Herd::connect(field.addr(), field.options.scaled(2_000, 20), None)
}

fn drip(
    field: &mut Field<'_>,
    mut herd: Herd,
    what: impl FnMut(usize) -> Vec<u8>,
    name: &'static str,
) -> Result<(), Error> {
    herd.say(what);
    let all = herd.members.len() as u64;
    let until = Instant::now() + PATIENCE;
    while herd.count(|member| member.end.is_some()) < all && Instant::now() < until {
        let began = Instant::now();
        herd.send(1);
        herd.hear();
        thread::sleep(PERIOD.saturating_sub(began.elapsed()));
    }
    field.count(name, all);
    let timed_out = herd.count(|member| member.statuses == [408]);
    field.expect("answered 408", timed_out, all);
    let closed = herd.ended(End::Closed);
    field.expect("closed by the server", closed, all);
    Ok(())
}
