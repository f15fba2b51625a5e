//! A server that does not hear of what the others write, though it can write itself.

use std::time::Instant;

use loiter::config::Hints;

use crate::serving::proxy::Proxy;
use crate::serving::{PATIENCE, Serving, get, polling, post, saying};

/// Whom nobody waits for that is told "all have heard of it" is not to go by what it remembers, though it hears.
#[test]
fn who_cannot_say_that_it_is_there_does_so_too() {
    let silent = Serving::start();
    let ann = silent.user("ann");
    let mut database = silent.other_program();
    database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not here''; END'",
    );
    database.execute(
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON servers EXECUTE FUNCTION refuse()",
    );
    let begun = Instant::now();
    while silent.ask(&get("/whoami").of(&ann)).status == 200 {
        assert!(begun.elapsed() < PATIENCE, "it answers");
    }
    database.execute("DROP TRIGGER refuse ON servers");
    let begun = Instant::now();
    while silent.ask(&get("/whoami").of(&ann)).status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it does not answer");
    }
}

#[test]
fn who_hears_of_nothing_does_as_if_the_database_were_away() {
    let mut between = None;
    let deaf = Serving::with(|config| {
        let proxy = Proxy::before(&config.database);
        config.hints = Hints::From(proxy.database.to_str().expect("an address").to_owned());
        between = Some(proxy);
    });
    let proxy = between.expect("set");
    let other = Serving::with(|config| config.database = deaf.database());
    let ann = deaf.user("ann");
    let id = deaf.chatroom(&ann);
    deaf.say(&ann, id, "before");
    proxy.cut();
    let begun = Instant::now();
    while deaf.ask(&get("/readyz")).status == 200 {
        assert!(begun.elapsed() < PATIENCE, "it is ready");
    }
    other.ask(&post("/logout").of(&ann)).ok();
    // What it could answer from memory may not hold either.
    for asking in [
        saying(&ann, id, "after"),
        get("/whoami").of(&ann),
        polling(&ann, id),
    ] {
        let failed = deaf.ask(&asking);
        failed.assert_failed(500, "storage_failed");
    }
    proxy.mend();
    let begun = Instant::now();
    while deaf.ask(&get("/readyz")).status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it is not ready");
    }
    // What has ended meanwhile has ended here, too.
    let refused = deaf.ask(&saying(&ann, id, "after"));
    refused.assert_failed(401, "no_session");
}
