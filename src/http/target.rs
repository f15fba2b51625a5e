//! The request target in its four forms (RFC 9112 §3.2), and what may stand for a host.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::rejection::Rejection;

/// Where the parts of a target lie, as offsets into the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The authority of an absolute target; it wins over `Host` (RFC 9112 §3.2.2).
    pub(super) authority: Option<Range<usize>>,
    /// Empty where an absolute target has none, which means `/`.
    pub(super) path: Range<usize>,
    /// Without its question mark.
    pub(super) query: Range<usize>,
}

/// Takes a target apart that begins at `offset` in the head.
pub(super) fn parse(method: &str, text: &str, offset: usize) -> Result<Target, Rejection> {
    // A fragment never goes over the wire, and httparse lets bytes beyond ASCII pass.
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(Rejection::BadRequest(
            "the request target holds a character that must be percent-encoded",
        ));
    }
    match method {
        "CONNECT" if has_port(text) && is_authority(text) => Ok(whole(text, offset)),
        "CONNECT" => Err(MALFORMED),
        "OPTIONS" if text == "*" => Ok(whole(text, offset)),
        _ if text.starts_with('/') => Ok(split(text, 0, None, offset)),
        _ => absolute(text, offset),
    }
}

const MALFORMED: Rejection = Rejection::BadRequest("the request target is malformed");

fn whole(text: &str, offset: usize) -> Target {
    let end = offset + text.len();
    Target {
        authority: None,
        path: offset..end,
        query: end..end,
    }
}

fn absolute(text: &str, offset: usize) -> Result<Target, Rejection> {
    let (scheme, rest) = text.split_once("://").ok_or(MALFORMED)?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(MALFORMED);
    }
    let length = rest.find(['/', '?']).unwrap_or(rest.len());
    if !is_authority(&rest[..length]) {
        return Err(MALFORMED);
    }
    let start = text.len() - rest.len();
    Ok(split(
        text,
        start + length,
        Some(offset + start..offset + start + length),
        offset,
    ))
}

fn split(text: &str, path: usize, authority: Option<Range<usize>>, offset: usize) -> Target {
    let end = text.len();
    let mark = text.find('?').unwrap_or(end);
    Target {
        authority,
        path: offset + path..offset + mark,
        query: offset + (mark + 1).min(end)..offset + end,
    }
}

/// Whether a `Host` field's value is one (RFC 9112 §3.2). It is empty where the client's URI has no authority.
pub(super) fn is_host_value(value: &[u8]) -> bool {
    value.is_empty() || str::from_utf8(value).is_ok_and(is_authority)
}

fn has_port(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit()) && text.contains(':')
}

/// `host[:port]` (RFC 3986 §3.2.2, §3.2.3), stricter in three ways: the host is not empty, has no comma,
/// which would make two hosts of one for a program that reads lists, and is of no future IP version.
/// Userinfo is refused as RFC 9110 §4.2.4 asks.
fn is_authority(text: &str) -> bool {
    if let Some(literal) = text.strip_prefix('[') {
        return literal.split_once(']').is_some_and(|(address, rest)| {
            address.parse::<Ipv6Addr>().is_ok()
                && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
        });
    }
    match text.split_once(':') {
        Some((name, port)) => is_name(name) && is_port(port),
        None => is_name(text),
    }
}

fn is_port(text: &str) -> bool {
    // `parse` alone would let a plus sign pass.
    text.bytes().all(|b| b.is_ascii_digit()) && (text.is_empty() || text.parse::<u16>().is_ok())
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && has_whole_escapes(text.as_bytes())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&b))
}

/// Whether every `%` stands before two hexadecimal digits (RFC 3986 §2.1).
pub(super) fn has_whole_escapes(text: &[u8]) -> bool {
    text.iter()
        .enumerate()
        .filter(|&(_, &byte)| byte == b'%')
        .all(|(at, _)| {
            matches!(text.get(at + 1..at + 3), Some(digits) if digits.iter().all(u8::is_ascii_hexdigit))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in [
            "",
            "a",
            "a:80",
            "a:",
            "example.com:8000",
            "127.0.0.1",
            "[::1]",
            "[::1]:8000",
            "a_b",
            "%41",
        ] {
            assert!(is_host_value(good.as_bytes()), "{good}");
        }
        for bad in [
            " ",
            "a b",
            "a,b",
            "a, b",
            "u@a",
            "u:p@a",
            ":80",
            "a:+80",
            "a:65536",
            "a:8a",
            "a:80:80",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[a]",
            "[v1.a]",
            "::1",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "%4",
            "%zz",
            "a\u{e9}",
            "http://a",
            "[::1%25eth0]",
        ] {
            assert!(!is_host_value(bad.as_bytes()), "{bad}");
        }
        assert!(!is_host_value(b"\xff"));
    }

    #[test]
    fn forms() {
        let parts = |method, text: &'static str| {
            parse(method, text, 0).ok().map(|t| {
                (
                    t.authority.map_or("", |range| &text[range]),
                    &text[t.path],
                    &text[t.query],
                )
            })
        };
        assert_eq!(parts("GET", "/"), Some(("", "/", "")));
        assert_eq!(parts("GET", "/a?b=c?d"), Some(("", "/a", "b=c?d")));
        assert_eq!(parts("GET", "/?"), Some(("", "/", "")));
        assert_eq!(parts("GET", "//a"), Some(("", "//a", "")));
        assert_eq!(parts("GET", "/a://b?c"), Some(("", "/a://b", "c")));
        assert_eq!(parts("GET", "http://h:1/a?b"), Some(("h:1", "/a", "b")));
        assert_eq!(parts("GET", "HTTPS://h"), Some(("h", "", "")));
        assert_eq!(parts("GET", "http://h?b/c"), Some(("h", "", "b/c")));
        assert_eq!(parts("OPTIONS", "*"), Some(("", "*", "")));
        assert_eq!(parts("CONNECT", "h:443"), Some(("", "h:443", "")));
        for (method, text) in [
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "h:443"),
            ("GET", "?a"),
            ("GET", "/a#b"),
            ("GET", "/\u{e9}"),
            ("GET", "ftp://h/"),
            ("GET", "http://"),
            ("GET", "http:///a"),
            ("GET", "http://u@h/"),
            ("GET", "http:/a"),
            ("OPTIONS", "**"),
            ("CONNECT", "h"),
            ("CONNECT", "/"),
            ("CONNECT", "h:"),
            ("connect", "h:443"),
        ] {
            assert_eq!(parts(method, text), None, "{method} {text}");
        }
    }
}
