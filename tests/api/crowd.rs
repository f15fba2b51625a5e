//! Many who speak at once: ids without gaps, and every answer its own.

use std::thread;

use crate::serving::{Serving, Session, polling, saying};

const SENDERS: usize = 16;
const EACH: usize = 25;

fn id_of(message: &serde_json::Value) -> i64 {
    message["id"].as_i64().expect("an id")
}

/// Sends messages one after the other; returns the ids that they got.
fn send_all(serving: &Serving, session: &Session, chatroom: i64, sender: usize) -> Vec<i64> {
    let mut client = serving.connect();
    let mut ids = Vec::new();
    for n in 0..EACH {
        let text = format!("{sender}.{n}");
        let list = client.ask(&saying(session, chatroom, &text)).ok();
        let list = list.as_array().expect("a list");
        let last = list.last().expect("sent");
        assert_eq!(last["message"], text, "an answer ends with its own message");
        assert_eq!(last["userid"], session.userid);
        assert_eq!(
            list.len(),
            50.min(usize::try_from(id_of(last)).expect("positive"))
        );
        let gapless = list
            .windows(2)
            .all(|two| id_of(&two[1]) == id_of(&two[0]) + 1);
        assert!(gapless, "{list:?}");
        ids.push(id_of(last));
    }
    assert!(ids.is_sorted(), "in the order in which they were sent");
    ids
}

#[test]
fn ids_have_no_gaps_however_many_speak() {
    let serving = Serving::start();
    let users: Vec<Session> = (0..4).map(|n| serving.user(&format!("user{n}"))).collect();
    let chatroom = serving.chatroom(&users[0]);
    for user in &users[1..] {
        serving.add(&users[0], chatroom, user);
    }
    let mut ids: Vec<i64> = thread::scope(|scope| {
        let (serving, users) = (&serving, &users);
        let senders: Vec<_> = (0..SENDERS)
            .map(|at| scope.spawn(move || send_all(serving, &users[at % 4], chatroom, at)))
            .collect();
        senders
            .into_iter()
            .flat_map(|sender| sender.join().expect("it asserts"))
            .collect()
    });
    ids.sort_unstable();
    let wanted = i64::try_from(SENDERS * EACH).expect("few");
    assert_eq!(ids, (1..=wanted).collect::<Vec<i64>>());
}

/// A client that polls again at once may miss a list, but never sees an older one after a newer.
#[test]
fn who_polls_meanwhile_hears_in_order_and_hears_the_last() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let bob = serving.user("bob");
    let chatroom = serving.chatroom(&ann);
    serving.add(&ann, chatroom, &bob);
    let mut poll = serving.poll(&bob, chatroom);
    thread::scope(|scope| {
        let (serving, ann) = (&serving, &ann);
        scope.spawn(move || {
            send_all(serving, ann, chatroom, 0);
            // Only now may the poller stop: it has parked again, or hears of this one.
            let mut client = serving.connect();
            let mut heard = false;
            while !heard {
                client.ask(&saying(ann, chatroom, "last")).ok();
                let ended = client.ask(&crate::serving::ending(ann, chatroom)).ok();
                heard = ended["messages"].to_string().contains("heard");
            }
        });
        let mut newest = 0;
        loop {
            let list = poll.answer().ok();
            let last = list
                .as_array()
                .and_then(|list| list.last())
                .expect("spoken");
            assert!(id_of(last) > newest, "{newest} before {list}");
            newest = id_of(last);
            if last["message"] == "last" {
                break;
            }
            poll.send(polling(&bob, chatroom).bytes());
        }
        serving.say(&bob, chatroom, "heard");
    });
}

#[test]
fn chatrooms_that_speak_at_once_do_not_mix() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let chatrooms: Vec<i64> = (0..4).map(|_| serving.chatroom(&ann)).collect();
    thread::scope(|scope| {
        let (serving, ann) = (&serving, &ann);
        for &chatroom in &chatrooms {
            scope.spawn(move || {
                let mut client = serving.connect();
                let mut poll = serving.poll(ann, chatroom);
                for n in 1..=EACH {
                    if n > 1 {
                        poll.park(ann, &polling(ann, chatroom));
                    }
                    let list = client.ask(&saying(ann, chatroom, &n.to_string())).ok();
                    let messages = list.as_array().expect("a list");
                    assert_eq!(messages.len(), n);
                    assert!(
                        messages
                            .iter()
                            .all(|message| message["chatroomid"] == chatroom)
                    );
                    assert_eq!(poll.answer().ok(), list);
                }
            });
        }
    });
}
