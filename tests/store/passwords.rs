//! Who may log in.

use super::*;

#[test]
fn only_the_same_password_logs_in() {
    let mut fixture = Fixture::new();
    let longest = "ä".repeat(512);
    for (name, password) in [
        ("ann", "e\u{301}t\u{e9} \u{1f511}\n\0"),
        ("bob", &*longest),
        ("cleo", "x"),
    ] {
        fixture.register(name, password).expect("registered");
        fixture.log_in(name, password).expect("the same");
        for other in [
            "",
            "password",
            "\u{e9}t\u{e9} \u{1f511}\n\0",
            &format!("{password} "),
            &longest[2..],
            "X",
        ] {
            let refused = fixture.log_in(name, other);
            assert_eq!(refused, Err(Fault::BadCredentials), "{name} {other:?}");
        }
    }
}

#[test]
fn an_unknown_and_an_impossible_name_are_refused_alike() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.log_in("ann", "x"), Err(Fault::BadCredentials));
    let impossible = Job::LogIn {
        ticket: ticket(1),
        folded: None,
        password: Secret("x".into()),
    };
    let login = field!(fixture.ask(impossible), LoggedIn, login);
    assert_eq!(login, Err(Fault::BadCredentials));
}

#[test]
fn old_passwords_are_good_when_iterations_are_raised() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    fixture.config.password_iterations = NonZeroU32::new(2000).expect("not zero");
    fixture.reopen();
    fixture.log_in("ann", "password").expect("as before");
    fixture.user("bob");
    let stored = "SELECT substr(password, 1, 19) FROM users ORDER BY id";
    let sqlite = fixture.sqlite();
    let mut stored = sqlite.prepare(stored).expect("users");
    let stored: Result<Vec<String>, _> = stored
        .query_map((), |row| row.get(0))
        .and_then(Iterator::collect);
    let expected = ["pbkdf2-sha256$1000$", "pbkdf2-sha256$2000$"];
    assert_eq!(stored.expect("text"), expected);
}

#[test]
fn a_damaged_hash_lets_nobody_in() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    fixture
        .sqlite()
        .execute("UPDATE users SET password = 'plain'", ())
        .expect("damage");
    for password in ["plain", "password", ""] {
        assert_eq!(fixture.log_in("ann", password), Err(Fault::StorageFailed));
    }
}

#[test]
fn no_file_has_a_secret() {
    let mut fixture = Fixture::new();
    fixture
        .register("ann", "correct horse")
        .expect("registered");
    let (_, token) = fixture.log_in("ann", "correct horse").expect("in");
    let session = hash_of(&token);
    fixture.ask(Job::LogOut {
        ticket: ticket(1),
        session,
    });
    fixture.close();
    let files: Vec<_> = std::fs::read_dir(fixture.folder.path())
        .expect("the folder")
        .map(|file| std::fs::read(file.expect("a file").path()).expect("bytes"))
        .collect();
    for secret in [b"correct horse".as_slice(), token.0.as_bytes(), &session.0] {
        let holds = |bytes: &Vec<u8>| bytes.windows(secret.len()).any(|part| part == secret);
        assert!(!files.iter().any(holds));
    }
}
