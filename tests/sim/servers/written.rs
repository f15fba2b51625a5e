//! The table of what transactions have written to chatrooms: each has its number early or late before its commit, and some are given up.
//!
//! A row is there with its commit, whatever its number; the database says which transactions were over when it was asked. It forgets rows that are old, and
//! all where it goes on elsewhere, with numbers that there were before. An older server writes none.

use std::collections::BTreeMap;

use fastrand::Rng;
use loiter::model::ChatroomId;
use loiter::store::others::{Horizon, WRITTEN_KEPT};

use crate::store::hits;

/// Of each row the chatrooms and their newest messages.
type Found = Vec<(Vec<i64>, Vec<i64>)>;

#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    /// The first number that is nobody's yet.
    next: i64,
    /// Transactions that have one and are not over.
    open: Vec<i64>,
    /// In percent: transactions that write no rows.
    silent: u32,
    /// There were some that not all have asked for since.
    pub(super) is_incomplete: bool,
}

struct Row {
    transaction: i64,
    server: i64,
    time_ms: u64,
    chatrooms: Vec<i64>,
    lasts: Vec<i64>,
}

impl Table {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self {
            silent: [0, 0, 0, 30][rng.usize(..4)],
            ..Self::default()
        }
    }

    pub(super) fn mend(&mut self) {
        self.silent = 0;
    }

    /// A transaction is committed. Whether there is a row for it.
    pub(super) fn commit(
        &mut self,
        rng: &mut Rng,
        now_ms: u64,
        server: i64,
        lasts: &BTreeMap<ChatroomId, i64>,
    ) -> bool {
        let kept_ms = WRITTEN_KEPT.as_millis() as u64;
        self.rows.retain(|row| row.time_ms + kept_ms >= now_ms);
        while rng.bool() {
            let begun = self.take_number();
            self.open.push(begun);
        }
        if rng.u8(..8) == 0 && !self.open.is_empty() {
            self.open.swap_remove(rng.usize(..self.open.len()));
        }
        let transaction = match self.open.is_empty() || rng.bool() {
            true => self.take_number(),
            false => self.open.swap_remove(rng.usize(..self.open.len())),
        };
        if hits(rng, self.silent) {
            self.is_incomplete |= !lasts.is_empty();
            return false;
        }
        if !lasts.is_empty() {
            self.rows.push(Row {
                transaction,
                server,
                time_ms: now_ms,
                chatrooms: lasts.keys().map(|chatroom| chatroom.get()).collect(),
                lasts: lasts.values().copied().collect(),
            });
        }
        true
    }

    fn take_number(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }

    /// What there is of others behind that, and what is over now.
    pub(super) fn look(&self, behind: &Horizon, server: i64) -> (Found, Horizon) {
        let found = self
            .rows
            .iter()
            .filter(|row| row.server != server && behind.is_before(row.transaction));
        let found = found.map(|row| (row.chatrooms.clone(), row.lasts.clone()));
        let now = Horizon {
            next: self.next,
            open: self.open.clone(),
        };
        (found.collect(), now)
    }

    /// The database goes on elsewhere.
    pub(super) fn fail_over(&mut self, rng: &mut Rng) {
        self.rows.clear();
        self.open.clear();
        self.next = rng.i64(0..=self.next);
    }
}
