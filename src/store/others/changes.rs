//! What other servers must hear of beside messages, and are asked; and which of it has been heard of.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Horizon;
use crate::job::{AddedRow, ChatroomRow, Completion, QuestionId, RemovedRow, ServerQuestion};
use crate::model::{ChatroomId, MessageId, SessionHash, Ticket, UserId};

/// How long back a server looks beyond the time of its last look: longer than a transaction may take.
const LOOKED_BACK: Duration = Duration::from_secs(20);

/// How long changes are kept: a server that has not looked for so long, less what it looks back, may have missed some.
pub const KEPT: Duration = Duration::from_secs(600);

/// How far back a server looks whose last look was so long ago, in milliseconds.
pub fn looked_back_ms(away: Duration) -> i64 {
    let back = LOOKED_BACK.saturating_add(away).min(KEPT);
    i64::try_from(back.as_millis()).unwrap_or(i64::MAX)
}

/// Whether that is less far than it would have to be: some may not be kept any more.
fn are_missed(away: Duration) -> bool {
    LOOKED_BACK.saturating_add(away) > KEPT
}

/// Something that other servers' caches may have otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The session is gone for good.
    SessionEnded(SessionHash),
    /// Somebody came in, when this was the newest message.
    Joined(ChatroomId, UserId, Option<MessageId>),
    /// Somebody went.
    Left(ChatroomId, UserId),
    /// The messages before this one are gone.
    Expired(ChatroomId, MessageId),
    /// Nothing has, but the server that has written it wants to know something.
    Asked(QuestionId, ServerQuestion),
}

impl Change {
    /// What others must hear of what has come of a write.
    pub fn told_by(completion: &Completion) -> Vec<Self> {
        match completion {
            // Not "all of the user's but one": who hears of it late may have heard of one that was made since.
            Completion::PasswordChanged {
                ended: Some(ended),
                done: Ok(()),
                ..
            } => ended.iter().copied().map(Self::SessionEnded).collect(),
            completion => Self::one_told_by(completion).into_iter().collect(),
        }
    }

    fn one_told_by(completion: &Completion) -> Option<Self> {
        Some(match completion {
            Completion::LoggedOut {
                session,
                done: Ok(()),
                ..
            } => Self::SessionEnded(*session),
            Completion::ChatroomCreated {
                admin,
                chatroom: Ok(chatroom),
                ..
            } => Self::Joined(*chatroom, *admin, None),
            Completion::ParticipantAdded {
                chatroom,
                added: Ok(added),
                ..
            } => Self::Joined(*chatroom, added.joined, added.last),
            Completion::ParticipantRemoved {
                chatroom,
                removed:
                    Ok(RemovedRow {
                        left,
                        was_in_it: true,
                        ..
                    }),
                ..
            } => Self::Left(*chatroom, *left),
            Completion::MessagesExpired { chatroom, first } => Self::Expired(*chatroom, *first),
            _ => return None,
        })
    }
}

/// What the others have changed, and which of it has been seen.
#[derive(Debug, Default)]
pub struct Seen {
    ids: BTreeSet<i64>,
    /// Those of the look before: the edge of what is looked back at may move back a little.
    former: BTreeSet<i64>,
    /// Which transactions were over at the last look; nothing where that is not known.
    horizon: Option<Horizon>,
    /// When that was by the database's clock, in milliseconds.
    looked_ms: Option<f64>,
}

impl Seen {
    /// Takes in all that the others have changed lately ([`looked_back_ms`]), by the rows' ids, and which transactions were over then; a kind that a newer
    /// loiter has written is none. What has not been seen before the loops are told; first of all that there was more, where the last look was too long ago.
    pub fn take(
        &mut self,
        away: Duration,
        found: Vec<(i64, Option<Change>)>,
        now: Option<Horizon>,
    ) -> Vec<Completion> {
        let before = std::mem::take(&mut self.ids);
        let mut told = Vec::new();
        if are_missed(away) {
            told.push(Completion::ChangesMissed);
        }
        let new = found.into_iter().filter_map(|(id, change)| {
            let is_seen = before.contains(&id) || self.former.contains(&id);
            let is_new = self.ids.insert(id) && !is_seen;
            change.filter(|_| is_new)
        });
        told.extend(new.map(completion));
        self.former = before;
        self.horizon = now;
        told
    }

    /// Takes in only what was not to be seen at the last look ([`Self::behind`]), however long before that it was written.
    pub fn take_newest(
        &mut self,
        found: Vec<(i64, Option<Change>)>,
        now: Option<Horizon>,
    ) -> Vec<Completion> {
        let is_new = |(id, change): (i64, Option<Change>)| {
            let is_new = self.ids.insert(id) && !self.former.contains(&id);
            change.filter(|_| is_new)
        };
        let new = found.into_iter().filter_map(is_new);
        self.horizon = now;
        new.map(completion).collect()
    }

    /// How long it has been since the last look, where by the database's clock, which shows this, it is much longer than this server knows of.
    pub fn slept(&self, now_ms: f64, away: Duration) -> Option<Duration> {
        let really = (now_ms - self.looked_ms?) / 1000.0;
        let really = Duration::try_from_secs_f64(really).ok()?;
        (really > away + LOOKED_BACK / 2).then_some(really)
    }

    /// All has been looked at, when the database's clock showed this.
    pub fn note_look(&mut self, now_ms: f64) {
        self.looked_ms = Some(now_ms);
    }

    /// Behind what the newest are; nothing where all are to be looked for.
    pub fn behind(&self) -> Option<Horizon> {
        self.horizon.clone()
    }
}

/// As the loops hear of the same from their own server; but nobody here has asked for it.
fn completion(change: Change) -> Completion {
    let ticket = Ticket::of_nobody();
    // Nobody reads the row of what nobody has asked for.
    let row = |user| ChatroomRow {
        admin: user,
        name: None,
        participants: Vec::new(),
    };
    match change {
        Change::SessionEnded(session) => Completion::LoggedOut {
            ticket,
            session,
            done: Ok(()),
        },
        Change::Joined(chatroom, joined, last) => Completion::ParticipantAdded {
            ticket,
            chatroom,
            added: Ok(AddedRow {
                joined,
                last,
                chatroom: row(joined),
            }),
        },
        Change::Left(chatroom, user) => Completion::ParticipantRemoved {
            ticket,
            chatroom,
            removed: Ok(RemovedRow {
                left: user,
                was_in_it: true,
                chatroom: row(user),
            }),
        },
        Change::Expired(chatroom, first) => Completion::MessagesExpired { chatroom, first },
        Change::Asked(id, question) => Completion::ServerAsks { id, question },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ids: impl IntoIterator<Item = i64>) -> Vec<(i64, Option<Change>)> {
        let change = |id| Change::Left(chatroom(id), UserId::new(1).expect("positive"));
        let ids = ids.into_iter();
        ids.map(|id| (id, (id != 13).then(|| change(id)))).collect()
    }

    fn chatroom(id: i64) -> ChatroomId {
        ChatroomId::new(id).expect("positive")
    }

    fn told(completions: &[Completion]) -> Vec<i64> {
        let told = completions.iter().map(|told| match told {
            Completion::ParticipantRemoved { chatroom, .. } => chatroom.get(),
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    /// Whoever hears of it late knows of sessions that were made since.
    #[test]
    fn a_changed_password_is_told_session_by_session() {
        let ended = [1, 2].map(|n| SessionHash([n; 32]));
        let changed = |done| Completion::PasswordChanged {
            ticket: Ticket::of_nobody(),
            user: UserId::new(1).expect("positive"),
            session: SessionHash([3; 32]),
            ended: Some(ended.into()),
            done,
        };
        let told = Change::told_by(&changed(Ok(())));
        assert_eq!(told, ended.map(Change::SessionEnded));
        let failed = changed(Err(crate::job::Fault::StorageFailed));
        assert_eq!(Change::told_by(&failed), []);
    }

    #[test]
    fn each_is_told_once_however_it_is_found() {
        let mut seen = Seen::default();
        let now = |text| Some(Horizon::parse(text).expect("a snapshot"));
        let take = |seen: &mut Seen, ids: &[i64]| {
            told(&seen.take(Duration::ZERO, rows(ids.to_vec()), now("7:9:7")))
        };
        assert_eq!(seen.behind(), None);
        assert_eq!(take(&mut seen, &[11, 13, 15]), [11, 15]);
        // One that was not visible before, and one that is new.
        assert_eq!(take(&mut seen, &[11, 12, 13, 15, 500]), [12, 500]);
        assert_eq!(seen.behind(), now("7:9:7"));
        // However far back it is.
        let newest = |seen: &mut Seen| told(&seen.take_newest(rows([14, 500, 501]), now("9:9:")));
        assert_eq!(newest(&mut seen), [14, 501]);
        assert_eq!(newest(&mut seen), [0_i64; 0]);
        assert_eq!(seen.behind(), now("9:9:"));
        // What is older than anybody looks back is forgotten, one look later; nothing else.
        assert_eq!(take(&mut seen, &[10, 15, 500, 501, 502]), [10, 502]);
        assert_eq!(take(&mut seen, &[500, 501, 502]), [0_i64; 0]);
        assert_eq!(take(&mut seen, &[10, 500, 501, 502]), [0_i64; 0]);
    }

    #[test]
    fn a_clock_that_stood_still_is_told_by_the_databases() {
        let (mut seen, second) = (Seen::default(), Duration::from_secs(1));
        assert_eq!(seen.slept(5_000.0, second), None, "the first");
        seen.note_look(6_000.0);
        assert_eq!(seen.slept(7_000.0, second), None);
        let slept = Duration::from_secs(40);
        assert_eq!(seen.slept(46_000.0, second), Some(slept));
        assert_eq!(seen.slept(46_000.0, slept), None);
        // A database elsewhere, whose clock is behind.
        assert_eq!(seen.slept(1_000.0, second), None);
    }

    #[test]
    fn who_was_away_for_longer_than_changes_are_kept_is_told_so() {
        let mut seen = Seen::default();
        let just = KEPT - LOOKED_BACK;
        assert_eq!(told(&seen.take(just, rows([11]), None)), [11]);
        let late = seen.take(just + Duration::from_millis(1), rows([11, 12]), None);
        assert!(matches!(late[0], Completion::ChangesMissed), "{late:?}");
        assert_eq!(told(&late[1..]), [12]);
    }
}
