//! A connection to PostgreSQL, whose answers are waited for, but not for ever.
//!
//! A database that is gone says so, or the system does: its machine confirms nothing any more. One that stands still takes what it is sent, and never
//! answers. So whoever asks waits for [`PATIENCE`], and the connection counts as lost then.
//!
//! The client is an asynchronous one, and runs on whatever thread asks, for as long as that waits.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Config, Notification, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::Error;
use super::place::{Place, Socket};
use super::sql;

/// How long an answer is waited for: longer than the database goes on with a statement of those that write, and less than a server that is to end lets others
/// wait for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// How long it may take to say that nobody waits any more, or that a connection ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often who waits sees whether the store is to end.
pub(super) const END_SEEN_EVERY: Duration = Duration::from_millis(250);

/// How long after the end of a store what is under way is waited for: about as long as a commit takes.
const GRACE: Duration = Duration::from_secs(1);

/// Until when anybody waits at all.
#[derive(Debug, Default)]
pub(super) struct End(OnceLock<Instant>);

impl End {
    /// The store is to end then, if nothing else was said before.
    pub(super) fn be_at(&self, end: Instant) {
        _ = self.0.set(end + GRACE);
    }

    pub(super) fn left(&self) -> Duration {
        match self.0.get() {
            Some(end) => end.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        }
    }
}

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// So long each.
    Each(Duration),
    /// All together, until then.
    Until(Instant),
    ForEver,
}

/// A parameter and its type.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// What speaks on the socket.
type Speaker =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// See the module.
pub(super) struct Client {
    runtime: Runtime,
    /// Nothing once the connection is lost.
    link: Option<(tokio_postgres::Client, Speaker)>,
    /// What the database has told that nobody has asked for.
    notified: VecDeque<Notification>,
    patience: Patience,
    is_committing: bool,
    place: Place,
    config: Config,
    tls: MakeRustlsConnect,
    end: Arc<End>,
}

impl Client {
    /// Connects to a database that is there within that time, and is as the address wants it; what is asked first is waited for no longer.
    pub(super) fn connect(
        place: &Place,
        config: &Config,
        tls: &MakeRustlsConnect,
        (patience, end): (Duration, &Arc<End>),
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Io)?;
        // Without a deadline where it is too far to be told.
        let patience = match Instant::now().checked_add(patience) {
            Some(until) => Patience::Until(until),
            None => Patience::ForEver,
        };
        let secured = secured(tls, place)?;
        let linking = async {
            let socket = place.connect(config).await.map_err(Error::Io)?;
            let link = config.connect_raw(socket, secured).await;
            link.map_err(Error::Postgres)
        };
        let link = runtime.block_on(within(patience, end, linking))?;
        let mut client = Self {
            link: Some(link?),
            runtime,
            notified: VecDeque::new(),
            patience,
            is_committing: false,
            place: place.clone(),
            config: config.clone(),
            tls: tls.clone(),
            end: Arc::clone(end),
        };
        client.check(config.get_target_session_attrs())?;
        Ok(client)
    }

    fn check(&mut self, wanted: TargetSessionAttrs) -> Result<(), Error> {
        let is_wanted = match wanted {
            TargetSessionAttrs::ReadWrite => "off",
            TargetSessionAttrs::ReadOnly => "on",
            _ => return Ok(()),
        };
        let is_read_only = self.query_typed_one(sql::IS_READ_ONLY, &[])?;
        match is_read_only.try_get::<_, &str>(0)? == is_wanted {
            true => Ok(()),
            false => Err(Error::Other(wanted)),
        }
    }

    /// Where it is connected to.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Waits for answers as long as usual, or for as long as they take: what is asked may take long by its nature.
    pub(super) fn be_patient(&mut self, for_ever: bool) {
        self.patience = match for_ever {
            true => Patience::ForEver,
            false => Patience::Each(PATIENCE),
        };
    }

    pub(super) fn query_typed(
        &mut self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.run(async |client| client.query_typed(statement, parameters).await)
    }

    /// Where there is just one row.
    pub(super) fn query_typed_one(
        &mut self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Row, Error> {
        (self.query_typed_opt(statement, parameters)?).ok_or(Error::OtherRows)
    }

    /// Where there is one row or none.
    pub(super) fn query_typed_opt(
        &mut self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, Error> {
        let mut rows = self.query_typed(statement, parameters)?;
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            _ => Err(Error::OtherRows),
        }
    }

    /// Returns how many rows it has changed.
    pub(super) fn execute_typed(
        &mut self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, Error> {
        self.run(async |client| client.execute_typed(statement, parameters).await)
    }

    /// Statements without parameters.
    pub(super) fn batch_execute(&mut self, statements: &str) -> Result<(), Error> {
        self.run(async |client| client.batch_execute(statements).await)
    }

    /// Commits the transaction that is open.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        self.is_committing = true;
        let committed = self.batch_execute(sql::COMMIT);
        self.is_committing = false;
        committed.map_err(|error| match error.is_of_a_lost_connection() {
            true => Error::LostInCommit(error.into()),
            false => error,
        })
    }

    /// Begins a transaction. It is undone where what is returned is dropped before it is committed. Each statement sees what others have committed
    /// before it, whatever the database takes for usual: who has waited for a lock is to find what was done under it.
    pub(super) fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self, "BEGIN ISOLATION LEVEL READ COMMITTED")
    }

    /// Begins a transaction that reads from one state of the database.
    pub(super) fn snapshot(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    }

    /// What the database tells without being asked; waits for the first of it, but no longer than that.
    pub(super) fn notifications(&mut self, time: Duration) -> Result<Vec<Notification>, Error> {
        let (_, speaker) = self.link.as_mut().ok_or(Error::Closed)?;
        let notified = &mut self.notified;
        let told = poll_fn(|context| match speak(speaker, notified, context) {
            Ok(()) if notified.is_empty() => Poll::Pending,
            told => Poll::Ready(told),
        });
        // That nothing has been told in the time is an answer, too.
        let told = (self.runtime).block_on(async { timeout(time, told).await });
        let told = told.unwrap_or(Ok(()));
        self.forget_if_lost();
        told?;
        Ok(self.notified.drain(..).collect())
    }

    /// Asks, and waits for the answer.
    fn run<T>(
        &mut self,
        ask: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        let (client, speaker) = self.link.as_mut().ok_or(Error::Closed)?;
        let mut answer = None;
        let spoken = {
            let asking = pin!(async { answer = Some(ask(client).await) });
            let heard = (speaker, &mut self.notified);
            speak_until(&self.runtime, heard, (self.patience, &self.end), asking)
        };
        match &spoken {
            Err(Error::Silent(_)) => self.give_up(),
            _ => self.forget_if_lost(),
        }
        match (spoken, answer) {
            // It has been answered, whatever came behind.
            (_, Some(Ok(answer))) => Ok(answer),
            (Ok(()), answer) => Ok(answer.expect("it has been spoken until then")?),
            (Err(lost), _) => Err(lost),
        }
    }

    /// Nobody waits any more: the database need not go on with what it was asked, if it hears of that. What it may still answer is read by nobody.
    fn give_up(&mut self) {
        // A pooler takes it only while the connection is there.
        let Some((client, _speaker)) = self.link.take() else {
            return;
        };
        // One that waits for a standby would be there for others to see, and the standby would not have it.
        if self.is_committing {
            return;
        }
        let token = client.cancel_token();
        let cancelling = async {
            let socket = self.place.connect(&self.config).await.ok()?;
            let secured = secured(&self.tls, &self.place).ok()?;
            token.cancel_query_raw(socket, secured).await.ok()
        };
        // At the end too, when there is time for nothing else.
        let cancelled = (self.runtime).block_on(async { timeout(LAST_WORDS, cancelling).await });
        if !matches!(cancelled, Ok(Some(()))) {
            log::debug!("the database does not take word that nobody waits for it any more");
        }
    }

    fn forget_if_lost(&mut self) {
        self.link.take_if(|(client, _)| client.is_closed());
    }
}

impl Drop for Client {
    /// Says that it ends, which the database would log otherwise.
    fn drop(&mut self) {
        let Some((client, mut speaker)) = self.link.take() else {
            return;
        };
        drop(client);
        let ending = poll_fn(|context| speaker.poll_message(context).map(|told| told.is_none()));
        // In vain, at the worst.
        _ = (self.runtime).block_on(async { timeout(LAST_WORDS, ending).await });
    }
}

/// What makes a socket to there safe, as far as the address wants that.
fn secured(
    tls: &MakeRustlsConnect,
    place: &Place,
) -> Result<<MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect, Error> {
    let made = MakeTlsConnect::<Socket>::make_tls_connect(&mut tls.clone(), place.name());
    made.map_err(|error| Error::Io(io::Error::other(error)))
}

/// Has the socket go on, as far as it can.
fn speak(
    speaker: &mut Speaker,
    notified: &mut VecDeque<Notification>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    loop {
        match speaker.poll_message(context) {
            Poll::Ready(Some(Ok(AsyncMessage::Notification(told)))) => notified.push_back(told),
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(lost))) => return Err(Error::Postgres(lost)),
            Poll::Ready(None) => return Err(Error::Closed),
            Poll::Pending => return Ok(()),
        }
    }
}

/// Has the socket go on until something is done that depends on it.
fn speak_until(
    runtime: &Runtime,
    (speaker, notified): (&mut Speaker, &mut VecDeque<Notification>),
    (patience, end): (Patience, &End),
    mut asking: Pin<&mut dyn Future<Output = ()>>,
) -> Result<(), Error> {
    let spoken = poll_fn(|context| match speak(speaker, notified, context) {
        Ok(()) => asking.as_mut().poll(context).map(Ok),
        Err(lost) => {
            // What was answered before may have been read with the end.
            let _answered = asking.as_mut().poll(context);
            Poll::Ready(Err(lost))
        }
    });
    runtime.block_on(async { within(patience, end, spoken).await? })
}

/// Waits for it so long, but not beyond the end.
async fn within<T>(
    patience: Patience,
    end: &End,
    awaited: impl Future<Output = T>,
) -> Result<T, Error> {
    let mut awaited = pin!(awaited);
    let begun = Instant::now();
    let left = || {
        let left = match patience {
            Patience::Each(time) => time.saturating_sub(begun.elapsed()),
            Patience::Until(until) => until.saturating_duration_since(Instant::now()),
            Patience::ForEver => Duration::MAX,
        };
        left.min(end.left())
    };
    loop {
        // The end may be said meanwhile.
        match timeout(left().min(END_SEEN_EVERY), awaited.as_mut()).await {
            Ok(awaited) => return Ok(awaited),
            Err(_) if left().is_zero() => return Err(Error::Silent(begun.elapsed())),
            Err(_) => {}
        }
    }
}

/// A transaction that is open.
pub(super) struct Transaction<'a> {
    client: &'a mut Client,
    is_open: bool,
}

impl<'a> Transaction<'a> {
    fn begin(client: &'a mut Client, how: &str) -> Result<Self, Error> {
        client.batch_execute(how)?;
        Ok(Self {
            client,
            is_open: true,
        })
    }

    pub(super) fn commit(mut self) -> Result<(), Error> {
        self.is_open = false;
        self.client.commit()
    }
}

impl Deref for Transaction<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Client {
        self.client
    }
}

impl Drop for Transaction<'_> {
    /// A connection that cannot even do that is of no use any more, and says so to whoever asks next.
    fn drop(&mut self) {
        if self.is_open && self.client.batch_execute(sql::ROLLBACK).is_err() {
            self.client.link = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Begun, Fake, Part};
    use super::*;

    fn connected(fake: &Fake) -> Client {
        fake.connect((PATIENCE, &Arc::default()))
    }

    /// However much is asked.
    #[test]
    fn what_is_asked_first_is_waited_for_as_long_as_the_connection_all_together() {
        let fake = Fake::playing(&[Part::Silent]);
        let begun = Instant::now();
        match connected(&fake).patience {
            Patience::Until(until) => assert!(until < begun + 2 * PATIENCE, "{until:?}"),
            other => panic!("{other:?}"),
        }
        // Longer than any clock goes.
        let client = fake.connect((Duration::MAX, &Arc::default()));
        assert!(matches!(client.patience, Patience::ForEver));
    }

    #[test]
    fn what_is_under_way_at_the_end_is_cancelled_too() {
        let fake = Fake::playing(&[Part::Silent]);
        let end = Arc::new(End::default());
        let mut client = fake.connect((PATIENCE, &end));
        let now = Instant::now();
        end.be_at(now.checked_sub(GRACE).expect("it has run for longer"));
        let silent = client.batch_execute("SELECT 1").expect_err("it is silent");
        assert!(silent.is_silence(), "{silent}");
        assert!(now.elapsed() < PATIENCE, "it is waited for");
        let _next = connected(&fake);
        let begun = [Begun::Speaking, Begun::Cancelling, Begun::Speaking];
        assert_eq!(fake.begun(), begun);
    }

    #[test]
    fn the_last_word_of_a_pooler_is_one() {
        for (part, is_last) in [
            (&[Part::Told("FATAL", "08P01")], true),
            (&[Part::Told("PANIC", "XX000")], true),
            (&[Part::Told("ERROR", "08006")], true),
            (&[Part::Told("ERROR", "22012")], false),
        ] {
            let told = connected(&Fake::playing(part)).batch_execute("SELECT 1");
            let told = told.expect_err("it is told otherwise");
            assert_eq!(told.is_of_a_lost_connection(), is_last, "{told}");
            // And what was to be committed may be so all the same.
            match connected(&Fake::playing(part)).commit() {
                Err(Error::LostInCommit(_)) => assert!(is_last, "{part:?}"),
                failed => assert!(failed.is_err() && !is_last, "{failed:?}"),
            }
        }
    }

    /// What waits for a standby is not in it, and would be there all the same for whoever reads.
    #[test]
    fn a_commit_is_not_cancelled_as_all_else_is() {
        let fake = Fake::playing(&[Part::Silent]);
        let mut client = connected(&fake);
        client.patience = Patience::Each(Duration::from_millis(20));
        match client.commit() {
            Err(Error::LostInCommit(silent)) => assert!(silent.is_silence(), "{silent}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            client.batch_execute("SELECT 1"),
            Err(Error::Closed)
        ));
        let mut client = connected(&fake);
        client.patience = Patience::Each(Duration::from_millis(20));
        let silent = client.batch_execute("SELECT 1").expect_err("it is silent");
        assert!(silent.is_of_a_lost_connection(), "{silent}");
        // Right behind it, by the same thread.
        let _next = connected(&fake);
        let begun = [
            Begun::Speaking,
            Begun::Speaking,
            Begun::Cancelling,
            Begun::Speaking,
        ];
        assert_eq!(fake.begun(), begun);
    }
}
