//! Hints by publish/subscribe of a Redis or Valkey.
//!
//! Two threads with a connection each: one empties a box that the writing lane puts into and publishes what was in it, one is subscribed and fills a
//! box that the thread with the questions listens to. A Redis that is away, slow or another one after a restart is theirs alone: boxes are
//! bounded, and what is lost costs the time until it is asked for. Whoever has subscribed anew has all asked for at once.

mod address;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Client, Connection, RedisResult};

pub(super) use address::RedisAddress;

use super::hint_box::{Inbox, Outbox};
use super::hints::{PAUSE_MAX, PAUSE_MIN, Stop, WAIT_MAX, jittered};
use super::number::Number;
use crate::store::job_error::JobError;
use crate::store::lane::outlive;
use crate::store::trouble::Trouble;

/// How long a Redis may take to answer, or to be connected to, before it counts as away.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How long nothing may be heard before it is asked whether anybody is there.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Bytes of a hint; ours have fewer than that.
const HINT_MAX: usize = 8000;

/// What both threads have.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    shown: String,
    channel: String,
    /// The number that this server has.
    server: Arc<Number>,
    stop: Arc<Stop>,
}

impl Link {
    /// To a Redis that need not be there; servers that share the database `named` so hear of one another.
    pub(super) fn new(
        address: &RedisAddress,
        named: &str,
        server: Arc<Number>,
        stop: Arc<Stop>,
    ) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(address.info.clone())?,
            shown: address.shown.clone(),
            channel: format!("loiter:{}:{named}", address.info.redis_settings().db()),
            server,
            stop,
        })
    }

    /// Publishes what is in the box until it is to end.
    pub(super) fn tell(&self, outbox: &Outbox) {
        self.again_and_again("telling", |is_well| self.publish(outbox, is_well));
    }

    /// Fills the box until it is to end.
    pub(super) fn hear(&self, inbox: &Inbox) {
        self.again_and_again("hearing", |is_well| self.subscribe(inbox, is_well));
    }

    /// Connects again whenever the connection is lost: at once where it has been of use, else after pauses that grow and differ.
    fn again_and_again(
        &self,
        lane: &'static str,
        mut connected: impl FnMut(&mut dyn FnMut()) -> Result<(), JobError>,
    ) {
        let mut trouble = Trouble::new(lane);
        let mut pause = PAUSE_MIN;
        while !self.stop.is_over() {
            let mut was_well = false;
            let done = outlive(|| {
                connected(&mut || {
                    was_well = true;
                    trouble.over();
                })
            });
            let Err(error) = done else { continue };
            trouble.report(&error);
            pause = match was_well {
                true => PAUSE_MIN,
                false => (pause * 2).min(PAUSE_MAX),
            };
            self.stop.sleep(jittered(pause));
        }
    }

    fn connect(&self) -> RedisResult<Connection> {
        let connection = self.client.get_connection_with_timeout(ANSWER_MAX)?;
        connection.set_read_timeout(Some(ANSWER_MAX))?;
        connection.set_write_timeout(Some(ANSWER_MAX))?;
        Ok(connection)
    }

    fn publish(&self, outbox: &Outbox, is_well: &mut dyn FnMut()) -> Result<(), JobError> {
        let mut connection = self.connect().map_err(|error| self.failed(&error))?;
        while !self.stop.is_over() {
            let told = outbox.wait(WAIT_MAX);
            for text in told.texts(self.server.get()) {
                let mut publish = redis::cmd("PUBLISH");
                publish.arg(&self.channel).arg(text);
                if let Err(error) = publish.query::<i64>(&mut connection) {
                    outbox.put_back(told);
                    return Err(self.failed(&error));
                }
                is_well();
            }
        }
        Ok(())
    }

    fn subscribe(&self, inbox: &Inbox, is_well: &mut dyn FnMut()) -> Result<(), JobError> {
        self.listen(inbox, is_well)
            .map_err(|error| self.failed(&error))
    }

    fn listen(&self, inbox: &Inbox, is_well: &mut dyn FnMut()) -> RedisResult<()> {
        let mut connection = self.connect()?;
        let mut subscribed = connection.as_pubsub();
        subscribed.subscribe(&self.channel)?;
        inbox.miss();
        is_well();
        subscribed.set_read_timeout(Some(WAIT_MAX))?;
        let mut heard = Instant::now();
        while !self.stop.is_over() {
            match subscribed.get_message() {
                Ok(message) => {
                    heard = Instant::now();
                    let text = std::str::from_utf8(message.get_payload_bytes()).unwrap_or_default();
                    let server = self.server.get();
                    if text.len() <= HINT_MAX && !text.starts_with(&format!("{server} ")) {
                        inbox.take_in(text, server);
                    }
                }
                Err(error) if !error.is_timeout() => return Err(error),
                Err(_) if heard.elapsed() < SILENCE_MAX => {}
                Err(_) => {
                    subscribed.set_read_timeout(Some(ANSWER_MAX))?;
                    subscribed.ping::<redis::Value>()?;
                    subscribed.set_read_timeout(Some(WAIT_MAX))?;
                    heard = Instant::now();
                }
            }
        }
        Ok(())
    }

    fn failed(&self, error: &redis::RedisError) -> JobError {
        JobError::Redis(format!("{}: {error}", self.shown))
    }
}
