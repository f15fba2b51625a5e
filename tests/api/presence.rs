//! Who is present in a chatroom.
//!
//! That somebody is no longer present takes ten seconds to show: `src/chat/tests/presence.rs` and the simulator let those pass.

use serde_json::{Value, json};

use crate::serving::{Client, Request, Serving, Session, get, polling, post};

fn presence(session: &Session, chatroom: i64) -> Request {
    get("/message/presence/")
        .with("chatroomid", chatroom)
        .of(session)
}

#[track_caller]
fn assert_present(serving: &Serving, session: &Session, chatroom: i64, present: &[&Session]) {
    let present: Vec<Value> = present.iter().map(|session| session.object()).collect();
    // Whichever loop is asked.
    for _ in 0..4 {
        let answer = serving.ask(&presence(session, chatroom));
        assert_eq!(answer.ok(), json!(present));
    }
}

/// Ann's chatroom, in which carl is and then bob.
fn three() -> (Serving, [Session; 3], i64) {
    let serving = Serving::start();
    let users = ["ann", "bob", "carl"].map(|name| serving.user(name));
    let id = serving.chatroom(&users[0]);
    serving.add(&users[0], id, &users[2]);
    serving.add(&users[0], id, &users[1]);
    (serving, users, id)
}

#[test]
fn who_has_a_poll_parked_is_present_in_the_order_of_joining() {
    let (serving, [ann, bob, carl], id) = three();
    let answer = serving.ask(&presence(&ann, id));
    assert_eq!((answer.status, &*answer.body), (200, &b"[]"[..]));
    let _bobs: Vec<Client> = (0..6).map(|_| serving.poll(&bob, id)).collect();
    assert_present(&serving, &ann, id, &[&bob]);
    let _carls = serving.poll(&serving.login("carl"), id);
    assert_present(&serving, &bob, id, &[&carl, &bob]);
    let _anns = serving.poll(&ann, id);
    assert_present(&serving, &ann, id, &[&ann, &carl, &bob]);
}

#[test]
fn who_polls_elsewhere_is_present_there() {
    let (serving, [ann, bob, carl], id) = three();
    let elsewhere = serving.chatroom(&bob);
    serving.add(&bob, elsewhere, &ann);
    let mut polls = vec![serving.poll(&bob, elsewhere), serving.poll(&carl, id)];
    assert_present(&serving, &ann, id, &[&carl]);
    assert_present(&serving, &ann, elsewhere, &[&bob]);
    // One session in both.
    polls.push(serving.poll(&bob, id));
    assert_present(&serving, &ann, id, &[&carl, &bob]);
    assert_present(&serving, &ann, elsewhere, &[&bob]);
    serving.say(&ann, elsewhere, "hi");
    serving.say(&ann, id, "hi");
    polls.into_iter().for_each(|mut poll| {
        poll.answer().ok();
    });
    assert_present(&serving, &ann, id, &[&carl, &bob]);
    assert_present(&serving, &ann, elsewhere, &[&bob]);
}

#[test]
fn a_client_between_two_polls_is_present() {
    let (serving, [ann, bob, carl], id) = three();
    let mut woken = serving.poll(&bob, id);
    let list = serving.say(&ann, id, "hi");
    assert_eq!(woken.answer().ok(), list);
    assert_present(&serving, &ann, id, &[&bob]);
    // One that is answered at once; one whose client has gone; one that was ended.
    let news = polling(&carl, id).with("since", 0);
    assert_eq!(serving.ask(&news).ok(), list);
    assert_present(&serving, &ann, id, &[&carl, &bob]);
    serving.poll(&ann, id).reset();
    assert_present(&serving, &ann, id, &[&ann, &carl, &bob]);
}

#[test]
fn a_poll_that_is_refused_makes_nobody_present() {
    let (serving, [ann, bob, carl], id) = three();
    let stranger = serving.user("stranger");
    serving
        .ask(&polling(&stranger, id))
        .assert_failed(500, "not_a_participant");
    serving
        .ask(&polling(&bob, id).with("limit", 0))
        .assert_failed(400, "bad_parameter");
    serving
        .ask(&polling(&carl, id).with("since", 9))
        .assert_failed(409, "since_ahead");
    assert_present(&serving, &ann, id, &[]);
    serving.add(&ann, id, &stranger);
    assert_present(&serving, &ann, id, &[]);
}

#[test]
fn who_logs_out_stays_present_for_a_while_and_who_leaves_does_not() {
    let (serving, [ann, bob, carl], id) = three();
    let mut bobs: Vec<Client> = (0..4).map(|_| serving.poll(&bob, id)).collect();
    let _carls = serving.poll(&carl, id);
    serving.ask(&post("/logout").of(&bob)).ok();
    assert_present(&serving, &ann, id, &[&carl, &bob]);
    for poll in &mut bobs {
        poll.answer().assert_failed(401, "no_session");
    }
    assert_present(&serving, &ann, id, &[&carl, &bob]);
    let leave = post("/message/leaveChatroom").with("chatroomid", id);
    serving.ask(&leave.of(&carl)).ok();
    assert_present(&serving, &ann, id, &[&bob]);
    // A new password ends the other sessions, on which nobody is less present for it.
    let [other, kept] = ["bob"; 2].map(|name| serving.login(name));
    let mut poll = serving.poll(&other, id);
    let change = post("/changePassword")
        .form("password", "pw")
        .form("newpassword", "new");
    serving.ask(&change.of(&kept)).ok();
    poll.answer().assert_failed(401, "no_session");
    assert_present(&serving, &ann, id, &[&bob]);
}

#[test]
fn only_participants_are_told() {
    let (serving, [ann, bob, _], id) = three();
    let stranger = serving.user("stranger");
    let _poll = serving.poll(&bob, id);
    let foreign = serving.ask(&presence(&stranger, id));
    foreign.assert_failed(403, "not_a_participant");
    let none = serving.ask(&presence(&stranger, 99));
    assert_eq!(none.body, foreign.body);
    let nobody = get("/message/presence").with("chatroomid", id);
    serving.ask(&nobody).assert_failed(401, "no_session");
    let head = Request::new("HEAD", "/message/presence").with("chatroomid", id);
    let answer = serving.ask(&head.of(&ann));
    let whole = serving.ask(&presence(&ann, id));
    assert_eq!((answer.status, answer.length()), (200, whole.length()));
    let posted = post("/message/presence").with("chatroomid", id);
    serving
        .ask(&posted.of(&ann))
        .assert_failed(405, "method_not_allowed");
}

#[test]
fn very_many_polls_and_questions_at_once() {
    const EACH: usize = 30;
    let (serving, users, id) = three();
    let mut polls: Vec<Client> = users
        .iter()
        .flat_map(|user| (0..EACH).map(|_| serving.poll(user, id)))
        .collect();
    let present = json!([users[0].object(), users[2].object(), users[1].object()]);
    let mut asking: Vec<Client> = (0..EACH).map(|_| serving.connect()).collect();
    for round in 0..5 {
        for (client, user) in asking.iter_mut().zip(users.iter().cycle()) {
            client.send(presence(user, id).bytes());
        }
        // Whether they are woken before it or after.
        let list = serving.say(&users[round % 3], id, "hi");
        for client in &mut asking {
            assert_eq!(client.answer().ok(), present);
        }
        for (poll, user) in polls
            .iter_mut()
            .zip(users.iter().flat_map(|user| [user; EACH]))
        {
            assert_eq!(poll.answer().ok(), list);
            poll.park(user, &polling(user, id));
        }
    }
}
