//! Streams as a strict client reads them: a head, one chunk at a time, events and comments, the end.
//!
//! Each event is its client's when its last byte has been read, whatever becomes of the connection then.

use loiter::model::ConnectionKey;
use serde_json::Value;

use crate::answer::Head;
use crate::line::{Asked, Came};
use crate::world::World;

/// What is known of a stream that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streaming {
    /// In chunks; else to the connection's end.
    pub(crate) is_chunked: bool,
    /// The newest message that it has been told of, or what it has begun behind; `None` where that is now, and others write too.
    pub(crate) told: Option<i64>,
    /// The newest message that was committed as it began.
    pub(crate) stored: i64,
    /// The turn in which it began.
    pub(crate) begun_turn: u32,
    /// When something was last sent, or all that was sent before had been taken.
    pub(crate) active_ms: u64,
}

/// A message, and where its event ends in what was sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) message: Value,
    end: usize,
}

/// What is sent of a stream at once.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Events(Vec<Event>),
    Comment,
    End,
}

/// Whether this is the head of a stream.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    let media = Head::parse(bytes).ok();
    let media = media.and_then(|(head, _)| head.field("Content-Type"));
    media.is_some_and(|media| media.starts_with("text/event-stream"))
}

impl Piece {
    fn parse(bytes: &[u8], is_chunked: bool) -> Result<Self, String> {
        let (text, start) = match is_chunked {
            true => unchunk(bytes)?,
            false => (bytes, 0),
        };
        match text {
            [] => Ok(Self::End),
            b":\n\n" => Ok(Self::Comment),
            text => events(text, start).map(Self::Events),
        }
    }
}

/// What is in exactly one chunk, and where it begins there. The last is empty.
fn unchunk(bytes: &[u8]) -> Result<(&[u8], usize), String> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n");
    let line = line.ok_or("no chunk's size")?;
    let size = str::from_utf8(&bytes[..line]).ok();
    let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
    let size = size.ok_or("a chunk's size is no number")?;
    let start = line + 2;
    match bytes[start..].strip_suffix(b"\r\n") {
        Some(text) if text.len() == size => Ok((text, start)),
        _ => Err("not one whole chunk".to_owned()),
    }
}

fn events(text: &[u8], start: usize) -> Result<Vec<Event>, String> {
    let text = str::from_utf8(text).map_err(|_| "events are text")?;
    if !text.ends_with("\n\n") {
        return Err("an event is cut off".to_owned());
    }
    let mut end = start;
    let events = text.split_inclusive("\n\n").map(|event| {
        end += event.len();
        let (id, data) = event.trim_end().split_once('\n').ok_or("no two lines")?;
        let id = id.strip_prefix("id: ").and_then(|id| id.parse().ok());
        let data = data.strip_prefix("data: ").ok_or("no data")?;
        let message: Value = serde_json::from_str(data).map_err(|e| e.to_string())?;
        let id = id.ok_or("no id")?;
        Ok(Event { id, message, end })
    });
    events.collect()
}

impl World {
    /// Takes in what is sent to who waits for a stream, or has one.
    pub(crate) fn send_of_stream(&mut self, at: usize, key: ConnectionKey, bytes: &[u8]) {
        let mut asked = (self.line_of(at, key).asked.pop_front()).expect("just seen");
        let verdict = match asked.stream {
            None => self.begin_stream(&mut asked, key, bytes),
            Some(stream) => self.go_on_with_stream(&mut asked, stream, key, bytes),
        };
        if let Err(what) = verdict {
            let text = String::from_utf8_lossy(bytes);
            self.demand(false, &format!("{what}, in {text:?} to {asked:?}"));
        }
        let line = self.line_of(at, key);
        if let Some((_, Came::End)) = line.answers.back() {
            return self.note_gone(&asked);
        }
        line.asked.push_front(asked);
    }

    fn begin_stream(
        &mut self,
        asked: &mut Asked,
        key: ConnectionKey,
        bytes: &[u8],
    ) -> Result<(), String> {
        let (head, rest) = Head::parse(bytes)?;
        if !rest.is_empty() {
            return Err("something stands behind the head".to_owned());
        }
        let stream = self.judge_stream(asked, &head)?;
        let at = asked.begun.expect("just judged").at;
        let line = self.line_of(at, key);
        line.said_close = head.closes();
        line.answers.push_back((line.queued, Came::Sign));
        asked.stream = Some(stream);
        self.tally.one("streams begun");
        Ok(())
    }

    fn go_on_with_stream(
        &mut self,
        asked: &mut Asked,
        stream: Streaming,
        key: ConnectionKey,
        bytes: &[u8],
    ) -> Result<(), String> {
        let piece = Piece::parse(bytes, stream.is_chunked)?;
        let at = asked.begun.expect("it has begun").at;
        if self.line_of(at, key).is_finishing {
            return Err("something comes behind the end".to_owned());
        }
        self.judge_piece(asked, stream, &piece, at, key)?;
        let active_ms = self.now.monotonic_ms;
        let line = self.line_of(at, key);
        let mut told = stream.told;
        let start = line.queued - bytes.len();
        match piece {
            Piece::Comment => line.answers.push_back((line.queued, Came::Sign)),
            Piece::End => line.answers.push_back((line.queued, Came::End)),
            Piece::Events(events) => {
                for event in events {
                    told = Some(event.id);
                    let came = Came::Event(event.message);
                    line.answers.push_back((start + event.end, came));
                }
            }
        }
        asked.stream = Some(Streaming {
            told,
            active_ms,
            ..stream
        });
        Ok(())
    }

    /// Nothing more will be sent: who reads to the connection's end has come to the stream's.
    pub(crate) fn finish_stream(&mut self, at: usize, key: ConnectionKey) {
        let line = self.line_of(at, key);
        let Some(stream) = line.asked.front().and_then(|asked| asked.stream) else {
            return;
        };
        if line.said_hung_up || stream.is_chunked {
            // Who has gone is told nothing more, nor who has sent so much behind it that others have no room.
            let may_be_cut = line.said_hung_up || self.is_tight;
            return self.demand(may_be_cut, "a stream is cut off");
        }
        let end = line.queued;
        let asked = line.asked.pop_front().expect("just seen");
        line.answers.push_back((end, Came::End));
        let verdict = self.judge_piece(&asked, stream, &Piece::End, at, key);
        self.note_gone(&asked);
        if let Err(what) = verdict
            && !self.is_tight
        {
            self.demand(false, &format!("{what}, at the end of {asked:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_chunk_is_one_piece() {
        let parse = |text: &str| Piece::parse(text.as_bytes(), true);
        assert_eq!(parse("0\r\n\r\n"), Ok(Piece::End));
        assert_eq!(parse("3\r\n:\n\n\r\n"), Ok(Piece::Comment));
        for wrong in [
            "3\r\n:\n\n",
            "4\r\n:\n\n\r\n",
            "3\r\n:\n\n\r\n0\r\n\r\n",
            ":\n\n",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn each_event_ends_where_its_last_byte_is() {
        let text = "id: 7\ndata: {}\n\nid: 8\ndata: []\n\n";
        let Ok(Piece::Events(events)) = Piece::parse(text.as_bytes(), false) else {
            panic!("events");
        };
        let ends: Vec<_> = events.iter().map(|event| (event.id, event.end)).collect();
        assert_eq!(ends, [(7, 16), (8, 32)]);
        assert!(Piece::parse(b"id: 7\ndata: {}\n", false).is_err());
    }
}
