//! Leaving a chatroom and being removed from it, and what becomes of the polls.

use serde_json::{Value, json};

use crate::serving::{
    Client, Request, Serving, Session, adding, ending, get, polling, post, saying,
};

fn leaving(session: &Session, chatroom: i64) -> Request {
    post("/message/leaveChatroom/")
        .with("chatroomid", chatroom)
        .of(session)
}

fn removing(admin: &Session, chatroom: i64, whom: impl ToString) -> Request {
    post("/message/removeFromChatroom/")
        .with("chatroomid", chatroom)
        .with("usertoremove", whom)
        .of(admin)
}

fn chatrooms(serving: &Serving, session: &Session) -> Value {
    serving.ask(&get("/message/chatrooms").of(session)).ok()
}

/// Ann's chatroom, and bob and carl in it.
fn three() -> (Serving, [Session; 3], i64) {
    let serving = Serving::start();
    let users = ["ann", "bob", "carl"].map(|name| serving.user(name));
    let id = serving.chatroom(&users[0]);
    serving.add(&users[0], id, &users[1]);
    serving.add(&users[0], id, &users[2]);
    (serving, users, id)
}

#[test]
fn who_leaves_is_gone() {
    let (serving, [ann, bob, carl], id) = three();
    let elsewhere = serving.chatroom(&bob);
    // Every loop remembers where he is.
    (0..8).for_each(|_| serving.warm(&bob));
    let answer = serving.ask(&leaving(&bob, id));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, br#"{"status":"ok"}"#);
    assert_eq!(chatrooms(&serving, &bob), json!([elsewhere]));
    let participants = get("/message/chatroomParticipants").with("chatroomid", id);
    assert_eq!(
        serving.ask(&participants.clone().of(&ann)).ok(),
        json!([ann.object(), carl.object()])
    );
    for (request, status) in [
        (participants.of(&bob), 403),
        (leaving(&bob, id), 403),
        (leaving(&bob, 99), 403),
        (polling(&bob, id), 500),
        (ending(&bob, id), 500),
        (saying(&bob, id, "still here"), 500),
    ] {
        serving
            .ask(&request)
            .assert_failed(status, "not_a_participant");
    }
}

#[test]
fn the_polls_of_who_leaves_end_there_and_only_theirs() {
    let (serving, [ann, bob, carl], id) = three();
    let second = serving.login("bob");
    let elsewhere = serving.chatroom(&bob);
    let since = |session: &Session| polling(session, id).with("since", 0);
    let mut gone: Vec<Client> = [&bob, &bob, &second, &second]
        .map(|session| serving.poll(session, id))
        .into();
    for session in [&bob, &second] {
        let mut poll = serving.connect();
        poll.park(session, &since(session));
        gone.push(poll);
    }
    let mut others = [&ann, &carl, &ann].map(|session| serving.poll(session, id));
    let mut own = serving.poll(&bob, elsewhere);
    serving.ask(&leaving(&bob, id)).ok();
    for poll in &mut gone {
        poll.answer().assert_failed(500, "not_a_participant");
        // The connection is none the worse for it.
        poll.park(&bob, &polling(&bob, elsewhere));
    }
    let list = serving.say(&ann, id, "at last");
    for poll in &mut others {
        assert_eq!(poll.answer().ok(), list);
    }
    own.assert_silent();
    assert_eq!(serving.end_polls(&bob, elsewhere)["ended"], 7);
}

#[test]
fn the_admin_removes_others() {
    let (serving, [ann, bob, carl], id) = three();
    let mut polls = [&bob, &carl, &ann].map(|session| serving.poll(session, id));
    let answer = serving.ask(&removing(&ann, id, "BOB"));
    let wanted =
        json!({"chatroomid": id, "admin": 1, "participants": [ann.object(), carl.object()]});
    assert_eq!(answer.ok(), wanted);
    polls[0].answer().assert_failed(500, "not_a_participant");
    // Once more, and one who never was in it: nothing changes.
    let dora = serving.user("dora");
    for whom in [bob.userid, dora.userid] {
        assert_eq!(serving.ask(&removing(&ann, id, whom)).ok(), wanted);
    }
    polls[1..].iter_mut().for_each(Client::assert_silent);
    serving.ask(&removing(&ann, id, carl.userid)).ok();
    polls[1].answer().assert_failed(500, "not_a_participant");
    assert_eq!(serving.end_polls(&ann, id)["ended"], 1);
}

#[test]
fn only_the_admin_removes_and_only_those_there_are() {
    let (serving, [ann, bob, carl], id) = three();
    let refused = serving.ask(&removing(&bob, id, carl.userid));
    refused.assert_failed(403, "not_admin");
    let stranger = serving.user("stranger");
    for request in [
        removing(&bob, id, 99),
        removing(&stranger, id, carl.userid),
        removing(&ann, 99, carl.userid),
    ] {
        assert_eq!(serving.ask(&request).body, refused.body);
    }
    for whom in ["99", "nobody", ""] {
        let answer = serving.ask(&removing(&ann, id, whom));
        answer.assert_failed(404, "no_such_user");
    }
    let nobody = post("/message/removeFromChatroom").with("chatroomid", id);
    serving.ask(&nobody).assert_failed(401, "no_session");
    let whom = serving.ask(&nobody.of(&ann));
    whom.assert_failed(400, "bad_parameter");
    assert!(whom.json()["message"].to_string().contains("usertoremove"));
    serving
        .ask(&post("/message/leaveChatroom").of(&ann))
        .assert_failed(400, "bad_parameter");
    assert_eq!(chatrooms(&serving, &carl), json!([id]));
}

#[test]
fn the_admin_goes_last() {
    let (serving, [ann, bob, carl], id) = three();
    let mut poll = serving.poll(&ann, id);
    for request in [leaving(&ann, id), removing(&ann, id, ann.userid)] {
        serving.ask(&request).assert_failed(403, "admin_must_stay");
    }
    serving.ask(&removing(&ann, id, bob.userid)).ok();
    serving.ask(&leaving(&carl, id)).ok();
    poll.assert_silent();
    serving.ask(&leaving(&ann, id)).ok();
    poll.answer().assert_failed(500, "not_a_participant");
    assert_eq!(chatrooms(&serving, &ann), json!([]));
}

#[test]
fn who_comes_back_takes_part_again() {
    const POLLS: usize = 100;
    let (serving, [ann, bob, carl], id) = three();
    let mut others = serving.poll(&carl, id);
    let mut polls: Vec<Client> = (0..POLLS).map(|_| serving.connect()).collect();
    for round in 1..=3 {
        for poll in &mut polls {
            poll.park(&bob, &polling(&bob, id));
        }
        serving.ask(&removing(&ann, id, bob.userid)).ok();
        serving.ask(&adding(&ann, id, bob.userid)).ok();
        let mut back = serving.connect();
        back.park(&bob, &polling(&bob, id));
        for poll in &mut polls {
            poll.answer().assert_failed(500, "not_a_participant");
        }
        back.assert_silent();
        let list = serving.say(&ann, id, &round.to_string());
        assert_eq!(back.answer().ok(), list);
        assert_eq!(others.answer().ok(), list);
        others.park(&carl, &polling(&carl, id));
    }
}
