//! A made-up PostgreSQL, for tests: it speaks as much of the protocol as somebody needs who is to be let down by it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// What a connection begins with that wants to be spoken with, and one that wants another's statement to be cancelled.
const BEGINS: u32 = 196_608;
const CANCELS: u32 = 80_877_102;

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
    /// They are not let in.
    Closed,
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
    loop {
        let mut kind = [0];
        socket.read_exact(&mut kind)?;
        read_behind_length(&mut socket)?;
        if &kind == b"X" {
            return Ok(());
        }
        if let (Part::Told(severity, code), b"Q") = (part, &kind) {
            let told = format!("S{severity}\0C{code}\0Mit is over\0\0");
            say(&mut socket, b'E', told.as_bytes())?;
            say(&mut socket, b'Z', b"I")?;
        }
    }
}

fn say(socket: &mut TcpStream, kind: u8, what: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(what.len() + 4).expect("short");
    let said = [&[kind], &length.to_be_bytes()[..], what].concat();
    socket.write_all(&said)
}
