//! Several stores on one database, which is PostgreSQL: a file is one store's alone.

use std::thread;

use super::*;

const ROUNDS: usize = 40;

/// Two stores on one database.
fn two() -> Option<[Fixture; 2]> {
    if is_file() {
        eprintln!("not run: a file is one store's alone; tests/cluster.sh has PostgreSQL");
        return None;
    }
    let first = Fixture::with(|config| config.workers = 8);
    let database = first.config.database.clone();
    let second = Fixture::with(|config| {
        config.workers = 8;
        config.database = database;
    });
    Some([first, second])
}

#[test]
fn ids_have_no_gap_whichever_store_saves_and_in_whichever_order() {
    let Some([mut first, mut second]) = two() else {
        return;
    };
    let ann = first.user("ann");
    let chatrooms = [1, 2, 3].map(|_| first.chatroom(&ann));
    let mut backwards = chatrooms;
    backwards.reverse();
    let speak = |fixture: &mut Fixture, order: [ChatroomId; 3]| {
        let mut ids = Vec::new();
        for _ in 0..ROUNDS {
            let turn = order.map(|chatroom| say(chatroom, &ann, "x"));
            assert!(fixture.store().submit_all(turn).is_empty());
            for _ in order {
                let message = new_message(fixture.next()).expect("saved");
                ids.push((message.chatroom, message.id.get()));
            }
        }
        ids
    };
    let mut ids = thread::scope(|scope| {
        let one = scope.spawn(|| speak(&mut first, chatrooms));
        let other = scope.spawn(|| speak(&mut second, backwards));
        [one, other]
            .map(|end| end.join().expect("no panic"))
            .concat()
    });
    ids.sort_unstable();
    let wanted = chatrooms.map(|chatroom| (1..=2 * ROUNDS as i64).map(move |id| (chatroom, id)));
    assert_eq!(ids, Vec::from_iter(wanted.into_iter().flatten()));
}

/// Each holds what the other wants next.
#[test]
fn who_registers_the_same_names_in_opposite_orders_is_told_and_nothing_fails() {
    let Some([mut first, mut second]) = two() else {
        return;
    };
    let names = Vec::from_iter((0..ROUNDS).map(|n| format!("user {n}")));
    for name in &names {
        first.submit(register(name, "x"));
    }
    for name in names.iter().rev() {
        second.submit(register(name, "x"));
    }
    let mut registered = 0;
    for fixture in [&mut first, &mut second] {
        for _ in &names {
            match field!(fixture.next(), Registered, user) {
                Ok(_) => registered += 1,
                Err(fault) => assert_eq!(fault, Fault::UsernameTaken),
            }
        }
    }
    assert_eq!(registered, names.len());
}

#[test]
fn who_logs_out_the_same_sessions_in_opposite_orders_is_told_and_nothing_fails() {
    let Some([mut first, mut second]) = two() else {
        return;
    };
    first.user("ann");
    let sessions = Vec::from_iter((0..ROUNDS).map(|_| {
        let (_, token) = first.log_in("ann", "password").expect("in");
        hash_of(&token)
    }));
    let log_out = |session: &SessionHash| Job::LogOut {
        ticket: ticket(1),
        session: *session,
    };
    let forwards = sessions.iter().map(log_out);
    assert!(first.store().submit_all(forwards).is_empty());
    let backwards = sessions.iter().rev().map(log_out);
    assert!(second.store().submit_all(backwards).is_empty());
    let mut ended = 0;
    for fixture in [&mut first, &mut second] {
        for _ in &sessions {
            match field!(fixture.next(), LoggedOut, done) {
                Ok(()) => ended += 1,
                Err(fault) => assert_eq!(fault, Fault::NoSession),
            }
        }
    }
    assert_eq!(ended, sessions.len());
}
