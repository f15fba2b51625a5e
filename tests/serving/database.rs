//! The database that a server or a store is tested on, and another program that uses it beside.
//!
//! It is a file; or, where the environment has an address of PostgreSQL (tests/cluster.sh), a schema with the name of the folder that the file would be in.

#![allow(dead_code, reason = "each target that includes this uses its part")]

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than anybody keeps a lock that is let go.
const PATIENCE: Duration = Duration::from_secs(60);

/// All that is written to, but for the version of the schema.
const TABLES: [&str; 7] = [
    "users",
    "sessions",
    "chatrooms",
    "participants",
    "messages",
    "nonces",
    "probes",
];

fn address() -> Option<String> {
    std::env::var("LOITER_TEST_POSTGRES").ok()
}

/// Whether databases are files: what a test tells of the file itself is told of nothing else.
pub(crate) fn is_file() -> bool {
    address().is_none()
}

/// What `Config::database` is for the test that has this folder.
pub(crate) fn in_folder(folder: &Path, file: &str) -> PathBuf {
    let Some(address) = address() else {
        return folder.join(file);
    };
    let name = folder.file_name().expect("a name").to_string_lossy();
    let name = format!("t{}", name.trim_start_matches('.'));
    let mut client = postgres::Client::connect(&address, postgres::NoTls).expect("PostgreSQL");
    let create = format!("CREATE SCHEMA IF NOT EXISTS \"{name}\"");
    client.batch_execute(&create).expect("a schema");
    // Without TLS, so that what stands between can be read.
    format!("{address}?sslmode=disable&options=-csearch_path%3D%22{name}%22").into()
}

/// Another program, which looks and meddles. What it executes is good SQL for both.
pub(crate) enum OtherProgram {
    Sqlite(rusqlite::Connection),
    Postgres(postgres::Client),
}

impl OtherProgram {
    pub(crate) fn on(database: &Path) -> Self {
        if is_file() {
            let connection = rusqlite::Connection::open(database).expect("the database");
            connection.busy_timeout(PATIENCE).expect("a timeout");
            return Self::Sqlite(connection);
        }
        let address = database.to_str().expect("an address");
        let client = postgres::Client::connect(address, postgres::NoTls);
        Self::Postgres(client.expect("the database"))
    }

    /// Returns how many rows it has changed.
    #[track_caller]
    pub(crate) fn execute(&mut self, statement: &str) -> u64 {
        match self {
            Self::Sqlite(connection) => connection.execute(statement, ()).expect(statement) as u64,
            Self::Postgres(client) => client.execute(statement, &[]).expect(statement),
        }
    }

    /// The only column of the only row.
    #[track_caller]
    pub(crate) fn number(&mut self, query: &str) -> i64 {
        match self {
            Self::Sqlite(connection) => connection.query_row(query, (), |row| row.get(0)),
            Self::Postgres(client) => Ok(client.query_one(query, &[]).expect(query).get(0)),
        }
        .expect(query)
    }

    /// As [`Self::number`].
    #[track_caller]
    pub(crate) fn bytes(&mut self, query: &str) -> Vec<u8> {
        match self {
            Self::Sqlite(connection) => connection.query_row(query, (), |row| row.get(0)),
            Self::Postgres(client) => Ok(client.query_one(query, &[]).expect(query).get(0)),
        }
        .expect(query)
    }

    /// The only column of all rows.
    #[track_caller]
    pub(crate) fn texts(&mut self, query: &str) -> Vec<String> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare(query).expect(query);
                let rows = statement.query_map((), |row| row.get(0)).expect(query);
                rows.collect::<Result<_, _>>().expect(query)
            }
            Self::Postgres(client) => {
                let rows = client.query(query, &[]).expect(query);
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// Bytes as they are written in a statement.
    pub(crate) fn literal(&self, bytes: &[u8]) -> String {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sqlite(_) => format!("x'{digits}'"),
            Self::Postgres(_) => format!("'\\x{digits}'::bytea"),
        }
    }

    /// Has every `what` (INSERT, UPDATE, DELETE) fail, until [`Self::let_writes_pass`].
    pub(crate) fn refuse_writes(&mut self, what: &[&str]) {
        if let Self::Postgres(client) = self {
            let refuse = "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN RAISE EXCEPTION ''no room''; END'";
            client.batch_execute(refuse).expect("a function");
        }
        let body = match self {
            Self::Sqlite(_) => "BEGIN SELECT raise(ABORT, 'no room'); END",
            Self::Postgres(_) => "FOR EACH ROW EXECUTE FUNCTION refuse()",
        };
        for table in TABLES {
            for what in what {
                self.execute(&format!(
                    "CREATE TRIGGER refuse_{what}_{table} BEFORE {what} ON {table} {body}"
                ));
            }
        }
    }

    pub(crate) fn let_writes_pass(&mut self, what: &[&str]) {
        for table in TABLES {
            let of = match self {
                Self::Sqlite(_) => String::new(),
                Self::Postgres(_) => format!("ON {table}"),
            };
            for what in what {
                self.execute(&format!("DROP TRIGGER refuse_{what}_{table} {of}"));
            }
        }
    }

    /// Lets nobody else write until [`Self::unlock`]; reads go on.
    pub(crate) fn lock(&mut self) {
        match self {
            Self::Sqlite(connection) => {
                connection.execute_batch("BEGIN IMMEDIATE").expect("a lock")
            }
            Self::Postgres(client) => {
                let tables = TABLES.join(", ");
                let lock = format!("BEGIN; LOCK TABLE {tables} IN EXCLUSIVE MODE");
                client.batch_execute(&lock).expect("a lock");
            }
        }
    }

    pub(crate) fn unlock(&mut self) {
        self.execute("ROLLBACK");
    }
}
