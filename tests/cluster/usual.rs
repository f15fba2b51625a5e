//! Databases that are not as they usually are: empty, where many servers begin together; with other settings; with columns of another type.

use std::sync::Barrier;
use std::thread;

use crate::serving::{OtherProgram, Serving, get};
use crate::unsteady::Unsteady;

/// Who waits for the first to make the tables finds them made, also where transactions see what was there at their begin.
#[test]
fn all_that_begin_at_once_on_an_empty_database_begin() {
    const SERVERS: usize = 10;
    let first = Serving::start();
    let database = first.database();
    first.stop();
    first.wait_for_end();
    let address = database.to_str().expect("an address").to_owned();
    let schema = format!("u{}", std::process::id());
    let mut other = OtherProgram::on(&database);
    for isolation in ["read committed", "repeatable read", "serializable"] {
        other.execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
        other.execute(&format!("CREATE SCHEMA {schema}"));
        let (before, _) = address.split_once("?").expect("parameters");
        let isolation = isolation.replace(' ', "%5C%20");
        let address = format!(
            "{before}?options=-csearch_path%3D{schema}%20-cdefault_transaction_isolation%3D{isolation}"
        );
        let together = Barrier::new(SERVERS);
        thread::scope(|scope| {
            for _ in 0..SERVERS {
                scope.spawn(|| {
                    together.wait();
                    let server = Serving::alone("each begins by itself", |config| {
                        config.database = address.clone().into();
                    });
                    server.user(&format!("ann{:?}", thread::current().id()));
                });
            }
        });
    }
    other.execute(&format!("DROP SCHEMA {schema} CASCADE"));
}

/// It is no reason to connect anew.
#[test]
fn what_cannot_be_read_fails_and_nothing_else() {
    const CONNECTIONS: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'loiter' ORDER BY pid";
    let unsteady = Unsteady::take();
    let name = unsteady.new_database();
    let server = Serving::alone("its own connections are looked at", |config| {
        config.database = format!("{}/{name}", unsteady.address()).into();
    });
    let ann = server.user("ann");
    let id = server.chatroom(&ann);
    server.say(&ann, id, "hi");
    let mut database = unsteady.client(&name);
    let mut connections = || -> Vec<i32> {
        let found = database.query(CONNECTIONS, &[]).expect("connections");
        found.iter().map(|row| row.get(0)).collect()
    };
    let before = connections();
    let list = get("/message/history").of(&ann).with("chatroomid", id);
    server.ask(&list).ok();
    let change = "ALTER TABLE messages ALTER COLUMN text TYPE bytea USING convert_to(text, 'UTF8')";
    unsteady.client(&name).batch_execute(change).expect("done");
    for _ in 0..4 {
        server.ask(&list).assert_failed(500, "storage_failed");
    }
    assert_eq!(connections(), before);
}
