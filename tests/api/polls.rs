//! Waiting: who is woken by what, and who is not.

use serde_json::{Value, json};

use crate::serving::{Client, Serving, ending, get, polling, post, registering, saying};

#[test]
fn a_message_ends_every_poll_parked_in_its_chatroom() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let second = serving.login("ann");
    let id = serving.chatroom(&ann);
    serving.add(&ann, id, &bob);
    serving.say(&bob, id, "before");
    // Several sessions of one user, several polls of one session, the sender's own too.
    let mut polls: Vec<Client> = [&ann, &ann, &second, &bob]
        .iter()
        .map(|session| serving.poll(session, id))
        .collect();
    let list = serving.say(&ann, id, "hi");
    assert_eq!(list.as_array().expect("a list").len(), 2);
    for poll in &mut polls {
        let answer = poll.answer();
        assert_eq!(answer.ok(), list);
        assert!(!answer.closes());
        poll.assert_silent();
    }
    // They have ended, all of them.
    for session in [&ann, &second, &bob] {
        assert_eq!(serving.end_polls(session, id)["ended"], 0);
    }
}

#[test]
fn a_message_wakes_nobody_elsewhere() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let [here, there] = [(); 2].map(|()| serving.chatroom(&ann));
    let mut poll = serving.poll(&ann, there);
    serving.say(&ann, here, "hi");
    serving.warm(&ann);
    poll.assert_silent();
    let list = serving.say(&ann, there, "hi");
    assert_eq!(poll.answer().ok(), list);
}

#[test]
fn only_a_message_that_is_saved_wakes() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    let mut poll = serving.poll(&ann, id);
    serving
        .ask(&saying(&bob, id, "from outside"))
        .assert_failed(500, "not_a_participant");
    serving
        .ask(&saying(&ann, id, ""))
        .assert_failed(400, "bad_parameter");
    serving
        .ask(&saying(&ann, id, "\0"))
        .assert_failed(400, "bad_parameter");
    serving.add(&ann, id, &bob);
    serving.login("ann");
    poll.assert_silent();
    assert_eq!(serving.end_polls(&ann, id)["ended"], 1);
}

#[test]
fn a_poll_does_not_end_for_what_was_said_before() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "before");
    let mut poll = serving.poll(&ann, id);
    poll.assert_silent();
    // Nor does the next on the same connection, for what has ended the first.
    let first = serving.say(&ann, id, "one");
    assert_eq!(poll.answer().ok(), first);
    poll.park(&ann, &polling(&ann, id));
    poll.assert_silent();
    let second = serving.say(&ann, id, "two");
    assert_eq!(poll.answer().ok(), second);
}

#[test]
fn the_sender_may_wait_and_send_in_turn() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    serving.add(&ann, id, &bob);
    for n in 0..20 {
        let (sender, waiter) = if n % 2 == 0 {
            (&ann, &bob)
        } else {
            (&bob, &ann)
        };
        let mut poll = serving.poll(waiter, id);
        let list = serving.say(sender, id, &n.to_string());
        assert_eq!(poll.answer().ok(), list);
        let last = list.as_array().and_then(|list| list.last()).expect("sent");
        assert_eq!(last["username"], *sender.username);
    }
}

fn ended(count: u32, messages: &Value) -> Value {
    json!({"status": "ok", "ended": count, "messages": messages})
}

#[test]
fn endpoll_ends_this_sessions_polls_in_that_chatroom_and_no_others() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let second = serving.login("ann");
    let [id, elsewhere] = [(); 2].map(|()| serving.chatroom(&ann));
    serving.add(&ann, id, &bob);
    let list = serving.say(&ann, id, "hi");
    let mut mine: Vec<Client> = (0..3).map(|_| serving.poll(&ann, id)).collect();
    let mut others = [
        serving.poll(&second, id),
        serving.poll(&bob, id),
        serving.poll(&ann, elsewhere),
    ];
    assert_eq!(serving.end_polls(&ann, id), ended(3, &list));
    for poll in &mut mine {
        assert_eq!(poll.answer().ok(), list);
    }
    for poll in &mut others {
        poll.assert_silent();
    }
    // A second time there is none.
    assert_eq!(serving.end_polls(&ann, id), ended(0, &list));
    assert_eq!(serving.end_polls(&second, id), ended(1, &list));
    assert_eq!(serving.end_polls(&bob, id), ended(1, &list));
    assert_eq!(serving.end_polls(&ann, elsewhere), ended(1, &json!([])));
    for (poll, wanted) in others.iter_mut().zip([&list, &list, &json!([])]) {
        assert_eq!(poll.answer().ok(), *wanted);
    }
}

#[test]
fn endpoll_is_exactly_this() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let answer = serving.ask(&ending(&ann, id));
    assert_eq!(answer.body, br#"{"status":"ok","ended":0,"messages":[]}"#);
    let mut poll = serving.poll(&ann, id);
    let answer = serving.ask(&ending(&ann, id));
    assert_eq!(answer.body, br#"{"status":"ok","ended":1,"messages":[]}"#);
    assert_eq!(poll.answer().body, b"[]");
}

#[test]
fn endpoll_counts_what_a_message_has_left() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = serving.poll(&ann, id);
    let list = serving.say(&ann, id, "hi");
    assert_eq!(serving.end_polls(&ann, id), ended(0, &list));
    assert_eq!(poll.answer().ok(), list);
}

#[test]
fn a_wake_of_many_reaches_each_once() {
    const POLLS: usize = 500;
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut polls: Vec<Client> = (0..POLLS).map(|_| serving.connect()).collect();
    for poll in &mut polls {
        poll.park(&ann, &polling(&ann, id));
    }
    let list = serving.say(&ann, id, "hi");
    for poll in &mut polls {
        assert_eq!(poll.answer().ok(), list);
        poll.park(&ann, &polling(&ann, id));
    }
    assert_eq!(
        serving.end_polls(&ann, id),
        ended(u32::try_from(POLLS).expect("few"), &list)
    );
    for poll in &mut polls {
        assert_eq!(poll.answer().ok(), list);
        poll.assert_silent();
    }
}

/// The server does not know the poll's session yet, and reads slowly: it parks first, and then looks.
#[test]
fn a_poll_that_needs_loading_misses_no_message() {
    // One loop, which has taken the poll before it answers what was asked behind it.
    let one_loop = |config: &mut loiter::Config| config.loops = 1;
    let mut serving = Serving::with(one_loop);
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    serving.add(&ann, id, &bob);
    for n in 0..50 {
        serving.ask(&registering(&format!("x{n}"))).ok();
    }
    let search = get("/message/getUser").with("name", "x").of(&bob).bytes();
    for n in 1..=5 {
        serving = serving.restart(one_loop);
        serving.warm(&bob);
        // The lane that reads has all this before it, and the one that writes nothing.
        let mut searches: Vec<Client> = (0..64).map(|_| serving.connect()).collect();
        for client in &mut searches {
            client.send(&search);
        }
        let mut poll = serving.connect();
        poll.send(polling(&ann, id).bytes());
        serving.warm(&bob);
        let list = serving.say(&bob, id, &n.to_string());
        assert_eq!(list.as_array().expect("a list").len(), n);
        assert_eq!(poll.answer().ok(), list);
    }
}

#[test]
fn a_poll_takes_its_parameters_from_the_query_alone() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving
        .ask(&post("/message/longpoll").with("chatroomid", id).of(&ann))
        .assert_failed(405, "method_not_allowed");
    let mut poll = serving.connect();
    poll.park(&ann, &polling(&ann, id).form("chatroomid", 99));
    poll.assert_silent();
    assert_eq!(serving.end_polls(&ann, id)["ended"], 1);
    assert_eq!(poll.answer().ok(), json!([]));
}
