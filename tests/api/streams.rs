//! Streams: server-sent events on one long response.

use std::io::Read;
use std::time::Duration;

use loiter::config::{Config, Durability};
use socket2::SockRef;

use super::since::talked;
use crate::serving::{Client, Request, Serving, Session, ending, get, post};

/// What comes on a connection, in pieces.
struct Stream {
    client: Client,
    unread: Vec<u8>,
}

fn streaming(session: &Session, chatroom: i64) -> Request {
    get("/message/stream/")
        .of(session)
        .with("chatroomid", chatroom)
}

impl Stream {
    /// Begun, with its head.
    fn open(serving: &Serving, request: &Request) -> (Self, String) {
        let mut client = serving.connect();
        client.send(request.bytes());
        let mut stream = Self {
            client,
            unread: Vec::new(),
        };
        let head = stream.until(b"\r\n\r\n");
        (stream, head)
    }

    fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|part| part == end) {
                let rest = self.unread.split_off(at + end.len());
                let piece = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8(piece).expect("UTF-8");
            }
            assert!(
                self.read() > 0,
                "it ended behind {:?}",
                self.unread.escape_ascii().to_string()
            );
        }
    }

    fn read(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let count = self.client.socket().read(&mut bytes).expect("it goes on");
        self.unread.extend_from_slice(&bytes[..count]);
        count
    }

    /// Whether there was anything.
    fn read_what_is_left(&mut self) -> bool {
        let mut bytes = vec![0; 1 << 16];
        let count = self.client.socket().read(&mut bytes).unwrap_or(0);
        self.unread.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// The next chunk's data; nothing is the last.
    fn chunk(&mut self) -> String {
        let size = self.until(b"\r\n");
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        while self.unread.len() < size + 2 {
            assert!(self.read() > 0, "it ended within a chunk");
        }
        let rest = self.unread.split_off(size + 2);
        let mut data = std::mem::replace(&mut self.unread, rest);
        assert_eq!(data.split_off(size), b"\r\n");
        String::from_utf8(data).expect("UTF-8")
    }

    /// The ids of the events in the next chunk.
    fn ids(&mut self) -> Vec<i64> {
        let chunk = self.chunk();
        let events = chunk.strip_suffix("\n\n").expect("whole events");
        let id = |event: &str| {
            let (id, data) = event.split_once('\n').expect("an id and its data");
            let id: i64 = id
                .strip_prefix("id: ")
                .expect("an id")
                .parse()
                .expect("a number");
            let data = data.strip_prefix("data: ").expect("data");
            let message: serde_json::Value = serde_json::from_str(data).expect("JSON");
            assert_eq!(message["id"], id);
            id
        };
        events.split("\n\n").map(id).collect()
    }
}

/// A server with short lists, ann, and a chatroom with nine messages.
#[test]
fn each_message_is_an_event_with_its_id() {
    let (serving, ann, id) = talked();
    let (mut stream, head) = Stream::open(&serving, &streaming(&ann, id));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for field in [
        "Content-Type: text/event-stream; charset=utf-8",
        "Transfer-Encoding: chunked",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Date: ",
    ] {
        assert!(head.contains(&format!("\r\n{field}")), "{head}");
    }
    assert!(!head.contains("Content-Length"), "{head}");
    let list = serving.say(&ann, id, "line\nline");
    let said = list.as_array().and_then(|list| list.last()).expect("it");
    let event = stream.chunk();
    let json = event
        .strip_prefix("id: 10\ndata: ")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    let json = json.expect("one event of two lines");
    let message: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(message, *said);
    assert_eq!(said["message"], "line\nline");
    serving.say(&ann, id, "eleven");
    assert_eq!(stream.ids(), [11]);
}

#[test]
fn who_comes_again_goes_on_behind_the_last() {
    let (serving, ann, id) = talked();
    // Further back than what is remembered; `Last-Event-ID` is newer than what the address says.
    let again = streaming(&ann, id)
        .with("since", 8)
        .field("Last-Event-ID", "1");
    let (mut stream, _) = Stream::open(&serving, &again);
    let mut heard = Vec::new();
    while heard.len() < 8 {
        heard.extend(stream.ids());
    }
    assert_eq!(heard, Vec::from_iter(2..=9));
    let (mut stream, _) = Stream::open(&serving, &streaming(&ann, id).with("since", 7));
    assert_eq!(stream.ids(), [8, 9]);
}

#[test]
fn it_ends_in_good_order_and_the_connection_goes_on() {
    let (serving, ann, id) = talked();
    let (mut stream, _) = Stream::open(&serving, &streaming(&ann, id));
    let bob = serving.user("bob");
    serving.add(&ann, id, &bob);
    let (mut bobs, _) = Stream::open(&serving, &streaming(&bob, id));
    // An endpoll is for polls.
    assert_eq!(serving.ask(&ending(&bob, id)).ok()["ended"], 0);
    let remove = post("/message/removeFromChatroom/")
        .of(&ann)
        .with("chatroomid", id);
    serving.ask(&remove.with("usertoremove", "bob")).ok();
    serving.say(&ann, id, "without bob");
    assert_eq!(bobs.chunk(), "");
    bobs.client.ask(&get("/message/chatrooms/").of(&bob)).ok();
    assert_eq!(stream.ids(), [10]);
    serving.ask(&post("/logout/").of(&ann)).ok();
    assert_eq!(stream.chunk(), "");
    let answer = stream.client.ask(&streaming(&ann, id));
    answer.assert_failed(401, "no_session");
}

#[test]
fn a_drain_ends_it() {
    let (serving, ann, id) = talked();
    let (mut stream, _) = Stream::open(&serving, &streaming(&ann, id));
    serving.drain();
    assert_eq!(stream.chunk(), "");
    stream.client.assert_ends();
}

#[test]
fn an_old_client_reads_to_the_end() {
    let (serving, ann, id) = talked();
    let request = String::from_utf8(streaming(&ann, id).bytes()).expect("ASCII");
    let mut client = serving.connect();
    client.send(request.replace("HTTP/1.1", "HTTP/1.0"));
    let mut stream = Stream {
        client,
        unread: Vec::new(),
    };
    let head = stream.until(b"\r\n\r\n");
    assert!(
        head.contains("\r\nConnection: close\r\n") && !head.contains("chunked"),
        "{head}"
    );
    serving.say(&ann, id, "ten");
    assert!(stream.until(b"\n\n").starts_with("id: 10\ndata: {"));
    serving.ask(&post("/logout/").of(&ann)).ok();
    assert_eq!(stream.read(), 0);
}

#[test]
fn wrong_ones_are_refused_before_they_begin() {
    let (serving, ann, id) = talked();
    let bob = serving.user("bob");
    serving
        .ask(&streaming(&bob, id))
        .assert_failed(403, "not_a_participant");
    serving
        .ask(&get("/message/stream/").with("chatroomid", id))
        .assert_failed(401, "no_session");
    let ahead = serving.ask(&streaming(&ann, id).field("Last-Event-ID", "10"));
    ahead.assert_failed(409, "since_ahead");
    assert_eq!(ahead.json()["last"], 9);
    for (field, value) in [("Last-Event-ID", "x"), ("Last-Event-ID", "-1")] {
        let answer = serving.ask(&streaming(&ann, id).field(field, value));
        answer.assert_failed(400, "bad_parameter");
        assert!(
            answer.json()["message"]
                .to_string()
                .contains("Last-Event-ID")
        );
    }
    let head = Request::new("HEAD", "/message/stream/")
        .of(&ann)
        .with("chatroomid", id);
    assert_eq!(serving.ask(&head).status, 405);
}

#[test]
fn its_client_may_vanish() {
    let (serving, ann, id) = talked();
    let (stream, _) = Stream::open(&serving, &streaming(&ann, id));
    let (half, _) = Stream::open(&serving, &streaming(&ann, id));
    stream.client.reset();
    half.client.hang_up();
    let mut half = half;
    while half.read() > 0 {}
    serving.say(&ann, id, "nobody hears it");
}

/// A stream from the beginning whose client reads nothing yet, and more behind it than all buffers on its way take.
fn flooded(set: impl FnOnce(&mut Config)) -> (Serving, Stream) {
    let serving = Serving::with(|config| {
        config.durability = Durability::Normal;
        set(config);
    });
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let (stream, _) = Stream::open(&serving, &streaming(&ann, id).with("since", 0));
    let socket = SockRef::from(stream.client.socket());
    socket
        .set_recv_buffer_size(64 * 1024)
        .expect("a TCP socket");
    let mut quick = serving.connect();
    let text = "x".repeat(4096);
    for _ in 0..SAID {
        let request = post("/message/sendMessage/").of(&ann).with("limit", 1);
        let request = request.with("chatroomid", id).with("message", &text);
        quick.ask(&request).ok();
    }
    (serving, stream)
}

/// Messages of 4 KiB: 6 MiB.
const SAID: usize = 1500;

#[test]
fn a_slow_reader_holds_nothing_up_and_misses_nothing() {
    let (_serving, mut stream) = flooded(|_| ());
    let mut heard = Vec::new();
    while heard.len() < SAID {
        heard.extend(stream.ids());
    }
    assert_eq!(heard, Vec::from_iter(1..=SAID as i64));
}

#[test]
fn who_takes_nothing_is_given_up() {
    const CONNECTIONS: usize = 16;
    let (serving, mut stream) = flooded(|config| {
        config.send_timeout = Duration::from_millis(300);
        config.max_connections = Some(CONNECTIONS);
    });
    // Only when its connection is gone is there room for so many others.
    let mut others = Vec::new();
    while others.len() < CONNECTIONS {
        let mut other = serving.connect();
        match other.ask(&get("/healthz")).status {
            200 => others.push(other),
            status => assert_eq!(status, 503),
        }
    }
    // A whole one would end with its last message.
    while stream.read_what_is_left() {}
    let heard = stream.unread.len();
    assert!(heard < SAID * 4096, "{heard}");
}
