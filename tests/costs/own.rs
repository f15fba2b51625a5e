//! A host's own routes in the engine: allocations for each request that is parked and each that is woken, and bytes for each that waits.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use loiter::arena::Arena;
use loiter::config::Config;
use loiter::engine::{Engine, Output, Prefixes};
use loiter::model::{Connection, ConnectionKey};
use loiter::routes::Places;
use loiter::{Answer, Request, Response};

use crate::warm::NOW;

const WAITING: &[u8] = b"GET /own HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n";

/// The connection's 32 in the engine and 12 in the queue of deadlines; 40 for who waits, with the generation and the state of their slot; and 8 of
/// this test's own for its key. Slots double, so that there is room for more than are in use: this is at a power of two.
const PARKED_BYTES: f64 = 92.0;

/// An engine whose host parks every request, with a response for all of them.
struct Hosted {
    engine: Engine,
    keys: Vec<ConnectionKey>,
    places: Arc<Places>,
    response: Response,
}

impl Hosted {
    fn new(connections: usize) -> Self {
        let mut arena: Arena<(), Connection> = Arena::default();
        let mut engine = Engine::new(&Config::default(), 0);
        let then = Response::empty(204);
        let routes = move |_: &Request<'_>| -> Answer {
            Answer::park(7, Duration::from_secs(3600), then.clone())
        };
        let prefixes = Prefixes::new(&["/own"]).expect("a prefix");
        engine.set_routes(prefixes, Box::new(routes), connections);
        let mut keys = Vec::with_capacity(connections);
        for _ in 0..connections {
            let key = arena.insert(());
            engine.accept(NOW, key);
            keys.push(key);
        }
        Self {
            engine,
            keys,
            places: Places::new(1, usize::MAX),
            response: Response::text("It is done."),
        }
    }

    fn park(&mut self) {
        let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
        for &key in &self.keys {
            let taken = self.engine.receive(NOW, key, black_box(WAITING), &origin);
            assert_eq!(taken.consumed, WAITING.len());
            while self.engine.next_output().is_some() {}
        }
        assert_eq!(self.engine.own_counts().requests, self.keys.len());
    }

    /// Wakes all, and counts what is sent.
    fn wake(&mut self) -> usize {
        let wake = self.places.wake(7, self.response.clone());
        self.engine.wake(wake.expect("a place"));
        let mut sent = 0;
        while self.engine.has_work() {
            self.engine.serve(NOW);
            while let Some(output) = self.engine.next_output() {
                sent += usize::from(matches!(output, Output::Send(..)));
            }
        }
        assert_eq!(self.engine.own_counts().requests, 0);
        sent
    }

    fn warmed(connections: usize) -> Self {
        let mut hosted = Self::new(connections);
        for _ in 0..3 {
            hosted.park();
            assert_eq!(hosted.wake(), connections);
        }
        hosted
    }
}

#[test]
fn a_request_of_the_hosts_parks_on_a_warm_connection_without_an_allocation() {
    let mut hosted = Hosted::warmed(100);
    let counted = measure(|| hosted.park());
    assert_eq!(counted.count_total, 0);
    assert_eq!(hosted.wake(), 100, "they were parked");
}

#[test]
fn a_wake_of_the_hosts_allocates_itself_and_one_answer_however_many_wait() {
    for waiting in [1, 1000] {
        let mut hosted = Hosted::warmed(waiting);
        hosted.park();
        let counted = measure(|| assert_eq!(hosted.wake(), waiting));
        // The wake that all loops share, and the answer's bytes with the count of those who share them.
        assert_eq!(counted.count_total, 3, "{waiting}: {counted:?}");
    }
}

#[test]
fn a_parked_request_of_the_hosts_keeps_what_its_slots_take() {
    // As with polls: between two powers of two, beyond what the tables begin with.
    const FEW: usize = 1 << 15;
    const MANY: usize = 2 * FEW;
    let bytes = |connections: usize| {
        let mut kept = None;
        let counted = measure(|| {
            let mut hosted = Hosted::new(connections);
            hosted.park();
            kept = Some(hosted);
        });
        counted.bytes_current
    };
    let each = (bytes(MANY) - bytes(FEW)) as f64 / (MANY - FEW) as f64;
    assert!((each - PARKED_BYTES).abs() < 1.0, "{each} bytes");
}
