//! What must hold where everything has been delivered.

use std::collections::BTreeMap;

use loiter::model::ConnectionKey;

use crate::ask::Ask;
use crate::data::chatroom_id;
use crate::loops::Held;
use crate::world::World;

impl World {
    /// Whose request had come before a drain, its connection does not end without an answer; unless its client has gone,
    /// takes none, has given way to others, or asked at the very end of the idle timeout.
    pub(crate) fn check_farewell(&mut self, at: usize, key: ConnectionKey) {
        let (now_ms, idle_timeout) = (self.now.monotonic_ms, self.config.idle_timeout);
        let is_tight = self.is_tight;
        let line = self.line_of(at, key);
        let asked = line.asked.front();
        let was_owed = asked.is_some_and(|asked| asked.came_before_drain);
        let is_there = !(line.is_reset || line.said_hung_up || line.is_stalled);
        let is_in_time = u128::from(now_ms - line.idle_ms) < idle_timeout.as_millis();
        if was_owed && is_there && is_in_time && !is_tight {
            let what = format!("what came before the drain has no answer: {asked:?}");
            self.demand(false, &what);
        }
    }

    /// What must hold when everything has been delivered and nothing is left to serve.
    pub(crate) fn check_rest(&self) {
        let mut held = 0;
        let mut followers = (0, 0);
        let mut by_session: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for line in self.lines.values() {
            let is_over = line.ended && line.is_finished && !line.is_closing;
            self.demand(!is_over, "both ends have ended, and it is not closed");
            if line.is_closing || line.is_finishing || line.key.is_none() {
                continue;
            }
            let Some(asked) = line.asked.front() else {
                self.demand(!self.ledger.is_draining, "a drain left who asks nothing");
                continue;
            };
            if asked.begun.is_none() {
                let is_here = asked.end <= line.arrived_up_to();
                self.demand(!is_here, "a whole request was never begun");
                continue;
            }
            held += 1;
            self.demand(asked.ask.waits(), "a call was never answered");
            let places = self.places(asked);
            for &(chatroom, read) in &places {
                let (heard, stored) = (self.ledger.heard(chatroom), self.stored(chatroom));
                let has_all = match self.cluster {
                    None => read == heard,
                    // What is gone before others have heard of it wakes nobody.
                    Some(_) => read == stored || self.kept_from(chatroom) > stored,
                };
                self.demand(has_all, &format!("a wake was lost: {asked:?}"));
            }
            if !matches!(asked.ask, Ask::Poll(_)) {
                followers.0 += 1;
                followers.1 += places.len();
            }
            self.demand(!line.hung_up, "a poll is held for nobody");
            self.demand(!self.ledger.is_draining, "a drain left a poll");
            let token = asked.token.as_deref().unwrap_or_default();
            let session = self.store.data.session(token).expect("it was good");
            self.demand(!session.is_gone, "a session that is gone has a poll");
            let mut chatrooms = places.iter();
            let has_joined = chatrooms.all(|&(id, _)| match self.cluster {
                None => self.ledger.has_joined(session.user, id),
                Some(_) => self.store.data.has_joined(session.user, chatroom_id(id)),
            });
            self.demand(has_joined, "who is not in it has a poll there");
            let has_ended = self.ledger.has_ended(asked.session);
            self.demand(!has_ended, "an ended session's poll is held");
            *by_session.entry((line.home, token)).or_default() += 1;
        }
        let max = self.config.max_polls_per_session;
        let most = by_session.values().max().copied().unwrap_or_default();
        self.demand(max == 0 || most <= max, "a session has too many polls");
        let counts = self.counts();
        self.demand(
            counts
                == Held {
                    held,
                    followers,
                    ..Held::default()
                },
            &format!("{held} polls should be held, {followers:?} in places: {counts:?}"),
        );
    }
}
