//! A small blocking client of loiter, for tests and tools: nothing is lost between two polls, and nothing is sent twice.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use loiter_client::{Client, News, Place};
//!
//! let mut ann = Client::new(Place::at("http://127.0.0.1:8000")?);
//! ann.register("ann", "correct horse")?;
//! ann.log_in("ann", "correct horse")?;
//! let chatroom = ann.new_chatroom()?;
//!
//! // Whoever follows has the connection to themselves; the session is for both.
//! let mut sender = ann.beside();
//! let stop = ann.stop();
//! let following = std::thread::spawn(move || {
//!     ann.follow([chatroom], |news| {
//!         match news {
//!             News::Messages(messages) => {
//!                 for message in messages {
//!                     println!("{}: {}", message.username, message.message);
//!                 }
//!             }
//!             News::Gap(gap) => eprintln!("something is missing: {gap:?}"),
//!         }
//!         ControlFlow::Continue(())
//!     })
//! });
//! sender.send(chatroom, "hello")?;
//! stop.stop();
//! following.join().expect("it does not panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In two layers:
//!
//! - [`Connection`], [`Request`], [`Answer`], [`Head`]: HTTP/1.1 as far as it takes. Bytes go out as they are, and whole answers come
//!   back; nothing is repeated, and nothing known of the API.
//! - [`Client`]: the calls, with a session. [`Client::send`] repeats until it is answered, [`Client::follow`] goes on through whatever
//!   happens, and [`Client::stream`] is the same messages as server-sent events. A [`Stop`] ends any of it from another thread. [`Whereabouts`] tell
//!   clients of a server that is restarted somewhere else.
//!
//! Beside them stands [`strict`], a client that believes nothing, for tests of the server.
//!
//! It knows the contract and no line of the server, which in turn knows it in its tests only.

mod answer;
mod calls;
mod chunked;
mod client;
mod connection;
mod error;
mod events;
mod follow;
mod following;
mod head;
mod model;
mod pauses;
mod place;
mod request;
#[cfg(test)]
mod scripted;
mod stop;
mod stream;
pub mod strict;
mod whereabouts;

pub use answer::{Answer, Method};
pub use client::Client;
pub use connection::Connection;
pub use error::{Error, Failure};
pub use following::{Following, Gap, News};
pub use head::{Framing, Head, Malformed};
pub use model::{Chatroom, Ended, Message, Overview, User};
pub use pauses::Pauses;
pub use place::Place;
pub use request::{Request, encoded, get, post};
pub use stop::Stop;
pub use stream::EventStream;
pub use whereabouts::{Where, Whereabouts};
