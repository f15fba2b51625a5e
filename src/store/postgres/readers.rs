//! The connections that read: one for each thread that does.
//!
//! They are made again by the pool where they are lost, with pauses that grow. Until one is there again what is read fails after
//! [`PATIENCE`], and from then on at once: everybody else's reads wait behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use scheduled_thread_pool::ScheduledThreadPool;

use super::address::Address;
use super::client::Client;
use super::error::Error;
use super::hearing::Hearing;
use crate::config::Config;
use crate::store::error::OpenError;
use crate::store::job_error::JobError;
use crate::store::others::Followed;

/// How long a read waits for a connection.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a start waits for all of them.
const PATIENCE_AT_START: Duration = Duration::from_secs(10);

/// The longest pause before the pool tries again to connect.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What all lanes that read share.
pub(super) struct Readers {
    address: Address,
    pool: r2d2::Pool<Connecting>,
    /// The last wait for a connection was in vain.
    is_cut_off: AtomicBool,
    pub(super) session_lifetime: Duration,
    /// Failed logins a minute; 0 is unlimited.
    pub(super) failures_max: u32,
    pub(super) followed: Arc<Followed>,
    hearing: Arc<Hearing>,
}

/// How the pool makes connections.
struct Connecting(Address);

/// A connection, and whether it is lost: of the client the pool does not learn it.
struct Connection {
    client: Client,
    is_lost: bool,
}

impl r2d2::ManageConnection for Connecting {
    type Connection = Connection;
    type Error = Error;

    fn connect(&self) -> Result<Connection, Error> {
        Ok(Connection {
            client: self.0.connect()?,
            is_lost: false,
        })
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), Error> {
        connection.client.batch_execute("")
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_lost
    }
}

impl Readers {
    pub(super) fn open(
        address: &Address,
        connections: usize,
        config: &Config,
        (followed, hearing): (&Arc<Followed>, &Arc<Hearing>),
    ) -> Result<Self, OpenError> {
        let opener = ScheduledThreadPool::builder()
            .num_threads(1)
            .thread_name_pattern("loiter-pool")
            .build();
        let pool = r2d2::Pool::builder()
            .thread_pool(Arc::new(opener))
            .max_size(u32::try_from(connections).unwrap_or(u32::MAX))
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            // Its pauses grow up to half of that.
            .connection_timeout(2 * PAUSE_MAX)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(Connecting(address.clone()));
        let until = Instant::now() + PATIENCE_AT_START;
        let all = (0..connections)
            .map(|_| pool.get_timeout(until.saturating_duration_since(Instant::now())));
        let all: Result<Vec<_>, _> = all.collect();
        drop(all.map_err(|source| OpenError::Pool {
            database: address.shown.clone().into(),
            source,
        })?);
        Ok(Self {
            address: address.clone(),
            pool,
            is_cut_off: AtomicBool::new(false),
            session_lifetime: config.session_lifetime,
            failures_max: config.login_attempts,
            followed: Arc::clone(followed),
            hearing: Arc::clone(hearing),
        })
    }

    /// Reads on a connection of the pool's. One that was lost while nobody used it tells so only then, and all may have been lost together: so
    /// what is read is read again on another. One to where nobody else of this server is connected any more is as good as lost.
    pub(super) fn read<T>(
        &self,
        mut query: impl FnMut(&mut Client) -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        if self.hearing.is_deaf() {
            return Err(JobError::Deaf);
        }
        let mut lost_at_most = self.pool.max_size();
        loop {
            let mut connection = self.connection()?;
            let read = match self.address.leads_to(&connection.client) {
                true => query(&mut connection.client),
                false => Err(Error::Closed.into()),
            };
            match read {
                Err(error) if error.is_of_a_lost_connection() => {
                    connection.is_lost = true;
                    if lost_at_most == 0 || error.is_silence() {
                        return Err(error);
                    }
                    lost_at_most -= 1;
                }
                answer => return answer,
            }
        }
    }

    fn connection(&self) -> Result<r2d2::PooledConnection<Connecting>, JobError> {
        let patience = match self.is_cut_off.load(Ordering::Relaxed) {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        let connection = self.pool.get_timeout(patience);
        self.is_cut_off
            .store(connection.is_err(), Ordering::Relaxed);
        connection.map_err(JobError::Pool)
    }
}
