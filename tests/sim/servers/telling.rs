//! What a commit tells other servers: a row for each change, which they ask for, and a hint, of which anything may become.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use loiter::job::{Completion, QuestionId, Saved, ServerQuestion};
use loiter::model::ChatroomId;
use loiter::store::others::{Change, Horizon, KEPT, hint, looked_back_ms};

use super::asking::lease_ms;
use super::late::{ASKED_MS, LATE_MS};
use super::written::Table;
use crate::store::{Transaction, hits};
use crate::world::World;

/// How much earlier than its commit a transaction may have written what it has.
const WRITTEN_BEFORE_MS: u64 = 8_000;
/// Ids that a transaction under way may have taken.
const HOLE_MAX: i64 = 8;

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
    /// The last id that was given to a row.
    last_id: i64,
    /// What transactions have taken that are not committed yet.
    holes: Vec<Hole>,
    transactions: i64,
    /// The last transaction that has written rows about a chatroom.
    last_about: BTreeMap<i64, i64>,
    pub(super) hints: Vec<Hint>,
    pub(super) written: Table,
    /// Changes of the chronicle.
    changes: Vec<(usize, Change)>,
}

struct Row {
    id: i64,
    /// In the order in which they were committed.
    transaction: i64,
    server: i64,
    time_ms: u64,
    change: Change,
}

/// Ids that were taken for rows that nobody sees yet.
struct Hole {
    first: i64,
    size: i64,
    time_ms: u64,
    /// The last transaction then.
    behind: i64,
}

pub(super) struct Hint {
    pub(super) to: usize,
    pub(super) due_ms: u64,
    pub(super) text: String,
}

/// What a change is of where an earlier one of the same must be seen before. A session ends once.
fn about(change: &Change) -> Option<i64> {
    match change {
        Change::Joined(chatroom, ..) | Change::Left(chatroom, _) => Some(chatroom.get()),
        Change::Expired(chatroom, _) => Some(-chatroom.get()),
        Change::SessionEnded(_) | Change::Asked(..) => None,
    }
}

impl Telling {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let percent = |rng: &mut Rng| [0, 0, 10, 50, 100][rng.usize(..5)];
        Self {
            has_hints: rng.u8(..4) > 0,
            lost: percent(rng),
            late: percent(rng),
            doubled: percent(rng),
            written: Table::draw(rng),
            ..Self::default()
        }
    }

    /// Where a transaction that was under way may have written these: the first id, and when.
    fn hole_for(&mut self, changes: &[Change]) -> Option<(i64, u64)> {
        // What concerns the same is locked by who writes it: only of what concerns something else rows are older than ones seen before.
        let lasts = changes.iter().filter_map(about);
        let lasts = lasts.filter_map(|about| self.last_about.get(&about));
        let last = lasts.max().copied().unwrap_or_default();
        let fits = |hole: &Hole| hole.size >= changes.len() as i64 && hole.behind >= last;
        let at = self.holes.iter().position(fits)?;
        let hole = self.holes.swap_remove(at);
        Some((hole.first, hole.time_ms))
    }

    /// What a server has asked since then.
    pub(super) fn questions_of(&self, number: i64, since_ms: u64) -> Vec<ServerQuestion> {
        let rows = self.rows.iter();
        let rows = rows.filter(|row| row.server == number && row.time_ms >= since_ms);
        rows.filter_map(|row| match row.change {
            Change::Asked(_, question) => Some(question),
            _ => None,
        })
        .collect()
    }

    /// Hints come from now on.
    pub(super) fn mend(&mut self) {
        (self.lost, self.late, self.doubled) = (0, 0, 0);
        self.written.mend();
    }
}

impl World {
    /// What was committed the others are told of.
    pub(crate) fn tell_others(&mut self) {
        let Some(transactions) = &mut self.store.transactions else {
            return;
        };
        for transaction in std::mem::take(transactions) {
            self.tell_of(transaction);
        }
    }

    fn tell_of(&mut self, transaction: Transaction) {
        let Transaction {
            done,
            asked,
            answered,
        } = transaction;
        self.trace
            .note(format_args!("committed {done:?} {asked:?} {answered:?}"));
        let mut lasts: BTreeMap<ChatroomId, i64> = BTreeMap::new();
        let mut changes = Vec::new();
        for (completion, at) in &done {
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
            }
        }
        self.write_rows(&changes);
        let is_changed = !changes.is_empty() || !asked.is_empty();
        self.ask_others(asked);
        let answered = self.answer_others(answered);
        let number = self.listener().number;
        let late_ms = match self.write_written(number, &lasts) {
            true => LATE_MS,
            false => ASKED_MS,
        };
        for (&chatroom, &last) in &lasts {
            self.promise(chatroom, last, late_ms);
        }
        let text = hint(number, lasts.into_iter(), is_changed, &answered);
        if let Some(text) = text {
            self.send_hints(&text);
        }
    }

    /// Whether there is a row for it.
    fn write_written(&mut self, number: i64, lasts: &BTreeMap<ChatroomId, i64>) -> bool {
        let now_ms = self.now.monotonic_ms;
        let Self { cluster, rng, .. } = self;
        let telling = &mut cluster.as_mut().expect("there are several").telling;
        let is_row = telling.written.commit(rng, now_ms, number, lasts);
        self.tally
            .add("rows lost", (!is_row && !lasts.is_empty()).into());
        is_row
    }

    /// Every server must hear of a message in time.
    fn promise(&mut self, chatroom: ChatroomId, id: i64, late_ms: u64) {
        let (now_ms, here) = (self.now.monotonic_ms, self.here);
        for (at, listener) in (0..).zip(&mut self.cluster().listeners) {
            // Who has written it is told by its lane, however late.
            let late_ms = if at == here { ASKED_MS } else { late_ms };
            listener.promise(chatroom.get(), id, now_ms + late_ms);
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
        let (is_early, begins_another) = (self.rng.u8(..4) == 0, self.rng.u8(..4) == 0);
        let taken = self.rng.i64(1..=HOLE_MAX);
        let server = self.listener().number;
        let telling = &mut self.cluster().telling;
        telling
            .rows
            .retain(|row| row.time_ms + KEPT.as_millis() as u64 >= now_ms);
        (telling.holes).retain(|hole| hole.time_ms + WRITTEN_BEFORE_MS > now_ms);
        telling.transactions += 1;
        let (first, time_ms) = match is_early {
            true => telling.hole_for(changes),
            false => None,
        }
        .unwrap_or((telling.last_id + 1, now_ms));
        for (id, &change) in (first..).zip(changes) {
            telling.last_id = id.max(telling.last_id);
            if let Some(about) = about(&change) {
                telling.last_about.insert(about, telling.transactions);
            }
            telling.rows.push(Row {
                id,
                transaction: telling.transactions,
                server,
                time_ms,
                change,
            });
        }
        if begins_another {
            telling.holes.push(Hole {
                first: telling.last_id + 1,
                size: taken,
                time_ms: now_ms,
                behind: telling.transactions,
            });
            telling.last_id += taken;
        }
    }

    /// Writes a row by which others are asked; its id is the question's number.
    pub(super) fn write_question(&mut self, question: ServerQuestion) -> i64 {
        let (server, time_ms) = (self.listener().number, self.now.monotonic_ms);
        let telling = &mut self.cluster().telling;
        telling.last_id += 1;
        telling.transactions += 1;
        let number = telling.last_id;
        telling.rows.push(Row {
            id: number,
            transaction: telling.transactions,
            server,
            time_ms,
            change: Change::Asked(QuestionId { server, number }, question),
        });
        number
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

    /// The rows that a server finds when it asks, which has asked last so long ago; only those of transactions that were not over then where that is not
    /// said; and which are over now. A question that nobody waits for any more is none.
    pub(super) fn rows_of_others(
        &mut self,
        number: i64,
        away: Option<Duration>,
    ) -> (Vec<(i64, Option<Change>)>, Option<Horizon>) {
        let now_ms = self.now.monotonic_ms;
        let behind = self.listener().seen.behind();
        let newest = behind.as_ref().filter(|_| away.is_none());
        let is_unseen = |row: &Row| {
            let behind = behind.as_ref();
            behind.is_some_and(|behind| behind.is_before(row.transaction))
        };
        let back_ms = looked_back_ms(away.unwrap_or_default()) as u64;
        let telling = &self.cluster().telling;
        let rows = telling.rows.iter().filter(|row| row.server != number);
        let rows = rows.filter(|row| match newest {
            Some(behind) => behind.is_before(row.transaction),
            None => row.time_ms + back_ms > now_ms || is_unseen(row),
        });
        let change = |row: &Row| {
            let is_over = row.time_ms + lease_ms() <= now_ms;
            Some(row.change).filter(|change| !(is_over && matches!(change, Change::Asked(..))))
        };
        let mut rows: Vec<_> = rows.map(|row| (row.id, change(row))).collect();
        rows.sort_unstable_by_key(|row| row.0);
        let over = Horizon {
            next: telling.transactions + 1,
            open: Vec::new(),
        };
        (rows, Some(over))
    }

    /// A change that is told now has its place in the chronicle.
    pub(super) fn note_change_told(&mut self, completion: &Completion) {
        if matches!(completion, Completion::ChangesMissed) {
            self.tally.one("changes missed");
            return self.ledger.note_all_told(&self.store.data);
        }
        let Some(change) = Change::told_by(completion).pop() else {
            return;
        };
        if let Change::Left(chatroom, user) = change
            && self.store.data.has_joined(user, chatroom)
        {
            self.tally.one("removals heard of by who is back");
        }
        let cluster = self.cluster.as_ref().expect("there are several servers");
        let mut changes = cluster.telling.changes.iter();
        let ledger = &mut self.ledger;
        let at = changes.find(|(at, other)| *other == change && ledger.is_untold(*at));
        if let Some(&(at, _)) = at {
            ledger.note_told(at);
        }
    }
}
