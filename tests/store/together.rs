//! Several stores on one database, which is PostgreSQL: a file is one store's alone.

use std::path::PathBuf;
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

/// What it is told of a database that it cannot have.
fn refusal(database: PathBuf) -> String {
    let config = Config {
        database,
        ..Config::default()
    };
    match Store::open(&config, |_| ()) {
        Ok(_) => panic!("it is taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_database_that_is_not_fit_is_refused_with_the_reason() {
    let Some([fixture, _]) = two() else {
        return;
    };
    let mut other = fixture.other_program();
    let name = fixture.folder.path().file_name().expect("a name");
    let latin = format!("latin{}", name.to_string_lossy().trim_start_matches('.'));
    other.execute(&format!(
        "CREATE DATABASE \"{latin}\" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    ));
    let address = fixture.config.database.display().to_string();
    let (address, _) = address.split_once('?').expect("a schema");
    let (server, _) = address.rsplit_once('/').expect("a database");
    let refused = refusal(format!("{server}/{latin}").into());
    assert!(refused.contains("LATIN1, and must be UTF8"), "{refused}");
    let nowhere = format!("{address}?options=-csearch_path%3Dnowhere");
    let refused = refusal(nowhere.into());
    assert!(refused.contains("no schema"), "{refused}");
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
