//! A limit on the polls that a session may have parked.

use serde_json::json;

use crate::serving::{Client, Serving, Session, polling};

/// It holds at each event loop: here is one.
fn serving(max: usize) -> Serving {
    Serving::alone("the limit is of each server", |config| {
        config.loops = 1;
        config.max_polls_per_session = max;
    })
}

fn park(serving: &Serving, session: &Session, chatroom: i64) -> Client {
    let mut poll = serving.connect();
    poll.park(session, &polling(session, chatroom));
    poll
}

#[test]
fn the_oldest_ends_with_its_list_when_one_more_comes() {
    let serving = serving(2);
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let second = serving.login("ann");
    let [here, there] = [(); 2].map(|()| serving.chatroom(&ann));
    serving.add(&ann, here, &bob);
    let list = serving.say(&ann, here, "hi");
    let mut others = [&bob, &bob, &second, &second].map(|session| park(&serving, session, here));
    let mut first = park(&serving, &ann, here);
    let mut next = park(&serving, &ann, there);
    first.assert_silent();
    // Wherever it is parked itself.
    let mut third = park(&serving, &ann, there);
    assert_eq!(first.answer().ok(), list);
    let mut last = serving.connect();
    last.park(&ann, &polling(&ann, here).with("since", 1));
    assert_eq!(next.answer().ok(), json!([]));
    let mut more = park(&serving, &ann, here);
    assert_eq!(third.answer().ok(), json!([]));
    let mut most = park(&serving, &ann, here);
    // It has all that it asked for.
    assert_eq!(last.answer().ok(), json!([]));
    others.iter_mut().for_each(Client::assert_silent);
    let list = serving.say(&ann, here, "to the others");
    for poll in others.iter_mut().chain([&mut more, &mut most]) {
        assert_eq!(poll.answer().ok(), list);
    }
}

#[test]
fn one_is_enough_for_a_client_that_polls_again_and_again() {
    let serving = serving(1);
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = park(&serving, &ann, id);
    for n in 1..=5 {
        let list = serving.say(&ann, id, &n.to_string());
        assert_eq!(poll.answer().ok(), list);
        poll.park(&ann, &polling(&ann, id));
        let mut next = park(&serving, &ann, id);
        assert_eq!(poll.answer().ok(), list);
        next.assert_silent();
        poll = next;
    }
}
