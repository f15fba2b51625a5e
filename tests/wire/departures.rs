//! Clients that end: half or whole, politely or not, in the midst of whatever.
//!
//! A parked poll's client that has gone is forgotten at once, which endpoll's count shows. Any other
//! request that came whole is answered, since some clients shut their side down behind it.

use crate::serving::{Client, Driven, Session, get, polling, post, registering, saying};

/// A server on which ann is alone in a chatroom, all that it needs to park a poll of hers loaded.
fn with_chatroom() -> (Driven, Session, i64) {
    let mut driven = Driven::start();
    let ann = driven.user("ann");
    let chatroom = driven.chatroom(&ann);
    driven.warm(&ann);
    driven.turn_until(|server| server.connections() == 0);
    (driven, ann, chatroom)
}

#[track_caller]
fn assert_parked(driven: &mut Driven, session: &Session, chatroom: i64, count: usize) {
    assert_eq!(driven.end_polls(session, chatroom)["ended"], count);
}

#[test]
fn a_parked_poll_is_forgotten_with_its_connection() {
    let ends: [fn(Client); 3] = [drop, Client::reset, |client| {
        client.hang_up();
        // Still there to read, but nobody polls with a closed mouth for long.
        drop(client);
    }];
    for end in ends {
        let (mut driven, ann, chatroom) = with_chatroom();
        let client = driven.poll(&ann, chatroom);
        let mut stays = driven.poll(&ann, chatroom);
        driven.turn_until(|server| server.connections() == 2);
        end(client);
        driven.turn_until(|server| server.connections() == 1);
        stays.assert_silent();
        assert_parked(&mut driven, &ann, chatroom, 1);
        assert_eq!(driven.answer(&mut stays).ok(), serde_json::json!([]));
        assert_parked(&mut driven, &ann, chatroom, 0);
    }
}

#[test]
fn a_fin_is_enough_to_be_forgotten() {
    let (mut driven, ann, chatroom) = with_chatroom();
    let mut client = driven.poll(&ann, chatroom);
    client.hang_up();
    driven.assert_ends(&mut client);
    assert_parked(&mut driven, &ann, chatroom, 0);
}

#[test]
fn a_fin_that_comes_with_the_poll_is_seen() {
    for cut in [0, 1, 20] {
        let (mut driven, ann, chatroom) = with_chatroom();
        let mut client = driven.connect();
        let request = polling(&ann, chatroom).bytes();
        let (first, rest) = request.split_at(request.len() - cut);
        client.send(first);
        if cut > 0 {
            driven.turn();
        }
        client.send(rest);
        client.hang_up();
        driven.assert_ends(&mut client);
        driven.turn_until(|server| server.connections() == 0);
        assert_parked(&mut driven, &ann, chatroom, 0);
    }
}

#[test]
fn a_fin_behind_unread_requests_behind_a_poll_is_seen() {
    let (mut driven, ann, chatroom) = with_chatroom();
    for turns_between in [false, true] {
        let mut client = driven.connect();
        client.send(polling(&ann, chatroom).bytes());
        if turns_between {
            driven.warm(&ann);
        }
        // So many that they fit in the server's socket: behind a full one the FIN could not come.
        client.send(get("/message/chatrooms/").of(&ann).bytes().repeat(300));
        if turns_between {
            driven.warm(&ann);
        }
        client.hang_up();
        driven.warm(&ann);
        driven.warm(&ann);
        assert_parked(&mut driven, &ann, chatroom, 0);
        client.reset();
        driven.turn_until(|server| server.connections() == 0);
    }
}

/// Behind a full socket the FIN cannot come: who sends so much behind a poll does not keep it.
#[test]
fn a_fin_that_a_flood_behind_a_poll_holds_back_keeps_nothing() {
    let (mut driven, ann, chatroom) = with_chatroom();
    let mut client = driven.connect();
    client.send(polling(&ann, chatroom).bytes());
    driven.warm(&ann);
    client.send(get("/message/chatrooms/").of(&ann).bytes().repeat(2000));
    client.hang_up();
    for _ in 0..3 {
        driven.warm(&ann);
    }
    assert_parked(&mut driven, &ann, chatroom, 0);
    client.reset();
    driven.turn_until(|server| server.connections() == 0);
}

#[test]
fn a_poll_that_is_pipelined_with_its_fin_behind_another_request_is_forgotten() {
    let (mut driven, ann, chatroom) = with_chatroom();
    let mut client = driven.connect();
    let first = get("/message/chatrooms/").of(&ann).bytes();
    client.send([first, polling(&ann, chatroom).bytes()].concat());
    client.hang_up();
    assert_eq!(
        driven.answer(&mut client).ok(),
        serde_json::json!([chatroom])
    );
    driven.assert_ends(&mut client);
    assert_parked(&mut driven, &ann, chatroom, 0);
}

#[test]
fn many_polls_that_vanish_together_are_all_forgotten() {
    let (mut driven, ann, chatroom) = with_chatroom();
    let polls: Vec<Client> = (0..100).map(|_| driven.poll(&ann, chatroom)).collect();
    driven.turn_until(|server| server.connections() == 100);
    for (at, client) in polls.into_iter().enumerate() {
        match at % 2 {
            0 => drop(client),
            _ => client.reset(),
        }
    }
    driven.turn_until(|server| server.connections() == 0);
    assert_parked(&mut driven, &ann, chatroom, 0);
}

#[test]
fn a_poll_whose_client_vanishes_while_it_is_being_loaded_is_forgotten() {
    let (mut driven, ann, chatroom) = with_chatroom();
    // A session that the server does not know yet: the poll waits for the store first.
    let other = Session::of(&driven.ask(&crate::serving::logging_in("ann")));
    let mut client = driven.connect();
    client.send(polling(&other, chatroom).bytes());
    driven.turn();
    client.reset();
    driven.warm(&ann);
    assert_parked(&mut driven, &other, chatroom, 0);
    driven.turn_until(|server| server.connections() == 0);
}

#[test]
fn who_has_shut_their_side_down_still_gets_their_answer() {
    let (mut driven, ann, chatroom) = with_chatroom();
    for (request, status) in [
        (get("/message/chatrooms/").of(&ann), 200),
        (registering("bob"), 200),
        (saying(&ann, chatroom, "hi"), 200),
        (crate::serving::ending(&ann, chatroom), 200),
        (get("/nowhere"), 404),
    ] {
        let mut client = driven.connect();
        client.send(request.bytes());
        client.hang_up();
        let answer = driven.answer(&mut client);
        assert_eq!(answer.status, status, "{answer:?}");
        driven.assert_ends(&mut client);
    }
    driven.turn_until(|server| server.connections() == 0);
}

#[test]
fn all_that_was_pipelined_before_the_fin_is_answered() {
    let (mut driven, ann, chatroom) = with_chatroom();
    let mut client = driven.connect();
    let requests = [
        saying(&ann, chatroom, "a"),
        get("/nowhere"),
        saying(&ann, chatroom, "b"),
    ];
    client.send(requests.map(|request| request.bytes()).concat());
    client.hang_up();
    assert_eq!(driven.answer(&mut client).ok()[0]["message"], "a");
    driven.answer(&mut client).assert_failed(404, "not_found");
    assert_eq!(driven.answer(&mut client).ok()[1]["message"], "b");
    driven.assert_ends(&mut client);
}

#[test]
fn half_a_request_before_the_fin_has_no_effect_and_no_answer() {
    let (mut driven, ann, chatroom) = with_chatroom();
    let whole = post("/message/sendMessage/")
        .form("chatroomid", chatroom)
        .form("message", "half")
        .of(&ann)
        .bytes();
    for length in 0..whole.len() {
        let mut client = driven.connect();
        client.send(&whole[..length]);
        client.hang_up();
        driven.assert_ends(&mut client);
        client.reset();
    }
    let list = driven.say(&ann, chatroom, "whole");
    assert_eq!(list.as_array().expect("a list").len(), 1);
}

#[test]
fn who_resets_does_not_undo_what_was_asked_for() {
    let (mut driven, ann, chatroom) = with_chatroom();
    let mut poll = driven.poll(&ann, chatroom);
    let mut client = driven.connect();
    driven.turn();
    client.send(saying(&ann, chatroom, "last words").bytes());
    driven.turn();
    client.reset();
    let list = driven.answer(&mut poll).ok();
    assert_eq!(list[0]["message"], "last words");
}

#[test]
fn resets_anywhere_in_a_request_hurt_nobody_else() {
    let (mut driven, ann, chatroom) = with_chatroom();
    let mut poll = driven.poll(&ann, chatroom);
    let request = get("/message/chatrooms/").of(&ann).bytes();
    for length in 0..=request.len() {
        let mut client = driven.connect();
        client.send(&request[..length]);
        if length % 2 == 0 {
            driven.turn();
        }
        client.reset();
    }
    driven.turn_until(|server| server.connections() == 1);
    poll.assert_silent();
    let list = driven.say(&ann, chatroom, "hi");
    assert_eq!(driven.answer(&mut poll).ok(), list);
}
