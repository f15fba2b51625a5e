//! loiter within a host's own loop: one thread, the host's own epoll (here by mio), and a listening socket that the host has opened.
//!
//! This host is a thermometer. Readings come to it by UDP, and whoever is here may chat about them.
//!
//! `cargo run --example host` (or with other addresses: `-- 127.0.0.1:8000 127.0.0.1:9000`), and then, in bash:
//!
//! ```sh
//! curl -s localhost:8000/healthz
//! #> {"status":"ok"}
//! echo -n 21.5 >/dev/udp/127.0.0.1/9000
//! curl -s -X POST 'localhost:8000/register/?username=ann&password=pw'
//! #> {"userid":1,"username":"ann"}
//! echo -n stop >/dev/udp/127.0.0.1/9000
//! ```

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use loiter::{Config, Server};
use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const CHAT: Token = Token(0);
const READINGS: Token = Token(1);

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut address = |usual: &str| given.next().unwrap_or_else(|| usual.to_owned()).parse();
    let (chat, readings): (SocketAddr, SocketAddr) =
        (address("127.0.0.1:8000")?, address("127.0.0.1:9000")?);

    // The socket is the host's. It could as well have come from whoever has started it, and outlive this server.
    let listener = TcpListener::bind(chat)?;
    let config = Config {
        database: "thermometer.db".into(),
        // A thermometer is small. `Config` has more to turn down, and says what each is for.
        max_connections: Some(100),
        workers: 1,
        ..Config::default()
    };
    let mut server = Server::with_listeners(config, vec![listener])?;
    println!("listening on http://{}", server.addresses()[0]);

    // The host's loop: the server is one descriptor in it, and one timeout.
    let mut poll = Poll::new()?;
    let fd = server.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), CHAT, Interest::READABLE)?;
    let mut thermometer = UdpSocket::bind(readings)?;
    poll.registry()
        .register(&mut thermometer, READINGS, Interest::READABLE)?;
    println!("readings to {}", thermometer.local_addr()?);

    let mut events = Events::with_capacity(16);
    while !server.is_done() {
        // Another timeout of the host's own would be the smaller of both.
        match poll.poll(&mut events, server.poll_timeout()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        if events.iter().any(|event| event.token() == READINGS) {
            read_all(&thermometer, &server)?;
        }
        // Whether it was the descriptor or the timeout: a turn without anything to do costs next to nothing.
        server.turn(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Edge-triggered, as mio has it: all that has come is read.
fn read_all(thermometer: &UdpSocket, server: &Server) -> io::Result<()> {
    let mut reading = [0; 64];
    loop {
        let count = match thermometer.recv(&mut reading) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            received => received?,
        };
        match &reading[..count] {
            // Polls end with their lists, requests that have come are answered; then the server is done.
            b"stop" => server.handle().drain(),
            reading => println!("{} degrees", reading.escape_ascii()),
        }
    }
}
