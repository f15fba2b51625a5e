//! What other servers write to the same database: what is to be asked for, and what the loops are told of it.
//!
//! Here is what is decided, without a database: `followed` is which chatrooms the loops hold and up to where they have been told,
//! `hinted` what hints say and what is missing, `changes` what else there is to hear of, `questions` what the others were asked. The simulator (`tests/sim`) decides with the same code.

mod changes;
mod followed;
mod hinted;
mod questions;

pub use changes::{Change, KEPT, Seen, looked_back_ms};
pub use followed::Followed;
pub use hinted::{FETCHED_MAX, Fetched, Hinted, Missing, hint, last_hint};
pub use questions::Questions;
