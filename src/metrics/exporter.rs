//! `GET /metrics` on an address of its own, by a thread of its own: whoever watches is answered also where the loops are not.
//!
//! One client at a time, each for a few seconds at most: they are a handful, and known.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Metrics;
use crate::http::{
    After, Caching, Event, Exchange, Framing, Limits, Method, Partial, Request, Response, Status,
};

/// How long a client may take for its request, its answer, and to be gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long accepting rests where it fails: there may be no descriptor for a newcomer.
const REST: Duration = Duration::from_millis(100);
const HEAD_MAX: usize = 16 * 1024;
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The thread that answers.
pub struct Exporter {
    address: SocketAddr,
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

/// How the thread is told that it is over, whoever it is with.
#[derive(Default)]
struct End {
    is_over: AtomicBool,
    client: Mutex<Option<Arc<TcpStream>>>,
}

impl Exporter {
    /// Answers who comes to this socket until it is dropped.
    ///
    /// # Errors
    /// When there is no thread.
    pub fn start(listener: TcpListener, metrics: Metrics) -> io::Result<Self> {
        Self::serve(listener, PATIENCE, move || metrics.encode())
    }

    fn serve(
        listener: TcpListener,
        patience: Duration,
        text: impl Fn() -> String + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let end = Arc::<End>::default();
        let told = Arc::clone(&end);
        let thread = thread::Builder::new().name("loiter-metrics".to_owned());
        let thread = thread.spawn(move || {
            for client in listener.incoming() {
                match client.map(Arc::new) {
                    Ok(client) => {
                        told.is_with(Some(&client));
                        if told.is_over.load(Ordering::Acquire) {
                            return;
                        }
                        // Who breaks off is no concern of ours.
                        drop(answer(&client, patience, &text));
                        told.is_with(None);
                    }
                    Err(_) if told.is_over.load(Ordering::Acquire) => return,
                    Err(_) => thread::park_timeout(REST),
                }
            }
        })?;
        Ok(Self {
            address,
            end,
            thread: Some(thread),
        })
    }

    /// Where it listens, with the port that port 0 picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl End {
    fn is_with(&self, client: Option<&Arc<TcpStream>>) {
        *self.client() = client.map(Arc::clone);
    }

    fn client(&self) -> MutexGuard<'_, Option<Arc<TcpStream>>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.end.is_over.store(true, Ordering::Release);
        if let Some(client) = &*self.end.client() {
            // Or it would be waited for. One that has gone already has nothing to shut down.
            let _ = client.shutdown(Shutdown::Both);
        }
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        // It looks whether it is over when somebody comes.
        let has_come = TcpStream::connect_timeout(&address, PATIENCE).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| has_come) {
            // A panic there has been told of.
            let _ = thread.join();
        }
    }
}

fn answer(client: &TcpStream, patience: Duration, text: &dyn Fn() -> String) -> io::Result<()> {
    let end = Instant::now() + patience;
    let mut input = Vec::new();
    let mut exchange = Exchange::default();
    let mut partial = None;
    let mut more = [0; 4096];
    let bytes = loop {
        let count = read_until(client, &mut more, end)?;
        if count == 0 {
            return Ok(());
        }
        input.extend_from_slice(&more[..count]);
        if let Some(bytes) = respond(&mut exchange, &mut partial, &mut input, text) {
            break bytes;
        }
    };
    write_until(client, &bytes, end)?;
    client.shutdown(Shutdown::Write)?;
    // What still comes must not destroy the answer.
    while read_until(client, &mut more, end)? > 0 {}
    Ok(())
}

/// Reads what has come, if something comes before the end. Who sends for longer is not heard out.
fn read_until(mut client: &TcpStream, bytes: &mut [u8], end: Instant) -> io::Result<usize> {
    client.set_read_timeout(Some(left_until(end)?))?;
    client.read(bytes)
}

/// Writes all of it, if the client takes it before the end.
fn write_until(mut client: &TcpStream, mut bytes: &[u8], end: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        client.set_write_timeout(Some(left_until(end)?))?;
        let sent = client.write(bytes)?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// # Errors
/// None is left.
fn left_until(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// The answer, once the request is whole.
fn respond(
    exchange: &mut Exchange,
    partial: &mut Option<Box<Partial>>,
    input: &mut Vec<u8>,
    text: &dyn Fn() -> String,
) -> Option<Vec<u8>> {
    let limits = Limits {
        head_max: HEAD_MAX,
        body_max: 0,
    };
    let received = exchange.receive(partial, input, &limits);
    let (status, body) = match received.event {
        Event::NeedMore | Event::Continue => {
            input.drain(..received.consumed);
            return None;
        }
        Event::Rejected(_) => (400, String::new()),
        Event::Request(request) => found(&request, text),
    };
    exchange.close_after_answer();
    let framing = Framing {
        after: After::Close,
        ..exchange.framing()
    };
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let response = Response {
        status: Status(status),
        caching: Caching::NoStore,
        fields: if status == 405 {
            &[("Allow", "GET, HEAD")]
        } else {
            &[]
        },
        content_type: match status {
            200 => Some(TEXT),
            404 => Some("text/plain; charset=utf-8"),
            _ => None,
        },
        body: body.as_bytes(),
    };
    let mut bytes = Vec::new();
    response.render(&mut bytes, &date, framing);
    Some(bytes)
}

fn found(request: &Request<'_>, text: &dyn Fn() -> String) -> (u16, String) {
    let is_here = matches!(request.path(), "/metrics" | "/metrics/");
    match request.method() {
        _ if !is_here => (404, "what is counted is at /metrics\n".to_owned()),
        Method::Get | Method::Head => (200, text()),
        _ => (405, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client, and the server's end of its connection.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let client = TcpStream::connect(listener.local_addr().expect("an address"));
        let (served, _) = listener.accept().expect("it has come");
        (client.expect("it listens"), served)
    }

    #[test]
    fn whoever_sends_or_takes_nothing_for_ever_is_let_go() {
        let (mut client, served) = pair();
        client.write_all(&[0; 64 * 1024]).expect("sent");
        let over = Instant::now();
        let mut bytes = [0; 16];
        let read = read_until(&served, &mut bytes, over).expect_err("its time is over");
        assert_eq!(read.kind(), io::ErrorKind::TimedOut);
        let later = over + Duration::from_millis(50);
        let unread = vec![0; 64 * 1024 * 1024];
        write_until(&served, &unread, later).expect_err("nobody takes so much");
        let there = read_until(&served, &mut bytes, Instant::now() + PATIENCE);
        assert_eq!(there.expect("it had come"), bytes.len());
    }

    #[test]
    fn the_end_waits_for_nobody() {
        let forever = Duration::from_secs(3600);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let exporter = Exporter::serve(listener, forever, || "x 1\n".into());
        let exporter = exporter.expect("loopback");
        let mut client = TcpStream::connect(exporter.address()).expect("it listens");
        // Who has an answer and does not go is heard out.
        client
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("sent");
        let mut heard = Vec::new();
        while !heard.ends_with(b"x 1\n") {
            let mut more = [0; 512];
            let count = client.read(&mut more).expect("an answer");
            assert!(count > 0, "{}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&more[..count]);
        }
        // One behind it, of whom nobody has heard yet.
        let waits = TcpStream::connect(exporter.address()).expect("it listens");
        drop(exporter);
        assert_eq!(client.read(&mut [0; 16]).unwrap_or(0), 0);
        drop(waits);
    }
}
