//! Where the server is.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// Where the server is, found out anew for each connection: a name may lead elsewhere after a while, and so may a network.
#[derive(Clone)]
pub struct Place {
    host: String,
    find: Arc<Find>,
}

type Find = dyn Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl Place {
    /// The place that `http://host:port` names, with or without a slash at the end; the port is 80 where none stands. Fails with a
    /// sentence for a person where it names none.
    pub fn at(url: &str) -> Result<Self, String> {
        let host = url
            .strip_prefix("http://")
            .ok_or("only http://host:port is understood")?;
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            return Err("only http://host:port is understood, without a path".into());
        }
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let authority = match has_port {
            true => host.to_owned(),
            false => format!("{host}:80"),
        };
        Ok(Self::found_by(host, move || {
            let mut found: Vec<SocketAddr> = authority.to_socket_addrs()?.collect();
            found.sort_by_key(SocketAddr::is_ipv6);
            Ok(found)
        }))
    }

    /// A place that is found in some other way; `host` is what the `Host` field says. Nothing stops a client while it looks.
    pub fn found_by(
        host: &str,
        find: impl Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            host: host.to_owned(),
            find: Arc::new(find),
        }
    }

    /// What the `Host` field says.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The server's addresses, in the order in which they are tried; at least one.
    pub fn find(&self) -> io::Result<Vec<SocketAddr>> {
        let found = (self.find)()?;
        match found.is_empty() {
            true => Err(io::Error::other("the host has no address")),
            false => Ok(found),
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::found_by(&address.to_string(), move || Ok(vec![address]))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.host).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_authority_and_no_path() {
        let found = |url: &str| {
            let place = Place::at(url).unwrap();
            (place.host().to_owned(), place.find().unwrap()[0])
        };
        let ours = "127.0.0.1:8000";
        assert_eq!(
            found("http://127.0.0.1:8000/"),
            (ours.into(), ours.parse().unwrap())
        );
        assert_eq!(
            found("http://[::1]:9"),
            ("[::1]:9".into(), "[::1]:9".parse().unwrap())
        );
        assert_eq!(found("http://127.0.0.1").1.port(), 80);
        for bad in [
            "127.0.0.1:8000",
            "https://127.0.0.1",
            "http://",
            "http://127.0.0.1:1/x",
        ] {
            assert!(Place::at(bad).is_err(), "{bad}");
        }
    }
}
