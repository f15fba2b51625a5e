//! Failed logins, counted for a name and for an address.

use crate::serving::{Answer, Request, Serving, logging_in, post, registering};

fn failing(name: &str) -> Request {
    post("/login")
        .form("username", name)
        .form("password", "wrong")
}

#[track_caller]
fn assert_held(answer: &Answer) {
    answer.assert_failed(429, "too_many_attempts");
    let retry_after = answer.field("retry-after").expect("Retry-After");
    let seconds: u64 = retry_after.parse().expect(retry_after);
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.field("set-cookie"), None);
}

#[test]
fn the_limit_holds_for_an_address_whatever_the_name() {
    let serving = Serving::with(|config| config.login_attempts = 3);
    serving.user("ann");
    serving.user("bob");
    // Names that are known, unknown and impossible count alike.
    for name in ["ann", "nobody", " "] {
        serving
            .ask(&failing(name))
            .assert_failed(401, "bad_credentials");
    }
    for name in ["ann", "ANN", "bob", "stranger", " "] {
        assert_held(&serving.ask(&failing(name)));
        assert_held(&serving.ask(&logging_in(name)));
    }
    // It is logins that are held, nothing else.
    serving.ask(&registering("carl")).ok();
}

#[test]
fn the_limit_holds_for_a_name_from_any_address() {
    let serving = Serving::with(|config| {
        config.login_attempts = 3;
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    });
    serving.user("ann");
    serving.user("bob");
    let from = |host: [u8; 4], request: &Request| serving.connect_from(host).ask(request);
    for host in 2..=4 {
        from([127, 0, 0, host], &failing("ann")).assert_failed(401, "bad_credentials");
    }
    for name in ["ann", "Ann", "ＡＮＮ"] {
        assert_held(&from([127, 0, 0, 9], &logging_in(name)));
    }
    // Neither another name nor an address with failures below the limit is held.
    from([127, 0, 0, 9], &logging_in("bob")).ok();
    from([127, 0, 0, 2], &logging_in("bob")).ok();
}

#[test]
fn logins_that_succeed_do_not_count() {
    let serving = Serving::with(|config| config.login_attempts = 2);
    serving.user("ann");
    for _ in 0..5 {
        serving.ask(&logging_in("ann")).ok();
    }
    serving
        .ask(&failing("ann"))
        .assert_failed(401, "bad_credentials");
    serving.ask(&logging_in("ann")).ok();
    serving
        .ask(&failing("ann"))
        .assert_failed(401, "bad_credentials");
    assert_held(&serving.ask(&logging_in("ann")));
}

#[test]
fn what_is_no_attempt_does_not_count() {
    let serving = Serving::with(|config| config.login_attempts = 1);
    serving.user("ann");
    for _ in 0..3 {
        serving
            .ask(&post("/login").form("username", "ann"))
            .assert_failed(400, "bad_parameter");
        serving
            .ask(&post("/login").raw("username=%zz"))
            .assert_failed(400, "bad_parameter");
        serving
            .ask(&registering("ann"))
            .assert_failed(409, "username_taken");
    }
    serving.ask(&logging_in("ann")).ok();
}

#[test]
fn zero_is_no_limit() {
    let serving = Serving::with(|config| config.login_attempts = 0);
    serving.user("ann");
    for _ in 0..20 {
        serving
            .ask(&failing("ann"))
            .assert_failed(401, "bad_credentials");
    }
    serving.ask(&logging_in("ann")).ok();
}
