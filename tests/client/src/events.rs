//! Server-sent events (WHATWG HTML, *Parsing an event stream*), taken apart as they come.

use std::collections::VecDeque;

use crate::head::Malformed;

/// A line, and the data of an event, at most: far beyond the longest message.
const BYTES_MAX: usize = 1024 * 1024;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// What kind it is; empty where it does not say.
    pub(crate) kind: String,
    /// Its data, whose lines are joined.
    pub(crate) data: String,
    /// The id that was told last, by this event or one before it.
    pub(crate) last_id: Option<String>,
}

/// Takes a stream apart; it remembers where it is between two pieces.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// What is there of a line that has not ended yet.
    line: Vec<u8>,
    /// The last line ended with a CR, to which a LF may still belong.
    is_behind_cr: bool,
    is_behind_first_line: bool,
    kind: String,
    /// Each line of it with a line end.
    data: String,
    last_id: Option<String>,
    whole: VecDeque<Event>,
}

impl Events {
    /// Takes bytes in.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        for &byte in bytes {
            let ends_crlf = std::mem::take(&mut self.is_behind_cr) && byte == b'\n';
            match byte {
                b'\n' if ends_crlf => {}
                b'\r' | b'\n' => {
                    self.is_behind_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    let line = str::from_utf8(&line).map_err(|_| Malformed::Event)?;
                    self.take_line(line);
                }
                _ => self.line.push(byte),
            }
            if self.line.len() > BYTES_MAX || self.data.len() > BYTES_MAX {
                return Err(Malformed::Event);
            }
        }
        Ok(())
    }

    /// The next event that is whole.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.whole.pop_front()
    }

    fn take_line(&mut self, line: &str) {
        let line = match std::mem::replace(&mut self.is_behind_first_line, true) {
            true => line,
            false => line.strip_prefix('\u{feff}').unwrap_or(line),
        };
        if line.is_empty() {
            return self.end_event();
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            // A comment has no name; others mean nothing here.
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let (kind, mut data) = (
            std::mem::take(&mut self.kind),
            std::mem::take(&mut self.data),
        );
        // One without data is none.
        if data.pop().is_some() {
            self.whole.push_back(Event {
                kind,
                data,
                last_id: self.last_id.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream says, however it is cut.
    #[track_caller]
    fn events(stream: &str) -> Vec<(String, String, Option<String>)> {
        let read = |piece: usize| {
            let mut events = Events::default();
            let mut pieces = stream.as_bytes().chunks(piece);
            pieces.try_for_each(|piece| events.take(piece)).unwrap();
            let next = || events.next();
            Vec::from_iter(std::iter::from_fn(next).map(|e| (e.kind, e.data, e.last_id)))
        };
        let whole = read(stream.len());
        for piece in 1..stream.len() {
            assert_eq!(read(piece), whole, "in pieces of {piece}");
        }
        whole
    }

    fn event(kind: &str, data: &str, id: &str) -> (String, String, Option<String>) {
        let id = (!id.is_empty()).then(|| id.to_owned());
        (kind.to_owned(), data.to_owned(), id)
    }

    #[test]
    fn events_end_with_an_empty_line() {
        let told = "id: 12\ndata: {\"a\":1}\n\nid: 13\ndata: {}\n\nid: 14\ndata: never ended\n";
        assert_eq!(
            events(told),
            [event("", "{\"a\":1}", "12"), event("", "{}", "13")]
        );
    }

    #[test]
    fn comments_and_unknown_fields_are_passed_over() {
        let told = ": still here\n\nretry: 5\n:\ndata: é\nx\n\n";
        assert_eq!(events(told), [event("", "é", "")]);
    }

    #[test]
    fn lines_end_in_three_ways_and_data_has_several() {
        let told = "\u{feff}event: a\r\ndata:1\rdata:  2\ndata\r\n\r\ndata: b\r\rid: 7\n\n";
        assert_eq!(
            events(told),
            [event("a", "1\n 2\n", ""), event("", "b", "")]
        );
    }

    #[test]
    fn what_is_no_text_and_what_never_ends_is_refused() {
        let mut events = Events::default();
        assert_eq!(events.take(b"data: \xff\n"), Err(Malformed::Event));
        let mut events = Events::default();
        assert_eq!(
            events.take(&vec![b'x'; BYTES_MAX + 1]),
            Err(Malformed::Event)
        );
    }
}
