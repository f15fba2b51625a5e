//! The whole server without sockets or disk, fed arbitrary bytes in arbitrary pieces while its clients, its store and its clock
//! do as the input says.
//!
//! - `world`: turns as the server makes them, and that nothing is said to who is gone.
//! - `connection`: what the runtime knows of one, and what its client has written and was sent.
//! - `answers`: what was sent, held against the requests that the reference reads in what was written.
//! - `store`: jobs under way over the simulator's made-up data, which keeps what `job` promises of every store.
//! - `script`: an input as what happens, and that nothing is left of it.
//! - `cut`: the same bytes whole and in pieces come to the same answers.

mod answers;
mod connection;
mod cut;
#[path = "../../sim/data.rs"]
#[allow(dead_code, reason = "the simulator's checks ask it more")]
mod data;
mod script;
mod store;
mod world;

pub(crate) fn run(data: &[u8]) {
    match data.split_first() {
        Some((0..64, rest)) => cut::run(rest),
        Some((_, rest)) => script::run(rest),
        None => {}
    }
}
