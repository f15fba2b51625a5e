//! Polls of several chatrooms.

use super::*;

fn other() -> ChatroomId {
    ChatroomId::new(9).expect("positive")
}

/// One loop whose user is in two chatrooms.
fn in_two() -> Loops {
    let mut loops = Loops::new(1, 0);
    loops.chatrooms = vec![room(), other()];
    loops
}

fn poll(chatrooms: Which, since: Option<&[(i64, i64)]>) -> SeveralCall {
    let pair = |&(of, id)| {
        let chatroom = ChatroomId::new(of).expect("positive");
        (chatroom, Since::new(id).expect("not negative"))
    };
    SeveralCall {
        chatrooms,
        since: since.map(|pairs| pairs.iter().map(pair).collect()),
        limit: None,
        timeout_s: None,
        is_over: false,
        is_ahead: false,
    }
}

fn two() -> Which {
    Which::These(vec![room(), other()])
}

impl Loops {
    fn several(&mut self, exchange: u32, call: SeveralCall) -> Option<HeldKey> {
        let call = SessionCall::PollSeveral(Box::new(call));
        self.call(0, exchange, Call::InSession(call))
    }
}

/// Both chatrooms are known: 3 messages in the first, 2 in the other.
fn known() -> Loops {
    let mut loops = in_two();
    loops.several(1, poll(two(), Some(&[(7, 3), (9, 2)])));
    loops.reached(&[(room(), 3), (other(), 2)]);
    for chatroom in [room(), other()] {
        loops.poll_in(chatroom, 0, 90);
    }
    loops.loaded(0, Ok(3));
    loops.loaded_in(0, other(), Ok(2));
    loops.end_polls(0, 91);
    let end = SessionCall::EndPolls {
        chatroom: other(),
        limit: None,
    };
    loops.call(0, 92, Call::InSession(end));
    loops.heard();
    loops.several(1, poll(two(), Some(&[(7, 3), (9, 2)])));
    assert_eq!(loops.heard(), [""; 0]);
    loops
}

#[test]
fn one_wakes_with_what_is_newer_in_any() {
    let mut loops = known();
    loops.several(2, poll(Which::All, Some(&[(7, 3), (9, 2)])));
    loops.complete(0, saved_in(other(), 3));
    assert_eq!(loops.heard(), ["1: 9:3", "2: 9:3"]);
    loops.assert_idle();
    // In the order of the chatrooms, whichever spoke first, and no more than asked for.
    loops.complete(0, saved(4));
    let mut call = poll(two(), Some(&[(7, 2), (9, 1)]));
    loops.several(3, call.clone());
    call.limit = Limit::new(3);
    loops.several(4, call);
    assert_eq!(loops.heard(), ["3: 3 4 9:2 9:3", "4: 3 4 9:2"]);
    loops.assert_idle();
}

#[test]
fn two_that_speak_in_one_turn_are_told_together() {
    let mut loops = known();
    loops.chats[0].complete(Now::default(), saved_in(other(), 3));
    loops.chats[0].complete(Now::default(), saved(4));
    assert_eq!(loops.heard(), ["1: 4 9:3"]);
    loops.assert_idle();
}

#[test]
fn without_since_the_one_that_spoke_gives_its_list() {
    let mut loops = known();
    let first = loops.several(2, poll(Which::All, None));
    let mut call = poll(two(), None);
    call.limit = Limit::new(2);
    loops.several(3, call);
    loops.complete(0, saved_in(other(), 3));
    assert_eq!(loops.heard(), ["1: 9:3", "2: 9:1 9:2 9:3", "3: 9:2 9:3"]);
    let key = loops.several(4, poll(Which::All, None));
    assert_ne!(key, first);
    loops.chats[0].time_out(Now::default(), key.expect("held"));
    assert_eq!(loops.heard(), ["4: "]);
    loops.assert_idle();
}

#[test]
fn a_drain_ends_them_in_the_order_of_their_slots() {
    let mut loops = known();
    for exchange in 2..20 {
        loops.several(exchange, poll(Which::All, None));
    }
    loops.chats[0].drain();
    let ended: Vec<String> = (1..20).map(|exchange| format!("{exchange}: ")).collect();
    assert_eq!(loops.heard(), ended);
    loops.assert_idle();
}

#[test]
fn from_now_is_from_when_it_came() {
    let mut loops = in_two();
    loops.slow = Some(VecDeque::new());
    // Nothing is known of anybody: what is said while that is asked comes after the poll.
    loops.several(1, poll(Which::All, Some(&[])));
    loops.several(2, poll(two(), None));
    loops.complete(0, saved_in(other(), 5));
    loops.complete(0, saved_in(other(), 6));
    loops.catch_up();
    loops.loaded_in(0, other(), Ok(6));
    assert_eq!(loops.heard(), [""; 0]);
    // The store reads what the loop does not have.
    let [
        Job::ReadNews { since, .. },
        Job::ReadMessages { chatroom, .. },
    ] = &loops.reads[..]
    else {
        panic!("{:?}", loops.reads);
    };
    assert_eq!(since[..], [(other(), MessageId::new(4))]);
    assert_eq!(*chatroom, other());
    loops.assert_idle();
}

#[test]
fn what_one_had_to_be_told_late_is_before_now_for_who_came_after_it() {
    let mut loops = in_two();
    loops.slow = Some(VecDeque::new());
    loops.several(1, poll(Which::All, Some(&[])));
    loops.complete(0, saved_in(other(), 5));
    // Nothing of the chatroom is remembered yet.
    let stream = SessionCall::Stream(StreamCall {
        chatroom: other(),
        since: None,
        is_ahead: false,
    });
    loops.call(0, 2, Call::InSession(stream));
    loops.poll_in(other(), 0, 3);
    loops.catch_up();
    assert_eq!(loops.heard(), ["2: begins"]);
    loops.loaded_in(0, other(), Ok(5));
    loops.complete(0, saved_in(other(), 6));
    assert_eq!(loops.heard(), ["3: 9:1 9:2 9:3 9:4 9:5 9:6", "2: 6"]);
}

#[test]
fn what_the_store_had_read_before_it_was_told_still_wakes() {
    let mut loops = in_two();
    loops.poll_in(other(), 0, 3);
    loops.loaded_in(0, other(), Ok(2));
    // Nothing was told of it yet: to both of these it is from now.
    loops.several(1, poll(two(), Some(&[(7, 0)])));
    loops.reached(&[(room(), 0)]);
    loops.several(2, poll(two(), None));
    assert_eq!(loops.heard(), [""; 0]);
    loops.complete(0, saved_in(other(), 2));
    assert_eq!(loops.heard(), ["3: 9:1 9:2", "1: 9:2", "2: 9:1 9:2"]);
    loops.assert_idle();
}

#[test]
fn what_was_read_before_it_was_told_is_not_told_twice() {
    let mut loops = in_two();
    loops.several(1, poll(two(), Some(&[(7, 2), (9, 0)])));
    loops.reached(&[(room(), 2), (other(), 0)]);
    // Its client has got 2 by another way, before this loop is told.
    loops.complete(0, saved(2));
    loops.loaded(0, Ok(2));
    assert_eq!(loops.heard(), [""; 0], "it goes on waiting");
    loops.complete(0, saved(3));
    assert_eq!(loops.heard(), ["1: 3"]);
    loops.assert_idle();
}

#[test]
fn all_follows_its_user_in_and_out() {
    let mut loops = known();
    loops.several(2, poll(Which::All, Some(&[(7, 3), (9, 2)])));
    loops.several(3, poll(Which::All, None));
    loops.complete(0, left_from(other()));
    assert_eq!(loops.heard(), ["1: Fault(NotAParticipant)"]);
    loops.complete(0, saved_in(other(), 3));
    assert_eq!(loops.heard(), [""; 0], "who has left hears nothing");
    loops.complete(0, came_into(other()));
    loops.complete(0, came_into(other()));
    // It has said how far it has read: what was said meanwhile it gets when it comes again.
    assert_eq!(loops.heard(), ["2: "]);
    loops.complete(0, saved_in(other(), 4));
    assert_eq!(loops.heard(), ["3: 9:1 9:2 9:3 9:4"]);
    loops.assert_idle();
}

#[test]
fn all_of_none_waits_for_the_first() {
    let mut loops = in_two();
    loops.chatrooms = Vec::new();
    loops.several(1, poll(Which::All, Some(&[])));
    loops.several(2, poll(Which::All, None));
    loops.several(3, poll(Which::All, Some(&[(7, 0)])));
    assert_eq!(loops.heard(), [""; 0]);
    loops.complete(0, came_into(room()));
    // How far this one has read there is looked at when it comes again.
    assert_eq!(loops.heard(), ["3: "]);
    loops.complete(0, saved(1));
    assert_eq!(loops.loads, [0], "it is loaded when it speaks");
    loops.loaded(0, Ok(1));
    assert_eq!(loops.heard(), ["1: 1", "2: 1"]);
    loops.assert_idle();
}

#[test]
fn an_endpoll_of_one_ends_it() {
    let mut loops = known();
    loops.several(2, poll(Which::All, None));
    loops.several(3, poll(Which::These(vec![other()]), None));
    loops.end_polls(0, 4);
    let ended = ["1: ", "2: ", "4: 2 ended: 1 2 3"];
    assert_eq!(loops.heard(), ended);
    loops.chats[0].drain();
    assert_eq!(loops.heard(), ["3: "]);
    loops.assert_idle();
}

#[test]
fn who_is_ahead_or_foreign_is_told() {
    let mut loops = known();
    loops.several(2, poll(two(), Some(&[(9, 3)])));
    // Once more, since somebody may have read what this loop has not heard of.
    loops.reached(&[(other(), 2)]);
    let foreign = ChatroomId::new(10).expect("positive");
    loops.several(3, poll(Which::These(vec![room(), foreign]), None));
    let told = loops.heard();
    assert_eq!(told.len(), 2);
    assert!(
        told[0].contains("SinceAhead") && told[0].contains("last: 2"),
        "{told:?}"
    );
    assert_eq!(told[1], "3: Fault(NotAParticipant)");
}

#[test]
fn what_is_not_here_the_store_reads_in_order() {
    let mut loops = in_two();
    let mut call = poll(Which::All, Some(&[(7, 0), (9, 1)]));
    call.limit = Limit::new(200);
    loops.several(1, call);
    loops.reached(&[(room(), 400), (other(), 2)]);
    assert_eq!(loops.heard(), [""; 0]);
    let Some(Job::ReadNews {
        ticket,
        since,
        limit,
        ..
    }) = loops.reads.pop()
    else {
        panic!("the oldest are not here");
    };
    assert_eq!(
        (limit, since),
        (200, vec![(room(), None), (other(), MessageId::new(1))])
    );
    let expired = crate::job::News::Expired {
        chatroom: room(),
        first: MessageId::new(5).expect("positive"),
    };
    let read = Ok(expired);
    loops.complete(0, Completion::NewsRead { ticket, read });
    let told = loops.heard();
    assert!(
        told[0].contains("SinceExpired") && told[0].contains("first: MessageId(5)"),
        "{told:?}"
    );
    loops.assert_idle();
}

#[test]
fn whoever_goes_leaves_nothing() {
    let mut loops = in_two();
    let waiting = loops.several(1, poll(two(), Some(&[(7, 3), (9, 2)])));
    loops.chats[0].forget(Now::default(), waiting.expect("held"));
    let second = loops.several(2, poll(two(), Some(&[(7, 3), (9, 2)])));
    loops.reached(&[(room(), 3), (other(), 2)]);
    // What was asked for the first one is of use to nobody.
    loops.reached(&[(room(), 3), (other(), 2)]);
    assert_eq!(loops.chats[0].counts().followers, (1, 2));
    loops.chats[0].forget(Now::default(), second.expect("held"));
    loops.assert_idle();
    loops.several(3, poll(Which::All, None));
    let log_out = Call::InSession(SessionCall::LogOut);
    loops.call(0, 4, log_out);
    let done = Completion::LoggedOut {
        ticket: ticket(0, 4),
        session: SESSION,
        done: Ok(()),
    };
    loops.complete(0, done);
    assert_eq!(loops.heard(), ["4: LoggedOut", "3: Fault(NoSession)"]);
    loops.assert_idle();
}

#[test]
fn many_chatrooms_are_asked_about_at_once_and_stay() {
    let config = Config {
        cache_messages: 1024,
        ..Config::default()
    };
    let mut loops = in_two();
    loops.chats = vec![Chat::new(&config, 0)];
    let rooms: Vec<_> = (1..=50).filter_map(ChatroomId::new).collect();
    loops.chatrooms = rooms.clone();
    let since: Vec<_> = (1..=50).map(|of| (of, 1)).collect();
    loops.several(1, poll(Which::All, Some(&since)));
    let reached: Vec<_> = rooms.iter().map(|&of| (of, 1)).collect();
    loops.reached(&reached);
    assert_eq!(loops.loads, [0; 0], "nobody may ever want their lists");
    assert_eq!(loops.chats[0].counts().followers, (1, 50));
    loops.complete(0, saved_in(rooms[30], 2));
    loops.loaded_in(0, rooms[30], Ok(2));
    assert_eq!(loops.heard(), ["1: 31:2"]);
    loops.assert_idle();
}

#[test]
fn an_endpoll_ends_those_that_still_wait_for_the_store() {
    let mut loops = Loops::new(2, 0);
    loops.chatrooms = vec![room(), other()];
    let call = poll(Which::All, Some(&[(7, 1), (9, 1)]));
    let call = SessionCall::PollSeveral(Box::new(call));
    loops.call(1, 1, Call::InSession(call));
    let since = Wanted {
        since: Since::new(1),
        limit: None,
    };
    loops.poll_for(1, 2, since);
    loops.end_polls(0, 3);
    loops.loaded(0, Ok(1));
    loops.deliver_all();
    assert_eq!(loops.answered(), [answer(0, 3, "2 ended: 1")]);
    loops.loaded(1, Ok(1));
    loops.reached(&[(room(), 1), (other(), 1)]);
    loops.carry_out(1);
    assert_eq!(loops.answered(), [answer(1, 2, ""), answer(1, 1, "")]);
    loops.assert_idle();
}

#[test]
fn what_was_said_while_its_user_was_away_is_not_passed_over() {
    let mut loops = known();
    loops.several(2, poll(Which::All, Some(&[(7, 3), (9, 2)])));
    loops.several(3, poll(Which::All, None));
    loops.complete(0, left_from(other()));
    loops.complete(0, saved_in(other(), 3));
    loops.complete(0, came_into(other()));
    loops.complete(0, saved_in(other(), 4));
    // Where its client has read to 2 it has to ask again; without since it is from when they came back.
    let told = ["1: Fault(NotAParticipant)", "2: ", "3: 9:1 9:2 9:3 9:4"];
    assert_eq!(loops.heard(), told);
    loops.several(4, poll(Which::All, Some(&[(7, 3), (9, 2)])));
    assert_eq!(loops.heard(), ["4: 9:3 9:4"]);
    loops.assert_idle();
}

/// A user in so many chatrooms that few polls of all of them fill a turn.
fn in_very_many() -> Loops {
    let mut loops = Loops::with(Config {
        loops: 1,
        max_places: 60_000,
        ..Config::default()
    });
    loops.chatrooms = (1..=3_000).filter_map(ChatroomId::new).collect();
    // The session and its chatrooms are known from then on.
    loops.poll(0, 99);
    loops
}

#[test]
fn those_of_very_many_chatrooms_come_and_go_in_slices() {
    let mut loops = in_very_many();
    let places = |loops: &Loops| loops.chats[0].counts().followers.1;
    let call = |loops: &mut Loops, exchange| {
        let call = SessionCall::PollSeveral(Box::new(poll(Which::All, None)));
        let (ticket, session) = (ticket(0, exchange), Some(loops.session));
        loops.chats[0].call(loops.now, ticket, session, Call::InSession(call))
    };
    // All of one turn.
    let keys: Vec<_> = (1..=10).filter_map(|n| call(&mut loops, n)).collect();
    assert_eq!((keys.len(), places(&loops)), (10, 9_000));
    let mut before = 9_000;
    loops.carry_out(0);
    while places(&loops) < 30_000 {
        let slice = places(&loops) - before;
        assert!((3_000..=6_000).contains(&slice), "{slice}");
        before = places(&loops);
        loops.carry_out(0);
    }
    assert_eq!(loops.heard(), [""; 0]);
    // They go in one turn; one of them is woken meanwhile, for nobody.
    for key in keys {
        loops.chats[0].forget(loops.now, key);
    }
    assert_eq!(places(&loops), 21_000);
    loops.complete(0, saved(1));
    while places(&loops) > 0 {
        let before = places(&loops);
        loops.carry_out(0);
        let slice = before - places(&loops);
        assert!((3_000..=12_000).contains(&slice), "{slice}");
    }
    loops.loaded(0, Ok(1));
    assert!(loops.heard().contains(&"99: 1".to_owned()));
    loops.assert_idle();
}

#[test]
fn what_they_may_take_all_together_is_bounded() {
    let mut loops = in_very_many();
    for n in 1..=21 {
        loops.several(n, poll(Which::All, None));
    }
    assert_eq!(loops.heard(), ["21: Fault(Overloaded)"]);
    // Others are not touched.
    loops.poll(0, 22);
    loops.several(23, poll(Which::These(vec![room(), another_room()]), None));
    assert_eq!(loops.heard(), ["23: Fault(Overloaded)"]);
    assert_eq!(loops.chats[0].counts().followers, (20, 60_000));
    // Nor does a chatroom that they come into take more: they end, and are told when they ask again.
    let came = came_into(ChatroomId::new(9_000).expect("positive"));
    loops.complete(0, came);
    let heard = loops.heard();
    assert_eq!(heard.len(), 1, "the others have room for it: {heard:?}");
    assert_eq!(loops.chats[0].counts().followers, (19, 19 * 3_001));
}

#[test]
fn a_place_is_found_from_either_side() {
    let mut loops = in_two();
    for n in 1..=3 {
        loops.several(n, poll(Which::All, None));
    }
    loops.several(4, poll(Which::These(vec![room(), other()]), None));
    loops.complete(0, left_from(other()));
    assert_eq!(loops.heard(), ["4: Fault(NotAParticipant)"]);
    assert_eq!(loops.chats[0].counts().followers, (3, 3));
    loops.complete(0, left());
    assert_eq!(loops.chats[0].counts().followers, (3, 0));
}

#[test]
fn nor_does_an_endpoll_elsewhere_end_them_where_their_user_is_not_any_more() {
    let mut loops = Loops::new(2, 0);
    loops.chatrooms = vec![room(), other()];
    // The loop of the caller is yet to be told that the user has left.
    loops.end_polls(0, 3);
    loops.complete(1, left());
    loops.chatrooms = vec![other()];
    let call = SessionCall::PollSeveral(Box::new(poll(Which::All, Some(&[(9, 1)]))));
    loops.call(1, 1, Call::InSession(call));
    loops.loaded(0, Ok(1));
    loops.deliver_all();
    assert_eq!(loops.answered(), [answer(0, 3, "0 ended: 1")]);
    loops.reached(&[(other(), 1)]);
    loops.carry_out(1);
    assert_eq!(loops.answered(), []);
    assert_eq!(loops.chats[1].counts().followers, (1, 1));
}
