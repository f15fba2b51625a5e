//! A chatroom's messages as one long response of server-sent events.

use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::answer::Method;
use crate::chunked::Chunks;
use crate::client::Client;
use crate::connection::Connection;
use crate::error::Error;
use crate::events::{Event, Events};
use crate::head::Framing;
use crate::model::{Message, Shown};
use crate::request::get;
use crate::stop::Stop;

const CALL: &str = "GET /message/stream/";
/// How long nothing may come: the server says every 15 s that it is still there.
const SILENCE: Duration = Duration::from_secs(45);

/// The messages of a chatroom as they are said, each once and in order. Ends where the server ends it, and with an error where the
/// connection breaks; either way another that begins behind [`EventStream::last_id`] misses nothing.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    connection: Connection,
    body: Body,
    events: Events,
    last_id: Option<u64>,
    has_ended: bool,
}

/// How far the body reaches.
#[derive(Debug)]
enum Body {
    Chunked(Chunks),
    Connection,
}

impl Client {
    /// Streams what is said in a chatroom behind the message `since`, or from now on; on a connection of its own.
    pub fn stream(&self, chatroom: u64, since: Option<u64>) -> Result<EventStream, Error> {
        let mut client = self.beside();
        let mut connection = client.connected()?;
        let request = get("/message/stream/").with("chatroomid", chatroom);
        let mut request = client.own(request.field("Accept", "text/event-stream"));
        if let Some(since) = since {
            request = request.field("Last-Event-ID", &since.to_string());
        }
        let begun = connection
            .send(&request.bytes())
            .and_then(|()| connection.begin());
        let broken = |error| client.broken(CALL, client.patience(), error);
        let (answer, framing) = begun.map_err(broken)?;
        if !(200..300).contains(&answer.status) {
            let answer = connection.answer(Method::Other).map_err(broken)?;
            return Err(Error::failed(CALL, &answer));
        }
        let is_stream = |kind: &str| kind.starts_with("text/event-stream");
        let body = match framing {
            _ if !answer.field("content-type").is_some_and(is_stream) => None,
            Framing::Chunked => Some(Body::Chunked(Chunks::default())),
            Framing::Connection => Some(Body::Connection),
            Framing::Length(_) => None,
        };
        connection.set_patience(SILENCE).map_err(broken)?;
        connection.pass_over(answer.head.len());
        Ok(EventStream {
            body: body.ok_or(Error::Lacking("a stream of events"))?,
            client,
            connection,
            events: Events::default(),
            last_id: since,
            has_ended: false,
        })
    }
}

impl EventStream {
    /// The last message that came, or the one that it began behind.
    pub fn last_id(&self) -> Option<u64> {
        self.last_id
    }

    /// What stops it, from another thread.
    pub fn stop(&self) -> Stop {
        self.client.stop()
    }

    fn message(&mut self, event: &Event) -> Result<Message, Error> {
        let json = serde_json::from_str(&event.data);
        let message = json.ok().and_then(|json| Message::of(&json));
        let message = message.ok_or(Error::Lacking("a message in an event"))?;
        self.last_id = Some(message.id);
        Ok(message)
    }

    /// Takes in what has come, or else waits for more.
    fn take_more(&mut self) -> io::Result<()> {
        if self.connection.unread().is_empty() && !self.connection.has_ended() {
            self.connection.read()?;
        }
        let is_cut = self.connection.has_ended();
        let mut told = Vec::new();
        let input = self.connection.unread();
        let (length, has_ended) = match &mut self.body {
            Body::Connection => {
                told.extend_from_slice(input);
                (input.len(), is_cut)
            }
            Body::Chunked(chunks) => {
                let length = chunks.take(input, &mut told)?;
                if is_cut && !chunks.are_done() && told.is_empty() {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                (length, chunks.are_done())
            }
        };
        self.connection.pass_over(length);
        self.has_ended = has_ended;
        Ok(self.events.take(&told)?)
    }
}

impl Iterator for EventStream {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.events.next() {
                // Others are for others.
                Some(event) if !["", "message"].contains(&&*event.kind) => {}
                Some(event) => return Some(self.message(&event)),
                None if self.has_ended => return None,
                None => {
                    if let Err(error) = self.take_more() {
                        self.has_ended = true;
                        return Some(Err(self.client.broken(CALL, SILENCE, error)));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::scripted::Scripted;
    use crate::scripted::Turn::{Answer, Last, Ok as Good, Open};
    use crate::strict::PATIENCE;

    macro_rules! event {
        ($id:literal) => {
            concat!(
                "id: ",
                $id,
                "\ndata: {\"id\":",
                $id,
                ",\"chatroomid\":7,\"userid\":1,",
                "\"username\":\"ann\",\"message\":\"hi\",\"time\":\"2026-11-23T08:00:00.000Z\"}\n\n"
            )
        };
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";

    /// A stream of these bytes as its body, behind the head and more fields of it.
    fn stream(fields: &str, body: &str) -> (Scripted, EventStream) {
        // A script's texts are written down for good.
        let text = String::leak(format!("{HEAD}{fields}\r\n{body}"));
        let server = Scripted::new([Last(text)]);
        let stream = server.client().stream(7, Some(11)).unwrap();
        (server, stream)
    }

    fn chunk(text: &str) -> String {
        format!("{:x}\r\n{text}\r\n", text.len())
    }

    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

    #[test]
    fn messages_come_as_they_are_told_until_the_end() {
        let ended = event!(13).len() - 9;
        let (begin, end) = event!(13).split_at(ended);
        let body = [
            chunk(": hello\n\n"),
            chunk(event!(12)),
            chunk(begin),
            chunk(end),
            chunk("event: other\ndata: x\n\n"),
            "0\r\n\r\n".to_owned(),
        ];
        let (server, mut told) = stream(CHUNKED, &body.concat());
        assert_eq!(told.last_id(), Some(11));
        let ids = Vec::from_iter(told.by_ref().map(|message| message.unwrap().id));
        assert_eq!((ids, told.last_id()), (vec![12, 13], Some(13)));
        assert_eq!(
            server.requests(),
            ["GET /message/stream/?chatroomid=7 Last-Event-ID: 11"]
        );
    }

    #[test]
    fn a_stream_that_is_cut_is_no_end() {
        let body = [chunk(event!(12)), "5\r\nda".to_owned()].concat();
        let (_server, mut told) = stream(CHUNKED, &body);
        assert_eq!(told.next().unwrap().unwrap().id, 12);
        let cut = told.next().unwrap().unwrap_err();
        assert!(cut.is_passing(), "{cut}");
        assert!(told.next().is_none());
    }

    #[test]
    fn a_stream_without_a_coding_ends_with_its_connection() {
        let (_server, told) = stream("", concat!(event!(12), event!(13)));
        assert_eq!(told.map(|message| message.unwrap().id).sum::<u64>(), 25);
    }

    #[test]
    fn what_is_no_stream_is_a_failure() {
        let failed = r#"{"error":"not_a_participant","message":"You are not."}"#;
        let server = Scripted::new([Answer(403, "", failed), Good("[]")]);
        let client = server.client();
        let refused = client.stream(7, None).unwrap_err();
        assert_eq!(refused.failure().unwrap().status, 403);
        let lacking = client.stream(7, None).unwrap_err();
        assert!(matches!(lacking, Error::Lacking(_)), "{lacking}");
    }

    #[test]
    fn a_stop_from_another_thread_ends_it() {
        let text = String::leak(format!("{HEAD}{CHUNKED}\r\n{}", chunk(event!(12))));
        let server = Scripted::new([Open(text)]);
        let mut told = server.client().stream(7, None).unwrap();
        assert_eq!(told.next().unwrap().unwrap().id, 12);
        let stop = told.stop();
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || tell.send(told.next()).unwrap());
        stop.stop();
        // Less than the silence that it bears.
        let stopped = ended.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(stopped, Some(Err(Error::Stopped))), "{stopped:?}");
        server.requests();
    }
}
