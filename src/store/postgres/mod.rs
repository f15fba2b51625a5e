//! PostgreSQL, and what speaks its protocol: a database that several servers may share.
//!
//! Whoever writes to a chatroom locks its row before, so ids have no gap, whoever writes. The connections are the lanes' own: one that writes, one for
//! each thread that reads or hashes. One that is lost is made again; what is asked for meanwhile fails, and nobody waits for it.
//!
//! Statements are sent with the types of their parameters and without a name: one round trip each, nothing that a connection would have to
//! remember, and so nothing that a pooler between could get wrong.

mod address;
mod carrier;
mod changes;
mod client;
mod cryptography;
mod error;
mod failures;
#[cfg(test)]
mod fake;
mod hearing;
#[cfg(feature = "redis")]
mod hint_box;
mod hints;
mod locks;
mod messages;
mod number;
mod place;
#[cfg(feature = "redis")]
mod pubsub;
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
mod written;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use error::Error;
pub(super) use target::Target;
pub(super) use users::PostgresUsers;

use super::error::{OpenError, whole};
use super::lane::Outlet;
use super::others::{Followed, Questions, Seen};
use super::writing::Writer;
use super::{Attendance, Attending, Backend, Threads};
use crate::config::{Config, Hints};
use address::Address;
use carrier::{Carrier, Ear, Teller};
use client::Client;
use hearing::Hearing;
use hints::{Listener, Stop};
use number::Number;
#[cfg(feature = "redis")]
use pubsub::{Link, RedisAddress};
use questions::Member;
use readers::Readers;
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
    let identity = schema::identity(&mut client).map_err(|error| address.unreachable(error))?;
    let heard_at = listened_at(config, &address, identity.as_deref())?;
    address.keep_to(identity.clone());
    heard_at.keep_to(identity);
    let connections = threads.reading.saturating_add(threads.hashing);
    let sweeper = Sweeper {
        session_lifetime: config.session_lifetime,
        retention: config.retention,
    };
    let followed: Arc<Followed> = Arc::default();
    let questions = Arc::new(Questions::new(config.ask_every));
    let hearing = Arc::new(Hearing::new(questions.lease()));
    let reader = Readers::open(&address, connections, config, (&followed, &hearing))?;
    let stop = Arc::new(Stop::new(Arc::clone(&hearing), Arc::clone(&address.end)));
    // Of what others have changed before nothing is remembered here.
    let looked_at = Instant::now();
    let mut seen = Seen::default();
    let member = Member {
        number: Arc::new(Number::draw()?),
        questions,
        hearing,
    };
    changes::look(&mut seen, &mut client, &member, Some(Duration::ZERO))
        .map_err(|error| address.failed(error))?;
    // After that: what is asked from here on is seen.
    (member.say_here(&mut client)).map_err(|error| address.unreachable(error))?;
    let (by, ear, mut threads) = carriers(config, &mut client, &address, &member.number, &stop)?;
    let listener = Listener {
        address: heard_at,
        ear,
        ask_every: config.ask_every,
        member: member.clone(),
        followed: Arc::clone(&followed),
        outlet: outlet.clone(),
        stop: Arc::clone(&stop),
        seen: (seen, looked_at),
    };
    threads.push(("loiter-hints", Box::new(|| listener.run())));
    // Nothing is remembered yet, however long that has taken.
    member.hearing.note(Instant::now());
    let number = Arc::clone(&member.number);
    let teller = Teller { number, by };
    Ok(Backend {
        writer: PostgresWriter::new(
            client,
            address,
            sweeper,
            (member, teller),
            (followed, outlet.clone()),
        ),
        reader: Arc::new(reader),
        attendance: Attendance {
            threads,
            attendant: stop,
        },
        held: Box::new(()),
    })
}

/// Where what others have written is asked for, and hints of it are listened to. An address of its own must lead to the same database: the messages
/// and sessions of another have the same numbers.
fn listened_at(
    config: &Config,
    database: &Address,
    identity: Option<&str>,
) -> Result<Address, OpenError> {
    let Hints::From(given) = &config.hints else {
        return Ok(database.clone());
    };
    let bad = |why| OpenError::BadHints {
        address: address::without_password(given),
        why,
    };
    let mut hints = Address::parse(given).map_err(bad)?;
    hints.end = Arc::clone(&database.end);
    let found = hints
        .connect()
        .and_then(|mut client| schema::identity(&mut client));
    let found = found.map_err(|error| bad(whole(&error)))?;
    match found.as_deref() == identity {
        true => Ok(hints),
        false => Err(bad(format!(
            "it leads to another database (or schema) than {}, and must lead to the same, such as past a pooler",
            database.shown
        ))),
    }
}

/// What hints travel by, what is listened to, and the threads that this takes.
fn carriers(
    config: &Config,
    client: &mut Client,
    database: &Address,
    server: &Arc<Number>,
    stop: &Arc<Stop>,
) -> Result<(Carrier, Ear, Vec<Attending>), OpenError> {
    match &config.hints {
        Hints::Notify | Hints::From(_) => {
            let channel = hints::channel(client);
            let channel = channel.map_err(|error| database.unreachable(error))?;
            Ok((Carrier::Notify(channel), Ear::Listen, Vec::new()))
        }
        #[cfg(feature = "redis")]
        Hints::Redis(redis) => {
            let link = link(redis, client, database, server, stop)?;
            let (outbox, inbox) = (Arc::default(), Arc::default());
            let (hearing, told, heard) = (link.clone(), Arc::clone(&outbox), Arc::clone(&inbox));
            let threads: Vec<Attending> = vec![
                ("loiter-tell", Box::new(move || link.tell(&told))),
                ("loiter-hear", Box::new(move || hearing.hear(&heard))),
            ];
            Ok((Carrier::Box(outbox), Ear::Box(inbox), threads))
        }
        #[cfg(not(feature = "redis"))]
        Hints::Redis(redis) => {
            let _ = (server, stop);
            Err(OpenError::BadHints {
                address: address::without_password(redis),
                why: not_redis(redis),
            })
        }
        Hints::None => Ok((Carrier::None, Ear::None, Vec::new())),
    }
}

/// What is wrong with an address that is not PostgreSQL's.
#[cfg(not(feature = "redis"))]
fn not_redis(given: &str) -> String {
    let scheme = given.split("://").next().unwrap_or_default();
    let is_one = |one: &&str| scheme.eq_ignore_ascii_case(one);
    match ["redis", "rediss"].iter().any(is_one) {
        true => "this loiter is built without Redis (feature redis)".to_owned(),
        false => "it must begin with postgres://".to_owned(),
    }
}

/// To the Redis that hints travel by. Whether it is there is found out later: hints are only hints.
#[cfg(feature = "redis")]
fn link(
    redis: &str,
    client: &mut Client,
    database: &Address,
    server: &Arc<Number>,
    stop: &Arc<Stop>,
) -> Result<Link, OpenError> {
    let bad = |why| OpenError::BadHints {
        address: address::without_password(redis),
        why,
    };
    let address = RedisAddress::parse(redis).map_err(bad)?;
    let named = client.query_typed_one(sql::servers::DATABASE_AND_SCHEMA, &[]);
    let named: Result<String, _> = named.and_then(|row| Ok(row.try_get(0)?));
    let named = named.map_err(|error| database.unreachable(error))?;
    Link::new(&address, &named, Arc::clone(server), Arc::clone(stop))
        .map_err(|error| bad(error.to_string()))
}

/// The address that a database is given by.
fn open_address(database: &Path) -> Result<Address, OpenError> {
    let given = database.to_string_lossy();
    Address::parse(&given).map_err(|why| OpenError::BadAddress {
        database: address::without_password(&given),
        why,
    })
}

#[cfg(all(test, not(feature = "redis")))]
mod tests {
    use super::*;

    #[test]
    fn only_a_redis_is_missing_where_it_is_not_built_in() {
        for given in ["redis://db", "REDISS://:secret@db"] {
            assert!(not_redis(given).contains("without Redis"), "{given}");
        }
        for given in ["mysql://:secret@db", "valkey://db", "re://dis"] {
            assert!(not_redis(given).contains("postgres://"), "{given}");
        }
    }
}
