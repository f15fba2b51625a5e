//! What hints travel by from server to server: what tells after a commit, and what is listened to.
//!
//! Two carriers: NOTIFY, which the database sends with the commit itself, and publish/subscribe of a Redis or Valkey (`pubsub`), which is told
//! when the commit is done, by a thread of its own. Between that thread and the lanes is a box (`hint_box`), at which nobody ever waits for a Redis.

use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
#[cfg(feature = "redis")]
use super::hint_box::{Inbox, Outbox};
use super::number::Number;
use super::sql;
use crate::model::ChatroomId;
use crate::store::job_error::JobError;
use crate::store::others::{hint, last_hint};

/// What a transaction has done that others hear of.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The chatrooms that it wrote to, of each the first message that is new, and the last.
    pub(super) written: Vec<(ChatroomId, i64, i64)>,
    /// The servers that it answered.
    pub(super) answered: Vec<i64>,
    /// It has changed or asked something else.
    pub(super) is_changed: bool,
    /// The last change or question, by its id.
    pub(super) last_change: Option<i64>,
}

impl News {
    /// The last message of each chatroom.
    pub(super) fn lasts(&self) -> impl Iterator<Item = (ChatroomId, i64)> {
        let lasts = self.written.iter();
        lasts.map(|&(chatroom, _, last)| (chatroom, last))
    }
}

/// How this server tells the others.
pub(super) struct Teller {
    pub(super) number: Arc<Number>,
    pub(super) by: Carrier,
}

/// What hints are told by.
pub(super) enum Carrier {
    /// PostgreSQL's NOTIFY on this channel.
    Notify(String),
    /// Whoever empties the box.
    #[cfg(feature = "redis")]
    Box(Arc<Outbox>),
    None,
}

/// What hints are listened to by.
pub(super) enum Ear {
    /// PostgreSQL's LISTEN.
    Listen,
    /// Whoever fills the box.
    #[cfg(feature = "redis")]
    Box(Arc<Inbox>),
    None,
}

impl Teller {
    /// Tells within the transaction that is open, where that is how: nobody hears of it before it is committed.
    pub(super) fn tell_within(&self, client: &mut Client, news: &News) -> Result<(), JobError> {
        if let Carrier::Notify(channel) = &self.by
            && let Some(hint) = hint(
                self.number.get(),
                news.lasts(),
                news.is_changed,
                &news.answered,
            )
        {
            let told: &[(&(dyn ToSql + Sync), Type)] =
                &[(channel, Type::TEXT), (&hint, Type::TEXT)];
            client.query_typed(sql::servers::NOTIFY, told)?;
        }
        Ok(())
    }

    /// Tells within the transaction that is open that this server has ended. Where hints travel otherwise, they do no more by then, and those who
    /// wait find it out when they next look.
    pub(super) fn tell_gone_within(&self, client: &mut Client) -> Result<(), JobError> {
        if let Carrier::Notify(channel) = &self.by {
            let hint = last_hint(self.number.get());
            let told: &[(&(dyn ToSql + Sync), Type)] =
                &[(channel, Type::TEXT), (&hint, Type::TEXT)];
            client.query_typed(sql::servers::NOTIFY, told)?;
        }
        Ok(())
    }

    /// The transaction is committed: what it has changed is known for this server's own, and others are told, where that is how. Waits for nobody.
    pub(super) fn tell_after(&self, news: &News) {
        if let Some(id) = news.last_change {
            self.number.note_change(id);
        }
        match &self.by {
            #[cfg(feature = "redis")]
            Carrier::Box(outbox) => outbox.put(news),
            Carrier::Notify(_) | Carrier::None => {}
        }
    }
}
