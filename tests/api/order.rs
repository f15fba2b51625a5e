//! What one connection was told holds for every other, whichever event loops they have: nobody sees less than
//! they, or whom they heard it from, have seen before.

use serde_json::{Value, json};

use crate::serving::{
    Client, Serving, Session, adding, ending, get, logging_in, polling, post, saying,
};

/// So many that each of a few loops has some, however the kernel deals them out.
const CONNECTIONS: usize = 24;
const ROUNDS: usize = 40;

/// Connections whose loops remember a session.
fn crowd(serving: &Serving, session: &Session) -> Vec<Client> {
    let clients = (0..CONNECTIONS).map(|_| {
        let mut client = serving.connect();
        client.ask(&get("/message/chatrooms").of(session)).ok();
        client
    });
    clients.collect()
}

fn last(list: &Value) -> &Value {
    list.as_array()
        .and_then(|list| list.last())
        .expect("spoken")
}

#[test]
fn a_message_is_in_every_list_once_its_sender_is_answered() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut clients = crowd(&serving, &ann);
    for round in 0..ROUNDS {
        let text = round.to_string();
        clients[round % CONNECTIONS]
            .ask(&saying(&ann, id, &text))
            .ok();
        for client in &mut clients {
            let ended = client.ask(&ending(&ann, id)).ok();
            assert_eq!(last(&ended["messages"])["message"], *text);
        }
    }
}

#[test]
fn a_poll_that_comes_after_the_answer_is_not_ended_by_what_was_said_before() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut sender = serving.connect();
    let mut clients = crowd(&serving, &ann);
    for round in 0..ROUNDS {
        let list = sender.ask(&saying(&ann, id, &round.to_string())).ok();
        if round > 0 {
            for client in &mut clients {
                assert_eq!(
                    client.answer().ok(),
                    list,
                    "woken by the next, and by nothing else"
                );
            }
        }
        for client in &mut clients {
            client.park(&ann, &polling(&ann, id));
        }
    }
}

#[test]
fn an_endpoll_ends_every_poll_that_is_known_to_be_parked() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    serving.add(&ann, id, &bob);
    let list = serving.say(&ann, id, "hi");
    let mut clients = crowd(&serving, &ann);
    let mut other = serving.poll(&bob, id);
    for round in 0..ROUNDS {
        let (asking, polls) = clients.split_first_mut().expect("many");
        for poll in &mut *polls {
            poll.park(&ann, &polling(&ann, id));
        }
        let ended = asking.ask(&ending(&ann, id)).ok();
        let wanted = json!({"status": "ok", "ended": CONNECTIONS - 1, "messages": list});
        assert_eq!(ended, wanted, "round {round}");
        for poll in &mut *polls {
            assert_eq!(poll.answer().ok(), list);
        }
        clients.rotate_left(1);
    }
    other.assert_silent();
}

#[test]
fn a_chatroom_is_there_for_all_who_are_in_it_once_it_is_answered() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let mut anns = crowd(&serving, &ann);
    let mut bobs = crowd(&serving, &bob);
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        let at = round % CONNECTIONS;
        let created = anns[at].ask(&post("/message/newChatroom").of(&ann)).ok();
        let id = created["chatroomid"].as_i64().expect("an id");
        ids.push(id);
        for client in &mut anns {
            let known = client.ask(&get("/message/chatrooms").of(&ann)).ok();
            assert_eq!(known, json!(ids));
        }
        bobs[at]
            .ask(&ending(&bob, id))
            .assert_failed(500, "not_a_participant");
        anns[CONNECTIONS - 1 - at]
            .ask(&adding(&ann, id, bob.userid))
            .ok();
        for client in &mut bobs {
            assert_eq!(client.ask(&ending(&bob, id)).ok()["ended"], 0);
        }
    }
}

#[test]
fn a_logout_holds_everywhere_once_it_is_answered() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    for round in 0..ROUNDS / 4 {
        let again = Session::of(&serving.ask(&logging_in("ann")));
        let mut clients = crowd(&serving, &again);
        let mut poll = serving.poll(&again, id);
        clients[round].ask(&post("/logout").of(&again)).ok();
        for client in &mut clients {
            let asking = get("/message/chatrooms").of(&again);
            client.ask(&asking).assert_failed(401, "no_session");
        }
        poll.answer().assert_failed(401, "no_session");
    }
}

#[test]
fn so_many_connections_are_taken_and_no_more_at_all_loops_together() {
    let serving = Serving::alone("the limit is of each server", |config| {
        config.max_connections = Some(CONNECTIONS)
    });
    let ask = get("/nowhere");
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| serving.connect()).collect();
    for client in &mut clients {
        client.ask(&ask).assert_failed(404, "not_found");
    }
    for _ in 0..5 {
        let mut refused = serving.connect();
        refused.answer().assert_failed(503, "overloaded");
        refused.assert_ends();
    }
    // Nobody else is touched, and who leaves makes room.
    for client in &mut clients {
        client.ask(&ask).assert_failed(404, "not_found");
    }
    clients.pop().expect("one").reset();
    let mut newcomer = serving.connect();
    newcomer.send(ask.bytes());
    while newcomer.answer().status == 503 {
        newcomer = serving.connect();
        newcomer.send(ask.bytes());
    }
}
