//! What other servers write to the same database: what is to be asked for, and what the loops are told of it.
//!
//! Here is what is decided, without a database: `followed` is which chatrooms the loops hold and up to where they have been told,
//! `written` what the others have written since it was looked at last, `hinted` what hints say and what is missing, `rounds` which chatrooms are asked for
//! whatever was said, `changes` what else there is to hear of, `questions` what the others were asked. The simulator (`tests/sim`) decides with the same code.

mod changes;
mod followed;
mod hinted;
mod questions;
mod rounds;
mod written;

pub use changes::{Change, KEPT, Seen, looked_back_ms};
pub use followed::Followed;
pub use hinted::{FETCHED_MAX, Fetched, Hinted, Missing, hint, last_hint};
pub use questions::Questions;
pub use rounds::{ASKED_AT_ONCE, ROUND, Rounds};
pub use written::{Horizon, WRITTEN_KEPT, WRITTEN_MAX, Written};
