//! Where HTTP and the chat core meet: the only code that knows both.
//!
//! - `operations`: every call, with what it takes and what can come of it; `route`: which of them a request's path and method name.
//! - `prefixes`: which paths are the host's own.
//! - `forwarded`: what trusted proxies say of its client.
//! - `site`: whether a browser sends it for another site; `guests`: whose pages may do so.
//! - `call`: its parameters, checked, as a [`Call`](crate::chat::Call).
//! - `files`: in which form one of the server's files is for who asks, and whether they have it already.
//! - `reply`: the chat core's answer as a response; **the one map from errors to the wire**.
//! - `events`: a stream's messages as server-sent events.
//! - `json`: the objects of the contract.
//!
//! The order of checks is the contract's: the HTTP message (`http`), the path, the method, the
//! site, the session, the parameters, the meaning. The session is checked by the chat core; so a call with a
//! wrong parameter goes there too, as a call that is refused once its session is known to be good.

// A peer's numbers come through here: none of them is cut to fit, and no calculation with one can overflow.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod call;
mod draft;
mod events;
mod files;
mod forwarded;
mod guests;
mod json;
mod operations;
mod prefixes;
mod reply;
mod route;
mod site;

pub use call::{Rules, parse, session_of};
pub use files::{is_known, representation};
pub use guests::Guest;
pub use operations::{Kind, OPERATIONS, Operation, Parameter, Success};
pub use prefixes::{BadPrefix, Prefixes};
pub use reply::{Outcome, Renderer};
pub use route::{Route, Routed, route};
pub use site::Sites;
