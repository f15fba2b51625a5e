//! What comes to a loop by post: what the store says, and what other loops tell. Whom the host wakes has a box beside it (`wakes`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::handle::Handle;
use super::panicked::Panicked;
use super::wakes::WakeBox;
use crate::buffer::Bytes;
use crate::config::Config;
use crate::engine::{Engine, Notice};
use crate::job::{Audience, Completion, Fault};
use crate::model::Now;
use crate::runtime::{Counter, PostOffice};
use crate::store::{OpenError, Store};

/// One thing that a loop is told.
#[derive(Clone)]
pub(super) enum Letter {
    Completion(Completion),
    Notice(Notice),
}

/// One loop's box, and what was taken from it.
pub(super) struct Mailbox {
    office: Arc<PostOffice<Letter>>,
    number: usize,
    /// Whom the host wakes.
    pub(super) wakes: WakeBox,
    /// Taken and not yet told to the engine.
    inbox: VecDeque<Letter>,
    /// The same, but long lists, each for one who asked for it.
    long: VecDeque<Completion>,
    /// Bytes of those; what several get once.
    long_bytes: usize,
    /// How many get each of those lists, by where it begins in memory.
    long_lists: HashMap<usize, usize>,
}

/// Bytes beyond which a list is long. A letter beside it is told in microseconds, and the system copies a long list for a part of a millisecond.
const LONG_BYTES: usize = 16 * 1024;
/// Bytes of long lists that may wait, for that the lanes read faster than their clients are told. Whose list comes when there is no more room is told
/// 503: nothing was begun but reading.
const LONG_WAITING_MAX: usize = 32 * 1024 * 1024;

impl Mailbox {
    pub(super) fn new(office: &Arc<PostOffice<Letter>>, wakes: WakeBox, number: usize) -> Self {
        Self {
            office: Arc::clone(office),
            number,
            wakes,
            inbox: VecDeque::new(),
            long: VecDeque::new(),
            long_bytes: 0,
            long_lists: HashMap::new(),
        }
    }

    /// Its loop's number.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    #[cfg(test)]
    pub(super) fn office(&self) -> &PostOffice<Letter> {
        &self.office
    }

    /// Whether something was taken that the engine has not been told.
    pub(super) fn has_untold(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Whether something has come that was not taken yet: posted before anything that others have told of it.
    pub(super) fn has_post(&self) -> bool {
        self.office.has_post(self.number)
    }

    /// Whether long lists wait.
    pub(super) fn has_long(&self) -> bool {
        !self.long.is_empty()
    }

    /// Tells the engine what has come, in order, but for long lists: `max` of it at most, and until its answers are
    /// enough, by [`Engine::queued_bytes`].
    pub(super) fn tell(&mut self, now: Now, engine: &mut Engine, max: usize, enough: u64) {
        if self.has_post() {
            self.take();
        }
        for _ in 0..max {
            if engine.queued_bytes() >= enough {
                return;
            }
            match self.inbox.pop_front() {
                None => return,
                Some(Letter::Completion(completion)) => engine.complete(now, completion),
                Some(Letter::Notice(notice)) => engine.hear(now, notice),
            }
        }
    }

    fn take(&mut self) {
        let from = self.inbox.len();
        self.office.take(self.number, &mut self.inbox);
        let is_long = |letter: &Letter| match letter {
            Letter::Completion(completion) => read_bytes(completion) > LONG_BYTES,
            Letter::Notice(_) => false,
        };
        if !self.inbox.iter().skip(from).any(is_long) {
            return;
        }
        for letter in self.inbox.split_off(from) {
            match letter {
                Letter::Completion(completion) if read_bytes(&completion) > LONG_BYTES => {
                    self.push_long(completion);
                }
                other => self.inbox.push_back(other),
            }
        }
    }

    fn push_long(&mut self, mut completion: Completion) {
        if let Some(list) = completion.read_list() {
            let is_first = !self.long_lists.contains_key(&place(list));
            let bytes = if is_first { list.len() } else { 0 };
            if !self.long.is_empty() && self.long_bytes + bytes > LONG_WAITING_MAX {
                completion.fail_read(Fault::Overloaded);
            } else {
                self.long_bytes += bytes;
                *self.long_lists.entry(place(list)).or_default() += 1;
            }
        }
        self.long.push_back(completion);
    }

    fn pop_long(&mut self) -> Option<Completion> {
        let completion = self.long.pop_front()?;
        if let Some(list) = completion.read_list() {
            let waiting = self.long_lists.get_mut(&place(list));
            let waiting = waiting.expect("it was counted");
            *waiting -= 1;
            if *waiting == 0 {
                self.long_bytes -= list.len();
                self.long_lists.remove(&place(list));
            }
        }
        Some(completion)
    }

    /// Tells the engine of long lists, as much as `max_bytes` of text, and one at least.
    ///
    /// They may come later than what was posted behind them: what was read is as old as its question in any case, and a slower disk would have
    /// read it later.
    pub(super) fn tell_long(&mut self, now: Now, engine: &mut Engine, max_bytes: usize) {
        let mut told = 0;
        while told < max_bytes
            && let Some(completion) = self.pop_long()
        {
            told += read_bytes(&completion);
            engine.complete(now, completion);
        }
    }

    /// Posts to all other loops, or to one.
    pub(super) fn post(&self, to: Audience, notice: Notice) {
        let letter = Letter::Notice(notice);
        self.office.post(|counter| match to {
            Audience::One(number) => counter.put(number.into(), [letter]),
            Audience::All => {
                let others = (0..counter.boxes()).filter(|&number| number != self.number);
                others.for_each(|number| counter.put(number, [letter.clone()]));
            }
        });
    }
}

fn read_bytes(completion: &Completion) -> usize {
    completion.read_list().map_or(0, Bytes::len)
}

fn place(list: &Bytes) -> usize {
    list.as_ptr().addr()
}

/// Opens the store, whose lanes post what they say to those whom it concerns.
pub(super) fn open_store(
    config: &Config,
    office: &Arc<PostOffice<Letter>>,
    control: &Handle,
) -> Result<Store, OpenError> {
    let office = Arc::clone(office);
    let post = move |batch: Vec<Completion>| {
        office.post(|counter| {
            if counter.boxes() == 1 {
                return counter.put(0, batch.into_iter().map(Letter::Completion));
            }
            for completion in batch {
                put(counter, completion);
            }
        });
    };
    let control = control.clone();
    // Jobs would go unanswered: an end that is told is better.
    Store::open_watched(config, post, move |thread, payload| {
        control.fall(Panicked::new(format!("the thread {thread}"), payload));
    })
}

fn put(counter: &mut Counter<'_, Letter>, completion: Completion) {
    match completion.audience() {
        Audience::One(number) => counter.put(number.into(), [Letter::Completion(completion)]),
        Audience::All => {
            let letter = Letter::Completion(completion);
            (1..counter.boxes()).for_each(|number| counter.put(number, [letter.clone()]));
            counter.put(0, [letter]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{MessageBounds, MessageRange, MessageRows};
    use crate::model::{ChatroomId, ConnectionKey, Message, MessageId, Ticket, User, UserId};
    use crate::routes::Places;
    use crate::runtime::Reactor;
    use crate::server::wakes::Wakes;

    /// Of a connection that is gone; with two megabytes of text.
    fn long() -> Letter {
        let id = MessageId::new(1).expect("positive");
        let chatroom = ChatroomId::new(1).expect("positive");
        let message = Message {
            id,
            chatroom,
            user: User {
                id: UserId::new(1).expect("positive"),
                name: "ann".into(),
            },
            text: "x".repeat(2 * 1024 * 1024).into(),
            time_unix_ms: 0,
        };
        Letter::Completion(Completion::MessagesRead {
            ticket: Ticket {
                connection: ConnectionKey::from_bits(1 << 32).expect("a key"),
                exchange: 1,
                event_loop: 0,
            },
            chatroom,
            range: MessageRange::Before(None),
            read: Ok(MessageRows {
                messages: [&message].into_iter().collect(),
                bounds: MessageBounds {
                    first: id,
                    last: Some(id),
                },
            }),
        })
    }

    #[test]
    fn lists_that_wait_are_bounded_and_the_rest_is_told_so() {
        let config = Config {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            ..Config::default()
        };
        let reactors = Reactor::bind(&config, Vec::new(), b"").expect("loopback");
        let office = Arc::new(PostOffice::new([reactors[0].waker()]));
        let wakes = Wakes::new(Places::new(1, usize::MAX), [reactors[0].waker()]);
        let mut mailbox = Mailbox::new(&office, wakes.of_loop(0), 0);
        let mut engine = Engine::new(&config, 0);
        let many = |count| Vec::from_iter((0..count).map(|_| long()));
        office.post(|counter| counter.put(0, many(20)));
        mailbox.take();
        let is_overloaded = |completion: &Completion| match completion {
            Completion::MessagesRead { read, .. } => *read == Err(Fault::Overloaded),
            _ => false,
        };
        assert_eq!(mailbox.long.len(), 20);
        let overloaded = mailbox.long.iter().filter(|told| is_overloaded(told));
        assert_eq!(overloaded.count(), 5, "15 of a bit more than 2 MiB fit");
        // Once they have been told there is room again.
        mailbox.tell_long(Now::default(), &mut engine, usize::MAX);
        assert!(mailbox.long.is_empty());
        office.post(|counter| counter.put(0, many(15)));
        mailbox.take();
        assert!(!mailbox.long.iter().any(is_overloaded));
        mailbox.tell_long(Now::default(), &mut engine, usize::MAX);
        // What many get is there once.
        office.post(|counter| counter.put(0, vec![long(); 20]));
        mailbox.take();
        assert!(!mailbox.long.iter().any(is_overloaded));
        mailbox.tell_long(Now::default(), &mut engine, 1);
        assert_eq!((mailbox.long.len(), mailbox.long_lists.len()), (19, 1));
        mailbox.tell_long(Now::default(), &mut engine, usize::MAX);
        assert_eq!((mailbox.long_bytes, mailbox.long_lists.len()), (0, 0));
    }
}
