//! What waits to be read: what the loops load, and what somebody has asked for, each in a line of its own.
//!
//! **Nobody waits for all that another has asked for.** A long list costs milliseconds, and one user may ask for thousands at once. So what is
//! asked for is read by turns: one for each user who waits, then the next of each. Where all places are taken, who has most waiting gives
//! one up for a newcomer.
//!
//! **What is loaded costs microseconds, and whole calls wait for it** (a session, a chatroom's newest messages: an acknowledged
//! message's list among them), so it comes first; but for one turn of the others in so many, since anybody can have sessions looked for
//! with cookies that he made up.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::lane::Line;
use crate::job::Job;
use crate::model::UserId;

/// Loads between two reads, where both wait.
const LOADS_PER_READ: u32 = 64;

/// Jobs that wait for a reading lane.
#[derive(Default)]
pub(super) struct Reads {
    loads: VecDeque<Job>,
    asked: Shares,
    /// Since the last read.
    loads_taken: u32,
}

/// Jobs by who asked.
#[derive(Default)]
struct Shares {
    /// Each of `of` once, whose turn is next first.
    turns: VecDeque<UserId>,
    /// None is empty.
    of: HashMap<UserId, Share>,
    /// The same by how many wait, and of those with as many whose turn comes last is the last.
    by_weight: BTreeSet<(usize, u64, UserId)>,
    /// Turns that were ever given.
    turned: u64,
    count: usize,
}

/// What one of them has waiting.
struct Share {
    jobs: VecDeque<Job>,
    /// When it was given its next turn.
    turn: u64,
}

impl Reads {
    /// Puts what is loaded at its line's end, if there are so many places.
    ///
    /// # Errors
    /// Gives it back where none is free.
    pub(super) fn load(&mut self, job: Job, places: usize) -> Result<(), Job> {
        if self.loads.len() >= places {
            return Err(job);
        }
        self.loads.push_back(job);
        Ok(())
    }

    /// Puts what is asked for behind all that its reader has waiting, if there are so many places. Returns what has given way to it.
    ///
    /// # Errors
    /// Gives it back where no place is free, and nobody has two more waiting than its reader.
    pub(super) fn ask(
        &mut self,
        reader: UserId,
        job: Job,
        places: usize,
    ) -> Result<Option<Job>, Job> {
        let mut gone = None;
        if self.asked.count >= places {
            let own = self.asked.waiting_of(reader);
            match self.asked.most() {
                Some((most, waiting)) if waiting > own + 1 => gone = self.asked.give_up(most),
                _ => return Err(job),
            }
        }
        self.asked.put(reader, job);
        Ok(gone)
    }
}

impl Line<Job> for Reads {
    fn count(&self) -> usize {
        self.loads.len() + self.asked.count
    }

    fn next(&mut self) -> Option<Job> {
        let is_due = self.loads_taken >= LOADS_PER_READ && self.asked.count > 0;
        if !is_due && let Some(load) = self.loads.pop_front() {
            self.loads_taken = self.loads_taken.saturating_add(1);
            return Some(load);
        }
        self.loads_taken = 0;
        self.asked.take()
    }
}

impl Shares {
    fn waiting_of(&self, reader: UserId) -> usize {
        self.of.get(&reader).map_or(0, |own| own.jobs.len())
    }

    /// Who has most waiting; of those who have as much, whose turn comes last.
    fn most(&self) -> Option<(UserId, usize)> {
        let most = self.by_weight.last();
        most.map(|&(waiting, _, reader)| (reader, waiting))
    }

    fn put(&mut self, reader: UserId, job: Job) {
        self.change(reader, |own| own.push_back(job));
    }

    fn take(&mut self) -> Option<Job> {
        let reader = self.turns.pop_front()?;
        let own = self.of.get_mut(&reader).expect("its turn has come");
        self.by_weight.remove(&(own.jobs.len(), own.turn, reader));
        let job = own.jobs.pop_front();
        self.count -= 1;
        if own.jobs.is_empty() {
            self.of.remove(&reader);
        } else {
            self.turned += 1;
            own.turn = self.turned;
            self.turns.push_back(reader);
            self.by_weight.insert((own.jobs.len(), own.turn, reader));
        }
        job
    }

    /// The last that a reader has asked for, who has more than one.
    fn give_up(&mut self, reader: UserId) -> Option<Job> {
        self.change(reader, VecDeque::pop_back)
    }

    /// Changes what a reader has waiting, which is not nothing then.
    fn change<T>(&mut self, reader: UserId, change: impl FnOnce(&mut VecDeque<Job>) -> T) -> T {
        let own = self.of.entry(reader).or_insert_with(|| {
            self.turned += 1;
            self.turns.push_back(reader);
            Share {
                jobs: VecDeque::new(),
                turn: self.turned,
            }
        });
        let before = own.jobs.len();
        let changed = change(&mut own.jobs);
        let now = own.jobs.len();
        self.by_weight.remove(&(before, own.turn, reader));
        self.by_weight.insert((now, own.turn, reader));
        self.count = self.count + now - before;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConnectionKey, SessionHash, Ticket};

    /// Jobs of readers `1` to `9`, each told by whose it is and how many they had before; loads are `l`.
    #[derive(Default)]
    struct Lines {
        reads: Reads,
        asked: HashMap<i64, u32>,
        places: usize,
    }

    fn told(job: &Job) -> String {
        match job {
            Job::ListOverview { ticket, user } => format!("{}.{}", user.get(), ticket.exchange),
            Job::FindSession { .. } => "l".to_owned(),
            _ => unreachable!("no other is put here"),
        }
    }

    impl Lines {
        fn of(places: usize) -> Self {
            Self {
                places,
                ..Self::default()
            }
        }

        fn ask(&mut self, user: i64) -> Result<Option<String>, String> {
            let before = self.asked.entry(user).or_default();
            *before += 1;
            let ticket = Ticket {
                connection: ConnectionKey::from_bits(1 << 32).expect("a key"),
                exchange: *before,
                event_loop: 0,
            };
            let user = UserId::new(user).expect("positive");
            let job = Job::ListOverview { ticket, user };
            let asked = self.reads.ask(user, job, self.places);
            asked
                .map(|gone| gone.as_ref().map(told))
                .map_err(|job| told(&job))
        }

        fn ask_all(&mut self, users: &[i64]) {
            users
                .iter()
                .for_each(|&user| assert_eq!(self.ask(user), Ok(None)));
        }

        fn load(&mut self, count: usize) -> usize {
            let load = || Job::FindSession {
                event_loop: 0,
                session: SessionHash([0; 32]),
            };
            let places = self.places;
            (0..count)
                .filter(|_| self.reads.load(load(), places).is_ok())
                .count()
        }

        fn take(&mut self, count: usize) -> Vec<String> {
            (0..count)
                .map_while(|_| self.reads.next())
                .map(|job| told(&job))
                .collect()
        }
    }

    #[test]
    fn each_has_a_turn_before_any_has_two() {
        let mut lines = Lines::of(99);
        lines.ask_all(&[1, 1, 1, 1, 2, 2]);
        assert_eq!(lines.take(1), ["1.1"]);
        lines.ask_all(&[3]);
        assert_eq!(lines.take(3), ["2.1", "1.2", "3.1"]);
        assert_eq!(lines.take(9), ["2.2", "1.3", "1.4"]);
        assert_eq!(lines.reads.count(), 0);
        assert!(lines.reads.asked.of.is_empty() && lines.reads.asked.turns.is_empty());
    }

    #[test]
    fn who_has_most_gives_way_and_nobody_for_as_much() {
        let mut lines = Lines::of(4);
        lines.ask_all(&[1, 1, 1, 1]);
        assert_eq!(lines.ask(1), Err("1.5".to_owned()));
        assert_eq!(lines.ask(2), Ok(Some("1.4".to_owned())));
        assert_eq!(lines.ask(2), Ok(Some("1.3".to_owned())));
        assert_eq!(lines.ask(2), Err("2.3".to_owned()));
        assert_eq!(lines.ask(3), Ok(Some("2.2".to_owned())));
        assert_eq!(lines.ask(4), Ok(Some("1.2".to_owned())));
        // Each has one.
        assert_eq!(lines.ask(5), Err("5.1".to_owned()));
        assert_eq!(lines.take(9), ["1.1", "2.1", "3.1", "4.1"]);
    }

    #[test]
    fn what_is_loaded_comes_first_but_not_for_ever() {
        let most = LOADS_PER_READ as usize;
        let mut lines = Lines::of(3 * most);
        lines.ask_all(&[1, 1]);
        assert_eq!(lines.load(4 * most), 3 * most, "places of their own");
        assert_eq!(lines.take(most), vec!["l"; most]);
        assert_eq!(lines.take(2), ["1.1", "l"]);
        assert_eq!(lines.take(most - 1), vec!["l"; most - 1]);
        assert_eq!(lines.take(1), ["1.2"]);
        assert_eq!(lines.take(9 * most), vec!["l"; most]);
    }
}
