//! Many who register from one address: what is hashed is hashed by turns, and nobody else waits until they are through.

use std::num::NonZeroU32;

use crate::serving::{Answer, Client, Serving, get, logging_in, registering};

/// Far more than may wait.
const MANY: usize = 200;

/// One thread hashes, and each hash takes so long that those who wait do so for a while.
fn slow(iterations: u32) -> Serving {
    let serving = Serving::with(|config| {
        config.workers = 2;
        config.password_iterations = NonZeroU32::new(iterations).expect("not zero");
    });
    serving.user("ann");
    serving
}

/// Connections from 127.0.0.1 that all register somebody, of which one at least has been told that there are too many.
fn flood(serving: &Serving) -> (Vec<Client>, Vec<Option<Answer>>) {
    let mut clients: Vec<Client> = (0..MANY).map(|_| serving.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(registering(&name(n)).bytes());
    }
    let mut answers: Vec<Option<Answer>> = clients.iter().map(|_| None).collect();
    while !answers.iter().flatten().any(|answer| answer.status == 503) {
        take(&mut clients, &mut answers);
    }
    (clients, answers)
}

fn name(n: usize) -> String {
    format!("user{n}")
}

/// Takes the answers that have come.
fn take(clients: &mut [Client], answers: &mut [Option<Answer>]) {
    for (client, answer) in clients.iter_mut().zip(answers) {
        if answer.is_none() {
            client.read_at_once();
            *answer = client.arrived();
        }
    }
}

/// A login is not refused, and is answered while registrations that came before it still wait.
#[test]
fn a_login_does_not_wait_until_all_have_registered_who_came_first() {
    let serving = slow(300_000);
    let (mut clients, mut answers) = flood(&serving);
    // From elsewhere, and from the same address, which others may have as well.
    for host in [[127, 0, 0, 2], [127, 0, 0, 1]] {
        serving.connect_from(host).ask(&logging_in("ann")).ok();
    }
    take(&mut clients, &mut answers);
    let waiting = answers.iter().filter(|answer| answer.is_none()).count();
    assert!(waiting > 0, "all had registered before");
}

#[test]
fn who_registers_without_end_leaves_others_their_places_and_is_told_503() {
    let serving = slow(20_000);
    let (mut clients, answers) = flood(&serving);
    let mut others: Vec<Client> = (2..10)
        .map(|n| serving.connect_from([127, 0, 0, n]))
        .collect();
    for (n, other) in others.iter_mut().enumerate() {
        other.send(registering(&format!("other{n}")).bytes());
    }
    for other in &mut others {
        other.answer().ok();
    }
    // Each has one answer, and who was refused is not registered.
    let session = serving.login("ann");
    let answers = clients.iter_mut().zip(answers);
    for (n, (client, answer)) in answers.enumerate() {
        let answer = answer.unwrap_or_else(|| client.answer());
        let find = get("/message/getUser").of(&session).with("name", name(n));
        let found = serving.ask(&find).ok();
        let is_there = found[0]["username"] == name(n);
        match answer.status {
            200 => assert!(is_there, "{n}"),
            _ => {
                answer.assert_failed(503, "overloaded");
                assert!(answer.field("retry-after").is_some());
                assert!(!is_there, "{n}");
            }
        }
    }
}
