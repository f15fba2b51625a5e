//! What other servers must hear of beside messages, and what they are asked: written with what it is of, in the same transaction, and kept for ten minutes.
//!
//! Each server asks for what the others have written lately, as often as it asks for messages, and knows which of it it has seen: rows may become
//! visible in another order than that of their ids. Where a hint says that there is something new it asks only for what is.

use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::questions::Member;
use super::{questions, rows, sql};
use crate::job::Completion;
use crate::model::MessageId;
use crate::store::job_error::JobError;
use crate::store::others::{Change, Horizon, Seen, looked_back_ms};

/// Those of a transaction, column by column.
#[derive(Debug, Default)]
pub(super) struct Changes {
    kinds: Vec<&'static str>,
    chatrooms: Vec<i64>,
    users: Vec<i64>,
    sessions: Vec<Vec<u8>>,
    messages: Vec<i64>,
}

impl Changes {
    /// Notes what others must hear of what has come of a write.
    pub(super) fn note(&mut self, completion: &Completion) {
        for change in Change::told_by(completion) {
            self.push_change(change);
        }
    }

    /// Notes what no completion tells of.
    pub(super) fn push_change(&mut self, change: Change) {
        match change {
            Change::SessionEnded(session) => {
                self.push("session_ended", 0, 0, session.0.to_vec(), 0);
            }
            Change::Joined(chatroom, user, last) => {
                let last = last.map_or(0, MessageId::get);
                self.push("joined", chatroom.get(), user.get(), Vec::new(), last);
            }
            Change::Left(chatroom, user) => {
                self.push("left", chatroom.get(), user.get(), Vec::new(), 0);
            }
            Change::Expired(chatroom, first) => {
                self.push("expired", chatroom.get(), 0, Vec::new(), first.get());
            }
            Change::Asked(..) => unreachable!("nothing has come of a write then"),
        }
    }

    fn push(
        &mut self,
        kind: &'static str,
        chatroom: i64,
        user: i64,
        session: Vec<u8>,
        message: i64,
    ) {
        self.kinds.push(kind);
        self.chatrooms.push(chatroom);
        self.users.push(user);
        self.sessions.push(session);
        self.messages.push(message);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Writes them, within the transaction that is open; returns the last one's id.
    pub(super) fn write(&self, client: &mut Client, server: i64) -> Result<Option<i64>, JobError> {
        if self.is_empty() {
            return Ok(None);
        }
        let columns: &[(&(dyn ToSql + Sync), Type)] = &[
            (&server, Type::INT8),
            (&self.kinds, Type::TEXT_ARRAY),
            (&self.chatrooms, Type::INT8_ARRAY),
            (&self.users, Type::INT8_ARRAY),
            (&self.sessions, Type::BYTEA_ARRAY),
            (&self.messages, Type::INT8_ARRAY),
        ];
        let last = client.query_typed_one(sql::servers::ADD_CHANGES, columns)?;
        Ok(last.try_get(0)?)
    }
}

/// What was found.
pub(super) struct Heard {
    /// What others have changed or asked, as the loops are told of it.
    pub(super) told: Vec<Completion>,
    /// For how long who has asked waits from now on, by the question's number.
    pub(super) waits: Vec<(i64, Duration)>,
    /// The machine has slept since the last look.
    pub(super) has_slept: bool,
}

/// What others have asked, until the loops are told, or until nobody waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Asked(Vec<(Completion, Option<Instant>)>);

impl Asked {
    /// Takes the questions out of what was heard then, and leaves the rest.
    pub(super) fn take_from(&mut self, heard: Heard, then: Instant) -> Vec<Completion> {
        // The clock by which those of before have their time has stood still.
        if heard.has_slept {
            self.0.clear();
        }
        let mut changed = Vec::with_capacity(heard.told.len());
        for told in heard.told {
            match &told {
                Completion::ServerAsks { id, .. } => {
                    let mut waits = heard.waits.iter();
                    let waits = waits.find(|(question, _)| *question == id.number);
                    let until = waits.and_then(|(_, left)| then.checked_add(*left));
                    self.0.push((told, until));
                }
                _ => changed.push(told),
            }
        }
        changed
    }

    /// All whose answer somebody waits for.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Completion> {
        let asked = self.0.drain(..);
        let asked = asked.filter(|(_, until)| until.is_none_or(|until| now < until));
        asked.map(|(question, _)| question).collect()
    }
}

/// What others have changed or asked since that was looked at last, so long ago; only what was not to be seen at the last
/// look where that is not said. A question that nobody waits for any more is told to nobody.
pub(super) fn look(
    seen: &mut Seen,
    client: &mut Client,
    member: &Member,
    away: Option<Duration>,
) -> Result<Heard, JobError> {
    let newest = seen.behind().filter(|_| away.is_none());
    let back_ms = match &newest {
        Some(_) => 0,
        None => looked_back_ms(away.unwrap_or_default()),
    };
    let behind = seen.behind().unwrap_or(Horizon::END);
    let asked: &[(&(dyn ToSql + Sync), Type)] = &[
        (&member.number(), Type::INT8),
        (&behind.next, Type::INT8),
        (&behind.open, Type::INT8_ARRAY),
        (&(back_ms as f64), Type::FLOAT8),
    ];
    let rows = client.query_typed(sql::servers::CHANGES_OF_OTHERS, asked)?;
    let (mut now, mut time_ms) = (None, 0.0);
    let mut found = Vec::with_capacity(rows.len());
    let mut waits = Vec::new();
    for row in &rows {
        match row.try_get::<_, Option<i64>>(0)? {
            // What it has itself written, under another number.
            Some(id) if member.number.has_written(row.try_get(6)?, id) => found.push((id, None)),
            Some(id) => {
                let change = change(row, member)?;
                let change = change.map(|(change, left)| {
                    waits.extend(left.map(|left| (id, left)));
                    change
                });
                found.push((id, change));
            }
            None => {
                time_ms = row.try_get(7)?;
                now = Horizon::parse(row.try_get(8)?);
            }
        }
    }
    // While the machine slept its clock may have stood still. The database's has not.
    if let Some(away) = away
        && let Some(slept) = seen.slept(time_ms, away)
    {
        let heard = look(seen, client, member, Some(slept))?;
        return Ok(Heard {
            has_slept: true,
            ..heard
        });
    }
    if away.is_some() {
        seen.note_look(time_ms);
    }
    // In the order in which they were written.
    found.sort_unstable_by_key(|&(id, _)| id);
    let told = match (newest, away) {
        (Some(_), _) => seen.take_newest(found, now),
        (None, away) => seen.take(away.unwrap_or_default(), found, now),
    };
    Ok(Heard {
        told,
        waits,
        has_slept: false,
    })
}

/// What is in a row, and for how long somebody waits for an answer, if it is a question; nothing for a kind that a newer loiter has written.
fn change(
    row: &tokio_postgres::Row,
    member: &Member,
) -> Result<Option<(Change, Option<Duration>)>, JobError> {
    let kind: &str = row.try_get(1)?;
    let session = || rows::session(row, 4);
    let change = match kind {
        "session_ended" => Change::SessionEnded(session()?),
        "joined" => Change::Joined(
            rows::chatroom_id(row, 2)?,
            rows::user_id(row, 3)?,
            rows::message_id_if_any(row, 5)?,
        ),
        "left" => Change::Left(rows::chatroom_id(row, 2)?, rows::user_id(row, 3)?),
        "expired" => Change::Expired(rows::chatroom_id(row, 2)?, rows::message_id(row, 5)?),
        other => {
            let (age_ms, waits_ms): (f64, i64) = (row.try_get(7)?, row.try_get(5)?);
            let question = questions::question(other, row)?;
            // As long as who has asked waits for this server.
            let left_ms = waits_ms.max(member.lease_ms()) as f64 - age_ms;
            let left = Duration::try_from_secs_f64(left_ms / 1000.0).unwrap_or(Duration::ZERO);
            let question = question.filter(|_| !left.is_zero());
            return Ok(question.map(|question| (question, Some(left))));
        }
    };
    Ok(Some((change, None)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::client::PATIENCE;
    use super::super::fake::{Answer, Column, Fake, Part};
    use super::super::hearing::Hearing;
    use super::super::number::Number;
    use super::*;
    use crate::job::{QuestionId, ServerQuestion};
    use crate::store::others::Questions;

    const SECOND: Duration = Duration::from_secs(1);

    /// When the database's clock shows so many milliseconds.
    const fn time(ms: f64) -> [Column; 9] {
        use Column::{Float, Int, Null, Text};
        let (no, shown) = (Int(0), Float(ms));
        [Null, Null, no, no, Null, no, no, shown, Text("7:7:")]
    }

    /// What was asked so long ago by who waits a minute for the answer.
    const fn asked(number: i64, age_ms: f64) -> [Column; 9] {
        use Column::{Float, Int, Null, Text};
        let (kind, no, waits) = (Text("have_heard"), Int(0), Int(60_000));
        let (number, server, age) = (Int(number), Int(5), Float(age_ms));
        [number, kind, no, no, Null, waits, server, age, Null]
    }

    fn client(parts: &'static [Part]) -> Client {
        Fake::playing(parts).connect((PATIENCE, &Arc::default()))
    }

    fn member() -> Member {
        let questions = Questions::new(SECOND);
        Member {
            number: Arc::new(Number::draw().expect("a number")),
            hearing: Arc::new(Hearing::new(questions.lease())),
            questions: Arc::new(questions),
        }
    }

    fn numbers(asked: &[Completion]) -> Vec<i64> {
        let numbers = asked.iter().map(|asked| match asked {
            Completion::ServerAsks { id, .. } => id.number,
            other => panic!("{other:?}"),
        });
        numbers.collect()
    }

    #[test]
    fn a_sleep_is_not_forgotten_where_the_look_fails_that_follows() {
        const BEFORE: &[&[Column]] = &[&time(1_000.0)];
        const BEHIND: &[&[Column]] = &[&time(50_000.0)];
        let answers = &[Part::Answering(&[
            Answer::Rows(BEFORE),
            Answer::Rows(BEHIND),
            Answer::Failed("57014"),
            Answer::Rows(BEHIND),
            Answer::Rows(BEHIND),
            Answer::Rows(BEHIND),
        ])];
        let (mut client, member, mut seen) = (client(answers), member(), Seen::default());
        let mut looked = || look(&mut seen, &mut client, &member, Some(SECOND));
        assert!(!looked().expect("a look").has_slept);
        assert!(looked().is_err());
        assert!(looked().expect("a look").has_slept);
        assert!(!looked().expect("a look").has_slept);
    }

    #[test]
    fn what_was_asked_is_told_as_long_as_somebody_waits_for_it() {
        const FOUND: &[&[Column]] = &[
            &time(1_000.0),
            &asked(1, 59_000.0),
            &asked(2, 20_000.0),
            &asked(3, 60_000.0),
        ];
        let mut client = client(&[Part::Answering(&[Answer::Rows(FOUND); 3])]);
        let (member, now) = (member(), Instant::now());
        for (late, told) in [
            (SECOND / 2, &[1, 2][..]),
            (SECOND, &[2]),
            (40 * SECOND, &[]),
        ] {
            let mut asked = Asked::default();
            let heard = look(&mut Seen::default(), &mut client, &member, Some(SECOND));
            assert!(asked.take_from(heard.expect("a look"), now).is_empty());
            assert_eq!(numbers(&asked.take(now + late)), told);
            assert!(asked.take(now).is_empty(), "each is told once");
        }
    }

    #[test]
    fn what_was_asked_before_the_machine_slept_is_told_to_nobody() {
        let heard = |number, has_slept| {
            let id = QuestionId { server: 5, number };
            let question = ServerQuestion::HaveHeard;
            Heard {
                told: vec![Completion::ServerAsks { id, question }],
                waits: vec![(number, 60 * SECOND)],
                has_slept,
            }
        };
        let (mut asked, now) = (Asked::default(), Instant::now());
        for (number, has_slept) in [(1, false), (2, true), (3, false)] {
            asked.take_from(heard(number, has_slept), now);
        }
        assert_eq!(numbers(&asked.take(now)), [2, 3]);
    }
}
