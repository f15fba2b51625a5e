//! PostgreSQL, and what speaks its protocol: a database that several servers may share.
//!
//! Whoever writes to a chatroom locks its row before, so ids have no gap, whoever writes. The connections are the lanes' own: one that writes, one for
//! each thread that reads or hashes. One that is lost is made again; what is asked for meanwhile fails, and nobody waits for it.
//!
//! Statements are sent with the types of their parameters and without a name: one round trip each, nothing that a connection would have to
//! remember, and so nothing that a pooler between could get wrong.

mod address;
mod messages;
mod readers;
mod reading;
mod rows;
mod schema;
mod sql;
mod sweeping;
mod tls;
mod writer;
mod writes;

use std::sync::Arc;

use super::error::OpenError;
use super::writing::Writer;
use super::{Backend, Threads};
use crate::config::Config;
use address::Address;
use readers::Readers;
use sweeping::Sweeper;
use writer::PostgresWriter;

/// Opens the database at the address `config.database`, and brings its schema up to date.
pub(super) fn open(
    config: &Config,
    threads: Threads,
) -> Result<Backend<impl Writer + Send + use<>>, OpenError> {
    let given = config.database.to_string_lossy();
    let address = Address::parse(&given).map_err(|why| OpenError::BadAddress {
        database: address::without_password(&given),
        why,
    })?;
    let mut client = address
        .connect()
        .map_err(|error| address.unreachable(error))?;
    schema::upgrade(&mut client, &address)?;
    let connections = threads.reading.saturating_add(threads.hashing);
    let sweeper = Sweeper {
        session_lifetime: config.session_lifetime,
        retention: config.retention,
    };
    let reader = Readers::open(&address, connections, config.session_lifetime)?;
    Ok(Backend {
        writer: PostgresWriter::new(client, address, sweeper),
        reader: Arc::new(reader),
        attendance: None,
        held: Box::new(()),
    })
}
