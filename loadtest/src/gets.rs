//! Small questions that change nothing: what a request costs beside a chatroom's work, and how long others wait behind it.

use crate::askers::Work;
use crate::http::{Answer, Target};
use crate::requests::Requests;
use crate::tally::Tally;

/// Connections that ask such a question.
pub(crate) struct Gets {
    requests: Requests,
    /// The chatroom to be looked at; `None` asks for the user's chatrooms.
    room: Option<u64>,
    sessions: usize,
}

impl Gets {
    /// The chatrooms of the session's user, by all of the sessions in turn.
    pub(crate) fn chatrooms(target: &Target, sessions: &[String]) -> Self {
        Self {
            requests: Requests::new(target, sessions),
            room: None,
            sessions: sessions.len(),
        }
    }

    /// The messages of a chatroom that nobody polls. A server that cannot be asked for them is asked for the chatrooms.
    pub(crate) fn messages(target: &Target, sessions: &[String], room: u64) -> Self {
        Self {
            room: target.dialect.has_users().then_some(room),
            ..Self::chatrooms(target, sessions)
        }
    }
}

impl Work for Gets {
    fn request(&mut self, at: usize, _start_ns: u64, out: &mut Vec<u8>) {
        let session = at % self.sessions;
        match self.room {
            Some(room) => self.requests.look(room, session, out),
            None => self.requests.small(session, out),
        }
    }

    fn answered(&mut self, _at: usize, answer: &Answer<'_>, tally: &mut Tally) -> bool {
        if answer.status == 200 {
            return true;
        }
        let body = String::from_utf8_lossy(answer.body);
        let status = answer.status;
        tally.unexpected(|| format!("a small question was answered {status} {body}"));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn asked(gets: &mut Gets, at: usize) -> String {
        let mut out = Vec::new();
        gets.request(at, 0, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sessions_take_turns() {
        let target: Target = "http://127.0.0.1:1".parse().unwrap();
        let sessions = ["x".to_owned(), "y".to_owned()];
        let mut gets = Gets::chatrooms(&target, &sessions);
        assert!(asked(&mut gets, 0).contains("session=x"));
        assert!(asked(&mut gets, 3).contains("session=y"));
        let mut gets = Gets::messages(&target, &sessions, 7);
        assert!(asked(&mut gets, 0).starts_with("GET /message/endpoll/?chatroomid=7 "));
    }

    #[test]
    fn only_what_can_be_asked_is() {
        let mut target: Target = "http://127.0.0.1:1".parse().unwrap();
        target.dialect = Dialect::Nchan;
        let mut gets = Gets::messages(&target, &[String::new()], 7);
        assert!(asked(&mut gets, 0).starts_with("GET /message/chatrooms/ "));
    }
}
