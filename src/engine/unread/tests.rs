//! What is refused beyond the bound and what is not, and that nothing stays counted.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::arena::Arena;
use crate::config::Config;
use crate::engine::Taken;
use crate::job::Job;
use crate::model::Connection;

const KIB: usize = 1024;

/// An engine that lets connections keep 64 KiB.
struct Driven {
    engine: Engine,
    keys: Arena<(), Connection>,
    now: Now,
    jobs: Vec<Job>,
}

impl Driven {
    fn new() -> Self {
        let config = Config {
            max_unread: 64 * KIB,
            ..Config::default()
        };
        Self {
            engine: Engine::new(&config, 0),
            keys: Arena::default(),
            now: Now::default(),
            jobs: Vec::new(),
        }
    }

    fn receive(&mut self, key: ConnectionKey, input: &[u8]) -> Taken {
        let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.engine.receive(self.now, key, input, &origin)
    }

    /// A connection on which this has come.
    fn sends(&mut self, input: &[u8]) -> ConnectionKey {
        let key = self.keys.insert(());
        self.engine.accept(self.now, key);
        self.receive(key, input);
        key
    }

    /// What is wanted of which connection, as far as it concerns these tests.
    fn outputs(&mut self) -> Vec<(ConnectionKey, String)> {
        let outputs = std::iter::from_fn(|| self.engine.next_output());
        let mut jobs = Vec::new();
        let told = |output| match output {
            Output::Send(key, bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let is_last = text.contains("\r\nConnection: close\r\n");
                let can_retry = text.contains("\r\nRetry-After: ");
                let say = |is_so: bool, word| if is_so { word } else { "" };
                let status = &text[9..12];
                let words = [status, say(can_retry, " later"), say(is_last, " last")];
                Some((key, words.concat()))
            }
            Output::Discard(key) => Some((key, "discard".to_owned())),
            Output::Finish(key) => Some((key, "finish".to_owned())),
            Output::Close(key) => Some((key, "close".to_owned())),
            Output::Submit(job) => {
                jobs.push(job);
                None
            }
            Output::Resume(_) | Output::Probe(_) | Output::Tell(..) => None,
        };
        let told = outputs.filter_map(told).collect();
        self.jobs.extend(jobs);
        told
    }

    fn assert_outputs(&mut self, wanted: &[(ConnectionKey, &str)]) {
        let outputs = self.outputs();
        let told: Vec<_> = (outputs.iter().map(|(key, word)| (*key, &**word))).collect();
        assert_eq!(told, wanted);
    }

    fn assert_nothing_is_kept(&self) {
        let unread = &self.engine.unread;
        let left = (unread.bytes, unread.kept.len(), unread.oldest.len());
        assert_eq!(left, (0, 0, 0));
    }
}

/// So much of a body that is two bytes longer.
fn half_body(bytes: usize) -> Vec<u8> {
    let length = bytes.saturating_add(2);
    let head = format!("POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    [head.into_bytes(), vec![b'x'; bytes]].concat()
}

fn half_head(bytes: usize) -> Vec<u8> {
    let start = b"GET /nowhere HTTP/1.1\r\nHost: h\r\nA: ".to_vec();
    [start, vec![b'x'; bytes]].concat()
}

const POLL: &[u8] =
    b"GET /message/longpoll?chatroomid=7 HTTP/1.1\r\nHost: h\r\nCookie: session=x\r\n\r\n";
const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn who_has_been_at_it_longest_is_refused_and_the_others_go_on() {
    let mut driven = Driven::new();
    let [first, second] = [(); 2].map(|()| driven.sends(&half_body(31 * KIB)));
    driven.assert_outputs(&[]);
    // More of the first does not make it younger.
    driven.receive(first, b"x");
    let third = driven.sends(&half_body(4 * KIB));
    driven.assert_outputs(&[
        (first, "discard"),
        (first, "503 later last"),
        (first, "finish"),
    ]);
    assert!(driven.engine.partials.len() == 2 && driven.engine.unread_bytes() > 35 * KIB);
    // It is thrown away what it still sends, and the others are answered.
    assert_eq!(driven.receive(first, b"xyz").consumed, 3);
    for key in [second, third] {
        driven.receive(key, b"xx");
        driven.assert_outputs(&[(key, "400")]);
    }
    driven.assert_nothing_is_kept();
}

#[test]
fn one_alone_may_keep_more() {
    let mut driven = Driven::new();
    let key = driven.sends(&half_body(64 * KIB - 2));
    driven.assert_outputs(&[]);
    assert!(driven.engine.unread_bytes() > 64 * KIB);
    let other = driven.sends(&half_body(3 * KIB));
    driven.assert_outputs(&[(key, "discard"), (key, "503 later last"), (key, "finish")]);
    driven.engine.gone(driven.now, other);
    driven.assert_outputs(&[(other, "close")]);
    driven.assert_nothing_is_kept();
}

#[test]
fn half_heads_count_and_a_little_does_not() {
    let mut driven = Driven::new();
    for _ in 0..100 {
        driven.sends(&half_head(KIB));
        driven.sends(&half_body(KIB));
    }
    driven.assert_outputs(&[]);
    driven.assert_nothing_is_kept();
    let oldest = driven.sends(&half_head(15 * KIB));
    let rest = [(); 3].map(|()| driven.sends(&half_head(15 * KIB)));
    driven.assert_outputs(&[]);
    driven.sends(&half_head(15 * KIB));
    driven.assert_outputs(&[
        (oldest, "discard"),
        (oldest, "503 later last"),
        (oldest, "finish"),
    ]);
    // Their ends come, or not.
    driven.receive(rest[0], &[&half_head(15 * KIB)[..], b"\r\n\r\n"].concat());
    driven.assert_outputs(&[(rest[0], "404")]);
    assert_eq!(driven.engine.unread.kept.len(), 3);
}

#[test]
fn whoever_is_answered_late_or_gone_counts_no_more() {
    let mut driven = Driven::new();
    let late = driven.sends(&half_head(8 * KIB));
    driven.sends(&half_body(8 * KIB));
    driven.now.monotonic_ms = 10_200;
    driven.engine.expire(driven.now);
    let outputs = driven.outputs();
    let told = |word| outputs.iter().filter(|(_, told)| told == word).count();
    assert_eq!([told("408 last"), told("discard"), told("finish")], [2; 3]);
    driven.assert_nothing_is_kept();
    driven.engine.gone(driven.now, late);
    let [gone, ended] = [(); 2].map(|()| driven.sends(&half_head(8 * KIB)));
    driven.engine.gone(driven.now, gone);
    driven.engine.ended(driven.now, ended);
    driven.engine.finished(driven.now, ended);
    driven.assert_nothing_is_kept();
    assert_eq!(driven.engine.connections(), 1);
}

#[test]
fn what_is_refused_for_itself_counts_no_more() {
    let mut driven = Driven::new();
    let key = driven.sends(&half_head(8 * KIB));
    driven.receive(key, &half_head(17 * KIB));
    driven.assert_outputs(&[(key, "431 last"), (key, "finish"), (key, "discard")]);
    driven.assert_nothing_is_kept();
}

#[test]
fn a_poll_ends_for_what_is_kept_behind_it() {
    let mut driven = Driven::new();
    let behind = [POLL, &half_body(20 * KIB)].concat();
    let poll = driven.sends(&behind);
    driven.sends(&behind);
    driven.sends(&behind);
    driven.assert_outputs(&[]);
    assert_eq!(driven.engine.counts().held, 3);
    driven.sends(&behind);
    driven.assert_outputs(&[
        (poll, "discard"),
        (poll, "503 later last"),
        (poll, "finish"),
    ]);
    assert_eq!(driven.engine.counts().held, 3);
    assert_eq!(driven.engine.unread.kept.len(), 3);
    driven.engine.finished(driven.now, poll);
    driven.engine.ended(driven.now, poll);
    driven.assert_outputs(&[(poll, "close")]);
}

#[test]
fn another_call_is_answered_and_what_is_behind_it_is_not() {
    let mut driven = Driven::new();
    let asked = b"GET /message/chatrooms HTTP/1.1\r\nHost: h\r\nCookie: session=x\r\n\r\n";
    let call = driven.sends(&[&asked[..], &half_body(40 * KIB)].concat());
    driven.assert_outputs(&[]);
    driven.sends(&half_body(30 * KIB));
    driven.assert_outputs(&[(call, "discard")]);
    // The store has no room for what it asked.
    for job in std::mem::take(&mut driven.jobs) {
        driven.engine.refused(driven.now, &job);
    }
    driven.assert_outputs(&[(call, "503 later last"), (call, "finish")]);
}

#[test]
fn answers_that_are_not_taken_keep_no_room_for_what_comes_behind() {
    let mut driven = Driven::new();
    let slow = driven.sends(HEALTH);
    driven.engine.stalled(driven.now, slow);
    driven.receive(slow, &HEALTH.repeat(1000));
    driven.outputs();
    driven.sends(&half_body(40 * KIB));
    driven.assert_outputs(&[(slow, "discard"), (slow, "finish")]);
    driven.engine.finished(driven.now, slow);
    driven.assert_outputs(&[(slow, "close")]);
}
