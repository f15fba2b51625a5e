//! What every lane is made of: a bounded queue to take jobs from, and an outlet for completions.
//!
//! A queue's givers are the event loops, which must never wait, so a full queue hands the item back.
//! Beyond its ordinary places it has some in reserve, for what would be worse to refuse:
//!
//! - In the writing queue, one for each hashing thread. What the password lane gives has cost a hash; to refuse it
//!   then would waste that work and invite the client to ask for it again. Where the reserve is taken too the
//!   hashing thread waits, and its own bounded queue pushes back in turn.
//! - In the reading queue, as many again for what the loops load to go on with what they have begun: an acknowledged
//!   message's list, a session's chatrooms. Anybody can fill the ordinary places of what is loaded with cookies that he made up.
//!
//! What waits is a line of one of three kinds: one is taken as it came, the others, for what costs most and whoever asks for it, by turns
//! ([`Turns`], [`Reads`]).
//!
//! A queue's end has two parts, since the password lane gives to the writing lane up to its own end:
//! [`Queue::finish_by`] says until when what waits may still be begun, [`Queue::close`] that nothing more comes.

use std::any::Any;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::job_error::JobError;
use super::reads::Reads;
use super::trouble;
use super::turns::Turns;
use crate::job::{Completion, Job};
use crate::model::UserId;

/// A bounded queue between threads: first in, first out, unless its line is another.
pub(super) struct Queue<T, L = VecDeque<T>> {
    state: Mutex<State<L>>,
    filled: Condvar,
    emptied: Condvar,
    /// Places for everything.
    items_max: usize,
    /// Places beyond those for [`Queue::push_load`] and [`Queue::push_reserved`].
    reserve: usize,
    items: PhantomData<fn() -> T>,
}

struct State<L> {
    items: L,
    /// When what waits is no longer begun, once that is decided.
    finish_by: Option<Instant>,
    closed: bool,
    /// Threads that sleep until there is an item. Notifying nobody would still cost a system call.
    takers_asleep: usize,
    /// Threads that sleep until there is a place in reserve.
    givers_asleep: usize,
}

/// What waits in a queue, in an order of its own.
pub(super) trait Line<T> {
    fn count(&self) -> usize;
    fn next(&mut self) -> Option<T>;
}

impl<T> Line<T> for VecDeque<T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn next(&mut self) -> Option<T> {
        self.pop_front()
    }
}

impl<K: Eq, T> Line<T> for Turns<K, T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn next(&mut self) -> Option<T> {
        self.take()
    }
}

/// What became of [`Queue::take`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// At least one item was taken.
    Items,
    /// The time has come, and there was no item.
    Nothing,
    /// There is no item and will be none, or the time to begin one is over.
    Closed,
}

impl<L> State<L> {
    fn is_over(&self) -> bool {
        self.finish_by.is_some_and(|end| end <= Instant::now())
    }
}

impl<T> Queue<T> {
    /// A queue of `items_max` places (one at least), and `reserve` more.
    pub(super) fn new(items_max: usize, reserve: usize) -> Self {
        Self::with(VecDeque::new(), items_max, reserve)
    }

    /// Puts an item at the end. Never waits for a place: the item comes back when the queue is full or has an end.
    pub(super) fn push<U>(&self, item: U) -> Result<(), U>
    where
        T: From<U>,
    {
        let state = self.insert(item)?;
        self.wake_taker(state);
        Ok(())
    }

    /// As [`Queue::push`], but wakes nobody: [`Queue::announce`] must follow, once for all that were pushed.
    ///
    /// A lane that is woken by the first of several may run before the others are there, and take it alone.
    pub(super) fn push_unannounced<U>(&self, item: U) -> Result<(), U>
    where
        T: From<U>,
    {
        self.insert(item).map(drop)
    }

    /// Wakes a taker for what was pushed unannounced.
    pub(super) fn announce(&self) {
        self.wake_taker(self.lock());
    }

    fn insert<U>(&self, item: U) -> Result<MutexGuard<'_, State<VecDeque<T>>>, U>
    where
        T: From<U>,
    {
        let mut state = self.lock();
        if state.finish_by.is_some() || state.items.len() >= self.items_max {
            return Err(item);
        }
        state.items.push_back(item.into());
        Ok(state)
    }

    /// Puts an item at the end, into the reserve where the queue is full; waits where the reserve is full too, but
    /// not beyond the queue's end, after which nobody takes what is put here.
    /// Who closes a queue first joins the threads that call this.
    pub(super) fn push_reserved(&self, item: T) {
        let mut state = self.lock();
        while state.items.len() >= self.places() && !state.is_over() {
            state.givers_asleep += 1;
            state = match state.finish_by {
                Some(end) => wait_until(&self.emptied, state, end),
                None => wait(&self.emptied, state),
            };
            state.givers_asleep -= 1;
        }
        state.items.push_back(item);
        self.wake_taker(state);
    }

    /// Waits for an item, at the latest until `until`, and appends all that are there to `items`, `max` at most.
    pub(super) fn take(&self, items: &mut Vec<T>, max: usize, until: Instant) -> Taken {
        let mut state = self.lock();
        while state.items.is_empty() || state.is_over() {
            if state.closed {
                return Taken::Closed;
            }
            if until <= Instant::now() {
                return Taken::Nothing;
            }
            state.takers_asleep += 1;
            state = wait_until(&self.filled, state, until);
            state.takers_asleep -= 1;
        }
        let count = state.items.len().min(max);
        items.extend(state.items.drain(..count));
        self.wake_givers(state);
        Taken::Items
    }
}

impl<K: Eq, T> Queue<T, Turns<K, T>> {
    /// A queue of `items_max` places (one at least) that are shared out, from which items are taken by turns.
    pub(super) fn by_turns(items_max: usize) -> Self {
        Self::with(Turns::new(), items_max, 0)
    }

    /// Puts an item where its turn is. Returns the other one that has given its place up for it.
    ///
    /// Never waits for a place: the item comes back when its share of the queue is full, or the queue has an end.
    pub(super) fn push_by_turns(&self, whose: K, item: T) -> Result<Option<T>, T> {
        let mut state = self.lock();
        if state.finish_by.is_some() {
            return Err(item);
        }
        let gone = state.items.put(whose, item, self.items_max)?;
        self.wake_taker(state);
        Ok(gone)
    }
}

impl Queue<Job, Reads> {
    /// A queue of `items_max` places (one at least) for what is loaded, as many for what is asked for, and `reserve` more for what is
    /// loaded and urgent.
    pub(super) fn of_reads(items_max: usize, reserve: usize) -> Self {
        Self::with(Reads::default(), items_max, reserve)
    }

    /// Puts what is loaded at its line's end, into the reserve if it is urgent and there is no other place.
    ///
    /// Never waits for a place: the job comes back when the line is full, or the queue has an end.
    pub(super) fn push_load(&self, job: Job, is_urgent: bool) -> Result<(), Job> {
        let places = if is_urgent {
            self.places()
        } else {
            self.items_max
        };
        let mut state = self.lock();
        if state.finish_by.is_some() {
            return Err(job);
        }
        state.items.load(job, places)?;
        self.wake_taker(state);
        Ok(())
    }

    /// Puts what somebody asks for where its turn is. Returns the other job that has given its place up for it.
    ///
    /// Never waits for a place: the job comes back when its share of the queue is full, or the queue has an end.
    pub(super) fn push_read(&self, reader: UserId, job: Job) -> Result<Option<Job>, Job> {
        let mut state = self.lock();
        if state.finish_by.is_some() {
            return Err(job);
        }
        let gone = state.items.ask(reader, job, self.items_max)?;
        self.wake_taker(state);
        Ok(gone)
    }
}

impl<T, L: Line<T>> Queue<T, L> {
    fn with(items: L, items_max: usize, reserve: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items,
                finish_by: None,
                closed: false,
                takers_asleep: 0,
                givers_asleep: 0,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            items_max: items_max.max(1),
            reserve,
            items: PhantomData,
        }
    }

    /// Waits for an item; `None` when the queue is closed and empty, or its time is over.
    pub(super) fn take_one(&self) -> Option<T> {
        let mut state = self.lock();
        while state.items.count() == 0 || state.is_over() {
            if state.closed {
                return None;
            }
            state.takers_asleep += 1;
            state = wait(&self.filled, state);
            state.takers_asleep -= 1;
        }
        let item = state.items.next();
        self.wake_givers(state);
        item
    }

    /// Refuses [`Queue::push`] from now on, and from `end` on leaves untaken what waits still. The first end holds.
    pub(super) fn finish_by(&self, end: Instant) {
        self.lock().finish_by.get_or_insert(end);
        self.emptied.notify_all();
    }

    /// Whether the queue's end has come: who waits for something else should give up.
    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over()
    }

    /// Waits until the queue's end, but no longer than until then.
    pub(super) fn wait_for_end(&self, until: Instant) {
        let mut state = self.lock();
        while !state.is_over() && Instant::now() < until {
            let end = state.finish_by.unwrap_or(until);
            state = wait_until(&self.emptied, state, until.min(end));
        }
    }

    /// Says that no more items come; those that are there can still be taken until the queue's end.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// How many items wait.
    pub(super) fn len(&self) -> usize {
        self.lock().items.count()
    }

    fn wake_taker(&self, state: MutexGuard<'_, State<L>>) {
        let asleep = state.takers_asleep > 0;
        drop(state);
        if asleep {
            self.filled.notify_one();
        }
    }

    fn wake_givers(&self, state: MutexGuard<'_, State<L>>) {
        let asleep = state.givers_asleep > 0;
        drop(state);
        if asleep {
            self.emptied.notify_all();
        }
    }

    fn places(&self) -> usize {
        self.items_max.saturating_add(self.reserve)
    }

    /// Nothing panics under the lock but a failing allocation, which leaves the items whole.
    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

fn wait_until<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    until: Instant,
) -> MutexGuard<'a, T> {
    let left = until.saturating_duration_since(Instant::now());
    let waited = condvar.wait_timeout(guard, left);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// Does what a lane has in hand. A panic costs that, and not the lane: those whose jobs wait, and all who come
/// later, would otherwise wait for ever. It is no reason to abort a host's process either: between two jobs
/// a lane has no state but its connection's, which can be rolled back.
pub(super) fn outlive<T>(work: impl FnOnce() -> Result<T, JobError>) -> Result<T, JobError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(JobError::Panicked))
}

/// Where the lanes post completions to, and tell of what they cannot go on from.
#[derive(Clone)]
pub(super) struct Outlet {
    post: Arc<dyn Fn(Vec<Completion>) + Send + Sync>,
    fell: Arc<Fell>,
}

/// Is told which thread will never answer what it has taken, and the payload of the panic that it died of.
pub(super) type Fell = dyn Fn(&str, &(dyn Any + Send)) + Send + Sync;

impl Outlet {
    pub(super) fn new(
        post: impl Fn(Vec<Completion>) + Send + Sync + 'static,
        fell: impl Fn(&str, &(dyn Any + Send)) + Send + Sync + 'static,
    ) -> Self {
        Self {
            post: Arc::new(post),
            fell: Arc::new(fell),
        }
    }

    /// Posts completions with one call, or none if there is no completion.
    ///
    /// A panic of the host's function ends here: a lane that died of it would leave all later jobs unanswered, as
    /// those of this call are.
    pub(super) fn post(&self, completions: Vec<Completion>) {
        if completions.is_empty() {
            return;
        }
        let count = completions.len();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.post)(completions))) {
            let lost = format_args!("{count} completions are lost: who takes them panicked");
            trouble::tell(log::Level::Error, lost);
            self.tell_of_fall(&*payload);
        }
    }

    /// Does all that a thread is for. It should outlive its jobs' panics; one that it does not is told.
    pub(super) fn watch(&self, run: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
            self.tell_of_fall(&*payload);
        }
    }

    fn tell_of_fall(&self, payload: &(dyn Any + Send)) {
        let thread = thread::current();
        let name = thread.name().unwrap_or("of the store");
        // There is nobody left to tell that the host cannot be told.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.fell)(name, payload)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn take_all(queue: &Queue<u32>, max: usize) -> Vec<u32> {
        let mut items = Vec::new();
        queue.take(&mut items, max, Instant::now());
        items
    }

    #[test]
    fn a_full_queue_gives_the_item_back() {
        let queue = Queue::new(2, 0);
        assert_eq!(queue.push(1u32), Ok(()));
        assert_eq!(queue.push(2u32), Ok(()));
        assert_eq!(queue.push(3u32), Err(3));
        assert_eq!(take_all(&queue, 9), [1, 2]);
        assert_eq!(queue.push(3u32), Ok(()));
    }

    #[test]
    fn a_batch_is_bounded_and_in_order() {
        let queue = Queue::new(9, 0);
        for item in 0..5u32 {
            queue.push(item).expect("a place");
        }
        assert_eq!(take_all(&queue, 3), [0, 1, 2]);
        assert_eq!(take_all(&queue, 3), [3, 4]);
        assert_eq!(
            queue.take(&mut Vec::new(), 3, Instant::now()),
            Taken::Nothing
        );
    }

    #[test]
    fn what_is_pushed_unannounced_is_there_and_bounded() {
        let queue = Arc::new(Queue::<u32>::new(2, 0));
        let (took, taken) = mpsc::channel();
        let taker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let mut items = Vec::new();
                let later = Instant::now() + Duration::from_secs(60);
                queue.take(&mut items, 9, later);
                took.send(items).expect("the test listens");
            }
        });
        while queue.lock().takers_asleep == 0 {
            thread::yield_now();
        }
        assert_eq!(queue.push_unannounced(1u32), Ok(()));
        assert_eq!(queue.push_unannounced(2u32), Ok(()));
        assert_eq!(queue.push_unannounced(3u32), Err(3));
        queue.announce();
        let items = taken.recv_timeout(Duration::from_secs(10));
        assert_eq!(items.expect("it was woken"), [1, 2]);
        taker.join().expect("no panic");
    }

    #[test]
    fn the_reserve_is_beyond_the_reach_of_push() {
        let queue = Queue::new(1, 1);
        queue.push(1u32).expect("a place");
        queue.push_reserved(2);
        assert_eq!(queue.push(3u32), Err(3));
        assert_eq!(take_all(&queue, 1), [1]);
        assert_eq!(queue.push(4u32), Err(4), "one waits still, in all");
        assert_eq!(take_all(&queue, 9), [2]);
    }

    #[test]
    fn a_queue_without_a_bound_has_one_all_the_same() {
        let queue = Queue::new(usize::MAX, 1);
        queue.push_reserved(1u32);
        assert_eq!(queue.take_one(), Some(1));
    }

    #[test]
    fn who_finds_the_reserve_full_waits_for_a_place() {
        let queue = Arc::new(Queue::new(1, 1));
        queue.push(1u32).expect("a place");
        queue.push_reserved(2);
        let (pushed, was_pushed) = mpsc::channel();
        let giver = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                queue.push_reserved(3);
                pushed.send(()).expect("the test listens");
            }
        });
        assert!(was_pushed.try_recv().is_err());
        assert_eq!(queue.take_one(), Some(1));
        was_pushed
            .recv_timeout(Duration::from_secs(10))
            .expect("the place is free");
        giver.join().expect("no panic");
        assert_eq!(take_all(&queue, 9), [2, 3]);
    }

    #[test]
    fn a_closed_queue_is_emptied_first() {
        let queue = Queue::<u32>::new(2, 0);
        queue.push(1u32).expect("a place");
        let later = Instant::now() + Duration::from_secs(60);
        queue.finish_by(later);
        queue.close();
        assert_eq!(queue.push(2u32), Err(2));
        assert_eq!(queue.take_one(), Some(1));
        assert_eq!(queue.take_one(), None);
        assert_eq!(queue.take(&mut Vec::new(), 1, later), Taken::Closed);
    }

    #[test]
    fn what_is_not_begun_by_the_end_is_left() {
        let queue = Queue::<u32>::new(1, 1);
        queue.push(1u32).expect("a place");
        queue.push_reserved(2);
        let now = Instant::now();
        queue.finish_by(now);
        queue.finish_by(now + Duration::from_secs(60));
        assert!(queue.is_over());
        // Nobody will make a place, so nobody waits for one.
        queue.push_reserved(3);
        assert_eq!(queue.take(&mut Vec::new(), 9, now), Taken::Nothing);
        queue.close();
        assert_eq!(queue.take(&mut Vec::new(), 9, now), Taken::Closed);
        assert_eq!(queue.take_one(), None);
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn who_waits_for_a_place_waits_no_longer_than_to_the_end() {
        let queue = Arc::new(Queue::<u32>::new(1, 0));
        queue.push(1u32).expect("a place");
        let giver = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.push_reserved(2)
        });
        queue.finish_by(Instant::now() + Duration::from_millis(10));
        giver.join().expect("no panic");
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn a_panic_of_the_host_ends_at_the_outlet_and_is_told() {
        let (told, fell) = mpsc::channel();
        let outlet = Outlet::new(
            |_| panic!("the host's own"),
            move |_, payload| {
                let reason = payload.downcast_ref::<&str>().copied();
                told.send(reason).expect("the test listens");
            },
        );
        outlet.post(vec![Completion::UserLoaded {
            event_loop: 0,
            user: crate::model::UserId::new(1).expect("positive"),
            chatrooms: Ok(Vec::new()),
        }]);
        assert_eq!(fell.try_recv(), Ok(Some("the host's own")));
    }

    #[test]
    fn a_thread_that_dies_is_told_by_its_name() {
        let (told, fell) = mpsc::channel();
        let outlet = Outlet::new(
            |_| (),
            move |thread, _| told.send(thread.to_owned()).expect("the test listens"),
        );
        let thread = thread::Builder::new().name("a-lane".to_owned());
        let thread = thread.spawn(move || outlet.watch(|| panic!("a defect")));
        thread.expect("a thread").join().expect("it ends well");
        assert_eq!(fell.recv().as_deref(), Ok("a-lane"));
    }
}
