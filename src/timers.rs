//! A pure deadline queue: whoever owns it passes the time in.
//!
//! It is of slots in a table of the owner's, such as that of the connections, each of which is in the queue once at most. An owner
//! that moves a deadline later, or drops it, lets the old entry come up, compares it with what it holds itself,
//! and schedules anew where needed. So a request on a warm connection touches no timer at all.
//!
//! Slots that come up at the same time form a ring through the table of places, and only the rings are kept in order. So
//! a slot costs its place and no more, however often it is scheduled; time goes in steps, so that there are few rings.

use std::collections::BTreeMap;

/// A deadline, in steps of the monotonic clock: 17 years of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due(u32);

impl Due {
    /// No deadline.
    pub const NEVER: Self = Self(u32::MAX);
    /// Deadlines come due in steps of this length, so that many that lie close together cost one turn.
    pub const STEP_MS: u64 = 128;

    /// The first step that is not before this time.
    pub fn at(ms: u64) -> Self {
        u32::try_from(ms.div_ceil(Self::STEP_MS)).map_or(Self::NEVER, Self)
    }

    /// The step's time, in milliseconds of the monotonic clock.
    pub fn ms(self) -> u64 {
        u64::from(self.0) * Self::STEP_MS
    }

    /// Whether it is over.
    pub fn is_past(self, now_ms: u64) -> bool {
        self != Self::NEVER && self.ms() <= now_ms
    }
}

/// Slots by the time at which they come up; those of the same step in the order in which they were scheduled.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// Of each step's ring the first.
    rings: BTreeMap<Due, u32>,
    /// By slot.
    places: Vec<Place>,
    len: usize,
}

/// A slot's place in its step's ring. There may be a million: a test pins its size.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// When the slot comes up; never for one that is in no ring.
    due: Due,
    before: u32,
    behind: u32,
}

impl Place {
    const NONE: Self = Self {
        due: Due::NEVER,
        before: 0,
        behind: 0,
    };
}

/// Slots that there is room for from the start in a queue for very many, 384 KiB: as with a large arena (see `arena`), so
/// much comes from the system by pages, which cost nothing before they are used and leave no hole when it grows.
const LARGE: usize = 1 << 15;

impl Deadlines {
    /// An empty queue for a table that may come to hold very many slots.
    pub fn large() -> Self {
        Self {
            places: Vec::with_capacity(LARGE),
            ..Self::default()
        }
    }

    /// Makes sure that a slot comes up when it is due, or before. O(1) where it does already, O(log r) for r different
    /// steps where it does not.
    pub fn schedule(&mut self, due: Due, slot: u32) {
        if self.places.len() <= slot as usize {
            self.places.resize(slot as usize + 1, Place::NONE);
        }
        if due < self.at(slot).due {
            self.take_out(slot);
            self.put_in(due, slot);
        }
    }

    /// The slot that came up first by `now_ms`, taken out. O(log r).
    pub fn pop_due(&mut self, now_ms: u64) -> Option<u32> {
        let (due, &slot) = self.rings.first_key_value()?;
        if !due.is_past(now_ms) {
            return None;
        }
        self.take_out(slot);
        Some(slot)
    }

    /// When the next slot comes up, in milliseconds of the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        let (due, _) = self.rings.first_key_value()?;
        Some(due.ms())
    }

    /// How many slots wait, those that their owner has forgotten included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn at(&mut self, slot: u32) -> &mut Place {
        &mut self.places[slot as usize]
    }

    fn put_in(&mut self, due: Due, slot: u32) {
        let first = *self.rings.entry(due).or_insert(slot);
        let last = if first == slot {
            slot
        } else {
            self.at(first).before
        };
        *self.at(slot) = Place {
            due,
            before: last,
            behind: first,
        };
        self.at(last).behind = slot;
        self.at(first).before = slot;
        self.len += 1;
    }

    fn take_out(&mut self, slot: u32) {
        let Place {
            due,
            before,
            behind,
        } = std::mem::replace(self.at(slot), Place::NONE);
        if due == Due::NEVER {
            return;
        }
        self.len -= 1;
        if behind == slot {
            self.rings.remove(&due);
            return;
        }
        self.at(before).behind = behind;
        self.at(behind).before = before;
        let first = self.rings.get_mut(&due).expect("it has others");
        if *first == slot {
            *first = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(deadlines: &mut Deadlines, now_ms: u64) -> Vec<u32> {
        std::iter::from_fn(|| deadlines.pop_due(now_ms)).collect()
    }

    #[test]
    fn a_deadline_is_never_early_and_a_step_late_at_most() {
        for ms in [0, 1, 127, 128, 129, 1_000_000] {
            let due = Due::at(ms);
            assert!((ms..ms + Due::STEP_MS).contains(&due.ms()), "{ms}");
        }
        assert_eq!(Due::at(u64::MAX), Due::NEVER);
        assert!(!Due::NEVER.is_past(u64::MAX));
    }

    #[test]
    fn slots_come_up_in_order_and_not_before() {
        let mut deadlines = Deadlines::default();
        for (step, slot) in [(30, 3), (10, 7), (20, 0), (10, 5), (10, 6)] {
            deadlines.schedule(Due(step), slot);
        }
        let at = |step: u64| step * Due::STEP_MS;
        assert_eq!(deadlines.next_ms(), Some(at(10)));
        assert_eq!(deadlines.pop_due(at(10) - 1), None);
        assert_eq!(up(&mut deadlines, at(20)), [7, 5, 6, 0]);
        assert_eq!(deadlines.len(), 1);
        assert_eq!(up(&mut deadlines, u64::MAX), [3]);
        assert!(deadlines.is_empty());
        assert_eq!(deadlines.next_ms(), None);
        deadlines.schedule(Due::NEVER, 1);
        assert!(deadlines.is_empty());
    }

    #[test]
    fn a_slot_is_there_once_at_its_earliest_time() {
        let mut deadlines = Deadlines::default();
        for step in [75, 10, 80, 75, 10, 11] {
            deadlines.schedule(Due(step), 2);
            deadlines.schedule(Due(75), 9);
        }
        assert_eq!(deadlines.len(), 2);
        assert_eq!(up(&mut deadlines, Due(10).ms()), [2]);
        deadlines.schedule(Due(80), 2);
        assert_eq!(up(&mut deadlines, u64::MAX), [9, 2]);
    }

    #[test]
    fn whoever_leaves_a_ring_leaves_the_rest_of_it_whole() {
        for leaver in 0..4 {
            let mut deadlines = Deadlines::default();
            (0..4).for_each(|slot| deadlines.schedule(Due(20), slot));
            deadlines.schedule(Due(10), leaver);
            assert_eq!(deadlines.len(), 4);
            assert_eq!(up(&mut deadlines, Due(10).ms()), [leaver]);
            let rest = Vec::from_iter((0..4).filter(|&slot| slot != leaver));
            assert_eq!(up(&mut deadlines, Due(20).ms()), rest);
            assert!(deadlines.rings.is_empty());
        }
    }

    #[test]
    fn a_place_is_small() {
        assert_eq!(size_of::<Place>(), 12);
    }
}
