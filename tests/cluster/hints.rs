//! Hints from an address of their own: it must lead to the database that is served, at the start and whenever it is connected to again.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Instant;

use loiter::config::Hints;
use loiter::{Config, OpenError, Server, StartError};

use crate::ids;
use crate::serving::proxy::Proxy;
use crate::serving::{PATIENCE, Serving, get};
use crate::since;

/// An address with a password, which nobody is to be shown.
fn secret(database: &Path) -> String {
    let database = database.to_str().expect("an address");
    database.replace("//loiter@", "//loiter:s3cret@")
}

/// What a start says that is refused for its hints.
fn refused(database: &Path, hints: &str) -> String {
    let refused = Server::bind(Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        database: secret(database).into(),
        hints: Hints::From(hints.to_owned()),
        ..Config::default()
    });
    let Err(StartError::Open(error @ OpenError::BadHints { .. })) = refused else {
        panic!("{hints} is taken");
    };
    let told = error.to_string();
    assert!(!told.contains("s3cret"), "{told}");
    assert!(told.contains("hints postgres"), "{told}");
    told
}

#[test]
fn who_would_hear_of_another_database_does_not_start() {
    let [one, other] = [(); 2].map(|()| Serving::start());
    let told = refused(&one.database(), &secret(&other.database()));
    for part in ["another database", "must lead to the same"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(told.matches("postgres://loiter@").count(), 2, "{told}");
    // … nor of one that no loiter has ever served.
    let database = one.database();
    let nobodys = database.to_str().expect("an address").split('?').next();
    let told = refused(&database, nobodys.expect("an address"));
    assert!(told.contains("another database"), "{told}");
}

#[test]
fn who_cannot_reach_where_hints_come_from_does_not_start() {
    let one = Serving::start();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let away = format!(
        "postgres://loiter:s3cret@{}/postgres",
        free.expect("a port")
    );
    let told = refused(&one.database(), &away);
    assert!(told.contains("onnect"), "{told}");
    let told = refused(&one.database(), "postgres://ann:s3cret@db/chat?sslmode=on");
    assert!(told.contains("sslmode is 'on'"), "{told}");
}

/// A name, or what stands between, may lead elsewhere from one day to the next.
#[test]
fn what_leads_to_another_database_by_now_is_not_used() {
    let mut between = None;
    let hearing = Serving::with(|config| {
        let proxy = Proxy::before(&config.database);
        config.hints = Hints::From(proxy.database.to_str().expect("an address").to_owned());
        between = Some(proxy);
    });
    let proxy = between.expect("set");
    let other = Serving::with(|config| config.database = hearing.database());
    let ann = hearing.user("ann");
    let id = hearing.chatroom(&ann);
    let mut poll = hearing.connect();
    poll.park(&ann, &since(&ann, id, 0));
    let mut database = hearing.other_program();
    let is_ready = |wanted: bool| {
        let begun = Instant::now();
        while (hearing.ask(&get("/readyz")).status == 200) != wanted {
            assert!(begun.elapsed() < PATIENCE, "ready: {}", !wanted);
        }
    };
    // It is taken for another one where it is known by something else.
    proxy.cut();
    database.execute("ALTER TABLE loiter_schema ADD COLUMN kept UUID");
    database.execute("UPDATE loiter_schema SET kept = identity, identity = gen_random_uuid()");
    proxy.mend();
    is_ready(false);
    other.say(&ann, id, "hi");
    poll.assert_silent();
    database.execute("UPDATE loiter_schema SET identity = kept");
    is_ready(true);
    assert_eq!(ids(&poll.answer().ok()), [1]);
}
