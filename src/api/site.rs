//! Whether a browser sends a request for another site: its page could so have its visitor do what they never meant to.
//!
//! A browser says so by `Sec-Fetch-Site` (Fetch Metadata) and by `Origin` (RFC 6454 §7), which no page can forge. Who sends neither is no
//! browser, or one whose user has typed the address.

use std::net::IpAddr;

use super::forwarded::{Scheme, client_of, scheme_of};
use super::guests::{Guest, Guests};
use crate::config::{Config, Network};
use crate::http::Request;

/// Whose word is taken for where a request comes from.
#[derive(Clone, Debug)]
pub struct Sites {
    guests: Guests,
    trusted: Box<[Network]>,
}

impl Sites {
    /// As it is configured.
    pub fn new(config: &Config) -> Self {
        Self {
            guests: Guests::new(&config.allowed_origins),
            trusted: config.trusted_proxies.clone().into(),
        }
    }

    /// The allowed origin that a request comes from.
    pub fn guest(&self, request: &Request<'_>) -> Option<Guest> {
        self.guests.guest(request)
    }

    /// The client's address: the peer's, or what a trusted peer says of it.
    pub fn client(&self, request: &Request<'_>, peer: IpAddr) -> IpAddr {
        client_of(request, peer, &self.trusted)
    }

    /// Whether a browser has marked a request as coming from another site, which is not allowed to do more than others.
    pub fn is_elsewhere(&self, request: &Request<'_>, peer: &dyn Fn() -> IpAddr) -> bool {
        let scheme = || match self.trusted.is_empty() {
            true => None,
            false => scheme_of(request, peer(), &self.trusted),
        };
        self.guest(request).is_none() && is_elsewhere(request, scheme)
    }
}

fn is_elsewhere(request: &Request<'_>, scheme: impl Fn() -> Option<Scheme>) -> bool {
    let said = |what: &[u8]| {
        let mut sites = request.fields("sec-fetch-site");
        sites.any(|site| site.eq_ignore_ascii_case(what))
    };
    let mut origins = request.fields("origin");
    // The browser has compared the whole origins, and a proxy may have changed the Host that we would compare with.
    let is_said_to_be_here = said(b"same-origin");
    said(b"cross-site")
        || (!is_said_to_be_here && origins.any(|origin| !is_here(origin, request.host(), scheme())))
}

/// Whether an origin is this server, as the client knows it. Whether they speak HTTPS a proxy knows alone: where no trusted one
/// has said so, either will do.
fn is_here(origin: &[u8], host: &str, scheme: Option<Scheme>) -> bool {
    // `null` is an origin that a browser does not tell, or has made up for one page.
    let origin = str::from_utf8(origin).unwrap_or_default();
    let (spoken, authority, default_port) = match origin.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest, ":80"),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => {
            (Scheme::Https, rest, ":443")
        }
        _ => return false,
    };
    if scheme.is_some_and(|scheme| scheme != spoken) {
        return false;
    }
    let bare = authority.strip_suffix(default_port).unwrap_or(authority);
    let host = host.strip_suffix(default_port).unwrap_or(host);
    !bare.is_empty() && bare.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_here_where_host_and_port_are_the_same() {
        for (origin, host) in [
            ("http://localhost:8000", "localhost:8000"),
            ("https://chat.example", "chat.example"),
            ("https://Chat.Example", "chat.example:443"),
            ("http://chat.example:80", "CHAT.example"),
            ("http://[::1]:8000", "[::1]:8000"),
        ] {
            assert!(is_here(origin.as_bytes(), host, None), "{origin} at {host}");
        }
        for (origin, host) in [
            ("null", "null"),
            ("", ""),
            ("http://", ""),
            ("localhost:8000", "localhost:8000"),
            ("http://localhost:8001", "localhost:8000"),
            ("http://localhost", "localhost:8000"),
            ("http://chat.example:443", "chat.example"),
            ("https://chat.example", "chat.example:80"),
            ("https://chat.example.evil.example", "chat.example"),
            ("https://evil.example/chat.example", "chat.example"),
            ("https://chat.example@evil.example", "chat.example"),
            ("ftp://chat.example", "chat.example"),
            ("chrome-extension://chat.example", "chat.example"),
            ("https://chat.example, https://chat.example", "chat.example"),
        ] {
            assert!(
                !is_here(origin.as_bytes(), host, None),
                "{origin} at {host}"
            );
        }
        assert!(!is_here(b"http://\xff", "localhost", None));
    }

    #[test]
    fn where_the_scheme_is_known_it_must_be_the_same() {
        for (scheme, http, https) in [
            (None, true, true),
            (Some(Scheme::Http), true, false),
            (Some(Scheme::Https), false, true),
        ] {
            assert_eq!(
                is_here(b"http://chat.example", "chat.example", scheme),
                http
            );
            assert_eq!(
                is_here(b"https://chat.example", "chat.example", scheme),
                https
            );
        }
    }
}
