//! What senders ask, and how each answer is checked: its list is without gaps and of the right chatroom, its last message is the one sent,
//! and no id comes twice. When all that was sent has been answered, a chatroom's newest id must be the number of acknowledged
//! messages: less is loss, more is a message saved twice.

use crate::askers::Work;
use crate::client::Client;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::http::{Answer, Target};
use crate::marker::Marker;
use crate::requests::Requests;
use crate::setup::Setup;
use crate::tally::Tally;

/// How far an id may run ahead of those that came before it: as many as may be under way.
const AHEAD_MAX: usize = 1 << 16;

/// The senders of one measurement.
pub(crate) struct Sends {
    dialect: Dialect,
    requests: Requests,
    run: String,
    chatrooms: Vec<Chatroom>,
    links: Vec<Sending>,
    /// Whether each sender goes from chatroom to chatroom; else it stays in one.
    roams: bool,
    /// The text that was written last, or that an answer has to hold.
    text: Vec<u8>,
}

/// What is known of one chatroom.
struct Chatroom {
    id: u64,
    acknowledged: u64,
    /// By id less one, whether an answer had it. Ids are dense, so this is a bit vector with the bits at leisure.
    seen: Vec<bool>,
}

/// What one connection is about.
#[derive(Clone, Copy, Default)]
struct Sending {
    count: u64,
    start_ns: u64,
}

impl Sends {
    /// `count` senders to these chatrooms, who all are the run's admin.
    pub(crate) fn new(
        target: &Target,
        setup: &Setup,
        count: u64,
        chatrooms: &[u64],
        roams: bool,
    ) -> Self {
        let chatrooms = chatrooms.iter().map(|id| Chatroom {
            id: *id,
            acknowledged: 0,
            seen: Vec::new(),
        });
        Self {
            dialect: target.dialect,
            requests: Requests::new(target, &setup.sessions[..1]),
            run: setup.run.clone(),
            chatrooms: chatrooms.collect(),
            links: vec![Sending::default(); count as usize],
            roams,
            text: Vec::new(),
        }
    }

    /// Messages that the server has acknowledged, by chatroom.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = (u64, u64)> {
        self.chatrooms
            .iter()
            .map(|room| (room.id, room.acknowledged))
    }

    /// Compares each chatroom's newest id with what was acknowledged, and with `more` messages that others have sent there.
    pub(crate) fn check_newest(
        &self,
        admin: &mut Client,
        more: u64,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        if !self.dialect.has_history() {
            return Ok(());
        }
        for room in &self.chatrooms {
            let newest = admin.newest(room.id)?.map_or(0, |last| last.id);
            let acknowledged = room.acknowledged + more;
            let what = || {
                format!(
                    "chatroom {} holds {newest} of {acknowledged} messages",
                    room.id
                )
            };
            tally.missing(acknowledged.saturating_sub(newest), what);
            tally.doubled(newest.saturating_sub(acknowledged), what);
        }
        Ok(())
    }

    /// Where a sender's message goes, by the place of the chatroom. Those who go around begin evenly apart.
    fn place(&self, at: usize) -> usize {
        let rooms = self.chatrooms.len();
        match self.roams {
            true => (at * rooms / self.links.len() + self.links[at].count as usize) % rooms,
            false => at % rooms,
        }
    }

    fn write_text(&mut self, at: usize, room: u64) {
        let marker = Marker {
            room,
            sender: at as u64 + 1,
            count: self.links[at].count,
            start_ns: self.links[at].start_ns,
        };
        self.text.clear();
        marker.write(&self.run, &mut self.text);
    }

    /// Checks the list of an answer that says that the message is saved.
    fn check(&mut self, at: usize, body: &[u8], tally: &mut Tally) {
        let place = self.place(at);
        self.chatrooms[place].acknowledged += 1;
        if !self.dialect.has_lists() {
            return;
        }
        let chatroomid = self.chatrooms[place].id;
        self.write_text(at, chatroomid);
        let last = match self.dialect.hear(body) {
            Ok(Some(last)) => last,
            Ok(None) => return tally.unexpected(|| "a send was answered with no message".into()),
            Err(bad) => return tally.unexpected(|| format!("a send was answered with {bad}")),
        };
        if last.chatroomid != chatroomid || last.text.as_bytes() != self.text {
            let text = String::from_utf8_lossy(&self.text);
            return tally
                .unexpected(|| format!("{text} to chatroom {chatroomid} was answered {last:?}"));
        }
        self.chatrooms[place].saw(last.id, tally);
    }
}

impl Chatroom {
    fn saw(&mut self, id: u64, tally: &mut Tally) {
        let place = usize::try_from(id.saturating_sub(1)).unwrap_or(usize::MAX);
        // An id far beyond what was sent would be a fault of its own; the newest id shows it at the end.
        if place > self.seen.len() + AHEAD_MAX {
            let before = self.seen.len();
            return tally.unexpected(|| format!("id {id} came after {before} messages"));
        }
        if place >= self.seen.len() {
            self.seen.resize(place + 1, false);
        }
        if std::mem::replace(&mut self.seen[place], true) {
            let what = || format!("two messages of chatroom {} have the id {id}", self.id);
            tally.doubled(1, what);
        }
    }
}

impl Work for Sends {
    fn request(&mut self, at: usize, start_ns: u64, out: &mut Vec<u8>) {
        self.links[at].count += 1;
        self.links[at].start_ns = start_ns;
        let room = self.chatrooms[self.place(at)].id;
        self.write_text(at, room);
        self.requests.send(room, 0, &self.text, out);
    }

    fn answered(&mut self, at: usize, answer: &Answer<'_>, tally: &mut Tally) -> bool {
        if self.dialect.is_sent(answer.status) {
            self.check(at, answer.body, tally);
            return true;
        }
        let body = String::from_utf8_lossy(answer.body);
        let status = answer.status;
        tally.unexpected(|| format!("a send was answered {status} {body}"));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends(chatrooms: &[u64], roams: bool) -> Sends {
        let target: Target = "http://127.0.0.1:1".parse().unwrap();
        Sends {
            dialect: Dialect::Loiter,
            requests: Requests::new(&target, &["s".to_owned()]),
            run: "ab".into(),
            chatrooms: chatrooms
                .iter()
                .map(|id| Chatroom {
                    id: *id,
                    acknowledged: 0,
                    seen: Vec::new(),
                })
                .collect(),
            links: vec![Sending::default(); 2],
            roams,
            text: Vec::new(),
        }
    }

    fn answer(sends: &mut Sends, at: usize, id: u64, text: &str) -> Tally {
        let body = format!(r#"[{{"id":{id},"chatroomid":7,"message":"{text}"}}]"#);
        let answer = Answer {
            status: 200,
            body: body.as_bytes(),
            close: false,
            len: 0,
            again: false,
        };
        let mut tally = Tally::default();
        assert!(sends.answered(at, &answer, &mut tally));
        tally
    }

    #[test]
    fn each_sender_gets_its_own_message_back() {
        let mut sends = sends(&[7], false);
        let mut out = Vec::new();
        sends.request(0, 5, &mut out);
        sends.request(1, 6, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("POST /message/sendMessage/?chatroomid=7 "));
        assert!(text.contains(r#"{"message":"ab.7.1.1.5"}"#), "{text}");
        assert!(answer(&mut sends, 1, 1, "ab.7.2.1.6").is_clean());
        assert!(answer(&mut sends, 0, 2, "ab.7.1.1.5").is_clean());
        assert_eq!(sends.acknowledged().collect::<Vec<_>>(), [(7, 2)]);
    }

    #[test]
    fn another_text_and_an_id_again_are_found() {
        let mut sends = sends(&[7], false);
        sends.request(0, 5, &mut Vec::new());
        assert_eq!(answer(&mut sends, 0, 1, "ab.7.2.1.5").unexpected, 1);
        assert!(answer(&mut sends, 0, 1, "ab.7.1.1.5").is_clean());
        let again = answer(&mut sends, 0, 1, "ab.7.1.1.5");
        assert_eq!(again.doubled, 1);
        assert_eq!(again.examples, ["two messages of chatroom 7 have the id 1"]);
        assert_eq!(answer(&mut sends, 0, 1 << 60, "ab.7.1.1.5").unexpected, 1);
    }

    #[test]
    fn those_who_roam_begin_apart_and_go_around() {
        let mut sends = sends(&[1, 2, 3, 4], true);
        let mut rooms = Vec::new();
        for _ in 0..4 {
            for at in 0..2 {
                sends.request(at, 1, &mut Vec::new());
                rooms.push(sends.chatrooms[sends.place(at)].id);
            }
        }
        assert_eq!(rooms, [2, 4, 3, 1, 4, 2, 1, 3]);
    }
}
