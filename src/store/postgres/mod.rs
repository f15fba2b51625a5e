//! PostgreSQL, and what speaks its protocol: a database that several servers may share.
//!
//! Whoever writes to a chatroom locks its row before, so ids have no gap, whoever writes. The connections are the lanes' own: one that writes, one for
//! each thread that reads or hashes. One that is lost is made again; what is asked for meanwhile fails, and nobody waits for it.
//!
//! Statements are sent with the types of their parameters and without a name: one round trip each, nothing that a connection would have to
//! remember, and so nothing that a pooler between could get wrong.

mod address;
mod changes;
mod failures;
mod hints;
mod messages;
mod questions;
mod readers;
mod reading;
mod rows;
mod schema;
mod sql;
mod sweeping;
mod target;
mod tls;
mod users;
mod writer;
mod writes;

use std::path::Path;
use std::sync::Arc;

pub(super) use target::Target;
pub(super) use users::PostgresUsers;

use super::error::OpenError;
use super::lane::Outlet;
use super::others::{Followed, Questions, Seen};
use super::writing::Writer;
use super::{Attendance, Backend, Threads};
use crate::config::{Config, Hints};
use address::Address;
use hints::{Listener, Stop};
use questions::Member;
use readers::Readers;
use ring::rand::{SecureRandom, SystemRandom};
use sweeping::Sweeper;
use writer::PostgresWriter;

/// Opens the database at the address `config.database`, and brings its schema up to date.
pub(super) fn open(
    config: &Config,
    threads: Threads,
    outlet: &Outlet,
) -> Result<Backend<impl Writer + Send + use<>>, OpenError> {
    let address = open_address(&config.database)?;
    let mut client = address
        .connect()
        .map_err(|error| address.unreachable(error))?;
    schema::upgrade(&mut client, &address)?;
    schema::refuse_unfinished(&mut client, &address)?;
    let connections = threads.reading.saturating_add(threads.hashing);
    let sweeper = Sweeper {
        session_lifetime: config.session_lifetime,
        retention: config.retention,
    };
    let followed: Arc<Followed> = Arc::default();
    let reader = Readers::open(&address, connections, config, &followed)?;
    let stop: Arc<Stop> = Arc::default();
    let server = random_number()?;
    // Of what others have changed before nothing is remembered here.
    let mut seen = Seen::default();
    let member = Member {
        server,
        questions: Arc::new(Questions::new(config.ask_every)),
    };
    changes::look(&mut seen, &mut client, &member, true).map_err(|error| address.failed(error))?;
    // After that: what is asked from here on is seen.
    (member.say_here(&mut client)).map_err(|error| address.unreachable(error))?;
    let listener = Listener {
        address: match &config.hints {
            Hints::From(other) => open_address(other.as_ref())?,
            Hints::Notify | Hints::None => address.clone(),
        },
        listens: config.hints != Hints::None,
        ask_every: config.ask_every,
        member: member.clone(),
        followed: Arc::clone(&followed),
        outlet: outlet.clone(),
        stop: Arc::clone(&stop),
        seen,
    };
    let telling = (config.hints != Hints::None)
        .then(|| hints::channel(&mut client))
        .transpose();
    let telling = telling.map_err(|error| address.unreachable(error))?;
    Ok(Backend {
        writer: PostgresWriter::new(client, address, sweeper, (member, telling), followed),
        reader: Arc::new(reader),
        attendance: Some(Attendance {
            name: "loiter-hints",
            run: Box::new(|| listener.run()),
            attendant: stop,
        }),
        held: Box::new(()),
    })
}

/// By which this server knows what it has written itself.
fn random_number() -> Result<i64, OpenError> {
    let mut bytes = [0; 8];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(i64::from_ne_bytes(bytes)),
        Err(_) => Err(OpenError::Thread(std::io::Error::other(
            "the system gave no random numbers",
        ))),
    }
}

/// The address that a database is given by.
fn open_address(database: &Path) -> Result<Address, OpenError> {
    let given = database.to_string_lossy();
    Address::parse(&given).map_err(|why| OpenError::BadAddress {
        database: address::without_password(&given),
        why,
    })
}
