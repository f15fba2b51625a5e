//! The binary is killed in the middle of its work, again and again: nothing that anybody was told is lost.

mod acknowledged;
mod between;
mod faults;
mod follow;
#[path = "../lossless/mod.rs"]
mod lossless;
mod power;
mod server;
#[path = "../stored/mod.rs"]
mod stored;
