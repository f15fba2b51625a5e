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
        customer: here(),
        folded: None,
        password: Secret("x".into()),
    };
    let login = field!(fixture.ask(impossible), LoggedIn, login);
    assert_eq!(login, Err(Fault::BadCredentials));
}

/// Each user's hash, up to its salt: the scheme and the iterations.
fn iterations(fixture: &Fixture) -> Vec<String> {
    let stored = "SELECT substr(password, 1, 19) FROM users ORDER BY id";
    fixture.other_program().texts(stored)
}

const FEW: &str = "pbkdf2-sha256$1000$";
const MORE: &str = "pbkdf2-sha256$2000$";

fn reopen_with(fixture: &mut Fixture, iterations: u32) {
    fixture.config.password_iterations = NonZeroU32::new(iterations).expect("not zero");
    fixture.reopen();
}

#[test]
fn old_passwords_are_good_and_hashed_anew_when_iterations_were_raised() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    fixture.user("bob");
    reopen_with(&mut fixture, 2000);
    fixture.user("cleo");
    // Only whose password is known can be hashed: a wrong one changes nothing.
    assert_eq!(fixture.log_in("bob", "x"), Err(Fault::BadCredentials));
    let session = hash_of(&fixture.log_in("ann", "password").expect("as before").1);
    assert_eq!(iterations(&fixture), [MORE, FEW, MORE]);
    assert!(fixture.session(session).is_some());
    assert_eq!(fixture.log_in("ann", "x"), Err(Fault::BadCredentials));
    fixture.log_in("ann", "password").expect("the same");
    // What is lowered holds for new passwords alone.
    reopen_with(&mut fixture, 1000);
    fixture.log_in("ann", "password").expect("still the same");
    assert_eq!(iterations(&fixture), [MORE, FEW, MORE]);
}

#[test]
fn logins_at_once_are_all_good_while_the_hash_is_made_anew() {
    let mut fixture = Fixture::with(|config| config.workers = 8);
    let ann = fixture.user("ann");
    let kept = hash_of(&fixture.log_in("ann", "password").expect("in").1);
    reopen_with(&mut fixture, 2000);
    for _ in 0..8 {
        fixture.submit(Job::LogIn {
            ticket: ticket(1),
            customer: here(),
            folded: Some("ann".into()),
            password: Secret("password".into()),
        });
    }
    for _ in 0..8 {
        field!(fixture.next(), LoggedIn, login).expect("the right password");
    }
    assert_eq!(iterations(&fixture), [MORE]);
    assert_eq!(fixture.change(&ann, kept, "password", "new"), Ok(()));
}

#[test]
fn a_login_that_is_not_written_leaves_the_hash_as_it_was() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    reopen_with(&mut fixture, 2000);
    let mut other = fixture.other_program();
    other.refuse_writes(&["UPDATE"]);
    let refused = fixture.log_in("ann", "password");
    assert_eq!(refused, Err(Fault::StorageFailed));
    assert_eq!(other.number("SELECT count(*) FROM sessions"), 0);
    assert_eq!(iterations(&fixture), [FEW]);
}

#[test]
fn what_a_password_was_is_nowhere_in_the_file() {
    let mut fixture = Fixture::new();
    // Rows before and behind, so that the row's place is one that others would move into.
    let [_, ann, _] = ["a", "ann", "z"].map(|name| fixture.user(name));
    let stored = |fixture: &Fixture| -> String {
        let stored = "SELECT password FROM users WHERE id = 2";
        fixture.other_program().texts(stored).remove(0)
    };
    let mut before = vec![stored(&fixture)];
    let session = hash_of(&fixture.log_in("ann", "password").expect("in").1);
    // One change to the same length; one, with more iterations, to another.
    assert_eq!(fixture.change(&ann, session, "password", "new"), Ok(()));
    before.push(stored(&fixture));
    reopen_with(&mut fixture, 20_000);
    fixture.log_in("ann", "new").expect("in");
    before.push(stored(&fixture));
    assert_eq!(fixture.change(&ann, session, "new", "newer"), Ok(()));
    let now = stored(&fixture);
    let moved = fixture.sqlite();
    moved
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("moved");
    let holds = |text: &str| {
        let database = fixture.config.database.display();
        [format!("{database}"), format!("{database}-wal")].map(|file| {
            let bytes = std::fs::read(&file).expect(&file);
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    };
    for before in before {
        let hash = before.rsplit('$').next().expect("its last part");
        assert_eq!(holds(hash), [false, false], "{before}");
    }
    assert_eq!(holds(&now), [true, false]);
}

#[test]
fn a_damaged_hash_lets_nobody_in() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    let damage = "UPDATE users SET password = 'plain'";
    fixture.other_program().execute(damage);
    for password in ["plain", "password", ""] {
        assert_eq!(fixture.log_in("ann", password), Err(Fault::StorageFailed));
    }
}

fn change(user: &User, session: SessionHash, password: &str, new: &str) -> Job {
    Job::ChangePassword {
        ticket: ticket(1),
        customer: here(),
        session,
        user: user.id,
        password: Secret(password.into()),
        new: Secret(new.into()),
    }
}

impl Fixture {
    fn change(
        &mut self,
        user: &User,
        session: SessionHash,
        password: &str,
        new: &str,
    ) -> Result<(), Fault> {
        match self.ask(change(user, session, password, new)) {
            Completion::PasswordChanged {
                user: of,
                session: kept,
                done,
                ..
            } => {
                assert_eq!((of, kept), (user.id, session));
                done
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_changed_password_ends_every_other_session_of_the_user() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    fixture.user("bob");
    let [kept, other, third] =
        [1, 2, 3].map(|_| hash_of(&fixture.log_in("ann", "password").expect("in").1));
    let of_bob = hash_of(&fixture.log_in("bob", "password").expect("in").1);
    let changed = fixture.change(&ann, kept, "password", "e\u{301}t\u{e9} \0");
    assert_eq!(changed, Ok(()));
    for (session, is_left) in [(kept, true), (other, false), (third, false), (of_bob, true)] {
        assert_eq!(fixture.session(session).is_some(), is_left);
    }
    let refused = Err(Fault::BadCredentials);
    assert_eq!(fixture.log_in("ann", "password"), refused);
    fixture.log_in("ann", "e\u{301}t\u{e9} \0").expect("in");
    fixture.log_in("bob", "password").expect("in");
}

#[test]
fn a_wrong_password_changes_nothing() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let [kept, other] = [1, 2].map(|_| hash_of(&fixture.log_in("ann", "password").expect("in").1));
    for (user, password) in [(&ann, "Password"), (&ann, ""), (&nobody(), "password")] {
        let refused = fixture.change(user, kept, password, "new");
        assert_eq!(refused, Err(Fault::BadCredentials));
    }
    assert!(fixture.session(other).is_some());
    fixture.log_in("ann", "password").expect("as before");
}

#[test]
fn of_two_who_change_a_password_at_once_one_does() {
    let mut fixture = Fixture::with(|config| config.workers = 8);
    let ann = fixture.user("ann");
    let sessions = [1, 2, 3, 4].map(|_| hash_of(&fixture.log_in("ann", "password").expect("in").1));
    for session in sessions {
        fixture.submit(change(&ann, session, "password", "new"));
    }
    let done = sessions.map(|_| field!(fixture.next(), PasswordChanged, done));
    assert_eq!(
        done.iter().filter(|done| done.is_ok()).count(),
        1,
        "{done:?}"
    );
    let left = sessions.map(|session| fixture.session(session).is_some());
    assert_eq!(left.iter().filter(|left| **left).count(), 1);
}

#[test]
fn no_file_has_a_secret() {
    let mut fixture = Fixture::new();
    let ann = fixture.register("ann", "old tired mule");
    let ann = ann.expect("registered");
    let (_, token) = fixture.log_in("ann", "old tired mule").expect("in");
    let changed = fixture.change(&ann, hash_of(&token), "old tired mule", "correct horse");
    assert_eq!(changed, Ok(()));
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
    for secret in [
        b"old tired mule".as_slice(),
        b"correct horse",
        token.0.as_bytes(),
        &session.0,
    ] {
        let holds = |bytes: &Vec<u8>| bytes.windows(secret.len()).any(|part| part == secret);
        assert!(!files.iter().any(holds));
    }
}
