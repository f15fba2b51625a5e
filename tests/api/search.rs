//! getUser: who is found, in which order, how many.

use serde_json::{Value, json};

use crate::serving::{Serving, Session, get, registering};

fn found(serving: &Serving, session: &Session, name: &str) -> Value {
    serving
        .ask(&get("/message/getUser/").with("name", name).of(session))
        .ok()
}

fn names(found: &Value) -> Vec<&str> {
    let users = found.as_array().expect("an array");
    users
        .iter()
        .map(|user| user["username"].as_str().expect("a name"))
        .collect()
}

#[test]
fn the_exact_one_first_then_by_name() {
    let serving = Serving::start();
    let ann = serving.user("Ann");
    for name in ["annika", "ANNA", "Anne", "an", "anna b", "bann", "annz"] {
        serving.ask(&registering(name)).ok();
    }
    for name in ["ann", "ANN", "Ann", "ａｎｎ"] {
        let found = found(&serving, &ann, name);
        assert_eq!(
            names(&found),
            ["Ann", "ANNA", "anna b", "Anne", "annika", "annz"]
        );
        assert_eq!(found[0], ann.object());
    }
    assert_eq!(names(&found(&serving, &ann, "anna")), ["ANNA", "anna b"]);
    assert_eq!(
        names(&found(&serving, &ann, "a")),
        ["an", "Ann", "ANNA", "anna b", "Anne", "annika", "annz"]
    );
    let answer = serving.ask(&get("/message/getUser").with("name", "bann").of(&ann));
    assert_eq!(answer.body, br#"[{"userid":7,"username":"bann"}]"#);
}

#[test]
fn nobody_is_the_empty_object() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    for name in [
        "bob",
        "annn",
        " ann",
        "nn",
        "\u{0}",
        "ann\n",
        &"a".repeat(5000),
    ] {
        let answer = serving.ask(&get("/message/getUser").with("name", name).of(&ann));
        assert_eq!(
            (answer.status, &*answer.body),
            (200, &b"{}"[..]),
            "{name:?}"
        );
    }
}

#[test]
fn an_empty_name_is_refused() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    for raw in ["name=", "name", "names=ann"] {
        let answer = serving.ask(&get("/message/getUser").raw(raw).of(&ann));
        answer.assert_failed(400, "bad_parameter");
    }
}

#[test]
fn at_most_fifty_are_found() {
    let serving = Serving::start();
    let ann = serving.user("x");
    for n in 0..60 {
        serving.ask(&registering(&format!("x{n:02}"))).ok();
    }
    let found = found(&serving, &ann, "X");
    let wanted: Vec<String> = (0..49).map(|n| format!("x{n:02}")).collect();
    assert_eq!(names(&found)[0], "x", "the exact one is never crowded out");
    assert_eq!(names(&found)[1..], wanted);
}

/// What means something to a database or to a pattern is text like any other.
#[test]
fn nothing_is_a_wildcard() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    for name in [
        "a%b", "a_b", "a*b", "a?b", "a[b]", "a\\b", "a'b", "a\"b", "a;--b", "axb",
    ] {
        serving.ask(&registering(name)).ok();
    }
    for name in ["a%", "a_", "a*", "a?", "a[", "a\\", "a'", "a\"", "a;"] {
        let found = found(&serving, &ann, name);
        assert_eq!(names(&found).len(), 1, "{name}: {found}");
        assert!(names(&found)[0].starts_with(name));
    }
    for name in ["%", "_", "*", "?", "' OR 1=1 --"] {
        assert_eq!(found(&serving, &ann, name), json!({}), "{name}");
    }
}

#[test]
fn letters_beyond_ascii_are_folded_and_ordered() {
    let serving = Serving::start();
    let ann = serving.user("Öde");
    for name in [
        "ödland",
        "ÖDNIS",
        "oder",
        "\u{10ffff}",
        "\u{10ffff}x",
        "Σίσυφος",
    ] {
        serving.ask(&registering(name)).ok();
    }
    assert_eq!(
        names(&found(&serving, &ann, "öD")),
        ["Öde", "ödland", "ÖDNIS"]
    );
    assert_eq!(
        names(&found(&serving, &ann, "O\u{308}")),
        ["Öde", "ödland", "ÖDNIS"]
    );
    assert_eq!(
        names(&found(&serving, &ann, "\u{10ffff}")),
        ["\u{10ffff}", "\u{10ffff}x"]
    );
    assert_eq!(names(&found(&serving, &ann, "ΣΊΣ")), ["Σίσυφος"]);
    assert_eq!(names(&found(&serving, &ann, "σίς")), ["Σίσυφος"]);
}
