//! What is parked is on no disk: each server knows of its own, and is asked for it by the others.

use std::time::Instant;

use loiter::Config;
use serde_json::{Value, json};

use crate::serving::{PATIENCE, Request, Serving, Session, adding, ending, get, polling, post};
use crate::{asking, hinting, ids, servers, since};

fn names(answer: &Value) -> Vec<&str> {
    let users = answer.as_array().expect("a list").iter();
    users
        .map(|user| user["username"].as_str().expect("a name"))
        .collect()
}

fn trying(name: &str, password: &str) -> Request {
    let login = post("/login/").form("username", name);
    login.form("password", password)
}

fn present(server: &Serving, session: &Session, chatroom: i64) -> Value {
    let asked = get("/message/presence").of(session);
    server.ask(&asked.with("chatroomid", chatroom)).ok()
}

pub(crate) fn endpoll_ends_polls_everywhere(set: impl Fn(&mut Config)) {
    let [one, other, third] = servers(set);
    let (ann, bob) = (one.user("ann"), one.user("bob"));
    let id = one.chatroom(&ann);
    one.ask(&adding(&ann, id, bob.userid)).ok();
    let said = one.say(&ann, id, "hi");
    // One of its own, two at others; and another's, and one in another chatroom, which stay.
    let mut polls = [
        one.poll(&ann, id),
        other.poll(&ann, id),
        third.poll(&ann, id),
    ];
    let mut following = third.connect();
    following.park(&ann, &since(&ann, id, 1));
    let elsewhere = other.chatroom(&ann);
    let mut left_alone = [other.poll(&bob, id), third.poll(&ann, elsewhere)];
    let ended = one.ask(&ending(&ann, id)).ok();
    assert_eq!(ended, json!({"status": "ok", "ended": 4, "messages": said}));
    for poll in &mut polls {
        assert_eq!(poll.answer().ok(), said);
    }
    assert_eq!(following.answer().ok(), json!([]));
    left_alone.iter_mut().for_each(|poll| poll.assert_silent());
    let ended = other.ask(&ending(&ann, id)).ok();
    assert_eq!(ended["ended"], 0);
}

#[test]
fn endpoll_ends_polls_on_other_servers_by_hints() {
    endpoll_ends_polls_everywhere(hinting);
}

#[test]
fn endpoll_ends_polls_on_other_servers_by_asking() {
    endpoll_ends_polls_everywhere(asking);
}

#[test]
fn endpoll_tells_what_others_have_written_just_before_by_hints() {
    endpoll_tells_what_others_have_written_just_before(hinting);
}

#[test]
fn endpoll_tells_what_others_have_written_just_before_by_asking() {
    endpoll_tells_what_others_have_written_just_before(asking);
}

fn endpoll_tells_what_others_have_written_just_before(set: fn(&mut Config)) {
    let [one, other] = servers(set);
    let ann = one.user("ann");
    let id = one.chatroom(&ann);
    // From here on it has the chatroom's list.
    assert_eq!(other.ask(&ending(&ann, id)).ok()["messages"], json!([]));
    for n in 1..=3 {
        one.say(&ann, id, "hi");
        let ended = other.ask(&ending(&ann, id)).ok();
        assert_eq!(ids(&ended["messages"]), Vec::from_iter(1..=n));
    }
}

fn presence_is_the_whole_clusters(set: fn(&mut Config)) {
    let [one, other, third] = servers(set);
    let users = ["ann", "bob", "cyd", "dan"].map(|name| one.user(name));
    let [ann, bob, cyd, dan] = &users;
    let id = one.chatroom(ann);
    for user in [bob, cyd, dan] {
        one.ask(&adding(ann, id, user.userid)).ok();
    }
    assert_eq!(present(&other, ann, id), json!([]));
    let _polls = [one.poll(ann, id), other.poll(ann, id)];
    let mut ended = other.poll(cyd, id);
    let _stays = third.poll(bob, id);
    for server in [&one, &other, &third] {
        assert_eq!(names(&present(server, dan, id)), ["ann", "bob", "cyd"]);
    }
    // A moment after its poll somebody still counts.
    other.ask(&ending(cyd, id)).ok();
    ended.answer().ok();
    assert_eq!(names(&present(&one, dan, id)), ["ann", "bob", "cyd"]);
    let stranger = third.user("eve");
    let asked = get("/message/presence").of(&stranger);
    (third.ask(&asked.with("chatroomid", id))).assert_failed(403, "not_a_participant");
}

#[test]
fn presence_is_the_whole_clusters_by_hints() {
    presence_is_the_whole_clusters(hinting);
}

#[test]
fn presence_is_the_whole_clusters_by_asking() {
    presence_is_the_whole_clusters(asking);
}

#[test]
fn who_has_ended_is_not_waited_for() {
    let [one, other] = servers(hinting);
    let ann = one.user("ann");
    let id = one.chatroom(&ann);
    other.handle().stop();
    other.wait_for_end();
    // For as long as it has said that it is there it would be, which is longer than a client of these tests has patience.
    assert_eq!(one.ask(&ending(&ann, id)).ok()["ended"], 0);
    assert_eq!(present(&one, &ann, id), json!([]));
}

/// Without what is told in between: neither server has asked, since nobody has spoken.
#[test]
fn who_has_just_been_let_in_is_in_everywhere_at_once() {
    let [one, other] = servers(asking);
    let (ann, bob) = (one.user("ann"), other.user("bob"));
    let newest = |server: &Serving, user| {
        let chatrooms = server.ask(&get("/message/chatrooms").of(user)).ok();
        chatrooms.as_array().expect("a list").last().cloned()
    };
    assert_eq!(newest(&other, &ann), None);
    for _ in 0..3 {
        let id = one.chatroom(&ann);
        assert_eq!(newest(&other, &ann), Some(json!(id)));
        one.ask(&adding(&ann, id, bob.userid)).ok();
        other.poll(&bob, id).assert_silent();
        assert_eq!(other.ask(&ending(&bob, id)).ok()["messages"], json!([]));
    }
    other
        .ask(&polling(&bob, 1_000))
        .assert_failed(500, "not_a_participant");
}

#[test]
fn failed_logins_count_everywhere() {
    let servers: [Serving; 3] = servers(|config| {
        hinting(config);
        config.login_attempts = 6;
    });
    let ann = servers[0].user("ann");
    for n in 0..6 {
        servers[n % 3]
            .ask(&trying("ANN", "wrong"))
            .assert_failed(401, "bad_credentials");
    }
    for server in &servers {
        // The right one, too; and whoever else comes from the same address.
        for (name, password) in [("ann", "pw"), ("nobody", "x")] {
            let refused = server.ask(&trying(name, password));
            let seconds = refused.field("retry-after").expect("it says when");
            let seconds: u64 = seconds.parse().expect("seconds");
            assert!((1..=60).contains(&seconds), "{seconds}");
            refused.assert_failed(429, "too_many_attempts");
        }
        let change = post("/changePassword").of(&ann).with("password", "wrong");
        server
            .ask(&change.with("newpassword", "another"))
            .assert_failed(429, "too_many_attempts");
    }
}

/// By the database's clock, which was set back since: they would count until it is there again.
#[test]
fn logins_that_have_failed_in_time_to_come_do_not_count() {
    let [one, other] = servers(|config| {
        hinting(config);
        config.login_attempts = 2;
    });
    one.user("ann");
    for _ in 0..2 {
        one.ask(&trying("ann", "wrong"))
            .assert_failed(401, "bad_credentials");
    }
    other
        .ask(&trying("ann", "pw"))
        .assert_failed(429, "too_many_attempts");
    one.other_program()
        .execute("UPDATE failed_logins SET time = time + interval '1 h'");
    other.ask(&trying("ann", "pw")).ok();
}

#[test]
fn wrong_passwords_of_a_change_count_everywhere() {
    let [one, other] = servers(|config| {
        hinting(config);
        config.login_attempts = 2;
    });
    let ann = one.user("ann");
    for server in [&one, &other] {
        let change = post("/changePassword").of(&ann).with("password", "wrong");
        server
            .ask(&change.with("newpassword", "another"))
            .assert_failed(403, "bad_credentials");
    }
    one.ask(&trying("ann", "pw"))
        .assert_failed(429, "too_many_attempts");
}

/// Without hints, and long before anybody asks by themselves: the answer has waited until they had.
#[test]
fn who_is_told_that_somebody_is_out_finds_it_so_everywhere() {
    let [one, other] = servers(asking);
    let (ann, bob) = (one.user("ann"), other.user("bob"));
    let chatrooms = |user: &Session| other.ask(&get("/message/chatrooms").of(user));
    let overview = |user: &Session| other.ask(&get("/message/overview").of(user));
    for _ in 0..2 {
        let id = one.chatroom(&ann);
        one.ask(&adding(&ann, id, bob.userid)).ok();
        let mut poll = other.poll(&bob, id);
        let remove = post("/message/removeFromChatroom").with("chatroomid", id);
        one.ask(&remove.with("usertoremove", bob.userid).of(&ann))
            .ok();
        (other.ask(&polling(&bob, id))).assert_failed(500, "not_a_participant");
        poll.answer().assert_failed(500, "not_a_participant");
        let again = other.login("ann");
        overview(&again).ok();
        one.ask(&post("/logout").of(&again)).ok();
        overview(&again).assert_failed(401, "no_session");
    }
    let again = other.login("bob");
    chatrooms(&again).ok();
    let change = post("/changePassword").with("password", "pw").of(&bob);
    one.ask(&change.with("newpassword", "another")).ok();
    overview(&again).assert_failed(401, "no_session");
    chatrooms(&bob).ok();
}

/// … and none that was made behind it: a server may know of that before it hears of the password.
#[test]
fn a_password_that_is_set_beside_servers_ends_the_sessions_that_were_there() {
    let [one, other] = servers(asking);
    let ann = one.user("ann");
    let id = one.chatroom(&ann);
    let former = [ann, one.login("ann"), other.login("ann")];
    let mut former = former.map(|session| other.poll(&session, id));
    let config = Config {
        database: one.database(),
        ..Config::default()
    };
    let mut users = loiter::Users::open(&config).expect("a database");
    assert_eq!(users.set_password("ann", "another").expect("changed"), 3);
    let again = Session::of(&one.ask(&trying("ann", "another")));
    let mut poll = other.poll(&again, id);
    for poll in &mut former {
        poll.answer().assert_failed(401, "no_session");
    }
    one.say(&again, id, "hi");
    assert_eq!(ids(&poll.answer().ok()), [1]);
}

/// Waits until so many polls are parked at a server.
fn wait_until_parked(server: &Serving, polls: u64) {
    let begun = Instant::now();
    let parked = |metrics: &loiter::Metrics| -> u64 {
        let text = metrics.encode();
        let lines = text.lines();
        let parked = lines.filter_map(|line| line.strip_prefix("loiter_polls_parked{"));
        let counts = parked.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum()
    };
    while server.all_metrics().map(parked).sum::<u64>() != polls {
        assert!(begun.elapsed() < PATIENCE, "they are not parked");
    }
}

/// What is said right after somebody was let in is theirs to hear, also at a server that hears of both at once.
#[test]
fn a_poll_of_all_hears_the_first_message_of_a_chatroom_that_its_user_has_come_into() {
    let [one, other] = servers(hinting);
    let (ann, bob) = (one.user("ann"), other.user("bob"));
    let all = || get("/message/longpoll").with("chatroomid", "all").of(&bob);
    for n in 0..15 {
        let id = one.chatroom(&ann);
        // What was said before is not for a poll from now on.
        one.say(&ann, id, "before");
        let mut from_now = other.connect();
        from_now.park(&bob, &all());
        let mut since = other.connect();
        since.park(&bob, &all().with("since", "1000:0"));
        // From now on is from when the database has said how far all of them are.
        wait_until_parked(&other, 2);
        one.ask(&adding(&ann, id, bob.userid)).ok();
        let said = one.say(&ann, id, &format!("{n}"));
        assert_eq!(from_now.answer().ok(), said);
        assert_eq!(ids(&since.answer().ok()), [2]);
    }
}
