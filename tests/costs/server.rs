//! The whole loop over real sockets, turned by the test: allocations of its thread, and bytes for each parked connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use allocation_counter::measure;
use serde_json::Value;

use crate::serving::{Driven, Session, polling, saying};

/// The deadline that a connection has while it is idle: 4 bytes in a bucket that doubles, until that would have been over,
/// and 4 for when that is, in a table that doubles. All else stands in slots for which room is made at the start; `engine` counts those.
const PARKED_BYTES_MAX: f64 = 24.0;
/// Enough for every connection to have its turn, however the kernel tells of them.
const TURNS: usize = 16;

/// A server, a user in a chatroom, and connections that poll it.
struct Crowd {
    driven: Driven,
    ann: Session,
    chatroom: i64,
    polls: Vec<TcpStream>,
}

impl Crowd {
    fn new() -> Self {
        let mut driven = Driven::with(|config| config.max_connections = Some(4096));
        let ann = driven.user("ann");
        let chatroom = driven.chatroom(&ann);
        driven.warm(&ann);
        Self {
            driven,
            ann,
            chatroom,
            polls: Vec::new(),
        }
    }

    fn connect(&mut self, count: usize) {
        let address = self.driven.server.addresses()[0];
        for _ in 0..count {
            let socket = TcpStream::connect(address).expect("it listens");
            socket.set_nonblocking(true).expect("a socket");
            self.polls.push(socket);
            if self.polls.len().is_multiple_of(64) {
                self.turns();
            }
        }
        self.turns();
    }

    fn turns(&mut self) {
        (0..TURNS).for_each(|_| self.driven.turn());
    }

    /// Asks for a poll on each connection; nothing is read yet.
    fn ask(&mut self) {
        let request = polling(&self.ann, self.chatroom).bytes();
        for socket in &mut self.polls {
            socket.write_all(&request).expect("its buffer is empty");
        }
    }

    /// Parks a poll on each connection.
    fn park(&mut self) {
        self.ask();
        self.turns();
    }

    /// Says something, and sees that every poll hears of it, once.
    fn wake(&mut self) {
        self.driven.say(&self.ann, self.chatroom, "hi");
        self.turns();
        self.hear();
    }

    /// Reads the one answer that each poll has, with the same list.
    fn hear(&mut self) {
        let mut lists = self.polls.iter_mut().map(|socket| {
            let mut answer = [0; 64 * 1024];
            let count = socket.read(&mut answer).expect("an answer");
            let answer = str::from_utf8(&answer[..count]).expect("UTF-8");
            let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
            serde_json::from_str::<Value>(body).expect("one list")
        });
        let first = lists.next().expect("some");
        assert!(first.is_array());
        assert!(lists.all(|list| list == first));
    }

    /// The least that `work` allocates on the loop's thread: each time before it `prepare` has run, and `hear` will. Of
    /// three, because where a second begins in between, the answer to those who are refused is dated anew.
    fn allocations(&mut self, prepare: impl Fn(&mut Self), work: impl Fn(&mut Self)) -> u64 {
        let counts = (0..3).map(|_| {
            prepare(self);
            let counted = measure(|| work(self));
            counted.count_total
        });
        counts.min().expect("three")
    }

    /// Polls are answered in the order in which they were parked.
    fn last_has_answer(&self) -> bool {
        let last = self.polls.last().expect("some");
        last.peek(&mut [0]).is_ok()
    }

    /// The same with connections on which everything has happened before.
    fn warmed(count: usize) -> Self {
        let mut crowd = Self::new();
        crowd.connect(count);
        for _ in 0..3 {
            crowd.park();
            crowd.wake();
        }
        crowd
    }
}

#[test]
fn a_poll_parks_on_a_kept_alive_connection_without_an_allocation() {
    let mut crowd = Crowd::warmed(100);
    crowd.park();
    let prepare = |crowd: &mut Crowd| {
        crowd.wake();
        crowd.ask();
    };
    assert_eq!(crowd.allocations(prepare, Crowd::turns), 0);
    crowd.wake();
}

#[test]
fn a_delivery_beyond_the_first_of_a_wake_costs_no_allocation() {
    let wake_of = |polls: usize| {
        let mut crowd = Crowd::warmed(polls);
        crowd.park();
        crowd.driven.say(&crowd.ann, crowd.chatroom, "hi");
        crowd.turns();
        let prepare = |crowd: &mut Crowd| {
            crowd.hear();
            crowd.park();
            let mut sender = crowd.driven.connect();
            sender.send(saying(&crowd.ann, crowd.chatroom, "counted").bytes());
        };
        let work = |crowd: &mut Crowd| {
            // The commit comes from another thread, and with it all that the wake is.
            while !crowd.last_has_answer() {
                let turned = crowd.driven.server.turn(Some(Duration::from_millis(5)));
                turned.expect("a turn");
            }
        };
        let counted = crowd.allocations(prepare, work);
        crowd.hear();
        counted
    };
    let first = wake_of(1);
    assert!(first > 0, "a list and an answer are rendered");
    // The sender's connection, and lists that have grown to another size, come to one or two more or fewer.
    let many = wake_of(150);
    assert!(many <= first + 4, "{first} for one, {many} for 150");
}

#[test]
fn a_parked_connection_keeps_its_slots_and_no_buffer() {
    const FEW: usize = 256;
    const MANY: usize = 4 * FEW;
    // Both ends are here.
    rlimit::increase_nofile_limit(4 * MANY as u64).expect("a limit");
    let mut crowd = Crowd::new();
    let grown_to = |crowd: &mut Crowd, count: usize| {
        let held = crowd.polls.len();
        crowd.connect(count - held);
        let request = polling(&crowd.ann, crowd.chatroom).bytes();
        for socket in &mut crowd.polls[held..] {
            socket.write_all(&request).expect("its buffer is empty");
        }
        crowd.turns();
    };
    grown_to(&mut crowd, FEW);
    let counted = measure(|| grown_to(&mut crowd, MANY));
    let own = (MANY - FEW) * size_of::<TcpStream>();
    let each = (counted.bytes_current - own as i64) as f64 / (MANY - FEW) as f64;
    assert!(each <= PARKED_BYTES_MAX, "{each} bytes");
}
