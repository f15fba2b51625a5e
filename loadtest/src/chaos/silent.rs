//! Clients that vanish without a word: from one moment on no packet of theirs comes any more, and none reaches them.
//!
//! A filter on each client's socket drops whatever the server sends, so nothing is acknowledged: neither keepalive's questions to those who are
//! parked, nor the answers to those whose chatroom speaks. The server has to find both sorts.

use std::time::{Duration, Instant};

use super::field::Field;
use super::options::ChaosOptions;
use super::vanish::parked;
use crate::error::Error;

/// The server's options.
pub(super) fn server(options: &ChaosOptions) -> Vec<String> {
    let keepalive = options.keepalive;
    vec![
        format!("--keepalive={keepalive}s"),
        // Whoever takes none of an answer is found by whichever is longer.
        format!("--send-timeout={}s", keepalive.min(30)),
    ]
}

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    let each = field.options.scaled(500, 20);
    let (quiet, busy) = (field.room, field.setup.chatrooms(1)?[0]);
    let parked_still = parked(field, each)?;
    field.room = busy;
    let answered = parked(field, each)?;
    field.room = quiet;
    parked_still.cut()?;
    answered.cut()?;
    let began = Instant::now();
    field.setup.admin.send(busy, "is anybody there")?;
    let bound = field.options.silence_max();
    let took = field.forgotten(2 * bound)?;
    let took = took.map_or(2 * bound, |_| began.elapsed());
    field.count("vanished while parked", each);
    field.count("vanished before their answer", each);
    let left = field.files_more()?;
    field.expect("not found by the server", left, 0);
    field.most(
        "ms until all were",
        u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    );
    let late = took > bound + Duration::from_secs(1) && !field.options.untimed;
    field.must(!late, || {
        format!("the silent were found after {took:?} only, and {bound:?} is promised")
    });
    parked_still.vanish(true);
    answered.vanish(true);
    Ok(())
}
