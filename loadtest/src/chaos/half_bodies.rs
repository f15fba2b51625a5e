//! Very many requests whose last byte never comes, each with nearly as much as a request may have. What they keep together is bounded: those
//! that have been at it longest are answered 503, and what is left 408 in time.

use std::time::Duration;

use super::field::Field;
use super::herd::{End, Herd, Member};
use super::options::ChaosOptions;
use crate::error::Error;
use crate::report::Figure;

/// Of one connection.
const BODY: usize = 48 * 1024;
/// What all together may keep.
const BOUND: u64 = 4 * 1024 * 1024;
const HEADER_TIMEOUT: &str = "5s";
/// What the allocator keeps beside it: what was freed lies between what was not.
const BESIDE: u64 = 16 * 1024 * 1024;
/// Long behind the timeout.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server's options.
pub(super) fn server(_: &ChaosOptions) -> Vec<String> {
    vec![
        format!("--header-timeout={HEADER_TIMEOUT}"),
        format!("--max-unread={BOUND}"),
    ]
}

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    let all = field.options.scaled(4_000, 200);
    let before = field
        .process()?
        .memory()
        .map_err(Error::io("read the server's memory"))?;
    let mut herd = Herd::connect(field.addr(), all, None)?;
    let head = format!(
        "POST /login/ HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        BODY + 1
    );
    let half = [head.as_bytes(), &[b'x'; BODY]].concat();
    herd.say(|_| half.clone());
    // No more are kept than there is room for; the rest has been answered.
    let places = BOUND / BODY as u64;
    let is_answered = |member: &Member| !member.statuses.is_empty() || member.end.is_some();
    herd.go_on(PATIENCE, |herd| {
        herd.have_said_all() && herd.count(is_answered) >= all - places
    });
    let refused = herd.answers(503);
    let most = field
        .process()?
        .memory()
        .map_err(Error::io("read the server's memory"))?;
    let more = most.private_dirty.saturating_sub(before.private_dirty);
    field.must(more <= BOUND + BESIDE, || {
        format!("all of them hold {}", Figure::Bytes(more).shown())
    });
    herd.go_on(PATIENCE, |herd| herd.count(|m| m.end.is_some()) == all);
    field.count("half bodies at once", all);
    field.must(refused >= all - places && refused < all, || {
        format!("{refused} of {all} gave way, where {places} have room")
    });
    field.count("that gave way (503)", refused);
    field.expect("the others answered 408", herd.answers(408), all - refused);
    let closed = herd.ended(End::Closed) + herd.ended(End::Broken);
    field.expect("closed by the server", closed, all);
    field.most("bytes of memory for all of them", more);
    Ok(())
}
