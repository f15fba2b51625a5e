//! What every run needs first: users and chatrooms of its own, so that runs never meet, on a server old or new.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::client::Client;
use crate::clock::now_ns;
use crate::error::Error;
use crate::http::Target;
use crate::marker::Marker;
use crate::plan::Plan;
use crate::progress::Phase;
use crate::subject::Subject;
use crate::tally::Tally;

/// Users of a run, at most: registering each costs the server a password hash.
const USERS_MAX: u64 = 4;

/// A run's users. The first is the admin of all chatrooms and the one who sends.
pub(crate) struct Setup {
    /// What names and messages of this run begin with: random hexadecimal digits.
    pub(crate) run: String,
    /// The second byte of the run's source addresses.
    pub(crate) net: u8,
    /// The admin's connection.
    pub(crate) admin: Client,
    /// All sessions, the admin's first.
    pub(crate) sessions: Vec<String>,
    names: Vec<String>,
    target: Target,
    /// Where the server makes none: chatrooms in use.
    made: u64,
    /// Messages that the admin has sent.
    sent: u64,
}

impl Setup {
    /// Registers as many users as `polls` polls are worth, and logs them in.
    pub(crate) fn new(subject: &Subject, polls: u64) -> Result<Self, Error> {
        let target = &subject.target;
        let client = || Client::new(target.clone()).patient(subject.patience);
        let random = RandomState::new().build_hasher().finish();
        let run = format!("{random:016x}");
        let users = match target.dialect.has_users() {
            true => polls.clamp(1, USERS_MAX),
            false => 1,
        };
        let phase = Phase::start(format!("registering {users} users"), users);
        let mut setup = Self {
            target: target.clone(),
            admin: client(),
            sessions: Vec::new(),
            names: Vec::new(),
            sent: 0,
            made: random & 0x3fff_ffff,
            // 127.0 is what everything else uses, and 127.255 may be a broadcast address.
            net: 1 + (random % 254) as u8,
            run,
        };
        for user in 0..users {
            let name = format!("load-{}-{user}", setup.run);
            let mut other = client();
            let client = if user == 0 {
                &mut setup.admin
            } else {
                &mut other
            };
            if target.dialect.has_users() {
                client.sign_up(&name, &setup.run)?;
            }
            setup.sessions.push(client.session().to_owned());
            setup.names.push(name);
            phase.at(user + 1);
        }
        Ok(setup)
    }

    /// The first user's name and password.
    pub(crate) fn credentials(&self) -> (&str, &str) {
        (&self.names[0], &self.run)
    }

    /// New chatrooms with all of the run's users in each.
    pub(crate) fn chatrooms(&mut self, count: u64) -> Result<Vec<u64>, Error> {
        if !self.target.dialect.has_users() {
            // They need not be made, and a run must not meet those of another.
            let from = self.made;
            self.made += count;
            return Ok((from + 1..=from + count).collect());
        }
        let phase = Phase::start(format!("creating {count} chatrooms"), count);
        let mut chatrooms = Vec::new();
        for made in 0..count {
            let chatroomid = self.admin.new_chatroom()?;
            for name in &self.names[1..] {
                self.admin.add_to_chatroom(chatroomid, name)?;
            }
            chatrooms.push(chatroomid);
            phase.at(made + 1);
        }
        Ok(chatrooms)
    }

    /// The text of a message that the admin sends now.
    pub(crate) fn text(&mut self, room: u64) -> String {
        self.sent += 1;
        let marker = Marker {
            room,
            sender: 0,
            count: self.sent,
            start_ns: now_ns(),
        };
        let mut text = Vec::new();
        marker.write(&self.run, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Sends a message to a chatroom and checks that the answer shows it, with the id `id` where that is known.
    pub(crate) fn send(
        &mut self,
        room: u64,
        id: Option<u64>,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let text = self.text(room);
        let newest = self.admin.send(room, &text)?;
        let other_id = self.target.dialect.has_lists() && id.is_some_and(|id| id != newest.id);
        if newest.text != text || other_id {
            tally.unexpected(|| format!("{text} to chatroom {room} was answered {newest:?}"));
        }
        Ok(())
    }

    /// The source addresses of the next round of connections: those of the last one are in TIME_WAIT.
    pub(crate) fn next_net(&mut self) {
        self.net = self.net % 254 + 1;
    }

    /// The plan of all polls together, before it is shared out among workers.
    pub(crate) fn plan(&self, chatrooms: Vec<u64>, polls: u64, repark: bool) -> Plan {
        Plan {
            target: self.target.clone(),
            net: self.net,
            first: 0,
            polls,
            batch: polls,
            greets: false,
            resets: false,
            repark,
            timeout_s: 0,
            run: self.run.clone(),
            chatrooms,
            sessions: self.sessions.clone(),
        }
    }
}
