//! Where a database may be, and the socket to there.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts};

use super::client::{END_SEEN_EVERY, End};

/// Where PostgreSQL listens if nothing else is said.
const DEFAULT_PORT: u16 = 5432;

/// What a connection is spoken on.
pub(super) type Socket = Box<dyn Wire>;

pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One of the places where a database may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At this address of a host that has this name.
    Tcp(String, SocketAddr),
    /// Behind this socket of the same machine.
    Unix(PathBuf),
}

impl Place {
    /// All of them, in the order in which they are to be tried; and what became of the last name that has none, or that nobody could tell in time.
    pub(super) fn all(
        config: &Config,
        (patience, end): (Duration, &End),
    ) -> (Vec<Self>, Option<io::Error>) {
        let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
        let ports = config.get_ports();
        let (mut places, mut unknown) = (Vec::new(), None);
        for index in 0..hosts.len().max(addresses.len()) {
            let port = ports.get(index).or(ports.first()).copied();
            let port = port.unwrap_or(DEFAULT_PORT);
            let named = |name: Option<&String>, address: SocketAddr| {
                let name = name.cloned();
                Self::Tcp(name.unwrap_or_else(|| address.ip().to_string()), address)
            };
            match (hosts.get(index), addresses.get(index)) {
                (Some(Host::Unix(folder)), _) => {
                    places.push(Self::Unix(folder.join(format!(".s.PGSQL.{port}"))));
                }
                (Some(Host::Tcp(name)), None) => match resolve(name, port, (patience, end)) {
                    Ok(found) => {
                        let found = found.into_iter();
                        places.extend(found.map(|address| named(Some(name), address)));
                    }
                    Err(error) => unknown = Some(error),
                },
                (Some(Host::Tcp(name)), Some(&address)) => {
                    places.push(named(Some(name), (address, port).into()));
                }
                (None, Some(&address)) => places.push(named(None, (address, port).into())),
                (None, None) => {}
            }
        }
        if config.get_load_balance_hosts() == LoadBalanceHosts::Random && !places.is_empty() {
            let random = RandomState::new().build_hasher().finish();
            let first = random as usize % places.len();
            places.rotate_left(first);
        }
        (places, unknown)
    }

    /// What the certificate of the server there is to name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Tcp(name, _) => name,
            Self::Unix(_) => "",
        }
    }

    /// Connects. Whoever waits for it says for how long.
    pub(super) async fn connect(&self, config: &Config) -> io::Result<Socket> {
        match self {
            Self::Tcp(_, address) => {
                let socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                let options = SockRef::from(&socket);
                if let Some(&time) = config.get_tcp_user_timeout() {
                    options.set_tcp_user_timeout(Some(time))?;
                }
                if config.get_keepalives() {
                    options.set_tcp_keepalive(&keepalive(config))?;
                }
                Ok(Box::new(socket))
            }
            Self::Unix(path) => {
                // One at which too many wait already says so, and is not waited for.
                Ok(Box::new(UnixStream::connect(path).await?))
            }
        }
    }
}

/// The addresses that a name has.
fn resolve(name: &str, port: u16, ends: (Duration, &End)) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let asked = name.to_owned();
    let found = elsewhere(ends, move || {
        (&*asked, port).to_socket_addrs().map(Vec::from_iter)
    });
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    found.flatten().map_err(named)
}

/// Does what cannot be broken off, such as the system's question for a name, in a thread of its own, which is waited for no longer than that.
fn elsewhere<T: Send + 'static>(
    (patience, end): (Duration, &End),
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = channel();
    let thread = thread::Builder::new().name("loiter-name".to_owned());
    thread.spawn(move || drop(tell.send(work())))?;
    let begun = Instant::now();
    loop {
        // The end may be said meanwhile.
        let left = patience.saturating_sub(begun.elapsed()).min(end.left());
        match told.recv_timeout(left.min(END_SEEN_EVERY)) {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
            Err(_) => {
                let why = format!("no answer within {:.1} s", begun.elapsed().as_secs_f32());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
        }
    }
}

fn keepalive(config: &Config) -> TcpKeepalive {
    let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
    if let Some(time) = config.get_keepalives_interval() {
        keepalive = keepalive.with_interval(time);
    }
    if let Some(count) = config.get_keepalives_retries() {
        keepalive = keepalive.with_retries(count);
    }
    keepalive
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn places(address: &str) -> Vec<Place> {
        let config = address.parse().expect("an address");
        Place::all(&config, (PATIENCE, &End::default())).0
    }

    fn tcp(name: &str, address: &str) -> Place {
        Place::Tcp(name.to_owned(), address.parse().expect("an address"))
    }

    #[test]
    fn each_host_has_its_port_or_the_only_one() {
        assert_eq!(
            places("postgres://127.0.0.1:1,127.0.0.2:2/chat"),
            [
                tcp("127.0.0.1", "127.0.0.1:1"),
                tcp("127.0.0.2", "127.0.0.2:2")
            ]
        );
        assert_eq!(
            places("host=a,b hostaddr=127.0.0.1,::1 port=7"),
            [tcp("a", "127.0.0.1:7"), tcp("b", "[::1]:7")]
        );
        assert_eq!(
            places("hostaddr=127.0.0.1"),
            [tcp("127.0.0.1", "127.0.0.1:5432")]
        );
        let socket = Place::Unix("/run/postgresql/.s.PGSQL.5433".into());
        assert_eq!(places("postgres://%2Frun%2Fpostgresql:5433/chat"), [socket]);
    }

    #[test]
    fn one_name_that_is_none_leaves_the_others() {
        let config = "postgres://nowhere.invalid,127.0.0.1/chat".parse();
        let end = End::default();
        let (places, unknown) = Place::all(&config.expect("an address"), (PATIENCE, &end));
        assert_eq!(places, [tcp("127.0.0.1", "127.0.0.1:5432")]);
        let unknown = unknown.expect("a reason").to_string();
        assert!(unknown.starts_with("nowhere.invalid: "), "{unknown}");
    }

    #[test]
    fn who_answers_nothing_is_left_behind() {
        let (open, opened) = channel::<()>();
        let opened = std::sync::Arc::new(std::sync::Mutex::new(opened));
        let silent = |patience, end: &End| {
            let opened = std::sync::Arc::clone(&opened);
            let done = elsewhere((patience, end), move || {
                let opened = opened.lock().expect("nobody panics");
                _ = opened.recv();
            });
            done.expect_err("it waits").kind()
        };
        let end = End::default();
        let short = Duration::from_millis(20);
        assert_eq!(silent(short, &end), io::ErrorKind::TimedOut);
        // A store that ends waits for nobody, however patient it was.
        end.be_at(Instant::now());
        assert_eq!(silent(PATIENCE * 60, &end), io::ErrorKind::TimedOut);
        drop(open);
        let end = End::default();
        assert_eq!(elsewhere((PATIENCE, &end), || 7).expect("done"), 7);
    }
}
