//! What one of several servers has answered, the others hear of a moment later: who asks one and then another has to wait for that.
//!
//! Somebody whom no test knows is in a chatroom that no test knows; both are in the database without any server's doing. A message that is written
//! there likewise, and told by a hint as any other, comes to a poll at each server behind all that was told before.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use loiter_client::{Client, get};
use postgres::NoTls;

/// Of the user and the chatroom, far beyond those that a test comes to.
const ID: i64 = 1 << 52;
/// Of the session.
const TOKEN: &str = "5e771e5e771e5e771e5e771e5e771e5e771e5e771e5e771e5e771e5e771e5e77";
/// Longer than hints take. Where the database is away or locked, or the session has another cookie's name or is over, it is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);

const BEGIN: &str = "
INSERT INTO users (id, name, folded, password, created) VALUES ($ID, U&'\\F8FF', U&'\\F8FF', '', 0) ON CONFLICT DO NOTHING;
INSERT INTO sessions (token, user_id, created, last_used) VALUES (sha256('$TOKEN'), $ID, 0, 1 << 60) ON CONFLICT DO NOTHING;
INSERT INTO chatrooms (id, admin, created, participants) VALUES ($ID, $ID, 0, 1) ON CONFLICT DO NOTHING;
INSERT INTO participants (chatroom, place, user_id) VALUES ($ID, 1, $ID) ON CONFLICT DO NOTHING";

const SPEAK: &str = "
BEGIN;
SET LOCAL lock_timeout = '50ms';
UPDATE chatrooms SET last_message = last_message + 1 WHERE id = $ID;
INSERT INTO messages (chatroom, id, user_id, text, time) SELECT id, last_message, admin, '', 0 FROM chatrooms WHERE id = $ID;
SELECT last_message, pg_notify('loiter' || hashtext(current_schema()), '0 ' || id || ':' || last_message) FROM chatrooms WHERE id = $ID;
COMMIT";

/// Of several servers of one database.
pub(crate) struct Settling(Mutex<postgres::Client>);

fn statement(text: &str) -> String {
    text.replace("$ID", &ID.to_string())
        .replace("$TOKEN", TOKEN)
}

impl Settling {
    /// When the servers have been started.
    pub(crate) fn begin(database: &Path, servers: &[SocketAddr]) -> Option<Self> {
        let address = database.to_str().expect("an address");
        let mut client = postgres::Client::connect(address, NoTls).ok()?;
        client.batch_execute(&statement(BEGIN)).ok()?;
        let settling = Self(Mutex::new(client));
        // Each loads the chatroom, and only from then on is told what is new in it.
        settling.settle(servers);
        Some(settling)
    }

    /// Waits until each of the servers has heard of all that was told so far.
    pub(crate) fn settle(&self, servers: &[SocketAddr]) {
        let Some(newest) = self.speak() else {
            return;
        };
        for &server in servers {
            let mut client = Client::new(server)
                .with_session(TOKEN)
                .with_patience(PATIENCE);
            let poll = get("/message/longpoll/").with("chatroomid", ID);
            let poll = poll.with("since", newest - 1).with("limit", 1);
            let _ = client.ask(poll);
        }
    }

    /// Writes a message; returns its id, if that can be done now.
    fn speak(&self) -> Option<i64> {
        let mut client = self.0.lock().expect("no panic");
        let Ok(rows) = client.simple_query(&statement(SPEAK)) else {
            // It may be in a transaction that has failed.
            let _ = client.batch_execute("ROLLBACK");
            return None;
        };
        rows.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        })
    }
}
