//! Bodies, however they are framed and cut: what the reference decodes, and what was encoded.

use loiter::http::{Limits, push_chunk, push_last_chunk};

use crate::framing;
use crate::head::assert_reads_as_the_reference;
use crate::pieces::Cuts;

const LIMITS: Limits = Limits {
    head_max: 600,
    body_max: 3000,
};
const HEAD: &[u8] = b"POST /logout HTTP/1.1\r\nHost: h\r\n";

pub(crate) fn run(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let (cuts, text) = Cuts::split_off(rest);
    match first {
        // Whatever stands in the chunks' place.
        0..128 => {
            let input = [HEAD, b"Transfer-Encoding: chunked\r\n\r\n", text].concat();
            assert_reads_as_the_reference(&input, cuts, &LIMITS);
        }
        // A length, which may be more or less than there is.
        128..192 => {
            let (length, text) = text.split_at(text.len().min(2));
            let length = length.iter().fold(0, |n, &byte| n * 16 + usize::from(byte));
            let field = format!("Content-Length: {length}\r\n\r\n");
            let input = [HEAD, field.as_bytes(), text].concat();
            assert_reads_as_the_reference(&input, cuts, &LIMITS);
        }
        192.. => assert_comes_back(first, text, cuts),
    }
}

/// A body that is encoded, by the server's own hand or by another, is decoded to what it was, to its last byte.
fn assert_comes_back(how: u8, body: &[u8], cuts: Cuts<'_>) {
    if body.len() > LIMITS.body_max {
        return;
    }
    let mut bytes = [HEAD, b"transfer-encoding: Chunked\r\n\r\n"].concat();
    for piece in cuts.pieces(body).take(100) {
        match how % 4 {
            0 => push_chunk(&mut bytes, piece),
            _ => push_otherwise(&mut bytes, how, piece),
        }
    }
    let body: Vec<u8> = cuts.pieces(body).take(100).flatten().copied().collect();
    match how % 8 {
        0..4 => push_last_chunk(&mut bytes),
        _ => bytes.extend_from_slice(b"000;last\r\nExpires: never\r\nContent-Length: 7\r\n\r\n"),
    }
    let end = bytes.len();
    bytes.extend_from_slice(b"GET /x");
    for pieces in [1, 7, bytes.len()] {
        let framed = framing::read(bytes.chunks(pieces), &LIMITS, &[]);
        let [taken] = &framed.requests[..] else {
            panic!("no request: {framed:?}");
        };
        assert_eq!((&taken.body, taken.end), (&body, end));
        assert!(framed.is_within, "the next one has begun");
    }
}

fn push_otherwise(bytes: &mut Vec<u8>, how: u8, piece: &[u8]) {
    let size = piece.len();
    let line = match how % 4 {
        1 => format!("{size:05X}\r\n"),
        2 => format!("{size:x};a\r\n"),
        _ => format!("{size:x};a=\"b;\t\"\r\n"),
    };
    bytes.extend_from_slice(line.as_bytes());
    bytes.extend_from_slice(piece);
    bytes.extend_from_slice(b"\r\n");
}
