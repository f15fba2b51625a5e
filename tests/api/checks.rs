//! What holds for all calls: paths, methods, and the order in which a request is checked.

use serde_json::json;

use crate::serving::{Request, Serving, get, post};

/// Every call of the document, with its method and the parameters that it needs.
const CALLS: [(&str, &str, &[&str]); 11] = [
    ("POST", "/register", &["username", "password"]),
    ("POST", "/login", &["username", "password"]),
    ("POST", "/logout", &[]),
    ("GET", "/message/chatrooms", &[]),
    ("GET", "/message/getUser", &["name"]),
    ("GET", "/message/longpoll", &["chatroomid"]),
    ("GET", "/message/endpoll", &["chatroomid"]),
    ("POST", "/message/sendMessage", &["chatroomid", "message"]),
    ("POST", "/message/newChatroom", &[]),
    (
        "POST",
        "/message/addToChatroom",
        &["chatroomid", "usertoadd"],
    ),
    ("GET", "/message/chatroomParticipants", &["chatroomid"]),
];

fn needs_session(path: &str) -> bool {
    !["/register", "/login"].contains(&path)
}

fn with_slash_and_without(path: &str) -> [String; 2] {
    [path.to_owned(), format!("{path}/")]
}

#[test]
fn paths_work_with_and_without_their_trailing_slash() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let chatroom = serving.chatroom(&ann);
    for (method, path, _) in CALLS {
        if ["/logout", "/message/longpoll"].contains(&path) {
            continue;
        }
        for (at, path) in with_slash_and_without(path).iter().enumerate() {
            let mut request = Request::new(method, path).of(&ann);
            request = match path.trim_end_matches('/') {
                "/register" => request
                    .form("username", format!("bob{at}"))
                    .form("password", "x"),
                "/login" => request.form("username", "ann").form("password", "pw"),
                _ => request
                    .with("chatroomid", chatroom)
                    .with("name", "ann")
                    .with("usertoadd", ann.userid)
                    .with("message", "hi"),
            };
            serving.ask(&request).ok();
        }
    }
    for path in with_slash_and_without("/message/longpoll") {
        let foreign = get(&path).with("chatroomid", 99).of(&ann);
        serving
            .ask(&foreign)
            .assert_failed(500, "not_a_participant");
    }
    for path in with_slash_and_without("/logout") {
        let session = serving.login("ann");
        serving.ask(&post(&path).of(&session)).ok();
    }
}

#[test]
fn there_is_nothing_at_other_paths() {
    let serving = Serving::start();
    for path in [
        "/message",
        "/message/",
        "/login//",
        "//login",
        "/Login",
        "/LOGIN",
        "/login/x",
        "/logi",
        "/login;a",
        "/login%2F",
        "/%6Cogin",
        "/./login",
        "/message/../login",
        "/message/getuser",
        "/message/sendmessage",
    ] {
        for method in ["GET", "POST", "PUT", "OPTIONS"] {
            let answer = serving.ask(&Request::new(method, path));
            answer.assert_failed(404, "not_found");
            assert_eq!(answer.field("allow"), None, "{path}");
        }
    }
}

#[test]
fn each_path_has_its_methods() {
    let serving = Serving::start();
    for (own, path, _) in CALLS {
        let waits = ["/message/longpoll", "/message/endpoll"].contains(&path);
        let allow = match own {
            "POST" => "POST, OPTIONS",
            _ if waits => "GET, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        };
        for path in with_slash_and_without(path) {
            let options = serving.ask(&Request::new("OPTIONS", &path));
            assert_eq!(
                (options.status, options.field("allow")),
                (204, Some(allow)),
                "{path}"
            );
            for method in [
                "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "get", "QUERY",
            ] {
                let answer = serving.ask(&Request::new(method, &path));
                if allow.split(", ").any(|allowed| allowed == method) {
                    assert_ne!(answer.status, 405, "{method} {path}");
                    continue;
                }
                assert_eq!(
                    (answer.status, answer.field("allow")),
                    (405, Some(allow)),
                    "{method} {path}"
                );
                if method != "HEAD" {
                    answer.assert_failed(405, "method_not_allowed");
                }
            }
        }
    }
}

/// The HTTP message, the path, the method, the session, the parameters, the meaning.
#[test]
fn the_order_of_checks() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    for (method, path, parameters) in CALLS {
        let wrong_method = if method == "GET" { "POST" } else { "GET" };
        let bad = |method: &str, path: &str| Request::new(method, path).raw("a=%zz");
        // Everything is wrong, and then one thing less each time.
        let broken = bad("GET", "/nowhere").field("Host", "twice");
        serving.ask(&broken).assert_failed(400, "bad_request");
        serving
            .ask(&bad(wrong_method, "/nowhere"))
            .assert_failed(404, "not_found");
        serving
            .ask(&bad(wrong_method, path))
            .assert_failed(405, "method_not_allowed");
        if needs_session(path) {
            serving
                .ask(&bad(method, path))
                .assert_failed(401, "no_session");
            let stranger = Request::new(method, path).field("Cookie", "session=unknown");
            serving
                .ask(&stranger.raw("a=%zz"))
                .assert_failed(401, "no_session");
        }
        serving
            .ask(&bad(method, path).of(&ann))
            .assert_failed(400, "bad_parameter");
        // Each parameter that is missing is named.
        for missing in parameters {
            let others = parameters.iter().filter(|name| *name != missing);
            let request = others.fold(Request::new(method, path).of(&ann), |request, name| {
                request.with(name, "1")
            });
            let answer = serving.ask(&request);
            answer.assert_failed(400, "bad_parameter");
            let message = answer.json()["message"].to_string();
            assert!(message.contains(missing), "{path}: {message}");
        }
    }
    // A bad parameter comes before the meaning: the chatroom is foreign too.
    let both = post("/message/sendMessage")
        .with("chatroomid", 99)
        .with("message", "")
        .of(&ann);
    serving.ask(&both).assert_failed(400, "bad_parameter");
}

#[test]
fn a_session_is_the_cookie_of_that_name() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let with = |cookie: &str| get("/message/chatrooms").field("Cookie", cookie);
    let token = &ann.token;
    for good in [
        format!("session={token}"),
        format!("a=b; session={token}"),
        format!("a=b;session={token};c=d"),
        format!("xsession=x; session={token}"),
    ] {
        assert_eq!(serving.ask(&with(&good)).ok(), json!([]), "{good}");
    }
    let two_fields = with("a=b").field("cookie", &format!("session={token}"));
    serving.ask(&two_fields).ok();
    let upper = token.to_uppercase();
    for bad in [
        String::new(),
        "session".to_owned(),
        "session=".to_owned(),
        format!("session={token}x"),
        format!("session={}", &token[1..]),
        format!("session={}", "a".repeat(10_000)),
        format!("Session={token}"),
        format!("xsession={token}"),
        // Unless the token has no letters, of course.
        format!("session=+{upper}"),
    ] {
        serving.ask(&with(&bad)).assert_failed(401, "no_session");
    }
}
