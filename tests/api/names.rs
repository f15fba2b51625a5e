//! The rules of names and passwords.

use crate::serving::{Serving, Session, get, post, registering};

#[test]
fn names_are_normalised_and_keep_their_case() {
    let serving = Serving::start();
    for (given, shown) in [
        ("Ann", "Ann"),
        ("ｆｕｌｌ", "full"),
        ("e\u{301}a", "éa"),
        ("\u{fb01}n", "fin"),
        ("a b", "a b"),
        ("a\u{200c}b\u{200d}c", "a\u{200c}b\u{200d}c"),
        ("<script>", "<script>"),
        ("c\u{a0}d", "c d"),
        ("7", "7"),
        ("Σίσυφος", "Σίσυφος"),
    ] {
        assert_eq!(
            serving.ask(&registering(given)).ok()["username"],
            shown,
            "{given:?}"
        );
        let session = serving.login(given);
        assert_eq!(session.username, shown);
    }
    for (registered, again) in [
        ("Ann", "aNN"),
        ("fin", "FIN"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("éa", "ÉA"),
    ] {
        assert_eq!(serving.login(again).username, registered);
        serving
            .ask(&registering(again))
            .assert_failed(409, "username_taken");
    }
}

#[test]
fn a_name_has_one_to_sixty_four_characters() {
    let serving = Serving::start();
    for good in ["a".repeat(64), "😀".repeat(64), "o\u{308}".repeat(64)] {
        serving.ask(&registering(&good)).ok();
    }
    for bad in [
        String::new(),
        "a".repeat(65),
        "ö".repeat(65),
        "\u{fb01}".repeat(33),
        "a".repeat(10_000),
    ] {
        serving
            .ask(&registering(&bad))
            .assert_failed(400, "bad_parameter");
    }
}

#[test]
fn a_name_holds_nothing_that_cannot_be_seen() {
    let serving = Serving::start();
    for c in [
        '\0',
        '\t',
        '\n',
        '\r',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{ad}',
        '\u{200b}',
        '\u{200e}',
        '\u{202e}',
        '\u{2028}',
        '\u{2029}',
        '\u{2060}',
        '\u{feff}',
        '\u{e0001}',
    ] {
        let answer = serving.ask(&registering(&format!("a{c}b")));
        answer.assert_failed(400, "bad_parameter");
        assert!(
            answer.json()["message"].to_string().contains("username"),
            "{answer:?}"
        );
    }
    for bad in [" a", "a ", "\u{3000}a", "a\u{a0}", " ", "\u{2003}"] {
        serving
            .ask(&registering(bad))
            .assert_failed(400, "bad_parameter");
    }
}

fn with_password(path: &str, name: &str, password: &str) -> crate::serving::Request {
    post(path).form("username", name).form("password", password)
}

#[test]
fn a_password_is_any_bytes_compared_exactly() {
    let serving = Serving::with(|config| config.login_attempts = 0);
    let passwords = [
        "x",
        " ",
        " pw ",
        "\0\r\n\t",
        "ö",
        "o\u{308}",
        "😀'\"<>&",
        "%41+",
    ];
    let longest = ["a".repeat(1024), "ö".repeat(512)];
    for (at, password) in passwords
        .into_iter()
        .chain(longest.iter().map(|l| &**l))
        .enumerate()
    {
        let name = format!("user{at}");
        serving
            .ask(&with_password("/register", &name, password))
            .ok();
        let session = Session::of(&serving.ask(&with_password("/login", &name, password)));
        serving.ask(&get("/message/chatrooms").of(&session)).ok();
        for wrong in [
            format!("{password} "),
            format!("{password}\0"),
            password[..0].to_owned(),
        ] {
            let answer = serving.ask(&with_password("/login", &name, &wrong));
            answer.assert_failed(401, "bad_credentials");
        }
    }
    let composed = with_password("/login", "user5", "\u{f6}");
    serving.ask(&composed).assert_failed(401, "bad_credentials");
    for bad in [String::new(), "a".repeat(1025), "ö".repeat(513)] {
        let answer = serving.ask(&with_password("/register", "late", &bad));
        answer.assert_failed(400, "bad_parameter");
        assert!(answer.json()["message"].to_string().contains("password"));
        assert!(
            bad.is_empty() || !answer.json().to_string().contains(&bad),
            "never shown"
        );
    }
    // Longer than any, and begins with the right one.
    let longer = with_password("/login", "user8", &"a".repeat(1025));
    serving.ask(&longer).assert_failed(401, "bad_credentials");
}

#[test]
fn a_password_has_as_many_characters_as_the_option_asks_for() {
    let serving = Serving::with(|config| config.min_password_length = 8);
    for bad in ["", "1234567", "ööööööö"] {
        serving
            .ask(&with_password("/register", "ann", bad))
            .assert_failed(400, "bad_parameter");
    }
    serving
        .ask(&with_password("/register", "ann", "öööööööö"))
        .ok();
    // The rule is for new passwords: a login tells nothing of it.
    serving
        .ask(&with_password("/login", "ann", "1234567"))
        .assert_failed(401, "bad_credentials");
}
