//! A web origin.

use std::fmt;
use std::str::FromStr;

/// A web origin as browsers write it (RFC 6454 §6.2): `https://chat.example`, or `http://localhost:3000`.
///
/// Scheme and host in lower case, the port only where it is not the scheme's own.
///
/// ```
/// let origin: loiter::config::Origin = "https://Chat.Example:443".parse()?;
/// assert_eq!(origin.as_str(), "https://chat.example");
/// # Ok::<(), loiter::config::NotAnOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Box<str>);

impl Origin {
    /// The text that browsers send.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What no browser sends as an origin, or sends for many: `null`.
///
/// ```
/// use loiter::config::{NotAnOrigin, Origin};
///
/// for text in ["null", "chat.example", "https://chat.example/page"] {
///     assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin));
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnOrigin;

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a scheme and a host as a browser sends them, with a port if it is not the usual one and nothing behind it, such as https://chat.example or http://localhost:3000")
    }
}

impl std::error::Error for NotAnOrigin {}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(NotAnOrigin)?;
        let usual_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return Err(NotAnOrigin),
        };
        let authority = authority.strip_suffix(usual_port).unwrap_or(authority);
        let (host, port) = match authority.rfind(':') {
            Some(colon) if !authority.ends_with(']') => authority.split_at(colon),
            _ => (authority, ""),
        };
        match is_host(host) && is_port(port) {
            true => Ok(Self(format!("{scheme}://{host}{port}").into())),
            false => Err(NotAnOrigin),
        }
    }
}

/// A browser sends a name in its ASCII form, without a dot that it does not need.
fn is_host(host: &str) -> bool {
    if let Some(literal) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let address: Option<std::net::Ipv6Addr> = literal.parse().ok();
        // Two texts of one address would not be equal.
        return address.is_some_and(|address| address.to_string() == literal);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.bytes().all(is_plain)
}

fn is_port(port: &str) -> bool {
    let Some(digits) = port.strip_prefix(':') else {
        return port.is_empty();
    };
    let number: Option<u16> = digits.parse().ok();
    number.is_some_and(|number| number > 0 && number.to_string() == digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_browsers_write_it() {
        for (given, expected) in [
            ("https://chat.example", "https://chat.example"),
            ("HTTPS://Chat.Example:443", "https://chat.example"),
            ("http://chat.example:443", "http://chat.example:443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1", "http://127.0.0.1"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
        ] {
            let origin: Origin = given.parse().expect(given);
            assert_eq!(origin.as_str(), expected);
        }
    }

    #[test]
    fn what_no_browser_sends_is_none() {
        for given in [
            "",
            "*",
            "null",
            "chat.example",
            "https://",
            "https://*",
            "https://*.chat.example",
            "https://chat.example/",
            "https://chat.example/path",
            "https://chat.example?",
            "https://chat.example#",
            "https://user@chat.example",
            "https://chat.example:",
            "https://chat.example:0",
            "https://chat.example:080",
            "https://chat.example:65536",
            "https://chat.example:8000:8000",
            "https://bücher.example",
            "https://a b",
            "https://a,https://b",
            "https://[::1",
            "https://[0:0::1]",
            "ftp://chat.example",
            "file://",
        ] {
            assert_eq!(given.parse::<Origin>(), Err(NotAnOrigin), "{given:?}");
        }
    }
}
