//! The requests of the hot path, written into a buffer that is used again: nothing is allocated once it is warm.

use std::io::Write as _;

use crate::http::Target;

/// What all requests of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    /// By session, from behind the path to the last field of the head.
    tails: Vec<Vec<u8>>,
    padding: &'static str,
}

impl Requests {
    /// Requests to `target` by users with these sessions; an empty one stands for no cookie.
    pub(crate) fn new(target: &Target, sessions: &[String]) -> Self {
        let tail = |session: &String| {
            let mut tail = format!(" HTTP/1.1\r\nHost: {}\r\n", target.host);
            if !session.is_empty() {
                tail.push_str(&format!("Cookie: session={session}\r\n"));
            }
            tail.into_bytes()
        };
        Self {
            tails: sessions.iter().map(tail).collect(),
            padding: target.dialect.padding(),
        }
    }

    /// Appends a long poll.
    pub(crate) fn poll(&self, room: u64, session: usize, out: &mut Vec<u8>) {
        self.with_room(b"GET /message/longpoll/?chatroomid=", room, session, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends a long poll that waits for so many seconds at most.
    pub(crate) fn timed_poll(&self, room: u64, timeout_s: u64, session: usize, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "GET /message/longpoll/?timeout={timeout_s}");
        self.with_room(b"&chatroomid=", room, session, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends a question about a chatroom that has no polls: its list of most recent messages.
    pub(crate) fn look(&self, room: u64, session: usize, out: &mut Vec<u8>) {
        self.with_room(b"GET /message/endpoll/?chatroomid=", room, session, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the small call that changes nothing.
    pub(crate) fn small(&self, session: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GET /message/chatrooms/");
        out.extend_from_slice(&self.tails[session]);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the sending of a message; `text` holds nothing that JSON would escape.
    pub(crate) fn send(&self, room: u64, session: usize, text: &[u8], out: &mut Vec<u8>) {
        self.with_room(
            b"POST /message/sendMessage/?chatroomid=",
            room,
            session,
            out,
        );
        let len = text.len() + br#"{"message":""}"#.len() + self.padding.len();
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            "Content-Type: application/json\r\nContent-Length: {len}\r\n\r\n{{\"message\":\""
        );
        out.extend_from_slice(text);
        let _ = write!(out, "\"{}}}", self.padding);
    }

    fn with_room(&self, path: &[u8], room: u64, session: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(path);
        let _ = write!(out, "{room}");
        out.extend_from_slice(&self.tails[session]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn written(dialect: Dialect, write: impl Fn(&Requests, &mut Vec<u8>)) -> String {
        let mut target: Target = "http://127.0.0.1:1".parse().unwrap();
        target.dialect = dialect;
        let requests = Requests::new(&target, &["s".to_owned(), String::new()]);
        let mut out = Vec::new();
        write(&requests, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_get_ends_behind_its_head() {
        let poll = written(Dialect::Loiter, |r, out| r.poll(7, 0, out));
        assert_eq!(
            poll,
            "GET /message/longpoll/?chatroomid=7 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nCookie: session=s\r\n\r\n"
        );
        let timed = written(Dialect::Loiter, |r, out| r.timed_poll(7, 5, 0, out));
        assert!(timed.starts_with("GET /message/longpoll/?timeout=5&chatroomid=7 HTTP/1.1\r\n"));
        let small = written(Dialect::Loiter, |r, out| r.small(1, out));
        assert!(!small.contains("Cookie") && small.ends_with("1\r\n\r\n"));
        let look = written(Dialect::Loiter, |r, out| r.look(7, 0, out));
        assert!(look.starts_with("GET /message/endpoll/?chatroomid=7 "));
    }

    #[test]
    fn a_send_says_how_long_its_body_is() {
        for dialect in [Dialect::Loiter, Dialect::Nchan] {
            let send = written(dialect, |r, out| r.send(7, 0, b"ab.7", out));
            let (head, body) = send.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["message"], "ab.7");
        }
    }
}
