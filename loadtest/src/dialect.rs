//! The servers that the generator can talk to, and where they differ: in what an answer says, never in what is asked.
//!
//! Requests are the same for all, to the byte but for the cookie, so that a comparison compares servers. loiter and what speaks its
//! documented API answer with lists of messages; so does the floor, which keeps no history to be asked for. Nchan
//! knows no users, and answers a poll with the body that was published, so there a message is known by its text alone.

use clap::ValueEnum;

use crate::list::{self, BadList, Last};

/// How a server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dialect {
    /// The documented API, as loiter and its peers serve it
    #[default]
    Loiter,
    /// `loiter-loadtest floor`: lists of messages, but no history
    Floor,
    /// nginx with Nchan: no users, and a poll's answer is what was published
    Nchan,
}

impl Dialect {
    /// The name, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loiter => "loiter",
            Self::Floor => "floor",
            Self::Nchan => "nchan",
        }
    }

    /// The inverse of [`Dialect::name`].
    pub(crate) fn of(name: &str) -> Option<Self> {
        <Self as ValueEnum>::from_str(name, false).ok()
    }

    /// Whether there are users, sessions and chatrooms to be made.
    pub(crate) fn has_users(self) -> bool {
        self != Self::Nchan
    }

    /// Whether answers are lists whose ids count without gaps.
    pub(crate) fn has_lists(self) -> bool {
        self != Self::Nchan
    }

    /// Whether a chatroom can be asked for its newest message.
    pub(crate) fn has_history(self) -> bool {
        self == Self::Loiter
    }

    /// Whether this is the status of a send that succeeded.
    pub(crate) fn is_sent(self, status: u16) -> bool {
        match self {
            Self::Loiter | Self::Floor => status == 200,
            Self::Nchan => (200..=202).contains(&status),
        }
    }

    /// What an answer to a poll says; `None` for an empty list.
    pub(crate) fn hear(self, body: &[u8]) -> Result<Option<Last<'_>>, BadList> {
        match self {
            Self::Loiter | Self::Floor => list::check(body),
            Self::Nchan => list::published(body).map(Some),
        }
    }

    /// What is added to a message's body so that answers are as long as those of the others.
    pub(crate) fn padding(self) -> &'static str {
        match self {
            Self::Loiter | Self::Floor => "",
            Self::Nchan => {
                r#","padding":"what the others tell here: id, chatroom, user, name and time""#
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for dialect in [Dialect::Loiter, Dialect::Floor, Dialect::Nchan] {
            assert_eq!(Dialect::of(dialect.name()), Some(dialect));
        }
        assert_eq!(Dialect::of("smtp"), None);
    }

    #[test]
    fn a_published_body_is_known_by_its_text() {
        let last = Dialect::Nchan.hear(br#"{"message":"ab.7.1.1.5","padding":"x"}"#);
        assert_eq!(last.unwrap().unwrap().text, "ab.7.1.1.5");
        assert_eq!(Dialect::Nchan.hear(b"hello"), Err(BadList::Shape));
        assert_eq!(Dialect::Loiter.hear(b"[]"), Ok(None));
    }
}
