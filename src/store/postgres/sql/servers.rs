//! What the servers that share a database tell and ask one another.
//!
//! A time is compared with that of the statement: no index is of use where it is that of the clock, which goes on meanwhile. What is to be recent is not to be
//! of a time that is far to come either: the clock may have been set back, and what was written before would be recent until it is there again.

/// server, kinds, chatrooms, users, sessions, messages → the last one's id
pub(in crate::store::postgres) const ADD_CHANGES: &str = "
WITH added AS (INSERT INTO changes (server, kind, chatroom, user_id, session, message)
               SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[]) RETURNING id)
SELECT max(id) FROM added";

/// server, the first transaction that had no number, those that were open, milliseconds → in a row whose first column is null, the time in milliseconds and which
/// transactions are over, in its last two; and the changes that others have written for so long, or in transactions that were not over then: id, kind, chatroom, user, session, message, who has
/// written it, how many milliseconds ago. Both are of one moment.
pub(in crate::store::postgres) const CHANGES_OF_OTHERS: &str = "
SELECT NULL::bigint, NULL, 0::bigint, 0::bigint, NULL::bytea, 0::bigint, 0::bigint, extract(epoch FROM clock_timestamp())::float8 * 1000, txid_current_snapshot()::text
UNION ALL
(SELECT id, kind, chatroom, user_id, session, message, server,
        extract(epoch FROM clock_timestamp() - time)::float8 * 1000, NULL
 FROM changes
 WHERE (time > statement_timestamp() - $4 * interval '1 ms' OR transaction >= $2 OR transaction = ANY ($3)) AND server <> $1)";

/// server, the first transaction that had no number, those that were open, count → which are so now; and in rows that lack that, of what others have written in
/// transactions that were not over then, chatrooms and their newest messages. Both are of one moment.
pub(in crate::store::postgres) const WRITTEN_BY_OTHERS: &str = "
SELECT txid_current_snapshot()::text, NULL::bigint[], (SELECT min(lasts) FROM written WHERE server = 0)
UNION ALL
(SELECT NULL, chatrooms, lasts FROM written
 WHERE (transaction >= $2 OR transaction = ANY ($3)) AND server <> $1 AND server <> 0 LIMIT $4)";

/// a random number, by which it is known that the table has not been emptied since
pub(in crate::store::postgres) const MARK_WRITTEN: &str = "
INSERT INTO written (server, chatrooms, lasts)
SELECT 0, '{}', ARRAY[$1] WHERE NOT EXISTS (SELECT 1 FROM written WHERE server = 0)";

/// milliseconds, count; removes those that are so old
pub(in crate::store::postgres) const REMOVE_OLD_WRITTEN: &str = "
DELETE FROM written WHERE ctid = ANY (ARRAY
    (SELECT ctid FROM written WHERE time < statement_timestamp() - $1 * interval '1 ms' AND server <> 0 ORDER BY time LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// milliseconds, count; removes those that are so old
pub(in crate::store::postgres) const REMOVE_OLD_CHANGES: &str = "
DELETE FROM changes WHERE id IN
    (SELECT id FROM changes WHERE time < statement_timestamp() - $1 * interval '1 ms' ORDER BY time LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// server, for how many milliseconds. What it says is worth no sync: it says so again.
pub(in crate::store::postgres) const SAY_HERE: &str = "
INSERT INTO servers (server, lease_ms, seen)
SELECT $1, $2, clock_timestamp() FROM set_config('synchronous_commit', 'off', true)
ON CONFLICT (server) DO UPDATE SET seen = excluded.seen";

/// server; worth no sync either: who listens says it, and would hear nothing of the others while a standby is waited for
pub(in crate::store::postgres) const SAY_GONE: &str = "
DELETE FROM servers USING set_config('synchronous_commit', 'off', true) WHERE server = $1";

/// servers → those of them that have said that they are gone
pub(in crate::store::postgres) const GONE: &str = "
SELECT asked.server FROM unnest($1::bigint[]) AS asked (server)
WHERE NOT EXISTS (SELECT 1 FROM servers WHERE servers.server = asked.server)";

/// server, kind, chatroom, user, session, for how many milliseconds an answer is waited for at least → the number of the question and a server that
/// is asked, with the milliseconds that it is there for, for each that has lately said so; none, and nothing written, where there are no others
pub(in crate::store::postgres) const ASK: &str = "
WITH others AS (SELECT server, lease_ms FROM servers WHERE server <> $1
                    AND seen > statement_timestamp() - lease_ms * interval '1 ms' AND seen < statement_timestamp() + lease_ms * interval '1 ms'),
     asked AS (INSERT INTO changes (server, kind, chatroom, user_id, session, message)
               SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS (SELECT 1 FROM others) RETURNING id)
SELECT asked.id, others.server, others.lease_ms FROM asked, others";

/// question, the server that asked, the one that answers, users, polls, whether it has failed
pub(in crate::store::postgres) const ANSWER: &str = "
INSERT INTO answers (question, asker, server, users, ended, failed) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (asker, question, server) DO NOTHING";

/// server → what it is answered: question, who answers, users, polls, whether it has failed. Taken once more it is nobody's answer: it is worth no sync.
pub(in crate::store::postgres) const TAKE_ANSWERS: &str = "
DELETE FROM answers USING set_config('synchronous_commit', 'off', true)
WHERE asker = $1 RETURNING question, server, users, ended, failed";

/// milliseconds; removes the answers that are so old, and the servers that were last seen then
pub(in crate::store::postgres) const REMOVE_OLD_ANSWERS: &str =
    "DELETE FROM answers WHERE time < statement_timestamp() - $1 * interval '1 ms'";
pub(in crate::store::postgres) const REMOVE_OLD_SERVERS: &str =
    "DELETE FROM servers WHERE seen < statement_timestamp() - $1 * interval '1 ms'";

/// whose, count, milliseconds → the seconds until fewer than so many have failed within that time, of whoever has to wait longest; null where
/// nobody has to
pub(in crate::store::postgres) const SECONDS_TO_WAIT: &str = "
SELECT ceil(extract(epoch FROM max(nth.time) + $3 * interval '1 ms' - clock_timestamp()))::bigint
FROM unnest($1::bytea[]) AS asked (whose), LATERAL
    (SELECT time FROM failed_logins
     WHERE failed_logins.whose = asked.whose
         AND time > statement_timestamp() - $3 * interval '1 ms' AND time < statement_timestamp() + $3 * interval '1 ms'
     ORDER BY time DESC OFFSET $2 - 1 LIMIT 1) AS nth";

/// whose
pub(in crate::store::postgres) const ADD_FAILED_LOGINS: &str = "
INSERT INTO failed_logins (whose) SELECT unnest($1::bytea[])";

/// milliseconds, count; removes those that are so old
pub(in crate::store::postgres) const REMOVE_OLD_FAILED_LOGINS: &str = "
DELETE FROM failed_logins WHERE ctid = ANY (ARRAY
    (SELECT ctid FROM failed_logins WHERE time < statement_timestamp() - $1 * interval '1 ms' ORDER BY time LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// chatrooms, messages → those chatrooms whose newest messages are others, which those are, and whether they are older: then the database has gone back
pub(in crate::store::postgres) const NEWER_THAN: &str = "
SELECT told.chatroom, coalesce(chatrooms.last_message, 0), coalesce(chatrooms.last_message, 0) < told.message
FROM unnest($1::bigint[], $2::bigint[]) AS told (chatroom, message)
LEFT JOIN chatrooms ON chatrooms.id = told.chatroom
WHERE coalesce(chatrooms.last_message, 0) <> told.message";

/// chatrooms, messages, count → what is newer in them, and kept, in the order of the chatrooms and then of the messages: chatroom and then as
/// [`NEWEST_MESSAGES`](super::NEWEST_MESSAGES)
pub(in crate::store::postgres) const NEWS_OF: &str = "
SELECT news.id, users.id, users.name, news.text, news.time, told.chatroom
FROM unnest($1::bigint[], $2::bigint[]) AS told (chatroom, message)
CROSS JOIN LATERAL
    (SELECT id, user_id, text, time FROM messages WHERE messages.chatroom = told.chatroom AND messages.id > told.message ORDER BY id LIMIT $3) AS news
JOIN users ON users.id = news.user_id
ORDER BY told.chatroom, news.id LIMIT $3";

/// → the channel on which servers that share this schema tell one another
pub(in crate::store::postgres) const CHANNEL: &str =
    "SELECT 'loiter' || hashtext(current_schema())";

/// → what the channel's name ends with where others share the carrier
#[cfg(feature = "redis")]
pub(in crate::store::postgres) const DATABASE_AND_SCHEMA: &str =
    "SELECT current_database()::text || ':' || current_schema()::text";

/// channel, text. The last statement of a transaction: its commit waits for those of others that notify, one after the other, for which the time that
/// a chatroom's lock may take is too short.
pub(in crate::store::postgres) const NOTIFY: &str =
    "SELECT pg_notify($1, $2), set_config('lock_timeout', '5s', true)";
