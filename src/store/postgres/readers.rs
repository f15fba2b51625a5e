//! The connections that read: one for each thread that does.
//!
//! They are made again by the pool where they are lost, with pauses that grow. Until one is there again what is read fails after
//! [`PATIENCE`]: everybody else's reads wait behind.

use std::time::Duration;

use postgres::Client;
use r2d2_postgres::PostgresConnectionManager;
use scheduled_thread_pool::ScheduledThreadPool;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::followed::Followed;
use crate::store::error::{JobError, OpenError};

/// How long a read waits for a connection.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a start waits for all of them.
const PATIENCE_AT_START: Duration = Duration::from_secs(10);

/// What all lanes that read share.
pub(super) struct Readers {
    pool: r2d2::Pool<PostgresConnectionManager<MakeRustlsConnect>>,
    pub(super) session_lifetime: Duration,
    pub(super) followed: Arc<Followed>,
}

impl Readers {
    pub(super) fn open(
        address: &Address,
        connections: usize,
        session_lifetime: Duration,
        followed: &Arc<Followed>,
    ) -> Result<Self, OpenError> {
        let manager = PostgresConnectionManager::new(address.config.clone(), address.tls.clone());
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
            .connection_timeout(PATIENCE_AT_START)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build(manager)
            .map_err(|source| OpenError::Pool {
                database: address.shown.clone().into(),
                source,
            })?;
        Ok(Self {
            pool,
            session_lifetime,
            followed: Arc::clone(followed),
        })
    }

    /// Reads on a connection of the pool's.
    pub(super) fn read<T>(
        &self,
        mut query: impl FnMut(&mut Client) -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        let mut connection = self.pool.get_timeout(PATIENCE).map_err(JobError::Pool)?;
        query(&mut connection)
    }
}
