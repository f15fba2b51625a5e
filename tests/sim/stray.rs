//! What is asked wrongly, of nobody, or in no words of HTTP.

use fastrand::Rng;

use crate::ask::Ask;

const WRONG: [(&str, &str); 22] = [
    ("/message/longpoll", "chatroomid=1&since=-1"),
    ("/message/longpoll", "chatroomid=1&limit=201"),
    ("/message/longpoll", "chatroomid=1&timeout=0"),
    ("/message/history", "chatroomid=1&before=0"),
    ("/message/longpoll", "chatroomid=1,2&since=3"),
    ("/message/longpoll", "chatroomid=1,2&since=1:2,1:3"),
    ("/message/longpoll", "chatroomid=1,2&since=3:0"),
    ("/message/longpoll", "chatroomid=1,1"),
    ("/message/longpoll", "chatroomid=all&since=1:-1"),
    ("/message/endpoll", "chatroomid=all"),
    ("/message/stream", "chatroomid=1,2"),
    ("/message/longpoll", ""),
    ("/message/longpoll", "chatroomid=0"),
    ("/message/longpoll", "chatroomid=-1"),
    ("/message/longpoll", "chatroomid=+1"),
    ("/message/longpoll", "chatroomid=9223372036854775808"),
    ("/message/endpoll", "chatroomid=x"),
    ("/message/getUser", "name="),
    ("/message/getUser", "name=%ff"),
    ("/message/getUser", "name=a&name=b"),
    ("/message/chatroomParticipants", "chatroomid=%"),
    ("/message/chatroomParticipants", "room=1"),
];

const STRAY: [(&str, u16); 12] = [
    ("GET /healthz", 200),
    ("HEAD /healthz/", 200),
    ("GET /nowhere/", 404),
    ("GET //", 404),
    ("POST /message/longpoll/?chatroomid=1", 405),
    ("HEAD /message/longpoll/?chatroomid=1", 405),
    ("HEAD /message/stream/?chatroomid=1", 405),
    ("DELETE /message/chatrooms", 405),
    ("GET /logout", 405),
    ("OPTIONS /message/sendMessage/", 204),
    ("OPTIONS *", 204),
    ("POST /login/?username=ann", 400),
];

impl Ask {
    pub(crate) fn wrong(rng: &mut Rng) -> Self {
        let (path, query) = WRONG[rng.usize(..WRONG.len())];
        Self::Wrong { path, query }
    }

    pub(crate) fn stray(rng: &mut Rng) -> Self {
        let (line, status) = STRAY[rng.usize(..STRAY.len())];
        Self::Stray { line, status }
    }

    /// `head_max` is the engine's bound.
    pub(crate) fn garbage(rng: &mut Rng, head_max: usize) -> Self {
        let host = "HTTP/1.1\r\nHost: x\r\n";
        let (bytes, statuses): (Vec<u8>, &[u16]) = match rng.u8(..10) {
            0 => (b"\x16\x03\x01\x02\x00\x01".to_vec(), &[400]),
            1 => (b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[400]),
            2 => (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n".to_vec(), &[505]),
            3 => (
                format!("POST /login {host}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
                    .into(),
                &[400],
            ),
            4 => (format!("GET /{} ", "a".repeat(head_max)).into(), &[414]),
            5 => (
                format!("GET / {host}A: {}\r\n", "a".repeat(head_max)).into(),
                &[431],
            ),
            6 => (
                format!("POST /login {host}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
                    .into(),
                &[413],
            ),
            7 => (
                format!("POST /login {host}Transfer-Encoding: gzip\r\n\r\n").into(),
                &[501],
            ),
            8 => (
                format!("POST /login {host}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into(),
                &[400],
            ),
            _ => (format!("GET / {host}Expect: tea\r\n\r\n").into(), &[417]),
        };
        Self::Garbage { bytes, statuses }
    }
}
