//! What a client may ask, and the bytes in which it does.

use fastrand::Rng;

/// A request's meaning.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Poll {
        chatroom: usize,
    },
    /// A poll for what is newer than `since`.
    Follow {
        chatroom: usize,
        since: i64,
        limit: Option<u8>,
    },
    EndPolls {
        chatroom: usize,
    },
    Send {
        chatroom: usize,
        text: String,
    },
    LogOut,
    LogIn {
        name: String,
        password: String,
    },
    Register {
        name: String,
    },
    CreateChatroom,
    Add {
        chatroom: usize,
        whom: String,
    },
    Chatrooms,
    Participants {
        chatroom: usize,
    },
    Presence {
        chatroom: usize,
    },
    FindUsers {
        prefix: String,
    },
    /// A call in a session with a wrong parameter.
    Wrong {
        path: &'static str,
        query: &'static str,
    },
    /// A request that is none of the API's; the statuses that it may get.
    Stray {
        line: &'static str,
        status: u16,
    },
    /// No request; the statuses that it may get, before the connection closes.
    Garbage {
        bytes: Vec<u8>,
        statuses: &'static [u16],
    },
}

/// How it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) is_head: bool,
    pub(crate) wants_close: bool,
    pub(crate) is_http10: bool,
    pub(crate) in_body: bool,
    pub(crate) is_chunked: bool,
    pub(crate) expects_continue: bool,
    pub(crate) has_slash: bool,
}

const WRONG: [(&str, &str); 11] = [
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

const STRAY: [(&str, u16); 9] = [
    ("GET /nowhere/", 404),
    ("GET /", 404),
    ("POST /message/longpoll/?chatroomid=1", 405),
    ("HEAD /message/longpoll/?chatroomid=1", 405),
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

    /// Method, path, parameters.
    fn parts(&self) -> (&'static str, &'static str, Vec<(&'static str, String)>) {
        let room = |chatroom: &usize| ("chatroomid", chatroom.to_string());
        match self {
            Self::Poll { chatroom } => ("GET", "/message/longpoll", vec![room(chatroom)]),
            Self::Follow {
                chatroom,
                since,
                limit,
            } => {
                let limit = limit.map(|limit| ("limit", limit.to_string()));
                let mut parameters = vec![room(chatroom), ("since", since.to_string())];
                parameters.extend(limit);
                ("GET", "/message/longpoll", parameters)
            }
            Self::EndPolls { chatroom } => ("GET", "/message/endpoll", vec![room(chatroom)]),
            Self::Send { chatroom, text } => (
                "POST",
                "/message/sendMessage",
                vec![("message", text.clone()), room(chatroom)],
            ),
            Self::LogOut => ("POST", "/logout", vec![]),
            Self::LogIn { name, password } => (
                "POST",
                "/login",
                vec![("username", name.clone()), ("password", password.clone())],
            ),
            Self::Register { name } => (
                "POST",
                "/register",
                vec![("username", name.clone()), ("password", "new".to_owned())],
            ),
            Self::CreateChatroom => ("POST", "/message/newChatroom", vec![]),
            Self::Add { chatroom, whom } => (
                "POST",
                "/message/addToChatroom",
                vec![room(chatroom), ("usertoadd", whom.clone())],
            ),
            Self::Chatrooms => ("GET", "/message/chatrooms", vec![]),
            Self::Participants { chatroom } => {
                ("GET", "/message/chatroomParticipants", vec![room(chatroom)])
            }
            Self::Presence { chatroom } => ("GET", "/message/presence", vec![room(chatroom)]),
            Self::FindUsers { prefix } => {
                ("GET", "/message/getUser", vec![("name", prefix.clone())])
            }
            Self::Wrong { .. } | Self::Stray { .. } | Self::Garbage { .. } => {
                unreachable!("written as they are")
            }
        }
    }

    /// Whether it must come in a session.
    pub(crate) fn needs_session(&self) -> bool {
        !matches!(
            self,
            Self::LogIn { .. } | Self::Register { .. } | Self::Stray { .. } | Self::Garbage { .. }
        )
    }

    pub(crate) fn can_be_head(&self) -> bool {
        matches!(
            self,
            Self::Chatrooms
                | Self::Participants { .. }
                | Self::Presence { .. }
                | Self::FindUsers { .. }
        )
    }

    pub(crate) fn can_have_body(&self) -> bool {
        matches!(
            self,
            Self::Send { .. } | Self::Add { .. } | Self::LogIn { .. } | Self::Register { .. }
        )
    }

    /// The chatroom that it is about.
    pub(crate) fn chatroom(&self) -> Option<usize> {
        match self {
            Self::Poll { chatroom }
            | Self::Follow { chatroom, .. }
            | Self::EndPolls { chatroom }
            | Self::Send { chatroom, .. }
            | Self::Add { chatroom, .. }
            | Self::Participants { chatroom }
            | Self::Presence { chatroom } => Some(*chatroom),
            _ => None,
        }
    }

    /// Its head, with whatever is written at once, and the body that may have to wait.
    pub(crate) fn render(&self, shape: &Shape, token: Option<&str>) -> (Vec<u8>, Vec<u8>) {
        let (start, form) = match self {
            Self::Garbage { bytes, .. } => return (bytes.clone(), Vec::new()),
            Self::Stray { line, .. } => ((*line).to_owned(), None),
            Self::Wrong { path, query } => (format!("GET {path}?{query}"), None),
            ask => ask.start(shape),
        };
        let version = if shape.is_http10 { "1.0" } else { "1.1" };
        let mut head = format!("{start} HTTP/{version}\r\nHost: sim\r\n");
        if let Some(token) = token {
            head += &format!("Cookie: a=b; session={token}\r\n");
        }
        if shape.wants_close {
            head += "Connection: close\r\n";
        }
        let mut body = Vec::new();
        if let Some(form) = form {
            head += "Content-Type: application/x-www-form-urlencoded\r\n";
            if shape.expects_continue {
                head += "Expect: 100-continue\r\n";
            }
            if shape.is_chunked {
                head += "Transfer-Encoding: chunked\r\n";
                body = chunked(&form);
            } else {
                head += &format!("Content-Length: {}\r\n", form.len());
                body = form.into_bytes();
            }
        }
        head += "\r\n";
        (head.into_bytes(), body)
    }

    fn start(&self, shape: &Shape) -> (String, Option<String>) {
        let (method, path, parameters) = self.parts();
        let method = if shape.is_head { "HEAD" } else { method };
        let slash = if shape.has_slash { "/" } else { "" };
        let pairs = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)));
        let form = pairs.collect::<Vec<_>>().join("&");
        match shape.in_body {
            true => (format!("{method} {path}{slash}"), Some(form)),
            false if form.is_empty() => (format!("{method} {path}{slash}"), None),
            false => (format!("{method} {path}{slash}?{form}"), None),
        }
    }
}

fn chunked(form: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in form.as_bytes().chunks(7) {
        body.extend(format!("{:x};x=y\r\n", chunk.len()).bytes());
        body.extend(chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\nTrailer: x\r\n\r\n");
    body
}

fn encode(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || byte == b'-' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}
