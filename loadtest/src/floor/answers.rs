//! The floor's answers, each rendered into one buffer that is used again, with the head that loiter's have.
//!
//! The date is written once a second, and with it the answer to `chatrooms`, which is the same for everyone.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::sockets::Chatroom;

/// As long as a session of loiter's.
const COOKIE: &str = "Set-Cookie: session=\
    0000000000000000000000000000000000000000000000000000000000000000; \
    HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000\r\n";

/// What answers are made of, and the last one made.
pub(super) struct Answers {
    now: SystemTime,
    /// The second that `date` and `chatrooms` were written for.
    second: Duration,
    date: String,
    chatrooms: Vec<u8>,
    /// Users registered so far.
    users: u64,
    /// The name of the last, who is taken to be the author of everything.
    name: Vec<u8>,
    body: Vec<u8>,
    out: Vec<u8>,
}

impl Answers {
    pub(super) fn new(now: SystemTime) -> Self {
        let mut answers = Self {
            now,
            second: Duration::MAX,
            date: String::new(),
            chatrooms: Vec::new(),
            users: 0,
            name: b"nobody".to_vec(),
            body: Vec::new(),
            out: Vec::new(),
        };
        answers.set_time(now);
        answers
    }

    /// What time the answers from now on show.
    pub(super) fn set_time(&mut self, now: SystemTime) {
        self.now = now;
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = Duration::from_secs(since.as_secs());
        if second == self.second {
            return;
        }
        self.second = second;
        self.date = httpdate::fmt_http_date(now);
        self.body.clear();
        self.body.extend_from_slice(b"[1]");
        self.render("200 OK", "");
        self.chatrooms.clone_from(&self.out);
    }

    /// The last answer made, to be sent as often as there are receivers.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Renders a chatroom's list of most recent messages, which holds the last.
    pub(super) fn list(&mut self, chatroom: &Chatroom) {
        self.body.clear();
        self.put_list(chatroom);
        self.render("200 OK", "");
    }

    /// The answer to endpoll.
    pub(super) fn ended(&mut self, ended: u64, chatroom: &Chatroom) -> &[u8] {
        self.body.clear();
        self.put(format_args!(
            r#"{{"status":"ok","ended":{ended},"messages":"#
        ));
        self.put_list(chatroom);
        self.body.push(b'}');
        self.render("200 OK", "")
    }

    pub(super) fn chatrooms(&self) -> &[u8] {
        &self.chatrooms
    }

    pub(super) fn register(&mut self, name: &[u8]) -> &[u8] {
        self.users += 1;
        self.name.clear();
        self.name.extend_from_slice(name);
        self.user("")
    }

    pub(super) fn login(&mut self) -> &[u8] {
        self.user(COOKIE)
    }

    /// A chatroom, to newChatroom and addToChatroom alike.
    pub(super) fn chatroom(&mut self, id: u32) -> &[u8] {
        self.body.clear();
        self.put(format_args!(r#"{{"chatroomid":{id}}}"#));
        self.render("200 OK", "")
    }

    pub(super) fn nothing_here(&mut self) -> &[u8] {
        self.body.clear();
        let message = "The floor has nothing here.";
        self.put(format_args!(
            r#"{{"error":"not_found","message":"{message}"}}"#
        ));
        self.render("404 Not Found", "")
    }

    fn user(&mut self, cookie: &str) -> &[u8] {
        self.body.clear();
        let id = self.users;
        self.put(format_args!(r#"{{"userid":{id},"username":""#));
        self.body.extend_from_slice(&self.name);
        self.body.extend_from_slice(b"\"}");
        self.render("200 OK", cookie)
    }

    fn put_list(&mut self, chatroom: &Chatroom) {
        if chatroom.last == 0 {
            return self.body.extend_from_slice(b"[]");
        }
        let Chatroom { id, last, text, .. } = chatroom;
        self.put(format_args!(
            r#"[{{"id":{last},"chatroomid":{id},"userid":1,"username":""#
        ));
        self.body.extend_from_slice(&self.name);
        self.body.extend_from_slice(br#"","message":""#);
        self.body.extend_from_slice(text);
        let time = humantime::format_rfc3339_millis(self.now);
        self.put(format_args!(r#"","time":"{time}"}}]"#));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.body.write_fmt(text).expect("a buffer takes all bytes");
    }

    /// The body behind its head.
    fn render(&mut self, status: &str, cookie: &str) -> &[u8] {
        self.out.clear();
        let (date, len) = (&self.date, self.body.len());
        write!(
            self.out,
            "HTTP/1.1 {status}\r\nDate: {date}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
            Content-Length: {len}\r\n\
            Content-Type: application/json; charset=utf-8\r\n{cookie}\r\n"
        )
        .expect("a buffer takes all bytes");
        self.out.extend_from_slice(&self.body);
        &self.out
    }
}
