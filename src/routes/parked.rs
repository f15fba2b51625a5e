//! Requests that wait for a host's word, by its keys.
//!
//! Those who wait under one key are a topic: a list through the values, so that to park and to forget cost the same however many
//! wait. A wake takes the whole topic away, and with it exactly those who were parked by then: who parks under the same
//! key afterwards begins a new one. What was taken away is served in slices, topic by topic.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::response::Response;
use super::wake::Wake;
use crate::arena::{Arena, Key, Link, List, Pinned};
use crate::model::ConnectionKey;

/// Requests of one topic that are told before the next topic's turn.
const SLICE: usize = 64;

/// Names a parked request.
pub type ParkedKey = Key<Waiting>;

/// Requests that wait, at one loop.
#[derive(Debug)]
pub struct Parked {
    max: usize,
    waiting: Arena<Waiting>,
    topics: Arena<Topic>,
    /// Those that nothing has woken yet.
    by_key: HashMap<u64, Key<Topic>>,
    /// The same, in the order in which they began.
    unwoken: List<Topic>,
    /// Those that are being told, in turn; some may have lost all who waited.
    woken: VecDeque<Key<Topic>>,
    /// How many of the first of them were told in its turn.
    told: usize,
}

/// A request that waits. There may be very many: a test pins its size.
#[derive(Debug)]
pub struct Waiting {
    connection: ConnectionKey,
    exchange: u32,
    /// It stays as long as somebody waits under it.
    topic: Pinned<Topic>,
    link: Link,
    /// What it gets when its time is over.
    then: Response,
}

/// Those who wait under one key.
#[derive(Debug)]
struct Topic {
    key: u64,
    waiting: List<Waiting>,
    wake: Option<Arc<Wake>>,
    /// In `unwoken`.
    link: Link,
}

/// Who is told, and what.
#[derive(Debug)]
pub struct Told {
    /// Whose request it was.
    pub connection: ConnectionKey,
    /// Which of the connection's exchanges.
    pub exchange: u32,
    /// What it is answered with.
    pub response: Response,
}

/// What is held right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that wait, woken and not yet told included.
    pub requests: usize,
    /// Keys under which some wait whom nothing has woken, and wakes that are not over.
    pub topics: usize,
    /// Places in the queue of those that are being told.
    pub woken: usize,
}

impl Parked {
    /// Nobody. `max` may wait at a time.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            waiting: Arena::default(),
            topics: Arena::default(),
            by_key: HashMap::new(),
            unwoken: List::default(),
            woken: VecDeque::new(),
            told: 0,
        }
    }

    /// Parks a connection's exchange under a key; `None` where as many wait as may.
    pub fn park(
        &mut self,
        (connection, exchange): (ConnectionKey, u32),
        key: u64,
        then: Response,
    ) -> Option<ParkedKey> {
        if self.waiting.len() >= self.max {
            return None;
        }
        let topic = self.topic(key);
        let parked = self.waiting.insert(Waiting {
            connection,
            exchange,
            topic: topic.pin(),
            link: Link::default(),
            then,
        });
        let list = &mut self.topics.get_mut(topic).expect("it has just been found");
        (list.waiting).push_back(&mut self.waiting, parked, |waiting| &mut waiting.link);
        Some(parked)
    }

    fn topic(&mut self, key: u64) -> Key<Topic> {
        if let Some(&topic) = self.by_key.get(&key) {
            return topic;
        }
        let topic = self.topics.insert(Topic {
            key,
            waiting: List::default(),
            wake: None,
            link: Link::default(),
        });
        self.by_key.insert(key, topic);
        (self.unwoken).push_back(&mut self.topics, topic, |topic| &mut topic.link);
        topic
    }

    /// Who waits is gone, or has waited long enough: under which key, and what it was to get then. `None` for a stale key.
    pub fn remove(&mut self, parked: ParkedKey) -> Option<(u64, Response)> {
        let topic = self.topics.key_of(self.waiting.get(parked)?.topic);
        let list = self.topics.get_mut(topic).expect("it stays as long");
        let key = list.key;
        (list.waiting).remove(&mut self.waiting, parked, |waiting| &mut waiting.link);
        let waiting = self.waiting.remove(parked).expect("it was found");
        self.end_if_empty(topic);
        Some((key, waiting.then))
    }

    /// The key of each request that waits, in no order.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().map(|(_, waiting)| {
            let topic = self.topics.get(self.topics.key_of(waiting.topic));
            topic.expect("it stays as long").key
        })
    }

    fn end_if_empty(&mut self, key: Key<Topic>) {
        let Some(topic) = self.topics.get(key).filter(|one| one.waiting.is_empty()) else {
            return;
        };
        if topic.wake.is_none() {
            self.by_key.remove(&topic.key);
            (self.unwoken).remove(&mut self.topics, key, |topic| &mut topic.link);
        }
        // One that is being told is found stale in its turn.
        self.topics.remove(key);
    }

    /// Wakes those who wait under a key, in later slices. Nobody may.
    pub fn wake(&mut self, wake: Arc<Wake>) {
        let Some(key) = self.by_key.remove(&wake.key()) else {
            return;
        };
        (self.unwoken).remove(&mut self.topics, key, |topic| &mut topic.link);
        let topic = self.topics.get_mut(key).expect("it was found by its key");
        topic.wake = Some(wake);
        self.woken.push_back(key);
    }

    /// The key under which somebody has waited for longest whom nothing has woken.
    pub fn next_key(&self) -> Option<u64> {
        let topic = self.unwoken.front(&self.topics)?;
        self.topics.get(topic).map(|topic| topic.key)
    }

    /// Whether somebody has been woken and not been told.
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Somebody who has been woken, and what they are told: they wait no more.
    pub fn next_told(&mut self) -> Option<Told> {
        loop {
            let key = *self.woken.front()?;
            let Some(topic) = self.topics.get(key) else {
                self.woken.pop_front();
                self.told = 0;
                continue;
            };
            if self.told == SLICE {
                self.woken.rotate_left(1);
                self.told = 0;
                continue;
            }
            self.told = self.told.saturating_add(1);
            let wake = topic.wake.as_ref().expect("it was woken");
            let response = wake.response().clone();
            let parked = topic
                .waiting
                .front(&self.waiting)
                .expect("it stays as long");
            let waiting = self.waiting.get(parked).expect("it is in the list");
            let told = Told {
                connection: waiting.connection,
                exchange: waiting.exchange,
                response,
            };
            self.remove(parked);
            return Some(told);
        }
    }

    /// What is held.
    pub fn counts(&self) -> Counts {
        Counts {
            requests: self.waiting.len(),
            topics: self.topics.len(),
            woken: self.woken.len(),
        }
    }
}

#[cfg(test)]
mod tests;
