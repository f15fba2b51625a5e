//! Rows and tables of the database that somebody else has locked: a server that stands still, a dump.

use loiter::{Config, Server};

use crate::serving::{Serving, get, saying};

/// As where one server stands still in the midst of its answer to a balancer: nobody else is to count as away for that.
#[test]
fn who_is_asked_whether_it_is_ready_waits_for_no_other_server() {
    let server = Serving::start();
    let mut other = server.other_program();
    other.execute("BEGIN");
    assert_eq!(other.execute("UPDATE probes SET count = count + 1"), 1);
    for _ in 0..3 {
        assert_eq!(server.ask(&get("/readyz")).status, 200);
    }
    other.execute("ROLLBACK");
    assert_eq!(server.ask(&get("/readyz")).status, 200);
    // One more while that one was locked, and no more after that.
    assert_eq!(other.number("SELECT count(*) FROM probes"), 2);
}

/// As where somebody has begun a transaction by hand, and gone to lunch.
#[test]
fn who_speaks_elsewhere_does_not_wait_for_who_keeps_a_chatroom_locked() {
    let server = Serving::start();
    let ann = server.user("ann");
    let (locked, free) = (server.chatroom(&ann), server.chatroom(&ann));
    let mut other = server.other_program();
    other.execute("BEGIN");
    let lock = format!("UPDATE chatrooms SET name = 'mine' WHERE id = {locked}");
    assert_eq!(other.execute(&lock), 1);
    let said = |chatroom, text| {
        let mut client = server.connect();
        client.send(saying(&ann, chatroom, text).bytes());
        client
    };
    // What becomes one batch behind the first, and what comes later.
    let mut refused = [said(locked, "never"), said(locked, "nor this")];
    let mut heard = said(free, "one");
    assert_eq!(heard.answer().ok()[0]["message"], "one");
    server.say(&ann, free, "two");
    for client in &mut refused {
        client.assert_silent();
    }
    for mut client in refused {
        client.answer().assert_failed(500, "storage_failed");
    }
    // Who still waits when it is free is not refused, in the order in which they came.
    let mut waits = ["three", "four"].map(|text| {
        let client = said(locked, text);
        server.say(&ann, free, text);
        client
    });
    waits[0].assert_silent();
    other.execute("ROLLBACK");
    for (client, id) in waits.iter_mut().zip(1..) {
        let list = client.answer().ok();
        let last = list.as_array().and_then(|list| list.last());
        assert_eq!(last.expect("its own")["id"], id);
    }
}

/// Whoever waits for a table has all others wait behind it.
#[test]
fn an_upgrade_does_not_wait_for_whoever_has_a_table_in_use() {
    let old = Serving::start();
    old.stop();
    old.wait_for_end();
    let mut other = old.other_program();
    other.execute("ALTER TABLE servers DROP COLUMN lease_ms");
    other.execute("DROP TABLE written");
    other.execute("ALTER TABLE changes DROP COLUMN transaction");
    other.execute("UPDATE loiter_schema SET version = 2");
    other.execute("BEGIN");
    other.number("SELECT count(*) FROM changes");
    let config = Config {
        database: old.database(),
        ..Config::default()
    };
    let refused = Server::bind(config.clone())
        .expect_err("it waits")
        .to_string();
    assert!(refused.contains("another program"), "{refused}");
    other.execute("ROLLBACK");
    drop(Server::bind(config).expect("nobody is in its way"));
}
