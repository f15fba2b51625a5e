//! Messages that follow one another in a batch: the hot writes, which most commits are made of.
//!
//! They are looked at together (who is a participant, what was sent before), numbered here, since their chatrooms are locked, and written together.

use std::collections::{HashMap, HashSet};

use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::{rows, sql};
use crate::job::{Completion, Fault, Job, NONCE_LIFETIME, Saved, SavedBefore};
use crate::model::{ChatroomId, Message, MessageId, UserId};
use crate::store::clock::{expiry_unix_ms, not_before};
use crate::store::job_error::JobError;
use crate::store::write::Write;
use crate::store::writing::Outcome;

/// The newest message of each chatroom that is locked: its id, 0 for none, and its time.
#[derive(Debug, Default)]
pub(super) struct Newest(
    HashMap<ChatroomId, (i64, i64)>,
    /// The first message that each has got.
    HashMap<ChatroomId, i64>,
);

/// A nonce, and who has sent it where.
type NonceKey = (ChatroomId, UserId, Box<[u8]>);

/// What is written of a run, column by column.
#[derive(Default)]
struct Columns {
    chatrooms: Vec<i64>,
    ids: Vec<i64>,
    users: Vec<i64>,
    texts: Vec<Box<str>>,
    times: Vec<i64>,
}

impl Newest {
    /// The newest message of a chatroom, 0 for none, and its time.
    pub(super) fn note(&mut self, chatroom: ChatroomId, last: (i64, i64)) {
        self.0.insert(chatroom, last);
    }

    /// Of each chatroom its newest message.
    pub(super) fn all(&self) -> impl Iterator<Item = (ChatroomId, i64)> {
        self.0.iter().map(|(&chatroom, &(id, _))| (chatroom, id))
    }

    /// The newest messages of those chatrooms that have got some: of each which, and which was the first.
    pub(super) fn written(&self) -> impl Iterator<Item = (ChatroomId, i64, i64)> {
        self.1
            .iter()
            .map(|(&chatroom, &first)| (chatroom, first, self.0[&chatroom].0))
    }

    /// A chatroom that is made has no messages, and is locked: nobody else sees it yet.
    pub(super) fn note_new(&mut self, outcome: &Outcome) {
        if let Ok(Some(Completion::ChatroomCreated {
            chatroom: Ok(chatroom),
            ..
        })) = outcome
        {
            self.note(*chatroom, (0, 0));
        }
    }

    /// Saves a run of messages, and tells of each what it has come to.
    pub(super) fn save(
        &mut self,
        client: &mut Client,
        run: &[Write],
        (server, now_unix_ms): (i64, i64),
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), JobError> {
        let participants = participants_of(client, run)?;
        let mut sent = sent_before(client, run, now_unix_ms)?;
        let mut columns = Columns::default();
        let mut nonces: Vec<(NonceKey, MessageId)> = Vec::new();
        let mut firsts: HashMap<ChatroomId, i64> = HashMap::new();
        let mut saved = Vec::with_capacity(run.len());
        for write in run.iter() {
            let (chatroom, author, text, nonce) = message(write);
            let newest = self.0.get_mut(&chatroom);
            let Some(newest) = newest.filter(|_| participants.contains(&(chatroom, author))) else {
                saved.push(Err(JobError::Refused(Fault::NotAParticipant)));
                continue;
            };
            let key = nonce.map(|nonce| (chatroom, author, nonce.as_bytes().into()));
            if let Some(&id) = key.as_ref().and_then(|key| sent.get(key)) {
                saved.push(Ok(Err(SavedBefore { id, author })));
                continue;
            }
            newest.0 += 1;
            newest.1 = not_before(newest.1, now_unix_ms);
            let id = MessageId::new(newest.0);
            let id = id.ok_or_else(|| JobError::BadNumber("last_message of chatrooms".into()))?;
            firsts.entry(chatroom).or_insert(newest.1);
            self.1.entry(chatroom).or_insert(newest.0);
            columns.push(chatroom, id, author, text, newest.1);
            if let Some(key) = key {
                sent.insert(key.clone(), id);
                nonces.push((key, id));
            }
            saved.push(Ok(Ok((id, newest.1))));
        }
        if !columns.ids.is_empty() {
            columns.write(client)?;
            self.write_last(client, server, &firsts)?;
            write_nonces(client, &nonces, now_unix_ms)?;
        }
        let told = run.iter().zip(saved);
        outcomes.extend(told.map(|(write, saved)| Ok(Some(completion(write, saved?)))));
        Ok(())
    }

    /// Notes with each chatroom of the run which is its newest message now, and for the other servers.
    fn write_last(
        &self,
        client: &mut Client,
        server: i64,
        firsts: &HashMap<ChatroomId, i64>,
    ) -> Result<(), JobError> {
        let (mut of, mut ids, mut times, mut first_times) = (vec![], vec![], vec![], vec![]);
        for (chatroom, &first) in firsts {
            let (id, time) = self.0[chatroom];
            of.push(chatroom.get());
            ids.push(id);
            times.push(time);
            first_times.push(first);
        }
        let columns: &[(&(dyn ToSql + Sync), Type)] = &[
            (&of, Type::INT8_ARRAY),
            (&ids, Type::INT8_ARRAY),
            (&times, Type::INT8_ARRAY),
            (&first_times, Type::INT8_ARRAY),
            (&server, Type::INT8),
        ];
        client.execute_typed(sql::NOTE_LAST_MESSAGES, columns)?;
        Ok(())
    }
}

impl Columns {
    fn push(
        &mut self,
        chatroom: ChatroomId,
        id: MessageId,
        author: UserId,
        text: &str,
        time_unix_ms: i64,
    ) {
        self.chatrooms.push(chatroom.get());
        self.ids.push(id.get());
        self.users.push(author.get());
        self.texts.push(text.into());
        self.times.push(time_unix_ms);
    }

    fn write(&self, client: &mut Client) -> Result<(), JobError> {
        let texts: Vec<&str> = self.texts.iter().map(|text| &**text).collect();
        let columns: &[(&(dyn ToSql + Sync), Type)] = &[
            (&self.chatrooms, Type::INT8_ARRAY),
            (&self.ids, Type::INT8_ARRAY),
            (&self.users, Type::INT8_ARRAY),
            (&texts, Type::TEXT_ARRAY),
            (&self.times, Type::INT8_ARRAY),
        ];
        client.execute_typed(sql::ADD_MESSAGES, columns)?;
        Ok(())
    }
}

/// What a write of a run is: its chatroom, author, text and nonce.
fn message(write: &Write) -> (ChatroomId, UserId, &str, Option<&str>) {
    match write {
        Write::Job(Job::SaveMessage {
            chatroom,
            author,
            text,
            nonce,
            ..
        }) => (*chatroom, author.id, text, nonce.as_deref()),
        _ => unreachable!("a run has only messages"),
    }
}

/// The completion of a message that was saved now, with this id and time, or before. The text stays: all may be to do once more.
fn completion(write: &Write, saved: Result<(MessageId, i64), SavedBefore>) -> Completion {
    let Write::Job(Job::SaveMessage {
        ticket,
        chatroom,
        author,
        text,
        ..
    }) = write
    else {
        unreachable!("a run has only messages");
    };
    let saved = match saved {
        Err(before) => Saved::Before(before),
        Ok((id, time_unix_ms)) => Saved::New(Message {
            id,
            chatroom: *chatroom,
            user: author.clone(),
            text: text.clone(),
            // The clock has no time before 1970.
            time_unix_ms: time_unix_ms.unsigned_abs(),
        }),
    };
    Completion::MessageSaved {
        ticket: *ticket,
        chatroom: *chatroom,
        saved: Ok(saved),
    }
}

/// Those authors of a run who are in the chatrooms that they write to.
fn participants_of(
    client: &mut Client,
    run: &[Write],
) -> Result<HashSet<(ChatroomId, UserId)>, JobError> {
    let asked: HashSet<_> = run
        .iter()
        .map(|write| {
            let (chatroom, author, ..) = message(write);
            (chatroom, author)
        })
        .collect();
    let (chatrooms, users): (Vec<i64>, Vec<i64>) = asked
        .iter()
        .map(|(chatroom, user)| (chatroom.get(), user.get()))
        .unzip();
    let asked: &[(&(dyn ToSql + Sync), Type)] =
        &[(&chatrooms, Type::INT8_ARRAY), (&users, Type::INT8_ARRAY)];
    let found = client.query_typed(sql::ARE_PARTICIPANTS, asked)?;
    let pair = |row| Ok((rows::chatroom_id(row, 0)?, rows::user_id(row, 1)?));
    found.iter().map(pair).collect()
}

/// The messages that were sent before with nonces of a run.
fn sent_before(
    client: &mut Client,
    run: &[Write],
    now_unix_ms: i64,
) -> Result<HashMap<NonceKey, MessageId>, JobError> {
    let (mut chatrooms, mut users, mut nonces) = (vec![], vec![], vec![]);
    for (chatroom, author, _, nonce) in run.iter().map(message) {
        if let Some(nonce) = nonce {
            chatrooms.push(chatroom.get());
            users.push(author.get());
            nonces.push(nonce.as_bytes());
        }
    }
    if nonces.is_empty() {
        return Ok(HashMap::new());
    }
    let asked: &[(&(dyn ToSql + Sync), Type)] = &[
        (&chatrooms, Type::INT8_ARRAY),
        (&users, Type::INT8_ARRAY),
        (&nonces, Type::BYTEA_ARRAY),
        (&expiry_unix_ms(now_unix_ms, NONCE_LIFETIME), Type::INT8),
    ];
    let found = client.query_typed(sql::MESSAGES_OF_NONCES, asked)?;
    let sent = |row: &tokio_postgres::Row| {
        let nonce: &[u8] = row.try_get(2)?;
        let key = (
            rows::chatroom_id(row, 0)?,
            rows::user_id(row, 1)?,
            nonce.into(),
        );
        Ok((key, rows::message_id(row, 3)?))
    };
    found.iter().map(sent).collect()
}

fn write_nonces(
    client: &mut Client,
    nonces: &[(NonceKey, MessageId)],
    now_unix_ms: i64,
) -> Result<(), JobError> {
    if nonces.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&(NonceKey, MessageId)) -> i64| nonces.iter().map(of).collect::<Vec<_>>();
    let texts: Vec<&[u8]> = nonces.iter().map(|((.., nonce), _)| &**nonce).collect();
    let columns: &[(&(dyn ToSql + Sync), Type)] = &[
        (
            &column(|((chatroom, ..), _)| chatroom.get()),
            Type::INT8_ARRAY,
        ),
        (&column(|((_, user, _), _)| user.get()), Type::INT8_ARRAY),
        (&texts, Type::BYTEA_ARRAY),
        (&column(|(_, message)| message.get()), Type::INT8_ARRAY),
        (&now_unix_ms, Type::INT8),
    ];
    client.execute_typed(sql::ADD_NONCES, columns)?;
    Ok(())
}
