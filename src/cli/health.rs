//! Asks a server how it is, for whoever has no other client at hand: the health check of a container, a script.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long the answer may take, all in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a server is that was told nothing else.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

/// What the answer of a server that is well begins with.
const WELL: &[u8] = b"HTTP/1.1 200 ";

/// Asks the server that listens at the first of these addresses for `path`.
///
/// # Errors
/// Why it is not well, in one line.
pub(super) fn ask(listen: &[SocketAddr], path: &str) -> Result<(), String> {
    let to = reachable(listen.first().copied().unwrap_or(DEFAULT));
    let begun = answer(to, path, Instant::now() + PATIENCE)
        .map_err(|error| format!("no answer from http://{to}{path}: {error}"))?;
    if begun == WELL {
        return Ok(());
    }
    let begun = String::from_utf8_lossy(&begun);
    let why = match path == "/readyz" && begun.trim_end().ends_with(" 503") {
        true => ": its database cannot be written, or it is about to end",
        false => "",
    };
    Err(format!(
        "http://{to}{path} answers {:?}{why}",
        begun.trim_end()
    ))
}

/// Who listens at every address is asked at this machine's own.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

/// As many bytes of the answer as tell its status.
fn answer(to: SocketAddr, path: &str, until: Instant) -> io::Result<[u8; WELL.len()]> {
    let mut stream = TcpStream::connect_timeout(&to, left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n"
    )?;
    let mut begun = [0; WELL.len()];
    let mut filled = 0;
    while filled < begun.len() {
        stream.set_read_timeout(Some(left(until)?))?;
        filled += match stream.read(&mut begun[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
    }
    Ok(begun)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listens, asked) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            let listens = listens.parse().expect("an address");
            assert_eq!(reachable(listens).to_string(), asked);
        }
    }
}
