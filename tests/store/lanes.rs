//! Queues, batches, order, and the end.

use std::thread;

use loiter::job::MessageRange;

use super::*;

#[test]
fn ids_have_no_gap_whoever_sends() {
    const SENDERS: usize = 8;
    const MESSAGES: usize = 250;
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    let store = fixture.store();
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                for _ in 0..MESSAGES {
                    store.submit(say(chatroom, &ann, "x")).expect("room");
                }
            });
        }
    });
    for expected in 1..=SENDERS * MESSAGES {
        let message = new_message(fixture.next()).expect("saved");
        assert_eq!(message.id.get(), expected as i64, "in the order of the ids");
    }
    assert!(fixture.posts_read < SENDERS * MESSAGES);
}

#[test]
fn all_that_wait_are_committed_and_posted_together() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    fixture.close();
    let (store, posts, hold) = Hold::open(&fixture.config);
    store.submit(say(chatroom, &ann, "first")).expect("room");
    hold.entered();
    for _ in 0..300 {
        store.submit(say(chatroom, &ann, "waits")).expect("room");
    }
    hold.let_go();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 301 {
        sizes.push(posts.recv_timeout(PATIENCE).expect("a post").len());
    }
    assert_eq!(sizes, [1, 256, 44]);
}

/// A store whose queue has three places, and whose writing lane is held with Ann's first message.
struct ThreePlaces {
    ann: User,
    chatroom: ChatroomId,
    store: Store,
    posts: Receiver<Vec<Completion>>,
    hold: Hold,
    _fixture: Fixture,
}

impl ThreePlaces {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let ann = fixture.user("ann");
        let chatroom = fixture.chatroom(&ann);
        fixture.close();
        fixture.config.queue = 3;
        let (store, posts, hold) = Hold::open(&fixture.config);
        store.submit(say(chatroom, &ann, "1")).expect("room");
        hold.entered();
        Self {
            ann,
            chatroom,
            store,
            posts,
            hold,
            _fixture: fixture,
        }
    }
}

#[test]
fn a_full_queue_gives_the_job_back() {
    let ThreePlaces {
        ann,
        chatroom,
        store,
        posts,
        hold,
        _fixture,
    } = ThreePlaces::new();
    for text in ["2", "3", "4"] {
        store.submit(say(chatroom, &ann, text)).expect("room");
    }
    let back = store.submit(say(chatroom, &ann, "5")).expect_err("full");
    assert!(matches!(back, Job::SaveMessage { text, .. } if &*text == "5"));

    // Reads have a queue of their own.
    let job = Job::LoadChatroom {
        event_loop: 0,
        chatroom,
        recent: 50,
    };
    store.submit(job).expect("room");
    let read = posts.recv_timeout(PATIENCE).expect("a post");
    assert!(matches!(read[..], [Completion::ChatroomLoaded { .. }]));

    // So has a registration, which finds a place in reserve once its hash is paid.
    store.submit(register("bob", "x")).expect("room");
    hold.let_go();
    let mut told: Vec<Completion> = Vec::new();
    while told.len() < 5 {
        told.extend(posts.recv_timeout(PATIENCE).expect("a post"));
    }
    let saved = told
        .iter()
        .filter(|told| matches!(told, Completion::MessageSaved { saved: Ok(_), .. }));
    assert_eq!(saved.count(), 4);
}

#[test]
fn what_a_turn_submits_is_one_commit_and_what_finds_no_place_comes_back_in_order() {
    let ThreePlaces {
        ann,
        chatroom,
        store,
        posts,
        hold,
        _fixture,
    } = ThreePlaces::new();
    let turn = ["2", "3", "4", "5", "6"].map(|text| say(chatroom, &ann, text));
    let back = store.submit_all(turn);
    let texts: Vec<&str> = back.iter().map(text_of).collect();
    assert_eq!(texts, ["5", "6"]);
    hold.let_go();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 4 {
        sizes.push(posts.recv_timeout(PATIENCE).expect("a post").len());
    }
    assert_eq!(sizes, [1, 3]);

    // The lane sleeps now, and is woken; so is the one that reads.
    let load = Job::LoadChatroom {
        event_loop: 0,
        chatroom,
        recent: 50,
    };
    assert!(
        store
            .submit_all([load, say(chatroom, &ann, "7")])
            .is_empty()
    );
    let mut told = 0;
    while told < 2 {
        told += posts.recv_timeout(PATIENCE).expect("a post").len();
    }
}

fn text_of(job: &Job) -> &str {
    match job {
        Job::SaveMessage { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn full_reading_and_password_queues_give_the_job_back_too() {
    let mut fixture = Fixture::new();
    fixture.close();
    fixture.config.queue = 2;
    let (store, _posts, hold) = Hold::open(&fixture.config);
    let search = || Job::FindUsers {
        ticket: ticket(1),
        user: UserId::new(1).expect("positive"),
        prefix: "a".to_owned(),
        limit: 1,
    };
    store.submit(search()).expect("room");
    hold.entered();
    store.submit(search()).expect("room");
    store.submit(search()).expect("room");
    let back = store.submit(search());
    assert!(matches!(back, Err(Job::FindUsers { .. })));
    hold.let_go();
    drop(store);

    // The password lane is held where it answers a login that is refused.
    let (store, _posts, hold) = Hold::open(&fixture.config);
    let log_in = || Job::LogIn {
        ticket: ticket(1),
        customer: here(),
        folded: None,
        password: Secret("x".into()),
    };
    store.submit(log_in()).expect("room");
    hold.entered();
    let taken = (0..1000).take_while(|_| store.submit(log_in()).is_ok());
    assert_eq!(taken.count(), 32);
    hold.let_go();
}

#[test]
fn a_flood_of_made_up_sessions_leaves_room_for_what_others_wait_for() {
    let mut fixture = Fixture::new();
    fixture.close();
    fixture.config.queue = 2;
    let (store, posts, hold) = Hold::open(&fixture.config);
    let made_up = || Job::FindSession {
        event_loop: 0,
        session: SessionHash([7; 32]),
    };
    store.submit(made_up()).expect("room");
    hold.entered();
    let taken = (0..100).take_while(|_| store.submit(made_up()).is_ok());
    assert_eq!(taken.count(), 2);
    let chatroom = Job::LoadChatroom {
        event_loop: 0,
        chatroom: nowhere(),
        recent: 1,
    };
    store.submit(chatroom).expect("room beyond");
    let user = || Job::LoadUser {
        event_loop: 0,
        user: nobody().id,
    };
    store.submit(user()).expect("room beyond");
    assert!(
        matches!(store.submit(user()), Err(Job::LoadUser { .. })),
        "bounded still"
    );
    hold.let_go();
    let mut told = Vec::new();
    while told.len() < 5 {
        told.extend(posts.recv_timeout(PATIENCE).expect("a post"));
    }
    let loaded = |completion: &Completion| matches!(completion, Completion::ChatroomLoaded { .. });
    assert!(told.iter().any(loaded));
}

#[test]
fn a_read_sees_every_write_that_was_told() {
    let mut fixture = Fixture::with(|config| config.workers = 4);
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    for _ in 0..300 {
        let message = fixture.say(chatroom, &ann, "x").expect("saved");
        assert_eq!(fixture.recent(chatroom, 1).last, Some(message.id));
    }
}

#[test]
fn what_was_taken_is_finished_before_the_end() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    for _ in 0..500 {
        fixture.submit(say(chatroom, &ann, "x"));
    }
    for number in 0..20 {
        fixture.submit(register(&format!("user {number}"), "x"));
        fixture.submit(Job::LoadUser {
            event_loop: 0,
            user: ann.id,
        });
    }
    fixture.close();
    let told = fixture.posts.try_iter().flatten();
    let (mut saved, mut registered, mut loaded) = (0, 0, 0);
    for completion in told {
        match completion {
            Completion::MessageSaved { saved: told, .. } => saved += told.is_ok() as u32,
            Completion::Registered { user, .. } => registered += user.is_ok() as u32,
            Completion::UserLoaded { chatrooms, .. } => loaded += chatrooms.is_ok() as u32,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((saved, registered, loaded), (500, 20, 20));
    let mut left: Vec<_> = std::fs::read_dir(fixture.folder.path())
        .expect("the folder")
        .map(|file| file.expect("a file").file_name())
        .collect();
    left.sort();
    if is_file() {
        assert_eq!(
            left,
            ["loiter.db", "loiter.db.lock"],
            "the log is in the database"
        );
    }
}

#[test]
fn touches_are_posted_to_nobody() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    for _ in 0..10 {
        fixture.submit(Job::TouchSessions { used: Vec::new() });
    }
    fixture.chatroom(&ann);
    fixture.close();
    assert!(fixture.posts.try_recv().is_err());
}

#[test]
fn what_is_saved_goes_from_the_log_into_the_database_while_more_is_saved() {
    const BATCH: usize = 250;
    const BATCHES_MAX: usize = 400;
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    let database = fixture.config.database.clone();
    let mib = |suffix: &str| {
        let path = format!("{}{suffix}", database.display());
        std::fs::metadata(path).expect("there").len() >> 20
    };
    let text = "x".repeat(1024);
    let mut batches = 0;
    while mib("") < 8 {
        batches += 1;
        assert!(batches <= BATCHES_MAX, "{} MiB in the log", mib("-wal"));
        (0..BATCH).for_each(|_| fixture.submit(say(chatroom, &ann, &text)));
        for _ in 0..BATCH {
            let saved = new_message(fixture.next());
            saved.expect("saved");
        }
        assert!(mib("-wal") < 80, "{batches} batches");
    }
}

/// The lane remembers each chatroom's newest message and who is in it, as long as nobody else writes.
#[test]
fn what_another_program_has_written_counts_at_once() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    let id = |message: Result<Message, Fault>| message.map(|message| message.id.get());
    assert_eq!(id(fixture.say(chatroom, &ann, "x")), Ok(1));
    assert_eq!(id(fixture.say(chatroom, &ann, "x")), Ok(2));
    let mut other = fixture.other_program();
    other.execute("INSERT INTO messages VALUES (1, 3, 1, 'x', 0)");
    if !is_file() {
        // Which whoever writes there has to note.
        other.execute("UPDATE chatrooms SET last_message = 3");
    }
    assert_eq!(id(fixture.say(chatroom, &ann, "x")), Ok(4));
    other.execute("DELETE FROM participants");
    assert_eq!(
        id(fixture.say(chatroom, &ann, "x")),
        Err(Fault::NotAParticipant)
    );
}

#[test]
fn who_asks_for_very_much_keeps_nobody_else_from_reading() {
    let mut fixture = Fixture::new();
    let [ann, bob] = ["ann", "bob"].map(|name| fixture.user(name));
    let chatroom = fixture.chatroom(&ann);
    fixture.add(chatroom, &ann, "bob").expect("added");
    fixture.say(chatroom, &ann, "hi").expect("saved");
    fixture.close();
    fixture.config.queue = 100;
    let (store, posts, hold) = Hold::open(&fixture.config);
    let read = |user: &User, connection| Job::ReadMessages {
        ticket: ticket(connection),
        chatroom,
        user: user.id,
        range: MessageRange::Before(None),
        limit: 200,
    };
    store.submit(read(&ann, 1)).expect("room");
    hold.entered();
    for connection in 2..=101 {
        store.submit(read(&ann, connection)).expect("room");
    }
    assert!(
        store.submit(read(&ann, 102)).is_err(),
        "her places are taken"
    );
    store.submit(read(&bob, 200)).expect("she gives one up");
    store
        .submit(Job::LoadChatroom {
            event_loop: 0,
            chatroom,
            recent: 50,
        })
        .expect("a place of its own");
    hold.let_go();
    let mut told = Vec::new();
    while told.len() < 102 {
        told.extend(posts.recv_timeout(PATIENCE).expect("a post"));
    }
    let is_overloaded = |completion: &Completion| match completion {
        Completion::MessagesRead { read, .. } => *read == Err(Fault::Overloaded),
        _ => false,
    };
    let given_up = told.iter().filter(|told| is_overloaded(told)).count();
    assert_eq!(given_up, 1);
    told.retain(|completion| !is_overloaded(completion));
    let is_bobs = |completion: &Completion| match completion {
        Completion::MessagesRead {
            ticket: of, read, ..
        } => *of == ticket(200) && read.is_ok(),
        _ => false,
    };
    let place = |is_it: &dyn Fn(&Completion) -> bool| told.iter().position(is_it);
    let loaded = |completion: &Completion| matches!(completion, Completion::ChatroomLoaded { .. });
    // Behind the one that was being read as they came, and one of hers.
    assert_eq!(place(&loaded), Some(1));
    assert!(
        place(&is_bobs).is_some_and(|at| at <= 3),
        "{:?}",
        place(&is_bobs)
    );
}

#[test]
fn who_searches_on_many_connections_is_one_reader() {
    let mut fixture = Fixture::new();
    let [ann, bob] = ["ann", "bob"].map(|name| fixture.user(name));
    fixture.close();
    fixture.config.queue = 4;
    let (store, _posts, hold) = Hold::open(&fixture.config);
    let on = |connection: u64| Ticket {
        connection: Key::from_bits(1 << 32 | connection).expect("a key"),
        ..ticket(1)
    };
    let search = |user: &User, connection| Job::FindUsers {
        ticket: on(connection),
        user: user.id,
        prefix: "a".to_owned(),
        limit: 1,
    };
    let newest = |user: &User, connection| Job::ReadNewest {
        ticket: on(connection),
        user: user.id,
        chatrooms: Vec::new(),
    };
    store.submit(search(&ann, 1)).expect("room");
    hold.entered();
    for connection in [2, 4] {
        store.submit(search(&ann, connection)).expect("room");
        store.submit(newest(&ann, connection + 1)).expect("room");
    }
    store.submit(search(&ann, 6)).expect_err("hers are taken");
    store.submit(newest(&ann, 7)).expect_err("hers are taken");
    store.submit(search(&bob, 8)).expect("she gives one up");
    store
        .submit(newest(&bob, 9))
        .expect("she gives another up, since she has more than he");
    store
        .submit(search(&bob, 10))
        .expect_err("each of them has two");
    hold.let_go();
}

#[test]
fn what_many_want_is_read_once_for_all_who_may() {
    let mut fixture = Fixture::new();
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| fixture.user(name));
    let chatroom = fixture.chatroom(&ann);
    fixture.add(chatroom, &ann, "bob").expect("added");
    for _ in 0..3 {
        fixture.say(chatroom, &ann, "hi").expect("saved");
    }
    fixture.close();
    fixture.config.workers = 1;
    let (store, posts, hold) = Hold::open(&fixture.config);
    let read = |user: &User, limit| Job::ReadMessages {
        ticket: ticket(1),
        chatroom,
        user: user.id,
        range: MessageRange::Before(None),
        limit,
    };
    store.submit(read(&ann, 2)).expect("room");
    hold.entered();
    // It is kept, and good no more.
    store.submit(say(chatroom, &ann, "more")).expect("room");
    let saved = posts.recv_timeout(PATIENCE).expect("a post");
    assert!(matches!(saved[..], [Completion::MessageSaved { .. }]));
    store.submit(read(&eve, 2)).expect("room");
    for _ in 0..10 {
        store.submit(read(&ann, 2)).expect("room");
        store.submit(read(&bob, 2)).expect("room");
    }
    store.submit(read(&ann, 1)).expect("room");
    hold.let_go();
    let mut told = Vec::new();
    while told.len() < 23 {
        told.extend(posts.recv_timeout(PATIENCE).expect("a post"));
    }
    let mut lists = Vec::from_iter(told.into_iter().map(|completion| match completion {
        Completion::MessagesRead { read, .. } => read.map(|rows| rows.messages.json().clone()),
        other => panic!("{other:?}"),
    }));
    // By turns: one of each, and then theirs alone.
    assert_eq!(lists.remove(1), Err(Fault::NotAParticipant), "eve");
    let mut lists = Vec::from_iter(lists.into_iter().map(|list| list.expect("a read")));
    let (before, shorter) = (lists.remove(0), lists.pop().expect("of 22"));
    let text = |list: &[u8]| String::from_utf8_lossy(list).matches("\"message\"").count();
    assert!(lists.iter().all(|list| list.as_ptr() == lists[0].as_ptr()));
    assert_ne!(lists[0], before);
    assert_eq!(
        [&before, &lists[0], &shorter].map(|list| text(list)),
        [2, 2, 1]
    );
}
