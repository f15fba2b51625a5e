//! A made-up PostgreSQL, for tests: it speaks as much of the protocol as somebody needs who is to be let down by it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::client::{Client, End};
use super::place::Place;
use super::tls;

/// What a connection begins with that wants to be spoken with, and one that wants another's statement to be cancelled.
const BEGINS: u32 = 196_608;
const CANCELS: u32 = 80_877_102;
/// … and one that asks for TLS before either.
const SECURES: u32 = 80_877_103;

/// How long who asks for TLS waits to be told that there is none, as if it were far away: what has no time at all is over by then.
const DISTANCE: Duration = Duration::from_millis(10);

/// How a connection began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    Speaking,
    Cancelling,
}

/// What becomes of a connection when somebody has said who they are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// They are let in, and nothing that they ask is answered.
    Silent,
    /// They are let in, and told this when they ask something: its severity, and its code. As by poolers, in the words of the language that is spoken there, and only in those.
    Told(&'static str, &'static str),
    /// They are let in, and what they ask with parameters is answered so, one after another.
    Answering(&'static [Answer]),
    /// They are not let in.
    Closed,
}

/// An answer to one statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// Rows of as many columns each, whose types are the same or NULL.
    Rows(&'static [&'static [Column]]),
    /// It has failed, with this code.
    Failed(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Null,
    Int(i64),
    Float(f64),
    Text(&'static str),
}

impl Column {
    /// The number of its type; of a bigint, where that does not matter.
    fn type_number(self) -> u32 {
        match self {
            Self::Null | Self::Int(_) => 20,
            Self::Float(_) => 701,
            Self::Text(_) => 25,
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Null => None,
            Self::Int(number) => Some(number.to_be_bytes().into()),
            Self::Float(number) => Some(number.to_be_bytes().into()),
            Self::Text(text) => Some(text.into()),
        }
    }
}

pub(super) struct Fake {
    pub(super) port: u16,
    begun: Receiver<Begun>,
}

impl Fake {
    /// Connections have these parts, in the order in which they come, and the last of them all that come later. Whoever cancels something has none.
    pub(super) fn playing(parts: &'static [Part]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (tell, begun) = channel();
        thread::spawn(move || {
            let mut parts = parts.iter().copied();
            let mut part = parts.next().expect("one at least");
            // Until the test is over: then nobody listens to what is told.
            for socket in listener.incoming() {
                let mut socket = socket.expect("a connection");
                let begins = begins(&mut socket);
                if tell.send(begins).is_err() {
                    return;
                }
                if begins == Begun::Speaking {
                    thread::spawn(move || drop(play(socket, part)));
                    part = parts.next().unwrap_or(part);
                }
            }
        });
        Self { port, begun }
    }

    /// Connects to it, as somebody who waits so long, and would like TLS.
    pub(super) fn connect(&self, ends: (Duration, &Arc<End>)) -> Client {
        let place = Place::Tcp(
            "localhost".to_owned(),
            (Ipv4Addr::LOCALHOST, self.port).into(),
        );
        let config = "postgres://ann@localhost/chat";
        let tls = tls::connector(tls::Verification::None, None).expect("no roots are needed");
        Client::connect(&place, &config.parse().expect("an address"), &tls, ends).expect("let in")
    }

    /// How connections have begun since this was asked last.
    pub(super) fn begun(&self) -> Vec<Begun> {
        self.begun.try_iter().collect()
    }
}

fn begins(socket: &mut TcpStream) -> Begun {
    let said = read_behind_length(socket).expect("how it begins");
    let (code, _) = said.split_first_chunk().expect("a code");
    match u32::from_be_bytes(*code) {
        BEGINS => Begun::Speaking,
        CANCELS => Begun::Cancelling,
        SECURES => {
            thread::park_timeout(DISTANCE);
            socket.write_all(b"N").expect("it waits");
            begins(socket)
        }
        other => panic!("{other} is unknown"),
    }
}

fn read_behind_length(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let mut said = vec![0; u32::from_be_bytes(length) as usize - length.len()];
    socket.read_exact(&mut said)?;
    Ok(said)
}

/// Ends with the connection.
fn play(mut socket: TcpStream, part: Part) -> std::io::Result<()> {
    if let Part::Closed = part {
        return Ok(());
    }
    say(&mut socket, b'R', &[0; 4])?;
    say(&mut socket, b'K', &[7; 8])?;
    say(&mut socket, b'Z', b"I")?;
    let mut answers = match part {
        Part::Answering(answers) => answers.iter(),
        _ => [].iter(),
    };
    loop {
        let mut kind = [0];
        socket.read_exact(&mut kind)?;
        read_behind_length(&mut socket)?;
        if &kind == b"X" {
            return Ok(());
        }
        match (part, &kind) {
            (Part::Told(severity, code), b"Q") => refuse(&mut socket, severity, code)?,
            // Behind all of a statement with parameters.
            (Part::Answering(_), b"S") => match answers.next() {
                Some(Answer::Rows(rows)) => answer(&mut socket, rows)?,
                Some(Answer::Failed(code)) => refuse(&mut socket, "ERROR", code)?,
                None => {}
            },
            _ => {}
        }
    }
}

fn refuse(socket: &mut TcpStream, severity: &str, code: &str) -> std::io::Result<()> {
    let told = format!("S{severity}\0C{code}\0Mit is over\0\0");
    say(socket, b'E', told.as_bytes())?;
    say(socket, b'Z', b"I")
}

fn answer(socket: &mut TcpStream, rows: &[&[Column]]) -> std::io::Result<()> {
    let count = |count: usize| u16::try_from(count).expect("few").to_be_bytes();
    let width = rows.first().map_or(0, |row| row.len());
    let mut columns = count(width).to_vec();
    for place in 0..width {
        let mut all = rows.iter().map(|row| row[place]);
        let column = all.find(|column| !matches!(column, Column::Null));
        columns.extend(format!("column{place}\0").as_bytes());
        columns.extend([0; 6]);
        columns.extend(column.unwrap_or(Column::Null).type_number().to_be_bytes());
        columns.extend([0; 6]);
        // In binary.
        columns.extend(count(1));
    }
    say(socket, b'1', &[])?;
    say(socket, b'2', &[])?;
    say(socket, b'T', &columns)?;
    for row in rows {
        let mut told = count(row.len()).to_vec();
        for bytes in row.iter().map(|column| column.bytes()) {
            let length = |bytes: &Vec<u8>| i32::try_from(bytes.len()).expect("short");
            let length = bytes.as_ref().map_or(-1, length);
            told.extend(length.to_be_bytes());
            told.extend(bytes.unwrap_or_default());
        }
        say(socket, b'D', &told)?;
    }
    say(socket, b'C', b"SELECT\0")?;
    say(socket, b'Z', b"I")
}

fn say(socket: &mut TcpStream, kind: u8, what: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(what.len() + 4).expect("short");
    let said = [&[kind], &length.to_be_bytes()[..], what].concat();
    socket.write_all(&said)
}
