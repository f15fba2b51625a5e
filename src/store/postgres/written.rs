//! What the others have written to chatrooms, as the rows of their transactions say: each is found once, however late it is there to be seen.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::questions::Member;
use super::sql;
use crate::store::job_error::JobError;
use crate::store::others::{Hinted, Horizon, WRITTEN_MAX, Written};

/// What has been written since that was looked for, so long ago; and whether all chatrooms are to be asked for beside it.
pub(super) fn look(
    written: &mut Written,
    client: &mut Client,
    member: &Member,
    away: Duration,
) -> Result<(Hinted, bool), JobError> {
    let behind = written.behind(away);
    let asked: &[(&(dyn ToSql + Sync), Type)] = &[
        (&member.number(), Type::INT8),
        (&behind.next, Type::INT8),
        (&behind.open, Type::INT8_ARRAY),
        (&(WRITTEN_MAX as i64), Type::INT8),
    ];
    let (mut now, mut mark) = (None, None);
    let mut found = Vec::new();
    for row in client.query_typed(sql::servers::WRITTEN_BY_OTHERS, asked)? {
        match row.try_get::<_, Option<&str>>(0)? {
            Some(snapshot) => {
                now = Horizon::parse(snapshot);
                mark = row
                    .try_get::<_, Option<Vec<i64>>>(2)?
                    .unwrap_or_default()
                    .pop();
            }
            None => found.push((row.try_get(1)?, row.try_get(2)?)),
        }
    }
    if mark.is_none() {
        let random = RandomState::new().build_hasher().finish() as i64;
        let marked = client.execute_typed(sql::servers::MARK_WRITTEN, &[(&random, Type::INT8)])?;
        mark = (marked == 1).then_some(random);
    }
    Ok(written.take(found, now, mark))
}
