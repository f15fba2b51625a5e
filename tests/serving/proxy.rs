//! What stands between a server and its PostgreSQL, and can be cut: the database is away then, whatever the server has asked it for.

#![allow(dead_code, reason = "each target that includes this uses its part")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Listens until it is dropped.
pub(crate) struct Proxy {
    /// As the server is to have it.
    pub(crate) database: PathBuf,
    links: Arc<Links>,
    address: SocketAddr,
}

#[derive(Default)]
struct Links {
    /// Whoever connects is turned away.
    is_cut: AtomicBool,
    /// The next commit is the last that goes through, and its answer does not come back.
    is_last_commit_lost: AtomicBool,
    is_over: AtomicBool,
    /// What comes is kept, and nobody is told anything.
    is_frozen: Mutex<bool>,
    thawed: Condvar,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Before the PostgreSQL of this address.
    pub(crate) fn before(database: &Path) -> Self {
        let given = database.to_str().expect("an address");
        let host = given
            .split('@')
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let host = host.expect("user@host:port/name").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let links = Arc::new(Links::default());
        let database = given.replacen(&host, &address.to_string(), 1).into();
        thread::spawn({
            let links = Arc::clone(&links);
            move || links.accept(&listener, &host)
        });
        Self {
            database,
            links,
            address,
        }
    }

    /// Breaks all connections, and refuses others until [`Self::mend`].
    pub(crate) fn cut(&self) {
        self.links.cut();
    }

    /// Refuses other connections than there are, until [`Self::mend`].
    pub(crate) fn refuse(&self) {
        self.links.is_cut.store(true, Ordering::SeqCst);
    }

    /// Takes what comes, and new connections, and answers nothing until [`Self::mend`].
    pub(crate) fn freeze(&self) {
        *self.links.is_frozen.lock().expect("no panic") = true;
    }

    pub(crate) fn mend(&self) {
        self.links.is_cut.store(false, Ordering::SeqCst);
        self.links.thaw();
    }

    /// Cuts as soon as the next commit is done, before it is told.
    pub(crate) fn lose_answer_to_commit(&self) {
        self.links.is_last_commit_lost.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.links.is_over.store(true, Ordering::SeqCst);
        self.links.cut();
        self.links.thaw();
        // Wakes the one that listens.
        let _ = TcpStream::connect(self.address);
    }
}

impl Links {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for socket in self.sockets.lock().expect("no panic").drain(..) {
            // It may have ended by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn thaw(&self) {
        *self.is_frozen.lock().expect("no panic") = false;
        self.thawed.notify_all();
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, host: &str) {
        for client in listener.incoming() {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let client = client.expect("a connection");
            let server = TcpStream::connect(host).expect("PostgreSQL");
            let copy = |socket: &TcpStream| socket.try_clone().expect("a descriptor");
            let mut sockets = self.sockets.lock().expect("no panic");
            if self.is_cut.load(Ordering::SeqCst) {
                continue;
            }
            sockets.extend([copy(&client), copy(&server)]);
            drop(sockets);
            let asks = (copy(&client), copy(&server));
            let (links, other) = (Arc::clone(self), Arc::clone(self));
            let is_committing = Arc::new(AtomicBool::new(false));
            let committing = Arc::clone(&is_committing);
            thread::spawn(move || {
                links.carry(asks, |bytes, links| {
                    let is_commit = bytes.windows(7).any(|part| part == b"COMMIT\0");
                    if is_commit && links.is_last_commit_lost.swap(false, Ordering::SeqCst) {
                        committing.store(true, Ordering::SeqCst);
                    }
                })
            });
            thread::spawn(move || {
                other.carry((server, client), |_, links| {
                    if is_committing.load(Ordering::SeqCst) {
                        links.cut();
                    }
                })
            });
        }
    }

    /// Carries bytes from one to the other until either ends; each piece is looked at before it goes on.
    fn carry(&self, (mut from, mut to): (TcpStream, TcpStream), look: impl Fn(&[u8], &Self)) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let is_frozen = self.is_frozen.lock().expect("no panic");
            drop(self.thawed.wait_while(is_frozen, |is_frozen| *is_frozen));
            look(&bytes[..count], self);
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        for socket in [from, to] {
            // Either may have ended by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
