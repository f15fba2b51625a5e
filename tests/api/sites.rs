//! Requests that a browser sends for another site.

use serde_json::json;

use crate::serving::{Answer, Request, Serving, ending, get, logging_in, polling, post, saying};

const FOREIGN: [(&str, &str); 7] = [
    ("Sec-Fetch-Site", "cross-site"),
    ("Origin", "null"),
    ("Origin", "http://evil.example"),
    ("Origin", "http://localhost:8001"),
    ("Origin", "http://localhost.evil.example"),
    ("origin", "https://evil.example"),
    ("Origin", "file://"),
];

#[test]
fn an_endpoll_is_refused_though_it_is_a_get() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = serving.poll(&ann, id);
    let elsewhere = ending(&ann, id).field("Sec-Fetch-Site", "cross-site");
    serving.ask(&elsewhere).assert_failed(403, "cross_site");
    poll.assert_silent();
    // What changes nothing is not.
    let listing = get("/message/chatrooms/").of(&ann);
    serving
        .ask(&listing.field("Sec-Fetch-Site", "cross-site"))
        .ok();
}

#[test]
fn another_site_changes_nothing() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "before");
    for (name, value) in FOREIGN {
        for request in [
            saying(&ann, id, "lost"),
            post("/message/newChatroom").of(&ann),
            post("/logout").of(&ann),
            logging_in("ann"),
            // Before the session and the parameters are looked at.
            post("/message/sendMessage").raw("a=%zz"),
            post("/register"),
        ] {
            let answer = serving.ask(&request.field(name, value));
            answer.assert_failed(403, "cross_site");
            assert_eq!(answer.field("set-cookie"), None);
        }
        // After the path and the method.
        let nowhere = post("/nowhere").field(name, value);
        serving.ask(&nowhere).assert_failed(404, "not_found");
        let method = post("/whoami").field(name, value);
        serving
            .ask(&method)
            .assert_failed(405, "method_not_allowed");
    }
    let list = serving.say(&ann, id, "after");
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    assert_eq!(
        serving.ask(&get("/message/chatrooms").of(&ann)).ok(),
        json!([id])
    );
}

#[test]
fn this_site_and_no_site_do() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let said = |fields: &[(&str, &str)]| {
        let request = fields
            .iter()
            .fold(saying(&ann, id, "hi"), |request, (name, value)| {
                request.field(name, value)
            });
        serving.ask(&request).ok();
    };
    said(&[]);
    said(&[("Origin", "http://localhost")]);
    said(&[("Origin", "https://LOCALHOST:443")]);
    for site in ["same-origin", "same-site", "none"] {
        said(&[("Sec-Fetch-Site", site)]);
    }
    // The second is behind a proxy that has put another Host there.
    for origin in ["http://localhost", "https://chat.example"] {
        said(&[("Sec-Fetch-Site", "same-origin"), ("Origin", origin)]);
    }
}

#[test]
fn reading_is_for_every_site() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let foreign = |request: Request| {
        let request = request.field("Sec-Fetch-Site", "cross-site");
        request.field("Origin", "http://evil.example")
    };
    serving.ask(&foreign(get("/whoami").of(&ann))).ok();
    let mut poll = serving.connect();
    poll.park(&ann, &foreign(polling(&ann, id)));
    let list = serving.say(&ann, id, "hi");
    assert_eq!(poll.answer().ok(), list);
}

/// The host is the one that the client knows, port and all.
#[test]
fn the_host_is_as_the_request_names_it() {
    let serving = Serving::start();
    let asked = |target: &str, host: &str, origin: &str| -> Answer {
        let mut client = serving.connect();
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n"
        ));
        client.answer()
    };
    for (target, host, origin, is_here) in [
        (
            "/logout",
            "chat.example:8443",
            "https://chat.example:8443",
            true,
        ),
        (
            "/logout",
            "chat.example:8443",
            "https://chat.example",
            false,
        ),
        ("/logout", "[::1]:8000", "http://[::1]:8000", true),
        (
            "http://a.example/logout",
            "b.example",
            "http://a.example",
            true,
        ),
        (
            "http://a.example/logout",
            "b.example",
            "http://b.example",
            false,
        ),
    ] {
        let answer = asked(target, host, origin);
        match is_here {
            true => answer.assert_failed(401, "no_session"),
            false => answer.assert_failed(403, "cross_site"),
        }
    }
    let twice = post("/logout")
        .field("Origin", "http://localhost")
        .field("Origin", "http://evil.example");
    serving.ask(&twice).assert_failed(403, "cross_site");
}
