//! Those who use the server: pollers, talkers, and some who mean it no good.
//!
//! Here is how they come, ask, listen and go; `choosing` is what each asks for, `following` how to miss nothing, `aiming` what of other servers, `elsewhere` who is not simulated.

mod aiming;
mod choosing;
mod elsewhere;
mod following;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::checks::Verdict;
use crate::data::hash_of;
use crate::line::{Asked, Came, Line};
use crate::reader::Reader;
use crate::request::Shape;
use crate::speaker::Speaker;
use crate::store::hits;
use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Polls one chatroom, again as soon as it is answered.
    Patient,
    /// Polls one chatroom since the newest message that it has, again as soon as it is answered, whatever becomes of
    /// its connections.
    Follower,
    /// The same with all chatrooms that its user is in.
    FollowerOfAll,
    /// The same with some of them.
    FollowerOfSeveral,
    /// The same with one chatroom by streams.
    Listener,
    /// Says one thing after another, each until it is answered, whatever becomes of its connections.
    Speaker,
    /// Polls any chatroom, and often goes away.
    Impatient,
    /// Makes all calls.
    Talker,
    /// Lets people into chatrooms and out of them.
    Doorkeeper,
    /// Sends what is no request too.
    Vandal,
    /// Does as it is told.
    Host,
}

impl Role {
    fn follows(self) -> bool {
        self.followed().is_some()
    }

    /// What is told of its reading.
    pub(crate) fn followed(self) -> Option<&'static str> {
        match self {
            Self::Follower => Some("messages followed"),
            Self::FollowerOfAll => Some("messages followed in all chatrooms"),
            Self::FollowerOfSeveral => Some("messages followed in several chatrooms"),
            Self::Listener => Some("messages followed by streams"),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) role: Role,
    pub(crate) chatroom: usize,
    pub(crate) line: Option<u32>,
    /// Where that is, or is to be made.
    pub(crate) server: usize,
    /// Among the world's tokens.
    pub(crate) token: usize,
    /// Those that a follower of several follows.
    chatrooms: Vec<usize>,
    /// A follower of all has learned of its chatrooms.
    has_overview: bool,
    pub(crate) reader: Reader,
    pub(crate) speaker: Speaker,
}

impl Client {
    pub(crate) fn new(role: Role, chatroom: usize, token: usize) -> Self {
        Self {
            role,
            chatroom,
            line: None,
            server: 0,
            token,
            chatrooms: Vec::new(),
            has_overview: false,
            reader: Reader::default(),
            speaker: Speaker::default(),
        }
    }

    /// Takes in an answer; an error where it cannot be.
    fn hear(&mut self, ask: &Ask, answer: &Answer) -> Verdict {
        match self.role {
            Role::Speaker => self.speaker.hear(answer),
            role if role.follows() => self.hear_as_follower(ask, answer)?,
            _ => {}
        }
        Ok(())
    }
}

impl World {
    /// Every client may do something.
    pub(crate) fn act(&mut self) {
        for at in 0..self.clients.len() {
            if self.clients[at].server != self.here {
                continue;
            }
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
        if self.clients[at].server != self.here {
            return;
        }
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
                Came::Continue => finish_body(line),
                Came::Answer(ask, answer) => return self.take(at, &ask, &answer),
                Came::Sign | Came::End => {}
                Came::Event(message) => return self.take_event(at, message),
            }
        }
        // The server's end: nobody waits for more.
        if line.is_finished && line.read == line.queued && !line.has_fin {
            match self.rng.u8(..8) {
                0 => {
                    line.is_reset = true;
                    self.tally.one("resets");
                }
                1..4 => line.has_fin = true,
                _ => {}
            }
        }
    }

    fn take(&mut self, at: usize, ask: &Ask, answer: &Answer) {
        if let Some(line) = self.clients[at].line.and_then(|id| self.lines.get_mut(&id)) {
            finish_body(line);
        }
        if matches!(ask, Ask::LogIn { .. }) && answer.status == 200 {
            self.tokens.extend(answer.token.clone());
        }
        let is_foreign = matches!(answer.code(), "not_a_participant");
        if answer.status == 401 && ask.needs_session() {
            self.clients[at].token = self.rng.usize(..self.tokens.len());
        }
        if answer.status == 401 || is_foreign || self.rng.u8(..40) == 0 {
            let client = &mut self.clients[at];
            let token = &self.tokens[client.token];
            client.look_around(&mut self.rng, &self.store.data, token);
        }
        if let Err(what) = self.clients[at].hear(ask, answer) {
            self.demand(false, &what);
        }
    }

    fn take_event(&mut self, at: usize, message: Value) {
        let client = &mut self.clients[at];
        if client.role == Role::Listener
            && let Err(what) = client.reader.hear(&[message])
        {
            self.demand(false, &what);
        }
    }

    fn act_one(&mut self, at: usize) {
        let role = self.clients[at].role;
        if role == Role::Host {
            return;
        }
        let Some(id) = self.clients[at].line else {
            match self.goes_elsewhere() {
                Some(server) => self.clients[at].server = server,
                None => self.connect(at),
            }
            return;
        };
        let line = self.lines.get_mut(&id).expect("listened to");
        let pending = line.asked.len() + line.answers.len();
        let (reset, fin) = match role {
            Role::Patient | Role::Host | Role::Doorkeeper => (0, 0),
            Role::Follower | Role::FollowerOfAll | Role::FollowerOfSeveral => (1, 1),
            Role::Listener => (3, 1),
            Role::Speaker => (4, 1),
            Role::Impatient => (4, 4),
            Role::Talker | Role::Vandal => (1, 2),
        };
        if hits(&mut self.rng, reset) {
            line.is_reset = true;
            line.under_way.clear();
            self.tally.one("resets");
        } else if hits(&mut self.rng, fin) && pending > 0 {
            line.has_fin = true;
            self.tally.one("half-closes");
        }
        if line.body.is_some() && self.rng.u8(..8) == 0 {
            finish_body(line);
        }
        let pending_max = match role {
            Role::Listener if line.asks_only_who_it_is() => 2,
            Role::Impatient => 2,
            Role::Talker | Role::Vandal => 5,
            _ => 1,
        };
        if line.is_writable() && !line.said_close && pending < pending_max {
            let ask = self.choose(at);
            self.write(at, id, ask);
            let line = self.lines.get_mut(&id).expect("still there");
            // Some ask and shut their side down in one breath.
            if role != Role::Patient && self.rng.u8(..40) == 0 {
                line.has_fin = true;
                self.tally.one("half-closes");
            }
        }
    }

    pub(crate) fn connect(&mut self, at: usize) {
        self.lines_made += 1;
        let is_slow = match self.clients[at].role {
            Role::Listener => self.rng.u8(..3) == 0,
            _ => self.rng.u8(..8) == 0,
        };
        let window = match is_slow {
            true => {
                self.tally.one("slow readers");
                self.rng.usize(20..400)
            }
            false => usize::MAX,
        };
        let home = self.rng.usize(..self.loops.len());
        self.lines.insert(self.lines_made, Line::new(home, window));
        self.clients[at].line = Some(self.lines_made);
    }

    fn write(&mut self, at: usize, id: u32, ask: Ask) {
        let (ask, aimed) = self.aim(ask);
        let shape = self.shape(self.clients[at].role, &ask);
        let known = match self.clients[at].role {
            Role::Talker if self.rng.u8(..4) == 0 => self.rng.usize(..self.tokens.len()),
            _ => self.clients[at].token,
        };
        let token = match self.rng.u8(..60) {
            0 => None,
            1 => Some("never-given".to_owned()),
            _ => aimed.or_else(|| Some(self.tokens[known].clone())),
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
            is_http10: shape.is_http10,
            expects_continue: shape.expects_continue,
            session: hash_of(token.as_deref().unwrap_or_default()),
            token,
            start: line.written,
            end: line.written + head.len() + body.len(),
            begun: None,
            begun_in: BTreeMap::new(),
            floors: BTreeMap::new(),
            settled_ms: None,
            parked: None,
            stream: None,
            came_before_drain: false,
            ask,
        });
        line.write(&head);
        match shape.expects_continue {
            true => line.body = Some(body),
            false => line.write(&body),
        }
    }
}

/// The body that waited is written: 100 Continue has come, or the client would wait no longer.
fn finish_body(line: &mut Line) {
    if let Some(body) = line.body.take() {
        line.write(&body);
    }
}
