//! What every run needs first: users and chatrooms of its own, so that runs never meet, on a server old or new.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::client::Client;
use crate::error::Error;
use crate::http::Target;
use crate::plan::Plan;
use crate::progress::Phase;

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
}

impl Setup {
    /// Registers as many users as `polls` polls are worth, and logs them in.
    pub(crate) fn new(target: &Target, polls: u64) -> Result<Self, Error> {
        let random = RandomState::new().build_hasher().finish();
        let run = format!("{random:016x}");
        let users = polls.clamp(1, USERS_MAX);
        let phase = Phase::start(format!("registering {users} users"), users);
        let mut setup = Self {
            target: target.clone(),
            admin: Client::new(target.clone()),
            sessions: Vec::new(),
            names: Vec::new(),
            // 127.0 is what everything else uses, and 127.255 may be a broadcast address.
            net: 1 + (random % 254) as u8,
            run,
        };
        for user in 0..users {
            let name = format!("load-{}-{user}", setup.run);
            let mut other = Client::new(target.clone());
            let client = if user == 0 {
                &mut setup.admin
            } else {
                &mut other
            };
            client.sign_up(&name, &setup.run)?;
            setup.sessions.push(client.session().to_owned());
            setup.names.push(name);
            phase.at(user + 1);
        }
        Ok(setup)
    }

    /// New chatrooms with all of the run's users in each.
    pub(crate) fn chatrooms(&mut self, count: u64) -> Result<Vec<u64>, Error> {
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

    /// The plan of all polls together, before it is shared out among workers.
    pub(crate) fn plan(&self, chatrooms: Vec<u64>, polls: u64, repark: bool) -> Plan {
        Plan {
            addr: self.target.addr,
            host: self.target.host.clone(),
            net: self.net,
            first: 0,
            polls,
            batch: polls,
            repark,
            run: self.run.clone(),
            chatrooms,
            sessions: self.sessions.clone(),
        }
    }
}
