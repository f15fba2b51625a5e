//! What proxies say of a client: where it is, and whether it speaks HTTPS.
//!
//! Anybody can send these fields. Each proxy adds to `X-Forwarded-For`, at its end, the address that it was asked from; so the list is
//! read from its end, and each entry is believed if who has added it is trusted: first the peer itself, then the address that was
//! just read. What stands before the first address that is not trusted, its client has made up.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::config::Network;
use crate::http::Request;

/// Fields of one name without an allocation: most proxies make one of them.
const FIELDS: usize = 4;

/// How a client speaks to the proxy that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Where a request comes from, as far as it is known from those who are trusted.
pub(super) fn client_of(request: &Request<'_>, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let fields: SmallVec<[&[u8]; FIELDS]> = request.fields("x-forwarded-for").collect();
    let mut entries = fields
        .iter()
        .rev()
        .flat_map(|field| field.rsplit(|&byte| byte == b','));
    let mut client = peer;
    while is_trusted(client, trusted)
        && let Some(before) = entries.next().and_then(address)
    {
        client = before;
    }
    client
}

/// How the client speaks, if a trusted peer says it in one word. Several are of several proxies, and do not say of which.
pub(super) fn scheme_of(
    request: &Request<'_>,
    peer: IpAddr,
    trusted: &[Network],
) -> Option<Scheme> {
    if !is_trusted(peer, trusted) {
        return None;
    }
    let mut fields = request.fields("x-forwarded-proto");
    let (Some(said), None) = (fields.next(), fields.next()) else {
        return None;
    };
    match said {
        said if said.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
        said if said.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
        _ => None,
    }
}

fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// An address, with or without a port: some proxies add that. What is none (`unknown`, a name, nothing) ends what can be known.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim_ascii();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let alone = match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    };
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    alone
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(entry: &str) -> Option<String> {
        address(entry.as_bytes()).map(|address| address.to_string())
    }

    #[test]
    fn an_entry_is_an_address_or_nothing() {
        for (entry, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            (" 203.0.113.9\t", "203.0.113.9"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
        ] {
            assert_eq!(known(entry).as_deref(), Some(expected), "{entry}");
        }
        for entry in [
            "",
            " ",
            "unknown",
            "_hidden",
            "localhost",
            "203.0.113",
            "203.0.113.9.1",
            "203.0.113.09",
            "203.0.113.9/32",
            "203.0.113.9:",
            "203.0.113.9:x",
            "[203.0.113.9]",
            "[2001:db8::1",
            "\"203.0.113.9\"",
            "for=203.0.113.9",
            "203.0.113.9 203.0.113.9",
        ] {
            assert_eq!(known(entry), None, "{entry:?}");
        }
        assert_eq!(address(b"\xff"), None);
    }
}
