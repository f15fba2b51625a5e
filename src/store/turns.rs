//! Whose turn it is: what waits for a scarce thing is taken by turns, whoever has how much waiting.
//!
//! Turns come in rounds. What somebody puts here stands in the round after the last in which they have something, but not before
//! the next: so each has one item in a round at most, and a newcomer waits for one item of each of the others, not for all that one of
//! them has put here. Who has much waiting and is alone is served as fast as there is anything to serve.
//!
//! Rounds go on whoever comes: nobody new gets into one that has begun, so the last of many items waits for a bounded time too.
//!
//! Where all places are taken, what would be taken last gives its place up, if the newcomer would be taken in an earlier
//! round. So whoever fills all places has others leave with what is beyond their share, and never with that.

use std::collections::VecDeque;

/// Items that wait, each somebody's.
#[derive(Debug)]
pub(super) struct Turns<K, T> {
    /// By their rounds, and within one as they came.
    waiting: VecDeque<Waiting<K, T>>,
    /// The round of what was taken last.
    round: u64,
}

#[derive(Debug)]
struct Waiting<K, T> {
    round: u64,
    whose: K,
    item: T,
}

impl<K: Eq, T> Turns<K, T> {
    /// Nothing waits.
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            round: 0,
        }
    }

    /// How many items wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Puts an item where its turn is, if there are so many places. Returns what has given way to it.
    ///
    /// # Errors
    /// Gives the item back where no place is free, and none would be given up for it.
    pub(super) fn put(&mut self, whose: K, item: T, places: usize) -> Result<Option<T>, T> {
        let round = self.next_round_of(&whose);
        let is_full = self.waiting.len() >= places;
        if is_full && self.waiting.back().is_none_or(|last| last.round <= round) {
            return Err(item);
        }
        let gone = is_full.then(|| self.waiting.pop_back()).flatten();
        let at = self.waiting.partition_point(|other| other.round <= round);
        self.waiting.insert(at, Waiting { round, whose, item });
        Ok(gone.map(|gone| gone.item))
    }

    /// Takes the item whose turn it is.
    pub(super) fn take(&mut self) -> Option<T> {
        let next = self.waiting.pop_front()?;
        self.round = next.round;
        Some(next.item)
    }

    fn next_round_of(&self, whose: &K) -> u64 {
        let own = |waiting: &&Waiting<K, T>| waiting.whose == *whose;
        let last = self.waiting.iter().rev().find(own);
        last.map_or(self.round, |last| last.round) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts items of these, each told by whose it is and how many they had put here before.
    struct Line {
        turns: Turns<char, (char, usize)>,
        put: Vec<char>,
        places: usize,
    }

    impl Line {
        fn of(places: usize) -> Self {
            Self {
                turns: Turns::new(),
                put: Vec::new(),
                places,
            }
        }

        fn put(&mut self, whose: char) -> Result<Option<(char, usize)>, (char, usize)> {
            let before = self.put.iter().filter(|&&other| other == whose).count();
            self.put.push(whose);
            self.turns.put(whose, (whose, before + 1), self.places)
        }

        fn put_all(&mut self, whose: &str) {
            for whose in whose.chars() {
                assert_eq!(self.put(whose), Ok(None));
            }
        }

        fn take(&mut self, count: usize) -> String {
            let taken = (0..count).map_while(|_| self.turns.take());
            let taken = taken.map(|(whose, number)| format!("{whose}{number}"));
            taken.collect::<Vec<_>>().join(" ")
        }
    }

    #[test]
    fn who_is_alone_is_served_in_order_and_may_use_all_places() {
        let mut line = Line::of(4);
        line.put_all("aaaa");
        assert_eq!(line.put('a'), Err(('a', 5)));
        assert_eq!(line.take(2), "a1 a2");
        line.put_all("aa");
        assert_eq!(line.take(9), "a3 a4 a6 a7");
        assert_eq!(line.turns.len(), 0);
    }

    #[test]
    fn a_newcomer_waits_for_one_of_each_and_not_for_all_of_one() {
        let mut line = Line::of(99);
        line.put_all("aaaaabbb");
        assert_eq!(line.take(1), "a1");
        // Those of the round that has begun come first.
        line.put_all("cc");
        assert_eq!(line.take(99), "b1 a2 b2 c1 a3 b3 c2 a4 a5");
    }

    #[test]
    fn who_comes_again_at_once_has_no_more_turns_than_others() {
        let mut line = Line::of(99);
        line.put_all("aaaa");
        let mut taken = Vec::new();
        for _ in 0..3 {
            line.put_all("b");
            taken.push(line.take(2));
        }
        assert_eq!(taken, ["a1 b1", "a2 b2", "a3 b3"]);
    }

    #[test]
    fn newcomers_without_end_do_not_keep_the_last_of_many_from_its_turn() {
        let mut line = Line::of(99);
        line.put_all("aaa");
        let mut taken = Vec::new();
        for newcomer in ["b", "c", "d", "e", "f", "g"] {
            line.put_all(newcomer);
            taken.push(line.take(1));
        }
        assert_eq!(taken, ["a1", "b1", "a2", "c1", "d1", "a3"]);
    }

    #[test]
    fn who_fills_all_places_gives_way_to_others_with_what_is_beyond_their_share() {
        let mut line = Line::of(6);
        line.put_all("aaaaaa");
        assert_eq!(line.put('b'), Ok(Some(('a', 6))));
        assert_eq!(line.put('b'), Ok(Some(('a', 5))));
        assert_eq!(line.put('b'), Ok(Some(('a', 4))));
        // Each has a half, and keeps it.
        assert_eq!(line.put('b'), Err(('b', 4)));
        assert_eq!(line.put('a'), Err(('a', 7)));
        // Of three each has a third.
        assert_eq!(line.put('c'), Ok(Some(('b', 3))));
        assert_eq!(line.put('c'), Ok(Some(('a', 3))));
        assert_eq!(line.put('c'), Err(('c', 3)));
        assert_eq!(line.turns.len(), 6);
        assert_eq!(line.take(9), "a1 b1 c1 a2 b2 c2");
    }

    #[test]
    fn who_has_no_more_than_one_waiting_gives_way_to_nobody() {
        let mut line = Line::of(3);
        line.put_all("abc");
        assert_eq!(line.put('d'), Err(('d', 1)));
        assert_eq!(line.take(1), "a1");
        line.put_all("a");
        assert_eq!(line.put('d'), Err(('d', 2)));
        assert_eq!(line.take(9), "b1 c1 a2");
    }

    #[test]
    fn a_line_without_places_takes_nothing() {
        assert_eq!(Line::of(0).put('a'), Err(('a', 1)));
    }
}
