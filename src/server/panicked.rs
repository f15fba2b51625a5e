//! A panic of one of the server's threads: a defect of ours, which ends the whole server.
//!
//! A loop that has panicked has lost its connections, and others may wait for its answers; a lane of the store whose
//! thread is gone would never answer. To go on without them is to be half alive: nobody would restart us, and nobody would be
//! served. So whatever panics stops all, and the host is told what it was and why.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{error, fmt, io};

use crate::routes::{Answer, Gone, Request, Response, Routes};

/// What ended a server, as the source of the error of [`Server::run`](super::Server::run) and
/// [`Server::turn`](super::Server::turn): a part of it panicked.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// use loiter::{Panicked, Response, Server};
///
/// let bad = |_: &loiter::Request<'_>| panic!("a defect of the host's");
/// let mut server = Server::with_routes(config, Vec::new(), &["/bad"], |_, _| bad)?;
/// let address = server.addresses()[0];
/// std::thread::spawn(move || {
///     use std::io::Write as _;
///     let mut stream = std::net::TcpStream::connect(address)?;
///     stream.write_all(b"GET /bad HTTP/1.0\r\n\r\n")
/// });
/// let error = server.run().unwrap_err();
/// let panicked = error.get_ref().and_then(|source| source.downcast_ref::<Panicked>());
/// assert_eq!(panicked.expect("a panic").to_string(), "event loop 0 panicked: a defect of the host's");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// Which part.
    whose: String,
    /// What it said.
    reason: String,
}

impl Panicked {
    pub(super) fn new(whose: String, payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self {
            whose,
            reason: text.unwrap_or_else(|| "without a word".to_owned()),
        }
    }

    pub(super) fn of_loop(number: usize, payload: &(dyn Any + Send)) -> Self {
        Self::new(format!("event loop {number}"), payload)
    }
}

impl From<Panicked> for io::Error {
    fn from(panicked: Panicked) -> Self {
        Self::other(panicked)
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked: {}", self.whose, self.reason)
    }
}

impl error::Error for Panicked {}

/// A host's handler, whose drop may panic as anything else of it: then the server has ended, or never begun, and its owner is somewhere in the host that has
/// nothing to do with it. So it is told to the log, and that is all.
pub(super) struct Contained<R>(Option<R>);

impl<R: Routes> Contained<R> {
    pub(super) fn new(routes: R) -> Self {
        Self(Some(routes))
    }

    fn routes(&mut self) -> &mut R {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl<R: Routes> Routes for Contained<R> {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        self.routes().answer(request)
    }

    fn at_drain(&mut self, key: u64) -> Response {
        self.routes().at_drain(key)
    }

    fn gone(&mut self, key: u64, how: Gone) {
        self.routes().gone(key, how);
    }
}

impl<R> Drop for Contained<R> {
    fn drop(&mut self) {
        let routes = self.0.take();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(routes))) {
            let panicked = Panicked::new("the drop of a host's handler".to_owned(), &*payload);
            log::error!("{panicked}");
        }
    }
}

/// Does a part of a loop's work. What a panic leaves behind is for nobody but [`super::Server`], which lets go of it.
pub(super) fn guard<T>(number: usize, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(Panicked::of_loop(number, &*payload).into()))
}
