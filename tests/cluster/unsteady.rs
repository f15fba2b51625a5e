//! The PostgreSQL that tests restart, and whose connections they end: a second one, which `tests/cluster.sh` starts besides that of all others.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use postgres::{Client, NoTls};

/// One test at a time, since all feel a restart.
static TURN: Mutex<()> = Mutex::new(());

/// It, for one test.
pub(crate) struct Unsteady(#[allow(dead_code, reason = "held")] MutexGuard<'static, ()>);

fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("tests/cluster.sh sets {name}"))
}

fn connect(address: &str) -> Client {
    Client::connect(address, NoTls).expect("PostgreSQL")
}

impl Unsteady {
    /// Waits for its turn.
    pub(crate) fn take() -> Self {
        // A test that has failed has not harmed it.
        Self(TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where it is: without a database's name.
    pub(crate) fn address(&self) -> String {
        given("LOITER_TEST_UNSTEADY_POSTGRES")
    }

    /// Where pgbouncer is, before it; nothing where there is none.
    pub(crate) fn bouncer(&self) -> Option<String> {
        std::env::var("LOITER_TEST_PGBOUNCER").ok()
    }

    /// A new database; its name.
    pub(crate) fn new_database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{count}", std::process::id());
        let create = format!("CREATE DATABASE {name}");
        self.client("postgres")
            .batch_execute(&create)
            .expect("a database");
        name
    }

    /// A connection to a database of it.
    pub(crate) fn client(&self, database: &str) -> Client {
        connect(&format!("{}/{database}", self.address()))
    }

    /// Restarts it: `fast` ends what is under way, `immediate` does not even that, and it recovers as after a crash.
    pub(crate) fn restart(&self, mode: &str) {
        let mut restart = Command::new(given("LOITER_TEST_RESTART"));
        let output = restart.args(["-m", mode]).output().expect("pg_ctl");
        assert!(output.status.success(), "{output:?}");
    }

    /// Ends connections to a database, those with this name or all; says how many there were.
    pub(crate) fn terminate(&self, database: &str, application: Option<&str>) -> usize {
        let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = $1 AND ($2::text IS NULL OR application_name = $2)";
        let ended = self
            .client("postgres")
            .query(terminate, &[&database, &application]);
        ended.expect("ended").len()
    }
}
