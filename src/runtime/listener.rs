//! Listening sockets: the options that every connection inherits, and what can go wrong at the start.
//!
//! Linux hands a listener's options down to each socket accepted from it, so that a newcomer costs no call but
//! its accept and its registration.
//!
//! Where several loops listen, each has a socket of its own on every address, and the kernel gives each newcomer to one of
//! them (SO_REUSEPORT). That option lets *any* process of the same user join in, so a second server by mistake would
//! take half of the first one's clients instead of being refused. So the first socket of an address binds and listens
//! without it, which is refused where anybody else listens, whether with the option or not; only then is the option set,
//! and the others join. (Linux lets a socket that listens already begin such a group.) For the others' moment the first is
//! alone, and who comes then waits in its backlog: nobody is accepted before all listen.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{error, fmt, io};

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, SockRef, Socket, Type};

use super::keepalive::Keepalive;

const PORT: u16 = 8000;

/// The kernel cuts this to what the system allows (`net.core.somaxconn`).
pub(super) const BACKLOG: i32 = i32::MAX;

/// Why a loop could not be set up.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// use loiter::{BindError, Server, StartError};
///
/// let taken = Server::bind(config)?;
/// let second = loiter::Config {
///     listen: taken.addresses().to_vec(),
///     database: folder.path().join("other.db"),
///     ..loiter::Config::default()
/// };
/// match Server::bind(second) {
///     Err(StartError::Bind(BindError::Listen { address, .. })) => {
///         assert_eq!(address, taken.addresses()[0]);
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// An address cannot be listened on.
    Listen {
        /// As configured.
        address: SocketAddr,
        /// As the system says it.
        reason: io::Error,
    },
    /// A socket that was handed over cannot be listened on.
    Handed {
        /// Its place among those that were handed over, counted from 0.
        place: usize,
        /// What is wrong with it.
        reason: io::Error,
    },
    /// The machine refuses what any loop needs: an epoll, a waker, a spare descriptor.
    Reactor(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, reason } => write!(f, "cannot listen on {address}: {reason}"),
            Self::Handed { place, reason } => write!(
                f,
                "cannot listen on socket {} of those that were handed over: {reason}",
                place + 1
            ),
            Self::Reactor(reason) => write!(f, "cannot set up the event loop: {reason}"),
        }
    }
}

impl error::Error for BindError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Listen { reason, .. } | Self::Handed { reason, .. } | Self::Reactor(reason) => {
                Some(reason)
            }
        }
    }
}

/// A listening socket, and where it listens.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// What newcomers may lack who came before the listener had it.
    lacking: Option<Keepalive>,
}

/// Listens on all of `addresses`, once for each of so many loops; on loopback, by whichever protocols the machine has,
/// where there are none. Each loop's listeners are in the order of the addresses.
pub(super) fn bind_all(
    addresses: &[SocketAddr],
    loops: usize,
    keepalive: Keepalive,
) -> Result<Vec<Vec<Listener>>, BindError> {
    let first = bind_first(addresses, keepalive)?;
    let others = (1..loops).map(|_| first.iter().map(|first| join(first, keepalive)).collect());
    let others = others.collect::<Result<Vec<Vec<_>>, _>>()?;
    Ok(Vec::from_iter([first].into_iter().chain(others)))
}

/// A listener of each address, which nobody else has.
fn bind_first(addresses: &[SocketAddr], keepalive: Keepalive) -> Result<Vec<Listener>, BindError> {
    if addresses.is_empty() {
        let mut listeners = vec![bind((Ipv4Addr::LOCALHOST, PORT).into(), keepalive)?];
        listeners.extend(bind_if_there(
            (Ipv6Addr::LOCALHOST, PORT).into(),
            keepalive,
        )?);
        return Ok(listeners);
    }
    addresses
        .iter()
        .map(|&address| bind(address, keepalive))
        .collect()
}

fn failed_at(address: SocketAddr) -> impl FnOnce(io::Error) -> BindError {
    move |reason| BindError::Listen { address, reason }
}

fn bind(address: SocketAddr, keepalive: Keepalive) -> Result<Listener, BindError> {
    Listener::bind(address, Shared::No, keepalive).map_err(failed_at(address))
}

/// Another listener on the address of the first.
fn join(first: &Listener, keepalive: Keepalive) -> Result<Listener, BindError> {
    (SockRef::from(&first.socket).set_reuse_port(true))
        .and_then(|()| Listener::bind(first.address, Shared::WithOurs, keepalive))
        .map_err(failed_at(first.address))
}

/// `None` where the machine has no such address or protocol.
fn bind_if_there(address: SocketAddr, keepalive: Keepalive) -> Result<Option<Listener>, BindError> {
    match Listener::bind(address, Shared::No, keepalive) {
        Ok(listener) => Ok(Some(listener)),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)
            ) =>
        {
            Ok(None)
        }
        Err(reason) => Err(BindError::Listen { address, reason }),
    }
}

/// Whether others listen on the same address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shared {
    No,
    WithOurs,
}

impl Listener {
    fn bind(address: SocketAddr, shared: Shared, keepalive: Keepalive) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A restart need not wait for the last run's connections to fade.
        socket.set_reuse_address(true)?;
        if shared == Shared::WithOurs {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() {
            // Each address says what it listens on and no more: [::] beside 0.0.0.0 is two listeners.
            socket.set_only_v6(true)?;
        }
        keepalive.set_all(&socket)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from_std(socket.into());
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            lacking: None,
        })
    }

    /// A socket that listens already and does not block, where others may be waiting without `options`.
    pub(super) fn of(
        socket: std::net::TcpListener,
        address: SocketAddr,
        options: Keepalive,
    ) -> Self {
        Self {
            socket: TcpListener::from_std(socket),
            address,
            lacking: Some(options),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether somebody else may have the socket too, who keeps its backlog.
    pub(super) fn was_handed_over(&self) -> bool {
        self.lacking.is_some()
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpListener {
        &mut self.socket
    }

    pub(super) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = self.socket.accept()?;
        if let Some(options) = self.lacking {
            let newcomer = SockRef::from(&accepted.0);
            // It fails for one who is gone already, which shows soon enough.
            if !options.is_set(&newcomer) {
                let _ = options.set_all(&newcomer);
            }
        }
        Ok(accepted)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn usual() -> Keepalive {
        Keepalive::new(Duration::from_secs(25), Duration::from_secs(30))
    }

    fn any_port(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 0)
    }

    #[test]
    fn accepted_sockets_inherit_the_options() {
        let mut listeners = bind_all(&[any_port("127.0.0.1")], 1, usual()).unwrap();
        let listener = listeners.remove(0).remove(0);
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        // On loopback the handshake is over when `connect` returns.
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap().as_secs(), 25);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap().as_secs(), 8);
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), 4);
        let user_timeout = accepted.tcp_user_timeout().unwrap().unwrap();
        assert_eq!(user_timeout.as_secs(), 55);
        assert!(accepted.nonblocking().unwrap());
    }

    #[test]
    fn an_error_names_the_address() {
        let taken = bind(any_port("127.0.0.1"), usual()).unwrap();
        let error = bind_all(&[taken.address()], 1, usual())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(&taken.address().to_string()), "{error}");
        assert!(error.contains("in use"), "{error}");
    }

    #[test]
    fn an_address_that_the_machine_lacks_is_tolerated_only_as_a_default() {
        // RFC 5737: documentation only, on no machine.
        let nowhere = any_port("192.0.2.1");
        assert!(bind_if_there(nowhere, usual()).unwrap().is_none());
        assert!(bind_all(&[nowhere], 1, usual()).is_err());
    }

    #[test]
    fn each_listener_picks_its_own_port() {
        let two = [any_port("127.0.0.1"), any_port("127.0.0.1")];
        let listeners = bind_all(&two, 2, usual()).unwrap();
        let addresses =
            [0, 1].map(|at| Vec::from_iter(listeners[at].iter().map(Listener::address)));
        assert_ne!(addresses[0][0], addresses[0][1]);
        assert_eq!(addresses[0], addresses[1]);
    }

    #[test]
    fn newcomers_come_to_every_loop() {
        let listeners = bind_all(&[any_port("127.0.0.1")], 3, usual()).unwrap();
        let address = listeners[0][0].address();
        let mut accepted = [0; 3];
        let mut clients = Vec::new();
        // Which is the kernel's choice; that one is never chosen of so many is not to be expected.
        while accepted.contains(&0) {
            assert!(clients.len() < 1000, "{accepted:?}");
            clients.push(std::net::TcpStream::connect(address).unwrap());
            for (listeners, accepted) in listeners.iter().zip(&mut accepted) {
                *accepted += usize::from(listeners[0].accept().is_ok());
            }
        }
    }

    #[test]
    fn nobody_else_can_listen_whatever_either_has_of_loops() {
        for (first, second) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
            let taken = bind_all(&[any_port("127.0.0.1")], first, usual()).unwrap();
            let address = taken[0][0].address();
            let error = bind_all(&[address], second, usual())
                .err()
                .expect("refused");
            assert!(error.to_string().contains("in use"), "{error}");
        }
    }

    #[test]
    fn an_ipv6_listener_leaves_the_port_to_ipv4() {
        // To bind both would need a port that nobody else on the machine has in use.
        if let Some(six) = bind_if_there(any_port("::"), usual()).unwrap() {
            assert!(SockRef::from(&six.socket).only_v6().unwrap());
        }
    }
}
