//! What must hold where everything has been delivered.

use std::collections::BTreeMap;

use crate::ask::Ask;
use crate::loops::Held;
use crate::world::World;

impl World {
    /// What must hold when everything has been delivered and nothing is left to serve.
    pub(crate) fn check_rest(&self) {
        let mut held = 0;
        let mut by_session: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for line in self.lines.values() {
            let is_over = line.ended && line.is_finished && !line.is_closing;
            self.demand(!is_over, "both ends have ended, and it is not closed");
            if line.is_closing || line.is_finishing || line.key.is_none() {
                continue;
            }
            let Some(asked) = line.asked.front() else {
                continue;
            };
            let Some(begun) = asked.begun else {
                let is_here = asked.end <= line.arrived_up_to();
                self.demand(!is_here, "a whole request was never begun");
                continue;
            };
            held += 1;
            let Ask::Poll(poll) = asked.ask else {
                self.demand(false, "a call was never answered");
                continue;
            };
            let heard = self.ledger.heard(poll.chatroom);
            match poll.since {
                None => self.demand(begun.heard == heard, "a wake was lost"),
                Some(since) => {
                    self.demand(since == heard, "a poll is parked behind its chatroom");
                }
            }
            self.demand(!line.hung_up, "a poll is held for nobody");
            self.demand(!self.ledger.is_draining, "a drain left a poll");
            let token = asked.token.as_deref().unwrap_or_default();
            let session = self.store.data.session(token).expect("it was good");
            let has_joined = self.ledger.has_joined(session.user, poll.chatroom);
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
                    ..Held::default()
                },
            &format!("{held} polls should be held: {counts:?}"),
        );
    }
}
