//! Pages of other origins that are allowed: `--allow-origin`.

use std::io::Read;

use crate::serving::{
    Answer, Client, Request, Serving, Session, ending, get, logging_in, polling, post, registering,
    saying,
};
use loiter_client::Method;

const TEA: &str = "https://tea.example";
const DEV: &str = "http://localhost:3000";

fn allowing(origins: &[&str]) -> Serving {
    Serving::with(|config| {
        config.secure_cookies = true;
        config.allowed_origins = (origins.iter())
            .map(|origin| origin.parse().expect("an origin"))
            .collect();
    })
}

/// Logged in by the cookie's name with which such servers set it.
struct Guest {
    cookie: String,
}

impl Guest {
    fn new(serving: &Serving, name: &str) -> Self {
        serving.ask(&registering(name)).ok();
        let answer = serving.ask(&logging_in(name));
        answer.ok();
        let cookie = answer.field("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("its first part").to_owned();
        Self { cookie }
    }

    fn chatroom(&self, serving: &Serving) -> i64 {
        let created = serving.ask(&self.asks(post("/message/newChatroom"))).ok();
        created["chatroomid"].as_i64().expect("an id")
    }

    fn asks(&self, request: Request) -> Request {
        request.field("Cookie", &self.cookie)
    }
}

/// Requests of the helpers carry a cookie that means nothing here.
fn nobody() -> Session {
    Session {
        token: String::new(),
        userid: 1,
        username: String::new(),
    }
}

fn at(request: Request, origin: &str) -> Request {
    request
        .field("Origin", origin)
        .field("Sec-Fetch-Site", "cross-site")
}

#[track_caller]
fn assert_for(answer: &Answer, origin: Option<&str>) {
    let allowed = answer.field("access-control-allow-origin");
    assert_eq!(allowed, origin, "{answer:?}");
    let credentials = answer.field("access-control-allow-credentials");
    assert_eq!(credentials, origin.map(|_| "true"));
    let exposed = answer.field("access-control-expose-headers");
    assert_eq!(exposed, origin.map(|_| "Loiter-Message-Id, Retry-After"));
    assert_eq!(answer.field("vary"), Some("Origin"));
}

#[test]
fn an_allowed_page_may_do_all_and_read_every_answer() {
    let serving = allowing(&[TEA, DEV]);
    let ann = Guest::new(&serving, "ann");
    let id = ann.chatroom(&serving);
    for origin in [TEA, DEV] {
        for (request, status) in [
            (registering("ann"), 409),
            (registering(&origin[..5]), 200),
            (logging_in("ann"), 200),
            (post("/login").form("username", "x"), 400),
            (ann.asks(saying(&nobody(), id, "hi")), 200),
            (ann.asks(ending(&nobody(), id)), 200),
            (ann.asks(saying(&nobody(), 99, "hi")), 500),
            (get("/whoami"), 401),
            (get("/nowhere"), 404),
            (post("/whoami"), 405),
            (get("/healthz"), 200),
        ] {
            let answer = serving.ask(&at(request, origin));
            assert_eq!(answer.status, status, "{answer:?}");
            assert_for(&answer, Some(origin));
        }
    }
    // The same path, for one whom its own page asks and for nobody in particular.
    assert_for(
        &serving.ask(&get("/healthz").field("Origin", "http://localhost")),
        None,
    );
    assert_for(&serving.ask(&get("/healthz")), None);
}

#[test]
fn all_others_are_refused_as_ever() {
    let serving = allowing(&[TEA]);
    let ann = Guest::new(&serving, "ann");
    let id = ann.chatroom(&serving);
    for origin in [
        "null",
        "https://evil.example",
        "http://tea.example",
        "https://tea.example:8443",
        "https://tea.example.evil.example",
        "https://a.tea.example",
        "https://tea.example/",
        "https://tea.example, https://tea.example",
        "https://TEA.example",
    ] {
        let refused = serving.ask(&at(ann.asks(saying(&nobody(), id, "no")), origin));
        refused.assert_failed(403, "cross_site");
        assert_for(&refused, None);
        let read = serving.ask(&at(ann.asks(get("/message/chatrooms")), origin));
        read.ok();
        assert_for(&read, None);
    }
    // Without an origin it is not known whose page it is; nor with two.
    let marked = ann
        .asks(saying(&nobody(), id, "no"))
        .field("Sec-Fetch-Site", "cross-site");
    serving.ask(&marked).assert_failed(403, "cross_site");
    let twice = serving.ask(&at(ann.asks(saying(&nobody(), id, "no")), TEA).field("Origin", TEA));
    twice.assert_failed(403, "cross_site");
    assert_for(&twice, None);
    let said = serving.ask(&ann.asks(get("/message/history").with("chatroomid", id)));
    assert_eq!(said.ok(), serde_json::json!([]));
}

#[test]
fn a_browser_that_asks_beforehand_is_told() {
    let serving = allowing(&[TEA]);
    let ask = |path: &str, origin: &str| {
        let request = Request::new("OPTIONS", path)
            .field("Origin", origin)
            .field("Access-Control-Request-Method", "POST")
            .field("Access-Control-Request-Headers", "content-type");
        serving.ask(&request)
    };
    for (path, methods) in [
        ("/message/sendMessage/", "POST, OPTIONS"),
        ("/message/stream", "GET, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ] {
        let answer = ask(path, TEA);
        assert_eq!(answer.status, 204);
        assert_for(&answer, Some(TEA));
        assert_eq!(answer.field("allow"), Some(methods));
        assert_eq!(answer.field("access-control-allow-methods"), Some(methods));
        let fields = answer.field("access-control-allow-headers");
        assert_eq!(fields, Some("Content-Type, Last-Event-ID"));
        assert_eq!(answer.field("access-control-max-age"), Some("600"));
        let answer = ask(path, "https://evil.example");
        assert_eq!((answer.status, answer.field("allow")), (204, Some(methods)));
        assert_for(&answer, None);
        for field in ["methods", "headers"] {
            assert_eq!(answer.field(&format!("access-control-allow-{field}")), None);
        }
        assert_eq!(answer.field("access-control-max-age"), None);
    }
    let nowhere = ask("/nowhere", TEA);
    nowhere.assert_failed(404, "not_found");
    assert_for(&nowhere, Some(TEA));
}

/// What one message sends to all is sent to each with the name of their own origin.
#[test]
fn polls_of_several_origins_that_one_message_wakes_get_each_their_own() {
    let serving = allowing(&[TEA, DEV]);
    let ann = Guest::new(&serving, "ann");
    let id = ann.chatroom(&serving);
    let origins = [Some(TEA), None, Some(DEV), Some(TEA), None, Some(DEV)];
    let mut polls: Vec<Client> = Vec::new();
    for origin in origins {
        let poll = ann.asks(
            get("/message/longpoll")
                .with("chatroomid", id)
                .with("since", 0),
        );
        let poll = origin.iter().fold(poll, |poll, origin| at(poll, origin));
        let mut client = serving.connect();
        client.send(poll.bytes());
        polls.push(client);
    }
    for poll in &mut polls {
        poll.assert_silent();
    }
    let said = ann.asks(
        post("/message/sendMessage")
            .form("chatroomid", id)
            .form("message", "hi"),
    );
    let list = serving.ask(&said).ok();
    for (poll, origin) in polls.iter_mut().zip(origins) {
        let answer = poll.answer();
        assert_eq!(answer.ok(), list);
        assert_for(&answer, origin);
        // What comes next on the connection is not from that page.
        assert_for(&poll.ask(&get("/healthz")), None);
    }
}

#[test]
fn a_stream_is_for_its_origin_too() {
    let serving = allowing(&[TEA]);
    let ann = Guest::new(&serving, "ann");
    let id = ann.chatroom(&serving);
    for (origin, is_allowed) in [(TEA, true), (DEV, false)] {
        let request = ann.asks(get("/message/stream").with("chatroomid", id));
        let mut client = serving.connect();
        client.send(at(request, origin).bytes());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.socket().read_exact(&mut byte).expect("its head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.contains("\r\nVary: Origin\r\n"), "{head}");
        let allowed = format!("\r\nAccess-Control-Allow-Origin: {origin}\r\n");
        assert_eq!(head.contains(&allowed), is_allowed, "{head}");
        let credentials = "\r\nAccess-Control-Allow-Credentials: true\r\n";
        assert_eq!(head.contains(credentials), is_allowed);
    }
}

/// A head that is refused names no origin that could be known. Where there is but one, the answer is for that.
#[test]
fn what_http_refuses_is_for_the_only_origin() {
    for (origins, expected) in [(&[TEA][..], Some(TEA)), (&[TEA, DEV], None)] {
        let serving = allowing(origins);
        let mut client = serving.connect();
        client.send("GET / HTTP/1.1\r\n\r\n");
        let answer = client.answer();
        answer.assert_failed(400, "bad_request");
        assert_for(&answer, expected);
        let mut client = serving.connect();
        client.send(format!(
            "POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\nOrigin: {TEA}\r\n\r\n"
        ));
        let answer = client.answer();
        answer.assert_failed(413, "body_too_large");
        assert_for(&answer, expected);
    }
}

#[test]
fn the_cookie_of_such_a_server_goes_where_its_pages_are() {
    let serving = allowing(&[TEA]);
    serving.ask(&registering("ann")).ok();
    let answer = serving.ask(&logging_in("ann"));
    let cookie = answer.field("set-cookie").expect("a cookie");
    let rest = cookie.strip_prefix("__Host-session=").expect(cookie);
    let (_, rest) = rest.split_once("; ").expect(cookie);
    assert_eq!(
        rest,
        "HttpOnly; SameSite=None; Path=/; Max-Age=2592000; Secure"
    );
}

#[test]
fn a_server_that_allows_none_says_nothing_of_origins() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    for request in [
        at(get("/whoami").of(&ann), TEA),
        at(saying(&ann, id, "no"), TEA),
        at(Request::new("OPTIONS", "/login"), TEA).field("Access-Control-Request-Method", "POST"),
    ] {
        let answer = serving.ask(&request);
        let names = answer.fields.iter().map(|(name, _)| name);
        let mut of_origins =
            names.filter(|name| name.starts_with("access-control") || *name == "vary");
        assert_eq!(of_origins.next(), None, "{answer:?}");
    }
    let mut poll = serving.connect();
    poll.park(&ann, &at(polling(&ann, id), TEA));
    serving.say(&ann, id, "hi");
    assert_eq!(poll.answer_to(Method::Other).field("vary"), None);
}
