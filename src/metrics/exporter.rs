//! `GET /metrics` on an address of its own, by a thread of its own: whoever watches is answered also where the loops are not.
//!
//! One client at a time, each for a few seconds at most: they are a handful, and known.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Metrics;
use crate::http::{
    After, Caching, Event, Exchange, Framing, Limits, Method, Partial, Request, Response, Status,
};

/// How long a client may take for its request, its answer, and to be gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long accepting rests where it fails: there may be no descriptor for a newcomer.
const REST: Duration = Duration::from_millis(100);
const HEAD_MAX: usize = 16 * 1024;
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The thread that answers.
pub struct Exporter {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens, and answers until it is dropped.
    ///
    /// # Errors
    /// When the address cannot be listened on, or there is no thread.
    pub fn start(address: SocketAddr, metrics: Metrics) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let is_over = Arc::<AtomicBool>::default();
        let over = Arc::clone(&is_over);
        let thread = thread::Builder::new().name("loiter-metrics".to_owned());
        let thread = thread.spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                match client {
                    // Who breaks off is no concern of ours.
                    Ok(client) => drop(answer(client, &metrics)),
                    Err(_) => thread::park_timeout(REST),
                }
            }
        })?;
        Ok(Self {
            address,
            is_over,
            thread: Some(thread),
        })
    }

    /// Where it listens, with the port that port 0 picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
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

fn answer(mut client: TcpStream, metrics: &Metrics) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut input = Vec::new();
    let mut exchange = Exchange::default();
    let mut partial = None;
    let mut more = [0; 4096];
    let bytes = loop {
        let count = read_until(&mut client, &mut more, end)?;
        if count == 0 {
            return Ok(());
        }
        input.extend_from_slice(&more[..count]);
        if let Some(bytes) = respond(&mut exchange, &mut partial, &mut input, metrics) {
            break bytes;
        }
    };
    write_until(&mut client, &bytes, end)?;
    client.shutdown(std::net::Shutdown::Write)?;
    // What still comes must not destroy the answer.
    while read_until(&mut client, &mut more, end)? > 0 {}
    Ok(())
}

/// Reads what has come, if something comes before the end. Who sends for longer is not heard out.
fn read_until(client: &mut TcpStream, bytes: &mut [u8], end: Instant) -> io::Result<usize> {
    client.set_read_timeout(Some(left_until(end)?))?;
    client.read(bytes)
}

/// Writes all of it, if the client takes it before the end.
fn write_until(client: &mut TcpStream, mut bytes: &[u8], end: Instant) -> io::Result<()> {
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
    metrics: &Metrics,
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
        Event::Request(request) => found(&request, metrics),
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
        content_type: (status == 200).then_some(TEXT),
        body: body.as_bytes(),
    };
    let mut bytes = Vec::new();
    response.render(&mut bytes, &date, framing);
    Some(bytes)
}

fn found(request: &Request<'_>, metrics: &Metrics) -> (u16, String) {
    let is_here = matches!(request.path(), "/metrics" | "/metrics/");
    match request.method() {
        _ if !is_here => (404, String::new()),
        Method::Get | Method::Head => (200, metrics.encode()),
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
        let (mut client, mut served) = pair();
        client.write_all(&[0; 64 * 1024]).expect("sent");
        let over = Instant::now();
        let mut bytes = [0; 16];
        let read = read_until(&mut served, &mut bytes, over).expect_err("its time is over");
        assert_eq!(read.kind(), io::ErrorKind::TimedOut);
        let later = over + Duration::from_millis(50);
        let unread = vec![0; 64 * 1024 * 1024];
        write_until(&mut served, &unread, later).expect_err("nobody takes so much");
        let there = read_until(&mut served, &mut bytes, Instant::now() + PATIENCE);
        assert_eq!(there.expect("it had come"), bytes.len());
    }
}
