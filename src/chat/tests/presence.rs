//! Who is present: now, lately, at all loops, and whatever becomes of the sessions.

use super::*;

/// Step by step it is up to so much more than the ten seconds.
const OVER_MS: u64 = 10_256;

impl Loops {
    fn as_user(&mut self, user: u8) -> &mut Self {
        self.session = match user {
            1 => SESSION,
            user => session_of(user),
        };
        self
    }

    fn park_in(&mut self, chatroom: ChatroomId, exchange: u32) -> HeldKey {
        let poll = poll_of(chatroom, Wanted::default());
        let held = self.call(0, exchange, Call::InSession(poll));
        held.expect("it is parked")
    }

    fn pass(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
    }

    /// Ann asks who is present, and the store lists the participants.
    fn ask_presence(&mut self, event_loop: u16, chatroom: ChatroomId, participants: &[i64]) {
        let call = Call::InSession(SessionCall::Presence { chatroom });
        self.as_user(1).call(event_loop, 99, call);
        let ticket = self.listings.pop().expect("the store is asked");
        let users = participants.iter().map(|&id| User {
            id: UserId::new(id).expect("positive"),
            name: "somebody".into(),
        });
        let listed = Completion::ParticipantsListed {
            ticket,
            users: Ok(users.collect()),
        };
        self.complete(event_loop, listed);
    }

    #[track_caller]
    fn assert_present(&mut self, chatroom: ChatroomId, present: &str) {
        self.answered();
        self.ask_presence(0, chatroom, &[3, 1, 2]);
        self.deliver_all();
        while self.chats[0].has_work() {
            self.carry_out(0);
        }
        let wanted = answer(0, 99, &format!("users {present}"));
        assert!(self.answered().contains(&wanted), "{present} of 3 1 2");
    }

    fn log_out(&mut self) {
        let logged_out = Completion::LoggedOut {
            ticket: ticket(9, 0),
            session: self.session,
            done: Ok(()),
        };
        self.complete(0, logged_out);
    }
}

/// One loop, with a chatroom that it remembers.
fn one() -> Loops {
    let mut loops = Loops::new(1, 0);
    loops.poll(0, 1);
    loops.loaded(0, Ok(1));
    loops.end_polls(0, 2);
    loops.answered();
    loops.pass(OVER_MS);
    loops
}

#[test]
fn who_polls_is_present_and_for_ten_seconds_more() {
    let mut loops = one();
    loops.assert_present(room(), "");
    loops.as_user(2).poll(0, 1);
    loops.as_user(3).poll(0, 1);
    loops.assert_present(room(), "3 2");
    loops.pass(1_000_000);
    loops.assert_present(room(), "3 2");
    loops.complete(0, saved(2));
    loops.as_user(3).poll(0, 2);
    loops.pass(10_000);
    loops.assert_present(room(), "3 2");
    loops.pass(OVER_MS - 10_000);
    loops.assert_present(room(), "3");
    loops.assert_present(another_room(), "");
}

#[test]
fn who_goes_away_was_there() {
    let mut loops = one();
    let held = loops.as_user(1).park_in(room(), 5);
    loops.pass(60_000);
    loops.chats[0].forget(loops.now, held);
    loops.pass(9_999);
    loops.assert_present(room(), "1");
    loops.pass(OVER_MS);
    loops.assert_present(room(), "");
}

#[test]
fn who_polls_several_chatrooms_is_present_in_each() {
    let mut loops = one();
    for (exchange, chatroom) in [(1, room()), (2, another_room())] {
        loops.as_user(2).poll_in(chatroom, 0, exchange);
    }
    loops.log_out();
    loops.as_user(3).poll(0, 3);
    loops.complete(0, saved(2));
    loops.as_user(3).poll_in(another_room(), 0, 4);
    loops.as_user(3).log_out();
    loops.pass(10_000);
    loops.assert_present(room(), "3 2");
    loops.assert_present(another_room(), "3 2");
    loops.pass(OVER_MS - 10_000);
    loops.assert_present(room(), "");
    loops.assert_present(another_room(), "");
}

#[test]
fn a_poll_that_is_answered_at_once_counts_and_one_that_is_refused_does_not() {
    let mut loops = one();
    let since = |since| {
        let wanted = Wanted {
            since: Since::new(since),
            limit: None,
        };
        Call::InSession(poll_of(room(), wanted))
    };
    loops.as_user(2).call(0, 1, since(0));
    loops.as_user(3).call(0, 2, since(9));
    loops.loaded(0, Ok(1));
    loops.reached(&[(room(), 1)]);
    let foreign = ChatroomId::new(9).expect("positive");
    loops.poll_in(foreign, 0, 3);
    let ahead = "SinceAhead { chatroom: None, last: 1 }";
    let refused = "Fault(NotAParticipant)";
    let answered = loops.answered();
    assert!(answered.ends_with(&[
        answer(0, 1, "1"),
        answer(0, 2, ahead),
        answer(0, 3, refused)
    ]));
    loops.assert_present(room(), "2");
    loops.assert_present(foreign, "");
    loops.pass(OVER_MS);
    loops.assert_present(room(), "");
}

#[test]
fn whose_session_ends_is_present_until_its_last_poll_has_and_ten_seconds_more() {
    let mut loops = Loops::new(1, 0);
    many_parked(&mut loops);
    loops.log_out();
    assert!(loops.chats[0].has_work(), "they have not all ended yet");
    loops.pass(OVER_MS);
    // Of what is served first some ends, and then it is looked for.
    loops.assert_present(room(), "1");
    assert_eq!(loops.chats[0].counts().held, 0);
    loops.pass(10_000);
    loops.assert_present(room(), "1");
    loops.pass(OVER_MS - 10_000);
    loops.assert_present(room(), "");
}

#[test]
fn whose_password_changes_is_present_all_the_time() {
    let mut loops = Loops::new(1, 0);
    for n in 8..=100 {
        loops.session = SessionHash([n; 32]);
        loops.poll(0, n.into());
    }
    loops.loaded(0, Ok(1));
    let changed = Completion::PasswordChanged {
        ticket: ticket(9, 0),
        user: user().id,
        // None that is remembered here.
        session: SessionHash([1; 32]),
        ended: None,
        done: Ok(()),
    };
    loops.chats[0].complete(loops.now, changed);
    loops.pass(60_000);
    loops.assert_present(room(), "1");
    loops.pass(10_000);
    loops.assert_present(room(), "1");
    loops.pass(OVER_MS - 10_000);
    loops.assert_present(room(), "");
}

#[test]
fn whose_session_is_no_longer_remembered_is_present_as_long() {
    let mut loops = Loops::with(Config {
        cache_sessions: 1,
        ..Config::default()
    });
    for user in [2, 3] {
        loops.as_user(user).poll(0, user.into());
    }
    loops.loaded(0, Ok(1));
    loops.complete(0, saved(2));
    loops.assert_present(room(), "3 2");
    for n in 10..20 {
        loops.session = SessionHash([n; 32]);
        loops.call(0, 9, Call::InSession(SessionCall::Chatrooms));
    }
    assert!(loops.chats[0].counts().remembered.0 < 5);
    loops.pass(10_000);
    loops.assert_present(room(), "3 2");
    loops.pass(OVER_MS - 10_000);
    loops.assert_present(room(), "");
}

#[test]
fn the_polls_of_all_loops_are_found_and_the_caller_is_answered_last() {
    let mut loops = Loops::new(3, 0);
    loops.as_user(2).poll(1, 1);
    loops.as_user(3).poll(2, 1);
    loops.as_user(2).poll(2, 2);
    // Who asks polls nowhere.
    loops.ask_presence(1, room(), &[1, 2, 3]);
    for _ in 0..3 {
        assert_eq!(loops.answered(), []);
        loops.deliver();
    }
    loops.deliver_all();
    assert_eq!(loops.answered(), [answer(1, 99, "users 2 3")]);
    let held: Vec<_> = loops.chats.iter().map(|chat| chat.counts().held).collect();
    assert_eq!(held, [0, 1, 2]);
}

#[test]
fn what_cannot_be_listed_is_told_and_nothing_is_left() {
    let mut loops = Loops::new(2, 0);
    for fault in [
        Fault::NotAParticipant,
        Fault::StorageFailed,
        Fault::Overloaded,
    ] {
        let call = SessionCall::Presence { chatroom: room() };
        loops.call(0, 5, Call::InSession(call));
        let listed = Completion::ParticipantsListed {
            ticket: loops.listings.pop().expect("asked"),
            users: Err(fault),
        };
        loops.complete(0, listed);
        assert_eq!(
            loops.answered(),
            [answer(0, 5, &format!("Fault({fault:?})"))]
        );
        assert!(loops.told.is_empty());
        loops.assert_idle();
    }
}

#[test]
fn very_many_participants_delay_nobody() {
    const MANY: i64 = 50_000;
    let mut loops = one();
    loops.as_user(2).poll(0, 1);
    let all: Vec<i64> = (1..=MANY).rev().collect();
    loops.ask_presence(0, room(), &all);
    let mut turns = 0;
    while loops.chats[0].has_work() {
        turns += 1;
        // Somebody else is served all the same.
        loops.call(0, 50, Call::InSession(SessionCall::Chatrooms));
        let answered = loops.answered();
        assert!(answered.iter().any(|(_, exchange, _)| *exchange == 50));
        if turns == 3 {
            // Who is there all the time is found, wherever the search is.
            loops.complete(0, saved(2));
            loops.as_user(2).poll(0, 2);
            loops.answered();
        }
        if !loops.chats[0].has_work() {
            assert!(answered.contains(&answer(0, 99, "users 2")));
        }
    }
    assert!((10..100).contains(&turns), "{turns}");
}

#[test]
fn who_has_very_many_polls_elsewhere_is_found_wherever_these_go() {
    const POLLS: u32 = 30_000;
    let mut loops = one();
    let mut park = |chatroom, exchange| loops.as_user(2).park_in(chatroom, exchange);
    let elsewhere: Vec<_> = (1..=POLLS).map(|n| park(another_room(), n)).collect();
    park(room(), POLLS + 1);
    loops.ask_presence(0, room(), &[2]);
    // Those that the search has come to go, and all around them.
    for &held in &elsewhere[1_000..20_000] {
        loops.chats[0].forget(loops.now, held);
    }
    assert_eq!(loops.answered(), [], "it takes several turns");
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    assert_eq!(loops.answered(), [answer(0, 99, "users 2")]);
}

#[test]
fn who_has_very_many_polls_elsewhere_is_found_though_all_of_them_end() {
    const POLLS: u32 = 30_000;
    let mut loops = one();
    for exchange in 1..=POLLS {
        loops.as_user(2).poll_in(another_room(), 0, exchange);
    }
    let held = loops.as_user(2).park_in(room(), POLLS + 1);
    loops.ask_presence(0, room(), &[2]);
    loops.as_user(2).log_out();
    loops.chats[0].forget(loops.now, held);
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let answered = loops.answered();
    assert!(answered.contains(&answer(0, 99, "users 2")));
    assert_eq!(answered.len(), POLLS as usize + 1);
    loops.assert_idle();
}

#[test]
fn who_waits_in_several_or_hears_a_stream_is_present_in_each() {
    let mut loops = one();
    let these = Which::These(vec![room(), another_room()]);
    let stream = Call::InSession(SessionCall::Stream(StreamCall {
        chatroom: another_room(),
        since: None,
        is_ahead: false,
    }));
    loops.as_user(2).call(0, 1, several(these.clone()));
    loops.as_user(3).call(0, 1, several(Which::All));
    let stream = loops.as_user(1).call(0, 1, stream).expect("it stays");
    loops.pass(1_000_000);
    loops.assert_present(room(), "3 2");
    loops.assert_present(another_room(), "3 1 2");
    // All but the stream end, and none comes back.
    loops.complete(0, saved(2));
    loops.pass(10_000);
    loops.assert_present(room(), "3 2");
    loops.assert_present(another_room(), "3 1 2");
    loops.chats[0].forget(loops.now, stream);
    loops.pass(OVER_MS - 10_000);
    loops.assert_present(room(), "");
    loops.assert_present(another_room(), "1");
    loops.pass(OVER_MS);
    loops.assert_present(another_room(), "");
    // Another poll in between takes nothing from them.
    loops.as_user(2).call(0, 2, several(these));
    loops.complete(0, saved(3));
    loops.as_user(2).poll(0, 3);
    loops.complete(0, saved(4));
    loops.as_user(3).call(0, 4, several(Which::All));
    loops.complete(0, saved(5));
    loops.as_user(3).poll(0, 5);
    loops.complete(0, saved(6));
    loops.pass(9_000);
    loops.assert_present(another_room(), "3 2");
    loops.pass(OVER_MS);
    loops.assert_present(another_room(), "");
}
