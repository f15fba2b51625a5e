//! A database that stands still: it takes connections and all that it is sent, and never answers.

use std::path::Path;
use std::time::Instant;

use loiter::Server;

use crate::serving::proxy::Proxy;
use crate::serving::{PATIENCE, Serving, get, saying};
use crate::unsteady::Unsteady;

/// A server whose database can be made to stand still.
fn behind_a_proxy() -> (Serving, Proxy) {
    let mut between = None;
    let serving = Serving::alone("it is its own connections that freeze", |config| {
        let proxy = Proxy::before(&config.database);
        config.database.clone_from(&proxy.database);
        between = Some(proxy);
    });
    let proxy = between.expect("set");
    (serving, proxy)
}

#[test]
fn nobody_waits_for_ever_and_it_goes_on_as_before() {
    let (serving, proxy) = behind_a_proxy();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = serving.poll(&ann, id);
    proxy.freeze();
    let (mut writer, mut reader) = (serving.connect(), serving.connect());
    writer.send(saying(&ann, id, "lost").bytes());
    reader.send(get("/message/getUser").with("name", "a").of(&ann).bytes());
    for mut asking in [writer, reader] {
        asking.answer().assert_failed(500, "storage_failed");
    }
    assert_eq!(serving.ask(&get("/readyz")).status, 503);
    poll.assert_silent();
    proxy.mend();
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

#[test]
fn a_server_ends_while_its_database_stands_still() {
    let (serving, proxy) = behind_a_proxy();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    proxy.freeze();
    let mut asking = serving.connect();
    asking.send(saying(&ann, id, "lost").bytes());
    serving.drain();
    asking.answer().assert_failed(500, "storage_failed");
    serving.wait_for_end();
}

/// The address of either, the first first.
fn either(first: &Path, second: &Path) -> String {
    let [first, second] = [first, second].map(|given| given.to_str().expect("an address"));
    let host = |address: &str| {
        let behind_user = address.split('@').nth(1).expect("user@host");
        behind_user.split('/').next().expect("host/name").to_owned()
    };
    let hosts = format!("{},{}", host(first), host(second));
    first.replacen(&host(first), &hosts, 1)
}

/// A former leader may stand still for long, or go on and know nothing: who writes has gone on to another, and who reads and who listens follows.
#[test]
fn all_go_where_one_has_gone_on_to() {
    let unsteady = Unsteady::take();
    let name = unsteady.new_database();
    let there = format!("{}/{name}?sslmode=disable", unsteady.address());
    let there = Path::new(&there);
    let former = Proxy::before(there);
    let serving = Serving::alone("it is its own connections", |config| {
        config.database = either(&former.database, there).into();
    });
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "hi");
    former.refuse();
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND query = 'COMMIT'";
    let ended = unsteady.client("postgres").query(ended, &[&name]);
    assert_eq!(ended.expect("ended").len(), 1, "who writes");
    serving.say(&ann, id, "hello");
    former.freeze();
    for _ in 0..3 {
        let history = get("/message/history").of(&ann).with("chatroomid", id);
        assert_eq!(serving.ask(&history).ok()[1]["message"], "hello");
        assert_eq!(serving.ask(&get("/readyz")).status, 200);
    }
}

#[test]
fn of_several_hosts_one_that_stands_still_is_passed_over() {
    let beside = Serving::start();
    let proxy = Proxy::before(&beside.database());
    proxy.freeze();
    let frozen = proxy.database.to_str().expect("an address").to_owned();
    let both = either(&proxy.database, &beside.database());
    let serving = Serving::with(|config| config.database = both.into());
    serving.user("ann");

    // And where there is no other the start says so.
    let config = loiter::Config {
        database: frozen.into(),
        ..loiter::Config::default()
    };
    let refused = Server::bind(config).expect_err("nobody answers");
    assert!(
        refused.to_string().contains("has not answered"),
        "{refused}"
    );
}
