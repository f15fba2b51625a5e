//! A PostgreSQL that leads and dies, and the one that follows it and leads from then on: what was acknowledged is there, and nobody hears anything twice.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::serving::{PATIENCE, Serving, get, polling, saying};
use crate::{ids, since};

fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("tests/cluster.sh sets {name}"))
}

/// Messages that are acknowledged before it dies, and after.
const BEFORE: usize = 40;
const AFTER: usize = 40;

#[test]
fn nothing_that_was_acknowledged_is_lost_and_nobody_need_do_anything() {
    let servers: [Serving; 2] = std::array::from_fn(|_| {
        Serving::alone("of this database", |config| {
            config.database = given("LOITER_TEST_LEADING_POSTGRES").into();
        })
    });
    let ann = servers[0].user("ann");
    let id = servers[0].chatroom(&ann);
    let quiet = servers[0].chatroom(&ann);
    let mut parked = servers.each_ref().map(|server| server.poll(&ann, quiet));
    let (acknowledged, is_over) = (Mutex::new(BTreeMap::new()), AtomicBool::new(false));
    let count = || acknowledged.lock().expect("no panic").len();
    let wait_for = |wanted: usize| {
        let begun = Instant::now();
        while count() < wanted {
            assert!(begun.elapsed() < PATIENCE, "{} of {wanted}", count());
            thread::yield_now();
        }
    };
    let heard = thread::scope(|scope| {
        for sender in 0..4 {
            let (server, ann, acknowledged, is_over) =
                (&servers[sender % 2], &ann, &acknowledged, &is_over);
            scope.spawn(move || {
                for n in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                    let text = format!("{sender} {n}");
                    let saying = saying(ann, id, &text).with("nonce", &text);
                    let answer = loop {
                        let answer = server.ask(&saying);
                        if answer.status == 200 {
                            break answer;
                        }
                        answer.assert_failed(500, "storage_failed");
                    };
                    let as_id = answer.field("loiter-message-id").expect("an id");
                    let as_id: i64 = as_id.parse().expect("a number");
                    let before = acknowledged.lock().expect("no panic").insert(as_id, text);
                    assert_eq!(before, None, "{as_id}");
                }
            });
        }
        let followers = [0, 1].map(|first| {
            let (servers, ann, is_over) = (&servers, &ann, &is_over);
            scope.spawn(move || {
                let (mut heard, mut at): (Vec<Value>, _) = (Vec::new(), first);
                loop {
                    let was_over = is_over.load(Ordering::Relaxed);
                    let poll = since(ann, id, heard.len() as i64).with("timeout", 1);
                    let answer = servers[at % 2].ask(&poll);
                    at += 1;
                    if answer.status == 200 {
                        let list = answer.ok();
                        if was_over && list == Value::Array(Vec::new()) {
                            return heard;
                        }
                        heard.extend(list.as_array().expect("a list").iter().cloned());
                    }
                }
            })
        });
        wait_for(BEFORE);
        let mut promote = Command::new(given("LOITER_TEST_PROMOTE"));
        let output = promote.output().expect("pg_ctl");
        assert!(output.status.success(), "{output:?}");
        wait_for(count() + AFTER);
        parked.iter_mut().for_each(|poll| poll.assert_silent());
        is_over.store(true, Ordering::Relaxed);
        followers.map(|follower| Value::Array(follower.join().expect("it hears")))
    });
    let acknowledged = acknowledged.into_inner().expect("no panic");
    for heard in &heard {
        assert_eq!(ids(heard), Vec::from_iter(1..=acknowledged.len() as i64));
        for message in heard.as_array().expect("a list") {
            let as_id = message["id"].as_i64().expect("an id");
            assert_eq!(message["message"], acknowledged[&as_id]);
        }
    }
    let said = servers[0].say(&ann, quiet, "hi");
    for poll in &mut parked {
        assert_eq!(poll.answer().ok(), said);
    }
    let ready = servers
        .iter()
        .map(|server| server.ask(&get("/readyz")).status);
    assert_eq!(Vec::from_iter(ready), [200, 200]);
    servers[1].ask(&polling(&ann, id).with("since", 0)).ok();
}
