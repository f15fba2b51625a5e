//! In which form a file is for who asks, and whether they have it already.

use crate::http::Request;
use crate::web::{File, Representation};

/// Compressed for a client that takes it (`Accept-Encoding`, RFC 9110 §12.5.3), and as it was written for every other.
pub fn representation<'a>(request: &Request<'_>, file: &'a File) -> &'a Representation {
    match takes_gzip(request.fields("accept-encoding")) {
        true => file.packed(),
        false => file.plain(),
    }
}

/// Whether a request says that its sender has the file in this form (`If-None-Match`, RFC 9110 §13.1.2).
///
/// The tags are compared weakly, as that field's are; ours have no comma, so that a list may be cut at each.
pub fn is_known(request: &Request<'_>, file: &Representation) -> bool {
    let mut tags = request
        .fields("if-none-match")
        .flat_map(|field| field.split(|&byte| byte == b','))
        .map(|tag| tag.trim_ascii());
    tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == file.tag().as_bytes())
}

/// What is said of gzip by its name, or its old one, goes before what is said of all others by `*`.
fn takes_gzip<'a>(fields: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut named, mut others) = (None, None);
    for coding in fields.flat_map(|field| field.split(|&byte| byte == b',')) {
        let mut parts = coding.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let is_taken = !parts.any(is_refusal);
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            named = Some(is_taken);
        } else if name == b"*" {
            others = Some(is_taken);
        }
    }
    named.or(others).unwrap_or(false)
}

/// A weight of nothing (RFC 9110 §12.4.2): `q=0`, or with up to three decimals.
fn is_refusal(parameter: &[u8]) -> bool {
    let weight = match parameter {
        [b'q' | b'Q', rest @ ..] => rest.trim_ascii_start().strip_prefix(b"="),
        _ => None,
    };
    weight.is_some_and(|weight| {
        let weight = weight.trim_ascii();
        weight.starts_with(b"0") && weight.iter().all(|byte| matches!(byte, b'0' | b'.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(fields: &[&str]) -> bool {
        takes_gzip(fields.iter().map(|field| field.as_bytes()))
    }

    #[test]
    fn gzip_is_for_who_takes_it() {
        for field in [
            "gzip",
            "GZIP",
            "x-gzip",
            "deflate, gzip;q=1.0, *;q=0.5",
            "br;q=1,gzip ; q=0.001",
            "identity,\tgzip",
            "*",
            "gzip, *;q=0",
            "gzip;q=",
        ] {
            assert!(is_taken(&[field]), "{field}");
        }
        assert!(is_taken(&["br", "gzip"]));
    }

    #[test]
    fn who_does_not_say_so_takes_what_was_written() {
        for field in [
            "",
            "identity",
            "br, deflate",
            "gzip;q=0",
            "gzip; Q = 0.000",
            "*;q=1, gzip;q=0.0",
            "*;q=0",
            "gzippy",
            "g zip",
        ] {
            assert!(!is_taken(&[field]), "{field}");
        }
        assert!(!is_taken(&[]));
        assert!(!is_taken(&["*", "gzip;q=0"]));
    }
}
