//! Where a connection comes from and how it begins: sockets on their way to the server.
//!
//! A source address has some 28,000 ports, so connections to an IPv4 loopback address come from a new address of
//! 127.0.0.0/8 for each [`PORTS_PER_SOURCE`]. With the range never more than a third full, the kernel finds a port at `bind`
//! quickly, and `IP_BIND_ADDRESS_NO_PORT` (which no safe wrapper here offers) is not needed. Each run takes
//! another /16, so that ports of the last run in TIME_WAIT are not in the way.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Connections for each source address.
pub(crate) const PORTS_PER_SOURCE: u64 = 10_000;

/// The number of the first connection of those that are no polls: beyond all polls, and within the slices that a /16 of source addresses has.
pub(crate) const ASKERS_FIRST: u64 = 640_000_000;

/// Where a swarm connects to, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The server.
    pub(crate) addr: SocketAddr,
    /// The second byte of the source addresses; differs between runs.
    pub(crate) net: u8,
    /// The number of the first connection among those of all processes: it decides the source address.
    pub(crate) first: u64,
    /// Connections to open.
    pub(crate) count: usize,
    /// Connections for each batch.
    pub(crate) batch: usize,
    /// The cheap question, a whole request.
    pub(crate) probe: Vec<u8>,
    /// Whether each connection asks it first, and not only the last of each batch.
    pub(crate) greets: bool,
    /// Whether a connection that closes does so with RST.
    pub(crate) resets: bool,
}

/// A socket on its way to the server.
pub(crate) fn open(layout: &Layout, at: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(layout.addr),
        Type::STREAM.nonblocking().cloexec(),
        None,
    )?;
    if let Some(source) = source(layout, at) {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    if layout.resets {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    match socket.connect(&layout.addr.into()) {
        // EINPROGRESS has no kind of its own in the standard library; the writable event tells the outcome.
        Err(e) if e.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Err(e),
        _ => Ok(socket.into()),
    }
}

/// The address that a connection comes from; `None` leaves it to the kernel.
fn source(layout: &Layout, at: usize) -> Option<IpAddr> {
    source_of(layout.addr, layout.net, layout.first + at as u64)
}

fn source_of(addr: SocketAddr, net: u8, number: u64) -> Option<IpAddr> {
    let loopback = addr.is_ipv4() && addr.ip().is_loopback();
    let [.., high, low] = (number / PORTS_PER_SOURCE + 1).to_be_bytes();
    loopback.then(|| Ipv4Addr::new(127, net, high, low).into())
}

/// The address of somebody who goes on all the while, and for whom nobody waits who waits until polls are parked.
pub(crate) fn askers_source(addr: SocketAddr, net: u8) -> Option<IpAddr> {
    source_of(addr, net, ASKERS_FIRST)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A few connections in small batches.
    pub(crate) fn layout(addr: SocketAddr, count: usize, batch: usize) -> Layout {
        Layout {
            addr,
            net: 7,
            first: PORTS_PER_SOURCE - 1,
            count,
            batch,
            probe: b"probe\r\n\r\n".to_vec(),
            greets: false,
            resets: false,
        }
    }

    #[test]
    fn sources_change_before_the_ports_run_out() {
        let mut layout = layout("127.0.0.1:1".parse().unwrap(), 0, 1);
        for (at, expected) in [(0, "127.7.0.1"), (1, "127.7.0.2"), (2_550_001, "127.7.1.1")] {
            let ip = source(&layout, at).map(|ip| ip.to_string());
            assert_eq!(ip.as_deref(), Some(expected));
        }
        layout.first = ASKERS_FIRST;
        let askers = source(&layout, 0).map(|ip| ip.to_string());
        assert_eq!(askers.as_deref(), Some("127.7.250.1"));
        layout.addr = "[::1]:1".parse().unwrap();
        assert_eq!(source(&layout, 0), None);
    }
}
