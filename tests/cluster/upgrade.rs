//! A database that an older loiter has served.

use crate::serving::{Serving, get};

/// As version 1 was: without what came later.
#[test]
fn version_1_is_brought_up_to_date_with_all_that_is_in_it() {
    let old = Serving::start();
    let ann = old.user("ann");
    let id = old.chatroom(&ann);
    old.say(&ann, id, "hi");
    old.stop();
    old.wait_for_end();
    let mut database = old.other_program();
    database.execute("ALTER TABLE loiter_schema DROP COLUMN identity");
    database.execute("ALTER TABLE servers DROP COLUMN lease_ms");
    database.execute("DROP TABLE written");
    database.execute("ALTER TABLE changes DROP COLUMN transaction");
    database.execute("UPDATE loiter_schema SET version = 1");
    let new = Serving::with(|config| config.database = old.database());
    let history = get("/message/history").of(&ann).with("chatroomid", id);
    assert_eq!(new.ask(&history).ok()[0]["message"], "hi");
    new.say(&ann, id, "hello");
    // A number that says which database this is.
    let identities = "SELECT count(identity) FROM loiter_schema";
    assert_eq!(database.number(identities), 1);
    assert_eq!(
        database.number("SELECT count(*) FROM servers WHERE lease_ms = 5000"),
        1
    );
}
