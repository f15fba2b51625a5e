//! Another reading of RFC 9112, to hold the server's against: as plain as it can be, of whole inputs only, and as strict as
//! the server says that it is.
//!
//! It shares no line with the server, not even a crate: where both are wrong, they are so for two reasons.

use std::net::Ipv6Addr;

/// Bytes of a head and of a decoded body, as the server is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) head: usize,
    pub(crate) body: usize,
}

const FIELDS_MAX: usize = 100;
const EMPTY_LINES_MAX: usize = 4;
const SIZE_DIGITS_MAX: usize = 16;
const SIZE_LINE_MAX: usize = 256;
const EXTENSIONS_MAX: usize = 4096;
const TRAILERS_MAX: usize = 4096;

/// A request that keeps all rules.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) host: &'a str,
    pub(crate) fields: Vec<(&'a str, &'a [u8])>,
    pub(crate) body: Vec<u8>,
    pub(crate) is_10: bool,
    pub(crate) closes: bool,
    /// Where its last byte is, from the first of all.
    pub(crate) end: usize,
}

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A rule is broken.
    Refused,
    /// The input ends within one.
    Within,
    /// The input ends between two.
    Between,
    /// The last one ends the connection.
    Closed,
}

type Read<T> = Result<T, Stop>;

/// All requests that an input holds, and how it ends.
pub(crate) fn read(input: &[u8], bounds: Bounds) -> (Vec<Request<'_>>, Stop) {
    let mut requests = Vec::new();
    let mut at = 0;
    loop {
        match request(input, at, bounds) {
            Ok(request) => {
                at = request.end;
                let closes = request.closes;
                requests.push(request);
                if closes {
                    return (requests, Stop::Closed);
                }
            }
            Err(stop) => return (requests, stop),
        }
    }
}

fn demand(holds: bool) -> Read<()> {
    holds.then_some(()).ok_or(Stop::Refused)
}

fn request(input: &[u8], start: usize, bounds: Bounds) -> Read<Request<'_>> {
    let mut at = start;
    let mut empty_lines = 0;
    while input[at..].starts_with(b"\r\n") {
        (at, empty_lines) = (at + 2, empty_lines + 1);
        demand(empty_lines <= EMPTY_LINES_MAX)?;
    }
    match input[at..] {
        [] | [b'\r'] => return Err(Stop::Between),
        [first, ..] => demand(is_tchar(first))?,
    }
    let head = head_of(&input[at..], bounds.head)?;
    let body_at = at + head.len();
    let (mut request, length) = parse_head(head)?;
    let length = match length {
        Length::Chunked => {
            let mut cursor = Cursor { input, at: body_at };
            request.body = cursor.chunked(bounds.body)?;
            cursor.at - body_at
        }
        Length::Bytes(length) => {
            demand(length <= bounds.body)?;
            let body = input[body_at..].get(..length).ok_or(Stop::Within)?;
            request.body = body.to_vec();
            length
        }
    };
    request.end = body_at + length;
    Ok(request)
}

/// Up to the first empty line, whichever way its line and the one before end.
fn head_of(input: &[u8], head_max: usize) -> Read<&[u8]> {
    let window = &input[..input.len().min(head_max)];
    let end = (0..window.len()).find_map(|at| match window[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    });
    match end {
        Some(end) => Ok(&window[..end]),
        None if window.len() == head_max => Err(Stop::Refused),
        None => Err(Stop::Within),
    }
}

enum Length {
    Bytes(usize),
    Chunked,
}

fn parse_head(head: &[u8]) -> Read<(Request<'_>, Length)> {
    let lines = head.strip_suffix(b"\r\n\r\n").ok_or(Stop::Refused)?;
    let mut lines = split(lines, b"\r\n").into_iter();
    let start = text(lines.next().expect("a first line"))?;
    let words: Vec<&str> = start.split(' ').collect();
    let [method, target, version] = words[..] else {
        return Err(Stop::Refused);
    };
    demand(!method.is_empty() && method.bytes().all(is_tchar))?;
    demand(version == "HTTP/1.1" || version == "HTTP/1.0")?;
    let is_10 = version == "HTTP/1.0";
    let mut fields = Vec::new();
    for line in lines {
        fields.push(field(line)?);
    }
    demand(fields.len() <= FIELDS_MAX)?;
    let values = |name: &str| -> Vec<&[u8]> {
        let same = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, value)| *value).collect()
    };
    let (authority, path, query) = target_parts(method, target)?;
    let host = match values("host")[..] {
        [] if is_10 => "",
        [one] => text(one)?,
        _ => return Err(Stop::Refused),
    };
    demand(host.is_empty() || is_authority(host))?;
    if !is_10 {
        let met = |value: &&[u8]| value.eq_ignore_ascii_case(b"100-continue");
        demand(values("expect").iter().all(met))?;
    }
    let length = length(
        &values("transfer-encoding"),
        &values("content-length"),
        is_10,
    )?;
    let options: Vec<String> = (values("connection").iter())
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|option| {
            String::from_utf8_lossy(option)
                .trim_matches([' ', '\t'])
                .to_lowercase()
        })
        .collect();
    let has = |option: &str| options.iter().any(|one| one == option);
    let closes = method == "CONNECT" || has("close") || is_10 && !has("keep-alive");
    let request = Request {
        method,
        path,
        query,
        host: authority.unwrap_or(host),
        fields,
        body: Vec::new(),
        is_10,
        closes,
        end: 0,
    };
    Ok((request, length))
}

/// The parts between separators. A CR or LF left in a part breaks the rules of whatever the part is.
fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(separator.len()).position(|w| w == separator) {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}

fn text(bytes: &[u8]) -> Read<&str> {
    demand(bytes.is_ascii())?;
    str::from_utf8(bytes).map_err(|_| Stop::Refused)
}

fn is_tchar(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~')
}

fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff)
}

/// `field-name ":" OWS field-value OWS`
fn field(line: &[u8]) -> Read<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':');
    let (name, value) = line.split_at(colon.ok_or(Stop::Refused)?);
    let name = text(name)?;
    demand(!name.is_empty() && name.bytes().all(is_tchar))?;
    let mut value = &value[1..];
    demand(value.iter().all(|&byte| is_field_byte(byte)))?;
    let frames = ["content-length", "transfer-encoding"].contains(&&*name.to_ascii_lowercase());
    demand(!frames || !value.contains(&b'\t'))?;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    Ok((name, value))
}

fn length(codings: &[&[u8]], lengths: &[&[u8]], is_10: bool) -> Read<Length> {
    match (codings, lengths) {
        ([], []) => Ok(Length::Bytes(0)),
        ([], [digits]) => {
            let digits = text(digits)?;
            demand(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse().map(Length::Bytes).map_err(|_| Stop::Refused)
        }
        ([coding], []) if !is_10 && coding.eq_ignore_ascii_case(b"chunked") => Ok(Length::Chunked),
        _ => Err(Stop::Refused),
    }
}

type Parts<'a> = (Option<&'a str>, &'a str, &'a str);

fn target_parts<'a>(method: &str, target: &'a str) -> Read<Parts<'a>> {
    let is_good = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'#';
    demand(!target.is_empty() && target.bytes().all(is_good))?;
    if method == "CONNECT" {
        let port = target.rsplit(':').next().expect("a part");
        demand(target.contains(':') && port.ends_with(|c: char| c.is_ascii_digit()))?;
        demand(is_authority(target))?;
        return Ok((None, target, ""));
    }
    if method == "OPTIONS" && target == "*" {
        return Ok((None, target, ""));
    }
    let (authority, rest) = match target.starts_with('/') {
        true => (None, target),
        false => {
            let (scheme, rest) = target.split_once("://").ok_or(Stop::Refused)?;
            demand(["http", "https"].contains(&&*scheme.to_ascii_lowercase()))?;
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            demand(is_authority(&rest[..end]))?;
            (Some(&rest[..end]), &rest[end..])
        }
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Ok((authority, if path.is_empty() { "/" } else { path }, query))
}

fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => (&authority[..at], &authority[at + 1..]),
        _ => (authority, ""),
    };
    let port_number: u64 = match port.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port_number <= 65_535;
    let is_host = match host.strip_prefix('[') {
        Some(literal) => {
            (literal.strip_suffix(']')).is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
        }
        None => is_reg_name(host),
    };
    is_port && is_host
}

fn is_reg_name(name: &str) -> bool {
    let mut escapes = name.split('%');
    let plain = |part: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+;=".contains(c);
        part.chars().all(is_plain)
    };
    !name.is_empty()
        && escapes.next().is_some_and(plain)
        && escapes.all(|part| {
            let digits = part.get(..2).unwrap_or("x");
            digits.chars().all(|c| c.is_ascii_hexdigit()) && plain(part)
        })
}

/// A place in an input, for what is read byte by byte.
struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Read<u8> {
        self.input.get(self.at).copied().ok_or(Stop::Within)
    }

    fn expect(&mut self, bytes: &[u8]) -> Read<()> {
        for &byte in bytes {
            demand(self.peek()? == byte)?;
            self.at += 1;
        }
        Ok(())
    }

    /// Passes over bytes as long as they are such, so many at most, and says how many.
    fn pass(&mut self, is_such: impl Fn(u8) -> bool, max: usize) -> Read<usize> {
        let start = self.at;
        while is_such(self.peek()?) {
            demand(self.at - start < max)?;
            self.at += 1;
        }
        Ok(self.at - start)
    }

    /// `chunked-body` (RFC 9112 section 7.1), with the bounds that the server sets.
    fn chunked(&mut self, body_max: usize) -> Read<Vec<u8>> {
        let (mut body, mut extensions) = (Vec::new(), 0);
        loop {
            let start = self.at;
            let digits = self.pass(|byte| byte.is_ascii_hexdigit(), SIZE_DIGITS_MAX)?;
            demand(digits > 0)?;
            let size = str::from_utf8(&self.input[start..self.at]).expect("digits");
            let size = u64::from_str_radix(size, 16).expect("sixteen at most");
            if self.peek()? == b';' {
                let max = (SIZE_LINE_MAX - digits).min(EXTENSIONS_MAX - extensions);
                extensions += self.pass(is_field_byte, max)?;
            }
            self.expect(b"\r\n")?;
            if size == 0 {
                self.trailers()?;
                return Ok(body);
            }
            demand(size <= (body_max - body.len()) as u64)?;
            let data = self.input[self.at..]
                .get(..size as usize)
                .ok_or(Stop::Within)?;
            body.extend_from_slice(data);
            self.at += data.len();
            self.expect(b"\r\n")?;
        }
    }

    fn trailers(&mut self) -> Read<()> {
        let start = self.at;
        let room = |at: usize| TRAILERS_MAX.saturating_sub(at - start);
        while self.peek()? != b'\r' {
            demand(self.pass(is_tchar, room(self.at))? > 0)?;
            demand(self.peek()? == b':' && room(self.at) > 0)?;
            self.at += 1;
            self.pass(is_field_byte, room(self.at))?;
            for byte in *b"\r\n" {
                demand(self.peek()? == byte && room(self.at) > 0)?;
                self.at += 1;
            }
        }
        self.expect(b"\r\n")
    }
}
