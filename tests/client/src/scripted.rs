//! A server that does what a test has written down, whatever it is asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::pauses::Pauses;
use crate::strict::PATIENCE;

/// What it does with one request.
pub(crate) enum Turn {
    /// Answers with 200 and a body.
    Ok(&'static str),
    /// Answers with a status, fields and a body.
    Answer(u16, &'static str, &'static str),
    /// Writes bytes as they are, and closes the connection.
    Last(&'static str),
    /// Writes bytes as they are, and waits until the client has gone.
    Open(&'static str),
}

pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    asked: Receiver<()>,
    requests: Receiver<Vec<String>>,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn new(script: impl IntoIterator<Item = Turn> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        let ((tell, asked), (tell_all, all)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || {
            let (mut requests, mut connection) = (Vec::new(), None);
            for turn in script {
                let (request, mut stream) = next(&listener, connection.take(), &count);
                requests.push(request);
                // Few tests want to know.
                let _ = tell.send(());
                if act(&turn, stream.get_mut()) {
                    connection = Some(stream);
                }
            }
            let _ = tell_all.send(requests);
        });
        Self {
            address,
            asked,
            requests: all,
            connections,
        }
    }

    /// A client of it, which does not wait for long before it asks again.
    pub(crate) fn client(&self) -> Client {
        let pauses = Pauses {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(1),
        };
        let client = Client::new(self.address).with_pauses(pauses);
        client.with_session("s1")
    }

    /// Waits until it has been asked for so much more.
    pub(crate) fn wait_for(&self, requests: usize) {
        for _ in 0..requests {
            self.asked.recv_timeout(PATIENCE).unwrap();
        }
    }

    /// Connections on which it was asked so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The requests, each as its method, target and body, when the script is over.
    pub(crate) fn requests(self) -> Vec<String> {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

type Stream = BufReader<TcpStream>;

/// The next request on this connection, or where it has ended on the next one.
fn next(
    listener: &TcpListener,
    mut connection: Option<Stream>,
    count: &AtomicUsize,
) -> (String, Stream) {
    loop {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => {
                count.fetch_add(1, Ordering::Relaxed);
                BufReader::new(listener.accept().unwrap().0)
            }
        };
        if let Some(request) = request(&mut stream) {
            return (request, stream);
        }
    }
}

fn request(stream: &mut Stream) -> Option<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut request = line
        .trim_end()
        .strip_suffix(" HTTP/1.1")
        .unwrap()
        .to_owned();
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
        if let Some(digits) = line.strip_prefix("Content-Length: ") {
            length = digits.trim_end().parse().unwrap();
        } else if line.starts_with("Last-Event-ID") {
            request = format!("{request} {}", line.trim_end());
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    match length {
        0 => Some(request),
        _ => Some(format!("{request} {}", String::from_utf8(body).unwrap())),
    }
}

/// Says whether the connection goes on.
fn act(turn: &Turn, stream: &mut TcpStream) -> bool {
    let answer = |status: u16, fields: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
    };
    let bytes = match turn {
        Turn::Ok(body) => answer(200, "", body),
        Turn::Answer(status, fields, body) => answer(*status, fields, body),
        Turn::Last(bytes) | Turn::Open(bytes) => (*bytes).to_owned(),
    };
    stream.write_all(bytes.as_bytes()).unwrap();
    if matches!(turn, Turn::Open(_)) {
        // It ends by a FIN or by a RST, and is as good as gone in either way.
        let _ = stream.read(&mut [0]);
    }
    matches!(turn, Turn::Ok(_) | Turn::Answer(..))
}
