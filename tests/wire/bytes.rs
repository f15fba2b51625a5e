//! What bytes come to, however the network cuts them. `tests/wire` and `tests/wire_loops` run the same tests with one
//! event loop and with three; those that a test turns itself have one.
//!
//! - `cases`: bytes → status, code, and whether the connection goes on; one table for whole and cut.
//! - `cuts`: the same bytes in pieces, with a turn of the server between them.
//! - `smuggling`: requests hidden in requests, and that they have no effect.
//! - `sequence`: one answer after the other: keep-alive, pipelining, HEAD, 100 Continue.
//! - `limits`: what is too large, too slow or too many.
//! - `departures`: clients that end, half or whole, politely or not.

mod cases;
mod cuts;
mod departures;
mod limits;
mod sequence;
mod smuggling;
