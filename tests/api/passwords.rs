//! Changing a password, and the end of the user's other sessions.

use serde_json::json;

use crate::serving::{Request, Serving, Session, get, logging_in, polling, post};

fn changing(session: &Session, password: &str, new: &str) -> Request {
    post("/changePassword/")
        .form("password", password)
        .form("newpassword", new)
        .of(session)
}

fn logging_in_with(name: &str, password: &str) -> Request {
    post("/login")
        .form("username", name)
        .form("password", password)
}

#[test]
fn a_changed_password_is_the_one_that_logs_in() {
    let serving = Serving::start();
    let ann = serving.user("Ann");
    let answer = serving.ask(&changing(&ann, "pw", "Another one ö"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, br#"{"status":"ok"}"#);
    assert_eq!(answer.field("set-cookie"), None);
    serving
        .ask(&logging_in("ann"))
        .assert_failed(401, "bad_credentials");
    let again = serving.ask(&logging_in_with("ann", "Another one ö"));
    assert_eq!(again.ok(), ann.object());
    // In a JSON body too, and with the same one anew.
    let json = json!({"password": "Another one ö", "newpassword": "Another one ö"});
    let json = post("/changePassword").content("application/json", json.to_string().as_bytes());
    serving.ask(&json.of(&ann)).ok();
}

#[test]
fn it_ends_the_users_other_sessions_and_their_polls() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let others: Vec<Session> = (0..6).map(|_| serving.login("ann")).collect();
    let rooms = [(); 2].map(|()| serving.chatroom(&ann));
    serving.add(&ann, rooms[0], &bob);
    let mut ended: Vec<_> = others[..4]
        .iter()
        .flat_map(|session| rooms.map(|id| serving.poll(session, id)))
        .collect();
    let mut stays = [
        serving.poll(&ann, rooms[0]),
        serving.poll(&bob, rooms[0]),
        serving.poll(&ann, rooms[0]),
    ];
    serving.ask(&changing(&ann, "pw", "new")).ok();
    for session in &others {
        for request in [
            get("/whoami").of(session),
            polling(session, rooms[0]),
            changing(session, "new", "newer"),
        ] {
            serving.ask(&request).assert_failed(401, "no_session");
        }
    }
    for poll in &mut ended {
        poll.answer().assert_failed(401, "no_session");
    }
    let list = serving.say(&ann, rooms[0], "only us");
    for poll in &mut stays {
        assert_eq!(poll.answer().ok(), list);
    }
    // Who logs in anew is not one of them.
    let again = Session::of(&serving.ask(&logging_in_with("ann", "new")));
    (0..4).for_each(|_| serving.warm(&again));
    serving.say(&again, rooms[1], "back");
    let serving = serving.restart(|_| {});
    for session in &others {
        serving
            .ask(&get("/whoami").of(session))
            .assert_failed(401, "no_session");
    }
    [&ann, &bob, &again]
        .iter()
        .for_each(|session| serving.warm(session));
}

#[test]
fn a_wrong_password_changes_nothing_and_counts_as_a_failed_login() {
    let serving = Serving::with(|config| config.login_attempts = 4);
    let ann = serving.user("ann");
    let other = serving.login("ann");
    let long = "x".repeat(2000);
    for wrong in ["PW", "", &long] {
        let answer = serving.ask(&changing(&ann, wrong, "new"));
        answer.assert_failed(403, "bad_credentials");
    }
    serving.warm(&other);
    // They count together, whichever event loop was asked.
    serving
        .ask(&logging_in_with("ann", "wrong"))
        .assert_failed(401, "bad_credentials");
    for request in [changing(&ann, "pw", "new"), logging_in("ann")] {
        let answer = serving.ask(&request);
        answer.assert_failed(429, "too_many_attempts");
        let retry_after = answer.field("retry-after").expect("Retry-After");
        assert!(
            retry_after
                .parse()
                .is_ok_and(|s: u32| (1..=60).contains(&s))
        );
    }
    // For the name it counts too, from wherever.
    let elsewhere = serving.connect_from([127, 0, 0, 9]).ask(&logging_in("ANN"));
    elsewhere.assert_failed(429, "too_many_attempts");
    [&ann, &other]
        .iter()
        .for_each(|session| serving.warm(session));
    let serving = serving.restart(|_| {});
    serving.ask(&logging_in("ann")).ok();
}

#[test]
fn a_right_password_does_not_count() {
    let serving = Serving::with(|config| config.login_attempts = 1);
    let ann = serving.user("ann");
    for (old, new) in [("pw", "a"), ("a", "b"), ("b", "pw")] {
        serving.ask(&changing(&ann, old, new)).ok();
    }
    serving.ask(&logging_in("ann")).ok();
}

#[test]
fn a_new_password_keeps_the_rules_of_new_ones() {
    let serving = Serving::with(|config| config.min_password_length = 2);
    let ann = serving.user("ann");
    let long = "x".repeat(1025);
    for bad in ["", "x", &long] {
        let answer = serving.ask(&changing(&ann, "pw", bad));
        answer.assert_failed(400, "bad_parameter");
        let message = answer.json()["message"].to_string();
        assert!(message.starts_with("\"newpassword must have "), "{message}");
    }
    for missing in ["password", "newpassword"] {
        let request = post("/changePassword").form(missing, "pw");
        serving.ask(&request).assert_failed(401, "no_session");
        let answer = serving.ask(&request.of(&ann));
        answer.assert_failed(400, "bad_parameter");
    }
    let longest = "x".repeat(1024);
    serving.ask(&changing(&ann, "pw", &longest)).ok();
    // What is longer is another one, not cut.
    let answer = serving.ask(&changing(&ann, &long, "pw"));
    answer.assert_failed(403, "bad_credentials");
    serving.ask(&changing(&ann, &longest, "pw")).ok();
}
