//! Every job, and every way in which it is refused.

use super::*;

#[test]
fn an_empty_store_has_nothing() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.session(SessionHash([0; 32])), None);
    assert_eq!(fixture.recent(nowhere(), 50), RecentRows::default());
    assert_eq!(fixture.find("a", 50), [""; 0]);
    let job = Job::LoadUser {
        event_loop: 0,
        user: nobody().id,
    };
    assert_eq!(field!(fixture.ask(job), UserLoaded, chatrooms), Ok(vec![]));
}

#[test]
fn a_user_registers_once_in_any_case() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("Ann Ö");
    assert_eq!(&*ann.name, "Ann Ö");
    assert_eq!(fixture.register("aNN ö", "x"), Err(Fault::UsernameTaken));
    let bob = fixture.user("bob");
    assert!(bob.id > ann.id);
}

#[test]
fn of_two_who_register_a_name_at_once_one_has_it() {
    let mut fixture = Fixture::with(|config| config.workers = 8);
    for _ in 0..16 {
        fixture.submit(register("Ann", "x"));
    }
    let results: Vec<_> = (0..16)
        .map(|_| field!(fixture.next(), Registered, user))
        .collect();
    assert_eq!(results.iter().filter(|user| user.is_ok()).count(), 1);
    let refused = results
        .iter()
        .filter(|user| **user == Err(Fault::UsernameTaken));
    assert_eq!(refused.count(), 15);
}

#[test]
fn a_session_begins_and_ends() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("Ann");
    let (user, token) = fixture
        .log_in("ANN", "password")
        .expect("the right password");
    assert_eq!(user, ann);
    let session = hash_of(&token);
    assert_eq!(fixture.session(session).expect("a session").user, ann);

    let (_, other) = fixture.log_in("ann", "password").expect("again");
    assert_ne!(other, token);

    let log_out = || Job::LogOut {
        ticket: ticket(1),
        session,
    };
    assert_eq!(field!(fixture.ask(log_out()), LoggedOut, done), Ok(()));
    assert_eq!(fixture.session(session), None);
    let done = field!(fixture.ask(log_out()), LoggedOut, done);
    assert_eq!(done, Err(Fault::NoSession));
    assert!(fixture.session(hash_of(&other)).is_some());
}

#[test]
fn a_session_outlives_a_restart() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    let (_, token) = fixture.log_in("ann", "password").expect("in");
    fixture.reopen();
    assert!(fixture.session(hash_of(&token)).is_some());
}

#[test]
fn a_touch_moves_the_last_use_forward_only() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let (_, token) = fixture.log_in("ann", "password").expect("in");
    let session = hash_of(&token);
    let first = fixture.session(session).expect("new").used_unix_ms;
    for (used, expected) in [(first + 5000, first + 5000), (first, first + 5000)] {
        fixture.submit(Job::TouchSessions {
            used: vec![(SessionHash([0; 32]), used), (session, used)],
        });
        // The writing lane works in order: this is answered after the touch is written.
        fixture.chatroom(&ann);
        let row = fixture.session(session).expect("still there");
        assert_eq!(row.used_unix_ms, expected);
    }
}

#[test]
fn a_session_expires_after_its_last_use() {
    const HOUR_MS: i64 = 3_600_000;
    let mut fixture = Fixture::with(|config| config.session_lifetime = Duration::from_secs(3600));
    let ann = fixture.user("ann");
    let (_, old) = fixture.log_in("ann", "password").expect("in");
    let (_, new) = fixture.log_in("ann", "password").expect("in");
    let mut other = fixture.other_program();
    for (token, age_ms) in [(&old, HOUR_MS + 1), (&new, HOUR_MS - 60_000)] {
        let token = other.literal(&hash_of(token).0);
        let age =
            format!("UPDATE sessions SET last_used = last_used - {age_ms} WHERE token = {token}");
        assert_eq!(other.execute(&age), 1);
    }
    assert_eq!(fixture.session(hash_of(&old)), None);
    assert!(fixture.session(hash_of(&new)).is_some());

    // More than one batch of removals, which are made between writes.
    let old = (0..600_u32).map(|n| {
        let token = other.literal(&n.to_be_bytes());
        format!("({token}, {}, 0, 0)", ann.id)
    });
    let old = Vec::from_iter(old).join(", ");
    other.execute(&format!("INSERT INTO sessions VALUES {old}"));
    fixture.reopen();
    for _ in 0..5 {
        fixture.chatroom(&ann);
    }
    assert_eq!(other.number("SELECT count(*) FROM sessions"), 1);
    assert!(fixture.session(hash_of(&new)).is_some());
}

#[test]
fn a_probe_is_a_commit_of_its_own() {
    let mut fixture = Fixture::new();
    for probes in 1..=2 {
        assert_eq!(fixture.probe(), Ok(()));
        let mut other = fixture.other_program();
        assert_eq!(other.number("SELECT count FROM probes"), probes);
    }
}

#[test]
fn a_chatroom_has_its_admin_in_it() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    assert!(fixture.chatroom(&ann) > chatroom);
    let job = Job::ListParticipants {
        ticket: ticket(1),
        chatroom,
        user: ann.id,
    };
    let users = field!(fixture.ask(job), ParticipantsListed, users);
    assert_eq!(users, Ok(vec![ann]));
}

#[test]
fn a_chatroom_of_nobody_is_not_made() {
    let mut fixture = Fixture::new();
    let job = Job::CreateChatroom {
        ticket: ticket(1),
        admin: nobody().id,
        name: None,
    };
    let chatroom = field!(fixture.ask(job), ChatroomCreated, chatroom);
    assert_eq!(chatroom, Err(Fault::StorageFailed));
}

#[test]
fn participants_are_listed_by_the_order_in_which_they_joined() {
    let mut fixture = Fixture::new();
    let [ann, bob, cleo] = ["ann", "bob", "cleo"].map(|name| fixture.user(name));
    let chatroom = fixture.chatroom(&bob);
    let added = fixture.add(chatroom, &bob, "CLEO").expect("added");
    assert_eq!(added.joined, cleo.id);
    assert_eq!(added.chatroom.admin, bob.id);
    assert_eq!(added.chatroom.participants, [bob.clone(), cleo.clone()]);
    let added = fixture.add(chatroom, &bob, "ann").expect("added");
    assert_eq!(names(&added.chatroom.participants), ["bob", "cleo", "ann"]);

    let again = fixture.add(chatroom, &bob, "cleo").expect("nothing to do");
    assert_eq!(again.joined, cleo.id);
    assert_eq!(names(&again.chatroom.participants), ["bob", "cleo", "ann"]);

    let list = |user: &User, chatroom| Job::ListParticipants {
        ticket: ticket(1),
        chatroom,
        user: user.id,
    };
    let users = field!(fixture.ask(list(&ann, chatroom)), ParticipantsListed, users);
    assert_eq!(names(&users.expect("in it")), ["bob", "cleo", "ann"]);
    let dan = fixture.user("dan");
    for job in [list(&dan, chatroom), list(&ann, nowhere())] {
        let users = field!(fixture.ask(job), ParticipantsListed, users);
        assert_eq!(users, Err(Fault::NotAParticipant));
    }
}

#[test]
fn only_the_admin_adds_and_only_whom_there_is() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    let chatroom = fixture.chatroom(&ann);
    fixture.add(chatroom, &ann, "bob").expect("added");
    assert_eq!(fixture.add(chatroom, &bob, "ann"), Err(Fault::NotAdmin));
    assert_eq!(fixture.add(chatroom, &bob, "who"), Err(Fault::NotAdmin));
    assert_eq!(fixture.add(nowhere(), &ann, "bob"), Err(Fault::NotAdmin));
    assert_eq!(fixture.add(chatroom, &ann, "who"), Err(Fault::NoSuchUser));
    for nobody in [Whom::Nobody, Whom::Id(UserId::new(99).expect("positive"))] {
        let added = fixture.add_whom(chatroom, &ann, nobody);
        assert_eq!(added, Err(Fault::NoSuchUser));
    }
}

#[test]
fn a_participant_is_added_by_id_too() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    fixture.user(&bob.id.to_string());
    let chatroom = fixture.chatroom(&ann);
    let added = fixture.add_whom(chatroom, &ann, Whom::Id(bob.id));
    assert_eq!(added.expect("added").chatroom.participants, [ann, bob]);
}

#[test]
fn a_users_chatrooms_ascend() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    let rooms: Vec<_> = (0..4).map(|_| fixture.chatroom(&ann)).collect();
    for at in [2, 0] {
        fixture.add(rooms[at], &ann, "bob").expect("added");
    }
    let job = Job::LoadUser {
        event_loop: 0,
        user: bob.id,
    };
    let chatrooms = field!(fixture.ask(job), UserLoaded, chatrooms);
    assert_eq!(chatrooms, Ok(vec![rooms[0], rooms[2]]));
}

#[test]
fn messages_count_from_one_in_each_chatroom() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("Ann");
    let (first, second) = (fixture.chatroom(&ann), fixture.chatroom(&ann));
    let mut time = 0;
    for number in 1..=3 {
        for chatroom in [first, second] {
            // PostgreSQL has no text with a NUL; nor has the API a message with one.
            let odd = if is_file() { "\0" } else { "\u{1}" };
            let text = format!("{number} in {chatroom}: {odd} ' \u{1f511}");
            let message = fixture.say(chatroom, &ann, &text).expect("saved");
            assert_eq!(message.id.get(), number);
            assert_eq!((message.chatroom, &message.user), (chatroom, &ann));
            assert_eq!(*message.text, text);
            assert!(message.time_unix_ms >= time, "the time went back");
            time = message.time_unix_ms;
            assert_eq!(fixture.recent(chatroom, 1).messages, [message]);
        }
    }
}

#[test]
fn who_is_not_in_a_chatroom_says_nothing_there() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    let chatroom = fixture.chatroom(&ann);
    for (chatroom, author) in [(chatroom, &bob), (nowhere(), &ann), (chatroom, &nobody())] {
        let refused = fixture.say(chatroom, author, "x");
        assert_eq!(refused, Err(Fault::NotAParticipant));
    }
    assert_eq!(fixture.recent(chatroom, 50), RecentRows::default());
    assert_eq!(fixture.say(chatroom, &ann, "x").expect("saved").id.get(), 1);
}

#[test]
fn the_newest_messages_come_oldest_first() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    for _ in 0..7 {
        fixture.say(chatroom, &ann, "x").expect("saved");
    }
    for (recent, expected) in [
        (0, vec![]),
        (1, vec![7]),
        (3, vec![5, 6, 7]),
        (50, (1..=7).collect()),
    ] {
        let loaded = fixture.recent(chatroom, recent);
        assert_eq!(loaded.last.map(|id| id.get()), Some(7));
        let ids: Vec<_> = loaded
            .messages
            .iter()
            .map(|message| message.id.get())
            .collect();
        assert_eq!(ids, expected);
    }
}

#[test]
fn users_are_found_by_the_beginning_of_their_names() {
    let mut fixture = Fixture::new();
    let all = [
        "Anna",
        "ann",
        "ANNE",
        "bob",
        "a%",
        "a_b",
        "a\u{d7ff}x",
        "a\u{10ffff}",
        "a\u{10ffff}b",
        "\u{10ffff}",
        "\u{10ffff}z",
        "Zoë",
    ];
    for name in all {
        fixture.user(name);
    }
    assert_eq!(fixture.find("ANN", 50), ["ann", "Anna", "ANNE"]);
    assert_eq!(fixture.find("ann", 2), ["ann", "Anna"]);
    assert_eq!(fixture.find("zo", 50), ["Zoë"]);
    assert_eq!(fixture.find("b", 50), ["bob"]);
    assert_eq!(fixture.find("x", 50), [""; 0]);
    for (prefix, found) in [
        ("%", None),
        ("_", None),
        ("a%", Some("a%")),
        ("a_", Some("a_b")),
    ] {
        assert_eq!(fixture.find(prefix, 50), Vec::from_iter(found), "{prefix}");
    }
    assert_eq!(fixture.find("a\u{d7ff}", 50), ["a\u{d7ff}x"]);
    assert_eq!(
        fixture.find("a\u{10ffff}", 50),
        ["a\u{10ffff}", "a\u{10ffff}b"]
    );
    assert_eq!(
        fixture.find("\u{10ffff}", 50),
        ["\u{10ffff}", "\u{10ffff}z"]
    );
}
