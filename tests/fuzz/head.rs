//! Requests, one behind the other, however they are cut.
//!
//! The server must read what the reference reads, no more and no less, and the same whole, cut and byte by byte.

use loiter::http::{Limits, Method};

use crate::framing::{self, Framed};
use crate::pieces::Cuts;
use crate::reference::{self, Bounds, Stop};

/// Small, so that they are met.
const LIMITS: Limits = Limits {
    head_max: 600,
    body_max: 200,
};
/// Fields that the server asks for by name, and some that it never asks for.
const NAMES: [&str; 6] = ["host", "cookie", "content-type", "origin", "x", "a"];

pub(crate) fn run(data: &[u8]) {
    let (cuts, input) = Cuts::split_off(data);
    assert_reads_as_the_reference(input, cuts, &LIMITS);
}

/// Reads an input in three ways, all of which must come to what the reference says.
pub(crate) fn assert_reads_as_the_reference(input: &[u8], cuts: Cuts<'_>, limits: &Limits) {
    let whole = framing::read([input], limits, &NAMES);
    let cut = framing::read(cuts.pieces(input), limits, &NAMES);
    assert_eq!(whole, cut, "whole and cut differ");
    let bytes = framing::read(input.chunks(1), limits, &NAMES);
    assert_eq!(whole, bytes, "whole and byte by byte differ");
    assert_is_what_the_reference_reads(&whole, input, limits);
}

fn assert_is_what_the_reference_reads(framed: &Framed, input: &[u8], limits: &Limits) {
    let bounds = Bounds {
        head: limits.head_max,
        body: limits.body_max,
    };
    let (requests, stop) = reference::read(input, bounds);
    assert_eq!(
        framed.refused.is_some(),
        stop == Stop::Refused,
        "{framed:?}, {stop:?}"
    );
    assert_eq!(
        framed.is_within,
        stop == Stop::Within,
        "{framed:?}, {stop:?}"
    );
    assert_eq!(
        framed.requests.len(),
        requests.len(),
        "{framed:?}, {requests:?}"
    );
    for (taken, request) in framed.requests.iter().zip(&requests) {
        let method = match request.method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        };
        assert_eq!(taken.method, method);
        assert_eq!(taken.path, request.path);
        assert_eq!(taken.query, request.query);
        assert_eq!(taken.host, request.host);
        assert_eq!(taken.body, request.body);
        assert_eq!(taken.end, request.end);
        let is_head = request.method == "HEAD";
        let framing = framing::framing(request.is_10, is_head, request.closes);
        assert_eq!(taken.framing, framing);
        for (name, values) in NAMES.iter().zip(&taken.fields) {
            let same = |(field, _): &&(&str, &[u8])| field.eq_ignore_ascii_case(name);
            let wanted = request.fields.iter().filter(same).map(|(_, value)| *value);
            assert!(
                wanted.eq(values.iter().map(Vec::as_slice)),
                "{name}: {values:?}"
            );
        }
    }
}
