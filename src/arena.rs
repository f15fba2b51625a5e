//! Slab + generation → typed keys, and intrusive lists through the values.
//!
//! A [`Key`] names one value and never its successor in the same slot: a stale key reads
//! as none. Generations come from one counter for each arena, since a slab's vacant slot
//! remembers nothing; two values share a key only after 2^32 insertions in between.
//!
//! [`List`] links values of one arena in order, with O(1) push and removal anywhere. Links
//! are bare slot numbers (8 bytes a value for both directions): whoever removes a value from
//! its arena takes it off its lists first.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::Range;

use slab::Slab;

/// Names a value of an `Arena<_, M>`.
pub struct Key<M> {
    index: u32,
    generation: NonZeroU32,
    marker: PhantomData<fn() -> M>,
}

impl<M> Key<M> {
    /// The slot, for tables that run beside the arena.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The same, as small as it is kept.
    pub fn slot(self) -> u32 {
        self.index
    }

    /// The slot, for a reference that the value outlives.
    pub fn pin(self) -> Pinned<M> {
        Pinned {
            behind: NonZeroU32::new(self.index + 1).expect("arenas are bounded below 2^32"),
            marker: PhantomData,
        }
    }

    /// The key as one number that is never zero.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.index)
    }

    /// The key that [`Key::to_bits`] made; `None` for numbers that it cannot make.
    pub fn from_bits(bits: u64) -> Option<Self> {
        // Both halves are taken whole; the casts cut on purpose.
        let generation = NonZeroU32::new((bits >> 32) as u32)?;
        Some(Self::new(bits as u32, generation))
    }

    fn new(index: u32, generation: NonZeroU32) -> Self {
        Self {
            index,
            generation,
            marker: PhantomData,
        }
    }
}

impl<M> Clone for Key<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for Key<M> {}
impl<M> PartialEq for Key<M> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.generation == other.generation
    }
}
impl<M> Eq for Key<M> {}
impl<M> Hash for Key<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}
impl<M> PartialOrd for Key<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<M> Ord for Key<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.to_bits().cmp(&other.to_bits())
    }
}
impl<M> fmt::Debug for Key<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}#{})", self.index, self.generation)
    }
}

/// Names the value that stands in a slot now, in half the bytes of a [`Key`]: for whoever knows that it stays.
///
/// It does not tell the value from a successor. A value that refers to others so must be gone before they are.
pub struct Pinned<M> {
    /// One more than the slot, so that to have none of these costs no room.
    behind: NonZeroU32,
    marker: PhantomData<fn() -> M>,
}

impl<M> Pinned<M> {
    fn index(self) -> u32 {
        self.behind.get() - 1
    }
}

impl<M> Clone for Pinned<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for Pinned<M> {}
impl<M> PartialEq for Pinned<M> {
    fn eq(&self, other: &Self) -> bool {
        self.behind == other.behind
    }
}
impl<M> Eq for Pinned<M> {}
impl<M> fmt::Debug for Pinned<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({})", self.index())
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: NonZeroU32,
    value: T,
}

/// Values under keys that it mints.
#[derive(Debug)]
pub struct Arena<T, M = T> {
    slots: Slab<Slot<T>>,
    newest: u32,
    marker: PhantomData<fn() -> M>,
}

impl<T, M> Default for Arena<T, M> {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            newest: 0,
            marker: PhantomData,
        }
    }
}

/// Bytes of slots that a large arena begins with. Allocators take so much from the system by pages, which cost nothing
/// before they are used and are moved, not copied, when it grows; smaller ones would be copied from piece to piece, and
/// each would leave a hole.
const LARGE_BYTES: usize = 256 * 1024;

fn large_slots(bytes_each: usize) -> usize {
    (LARGE_BYTES / bytes_each.max(1)).next_power_of_two()
}

impl<T, M> Arena<T, M> {
    /// An empty arena that may come to hold very many values.
    pub fn large() -> Self {
        Self {
            slots: Slab::with_capacity(large_slots(size_of::<Slot<T>>())),
            ..Self::default()
        }
    }

    /// Takes a value in and names it.
    ///
    /// # Panics
    /// At 2^32 values: every arena of this crate is bounded far below.
    pub fn insert(&mut self, value: T) -> Key<M> {
        let generation = self.next_generation();
        let index = self.slots.insert(Slot { generation, value });
        Key::new(
            u32::try_from(index).expect("arenas are bounded below 2^32"),
            generation,
        )
    }

    fn next_generation(&mut self) -> NonZeroU32 {
        self.newest = self.newest.wrapping_add(1).max(1);
        NonZeroU32::new(self.newest).expect("at least 1")
    }

    /// The value, unless the key is stale.
    pub fn get(&self, key: Key<M>) -> Option<&T> {
        let slot = self.slots.get(key.index())?;
        (slot.generation == key.generation).then_some(&slot.value)
    }

    /// The value, unless the key is stale.
    pub fn get_mut(&mut self, key: Key<M>) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index())?;
        (slot.generation == key.generation).then_some(&mut slot.value)
    }

    /// Gives the value back and makes its key stale; `None` if it was stale already.
    pub fn remove(&mut self, key: Key<M>) -> Option<T> {
        self.get(key)?;
        Some(self.slots.remove(key.index()).value)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All values with their keys, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (Key<M>, &T)> {
        self.slots
            .iter()
            .map(|(index, slot)| (Key::new(index as u32, slot.generation), &slot.value))
    }

    /// The whole key of a value that has stayed.
    ///
    /// # Panics
    /// If it has not, and nothing stands in its slot.
    pub fn key_of(&self, pinned: Pinned<M>) -> Key<M> {
        self.key_at(pinned.index())
    }

    fn key_at(&self, index: u32) -> Key<M> {
        Key::new(index, self.slots[index as usize].generation)
    }

    fn at(&mut self, index: u32) -> &mut T {
        &mut self.slots[index as usize].value
    }
}

/// Values beside those of an arena, under the arena's keys.
#[derive(Debug)]
pub struct SideTable<T, M> {
    slots: Vec<Option<Slot<T>>>,
    len: usize,
    marker: PhantomData<fn() -> M>,
}

impl<T, M> Default for SideTable<T, M> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            len: 0,
            marker: PhantomData,
        }
    }
}

impl<T, M> SideTable<T, M> {
    /// Bytes of each slot, vacant or not.
    pub const SLOT_BYTES: usize = size_of::<Option<Slot<T>>>();

    /// An empty table for an arena that may come to hold very many values.
    pub fn large() -> Self {
        Self {
            slots: Vec::with_capacity(large_slots(Self::SLOT_BYTES)),
            ..Self::default()
        }
    }

    /// Puts a value beside the one that `key` names.
    ///
    /// # Panics
    /// If the slot still holds a value: the arena cannot have given it out twice.
    pub fn insert(&mut self, key: Key<M>, value: T) {
        if self.slots.len() <= key.index() {
            self.slots.resize_with(key.index() + 1, || None);
        }
        let generation = key.generation;
        let before = self.slots[key.index()].replace(Slot { generation, value });
        assert!(before.is_none(), "{key:?} was given out twice");
        self.len += 1;
    }

    /// The value, unless the key is stale.
    pub fn get(&self, key: Key<M>) -> Option<&T> {
        let slot = self.slots.get(key.index())?.as_ref()?;
        (slot.generation == key.generation).then_some(&slot.value)
    }

    /// The value, unless the key is stale.
    pub fn get_mut(&mut self, key: Key<M>) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index())?.as_mut()?;
        (slot.generation == key.generation).then_some(&mut slot.value)
    }

    /// Gives the value back; `None` if the key is stale.
    pub fn remove(&mut self, key: Key<M>) -> Option<T> {
        self.get(key)?;
        self.len -= 1;
        self.slots[key.index()].take().map(|slot| slot.value)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key of the value in a slot; `None` for a vacant one.
    pub fn key_in(&self, slot: u32) -> Option<Key<M>> {
        let occupied = self.slots.get(slot as usize)?.as_ref()?;
        Some(Key::new(slot, occupied.generation))
    }

    /// How many slots there are, vacant ones included: a bound for [`SideTable::keys_in`].
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The keys of the values in a range of slots, for going through all of them in pieces.
    pub fn keys_in(&self, slots: Range<usize>) -> Vec<Key<M>> {
        let end = slots.end.min(self.slots.len());
        let slots = slots.start.min(end)..end;
        let occupied = |index: usize| Some((index, self.slots[index].as_ref()?.generation));
        let keys = slots.filter_map(occupied);
        keys.map(|(index, generation)| Key::new(index as u32, generation))
            .collect()
    }
}

const NONE: u32 = u32::MAX;

/// A value's place in one [`List`]; the value owns one for each list that it can be in.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    prev: u32,
    next: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            prev: NONE,
            next: NONE,
        }
    }
}

/// The ends of a list through the values of one arena.
///
/// Each call is given that arena, and which of the value's links is meant.
#[derive(Debug)]
pub struct List<M> {
    head: u32,
    tail: u32,
    len: u32,
    marker: PhantomData<fn() -> M>,
}

impl<M> Default for List<M> {
    fn default() -> Self {
        Self {
            head: NONE,
            tail: NONE,
            len: 0,
            marker: PhantomData,
        }
    }
}

impl<M> List<M> {
    /// How many values are linked.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first value.
    pub fn front<T>(&self, arena: &Arena<T, M>) -> Option<Key<M>> {
        (self.head != NONE).then(|| arena.key_at(self.head))
    }

    /// The last value.
    pub fn back<T>(&self, arena: &Arena<T, M>) -> Option<Key<M>> {
        (self.tail != NONE).then(|| arena.key_at(self.tail))
    }

    /// The value behind `key`, which must be in this list.
    pub fn after<T>(
        &self,
        arena: &Arena<T, M>,
        key: Key<M>,
        link: impl Fn(&T) -> &Link,
    ) -> Option<Key<M>> {
        let next = link(arena.get(key)?).next;
        (next != NONE).then(|| arena.key_at(next))
    }

    /// The value before `key`, which must be in this list.
    pub fn before<T>(
        &self,
        arena: &Arena<T, M>,
        key: Key<M>,
        link: impl Fn(&T) -> &Link,
    ) -> Option<Key<M>> {
        let prev = link(arena.get(key)?).prev;
        (prev != NONE).then(|| arena.key_at(prev))
    }

    /// Links a value, which must not be in a list by this link, behind the last.
    pub fn push_back<T>(
        &mut self,
        arena: &mut Arena<T, M>,
        key: Key<M>,
        link: impl Fn(&mut T) -> &mut Link,
    ) {
        let index = key.index;
        debug_assert!(arena.get(key).is_some(), "{key:?} is stale");
        *link(arena.at(index)) = Link {
            prev: self.tail,
            next: NONE,
        };
        match self.tail {
            NONE => self.head = index,
            tail => link(arena.at(tail)).next = index,
        }
        self.tail = index;
        self.len += 1;
    }

    /// Unlinks a value, which must be in this list.
    pub fn remove<T>(
        &mut self,
        arena: &mut Arena<T, M>,
        key: Key<M>,
        link: impl Fn(&mut T) -> &mut Link,
    ) {
        debug_assert!(arena.get(key).is_some(), "{key:?} is stale");
        let Link { prev, next } = std::mem::take(link(arena.at(key.index)));
        match prev {
            NONE => self.head = next,
            prev => link(arena.at(prev)).next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => link(arena.at(next)).prev = prev,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_reads_as_none() {
        let mut arena: Arena<&str> = Arena::default();
        let old = arena.insert("old");
        assert_eq!(arena.remove(old), Some("old"));
        let new = arena.insert("new");
        assert_eq!(old.index(), new.index());
        assert_eq!(arena.get(old), None);
        assert_eq!(arena.remove(old), None);
        assert_eq!(arena.get(new), Some(&"new"));
    }

    #[test]
    fn a_pinned_value_has_its_key() {
        let mut arena: Arena<u8> = Arena::default();
        arena.insert(0);
        let key = arena.insert(1);
        assert_eq!(arena.key_of(key.pin()), key);
        assert_eq!(size_of_val(&key.pin()), 4);
    }

    #[test]
    fn keys_survive_packing() {
        let mut arena: Arena<u8> = Arena::default();
        arena.insert(0);
        let key = arena.insert(1);
        assert_eq!(Key::from_bits(key.to_bits()), Some(key));
        assert_eq!(Key::<u8>::from_bits(7), None);
    }

    #[test]
    fn generations_skip_zero_when_they_wrap() {
        let mut arena: Arena<u8> = Arena {
            newest: u32::MAX,
            ..Arena::default()
        };
        let key = arena.insert(9);
        assert_eq!(arena.get(key), Some(&9));
    }

    #[test]
    fn a_side_table_knows_stale_keys_too() {
        let mut arena: Arena<(), u8> = Arena::default();
        let mut table = SideTable::default();
        let old = arena.insert(());
        table.insert(old, 'a');
        assert_eq!(table.remove(old), Some('a'));
        arena.remove(old);
        let new = arena.insert(());
        table.insert(new, 'b');
        assert_eq!(table.get(old), None);
        assert_eq!(table.get_mut(new), Some(&mut 'b'));
        assert_eq!(table.key_in(new.slot()), Some(new));
        assert_eq!(table.key_in(new.slot() + 1), None);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn lists_unlink_anywhere() {
        // Every order of removing three values leaves the rest linked in order.
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut arena: Arena<Link> = Arena::default();
            let mut list = List::default();
            let keys: Vec<_> = (0..3).map(|_| arena.insert(Link::default())).collect();
            keys.iter()
                .for_each(|&key| list.push_back(&mut arena, key, |link| link));
            let mut left = keys.clone();
            for gone in order {
                list.remove(&mut arena, keys[gone], |link| link);
                arena.remove(keys[gone]);
                left.retain(|&key| key != keys[gone]);
                assert_eq!(walk(&list, &arena), left);
                assert_eq!(list.back(&arena), left.last().copied());
                assert_eq!(list.len(), left.len());
            }
        }
    }

    fn walk(list: &List<Link>, arena: &Arena<Link>) -> Vec<Key<Link>> {
        let mut seen = Vec::new();
        let mut next = list.front(arena);
        while let Some(key) = next {
            assert_eq!(list.before(arena, key, |link| link), seen.last().copied());
            seen.push(key);
            next = list.after(arena, key, |link| link);
        }
        seen
    }

    #[test]
    fn keys_and_links_are_eight_bytes() {
        assert_eq!(size_of::<Key<u8>>(), 8);
        assert_eq!(size_of::<Option<Key<u8>>>(), 8);
        assert_eq!(size_of::<Link>(), 8);
    }
}
