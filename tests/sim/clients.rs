//! Those who use the server: pollers, talkers, and some who mean it no good.

use std::collections::BTreeMap;

use loiter::job::Job;
use loiter::model::Ticket;
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::{Ask, Shape};
use crate::data::{chatroom_id, hash_of};
use crate::line::{Asked, Line};
use crate::store::hits;
use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Polls one chatroom, again as soon as it is answered.
    Patient,
    /// Polls one chatroom since the newest message that it has, again as soon as it is answered, whatever becomes of
    /// its connections.
    Follower,
    /// Polls any chatroom, and often goes away.
    Impatient,
    /// Makes all calls.
    Talker,
    /// Sends what is no request too.
    Vandal,
    /// Does as it is told.
    Host,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) role: Role,
    pub(crate) chatroom: usize,
    pub(crate) line: Option<u32>,
    /// Among the world's tokens.
    pub(crate) token: usize,
    /// The newest message of the last list, for each chatroom.
    pub(crate) seen: BTreeMap<usize, i64>,
}

impl World {
    /// Every client may do something.
    pub(crate) fn act(&mut self) {
        for at in 0..self.clients.len() {
            self.listen(at);
            if self.rng.u8(..3) == 0 {
                self.act_one(at);
            }
        }
        if hits(&mut self.rng, 2) {
            self.act_elsewhere();
        }
    }

    /// Reads what has come for a client.
    pub(crate) fn listen(&mut self, at: usize) {
        let line = self.clients[at].line.and_then(|id| self.lines.get_mut(&id));
        let Some(line) = line else {
            self.clients[at].line = None;
            return;
        };
        let unread = line.sent - line.read;
        line.read += match line.window {
            usize::MAX => unread,
            _ => self.rng.usize(..=unread),
        };
        while let Some((end, _)) = line.answers.front()
            && *end <= line.read
        {
            let (_, answer) = line.answers.pop_front().expect("looked at");
            match answer {
                None => finish_body(line),
                Some((ask, answer)) => return self.take(at, &ask, &answer),
            }
        }
        // The server's end: nobody waits for more.
        if line.is_finished && line.read == line.queued && !line.has_fin {
            match self.rng.u8(..8) {
                0 => line.is_reset = true,
                1..4 => line.has_fin = true,
                _ => {}
            }
        }
    }

    fn take(&mut self, at: usize, ask: &Ask, answer: &Answer) {
        if let Some(line) = self.clients[at].line.and_then(|id| self.lines.get_mut(&id)) {
            finish_body(line);
        }
        match ask {
            Ask::LogIn { .. } if answer.status == 200 => self.tokens.extend(answer.token.clone()),
            Ask::Poll { chatroom } if answer.status == 200 => {
                let list = answer.body.as_array().and_then(|list| list.last());
                let last = list.map_or(0, |message| message["id"].as_i64().unwrap_or(0));
                let seen = self.clients[at].seen.insert(*chatroom, last).unwrap_or(0);
                let grows = seen <= last || self.ledger.unloaded(*chatroom) > 0;
                self.demand(grows, "a poller was taken back to older messages");
            }
            Ask::Follow { chatroom, .. } if answer.status == 200 => {
                let list = answer.body.as_array().map_or(&[][..], |list| list);
                let seen = self.clients[at].seen.entry(*chatroom).or_default();
                let is_next = |message: &Value| {
                    *seen += 1;
                    message["id"] == *seen
                };
                let is_exact = list.iter().all(is_next);
                self.demand(is_exact, "a follower has missed or doubled a message");
            }
            _ => {}
        }
        if answer.status == 401 && ask.needs_session() {
            self.clients[at].token = self.rng.usize(..self.tokens.len());
        }
    }

    fn act_one(&mut self, at: usize) {
        let role = self.clients[at].role;
        if role == Role::Host {
            return;
        }
        let Some(id) = self.clients[at].line else {
            return self.connect(at);
        };
        let line = self.lines.get_mut(&id).expect("listened to");
        let pending = line.asked.len() + line.answers.len();
        let (reset, fin) = match role {
            Role::Patient | Role::Host => (0, 0),
            Role::Follower => (1, 1),
            Role::Impatient => (4, 4),
            Role::Talker | Role::Vandal => (1, 2),
        };
        if hits(&mut self.rng, reset) {
            line.is_reset = true;
            line.under_way.clear();
        } else if hits(&mut self.rng, fin) && pending > 0 {
            line.has_fin = true;
        }
        if line.body.is_some() && self.rng.u8(..8) == 0 {
            finish_body(line);
        }
        let pending_max = match role {
            Role::Patient | Role::Follower | Role::Host => 1,
            Role::Impatient => 2,
            Role::Talker | Role::Vandal => 5,
        };
        if line.is_writable() && !line.said_close && pending < pending_max {
            let ask = self.choose(at);
            self.write(at, id, ask);
            let line = self.lines.get_mut(&id).expect("still there");
            // Some ask and shut their side down in one breath.
            if role != Role::Patient && self.rng.u8(..40) == 0 {
                line.has_fin = true;
            }
        }
    }

    pub(crate) fn connect(&mut self, at: usize) {
        self.lines_made += 1;
        let window = match self.rng.u8(..8) {
            0 => self.rng.usize(20..400),
            _ => usize::MAX,
        };
        let home = self.rng.usize(..self.loops.len());
        self.lines.insert(self.lines_made, Line::new(home, window));
        self.clients[at].line = Some(self.lines_made);
    }

    fn choose(&mut self, at: usize) -> Ask {
        let rng = &mut self.rng;
        let chatroom = rng
            .usize(..=self.store.data.chatrooms.len().min(4) + 1)
            .max(1);
        match self.clients[at].role {
            Role::Patient | Role::Host => Ask::Poll {
                chatroom: self.clients[at].chatroom,
            },
            Role::Follower => {
                let chatroom = self.clients[at].chatroom;
                let since = self.clients[at].seen.get(&chatroom).copied();
                Ask::Follow {
                    chatroom,
                    since: since.unwrap_or_default(),
                    limit: rng.bool().then(|| rng.u8(1..8)),
                }
            }
            Role::Impatient if rng.u8(..5) == 0 => Ask::EndPolls { chatroom },
            Role::Impatient => Ask::Poll { chatroom },
            Role::Vandal if rng.bool() => Ask::garbage(rng, self.config.max_head),
            Role::Talker | Role::Vandal => self.choose_call(chatroom),
        }
    }

    fn choose_call(&mut self, chatroom: usize) -> Ask {
        let rng = &mut self.rng;
        let name = ["Ann", "bob", "Cid", "dora", "nobody"][rng.usize(..5)].to_owned();
        match rng.u8(..40) {
            0..14 => {
                self.texts += 1;
                let tail = ["", " \"quoted\" \\", " tea & é\n\t+1", "😀 %41"][rng.usize(..4)];
                let text = format!("m{}{tail}", self.texts);
                Ask::Send { chatroom, text }
            }
            14..18 => Ask::Poll { chatroom },
            18..22 => Ask::EndPolls { chatroom },
            22 => Ask::LogOut,
            23..26 => Ask::LogIn {
                name,
                password: ["right", "wrong"][rng.usize(..2)].to_owned(),
            },
            26 => Ask::Register {
                name: format!("new{}", rng.u8(..4)),
            },
            27 => Ask::CreateChatroom,
            28..31 => Ask::Add {
                chatroom,
                whom: match rng.u8(..7) {
                    0..3 => name,
                    3 => "new1".to_owned(),
                    4 => " ".to_owned(),
                    _ => rng.u8(1..7).to_string(),
                },
            },
            31..33 => Ask::Chatrooms,
            33 => Ask::Participants { chatroom },
            34 => Ask::Presence { chatroom },
            35 | 36 => Ask::FindUsers {
                prefix: ["a", "new", "zz"][rng.usize(..3)].to_owned(),
            },
            37 | 38 => Ask::wrong(rng),
            _ => Ask::stray(rng),
        }
    }

    fn shape(&mut self, role: Role, ask: &Ask) -> Shape {
        let rng = &mut self.rng;
        let in_body = ask.can_have_body() && rng.bool();
        let is_http10 = rng.u8(..30) == 0;
        let is_plain = matches!(ask, Ask::Wrong { .. } | Ask::Stray { .. });
        Shape {
            is_head: ask.can_be_head() && rng.u8(..5) == 0,
            wants_close: role != Role::Patient && rng.u8(..30) == 0,
            is_http10: is_http10 && !is_plain,
            in_body,
            is_chunked: in_body && !is_http10 && rng.bool(),
            expects_continue: in_body && !is_http10 && rng.u8(..3) == 0,
            has_slash: rng.bool(),
        }
    }

    fn write(&mut self, at: usize, id: u32, ask: Ask) {
        let shape = self.shape(self.clients[at].role, &ask);
        let known = match self.clients[at].role {
            Role::Talker if self.rng.u8(..4) == 0 => self.rng.usize(..self.tokens.len()),
            _ => self.clients[at].token,
        };
        let token = match self.rng.u8(..60) {
            0 => None,
            1 => Some("never-given".to_owned()),
            _ => Some(self.tokens[known].clone()),
        };
        self.write_as(id, ask, shape, token);
    }

    pub(crate) fn write_as(&mut self, id: u32, ask: Ask, shape: Shape, token: Option<String>) {
        let (head, body) = ask.render(&shape, token.as_deref());
        let line = self.lines.get_mut(&id).expect("written to");
        self.trace
            .note(format_args!("line {id} asks {ask:?} {shape:?} {token:?}"));
        line.asked.push_back(Asked {
            is_head: shape.is_head || head.starts_with(b"HEAD "),
            wants_close: shape.wants_close || shape.is_http10,
            expects_continue: shape.expects_continue,
            token,
            start: line.written,
            end: line.written + head.len() + body.len(),
            begun: None,
            is_parked: false,
            ask,
        });
        line.write(&head);
        match shape.expects_continue {
            true => line.body = Some(body),
            false => line.write(&body),
        }
    }

    /// Users of an event loop that is not simulated: this one hears of what they did, and must not answer for it.
    fn act_elsewhere(&mut self) {
        let Some(connection) = self.some_key() else {
            return;
        };
        let ticket = Ticket {
            connection,
            exchange: self.rng.u32(1..4),
            event_loop: u16::try_from(self.loops.len()).expect("few"),
        };
        let chatroom = self.rng.usize(1..=self.store.data.chatrooms.len());
        let token = &self.tokens[self.rng.usize(..self.tokens.len())];
        let job = match self.rng.u8(..8) {
            0 => Job::LogOut {
                ticket,
                session: hash_of(token),
            },
            _ => {
                let chatroom = chatroom_id(chatroom);
                let participants = self.store.data.participants(chatroom);
                self.texts += 1;
                Job::SaveMessage {
                    ticket,
                    chatroom,
                    author: self.rng.choice(participants).expect("an admin at least"),
                    text: format!("m{}", self.texts).into(),
                    nonce: None,
                }
            }
        };
        self.trace.note(format_args!("elsewhere {job:?}"));
        self.store.write_elsewhere(job);
    }
}

/// The body that waited is written: 100 Continue has come, or the client would wait no longer.
fn finish_body(line: &mut Line) {
    if let Some(body) = line.body.take() {
        line.write(&body);
    }
}
