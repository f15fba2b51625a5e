//! What is there to be seen long after it was written, and what is there no more.

use std::time::Instant;

use crate::serving::{PATIENCE, Serving, get, polling};
use crate::{asking, ids};

#[test]
fn a_change_of_a_transaction_that_took_a_minute_is_heard_of() {
    let server = Serving::with(|config| {
        asking(config);
        // Each loop hears of it, the one before the other.
        config.loops = 1;
    });
    let ann = server.user("ann");
    let whoami = get("/whoami").of(&ann);
    server.ask(&whoami).ok();
    server.other_program().execute(
        "WITH ended AS (DELETE FROM sessions RETURNING token)
         INSERT INTO changes (time, server, kind, chatroom, user_id, session, message)
         SELECT clock_timestamp() - interval '60 s', 1, 'session_ended', 0, 0, token, 0 FROM ended",
    );
    let begun = Instant::now();
    while server.ask(&whoami).status == 200 {
        assert!(begun.elapsed() < PATIENCE, "it is not heard of");
    }
    server.ask(&whoami).assert_failed(401, "no_session");
}

/// As after a crash behind a pooler, which keeps the connection.
#[test]
fn where_rows_are_gone_all_that_is_held_is_asked_for() {
    let server = Serving::with(asking);
    let ann = server.user("ann");
    let id = server.chatroom(&ann);
    server.say(&ann, id, "before");
    let mut poll = server.connect();
    poll.park(&ann, &polling(&ann, id).with("since", 1));
    poll.assert_silent();
    server.other_program().execute(&format!(
        "WITH gone AS (DELETE FROM written),
              said AS (INSERT INTO messages (chatroom, id, user_id, text, time)
                       SELECT {id}, 2, user_id, 'after', time FROM messages)
         UPDATE chatrooms SET last_message = 2 WHERE id = {id}"
    ));
    assert_eq!(ids(&poll.answer().ok()), [2]);
}
