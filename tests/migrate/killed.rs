//! A migration that ends in the middle: stopped, or killed before or in a commit. The next one goes on.

use std::io::Read as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use loiter::MigrateError;

use super::{Fixture, loiter, serve};

/// Ends the connection that notes a batch before that is committed, every other time.
const KILL: &str = "
    CREATE SEQUENCE kills;
    CREATE FUNCTION kill() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('kills') % 2 = 1 THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER kill AFTER UPDATE ON loiter_migration FOR EACH ROW EXECUTE FUNCTION kill()";

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn one_that_is_killed_in_each_batch_comes_to_the_same() {
    let fixture = Fixture::new();
    fixture.fill();
    let stop = AtomicBool::new(true);
    let stopped = fixture.migration().run(&stop, |_, _, _| ());
    assert!(matches!(stopped, Err(MigrateError::Stopped)), "{stopped:?}");
    fixture.target().batch_execute(KILL).expect("a trigger");
    let mut kills = 0;
    let mut passed = 0;
    while let Err(error) = fixture
        .migration()
        .run(&false.into(), |_, _, _| passed += 1)
    {
        assert!(matches!(error, MigrateError::Target(_)), "{error:?}");
        kills += 1;
        assert!(kills < 100, "it does not get on: {error}");
    }
    // Each table has two batches, participants three, and an end.
    assert_eq!(passed, 6 * 2 + 1 + 6);
    assert_eq!(kills, passed);
    fixture.assert_equal();
    drop(serve(&fixture.to));
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn one_that_is_stopped_after_each_batch_goes_on_behind_it() {
    let fixture = Fixture::new();
    fixture.fill();
    let mut heard = Vec::new();
    loop {
        let stop = AtomicBool::new(false);
        let run = fixture.migration().run(&stop, |table, copied, rows| {
            heard.push((table.to_owned(), copied, rows));
            stop.store(true, Ordering::Relaxed);
        });
        match run {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, MigrateError::Stopped), "{error:?}"),
        }
    }
    let users = [
        ("users".to_owned(), 5000, 5990),
        ("users".to_owned(), 5990, 5990),
    ];
    assert_eq!(heard[..2], users);
    fixture.assert_equal();
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn the_command_goes_on_after_a_sigkill() {
    let fixture = Fixture::new();
    fixture.fill();
    let stop = AtomicBool::new(true);
    assert!(fixture.migration().run(&stop, |_, _, _| ()).is_err());
    // It comes as far as the sessions, and waits there.
    let mut target = fixture.target();
    let mut lock = target.transaction().expect("begun");
    lock.batch_execute("LOCK TABLE sessions").expect("locked");
    let command = || {
        let mut command = loiter();
        command.arg("migrate").arg("--from").arg(&fixture.from);
        command.env("LOITER_DATABASE", &fixture.to);
        command
    };
    let mut child = command()
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let waits =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'sessions'::regclass";
    while lock.query_one(waits, &[]).expect("locks").get::<_, i64>(0) == 0 {
        assert!(
            child.try_wait().expect("our child").is_none(),
            "it has ended"
        );
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    lock.rollback().expect("unlocked");
    let ended = command().output().expect("the binary runs");
    let mut told = String::new();
    ended
        .stderr
        .as_slice()
        .read_to_string(&mut told)
        .expect("UTF-8");
    assert!(ended.status.success(), "{told}");
    assert!(told.contains("messages: 6,000 in both"), "{told}");
    // No terminal, no line that is written over.
    assert!(!told.contains('\r'), "{told}");
    fixture.assert_equal();
}
