//! How much later a message comes to a poll at another server than at the same: measured, and beside it what one commit and one round trip take.
//! Run by `loadtest/postgres.sh`, which shows the figures; nothing is asserted of them.

use std::time::{Duration, Instant};

use loiter_client::strict::{Client, Session, polling, saying};
use postgres::Client as Database;

use crate::nodes::Nodes;
use crate::unsteady::Unsteady;

/// Durations, to be told of.
struct Taken(Vec<Duration>);

impl Taken {
    fn of(count: usize, mut once: impl FnMut() -> Duration) -> Self {
        let mut taken = Vec::from_iter((0..count).map(|_| once()));
        taken.sort_unstable();
        Self(taken)
    }

    /// In milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let at = (self.0.len() - 1) as f64 * share;
        self.0[at.round() as usize].as_secs_f64() * 1e3
    }

    fn print(&self, what: &str) {
        let [median, late] = [0.5, 0.99].map(|share| self.quantile(share));
        println!(
            "{what:50} median {median:8.3} ms   p99 {late:8.3} ms   of {}",
            self.0.len()
        );
    }
}

fn timed(act: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

/// What a commit of one row takes, and a round trip.
fn bare(database: &mut Database, count: usize) -> [Taken; 2] {
    let table = "CREATE TABLE bare (count BIGINT); INSERT INTO bare VALUES (0)";
    database.batch_execute(table).expect("a table");
    let commit = Taken::of(count, || {
        database
            .batch_execute("BEGIN; UPDATE bare SET count = count + 1")
            .expect("written");
        timed(|| database.batch_execute("COMMIT").expect("committed"))
    });
    let round_trip = Taken::of(count, || {
        timed(|| database.batch_execute("SELECT 1").expect("answered"))
    });
    [commit, round_trip]
}

/// From the sending at one server to the answer of a poll at another, or at the same.
fn delivered(
    sender: &mut Client,
    poll: &mut Client,
    who: &Session,
    room: (i64, &mut i64),
) -> Duration {
    let (id, last) = room;
    poll.park(who, &polling(who, id).with("since", *last));
    let begun = Instant::now();
    sender.send(saying(who, id, "hi").bytes());
    poll.answer().ok();
    let took = begun.elapsed();
    sender.answer().ok();
    *last += 1;
    took
}

fn measure(hints: &str, count: usize) {
    let unsteady = Unsteady::take();
    let name = unsteady.new_database();
    let options = ["--hints", hints].map(String::from);
    let address = format!("{}/{name}", unsteady.address());
    let (nodes, token) = Nodes::start(&address, options.to_vec(), 1);
    let addresses = Vec::from_iter(nodes.addresses());
    let ann = Session {
        token,
        userid: 1,
        username: "ann".to_owned(),
    };
    let mut sender = Client::connect(addresses[0]);
    let mut last = 0;
    let mut polls = [addresses[0], addresses[1]].map(Client::connect);
    let mut taken = [Vec::new(), Vec::new()];
    // By turns, so that both have the same of whatever else the machine does.
    for _ in 0..count {
        for (poll, taken) in polls.iter_mut().zip(&mut taken) {
            taken.push(delivered(&mut sender, poll, &ann, (1, &mut last)));
        }
    }
    let [same, other] =
        taken.map(|mut taken| Taken::of(taken.len(), || taken.pop().expect("as many")));
    let [commit, round_trip] = bare(&mut unsteady.client(&name), count.max(100));
    println!("\ndelivery with --hints {hints}");
    same.print("to a poll at the same server");
    other.print("to a poll at another");
    commit.print("a commit of one row, by itself");
    round_trip.print("a round trip to the database");
    for (share, what) in [(0.5, "medians"), (0.99, "p99s")] {
        let later = other.quantile(share) - same.quantile(share);
        let bound = commit.quantile(share) + round_trip.quantile(share);
        println!(
            "{what}: {later:.3} ms later, {:.2} of a commit and a round trip",
            later / bound
        );
    }
}

#[test]
#[ignore = "measures; loadtest/postgres.sh runs it"]
fn delivery_to_another_server() {
    measure("notify", 500);
    measure("none", 20);
}
