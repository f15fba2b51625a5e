//! The nouns that all layers share.
//!
//! Plain values: no socket, no SQL, no HTTP. What is checked once at the edge
//! ([`Username`]) is a type of its own, so that no layer behind checks it again.

// A peer's numbers come through here: none of them is cut to fit, and no calculation with one can overflow.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod list;
mod name;
mod password;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroI64;
use std::sync::Arc;

pub use list::{ListWriter, MessageList, render};
pub use name::{BadName, ChatroomName, Username, fold};
pub use password::{BadPassword, PASSWORD_BYTES};

use crate::arena::Key;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroI64);

        impl $name {
            /// The id with this number; `None` unless it is from 1 to 2^63-1.
            pub fn new(number: i64) -> Option<Self> {
                NonZeroI64::new(number).filter(|n| n.get() > 0).map(Self)
            }

            /// The number, from 1 to 2^63-1.
            pub fn get(self) -> i64 {
                self.0.get()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// Names a user for good; never used again.
    ///
    /// ```
    /// let id = loiter::UserId::new(7).expect("positive");
    /// assert_eq!(id.get(), 7);
    /// assert_eq!(loiter::UserId::new(0), None);
    /// ```
    UserId
}
id! {
    /// Names a chatroom for good; never used again.
    ChatroomId
}
id! {
    /// Counts the messages of one chatroom: 1, 2, 3 … without gaps.
    MessageId
}

impl MessageId {
    /// The one that comes next.
    pub fn next(self) -> Self {
        Self(NonZeroI64::new(self.get().saturating_add(1)).expect("beyond a positive one"))
    }
}

/// A registered user as others see it.
///
/// ```
/// let user = loiter::User {
///     id: loiter::UserId::new(1).expect("positive"),
///     name: "Ann".into(),
/// };
/// assert_eq!(&*user.name, "Ann");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The name in the case it was registered in.
    pub name: Arc<str>,
}

/// A message that is durably saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place in its chatroom.
    pub id: MessageId,
    /// Where it was said.
    pub chatroom: ChatroomId,
    /// Who said it.
    pub user: User,
    /// What was said: UTF-8 with LF line ends.
    pub text: Box<str>,
    /// When it was saved, in milliseconds since 1970 (UTC).
    pub time_unix_ms: u64,
}

/// The SHA-256 of a session's token: all that the database and the caches hold of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionHash(pub [u8; 32]);

impl fmt::Debug for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, ..] = self.0;
        write!(f, "SessionHash({a:02x}{b:02x}{c:02x}…)")
    }
}

/// Text that no log line and no `Debug` output may show: a password, a session's token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Who shares an address, as far as that can be told: an IPv4 address, or the /64 that one customer of IPv6 has.
///
/// Whatever is counted, limited or shared out by address is so by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Customer(IpAddr);

impl Customer {
    /// The address; of an IPv6 network its first.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl From<IpAddr> for Customer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            v4 => Self(v4),
        }
    }
}

/// What a [`ConnectionKey`] names; the values behind it are the runtime's and the engine's.
#[derive(Debug)]
pub enum Connection {}

/// Names one connection of one event loop, and never its successor in the same slot.
pub type ConnectionKey = Key<Connection>;

/// Whom an answer is for.
///
/// A ticket rides with a call through the chat core and the store and back. An answer
/// whose connection is gone, reused, or on to another exchange fails the compare and is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The connection that asked.
    pub connection: ConnectionKey,
    /// Which of the connection's exchanges asked: counted from 1, wrapping.
    pub exchange: u32,
    /// The event loop that owns the connection.
    pub event_loop: u16,
}

impl Ticket {
    /// One that is of no loop, and of a connection that there never is: nobody asked. What has come about elsewhere is told with it.
    pub fn of_nobody() -> Self {
        Self {
            connection: ConnectionKey::from_bits(1 << 32 | u64::from(u32::MAX)).expect("a key"),
            exchange: 0,
            event_loop: u16::MAX,
        }
    }
}

/// The time of one turn, read once at its start and passed to all logic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never jumps or goes back; its zero is arbitrary.
    pub monotonic_ms: u64,
    /// Milliseconds since 1970 (UTC), as the system's clock has it; may jump.
    pub unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_positive() {
        assert_eq!(UserId::new(0), None);
        assert_eq!(UserId::new(-1), None);
        assert_eq!(UserId::new(i64::MAX).map(UserId::get), Some(i64::MAX));
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        assert_eq!(format!("{:?}", Secret("hunter2".into())), "Secret(…)");
    }

    #[test]
    fn a_customer_is_an_ipv4_address_or_a_64() {
        let customer = |text: &str| Customer::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(customer("::ffff:203.0.113.1"), customer("203.0.113.1"));
        assert_ne!(customer("203.0.113.2"), customer("203.0.113.1"));
        assert_eq!(customer("2001:db8::1"), customer("2001:db8::ffff:0:0:2"));
        assert_ne!(customer("2001:db8:0:1::1"), customer("2001:db8::1"));
    }

    #[test]
    fn a_ticket_is_sixteen_bytes() {
        assert_eq!(size_of::<Ticket>(), 16);
    }
}
