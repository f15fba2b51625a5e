//! How often something may be done: the messages of one user, the registrations from one address, in windows of a minute.
//!
//! A window begins with the first that is counted, and is over a minute later. What is refused does not count, so who asks again and
//! again is let through as soon as everybody else is.
//!
//! Windows are bounded in number. Where there are too many those go that have counted least (`make_room`): whoever fills the
//! table with newcomers throws out newcomers, not those who are at their limit; and nobody is ever refused for want of room.

use std::collections::HashMap;
use std::hash::Hash;

use super::Chat;
use super::call::{Failure, Reply};
use super::notice::Notice;
use crate::job::{Audience, Job, LOGINS_LOOP};
use crate::model::{Customer, Now, Secret, Ticket, UserId, Username};

/// How long a window is.
pub(super) const WINDOW_MS: u64 = 60_000;
/// Windows of one kind that are kept at a time.
pub(super) const WINDOWS_MAX: usize = 16_384;

/// What has counted so little, or begun so long ago, goes first; `None` goes for nothing.
pub(super) type Weight = Option<(u32, u64)>;
/// What must not go.
pub(super) const KEPT: Weight = Some((u32::MAX, u64::MAX));

/// Makes room for a quarter of the table, if it is full: so whoever fills it pays for each look through it themselves.
pub(super) fn make_room<K: Eq + Hash, V>(table: &mut HashMap<K, V>, weight: impl Fn(&V) -> Weight) {
    if table.len() < WINDOWS_MAX {
        return;
    }
    table.retain(|_, value| weight(value).is_some());
    let excess = (table.len()).saturating_sub(WINDOWS_MAX - WINDOWS_MAX / 4);
    if excess == 0 {
        return;
    }
    let mut weights: Vec<Weight> = table.values().map(&weight).collect();
    let (lighter, &mut bar, _) = weights.select_nth_unstable(excess - 1);
    let lighter = lighter.iter().filter(|weight| **weight < bar).count();
    let mut as_light = excess - lighter;
    table.retain(|_, value| {
        let weight = weight(value);
        let goes = weight < bar || (weight == bar && as_light > 0 && weight != KEPT);
        as_light -= usize::from(goes && weight == bar);
        !goes
    });
}

/// How often each of many has done something lately.
#[derive(Debug)]
pub(super) struct Rate<K> {
    /// 0 is unlimited.
    max: u32,
    windows: HashMap<K, Window>,
}

#[derive(Debug)]
struct Window {
    began_ms: u64,
    count: u32,
}

impl Window {
    fn is_over(&self, now_ms: u64) -> bool {
        self.count == 0 || now_ms >= self.began_ms + WINDOW_MS
    }
}

impl<K: Copy + Eq + Hash> Rate<K> {
    /// So many a minute; 0 is unlimited.
    pub(super) fn new(max: u32) -> Self {
        Self {
            max,
            windows: HashMap::new(),
        }
    }

    /// Whether there is a limit at all; if not, nothing is counted.
    pub(super) fn is_limited(&self) -> bool {
        self.max > 0
    }

    /// Counts one that is about to be done.
    ///
    /// # Errors
    /// It must not be: in how many seconds it is worth trying again.
    pub(super) fn begin(&mut self, now_ms: u64, key: K) -> Result<(), u64> {
        if !self.is_limited() {
            return Ok(());
        }
        let window = self.windows.get(&key);
        match window.filter(|window| !window.is_over(now_ms) && window.count >= self.max) {
            Some(window) => Err((window.began_ms + WINDOW_MS - now_ms).div_ceil(1000)),
            None => {
                self.note(now_ms, key);
                Ok(())
            }
        }
    }

    /// Counts one that was done elsewhere.
    pub(super) fn note(&mut self, now_ms: u64, key: K) {
        if !self.is_limited() {
            return;
        }
        if !self.windows.contains_key(&key) {
            make_room(&mut self.windows, |window| {
                (!window.is_over(now_ms)).then_some((window.count, window.began_ms))
            });
        }
        let window = self.windows.entry(key).or_insert(Window {
            began_ms: now_ms,
            count: 0,
        });
        if window.is_over(now_ms) {
            *window = Window {
                began_ms: now_ms,
                count: 0,
            };
        }
        window.count = window.count.saturating_add(1);
    }

    /// One that was counted has come to nothing. Where its window is over it is forgotten already.
    pub(super) fn take_back(&mut self, now_ms: u64, key: K) {
        if let Some(window) = self
            .windows
            .get_mut(&key)
            .filter(|window| !window.is_over(now_ms))
        {
            window.count -= 1;
        }
    }
}

/// Somebody who wants to be registered.
#[derive(Clone, Debug)]
pub struct Registration {
    pub(super) ticket: Ticket,
    pub(super) name: Username,
    pub(super) password: Secret,
    pub(super) customer: Customer,
}

/// The limits on what users do, beside that on failed logins.
#[derive(Debug)]
pub(super) struct Rates {
    sends: Rate<UserId>,
    /// Who sends what is being saved, while that is counted.
    senders: HashMap<Ticket, UserId>,
    /// At [`LOGINS_LOOP`] those of all loops.
    registrations: Rate<Customer>,
}

impl Rates {
    pub(super) fn new(sends_max: u32, registrations_max: u32) -> Self {
        Self {
            sends: Rate::new(sends_max),
            senders: HashMap::new(),
            registrations: Rate::new(registrations_max),
        }
    }

    /// Sends that are under way and counted.
    pub(super) fn len(&self) -> usize {
        self.senders.len()
    }

    /// Counts a message that is about to be saved; in how many seconds to try again, if it must not be.
    pub(super) fn begin_send(&mut self, now: Now, ticket: Ticket, user: UserId) -> Result<(), u64> {
        if !self.sends.is_limited() {
            return Ok(());
        }
        self.sends.begin(now.monotonic_ms, user)?;
        self.senders.insert(ticket, user);
        Ok(())
    }

    /// The store has saved a message of this user, for whichever loop; or has saved nothing. What comes from another server counts there.
    pub(super) fn end_send(&mut self, now: Now, ticket: Ticket, saved: Option<UserId>) {
        if !self.sends.is_limited() || ticket == Ticket::of_nobody() {
            return;
        }
        match (self.senders.remove(&ticket), saved) {
            (Some(_), Some(_)) | (None, None) => {}
            (Some(user), None) => self.sends.take_back(now.monotonic_ms, user),
            (None, Some(user)) => self.sends.note(now.monotonic_ms, user),
        }
    }
}

impl Chat {
    /// Registers somebody, unless too many have asked for that from where they are. What the store refuses counts too: else it would cost
    /// nothing to ask which names are taken.
    pub(super) fn register(&mut self, now: Now, registration: Registration) {
        let rate = &mut self.rates.registrations;
        if rate.is_limited() && self.settings.event_loop != LOGINS_LOOP {
            let notice = Notice::Register(registration);
            return self.tell(Audience::One(LOGINS_LOOP), notice);
        }
        let Registration {
            ticket,
            name,
            password,
            customer,
        } = registration;
        match rate.begin(now.monotonic_ms, customer) {
            Ok(()) => self.submit(Job::Register {
                ticket,
                customer,
                name,
                password,
            }),
            Err(retry_after_s) => {
                let failure = Failure::TooManyAttempts { retry_after_s };
                self.answer_anywhere(ticket, Reply::Failed(failure));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_minute_and_no_more() {
        let mut rate = Rate::new(2);
        assert_eq!(rate.begin(0, 'a'), Ok(()));
        assert_eq!(rate.begin(30_000, 'a'), Ok(()));
        assert_eq!(rate.begin(30_001, 'a'), Err(30));
        assert_eq!(rate.begin(30_001, 'b'), Ok(()), "it is not another's");
        // Being refused counts for nothing.
        assert_eq!(rate.begin(59_999, 'a'), Err(1));
        assert_eq!(rate.begin(60_000, 'a'), Ok(()));
        assert_eq!(rate.begin(60_000, 'a'), Ok(()));
        assert_eq!(rate.begin(60_000, 'a'), Err(60));
    }

    #[test]
    fn what_was_done_elsewhere_counts_and_what_came_to_nothing_does_not() {
        let mut rate = Rate::new(2);
        rate.note(0, 'a');
        assert_eq!(rate.begin(0, 'a'), Ok(()));
        rate.take_back(1, 'a');
        assert_eq!(rate.begin(1, 'a'), Ok(()));
        assert_eq!(rate.begin(1, 'a'), Err(60));
        // Its window is over: it counts in no other.
        rate.take_back(60_000, 'a');
        assert_eq!(rate.begin(60_000, 'a'), Ok(()));
        rate.take_back(60_000, 'b');
        rate.take_back(60_001, 'a');
        rate.take_back(60_001, 'a');
        assert_eq!(
            (rate.begin(60_001, 'a'), rate.begin(60_001, 'a')),
            (Ok(()), Ok(()))
        );
        assert_eq!(rate.begin(60_001, 'a'), Err(60));
    }

    /// The limit is each server's own; and what another tells is told again where it may have been missed.
    #[test]
    fn what_another_server_tells_counts_there() {
        let mut rates = Rates::new(1, 0);
        let now = Now {
            monotonic_ms: 0,
            unix_ms: 0,
        };
        let user = UserId::new(1).expect("positive");
        rates.end_send(now, Ticket::of_nobody(), Some(user));
        let ticket = Ticket {
            event_loop: 1,
            ..Ticket::of_nobody()
        };
        assert_eq!(rates.begin_send(now, ticket, user), Ok(()));
        rates.end_send(now, ticket, Some(user));
        // At another loop of this one it does.
        let mut other = Rates::new(1, 0);
        other.end_send(now, ticket, Some(user));
        assert_eq!(other.begin_send(now, ticket, user), Err(60));
    }

    #[test]
    fn zero_is_unlimited_and_counts_nothing() {
        let mut rate = Rate::new(0);
        for _ in 0..100 {
            assert_eq!(rate.begin(0, 'a'), Ok(()));
            rate.note(0, 'b');
        }
        assert!(rate.windows.is_empty());
    }

    #[test]
    fn who_fills_the_table_refuses_nobody_and_frees_nobody() {
        let mut rate = Rate::new(2);
        let held = u32::MAX;
        assert_eq!((rate.begin(0, held), rate.begin(0, held)), (Ok(()), Ok(())));
        for stranger in 0..5 * u32::try_from(WINDOWS_MAX).expect("few") {
            assert_eq!(rate.begin(1, stranger), Ok(()));
            assert!(rate.windows.len() <= WINDOWS_MAX);
        }
        assert_eq!(rate.begin(1, held), Err(60));
        // What is over goes before anybody who still counts.
        for stranger in 0..2 * u32::try_from(WINDOWS_MAX).expect("few") {
            assert_eq!(rate.begin(60_001, stranger), Ok(()));
        }
        assert!(rate.windows.len() <= WINDOWS_MAX);
    }

    #[test]
    fn room_is_made_of_what_is_light_and_not_of_what_is_kept() {
        let full = |weigh: fn(usize) -> Weight| {
            let mut table: HashMap<usize, Weight> =
                (0..WINDOWS_MAX).map(|n| (n, weigh(n))).collect();
            make_room(&mut table, |weight| *weight);
            table
        };
        let left = WINDOWS_MAX - WINDOWS_MAX / 4;
        let by_count = full(|n| Some((u32::try_from(n).expect("few"), 0)));
        assert_eq!(by_count.len(), left);
        assert!(by_count.keys().all(|&n| n >= WINDOWS_MAX / 4));
        let by_age = full(|n| Some((1, n as u64)));
        assert!(by_age.len() == left && by_age.keys().all(|&n| n >= WINDOWS_MAX / 4));
        assert_eq!(full(|_| Some((1, 1))).len(), left);
        assert_eq!(full(|_| None).len(), 0);
        assert_eq!(full(|_| KEPT).len(), WINDOWS_MAX);
    }
}
