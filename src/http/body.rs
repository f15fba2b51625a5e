//! The decoder of a body that did not come with its head, or came in chunks (RFC 9112 §6, §7.1).
//!
//! It takes every byte that it is offered up to the body's end, so no line is left to be looked at
//! twice. Stricter than the RFC where two readers could disagree on a chunk's size: no white space
//! behind the digits, no bare LF, at most 16 digits. What an attacker can make long without sending a
//! body (extensions, trailers) is bounded, and dropped.

use super::parse::{Length, is_token};
use super::rejection::Rejection;

/// Bytes of one chunk's size and extensions.
const SIZE_LINE_MAX: u16 = 256;
/// Bytes of all chunks' extensions together.
const EXTENSIONS_MAX: u16 = 4096;
/// Bytes of the trailer section.
const TRAILERS_MAX: u16 = 4096;
/// Sixteen hexadecimal digits fill 64 bits and cannot overflow them.
const SIZE_DIGITS_MAX: u16 = 16;

/// What came of some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Bytes of the input that were the body's, framing included.
    pub(super) consumed: usize,
    /// Whether the body is complete; what follows is the next request's.
    pub(super) done: bool,
}

/// How far a body is decoded.
#[derive(Clone, Debug)]
pub(super) enum Decoder {
    /// So many bytes are still to come.
    Sized { left: usize },
    /// Its end is in the chunks.
    Chunked(Chunks),
}

impl Decoder {
    pub(super) fn new(length: Length) -> Self {
        match length {
            Length::Known(left) => Self::Sized { left },
            Length::Chunked => Self::Chunked(Chunks::default()),
        }
    }

    /// Moves what `input` has of the body behind `body`, which grows to `body_max` bytes at most.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        body_max: usize,
    ) -> Result<Decoded, Rejection> {
        match self {
            Self::Sized { left } => {
                let consumed = input.len().min(*left);
                if body.capacity() - body.len() < consumed {
                    // Not beyond its end, as the vector would by itself.
                    body.reserve_exact(consumed.max(body.len()).min(*left));
                }
                body.extend_from_slice(&input[..consumed]);
                *left -= consumed;
                let done = *left == 0;
                Ok(Decoded { consumed, done })
            }
            Self::Chunked(chunks) => chunks.decode(input, body, body_max),
        }
    }
}

/// A chunked body under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of the current chunk that are still to come; while `at` is a size, what its digits say so far.
    /// Zero between chunks.
    left: u64,
    /// Bytes of the current size line, or of the trailer section.
    line: u16,
    /// Bytes of all extensions so far.
    extensions: u16,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// A chunk size's first digit: there must be one.
    #[default]
    SizeStart,
    /// Another digit, `;` or CR.
    Size,
    /// Anything up to CR; extensions are ignored (RFC 9112 §7.1.1).
    Extension,
    /// The LF behind a size line.
    SizeLf,
    /// The chunk's data; the only state that takes more than a byte at once.
    Data,
    /// The CR and then the LF behind the data: a chunk longer than its size is caught here.
    DataCr,
    DataLf,
    /// A trailer field's first byte, or the CR of the body's last line.
    TrailerStart,
    /// More of a trailer field's name, or the colon.
    TrailerName,
    /// A trailer field's value, or CR.
    TrailerValue,
    TrailerLf,
    /// The body's last byte.
    LastLf,
    /// Not the body's any more.
    Done,
}

const BAD_SIZE: Rejection = Rejection::BadRequest("a chunk's size is malformed");
const BAD_EXTENSION: Rejection = Rejection::BadRequest("a chunk's extension is malformed");
const LONG_EXTENSION: Rejection = Rejection::BadRequest("a chunk's extensions are too long");
const BAD_END: Rejection = Rejection::BadRequest("a chunk does not end where its size says");
const BAD_TRAILER: Rejection = Rejection::BadRequest("a trailer field is malformed");
const LONG_TRAILER: Rejection = Rejection::BadRequest("the trailer section is too long");

impl Chunks {
    fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        body_max: usize,
    ) -> Result<Decoded, Rejection> {
        let mut consumed = 0;
        while self.at != At::Done {
            let rest = &input[consumed..];
            let Some(&byte) = rest.first() else { break };
            if self.at == At::Data {
                consumed += self.take_data(rest, body);
            } else {
                self.at = self.step(byte, body_max - body.len())?;
                consumed += 1;
            }
        }
        Ok(Decoded {
            consumed,
            done: self.at == At::Done,
        })
    }

    fn take_data(&mut self, input: &[u8], body: &mut Vec<u8>) -> usize {
        let length = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        body.extend_from_slice(&input[..length]);
        self.left -= length as u64;
        if self.left == 0 {
            self.at = At::DataCr;
        }
        length
    }

    /// Takes one byte of the framing. `room` is what the body may still grow by.
    fn step(&mut self, byte: u8, room: usize) -> Result<At, Rejection> {
        match (self.at, byte) {
            (At::SizeStart, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.line = 0;
                self.take_digit(byte)
            }
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.take_digit(byte),
            (At::Size, b'\r') | (At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Size, b';') => self.take_extension(),
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.take_extension(),
            (At::SizeLf, b'\n') if self.left == 0 => {
                self.line = 0;
                Ok(At::TrailerStart)
            }
            (At::SizeLf, b'\n') if self.left > room as u64 => Err(Rejection::BodyTooLarge),
            (At::SizeLf, b'\n') => Ok(At::Data),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::SizeStart),
            (At::TrailerStart, b'\r') => Ok(At::LastLf),
            (At::TrailerStart, _) if is_token(byte) => self.take_trailer(At::TrailerName),
            (At::TrailerName, b':') => self.take_trailer(At::TrailerValue),
            (At::TrailerName, _) if is_token(byte) => self.take_trailer(At::TrailerName),
            (At::TrailerValue, b'\r') => self.take_trailer(At::TrailerLf),
            (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.take_trailer(At::TrailerValue),
            (At::TrailerLf, b'\n') => self.take_trailer(At::TrailerStart),
            (At::LastLf, b'\n') => Ok(At::Done),
            (at, _) => Err(at.refusal()),
        }
    }

    fn take_digit(&mut self, byte: u8) -> Result<At, Rejection> {
        if self.line == SIZE_DIGITS_MAX {
            return Err(BAD_SIZE);
        }
        let digit = char::from(byte).to_digit(16).ok_or(BAD_SIZE)?;
        self.line += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(At::Size)
    }

    fn take_extension(&mut self) -> Result<At, Rejection> {
        self.line += 1;
        self.extensions += 1;
        if self.line > SIZE_LINE_MAX || self.extensions > EXTENSIONS_MAX {
            return Err(LONG_EXTENSION);
        }
        Ok(At::Extension)
    }

    fn take_trailer(&mut self, next: At) -> Result<At, Rejection> {
        self.line += 1;
        if self.line > TRAILERS_MAX {
            return Err(LONG_TRAILER);
        }
        Ok(next)
    }
}

impl At {
    /// What is wrong with a byte that may not stand here.
    fn refusal(self) -> Rejection {
        match self {
            Self::SizeStart | Self::Size | Self::SizeLf => BAD_SIZE,
            Self::Extension => BAD_EXTENSION,
            Self::Data | Self::DataCr | Self::DataLf => BAD_END,
            Self::TrailerStart
            | Self::TrailerName
            | Self::TrailerValue
            | Self::TrailerLf
            | Self::LastLf
            | Self::Done => BAD_TRAILER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes whole and byte by byte; both must say the same.
    fn decoded(input: &[u8], body_max: usize) -> Result<(Vec<u8>, usize, bool), Rejection> {
        let mut body = Vec::new();
        let whole = Decoder::new(Length::Chunked)
            .decode(input, &mut body, body_max)
            .map(|d| (body, d.consumed, d.done));

        let mut decoder = Decoder::new(Length::Chunked);
        let (mut body, mut consumed, mut done) = (Vec::new(), 0, false);
        let mut bytewise = Ok(());
        for byte in input.chunks(1) {
            if done || bytewise.is_err() {
                break;
            }
            bytewise = decoder.decode(byte, &mut body, body_max).map(|d| {
                consumed += d.consumed;
                done = d.done;
            });
        }
        assert_eq!(whole, bytewise.map(|()| (body, consumed, done)));
        whole
    }

    fn body_of(input: &[u8]) -> Vec<u8> {
        let (body, consumed, done) = decoded(input, 1000).expect("a good body");
        assert_eq!((consumed, done), (input.len(), true));
        body
    }

    #[test]
    fn a_body_that_comes_in_pieces_takes_no_more_than_its_length() {
        let mut decoder = Decoder::new(Length::Known(1000));
        let mut body = Vec::new();
        for piece in [600, 1, 399] {
            let decoded = decoder.decode(&vec![b'x'; piece], &mut body, 1000);
            assert_eq!(decoded.map(|decoded| decoded.consumed), Ok(piece));
            assert!(body.capacity() <= 1000, "{}", body.capacity());
        }
        assert_eq!(body.len(), 1000);
    }

    #[test]
    fn good_bodies() {
        assert_eq!(body_of(b"0\r\n\r\n"), b"");
        assert_eq!(body_of(b"5\r\nhello\r\n0\r\n\r\n"), b"hello");
        assert_eq!(body_of(b"1\r\na\r\n002\r\nbc\r\n000\r\n\r\n"), b"abc");
        assert_eq!(body_of(b"A\r\n0123456789\r\n0\r\n\r\n"), b"0123456789");
        assert_eq!(
            body_of(b"9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n"),
            b"\r\n0\r\n\r\n\r\n"
        );
        assert_eq!(body_of(b"1;a=\"b\r\nx\r\n0;c\r\n\r\n"), b"x");
        assert_eq!(body_of(b"0\r\nA: b\r\nC:\r\nD: \xff\t\r\n\r\n"), b"");
    }

    #[test]
    fn stops_at_the_end() {
        let input = b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
        assert_eq!(decoded(input, 9), Ok((b"a".to_vec(), 11, true)));
    }

    #[test]
    fn waits_for_the_end() {
        let input = b"1;x\r\na\r\n0\r\nA: b\r\n\r\n";
        for length in 0..input.len() {
            let (_, consumed, done) = decoded(&input[..length], 9).expect("no fault yet");
            assert_eq!((consumed, done), (length, false));
        }
    }

    #[test]
    fn bad_bodies() {
        let table: &[(&[u8], Rejection)] = &[
            (b"\r\n", BAD_SIZE),
            (b"x", BAD_SIZE),
            (b"+1\r\n", BAD_SIZE),
            (b"-1\r\n", BAD_SIZE),
            (b"0x1\r\n", BAD_SIZE),
            (b" 1\r\n", BAD_SIZE),
            (b"1 \r\n", BAD_SIZE),
            (b"1 ;x\r\n", BAD_SIZE),
            (b"1_0\r\n", BAD_SIZE),
            (b";x\r\n", BAD_SIZE),
            (b"1\n", BAD_SIZE),
            (b"1\ra", BAD_SIZE),
            (b"1\r\r\n", BAD_SIZE),
            (b"00000000000000001\r\n", BAD_SIZE),
            (b"10000000000000000\r\n", BAD_SIZE),
            (b"ffffffffffffffff\r\n", Rejection::BodyTooLarge),
            (b"8\r\n", Rejection::BodyTooLarge),
            (b"4\r\nabcd\r\n4\r\n", Rejection::BodyTooLarge),
            (b"1;a\n", BAD_EXTENSION),
            (b"1;a\0", BAD_EXTENSION),
            (b"1;a\ra", BAD_SIZE),
            (b"1\r\nab", BAD_END),
            (b"1\r\na\n", BAD_END),
            (b"1\r\na\r\r", BAD_END),
            (b"1\r\na0\r\n\r\n", BAD_END),
            (b"0\r\n\n", BAD_TRAILER),
            (b"0\r\n\r\r", BAD_TRAILER),
            (b"0\r\nGET / HTTP/1.1\r\n", BAD_TRAILER),
            (b"0\r\n: b\r\n", BAD_TRAILER),
            (b"0\r\nA : b\r\n", BAD_TRAILER),
            (b"0\r\nA: b\n", BAD_TRAILER),
            (b"0\r\nA: b\0", BAD_TRAILER),
            (b"0\r\nA: b\rc", BAD_TRAILER),
            (b"0\r\nA: b\r\n c\r\n", BAD_TRAILER),
            (b"0\r\nA\r\n", BAD_TRAILER),
        ];
        for (input, rejection) in table {
            assert_eq!(
                decoded(input, 7),
                Err(*rejection),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[test]
    fn what_is_dropped_is_bounded() {
        let long = |start: &str, n: usize| [start.as_bytes(), &vec![b'x'; n]].concat();
        assert!(decoded(&long("1;", 254), 9).is_ok());
        assert_eq!(decoded(&long("1;", 255), 9), Err(LONG_EXTENSION));
        let line = [long("1;", 99), b"\r\na\r\n".to_vec()].concat();
        assert!(decoded(&line.repeat(40), 99).is_ok());
        assert_eq!(decoded(&line.repeat(41), 99), Err(LONG_EXTENSION));
        assert!(decoded(&long("0\r\nA:", 4094), 9).is_ok());
        assert_eq!(decoded(&long("0\r\nA:", 4095), 9), Err(LONG_TRAILER));
        assert_eq!(
            decoded(&["0\r\n", &"A:\r\n".repeat(1025)].concat().into_bytes(), 9),
            Err(LONG_TRAILER)
        );
    }
}
