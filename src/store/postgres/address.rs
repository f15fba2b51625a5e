//! Where a database is: `postgres://user:password@host:port/name?sslmode=verify-full&…`, as libpq's users know it.
//!
//! What the `tokio-postgres` crate knows is left to it. How TLS is used is taken out before: of `sslmode` it knows less than libpq, and of
//! certificates nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{LoadBalanceHosts, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::client::{Client, End};
use super::error::Error;
use super::place::Place;
use super::schema;
use super::tls::{self, Verification};
pub(super) use crate::config::without_password;
use crate::store::error::OpenError;
use crate::store::job_error::JobError;

/// How long we wait for a connection, all that is said at its begin included: less than those who wait for an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long what was sent may stay unconfirmed before a connection counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Where to connect to, and how.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// Without the password.
    pub(super) shown: String,
    /// Where it was connected to last.
    last: Arc<Mutex<Option<Place>>>,
    /// By which the database is known.
    identity: Arc<OnceLock<String>>,
    /// Until when anything is waited for.
    pub(super) end: Arc<End>,
}

impl Address {
    /// # Errors
    /// What is wrong with it, as the end of a sentence that names it.
    pub(super) fn parse(given: &str) -> Result<Self, String> {
        let (before, query) = given.split_once('?').unwrap_or((given, ""));
        let mut kept = Vec::new();
        let (mut mode, mut verification) = (SslMode::Prefer, Verification::None);
        let mut root = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // The parameter's name would be told, and it may be a part of a password.
            if name.contains(['@', '/', ':']) {
                return Err("a '?' in its password must be written as %3F".to_owned());
            }
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "sslmode" => (mode, verification) = ssl_mode(&value)?,
                "sslrootcert" => root = Some(value.into_owned()),
                _ => kept.push(pair),
            }
        }
        // As libpq does: who names a certificate wants it to be looked at.
        if root.is_some() && verification == Verification::None && mode == SslMode::Require {
            verification = Verification::Chain;
        }
        let root = root.filter(|root| root != "system").map(PathBuf::from);
        let before = in_lower_case(before);
        let address = match kept.is_empty() {
            true => before,
            false => format!("{before}?{}", kept.join("&")),
        };
        let mut config: Config = address.parse().map_err(|error: tokio_postgres::Error| {
            let source = std::error::Error::source(&error);
            source.map_or_else(|| error.to_string(), ToString::to_string)
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("it names no host".to_owned());
        }
        config.ssl_mode(mode);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_MAX);
        }
        if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
            config.keepalives_idle(SILENCE_MAX);
        }
        // Of several hosts the one that leads: the others, which follow, cannot be written to, and lag behind.
        if config.get_hosts().len().max(config.get_hostaddrs().len()) > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("loiter");
        }
        Ok(Self {
            config,
            tls: tls::connector(verification, root.as_deref())?,
            shown: without_password(given),
            last: Arc::default(),
            identity: Arc::default(),
            end: Arc::default(),
        })
    }

    /// Connects to the first place that takes it, the last that has done so before all others. One that stands still takes no more of the time than
    /// any other.
    pub(super) fn connect(&self) -> Result<Client, Error> {
        let patience = *(self.config.get_connect_timeout()).unwrap_or(&CONNECT_TIMEOUT);
        // Those before it, and whoever knows their names, would have to be waited for again each time.
        let last = self.last().clone().filter(|_| self.is_ordered());
        let mut why = Error::Closed;
        if let Some(place) = &last {
            match self.connect_to(place, patience) {
                Ok(client) => return Ok(client),
                Err(error) => why = error,
            }
        }
        let (places, unknown) = Place::all(&self.config, (patience, &self.end));
        if let Some(unknown) = unknown {
            why = Error::Io(unknown);
        }
        for place in places
            .into_iter()
            .filter(|place| Some(place) != last.as_ref())
        {
            match self.connect_to(&place, patience) {
                Ok(client) => {
                    *self.last() = Some(place);
                    return Ok(client);
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Whether a connection is to the place where it was connected to last. Else another leads by now, as long as nobody has ended this one: what is read there
    /// gets older and older.
    pub(super) fn leads_to(&self, client: &Client) -> bool {
        !self.is_ordered()
            || self
                .last()
                .as_ref()
                .is_none_or(|last| last == client.place())
    }

    fn is_ordered(&self) -> bool {
        self.config.get_load_balance_hosts() == LoadBalanceHosts::Disable
    }

    /// Connects there, if that is still the same database: what has the same ids in another is something else.
    fn connect_to(&self, place: &Place, patience: Duration) -> Result<Client, Error> {
        let ends = (patience, &self.end);
        let mut client = Client::connect(place, &self.config, &self.tls, ends)?;
        match self.identity.get() {
            Some(identity) if schema::identity(&mut client)?.as_ref() != Some(identity) => {
                Err(Error::Elsewhere(self.shown.clone()))
            }
            _ => {
                client.be_patient(false);
                Ok(client)
            }
        }
    }

    /// Takes connections to this database alone, from now on.
    pub(super) fn keep_to(&self, identity: Option<String>) {
        if let Some(identity) = identity {
            _ = self.identity.set(identity);
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Place>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the failure of something other than a job means for whoever asked for it.
    pub(super) fn failed(&self, error: JobError) -> OpenError {
        match error {
            JobError::Postgres(error) => self.unreachable(error),
            other => self.unusable(&other.to_string()),
        }
    }

    pub(super) fn unusable(&self, why: &str) -> OpenError {
        OpenError::Postgres {
            database: self.shown.clone(),
            source: why.into(),
        }
    }

    pub(super) fn unreachable(&self, source: impl Into<Error>) -> OpenError {
        OpenError::Postgres {
            database: self.shown.clone(),
            source: Box::new(source.into()),
        }
    }
}

/// An address whose scheme is as the `tokio-postgres` crate knows it.
fn in_lower_case(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => address.to_owned(),
    }
}

/// What libpq's modes are here. `allow` would begin without TLS where the server does not insist, which is as good as `prefer`.
fn ssl_mode(mode: &str) -> Result<(SslMode, Verification), String> {
    Ok(match mode {
        "disable" => (SslMode::Disable, Verification::None),
        "allow" | "prefer" => (SslMode::Prefer, Verification::None),
        "require" => (SslMode::Require, Verification::None),
        "verify-ca" => (SslMode::Require, Verification::Chain),
        "verify-full" => (SslMode::Require, Verification::Full),
        other => {
            return Err(format!(
                "its sslmode is '{other}', and must be disable, allow, prefer, require, verify-ca or verify-full"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::client::PATIENCE;
    use super::super::fake::{Begun, Fake, Part};
    use super::*;

    fn connect(address: &Address) -> Result<(), Error> {
        address.connect().map(drop)
    }

    /// Nobody is waited for twice by whom nobody answers.
    #[test]
    fn each_place_is_tried_once_also_the_one_that_was_good_last() {
        let fakes = [(); 3].map(|()| Fake::playing(&[Part::Closed]));
        let places = fakes
            .each_ref()
            .map(|fake| format!("127.0.0.1:{}", fake.port));
        let address = format!("postgres://ann@{}/chat?sslmode=disable", places.join(","));
        let address = Address::parse(&address).expect("an address");
        let ends = (PATIENCE, &End::default());
        *address.last() = Place::all(&address.config, ends).0.into_iter().nth(1);
        connect(&address).expect_err("nobody is let in anywhere");
        for fake in fakes {
            assert_eq!(fake.begun(), [Begun::Speaking]);
        }
    }

    #[test]
    fn which_database_it_is_is_waited_for_as_a_connection_is() {
        let fake = Fake::playing(&[Part::Silent]);
        let address = format!(
            "postgres://ann@127.0.0.1:{}/chat?sslmode=disable&connect_timeout=1",
            fake.port
        );
        let address = Address::parse(&address).expect("an address");
        address.keep_to(Some("that one".to_owned()));
        match connect(&address) {
            Err(Error::Silent(time)) => assert!(time < PATIENCE / 2, "{time:?}"),
            other => panic!("{other:?}"),
        }
    }

    fn refused(address: &str) -> String {
        match Address::parse(address) {
            Ok(_) => panic!("{address} is taken"),
            Err(why) => why,
        }
    }

    #[test]
    fn tls_is_what_sslmode_asks_for() {
        let parsed = |parameters: &str| {
            let address = format!("postgres://ann@db/chat{parameters}");
            let address = Address::parse(&address).expect("an address");
            address.config.get_ssl_mode()
        };
        assert_eq!(parsed(""), SslMode::Prefer);
        assert!(Address::parse("POSTGRES://ann@Db/chat").is_ok());
        assert_eq!(parsed("?sslmode=disable"), SslMode::Disable);
        assert_eq!(
            parsed("?sslmode=verify-full&connect_timeout=1"),
            SslMode::Require
        );
        assert!(refused("postgres://db/chat?sslmode=on").contains("must be disable, allow"));
        let missing = refused("postgres://db/chat?sslmode=verify-ca&sslrootcert=/nowhere.pem");
        assert!(missing.contains("/nowhere.pem"), "{missing}");
    }

    #[test]
    fn of_several_hosts_it_is_the_one_that_can_be_written_to() {
        let wanted = |address: &str| {
            let address = Address::parse(address).expect("an address");
            address.config.get_target_session_attrs()
        };
        assert_eq!(wanted("postgres://db/chat"), TargetSessionAttrs::Any);
        let several = "postgres://one,two:5433/chat?sslmode=disable";
        assert_eq!(wanted(several), TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert!(refused("postgres://db/chat?colour=red").contains("colour"));
        assert!(refused("postgres:///chat").contains("no host"));
        let why = refused("postgres://ann:se?cret@db/chat");
        assert!(why.contains("%3F") && !why.contains("cret"), "{why}");
    }
}
