//! What whoever runs the server does to users, beside a store and without one.

use loiter::{Users, UsersError};

use super::*;

#[test]
fn who_is_added_beside_a_store_is_known_to_it_at_once() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    assert_eq!(
        fixture.log_in("bob", "battery staple"),
        Err(Fault::BadCredentials)
    );
    let mut users = Users::open(&fixture.config).expect("a database");
    let bob = users.add("Bob", "battery staple").expect("added");
    assert_eq!(fixture.register("BOB", "x"), Err(Fault::UsernameTaken));
    let (user, _) = fixture.log_in("bob", "battery staple").expect("logged in");
    assert_eq!(user, bob);
    // The lane goes on where somebody else has written.
    fixture.say(chatroom, &ann, "1").expect("said");
    fixture.add(chatroom, &ann, "bob").expect("let in");
    fixture.say(chatroom, &bob, "2").expect("said");
    // And the other way round.
    fixture.user("cleo");
    let taken = users.add("Cleo", "x");
    assert!(matches!(taken, Err(UsersError::NameTaken(_))), "{taken:?}");
    let listed = users.list(0, 10).expect("read");
    let names: Vec<&str> = listed.iter().map(|account| &*account.user.name).collect();
    assert_eq!(names, ["ann", "Bob", "cleo"]);
    assert!(
        listed
            .iter()
            .all(|account| account.created_unix_ms > 1_600_000_000_000)
    );
    assert_eq!(users.list(bob.id.get(), 10).expect("read"), listed[2..]);
}

#[test]
fn a_password_is_changed_under_the_lock_of_a_server_and_ends_all_sessions() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    fixture.user("bob");
    let mut log_in = |name: &str| {
        let (_, token) = fixture.log_in(name, "password").expect("logged in");
        hash_of(&token)
    };
    let [first, second, of_bob] = ["ann", "ann", "bob"].map(&mut log_in);
    let mut users = Users::open(&fixture.config).expect("a database");
    // Also for one who has not asked before, or for whose asking it was free.
    let refused = users.set_password("ann", "another");
    assert!(matches!(refused, Err(UsersError::Served(_))), "{refused:?}");
    let refused = users.check_known("ann");
    assert!(matches!(refused, Err(UsersError::Served(_))), "{refused:?}");
    assert!(fixture.session(first).is_some());

    fixture.close();
    users.check_known("ann").expect("nobody serves");
    assert_eq!(users.set_password("ANN", "another").expect("changed"), 2);
    // The lock is free again, and what is opened beside it is no hindrance.
    fixture.config.password_iterations = NonZeroU32::new(1500).expect("not zero");
    let (store, posts) = open(&fixture.config);
    (fixture.store, fixture.posts) = (Some(store), posts);
    for ended in [first, second] {
        assert!(fixture.session(ended).is_none());
    }
    assert!(fixture.session(of_bob).is_some());
    assert_eq!(
        fixture.log_in("ann", "password"),
        Err(Fault::BadCredentials)
    );
    fixture.log_in("ann", "another").expect("the new one");
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    fixture.close();
    let config = Config {
        min_password_length: 8,
        ..fixture.config.clone()
    };
    let mut users = Users::open(&config).expect("a database");
    let short = users.add("bob", "1234567");
    assert!(
        matches!(short, Err(UsersError::BadPassword(_))),
        "{short:?}"
    );
    let short = users.set_password("ann", "1234567");
    assert!(
        matches!(short, Err(UsersError::BadPassword(_))),
        "{short:?}"
    );
    let unknown = users.set_password("bob", "12345678");
    assert!(matches!(unknown, Err(UsersError::NoUser(_))), "{unknown:?}");
    let bad = users.add("", "12345678");
    assert!(matches!(bad, Err(UsersError::BadName(_))), "{bad:?}");
    assert_eq!(users.list(0, 10).expect("read").len(), 1);
    fixture.reopen();
    fixture.log_in("ann", "password").expect("as before");
}
