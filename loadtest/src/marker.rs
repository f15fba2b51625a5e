//! What a message of a run says: enough for whoever receives it to know whose it is, where it belongs and how old it is.
//!
//! `<run>.<chatroom>.<sender>.<count>.<start>`: digits and dots only behind the run, so that no dialect has to escape anything.
//! The start is the moment that a latency counts from: when the send began, or in open loop when it had to begin.

use std::io::Write as _;

/// One message of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The chatroom that it was sent to.
    pub(crate) room: u64,
    /// Who sent it.
    pub(crate) sender: u64,
    /// Counts the messages of one sender from 1.
    pub(crate) count: u64,
    /// When its sending began, on the clock of [`crate::clock::now_ns`].
    pub(crate) start_ns: u64,
}

impl Marker {
    /// Appends the text to `out`.
    pub(crate) fn write(&self, run: &str, out: &mut Vec<u8>) {
        let Self {
            room,
            sender,
            count,
            start_ns,
        } = self;
        // Writing to a vector cannot fail.
        let _ = write!(out, "{run}.{room}.{sender}.{count}.{start_ns}");
    }

    /// The inverse; `None` for a text of another run and for anything else.
    pub(crate) fn parse(text: &str, run: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix(run)?.strip_prefix('.')?.split('.');
        let mut number = || numbers.next()?.parse().ok();
        let marker = Self {
            room: number()?,
            sender: number()?,
            count: number()?,
            start_ns: number()?,
        };
        numbers.next().is_none().then_some(marker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_carries_its_message() {
        let marker = Marker {
            room: 7,
            sender: 3,
            count: 12,
            start_ns: 1_234_567,
        };
        let mut text = Vec::new();
        marker.write("ab", &mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "ab.7.3.12.1234567");
        assert_eq!(Marker::parse(&text, "ab"), Some(marker));
        for bad in ["ab.7.3.12", "ab.7.3.12.1.5", "ac.7.3.12.1", "ab.7.3.x.1"] {
            assert_eq!(Marker::parse(bad, "ab"), None, "{bad}");
        }
    }
}
