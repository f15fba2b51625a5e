//! How late a server may hear of what another has written: in simulated time, whatever becomes of hints.

use loiter::store::others::ROUND;

use crate::ask::Ask;
use crate::line::{Asked, Line};
use crate::world::World;

/// How often each asks ([`Config::ask_every`](loiter::config::Config::ask_every)).
pub(super) const ASK_EVERY_MS: u64 = 1_000;
/// How long a listener waits that nobody has told anything.
pub(super) const WAIT_MS: u64 = 250;
/// What one round of the listener's takes at most: looking, asking, fetching, telling.
pub(super) const ROUND_MS: u64 = 300;
/// Between a hint's coming and the loops' being told: the round under way, or a wait, and the next.
pub(super) const HINTED_MS: u64 = 2 * ROUND_MS;
/// Between a commit and the same, if no hint comes.
pub(super) const LATE_MS: u64 = ASK_EVERY_MS + HINTED_MS;
/// … and there is no row for it either.
pub(super) const ASKED_MS: u64 = 2 * (ROUND.as_millis() as u64 + LATE_MS);

impl World {
    /// At a turn's end: who waits for nothing but messages hears of all that are committed from now on.
    pub(crate) fn settle_floors(&mut self, at: usize) {
        if self.cluster.is_none() || self.loops[at].engine.has_work() {
            return;
        }
        let ids: Vec<u32> = (self.lines.iter())
            .filter(|(_, line)| line.home == at)
            .map(|(&id, _)| id)
            .collect();
        for id in ids {
            let settled = self.settled_places(&self.lines[&id]);
            let now_ms = self.now.monotonic_ms;
            let line = self.lines.get_mut(&id).expect("listed");
            let Some(asked) = line.asked.front_mut() else {
                continue;
            };
            match settled {
                None => asked.settled_ms = None,
                Some(stored) => {
                    asked.settled_ms.get_or_insert(now_ms);
                    asked
                        .floors
                        .retain(|id, _| stored.iter().any(|(of, _)| of == id));
                    for (chatroom, stored) in stored {
                        asked.floors.entry(chatroom).or_insert(stored);
                    }
                }
            }
        }
    }

    /// Where a line's poll or stream has its places, and how far these are; `None` where it has none yet.
    fn settled_places(&self, line: &Line) -> Option<Vec<(usize, i64)>> {
        let is_held = !line.is_closing && !line.is_finishing && !line.said_hung_up;
        let asked = line.asked.front().filter(|_| is_held)?;
        asked.begun?;
        if !asked.ask.waits() || self.awaits_store(line, asked) {
            return None;
        }
        let places = match &asked.ask {
            Ask::Several(_) => self.places(asked),
            ask => ask.chatroom().map(|id| (id, 0)).into_iter().collect(),
        };
        let stored = |(id, _)| (id, self.stored(id));
        Some(places.into_iter().map(stored).collect())
    }

    /// What is overdue has been posted to the loops, if somebody waits for it.
    pub(super) fn check_told_in_time(&self) {
        for line in self.lines.values() {
            let Some(asked) = line.asked.front() else {
                continue;
            };
            if asked.settled_ms.is_none() || !line.is_held() || self.awaits_store(line, asked) {
                continue;
            }
            // What a user has come into is looked at when the loop has heard of it.
            let places = self.places(asked).into_iter();
            for (chatroom, read) in places.filter(|(id, _)| asked.floors.contains_key(id)) {
                let read = read.max(self.ledger.heard(chatroom));
                let is_late = self.is_overdue(asked, chatroom, read);
                self.demand(!is_late, &format!("it is told late: {asked:?}"));
            }
        }
    }

    /// Whether a poll that has read so far should have been told by now of what another server has written.
    pub(crate) fn is_overdue(&self, asked: &Asked, chatroom: usize, read: i64) -> bool {
        let Some(cluster) = &self.cluster else {
            return false;
        };
        let is_settled = asked
            .settled_ms
            .is_some_and(|settled_ms| self.now.monotonic_ms >= settled_ms + HINTED_MS);
        let listener = &cluster.listeners[self.here];
        // What was due while the chatroom was loaded may be lost with the connection before anybody is told.
        let is_settled = is_settled && self.now.monotonic_ms >= listener.cut_until_ms() + LATE_MS;
        let overdue = listener.overdue(chatroom as i64);
        // What is gone before it was heard of wakes nobody.
        is_settled && read < overdue && self.kept_from(chatroom) <= overdue
    }
}
