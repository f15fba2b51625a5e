//! Who is believed where a request comes from: `--trusted-proxy`.
//!
//! What is counted by address tells which address a request was taken to be from: after one failed login of an
//! address the next is 429.

use crate::serving::{Answer, Request, Serving, logging_in, post};

const FOR: &str = "X-Forwarded-For";

/// A server that refuses an address after one failed login, and trusts these.
fn trusting(trusted: &[&str]) -> Serving {
    let serving = Serving::with(|config| {
        config.login_attempts = 1;
        config.trusted_proxies = trusted
            .iter()
            .map(|network| network.parse().expect("a network"))
            .collect();
    });
    serving.ask(&crate::serving::registering("ann")).ok();
    serving
}

/// A login that fails, each with a name of its own: it is the address that is to count.
fn failing(serving: &Serving, number: &mut u32, fields: &[&str]) -> Answer {
    *number += 1;
    let request = post("/login")
        .form("username", format!("nobody{number}"))
        .form("password", "x");
    let request = fields
        .iter()
        .fold(request, |request, value| request.field(FOR, value));
    serving.ask(&request)
}

/// Asserts that these requests are taken to be from one address, and the next ones from others.
#[track_caller]
fn assert_sorted(serving: &Serving, addresses: &[&[&[&str]]]) {
    let mut number = 0;
    for same in addresses {
        failing(serving, &mut number, same[0]).assert_failed(401, "bad_credentials");
        for fields in *same {
            let again = failing(serving, &mut number, fields);
            assert_eq!(again.status, 429, "{fields:?} is not from where {same:?}");
        }
    }
}

#[test]
fn nobody_is_believed_who_is_not_trusted() {
    for trusted in [&[][..], &["192.0.2.0/24", "::1", "::/0", "128.0.0.0/1"]] {
        let serving = trusting(trusted);
        let fields: [&[&str]; 4] = [
            &[],
            &["203.0.113.1"],
            &["203.0.113.2", "::1"],
            &["127.0.0.1"],
        ];
        assert_sorted(&serving, &[&fields]);
    }
}

#[test]
fn a_trusted_proxy_says_where_its_client_is() {
    let serving = trusting(&["127.0.0.0/8"]);
    assert_sorted(
        &serving,
        &[
            &[
                &["203.0.113.1"],
                &["203.0.113.1:4711"],
                &[" ::ffff:203.0.113.1 "],
                // What a client has made up stands before it.
                &["203.0.113.2, 203.0.113.1"],
                &["203.0.113.2", "203.0.113.3, 203.0.113.1"],
                &["127.0.0.1, 203.0.113.1"],
                &["unknown,203.0.113.1"],
                // Trusted proxies behind one another.
                &["203.0.113.2, 203.0.113.1, 127.0.0.9"],
                &["203.0.113.1, 127.0.0.8", "127.0.0.9"],
            ],
            &[&["203.0.113.2"]],
            // One customer of IPv6 is a /64.
            &[
                &["2001:db8::1"],
                &["[2001:db8::2]"],
                &["[2001:db8::3]:4711"],
            ],
            &[&["2001:db8:0:1::1"]],
            // The proxy itself, where it says nothing that can be read.
            &[
                &[],
                &[""],
                &["unknown"],
                &["203.0.113.9, "],
                &["203.0.113.9, x"],
                &["203.0.113.9/32"],
                &["203.0.113.9;x"],
            ],
            // Who is trusted may be the client too.
            &[&["127.0.0.7"], &["127.0.0.7, 127.0.0.8"], &["x, 127.0.0.7"]],
        ],
    );
}

#[test]
fn other_fields_say_nothing() {
    let serving = trusting(&["127.0.0.0/8"]);
    let fields = ["Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP"];
    let failed = |request: Request| serving.ask(&request).status;
    let ask = |name: &str| post("/login").form("username", name).form("password", "x");
    assert_eq!(failed(ask("nobody")), 401);
    for field in fields {
        let value = if field == "Forwarded" {
            "for=203.0.113.1"
        } else {
            "203.0.113.1"
        };
        assert_eq!(failed(ask(field).field(field, value)), 429, "{field}");
    }
}

#[test]
fn a_changed_password_counts_for_the_address_that_the_proxy_says() {
    let serving = trusting(&["127.0.0.1"]);
    let ann = serving.login("ann");
    let change = post("/changePassword")
        .form("password", "wrong")
        .form("newpassword", "new")
        .of(&ann)
        .field(FOR, "203.0.113.1");
    serving.ask(&change).assert_failed(403, "bad_credentials");
    let mut number = 0;
    failing(&serving, &mut number, &["203.0.113.1"]).assert_failed(429, "too_many_attempts");
    failing(&serving, &mut number, &["203.0.113.2"]).assert_failed(401, "bad_credentials");
}

#[test]
fn a_trusted_proxy_says_whether_its_client_speaks_https() {
    const PROTO: &str = "X-Forwarded-Proto";
    let asked = |serving: &Serving, origin: &str, said: &[&str]| {
        let request = logging_in("nobody").field("Origin", origin);
        let request = said
            .iter()
            .fold(request, |request, value| request.field(PROTO, value));
        serving.ask(&request).status
    };
    const HTTP: &str = "http://localhost";
    const HTTPS: &str = "https://localhost";
    let serving = Serving::with(|config| {
        config.login_attempts = 0;
        config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    });
    for (said, http, https) in [
        (&["https"][..], 403, 401),
        (&["HTTPS"], 403, 401),
        (&["http"], 401, 403),
        // Which of several it is, nobody knows.
        (&[], 401, 401),
        (&["https", "https"], 401, 401),
        (&["https, http"], 401, 401),
        (&["wss"], 401, 401),
        (&[""], 401, 401),
    ] {
        assert_eq!(asked(&serving, HTTP, said), http, "{said:?}");
        assert_eq!(asked(&serving, HTTPS, said), https, "{said:?}");
        assert_eq!(asked(&serving, "https://evil.example", said), 403);
    }
    let serving = Serving::with(|config| {
        config.login_attempts = 0;
        config.trusted_proxies = vec!["192.0.2.1".parse().expect("an address")];
    });
    for said in ["http", "https"] {
        assert_eq!(asked(&serving, HTTP, &[said]), 401);
        assert_eq!(asked(&serving, HTTPS, &[said]), 401);
    }
}
