//! The chunked transfer coding (RFC 9112 §7.1), taken off as it comes.

use crate::head::Malformed;

/// A line that says a chunk's size, its extensions included, or a field of the trailer, at most.
const LINE_MAX: usize = 1024;

/// Takes chunks apart; it remembers where it is between two pieces.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
    /// What is there of a line that has not ended yet.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In the line that says how long the next chunk is.
    #[default]
    Size,
    /// So many bytes of a chunk are still to come.
    Data(usize),
    /// In the line end behind a chunk.
    End,
    /// Behind the last chunk: fields, which nobody reads, up to an empty line.
    Trailer,
    Done,
}

impl Chunks {
    /// Whether the body is whole.
    pub(crate) fn are_done(&self) -> bool {
        self.state == State::Done
    }

    /// Appends to `body` what `input` holds of it; how many bytes of `input` belong to the body.
    pub(crate) fn take(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() && !self.are_done() {
            if let State::Data(left) = self.state {
                let len = left.min(input.len() - at);
                body.extend_from_slice(&input[at..at + len]);
                at += len;
                self.state = match left - len {
                    0 => State::End,
                    left => State::Data(left),
                };
                continue;
            }
            self.line.push(input[at]);
            at += 1;
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.state = self.behind(line.strip_suffix(b"\r\n").ok_or(Malformed::Chunk)?)?;
            } else if self.line.len() > LINE_MAX {
                return Err(Malformed::Chunk);
            }
        }
        Ok(at)
    }

    /// Where it is behind a line.
    fn behind(&self, line: &[u8]) -> Result<State, Malformed> {
        match self.state {
            State::Size => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let digits = str::from_utf8(digits).map_err(|_| Malformed::Chunk)?;
                // It would take a sign.
                let is_number = digits.starts_with(|first: char| first.is_ascii_hexdigit());
                match usize::from_str_radix(digits.trim_end(), 16) {
                    Ok(0) if is_number => Ok(State::Trailer),
                    Ok(size) if is_number => Ok(State::Data(size)),
                    _ => Err(Malformed::Chunk),
                }
            }
            State::End if line.is_empty() => Ok(State::Size),
            State::Trailer if line.is_empty() => Ok(State::Done),
            State::Trailer => Ok(State::Trailer),
            State::End | State::Data(_) | State::Done => Err(Malformed::Chunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"5;a=b\r\nhello\r\nB\r\n\r\nbig world\r\n0\r\nX: y\r\n\r\nHTTP";

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let whole = BODY.len() - b"HTTP".len();
        for piece in 1..=BODY.len() {
            let (mut chunks, mut body, mut taken) = (Chunks::default(), Vec::new(), 0);
            for part in BODY.chunks(piece) {
                taken += chunks.take(part, &mut body).unwrap();
            }
            assert_eq!(body, b"hello\r\nbig world", "pieces of {piece}");
            assert_eq!((taken, chunks.are_done()), (whole, true));
        }
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for bad in [
            "x\r\n",
            "\r\n",
            "+5\r\nhello\r\n",
            "5\nhello",
            "2\r\nabc\r\n",
        ] {
            let taken = Chunks::default().take(bad.as_bytes(), &mut Vec::new());
            assert_eq!(taken, Err(Malformed::Chunk), "{bad:?}");
        }
        let endless = vec![b'1'; 2 * LINE_MAX];
        assert!(Chunks::default().take(&endless, &mut Vec::new()).is_err());
    }
}
