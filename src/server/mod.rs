//! Where logic and I/O meet: reactors' sockets, engines, and the store, in the order of a turn (`event_loop`).
//!
//! A server has one store and one event loop or several, each with sockets, an engine and caches of its own. The first is the
//! host's: [`Server::turn`] is its turn. The others have threads, which start with the first turn and end with the first
//! loop. What the store says and what loops tell one another goes through one post office (`letters`); beside
//! that they share a wish (`handle`) and a count of connections.

mod clock;
mod event_loop;
mod handle;
mod letters;
mod panicked;
mod threads;
mod waker;
mod wakes;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

pub use handle::Handle;
pub use panicked::Panicked;
pub use waker::{NotWoken, Waker};

use crate::config::{BadConfig, Config};
use crate::engine::{BadPrefix, Engine, Prefixes};
#[cfg(feature = "metrics")]
use crate::metrics::Exporter;
use crate::metrics::{Metrics, Sources};
use crate::routes::{Places, Routes};
use crate::runtime::{BindError, PostOffice, Reactor};
use crate::store::{OpenError, Store};
use clock::Clock;
use event_loop::EventLoop;
use letters::Mailbox;
use panicked::{Contained, guard};
use threads::Threads;
use wakes::Wakes;

/// A server: its sockets, its database, and the loops between them.
///
/// Either [`Server::run`] takes a thread, or the host owns the thread and calls [`Server::turn`]
/// whenever [`Server::as_raw_fd`] is readable or [`Server::poll_timeout`] is over. With
/// [`Config::loops`] above 1 that thread has the first loop, and the server starts threads of its own for the others.
///
/// Dropping it ends the other loops, and closes the database. After a drain that takes what is left of the drain's time at
/// most, else no more than a turn, and a commit or a password's hash.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// let mut server = loiter::Server::bind(config)?;
/// println!("listening on http://{}", server.addresses()[0]);
/// let handle = server.handle();
/// let serving = std::thread::spawn(move || server.run());
///
/// // Whenever the host has had enough:
/// handle.drain();
/// serving.join().expect("it does not panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    /// Dropped first, so that the store ends with the first loop, on the host's thread.
    others: Threads,
    first: EventLoop,
    control: Handle,
    waker: Waker,
    metrics: Metrics,
    #[cfg(feature = "metrics")]
    exporter: Option<Exporter>,
}

/// Why a server could not be started. Its `Display` is one line.
///
/// ```
/// use loiter::{Config, Server, StartError};
///
/// let config = Config {
///     database: "/nowhere/chat.db".into(),
///     listen: vec!["127.0.0.1:0".parse()?],
///     ..Config::default()
/// };
/// let error = Server::bind(config).unwrap_err();
/// assert!(matches!(error, StartError::Open(_)));
/// assert!(error.to_string().contains("/nowhere"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum StartError {
    /// A setting that no server can serve with.
    Config(BadConfig),
    /// A prefix that cannot be one of a host's own routes.
    Routes(BadPrefix),
    /// An address, or a socket that was handed over, cannot be listened on.
    Bind(BindError),
    /// The database cannot be opened.
    Open(OpenError),
    /// The address for metrics cannot be listened on.
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl Server {
    /// Listens and opens the database. Nobody is answered before the first turn.
    ///
    /// # Errors
    /// [`StartError`] names the setting, the address or the file, and the reason.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        Self::with_listeners(config, Vec::new())
    }

    /// As [`Server::bind`], on sockets that listen already, instead of the addresses of [`Config::listen`], which must then be
    /// empty. Where there are no sockets either it is [`Server::bind`].
    ///
    /// Whoever keeps a copy of a socket (`try_clone`) can end this server and start the next on it: who comes in between
    /// waits, and nobody is refused. All loops accept from the one socket. It is made not to block, and gets the options
    /// of one that the server opens itself and the deepest backlog that the system allows, in all its copies; whether a
    /// socket of IPv6 takes IPv4 too is left as it is.
    ///
    /// ```
    /// use std::io::{Read as _, Write as _};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let socket = TcpListener::bind("127.0.0.1:0")?;
    /// // Nobody serves yet, and nobody is refused.
    /// let mut client = TcpStream::connect(socket.local_addr()?)?;
    /// client.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    ///
    /// let config = loiter::Config {
    ///     database: folder.path().join("chat.db"),
    ///     ..loiter::Config::default()
    /// };
    /// let mut server = loiter::Server::with_listeners(config, vec![socket.try_clone()?])?;
    /// assert_eq!(server.addresses(), [socket.local_addr()?]);
    /// let handle = server.handle();
    /// let serving = std::thread::spawn(move || server.run());
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer)?;
    /// assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    /// handle.drain();
    /// serving.join().expect("it does not panic")?;
    ///
    /// // The next server would find this one waiting.
    /// TcpStream::connect(socket.local_addr()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Server::bind`]; also [`BindError::Handed`] for what is not a listening socket of TCP.
    pub fn with_listeners(config: Config, listeners: Vec<TcpListener>) -> Result<Self, StartError> {
        Self::start(config, listeners, |_, _| {})
    }

    /// As [`Server::with_listeners`] (or as [`Server::bind`] where there are no sockets), and the host answers by itself whatever
    /// the server has not at these prefixes or below them. `routes` makes a handler for each event loop, by its number from 0.
    ///
    /// Prefixes are compared with paths as those are sent; `/` stands for all. What the server itself has comes first, and
    /// a prefix in whose first part there is something of the server's is refused.
    ///
    /// A page that waits until something happens, with nothing of the chat in it:
    ///
    /// ```
    /// use std::io::{Read as _, Write as _};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    /// use std::time::Duration;
    ///
    /// use loiter::{Answer, Request, Response, Server};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let config = loiter::Config {
    ///     listen: vec!["127.0.0.1:0".parse()?],
    ///     database: folder.path().join("chat.db"),
    ///     ..loiter::Config::default()
    /// };
    /// let counter = Arc::new(AtomicU64::new(0));
    /// let mut server = Server::with_routes(config, Vec::new(), &["/counter"], |_loop, waker| {
    ///     let (counter, waker) = (Arc::clone(&counter), waker.clone());
    ///     move |request: &Request<'_>| {
    ///         if request.method() == "POST" {
    ///             let now = counter.fetch_add(1, SeqCst) + 1;
    ///             // Changed first, woken then: so nobody is passed over.
    ///             return match waker.wake(0, Response::text(now.to_string())) {
    ///                 Ok(()) => Response::text(now.to_string()).into(),
    ///                 Err(error) => Response::error(503, "overloaded", &error.to_string()).into(),
    ///             };
    ///         }
    ///         let now = counter.load(SeqCst).to_string();
    ///         match request.parameter("seen") == Some(now.clone()) {
    ///             true => Answer::park(0, Duration::from_secs(60), Response::text(now)),
    ///             false => Response::text(now).into(),
    ///         }
    ///     }
    /// })?;
    /// let address = server.addresses()[0];
    /// let handle = server.handle();
    /// let serving = std::thread::spawn(move || server.run());
    ///
    /// let ask = |request: &str| {
    ///     let mut stream = std::net::TcpStream::connect(address)?;
    ///     stream.write_all(format!("{request} HTTP/1.0\r\n\r\n").as_bytes())?;
    ///     Ok::<_, std::io::Error>(stream)
    /// };
    /// let mut waiting = ask("GET /counter?seen=0")?;
    /// ask("POST /counter")?.read_to_end(&mut Vec::new())?;
    /// let mut answer = String::new();
    /// waiting.read_to_string(&mut answer)?;
    /// assert!(answer.ends_with("\r\n\r\n1"));
    ///
    /// handle.drain();
    /// serving.join().expect("it does not panic")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Server::with_listeners`]; also [`StartError::Routes`] for a prefix that is none or that is the server's.
    pub fn with_routes<R: Routes>(
        config: Config,
        listeners: Vec<TcpListener>,
        prefixes: &[&str],
        mut routes: impl FnMut(usize, &Waker) -> R,
    ) -> Result<Self, StartError> {
        let prefixes = Prefixes::new(prefixes).map_err(StartError::Routes)?;
        let parked_max = parked_max(&config);
        Self::start(config, listeners, |engines, waker| {
            for (number, engine) in engines.iter_mut().enumerate() {
                let handler = Box::new(Contained::new(routes(number, waker)));
                engine.set_routes(prefixes.clone(), handler, parked_max);
            }
        })
    }

    /// Starts a server on whose engines `furnish` has worked before the first turn.
    fn start(
        config: Config,
        listeners: Vec<TcpListener>,
        furnish: impl FnOnce(&mut [Engine], &Waker),
    ) -> Result<Self, StartError> {
        config.check().map_err(StartError::Config)?;
        if !listeners.is_empty() && !config.listen.is_empty() {
            return Err(StartError::Config(BadConfig {
                field: "listen",
                rule: "must be empty where listening sockets are handed over",
            }));
        }
        let clock = Clock::new();
        let mut engines: Vec<Engine> = (0..)
            .take(config.loops)
            .map(|number| Engine::new(&config, number))
            .collect();
        let refusal = engines[0].refusal(clock.now());
        let reactors = Reactor::bind(&config, listeners, &refusal).map_err(StartError::Bind)?;
        let control = Handle::new(reactors.iter().map(Reactor::waker));
        let office = Arc::new(PostOffice::new(reactors.iter().map(Reactor::waker)));
        let places = Places::new(config.max_wakes, config.max_wake_bytes);
        let wakes = Wakes::new(places, reactors.iter().map(Reactor::waker));
        let waker = Waker::new(&wakes, &control);
        furnish(&mut engines, &waker);
        // Before the database, of which nothing is to be made by a start that fails.
        #[cfg(feature = "metrics")]
        let exporting = exporting(&config)?;
        let store = letters::open_store(&config, &office, &control).map_err(StartError::Open)?;
        let store = Arc::new(store);
        let metrics = metrics_of(&config, &engines, &store);
        let mut loops = (reactors.into_iter().zip(engines.drain(..)).enumerate()).map(
            |(number, (reactor, engine))| {
                let mailbox = Mailbox::new(&office, wakes.of_loop(number), number);
                let store = Arc::<Store>::clone(&store);
                EventLoop::new(&config, reactor, engine, mailbox, store, &control, clock)
            },
        );
        Ok(Self {
            first: loops.next().expect("one at least"),
            others: Threads::new(loops.collect(), control.clone()),
            control,
            waker,
            #[cfg(feature = "metrics")]
            exporter: exporting.map(|start| start(metrics.clone())).transpose()?,
            metrics,
        })
    }

    /// Where it listens, in the order of the configuration or of the sockets, with the ports that port 0 picked.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.first.addresses()
    }

    /// What the server counts, for other threads.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Where `GET /metrics` is answered, with the port that port 0 picked; `None` unless [`Config::metrics_addr`] is set.
    #[cfg(feature = "metrics")]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.exporter.as_ref().map(Exporter::address)
    }

    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        self.control.clone()
    }

    /// What wakes those who are parked at routes of the host's own, for other threads. Without any it wakes nobody.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Serves until a [`Handle`] ends it: after [`Handle::drain`] when all connections have ended or the drain's
    /// time is over, after [`Handle::stop`] at once.
    ///
    /// # Errors
    /// As [`Server::turn`].
    pub fn run(&mut self) -> io::Result<()> {
        while !self.is_done() {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Whether the server has ended: its sockets are closed, its descriptor is never readable, its loops' threads are
    /// gone, and further turns do nothing. The database is closed when the server is dropped.
    pub fn is_done(&self) -> bool {
        self.first.is_done()
    }

    /// Has the thread of the store panic that moves the write-ahead log: for tests of what becomes of the server then. Not in a
    /// release build.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    pub fn break_checkpoints(&self) {
        self.first.break_checkpoints();
    }

    /// How many connections there are right now, at all loops.
    pub fn connections(&self) -> usize {
        self.first.connections_of_all()
    }

    /// How long the host may wait for [`Server::as_raw_fd`] before it calls [`Server::turn`] all the same;
    /// `None` is for ever.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.others.are_to_be_started() {
            return Some(Duration::ZERO);
        }
        self.first.poll_timeout()
    }

    /// One turn of the first loop. Waits for something to do for at most `timeout`; `None` is as long as it takes.
    /// The first turn starts the threads of the other loops, the last waits for them to end.
    ///
    /// # Errors
    /// Only if the system's polling itself fails, at this loop or another, if no thread can be had, or if a part of the
    /// server has panicked: then [`Panicked`] is what the error is made of. In each case the server has ended, with all
    /// of its loops: what was acknowledged is on disk, and all connections are closed. A panic is not passed on.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if self.is_done() {
            return Ok(());
        }
        let started = self.others.start();
        let turned = started.and_then(|()| guard(0, || self.first.turn(timeout)));
        if turned.is_ok() && !self.is_done() {
            return Ok(());
        }
        self.end(turned)
    }

    /// Ends what runs still, after the first loop has ended or failed.
    fn end(&mut self, turned: io::Result<()>) -> io::Result<()> {
        // Whoever wakes somebody from now on is told that nobody is there.
        self.control.stop();
        if turned.is_err() {
            self.first.give_up();
        }
        let others = self.others.join();
        // Each of them has woken this one as it ended.
        let rested = guard(0, || self.first.rest());
        let fallen = self.control.fallen().cloned();
        let fallen = fallen.map_or(Ok(()), |panicked| Err(panicked.into()));
        turned.and(others).and(fallen).and(rested)
    }
}

/// Whoever keeps a [`Handle`] or a [`Waker`] hears of it.
impl Drop for Server {
    fn drop(&mut self) {
        self.control.stop();
    }
}

/// The descriptor that is readable when there is something to do, for a host's own poll.
impl AsRawFd for Server {
    fn as_raw_fd(&self) -> RawFd {
        self.first.as_raw_fd()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses())
            .field("is_done", &self.is_done())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Routes(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
            Self::Metrics { address, source } => {
                write!(f, "cannot listen for metrics on {address}: {source}")
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Routes(error) => Some(error),
            Self::Bind(error) => Some(error),
            Self::Open(error) => Some(error),
            Self::Metrics { source, .. } => Some(source),
        }
    }
}

/// How many requests may be parked at each loop.
fn parked_max(config: &Config) -> usize {
    (config.max_parked).map_or(usize::MAX, |all| all.div_ceil(config.loops.max(1)))
}

/// What starts to answer `GET /metrics`, on a socket that listens already.
#[cfg(feature = "metrics")]
fn exporting(
    config: &Config,
) -> Result<Option<impl FnOnce(Metrics) -> Result<Exporter, StartError>>, StartError> {
    let Some(address) = config.metrics_addr else {
        return Ok(None);
    };
    let of_metrics = move |source| StartError::Metrics { address, source };
    let listener = TcpListener::bind(address).map_err(of_metrics)?;
    Ok(Some(move |metrics| {
        Exporter::start(listener, metrics).map_err(of_metrics)
    }))
}

fn metrics_of(config: &Config, engines: &[Engine], store: &Store) -> Metrics {
    Metrics::new(Sources {
        loops: engines.iter().map(|of| Arc::clone(of.counters())).collect(),
        store: Arc::clone(store.counters()),
        queues: Box::new(store.queues()),
        database: config.database.clone(),
    })
}
