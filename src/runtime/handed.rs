//! Listening sockets that somebody else has opened: a supervisor, which keeps them while we restart, or a host.
//!
//! Whoever handed one over may hold it still, and will while we are gone: who comes then waits in its backlog and is
//! accepted by the next of us. So nobody is ever refused, and what is done to the socket here must not spoil it:
//!
//! - **All loops share the one socket**, by descriptors of their own. Sockets beside it (SO_REUSEPORT) would each have a backlog
//!   that dies with us. Each newcomer wakes every loop that has nothing else to do, and the first to come has it.
//! - **Its options are set here**, whatever they were, and are handed down to who comes from now on. Who was in the
//!   backlog before has not got them, which is asked of each newcomer: one call more than at a socket of our own.
//! - **It is not closed when we close it.** epoll forgets a socket with its last descriptor only, so the loop has to
//!   take it out itself (`Acceptor::stop`).

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use socket2::{SockRef, Type};

use super::keepalive::Keepalive;
use super::listener::{BACKLOG, BindError, Listener};

/// The listeners of each of so many loops, in the order of the sockets.
pub(super) fn share(
    sockets: Vec<TcpListener>,
    loops: usize,
    keepalive: Keepalive,
) -> Result<Vec<Vec<Listener>>, BindError> {
    let mut each: Vec<Vec<Listener>> = (0..loops).map(|_| Vec::new()).collect();
    for (place, socket) in sockets.into_iter().enumerate() {
        let failed = |reason| BindError::Handed { place, reason };
        let address = prepare(&socket, keepalive).map_err(failed)?;
        for listeners in &mut each {
            let socket = socket.try_clone().map_err(failed)?;
            listeners.push(Listener::of(socket, address, keepalive));
        }
    }
    Ok(each)
}

/// Has a socket do what one of our own does; where it listens.
fn prepare(socket: &TcpListener, keepalive: Keepalive) -> io::Result<SocketAddr> {
    let refused = |reason| Err(io::Error::new(ErrorKind::InvalidInput, reason));
    let options = SockRef::from(socket);
    let address = options.local_addr()?.as_socket();
    let Some(address) = address.filter(|_| options.r#type().is_ok_and(|kind| kind == Type::STREAM))
    else {
        return refused("it is not of TCP");
    };
    if !options.is_listener()? {
        return refused("it does not listen");
    }
    keepalive.set_all(&options)?;
    options.set_nonblocking(true)?;
    // As deep as the system allows: it may be what a whole restart's newcomers wait in.
    options.listen(BACKLOG)?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream, UdpSocket};
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use super::*;

    fn usual() -> Keepalive {
        Keepalive::new(Duration::from_secs(25), Duration::from_secs(30))
    }

    fn open() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
    }

    #[test]
    fn who_was_in_the_backlog_before_has_the_options_too() {
        let socket = open();
        let address = socket.local_addr().unwrap();
        let _before = TcpStream::connect(address).unwrap();
        let mut each = share(vec![socket], 2, usual()).unwrap();
        let _after = TcpStream::connect(address).unwrap();
        // Each loop has the same socket.
        for listeners in &mut each {
            assert_eq!(listeners[0].address(), address);
            let (newcomer, _) = listeners[0].accept().unwrap();
            let newcomer = SockRef::from(&newcomer);
            assert!(newcomer.tcp_nodelay().unwrap());
            assert!(newcomer.keepalive().unwrap());
            assert_eq!(newcomer.tcp_keepalive_time().unwrap().as_secs(), 25);
            assert_eq!(newcomer.tcp_keepalive_interval().unwrap().as_secs(), 8);
            assert_eq!(newcomer.tcp_keepalive_retries().unwrap(), 4);
            let user_timeout = newcomer.tcp_user_timeout().unwrap();
            assert_eq!(user_timeout, Some(Duration::from_secs(55)));
        }
        for listeners in &mut each {
            let nobody = listeners[0].accept().unwrap_err();
            assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn what_does_not_listen_is_refused_by_its_place() {
        let connected = TcpStream::connect(open().local_addr().unwrap()).unwrap();
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for (other, why) in [
            (OwnedFd::from(connected), "it does not listen"),
            (OwnedFd::from(datagrams), "it is not of TCP"),
        ] {
            let refused = share(vec![open(), other.into()], 1, usual());
            let refused = refused.map(drop).unwrap_err().to_string();
            assert!(refused.contains(why) && refused.contains("2"), "{refused}");
        }
    }
}
