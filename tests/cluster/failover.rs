//! A database that can no longer be written to, since another one leads by now.

use std::time::Instant;

use crate::serving::database::OtherProgram;
use crate::serving::{PATIENCE, Serving, saying};

#[test]
fn who_finds_it_read_only_looks_for_it_anew() {
    let mut role = String::new();
    let serving = Serving::with(|config| {
        // A user of its own, whose sessions can be made read-only without anybody else's.
        let database = config.database.to_str().expect("an address").to_owned();
        let name = database.rsplit(['"', '%']).find(|part| part.len() > 4);
        role = format!(
            "r{}",
            name.expect("a schema's name").trim_start_matches("22")
        );
        let create = format!("CREATE ROLE \"{role}\" LOGIN SUPERUSER");
        OtherProgram::on(&config.database).execute(&create);
        config.database = database.replace("//loiter@", &format!("//{role}@")).into();
    });
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = serving.poll(&ann, id);
    let mut other = serving.other_program();
    // As all that it has connected to becomes a follower.
    other.execute(&format!(
        "ALTER ROLE \"{role}\" SET default_transaction_read_only = on"
    ));
    other.execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}' AND pid <> pg_backend_pid()"
    ));
    // It connects again at once, to what can only be read from.
    for _ in 0..3 {
        let failed = serving.ask(&saying(&ann, id, "lost"));
        failed.assert_failed(500, "storage_failed");
    }
    poll.assert_silent();
    other.execute(&format!(
        "ALTER ROLE \"{role}\" RESET default_transaction_read_only"
    ));
    let begun = Instant::now();
    let said = loop {
        let answer = serving.ask(&saying(&ann, id, "hi"));
        if answer.status == 200 {
            break answer.ok();
        }
        assert!(begun.elapsed() < PATIENCE, "it does not come back");
    };
    assert_eq!(poll.answer().ok(), said);
}
