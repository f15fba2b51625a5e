//! What a commit tells other servers: a row for each change, which they ask for, and a hint, of which anything may become.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use loiter::job::{Completion, Saved};
use loiter::model::ChatroomId;
use loiter::store::others::{Change, KEPT, hint, looked_back_ms};

use super::late::LATE_MS;
use crate::store::{Done, hits};
use crate::world::World;

/// How much earlier than its commit a transaction may have written what it has.
const WRITTEN_BEFORE_MS: u64 = 8_000;
/// Between the ids of the rows of one transaction and those of the next.
const IDS_EACH: i64 = 4096;

/// What is on its way from server to server.
#[derive(Default)]
pub(super) struct Telling {
    /// None are given: the servers only ask.
    has_hints: bool,
    /// In percent.
    lost: u32,
    late: u32,
    doubled: u32,
    rows: Vec<Row>,
    transactions: i64,
    /// The last transaction that has written rows about a chatroom, or about sessions (0).
    last_about: BTreeMap<i64, i64>,
    pub(super) hints: Vec<Hint>,
    /// Changes of the chronicle.
    changes: Vec<(usize, Change)>,
}

struct Row {
    id: i64,
    server: i64,
    time_ms: u64,
    change: Change,
}

pub(super) struct Hint {
    pub(super) to: usize,
    pub(super) due_ms: u64,
    pub(super) text: String,
}

impl Telling {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let percent = |rng: &mut Rng| [0, 0, 10, 50, 100][rng.usize(..5)];
        Self {
            has_hints: rng.u8(..4) > 0,
            lost: percent(rng),
            late: percent(rng),
            doubled: percent(rng),
            ..Self::default()
        }
    }

    /// Hints come from now on.
    pub(super) fn mend(&mut self) {
        (self.lost, self.late, self.doubled) = (0, 0, 0);
    }
}

impl World {
    /// What was committed the others are told of.
    pub(crate) fn tell_others(&mut self) {
        let Some(transactions) = &mut self.store.transactions else {
            return;
        };
        for done in std::mem::take(transactions) {
            self.tell_of(&done);
        }
    }

    fn tell_of(&mut self, done: &[Done]) {
        self.trace.note(format_args!("committed {done:?}"));
        let mut lasts: BTreeMap<ChatroomId, i64> = BTreeMap::new();
        let mut changes = Vec::new();
        for (completion, at) in done {
            let told = Change::told_by(completion);
            if let (Some(&change), Some(at)) = (told.first(), at) {
                self.cluster().telling.changes.push((*at, change));
            }
            self.note_in_ledgers(completion, *at, !told.is_empty());
            changes.extend(told);
            if let Completion::MessageSaved {
                chatroom,
                saved: Ok(Saved::New(message)),
                ..
            } = completion
            {
                lasts.insert(*chatroom, message.id.get());
                self.promise(*chatroom, message.id.get());
            }
        }
        self.write_rows(&changes);
        let number = self.listener().number;
        let text = hint(number, lasts.into_iter(), !changes.is_empty(), &[]);
        if let Some(text) = text {
            self.send_hints(&text);
        }
    }

    /// Every server must hear of a message in time.
    fn promise(&mut self, chatroom: ChatroomId, id: i64) {
        let due_ms = self.now.monotonic_ms + LATE_MS;
        for listener in &mut self.cluster().listeners {
            listener.promise(chatroom.get(), id, due_ms);
        }
    }

    fn note_in_ledgers(&mut self, completion: &Completion, at: Option<usize>, is_row: bool) {
        let committed = self.store.chronicle.now();
        let session = match completion {
            Completion::LoggedIn {
                login: Ok((user, token)),
                ..
            } => Some((crate::data::hash_of(&token.0), user.id)),
            _ => None,
        };
        let cluster = self.cluster.as_mut().expect("there are several servers");
        let others = cluster.away.iter_mut().flatten();
        for ledger in others.map(|server| &mut server.ledger) {
            ledger.note_committed(committed, at.filter(|_| is_row));
            if let Some((session, user)) = session {
                ledger.note_session(session, user);
            }
        }
        self.ledger.note_committed(committed, at);
    }

    fn write_rows(&mut self, changes: &[Change]) {
        let now_ms = self.now.monotonic_ms;
        let is_early = self.rng.u8(..4) == 0;
        let (back, back_ms) = match is_early {
            true => (self.rng.i64(0..4), self.rng.u64(..WRITTEN_BEFORE_MS)),
            false => (0, 0),
        };
        let server = self.listener().number;
        let telling = &mut self.cluster().telling;
        telling
            .rows
            .retain(|row| row.time_ms + KEPT.as_millis() as u64 >= now_ms);
        telling.transactions += 1;
        let latest = telling.transactions;
        let about = |change: &Change| match change {
            Change::Joined(chatroom, ..) | Change::Left(chatroom, _) => chatroom.get(),
            Change::Expired(chatroom, _) => -chatroom.get(),
            _ => 0,
        };
        // What concerns the same is locked by who writes it: only of what concerns something else rows are older than ones seen before.
        let last = |change: &Change| telling.last_about.get(&about(change)).copied();
        let first_free = changes.iter().filter_map(last).max().unwrap_or(0) + 1;
        let of = (latest - back).max(first_free).min(latest);
        let time_ms = now_ms - if of < latest { back_ms.min(now_ms) } else { 0 };
        let lane = latest - of;
        for (n, &change) in (0..).zip(changes) {
            telling.last_about.insert(about(&change), latest);
            telling.rows.push(Row {
                id: of * IDS_EACH + lane * 1024 + n,
                server,
                time_ms,
                change,
            });
        }
    }

    fn send_hints(&mut self, text: &str) {
        let now_ms = self.now.monotonic_ms;
        let others = (0..self.servers()).filter(|&to| to != self.here);
        for to in others.collect::<Vec<_>>() {
            let Self {
                cluster,
                rng,
                tally,
                ..
            } = self;
            let telling = &mut cluster.as_mut().expect("there are several").telling;
            if !telling.has_hints {
                continue;
            }
            if hits(rng, telling.lost) {
                tally.one("hints lost");
                continue;
            }
            let mut copies = 1;
            if hits(rng, telling.doubled) {
                tally.one("hints doubled");
                copies = 2;
            }
            for _ in 0..copies {
                let late_ms = match hits(rng, telling.late) {
                    true if rng.bool() => rng.u64(..20_000),
                    true => rng.u64(..300),
                    false => rng.u64(..3),
                };
                tally.add("hints late", (late_ms > 3).into());
                tally.one("hints");
                telling.hints.push(Hint {
                    to,
                    due_ms: now_ms + late_ms,
                    text: text.to_owned(),
                });
            }
        }
    }

    /// The rows that a server finds when it asks, which has asked last so long ago.
    pub(super) fn rows_of_others(
        &mut self,
        number: i64,
        away: Duration,
    ) -> Vec<(i64, Option<Change>)> {
        let now_ms = self.now.monotonic_ms;
        let back_ms = looked_back_ms(away) as u64;
        let rows = self.cluster().telling.rows.iter();
        let rows = rows.filter(|row| row.server != number && row.time_ms + back_ms > now_ms);
        let mut rows: Vec<_> = rows.map(|row| (row.id, Some(row.change))).collect();
        rows.sort_unstable_by_key(|row| row.0);
        rows
    }

    /// A change that is told now has its place in the chronicle.
    pub(super) fn note_change_told(&mut self, completion: &Completion) {
        let Some(change) = Change::told_by(completion).pop() else {
            return;
        };
        let cluster = self.cluster.as_ref().expect("there are several servers");
        let mut changes = cluster.telling.changes.iter();
        let ledger = &mut self.ledger;
        let at = changes.find(|(at, other)| *other == change && ledger.is_untold(*at));
        if let Some(&(at, _)) = at {
            ledger.note_told(at);
        }
    }
}
