//! A head's bytes → a [`Head`]: httparse for the grammar, and the rules that it leaves to its caller.
//!
//! A head is parsed once, when its end is here ([`end`] finds it), so that what is said about it
//! cannot depend on how the network cut it. httparse refuses obs-fold, white space before a colon,
//! empty names, bare CR and control bytes; it takes bare LF for a line's end, which is refused here
//! (RFC 9112 §2.2 only permits it). What the fields say about framing is `FramingFields`' part.

use std::iter;
use std::mem::MaybeUninit;

use super::FIELDS_MAX;
use super::rejection::Rejection;
use super::request::{Method, Version};
use super::response::{After, Framing};
use super::target::{self, Target};

/// What a head says, with the target's parts as offsets into its bytes.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) target: Target,
    /// Where the first field line begins.
    pub(super) fields_at: usize,
    /// Where the first of the field lines begins that the API asks for in every request; `None` where there is none.
    pub(super) cookie_at: Option<usize>,
    pub(super) content_type_at: Option<usize>,
    pub(super) length: Length,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    after: After,
}

/// How the end of the body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Known(usize),
    Chunked,
}

impl Head {
    /// How the request is to be answered.
    pub(super) fn framing(&self) -> Framing {
        Framing {
            after: self.after,
            version: self.version,
            head_only: self.method == Method::Head,
        }
    }
}

/// The length of the head that `bytes` begins with, or else how far it was searched for: up to there nothing
/// need be looked at again when more bytes have come.
///
/// Finds the end as httparse would, bare LF included: a head that ends so is refused, not waited for.
pub(super) fn end(bytes: &[u8], searched: usize) -> Result<usize, usize> {
    let mut at = searched;
    while let Some(line) = lines(&bytes[at..]).next() {
        let next = at + line.len();
        match bytes[next..] {
            [b'\n', ..] => return Ok(next + 1),
            [b'\r', b'\n', ..] => return Ok(next + 2),
            [] | [b'\r'] => return Err(next - 1),
            _ => at = next,
        }
    }
    Err(bytes.len())
}

/// The lines that end in LF, with it.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    iter::from_fn(move || {
        // Whole blocks first: the compiler compares a block at once, and cannot do so with a search that
        // may end at any byte.
        let (blocks, _) = rest.as_chunks::<16>();
        let without =
            |block: &&[u8; 16]| !block.iter().fold(false, |found, &b| found | (b == b'\n'));
        let skipped = blocks.iter().take_while(without).count() * 16;
        let at = rest[skipped..].iter().position(|&byte| byte == b'\n')?;
        rest.split_off(..=skipped + at)
    })
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2): a method, a field's name, a coding's.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Parses one whole head, which [`end`] found and which begins with no empty line.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, Rejection> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut raw = httparse::Request::new(&mut []);
    let parsed = raw.parse_with_uninit_headers(bytes, &mut slots);
    let parsed = parsed.map_err(|error| refusal(error, bytes))?;
    let (Some(method), Some(text), Some(minor)) = (raw.method, raw.path, raw.version) else {
        return Err(BAD_REQUEST_LINE);
    };
    if parsed != httparse::Status::Complete(bytes.len()) || has_bare_lf(bytes) {
        return Err(Rejection::BadRequest("a line does not end in CR LF"));
    }

    let target_at = method.len() + 1;
    let target = target::parse(method, text, target_at)?;
    let version = match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    };
    let mut fields = FramingFields::default();
    let begin_of = |name: &str| name.as_ptr().addr() - bytes.as_ptr().addr();
    for field in raw.headers.iter() {
        fields.take(field, || &bytes[begin_of(field.name)..])?;
    }
    let line_of = |name: Option<&str>| name.map(begin_of);
    fields.check_host(version)?;
    Ok(Head {
        method: Method::named(method),
        version,
        target,
        fields_at: target_at + text.len() + " HTTP/1.1\r\n".len(),
        cookie_at: line_of(fields.cookie),
        content_type_at: line_of(fields.content_type),
        length: fields.length(version)?,
        expects_continue: fields.expects_continue(version)?,
        after: match method {
            // What is behind it may be meant for whom it asks to be connected to, and be anything (RFC 9110 §9.3.6).
            "CONNECT" => After::Close,
            _ => fields.after(version),
        },
    })
}

pub(super) const BAD_REQUEST_LINE: Rejection =
    Rejection::BadRequest("the request line is malformed");

fn refusal(error: httparse::Error, bytes: &[u8]) -> Rejection {
    match error {
        httparse::Error::TooManyHeaders => Rejection::HeadTooLarge,
        httparse::Error::HeaderName => Rejection::BadRequest("a field name is malformed"),
        httparse::Error::HeaderValue => {
            Rejection::BadRequest("a field value holds a control character")
        }
        httparse::Error::Version if names_a_version(bytes) => Rejection::VersionNotSupported,
        _ => BAD_REQUEST_LINE,
    }
}

/// Whether the request line's third and last word is an `HTTP-version` (RFC 9112 §2.3), which then is one not
/// spoken here.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
    let mut words = line.trim_ascii_end().split(|&byte| byte == b' ').skip(2);
    let version = words.next();
    words.next().is_none()
        && matches!(version, Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn has_bare_lf(bytes: &[u8]) -> bool {
    lines(bytes).any(|line| !line.ends_with(b"\r\n"))
}

/// The fields that say how the message is framed and routed.
#[derive(Default)]
struct FramingFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    expects_more: bool,
    /// The names of the first of these, as they stand in the head.
    cookie: Option<&'a str>,
    content_type: Option<&'a str>,
}

impl<'a> FramingFields<'a> {
    /// `line` is the field's, and what is behind it.
    fn take(
        &mut self,
        field: &httparse::Header<'a>,
        line: impl FnOnce() -> &'a [u8],
    ) -> Result<(), Rejection> {
        let is = |name| field.name.eq_ignore_ascii_case(name);
        if is("host") {
            take_once(&mut self.host, field.value, "there are several Host fields")
        } else if is("content-length") {
            // Equal values may be merged (RFC 9112 §6.3), but only a program that repairs makes them.
            let what = "there are several Content-Length fields";
            take_once(&mut self.content_length, field.value, what)?;
            check_spaces(line())
        } else if is("transfer-encoding") {
            let what = "there are several Transfer-Encoding fields";
            take_once(&mut self.transfer_encoding, field.value, what)?;
            check_spaces(line())
        } else if is("connection") {
            for option in elements(field.value) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
            Ok(())
        } else if is("expect") {
            let continues = field.value.eq_ignore_ascii_case(b"100-continue");
            self.expects_continue |= continues;
            self.expects_more |= !continues;
            Ok(())
        } else if is("cookie") {
            self.cookie.get_or_insert(field.name);
            Ok(())
        } else if is("content-type") {
            self.content_type.get_or_insert(field.name);
            Ok(())
        } else {
            Ok(())
        }
    }

    /// RFC 9112 §3.2: exactly one and a valid one; HTTP/1.0 may have none.
    fn check_host(&self, version: Version) -> Result<(), Rejection> {
        match self.host {
            Some(value) if target::is_host_value(value) => Ok(()),
            Some(_) => Err(Rejection::BadRequest("the Host is malformed")),
            None if version == Version::Http10 => Ok(()),
            None => Err(Rejection::BadRequest("the Host is missing")),
        }
    }

    /// RFC 9112 §6.1 to §6.3. Without either field there is no body, whatever the method.
    fn length(&self, version: Version) -> Result<Length, Rejection> {
        match (self.transfer_encoding, self.content_length) {
            (Some(_), Some(_)) => Err(Rejection::BadRequest(
                "there are both a Transfer-Encoding and a Content-Length",
            )),
            (Some(_), None) if version == Version::Http10 => Err(Rejection::BadRequest(
                "there is a Transfer-Encoding in an HTTP/1.0 message",
            )),
            (Some(codings), None) => check_codings(codings).map(|()| Length::Chunked),
            (None, Some(digits)) => decimal(digits).map(Length::Known),
            (None, None) => Ok(Length::Known(0)),
        }
    }

    /// RFC 9110 §10.1.1: an HTTP/1.0 client's expectation is ignored.
    fn expects_continue(&self, version: Version) -> Result<bool, Rejection> {
        match version {
            Version::Http10 => Ok(false),
            Version::Http11 if self.expects_more => Err(Rejection::ExpectationFailed),
            Version::Http11 => Ok(self.expects_continue),
        }
    }

    /// RFC 9112 §9.3.
    fn after(&self, version: Version) -> After {
        match version {
            _ if self.close => After::Close,
            Version::Http10 if !self.keep_alive => After::Close,
            Version::Http10 | Version::Http11 => After::KeepAlive,
        }
    }
}

fn take_once<'a>(
    slot: &mut Option<&'a [u8]>,
    value: &'a [u8],
    several: &'static str,
) -> Result<(), Rejection> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Rejection::BadRequest(several)),
    }
}

/// White space around a value may be tabs (RFC 9110 §5.5), but not every server takes them for white space, and where the body
/// ends must not depend on that: nginx knows spaces only.
fn check_spaces(behind_line: &[u8]) -> Result<(), Rejection> {
    match lines(behind_line).next() {
        Some(line) if line.contains(&b'\t') => Err(Rejection::BadRequest(
            "there is a tab in a field that says how the body is framed",
        )),
        _ => Ok(()),
    }
}

/// The elements of a comma-separated list (RFC 9110 §5.6.1), empty ones included.
fn elements(list: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// `1*DIGIT` (RFC 9110 §8.6). `str::parse` would take a plus sign.
fn decimal(digits: &[u8]) -> Result<usize, Rejection> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Rejection::BadRequest("the Content-Length is no number"));
    }
    digits
        .iter()
        .try_fold(0_usize, |number, &digit| {
            number.checked_mul(10)?.checked_add((digit - b'0').into())
        })
        .ok_or(Rejection::BodyTooLarge)
}

/// Only `chunked`, once and alone, is taken. Another coding is 501 (RFC 9112 §6.1), also where RFC 9112 §6.3
/// would have 400 because chunked is not behind it; the body's end is unknown in either case.
fn check_codings(list: &[u8]) -> Result<(), Rejection> {
    if list.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let names = || {
        elements(list).map(|coding| {
            let name = coding.split(|&byte| byte == b';').next();
            name.unwrap_or(coding).trim_ascii_end()
        })
    };
    if !names().all(|name| !name.is_empty() && name.iter().all(|&byte| is_token(byte))) {
        return Err(Rejection::BadRequest("the Transfer-Encoding is malformed"));
    }
    let mut before_last = names().rev().skip(1);
    let bare = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let ends_bare = elements(list).next_back().is_some_and(bare);
    if before_last.any(bare) || names().next_back().is_some_and(bare) != ends_bare {
        return Err(Rejection::BadRequest(
            "chunked is not the last transfer coding, once and without parameters",
        ));
    }
    Err(Rejection::NotImplemented)
}
