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
/// Entries that are read, at most; no more proxies than that stand behind one another. Who is in a trusted network could
/// else have a head full of such addresses read. The last one that is read counts as the client.
const ENTRIES_MAX: usize = 64;

/// How a client speaks to the proxy that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Where a request comes from, as far as it is known from those who are trusted.
pub(super) fn client_of(request: &Request<'_>, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let fields: SmallVec<[&[u8]; FIELDS]> = request.fields("x-forwarded-for").collect();
    client_among(&fields, peer, trusted)
}

/// The client, from the fields as they came.
fn client_among(fields: &[&[u8]], peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let entries = fields
        .iter()
        .rev()
        .flat_map(|field| field.rsplit(|&byte| byte == b','));
    let mut entries = entries.take(ENTRIES_MAX);
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

    #[test]
    fn so_many_are_read_from_the_end_and_no_more() {
        let trusted = ["127.0.0.0/8".parse().expect("a network")];
        let client = |proxies: usize| {
            let proxies = Vec::from_iter((1..=proxies).map(|n| format!(", 127.0.1.{n}")));
            let (before, behind) = proxies.split_at(proxies.len() / 2);
            let fields = [
                format!("203.0.113.9{}", before.concat()),
                behind.concat().split_off(2),
            ];
            let fields = fields.each_ref().map(|field| field.as_bytes());
            let peer = "127.0.0.1".parse().expect("an address");
            client_among(&fields, peer, &trusted).to_string()
        };
        assert_eq!(client(ENTRIES_MAX - 1), "203.0.113.9");
        for more in [0, 1, 100] {
            // The last that was read.
            assert_eq!(client(ENTRIES_MAX + more), format!("127.0.1.{}", more + 1));
        }
    }
}
