//! Three servers behind nginx, which sends each request to the next: while one thing after another breaks, nobody loses or doubles a message.
//!
//! A poll so goes to another server each time, and a message that was not answered is repeated at another. Each run breaks things for five seconds
//! (`LOITER_TEST_SECONDS` for longer), and goes on when so many more messages have been acknowledged.

use std::time::{Duration, Instant};

use loiter_client::Where;

use crate::lossless::{Cast, Chatrooms, Follower, Stage};
use crate::nginx::Nginx;
use crate::nodes::Nodes;
use crate::unsteady::Unsteady;

/// Messages that are acknowledged between one fault and the next.
const SHARE: usize = 100;
/// How long a server stands still.
const STILL: Duration = Duration::from_secs(10);
/// What connections that hints come by are called.
const HINTS: &str = "hints";

/// What there is to break.
struct Field {
    unsteady: Unsteady,
    database: String,
    nodes: Nodes,
}

/// What the servers are started with.
#[derive(Clone, Copy)]
enum Setting {
    Hints,
    /// By asking alone.
    NoHints,
    /// A pooler is between, a transaction at a time; hints go past it.
    Pooled,
}

fn cast() -> Cast {
    let one = |chatroom, limit| Follower::Polls(Chatrooms::One(chatroom), limit);
    Cast {
        chatrooms: 3,
        messages: usize::MAX,
        followers: vec![
            one(1, None),
            one(2, Some(7)),
            Follower::Polls(Chatrooms::These(vec![1, 3]), None),
            Follower::Polls(Chatrooms::All, None),
            Follower::Polls(Chatrooms::All, Some(11)),
            Follower::Streams(1, 40),
            Follower::Streams(3, usize::MAX),
        ],
    }
}

/// How long things are broken.
fn time() -> Duration {
    let seconds = std::env::var("LOITER_TEST_SECONDS");
    Duration::from_secs(seconds.map_or(5, |seconds| seconds.parse().expect("seconds")))
}

impl Setting {
    /// The address of the database, and the options for hints; nothing where something is not here.
    fn of(self, unsteady: &Unsteady, name: &str) -> Option<(String, Vec<String>)> {
        let direct = format!("{}/{name}", unsteady.address());
        let hints = format!("{direct}?application_name={HINTS}");
        let (database, hints) = match self {
            Self::Hints => (direct, hints),
            Self::NoHints => (direct, "none".to_owned()),
            Self::Pooled => (format!("{}/{name}", unsteady.bouncer()?), hints),
        };
        let options = ["--poll-timeout", "2s", "--hints", &hints].map(String::from);
        Some((database, options.to_vec()))
    }
}

/// Breaks something again and again, each time in its turn, for as long as is wanted.
fn nobody_misses_or_doubles_a_message(
    setting: Setting,
    break_something: impl Fn(&mut Field, &Stage<'_>, usize),
) {
    let unsteady = Unsteady::take();
    let name = unsteady.new_database();
    let cast = cast();
    let Some((database, options)) = setting.of(&unsteady, &name) else {
        return eprintln!("not run: there is no pgbouncer");
    };
    let (nodes, token) = Nodes::start(&database, options, cast.chatrooms);
    let Some(nginx) = Nginx::before(&Vec::from_iter(nodes.addresses())) else {
        return eprintln!("not run: there is no nginx");
    };
    let mut field = Field {
        unsteady,
        database: name,
        nodes,
    };
    cast.lose_nothing(&token, |stage| {
        stage.whereabouts.set(Where::At(nginx.address));
        let begun = Instant::now();
        let mut turns = 0;
        while begun.elapsed() < time() {
            stage.await_more(SHARE);
            break_something(&mut field, stage, turns);
            turns += 1;
        }
        stage.await_more(SHARE);
        stage.is_enough();
        eprintln!("{turns} times in {:?}", begun.elapsed());
        // They serve to the end.
        field
    });
}

/// Servers are killed one after the other, and are back when the others have gone on without.
fn kill_one(field: &mut Field, stage: &Stage<'_>, turn: usize) {
    field.nodes.kill(turn);
    stage.await_more(SHARE);
    field.nodes.start_one(turn);
}

/// The connections that hints come by are ended, and now and then all there are.
fn cut_connections(field: &mut Field, _: &Stage<'_>, turn: usize) {
    let which = (turn % 4 < 3).then_some(HINTS);
    field.unsteady.terminate(&field.database, which);
}

#[test]
fn while_servers_are_killed() {
    nobody_misses_or_doubles_a_message(Setting::Hints, kill_one);
}

#[test]
fn while_servers_are_killed_that_have_no_hints() {
    nobody_misses_or_doubles_a_message(Setting::NoHints, kill_one);
}

#[test]
fn while_the_database_is_restarted() {
    nobody_misses_or_doubles_a_message(Setting::Hints, |field, _, turn| {
        let mode = ["fast", "immediate"][turn % 2];
        field.unsteady.restart(mode);
    });
}

#[test]
fn while_connections_are_cut() {
    nobody_misses_or_doubles_a_message(Setting::Hints, cut_connections);
}

#[test]
fn while_a_server_stands_still() {
    nobody_misses_or_doubles_a_message(Setting::Hints, |field, stage, turn| {
        let begun = Instant::now();
        field.nodes.stand_still(turn);
        while begun.elapsed() < STILL {
            // The others go on.
            stage.await_more(SHARE);
        }
        field.nodes.go_on(turn);
    });
}

#[test]
fn while_servers_are_killed_and_connections_cut_behind_a_pooler() {
    nobody_misses_or_doubles_a_message(Setting::Pooled, |field, stage, turn| {
        kill_one(field, stage, turn);
        cut_connections(field, stage, turn);
    });
}
