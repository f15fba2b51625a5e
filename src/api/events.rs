//! A stream's messages as server-sent events, in the chunks of a response of unknown length.
//!
//! The format is that of the HTML standard, §9.2: a message is an event with its id, so that who comes back says by
//! `Last-Event-ID` where to go on. What is told many streams is rendered once, and its bytes are shared.

use std::borrow::Cow;
use std::sync::Arc;

use super::guests::Field;
use crate::buffer::Bytes;
use crate::chat::Events;
use crate::http::{Caching, Framing, Response, Status, push_chunk, push_last_chunk};

/// A line that is no event: it shows that the connection still is one.
const COMMENT: &[u8] = b":\n\n";

/// Renders the parts of streams, and remembers the last shared one.
#[derive(Debug, Default)]
pub(super) struct EventRenderer {
    last: Option<Rendered>,
}

#[derive(Debug)]
struct Rendered {
    events: Arc<Events>,
    is_chunked: bool,
    bytes: Bytes,
}

impl EventRenderer {
    /// The head of a response that goes on.
    pub(super) fn begin<'a>(
        &mut self,
        date: &str,
        framing: Framing,
        fields: impl Iterator<Item = Field<'a>>,
    ) -> Bytes {
        // nginx would else collect events until it has a buffer full of them.
        let unbuffered = ("X-Accel-Buffering", Cow::Borrowed("no"));
        let fields: Vec<Field<'_>> = [unbuffered].into_iter().chain(fields).collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, &**v)).collect();
        let response = Response {
            status: Status(200),
            caching: Caching::NoStore,
            fields: &fields,
            content_type: Some("text/event-stream; charset=utf-8"),
            body: b"",
        };
        let mut bytes = Vec::new();
        response.render_endless(&mut bytes, date, framing);
        bytes.into()
    }

    pub(super) fn render(&mut self, events: &Arc<Events>, framing: Framing) -> Bytes {
        let is_chunked = framing.is_chunked();
        if let Some(last) = &self.last
            && Arc::ptr_eq(&last.events, events)
            && last.is_chunked == is_chunked
        {
            return last.bytes.clone();
        }
        let mut text = Vec::new();
        for (id, json) in events.iter() {
            text.extend_from_slice(format!("id: {id}\ndata: ").as_bytes());
            text.extend_from_slice(json);
            text.extend_from_slice(b"\n\n");
        }
        let bytes = piece(&text, framing);
        self.last = Some(Rendered {
            events: events.clone(),
            is_chunked,
            bytes: bytes.clone(),
        });
        bytes
    }

    pub(super) fn comment(&self, framing: Framing) -> Bytes {
        piece(COMMENT, framing)
    }

    pub(super) fn end(&self, framing: Framing) -> Bytes {
        let mut bytes = Vec::new();
        if framing.is_chunked() {
            push_last_chunk(&mut bytes);
        }
        bytes.into()
    }

    /// Lets go of the shared part.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

fn piece(text: &[u8], framing: Framing) -> Bytes {
    if !framing.is_chunked() {
        return Bytes::copy_from_slice(text);
    }
    let mut bytes = Vec::with_capacity(text.len().saturating_add(16));
    push_chunk(&mut bytes, text);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::http::{After, Version};

    const PLAIN: Framing = Framing {
        after: After::KeepAlive,
        version: Version::Http11,
        head_only: false,
    };

    #[test]
    fn who_cannot_read_chunks_gets_none() {
        let mut renderer = EventRenderer::default();
        let old = Framing {
            version: Version::Http10,
            after: After::Close,
            ..PLAIN
        };
        assert_eq!(&*renderer.comment(PLAIN), b"3\r\n:\n\n\r\n");
        assert_eq!(&*renderer.comment(old), b":\n\n");
        assert_eq!(&*renderer.end(PLAIN), b"0\r\n\r\n");
        assert_eq!(&*renderer.end(old), b"");
        let begin = |renderer: &mut EventRenderer, framing| {
            let bytes = renderer.begin("Mon, 23 Nov 2026 08:00:00 GMT", framing, iter::empty());
            String::from_utf8(bytes.to_vec()).expect("ASCII")
        };
        let chunked = begin(&mut renderer, PLAIN);
        assert!(
            chunked.contains("\r\nTransfer-Encoding: chunked\r\n") && !chunked.contains("Length")
        );
        let whole = begin(&mut renderer, old);
        assert!(whole.contains("\r\nConnection: close\r\n") && !whole.contains("chunked"));
    }
}
