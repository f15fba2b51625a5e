//! Registering, logging in and out: exact answers, and what the cookie says.

use serde_json::json;

use crate::serving::{Answer, Serving, Session, get, logging_in, polling, post, registering};

/// The attributes of a cookie behind its value, in order.
fn attributes(answer: &Answer) -> Vec<String> {
    let cookie = answer.field("set-cookie").expect("a cookie");
    cookie.split("; ").skip(1).map(str::to_owned).collect()
}

#[test]
fn registering_answers_the_user_and_does_not_log_in() {
    let serving = Serving::start();
    for (at, name) in ["ann", "Bob", "Zoë Ö", "\"quoted\\\"", "😀"]
        .iter()
        .enumerate()
    {
        let answer = serving.ask(&registering(name));
        let escaped = serde_json::to_string(name).expect("a string");
        let body = format!(r#"{{"userid":{},"username":{escaped}}}"#, at + 1);
        assert_eq!(answer.status, 200);
        assert_eq!(String::from_utf8(answer.body.clone()).expect("UTF-8"), body);
        assert_eq!(answer.field("set-cookie"), None);
    }
}

#[test]
fn a_name_is_taken_once() {
    let serving = Serving::start();
    serving.ask(&registering("Ann")).ok();
    for name in ["Ann", "ann", "ANN", "Ａｎｎ"] {
        serving
            .ask(&registering(name))
            .assert_failed(409, "username_taken");
    }
    // Nothing of it counts: the next user has the next id.
    let bob = serving.ask(&registering("bob")).ok();
    assert_eq!(bob["userid"], 2);
}

#[test]
fn the_same_name_registered_by_many_at_once_is_one_users() {
    let serving = Serving::start();
    let mut clients: Vec<_> = (0..16).map(|_| serving.connect()).collect();
    for client in &mut clients {
        client.send(registering("ann").bytes());
    }
    let answers: Vec<Answer> = clients.iter_mut().map(|client| client.answer()).collect();
    let taken = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!(taken, 15);
    assert!(answers.iter().any(|answer| answer.status == 200));
}

#[test]
fn login_answers_the_user_and_a_new_session_each_time() {
    let serving = Serving::start();
    serving.ask(&registering("Ann")).ok();
    let answers = [(); 3].map(|()| serving.ask(&logging_in("aNN")));
    let sessions = answers.clone().map(|answer| Session::of(&answer));
    for (answer, session) in answers.iter().zip(&sessions) {
        assert_eq!(answer.body, br#"{"userid":1,"username":"Ann"}"#);
        // 128 random bits take 22 characters in the densest alphabet that a cookie allows.
        assert!(session.token.len() >= 22, "{}", session.token);
        let month = "Max-Age=2592000";
        assert_eq!(
            attributes(answer),
            ["HttpOnly", "SameSite=Lax", "Path=/", month]
        );
    }
    assert!(sessions[0].token != sessions[1].token && sessions[1].token != sessions[2].token);
    for session in &sessions {
        serving.ask(&get("/message/chatrooms").of(session)).ok();
    }
}

#[test]
fn the_cookie_is_secure_and_as_old_as_configured() {
    let serving = Serving::with(|config| {
        config.secure_cookies = true;
        config.session_lifetime = std::time::Duration::from_secs(90);
    });
    serving.ask(&registering("ann")).ok();
    let login = serving.ask(&logging_in("ann"));
    let wanted = ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=90", "Secure"];
    assert_eq!(attributes(&login), wanted);
    let cookie = login.field("set-cookie").expect("a cookie");
    let (pair, _) = cookie.split_once(';').expect(cookie);
    let token = pair.strip_prefix("__Host-session=").expect(pair);
    assert_eq!(token.len(), 64);
    let asking = |cookie: &str| serving.ask(&get("/whoami").field("Cookie", cookie));
    let afresh = asking(pair);
    assert_eq!(afresh.field("set-cookie"), Some(cookie));
    // A neighbour, or whoever is on the way, can set the plain one. It is none, whether or not the other is there.
    let plain = format!("session={token}");
    asking(&plain).assert_failed(401, "no_session");
    asking(&format!("session=x; {pair}")).ok();
    asking(&format!("{plain}; __Host-session=x")).assert_failed(401, "no_session");
    asking(&format!("__host-session={token}")).assert_failed(401, "no_session");
    let logout = serving.ask(&post("/logout").field("Cookie", pair));
    assert_eq!(
        attributes(&logout),
        ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=0", "Secure"]
    );
    let cleared = logout.field("set-cookie").expect("a cookie");
    assert!(cleared.starts_with("__Host-session=;"), "{cleared}");
    asking(pair).assert_failed(401, "no_session");
}

/// Without HTTPS a browser would not take it.
#[test]
fn the_plain_cookie_is_the_one_where_none_is_secure() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let other = format!("__Host-session={}", ann.token);
    let asked = serving.ask(&get("/whoami").field("Cookie", &other));
    asked.assert_failed(401, "no_session");
    serving.ask(&get("/whoami").of(&ann)).ok();
}

#[test]
fn bad_credentials_are_one_answer() {
    let serving = Serving::with(|config| config.login_attempts = 0);
    serving.ask(&registering("ann")).ok();
    let long = "x".repeat(2000);
    let answers: Vec<Answer> = [
        ("ann", "wrong"),
        ("ann", "PW"),
        ("ann", "pw "),
        ("ann", ""),
        ("ann", &long),
        ("nobody", "pw"),
        ("", "pw"),
        (" ann", "pw"),
        ("a\nb", "pw"),
        (&long, "pw"),
    ]
    .iter()
    .map(|(name, password)| {
        let login = post("/login")
            .form("username", name)
            .form("password", password);
        serving.ask(&login)
    })
    .collect();
    for answer in &answers {
        answer.assert_failed(401, "bad_credentials");
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(answer.field("set-cookie"), None);
        assert_eq!(answer.length(), answers[0].length());
    }
}

#[test]
fn logout_ends_this_session_for_good() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let other = serving.login("ann");
    let answer = serving.ask(&post("/logout/").of(&ann));
    assert_eq!(
        (answer.status, &*answer.body),
        (200, &br#"{"status":"ok"}"#[..])
    );
    let cookie = answer.field("set-cookie").expect("a cookie");
    assert_eq!(
        cookie,
        "session=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
    );
    serving
        .ask(&post("/logout/").of(&ann))
        .assert_failed(401, "no_session");
    serving
        .ask(&get("/message/chatrooms/").of(&ann))
        .assert_failed(401, "no_session");
    serving
        .ask(&post("/logout/"))
        .assert_failed(401, "no_session");
    assert_eq!(
        serving.ask(&get("/message/chatrooms/").of(&other)).ok(),
        json!([])
    );
}

#[test]
fn logout_ends_the_sessions_parked_polls_in_all_chatrooms() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let other = serving.login("ann");
    let chatrooms = [(); 3].map(|()| serving.chatroom(&ann));
    let mut polls: Vec<_> = chatrooms
        .iter()
        .flat_map(|&chatroom| [serving.poll(&ann, chatroom), serving.poll(&ann, chatroom)])
        .collect();
    let mut others = serving.poll(&other, chatrooms[0]);
    serving.ask(&post("/logout/").of(&ann)).ok();
    for poll in &mut polls {
        poll.answer().assert_failed(401, "no_session");
        // The connection is none the worse for it.
        poll.ask(&polling(&ann, chatrooms[0]))
            .assert_failed(401, "no_session");
    }
    others.assert_silent();
    let list = serving.say(&other, chatrooms[0], "hi");
    assert_eq!(others.answer().ok(), list);
}

#[test]
fn logging_in_with_a_cookie_leaves_that_session_alone() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let again = Session::of(&serving.ask(&logging_in("ann").of(&ann)));
    assert_ne!(again.token, ann.token);
    serving.warm(&ann);
    serving.warm(&again);
}
